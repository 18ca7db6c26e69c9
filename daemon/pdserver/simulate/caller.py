"""Calls among simulated devices, at a rate that does not wait for the answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from autobahn.wamp.types import CallOptions
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pdserver.simulate.device import SimulatedDevice
from pdserver.simulate.tally import Tally

DEADLINE = 10.0
"""Seconds for one call."""


class Caller:
    """One series of calls: each from a random device that is there, to a random device of the whole fleet."""

    def __init__(
        self,
        clock: IReactorTime,
        perf: Callable[[], float],
        devices: Sequence[SimulatedDevice],
        choose: Callable[[str], str],
        tally: Tally,
        dice: random.Random,
    ) -> None:
        """*perf*: seconds, exactly; *choose* gives the procedure that this device calls next."""
        self._clock = clock
        self._perf = perf
        self._devices = devices
        self._choose = choose
        self._tally = tally
        self._dice = dice
        self._seconds: list[float] = []
        self._errors: dict[str, int] = {}
        self._open = 0
        self._made = 0
        self._wanted = 0
        self._done: Deferred[dict[str, Any]] = Deferred()

    def run(self, rate: float, seconds: float, deadline: float = DEADLINE) -> Deferred[dict[str, Any]]:
        """*rate* calls a second for so long. Fires with the seconds that each answer took, and how often which error came."""
        self._wanted = round(rate * seconds)
        self._rate = rate
        self._options = CallOptions(timeout=deadline)
        self._since = self._clock.seconds()
        self._next()
        return self._done

    def _next(self) -> None:
        due = min(self._wanted, int((self._clock.seconds() - self._since) * self._rate) + 1)
        while self._made < due:
            self._made += 1
            self._call()
        if self._made < self._wanted:
            self._clock.callLater(max(0.0, self._since + self._made / self._rate - self._clock.seconds()), self._next)
        elif self._open == 0:
            self._end()

    def _call(self) -> None:
        device = self._dice.choice(self._devices)
        link = device.link
        if link is None:
            self._failed("CallerOffline")
            return
        self._open += 1
        begun = self._perf()

        def answered(_: object) -> None:
            self._seconds.append(round(self._perf() - begun, 6))
            self._tally.called += 1

        def failed(failure: Any) -> None:
            self._failed(failure.type.__name__)

        def closed(_: object) -> None:
            self._open -= 1
            if self._made == self._wanted and self._open == 0:
                self._clock.callLater(0, self._end)

        answer: Any = link.stockCall(self._choose(device.pdid), "a short text", options=self._options)
        answer.addCallbacks(answered, failed).addCallback(closed)

    def _failed(self, name: str) -> None:
        self._tally.failed += 1
        self._errors[name] = self._errors.get(name, 0) + 1

    def _end(self) -> None:
        if not self._done.called:
            took = self._clock.seconds() - self._since
            errors = [[name, count] for name, count in sorted(self._errors.items())]
            self._done.callback({"seconds": self._seconds, "errors": errors, "took": [took]})
