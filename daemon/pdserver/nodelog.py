"""What a child process prints, kept in one file and its predecessor: it can never fill the disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

CAP = 4 << 20
"""Bytes of one file; there are two of them at most."""


class CappedLog:
    """Appends to *path*; when it has grown to *cap* bytes it becomes ``….1`` and a new one begins.

    A disk that is full loses lines, and nothing else.
    """

    def __init__(self, path: Path, cap: int = CAP) -> None:
        self._path = path
        self._cap = cap
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        with suppress(OSError):
            if self._file is None:
                self._file = open(self._path, "ab", buffering=0, opener=_open_for_us)  # noqa: SIM115 - closed by close
            if self._file.tell() + len(data) > self._cap:
                self._file.close()
                self._file = None
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                self._file = open(self._path, "ab", buffering=0, opener=_open_for_us)  # noqa: SIM115 - closed by close
            self._file.write(data[-self._cap :])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _open_for_us(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
