"""The device's own records in SQLite: what is wanted of it, and what was done to it.

Calls are made on the reactor's thread: a record is a few hundred bytes, and a change is not begun before it is written down.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paradrop.base.exceptions import InteralException, StorageFull

MEMORY = ":memory:"

SCHEMA = (
    """
    CREATE TABLE chutes (
        name TEXT PRIMARY KEY,
        want TEXT NOT NULL,
        current INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE releases (
        chute TEXT NOT NULL,
        number INTEGER NOT NULL,
        manifest TEXT NOT NULL,
        tree TEXT NOT NULL,
        images TEXT NOT NULL,
        PRIMARY KEY (chute, number)
    ) STRICT;
    CREATE TABLE changes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        chute TEXT NOT NULL,
        final INTEGER NOT NULL,
        record TEXT NOT NULL
    ) STRICT;
    CREATE INDEX changes_by_chute ON changes (chute, number);
    """,
)
"""One script for each version of the schema: ``PRAGMA user_version`` counts those that have run."""

NO_ROOM = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_FSYNC")


class Database:
    """One SQLite file in WAL mode, brought to the newest schema."""

    def __init__(self, path: Path | str) -> None:
        """Raises :class:`InteralException` when the file is no database, or a newer Paradrop's."""
        try:
            if str(path) != MEMORY:  # SQLite gives its other files the mode of the first
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            # FULL: after a power cut, what was said to be done is done (SQLite, "PRAGMA synchronous").
            self._connection.execute("PRAGMA synchronous = FULL")
            self._upgrade()
        except sqlite3.DatabaseError as problem:
            raise InteralException(f"{path}: {problem}") from problem

    def _upgrade(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(SCHEMA):
            raise InteralException("the database was written by a newer Paradrop; install that one again")
        for number, script in enumerate(SCHEMA[version:], start=version + 1):
            self._connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block is written, or none. Raises :class:`StorageFull` when there is no room for it."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException as problem:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(problem, sqlite3.OperationalError) and problem.sqlite_errorname in NO_ROOM:
                raise StorageFull from problem
            raise

    def rows(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        """The rows of *query*."""
        return self._connection.execute(query, parameters).fetchall()

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it."""
        self._connection.close()
