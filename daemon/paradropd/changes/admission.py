"""What a chute's source must be to be taken for a deploy."""

from __future__ import annotations

from collections.abc import Iterable

from paradrop.base.exceptions import Conflict, InvalidInput
from paradrop.manifest import FILE_NAME, MAX_SIZE, parse
from paradrop.manifest.model import Manifest
from paradrop.source import SourceLimits, check_tree
from paradrop.values import SourceTree
from paradropd.blobs import Blobs


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


def refuse_taken_ports(manifest: Manifest, others: Iterable[Manifest]) -> None:
    """Raises :class:`Conflict` when another chute of *others* has a port of the device that *manifest* asks for."""
    ours = _ports(manifest)
    for other in others:
        taken = ours & _ports(other)
        if other.name != manifest.name and taken:
            port, protocol = min(taken)
            raise Conflict(f"port {port}/{protocol} of the device is taken by the chute {other.name!r}")


def _ports(manifest: Manifest) -> set[tuple[int, str]]:
    return {(port.external, port.protocol) for service in manifest.services for port in service.ports}
