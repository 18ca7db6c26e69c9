"""A deploy of an already built chute, from the request to its end, against the same Docker calls made by hand."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from pathlib import Path

from bench.byhand import ByHand
from bench.daemon import Client, Daemon, Ended, clear, daemon, versions
from bench.node import crossbar
from bench.place import NotMeasured, Place
from bench.report import Compare, Row, Section, Spread, Target

from paradrop.base.cxbr import BaseSession
from paradrop.base.seams import in_thread
from paradrop.manifest import parse
from paradrop.manifest.model import Manifest
from paradrop.source.walk import Scan
from paradrop.uris import LOCAL_PDID

LIMITS = Target(150.0, 300.0)
"""Milliseconds more than by hand."""

STAGES = {"build": "build", "stop": "stop", "start": "start", "wait until": "healthy", "clear away": "clear away"}
"""What the daemon's steps, by how their titles begin, are by hand."""

OTHER = "the rest"
TITLE = "chutes.deploy of a built chute until it is done, against the same Docker calls by hand"

Figures = dict[str, list[float]]
"""Seconds by stage; the whole is under ``""``."""


async def measure(place: Place) -> Section:
    if place.docker is None:
        return Section(name="deploy", title=TITLE, notes=(f"left out: {place.why}",))
    ours: Figures = defaultdict(list)
    hand: Figures = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="pd-bench-") as folder:
        sources = versions(place.hello, Path(folder))
        manifest = parse((Path(folder) / "one" / "paradrop.yaml").read_bytes())
        if manifest.health is None or len(manifest.services) != 1:
            raise NotMeasured(f"{place.hello}: this bench wants a chute of one service, with a procedure as its health")
        place.say(f"deploy: {place.rounds(50, 6) + 2} by the daemon, and as many by hand")
        async with crossbar(place) as bare, daemon(place) as running:
            client = await running.client()
            session = await BaseSession.start(f"unix:{bare}", LOCAL_PDID, reconnect=False, reactor=place.reactor)
            data = Path(folder) / "data"
            data.mkdir(mode=0o777)
            other = ByHand(place.docker, session, manifest, bare.parent, data)
            await in_thread(clear, place.docker, other.device)
            try:
                await other.open()
                await _rounds(running, client, sources, other, manifest, ours, hand)
            finally:
                await in_thread(clear, place.docker, other.device)
                session.stop()
            await client.remove(manifest.name)
            await client.fabric.close()
    return Section(
        name="deploy",
        title=TITLE,
        rows=tuple(_row(stage, ours[stage], hand.get(stage)) for stage in ("", *STAGES.values(), OTHER)),
        notes=(
            "Both stop the version before, create, start and inspect the new one, wait until its procedure is registered, remove",
            "the one before. The rest: asking, planning, writing down, the chute's socket, tidying up; by hand there is none.",
        ),
    )


async def _rounds(
    running: Daemon, client: Client, sources: tuple[Scan, Scan], other: ByHand, manifest: Manifest, ours: Figures, hand: Figures
) -> None:
    """Deploy by turns. The first two of each are not counted: they build, and have nothing to stop."""
    images: dict[int, str] = {}
    for number in range(running.place.rounds(50, 6) + 2):
        which = number % 2
        await client.send(sources[which])
        ended = await client.deploy(sources[which].tree)
        if which not in images:
            images[which] = await in_thread(_image, running)
        environment = {
            "PARADROP_CHUTE_NAME": manifest.name,
            "PARADROP_CHUTE_VERSION": str(number),
            "PARADROP_ROUTER_ID": "bench",
        }
        begun = time.perf_counter()
        stages = await other.deploy(images[which], environment)
        taken = time.perf_counter() - begun
        if number >= 2:
            _add(ours, ended.seconds, _stages(ended))
            _add(hand, taken, stages)


def _image(running: Daemon) -> str:
    """The image that the daemon has just built: that of its newest container."""
    newest, *_ = running.containers()
    return str(newest["Image"])


def _stages(ended: Ended) -> dict[str, float]:
    """Seconds of the change's steps, by stage."""
    stages: dict[str, float] = dict.fromkeys(STAGES.values(), 0.0)
    for step in ended.record.steps:
        for beginning, stage in STAGES.items():
            if step.title.startswith(beginning) and step.started is not None and step.finished is not None:
                stages[stage] += step.finished - step.started
    return stages


def _add(figures: Figures, taken: float, stages: dict[str, float]) -> None:
    for name, seconds in {"": taken, **stages, OTHER: taken - sum(stages.values())}.items():
        figures[name].append(seconds)


def _row(stage: str, ours: list[float], hand: list[float] | None) -> Row:
    return Row(
        what=f"  of it: {stage}" if stage else "deploy",
        unit="ms",
        ours=Spread.of(seconds * 1000 for seconds in ours),
        against=Spread.of(seconds * 1000 for seconds in hand) if hand else None,
        compare=Compare.DIFFERENCE,
        target=None if stage else LIMITS,
    )
