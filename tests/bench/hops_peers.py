"""The processes of :mod:`bench.hops`: who calls, who answers, and for the bare nodes who stands between them.

``hops_peers.py callee …`` and ``… forwarder …`` say ``ready``; ``… caller …`` calls by one way and then by another, and prints
the seconds of every call as JSON. What they connect to comes as JSON on standard input: there is a key in it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import txaio

txaio.use_twisted()
sys.path.insert(0, str(Path(__file__).parents[1]))

from autobahn.twisted.rawsocket import WampRawSocketClientFactory  # noqa: E402 - Autobahn must know its framework first
from autobahn.twisted.wamp import ApplicationSession  # noqa: E402
from autobahn.wamp.types import CallDetails, Challenge, ComponentConfig, RegisterOptions  # noqa: E402
from twisted.internet.defer import Deferred, gatherResults  # noqa: E402
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS  # noqa: E402
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates  # noqa: E402
from twisted.internet.task import react  # noqa: E402

from paradrop.base._serializers import CBORSerializer  # noqa: E402
from paradrop.keys import Key  # noqa: E402
from paradrop.uris import DEVICE_REALM  # noqa: E402

WARM_UP = 300
"""Calls that are not counted."""
FAR = "com.example.far."
"""What is on the second bare node."""


class Bare(ApplicationSession):  # type: ignore[misc]  # Autobahn's classes are untyped
    """Autobahn's own session, which tells when it has joined; with a key it proves who it is."""

    joined: Deferred[Any]
    key: Key | None = None

    def onConnect(self) -> None:
        if self.key is None:
            self.join(DEVICE_REALM, authmethods=["anonymous"])
        else:
            self.join(DEVICE_REALM, authmethods=["cryptosign"], authextra=self.key.extra)

    def onChallenge(self, challenge: Challenge) -> str:
        assert self.key is not None
        return self.key.answer(challenge)

    def onJoin(self, details: Any) -> None:
        self.joined.callback(self)


async def connect(reactor: Any, place: dict[str, str]) -> Any:
    """A session on the router at *place*: ``unix``, or ``host`` and ``port``, perhaps with ``authority`` (PEM) and ``key``."""
    session = Bare(ComponentConfig(realm=DEVICE_REALM))
    session.joined = Deferred()
    session.key = Key.read(place["key"]) if "key" in place else None
    if "unix" in place:
        endpoint: Any = UNIXClientEndpoint(reactor, place["unix"])
    else:
        endpoint = HostnameEndpoint(reactor, place["host"], int(place["port"]))
        if "authority" in place:
            trust = trustRootFromCertificates([Certificate.loadPEM(place["authority"].encode())])
            endpoint = wrapClientTLS(optionsForClientTLS(place["host"], trustRoot=trust), endpoint)
    protocol = await endpoint.connect(WampRawSocketClientFactory(lambda: session, CBORSerializer()))
    if "unix" not in place:
        protocol.transport.setTcpNoDelay(True)
    return await session.joined


async def serve(reactor: Any, places: list[dict[str, str]]) -> None:
    """Offer an echo in each place, under its ``procedure``."""
    for place in places:
        session = await connect(reactor, place)
        await session.register(lambda value: value, place["procedure"])
    await _ready()


async def forward(reactor: Any, places: list[dict[str, str]]) -> None:
    """The least that can stand between two routers: what is called on one of the first, below its ``prefix``, is called on the
    last."""
    far = await connect(reactor, places[-1])
    for place in places[:-1]:
        near = await connect(reactor, place)
        await near.register(_passing(far, place["prefix"]), place["prefix"], RegisterOptions(match="prefix", details=True))
    await _ready()


def _passing(far: Any, prefix: str) -> Callable[..., Any]:
    def passed(*args: Any, details: CallDetails, **kwargs: Any) -> Any:
        return far.call(FAR + details.procedure.removeprefix(prefix), *args, **kwargs)

    return passed


async def call(reactor: Any, places: list[dict[str, str]], rounds: int, calls: int) -> list[Any]:
    """*rounds* times *calls* calls by each way, by turns; one after the other, and then 16 in flight."""
    echoes: list[Callable[[], Any]] = []
    for place in places:
        session = await connect(reactor, place)
        echoes.append(lambda session=session, uri=place["procedure"]: session.call(uri, "a short text"))
        await _series(echoes[-1], WARM_UP, 1)
    found: list[Any] = []
    for number in range(rounds):
        for in_flight in (1, 16):
            # Whoever is first in one round is last in the next.
            for way in range(len(echoes)) if number % 2 == 0 else reversed(range(len(echoes))):
                found.append([places[way]["name"], in_flight, await _series(echoes[way], calls, in_flight)])
    return found


async def _series(echo: Callable[[], Any], calls: int, in_flight: int) -> list[float]:
    seconds: list[float] = []

    async def worker(count: int) -> None:
        for _ in range(count):
            begun = time.perf_counter()
            await echo()
            seconds.append(time.perf_counter() - begun)

    await gatherResults([Deferred.fromCoroutine(worker(calls // in_flight)) for _ in range(in_flight)])
    return seconds


async def _ready() -> None:
    print("ready", flush=True)
    await Deferred()


def main() -> None:
    role, order = sys.argv[1], json.loads(sys.stdin.readline())

    async def run(reactor: Any) -> None:
        if role == "callee":
            await serve(reactor, order["places"])
        elif role == "forwarder":
            await forward(reactor, order["places"])
        else:
            json.dump(await call(reactor, order["places"], order["rounds"], order["calls"]), sys.stdout)

    react(lambda reactor: Deferred.fromCoroutine(run(reactor)))


if __name__ == "__main__":
    main()
