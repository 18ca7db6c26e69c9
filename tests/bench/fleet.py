"""Thousands of devices on one server, against as many on a bare Crossbar node: joining, memory, calls among them, idling, the end
of the router, and events that nobody asked for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from autobahn.wamp.types import SubscribeOptions
from bench.fleet_server import LOOK, SETTLE, Served, administrator, bare, paradrop
from bench.place import NotMeasured, Place
from bench.report import Row, Section, Spread, Target
from twisted.internet.task import deferLater

from paradrop.uris import DEVICES_LIST, ROOT
from pdserver.simulate.crew import Crew
from pdserver.simulate.fleet import TICK

RATE = 500.0
"""Calls a second among all devices."""
MEMORY = 500.0
"""Megabytes of the router worker at the most, with 10,000 devices."""
ANSWER = 50.0
"""Milliseconds: the p99 of a call at :data:`RATE`."""
BACK = 30.0
"""Seconds until 5,000 devices are all there again after the router was killed."""
SILENT = 5.0
"""Seconds until nothing is relayed any more after the last listener has left."""
EVERY = 10.0
"""Seconds between two events of each device's chute."""


@dataclass(slots=True)
class Joined:
    """What joining, and calling for a while, came to."""

    devices: int
    join: float
    """Seconds until all were there, 100 at a time on their way."""
    before: float
    """Megabytes (PSS) of the router worker without any device."""
    pss: float
    rss: float
    calls: list[float] = field(default_factory=list)
    """Milliseconds of each."""
    errors: list[Any] = field(default_factory=list)

    @property
    def each(self) -> float:
        """Kilobytes of the router's memory for one device."""
        return (self.pss - self.before) * 1000 / self.devices


@asynccontextmanager
async def joined(served: Served, tick: float = 0.0) -> AsyncIterator[tuple[Crew, Joined]]:
    """The whole fleet on a server that has nobody yet."""
    await deferLater(served.place.reactor, SETTLE)
    before, _ = served.memory()
    crew = served.crew(tick)
    try:
        crew.start()
        await crew.join()
        took = await served.all_there(crew)
        await deferLater(served.place.reactor, SETTLE)
        pss, rss = served.memory()
        yield crew, Joined(len(served.fleet), took, before, pss, rss)
    finally:
        await crew.stop()


async def calls(crew: Crew, found: Joined, seconds: float) -> None:
    """Calls at :data:`RATE` for so long, after a second that is not counted."""
    await crew.call(RATE, 1.0)
    answer = await crew.call(RATE, seconds)
    found.calls = [value * 1000 for value in answer["seconds"]]
    found.errors = answer["errors"]


