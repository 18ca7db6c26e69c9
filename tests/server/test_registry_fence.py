"""Two servers on one PostgreSQL: one of them serves, and the other stands by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from paradrop.base.exceptions import DatabaseUnavailable, HomeInUse, ParadropException
from paradrop.base.seams import Threads, inline
from pdserver.registry import Database, Registry
from pdserver.registry.fence import FENCE
from pdserver.service import DATABASE_AGAIN
from pdserver.testing import World
from postgresql import PostgreSQL

pytestmark = pytest.mark.needs("postgresql")
case = SynchronousTestCase()


def result(coroutine: Any) -> Any:
    return case.successResultOf(Deferred.fromCoroutine(coroutine))


def failure(coroutine: Any, kind: type[Exception]) -> str:
    return str(case.failureResultOf(Deferred.fromCoroutine(coroutine), kind).value)


def registry_on(url: str, threads: Threads = inline) -> Registry:
    return Registry(Database(url, threads), lambda: 1_800_000_000.0)


def pdids(registry: Registry) -> list[str]:
    return [device.pdid for device in registry.directory.devices()]


def cut(postgresql: PostgreSQL, url: str) -> None:
    """End the connection that holds the fence, as a lost link or a restart does."""
    with postgresql.connect(url.split("/")[3].split("?")[0]) as connection:
        whose = "FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s"
        key = (FENCE >> 32, FENCE & 0xFFFFFFFF)
        ended = connection.execute(f"SELECT pg_terminate_backend(pid, 10000) {whose}", key).fetchall()
        assert ended == [(True,)]


def test_a_second_server_is_refused_until_the_first_has_ended(postgresql: PostgreSQL) -> None:
    url = postgresql.create()
    first, second = registry_on(url), registry_on(url)
    result(first.open())
    result(first.create_device("acme.r1"))
    for _ in range(2):
        assert failure(second.open(), HomeInUse) == "another server uses this database"
    result(first.create_device("acme.r2"))
    result(first.close())
    result(second.open())
    assert pdids(second) == ["acme.r1", "acme.r2"]
    result(second.close())


def test_two_databases_of_one_postgresql_have_a_server_each(postgresql: PostgreSQL) -> None:
    registries = [registry_on(postgresql.create()) for _ in range(2)]
    for registry in registries:
        result(registry.open())
        result(registry.create_device("acme.r1"))
    for registry in registries:
        result(registry.close())


def test_a_lost_fence_is_taken_again_before_the_next_change(postgresql: PostgreSQL) -> None:
    url = postgresql.create()
    first, second = registry_on(url), registry_on(url)
    result(first.open())
    cut(postgresql, url)
    result(first.create_device("acme.r1"))
    failure(second.open(), HomeInUse)
    result(first.close())
    result(second.close())


def test_who_has_lost_the_database_to_another_server_writes_nothing(postgresql: PostgreSQL) -> None:
    url = postgresql.create()
    first, second = registry_on(url), registry_on(url)
    result(first.open())
    result(first.create_device("acme.r1"))
    cut(postgresql, url)
    result(second.open())
    result(second.create_device("acme.r2"))
    for _ in range(2):
        words = failure(first.create_device("acme.r3"), DatabaseUnavailable)
        assert words == "another server uses this database; nothing was changed"
    assert pdids(first) == ["acme.r1"]
    result(second.close())
    result(first.create_device("acme.r4"))
    assert pdids(first) == ["acme.r1", "acme.r2", "acme.r4"], "it has read what the other one changed meanwhile"
    result(first.close())


class SteppedThreads:
    """Does the work given to it when *before* says that it may, which is asked first."""

    def __init__(self) -> None:
        self.before: list[Callable[[], None]] = []

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        done: Deferred[Any] = Deferred()
        if self.before:
            self.before.pop(0)()
        try:
            done.callback(function(*args, **kwargs))
        except ParadropException:
            done.errback(Failure())
        return done


def test_a_fence_that_is_lost_just_before_the_transaction_stops_it(postgresql: PostgreSQL) -> None:
    url, threads = postgresql.create(), SteppedThreads()
    registry = registry_on(url, threads)
    result(registry.open())
    threads.before = [lambda: None, lambda: cut(postgresql, url)]  # it holds when asked, and not when it writes
    words = failure(registry.create_device("acme.r1"), DatabaseUnavailable)
    assert "connection to the server's database was lost" in words
    assert threads.before == []
    assert pdids(registry) == []
    result(registry.create_device("acme.r2"))
    assert pdids(registry) == ["acme.r2"]
    result(registry.close())


def test_a_server_stands_by_and_takes_over(postgresql: PostgreSQL, tmp_path: Path) -> None:
    url, clock = postgresql.create(), Clock()
    first = World(tmp_path / "first", url=url)
    first.start()
    result(first.registry.create_device("acme.r1"))
    second = World(tmp_path / "second", clock=clock, url=url)
    standing_by = Deferred.fromCoroutine(second.service.start())
    clock.advance(3 * DATABASE_AGAIN)
    case.assertNoResult(standing_by)
    assert second.said == ["pdserver waits for its database: another server uses this database"]
    first.stop()
    clock.advance(DATABASE_AGAIN)
    case.successResultOf(standing_by)
    assert second.said[1].startswith("pdserver is ready")
    assert pdids(second.registry) == ["acme.r1"]
    second.stop()


def test_a_server_whose_database_was_taken_over_keeps_nobody_and_ends(postgresql: PostgreSQL, tmp_path: Path) -> None:
    url = postgresql.create()
    first = World(tmp_path / "first", url=url)
    first.start()
    device = first.device("acme.r1")
    first.connect(device)
    ended: list[str] = []
    first.service._end = lambda: ended.append("ended")
    cut(postgresql, url)
    other = registry_on(url)
    result(other.open())
    failure(first.registry.create_device("acme.r2"), DatabaseUnavailable)
    first.advance(1)
    assert first.said[-1] == "another pdserver has taken over the database: this one stands by for it"
    assert ended == ["ended"]
    assert not first.service.presence.online
    result(other.close())
    first.stop()
