"""A database that is locked, full, damaged or away: a clear error, nothing half done, and back by itself."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, ProgrammingError
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from paradrop.base.exceptions import (
    Conflict,
    DatabaseUnavailable,
    InteralException,
    InvalidSettings,
    ParadropException,
    StorageFull,
)
from paradrop.base.seams import inline
from pdserver.registry import Database, Registry, audit
from pdserver.registry.engines import WRITERS
from pdserver.registry.failures import translated
from pdserver.registry.records import InvitationKind, NewAuditEntry, NewDevice
from postgresql import PASSWORD, STRANGER, PostgreSQL

R = TypeVar("R")
case = SynchronousTestCase()
SECRET = "s3cret-word"


def result(coroutine: Any) -> Any:
    return case.successResultOf(Deferred.fromCoroutine(coroutine))


def failure(coroutine: Any, kind: type[Exception]) -> str:
    return str(case.failureResultOf(Deferred.fromCoroutine(coroutine), kind).value)


def wall() -> float:
    return 1_800_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server.db"


@pytest.fixture
def registry(path: Path) -> Iterator[Registry]:
    registry = Registry(Database(f"sqlite:///{path}", inline, patience=0.02), wall)
    result(registry.open())
    result(registry.create_device("acme.r1"))
    yield registry
    result(registry.close())


def pdids(registry: Registry) -> list[str]:
    return [device.pdid for device in registry.directory.devices()]


def in_the_database(url: str) -> list[str]:
    other = Registry(Database(url, inline), wall)
    result(other.open())
    found = pdids(other)
    result(other.close())
    return found


class HeldThreads:
    """Threads whose work is done when the test says so."""

    def __init__(self) -> None:
        self.held: list[tuple[Deferred[Any], Callable[[], Any]]] = []
        self.holding = False

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        done: Deferred[Any] = Deferred()
        self.held.append((done, lambda: function(*args, **kwargs)))
        if not self.holding:
            self.work()
        return done

    def work(self) -> None:
        done, function = self.held.pop(0)
        try:
            value = function()
        except ParadropException:
            done.errback(Failure())
        else:
            done.callback(value)


# Locked.


def test_a_locked_file_fails_in_time_and_works_again_afterwards(registry: Registry, path: Path) -> None:
    token = result(registry.invite(InvitationKind.DEVICE, "acme.r1", 60))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in failure(registry.create_device("acme.r2"), DatabaseUnavailable)
        assert "locked" in failure(registry.accept(token.id, "aa" * 32), DatabaseUnavailable)
        assert pdids(registry) == ["acme.r1"]
        assert result(registry.check_invitation(token.id, token.secret)).used is None  # reading goes on
        other.execute("ROLLBACK")
    result(registry.create_device("acme.r2"))
    result(registry.accept(token.id, "aa" * 32))
    assert pdids(registry) == in_the_database(f"sqlite:///{path}") == ["acme.r1", "acme.r2"]


@pytest.mark.needs("postgresql")
@pytest.mark.parametrize("lock", [f"SELECT pg_advisory_xact_lock({WRITERS})", "LOCK TABLE devices IN ACCESS EXCLUSIVE MODE"])
def test_a_locked_postgresql_fails_in_time_and_works_again_afterwards(postgresql: PostgreSQL, lock: str) -> None:
    url = postgresql.create()
    registry = Registry(Database(url, inline, patience=0.05), wall)
    result(registry.open())
    with postgresql.connect(url.split("/")[3].split("?")[0]) as other:
        other.execute("BEGIN")
        other.execute(lock)
        assert "locked" in failure(registry.create_device("acme.r1"), DatabaseUnavailable)
        assert pdids(registry) == []
        other.execute("ROLLBACK")
    result(registry.create_device("acme.r1"))
    assert pdids(registry) == ["acme.r1"]
    result(registry.close())


def test_who_waited_behind_a_failure_fails_with_it_and_not_after_it(path: Path) -> None:
    threads = HeldThreads()
    registry = Registry(Database(f"sqlite:///{path}", threads, patience=0.02), wall)
    result(registry.open())
    threads.holding = True
    waiting = [Deferred.fromCoroutine(registry.create_device(f"acme.r{n}")) for n in range(5)]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        threads.work()
        other.execute("ROLLBACK")
    for one in waiting:
        case.failureResultOf(one, DatabaseUnavailable)
    assert threads.held == []  # the others did not even ask
    threads.holding = False
    result(registry.create_device("acme.r1"))
    assert pdids(registry) == ["acme.r1"]
    result(registry.close())


# Full.


def test_a_full_file_changes_nothing_and_goes_on_when_there_is_room(path: Path) -> None:
    database = Database(f"sqlite:///{path}", inline)
    limits: list[int] = []

    @event.listens_for(database.engine, "checkout")
    def limit(connection: Any, *_: object) -> None:
        for pages in limits[-1:]:
            connection.execute(f"PRAGMA max_page_count = {pages}")

    registry = Registry(database, wall)
    result(registry.open())
    result(registry.create_device("acme.r1"))
    limits.append(1)  # SQLite takes what it has for the least
    entry = NewAuditEntry(who="guest", action="call", what="x" * 900, allowed=False)
    failure(registry.record([entry] * 20), StorageFull)
    assert result(registry.audit(0, 100)) == []
    fleet = [NewDevice(pdid=f"sim.{'x' * 200}{n}") for n in range(100)]
    assert "no room" in failure(registry.create_devices(fleet), StorageFull)
    assert pdids(registry) == in_the_database(f"sqlite:///{path}") == ["acme.r1"]
    limits.append(1_000_000)
    result(registry.record([entry] * 20))
    result(registry.create_devices(fleet))
    assert len(result(registry.audit(0, 100))) == 20
    assert len(pdids(registry)) == 101
    result(registry.close())


# Away.


@pytest.mark.needs("postgresql")
def test_while_postgresql_is_down_the_directory_answers_and_afterwards_everything(postgresql: PostgreSQL) -> None:
    url = postgresql.create()
    registry = Registry(Database(url.replace("postgres@", f"postgres:{SECRET}@"), inline), wall)
    result(registry.open())
    result(registry.create_device("acme.r1"))
    postgresql.stop()
    try:
        for _ in range(3):  # the first finds a connection that was cut, the others can make none
            words = failure(registry.create_device("acme.r2"), DatabaseUnavailable)
            assert SECRET not in words
            failure(registry.check_invitation("i00", "x"), DatabaseUnavailable)
            failure(registry.audit(0, 1), DatabaseUnavailable)
        assert pdids(registry) == ["acme.r1"]
    finally:
        postgresql.start()
    result(registry.create_device("acme.r3"))
    assert pdids(registry) == ["acme.r1", "acme.r3"]
    result(registry.close())
    assert in_the_database(url) == ["acme.r1", "acme.r3"]


@pytest.mark.needs("postgresql")
def test_a_restart_of_postgresql_between_two_changes_goes_unnoticed(postgresql: PostgreSQL) -> None:
    registry = Registry(Database(postgresql.create(), inline), wall)
    result(registry.open())
    postgresql.stop()
    postgresql.start()
    result(registry.create_device("acme.r1"))
    assert pdids(registry) == ["acme.r1"]
    result(registry.close())


@pytest.mark.needs("postgresql")
def test_a_wrong_password_is_said_and_not_shown(postgresql: PostgreSQL, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(0):
        wrong = Database(postgresql.url(user=STRANGER, password=SECRET), inline)
        words = failure(Registry(wrong, wall).open(), DatabaseUnavailable)
        assert "password" in words
        result(wrong.close())
        right = Registry(Database(postgresql.url(user=STRANGER, password=PASSWORD), inline), wall)
        result(right.open())
        result(right.close())
    assert SECRET not in words + caplog.text + repr(wrong.engine)
    assert PASSWORD not in caplog.text


def test_after_a_commit_whose_answer_was_lost_the_directory_is_read_again(path: Path) -> None:
    class Lossy(Database):
        lost = False

        async def write(self, function: Callable[[Connection], R]) -> R:
            value = await super().write(function)
            if self.lost:
                raise DatabaseUnavailable
            return value

    database = Lossy(f"sqlite:///{path}", inline)
    registry = Registry(database, wall)
    result(registry.open())
    database.lost = True
    failure(registry.create_device("acme.r1"), DatabaseUnavailable)
    assert pdids(registry) == []  # behind the database, and never ahead
    database.lost = False
    result(registry.create_device("acme.r2"))
    assert pdids(registry) == ["acme.r1", "acme.r2"]
    result(registry.close())


def test_a_caller_that_goes_away_does_not_leave_the_directory_behind(path: Path) -> None:
    threads = HeldThreads()
    registry = Registry(Database(f"sqlite:///{path}", threads), wall)
    result(registry.open())
    threads.holding = True
    call = Deferred.fromCoroutine(registry.create_device("acme.r1"))
    call.addErrback(lambda _: None)
    call.cancel()
    closing_down = Deferred.fromCoroutine(registry.close())
    case.assertNoResult(closing_down)  # it waits for what is under way
    late = Deferred.fromCoroutine(registry.create_device("acme.r2"))
    threads.work()
    threads.work()  # the end of the engine
    case.successResultOf(closing_down)
    case.failureResultOf(late, Conflict)
    assert pdids(registry) == in_the_database(f"sqlite:///{path}") == ["acme.r1"]


# What cannot be a database.


@pytest.mark.parametrize(
    "url",
    [
        "",
        "server.db",
        f"mysql://ada:{SECRET}@host/db",
        f"postgresql://ada:{SECRET}@host:port/db",
        f"postgresql+asyncpg://ada:{SECRET}@host/db",
        "sqlite://host/server.db",
        f"postgresql:/ada:{SECRET}@host",
    ],
)
def test_what_is_no_url_of_a_database_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        Database(url, inline)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("start", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_may_be_spelled_in_three_ways(start: str) -> None:
    assert Database(f"{start}://ada@host/db", inline).engine.driver == "psycopg"


def test_a_folder_that_is_not_there_and_a_file_that_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="nowhere"):
        Database(f"sqlite:///{tmp_path}/nowhere/server.db", inline)
    (tmp_path / "notes.txt").write_text("these are my notes, and nothing else " * 100)
    notes = Database(f"sqlite:///{tmp_path}/notes.txt", inline)
    assert "no database" in failure(Registry(notes, wall).open(), DatabaseUnavailable)
    result(notes.close())


def test_the_file_and_its_companions_are_this_users_only(registry: Registry, path: Path) -> None:
    files = list(path.parent.glob("server.db*"))
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_threads_take_turns_with_a_database_in_memory() -> None:
    database = Database("sqlite://", inline)
    result(database.upgrade())
    entry = NewAuditEntry(who="guest", action="call", what="x", allowed=False)

    def work() -> None:
        for _ in range(50):
            result(database.write(lambda connection: audit.add(connection, [entry], 1.0)))
            result(database.read(lambda connection: audit.read(connection, -1, 1)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(result(database.read(lambda connection: audit.read(connection, 0, 1000)))) == 200
    result(database.close())


def test_a_failed_function_leaves_nothing_in_the_database(registry: Registry, path: Path) -> None:
    database = Database(f"sqlite:///{path}", inline)

    def half(connection: Connection) -> None:
        connection.execute(text("DELETE FROM devices"))
        raise Conflict("changed my mind")

    failure(database.write(half), Conflict)
    result(database.close())
    assert in_the_database(f"sqlite:///{path}") == ["acme.r1"]


def test_an_unexpected_error_keeps_the_statement_and_its_values_to_itself(registry: Registry, path: Path) -> None:
    database = Database(f"sqlite:///{path}", inline)

    def wrong(connection: Connection) -> None:
        connection.execute(text("INSERT INTO nowhere VALUES (:secret)"), {"secret": SECRET})

    problem = case.failureResultOf(Deferred.fromCoroutine(database.write(wrong)), InteralException)
    assert problem.value.__context__ is None
    assert SECRET not in problem.getTraceback()
    assert "INSERT" not in str(problem.value)
    result(database.close())


def _sqlite(code: str) -> sqlite3.OperationalError:
    problem = sqlite3.OperationalError("words of the driver")
    problem.sqlite_errorname = code  # type: ignore[misc]
    return problem


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (OperationalError("", {}, _sqlite("SQLITE_FULL")), StorageFull),
        (OperationalError("", {}, _sqlite("SQLITE_IOERR_WRITE")), DatabaseUnavailable),
        (OperationalError("", {}, _sqlite("SQLITE_READONLY_DBMOVED")), DatabaseUnavailable),
        (OperationalError("", {}, _sqlite("SQLITE_ERROR")), InteralException),
        (OperationalError("", {}, psycopg.errors.DiskFull()), StorageFull),
        (OperationalError("", {}, psycopg.errors.AdminShutdown()), DatabaseUnavailable),
        (OperationalError("", {}, psycopg.errors.TooManyConnections()), DatabaseUnavailable),
        (OperationalError("", {}, psycopg.errors.DeadlockDetected()), DatabaseUnavailable),
        (OperationalError("", {}, psycopg.errors.ReadOnlySqlTransaction()), DatabaseUnavailable),
        (OperationalError("", {}, psycopg.OperationalError("server closed the connection")), DatabaseUnavailable),
        (ProgrammingError("", {}, psycopg.errors.InsufficientPrivilege()), DatabaseUnavailable),
        (ProgrammingError("", {}, psycopg.errors.UndefinedTable()), InteralException),
        (DataError("", {}, psycopg.DataError("NUL")), InteralException),
        (IntegrityError("", {}, psycopg.errors.UniqueViolation()), Conflict),
    ],
)
def test_a_drivers_error_becomes_one_of_ours(problem: Any, kind: type[ParadropException]) -> None:
    assert type(translated(problem)) is kind


def test_the_audit_log_keeps_the_newest(registry: Registry, path: Path) -> None:
    entries = [NewAuditEntry(who="guest", action="call", what=f"x{n}", allowed=False) for n in range(10)]
    database = Database(f"sqlite:///{path}", inline)
    result(database.write(lambda connection: audit.add(connection, entries, 1.0, most=4)))
    result(database.close())
    assert [entry.what for entry in result(registry.audit(0, 100))] == ["x6", "x7", "x8", "x9"]


def test_what_was_denied_does_not_push_out_of_the_audit_log_what_was_done(registry: Registry, path: Path) -> None:
    done = [NewAuditEntry(who="user ada", action="users.remove", what="bob", allowed=True)]
    denied = [NewAuditEntry(who="guest", action="call", what=f"x{n}", allowed=False) for n in range(10)]
    database = Database(f"sqlite:///{path}", inline)
    for entries in (done, denied[:5], denied[5:]):
        result(database.write(lambda connection, entries=entries: audit.add(connection, entries, 1.0, most=2)))
    result(database.close())
    assert [entry.what for entry in result(registry.audit(0, 100))] == ["bob", "x8", "x9"]
