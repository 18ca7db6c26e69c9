"""When releases are asked how they are: each at its own interval, from when it runs until it does not."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from paradropd.chutes.health import HealthChecker
from paradropd.chutes.model import Release

log = Logger(namespace="paradropd.keeper")

Tell = Callable[[Release, int], None]
"""Told after each answer how many noes there were in a row: 0 after a yes."""


class Checks:
    """The health checks of all chutes."""

    def __init__(self, clock: IReactorTime, tell: Tell) -> None:
        self.health: HealthChecker | None = None
        """Nobody is asked before this is set."""
        self._clock = clock
        self._tell = tell
        self._watches: dict[str, _Watch] = {}

    def watch(self, release: Release) -> None:
        """Ask *release* from now on. Nothing to do when it is watched, or has no health check."""
        watch = self._watches.get(release.chute)
        if watch is not None and watch.release.number == release.number:
            return
        self.leave(release.chute)
        if self.health is not None and release.manifest.health is not None:
            self._watches[release.chute] = _Watch(self._clock, self.health, release, release.manifest.health.interval, self._tell)

    def leave(self, chute: str) -> None:
        """Ask that chute no more."""
        watch = self._watches.pop(chute, None)
        if watch is not None:
            watch.stop()

    def stop(self) -> None:
        """Leave nothing pending."""
        for chute in list(self._watches):
            self.leave(chute)


class _Watch:
    def __init__(self, clock: IReactorTime, health: HealthChecker, release: Release, interval: float, tell: Tell) -> None:
        self.release = release
        self._health = health
        self._tell = tell
        self._noes = 0
        self._asking: Deferred[None] | None = None
        self._loop = LoopingCall(self._ask)
        self._loop.clock = clock
        self._loop.start(interval, now=False)

    def stop(self) -> None:
        """Also the check that is under way ends."""
        self._loop.stop()
        if self._asking is not None:
            self._asking.cancel()

    def _ask(self) -> Deferred[None]:
        self._asking = Deferred.fromCoroutine(self._health.healthy(self.release)).addCallback(self._answered)
        # An error must not end the checks.
        return self._asking.addErrback(self._failed)

    def _answered(self, healthy: bool) -> None:
        self._asking = None
        self._noes = 0 if healthy else self._noes + 1
        if self._loop.running:
            self._tell(self.release, self._noes)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("a health check failed in an unforeseen way", failure)
