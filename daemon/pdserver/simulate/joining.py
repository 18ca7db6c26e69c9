"""How fast a fleet comes in at first. When it comes back later, nobody holds it: each device follows its own backoff."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime


class Joining:
    """Begins device after device: at most *rate* in a second, and never more than *joining* on their way at the same time."""

    def __init__(self, clock: IReactorTime, begin: Callable[[int], None], count: int, rate: float, joining: int) -> None:
        """*begin* is given the numbers from 0 to *count*; *rate* 0 means that time does not matter."""
        self._clock = clock
        self._begin = begin
        self._count = count
        self._rate = rate
        self._joining = joining
        self._begun = 0
        self._settled = 0
        self._since = clock.seconds()
        self._waiting = False

    def start(self) -> None:
        self._since = self._clock.seconds()
        self._go_on()

    def settled(self) -> None:
        """One of those on their way is there, or will not come."""
        self._settled += 1
        self._go_on()

    def _go_on(self) -> None:
        while self._begun < self._count and self._begun - self._settled < self._joining:
            wait = self._begun / self._rate - (self._clock.seconds() - self._since) if self._rate else 0.0
            if wait > 0:
                if not self._waiting:
                    self._waiting = True
                    self._clock.callLater(wait, self._later)
                return
            self._begun += 1
            self._begin(self._begun - 1)

    def _later(self) -> None:
        self._waiting = False
        self._go_on()
