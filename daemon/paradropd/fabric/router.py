"""Crossbar's router classes, with our identities and our permissions put in.

Import :mod:`.lean` and call its ``load`` before this module. Facts about Crossbar are those of 26.10.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import Accept, Challenge, ComponentConfig, Deny, HelloDetails
from crossbar.router import RouterOptions
from crossbar.router.protocol import WampRawSocketServerFactory, WampRawSocketServerProtocol, WampWebSocketServerFactory
from crossbar.router.role import RouterRole
from crossbar.router.router import RouterFactory
from crossbar.router.service import RouterServiceAgent
from crossbar.router.session import RouterSession, RouterSessionFactory
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from paradrop import uris
from paradrop.base.exceptions import ParadropException
from paradrop.values import ProcedureInfo
from paradropd.permissions import ChutePeer, DaemonPeer, Peer, Permission, Person, Role, may

log = Logger(namespace="paradropd.fabric")

ROLES = ("chute", *Role)
"""WAMP roles: what a callee is told about its caller, together with the name."""

WEBSOCKETS = 200
"""How many WebSocket sessions there may be at a time."""

REMEMBERED_DENIALS = 1000
SHOWN = 200
"""Characters of a name in the log: whoever tries it chooses how long it is."""


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
        allow = may(session.peer, action, uri, options.get("match") or "exact", self._demand(uri))
        if not allow:
            self._denied(session.peer, action, uri)
        return {"allow": allow, "disclose": True, "cache": False}


class _PeerSession(RouterSession):
    """The router's end of a session that came in over a socket."""

    peer: Peer | None = None
    login: Callable[[str, str], Peer] | None = None
    open: set[_PeerSession]
    patience: float
    _joining: IDelayedCall | None = None

    def onOpen(self, transport: Any) -> None:
        super().onOpen(transport)
        self.open.add(self)
        self._joining = self._router_factory._reactor.callLater(self.patience, transport.abort)

    def onJoin(self, details: Any) -> None:
        self._in_time()
        super().onJoin(details)

    def onClose(self, wasClean: bool) -> None:
        self._in_time()
        self.open.discard(self)
        super().onClose(wasClean)

    def _in_time(self) -> None:
        if self._joining is not None and self._joining.active():
            self._joining.cancel()

    def onMessage(self, msg: Any) -> None:
        # Crossbar believes the first entry of forward_for to be the caller, whoever sends it; only router links may say so, and
        # there are none here.
        if getattr(msg, "forward_for", None):
            msg.forward_for = None
        super().onMessage(msg)

    def onHello(self, realm: str, details: HelloDetails) -> Accept | Challenge | Deny:
        if realm != uris.DEVICE_REALM:
            return Deny(ApplicationError.NO_SUCH_REALM, message=f"there is no realm {realm!r} here; it is {uris.DEVICE_REALM!r}")
        if self.peer is not None and self.login is None:
            return self._accept(self.peer, "unix")
        if "ticket" not in (details.authmethods or ()) or not details.authid:
            return Deny(ApplicationError.NO_AUTH_METHOD, message="log in: a ticket is needed here")
        self._authid = details.authid
        return Challenge("ticket")

    def onAuthenticate(self, signature: str, extra: dict[str, Any]) -> Accept | Deny:
        if self.login is None or self._authid is None:
            return Deny(message="there is nothing to authenticate")
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


class _RawSocketProtocol(WampRawSocketServerProtocol):
    """One connection to a unix socket, from its first byte on."""

    def connectionMade(self) -> None:
        self.factory.connected.add(self)
        self._greeting = self.factory.clock.callLater(self.factory.patience, self.abort)
        super().connectionMade()

    def _on_handshake_complete(self) -> None:
        self._greeting.cancel()
        super()._on_handshake_complete()

    def connectionLost(self, reason: Failure) -> None:
        if self._greeting.active():
            self._greeting.cancel()
        self.factory.connected.discard(self)
        super().connectionLost(reason)


