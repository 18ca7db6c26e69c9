"""``getLogsSince`` over a large log: :mod:`bench.logs`, in a process of its own because it measures its own memory."""

from __future__ import annotations

import re
import sys

from bench.place import ROOT, NotMeasured, Place, output_of
from bench.report import Row, Section, Spread

FIGURE = re.compile(r"getLogsSince of [\w ]+: ([\d.]+) ms")


async def measure(place: Place) -> Section:
    megabytes = place.rounds(1024, 64)
    place.say(f"logs: {megabytes} MiB")
    printed = await output_of([sys.executable, str(ROOT / "tests" / "bench" / "logs.py"), f"--megabytes={megabytes}"])
    figures = [float(milliseconds) for milliseconds in FIGURE.findall(printed)]
    if len(figures) != 2:
        raise NotMeasured(f"not two figures: {printed}")
    minute, everything = (Spread.of([figure]) for figure in figures)
    return Section(
        name="logs",
        title="getLogsSince of the last minute of a large log, against reading all of it",
        rows=(Row(what=f"the last minute of {megabytes} MiB", unit="ms", ours=minute, against=everything),),
        notes=tuple(printed.splitlines()),
    )
