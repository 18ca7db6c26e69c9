"""Docker's streams, taken apart: bytes in, values out, no I/O.

The output of a container without a terminal comes as frames of an eight-byte header (stream, three zeros, length in network
order) and a payload (Docker Engine API 1.41, "Attach to a container", *Stream format*).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

_HEADER = struct.Struct(">BxxxL")
_STREAMS = {1: "out", 2: "err"}

CHUNK = 64 * 1024
"""The most bytes the port's ``output`` takes at once."""

MERGED = 0.005
"""Seconds within which two pieces of one stream count as printed at the same time."""


class Piece(NamedTuple):
    stream: str
    """``out`` or ``err``."""
    data: bytes
    time: float
    """Seconds since the epoch."""


class Frames:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """The frames that *data* completes: the stream's name and the payload."""
        data = self._rest + data
        position = 0
        while len(data) - position >= _HEADER.size:
            stream, length = _HEADER.unpack_from(data, position)
            end = position + _HEADER.size + length
            if end > len(data):
                break
            yield _STREAMS.get(stream, "out"), data[position + _HEADER.size : end]
            position = end
        self._rest = data[position:]


class Lines:
    """Cuts a byte stream into lines; empty ones are left out. Docker sends its JSON messages one a line."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that *data* completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return (line for line in lines if line.strip())


def stamped(stream: str, payload: bytes) -> Piece:
    """A frame of the ``logs`` endpoint with ``timestamps=1``: one message behind its time."""
    stamp, _, data = payload.partition(b" ")
    return Piece(stream, data, seconds(stamp.decode("ascii")))


class News:
    """Tells the new messages of one stream from those that were seen before.

    dockerd 20.10 repeats up to a whole file of its log when it rotates a log that somebody follows. What lies before the newest
    message seen is such a repetition, up to and with that message, unless the machine's clock was put back meanwhile. Parts of
    one long line have the same time, so that alone does not make a repetition.
    """

    def __init__(self, after: float | None) -> None:
        """*after*: the time up to which, and with which, everything was seen before."""
        self._newest = after or 0.0
        self._repeating = after is not None

    def takes(self, time: float, now: float) -> bool:
        """Whether the message of *time* is new; *now* is the time on the machine's clock."""
        if time < self._newest:
            self._repeating = now >= self._newest
        elif time > self._newest:
            self._repeating = False
        if self._repeating:
            return False
        self._newest = time
        return True


def merged(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """*pieces* with neighbours of the same stream and time joined, and none longer than :data:`CHUNK`.

    A chute that prints many short lines would cost a call each otherwise. A joined piece has the time of its last part, which is
    the time from which to go on after a restart.
    """
    parts: list[bytes] = []
    size = 0
    first = last = Piece("", b"", 0.0)
    for piece in (part for whole in pieces for part in _cut(whole)):
        fits = piece.stream == first.stream and size + len(piece.data) <= CHUNK and 0 <= piece.time - first.time <= MERGED
        if parts and not fits:
            yield Piece(first.stream, b"".join(parts), last.time)
            parts, size = [], 0
        if not parts:
            first = piece
        parts.append(piece.data)
        size += len(piece.data)
        last = piece
    if parts:
        yield Piece(first.stream, b"".join(parts), last.time)


def _cut(piece: Piece) -> Iterator[Piece]:
    for start in range(0, len(piece.data), CHUNK):
        yield piece._replace(data=piece.data[start : start + CHUNK])


def seconds(stamp: str) -> float:
    """An RFC 3339 time with up to nine digits of a fraction, as Docker writes them, in seconds since the epoch."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return _whole_seconds(whole) + (int(fraction) / 10 ** len(fraction) if fraction else 0.0)


@lru_cache(maxsize=64)
def _whole_seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
