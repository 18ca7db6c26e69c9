"""The two processes that call each other across nodes: started by :mod:`bench.cluster`.

``cluster_peers.py callee WHERE …`` offers an echo at each place, and says ``ready``; ``cluster_peers.py caller … WHERE …`` calls
them by turns and prints the seconds as JSON. WHERE is ``unix:PATH`` or ``tls:PORT:AUTHORITY``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import txaio
from autobahn.twisted.rawsocket import WampRawSocketClientFactory
from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import ComponentConfig
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import deferLater, react

from paradrop.base._serializers import CBORSerializer

REALM = "paradrop"
WARM_UP = 200
"""Calls that are not counted."""
CROSSING = 30.0
"""Seconds that a registration may need to be known on the other node."""


class Session(ApplicationSession):  # type: ignore[misc]  # Autobahn's classes are untyped
    """Autobahn's own session, which tells when it has joined."""

    joined: Deferred[Any]

    def onJoin(self, details: Any) -> None:
        self.joined.callback(self)


async def join(reactor: Any, where: str) -> Any:
    """A session at *where*, on RawSocket with CBOR."""
    kind, _, rest = where.partition(":")
    if kind == "unix":
        endpoint: Any = UNIXClientEndpoint(reactor, rest)
    else:
        port, _, authority = rest.partition(":")
        root = Certificate.loadPEM(Path(authority).read_bytes())
        endpoint = wrapClientTLS(
            optionsForClientTLS("localhost", trustRoot=root), HostnameEndpoint(reactor, b"localhost", int(port))
        )
    session = Session(ComponentConfig(realm=REALM))
    session.joined = Deferred()
    await endpoint.connect(WampRawSocketClientFactory(lambda: session, CBORSerializer()))
    return await session.joined


async def serve(reactor: Any, places: list[str]) -> None:
    for number, where in enumerate(places):
        session = await join(reactor, where)
        await session.register(lambda value: value, f"cluster.echo.{number}")
    print("ready", flush=True)
    await Deferred()


async def measure(reactor: Any, places: list[str], rounds: int, calls: int) -> list[tuple[int, int, list[float], float]]:
    """Of each series: the number of the place, the calls in flight, the seconds of each call, the seconds of all."""
    sessions = [await join(reactor, where) for where in places]
    for number, session in enumerate(sessions):
        await _known(reactor, session, number)
        await _series(session, number, WARM_UP, 1)
    found = []
    for turn in range(rounds):
        for in_flight in (1, 16):
            for number in range(len(places))[:: 1 if turn % 2 == 0 else -1]:
                seconds, total = await _series(sessions[number], number, calls, in_flight)
                found.append((number, in_flight, seconds, total))
    return found


async def _known(reactor: Any, session: Any, number: int) -> None:
    give_up = reactor.seconds() + CROSSING
    while True:
        try:
            await session.call(f"cluster.echo.{number}", "")
            return
        except ApplicationError:
            if reactor.seconds() > give_up:
                raise
            await deferLater(reactor, 0.1)


async def _series(session: Any, number: int, calls: int, in_flight: int) -> tuple[list[float], float]:
    seconds: list[float] = []

    async def worker(count: int) -> None:
        for _ in range(count):
            begun = time.perf_counter()
            if await session.call(f"cluster.echo.{number}", "a short text") != "a short text":
                raise RuntimeError("another answer than what was sent")
            seconds.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await gatherResults([Deferred.fromCoroutine(worker(calls // in_flight)) for _ in range(in_flight)])
    return seconds, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("role", choices=("callee", "caller"))
    parser.add_argument("places", nargs="+", metavar="WHERE")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--calls", type=int, default=100, help="in one series")
    options = parser.parse_args()
    txaio.use_twisted()

    async def run(reactor: Any) -> None:
        if options.role == "callee":
            await serve(reactor, options.places)
        else:
            json.dump(await measure(reactor, options.places, options.rounds, options.calls), sys.stdout)

    react(lambda reactor: Deferred.fromCoroutine(run(reactor)))


if __name__ == "__main__":
    main()
