"""The router's end of every session that comes in over a socket, guarded.

Facts about Crossbar are those of 26.10.1. Nothing but the gate imports this module: it imports Crossbar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import Deny
from crossbar.router.session import RouterSession
from nacl.encoding import HexEncoder
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IDelayedCall

from paradrop.base.exceptions import ERROR_PREFIX, TooManyAttempts
from paradrop.routing.answers import is_forged
from paradrop.routing.quota import error
from paradrop.uris import device_space
from pdserver.access import DevicePeer, Peer, ServerPeer, UserPeer, harmless, may, peer_of
from pdserver.gate.forwarding import origin

if TYPE_CHECKING:
    from pdserver.gate.guard import Guard

GOODBYE = 2.0
"""Seconds that a session which is ended has for taking its goodbye."""
NOBODYS_FAULT = frozenset({ApplicationError.NO_SUCH_PROCEDURE, ApplicationError.CANCELED})
"""The server's own process is away: whoever comes meanwhile is refused, and that is no attempt at anything. What the server
itself refuses comes with an error of ours, and it has written that down."""

_NEXT: dict[type[Any] | None, tuple[type[Any], ...]] = {
    None: (message.Hello, message.Abort),
    message.Hello: (message.Authenticate, message.Abort),
    message.Authenticate: (message.Abort,),
}
"""What may come next before a session has joined. Crossbar takes a second HELLO or AUTHENTICATE while the first is being looked
at, and is left with a session that has no id and never ends."""


class GuardedSession(RouterSession):
    """Decides nothing by itself: it asks :mod:`pdserver.access`, and keeps the gate's books."""

    peer: Peer | None = None
    _pending_auth: Any
    public_key = ""
    """Hexadecimal; what it has proved by it is who it is."""
    _last: type[Any] | None = None
    _ended = False
    _listens: set[tuple[str, str]] | None = None
    current: Any = None
    """The message that is being looked at."""
    _abort: IDelayedCall | None = None

    def __init__(self, guard: Guard, router_factory: Any) -> None:
        super().__init__(router_factory)
        self._guard = guard
        self.asking: dict[int, Any] = {}
        """Messages, by identity, about which the server is asked and has not answered yet."""

    def onOpen(self, transport: Any) -> None:
        super().onOpen(transport)
        self.log = transport.log

    # Before it has joined.

    def onHello(self, realm: str, details: Any) -> Any:
        name = str(details.authid or "")
        return maybeDeferred(super().onHello, realm, details).addCallback(self._judged, name)

    def onAuthenticate(self, signature: str, extra: dict[str, Any]) -> Any:
        name = str(getattr(self._pending_auth, "_authid", "") or "")
        return maybeDeferred(super().onAuthenticate, signature, extra).addCallback(self._judged, name)

    def _judged(self, verdict: Any, name: str) -> Any:
        if isinstance(verdict, Deny):
            if verdict.reason not in NOBODYS_FAULT and not verdict.reason.startswith(ERROR_PREFIX):
                self._guard.denied("", name, "login", "", str(verdict.message or verdict.reason))
            # Crossbar would leave the connection open for another try.
            self._guard.clock.callLater(0, self._close)
        return verdict

    def _close(self) -> None:
        if self._transport is not None and self._transport.isOpen():
            self._transport.close()

    def onJoin(self, details: Any) -> None:
        self.peer = peer_of(self._authrole, self._authid, self._authextra)
        self._guard.strangers.discard(self._transport.transport)
        key = getattr(self._pending_auth, "_verify_key", None)
        if key is not None:
            self.public_key = key.encode(HexEncoder).decode()
        self._pending_auth = None  # nobody asks for it any more, and it is most of what a session weighs
        super().onJoin(details)
        self._guard.joined(self)

    # What comes in.

    def onMessage(self, msg: Any) -> None:
        kind = type(msg)
        if self._ended:
            return
        if self._session_id is None:
            if kind not in _NEXT.get(self._last, ()):
                self.log.warn("it sent {kind} before it had joined, and is dropped", kind=kind.__name__)
                self._transport.drop()
                return
            self._last = kind
            super().onMessage(msg)
            if kind is message.Abort:
                self._close()
            return
        if getattr(msg, "forward_for", None):
            speaks = isinstance(self.peer, DevicePeer) and kind in (message.Call, message.Publish)
            msg.forward_for = origin(msg.forward_for, self._session_id, self._authid) if speaks else None
        if isinstance(self.peer, ServerPeer):
            super().onMessage(msg)
        elif is_forged(self._router, self, msg):
            self._guard.denied_to(self, "answer", "")
            self.end("wamp.error.protocol_violation", "that call was not yours to answer")
            return
        elif not self._refused(kind, msg):
            self.current = msg
            super().onMessage(msg)
            self.current = None
            if kind in _BOOKED:
                self._book(kind, msg)
        if kind is message.Goodbye:
            self._close()  # WAMP lets it join again by the same connection, with its time and its name unbounded

    def _refused(self, kind: type[Any], msg: Any) -> bool:
        """Whether the router does not get *msg* at all."""
        # Crossbar tells whoever may not register whether somebody else has; and what nobody listens to it does not look at.
        if kind is message.Register and not self._may("register", msg.procedure, msg):
            refusal = error(msg, ApplicationError.NOT_AUTHORIZED, f"you may not register {msg.procedure}")
        elif kind is message.Publish and not self._may("publish", msg.topic, msg):
            if not msg.acknowledge:
                return True
            refusal = error(msg, ApplicationError.NOT_AUTHORIZED, f"you may not publish to {msg.topic}")
        elif kind is message.Publish and isinstance(self.peer, UserPeer) and self._is_too_much(msg):
            # What a person publishes may have to wait for the server's decision, as a call.
            if not msg.acknowledge:
                return True
            refusal = error(msg, TooManyAttempts.uri(), "too much is under way; wait for an answer")
        else:
            refusal = self._guard.quota.refusal(self, msg, self._transport.received, self.asking)
        if refusal is not None:
            self._transport.send(refusal)
        return refusal is not None

    def _is_too_much(self, msg: Any) -> bool:
        return self._guard.quota.is_too_much(self, msg, self._transport.received, self.asking)

    def _may(self, action: str, uri: str, msg: Any) -> bool:
        options = msg.marshal_options()
        match = options.get("match") or "exact"
        fleet = self._guard.fleet
        if self.peer is not None and may(self.peer, action, uri, match, fleet.device_of(uri)) and harmless(action, options):
            return True
        if action == "publish" and self._guard.elsewhere(self, action, uri):
            return True  # the role asks, as nobody here can say
        self._guard.denied_to(self, action, uri)
        return False

    # The gate's books.

    def _book(self, kind: type[Any], msg: Any) -> None:
        if kind is message.Subscribe or kind is message.Unsubscribe:
            self.look_at_subscriptions()
        elif isinstance(self.peer, DevicePeer):
            space = device_space(self.peer.pdid)
            registration = self._router._dealer._registration_map.get_observation(space, "prefix")
            self._guard.fleet.registered(self, registration is not None and self in registration.observers)

    def look_at_subscriptions(self) -> None:
        """Tell what has changed of what this session listens to."""
        now = {(each.match, each.uri) for each in self._router._broker._session_to_subscriptions.get(self, ())}
        self._listens_to(now)

    def _listens_to(self, now: set[tuple[str, str]]) -> None:
        before = self._listens or set()
        listener = self.peer.pdid if isinstance(self.peer, DevicePeer) else ""
        for match, uri in now - before:
            self._guard.relay.subscribed(listener, match, uri)
        for match, uri in before - now:
            self._guard.relay.unsubscribed(listener, match, uri)
        self._listens = now or None

    # The end.

    def end(self, reason: str, sentence: str) -> None:
        """Forget this session at once, and close its connection, whether or not there still is somebody at its other end."""
        transport = self._transport
        if transport is None or self._ended:
            return
        self.onClose(False)
        if transport.isOpen():
            transport.send(message.Goodbye(reason, sentence))
            transport.close()
            self._abort = self._guard.clock.callLater(GOODBYE, transport.transport.abortConnection)

    def onLeave(self, details: Any) -> None:
        # After a proper goodbye the id is gone already.
        session_id = self._session_id or self._previous_session_id
        super().onLeave(details)
        if session_id is not None:
            self._listens_to(set())
            self._guard.left(self, session_id)

    def onClose(self, wasClean: bool) -> None:
        if self._ended:
            if self._abort is not None and self._abort.active():
                self._abort.cancel()  # the connection is gone
            return
        self._ended = True
        super().onClose(wasClean)


_BOOKED = frozenset({message.Subscribe, message.Unsubscribe, message.Register, message.Unregister})
