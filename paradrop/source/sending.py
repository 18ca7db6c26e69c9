"""Sending a chute's source: only the content a device has not got, in pieces that fit a WAMP message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Protocol

from paradrop.base.exceptions import InvalidSource
from paradrop.values import SourceTree

PIECE = 256 * 1024
"""Bytes."""
ASKED = 5000
"""Digests in one question: 64 characters each, far below the size of a message that a router takes."""

PATIENCE = 3
"""How often a device may forget what it had of one blob."""

ReadPiece = Callable[[Path, int, int], bytes]
"""``(path, offset, size)``: exactly that part of a file. Raises :class:`InvalidSource` when it is not there any more."""


class BlobStore(Protocol):
    """Where content goes: a device, or a server that keeps it for one."""

    async def blobs_missing(self, digests: list[str]) -> list[str]:
        """Those of *digests* that are not there."""

    async def put_blob(self, digest: str, size: int, offset: int, data: bytes) -> int:
        """Take a piece; returns how many bytes of the blob are there now, from its start."""


async def send(
    device: BlobStore,
    tree: SourceTree,
    files: Mapping[str, Path],
    read_piece: ReadPiece,
    sent: Callable[[int, int], None],
) -> int:
    """Send what *device* has not got of *tree*, whose content is in *files* by digest; returns the bytes it had not.

    *sent* hears how many bytes of how many there are. The device says how much of a blob it has, and so a send that broke off
    goes on from there. Raises :class:`InvalidSource` when a file changed since it was scanned.
    """
    sizes = {entry.sha256: entry.size for entry in tree.entries}
    digests = list(sizes)
    missing: list[str] = []
    for start in range(0, len(digests), ASKED):
        missing += await device.blobs_missing(digests[start : start + ASKED])
    total, before = sum(sizes[digest] for digest in missing), 0
    for digest in missing:
        size = sizes[digest]
        async for have in _pieces(device, digest, size, files[digest], read_piece):
            sent(before + have, total)
        before += size
    return total


async def _pieces(device: BlobStore, digest: str, size: int, path: Path, read_piece: ReadPiece) -> AsyncIterator[int]:
    """Send one blob; yields how much of it the device has, after each piece."""
    # What is worth resuming begins with an empty piece: its answer says how much is there from before.
    have = await device.put_blob(digest, size, 0, b"") if size > PIECE else 0
    refused = 0
    while True:
        data = read_piece(path, have, min(PIECE, size - have))
        now = await device.put_blob(digest, size, have, data)
        yield now
        if now >= size:
            return
        # It may have less than before: a device gives partial contents up when it needs their room.
        refused += now <= have
        if refused > PATIENCE:
            raise InvalidSource(f"{path}: the device does not keep what is sent of it")
        have = now
