"""A fabric in memory, for testing a chute without a device.

::

    from paradrop.testing import MemoryFabric
    from main import chute

    def test_greet():
        fabric = MemoryFabric()
        fabric.join(chute)
        assert fabric.call("hello.greet", "World") == "Hello, World!"

Everything happens at once, in the caller's thread: plain functions too. The same rules apply as on a device: a chute registers
and publishes in its own space only, and calls and subscribes to others only where *uses* names them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from autobahn.wamp.request import Registration
from autobahn.wamp.types import CallDetails
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from paradrop import uris
from paradrop.base.exceptions import Conflict, NotFound, NotPermitted
from paradrop.base.seams import inline
from paradrop.chute import Chute


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was published."""

    topic: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Offered:
    owner: MemorySession
    endpoint: Callable[..., Any]
    details: str | None


TESTER = "tester"
"""Who calls, in the details of a call that a test makes; the role is ``owner``."""


class MemoryFabric:
    """The realm of a device that is only in memory. ``clock`` moves time for :meth:`Chute.every`."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.events: list[Event] = []
        """Everything published so far, oldest first; topics as a person writes them (``hello.ticks``)."""
        self._procedures: dict[str, _Offered] = {}
        self._subscriptions: list[tuple[MemorySession, str, str, Callable[..., Any]]] = []

    def join(self, chute: Chute, *, uses: Sequence[str] = ()) -> MemorySession:
        """Let *chute* join, with *uses* as its manifest's ``fabric.uses``. Raises what its registrations raise."""
        chute._threads = inline
        chute._blocking = lambda function: settled(maybeDeferred(function))
        session = MemorySession(self, chute, tuple(uses))
        settled(Deferred.fromCoroutine(chute.attach(session)))
        return session

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What *name* (``hello.greet``) answers. Raises what it raises, and ``NotFound`` when nobody has registered it."""
        return settled(self._call(uris.resolve(name), args, kwargs, TESTER, "owner"))

    def publish(self, topic: str, *args: Any, **kwargs: Any) -> None:
        """Publish an event as if another chute, or a person, had."""
        self._publish(uris.resolve(topic), args, kwargs)

    def events_of(self, topic: str) -> list[tuple[Any, ...]]:
        """The positional arguments of each event of *topic*, oldest first."""
        return [event.args for event in self.events if event.topic == topic]

    def _call(self, uri: str, args: tuple[Any, ...], kwargs: dict[str, Any], caller: str, role: str) -> Deferred[Any]:
        offered = self._procedures.get(uri)
        if offered is None:
            return fail(NotFound(f"nobody has registered {uri}"))
        if offered.details:
            registration = Registration(offered.owner, 1, uri, offered.endpoint)
            details = CallDetails(registration, caller_authid=caller, caller_authrole=role, procedure=uri)
            kwargs = {**kwargs, offered.details: details}
        return maybeDeferred(offered.endpoint, *args, **kwargs)

    def _publish(self, uri: str, args: tuple[Any, ...], kwargs: dict[str, Any], publisher: MemorySession | None = None) -> None:
        self.events.append(Event(uris.short(uri), args, kwargs))
        for owner, topic, match, handler in list(self._subscriptions):
            # Who publishes does not get the event (WAMP, section "Publisher Exclusion").
            if owner is not publisher and (uri == topic or (match == "prefix" and uri.startswith(topic))):
                maybeDeferred(handler, *args, **kwargs)


class MemorySession:
    """One chute's link to a :class:`MemoryFabric`."""

    def __init__(self, fabric: MemoryFabric, chute: Chute, uses: tuple[str, ...]) -> None:
        self.fabric = fabric
        self.chute = chute
        self.uses = uses
        self.clock = fabric.clock

    def lose(self) -> None:
        """Break the link: what the chute registered is gone, until it joins again."""
        procedures, subscriptions = self.fabric._procedures, self.fabric._subscriptions
        for uri in [uri for uri, offered in procedures.items() if offered.owner is self]:
            del procedures[uri]
        subscriptions[:] = [entry for entry in subscriptions if entry[0] is not self]
        self.chute.detach()

    def stockRegister(self, endpoint: Callable[..., Any], procedure: str, options: Any = None) -> Deferred[None]:
        if not self._may("register", procedure):
            return fail(NotPermitted(f"you may not register {procedure}"))
        if procedure in self.fabric._procedures and not getattr(options, "force_reregister", False):
            return fail(Conflict(f"{procedure} is registered already"))
        self.fabric._procedures[procedure] = _Offered(self, endpoint, getattr(options, "details_arg", None))
        return succeed(None)

    def stockSubscribe(self, handler: Callable[..., Any], topic: str, options: Any = None) -> Deferred[None]:
        match = getattr(options, "match", None) or "exact"
        if not self._may("subscribe", topic, match):
            return fail(NotPermitted(f"you may not subscribe to {topic}"))
        self.fabric._subscriptions.append((self, topic, match, handler))
        return succeed(None)

    def stockPublish(self, topic: str, *args: Any, **kwargs: Any) -> None:
        if self._may("publish", topic):
            self.fabric._publish(topic, args, kwargs, self)

    def stockCall(self, procedure: str, *args: Any, options: Any = None, **kwargs: Any) -> Deferred[Any]:
        if not self._may("call", procedure):
            return fail(NotPermitted(f"you may not call {procedure}"))
        return self.fabric._call(procedure, args, kwargs, self.chute.name, "chute")

    def _may(self, action: str, uri: str, match: str = "exact") -> bool:
        return uris.chute_may(self.chute.name, self.uses, action, uri, match)


def settled(deferred: Deferred[Any]) -> Any:
    """The result that *deferred* has by now, or its exception raised. Raises ``AssertionError`` when it has none yet."""
    outcome: list[Any] = []
    deferred.addBoth(outcome.append)
    assert outcome, "it is still waiting for something; in memory everything is to happen at once"
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return outcome[0]
