"""Segments: the files of a source, their names, and the search inside one of them.

A source's records grow in ``seq`` and never shrink in ``time``, from line to line and from segment to segment. Both are therefore
sorted keys, and a place is found by bisecting the file by byte offset; there is no index that could be stale or lost.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO

from paradrop.logstore.record import Record, decode

NAME = re.compile(r"(\d{4}-\d{2}-\d{2})\.(\d{3,})\.jsonl", re.ASCII)
BLOCK = 8 * 1024
"""Bytes below which reading on is cheaper than bisecting further."""

YEAR_10000 = 253402300800.0
"""Seconds since the epoch; from then on, and before the epoch, there is no day that a segment could be named by."""

Past = Callable[[Record], bool]
"""Whether a record lies past a place: false for a source's first records, then true for all the others."""


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    """Sorts in the order in which the segments of a source were written."""

    day: date
    counter: int

    def __str__(self) -> str:
        return f"{self.day.isoformat()}.{self.counter:03d}.jsonl"

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        """``None`` for the name of a file that is not ours."""
        match = NAME.fullmatch(name)
        if match is None:
            return None
        try:
            parsed = cls(date.fromisoformat(match[1]), int(match[2]))
        except ValueError:
            return None
        return parsed if str(parsed) == name else None


def day_of(time: float) -> date:
    """The UTC day of *time*, in seconds since the epoch; the first or the last day there is for a time out of range."""
    return datetime.fromtimestamp(min(max(time, 0.0), YEAR_10000 - 1), UTC).date()


def listing(folder: Path) -> list[SegmentName]:
    """The segments in *folder*, oldest first; none when there is no such folder. Foreign files are passed over."""
    try:
        with os.scandir(folder) as entries:
            return sorted(name for entry in entries if (name := SegmentName.parse(entry.name)) is not None)
    except (FileNotFoundError, NotADirectoryError):
        return []


def records(path: Path, past: Past | None = None) -> Iterator[Record]:
    """The records of a segment, only those *past* a place when given. Nothing when the segment is gone meanwhile.

    Lines that are no records are skipped, and so is a last line without an end: it is torn, or still being written.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        if past is not None:
            file.seek(_seek(file, past))
        searching = past is not None
        for line in file:
            record = decode(line)
            if record is None:
                continue
            if searching and past is not None:
                if not past(record):
                    continue
                searching = False
            yield record


def _seek(file: BinaryIO, past: Past) -> int:
    """The start of a line at or before the first record that is *past*, at most about :data:`BLOCK` bytes before it.

    Between two rounds: every record that starts before ``low`` is not past, every one that starts at ``high`` or later is, and
    ``low`` is the start of a line.
    """
    low, high = 0, file.seek(0, os.SEEK_END)
    while high - low > BLOCK:
        middle = (low + high) // 2
        file.seek(middle)
        start = middle + len(file.readline())
        record = None
        while start < high:
            line = file.readline()
            if not line:
                break
            record = decode(line)
            if record is not None:
                break
            start += len(line)
        if record is None or start >= high:
            high = middle
        elif past(record):
            high = start
        else:
            low = start + len(line)
    return low


def first(path: Path) -> Record | None:
    """The first record of a segment."""
    return next(records(path), None)


def last(path: Path) -> Record | None:
    """The last record of a segment, read backwards from its end."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        end = file.seek(0, os.SEEK_END)
        span = BLOCK
        while True:
            start = max(0, end - span)
            file.seek(start)
            lines = file.read(end - start).split(b"\n")[:-1]  # what follows the last newline is torn, or nothing
            whole = lines if start == 0 else lines[1:]  # the first one may have lost its head
            for line in reversed(whole):
                record = decode(line + b"\n")
                if record is not None:
                    return record
            if start == 0:
                return None
            span *= 4
