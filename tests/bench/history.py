"""``getLogsSince`` over a large log: :mod:`bench.logs`, in a process of its own because it measures its own memory."""

from __future__ import annotations

import re
import subprocess
import sys

from bench.place import ROOT, NotMeasured, Place
from bench.report import Row, Section, Spread

from paradrop.base.seams import in_thread

FIGURE = re.compile(r"getLogsSince of ([\w ]+): ([\d.]+) ms")


async def measure(place: Place) -> Section:
    megabytes = place.rounds(1024, 64)
    place.say(f"logs: {megabytes} MiB")
    command = [sys.executable, str(ROOT / "tests" / "bench" / "logs.py"), f"--megabytes={megabytes}"]
    done = await in_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    figures = [float(milliseconds) for _, milliseconds in FIGURE.findall(done.stdout)]
    if done.returncode != 0 or len(figures) != 2:
        raise NotMeasured(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    minute, everything = (Spread.of([figure]) for figure in figures)
    return Section(
        name="logs",
        title="getLogsSince of the last minute of a large log, against reading all of it",
        rows=(Row(what=f"the last minute of {megabytes} MiB", unit="ms", ours=minute, against=everything),),
        notes=tuple(done.stdout.splitlines()),
    )
