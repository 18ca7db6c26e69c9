"""One coroutine on a reactor, from its start to its end."""

from __future__ import annotations

import signal
from collections.abc import Coroutine
from types import FrameType
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def drive(reactor: Any, work: Coroutine[Any, Any, T]) -> T:
    """Run *reactor* until *work* is done; its result, or its exception.

    The first SIGINT or SIGTERM cancels *work*, which may then say goodbye; the second does not wait for that. Afterwards the
    result is ``KeyboardInterrupt`` or ``SystemExit(143)``, as if there had been no reactor.
    """
    results: list[T | Failure] = []
    signals: list[int] = []
    running: list[Deferred[Any]] = []
    stopped: list[bool] = []

    def begin() -> None:
        running.append(Deferred.fromCoroutine(work))
        running[0].addBoth(results.append).addBoth(lambda _: stop())

    def stop() -> None:
        # The end of the work and the second signal may both want this.
        if not stopped:
            stopped.append(True)
            reactor.stop()

    def interrupt() -> None:
        if len(signals) == 1 and running:
            running[0].cancel()
        else:
            stop()

    def on_signal(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        reactor.callFromThread(interrupt)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    reactor.callWhenRunning(begin)
    try:
        # Twisted's own handlers would stop the reactor under the coroutine.
        reactor.run(installSignalHandlers=False)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if signals:
        raise KeyboardInterrupt if signals[0] == signal.SIGINT else SystemExit(128 + signals[0])
    outcome = results[0]
    if isinstance(outcome, Failure):
        outcome.raiseException()
    return outcome
