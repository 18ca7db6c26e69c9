"""Crossbar's router classes, with our identities and our permissions put in.

Import :mod:`.lean` and call its ``load`` before this module. Facts about Crossbar are those of 26.10.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import Accept, Challenge, ComponentConfig, Deny, HelloDetails
from crossbar.router import RouterOptions
from crossbar.router.observation import UriObservationMap
from crossbar.router.role import RouterRole
from crossbar.router.router import RouterFactory
from crossbar.router.service import RouterServiceAgent
from crossbar.router.session import RouterApplicationSession, RouterSession, RouterSessionFactory
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from paradrop import uris
from paradrop.base.exceptions import ParadropException
from paradrop.permissions import Permission, Person, Role
from paradrop.routing.answers import is_forged
from paradrop.routing.notices import SHOWN, Notices, PeerLog
from paradrop.routing.quota import Quota
from paradrop.values import ProcedureInfo
from paradropd.fabric.connections import RawSocketFactory, WebSocketFactory
from paradropd.permissions import ChutePeer, DaemonPeer, Peer, may

ROLES = ("chute", *Role)
"""WAMP roles: what a callee is told about its caller, together with the name."""

QUOTED = 100
"""Characters of what a peer sent, when it is said back."""

REMEMBERED_DENIALS = 1000


@dataclass(eq=False)  # Crossbar keeps it in a dict: identity, not value
class _RealmState:
    """What Crossbar's router wants to know about a realm."""

    config: dict[str, Any]
    id: str
    controller: None = None
    session: RouterServiceAgent | None = None


def wamp_role(peer: Peer) -> str:
    """*peer*'s ``authrole``."""
    match peer:
        case ChutePeer():
            return "chute"
        case Person():
            return peer.role.value
        case DaemonPeer():
            return "trusted"


def _about(peer: Peer) -> str:
    return f"{wamp_role(peer)} {peer.name}"


class _Routers(RouterFactory):
    """A factory that gets its reactor, and does not import Crossbar's workers to compare types with them."""

    def __init__(self, reactor: Any) -> None:
        self._node_id = self._worker_id = "paradropd"
        self._worker = None
        self._routers: dict[str, Any] = {}
        # Loose: names of the field contain capitals and dashes (WAMP, section "URIs").
        self._options = RouterOptions(uri_check=RouterOptions.URI_CHECK_LOOSE)
        self._reactor = reactor

    def on_last_detach(self, router: Any) -> None:
        """Keep the realm: it ends with :meth:`Router.stop`, which would otherwise find it gone and raise."""


class _PeerRole(RouterRole):
    """Asks :func:`paradropd.permissions.may`, every time: the decision is cheap, and a cached one would outlive its reason."""

    def __init__(self, router: Any, uri: str, demand: Callable[[str], Permission | None], denied: Callable[..., None]) -> None:
        super().__init__(router, uri)
        self._demand = demand
        self._denied = denied

    def authorize(self, session: Any, uri: str, action: str, options: dict[str, Any]) -> dict[str, bool]:
        # The router would keep a retained event for as long as it runs, whether or not its publisher is still there.
        allow = not options.get("retain") and may(session.peer, action, uri, options.get("match") or "exact", self._demand(uri))
        if not allow:
            self._denied(session.peer, action, uri)
        return {"allow": allow, "disclose": True, "cache": False}


