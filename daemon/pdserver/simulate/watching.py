"""Runs a crew and tells what it does, a line a second."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from pdserver.simulate.crew import Crew, Plan

EVERY = 1.0
"""Seconds between two lines."""
Say = Callable[[dict[str, Any]], None]


async def watch(reactor: Any, plan: Plan, calls: float, seconds: float, say: Say) -> None:
    """Until *seconds* have passed, or for ever with 0; then, and when cancelled, the crew is ended.

    With *calls*, so many a second are made among the devices once all have joined, each minute anew. Raises
    :class:`Unreachable` when a process ends.
    """
    crew = Crew(reactor, plan)
    begun = reactor.seconds()
    crew.start()
    calling: Deferred[None] | None = None
    complete = False
    try:
        await crew.join()
        while not seconds or reactor.seconds() - begun < seconds:
            tally = await crew.count()
            at = round(reactor.seconds() - begun, 3)
            say({"event": "count", "at": at, **tally.plain(), "wire": (await crew.wire()).total})
            if not complete and tally.joined == len(plan.fleet):
                complete = True
                say({"event": "complete", "at": at, "devices": tally.joined})
            if complete and calls and calling is None:
                calling = Deferred.fromCoroutine(_call(reactor, crew, calls, say))
            await deferLater(reactor, EVERY)
    finally:
        if calling is not None:
            calling.addErrback(lambda _: None)
            calling.cancel()
        await crew.stop()


async def _call(reactor: Any, crew: Crew, rate: float, say: Say) -> None:
    while True:
        found = await crew.call(rate, 60.0)
        say({"event": "called", "calls": len(found["seconds"]), "errors": found["errors"], **_milliseconds(found["seconds"])})


def _milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    places = {name: max(0, math.ceil(share * len(ordered)) - 1) for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {f"{name}_ms": round(ordered[place] * 1000, 3) for name, place in places.items() if ordered}
