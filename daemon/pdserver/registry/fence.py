"""One server for one PostgreSQL database: each keeps the directory in its memory, and would not hear of what another one changes.

A lock of a session (PostgreSQL, "Advisory Locks") on a connection of its own: it is gone when the server is, however that ends.
SQLite needs none; its file lies in a home, which is locked.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from paradrop.base.exceptions import DatabaseUnavailable, HomeInUse

FENCE = 0x7061_7261_6665_6E63
"""The advisory lock: "parafenc" in ASCII."""
KEEPALIVE = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}
"""For PostgreSQL's end of the connection, in seconds: a machine that was switched off loses the lock in 25 s, not in hours."""


class Fence:
    """Blocks the thread it is called in; any thread may."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()
        self._held: Connection | None = None
        self._wanted = False

    def take(self) -> bool:
        """Have the lock from now on. Returns whether it was taken now, and so was somebody else's for all we know.

        Raises :class:`HomeInUse` when another server has it, and SQLAlchemy's errors.
        """
        if self._engine.dialect.name != "postgresql":
            return False
        with self._turn:
            self._wanted = True
            if self._holds():
                return False
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                for name, value in KEEPALIVE.items():
                    connection.execute(text(f"SET {name} = {value}"))
                taken = connection.scalar(select(func.pg_try_advisory_lock(FENCE)))
            except BaseException:
                _close(connection)
                raise
            if not taken:
                _close(connection)
                raise HomeInUse("another server uses this database")
            self._held = connection
            return True

    def check(self) -> None:
        """In a writing transaction that has the writers' lock: a server that takes the fence now reads what is being written.

        Raises :class:`DatabaseUnavailable` when the lock was taken once and is not held.
        """
        with self._turn:
            if self._wanted and not self._holds():
                raise DatabaseUnavailable("the connection to the server's database was lost; nothing was changed")

    def release(self) -> None:
        with self._turn:
            self._wanted = False
            if self._held is not None:
                with suppress(SQLAlchemyError):  # at once: PostgreSQL takes a moment to see that a connection was closed
                    self._held.execute(select(func.pg_advisory_unlock(FENCE)))
            self._drop()

    def _holds(self) -> bool:
        if self._held is None:
            return False
        try:
            self._held.execute(select(1))
        except SQLAlchemyError:
            self._drop()
            return False
        return True

    def _drop(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            _close(held)


def _close(connection: Connection) -> None:
    connection.invalidate()  # it does not go back to the pool, where somebody would get it with the lock
    connection.close()
