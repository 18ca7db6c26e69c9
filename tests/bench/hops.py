"""A call through a server and a device to a chute, against two bare Crossbar nodes with the least possible between them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.calls import MANIFEST
from bench.daemon import Client, daemon
from bench.fleet_server import LOOK, PATIENCE, Served, end, launch, listening, paradrop, transport
from bench.hops_peers import FAR
from bench.place import ROOT, NotMeasured, Place
from bench.report import Row, Section, Spread, Target
from twisted.internet.task import deferLater

from paradrop.base.seams import in_thread
from paradrop.source import scan
from paradrop.uris import LOCAL, chute_space, device_space
from serving import free_port

LIMIT = 1.15
PDID = "bench.r1"
CHUTE = "callee"
ECHO = "echo"
TITLES = {1: "one call after the other", 16: "16 calls in flight"}
OURS, BARE_TLS, BARE_PLAIN = "paradrop", "bare, TLS", "bare, plain"


async def measure(place: Place) -> Section:
    rounds, calls = place.rounds(10, 2), place.rounds(800, 160)
    place.say(f"hops: {rounds} rounds of {calls} calls by each way")
    async with paradrop(place, 0, claim=PDID) as served, daemon(place, engine="memory") as device, _nodes(place, served) as nodes:
        client = await device.client()
        await _chute(client)
        await client.fabric.call("org.paradrop.local.node.provision", served_url(served), served.token)
        near_tls, near_plain, far = nodes
        uri = device_space(PDID) + chute_space(CHUTE).removeprefix(LOCAL) + ECHO
        assert served.user is not None
        host, port = _host_port(served.address)
        server = {"host": host, "port": port, "authority": served.authority, "key": served.user.secret()}
        local = {"unix": str(device.chute_socket(CHUTE)), "procedure": chute_space(CHUTE) + ECHO}
        found = await _run(
            place,
            callee=[local, {**far, "procedure": FAR + ECHO}],
            forwarder=[near_tls, near_plain, far],
            caller=[
                {**server, "procedure": uri, "name": OURS},
                {**near_tls, "procedure": near_tls["prefix"] + ECHO, "name": BARE_TLS},
                {**near_plain, "procedure": near_plain["prefix"] + ECHO, "name": BARE_PLAIN},
            ],
            rounds=rounds,
            calls=calls,
        )
        await client.fabric.close()
    rows = [_row(found, in_flight, against) for in_flight in TITLES for against in (BARE_TLS, BARE_PLAIN)]
    return Section(
        name="hops",
        title="client → server → device → chute, against client → Crossbar → forwarding session → Crossbar → session",
        rows=tuple(rows),
        notes=(
            "Ours has TLS to the server from both sides, keys and permissions; bare has TLS only, and only where it says so.",
            "The way from the device, and from the forwarding session, to the callee is a unix socket on both sides.",
        ),
    )


def served_url(served: Served) -> str:
    assert served.server is not None
    return served.server.url


def _host_port(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.hostname or "", str(parts.port)


async def _chute(client: Client) -> None:
    with tempfile.TemporaryDirectory(prefix="pd-bench-") as folder:
        (Path(folder) / "paradrop.yaml").write_text(MANIFEST.format(name=CHUTE, uses=""), encoding="utf-8")
        source = scan(Path(folder))
        await client.send(source)
        await client.deploy(source.tree)


@asynccontextmanager
async def _nodes(place: Place, served: Served) -> AsyncIterator[tuple[dict[str, str], dict[str, str], dict[str, str]]]:
    """The two bare nodes: the near one with TLS, the same without, and the far one on a unix socket."""
    async with AsyncExitStack() as closed:
        folders = [Path(tempfile.mkdtemp(prefix="pd-bench-")) for _ in range(2)]
        for folder in folders:
            closed.callback(shutil.rmtree, folder, ignore_errors=True)
        # The server's own certificate: the same kind of key on both sides.
        assert served.server is not None
        tls = served.server.home / "node" / "tls"
        secure, plain = free_port(), free_port() + 1
        endpoint = {"type": "tcp", "interface": "127.0.0.1"}
        certificate = {"certificate": str(tls / "certificate.pem"), "key": str(tls / "key.pem")}
        near = launch(
            folders[0],
            [transport({**endpoint, "port": secure, "tls": certificate}), transport({**endpoint, "port": plain})],
        )
        closed.push_async_callback(end, near)
        far = launch(folders[1], [transport({"type": "unix", "path": str(folders[1] / "far.sock")})])
        closed.push_async_callback(end, far)
        await listening(place, near, folders[0], plain)
        waited = 0.0
        while not (folders[1] / "far.sock").exists():
            waited += LOOK
            if waited > PATIENCE or far.poll() is not None:
                raise NotMeasured(f"crossbar did not start: {(folders[1] / 'output').read_text(encoding='utf-8')[-2000:]}")
            await deferLater(place.reactor, LOOK)
        yield (
            {"host": "127.0.0.1", "port": str(secure), "authority": served.authority, "prefix": "com.example.tls."},
            {"host": "127.0.0.1", "port": str(plain), "prefix": "com.example.plain."},
            {"unix": str(folders[1] / "far.sock")},
        )


async def _run(place: Place, *, callee: list[Any], forwarder: list[Any], caller: list[Any], rounds: int, calls: int) -> list[Any]:
    with closing(_Peer("callee", {"places": callee})) as answering, closing(_Peer("forwarder", {"places": forwarder})) as between:
        await answering.ready()
        await between.ready()
        await deferLater(place.reactor, 1.0)  # the device's uplink may just have come up
        with closing(_Peer("caller", {"places": caller, "rounds": rounds, "calls": calls})) as calling:
            found: list[Any] = json.loads(await calling.output())
            return found


class _Peer:
    def __init__(self, role: str, order: dict[str, Any]) -> None:
        self._role = role
        command: Sequence[str] = (sys.executable, str(ROOT / "tests" / "bench" / "hops_peers.py"), role)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    async def ready(self) -> None:
        assert self._process.stdout is not None
        if (await in_thread(self._process.stdout.readline)).strip() != b"ready":
            raise NotMeasured(f"the {self._role} did not start")

    async def output(self) -> bytes:
        printed, _ = await in_thread(self._process.communicate)
        if self._process.returncode != 0:
            raise NotMeasured(f"the {self._role} ended with {self._process.returncode}")
        return printed

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def _row(found: list[Any], in_flight: int, against: str) -> Row:
    def spread(name: str) -> Spread:
        return Spread.of(value * 1000 for one, many, seconds in found if (one, many) == (name, in_flight) for value in seconds)

    target = Target(LIMIT) if against == BARE_TLS else None
    return Row(
        what=f"{TITLES[in_flight]}; against {against}", unit="ms", ours=spread(OURS), against=spread(against), target=target
    )
