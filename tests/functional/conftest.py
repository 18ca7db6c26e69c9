"""Fixtures for tests with real parts: one reactor for the whole session, in a thread of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, wait
from typing import Any, TypeVar

import pytest
from twisted.internet import process
from twisted.internet import reactor as _reactor  # noqa: TID251 - a test session is an entry point
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

T = TypeVar("T")


class ReactorThread:
    """Runs coroutines on a real reactor, from a test that is an ordinary function::

        def test_something(reactor_thread):
            async def scenario() -> int:
                return await thing(reactor_thread.reactor)

            assert reactor_thread.run(scenario) == 3

    Everything that touches Twisted must happen inside such a scenario. Signal handlers of the reactor are not installed, so
    that Ctrl-C still ends pytest; the :class:`Reaper` stands in for the one that matters.
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
            outcome.result()
            pytest.fail(f"no end after {timeout} seconds")
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


@implementer(IReadDescriptor)
class Reaper:
    """Tells the reactor that a child process has ended.

    A handler written in Python is too late for this: the main thread would run it only when it wakes up, and it waits for the
    very scenario that waits for the child. The interpreter writes to its wake-up descriptor at once, from any thread.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def install(self) -> None:
        """To be called on the main thread."""
        self._handler = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.siginterrupt(signal.SIGCHLD, False)
        self._descriptor = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._reactor.callFromThread(self._reactor.addReader, self)

    def uninstall(self) -> None:
        """To be called on the main thread."""
        signal.set_wakeup_fd(self._descriptor)
        signal.signal(signal.SIGCHLD, self._handler)
        self._reactor.callFromThread(self._reactor.removeReader, self)

    def fileno(self) -> int:
        return self._read

    def doRead(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 1 << 16)
        process.reapAllProcesses()

    def connectionLost(self, reason: object) -> None:
        """The pipe ends with the process."""

    def logPrefix(self) -> str:
        return "reaper"


@pytest.fixture(scope="session")
def reactor_thread() -> Iterator[ReactorThread]:
    """The session's :class:`ReactorThread`."""
    thread = ReactorThread()
    thread.start()
    reaper = Reaper(thread.reactor)
    reaper.install()
    try:
        yield thread
    finally:
        reaper.uninstall()
        thread.stop()
