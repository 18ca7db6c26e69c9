"""A database whose transactions run in a thread and fail with our errors only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from paradrop.base.exceptions import ParadropException
from paradrop.base.seams import Threads
from pdserver.registry import engines, migrations
from pdserver.registry.failures import translated
from pdserver.registry.fence import Fence

R = TypeVar("R")

PATIENCE = 5.0
"""Seconds to wait for a lock, a connection or a place in the pool."""


class Database:
    """SQLite or PostgreSQL, by its URL.

    The function given to :meth:`read` or :meth:`write` runs in one transaction in a thread: committed when it returns, rolled
    back when it raises. Both raise what it raises, and :class:`DatabaseUnavailable` or :class:`StorageFull`.
    """

    def __init__(self, url: str, threads: Threads, patience: float = PATIENCE) -> None:
        """Raises :class:`InvalidSettings`; :class:`DatabaseUnavailable` when the file of SQLite cannot be made."""
        parsed = engines.read_url(url)
        query = parsed.query.get("password", ())
        self._secrets = [str(parsed.password or ""), *((query,) if isinstance(query, str) else query)]
        self._threads = threads
        self.engine = engines.make_engine(parsed, patience)
        self._fence = Fence(self.engine)
        # A database in memory is a single connection, which threads must take in turns.
        self._turn: AbstractContextManager[object] = threading.Lock() if engines.in_memory(parsed) else nullcontext()

    async def read(self, function: Callable[[Connection], R]) -> R:
        return await self._threads(self._transaction, function, writing=False)

    async def write(self, function: Callable[[Connection], R]) -> R:
        """Alone: no two of these overlap, in this process or in another one."""
        return await self._threads(self._transaction, function, writing=True)

    async def claim(self) -> bool:
        """Keep other servers out until :meth:`close`; whoever has claimed writes only while the claim holds.

        Returns whether others may have changed something since it held last. Raises :class:`HomeInUse` when another server has
        claimed the database. SQLite needs no claim: it lies in a home, which is locked.
        """
        if self.engine.dialect.name != "postgresql":
            return False
        return await self._threads(self._in_our_words, self._fence.take)

    async def upgrade(self) -> None:
        """Bring the schema to this version's. Raises :class:`InvalidSettings` when it is a newer version's."""
        await self.write(migrations.upgrade)

    async def close(self) -> None:
        await self._threads(self._dispose)

    def _dispose(self) -> None:
        self._fence.release()
        self.engine.dispose()

    def _transaction(self, function: Callable[[Connection], R], writing: bool) -> R:
        def transaction() -> R:
            with self._turn, self.engine.connect().execution_options(writing=writing) as connection, connection.begin():
                if writing:
                    engines.begin_writing(connection)
                    self._fence.check()
                return function(connection)

        return self._in_our_words(transaction)

    def _in_our_words(self, work: Callable[[], R]) -> R:
        try:
            return work()
        except SQLAlchemyError as problem:
            failure: ParadropException = translated(problem, self._secrets)
        # Outside of the handler: the driver's error, with its statement, is then no context of ours and in nobody's log.
        raise failure
