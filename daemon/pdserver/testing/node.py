"""A realm and its gate in memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from autobahn.wamp.request import Registration
from autobahn.wamp.types import CallDetails
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock

from paradrop import uris
from paradrop.base.exceptions import NotFound
from paradrop.testing import settled
from pdserver.gate import names
from pdserver.gate.names import WampRole


@dataclass(eq=False)
class Peer:
    """A session on the node, and whoever is at its other end."""

    node: MemoryNode
    id: int
    authrole: str
    authid: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    lost: Callable[[], None] = lambda: None

    def call(self, uri: str, *args: Any, **kwargs: Any) -> Any:
        """What *uri* answers, or raises; it must do that without time passing."""
        return settled(self.node.call(self, uri, args, kwargs))

    def stockCall(self, uri: str, *args: Any, options: Any = None, **kwargs: Any) -> Deferred[Any]:
        return self.node.call(self, uri, args, kwargs)

    def stockPublish(self, topic: str, *args: Any, options: Any = None, **kwargs: Any) -> Deferred[None]:
        self.node.publish(topic, args, getattr(options, "eligible_authid", None))
        return succeed(None)

    def stockRegister(self, endpoint: Callable[..., Any], uri: str, options: Any = None) -> Deferred[None]:
        if self.node.refusing_names is not None:
            return fail(self.node.refusing_names)
        self.node.offered[uri] = (self, endpoint, options)
        return succeed(None)

    def stockSubscribe(self, handler: Callable[..., Any], topic: str, options: Any = None) -> Deferred[None]:
        self.node.subscribed.append((self, topic, handler))
        return succeed(None)

    def stop(self) -> None:
        """Leave the node."""
        self.node.drop(self)


@dataclass(frozen=True, slots=True)
class Event:
    topic: str
    args: tuple[Any, ...]
    users: tuple[str, ...] | None
    """To whom it was restricted."""


class MemoryNode:
    """A realm and its gate, as a table."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.up = True
        self.offered: dict[str, tuple[Peer, Callable[..., Any], Any]] = {}
        self.subscribed: list[tuple[Peer, str, Callable[..., Any]]] = []
        self.events: list[Event] = []
        self.peers: dict[int, Peer] = {}
        self.closed: list[tuple[str, str, str]] = []
        """Role, name and reason of each session that the server has ended."""
        self.refusing: Exception | None = None
        """Raised instead of an answer, by the gate."""
        self.refusing_names: Exception | None = None
        """Raised instead of a registration."""
        self._last = 100
        self.router = self._peer("trusted", "router", {})

    def join(self, authrole: str, authid: str, extra: Mapping[str, Any] | None = None) -> Peer:
        """A session of that peer, whose joining everybody hears who listens to the router's own events."""
        peer = self._peer(authrole, authid, extra or {})
        self.peers[peer.id] = peer
        details = {"session": peer.id, "authrole": authrole, "authid": authid, "authextra": dict(peer.extra)}
        self.publish("wamp.session.on_join", (details,))
        return peer

    def drop(self, peer: Peer) -> None:
        """That session ends, and takes along what it had registered."""
        self.peers.pop(peer.id, None)
        for uri in [uri for uri, (owner, _, _) in self.offered.items() if owner is peer]:
            del self.offered[uri]
        self.subscribed[:] = [entry for entry in self.subscribed if entry[0] is not peer]
        peer.lost()

    def call(self, caller: Peer, uri: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Deferred[Any]:
        if uri in (names.SESSIONS, names.CLOSE, names.ONLINE):
            return maybeDeferred(self._gate, uri, *args)
        found = self._find(uri)
        if found is None:
            return fail(NotFound(f"nobody has registered {uri}"))
        callee, endpoint, options = found
        if getattr(options, "details_arg", None):
            details = CallDetails(
                Registration(callee, 1, uri, endpoint),
                caller=caller.id,
                caller_authid=caller.authid,
                caller_authrole=caller.authrole,
                procedure=uri,
            )
            kwargs = {**kwargs, options.details_arg: details}
        answer = endpoint(*args, **kwargs)
        return Deferred.fromCoroutine(answer) if isinstance(answer, Coroutine) else maybeDeferred(lambda: answer)

    def publish(self, topic: str, args: tuple[Any, ...], users: Any = None) -> None:
        self.events.append(Event(topic, args, tuple(users) if users is not None else None))
        for _, subscribed, handler in list(self.subscribed):
            if subscribed == topic:
                handler(*args)

    def presence(self, pdid: str, online: bool) -> None:
        """As the gate says it."""
        self.publish(names.PRESENCE, (pdid, online))

    def online(self) -> list[str]:
        devices = [peer.authid for peer in self.peers.values() if peer.authrole == WampRole.DEVICE]
        return sorted(pdid for pdid in devices if uris.device_space(pdid) in self.offered)

    def _gate(self, uri: str, *args: Any) -> Any:
        if self.refusing is not None:
            raise self.refusing
        if uri == names.ONLINE:
            return self.online()
        if uri == names.SESSIONS:
            return [
                [peer.id, peer.authrole, peer.authid, peer.extra.get("pubkey", ""), peer.extra.get("stamp", "")]
                for peer in self.peers.values()
                if peer.authrole != WampRole.SERVER
            ]
        sessions, reason = args
        for peer in [self.peers[session] for session in sessions if session in self.peers]:
            self.closed.append((peer.authrole, peer.authid, reason))
            self.drop(peer)
        return None

    def _find(self, uri: str) -> tuple[Peer, Callable[..., Any], Any] | None:
        if uri in self.offered:
            return self.offered[uri]
        matching = [
            prefix
            for prefix, (_, _, options) in self.offered.items()
            if getattr(options, "match", None) == "prefix" and uri.startswith(prefix)
        ]
        return self.offered[max(matching, key=len)] if matching else None

    def _peer(self, authrole: str, authid: str, extra: Mapping[str, Any]) -> Peer:
        self._last += 1
        return Peer(self, self._last, str(authrole), authid, extra)
