"""Calls from chute to chute through the device's realm, against a bare Crossbar node, by the same two processes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.daemon import Client, daemon
from bench.node import crossbar
from bench.peers import ROUTERS, SESSIONS, Round
from bench.place import ROOT, NotMeasured, Place, output_of
from bench.report import Row, Section, Spread, Target

from paradrop.base.seams import in_thread
from paradrop.source import scan

LIMIT = 1.1
MANIFEST = """\
name: {name}
version: "1"
services:
  main: {{type: light, image: python3, command: [sleep, infinity]}}
fabric: {{uses: [{uses}]}}
"""
TITLES = {1: "one call after the other", 16: "16 calls in flight"}


async def measure(place: Place) -> Section:
    rounds, calls = place.rounds(6, 2), place.rounds(2000, 320)
    place.say(f"call: {rounds} rounds of {calls} calls")
    # What is measured is the router: nothing runs in these two chutes, and the bench's processes use their sockets.
    async with crossbar(place) as bare, daemon(place, engine="memory") as running:
        client = await running.client()
        await _chute(client, "callee", "")
        await _chute(client, "caller", "callee.*")
        found = await _peers(
            [str(running.chute_socket("callee")), str(bare)],
            [str(running.chute_socket("caller")), str(bare)],
            [f"--rounds={rounds}", f"--calls={calls}"],
        )
        await client.fabric.close()
    rows = [_row(found, session, in_flight) for in_flight in TITLES for session in SESSIONS]
    return Section(
        name="call",
        title="chute to chute through the device's realm, against a bare Crossbar node; RawSocket, CBOR, unix sockets",
        rows=tuple(rows),
        notes=tuple(_rate(found, session, in_flight) for in_flight in TITLES for session in SESSIONS),
    )


async def _chute(client: Client, name: str, uses: str) -> None:
    with tempfile.TemporaryDirectory(prefix="pd-bench-") as folder:
        (Path(folder) / "paradrop.yaml").write_text(MANIFEST.format(name=name, uses=uses), encoding="utf-8")
        source = scan(Path(folder))
        await client.send(source)
        await client.deploy(source.tree)


async def _peers(callee: list[str], caller: list[str], options: list[str]) -> list[Round]:
    """What the caller measures."""
    program = [sys.executable, str(ROOT / "tests" / "bench" / "peers.py")]
    with subprocess.Popen([*program, "callee", *callee], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as serving:
        try:
            if serving.stdout is None or (await in_thread(serving.stdout.readline)).strip() != b"ready":
                raise NotMeasured("the callee did not start")
            answer = await output_of([*program, "caller", *caller, *options])
        finally:
            serving.terminate()
    return [Round(*fields) for fields in json.loads(answer)]


def _chosen(found: list[Round], router: str, session: str, in_flight: int) -> list[Round]:
    return [one for one in found if (one.router, one.session, one.in_flight) == (router, session, in_flight)]


def _row(found: list[Round], session: str, in_flight: int) -> Row:
    ours, bare = (
        Spread.of(seconds * 1000 for one in _chosen(found, router, session, in_flight) for seconds in one.seconds)
        for router in ROUTERS
    )
    return Row(what=f"{TITLES[in_flight]}, {session}", unit="ms", ours=ours, against=bare, target=Target(LIMIT))


def _rate(found: list[Round], session: str, in_flight: int) -> str:
    """Calls in a second, and how much the ratio of the rounds' times varies."""
    ours, bare = (_chosen(found, router, session, in_flight) for router in ROUTERS)
    rates = [sum(len(one.seconds) for one in side) / sum(one.total for one in side) for side in (ours, bare)]
    ratios = Spread.of(one.total / other.total for one, other in zip(ours, bare, strict=True))
    return (
        f"{TITLES[in_flight]}, {session}: {rates[0]:.0f} calls/s against {rates[1]:.0f};"
        f" ratio of times by round, min / median / max: {ratios.shown()}"
    )
