"""Crossbar's three server protocols, each with bounds: time, bytes before joining, unsent output, half messages.

Facts about Autobahn, Crossbar and Twisted are those of 26.10. Nothing but the gate imports this module: it imports Crossbar.
"""

from __future__ import annotations

from typing import Any

from autobahn.exception import PayloadExceededError
from autobahn.wamp.exception import SerializationError, TransportLost
from crossbar.router.protocol import WampRawSocketServerProtocol, WampWebSocketServerProtocol
from crossbar.router.unisocket import UniSocketServerProtocol
from twisted.internet.address import UNIXAddress
from twisted.python.failure import Failure

from paradrop.base._links import keep_alive
from paradrop.routing.connections import BoundedMessages, BoundedStrings, Patient, unsent
from paradrop.routing.notices import Notices, PeerLog
from pdserver.gate.settings import GateSettings
from pdserver.gate.strangers import Strangers


def address(transport: Any) -> str:
    """Who is at the other end, for the log."""
    peer = transport.getPeer()
    return str(getattr(peer, "host", "unix socket"))


INSIDE = 64 << 20
"""Bytes that may wait for the server's own process: it is asked by everybody, and has an answer of all sessions to read."""


class Bounds:
    """What all connections of the node share."""

    def __init__(self, clock: Any, strangers: Strangers, notices: Notices, settings: GateSettings) -> None:
        self.clock = clock
        self.strangers = strangers
        self.notices = notices
        self.unsent = settings.unsent
        self.frame_patience = settings.frame_patience

    def made(self, transport: Any) -> None:
        """A connection begins. The unix socket lies in a folder that only the server itself can enter."""
        if transport not in self.strangers and not _is_inside(transport):
            self.strangers.add(transport)
            keep_alive(transport)

    def has_too_much(self, transport: Any) -> bool:
        """Whether too many bytes wait in *transport*."""
        waiting = unsent(transport)
        return waiting > self.unsent and (waiting > INSIDE or not _is_inside(transport))

    def log(self, transport: Any) -> PeerLog:
        return PeerLog(self.notices, address(transport))


def _is_inside(transport: Any) -> bool:
    return isinstance(transport.getPeer(), UNIXAddress)


class _Bounded(Patient):
    """A WAMP transport whose faults are its own."""

    bounds: Bounds

    def connectionMade(self) -> None:
        self.log = self.bounds.log(self.transport)
        self.clock, self.frame_patience = self.bounds.clock, self.bounds.frame_patience
        self.bounds.made(self.transport)
        super().connectionMade()  # type: ignore[misc]

    def connectionLost(self, reason: Failure) -> None:
        self.bounds.strangers.discard(self.transport)
        super().connectionLost(reason)  # type: ignore[misc]

    def has_too_much(self) -> bool:
        return self.bounds.has_too_much(self.transport)

    def send(self, msg: Any) -> None:
        # What is raised here would break off the delivery to everybody who comes after this one.
        try:
            super().send(msg)  # type: ignore[misc]
        except PayloadExceededError as problem:
            self.log.warn("it takes no message of that size, and is dropped: {problem}", problem=problem)
            self.drop()
        except SerializationError as problem:
            self.log.warn("a message cannot be written for it: {problem}", problem=problem)
        except TransportLost:
            return


class RawSocketProtocol(_Bounded, BoundedStrings, WampRawSocketServerProtocol):
    """One RawSocket connection, alone or behind the universal transport's first byte."""


class WebSocketProtocol(_Bounded, BoundedMessages, WampWebSocketServerProtocol):
    """One WebSocket connection."""

    def onMessageBegin(self, isBinary: bool) -> None:
        self.begun()
        super().onMessageBegin(isBinary)

    def onMessageEnd(self) -> None:
        self.ended()
        super().onMessageEnd()

    def connectionLost(self, reason: Failure) -> None:
        self.ended()
        super().connectionLost(reason)


class UniversalProtocol(UniSocketServerProtocol):
    """A connection that has not said yet what it speaks; behind TLS it begins before the handshake."""

    bounds: Bounds

    def connectionMade(self) -> None:
        self.log = self.bounds.log(self.transport)
        self.bounds.made(self.transport)

    def dataReceived(self, data: bytes) -> None:
        if not self.bounds.strangers.heard(self.transport, len(data)):
            return
        try:
            super().dataReceived(data)
        except Exception:  # noqa: BLE001 - whatever garbage leads to, Twisted would log it with its traceback
            self.log.failure()
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure) -> None:
        self.bounds.strangers.discard(self.transport)
        super().connectionLost(reason)
