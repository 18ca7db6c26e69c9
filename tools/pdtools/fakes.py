"""A device's realm in memory: the twin of what :mod:`pdtools.wamp` dials. A server's is :mod:`pdtools.fake_server`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from paradrop import uris
from paradrop.base.cxbr import DEADLINE
from paradrop.base.exceptions import (
    DeadlineExceeded,
    NotFound,
    Unreachable,
)
from pdtools.fabric import Event, Fabric
from pdtools.target import Target


@dataclass(frozen=True, slots=True)
class Call:
    """What somebody called."""

    uri: str
    args: tuple[Any, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)


class FakeRealm:
    """A device's realm: what is offered on it stays, links come and go. Names are short, as for ``pdtools call``."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.up = True
        """Whether a new link can be made."""
        self.links: list[FakeFabric] = []
        """Every link there ever was, the newest last."""
        self.calls: list[Call] = []
        self.published: list[Event] = []
        self.target: Target | None = None
        """What was dialled last."""
        self.watchers: list[Callable[[Event], None]] = []
        """Who else hears of every event: the servers that the device is connected to."""
        self._procedures: dict[str, Callable[..., Any]] = {}

    def offer(self, name: str, function: Callable[..., Any]) -> None:
        """Register *function*; it may return a Deferred."""
        self._procedures[uris.resolve(name)] = function

    def emit(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Publish an event, as the daemon or a chute would."""
        event = Event(uris.resolve(name), args, kwargs)
        self.publish(event)

    def publish(self, event: Event) -> None:
        """Hand *event* to whoever listens."""
        for link in self.links:
            link.hear(event)
        for watcher in self.watchers:
            watcher(event)

    def lose(self, back_after: float | None = None) -> None:
        """Break every link; *back_after* seconds later a new one can be made (None: at once)."""
        if back_after is not None:
            self.up = False
            self.clock.callLater(back_after, setattr, self, "up", True)
        for link in self.links:
            link.lose()

    def called(self, name: str) -> list[Call]:
        """The calls of one procedure, the oldest first."""
        return [call for call in self.calls if call.uri == uris.resolve(name)]

    async def dial(self, target: Target) -> Fabric:
        """A new link. Raises :class:`Unreachable` while the realm is not :attr:`up`."""
        self.target = target
        if not self.up:
            raise Unreachable(f"No device listens on {target.name}.")
        self.links.append(FakeFabric(self))
        return self.links[-1]

    def answer(self, call: Call) -> Deferred[Any]:
        """What the procedure says."""
        self.calls.append(call)
        if call.uri not in self._procedures:
            raise NotFound(f"nobody has registered {call.uri}")
        return maybeDeferred(self._procedures[call.uri], *call.args, **call.keywords)


class FakeFabric:
    """One link to a :class:`FakeRealm`: a :class:`pdtools.fabric.Fabric`."""

    def __init__(self, realm: FakeRealm) -> None:
        self.closed: Deferred[None] = Deferred()
        self.subscriptions: list[tuple[str, str, Callable[[Event], None]]] = []
        self._realm = realm
        self._pending: list[Deferred[Any]] = []

    @property
    def connected(self) -> bool:
        """Whether the link is there."""
        return not self.closed.called

    async def call(
        self,
        uri: str,
        *args: Any,
        keywords: Mapping[str, Any] | None = None,
        deadline: float = DEADLINE,
        on_progress: Callable[..., None] | None = None,
    ) -> Any:
        """See :meth:`pdtools.fabric.Fabric.call`."""
        self._check()

        def expired(result: object, seconds: float) -> NoReturn:
            raise DeadlineExceeded(f"{uri} gave no answer within {seconds:g} s")

        answer = self._realm.answer(Call(uri, args, dict(keywords or {})))
        answer.addTimeout(deadline, self._realm.clock, expired)
        self._pending.append(answer)
        try:
            return await answer
        finally:
            self._pending.remove(answer)

    async def publish(self, uri: str, *args: Any, keywords: Mapping[str, Any] | None = None) -> None:
        """See :meth:`pdtools.fabric.Fabric.publish`."""
        self._check()
        event = Event(uri, args, dict(keywords or {}))
        self._realm.published.append(event)

    async def subscribe(self, handler: Callable[[Event], None], uri: str, match: str = "exact") -> None:
        """See :meth:`pdtools.fabric.Fabric.subscribe`."""
        self._check()
        self.subscriptions.append((match, uri, handler))

    async def close(self) -> None:
        """See :meth:`pdtools.fabric.Fabric.close`."""
        self._end()

    def lose(self) -> None:
        """Break the link: whatever waits for an answer gets none."""
        self._end()
        for answer in list(self._pending):
            if not answer.called:
                answer.errback(Failure(Unreachable("the link to the fabric is down")))

    def hear(self, event: Event) -> None:
        """Hand *event* to whoever subscribed to it."""
        for match, uri, handler in list(self.subscriptions):
            if self.connected and _matches(match, uri, event.topic):
                handler(event)

    def _end(self) -> None:
        if not self.closed.called:
            self.closed.callback(None)

    def _check(self) -> None:
        if not self.connected:
            raise Unreachable("the link to the fabric is down")


def _matches(match: str, pattern: str, topic: str) -> bool:
    if match == "prefix":
        return topic.startswith(pattern)
    if match == "wildcard":
        wanted, there = pattern.split("."), topic.split(".")
        return len(wanted) == len(there) and all(one in ("", other) for one, other in zip(wanted, there, strict=True))
    return topic == pattern
