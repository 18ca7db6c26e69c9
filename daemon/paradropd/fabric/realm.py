"""The device realm, behind a narrow interface: listen, attach, list, stop.

Nothing outside this package knows that the router is Crossbar's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.types import ComponentConfig
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.web.resource import IResource

from paradrop import uris
from paradrop.base.exceptions import InvalidInput
from paradrop.permissions import Permission
from paradrop.values import ProcedureInfo
from paradropd.fabric import lean
from paradropd.permissions import DaemonPeer, Peer

SOCKET_PATH_LIMIT = 107
"""Bytes of a unix socket's path (sun_path of unix(7), less the final zero)."""


Login = Callable[[str, str], Peer]
"""``name, ticket`` → who that is; raises ``AuthenticationError``. Called for each WebSocket session."""

Still = Callable[[Peer], bool]
"""Whether the login of that peer is still good."""

Demand = Callable[[str], Permission | None]
"""The permission that the daemon's procedure of that URI demands; ``None`` when the daemon has no such procedure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealmOptions:
    max_message: int = 4 << 20
    """Bytes; RawSocket rounds it up to a power of two (WAMP, section "RawSocket handshake")."""
    ping_interval: float = 10.0
    ping_timeout: float = 10.0
    """Seconds."""
    connections: int = 16
    """How many connections a chute's socket takes at a time …"""
    control_connections: int = 64
    """… and one of people."""
    unsent: int = 8 << 20
    """Bytes, besides one largest message, that may wait for a peer to read them; one that lets more wait is dropped."""
    frame_patience: float = 20.0
    """Seconds from the first byte of a message to its last, on a unix socket."""
    patience: float = 10.0
    """Seconds from a connection to a joined session; whoever takes longer is dropped."""
    logins: int = 200
    """How many sessions that came in by a login there may be at a time."""
    login_check: float = 30.0
    """Seconds between looks at whether the login of a session is still good."""
    lean: bool = True
    """Whether the router is imported without what it does not use; see :mod:`.lean`."""


class Realm:
    """One WAMP realm of this process."""

    def __init__(self, reactor: Any, demand: Demand, options: RealmOptions | None = None) -> None:
        """*reactor*: one that has a clock (``IReactorTime``) and unix sockets (``IReactorUNIX``)."""
        self.options = options or RealmOptions()
        lean.load(self.options.lean)
        from paradropd.fabric.router import Router  # only now: it imports Crossbar

        self._reactor = reactor
        self._router = Router(reactor, uris.DEVICE_REALM, demand)
        self._ports: dict[Path, tuple[IListeningPort, Any]] = {}

    async def start(self) -> None:
        """Start the realm and its meta API."""
        await self._router.start()

    def attach(self, session: ApplicationSession, peer: Peer | None = None, *, interrupts: bool = False) -> None:
        """Join *session*, made with :meth:`config`, to the realm without a socket: as *peer*, or as the daemon itself.

        With *interrupts* it is told when the caller of one of its procedures has given up or is gone.
        """
        self._router.attach(session, peer or DaemonPeer(), interrupts)

    def subscriptions(self, besides: ApplicationSession) -> set[tuple[str, str]]:
        """``match, uri`` of everything that peers have subscribed to, but *besides*."""
        return self._router.subscriptions(besides)

    def watch_subscriptions(self, changed: Callable[[], None]) -> None:
        """*changed* is called while somebody subscribes or unsubscribes: look at :meth:`subscriptions` later."""
        self._router.subscribed.changed = changed

    def config(self, **extra: Any) -> ComponentConfig:
        """The configuration of a session for :meth:`attach`."""
        return ComponentConfig(realm=uris.DEVICE_REALM, extra={**extra, "pdid": uris.LOCAL_PDID, "reactor": self._reactor})

    def listen(self, path: Path, peer: Peer, mode: int = 0o600) -> None:
        """Whoever connects to the unix socket *path* is *peer*: who may do that is up to the folder's and the file's permissions.

        An old socket of that name is replaced. Raises :class:`InvalidInput` when the path is too long for a socket.
        """
        if len(bytes(path)) > SOCKET_PATH_LIMIT:
            raise InvalidInput(f"{path}: the path of a socket may have {SOCKET_PATH_LIMIT} bytes; use a shorter --home")
        path.unlink(missing_ok=True)
        factory = self._router.rawsocket(peer, self.options)
        self._ports[path] = (self._reactor.listenUNIX(str(path), factory, mode=mode), factory)

    async def unlisten(self, path: Path) -> None:
        """Stop listening on *path* and end the sessions that came in by it."""
        if path not in self._ports:
            return
        port, factory = self._ports.pop(path)
        stopped = port.stopListening()
        factory.close()
        if isinstance(stopped, Deferred):
            await stopped
        path.unlink(missing_ok=True)

    def websocket(self, login: Login, still: Still = lambda peer: True) -> IResource:
        """WAMP over WebSocket as a web resource; its peers authenticate with a ticket.

        A session is ended soon after *still* says no to its peer.
        """
        resource: IResource = WebSocketResource(self._router.websocket(login, still, self.options))
        return resource

    def end_sessions(self, which: Callable[[Peer], bool]) -> int:
        """Close the sessions of those peers, at once. Returns how many."""
        return self._router.close(lambda session: session.peer is not None and which(session.peer))

    def procedures(self) -> list[ProcedureInfo]:
        """Everything registered, but the router's own, ordered by URI."""
        return sorted(self._router.procedures(), key=lambda info: info.uri)

    def sessions(self) -> int:
        """How many sessions have come in over sockets."""
        return len(self._router.open)

    async def stop(self) -> None:
        """Stop listening, end every session."""
        for path in list(self._ports):
            await self.unlisten(path)
        self._router.stop()
