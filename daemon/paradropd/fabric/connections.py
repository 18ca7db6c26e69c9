"""The two WAMP transports of the realm, each with bounds: connections, unsent output, half messages.

Import :mod:`.lean` and call its ``load`` before this module. Facts about Autobahn and Twisted are those of their 26.10.
"""

from __future__ import annotations

from typing import Any

from crossbar.router.protocol import (
    WampRawSocketServerFactory,
    WampRawSocketServerProtocol,
    WampWebSocketServerFactory,
    WampWebSocketServerProtocol,
)
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.python.failure import Failure

from paradrop.routing.connections import Bounded, BoundedMessages, BoundedStrings, unsent
from paradrop.routing.notices import Notices, PeerLog
from paradropd.web.limiter import network

STRANGERS = 64
"""WebSocket connections that have not logged in; the oldest makes room for one more."""
STRANGERS_OF_ONE = 8
"""… and those of them that come from one address."""


class _Bounded(Bounded):
    factory: Any

    def has_too_much(self) -> bool:
        return unsent(self.transport) > int(self.factory.unsent)


class RawSocketProtocol(_Bounded, BoundedStrings, WampRawSocketServerProtocol):
    """One connection to a unix socket, from its first byte on."""

    def connectionMade(self) -> None:
        self.factory.connected.add(self)
        self._greeting = self.clock.callLater(self.factory.patience, self.abort)
        super().connectionMade()

    def _on_handshake_complete(self) -> None:
        self._greeting.cancel()
        super()._on_handshake_complete()

    def connectionLost(self, reason: Failure) -> None:
        if self._greeting.active():
            self._greeting.cancel()
        self.factory.connected.discard(self)
        super().connectionLost(reason)


class RawSocketFactory(WampRawSocketServerFactory):
    """RawSocket with CBOR, for a bounded number of connections."""

    noisy = False
    protocol = RawSocketProtocol

    def __init__(self, sessions: Any, clock: Any, notices: Notices, about: str, connections: int, options: Any) -> None:
        """*options*: those of the realm. *about*: who connects here, for the log."""
        super().__init__(sessions, {"serializers": ["cbor"], "options": {"max_message_size": options.max_message}})
        self.clock = clock
        self.patience: float = options.patience
        self.frame_patience: float = options.frame_patience
        self.unsent: int = options.unsent + options.max_message
        self.connections = connections
        self.peer_log = PeerLog(notices, about)
        self.connected: set[RawSocketProtocol] = set()
        """Those that have not said who they are too."""

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        if len(self.connected) >= self.connections:
            self.peer_log.warn("too many connections: one more is refused")
            return None
        protocol: Any = super().buildProtocol(addr)
        protocol.log = self.peer_log
        protocol.clock, protocol.frame_patience = self.clock, self.frame_patience
        return protocol  # type: ignore[no-any-return]

    def close(self) -> None:
        """End every connection without waiting for its goodbye."""
        for protocol in list(self.connected):
            protocol.drop()


class WebSocketProtocol(_Bounded, BoundedMessages, WampWebSocketServerProtocol):
    """One WebSocket connection."""

    address = ""

    def stranger(self) -> bool:
        """Whether nobody has logged in by this connection."""
        return self._session is None or self._session.peer is None

    def connectionLost(self, reason: Failure) -> None:
        self.factory.connected.pop(self, None)
        super().connectionLost(reason)


class WebSocketFactory(WampWebSocketServerFactory):
    """WebSocket, with little room for those who have not logged in: they must not keep out those who want to."""

    noisy = False
    protocol = WebSocketProtocol

    def __init__(self, sessions: Any, notices: Notices, options: Any) -> None:
        """*options*: those of the realm."""
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
        super().__init__(sessions, ".", config, None)
        self.unsent: int = options.unsent + options.max_message
        self._notices = notices
        self.connected: dict[WebSocketProtocol, None] = {}
        """In the order in which they came."""

    def buildProtocol(self, addr: Any) -> IProtocol | None:
        address = network(addr.host)
        self._make_room(STRANGERS_OF_ONE, address)
        self._make_room(STRANGERS)
        protocol: Any = super().buildProtocol(addr)
        protocol.address = address
        protocol.log = PeerLog(self._notices, address)
        self.connected[protocol] = None
        return protocol  # type: ignore[no-any-return]

    def _make_room(self, most: int, address: str | None = None) -> None:
        strangers = [each for each in self.connected if each.stranger() and address in (None, each.address)]
        if len(strangers) >= most:
            del self.connected[strangers[0]]
            strangers[0].drop()
