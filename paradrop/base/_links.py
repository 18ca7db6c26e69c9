"""Links to a router: each form of address, and how a lost link is tried again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

from autobahn.twisted.rawsocket import WampRawSocketClientFactory
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


class Reconnecting(ReconnectingClientFactory):
    """Comes back after 1 s, doubling up to 10 s, each time with some jitter; from the start again once a session has joined."""

    initialDelay = 1
    maxDelay = 10
    factor = 2
    jitter = 0.1
    noisy = False
    reconnect = True
    on_failure: Callable[[Failure], None] = staticmethod(lambda reason: None)

    def startedConnecting(self, connector: IConnector) -> None:
        """Called when a connection is being made: :meth:`stop` may have to break it off."""
        self.connector = connector

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
        if self.reconnect:
            self.retry(connector)  # type: ignore[no-untyped-call]
        else:
            self.on_failure(reason)


class BaseClientFactory(Reconnecting, WampWebSocketClientFactory):
    """WAMP over WebSocket, reconnecting."""

    def __init__(self, factory: Callable[[], ApplicationSession], *args: Any, **kwargs: Any) -> None:
        WampWebSocketClientFactory.__init__(self, factory, *args, **kwargs)
        self.setProtocolOptions(autoPingInterval=PING_INTERVAL, autoPingTimeout=PING_TIMEOUT, openHandshakeTimeout=PING_TIMEOUT)
        self.resetDelay()  # type: ignore[no-untyped-call]


class BaseRawSocketFactory(Reconnecting, WampRawSocketClientFactory):
    """WAMP over RawSocket with CBOR, reconnecting."""

    def __init__(self, factory: Callable[[], ApplicationSession]) -> None:
        WampRawSocketClientFactory.__init__(self, factory, CBORSerializer())
        self.resetDelay()  # type: ignore[no-untyped-call]


class Sessions(Protocol):
    """Makes a session for each link of *client*."""

    client: Reconnecting | None

    def __call__(self) -> ApplicationSession: ...

    def failed(self, reason: Failure) -> None:
        """The link could not be made, or is gone, and is not tried again."""


def connect(reactor: Any, address: str, sessions: Sessions, reconnect: bool) -> None:
    """Connect to *address*. Raises :class:`InvalidInput` when it is none."""
    scheme, _, rest = address.partition(":")
    if scheme == "unix" and rest:
        reactor.connectUNIX(rest, _client(BaseRawSocketFactory(sessions), reactor, sessions, reconnect))
        return
    if scheme not in ("rs", "ws", "wss"):
        raise InvalidInput(f"{address!r} is no address: unix:/path, rs://host:port, ws://… or wss://…")
    host, port = _host_and_port(address, {"ws": 80, "wss": 443}.get(scheme))
    raw = BaseRawSocketFactory(sessions) if scheme == "rs" else BaseClientFactory(sessions, url=address, reactor=reactor)
    client = _client(raw, reactor, sessions, reconnect)
    if scheme == "wss":
        from twisted.internet.ssl import optionsForClientTLS  # only now: a chute's image has no OpenSSL

        reactor.connectSSL(host, port, client, optionsForClientTLS(host))
    else:
        reactor.connectTCP(host, port, client)


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
