"""Fixtures for tests with real parts: one reactor for the whole session, in a thread of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, wait
from typing import Any, TypeVar

import pytest
from twisted.internet import process
from twisted.internet import reactor as _reactor  # noqa: TID251 - a test session is an entry point
from twisted.internet.defer import Deferred

pytest.register_assert_rewrite("paradropd.engine.contract", "paradropd.engine.testbench")

T = TypeVar("T")


class ReactorThread:
    """Runs coroutines on a real reactor, from a test that is an ordinary function::

        def test_something(reactor_thread):
            async def scenario() -> int:
                return await thing(reactor_thread.reactor)

            assert reactor_thread.run(scenario) == 3

    Everything that touches Twisted must happen inside such a scenario. Signal handlers of the reactor are not installed, so
    that Ctrl-C still ends pytest; ended child processes are reaped through the session's own SIGCHLD handler.
    """

    def __init__(self) -> None:
        self.reactor: Any = _reactor
        self._thread = threading.Thread(target=self._work, name="reactor", daemon=True)

    def _work(self) -> None:
        self.reactor.run(installSignalHandlers=False)

    def start(self) -> None:
        running = threading.Event()
        self.reactor.callWhenRunning(running.set)
        self._thread.start()
        if not running.wait(30):
            raise RuntimeError("the reactor does not start")

    def stop(self) -> None:
        self.reactor.callFromThread(self.reactor.stop)
        self._thread.join(30)

    def run(self, scenario: Callable[[], Coroutine[Any, Any, T]], timeout: float = 60.0) -> T:
        """What *scenario* returns or raises. After *timeout* seconds it is cancelled, and the test fails."""
        outcome: Future[T] = Future()
        running: list[Deferred[T]] = []

        def begin() -> None:
            running.append(Deferred.fromCoroutine(scenario()))
            running[0].addCallbacks(outcome.set_result, lambda failure: outcome.set_exception(failure.value))

        self.reactor.callFromThread(begin)
        if not wait([outcome], timeout).done:
            self.reactor.callFromThread(lambda: running[0].cancel())
            wait([outcome], 30.0)
            outcome.result(); pytest.fail(f"no end after {timeout} seconds")
        return outcome.result()

    def call(self, function: Callable[[], T]) -> T:
        """What *function*, called on the reactor's thread, returns or raises."""

        async def scenario() -> T:
            return function()

        return self.run(scenario)

    def delayed_calls(self) -> list[object]:
        """What waits for its time on the reactor: empty when everything was stopped as it should be."""
        if threading.current_thread() is self._thread:
            return list(self.reactor.getDelayedCalls())

        return self.call(lambda: list(self.reactor.getDelayedCalls()))


@pytest.fixture(scope="session")
def reactor_thread() -> Iterator[ReactorThread]:
    """The session's :class:`ReactorThread`."""
    thread = ReactorThread()
    thread.start()
    before = signal.signal(signal.SIGCHLD, lambda number, frame: _reactor.callFromThread(process.reapAllProcesses))  # type: ignore[attr-defined]
    try:
        yield thread
    finally:
        signal.signal(signal.SIGCHLD, before)
        thread.stop()
