"""Contents of chutes' source files, each under its sha-256, on the disk of a device, or of a server that keeps it for one.

::

    <folder>/partial/<sha256>     what has arrived of a content so far
    <folder>/<aa>/<sha256>        a whole content, verified; aa are the first two digits

A file has its final name only after its content was verified and written to the disk, so a power cut leaves no wrong content
behind a right name. Partial files are kept across broken links and not across a restart of the daemon: how far they have come is
known to memory only, together with the running digest, which spares reading them again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from paradrop.base.exceptions import InvalidInput, InvalidSource, NotFound, StorageFull
from paradrop.source.tree import DIGEST

MAX_PIECE = 1 << 20
"""Bytes of one :meth:`Blobs.put`."""
MAX_PARTIALS = 256
RESERVE = 32 << 20
"""Bytes of the disk that contents never use: a change that fails on a full disk must still be written down."""

SPARED = 3600.0
"""Seconds for which a content is kept that was sent, or reported as present: the deploy it is for has still to be asked for."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class _Partial:
    """A content on its way."""

    def __init__(self) -> None:
        self.size = 0
        self.digest = hashlib.sha256()


class Blobs:
    """The store. One caller at a time: it is the reactor thread's, or behind a lock.

    :meth:`put` blocks while one piece (at most :data:`MAX_PIECE` bytes) is written to the disk, and never longer: each piece is
    on the disk when it returns, and the digest grows with the pieces. :meth:`missing` and :meth:`keep_only` touch names only.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_size: int = 256 << 20,
        max_partial: int = 512 << 20,
        reserve: int = RESERVE,
        write: Callable[[int, bytes], int] = os.write,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """*folder* is created if need be. *max_size*: bytes of one content; *max_partial*: of all partial files together;
        *reserve*: left free on the disk. *write* and *free* (bytes left for files in a folder) are the system's, or a test's;
        so is *seconds*, which never goes back.

        Raises :class:`StorageFull`, ``OSError``.
        """
        self._folder = folder
        self._partial_folder = folder / "partial"
        self._max_size = max_size
        self._max_partial = max_partial
        self._reserve = reserve
        self._write = write
        self._free = free
        self._partials: dict[str, _Partial] = {}  # the one written last is last
        self._seconds = seconds
        self._wanted: dict[str, float] = {}  # when somebody was last told that it is here, or sent some of it
        with _full_disk_is_ours():
            self._partial_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left_over in self._partial_folder.iterdir():
            left_over.unlink()

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Those of *digests* that are not here whole, each once, in their order. The others stay for
        :data:`SPARED` seconds at least. Raises :class:`InvalidSource` for what is not a sha-256."""
        asked = {digest: self._place(digest) for digest in digests}
        absent = [digest for digest, place in asked.items() if not place.exists()]
        self._wanted.update(dict.fromkeys(asked.keys() - set(absent), self._seconds()))
        return absent

    def path(self, sha256: str) -> Path:
        """Where that content is. Raises :class:`NotFound` when it is not here whole, :class:`InvalidSource` for no sha-256."""
        place = self._place(sha256)
        if not place.exists():
            raise NotFound(f"the content {sha256[:12]}… is not here")
        return place

    def size(self, sha256: str) -> int:
        """Bytes of that content, to be compared with what a peer's :class:`~paradrop.values.TreeEntry` says. Raises like
        :meth:`path`."""
        return self.path(sha256).stat().st_size

    def put(self, sha256: str, size: int, offset: int, data: bytes) -> int:
        """Take the piece *data* of a content of *size* bytes, which starts at *offset*.

        Returns how many bytes of the content are here now: *size* when it is whole. A piece that does not start where the last
        one ended is not taken, and the answer says where to go on; the answer to an empty piece does too. The oldest partial
        contents give way to newer ones when there are too many.

        Raises :class:`InvalidSource` when the content is not what its name says (it is deleted) or is too large;
        :class:`InvalidInput` for arguments that make no sense; :class:`StorageFull`, with nothing of the content kept.
        """
        place = self._place(sha256)
        self._check_piece(size, offset, data)
        if place.exists():
            self._wanted[sha256] = self._seconds()
            if self.size(sha256) != size:
                raise InvalidSource(f"the content {sha256[:12]}… has {self.size(sha256)} bytes, not {size}")
            return size
        partial = self._partials.get(sha256) or _Partial()
        have = partial.size
        if offset != have or (not data and size > have):
            return have
        self._make_room(sha256, size - have, len(data))
        self._partials.pop(sha256, None)
        self._partials[sha256] = partial
        try:
            with _full_disk_is_ours():
                self._append(sha256, offset, data)
        except BaseException:
            self._drop(sha256)
            raise
        partial.digest.update(data)
        partial.size += len(data)
        if partial.size == size:
            self._finish(sha256, partial, place)
        return partial.size

    def keep_only(self, digests: Iterable[str]) -> int:
        """Delete every content but *digests*; return how many were deleted.

        What was sent, or reported as present by :meth:`missing`, within the last :data:`SPARED` seconds is spared, however many
        other changes end meanwhile: it belongs to a deploy that is on its way. So is a partial content that has grown since then.
        """
        oldest = self._seconds() - SPARED
        self._wanted = {sha256: when for sha256, when in self._wanted.items() if when > oldest}
        keep = set(digests) | self._wanted.keys()
        for sha256 in self._partials.keys() - self._wanted.keys():
            self._drop(sha256)
        deleted = 0
        for place in self._contents():
            if place.name not in keep:
                place.unlink(missing_ok=True)
                deleted += 1
        return deleted

    @property
    def whole_bytes(self) -> int:
        """Bytes of all whole contents together."""
        return sum(place.stat().st_size for place in self._contents())

    @property
    def partial_bytes(self) -> int:
        """Bytes of all partial contents together."""
        return sum(partial.size for partial in self._partials.values())

    def _place(self, sha256: str) -> Path:
        if not isinstance(sha256, str) or not DIGEST.fullmatch(sha256):
            raise InvalidSource("a content is named by its sha-256: 64 small hexadecimal digits")
        return self._folder / sha256[:2] / sha256

    def _check_piece(self, size: int, offset: int, data: Any) -> None:
        if not isinstance(data, bytes) or not _is_count(size) or not _is_count(offset):
            raise InvalidInput("a piece is bytes, with the content's size and the piece's offset as whole numbers")
        if len(data) > MAX_PIECE:
            raise InvalidInput(f"a piece has at most {MAX_PIECE} bytes")
        if size > self._max_size:
            raise InvalidSource(f"a file has at most {self._max_size >> 20} MiB")
        if offset + len(data) > size:
            raise InvalidSource("the file has more bytes than was said")

    def _make_room(self, sha256: str, coming: int, piece: int) -> None:
        """Refuse what the disk cannot hold before any of it is sent; give up the oldest partial contents of others."""
        if coming + self._reserve > self._free(self._folder):
            self._drop(sha256)
            raise StorageFull
        others = [digest for digest in self._partials if digest != sha256]
        while others and (self.partial_bytes + piece > self._max_partial or len(others) >= MAX_PARTIALS):
            self._drop(others.pop(0))

    def _append(self, sha256: str, offset: int, data: bytes) -> None:
        descriptor = os.open(self._partial_folder / sha256, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.lseek(descriptor, offset, os.SEEK_SET)
            written = 0
            while written < len(data):
                written += self._write(descriptor, data[written:])
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._wanted[sha256] = self._seconds()

    def _finish(self, sha256: str, partial: _Partial, place: Path) -> None:
        try:
            if partial.digest.hexdigest() != sha256:
                raise InvalidSource(
                    f"the content {sha256[:12]}… is not what its name says; the file changed, or the link damaged it"
                )
            with _full_disk_is_ours():
                if not place.parent.is_dir():
                    place.parent.mkdir(mode=0o700)
                    _sync_folder(self._folder)
                (self._partial_folder / sha256).rename(place)
                _sync_folder(place.parent)
        finally:
            self._drop(sha256)
        self._wanted[sha256] = self._seconds()

    def _drop(self, sha256: str) -> None:
        self._partials.pop(sha256, None)
        self._wanted.pop(sha256, None)
        (self._partial_folder / sha256).unlink(missing_ok=True)

    def _contents(self) -> Iterator[Path]:
        for folder in self._folder.iterdir():
            if len(folder.name) == 2 and folder.is_dir():
                yield from (place for place in folder.iterdir() if DIGEST.fullmatch(place.name))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@contextmanager
def _full_disk_is_ours() -> Iterator[None]:
    """A full disk, or a quota that is used up, as :class:`StorageFull`."""
    try:
        yield
    except OSError as problem:
        if problem.errno in _FULL:
            raise StorageFull from problem
        raise


def _sync_folder(folder: Path) -> None:
    """Make the names in *folder* last; file systems that cannot do that for a folder say EINVAL."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
