"""The two processes that call each other: started by :mod:`bench.calls`, each with sessions on both routers at once.

``peers.py callee DEVICE_SOCKET CROSSBAR_SOCKET`` offers the procedures and says ``ready``; ``peers.py caller …`` calls them, on
one router and then the other, and prints the seconds of every call as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import txaio
from autobahn.twisted.rawsocket import WampRawSocketClientFactory
from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.types import ComponentConfig
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.task import react

from paradrop.base._serializers import CBORSerializer
from paradrop.base.cxbr import BaseSession
from paradrop.uris import DEVICE_REALM, LOCAL_PDID, chute_space

ROUTERS = ("device", "crossbar")
SESSIONS = ("BaseSession", "ApplicationSession")
WARM_UP = 200
"""Calls that are not counted."""

Echo = Callable[[], Any]
"""Makes one call, and gives what is awaited."""


class _Bare(ApplicationSession):  # type: ignore[misc]  # Autobahn's classes are untyped
    """Autobahn's own session, which tells when it has joined."""

    joined: Deferred[Any]

    def onJoin(self, details: Any) -> None:
        self.joined.callback(self)


@dataclass(frozen=True, slots=True)
class Round:
    """One series of calls."""

    router: str
    session: str
    in_flight: int
    seconds: list[float]
    """Of each call."""
    total: float
    """Seconds from the first call to the last answer."""


async def connect(reactor: Any, path: str, session: str) -> Any:
    """A session of that kind on the router behind *path*, on RawSocket with CBOR."""
    if session == "BaseSession":
        return await BaseSession.start(f"unix:{path}", LOCAL_PDID, reconnect=False, reactor=reactor)
    bare = _Bare(ComponentConfig(realm=DEVICE_REALM))
    bare.joined = Deferred()
    await UNIXClientEndpoint(reactor, path).connect(WampRawSocketClientFactory(lambda: bare, CBORSerializer()))
    return await bare.joined


def procedure(session: str) -> str:
    """The procedure that a session of that kind offers: one of the chute ``callee``."""
    return f"{chute_space('callee')}{session}"


async def serve(reactor: Any, paths: dict[str, str]) -> None:
    """Offer the procedures until the process is ended."""
    for path in paths.values():
        for kind in SESSIONS:
            session = await connect(reactor, path, kind)
            register = session.stockRegister if kind == "BaseSession" else session.register
            await register(lambda value: value, procedure(kind))
    print("ready", flush=True)
    await Deferred()


async def call(reactor: Any, paths: dict[str, str], rounds: int, calls: int, in_flight: list[int]) -> list[Round]:
    """*rounds* times *calls* calls on each router, by turns, for each kind of session and each number of calls in flight."""
    echoes: dict[tuple[str, str], Echo] = {}
    for kind in SESSIONS:
        for router, path in paths.items():
            session = await connect(reactor, path, kind)
            method = session.stockCall if kind == "BaseSession" else session.call
            echoes[kind, router] = _echo(method, procedure(kind))
            await _series(echoes[kind, router], WARM_UP, 1)
    found = []
    for number in range(rounds):
        # Whoever is first in one round is second in the next.
        routers = ROUTERS if number % 2 == 0 else ROUTERS[::-1]
        for kind in SESSIONS:
            for many in in_flight:
                for router in routers:
                    seconds, total = await _series(echoes[kind, router], calls, many)
                    found.append(Round(router, kind, many, seconds, total))
    return found


def _echo(method: Callable[..., Any], uri: str) -> Echo:
    return lambda: method(uri, "a short text")


async def _series(echo: Echo, calls: int, in_flight: int) -> tuple[list[float], float]:
    seconds: list[float] = []

    async def worker(count: int) -> None:
        for _ in range(count):
            begun = time.perf_counter()
            await echo()
            seconds.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await gatherResults([Deferred.fromCoroutine(worker(calls // in_flight)) for _ in range(in_flight)])
    return seconds, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("role", choices=("callee", "caller"))
    parser.add_argument("sockets", nargs=2, metavar="SOCKET", help="of the device's chute, and of Crossbar")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--calls", type=int, default=100, help="in one series")
    options = parser.parse_args()
    paths = dict(zip(ROUTERS, options.sockets, strict=True))
    txaio.use_twisted()

    async def run(reactor: Any) -> None:
        if options.role == "callee":
            await serve(reactor, paths)
        else:
            found = await call(reactor, paths, options.rounds, options.calls, [1, 16])
            json.dump([[one.router, one.session, one.in_flight, one.seconds, one.total] for one in found], sys.stdout)

    react(lambda reactor: Deferred.fromCoroutine(run(reactor)))


if __name__ == "__main__":
    main()
