"""Time from executing ``paradropd`` to the first answer on its realm, its router imported lean against plainly."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.daemon import daemon
from bench.place import Place
from bench.report import Row, Section, Spread, Target

from paradrop import uris

LIMIT = 1.5
"""Seconds."""


async def measure(place: Place) -> Section:
    found: dict[str, list[tuple[float, float]]] = {"true": [], "false": []}
    for number in range(place.rounds(10, 3) + 1):
        for lean, starts in found.items():
            place.say(f"start: lean router {lean}")
            taken = await _one(place, lean)
            if number > 0:  # the first finds files that are not in the page cache
                starts.append(taken)
    (seconds, used), (plain_seconds, plain_used) = (zip(*starts, strict=True) for starts in found.values())
    target = Target(LIMIT, compared=False)
    elapsed = "exec to the answer of node.info"
    rows = (
        Row(what=elapsed, unit="s", ours=Spread.of(seconds), against=Spread.of(plain_seconds), target=target),
        Row(what="  of it: processor time", unit="s", ours=Spread.of(used), against=Spread.of(plain_used)),
    )
    return Section(
        name="start",
        title="paradropd from exec to its first answer; lean router against LEAN_ROUTER:false",
        rows=rows,
        notes=(f"engine {place.engine}; a new home each time; a first start of each kind is not counted.",),
    )


async def _one(place: Place, lean: str) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    async with daemon(place, f"LEAN_ROUTER:{lean}") as running:
        fabric = await running.dial()
        await fabric.call(uris.local(uris.NODE_INFO))
        taken = time.perf_counter() - running.begun
        used = _processor_time(running.pid)
        await fabric.close()
        return taken, used


def _processor_time(pid: int) -> float:
    """Seconds that the process has used so far (proc(5), ``stat``: ``utime`` and ``stime``, in ticks)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
