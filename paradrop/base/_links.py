"""Links to a router: each form of address, and how a lost link is tried again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from socket import IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET
from typing import Any, Protocol
from urllib.parse import urlsplit

from autobahn.twisted.rawsocket import WampRawSocketClientFactory, WampRawSocketClientProtocol
from autobahn.twisted.wamp import ApplicationSession
from autobahn.twisted.websocket import WampWebSocketClientFactory
from twisted.internet.interfaces import IConnector
from twisted.internet.protocol import ReconnectingClientFactory
from twisted.python.failure import Failure

from paradrop.base._serializers import CBORSerializer
from paradrop.base.exceptions import InvalidInput

PING_INTERVAL = 10.0
PING_TIMEOUT = 10.0
"""Seconds; together they find a dead peer in 20 s. Autobahn leaves automatic pings off, and a half-open link swallows calls."""


KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
"""Socket options of tcp(7), in seconds, the last in milliseconds: a dead peer is found in 30 s.

RawSocket's own PING and PONG (WAMP, section "RawSocket Transport") are not spoken by Autobahn nor Crossbar 26.10; the kernel's
probes find the same dead peers, and cost a device that has nothing to say 80 bytes a probe and no work.
"""


def keep_alive(transport: Any) -> None:
    """Have the kernel look after a TCP *transport*, and send at once what it gets; any other is left alone, and so is what a
    system has no option for."""
    import socket

    handle = getattr(transport, "getHandle", lambda: None)()
    if not isinstance(handle, socket.socket) and hasattr(transport, "transport"):
        keep_alive(transport.transport)  # TLS in Twisted is a protocol of its own, on a TCP transport that has the socket
        return
    if not isinstance(handle, socket.socket) or handle.family not in (socket.AF_INET, socket.AF_INET6):
        return
    # Of a result and a call in the same direction, the second would wait for the other side's delayed acknowledgement: 40 ms.
    handle.setsockopt(IPPROTO_TCP, socket.TCP_NODELAY, 1)
    handle.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        with suppress(AttributeError, OSError):
            handle.setsockopt(IPPROTO_TCP, getattr(socket, name), value)


class Reconnecting(ReconnectingClientFactory):
    """Comes back after 1 s, doubling up to 10 s, each time with some jitter; from the start again once a session has joined."""

    initialDelay = 1
    maxDelay = 10
    factor = 2
    jitter = 0.1
    noisy = False
    reconnect = True
    on_failure: Callable[[Failure], None] = staticmethod(lambda reason: None)
    on_retry: Callable[[Failure], None] = staticmethod(lambda reason: None)
    """Called with the reason why there is no link, before waiting for the next attempt."""
    on_attempt: Callable[[], None] = staticmethod(lambda: None)
    """Called when an attempt begins."""

    _refused: Failure | None = None

    def refuse(self, why: Failure) -> None:
        """The connection being made ends, because its other end is not who it should be."""
        self._refused = self._refused or why

    def startedConnecting(self, connector: IConnector) -> None:
        """Called when a connection is being made: :meth:`stop` may have to break it off."""
        self.connector = connector
        self._refused = None
        self.on_attempt()

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """Called when a connection has failed to connect: tries again, or reports it when it is not to reconnect."""
        self._again(connector, reason)

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        """Called when an established connection is lost: tries again, or reports it when it is not to reconnect."""
        self._again(connector, reason)

    def stop(self) -> None:
        """Do not come back."""
        self.reconnect = False
        self.stopTrying()  # type: ignore[no-untyped-call]

    def _again(self, connector: IConnector, reason: Failure) -> None:
        reason = self._refused or reason
        if self.reconnect:
            self.on_retry(reason)
            self.retry(connector)  # type: ignore[no-untyped-call]
        else:
            self.on_failure(reason)


class BaseClientFactory(Reconnecting, WampWebSocketClientFactory):
    """WAMP over WebSocket, reconnecting."""

    def __init__(self, factory: Callable[[], ApplicationSession], *args: Any, **kwargs: Any) -> None:
        WampWebSocketClientFactory.__init__(self, factory, *args, **kwargs)
        self.setProtocolOptions(autoPingInterval=PING_INTERVAL, autoPingTimeout=PING_TIMEOUT, openHandshakeTimeout=PING_TIMEOUT)
        self.resetDelay()  # type: ignore[no-untyped-call]


class _RawSocketProtocol(WampRawSocketClientProtocol):
    def connectionMade(self) -> None:
        keep_alive(self.transport)
        super().connectionMade()


class BaseRawSocketFactory(Reconnecting, WampRawSocketClientFactory):
    """WAMP over RawSocket with CBOR, reconnecting."""

    protocol = _RawSocketProtocol

    def __init__(self, factory: Callable[[], ApplicationSession]) -> None:
        WampRawSocketClientFactory.__init__(self, factory, CBORSerializer())
        self.resetDelay()  # type: ignore[no-untyped-call]


class Sessions(Protocol):
    """Makes a session for each link of *client*."""

    client: Reconnecting | None

    def __call__(self) -> ApplicationSession: ...

    def failed(self, reason: Failure) -> None:
        """The link could not be made, or is gone, and is not tried again."""


def connect(
    reactor: Any,
    address: str,
    sessions: Sessions,
    reconnect: bool,
    authority: str = "",
    prepare: Callable[[Reconnecting], None] = lambda client: None,
) -> Reconnecting:
    """Connect to *address*; *prepare* gets what makes the connections before the first one. Raises :class:`InvalidInput` when
    *address* is none.

    With TLS the server's certificate is verified: by *authority* (a certificate, PEM) alone when there is one, else by the
    system's authorities.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "unix" and rest:
        client = _client(BaseRawSocketFactory(sessions), reactor, sessions, reconnect)
        prepare(client)
        reactor.connectUNIX(rest, client)
        return client
    if scheme not in ("rs", "rss", "ws", "wss"):
        raise InvalidInput(f"{address!r} is no address: unix:/path, rs://host:port, rss://host:port, ws://… or wss://…")
    host, port = _host_and_port(address, {"ws": 80, "wss": 443}.get(scheme))
    web = scheme in ("ws", "wss")
    raw = BaseClientFactory(sessions, url=address, reactor=reactor) if web else BaseRawSocketFactory(sessions)
    client = _client(raw, reactor, sessions, reconnect)
    prepare(client)
    if scheme in ("rss", "wss"):
        reactor.connectSSL(host, port, client, _verified(host, authority, client.refuse))
    else:
        reactor.connectTCP(host, port, client)
    return client


