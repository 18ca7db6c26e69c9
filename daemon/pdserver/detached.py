"""Work that goes on when whoever asked for it has gone."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

R = TypeVar("R")


async def detached(work: Coroutine[Any, Any, R], running: set[Deferred[None]] | None = None) -> R:
    """What *work* returns or raises. A caller who cancels hears of it no more, and *work* goes on to its end: what was committed
    has consequences, and they must follow. *running* contains it until then."""
    result: Deferred[R] = Deferred()
    doing = Deferred.fromCoroutine(work)
    ended: Deferred[None] = Deferred()
    if running is not None:
        running.add(ended)

    def end(outcome: Any) -> Any:
        if running is not None:
            running.discard(ended)
        ended.callback(None)
        return outcome

    doing.addBoth(end)
    doing.chainDeferred(result)
    return await result
