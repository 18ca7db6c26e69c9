"""``getLogsSince`` of the last minute over a large log, against reading all of it, in the same run.

``python tests/bench/logs.py [--megabytes 1024]`` prints both times, their ratio and the peak of the process's memory. The log is
made in a temporary folder, as the log store itself would have written it (segments of 8 MiB, several days), and removed again.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from functools import partial
from pathlib import Path

from paradrop.base.output import SOURCE, BaseOutput, Level, LogDict, Output
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


def fill(folder: Path, size: int, end: float) -> int:
    """Write *size* bytes of log that ends at about the time *end*; returns the number of records."""
    total = size // len(encode(10**6, end, TEXT, "info", "", EXTRA))
    folder.mkdir(parents=True)
    name, room = SegmentName(date.min, 0), 0
    with ExitStack() as files:
        for seq in range(1, total + 1):
            moment = end - (total - seq) / LINES_PER_SECOND
            line = encode(seq, moment, TEXT, "info", "", EXTRA)
            room -= len(line)
            if room < 0 or day_of(moment) != name.day:
                files.close()
                day = day_of(moment)
                name = SegmentName(day, name.counter + 1 if day == name.day else 0)
                file = files.enter_context((folder / str(name)).open("wb"))
                room = SEGMENT_BYTES - len(line)
            file.write(line)
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
    results: list[tuple[float, int]] = []
    try:
        now = time.time()
        total = fill(home / SOURCE, megabytes * MIB, now)
        out = Output(info=BaseOutput(Level.INFO))
        out.startLogging(store=LogStore(home, time.time, cap_bytes=ENOUGH), printToConsole=False)
        print(f"log: {megabytes} MiB, {total} records, {len(list((home / SOURCE).iterdir()))} segments")
        for title, since in (("the last minute", now - MINUTE), ("everything", 0.0)):
            before = peak()
            seconds, found = timed(partial(out.getLogsSince, since))
            results.append((seconds, found))
            grown = peak() - before
            print(f"getLogsSince of {title}: {seconds * 1000:.2f} ms for {found} records, peak memory +{grown:.1f} MiB")
        out.endLogging()
        (minute, recent), (everything, read) = results
        print(f"ratio: 1 to {everything / minute:.0f}; peak memory of the process: {peak():.0f} MiB")
        if read != total or abs(recent - MINUTE * LINES_PER_SECOND) > 1:
            print("wrong: not the records that were written")
            return 1
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
