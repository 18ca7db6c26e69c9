"""Who may join, and what those hear who may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from paradrop import uris
from paradrop.base.exceptions import AuthenticationError, DatabaseUnavailable, InvitationRefused
from paradrop.keys import Key
from paradrop.permissions import Role
from paradrop.tokens import Token
from paradrop.values import UserKey
from pdserver.authenticator import SENTENCE, Denied, outdated, principal, stamp
from pdserver.gate.names import WampRole
from pdserver.registry import Directory
from pdserver.registry.records import DeviceRecord, UserRecord
from pdserver.testing import World

# The same in every process that shares the tests: they are in names of tests.
R1, ADA, ADAS_OTHER, STRANGER = (Key(bytes([number]) * 32).public for number in range(1, 5))


@pytest.fixture
def directory() -> Directory:
    directory = Directory()
    directory.put_group("lab")
    directory.put_device(DeviceRecord(pdid="acme.r1", public_key=R1, groups=frozenset({"lab"})))
    directory.put_device(DeviceRecord(pdid="acme.r2"))
    keys = (UserKey(public_key=ADA, added=1.0), UserKey(public_key=ADAS_OTHER, added=2.0))
    directory.put_user(UserRecord(name="ada", keys=keys, grants={"group:lab": Role.OPERATOR}))
    return directory


class TestPrincipal:
    @pytest.mark.parametrize("name", ["acme.r1", None, ""])
    def test_a_device_comes_in_by_its_key_with_its_groups(self, directory: Directory, name: str | None) -> None:
        found = principal(directory, name, R1)
        assert (found["authid"], found["role"], found["pubkey"], found["realm"]) == ("acme.r1", "device", R1, "paradrop")
        assert found["extra"]["groups"] == ["lab"]

    @pytest.mark.parametrize("key", [ADA, ADAS_OTHER])
    def test_a_user_comes_in_by_each_of_their_keys_with_their_grants(self, directory: Directory, key: str) -> None:
        found = principal(directory, "ada", key)
        assert (found["authid"], found["role"], found["pubkey"]) == ("ada", "user", key)
        assert found["extra"]["grants"] == {"group:lab": "operator"}

    @pytest.mark.parametrize(
        ("name", "key", "why"),
        [
            (None, STRANGER, "nobody has the key"),
            ("nobody", STRANGER, "nobody has the key"),
            ("acme.r1", STRANGER, "is not one of theirs"),
            ("acme.r2", STRANGER, "is not one of theirs"),
            ("ada", STRANGER, "is not one of theirs"),
            ("acme.r1", ADA, "is that of ada"),
            ("ada", R1, "is that of acme.r1"),
            ("acme.r2", R1, "is that of acme.r1"),
            ("acme.r1", None, "no public key"),
            ("acme.r1", "", "no public key"),
            ("acme.r1", 7, "no public key"),
            ("acme.r1", R1.upper(), "no public key"),
        ],
    )
    def test_everybody_else_hears_one_sentence_and_the_log_says_why(
        self, directory: Directory, name: str | None, key: Any, why: str
    ) -> None:
        with pytest.raises(Denied) as denied:
            principal(directory, name, key)
        assert str(denied.value) == SENTENCE
        assert why in denied.value.why


class TestOutdated:
    def test_a_session_is_as_good_as_what_it_was_let_in_by(self, directory: Directory) -> None:
        device, user = directory.device("acme.r1"), directory.user("ada")
        assert device is not None
        assert user is not None
        assert not outdated(directory, WampRole.DEVICE, "acme.r1", R1, stamp(device.peer))
        assert not outdated(directory, WampRole.USER, "ada", ADAS_OTHER, stamp(user.peer))

    def test_it_is_not_when_the_key_the_groups_or_the_grants_are_others(self, directory: Directory) -> None:
        device, user = directory.device("acme.r1"), directory.user("ada")
        assert device is not None
        assert user is not None
        before, theirs = stamp(device.peer), stamp(user.peer)
        assert outdated(directory, WampRole.DEVICE, "acme.r1", STRANGER, before)
        assert outdated(directory, WampRole.DEVICE, "acme.r9", R1, before)
        assert outdated(directory, WampRole.USER, "ada", STRANGER, theirs)
        directory.put_device(DeviceRecord(pdid="acme.r1", public_key=R1))
        directory.put_user(UserRecord(name="ada", keys=user.keys, grants={"group:lab": Role.OWNER}))
        assert outdated(directory, WampRole.DEVICE, "acme.r1", R1, before)
        assert outdated(directory, WampRole.USER, "ada", ADA, theirs)


class TestTheProcedure:
    def test_a_stranger_is_refused_and_written_down_with_where_they_came_from(self, world: World) -> None:
        ada, key = world.administrator(), Key.generate()
        with pytest.raises(AuthenticationError, match=SENTENCE):
            world.authenticate("acme.r1", authmethod="cryptosign", authextra=key.extra)
        world.advance(1.5)
        entry = ada.call(uris.AUDIT_READ, -1)[0]
        assert (entry["who"], entry["action"], entry["what"], entry["allowed"]) == ("stranger", "login", "acme.r1", False)
        assert "192.0.2.7" in entry["detail"]
        assert key.public[:16] in entry["detail"]

    def test_a_removed_device_does_not_come_in_again(self, world: World) -> None:
        ada, device = world.administrator(), world.device("acme.r1")
        world.connect(device)
        ada.call(uris.DEVICES_REMOVE, "acme.r1")
        with pytest.raises(AuthenticationError):
            world.connect(device)

    def test_a_guest_comes_in_by_the_token_and_by_nothing_like_it(self, world: World) -> None:
        ada = world.administrator()
        ada.call(uris.DEVICES_CREATE, "acme.r1")
        token = Token.read(world.token(ada.call(uris.DEVICES_INVITE, "acme.r1")))
        assert world.authenticate(token.id, authmethod="ticket", ticket=token.secret)["role"] == "guest"
        for name, secret in [(token.id, "x"), ("x", token.secret), (token.id, None), (None, token.secret), (token.id, 7)]:
            with pytest.raises(InvitationRefused) as refused:
                world.authenticate(name, authmethod="ticket", ticket=secret)
            assert str(refused.value) == InvitationRefused.sentence()

    def test_an_expired_token_is_refused(self, world: World) -> None:
        ada = world.administrator()
        ada.call(uris.DEVICES_CREATE, "acme.r1")
        token = world.token(ada.call(uris.DEVICES_INVITE, "acme.r1", lifetime=60))
        world.clock.advance(61)
        with pytest.raises(InvitationRefused):
            world.guest(token)

    def test_joins_go_on_while_the_database_is_away_and_tickets_say_so(self, make_world: Callable[[], World]) -> None:
        world = make_world()
        ada, device = world.administrator(), world.device("acme.r1")
        token = Token.read(world.token(ada.call(uris.DEVICES_INVITE, "acme.r1")))
        with world.database_away():
            assert world.authenticate("acme.r1", authmethod="cryptosign", authextra=device.key.extra)["role"] == "device"
            with pytest.raises(DatabaseUnavailable):
                world.authenticate(token.id, authmethod="ticket", ticket=token.secret)
            with pytest.raises(DatabaseUnavailable):
                ada.call(uris.DEVICES_CREATE, "acme.r2")
        ada.call(uris.DEVICES_CREATE, "acme.r2")
