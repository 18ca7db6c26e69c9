"""Writing one source: numbers, segments, the cap, and what happens when the disk says no."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from io import FileIO
from pathlib import Path
from threading import RLock
from typing import Any

from paradrop.base.seams import WallClock
from paradrop.logstore import reader
from paradrop.logstore.record import CONTINUES, encode, pieces
from paradrop.logstore.segment import YEAR_10000, SegmentName, day_of, listing


class SourceWriter:
    """Appends to one source's folder; safe to share between threads.

    No fsync: a power cut may lose the last seconds, and tear the last line, which the next writer ends before it goes on.
    """

    def __init__(self, folder: Path, wall: WallClock, segment_bytes: int, cap_bytes: int) -> None:
        self._folder = folder
        self._wall = wall
        self._cap = cap_bytes
        self._segment_bytes = min(segment_bytes, cap_bytes // 2)  # or the cap would have to remove the current segment
        self.lock = RLock()
        self._known = False
        self._seq = 0
        self._time = 0.0
        self._file: FileIO | None = None
        self._name: SegmentName | None = None
        self._size = 0
        self._torn = False
        self._lost = 0
        self._problem = ""

    @property
    def seq(self) -> int:
        """The number of the last record."""
        with self.lock:
            self._resume()
            return self._seq

    def append(self, text: str, stream: str, service: str, time: float | None, extra: Mapping[str, Any]) -> tuple[int, bool]:
        """Write *text*; returns the number of the last record in the log, and whether the disk took all of *text*."""
        with self.lock:
            try:
                self._resume()
                moment = self._moment(time)
                if self._lost:
                    self._report(moment)
                *body, tail = pieces(text)
                for piece in body:
                    self._put(moment, piece, stream, service, {**extra, CONTINUES: True})
                self._put(moment, tail, stream, service, extra)
            except OSError as problem:
                self._lost += 1
                self._problem = problem.strerror or str(problem)
                return self._seq, False
            return self._seq, True

    def close(self) -> None:
        """Close the file; the next :meth:`append` opens it again."""
        with self.lock:
            if self._file is not None:
                self._file.close()
            self._file = None

    def reset(self) -> None:
        """Forget the numbers too: the segments were removed."""
        with self.lock:
            self.close()
            self._known = False
            self._seq = 0
            self._time = 0.0

    def _resume(self) -> None:
        if self._known:
            return
        record = reader.newest(self._folder)
        if record is not None:
            self._seq, self._time = record["seq"], float(record["time"])
        self._known = True

    def _moment(self, time: float | None) -> float:
        """*time*, or now, but never before the source's last record: the search relies on it."""
        if time is None or not 0 <= time < YEAR_10000:
            time = self._wall()
        return max(self._time, time)

    def _report(self, moment: float) -> None:
        lines = "1 line was" if self._lost == 1 else f"{self._lost} lines were"
        self._put(moment, f"{lines} lost here: {self._problem}", "err", "", {"lost": self._lost})
        self._lost = 0

    def _put(self, moment: float, text: str, stream: str, service: str, extra: Mapping[str, Any]) -> None:
        line = encode(self._seq + 1, moment, text, stream, service, extra)
        self._write(self._open(day_of(moment), len(line)), line)
        self._seq += 1
        self._time = moment

    def _open(self, day: date, room: int) -> FileIO:
        """The file that the next record of that *day* goes into."""
        if self._file is not None and self._name is not None:
            fits = self._size == 0 or self._size + room <= self._segment_bytes
            if self._name.day == day and fits and os.fstat(self._file.fileno()).st_nlink:
                return self._file
            self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        names = listing(self._folder)
        name = max((name for name in names if name.day == day), default=SegmentName(day, 0))
        size = self._sizes([name]).get(name, 0)
        if size and size + room > self._segment_bytes:
            name, size = SegmentName(day, name.counter + 1), 0
        self._make_room([other for other in names if other != name])
        self._file = FileIO(self._path(name), "a+")
        self._name, self._size = name, size
        self._torn = size > 0 and os.pread(self._file.fileno(), 1, size - 1) != b"\n"
        return self._file

    def _write(self, file: FileIO, line: bytes) -> None:
        data = b"\n" + line if self._torn else line
        rest = data
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            try:
                file.truncate(self._size)
            except OSError:
                self._torn = True
                self._size += len(data) - len(rest)
            raise
        self._size += len(data)
        self._torn = False

    def _make_room(self, others: list[SegmentName]) -> None:
        """Remove the oldest of the *others* until one more whole segment fits under the cap; the newest stays, because until
        the next record is written it carries the source's sequence number."""
        sizes = self._sizes(others)
        total = sum(sizes.values())
        for name in others[:-1]:
            if total <= self._cap - self._segment_bytes:
                break
            with suppress(FileNotFoundError):
                self._path(name).unlink()
            total -= sizes.get(name, 0)

    def _sizes(self, names: list[SegmentName]) -> dict[SegmentName, int]:
        sizes = {}
        for name in names:
            with suppress(FileNotFoundError):
                sizes[name] = self._path(name).stat().st_size
        return sizes

    def _path(self, name: SegmentName) -> Path:
        return self._folder / str(name)
