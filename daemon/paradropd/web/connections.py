"""How many connections the site keeps open, and how long each may take to say what it wants.

Every connection costs a file descriptor, and a daemon without any left can do nothing at all. So there is a cap for all of them
and one for each address, and a client that trickles its request byte by byte (the "slowloris" attack) is not waited for.

Why not ``LimitConnectionsByPeer`` of ``twisted.protocols.policies`` (26.10): it counts each IPv6 address by itself, and one host
has 2^64 of them.
"""

# Twisted 26.10's web server is only partly annotated.
# mypy: allow-untyped-calls

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request

from paradropd.web.limiter import network

HEAD = 20.0
"""Seconds from the connection, or from the end of the last request, until a request's head is complete."""
BODY = 600.0
"""Seconds from the head until the body is complete."""
UNSENT = 60.0
"""Seconds a client has to take the rest of an answer once its time is over."""
SILENCE = 60.0
"""Seconds between two log entries about refused connections."""

_log = Logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    total: int = 256
    by_address: int = 32
    by_loopback: int = 128
    """For an address of the device itself, which many people may share: through a tunnel, for example."""


class Connections:
    """The open connections, counted by where they come from; an IPv6 host counts by its /64."""

    def __init__(self, clock: Callable[[], float], caps: Caps) -> None:
        """*clock*: seconds, never going back."""
        self._clock = clock
        self._caps = caps
        self._open: Counter[str] = Counter()
        self._refused = 0
        self._quiet_until = clock()

    def __len__(self) -> int:
        """Connections open now."""
        return self._open.total()

    def may_come(self, address: str) -> bool:
        """Whether there is room for one more from *address*. A refusal goes to the log, at most once in :data:`SILENCE`."""
        source = network(address)
        most = self._caps.by_loopback if _loopback(source) else self._caps.by_address
        if len(self) < self._caps.total and self._open[source] < most:
            return True
        self._refused += 1
        if self._clock() >= self._quiet_until:
            self._quiet_until = self._clock() + SILENCE
            _log.warn(
                "the web site has too many connections: {open} are open, {refused} more were refused, the last from {address}",
                open=len(self),
                refused=self._refused,
                address=address,
            )
            self._refused = 0
        return False

    def registerProtocol(self, connection: ProtocolWrapper) -> None:
        """Called by each connection when it is made."""
        self._open[network(host(connection.getPeer()))] += 1

    def unregisterProtocol(self, connection: ProtocolWrapper) -> None:
        """Called by each connection when it ends."""
        source = network(host(connection.getPeer()))
        self._open[source] -= 1
        if not self._open[source]:
            del self._open[source]

    def count(self, channel: HTTPChannel) -> ProtocolWrapper:
        """*channel*, counted from the beginning of its connection to the end.

        It is wrapped, because a WebSocket takes the channel's place, and the channel never hears of the end.
        """
        return ProtocolWrapper(self, channel)  # type: ignore[arg-type]  # of a factory it needs the two methods above


class PunctualChannel(HTTPChannel):
    """An HTTP channel on which each part of a request has a deadline. The idle time, which each byte starts anew, is apart."""

    _deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self._within(HEAD)

    def allHeadersReceived(self) -> None:
        self._within(BODY)
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        self._within(None)
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        if self.persistent:
            self._within(HEAD)  # before the rest: it may find the next request in what has come already
        super().requestDone(request)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._within(None)
        super().connectionLost(reason)

    def _within(self, seconds: float | None) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.callLater(seconds, self._too_late)

    def _too_late(self) -> None:
        """End the connection without a word in the log, when the client has taken what is still to be sent to it."""
        self.setTimeout(None)
        self.loseConnection()
        self._deadline = self.callLater(UNSENT, self.forceAbortClient)


def host(address: IAddress) -> str:
    """The IP address of *address*; ``unix`` when it has none."""
    return str(getattr(address, "host", "unix"))


def _loopback(source: str) -> bool:
    return source.startswith("127.") or source == network("::1")
