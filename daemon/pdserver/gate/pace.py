"""A fleet that comes back all at once is let in at the pace that the router can bear.

Accepting costs a router little, and all that follows (TLS, the key, the service's answer, the registration) much. If everybody
is accepted at once, everybody's turn comes late: with 10,000 devices later than either side waits, so that all begin again, and
nobody ever gets in. So nobody is accepted while the reactor is late; those who wait stay in the kernel's queue, in their order.
Whoever connects and says nothing makes no work, and holds nobody up. Nor does whoever has joined and keeps the reactor late for
good: some are let in all the same.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

log = Logger(namespace="pdserver.gate")

TICK = 0.02
"""Seconds between two looks."""
LATE = 0.03
"""Seconds that a look may be late before nobody else is accepted."""
LONGEST = 0.25
"""Seconds without accepting anybody, however late the reactor is; then for one turn of it they are accepted again."""
AT_ONCE = 20
"""Connections accepted in one go; Twisted (26.10) begins with 100, and takes more each time that there were as many."""


class Pace:
    """Stops the reactor's TCP ports from accepting while it is late."""

    def __init__(self, reactor: Any, tick: float = TICK, late: float = LATE) -> None:
        self._reactor = reactor
        self._tick = tick
        self._late = late
        self._stopped: list[Any] = []
        self._due = 0.0
        self._since = 0.0
        """When accepting was stopped."""
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def start(self) -> None:
        self._due = self._reactor.seconds() + self._tick
        self._looking.start(self._tick, now=False).addErrback(self._failed)

    def stop(self) -> None:
        """Let everybody in again."""
        if self._looking.running:
            self._looking.stop()
        self._resume()

    def _look(self) -> None:
        now = self._reactor.seconds()
        behind, self._due = now - self._due, now + self._tick
        if behind <= self._late or (self._stopped and now - self._since >= LONGEST):
            self._resume()
        elif not self._stopped:
            self._since = now
            self._stopped = [each for each in self._reactor.getReaders() if _listens(each)]
            for port in self._stopped:
                port.stopReading()

    def _failed(self, failure: Failure) -> None:
        log.failure("nobody looks any more whether the router is late", failure)
        self._resume()

    def _resume(self) -> None:
        stopped, self._stopped = self._stopped, []
        for port in stopped:
            if port.connected:  # it may have been closed in the meantime
                port.numberAccepts = AT_ONCE
                port.startReading()


def _listens(reader: Any) -> bool:
    """Whether *reader* is a TCP port: the service's own way in, a unix socket, is never closed."""
    return isinstance(reader, tcp.Port) and not isinstance(reader, unix.Port)