async def measure(place: Place) -> Section:
    few, many = place.rounds(5000, 300), place.rounds(10_000, 500)
    seconds = place.rounds(60, 5)
    rows: list[Row] = []
    notes: list[str] = []
    place.say(f"fleet: {few} devices on a server")
    async with paradrop(place, few) as served, joined(served, EVERY) as (crew, found):
        await calls(crew, found, seconds)
        place.say("fleet: idle, with chutes that have something to say and nobody who listens")
        rows.append(await _idle(place, crew, few, notes, seconds))
        place.say("fleet: a listener comes and goes")
        rows.append(await _relay(place, served, crew, notes))
        place.say("fleet: kill -9 of the router worker")
        rows.append(await _killed(served, crew, few, notes))
    place.say(f"fleet: {many} devices on a server")
    async with paradrop(place, many) as served, joined(served) as (crew, more):
        await calls(crew, more, seconds)
    place.say(f"fleet: {many} devices on a bare Crossbar node")
    async with bare(place, many) as served, joined(served) as (crew, against):
        await calls(crew, against, place.rounds(20, 5))
    rows = [*_rows(found, None), *_rows(more, against), *rows]
    notes += [_note(each) for each in (found, more)]
    return Section(
        name="fleet",
        title="simulated devices on one server (TLS, cryptosign, gate), against bare Crossbar with none of that",
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _rows(ours: Joined, against: Joined | None) -> list[Row]:
    def row(what: str, unit: str, name: str, target: Target | None = None) -> Row:
        def spread(one: Joined) -> Spread:
            value = getattr(one, name)
            if value == []:
                raise NotMeasured(f"no call was answered: {one.errors}")
            return Spread.of(value if isinstance(value, list) else [value])

        what = f"{ours.devices} devices: {what}"
        return Row(what=what, unit=unit, ours=spread(ours), against=against and spread(against), target=target)

    return [
        row("all joined after", "s", "join"),
        row("router worker, PSS", "MB", "pss", Target(MEMORY, compared=False) if ours.devices == 10_000 else None),
        row("router worker, RSS", "MB", "rss"),
        row(f"call, {RATE:.0f}/s among them", "ms", "calls", Target(ANSWER, ANSWER, compared=False)),
    ]


def _note(found: Joined) -> str:
    return (
        f"{found.devices} devices: {found.devices / found.join:.0f} joins/s; {found.each:.1f} kB of the router a device,"
        f" {found.before:.0f} MB without any; {len(found.calls)} calls answered, errors: {found.errors or 'none'}."
    )


async def _idle(place: Place, crew: Crew, devices: int, notes: list[str], seconds: float) -> Row:
    await deferLater(place.reactor, SETTLE)
    begun, wire, tally = time.monotonic(), await crew.wire(), await crew.count()
    await deferLater(place.reactor, seconds)
    took, after, done = time.monotonic() - begun, await crew.wire(), await crew.count()
    minute = 60.0 / took / devices
    notes.append(
        f"Idle, {took:.0f} s: {done.ticks - tally.ticks} events of chutes, {done.relayed - tally.relayed} relayed;"
        f" {after.payload - wire.payload} bytes of TCP payload by all devices together, the rest is the kernel's probes"
        f" ({(after.segments - wire.segments) * minute:.1f} segments of 52 bytes a device a minute, both ways; TCP_INFO)."
    )
    bytes_each = (after.total - wire.total) * minute
    return Row(what=f"{devices} devices, nobody listens: on the wire", unit="bytes/device/minute", ours=Spread.of([bytes_each]))


async def _relay(place: Place, served: Served, crew: Crew, notes: list[str]) -> Row:
    """Seconds from a listener's leaving to the last event that was relayed."""
    session = await administrator(served)
    heard = [0]

    def hear(*args: Any, **kwargs: Any) -> None:
        heard[0] += 1

    pattern = f"{ROOT}{served.fleet.organization}..{TICK}"
    subscription = await session.stockSubscribe(hear, pattern, SubscribeOptions(match="wildcard"))
    begun = time.monotonic()
    while heard[0] < len(served.fleet):
        if time.monotonic() - begun > 3 * EVERY + SETTLE:
            raise NotMeasured(f"a listener heard {heard[0]} events of {len(served.fleet)} devices: {await crew.count()}")
        await deferLater(place.reactor, LOOK)
    first = time.monotonic() - begun
    before = (await crew.count()).relayed
    await subscription.unsubscribe()
    left = time.monotonic()
    last, relayed = left, before
    while time.monotonic() - last < SILENT + EVERY / 2:
        await deferLater(place.reactor, LOOK)
        now = await crew.count()
        if now.relayed != relayed:
            last, relayed = time.monotonic(), now.relayed
    wanted = (await crew.count()).wanted
    session.stop()
    notes.append(
        f"A listener (wildcard) heard every device within {first:.1f} s, each of them once in {EVERY:g} s; after it had left,"
        f" {relayed - before} events were still relayed, and {wanted} devices thought themselves heard."
    )
    return Row(
        what="last event relayed after the last listener left",
        unit="s",
        ours=Spread.of([last - left]),
        target=Target(SILENT, compared=False),
    )


async def _killed(served: Served, crew: Crew, devices: int, notes: list[str]) -> Row:
    lost = (await crew.count()).lost
    os.kill(served.worker().pid, signal.SIGKILL)
    took = await served.all_there(crew, lost + devices)
    session = await administrator(served)
    listed = await session.stockCall(DEVICES_LIST)
    online = sum(1 for device in listed if device["online"])
    session.stop()
    check = await crew.call(RATE, 2.0)
    notes.append(
        f"After the kill the server counts {online} of {devices} devices with their prefix registered;"
        f" {len(check['seconds'])} calls among them answered, errors: {check['errors'] or 'none'}."
    )
    if online != devices:
        raise NotMeasured(notes[-1])
    target = Target(BACK, compared=False) if devices <= 5000 else None
    return Row(what=f"{devices} devices all back after kill -9 of the router", unit="s", ours=Spread.of([took]), target=target)
