"""What waits for devices that are away: apart for each, and bounded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from paradrop.base.exceptions import StorageFull
from paradrop.source.blobs import SPARED
from pdserver.shelves import Shelves

QUOTA = 100


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelves(tmp_path: Path, clock: Clock) -> Shelves:
    return Shelves(tmp_path, QUOTA, clock)


def put(shelves: Shelves, pdid: str, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    assert shelves.put(pdid, digest, len(data), 0, data) == len(data)
    return digest


def test_what_was_sent_for_one_device_is_missing_for_another(shelves: Shelves) -> None:
    digest = put(shelves, "acme.r1", b"secret")
    assert shelves.of("acme.r1").missing([digest]) == []
    assert shelves.of("acme.r2").missing([digest]) == [digest]


def test_a_quota_is_a_devices_own(shelves: Shelves, tmp_path: Path) -> None:
    put(shelves, "acme.r1", b"a" * 60)
    with pytest.raises(StorageFull, match=r"acme\.r1"):
        put(shelves, "acme.r1", b"b" * 41)
    put(shelves, "acme.r1", b"b" * 40)
    put(shelves, "acme.r1", b"a" * 60)  # it is there already
    put(shelves, "acme.r2", b"c" * 100)
    with pytest.raises(StorageFull):  # also after a restart
        put(Shelves(tmp_path, QUOTA), "acme.r1", b"d")


def test_what_nothing_wants_any_more_makes_room(shelves: Shelves, clock: Clock, tmp_path: Path) -> None:
    kept, other = put(shelves, "acme.r1", b"a" * 60), put(shelves, "acme.r1", b"b" * 40)
    put(shelves, "acme.r2", b"c" * 100)
    clock.now += SPARED + 1
    shelves.keep_only({"acme.r1": {kept}})
    assert shelves.of("acme.r1").missing([kept, other]) == [other]
    put(shelves, "acme.r1", b"d" * 40)
    assert [folder.name for folder in tmp_path.iterdir()] == ["acme.r1"]


def test_what_is_on_its_way_is_spared(shelves: Shelves) -> None:
    digest = put(shelves, "acme.r1", b"just sent")
    shelves.keep_only({})
    assert shelves.of("acme.r1").missing([digest]) == []