class _PeerSession(RouterSession):
    """The router's end of a session that came in over a socket."""

    peer: Peer | None = None
    login: Callable[[str, str], Peer] | None = None
    still: Callable[[Peer], bool]
    open: set[_PeerSession]
    patience: float
    login_check: float
    logins: int
    quota: Quota
    _due: IDelayedCall | None = None
    """First the end of our patience; once it has joined, the next look at its login."""

    def onOpen(self, transport: Any) -> None:
        super().onOpen(transport)
        self.log = transport.log
        self.open.add(self)
        self._due = self._router_factory._reactor.callLater(self.patience, transport.abort)

    def onJoin(self, details: Any) -> None:
        self._cancel_due()
        if self.login is not None:
            self._due = self._router_factory._reactor.callLater(self.login_check, self._look)
        super().onJoin(details)

    def onClose(self, wasClean: bool) -> None:
        self._cancel_due()
        self.open.discard(self)
        super().onClose(wasClean)

    def _cancel_due(self) -> None:
        if self._due is not None and self._due.active():
            self._due.cancel()

    def _look(self) -> None:
        if self.peer is not None and self.still(self.peer):
            self._due = self._router_factory._reactor.callLater(self.login_check, self._look)
        elif self._transport is not None:
            self._transport.drop()

    def onMessage(self, msg: Any) -> None:
        # Crossbar believes the first entry of forward_for to be the caller, whoever sends it; only router links may say so, and
        # there are none here.
        if getattr(msg, "forward_for", None):
            msg.forward_for = None
        if self._session_id is not None and is_forged(self._router, self, msg):
            self.log.warn("it answered a call that it was not given, and is dropped")
            self._transport.drop()
        elif self._session_id is not None and (refusal := self.quota.refusal(self, msg, self._transport.received)) is not None:
            self._transport.send(refusal)
        else:
            super().onMessage(msg)

    def onHello(self, realm: str, details: HelloDetails) -> Accept | Challenge | Deny:
        if realm != uris.DEVICE_REALM:
            words = f"there is no realm {str(realm)[:QUOTED]!r} here; it is {uris.DEVICE_REALM!r}"
            return Deny(ApplicationError.NO_SUCH_REALM, message=words)
        if self.peer is not None and self.login is None:
            return self._accept(self.peer, "unix")
        if "ticket" not in (details.authmethods or ()) or not details.authid:
            return Deny(ApplicationError.NO_AUTH_METHOD, message="log in: a ticket is needed here")
        self._authid = details.authid
        return Challenge("ticket")

    def onAuthenticate(self, signature: str, extra: dict[str, Any]) -> Accept | Deny:
        if self.login is None or self._authid is None:
            return Deny(message="there is nothing to authenticate")
        if sum(other.login is not None and other.peer is not None for other in self.open if other is not self) >= self.logins:
            return Deny(message=f"{self.logins} sessions are logged in already; close one of them")
        try:
            self.peer = self.login(self._authid, signature)
        except ParadropException as problem:
            return Deny(ApplicationError.AUTHENTICATION_FAILED, message=str(problem))
        return self._accept(self.peer, "ticket")

    def _accept(self, peer: Peer, method: str) -> Accept:
        return Accept(
            realm=uris.DEVICE_REALM, authid=peer.name, authrole=wamp_role(peer), authmethod=method, authprovider="paradropd"
        )


class _Sessions(RouterSessionFactory):
    """Makes the router's ends of the sessions of one socket."""

    def __init__(self, routers: _Routers, **attributes: Any) -> None:
        super().__init__(routers)
        self.attributes = attributes

    def __call__(self) -> _PeerSession:
        session = _PeerSession(self._routerFactory)
        session.factory = self
        for name, value in self.attributes.items():
            setattr(session, name, value)
        return session


class _Embedded(RouterApplicationSession):
    """The router's end of a session in this process."""

    interrupts = False
    """Whether the session is told that a caller has given up. Crossbar has no such message for an embedded session, and raises;
    the daemon's own procedures go on with what they have begun."""

    def send(self, msg: Any) -> None:
        if not isinstance(msg, message.Interrupt):
            super().send(msg)
        elif self.interrupts:
            self._session.onMessage(msg)


