"""Contents of chutes that wait for devices: for each device apart, and not more of them than its quota.

Apart, because whoever may deploy to one device must not learn, nor get, what was sent for another by naming its digest.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from paradrop.base.exceptions import StorageFull
from paradrop.source.blobs import Blobs


class Shelves:
    """A :class:`Blobs` for each device, in a folder of its name."""

    def __init__(self, folder: Path, quota: int, seconds: Callable[[], float] = time.monotonic) -> None:
        """*quota*: bytes of whole contents for one device. *seconds*: see :class:`Blobs`."""
        self._folder = folder
        self._quota = quota
        self._seconds = seconds
        self._blobs: dict[str, Blobs] = {}
        self._used: dict[str, int] = {}

    def of(self, pdid: str) -> Blobs:
        """What is kept for that device. Raises :class:`StorageFull`, ``OSError``."""
        if pdid not in self._blobs:
            blobs = Blobs(self._folder / pdid, max_partial=self._quota, seconds=self._seconds)
            self._blobs[pdid], self._used[pdid] = blobs, blobs.whole_bytes
        return self._blobs[pdid]

    def put(self, pdid: str, sha256: str, size: int, offset: int, data: bytes) -> int:
        """See :meth:`Blobs.put`. Raises :class:`StorageFull` when the device's quota would be exceeded."""
        blobs = self.of(pdid)
        new = bool(blobs.missing([sha256]))
        if new and self._used[pdid] + size > self._quota:
            raise StorageFull(f"more than {self._quota >> 20} MiB would wait for {pdid}; nothing was changed")
        have = blobs.put(sha256, size, offset, data)
        if new and have == size:
            self._used[pdid] += size
        return have

    def keep_only(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """Delete every content but the digests in *wanted*, by device; see :meth:`Blobs.keep_only`."""
        for folder in list(self._folder.iterdir()):
            pdid = folder.name
            blobs = self.of(pdid)
            blobs.keep_only(wanted.get(pdid, ()))
            self._used[pdid] = blobs.whole_bytes
            if not self._used[pdid] and not blobs.partial_bytes:
                del self._blobs[pdid], self._used[pdid]
                with suppress(OSError):
                    shutil.rmtree(folder)
