"""When releases are asked how they are: each at its own interval, from when it runs until it does not.

A no counts only after the first yes, or when the time is over that the manifest gives the release to start (``health.start``):
one that starts slowly would be ended again and again before it is ready.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from paradrop.manifest.model import Health
from paradropd.chutes.health import HealthChecker
from paradropd.chutes.model import Release

log = Logger(namespace="paradropd.keeper")

Tell = Callable[[Release, int], None]
"""Told after each answer that counts how many noes there were in a row: 0 after a yes."""


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
        health = release.manifest.health
        if self.health is not None and health is not None:
            self._watches[release.chute] = _Watch(self._clock, self.health, release, health, self._tell)

    def proven(self, chute: str) -> None:
        """A change has seen that the chute is healthy: from now on each no counts."""
        watch = self._watches.get(chute)
        if watch is not None:
            watch.count()

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
    def __init__(self, clock: IReactorTime, checker: HealthChecker, release: Release, health: Health, tell: Tell) -> None:
        self.release = release
        self._checker = checker
        self._tell = tell
        self._clock = clock
        self._noes = 0
        self._counts_from = clock.seconds() + health.start
        self._asking: Deferred[None] | None = None
        self._loop = LoopingCall(self._ask)
        self._loop.clock = clock
        self._loop.start(health.interval, now=False)

    def count(self) -> None:
        """It has started: a no is a no from now on."""
        self._counts_from = min(self._counts_from, self._clock.seconds())

    def stop(self) -> None:
        """Also the check that is under way ends."""
        self._loop.stop()
        if self._asking is not None:
            self._asking.cancel()

    def _ask(self) -> Deferred[None]:
        self._asking = Deferred.fromCoroutine(self._checker.healthy(self.release)).addCallback(self._answered)
        # An error must not end the checks.
        return self._asking.addErrback(self._failed)

    def _answered(self, healthy: bool) -> None:
        self._asking = None
        if healthy:
            self.count()
        elif self._clock.seconds() < self._counts_from:
            return
        self._noes = 0 if healthy else self._noes + 1
        if self._loop.running:
            self._tell(self.release, self._noes)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("a health check failed in an unforeseen way", failure)
