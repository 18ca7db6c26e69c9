"""Servers for simulated fleets: a real ``pdserver run``, and a bare Crossbar node without gate, TLS and keys."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from autobahn.wamp.types import Challenge
from bench.place import ROOT, NotMeasured, Place, console_script
from twisted.internet.task import deferLater

from paradrop.base.cxbr import BaseSession
from paradrop.base.seams import in_thread, inline
from paradrop.keys import Key
from paradrop.permissions import Role
from paradrop.tokens import Token
from paradrop.uris import DEVICE_REALM
from pdserver.access import EVERYTHING
from pdserver.home import ServerHome
from pdserver.registry import Database, Registry
from pdserver.registry.records import InvitationKind
from pdserver.simulate.crew import Crew, Plan
from pdserver.simulate.enrol import database_of, enrol
from pdserver.simulate.fleet import SeededFleet

sys.path.insert(0, str(ROOT / "tests" / "support"))
from serving import ServerProcess, free_port

ADMINISTRATOR = "bench"
LOOK = 0.05
"""Seconds between two looks at a fleet."""
PATIENCE = 120.0
"""Seconds after which a fleet that has not joined will not."""
SETTLE = 3.0
"""Seconds between the last join and a look at memory."""
LIFETIME = 3600.0


@dataclass(slots=True)
class Served:
    """A server with a fleet on it."""

    place: Place
    fleet: SeededFleet
    address: str
    authority: str
    server: ServerProcess | None = None
    node: subprocess.Popen[bytes] | None = None
    user: Key | None = None
    """An administrator's."""
    token: str = ""
    """A claim token, when one was wanted."""

    def worker(self) -> psutil.Process:
        """The router worker. Raises :class:`NotMeasured` while there is none."""
        if self.server is not None:
            found = self.server.worker
        else:
            assert self.node is not None
            found = next(iter(psutil.Process(self.node.pid).children()), None)
        if found is None:
            raise NotMeasured("there is no router worker")
        return found

    def memory(self) -> tuple[float, float]:
        """PSS and RSS of the router worker in megabytes, from ``/proc/<pid>/smaps_rollup``."""
        rollup = Path(f"/proc/{self.worker().pid}/smaps_rollup").read_text(encoding="ascii")
        fields = {line.partition(":")[0]: line.split()[1] for line in rollup.splitlines()[1:]}
        return int(fields["Pss"]) * 1024 / 1e6, int(fields["Rss"]) * 1024 / 1e6

    def crew(self, tick: float = 0.0) -> Crew:
        plan = Plan(
            address=self.address,
            authority=self.authority,
            fleet=self.fleet,
            processes=os.cpu_count() or 1,
            tick=tick,
            keyless=self.server is None,
        )
        return Crew(self.place.reactor, plan)

    async def all_there(self, crew: Crew, lost: int = 0) -> float:
        """Seconds until every device has joined, and *lost* links have been lost before. Raises :class:`NotMeasured`."""
        begun = time.monotonic()
        while True:
            tally = await crew.count()
            took = time.monotonic() - begun
            if tally.joined == len(self.fleet) and tally.lost >= lost:
                return took
            if took > PATIENCE:
                raise NotMeasured(f"after {took:.0f} s only {tally.joined} of {len(self.fleet)} devices were there: {tally}")
            await deferLater(self.place.reactor, LOOK)


class Proved(BaseSession):
    """A session that proves with ``config.extra["key"]`` who it is, as any WAMP client may."""

    def onConnect(self) -> None:
        assert self.config.extra is not None
        self.join(self.config.realm, authmethods=["cryptosign"], authextra=self.config.extra["key"].extra)

    def onChallenge(self, challenge: Challenge) -> str:
        assert self.config.extra is not None
        answer: str = self.config.extra["key"].answer(challenge)
        return answer


async def administrator(served: Served) -> BaseSession:
    """A session of an administrator on the server."""
    return await Proved.start(
        served.address,
        "local",
        extra={"key": served.user},
        reconnect=False,
        reactor=served.place.reactor,
        authority=served.authority,
    )


