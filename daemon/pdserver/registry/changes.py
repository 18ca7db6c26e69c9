"""Changes one after the other: the database first, then the memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredLock

from paradrop.base.exceptions import Conflict, DatabaseUnavailable, HomeInUse
from pdserver.registry.database import Database
from pdserver.registry.directory import Directory, Snapshot

R = TypeVar("R")


class Changes:
    """Runs changes one at a time, in the order in which they were asked for.

    * Who waited behind a change that found the database locked or away fails with it: a queue, each of which waits as long again,
      would answer nobody in time.
    * A connection that is lost in the middle of a commit leaves open whether it was done. It is reported as not done; before the
      next change the directory is read again, and says what is so.
    """

    def __init__(
        self, database: Database, directory: Directory, load: Callable[[Connection], Snapshot], superseded: Callable[[], None]
    ) -> None:
        """*superseded*: told when another server has claimed the database since."""
        self._superseded = superseded
        self._database = database
        self._directory = directory
        self._load = load
        self._lock = DeferredLock()
        self._failures = 0
        self._doubtful = True
        self._ended = False

    async def make(self, work: Callable[[Connection], R], follow: Callable[[R], object] | None = None) -> R:
        """The result of *work*, which is a transaction; after it *follow* brings the directory up to date."""

        async def change() -> R:
            await self._claim()
            if self._doubtful:
                await self._reload()
            result = await self._attempt(work)
            if follow is not None:
                follow(result)
            return result

        return await self._alone(change)

    async def reload(self) -> None:
        """Read the whole directory."""
        await self._alone(self._reload)

    async def end(self) -> None:
        """After the change that is under way; those that wait are refused."""
        self._ended = True
        async with self._lock:
            pass

    async def _claim(self) -> None:
        """What keeps other servers out may have been lost; raises :class:`DatabaseUnavailable` when one came in."""
        try:
            if await self._database.claim():
                self._doubtful = True
        except (DatabaseUnavailable, HomeInUse) as problem:
            self._failures += 1
            self._doubtful = True
            if isinstance(problem, DatabaseUnavailable):
                raise
            self._superseded()
            raise DatabaseUnavailable(f"{problem}; nothing was changed") from None

    async def _reload(self) -> None:
        self._directory.load(await self._attempt(self._load))
        self._doubtful = False

    async def _attempt(self, work: Callable[[Connection], R]) -> R:
        try:
            return await self._database.write(work)
        except DatabaseUnavailable:
            self._failures += 1
            self._doubtful = True
            raise

    async def _alone(self, work: Callable[[], Coroutine[Deferred[object], object, R]]) -> R:
        failures = self._failures

        async def locked() -> R:
            async with self._lock:
                if self._ended:
                    raise Conflict("the server is stopping")
                if self._failures != failures:
                    raise DatabaseUnavailable
                return await work()

        # A caller that goes away cancels what it awaits. A thread cannot be cancelled, and the directory must follow what it
        # commits: what the caller awaits is therefore not the work itself.
        result: Deferred[R] = Deferred()
        Deferred.fromCoroutine(locked()).chainDeferred(result)
        return await result
