"""Where changes are written down, in a database in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paradrop.base.exceptions import ChangeNotFound
from paradrop.values import ChangeKind, ChangeRecord, ChangeState, StepRecord, StepState
from paradropd.changes import store as store_module
from paradropd.changes.store import ChangeStore
from paradropd.storage import Database


def record(change: str, state: ChangeState = ChangeState.ACCEPTED, chute: str = "hello") -> ChangeRecord:
    return ChangeRecord(id=change, kind=ChangeKind.DEPLOY, chute=chute, state=state, created=1.0)


@pytest.fixture
def database() -> Database:
    return Database(":memory:")


@pytest.fixture
def store(database: Database) -> ChangeStore:
    return ChangeStore(database)


def test_a_record_is_kept_whole(store: ChangeStore, database: Database) -> None:
    full = ChangeRecord(
        id="c1",
        kind=ChangeKind.RESTART,
        chute="hello",
        state=ChangeState.ROLLED_BACK,
        created=1.25,
        version="1.0",
        actor="ada",
        steps=(StepRecord(title="build main", state=StepState.DONE, started=2.0, finished=3.0), StepRecord(title="start main")),
        reason="two\nlines",
        retry=True,
        finished=4.0,
        revision=7,
    )
    store.save(full)
    assert ChangeStore(database).get("c1") == full


def test_a_record_saved_again_takes_the_place_of_the_first(store: ChangeStore) -> None:
    store.save(record("c1"))
    store.save(record("c2"))
    later = replace(record("c1", ChangeState.RUNNING), revision=2)
    store.save(later)
    assert store.get("c1") == later
    assert [each.id for each in store.newest(10)] == ["c2", "c1"]


def test_what_is_not_there(store: ChangeStore) -> None:
    with pytest.raises(ChangeNotFound, match="there is no change 'nothing'"):
        store.get("nothing")


def test_the_newest_come_first_of_one_chute_or_of_all(store: ChangeStore) -> None:
    for index in range(6):
        store.save(record(f"c{index}", chute="hello" if index % 2 else "clock"))
    assert [each.id for each in store.newest(3)] == ["c5", "c4", "c3"]
    assert [each.id for each in store.newest(2, "clock")] == ["c4", "c2"]
    assert store.newest(5, "weather") == []


@pytest.mark.parametrize("state", list(ChangeState))
def test_a_change_is_unfinished_until_its_state_is_final(store: ChangeStore, state: ChangeState) -> None:
    store.save(record("old", ChangeState.DONE))
    store.save(record("c1", state))
    store.save(record("c2", ChangeState.RUNNING))
    assert [each.id for each in store.unfinished()] == ([] if state.final else ["c1"]) + ["c2"]


def test_old_ones_go_when_there_are_many_and_never_one_that_is_unfinished(store: ChangeStore) -> None:
    store.save(record("unfinished", ChangeState.RUNNING))
    for index in range(store_module.KEPT + 10):
        store.save(record(f"c{index}", ChangeState.DONE))
    ids = [each.id for each in store.newest(10_000)]
    assert ids[0] == f"c{store_module.KEPT + 9}"
    assert len(ids) == store_module.KEPT + 1
    assert ids[-1] == "unfinished"


def test_a_record_that_cannot_be_read_is_left_out(store: ChangeStore, database: Database) -> None:
    for change in ("c1", "c2", "c3"):
        store.save(record(change))
    with database.transaction() as connection:
        connection.execute("UPDATE changes SET record = '{' WHERE id = 'c1'")
        connection.execute("UPDATE changes SET record = '{}' WHERE id = 'c2'")
    assert store.unfinished() == store.newest(9) == [record("c3")]
    with pytest.raises(ChangeNotFound):
        store.get("c1")


def test_a_new_record_without_room_is_known_all_the_same(store: ChangeStore, database: Database) -> None:
    store.save(record("c1"))
    database.rows("PRAGMA query_only = 1")
    store.keep(record("c2", chute="clock"))
    store.keep(record("c3"))
    store.keep(record("c1", ChangeState.DONE))
    assert store.get("c2") == record("c2", chute="clock")
    assert store.newest(9) == [record("c3"), record("c2", chute="clock"), record("c1", ChangeState.DONE)]
    assert store.newest(9, "hello") == [record("c3"), record("c1", ChangeState.DONE)]
    assert store.newest(1) == [record("c3")]
    database.rows("PRAGMA query_only = 0")
    store.keep(record("c4"))
    assert len(ChangeStore(database).newest(9)) == 4
