"""Time from executing ``paradropd`` to the first answer on its realm, its router imported lean against plainly."""

from __future__ import annotations

import time

from bench.daemon import daemon
from bench.place import Place
from bench.report import Row, Section, Spread, Target

from paradrop import uris

LIMIT = 1.5
"""Seconds."""


async def measure(place: Place) -> Section:
    found: dict[str, list[float]] = {"true": [], "false": []}
    for number in range(place.rounds(10, 3) + 1):
        for lean, seconds in found.items():
            place.say(f"start: lean router {lean}")
            taken = await _one(place, lean)
            if number > 0:  # the first finds files that are not in the page cache
                seconds.append(taken)
    row = Row(
        what="exec to the answer of node.info",
        unit="s",
        ours=Spread.of(found["true"]),
        against=Spread.of(found["false"]),
        target=Target(LIMIT, compared=False),
    )
    return Section(
        name="start",
        title="paradropd from exec to its first answer; lean router against LEAN_ROUTER:false",
        rows=(row,),
        notes=(f"engine {place.engine}; a new home each time; a first start of each kind is not counted.",),
    )


async def _one(place: Place, lean: str) -> float:
    async with daemon(place, f"LEAN_ROUTER:{lean}") as running:
        fabric = await running.dial()
        await fabric.call(uris.local(uris.NODE_INFO))
        taken = time.perf_counter() - running.begun
        await fabric.close()
        return taken