def _verified(host: str, authority: str, refused: Callable[[Failure], None] = lambda why: None) -> Any:
    """TLS that accepts *host* only; *refused* is told why it accepts no other: see :func:`paradrop.base.tls.tell_why`.

    Raises :class:`InvalidInput` when *authority* is no certificate.
    """
    from OpenSSL.SSL import Error  # only now: a chute's image has no OpenSSL
    from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates

    from paradrop.base.tls import tell_why

    try:
        trust = trustRootFromCertificates([Certificate.loadPEM(authority.encode())]) if authority else platformTrust()
    except (Error, ValueError) as problem:
        raise InvalidInput(f"the server's authority is not a certificate: {problem}") from problem
    options = optionsForClientTLS(host, trustRoot=trust)
    tell_why(options, refused)
    return options


def _host_and_port(address: str, usual: int | None) -> tuple[str, int]:
    """Raises :class:`InvalidInput` when *address* has no host, or a port that is none, or none at all and there is no *usual*."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or usual
    except ValueError as problem:
        raise InvalidInput(f"{address!r}: {problem}") from None
    if not host or not port or parts.fragment:
        raise InvalidInput(f"{address!r} names no host and port")
    return host, port


def _client(client: Reconnecting, reactor: Any, sessions: Sessions, reconnect: bool) -> Reconnecting:
    client.clock = reactor
    client.reconnect = reconnect
    client.on_failure = sessions.failed
    sessions.client = client
    return client
