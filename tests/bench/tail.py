"""Time from a chute's print to a follower of its log, against ``docker logs -f`` of the same container: the same lines."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.daemon import Client, Daemon, daemon
from bench.place import Place
from bench.report import Row, Section, Spread, Target
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from paradrop import uris
from paradrop.base.seams import in_thread
from paradrop.source import scan
from pdtools.fabric import Event

CHUTE = "tail"
SOURCE = f"chute.{CHUTE}"
PAGE = 1000
LIMITS = Target(15.0, 100.0, compared=False)
"""Milliseconds."""

MANIFEST = """\
name: tail
version: "1"
services:
  main: {type: light, image: python3, command: [python3, main.py]}
health: {procedure: burst}
"""
PROGRAM = """\
import time

from paradrop import Chute

chute = Chute()


@chute.every(0.05)
async def tick():
    print("tick", time.time_ns())


@chute.register("burst")
async def burst(count):
    print("\\n".join(f"burst {time.time_ns()}" for _ in range(count)))


chute.run()
"""


@dataclass(slots=True)
class Heard:
    """What one follower has seen: milliseconds from print to sight, and when the lines of the burst came."""

    ticks: list[float] = field(default_factory=list)
    burst: list[float] = field(default_factory=list)
    """Seconds since the epoch."""

    def line(self, text: str) -> None:
        now = time.time()
        word, _, stamp = text.partition(" ")
        if word == "tick" and not self.burst:
            self.ticks.append((now - int(stamp) / 1e9) * 1000)
        elif word == "burst":
            self.burst.append(now)


class Follower:
    """Follows the chute's log as pdtools and the dashboard do: each event says how far it goes, a read brings the lines."""

    def __init__(self, client: Client, heard: Heard, lines: int) -> None:
        self._client, self._heard, self._lines = client, heard, lines
        self._cursor, self._upto, self._reading = 0, 0, False
        self.complete: Deferred[None] = Deferred()
        """Fires when all *lines* of the burst are seen."""

    async def open(self) -> None:
        """Follow from the log's present end on."""
        page = await self._client.device.logs(SOURCE, None, -1, PAGE)
        self._cursor = page.cursor
        await self._client.fabric.subscribe(self._event, uris.local(uris.ON_LOG))

    def _event(self, event: Event) -> None:
        source, seq = event.args
        if source == SOURCE:
            self._upto = max(self._upto, seq)
            if not self._reading:
                Deferred.fromCoroutine(self._read()).addErrback(self.complete.errback)

    async def _read(self) -> None:
        self._reading = True
        try:
            while self._upto > self._cursor:
                page = await self._client.device.logs(SOURCE, None, self._cursor, PAGE)
                self._cursor = page.cursor
                for line in page.lines:
                    self._heard.line(line.text)
        finally:
            self._reading = False
        if len(self._heard.burst) >= self._lines and not self.complete.called:
            self.complete.callback(None)


class DockerFollower(threading.Thread):
    """``docker logs -f`` of one container, by docker-py."""

    def __init__(self, client: Any, container: str, heard: Heard) -> None:
        super().__init__(daemon=True)
        self._stream = client.containers.get(container).logs(stream=True, follow=True, since=int(time.time()))
        self._heard = heard

    def run(self) -> None:
        for line in _lines(self._stream):
            self._heard.line(line)

    def close(self) -> None:
        self._stream.close()


def _lines(pieces: Iterable[bytes]) -> Iterable[str]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in lines)


async def measure(place: Place) -> Section:
    seconds, lines = place.rounds(60, 8), place.rounds(20_000, 5_000)
    ours, theirs = Heard(), Heard()
    place.say(f"tail: {seconds} s of ticks, and a burst of {lines} lines")
    async with daemon(place) as running:
        client = await running.client()
        await _deploy(client)
        follower = Follower(client, ours, lines)
        await follower.open()
        docker = await in_thread(_docker, running, theirs)
        await deferLater(place.reactor, seconds)
        begun = time.time()
        await client.fabric.call(uris.resolve(f"{CHUTE}.burst"), lines)
        await follower.complete.addTimeout(120, place.reactor)
        if docker is not None:
            docker.close()
        await client.remove(CHUTE)
        await client.fabric.close()
    return Section(
        name="tail",
        title="a chute's print until its line is at a follower (event, then read), against docker logs -f of the same lines",
        rows=_rows(ours, theirs),
        notes=_notes(place, ours, theirs, begun, lines),
    )


async def _deploy(client: Client) -> None:
    with tempfile.TemporaryDirectory(prefix="pd-bench-") as folder:
        (Path(folder) / "paradrop.yaml").write_text(MANIFEST, encoding="utf-8")
        (Path(folder) / "main.py").write_text(PROGRAM, encoding="utf-8")
        source = scan(Path(folder))
        await client.send(source)
        await client.deploy(source.tree)


def _docker(running: Daemon, heard: Heard) -> DockerFollower | None:
    if running.place.docker is None:
        return None
    (container,) = running.containers()
    follower = DockerFollower(running.place.docker, container["Id"], heard)
    follower.start()
    return follower


def _rows(ours: Heard, theirs: Heard) -> tuple[Row, ...]:
    against = Spread.of(theirs.ticks) if theirs.ticks else None
    return (Row(what="20 lines a second", unit="ms", ours=Spread.of(ours.ticks), against=against, target=LIMITS),)


def _notes(place: Place, ours: Heard, theirs: Heard, begun: float, lines: int) -> tuple[str, ...]:
    rate = f"burst of {lines} lines: {lines / (ours.burst[-1] - begun):.0f} lines/s at our follower (target ≥ 5000)"
    if len(theirs.burst) == lines:
        rate += f", {lines / (theirs.burst[-1] - begun):.0f} at docker's"
    return (f"engine {place.engine}" + (f" ({place.why}: nothing to compare with)" if place.docker is None else ""), rate)
