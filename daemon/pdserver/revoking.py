"""Ending the sessions of whoever is not what they were."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from paradrop.base.exceptions import ParadropException
from pdserver.access import DevicePeer, UserPeer
from pdserver.callers import Caller
from pdserver.gate.names import WampRole
from pdserver.presence import Sessions
from pdserver.registry.records import Affected

log = Logger(namespace="pdserver")

AGAIN = 1.0
"""Seconds until it is tried again, when the node gives no answer."""
GRACE = 1.0
"""Seconds that whoever changed something about themselves has to hear the answer: on the session on which they did, only."""


class Revoking:
    """Closes the sessions of those who were changed, at once; they come back as what they are now, or not at all."""

    def __init__(self, clock: IReactorTime, sessions: Sessions) -> None:
        self._clock = clock
        self._sessions = sessions
        self._working: set[Deferred[None]] = set()

    def devices(self, pdids: Iterable[str], reason: str, by: Caller) -> None:
        self._begin(WampRole.DEVICE, frozenset(pdids), reason, by if isinstance(by.peer, DevicePeer) else None)

    def users(self, names: Iterable[str], reason: str, by: Caller) -> None:
        self._begin(WampRole.USER, frozenset(names), reason, by if isinstance(by.peer, UserPeer) else None)

    def affected(self, affected: Affected, reason: str, by: Caller) -> None:
        self.devices(affected.devices, reason, by)
        self.users(affected.users, reason, by)

    def outdated(self) -> None:
        """End the sessions of everybody who is not what they were."""
        self._start(self._sessions.compare, 0.0)

    async def stop(self) -> None:
        for working in list(self._working):
            working.cancel()
            await working

    def _begin(self, role: WampRole, authids: frozenset[str], reason: str, by: Caller | None) -> None:
        """*by*: who asked for it, when that is one of this *role*."""
        spared = by.session if by is not None and by.name in authids else None
        if authids:
            self._start(partial(self._sessions.close, role, authids, reason, spared), 0.0)
        if spared is not None:
            self._start(partial(self._sessions.end, spared, reason), GRACE)

    def _start(self, close: Callable[[], Awaitable[None]], delay: float) -> None:
        working = Deferred.fromCoroutine(self._until_closed(close, delay))
        self._working.add(working)
        working.addErrback(lambda failure: None if failure.check(CancelledError) else failure)
        working.addErrback(lambda failure: log.failure("closing sessions", failure))
        working.addBoth(lambda _: self._working.discard(working))

    async def _until_closed(self, close: Callable[[], Awaitable[None]], delay: float) -> None:
        if delay:
            await deferLater(self._clock, delay)
        while True:
            try:
                await close()
            except ParadropException as problem:
                log.warn("sessions that must end are closed again: {problem}", problem=problem)
                await deferLater(self._clock, AGAIN)
            else:
                return
