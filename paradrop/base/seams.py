"""The seams to the outside that almost everything needs, as small protocols."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from twisted.internet.threads import deferToThread

P = ParamSpec("P")
R = TypeVar("R")

WallClock = Callable[[], float]
"""Seconds since the epoch: ``time.time``, or a test's own."""


class Threads(Protocol):
    """Runs blocking calls somewhere else than on the reactor's thread."""

    def __call__(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        """*function*'s result, or its exception."""


async def in_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """The :class:`Threads` of a running program: the reactor's own pool."""
    return await deferToThread(function, *args, **kwargs)


async def inline(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """A :class:`Threads` for tests: the call happens at once, on the caller's thread."""
    return function(*args, **kwargs)
