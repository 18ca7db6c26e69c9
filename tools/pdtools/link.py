"""Work that outlives its link: a command that follows something connects again and goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from paradrop.base.exceptions import DeadlineExceeded, NotPermitted, Unreachable
from pdtools.fabric import Fabric

T = TypeVar("T")
FIRST, LARGEST = 1.0, 10.0
"""Seconds between two attempts, doubling from the first to the largest."""
BARRED = 10.0
"""Seconds that a control socket may refuse links: a daemon that starts has it there for a moment before its permissions."""


async def staying(
    connect: Callable[[], Awaitable[Fabric]],
    work: Callable[[Fabric], Awaitable[T]],
    clock: IReactorTime,
    tell: Callable[[str], None],
    again: Callable[[], Awaitable[Fabric]] | None = None,
    name: str = "the device",
    barred: float = 0.0,
) -> T:
    """Do *work* on a link, and again on a new one each time the link is lost; *tell* gets a sentence about both.

    *work* must be able to start over: what it has seen, it keeps outside. Errors of the first connection attempt, and errors of
    *work* that a new link cannot mend, are raised. *again* makes the links after the first, where that takes more than
    *connect*: as long as it raises :class:`Unreachable`, it is tried again. *name* is whom the link leads to. *barred*: seconds
    for which :class:`NotPermitted` is tried again as well, see :data:`BARRED`; a server means what it says.
    """
    fabric = await connect()
    while True:
        try:
            return await work(fabric)
        except (Unreachable, DeadlineExceeded) as lost:
            # A callee may raise Unreachable itself (its uplink is down, say): that is an answer, and ours is well.
            if fabric.connected and isinstance(lost, Unreachable):
                raise
        finally:
            await fabric.close()
        tell(f"The link to {name} is lost; trying to connect again.")
        fabric = await _again(again or connect, clock, barred)
        tell("Connected again.")


async def _again(connect: Callable[[], Awaitable[Fabric]], clock: IReactorTime, barred: float) -> Fabric:
    wait = backoffPolicy(FIRST, LARGEST, factor=2, jitter=lambda: 0.0)
    attempt = 0
    refused_at: float | None = None
    while True:
        await pause(clock, wait(attempt))
        try:
            return await connect()
        except (Unreachable, DeadlineExceeded):
            refused_at = None
        except NotPermitted:
            refused_at = clock.seconds() if refused_at is None else refused_at
            if clock.seconds() - refused_at >= barred:
                raise
        attempt += 1


async def pause(clock: IReactorTime, seconds: float) -> None:
    """Wait."""
    over: Deferred[None] = Deferred()
    timer = clock.callLater(seconds, over.callback, None)
    try:
        await over
    finally:
        if timer.active():
            timer.cancel()
