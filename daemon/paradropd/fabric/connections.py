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
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol
from twisted.python.failure import Failure

from paradropd.fabric.notices import Notices, PeerLog
from paradropd.web.limiter import network

STRANGERS = 64
"""WebSocket connections that have not logged in; the oldest makes room for one more."""
STRANGERS_OF_ONE = 8
"""… and those of them that come from one address."""


def unsent(transport: Any) -> int:
    """Bytes that wait in *transport* for the other side to read.

    Twisted tells a producer that something waits, but nobody how much, and a reader that is only slow must not be dropped.
    """
    return len(transport.dataBuffer) - int(transport.offset) + int(transport._tempDataLen)


class _Bounded:
    """A connection that is dropped when too much waits for it."""

    factory: Any
    transport: Any
    log: Any
    dropped = False

    def drop(self) -> None:
        """End the connection without waiting for its goodbye."""
        self.dropped = True
        self.transport.abortConnection()

    def _check_unsent(self) -> None:
        if not self.dropped and unsent(self.transport) > self.factory.unsent:
            self.log.warn("it does not read what it is sent, and is dropped")
            self.drop()


class RawSocketProtocol(_Bounded, WampRawSocketServerProtocol):
    """One connection to a unix socket, from its first byte on."""

    _half: IDelayedCall | None = None
    """When a message that has begun to come must have come."""

    def connectionMade(self) -> None:
        self.factory.connected.add(self)
        self._greeting = self.factory.clock.callLater(self.factory.patience, self.abort)
        super().connectionMade()

    def _on_handshake_complete(self) -> None:
        self._greeting.cancel()
        super()._on_handshake_complete()

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if self._unprocessed and self._half is None:
            self._half = self.factory.clock.callLater(self.factory.frame_patience, self._too_slow)

    def stringReceived(self, payload: bytes) -> None:
        self._whole()
        super().stringReceived(payload)

    def sendString(self, string: bytes) -> None:
        super().sendString(string)
        self._check_unsent()

    def lengthLimitExceeded(self, length: int) -> None:
        # Autobahn raises here, which Twisted logs with a traceback of some kilobytes.
        self.log.warn("a message of {length} bytes is refused", length=length)
        self.drop()

    def connectionLost(self, reason: Failure) -> None:
        if self._greeting.active():
            self._greeting.cancel()
        self._whole()
        self.factory.connected.discard(self)
        super().connectionLost(reason)

    def _too_slow(self) -> None:
        self.log.warn("a message that has begun did not come to its end: the connection is dropped")
        self.drop()

    def _whole(self) -> None:
        if self._half is not None and self._half.active():
            self._half.cancel()
        self._half = None


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
        return protocol  # type: ignore[no-any-return]

    def close(self) -> None:
        """End every connection without waiting for its goodbye."""
        for protocol in list(self.connected):
            protocol.drop()


class WebSocketProtocol(_Bounded, WampWebSocketServerProtocol):
    """One WebSocket connection."""

    address = ""

    def stranger(self) -> bool:
        """Whether nobody has logged in by this connection."""
        return self._session is None or self._session.peer is None

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        super().sendData(data, sync, chopsize)
        self._check_unsent()

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