@asynccontextmanager
async def paradrop(place: Place, devices: int, claim: str = "") -> AsyncIterator[Served]:
    """A real server whose registry has the fleet, an administrator and, with *claim*, a device of that pdid to be claimed."""
    home = Path(tempfile.mkdtemp(prefix="pd-bench-"))
    fleet = SeededFleet("bench", devices)
    user = Key.generate()
    server = ServerProcess(home=home)
    served = Served(place, fleet, server.address, "", server=server, user=user)
    try:
        if devices:
            await enrol(ServerHome(home), "", fleet, inline, time.time)
        issued = await _people(ServerHome(home), user, claim)
        await in_thread(server.start)
        served.authority = server.authority_pem
        if issued is not None:
            served.token = str(Token(issued.id, issued.secret, _der(served.authority)))
        yield served
    finally:
        await in_thread(server.close)
        shutil.rmtree(home, ignore_errors=True)


async def _people(home: ServerHome, user: Key, claim: str) -> Any:
    home.make()
    registry = Registry(Database(database_of(home), inline), time.time)
    await registry.open()
    try:
        await registry.add_user(ADMINISTRATOR)
        await registry.grant(ADMINISTRATOR, EVERYTHING, Role.OWNER)
        invited = await registry.invite(InvitationKind.USER, ADMINISTRATOR, LIFETIME)
        await registry.accept(invited.id, user.public)
        if not claim:
            return None
        await registry.create_device(claim)
        return await registry.invite(InvitationKind.DEVICE, claim, LIFETIME)
    finally:
        await registry.close()


def _der(pem: str) -> bytes:
    import ssl

    return ssl.PEM_cert_to_DER_cert(pem)


@asynccontextmanager
async def bare(place: Place, devices: int) -> AsyncIterator[Served]:
    """Crossbar as it is: RawSocket with CBOR over TCP, nobody has to prove anything, everything is allowed."""
    folder = Path(tempfile.mkdtemp(prefix="pd-bench-"))
    port = free_port()
    node = launch(folder, [transport({"type": "tcp", "port": port, "interface": "127.0.0.1", "backlog": 4096})])
    served = Served(place, SeededFleet("bench", devices), f"rs://127.0.0.1:{port}", "", node=node)
    try:
        await listening(place, node, folder, port)
        yield served
    finally:
        await end(node)
        shutil.rmtree(folder, ignore_errors=True)


def transport(endpoint: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rawsocket", "endpoint": endpoint, "serializers": ["cbor"]}


def launch(folder: Path, transports: list[dict[str, Any]]) -> subprocess.Popen[bytes]:
    """A Crossbar node with one router worker."""
    allow = {"call": True, "register": True, "publish": True, "subscribe": True}
    role = {"name": "anonymous", "permissions": [{"uri": "", "match": "prefix", "allow": allow, "cache": True}]}
    worker = {"type": "router", "realms": [{"name": DEVICE_REALM, "roles": [role]}], "transports": transports}
    (folder / "config.json").write_text(json.dumps({"version": 2, "workers": [worker]}), encoding="utf-8")
    command = [str(console_script("crossbar")), "start", "--cbdir", str(folder), "--loglevel", "warn", "--color", "false"]
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)


async def listening(place: Place, node: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    """Wait until *node* listens. Raises :class:`NotMeasured` when it does not."""
    import socket

    give_up = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if node.poll() is not None or time.monotonic() > give_up:
            raise NotMeasured(f"crossbar did not start: {(folder / 'output').read_text(encoding='utf-8')[-2000:]}")
        await deferLater(place.reactor, 0.05)


async def end(node: subprocess.Popen[bytes]) -> None:
    node.terminate()
    with suppress(subprocess.TimeoutExpired):
        await in_thread(partial(node.wait, timeout=15))
    with suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    node.wait()
