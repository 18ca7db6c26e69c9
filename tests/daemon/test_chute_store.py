"""What the device remembers of its chutes, in a database in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from paradrop.base.exceptions import ChuteNotFound, StorageFull
from paradrop.manifest import parse
from paradrop.manifest.model import Manifest
from paradrop.values import SourceTree, TreeEntry, Want
from paradropd.chutes.model import Chute, Release
from paradropd.chutes.store import ChuteStore
from paradropd.engine.port import InstanceKey
from paradropd.storage import Database


def manifest(name: str = "hello", version: str = "1.0") -> Manifest:
    return parse(
        f"""
name: {name}
version: "{version}"
description: Greets.
environment: {{TZ: UTC}}
services:
  main: {{type: light, image: python3, command: python3 main.py, requests: {{memory: 64M}}}}
  store: {{type: normal, source: store, requests: {{port-bindings: [{{external: 80, internal: 8000}}]}}}}
web: {{service: store, port: 8000}}
fabric: {{uses: [weather.today, clock.*]}}
health: {{procedure: greet, service: main}}
"""
    )


def tree(*digests: str) -> SourceTree:
    entries = (TreeEntry(path=f"file-{index}", size=index, sha256=digest * 64) for index, digest in enumerate(digests))
    return SourceTree(entries=tuple(entries))


@pytest.fixture
def database() -> Database:
    return Database(":memory:")


@pytest.fixture
def store(database: Database) -> ChuteStore:
    return ChuteStore(database)


class FullDatabase(Database):
    """*database* on a full disk, without any ballast."""

    def __init__(self, database: Database) -> None:
        self._connection, self._ballast = database._connection, None
        self.full = True

    def transaction(self) -> Any:
        if self.full:
            raise StorageFull
        return super().transaction()


def wanted(store: ChuteStore, release: Release, want: Want = Want.RUNNING) -> Chute:
    chute = Chute(want=want, release=release)
    store.want(chute)
    return chute


def test_a_chute_is_remembered_whole(store: ChuteStore, database: Database) -> None:
    release = store.add_release(manifest(), tree("a", "b"))
    built = store.add_image(store.add_image(release, "main", "image-1"), "store", "image-2")
    chute = wanted(store, built)
    assert ChuteStore(database).get("hello") == chute
    assert chute.release.manifest == manifest()
    assert store.tree(chute.release) == tree("a", "b")
    assert chute.release.images == {"main": "image-1", "store": "image-2"}
    assert chute.release.keys == (InstanceKey("hello", "main", 1), InstanceKey("hello", "store", 1))


def test_a_release_is_not_wanted_before_it_is_said_to_be(store: ChuteStore) -> None:
    release = store.add_release(manifest(), tree("a"))
    assert store.find("hello") is None
    assert store.all() == []
    assert store.release("hello", 1) == release


def test_who_is_not_there(store: ChuteStore) -> None:
    with pytest.raises(ChuteNotFound, match="there is no chute 'hello'"):
        store.get("hello")
    with pytest.raises(ChuteNotFound, match="there is no release 7 of chute 'hello'"):
        store.release("hello", 7)
    with pytest.raises(ChuteNotFound, match="there is no release 7 of chute 'hello'"):
        store.tree(Release(number=7, manifest=manifest()))


def test_a_status_does_not_read_the_source(store: ChuteStore, database: Database) -> None:
    wanted(store, store.add_release(manifest(), tree("a")))
    with database.transaction() as connection:
        connection.execute("UPDATE releases SET tree = 'nothing that can be read'")
    assert [chute.name for chute in store.all()] == ["hello"]


def test_releases_are_counted_for_each_chute(store: ChuteStore) -> None:
    numbers = [store.add_release(manifest(name), tree("a")).number for name in ("hello", "clock", "hello", "hello")]
    assert numbers == [1, 1, 2, 3]
    assert store.numbers("hello") == [1, 2, 3]


def test_a_number_is_never_given_twice(store: ChuteStore) -> None:
    store.add_release(manifest(), tree("a"))
    store.drop_releases("hello", keep=set())
    assert store.add_release(manifest(), tree("a")).number == 2
    store.forget("hello")
    assert store.add_release(manifest(), tree("a")).number == 3


def test_a_stop_without_room_is_remembered_until_there_is(store: ChuteStore, database: Database) -> None:
    chute = wanted(store, store.add_release(manifest(), tree("a")))
    other = wanted(store, store.add_release(manifest("clock"), tree("a")))
    full = FullDatabase(database)
    store = ChuteStore(full)
    store.stop(replace(chute, want=Want.STOPPED))
    assert store.get("hello").want is Want.STOPPED
    assert ChuteStore(database).get("hello").want is Want.RUNNING
    full.full = False
    store.want(other)
    assert ChuteStore(database).get("hello").want is Want.STOPPED
    wanted(store, chute.release)
    assert store.get("hello").want is Want.RUNNING


def test_what_is_wanted_changes(store: ChuteStore) -> None:
    first, second = (store.add_release(manifest(version=version), tree("a")) for version in ("1.0", "2.0"))
    wanted(store, first)
    assert store.get("hello").release == first
    wanted(store, second, Want.STOPPED)
    assert store.get("hello") == Chute(want=Want.STOPPED, release=second)
    assert len(store.all()) == 1


def test_chutes_are_ordered_by_name(store: ChuteStore) -> None:
    for name in ("weather", "clock", "hello"):
        wanted(store, store.add_release(manifest(name), tree("a")))
    assert [chute.name for chute in store.all()] == ["clock", "hello", "weather"]


def test_a_build_that_is_told_of_twice_counts_once(store: ChuteStore) -> None:
    release = store.add_release(manifest(), tree("a"))
    store.add_image(release, "main", "image-1")
    # The same stale value again: what was added in between is kept.
    store.add_image(release, "store", "image-2")
    assert store.add_image(release, "main", "image-3").images == {"main": "image-3", "store": "image-2"}
    assert store.images() == {"image-2", "image-3"}


def test_releases_are_dropped_but_those_to_keep(store: ChuteStore) -> None:
    releases = [store.add_release(manifest(), tree(digest)) for digest in "abcd"]
    other = store.add_release(manifest("clock"), tree("a"))
    assert store.drop_releases("hello", keep={2, 4}) == [releases[0], releases[2]]
    assert store.numbers("hello") == [2, 4]
    assert store.release("clock", 1) == other
    assert store.drop_releases("hello", keep={2, 4}) == []


def test_the_content_of_every_release_is_needed(store: ChuteStore) -> None:
    store.add_release(manifest(), tree("a", "b"))
    store.add_release(manifest("clock"), tree("b", "c"))
    assert store.digests() == {"a" * 64, "b" * 64, "c" * 64}
    store.drop_releases("hello", keep=set())
    assert store.digests() == {"b" * 64, "c" * 64}


def test_a_chute_is_forgotten_with_its_releases(store: ChuteStore) -> None:
    wanted(store, store.add_release(manifest(), tree("a")))
    kept = wanted(store, store.add_release(manifest("clock"), tree("b")))
    store.forget("hello")
    store.forget("never-there")
    assert store.all() == [kept]
    assert store.numbers("hello") == []
    assert store.digests() == {"b" * 64}
