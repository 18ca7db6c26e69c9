"""Where the device writes its changes down."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from twisted.logger import Logger

from paradrop.base.exceptions import ChangeNotFound, InvalidInput, StorageFull
from paradrop.values import ChangeRecord, plain, read
from paradropd.storage import Database

log = Logger(namespace="paradropd.changes")

KEPT = 500
"""How many ended changes are kept."""


class ChangeStore:
    """Change records, in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unwritten: dict[str, ChangeRecord] = {}
        """Records that the disk had no room for, by id."""

    def keep(self, record: ChangeRecord) -> None:
        """Write *record* down; while the disk cannot take it, remember it here, and try again with the next one."""
        self._unwritten.pop(record.id, None)
        for each in (*self._unwritten.values(), record):
            try:
                self.save(each)
                self._unwritten.pop(each.id, None)
            except (StorageFull, sqlite3.Error) as problem:
                log.warn("change {id} could not be written down: {problem}", id=each.id, problem=problem)
                self._unwritten[each.id] = each

    def save(self, record: ChangeRecord) -> None:
        """Write *record* down, new or again. Raises ``StorageFull``."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO changes (id, chute, final, record) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET final = excluded.final, record = excluded.record",
                (record.id, record.chute, record.state.final, json.dumps(plain(record))),
            )
            if record.state.final:
                connection.execute("DELETE FROM changes WHERE final AND number <= (SELECT max(number) FROM changes) - ?", (KEPT,))

    def get(self, change: str) -> ChangeRecord:
        """Raises :class:`ChangeNotFound`."""
        if change in self._unwritten:
            return self._unwritten[change]
        found = _records(self._database.rows("SELECT record FROM changes WHERE id = ?", change))
        if not found:
            raise ChangeNotFound(f"there is no change {change!r}")
        return found[0]

    def newest(self, limit: int, chute: str | None = None) -> list[ChangeRecord]:
        """The last *limit* changes, of *chute* or of all, newest first."""
        query = "SELECT record FROM changes WHERE ?1 IS NULL OR chute = ?1 ORDER BY number DESC LIMIT ?2"
        found = [self._unwritten.get(record.id, record) for record in _records(self._database.rows(query, chute, limit))]
        never = [record for record in reversed(self._unwritten.values()) if chute in (None, record.chute) and self._lacks(record)]
        return [*never, *found][:limit]

    def unfinished(self) -> list[ChangeRecord]:
        """Changes that have not reached a final state, oldest first."""
        return _records(self._database.rows("SELECT record FROM changes WHERE NOT final ORDER BY number"))

    def _lacks(self, record: ChangeRecord) -> bool:
        return not self._database.rows("SELECT 1 FROM changes WHERE id = ?", record.id)


def _records(rows: Iterable[tuple[object, ...]]) -> list[ChangeRecord]:
    """What can be read of *rows*: a record that cannot must not keep the daemon from starting."""
    found = []
    for (text,) in rows:
        try:
            found.append(read(ChangeRecord, json.loads(str(text))))
        except (InvalidInput, ValueError) as problem:
            log.warn("a change's record cannot be read, and is left out: {problem}", problem=problem)
    return found
