"""``logs.*``: the daemon's own log and each chute's, by time or by sequence number."""

from __future__ import annotations

from paradrop import uris
from paradrop.base.exceptions import InvalidInput, LogNotFound
from paradrop.logstore import LogStore
from paradrop.permissions import Permission, Person
from paradrop.procedure import procedure
from paradrop.values import LogPage

MOST_LINES = 1000


class LogsApi:
    def __init__(self, store: LogStore) -> None:
        self._store = store

    @procedure(uris.LOGS_SOURCES, Permission.VIEW)
    async def sources(self, caller: Person) -> list[str]:
        return list(self._store.sources())

    @procedure(uris.LOGS_READ, Permission.VIEW)
    async def read(
        self, caller: Person, source: str, since: float | None = None, after: int | None = None, limit: int = 500
    ) -> LogPage:
        """Lines newer than *since* (seconds since the epoch) or with numbers above *after*, oldest first; with a negative
        *after* the last so many."""
        if not 1 <= limit <= MOST_LINES:
            raise InvalidInput(f"limit is from 1 to {MOST_LINES}")
        if source not in self._store.sources():
            raise LogNotFound(f"there is no log {source!r}")
        if after is not None and after < 0:
            after = max(0, self._store.last(source) + after)
        return self._store.read(source, after=after, since=since, limit=limit)
