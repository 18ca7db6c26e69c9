"""One coroutine on a reactor, and what signals do to it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from pdtools.driver import drive


class Reactor:
    """As much of a reactor as :func:`drive` uses: its turns are the functions it was given."""

    def __init__(self, *turns: Callable[[], Any]) -> None:
        self.queue: list[Callable[[], Any]] = []
        self.turns = list(turns)
        self.stops = 0

    def callWhenRunning(self, function: Callable[[], Any]) -> None:
        self.queue.append(function)

    def callFromThread(self, function: Callable[[], Any]) -> None:
        self.queue.append(function)

    def stop(self) -> None:
        self.stops += 1

    def run(self, installSignalHandlers: bool) -> None:
        assert not installSignalHandlers
        while not self.stops:
            (self.queue or self.turns).pop(0)()
            while self.queue:
                self.queue.pop(0)()


def press(number: int) -> Callable[[], None]:
    return lambda: signal.raise_signal(signal.Signals(number))


def test_a_result() -> None:
    waited: Deferred[int] = Deferred()

    async def work() -> int:
        return await waited

    reactor = Reactor(lambda: waited.callback(5))
    assert drive(reactor, work()) == 5
    assert reactor.stops == 1


def test_an_exception() -> None:
    async def work() -> None:
        raise LookupError("none")

    with pytest.raises(LookupError, match="none"):
        drive(Reactor(), work())


@pytest.mark.parametrize(("number", "end"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_cancels_and_lets_the_work_say_goodbye(number: int, end: type[BaseException]) -> None:
    said: list[str] = []
    goodbye: Deferred[None] = Deferred()

    async def work() -> None:
        try:
            await Deferred()
        except CancelledError:
            await goodbye
            said.append("goodbye")
            raise

    before = signal.getsignal(number)
    with pytest.raises(end):
        drive(Reactor(press(number), lambda: goodbye.callback(None)), work())
    assert said == ["goodbye"]
    assert signal.getsignal(number) is before


def test_the_second_signal_does_not_wait() -> None:
    async def work() -> None:
        try:
            await Deferred()
        finally:
            await Deferred(lambda _: None)

    with pytest.raises(KeyboardInterrupt):
        drive(Reactor(press(signal.SIGINT), press(signal.SIGINT)), work())


def test_the_exit_code_of_a_terminated_command() -> None:
    async def work() -> None:
        await Deferred()

    with pytest.raises(SystemExit) as ended:
        drive(Reactor(press(signal.SIGTERM)), work())
    assert ended.value.code == 143
