"""Bounds of one connection at a router: what waits for its peer to read, and messages that begin and do not end.

To be mixed into Crossbar's protocols, before them. Facts about Autobahn and Twisted are those of 26.10.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure


def unsent(transport: Any) -> int:
    """Bytes that wait in *transport* for the other side to read.

    Twisted tells a producer that something waits, but nobody how much, and a reader that is only slow must not be dropped. Below
    TLS the encrypted bytes wait in the transport that it wraps.
    """
    while not hasattr(transport, "dataBuffer"):
        if not hasattr(transport, "transport"):
            return 0
        transport = transport.transport
    return len(transport.dataBuffer) - int(transport.offset) + int(transport._tempDataLen)


class Bounded:
    """A connection that is dropped when too much waits for it."""

    transport: Any
    log: Any
    dropped = False
    received = 0
    """Bytes of the message that came last."""

    def has_too_much(self) -> bool:
        """Whether more waits for the peer than may."""
        raise NotImplementedError

    def drop(self) -> None:
        """End the connection without waiting for its goodbye."""
        self.dropped = True
        self.transport.abortConnection()

    def check_unsent(self) -> None:
        if not self.dropped and self.has_too_much():
            self.log.warn("it does not read what it is sent, and is dropped")
            self.drop()


class Patient(Bounded):
    """… or when a message that has begun takes too long."""

    clock: IReactorTime
    frame_patience: float
    """Seconds from the first byte of a message to its last."""
    _half: IDelayedCall | None = None

    def begun(self) -> None:
        """A message has begun to come."""
        if self._half is None and not self.dropped:
            self._half = self.clock.callLater(self.frame_patience, self._too_slow)

    def ended(self) -> None:
        """It has come, or the connection is gone."""
        half, self._half = self._half, None
        if half is not None and half.active():
            half.cancel()

    def _too_slow(self) -> None:
        self.log.warn("a message that has begun did not come to its end: the connection is dropped")
        self.drop()


class BoundedStrings(Patient):
    """… of RawSocket: Autobahn's protocol on top of Twisted's ``Int32StringReceiver``."""

    _unprocessed: bytes

    def dataReceived(self, data: bytes) -> None:
        if self.dropped:
            return
        super().dataReceived(data)  # type: ignore[misc]
        if self._unprocessed:
            self.begun()

    def stringReceived(self, payload: bytes) -> None:
        self.ended()
        self.received = len(payload)
        super().stringReceived(payload)  # type: ignore[misc]

    def sendString(self, string: bytes) -> None:
        super().sendString(string)  # type: ignore[misc]
        self.check_unsent()

    def lengthLimitExceeded(self, length: int) -> None:
        # Autobahn raises here, which Twisted logs with a traceback of some kilobytes.
        self.log.warn("a message of {length} bytes is refused", length=length)
        self.drop()

    def connectionLost(self, reason: Failure) -> None:
        self.ended()
        super().connectionLost(reason)  # type: ignore[misc]


class BoundedMessages(Bounded):
    """… of WebSocket: Autobahn's protocol."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.received = len(payload)
        super().onMessage(payload, isBinary)  # type: ignore[misc]

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        super().sendData(data, sync, chopsize)  # type: ignore[misc]
        self.check_unsent()
