"""Coroutines that nobody waits for, and that must not outlive their owner."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from paradrop.base.exceptions import ParadropException

_log = Logger()


class Background:
    """Starts coroutines, logs what they fail with, and cancels at the end those that still run."""

    def __init__(self) -> None:
        self._running: set[Deferred[None]] = set()

    def __call__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        deferred = Deferred.fromCoroutine(coroutine)
        self._running.add(deferred)
        deferred.addErrback(_report).addBoth(lambda _: self._running.discard(deferred))

    def close(self) -> None:
        for deferred in list(self._running):
            deferred.cancel()


def _report(failure: Failure) -> None:
    if failure.check(CancelledError):
        return
    if failure.check(ParadropException):
        _log.warn("Docker: {problem}", problem=failure.getErrorMessage())
    else:
        _log.failure("while watching Docker", failure)
