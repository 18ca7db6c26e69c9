"""``getLogsSince`` of the last minute over a large log, against reading all of it, in the same run.

``python tests/bench/logs.py [--megabytes 1024]`` prints both times, their ratio and the peak of the process's memory. The log is made
in a temporary folder, as the log store itself would have written it (segments of 8 MiB, several days), and removed at the end.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path

from paradrop.base._printing import SOURCE
from paradrop.base.output import BaseOutput, Level, LogDict, Output
from paradrop.logstore import SEGMENT_BYTES, LogStore
from paradrop.logstore.record import encode
from paradrop.logstore.segment import SegmentName, day_of

LINES_PER_SECOND = 20.0
MINUTE = 60.0
MIB = 1 << 20
ENOUGH = 1 << 62
"""A cap that no bench reaches."""

TEXT = "GET /api/v1/chutes/hello/state 200 from 192.0.2.17 in 3.4 ms, 1187 bytes, agent Mozilla/5.0 (X11; Linux x86_64)"
EXTRA = {"type": "INFO", "package": "paradropd.web", "module": "site", "line": 118, "extra": {}}


def lines(seq: Iterator[int], start: float) -> Iterator[tuple[float, bytes]]:
    """Records as the daemon's own log has them, with their times."""
    for number in seq:
        moment = start + number / LINES_PER_SECOND
        yield moment, encode(number, moment, TEXT, "info", "", EXTRA)


def fill(folder: Path, size: int, end: float) -> int:
    """Write *size* bytes of log that ends at about the time *end*; returns the number of records."""
    line = len(encode(10**6, end, TEXT, "info", "", EXTRA))
    total = size // line
    records = lines(iter(range(1, total + 1)), end - total / LINES_PER_SECOND)
    folder.mkdir(parents=True)
    per_segment = SEGMENT_BYTES // (line + 2)
    counters: dict[object, Iterator[int]] = {}
    while chunk := list(islice(records, per_segment)):
        day = day_of(chunk[0][0])
        same = [data for moment, data in chunk if day_of(moment) == day]
        name = SegmentName(day, next(counters.setdefault(day, count())))
        (folder / str(name)).write_bytes(b"".join(same))
        rest = chunk[len(same) :]
        if rest:
            name = SegmentName(day_of(rest[0][0]), next(counters.setdefault(day_of(rest[0][0]), count())))
            (folder / str(name)).write_bytes(b"".join(data for _, data in rest))
    return total


def timed(read: Callable[[], Iterator[LogDict]]) -> tuple[float, int]:
    """Seconds that *read* takes to its end, and how many records it gave."""
    begin = time.perf_counter()
    found = sum(1 for _ in read())
    return time.perf_counter() - begin, found


def peak() -> float:
    """The largest resident memory of this process so far, in MiB (getrusage(2) on Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1024, help="size of the log (default: %(default)s)")
    megabytes = parser.parse_args().megabytes
    home = Path(tempfile.gettempdir()) / "paradrop-bench-logs"
    shutil.rmtree(home, ignore_errors=True)
    try:
        now = time.time()
        total = fill(home / SOURCE, megabytes * MIB, now)
        out = Output(info=BaseOutput(Level.INFO))
        out.startLogging(store=LogStore(home, time.time, cap_bytes=ENOUGH), printToConsole=False)
        print(f"log: {megabytes} MiB, {total} records, {len(list((home / SOURCE).iterdir()))} segments")
        before = peak()
        minute, found = timed(lambda: out.getLogsSince(now - MINUTE))
        print(
            f"getLogsSince of the last minute: {minute * 1000:.2f} ms for {found} records, peak memory +{peak() - before:.1f} MiB"
        )
        before = peak()
        everything, read = timed(lambda: out.getLogsSince(0))
        print(
            f"getLogsSince of everything:      {everything * 1000:.0f} ms for {read} records, peak memory +{peak() - before:.1f} MiB"
        )
        out.endLogging()
        print(f"ratio: {everything / minute:.0f} to 1; peak memory {peak():.0f} MiB")
        if read != total or abs(found - MINUTE * LINES_PER_SECOND) > 1:
            print("wrong: not the records that were written")
            return 1
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
