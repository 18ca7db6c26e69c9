"""Several routers for one realm with Crossbar's own means: across a router link against one node, through a proxy worker against
none. The nodes are started with the files of ``docs/cluster/``.

``python tests/bench/run.py --only cluster`` measures it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from bench.cluster_node import Running, configuration, free_port, home, make_certificate, node, public_key
from bench.place import ROOT, NotMeasured, Place, output_of
from bench.report import Row, Section, Spread

from paradrop.base.seams import in_thread

TITLES = {1: "one call after the other", 16: "16 calls in flight"}
Series = tuple[int, int, list[float], float]


async def measure(place: Place) -> Section:
    rounds, calls = place.rounds(6, 2), place.rounds(1600, 320)
    place.say(f"cluster: two nodes and a link, then a proxy; {rounds} rounds of {calls} calls")
    link = await _link(place, rounds, calls)
    proxy, processor = await _proxy(place, rounds, calls)
    rows = [_row("across the link, against one node", link, in_flight) for in_flight in TITLES]
    rows += [_row("through the proxy worker, against the router's own TLS", proxy, in_flight) for in_flight in TITLES]
    notes = [_rate("link against one node", link, in_flight) for in_flight in TITLES]
    notes += [_rate("proxy against the router's own TLS", proxy, in_flight) for in_flight in TITLES]
    return Section(
        name="cluster",
        title="Crossbar's router link and proxy worker, against one router; RawSocket, CBOR; nothing of Paradrop is in it",
        rows=tuple(rows),
        notes=(*notes, processor),
    )


async def _link(place: Place, rounds: int, calls: int) -> list[Series]:
    """Place 0: caller on A and callee on B. Place 1: both on A."""
    async with AsyncExitStack() as stack:
        folders = [await stack.enter_async_context(home()) for _ in "ab"]
        for folder in folders:
            make_certificate(folder)
        (folders[0] / "authority.pem").write_bytes((folders[1] / "authority.pem").read_bytes())
        replaced = {"9443": str(free_port()), "PUBLIC_KEY_OF_NODE_A": await in_thread(lambda: public_key(folders[0]))}
        b = await stack.enter_async_context(node(place, folders[1], configuration("link-b.json", replaced)))
        a = await stack.enter_async_context(node(place, folders[0], configuration("link-a.json", replaced)))
        return await _peers([b.where(), a.where()], [a.where(), a.where()], rounds, calls)


async def _proxy(place: Place, rounds: int, calls: int) -> tuple[list[Series], str]:
    """Place 0: both through the proxy worker. Place 1: both on the router's own TLS port. And what the router's processor did."""
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(home())
        make_certificate(folder)
        public, direct = free_port(), free_port()
        text = configuration("proxy.json", {"8443": str(public), "8444": str(direct)})
        running = await stack.enter_async_context(node(place, folder, text, public))
        proxied, own = running.where(public), running.where(direct)
        found = await _peers([proxied, own], [proxied, own], rounds, calls)
        spent = [await _processor(running, [where], calls) for where in (proxied, own)]
    return (
        found,
        f"processor time of the router worker, ms a call: {spent[0]:.2f} behind the proxy, {spent[1]:.2f} with its own TLS",
    )


async def _processor(running: Running, where: list[str], calls: int) -> float:
    """Milliseconds of processor time that the router worker spends on a call."""
    router = running.worker("router")
    begun = _spent(router)
    found = await _peers(where, where, 2, calls)
    return (_spent(router) - begun) * 1000 / sum(len(seconds) for _, _, seconds, _ in found)


def _spent(process: int) -> float:
    """Seconds of processor time of *process* so far (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _peers(callee: list[str], caller: list[str], rounds: int, calls: int) -> list[Series]:
    """What the caller measures."""
    program = [sys.executable, str(ROOT / "tests" / "bench" / "cluster_peers.py")]
    with subprocess.Popen([*program, "callee", *callee], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as serving:
        try:
            if serving.stdout is None or (await in_thread(serving.stdout.readline)).strip() != b"ready":
                raise NotMeasured("the callee did not start")
            answer = await output_of([*program, "caller", *caller, f"--rounds={rounds}", f"--calls={calls}"])
        finally:
            serving.terminate()
    return [(place, in_flight, seconds, total) for place, in_flight, seconds, total in json.loads(answer)]


def _row(what: str, found: list[Series], in_flight: int) -> Row:
    ours, against = (
        Spread.of(each * 1000 for place, many, seconds, _ in found if (place, many) == (number, in_flight) for each in seconds)
        for number in (0, 1)
    )
    return Row(what=f"{what}: {TITLES[in_flight]}", unit="ms", ours=ours, against=against)


def _rate(what: str, found: list[Series], in_flight: int) -> str:
    rates = []
    for number in (0, 1):
        series = [one for one in found if one[:2] == (number, in_flight)]
        rates.append(sum(len(seconds) for _, _, seconds, _ in series) / sum(total for *_, total in series))
    return f"{what}, {TITLES[in_flight]}: {rates[0]:.0f} calls/s against {rates[1]:.0f}"
