"""A chute's folder as a list of files by content: made on the machine that deploys, checked on the device."""

from __future__ import annotations

from paradrop.source.tree import SourceLimits, check_tree, subtree, tree_digest
from paradrop.source.walk import Scan, read_piece, scan

__all__ = ["Scan", "SourceLimits", "check_tree", "read_piece", "scan", "subtree", "tree_digest"]
