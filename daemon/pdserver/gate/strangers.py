"""Connections that have not joined yet: how long, how many and how much they may send.

The universal transport of Crossbar 26.10 has no timeouts at all, and a TLS handshake has none in Twisted; a connection counts
from its first packet on, whatever it goes on to speak.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Connection(Protocol):
    """Twisted's transport."""

    def abortConnection(self) -> None: ...


@dataclass(slots=True)
class _Stranger:
    until: float
    received: int = 0


class Strangers:
    """Drops whoever takes too long, sends too much, or has been waiting longest when there are too many.

    They are kept in the order in which they came, and one timer waits for the first: joining costs two operations on a dict.
    """

    def __init__(
        self, clock: IReactorTime, patience: float, most: int, most_bytes: int, notice: Callable[[Connection, str], None]
    ) -> None:
        """*patience*: seconds. *notice*: told of each connection that is dropped, and why."""
        self._clock = clock
        self._patience = patience
        self._most = most
        self._most_bytes = most_bytes
        self._notice = notice
        self._waiting: dict[Connection, _Stranger] = {}
        self._due: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._waiting

    def add(self, connection: Connection) -> None:
        if connection in self._waiting:
            return
        if len(self._waiting) >= self._most:
            self._drop(next(iter(self._waiting)), "too many connections have not joined: the oldest is dropped")
        self._waiting[connection] = _Stranger(self._clock.seconds() + self._patience)
        if self._due is None:
            self._due = self._clock.callLater(self._patience, self._look)

    def heard(self, connection: Connection, size: int) -> bool:
        """*connection* has received *size* bytes. Returns whether it may be listened to; it is dropped when not."""
        stranger = self._waiting.get(connection)
        if stranger is None:
            return True
        stranger.received += size
        if stranger.received <= self._most_bytes:
            return True
        self._drop(connection, "it sent too much before it joined")
        return False

    def discard(self, connection: Connection) -> None:
        """It has joined, or is gone."""
        self._waiting.pop(connection, None)

    def stop(self) -> None:
        """Forget everybody, and the timer."""
        self._waiting.clear()
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _drop(self, connection: Connection, reason: str) -> None:
        self._waiting.pop(connection, None)
        self._notice(connection, reason)
        connection.abortConnection()

    def _look(self) -> None:
        self._due = None
        now = self._clock.seconds()
        for connection, stranger in list(self._waiting.items()):
            if stranger.until > now:
                self._due = self._clock.callLater(stranger.until - now, self._look)
                return
            self._drop(connection, "it did not join in time")
