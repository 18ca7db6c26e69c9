"""Many sources in one folder."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Any

from paradrop.base.exceptions import InvalidInput, LogNotFound
from paradrop.base.seams import WallClock
from paradrop.logstore import reader, segment
from paradrop.logstore.record import Record
from paradrop.logstore.writer import SourceWriter
from paradrop.values import LogPage

SEGMENT_BYTES = 8 << 20
CAP_BYTES = 64 << 20
PAGE_BYTES = 1 << 20

SOURCE = re.compile(r"[a-z0-9][a-z0-9.-]{0,199}")
"""A source's name, which is its folder's name: it can neither hide nor climb out."""


class LogStore:
    """Append-only logs of many sources, such as ``daemon`` and ``chute.hello``.

    Each source has a folder of its own with segments named by UTC day and a counter (``2026-11-21.000.jsonl``), one JSON line a
    record. Within a source ``seq`` grows by 1 from record to record, over restarts too, and ``time`` never goes back: a record
    made after the wall clock was set back gets the time of the record before. Only one process writes to a source; any may read.

    Logging never takes its caller down. When the disk refuses a record, the record is dropped and counted, and the first that
    fits again comes after one that says how many were lost. Files of other names are neither read nor deleted.

    * *folder*: made when the first record is written.
    * *wall*: the clock for records that bring no time.
    * *segment_bytes*: a segment is followed by a new one before it grows larger (at most half of *cap_bytes*).
    * *cap_bytes*: a source's segments together are never larger; the oldest go first.
    * *appended*: called with the source and its last ``seq``, on the thread that appended.
    """

    def __init__(
        self,
        folder: Path,
        wall: WallClock,
        segment_bytes: int = SEGMENT_BYTES,
        cap_bytes: int = CAP_BYTES,
        appended: Callable[[str, int], None] | None = None,
    ) -> None:
        self.folder = folder
        self.appended = appended
        self._wall = wall
        self._segment_bytes = segment_bytes
        self._cap_bytes = cap_bytes
        self._lock = Lock()
        self._writers: dict[str, SourceWriter] = {}

    def append(
        self, source: str, text: str, stream: str = "out", service: str = "", time: float | None = None, **extra: Any
    ) -> int:
        """Write one record and return its number.

        A *text* of more than 16 KiB is split over several records, of which all but the last are marked ``continues``; the
        number of the last is returned. When the disk is full, the number of the last record that was written is returned.
        *extra* is stored with the record. Raises :class:`InvalidInput` for a bad source name.
        """
        seq, written = self._writer(source).append(text, stream, service, time, extra)
        if written and self.appended is not None:
            self.appended(source, seq)
        return seq

    def read(
        self,
        source: str,
        after: int | None = None,
        since: float | None = None,
        limit: int = 1000,
        size: int = PAGE_BYTES,
    ) -> LogPage:
        """One page of lines numbered above *after* and later than *since* (seconds since the epoch), the oldest first.

        A page has at most *limit* lines and, so that it fits a message, about *size* characters, but at least one line when
        there is one. Its cursor is the *after* of the next page. When *after* is larger than the log's last number, the log that
        it was a cursor of is lost, and reading begins again: at *since* when that is given, else at the oldest line. Raises
        :class:`LogNotFound` for an unknown source, :class:`InvalidInput` for a bad name or a limit below 1.
        """
        if limit < 1:
            raise InvalidInput(f"limit: {limit} is below 1")
        if since is not None and not math.isfinite(since):
            raise InvalidInput(f"since: {since} is not a time")
        return reader.page(self._existing(source), source, after, since, limit, size)

    def since(self, source: str, time: float) -> Iterator[Record]:
        """The whole records later than *time* (seconds since the epoch), read from disk as they are asked for.

        Raises :class:`LogNotFound` for an unknown source.
        """
        return reader.scan(self._existing(source), since=time)

    def last(self, source: str) -> int:
        """The number of the last record; 0 when there is none."""
        folder = self._path(source)
        with self._lock:
            writer = self._writers.get(source)
        if writer is not None:
            return writer.seq
        record = reader.newest(folder)
        return 0 if record is None else int(record["seq"])

    def sources(self) -> tuple[str, ...]:
        """The names of all sources that have a segment, sorted."""
        if not self.folder.is_dir():
            return ()
        names = (path.name for path in self.folder.iterdir())
        return tuple(sorted(name for name in names if SOURCE.fullmatch(name) and segment.listing(self.folder / name)))

    def remove(self, source: str) -> None:
        """Delete a source's segments. Nothing to do when it is not there."""
        folder = self._path(source)
        writer = self._writer(source)
        with writer.lock:
            writer.reset()
            for name in segment.listing(folder):
                (folder / str(name)).unlink(missing_ok=True)
            with suppress(OSError):  # not there, or not empty because somebody keeps a file of theirs in it
                folder.rmdir()

    def purge_before(self, day: date, source: str | None = None) -> int:
        """Delete the segments of UTC days before *day*, of one *source* or of all; returns how many.

        A source's newest segment with a record in it stays whatever its day: it carries the sequence number.
        """
        count = 0
        for each in self.sources() if source is None else (source,):
            folder = self._path(each)
            with self._writer(each).lock:
                names = segment.listing(folder)
                while names and segment.last(folder / str(names[-1])) is None:
                    names.pop()
                for name in names[:-1]:
                    if name.day < day:
                        (folder / str(name)).unlink(missing_ok=True)
                        count += 1
        return count

    def close(self) -> None:
        """Close all files. The store can still be read, and even written to: that opens a file again."""
        with self._lock:
            writers = list(self._writers.values())
        for writer in writers:
            writer.close()

    def _writer(self, source: str) -> SourceWriter:
        folder = self._path(source)
        with self._lock:
            writer = self._writers.get(source)
            if writer is None:
                writer = self._writers[source] = SourceWriter(folder, self._wall, self._segment_bytes, self._cap_bytes)
            return writer

    def _existing(self, source: str) -> Path:
        folder = self._path(source)
        if not segment.listing(folder):
            near = difflib.get_close_matches(source, self.sources(), 1)
            raise LogNotFound(f"there is no log {source!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return folder

    def _path(self, source: str) -> Path:
        if not SOURCE.fullmatch(source):
            raise InvalidInput(f"{source!r} is not the name of a log: small letters, digits, dots and hyphens")
        return self.folder / source
