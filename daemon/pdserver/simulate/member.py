"""One process of the simulator: ``python -m pdserver.simulate.member``.

The first line of its input is an :class:`Order`; each line after it a question, answered by one line with the same ``id``:
``{"do": "join", "id": 1}``, ``{"do": "count", …}``, ``{"do": "wire", …}``, and ``{"do": "call", …}`` with ``rate`` and
``seconds``. All of it is JSON. It ends when its input does.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import time
from collections.abc import Callable
from typing import Any

import txaio

# Ctrl-C at a terminal reaches every process; this one ends when its input does, which is after its devices have.
signal.signal(signal.SIGINT, signal.SIG_IGN)
txaio.use_twisted()

from twisted.internet.defer import Deferred, succeed  # noqa: E402 - Autobahn must know its framework first
from twisted.internet.protocol import connectionDone  # noqa: E402
from twisted.internet.stdio import StandardIO  # noqa: E402
from twisted.internet.task import react  # noqa: E402
from twisted.protocols.basic import LineOnlyReceiver  # noqa: E402
from twisted.python.failure import Failure  # noqa: E402

from paradrop.uris import device_space  # noqa: E402
from pdserver.simulate.caller import Caller  # noqa: E402
from pdserver.simulate.device import SimulatedDevice  # noqa: E402
from pdserver.simulate.fleet import ECHO, Order  # noqa: E402
from pdserver.simulate.joining import Joining  # noqa: E402
from pdserver.simulate.links import Links  # noqa: E402
from pdserver.simulate.tally import Tally  # noqa: E402

PARTS = 20
"""Into so many parts a fleet falls whose chutes have something to say."""


class Member(LineOnlyReceiver):
    delimiter = b"\n"
    MAX_LENGTH = 64 << 20

    def __init__(self, reactor: Any, ended: Deferred[None]) -> None:
        self._reactor = reactor
        self._ended = ended
        self._tally = Tally()
        self._devices: list[SimulatedDevice] = []
        self._links: Links | None = None
        self._joining: Joining | None = None
        self._order: Order | None = None
        self._ticks = 0

    def lineReceived(self, line: bytes) -> None:
        asked = json.loads(line)
        if self._order is None:
            self._begin(Order(**asked))
            return
        answers: dict[str, Callable[[dict[str, Any]], dict[str, Any] | Deferred[dict[str, Any]]]] = {
            "join": self._join,
            "count": lambda _: self._tally.plain(),
            "wire": lambda _: self._links.wire().plain() if self._links else {},
            "call": self._call,
        }
        answer = answers[asked["do"]](asked)
        maybe: Deferred[dict[str, Any]] = answer if isinstance(answer, Deferred) else succeed(answer)
        maybe.addCallback(self._say, asked["id"])

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._links is not None:
            self._links.stop()
        if not self._ended.called:
            self._ended.callback(None)

    def _say(self, answer: dict[str, Any], asked: int) -> None:
        self.sendLine(json.dumps({"id": asked, "answer": answer}).encode())  # type: ignore[no-untyped-call]

    def _begin(self, order: Order) -> None:
        self._order = order
        self._links = links = Links(self._reactor, order.address, order.authority, order.source, order.keyless)
        fleet = order.fleet

        def begin(number: int) -> None:
            pdid = fleet.pdid(order.first + number)
            device = SimulatedDevice(pdid, self._tally, joining.settled)
            self._devices.append(device)
            links.add(pdid, fleet.key(order.first + number), device)

        self._joining = joining = Joining(self._reactor, begin, order.count, order.rate, order.joining)
        if order.tick:
            self._reactor.callLater(order.tick / PARTS, self._tick)

    def _join(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert self._joining is not None
        self._joining.start()
        return {}

    def _tick(self) -> None:
        """A part of the devices, so that they do not all speak at the same moment."""
        assert self._order is not None
        for device in self._devices[self._ticks % PARTS :: PARTS]:
            device.tick(self._ticks // PARTS)
        self._ticks += 1
        self._reactor.callLater(self._order.tick / PARTS, self._tick)

    def _call(self, asked: dict[str, Any]) -> Deferred[dict[str, Any]]:
        assert self._order is not None
        fleet, dice = self._order.fleet, random.Random()  # noqa: S311 - nothing is kept secret by it

        def choose(caller: str) -> str:
            """Another one: what is its own a device does not ask its server for."""
            pdid = fleet.pdid(dice.randrange(len(fleet)))
            return choose(caller) if pdid == caller and len(fleet) > 1 else device_space(pdid) + ECHO

        caller = Caller(self._reactor, time.perf_counter, self._devices, choose, self._tally, dice)
        return caller.run(asked["rate"], asked["seconds"])


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def run(reactor: Any) -> Deferred[None]:
        ended: Deferred[None] = Deferred()
        StandardIO(Member(reactor, ended), reactor=reactor)
        return ended

    react(run)


if __name__ == "__main__":
    main()