class _Subscriptions(UriObservationMap):
    """The broker's subscriptions, which tell when they change: the meta API would take an event for each, to our own session."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: Callable[[], None] = lambda: None

    def add_observer(self, *args: Any, **kwargs: Any) -> Any:
        added = super().add_observer(*args, **kwargs)
        self.changed()
        return added

    def drop_observer(self, *args: Any, **kwargs: Any) -> Any:
        dropped = super().drop_observer(*args, **kwargs)
        self.changed()
        return dropped


class Router:
    """Crossbar's router with one realm."""

    def __init__(self, reactor: Any, realm: str, demand: Callable[[str], Permission | None]) -> None:
        self.open: set[_PeerSession] = set()
        self._routers = _Routers(reactor)
        self._realm = _RealmState(config={"name": realm}, id=realm)
        self._router = self._routers.start_realm(self._realm)
        self._own = RouterSessionFactory(self._routers)
        self.subscribed = self._router._broker._subscription_map = _Subscriptions()
        self._quota = Quota(self._router)
        self._notices = Notices(reactor.seconds)
        for part in (self._router, self._router._broker, self._router._dealer):
            part.log = PeerLog(self._notices, "router")
        self._denials: set[tuple[Peer, str, str]] = set()
        for role in ROLES:
            self._router.add_role(_PeerRole(self._router, role, demand, self._denied))

    async def start(self) -> None:
        """Start the session that offers the WAMP meta API."""
        ready: Deferred[Any] = Deferred()
        config = ComponentConfig(realm=self._realm.id, extra={"onready": ready})
        self._realm.session = RouterServiceAgent(config, self._router)
        self._own.add(self._realm.session, self._router, authid="router", authrole="trusted")
        await ready

    def attach(self, session: Any, peer: Peer, interrupts: bool = False) -> None:
        session.peer = peer
        embedded = _Embedded(session, self._router, authid=peer.name, authrole=wamp_role(peer))
        embedded.interrupts = interrupts

    def subscriptions(self, besides: Any) -> set[tuple[str, str]]:
        """``match, uri`` of whatever a session has subscribed to, but the router's own and *besides*."""
        silent = {besides, self._realm.session}
        found = self.subscribed._observation_id_to_observation.values()
        return {(each.match, each.uri) for each in found if any(observer not in silent for observer in each.observers)}

    def rawsocket(self, peer: Peer, options: Any) -> Any:
        sessions = self._sessions(options, peer=peer)
        connections = options.connections if isinstance(peer, ChutePeer) else options.control_connections
        return RawSocketFactory(sessions, self._routers._reactor, self._notices, _about(peer), connections, options)

    def websocket(self, login: Callable[[str, str], Peer], still: Callable[[Peer], bool], options: Any) -> Any:
        return WebSocketFactory(self._sessions(options, login=login, still=still), self._notices, options)

    def _sessions(self, options: Any, **attributes: Any) -> _Sessions:
        attributes |= {"open": self.open, "quota": self._quota, "logins": options.logins}
        return _Sessions(self._routers, patience=options.patience, login_check=options.login_check, **attributes)

    def close(self, which: Callable[[_PeerSession], bool]) -> int:
        """End those sessions without waiting for their goodbye. Returns how many."""
        chosen = [session for session in self.open if which(session)]
        for session in chosen:
            if session._transport is not None:
                session._transport.drop()
        return len(chosen)

    def procedures(self) -> list[ProcedureInfo]:
        # Over WAMP this is one call for the ids and two more for each (the meta API); the map itself is asked instead.
        registrations = self._router._dealer._registration_map._observation_id_to_observation.values()
        found = [self._procedure(registration) for registration in registrations]
        return [info for info in found if info is not None and not info.uri.startswith("wamp.")]

    def _procedure(self, registration: Any) -> ProcedureInfo | None:
        session = next(iter(registration.observers), None)
        if session is None:
            return None
        peer = getattr(session, "peer", None)
        return ProcedureInfo(uri=registration.uri, match=registration.match, owner=peer.name if peer else "router")

    def _denied(self, peer: Peer, action: str, uri: str) -> None:
        """Say it once for each thing that is tried, and not too often: a chute that insists must not fill the log."""
        uri = uri[:SHOWN]
        denial = (peer, action, uri)
        if denial in self._denials:
            return
        if len(self._denials) >= REMEMBERED_DENIALS:
            self._denials.clear()
        self._denials.add(denial)
        self._notices.say(_about(peer), f"may not {action} {uri}")

    def stop(self) -> None:
        self.close(lambda session: True)
        self._routers.stop_realm(self._realm.config["name"])
