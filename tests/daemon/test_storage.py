"""The database: all of a transaction or none, the newest schema, and a full disk that is told of."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from paradrop.base.exceptions import InteralException, InvalidInput, StorageFull
from paradropd.storage import BALLAST, SCHEMA, Database

ADD = "INSERT INTO chutes VALUES (?, 'running', 1)"
NAMES = "SELECT name FROM chutes ORDER BY name"


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    first = Database(tmp_path / "db")
    with first.transaction() as connection:
        connection.execute(ADD, ("hello",))
    first.close()
    second = Database(tmp_path / "db")
    assert second.rows(NAMES) == [("hello",)]
    second.close()


def test_what_was_written_is_there_for_another_reader_at_once(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    with database.transaction() as connection:
        connection.execute(ADD, ("hello",))
    other = sqlite3.connect(tmp_path / "db")
    assert other.execute(NAMES).fetchall() == [("hello",)]
    other.close()
    database.close()


def test_a_transaction_that_fails_leaves_nothing() -> None:
    database = Database(":memory:")
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as connection:
        connection.executemany(ADD, [("hello",), ("hello",)])
    assert database.rows(NAMES) == []
    with database.transaction() as connection:
        connection.execute(ADD, ("hello",))
    assert database.rows(NAMES) == [("hello",)]


def test_a_full_disk_leaves_nothing_half_written_and_is_told_of(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    with database.transaction() as connection:
        connection.execute(ADD, ("before",))
    ((pages,),) = database.rows("PRAGMA page_count")
    database.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFull), database.transaction() as connection:
        connection.executemany(ADD, [("small",), ("x" * 100_000,)])
    assert database.rows(NAMES) == [("before",)]
    database.rows("PRAGMA max_page_count = 1000000")
    with database.transaction() as connection:
        connection.execute(ADD, ("x" * 100_000,))
    database.close()


def test_what_must_be_written_is_written_to_a_full_disk_in_the_room_of_the_ballast(tmp_path: Path) -> None:
    class Full(Database):
        def transaction(self) -> Any:
            if (tmp_path / "ballast").exists():
                raise StorageFull
            return super().transaction()

    ballast = tmp_path / "ballast"
    database: Database = Full(tmp_path / "db")
    assert ballast.stat().st_blocks * 512 >= BALLAST
    database.insist(lambda connection: connection.execute(ADD, ("hello",)))
    assert database.rows(NAMES) == [("hello",)]
    assert not ballast.exists()
    database.insist(lambda connection: connection.execute(ADD, ("other",)))
    assert ballast.stat().st_size == BALLAST  # there was room again
    database.close()


def test_a_daemon_starts_on_a_full_disk_in_the_room_of_the_ballast(tmp_path: Path) -> None:
    class Full(Database):
        def _open(self, path: Path | str) -> None:
            if (tmp_path / "ballast").exists():
                problem = sqlite3.OperationalError("database or disk is full")
                problem.sqlite_errorname = "SQLITE_FULL"
                raise problem
            super()._open(path)

    Database(tmp_path / "db").close()
    database = Full(tmp_path / "db")
    assert database.rows(NAMES) == []
    database.close()


def test_without_a_ballast_a_full_disk_is_told_of(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    (tmp_path / "ballast").unlink()
    ((pages,),) = database.rows("PRAGMA page_count")
    database.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFull):
        database.insist(lambda connection: connection.execute(ADD, ("x" * 100_000,)))
    database.close()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("SQLITE_FULL", StorageFull),
        ("SQLITE_CANTOPEN_ISDIR", InvalidInput),
        ("SQLITE_READONLY", InvalidInput),
        ("SQLITE_CORRUPT", InteralException),
    ],
)
def test_why_it_cannot_be_opened(tmp_path: Path, name: str, error: type[Exception]) -> None:
    class Failing(Database):
        def _open(self, path: Path | str) -> None:
            problem = sqlite3.OperationalError("no")
            problem.sqlite_errorname = name
            raise problem

    with pytest.raises(error) as told:
        Failing(tmp_path / "db")
    assert type(told.value) is error


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EACCES, InvalidInput)]
)
def test_why_its_file_cannot_be_made(tmp_path: Path, number: int, error: type[Exception]) -> None:
    class Failing(Database):
        def _open(self, path: Path | str) -> None:
            raise OSError(number, os.strerror(number), str(path))

    with pytest.raises(error):
        Failing(tmp_path / "db")


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"{tmp_path}: the database cannot be opened: Is a directory"):
        Database(tmp_path)


def test_another_mistake_is_not_called_a_full_disk() -> None:
    database = Database(":memory:")
    with pytest.raises(sqlite3.OperationalError, match="no such table"), database.transaction() as connection:
        connection.execute("INSERT INTO nowhere VALUES (1)")


def test_the_schema_counts_its_versions() -> None:
    assert Database(":memory:").rows("PRAGMA user_version") == [(len(SCHEMA),)]


def test_power_cuts_are_reckoned_with(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    assert database.rows("PRAGMA journal_mode") == [("wal",)]
    assert database.rows("PRAGMA synchronous") == [(2,)]  # FULL
    database.close()


def test_a_database_of_a_newer_paradrop_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    newer = sqlite3.connect(tmp_path / "db")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(InteralException, match="newer Paradrop"):
        Database(tmp_path / "db")
    assert sqlite3.connect(tmp_path / "db").execute("PRAGMA user_version").fetchone() == (99,)


@pytest.mark.parametrize("content", [b"this is a text and no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "db").write_bytes(content)
    with pytest.raises(InteralException, match="db: "):
        Database(tmp_path / "db")
    assert (tmp_path / "db").read_bytes() == content


def test_a_damaged_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    with database.transaction() as connection:
        connection.executemany(ADD, [(f"chute-{number}",) for number in range(2000)])
    database.close()
    content = bytearray((tmp_path / "db").read_bytes())
    content[-4096:] = b"\x55" * 4096
    (tmp_path / "db").write_bytes(content)
    with pytest.raises(InteralException, match="db: the database is damaged"):
        Database(tmp_path / "db")
    assert (tmp_path / "db").read_bytes() == content


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        database = Database(tmp_path / "state.db")
        with database.transaction():
            pass
        modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        database.close()
    finally:
        os.umask(before)
    assert modes == {0o600}
