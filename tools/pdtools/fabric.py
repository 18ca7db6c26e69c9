"""The fabric as the commands see it: five verbs, and word of the link's end.

:class:`pdtools.wamp.WampFabric` is the real one, :class:`pdtools.testing.FakeFabric` its twin in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from paradrop.base.cxbr import DEADLINE
from paradrop.base.exceptions import Unreachable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Event:
    """Something somebody published."""

    topic: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


class Fabric(Protocol):
    """One joined session.

    Every method raises errors of the tree only: :class:`Unreachable` when the link is down, :class:`DeadlineExceeded`,
    :class:`NotFound` when nobody has registered a procedure, :class:`NotPermitted`, and what the callee raised.
    """

    closed: Deferred[None]
    """Fires once the link is gone, whoever ended it."""

    @property
    def connected(self) -> bool:
        """Whether the link is there."""

    async def call(
        self,
        uri: str,
        *args: Any,
        keywords: Mapping[str, Any] | None = None,
        deadline: float = DEADLINE,
        on_progress: Callable[..., None] | None = None,
    ) -> Any:
        """The result of the procedure *uri*. *keywords* are apart from the options, so that both may have any name."""

    async def publish(self, uri: str, *args: Any, keywords: Mapping[str, Any] | None = None) -> None:
        """Publish, and wait until the router has taken it."""

    async def subscribe(self, handler: Callable[[Event], None], uri: str, match: str = "exact") -> None:
        """Hear events of *uri*; *match* is ``exact``, ``prefix`` or ``wildcard`` (WAMP, "Pattern-based Subscriptions")."""

    async def close(self) -> None:
        """Leave. Nothing to do when the link is gone."""


class Inbox(Generic[T]):
    """What a command waits for, in order: items put in by event handlers, a pause that is over, the end of the link."""

    def __init__(self, fabric: Fabric, clock: IReactorTime) -> None:
        self._fabric = fabric
        self._clock = clock
        self._items: deque[T] = deque()
        self._waiter: Deferred[None] | None = None
        fabric.closed.addBoth(lambda _: self._wake())

    def put(self, item: T) -> None:
        self._items.append(item)
        self._wake()

    def clear(self) -> None:
        self._items.clear()

    async def next(self, pause: float | None = None) -> T | None:
        """The oldest item, or None after *pause* seconds without one. Raises :class:`Unreachable` when the link is gone."""
        if not self._items and self._fabric.connected:
            self._waiter = Deferred()
            timer = None if pause is None else self._clock.callLater(pause, self._wake)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None and timer.active():
                    timer.cancel()
        if self._items:
            return self._items.popleft()
        if not self._fabric.connected:
            raise Unreachable("The link to the device is gone.")
        return None

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)
