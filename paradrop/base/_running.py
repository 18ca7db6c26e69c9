"""The life of a program that has a reactor: for entry points."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning

ENDING = (signal.SIGINT, signal.SIGTERM)


def run(
    reactor: Any,
    start: Callable[[], object],
    stop: Callable[[], Coroutine[Any, Any, None]],
    signals: Sequence[signal.Signals] = ENDING,
) -> None:
    """Run *reactor* until :func:`end` or one of *signals*; it ends once *stop* has.

    Neither *start* nor *stop* may fail: what goes wrong in them is theirs to tell.
    """

    def listen() -> None:
        for number in signals:
            signal.signal(number, lambda number, frame: reactor.callFromThread(end, reactor))

    reactor.callWhenRunning(listen)
    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(stop()))
    reactor.run()


def end(reactor: Any) -> None:
    """End :func:`run`; nothing where it is ending already: Twisted's own handlers would log a traceback."""
    with suppress(ReactorNotRunning):
        reactor.stop()
