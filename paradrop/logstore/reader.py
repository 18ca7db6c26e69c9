"""Reading one source: lazily, and from no more segments than can hold the answer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from paradrop.logstore import segment
from paradrop.logstore.record import Record
from paradrop.values import LogLine, LogPage


def newest(folder: Path) -> Record | None:
    """The source's last record; it carries the sequence number and the time that the next one must not fall behind."""
    for name in reversed(segment.listing(folder)):
        record = segment.last(folder / str(name))
        if record is not None:
            return record
    return None


def scan(folder: Path, after: int = 0, since: float | None = None) -> Iterator[Record]:
    """The records numbered above *after* and later than *since*, in order, one line in memory at a time.

    A segment of a day before *since* is not opened. Of the others, the first lines are looked at from the newest back to the one
    in which the answer begins, and only from there on are segments read.
    """

    def past(record: Record) -> bool:
        return bool(record["seq"] > after and (since is None or record["time"] > since))

    names = segment.listing(folder)
    if since is not None:
        day = segment.day_of(since)
        names = [name for name in names if name.day >= day]
    paths = [folder / str(name) for name in names]
    start = 0
    if after > 0 or since is not None:
        for index in range(len(paths) - 1, -1, -1):
            head = segment.first(paths[index])
            if head is not None and not past(head):
                start = index
                break
    for path in paths[start : start + 1]:
        yield from segment.records(path, past)
    for path in paths[start + 1 :]:
        yield from segment.records(path)


def page(folder: Path, source: str, after: int | None, since: float | None, limit: int, size: int) -> LogPage:
    """At most *limit* lines and about *size* bytes of text; see :meth:`paradrop.logstore.LogStore.read`."""
    end = newest(folder)  # looked up before the scan: a line written meanwhile is on this page or after its cursor
    known = 0 if end is None else end["seq"]
    begin = 0 if after is None or after > known else max(0, after)
    lines: list[LogLine] = []
    total = 0
    more = False
    for record in islice(scan(folder, begin, since), limit + 1):
        total += len(record["text"])
        if len(lines) == limit or (lines and total > size):
            more = True
            break
        lines.append(_line(record))
    missed = _removed(folder, begin) if begin and lines and lines[0].seq > begin + 1 else 0
    cursor = lines[-1].seq if lines else known
    return LogPage(source=source, lines=tuple(lines), cursor=cursor, more=more, missed=missed)


def _removed(folder: Path, after: int) -> int:
    """How many records above *after* went with segments that are no longer there."""
    oldest = next(scan(folder), None)
    return 0 if oldest is None else max(0, oldest["seq"] - after - 1)


def _line(record: Record) -> LogLine:
    return LogLine(
        seq=record["seq"],
        time=float(record["time"]),
        text=record["text"],
        stream=str(record["stream"]),
        service=str(record["service"]),
    )