class _RawSocketFactory(WampRawSocketServerFactory):
    """RawSocket with CBOR, for a bounded number of connections."""

    noisy = False
    protocol = _RawSocketProtocol

    def __init__(self, sessions: _Sessions, connections: int, config: dict[str, Any]) -> None:
        super().__init__(sessions, config)
        self.clock = sessions._routerFactory._reactor
        self.patience: float = sessions.attributes["patience"]
        self.connections = connections
        self.connected: set[_RawSocketProtocol] = set()
        """Those that have not said who they are too."""

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        if len(self.connected) >= self.connections:
            log.warn("too many connections on one socket: one more is refused")
            return None
        protocol: IProtocol = super().buildProtocol(addr)
        return protocol

    def close(self) -> None:
        """End every connection without waiting for its goodbye."""
        for protocol in list(self.connected):
            protocol.abort()


class _WebSocketFactory(WampWebSocketServerFactory):
    """WebSocket, for a bounded number of sessions; those that have not logged in are dropped in time."""

    noisy = False

    def __init__(self, sessions: _Sessions, config: dict[str, Any]) -> None:
        super().__init__(sessions, ".", config, None)
        self._open: set[_PeerSession] = sessions.attributes["open"]

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        if sum(session.login is not None for session in self._open) >= WEBSOCKETS:
            log.warn("too many WebSocket sessions: one more is refused")
            return None
        protocol: IProtocol = super().buildProtocol(addr)
        return protocol


class Router:
    """Crossbar's router with one realm."""

    def __init__(self, reactor: Any, realm: str, demand: Callable[[str], Permission | None]) -> None:
        self.open: set[_PeerSession] = set()
        self._routers = _Routers(reactor)
        self._realm = _RealmState(config={"name": realm}, id=realm)
        self._router = self._routers.start_realm(self._realm)
        self._own = RouterSessionFactory(self._routers)
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

    def attach(self, session: Any, peer: Peer) -> None:
        session.peer = peer
        self._own.add(session, self._router, authid=peer.name, authrole=wamp_role(peer))

    def rawsocket(self, peer: Peer, options: Any) -> Any:
        sessions = _Sessions(self._routers, peer=peer, open=self.open, patience=options.patience)
        config = {"serializers": ["cbor"], "options": {"max_message_size": options.max_message}}
        return _RawSocketFactory(sessions, options.connections, config)

    def websocket(self, login: Callable[[str, str], Peer], options: Any) -> Any:
        config = {
            "serializers": ["json", "cbor"],
            "options": {
                "max_message_size": options.max_message,
                "auto_ping_interval": options.ping_interval * 1000,
                "auto_ping_timeout": options.ping_timeout * 1000,
                "open_handshake_timeout": 5000,
                "close_handshake_timeout": 1000,
                "enable_webstatus": False,
                # Chutes' pages have the origin "null", and no business here.
                "allow_null_origin": False,
            },
        }
        return _WebSocketFactory(_Sessions(self._routers, login=login, open=self.open, patience=options.patience), config)

    def close(self, which: Callable[[_PeerSession], bool]) -> int:
        """End those sessions without waiting for their goodbye. Returns how many."""
        chosen = [session for session in self.open if which(session)]
        for session in chosen:
            if session._transport is not None:
                session._transport.abort()
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
        """Say it once for each thing that is tried: a chute that insists must not fill the log."""
        uri = uri[:SHOWN]
        denial = (peer, action, uri)
        if denial in self._denials:
            return
        if len(self._denials) >= REMEMBERED_DENIALS:
            self._denials.clear()
        self._denials.add(denial)
        log.warn("{role} {name} may not {action} {uri}", role=wamp_role(peer), name=peer.name, action=action, uri=uri)

    def stop(self) -> None:
        self.close(lambda session: True)
        self._routers.stop_realm(self._realm.config["name"])
