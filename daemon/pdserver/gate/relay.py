"""Tells devices what is wanted of them: newest only, some at a time, again when it failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pdserver.gate.demand import Demand, Pattern, concerned

SCANNED = 500
"""Devices that are looked at in one turn of the reactor; a prefix subscription may concern all there are."""
SENDING = 20
"""How much longer than a look it takes to tell a device something; one turn of the reactor has time for :data:`SCANNED` looks."""
WINDOW = 1000
"""Devices that may owe an answer at a time."""
RETRY = 1.0
LONGEST_RETRY = 10.0
"""Seconds until a device that did not answer is told again, doubling."""

Tell = Callable[[str, list[Pattern]], Awaitable[None]]
"""``pdid, patterns``: raises when the device has not taken it."""


class _Telling:
    """One device that is being told something, or is to be told again."""

    __slots__ = ("again", "failures", "timer")

    def __init__(self) -> None:
        self.again = False
        self.failures = 0
        self.timer: IDelayedCall | None = None


class Relay:
    """Follows :class:`Demand`, and keeps each device that is online told of the whole list."""

    def __init__(self, clock: IReactorTime, demand: Demand, online: Callable[[], set[str]], tell: Tell, coalesce: float) -> None:
        """*coalesce*: seconds to wait for more changes before anybody is told."""
        self._clock = clock
        self._demand = demand
        self._online = online
        self._tell = tell
        self._coalesce = coalesce
        self._scans: deque[Iterator[str | None]] = deque()
        self._changed: dict[str, None] = {}
        self._telling: dict[str, _Telling] = {}
        self._told: dict[str, list[Pattern]] = {}
        """What each device knows, unless that is nothing."""
        self._owing = 0
        """How many have been told something and have not answered."""
        self._due: IDelayedCall | None = None

    def subscribed(self, listener: str, match: str, uri: str) -> None:
        if self._demand.subscribed(listener, match, uri):
            self._scan(match, uri)

    def unsubscribed(self, listener: str, match: str, uri: str) -> None:
        if self._demand.unsubscribed(listener, match, uri):
            self._scan(match, uri)

    def joined(self, pdid: str) -> None:
        """The device can be called, and knows nothing."""
        if len(self._demand):
            self._changed[pdid] = None
            self._wake(self._coalesce)

    def left(self, pdid: str) -> None:
        self._told.pop(pdid, None)
        self._changed.pop(pdid, None)
        telling = self._telling.pop(pdid, None)
        if telling is not None and telling.timer is not None:
            telling.timer.cancel()

    def stop(self) -> None:
        """Leave no timer behind."""
        for pdid in list(self._telling):
            self.left(pdid)
        self._scans.clear()
        self._changed.clear()
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _scan(self, match: str, uri: str) -> None:
        self._scans.append(concerned(match, uri, _late(self._online)))
        self._wake(self._coalesce)

    def _wake(self, delay: float) -> None:
        if self._due is None:
            self._due = self._clock.callLater(delay, self._work)

    def _work(self) -> None:
        self._due = None
        online = self._online()
        looked = 0
        while self._scans and looked < SCANNED:
            looked += 1
            try:
                pdid = next(self._scans[0])
            except StopIteration:
                self._scans.popleft()
                continue
            if pdid is not None and pdid in online:
                self._changed[pdid] = None
        while not self._scans and self._changed and looked < SCANNED and self._owing < WINDOW:
            pdid = next(iter(self._changed))
            del self._changed[pdid]
            looked += SENDING if self._update(pdid) else 1
        if self._scans or (self._changed and self._owing < WINDOW):
            self._wake(0)

    def _update(self, pdid: str) -> bool:
        """Tell *pdid* unless it knows already. Returns whether it is told."""
        telling = self._telling.get(pdid)
        if telling is not None:
            telling.again = True
            return False
        wanted = self._demand.wanted(pdid)
        if pdid not in self._online() or wanted == self._told.get(pdid, []):
            return False
        telling = self._telling[pdid] = _Telling()
        self._send(pdid, telling, wanted)
        return True

    def _send(self, pdid: str, telling: _Telling, wanted: list[Pattern]) -> None:
        telling.again = False
        ensureDeferred(self._told_it(pdid, telling, wanted))

    async def _told_it(self, pdid: str, telling: _Telling, wanted: list[Pattern]) -> None:
        self._owing += 1
        try:
            await self._tell(pdid, wanted)
            failed = False
        except Exception:  # noqa: BLE001 - however the device failed, it is told again
            failed = True
        self._owing -= 1
        if self._changed:
            self._wake(self._coalesce)
        if failed:
            if self._telling.get(pdid) is telling:
                delay = min(RETRY * 2**telling.failures, LONGEST_RETRY)
                telling.failures = min(telling.failures + 1, 10)
                telling.timer = self._clock.callLater(delay, self._retry, pdid, telling)
            return
        if self._telling.get(pdid) is not telling:
            return  # it has left since, and knows nothing
        del self._telling[pdid]
        if wanted:
            self._told[pdid] = wanted
        else:
            self._told.pop(pdid, None)
        if telling.again:
            self._changed[pdid] = None
            self._wake(self._coalesce)

    def _retry(self, pdid: str, telling: _Telling) -> None:
        telling.timer = None
        self._send(pdid, telling, self._demand.wanted(pdid))


def _late(online: Callable[[], set[str]]) -> Iterator[str]:
    """The devices that are online when somebody begins to look: the set changes between two turns."""
    yield from list(online())
