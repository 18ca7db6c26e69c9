"""The processes of the simulator, as one: each question goes to all of them, and their answers are put together."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from paradrop.base.exceptions import Unreachable
from pdserver.simulate.fleet import ListedFleet, Order, SeededFleet, shares
from pdserver.simulate.tally import Tally, Wire, merged

PROGRAM = (sys.executable, "-m", "pdserver.simulate.member")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to simulate, where."""

    address: str
    authority: str = ""
    fleet: SeededFleet | ListedFleet
    processes: int
    rate: float = 0.0
    """Devices that begin to join in a second; 0: as many as can."""
    joining: int = 100
    tick: float = 0.0
    """Seconds between two events of each device's chute; 0: it has none."""
    keyless: bool = False

    def orders(self) -> list[Order]:
        """One a process. On this machine each process has an address of its own to connect from, and so its own 28,000 ports."""
        parts = shares(len(self.fleet), self.processes)
        here = "//127." in self.address
        return [
            Order(
                address=self.address,
                authority=self.authority,
                source=f"127.0.0.{2 + index % 250}" if here else "",
                first=part.start,
                count=len(part),
                rate=self.rate / len(parts),
                joining=max(1, self.joining // len(parts)),
                tick=self.tick,
                keyless=self.keyless,
                **self._which(),
            )
            for index, part in enumerate(parts)
        ]

    def _which(self) -> dict[str, Any]:
        if isinstance(self.fleet, SeededFleet):
            return {"seed": self.fleet.seed, "devices": self.fleet.devices, "organization": self.fleet.organization}
        return {"listed": self.fleet.listed}


class Crew:
    """Started by :meth:`start`; ends with :meth:`stop`, and with this process."""

    def __init__(self, reactor: Any, plan: Plan) -> None:
        self._reactor = reactor
        self._orders = plan.orders()
        self._members: list[_Member] = []

    def start(self) -> None:
        for order in self._orders:
            member = _Member()
            # Its errors are ours: they go to the operator.
            self._reactor.spawnProcess(member, PROGRAM[0], PROGRAM, env=None, childFDs={0: "w", 1: "r", 2: 2})
            member.send(order.plain())
            self._members.append(member)

    async def join(self) -> None:
        """Begin to join, in all processes at the same time: once each of them is up."""
        await self.count()
        await self._ask({"do": "join"})

    async def count(self) -> Tally:
        return Tally.sum(Tally(**answer) for answer in await self._ask({"do": "count"}))

    async def wire(self) -> Wire:
        answers = await self._ask({"do": "wire"})
        return Wire.sum(Wire(answer["links"], answer["payload"], answer["segments"]) for answer in answers)

    async def call(self, rate: float, seconds: float) -> dict[str, Any]:
        """*rate* calls a second among all of them: ``seconds`` of each answer, ``errors`` by name."""
        return merged(await self._ask({"do": "call", "rate": rate / len(self._members), "seconds": seconds}))

    async def stop(self) -> None:
        for member in self._members:
            member.close()
        await gatherResults([member.ended for member in self._members])

    async def _ask(self, question: dict[str, Any]) -> Sequence[dict[str, Any]]:
        """Raises :class:`Unreachable` when one of the processes has ended."""
        answers: list[dict[str, Any]] = await gatherResults(
            [member.ask(question) for member in self._members], consumeErrors=True
        ).addErrback(_first)
        return answers


def _first(failure: Failure) -> Failure:
    inner = getattr(failure.value, "subFailure", failure)
    return inner if isinstance(inner, Failure) else failure


@dataclass(eq=False)
class _Member(ProcessProtocol):
    ended: Deferred[None] = field(default_factory=Deferred)
    _waiting: dict[int, Deferred[dict[str, Any]]] = field(default_factory=dict)
    _asked: int = 0
    _rest: bytes = b""
    _gone: bool = False

    def send(self, value: dict[str, Any]) -> None:
        if self.transport is not None:
            self.transport.writeToChild(0, json.dumps(value).encode() + b"\n")

    def close(self) -> None:
        if self.transport is not None:
            self.transport.closeStdin()

    def ask(self, question: dict[str, Any]) -> Deferred[dict[str, Any]]:
        answer: Deferred[dict[str, Any]] = Deferred()
        if self._gone:
            answer.errback(Unreachable("a process of the simulator has ended"))
            return answer
        self._asked += 1
        self._waiting[self._asked] = answer
        self.send({**question, "id": self._asked})
        return answer

    def outReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            heard = json.loads(line)
            self._waiting.pop(heard["id"]).callback(heard["answer"])

    def processEnded(self, reason: Failure) -> None:
        self._gone = True
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.errback(Unreachable("a process of the simulator has ended"))
        self.ended.callback(None)
