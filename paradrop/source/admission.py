"""What a chute's source must be to be taken for a deploy, by a device or by a server that keeps it for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paradrop.base.exceptions import InvalidInput
from paradrop.manifest import FILE_NAME, MAX_SIZE, parse
from paradrop.manifest.model import Manifest
from paradrop.source.blobs import Blobs
from paradrop.source.tree import SourceLimits, check_tree
from paradrop.values import SourceTree, read

ENTRY: Mapping[str, tuple[type, str]] = {
    "path": (str, "a text"),
    "size": (int, "a whole number"),
    "sha256": (str, "a text"),
    "executable": (bool, "true or false"),
}


def tree_of(data: Any) -> SourceTree:
    """The source tree in *data*, as a peer sent it. Raises :class:`InvalidInput` for a value of another type than it must have:
    :func:`~paradrop.values.read` would make something of it."""
    entries = data.get("entries", []) if isinstance(data, Mapping) else None
    if not isinstance(entries, list | tuple):
        raise InvalidInput("the source tree is an object with a list of entries")
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, Mapping):
            raise InvalidInput(f"entry {number} of the source tree is not an object")
        for key, (kind, words) in ENTRY.items():
            value = entry.get(key, False if key == "executable" else None)
            if type(value) is not kind:  # bool is an int, too
                raise InvalidInput(f"entry {number} of the source tree: its {key} is not {words}")
    return read(SourceTree, data)


def manifest_of(tree: SourceTree, blobs: Blobs, limits: SourceLimits) -> Manifest:
    """The manifest of *tree*, all of whose content is in *blobs*.

    Raises ``InvalidSource``, ``InvalidManifest``, :class:`InvalidInput` when content is missing or there is no manifest.
    """
    check_tree(tree, limits)
    missing = blobs.missing([entry.sha256 for entry in tree.entries])
    if missing:
        raise InvalidInput(f"the content of {len(missing)} file{'s' if len(missing) > 1 else ''} has not been sent")
    for entry in tree.entries:
        if blobs.size(entry.sha256) != entry.size:
            raise InvalidInput(f"{entry.path}: its content has {blobs.size(entry.sha256)} bytes, not {entry.size}")
    for entry in tree.entries:
        if entry.path == FILE_NAME:
            with blobs.path(entry.sha256).open("rb") as file:
                return parse(file.read(MAX_SIZE + 1))  # one more than it may have: the parser says so
    raise InvalidInput(f"there is no {FILE_NAME} at the top of the chute's folder")
