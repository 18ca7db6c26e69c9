"""Rules for a chute's source as a list of files, wherever it comes from: pure."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from paradrop.base.exceptions import InvalidSource
from paradrop.values import SourceTree, TreeEntry

MAX_PATH = 512
"""Bytes of UTF-8."""
MAX_COMPONENT = 255
"""Bytes of UTF-8 (``NAME_MAX`` of Linux)."""
MAX_DEPTH = 64
"""Components of a path."""

DIGEST = re.compile(r"[0-9a-f]{64}")
"""A sha-256 in small hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """How large a chute's source may be."""

    files: int = 10_000
    bytes: int = 256 << 20
    """All files together."""


def name_problem(name: str) -> str:
    """Why *name* cannot be one component of a path; empty when it can."""
    if name in ("", ".", ".."):
        return "has an empty, '.' or '..' part"
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    if len(encoded) > MAX_COMPONENT:
        return f"has a name of more than {MAX_COMPONENT} bytes"
    if "/" in name or "\\" in name or any(unicodedata.category(character) == "Cc" for character in name):
        return "has a control character, a slash or a backslash in its name"
    return ""


def path_problem(path: str) -> str:
    """Why *path* cannot stand in a source tree; empty when it can: relative, normalised, with ``/``, within the limits."""
    if len(path) > MAX_PATH:
        return f"is longer than {MAX_PATH} bytes"
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        return f"is more than {MAX_DEPTH} folders deep"
    for part in parts:
        if problem := name_problem(part):
            return problem
    return f"is longer than {MAX_PATH} bytes" if len(path.encode()) > MAX_PATH else ""


def check_tree(tree: SourceTree, limits: SourceLimits) -> None:
    """Refuse a tree, as a peer sent it, that could not be laid out on a disk as it stands or is too large.

    Whether there is a manifest in it is not asked here. Raises :class:`InvalidSource`, naming the first path that is wrong.
    """
    if len(tree.entries) > limits.files:
        raise InvalidSource(f"there are {len(tree.entries)} files; at most {limits.files}")
    sizes: dict[str, int] = {}
    total = 0
    for entry in tree.entries:
        if problem := path_problem(entry.path) or _content_problem(entry):
            raise InvalidSource(f"{shown(entry.path)}: {problem}")
        if sizes.setdefault(entry.sha256, entry.size) != entry.size:
            raise InvalidSource(f"{shown(entry.path)}: has the content of another file and not its size")
        total += entry.size
    if total > limits.bytes:
        raise InvalidSource(f"the files have {total} bytes; at most {limits.bytes}")
    _check_overlap([entry.path for entry in tree.entries])


def tree_digest(tree: SourceTree) -> str:
    """The sha-256 (64 hex digits) of everything in *tree*, whatever the order of its entries."""
    rows = sorted([entry.path, entry.sha256, entry.size, entry.executable] for entry in tree.entries)
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def subtree(tree: SourceTree, folder: str) -> SourceTree:
    """The files below *folder* (relative, as a manifest's ``source`` has it; ``.`` is everything), with paths relative to it."""
    parts = PurePosixPath(folder).parts
    if not parts:
        return tree
    prefix = "/".join(parts) + "/"
    below = (entry for entry in tree.entries if entry.path.startswith(prefix))
    return SourceTree(entries=tuple(replace(entry, path=entry.path.removeprefix(prefix)) for entry in below))


def shown(path: str) -> str:
    """*path* for a message: escaped where it could not be printed, and short."""
    text = path if path.isprintable() else ascii(path)
    return text if len(text) <= 120 else f"{text[:119]}…"


def _content_problem(entry: TreeEntry) -> str:
    if not DIGEST.fullmatch(entry.sha256):
        return "has a content that is not named by a sha-256"
    return "has a negative size" if entry.size < 0 else ""


def _check_overlap(paths: Iterable[str]) -> None:
    """No path twice, and none that is a file here and a folder there."""
    files: set[str] = set()
    for path in paths:
        if path in files:
            raise InvalidSource(f"{shown(path)}: is there twice")
        files.add(path)
    for path in files:
        parent = path
        while "/" in parent:
            parent = parent.rpartition("/")[0]
            if parent in files:
                raise InvalidSource(f"{shown(parent)}: is both a file and a folder")
