"""The registry on every database it can have: one contract."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from paradrop.base.exceptions import (
    Conflict,
    DeviceNotFoundException,
    InvalidInput,
    InvitationRefused,
    ModelNotFound,
    ParadropException,
    PdidError,
    PdidExclusionError,
)
from paradrop.base.seams import inline
from paradrop.permissions import Role
from pdserver.access import EVERYTHING
from pdserver.registry import Database, Registry, claims, invitations
from pdserver.registry.records import (
    Accepted,
    Affected,
    InvitationKind,
    IssuedInvitation,
    NewAuditEntry,
    NewDevice,
    WantedRecord,
    WantedState,
)

case = SynchronousTestCase()
KEY, OTHER, THIRD = "aa" * 32, "bb" * 32, "cc" * 32
TREE = {"entries": [{"path": "paradrop.yaml", "size": 3, "sha256": "11" * 32, "executable": False}]}
POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))


def result(coroutine: Any) -> Any:
    return case.successResultOf(Deferred.fromCoroutine(coroutine))


def failure(coroutine: Any, kind: type[Exception]) -> str:
    return str(case.failureResultOf(Deferred.fromCoroutine(coroutine), kind).value)


class Wall:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


def url_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    match kind:
        case "memory":
            return "sqlite://"
        case "file":
            return f"sqlite:///{folder}/server.db"
        case _:
            url: str = request.getfixturevalue("postgresql").create()
            return url


@pytest.fixture(params=["memory", "file", POSTGRESQL])
def registry(request: pytest.FixtureRequest, tmp_path: Path, wall: Wall) -> Iterator[Registry]:
    """After each test the directory must say what somebody reads who opens the same database."""
    database = Database(url_of(request.param, request, tmp_path), inline)
    registry = Registry(database, wall)
    result(registry.open())
    yield registry
    again = Registry(database, wall)
    result(again.open())
    assert registry.directory.snapshot() == again.directory.snapshot()
    for device in registry.directory.devices():
        assert device.public_key is None or registry.directory.device_by_key(device.public_key) == device
    result(registry.close())


def claim(registry: Registry, pdid: str, key: str = KEY) -> IssuedInvitation:
    token = invite(registry, pdid)
    result(registry.accept(token.id, key))
    return token


def invite(registry: Registry, pdid: str, lifetime: float = 3600) -> IssuedInvitation:
    token = result(registry.invite(InvitationKind.DEVICE, pdid, lifetime))
    assert isinstance(token, IssuedInvitation)
    return token


def enrol(registry: Registry, name: str, key: str) -> IssuedInvitation:
    code = result(registry.invite(InvitationKind.USER, name, 3600))
    result(registry.accept(code.id, key, "laptop"))
    assert isinstance(code, IssuedInvitation)
    return code


# Devices.


def test_a_device_is_created_without_a_key_in_its_groups(registry: Registry, wall: Wall) -> None:
    result(registry.add_group("lab"))
    record = result(registry.create_device("acme.r1", ["lab"]))
    assert (record.pdid, record.public_key, record.groups, record.created) == ("acme.r1", None, {"lab"}, wall.now)
    assert registry.directory.device("acme.r1") == record
    assert registry.directory.groups() == {"lab": {"acme.r1"}}


@pytest.mark.parametrize(
    "pdid", ["", "Acme", "acme..r1", ".acme", "acme.", "a b", "local", "server.x", "error", "a" * 256, "acme\0", "ä", 7, None]
)
def test_what_is_no_pdid_is_refused(registry: Registry, pdid: Any) -> None:
    failure(registry.create_device(pdid), PdidError)
    assert not list(registry.directory.devices())


@pytest.mark.parametrize(
    ("there", "new"),
    [("acme.r1", "acme.r1"), ("acme.r1", "acme"), ("acme", "acme.r1"), ("a.b", "a.b.c.d"), ("a.b.c.d", "a.b")],
)
def test_no_pdid_lies_in_anothers_address_space(registry: Registry, there: str, new: str) -> None:
    result(registry.create_device(there))
    failure(registry.create_device(new), PdidExclusionError)
    assert [device.pdid for device in registry.directory.devices()] == [there]


def test_pdids_that_only_look_alike_live_together(registry: Registry) -> None:
    names = ["acme.r1", "acme.r10", "acme.r1_x", "acme-r1", "acme_r1", "acmexr1"]
    for name in names:
        result(registry.create_device(name))
    assert [device.pdid for device in registry.directory.devices()] == sorted(names)


def test_many_devices_are_created_all_or_none(registry: Registry) -> None:
    result(registry.add_group("fleet"))
    fleet = [NewDevice(pdid=f"sim.d{n}", public_key=f"{n:064x}", groups=("fleet",)) for n in range(50)]
    for wrong, problem in [
        (NewDevice(pdid="sim.d7"), PdidExclusionError),
        (NewDevice(pdid="sim.d7.inner"), PdidExclusionError),
        (NewDevice(pdid="sim"), PdidExclusionError),
        (NewDevice(pdid="x", groups=("nowhere",)), ModelNotFound),
        (NewDevice(pdid="x", public_key=f"{7:064x}"), InvalidInput),
        (NewDevice(pdid="x", public_key="AA" * 32), InvalidInput),
    ]:
        failure(registry.create_devices([*fleet, wrong]), problem)
        assert not list(registry.directory.devices())
    result(registry.create_devices(fleet))
    device = registry.directory.device_by_key(f"{7:064x}")
    assert device is not None
    assert (device.pdid, device.groups) == ("sim.d7", {"fleet"})
    failure(registry.create_devices([NewDevice(pdid="x", public_key=f"{7:064x}")]), Conflict)


def test_an_unknown_group_is_not_found(registry: Registry) -> None:
    failure(registry.create_device("acme.r1", ["nowhere"]), ModelNotFound)
    assert registry.directory.device("acme.r1") is None


def test_a_removed_device_leaves_nothing_behind(registry: Registry) -> None:
    result(registry.add_group("lab"))
    result(registry.create_device("acme.r1", ["lab"]))
    token = claim(registry, "acme.r1")
    unused = invite(registry, "acme.r1")
    result(registry.add_user("ada"))
    result(registry.grant("ada", "device:acme.r1", Role.OPERATOR))
    result(registry.want("acme.r1", "hello", "1", TREE, "d", "ada"))
    result(registry.remember_actual("acme.r1", [], 5.0))
    assert result(registry.remove_device("acme.r1")) == Affected(users=frozenset({"ada"}))
    assert registry.directory.device_by_key(KEY) is None
    assert registry.directory.groups() == {"lab": frozenset()}
    user = registry.directory.user("ada")
    assert user is not None
    assert user.grants == {}
    result(registry.create_device("acme.r1"))  # another one by the old name
    assert result(registry.wanted()) == []
    assert result(registry.actual("acme.r1")) is None
    for old in (token, unused):
        failure(registry.check_invitation(old.id, old.secret), InvitationRefused)
        failure(registry.accept(old.id, KEY), InvitationRefused)


@pytest.mark.parametrize("pdid", ["acme.r9", "", "\0", "\ud800", 7, None])
def test_a_device_that_is_not_there_is_not_found(registry: Registry, pdid: Any) -> None:
    failure(registry.remove_device(pdid), DeviceNotFoundException)
    failure(registry.forget_device_key(pdid), DeviceNotFoundException)
    failure(registry.invite(InvitationKind.DEVICE, pdid, 60), DeviceNotFoundException)
    failure(registry.want(pdid, "hello", "1", TREE, "d", "ada"), DeviceNotFoundException)
    failure(registry.remember_actual(pdid, [], 1.0), DeviceNotFoundException)
    result(registry.seen({"acme.r9": 5.0}))


def test_when_devices_were_seen_is_kept_for_many_at_once_and_never_goes_back(registry: Registry) -> None:
    for name in ("a", "b", "c"):
        result(registry.create_device(name))
    result(registry.seen({"a": 10.0, "b": 20.0}))
    result(registry.seen({"a": 5.0, "b": 25.0, "gone": 1.0}))
    result(registry.seen({}))
    assert {device.pdid: device.seen for device in registry.directory.devices()} == {"a": 10.0, "b": 25.0, "c": None}


def test_a_uri_belongs_to_the_device_in_whose_space_it_lies(registry: Registry) -> None:
    for name in ("acme.r1", "acme.r10", "solo"):
        result(registry.create_device(name))
    for uri, pdid in {
        "org.paradrop.acme.r1.chutes.list": "acme.r1",
        "org.paradrop.acme.r1.": "acme.r1",
        "org.paradrop.acme.r10.x": "acme.r10",
        "org.paradrop.solo.chute.x.y": "solo",
        "org.paradrop.acme.r1": None,  # as a prefix it matches acme.r10 too
        "org.paradrop.acme.": None,
        "org.paradrop.acme.r2.x": None,
        "org.paradrop.": None,
        "org.paradrop": None,
        "wamp.acme.r1.x": None,
        "org.paradropacme.r1.x": None,
        "": None,
    }.items():
        owner = registry.directory.owner_of(uri)
        assert (owner.pdid if owner is not None else None) == pdid, uri


# People and groups.


def test_a_user_is_added_once(registry: Registry, wall: Wall) -> None:
    record = result(registry.add_user("ada"))
    assert registry.directory.user("ada") == record
    assert (record.created, record.keys, record.grants, record.administrator) == (wall.now, (), {}, False)
    wall.now += 5
    failure(registry.add_user("ada"), Conflict)
    assert list(registry.directory.users()) == [record]


@pytest.mark.parametrize("name", ["", "Ada", "9ada", "-a", "a b", "a:b", "a" * 64, "a\n", "\0", "ädä", None, 7])
def test_what_is_no_name_is_refused(registry: Registry, name: Any) -> None:
    failure(registry.add_user(name), InvalidInput)
    failure(registry.add_group(name), InvalidInput)
    failure(registry.first_administrator(name, 60), InvalidInput)
    failure(registry.remove_user(name), ModelNotFound)
    failure(registry.remove_group(name), ModelNotFound)
    failure(registry.invite(InvitationKind.USER, name, 60), ModelNotFound)
    assert not list(registry.directory.users())


def test_a_grant_replaces_the_one_before_and_is_revoked(registry: Registry) -> None:
    result(registry.add_group("lab"))
    result(registry.create_device("acme.r1", ["lab"]))
    result(registry.add_user("ada"))
    device = registry.directory.device("acme.r1")
    assert device is not None

    def role() -> Role | None:
        user = registry.directory.user("ada")
        assert user is not None
        return user.peer.role_on(device.peer)

    assert role() is None
    result(registry.grant("ada", "group:lab", Role.VIEWER))
    assert role() is Role.VIEWER
    result(registry.grant("ada", "group:lab", Role.OPERATOR))
    result(registry.grant("ada", "device:acme.r1", Role.VIEWER))
    assert role() is Role.OPERATOR
    result(registry.revoke("ada", "group:lab"))
    assert role() is Role.VIEWER
    failure(registry.revoke("ada", "group:lab"), ModelNotFound)


@pytest.mark.parametrize(
    ("scope", "kind"),
    [
        ("device:acme.r9", DeviceNotFoundException),
        ("device:Not A Pdid", PdidError),
        ("group:nowhere", ModelNotFound),
        ("group:", InvalidInput),
        ("everything", InvalidInput),
        ("server:", InvalidInput),
        ("\0", InvalidInput),
        (["server"], InvalidInput),
        (None, InvalidInput),
    ],
)
def test_nothing_is_granted_on_what_is_not_there(registry: Registry, scope: Any, kind: type[ParadropException]) -> None:
    result(registry.add_user("ada"))
    failure(registry.grant("ada", scope, Role.OWNER), kind)
    user = registry.directory.user("ada")
    assert user is not None
    assert user.grants == {}


def test_a_role_that_is_none_is_refused_and_the_old_one_stays(registry: Registry) -> None:
    result(registry.add_user("ada"))
    result(registry.grant("ada", EVERYTHING, Role.VIEWER))
    failure(registry.grant("ada", EVERYTHING, "emperor"), InvalidInput)  # type: ignore[arg-type]
    failure(registry.grant("eve", EVERYTHING, Role.OWNER), ModelNotFound)
    user = registry.directory.user("ada")
    assert user is not None
    assert user.grants == {EVERYTHING: Role.VIEWER}


def test_the_last_administrator_stays(registry: Registry) -> None:
    result(registry.add_user("ada"))
    result(registry.grant("ada", EVERYTHING, Role.OWNER))
    failure(registry.remove_user("ada"), Conflict)
    failure(registry.revoke("ada", EVERYTHING), Conflict)
    failure(registry.grant("ada", EVERYTHING, Role.OPERATOR), Conflict)
    user = registry.directory.user("ada")
    assert user is not None
    assert user.administrator
    result(registry.add_user("bob"))
    result(registry.grant("bob", EVERYTHING, Role.OWNER))
    result(registry.remove_user("ada"))
    failure(registry.remove_user("bob"), Conflict)


def test_an_administrator_who_can_come_in_stays(registry: Registry) -> None:
    for name in ("ada", "bob"):
        result(registry.add_user(name))
        result(registry.grant(name, EVERYTHING, Role.OWNER))
    enrol(registry, "ada", KEY)
    failure(registry.forget_user_key("ada", KEY), Conflict)
    failure(registry.remove_user("ada"), Conflict)  # bob has no key yet
    enrol(registry, "bob", OTHER)
    result(registry.forget_user_key("ada", KEY))
    assert registry.directory.user_by_key(KEY) is None
    result(registry.remove_user("ada"))


def test_a_removed_user_leaves_nothing_behind(registry: Registry) -> None:
    result(registry.add_user("ada"))
    result(registry.grant("ada", EVERYTHING, Role.VIEWER))
    enrol(registry, "ada", KEY)
    unused = result(registry.invite(InvitationKind.USER, "ada", 60))
    result(registry.remove_user("ada"))
    assert registry.directory.user_by_key(KEY) is None
    again = result(registry.add_user("ada"))
    assert (again.keys, again.grants) == ((), {})
    failure(registry.accept(unused.id, OTHER), InvitationRefused)


def test_a_key_that_a_user_has_not_got_cannot_be_forgotten(registry: Registry) -> None:
    result(registry.create_device("acme.r1"))
    claim(registry, "acme.r1")
    result(registry.add_user("ada"))
    failure(registry.forget_user_key("ada", KEY), ModelNotFound)  # a device's
    failure(registry.forget_user_key("ada", "garbage"), InvalidInput)
    failure(registry.forget_user_key("eve", KEY), ModelNotFound)
    assert registry.directory.device_by_key(KEY) is not None


def test_devices_join_and_leave_groups(registry: Registry) -> None:
    result(registry.create_device("acme.r1"))
    result(registry.add_group("lab"))
    failure(registry.add_group("lab"), Conflict)
    result(registry.join_group("lab", "acme.r1"))
    result(registry.join_group("lab", "acme.r1"))
    assert registry.directory.group("lab") == {"acme.r1"}
    result(registry.leave_group("lab", "acme.r1"))
    assert registry.directory.group("lab") == frozenset()
    failure(registry.leave_group("lab", "acme.r1"), ModelNotFound)
    failure(registry.join_group("nowhere", "acme.r1"), ModelNotFound)
    failure(registry.join_group("lab", "acme.r9"), DeviceNotFoundException)


def test_a_removed_group_takes_its_grants_along_and_tells_whom_it_concerned(registry: Registry) -> None:
    result(registry.add_group("lab"))
    result(registry.create_device("acme.r1", ["lab"]))
    result(registry.add_user("ada"))
    result(registry.grant("ada", "group:lab", Role.OWNER))
    concerned = result(registry.remove_group("lab"))
    assert concerned == Affected(devices=frozenset({"acme.r1"}), users=frozenset({"ada"}))
    result(registry.add_group("lab"))  # another one by the old name
    user, device = registry.directory.user("ada"), registry.directory.device("acme.r1")
    assert user is not None
    assert device is not None
    assert (user.grants, device.groups, registry.directory.group("lab")) == ({}, frozenset(), frozenset())


# Invitations.


def test_a_claim_token_works_once_and_the_same_key_gets_the_same_answer_again(registry: Registry) -> None:
    result(registry.create_device("acme.r1"))
    token = invite(registry, "acme.r1")
    assert result(registry.check_invitation(token.id, token.secret)).subject == "acme.r1"
    first = result(registry.accept(token.id, KEY))
    assert first == Accepted(kind=InvitationKind.DEVICE, subject="acme.r1", public_key=KEY)
    assert result(registry.check_invitation(token.id, token.secret)).used_by == KEY
    assert result(registry.accept(token.id, KEY)) == replace(first, again=True)
    assert "already" in failure(registry.accept(token.id, OTHER), InvitationRefused)
    device = registry.directory.device_by_key(KEY)
    assert device is not None
    assert device.pdid == "acme.r1"
    assert registry.directory.device_by_key(OTHER) is None


def test_a_token_for_the_other_kind_is_refused_and_stays_good(registry: Registry) -> None:
    result(registry.create_device("acme.r1"))
    token = invite(registry, "acme.r1")
    assert "for a device" in failure(registry.accept(token.id, KEY, kind=InvitationKind.USER), InvitationRefused)
    assert result(registry.accept(token.id, KEY, kind=InvitationKind.DEVICE)).subject == "acme.r1"


def test_a_new_claim_replaces_the_key_and_the_old_token_does_not_bring_it_back(registry: Registry) -> None:
    result(registry.create_device("acme.r1"))
    old = claim(registry, "acme.r1", KEY)
    accepted = result(registry.accept(invite(registry, "acme.r1").id, OTHER))
    assert accepted.replaced == KEY
    assert registry.directory.device_by_key(KEY) is None
    failure(registry.accept(old.id, KEY), InvitationRefused)
    result(registry.forget_device_key("acme.r1"))
    assert registry.directory.device_by_key(OTHER) is None
    failure(registry.accept(old.id, OTHER), InvitationRefused)


def test_a_device_claims_its_place_anew_with_the_key_it_has(registry: Registry) -> None:
    result(registry.create_device("acme.r1"))
    claim(registry, "acme.r1", KEY)
    accepted = result(registry.accept(invite(registry, "acme.r1").id, KEY))
    assert (accepted.again, accepted.replaced) == (False, None)


def test_a_key_that_is_somebody_elses_is_refused_and_the_token_stays_good(registry: Registry) -> None:
    result(registry.create_device("acme.r1"))
    result(registry.create_device("acme.r2"))
    result(registry.add_user("ada"))
    claim(registry, "acme.r1", KEY)
    enrol(registry, "ada", OTHER)
    token = invite(registry, "acme.r2")
    code = result(registry.invite(InvitationKind.USER, "ada", 60))
    failure(registry.accept(token.id, KEY), Conflict)
    failure(registry.accept(token.id, OTHER), Conflict)
    failure(registry.accept(code.id, KEY), Conflict)
    result(registry.accept(token.id, THIRD))


def test_a_person_has_several_keys_with_labels(registry: Registry, wall: Wall) -> None:
    result(registry.add_user("ada"))
    enrol(registry, "ada", OTHER)
    wall.now += 1
    code = result(registry.invite(InvitationKind.USER, "ada", 60))
    result(registry.accept(code.id, KEY, "work\x1b[31m\0\ud800" + "x" * 500))
    user = registry.directory.user_by_key(KEY)
    assert user is not None
    assert [(key.public_key, key.label[:5]) for key in user.keys] == [(OTHER, "lapto"), (KEY, "work\N{REPLACEMENT CHARACTER}")]
    assert all(len(key.label) <= 64 and "\x1b" not in key.label for key in user.keys)


def test_an_expired_token_is_refused(registry: Registry, wall: Wall) -> None:
    result(registry.create_device("acme.r1"))
    token = invite(registry, "acme.r1", 60)
    assert token.expires == wall.now + 60
    wall.now += 60
    assert "expired" in failure(registry.check_invitation(token.id, token.secret), InvitationRefused)
    assert "expired" in failure(registry.accept(token.id, KEY), InvitationRefused)
    wall.now -= 1
    result(registry.accept(token.id, KEY))
    wall.now += 365 * 86400  # the answer was lost for a long while
    assert result(registry.accept(token.id, KEY)).again


def test_old_invitations_are_swept_away(registry: Registry, wall: Wall) -> None:
    result(registry.create_device("acme.r1"))
    token = invite(registry, "acme.r1", 60)
    wall.now += 60 + invitations.KEPT + 1
    invite(registry, "acme.r1")
    wall.now -= 60 + invitations.KEPT + 1  # what would make it good again, were it there
    failure(registry.accept(token.id, KEY), InvitationRefused)


def test_forged_and_garbage_tokens_are_refused_in_the_same_words(registry: Registry) -> None:
    result(registry.create_device("acme.r1"))
    token = invite(registry, "acme.r1")
    garbage: list[Any] = ["", "\0", "\ud800", "ä", "x" * 10_000, "' OR 1=1 --", None, 7, ["i"], b"i", {}]
    words = {failure(registry.check_invitation(id, token.secret), InvitationRefused) for id in [*garbage, "i00"]}
    words |= {failure(registry.check_invitation(token.id, secret), InvitationRefused) for secret in [*garbage, token.secret[:-1]]}
    words |= {failure(registry.accept(id, KEY), InvitationRefused) for id in garbage}
    assert words == {invitations.UNKNOWN}
    for key in ["", "aa", KEY.upper(), KEY + "\n", "zz" * 32, None, 7]:
        failure(registry.accept(token.id, key), InvalidInput)  # type: ignore[arg-type]
    result(registry.accept(token.id, KEY))


@pytest.mark.parametrize("lifetime", [0, -1, float("nan"), float("inf"), 1e12, "60", None, True])
def test_a_lifetime_that_is_none_is_refused(registry: Registry, lifetime: Any) -> None:
    result(registry.create_device("acme.r1"))
    failure(registry.invite(InvitationKind.DEVICE, "acme.r1", lifetime), InvalidInput)


def test_a_secret_is_long_and_says_itself_nowhere(registry: Registry) -> None:
    result(registry.create_device("acme.r1"))
    tokens = [invite(registry, "acme.r1") for _ in range(20)]
    assert all(len(token.secret) >= 43 for token in tokens)  # 256 bits in base64
    assert len({token.secret for token in tokens} | {token.id for token in tokens}) == 40
    assert tokens[0].secret not in repr(tokens[0])


def test_the_first_administrator_gets_one_code_that_is_good(registry: Registry) -> None:
    first = result(registry.first_administrator("admin", 3600))
    user = registry.directory.user("admin")
    assert user is not None
    assert user.administrator
    second = result(registry.first_administrator("admin", 3600))  # a restart, before the code was used
    failure(registry.check_invitation(first.id, first.secret), InvitationRefused)
    result(registry.accept(second.id, KEY))
    assert result(registry.first_administrator("admin", 3600)) is None
    assert result(registry.first_administrator("other", 3600)) is None
    assert [user.name for user in registry.directory.users()] == ["admin"]


def test_the_first_administrator_is_the_one_there_is(registry: Registry) -> None:
    result(registry.add_user("ada"))
    result(registry.grant("ada", EVERYTHING, Role.OWNER))
    assert result(registry.first_administrator("admin", 3600)).subject == "ada"
    result(registry.add_user("bob"))
    assert registry.directory.user("admin") is None


# Wanted state.


def test_only_the_newest_of_a_chute_is_wanted(registry: Registry, wall: Wall) -> None:
    result(registry.create_device("acme.r1"))
    old = result(registry.want("acme.r1", "hello", "1", TREE, "d1", "ada"))
    newer_tree = {"entries": [{"path": "paradrop.yaml", "size": 3, "sha256": "22" * 32, "executable": False}]}
    wall.now += 9
    new = result(registry.want("acme.r1", "hello", "2\0", newer_tree, "d2", "bob"))
    other = result(registry.want("acme.r1", "bye", "1", TREE, "d1", "ada"))
    assert new.id.startswith("w-")
    assert new.id != old.id
    assert result(registry.wanted("acme.r1")) == [replace(other, tree={}), replace(new, tree={})]
    assert result(registry.wanted_by_id(new.id)) == new
    assert result(registry.wanted("acme.r9")) == result(registry.wanted("\0")) == []
    assert (new.version, new.by, new.at, new.state) == ("2\N{REPLACEMENT CHARACTER}", "bob", wall.now, WantedState.WAITING)
    assert result(registry.set_wanted(old.id, WantedState.DELIVERED)) is None
    assert result(registry.wanted_digests()) == {"acme.r1": {"11" * 32, "22" * 32}}
    result(registry.forget_wanted("acme.r1", "bye"))
    assert result(registry.wanted_digests()) == {"acme.r1": {"22" * 32}}
    failure(registry.forget_wanted("acme.r1", "bye"), ModelNotFound)


def test_what_became_of_wanted_state_is_kept(registry: Registry) -> None:
    result(registry.create_device("acme.r1"))
    record: WantedRecord = result(registry.want("acme.r1", "hello", "1", TREE, "d", "ada"))
    under_way = result(registry.set_wanted(record.id, WantedState.DELIVERING, change="c-1"))
    assert under_way == replace(record, state=WantedState.DELIVERING, change="c-1")
    failed = result(registry.set_wanted(record.id, WantedState.FAILED, reason="no room"))
    assert failed == replace(record, state=WantedState.FAILED, change="c-1", reason="no room", tree={})
    assert result(registry.wanted()) == [failed]
    assert result(registry.wanted_digests()) == {}


@pytest.mark.parametrize("chute", ["", "Hello", "a b", "a" * 64, "\0", None])
def test_what_is_no_chutes_name_is_not_wanted(registry: Registry, chute: Any) -> None:
    result(registry.create_device("acme.r1"))
    failure(registry.want("acme.r1", chute, "1", TREE, "d", "ada"), InvalidInput)
    assert result(registry.wanted()) == []


def test_what_a_device_last_said_of_its_chutes_is_kept(registry: Registry) -> None:
    result(registry.create_device("acme.r1"))
    assert result(registry.actual("acme.r1")) is result(registry.actual("\0")) is None
    result(registry.remember_actual("acme.r1", [{"name": "hello"}], 5.0))
    result(registry.remember_actual("acme.r1", [{"name": "hello", "detail": "\0\ud800ä"}], 6.0))
    actual = result(registry.actual("acme.r1"))
    assert (actual.chutes, actual.at) == (({"name": "hello", "detail": "\0\ud800ä"},), 6.0)
    failure(registry.remember_actual("acme.r1", [object()], 7.0), InvalidInput)


# The audit log.


def test_the_audit_log_is_read_in_order_page_by_page(registry: Registry, wall: Wall) -> None:
    entries = [NewAuditEntry(who="user ada", action="call", what=f"x{n}", allowed=n % 2 == 0, times=n + 1) for n in range(7)]
    result(registry.record(entries[:3]))
    result(registry.record([]))
    result(registry.record([replace(entry, at=5.0) for entry in entries[3:]]))
    page = result(registry.audit(0, 4))
    assert [(entry.what, entry.allowed, entry.times) for entry in page] == [(f"x{n}", n % 2 == 0, n + 1) for n in range(4)]
    assert [entry.at for entry in page] == [wall.now, wall.now, wall.now, 5.0]
    rest = result(registry.audit(page[-1].id, 4))
    assert [entry.what for entry in rest] == ["x4", "x5", "x6"]
    assert [entry.what for entry in result(registry.audit(-2, 100))] == ["x5", "x6"]
    assert [entry.what for entry in result(registry.audit(-100, 100))] == [f"x{n}" for n in range(7)]


def test_what_strangers_sent_is_kept_readable_and_short(registry: Registry) -> None:
    result(registry.record([NewAuditEntry(who="guest", action="call", what="\0\x1b[2J\ud800" + "x" * 10_000, allowed=False)]))
    (entry,) = result(registry.audit(0, 10))
    assert entry.what.startswith("\N{REPLACEMENT CHARACTER}" * 2 + "[2J")
    assert len(entry.what) == 1000


@pytest.mark.parametrize(("after", "limit"), [(0, 0), (0, -1), ("a", 5), (0, None), (2**80, 5), (0, 2**80)])
def test_a_page_that_is_none_is_refused(registry: Registry, after: Any, limit: Any) -> None:
    failure(registry.audit(after, limit), InvalidInput)


# Races, and many.


@pytest.mark.parametrize("kind", ["file", POSTGRESQL])
def test_of_many_who_accept_one_token_at_once_exactly_one_wins(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, wall: Wall
) -> None:
    url = url_of(kind, request, tmp_path)
    registry = Registry(Database(url, inline), wall)
    result(registry.open())
    result(registry.create_device("acme.r1"))
    token = invite(registry, "acme.r1")
    keys = [f"{n:064x}" for n in range(8)]
    start, outcomes = threading.Barrier(len(keys)), {}

    def attempt(key: str) -> None:
        # Nothing but the database keeps them apart.
        mine = Database(url, inline, patience=60)
        work = partial(claims.accept, id=token.id, public_key=key, label="", expected=None, now=wall())
        start.wait(60)
        try:
            outcomes[key] = case.successResultOf(Deferred.fromCoroutine(mine.write(work)))[0]
        except BaseException as problem:  # a failed assertion would be lost with its thread
            outcomes[key] = str(problem)
        result(mine.close())

    threads = [threading.Thread(target=attempt, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [key for key, outcome in outcomes.items() if isinstance(outcome, Accepted)]
    assert len(winners) == 1
    assert len(outcomes) == len(keys)
    assert all("already" in str(outcome) for key, outcome in outcomes.items() if key not in winners)
    result(registry.close())
    again = Registry(Database(url, inline), wall)
    result(again.open())
    device = again.directory.device("acme.r1")
    assert device is not None
    assert device.public_key == winners[0]
    assert result(again.check_invitation(token.id, token.secret)).used_by == winners[0]
    result(again.close())


@pytest.mark.parametrize("kind", ["file", POSTGRESQL])
def test_ten_thousand_devices_are_read_with_as_many_statements_as_ten(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, wall: Wall
) -> None:
    url = url_of(kind, request, tmp_path)
    registry = Registry(Database(url, inline), wall)
    result(registry.open())
    result(registry.add_group("fleet"))
    result(registry.close())
    statements: list[int] = []
    for numbers in (range(10), range(10, 10_000)):
        registry = Registry(Database(url, inline), wall)
        result(registry.open())
        result(registry.create_devices(NewDevice(pdid=f"sim.d{n}", public_key=f"{n:064x}", groups=("fleet",)) for n in numbers))
        result(registry.seen({f"sim.d{n}": 5.0 + n for n in numbers}))
        result(registry.close())
        counted = Database(url, inline)
        executed: list[str] = []
        event.listen(counted.engine, "before_cursor_execute", lambda *about, to=executed: to.append(about[2]))
        other = Registry(counted, wall)
        result(other.open())
        result(other.close())
        statements.append(len(executed))
    assert statements[0] == statements[1] > 0
    again = Registry(Database(url, inline), wall)
    result(again.open())
    assert again.directory.snapshot() == registry.directory.snapshot()
    device = again.directory.owner_of("org.paradrop.sim.d9999.x")
    assert device is not None
    assert (device.seen, device.public_key, device.groups) == (10_004.0, f"{9999:064x}", {"fleet"})
    result(again.close())
