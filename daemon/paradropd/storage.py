"""The device's own records in SQLite: what is wanted of it, and what was done to it.

Calls are made on the reactor's thread: a record is a few hundred bytes, and a change is not begun before it is written down.

What stops or removes a chute must be written even when that chute has filled the disk. Beside the database lies a file of
:data:`BALLAST` bytes for it: it is deleted when such a record finds no room, and made again when there is room.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from paradrop.base.exceptions import InteralException, InvalidInput, ParadropException, StorageFull

MEMORY = ":memory:"

SCHEMA = (
    """
    CREATE TABLE chutes (
        name TEXT PRIMARY KEY,
        want TEXT NOT NULL,
        current INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE deploys (
        chute TEXT PRIMARY KEY,
        last INTEGER NOT NULL
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

NO_ACCESS = ("SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_READONLY", "SQLITE_AUTH")
"""How the names of SQLite's errors begin that are no fault of the database."""

BALLAST = 256 << 10
"""Bytes: a dozen small transactions in the write-ahead log, whose pages have 4 KiB."""


class Database:
    """One SQLite file in WAL mode, brought to the newest schema."""

    def __init__(self, path: Path | str) -> None:
        """Raises :class:`InteralException` when the file is no database, is damaged, or is a newer Paradrop's: it is then
        left as it is; :class:`StorageFull`; and :class:`InvalidInput` when it, or its folder, cannot be written to."""
        self._ballast = None if str(path) == MEMORY else Path(path).with_name("ballast")
        try:
            try:
                self._open(path)
            except sqlite3.OperationalError as problem:
                if problem.sqlite_errorname not in NO_ROOM or self._ballast is None or not self._ballast.exists():
                    raise
                self._ballast.unlink()
                self._open(path)
        except sqlite3.DatabaseError as problem:
            raise _unusable(path, problem) from problem
        except OSError as problem:
            if problem.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull from problem
            raise InvalidInput(f"{path}: the database cannot be opened: {problem.strerror}") from problem
        self._make_ballast()

    def _open(self, path: Path | str) -> None:
        if str(path) != MEMORY:  # SQLite gives its other files the mode of the first
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._check(path)
        self._connection.execute("PRAGMA journal_mode = WAL")
        # FULL: after a power cut, what was said to be done is done (SQLite, "PRAGMA synchronous").
        self._connection.execute("PRAGMA synchronous = FULL")
        self._upgrade()

    def _check(self, path: Path | str) -> None:
        (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            self._connection.close()
            detail = " ".join(str(found).split())
            raise InteralException(f"{path}: the database is damaged ({detail}); it was left as it is: bring back a copy of it")

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

    def insist(self, write: Callable[[sqlite3.Connection], object]) -> None:
        """Call *write* in a transaction; when the disk is full, in the room that the ballast has kept free for it.

        Raises :class:`StorageFull` when that room is used up, too.
        """
        try:
            with self.transaction() as connection:
                write(connection)
        except StorageFull:
            if self._ballast is None or not self._ballast.exists():
                raise
            self._ballast.unlink()
            with self.transaction() as connection:
                write(connection)
        else:
            self._make_ballast()

    def _make_ballast(self) -> None:
        """Without room for it there is none until the next time."""
        if self._ballast is None or self._ballast.exists():
            return
        try:
            descriptor = os.open(self._ballast, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, BALLAST)
            finally:
                os.close(descriptor)
        except OSError:
            with suppress(OSError):
                self._ballast.unlink()

    def rows(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        """The rows of *query*."""
        return self._connection.execute(query, parameters).fetchall()

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it."""
        self._connection.close()


def _unusable(path: Path | str, problem: sqlite3.DatabaseError) -> ParadropException:
    """What to say of a database that cannot be opened."""
    name = getattr(problem, "sqlite_errorname", "")  # the module's own errors have none
    if name in NO_ROOM:
        return StorageFull()
    if name.startswith(NO_ACCESS):
        return InvalidInput(f"{path}: the database, or its folder, cannot be written to: {problem}")
    return InteralException(f"{path}: {problem}")
