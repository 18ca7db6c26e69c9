"""``getLogsSince`` over a large log: :mod:`bench.logs`, in a process of its own because it measures its own memory."""

from __future__ import annotations

import subprocess
import sys

from bench.place import ROOT, Place
from bench.report import Section

from paradrop.base.seams import in_thread


async def measure(place: Place) -> Section:
    megabytes = place.rounds(1024, 64)
    place.say(f"logs: {megabytes} MiB")
    command = [sys.executable, str(ROOT / "tests" / "bench" / "logs.py"), f"--megabytes={megabytes}"]
    done = await in_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return Section(
        name="logs",
        title="getLogsSince of the last minute of a large log, against reading all of it",
        notes=tuple(done.stdout.splitlines()),
    )
