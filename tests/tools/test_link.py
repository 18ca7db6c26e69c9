"""A command goes on after its link was lost, and ends when it is not let in again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from paradrop.base.exceptions import NotPermitted, Unreachable
from pdtools.fabric import Fabric
from pdtools.fakes import FakeRealm
from pdtools.link import BARRED, staying
from pdtools.target import Target

TARGET = Target("unix:/x", "/x")


class Case:
    """Work that ends on the second link; the first is lost at once."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.realm = FakeRealm(self.clock)
        self.done: list[Any] = []

    async def connect(self) -> Fabric:
        return await self.realm.dial(TARGET)

    def start(self, again: Callable[[], Awaitable[Fabric]], barred: float) -> None:
        async def work(fabric: Fabric) -> str:
            if len(self.realm.links) == 1:
                self.realm.lose()
                raise Unreachable
            return "done"

        working = staying(self.connect, work, self.clock, lambda sentence: None, again, barred=barred)
        Deferred.fromCoroutine(working).addBoth(self.done.append)

    def refusing_for(self, seconds: float) -> Callable[[], Awaitable[Fabric]]:
        async def again() -> Fabric:
            if self.clock.seconds() < seconds:
                raise NotPermitted
            return await self.connect()

        return again

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)


def test_a_daemon_that_starts_may_refuse_for_a_moment() -> None:
    case = Case()
    case.start(case.refusing_for(5), BARRED)
    case.pass_time(20)
    assert case.done == ["done"]


@pytest.mark.parametrize(("barred", "latest"), [(0.0, 2), (BARRED, 30)])
def test_whoever_is_not_let_in_again_gives_up(barred: float, latest: float) -> None:
    case = Case()
    case.start(case.refusing_for(1e9), barred)
    case.pass_time(latest)
    (end,) = case.done
    assert isinstance(end, Failure)
    assert end.check(NotPermitted)
    assert case.clock.getDelayedCalls() == []
