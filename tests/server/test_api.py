"""What the server offers: every procedure, for everybody who may and may not call it."""

from __future__ import annotations

import pytest

from paradrop import uris
from paradrop.base.exceptions import (
    Conflict,
    DeviceNotFoundException,
    InvalidInput,
    ModelNotFound,
    NotPermitted,
    ParadropException,
    PdidExclusionError,
)
from paradrop.keys import Key
from paradrop.permissions import Permission
from paradrop.tokens import Token
from paradrop.values import AuditEntry, Device, Group, Invitation, ServerInfo, User, Welcome, read
from pdserver.api.invitations import LONGEST
from pdserver.audit import AUDITED
from pdserver.callers import KINDS, ON_WHAT_IS_THEIRS
from pdserver.gate.names import WampRole
from pdserver.testing import AUTHORITY, URL, Peer, World

OFFERED = {
    value
    for name, value in vars(uris).items()
    if isinstance(value, str) and value.startswith(uris.SERVER) and value != uris.SERVER and not name.startswith("ON_")
}


def devices(by: Peer) -> dict[str, str]:
    """The devices that somebody sees, with their role on each."""
    return {device.pdid: device.role for device in read(list[Device], by.call(uris.DEVICES_LIST))}


class TestDeclarations:
    def test_every_procedure_is_in_the_table_of_names_and_the_other_way_round(self, world: World) -> None:
        assert set(world.service.procedures) == OFFERED

    def test_every_procedure_has_a_permission_that_is_not_public(self, world: World) -> None:
        for declared in world.service.procedures.values():
            assert declared.permission in (Permission.VIEW, Permission.OPERATE, Permission.ADMINISTER)

    def test_the_exceptions_are_about_procedures_that_there_are(self) -> None:
        assert AUDITED <= OFFERED
        assert set(KINDS) <= OFFERED
        assert ON_WHAT_IS_THEIRS <= OFFERED

    def test_whatever_changes_something_is_audited(self, world: World) -> None:
        changing = {uri for uri, declared in world.service.procedures.items() if declared.permission is not Permission.VIEW}
        assert changing - AUDITED == {uris.AUDIT_READ}


class TestWhoMayCall:
    def test_each_procedure_is_for_one_kind_of_peer(self, world: World) -> None:
        device = world.connect(world.device("acme.r1"))
        peers = {
            "user": world.user("bob"),
            "administrator": world.administrator(),
            "device": device,
            "guest": world.node.join(WampRole.GUEST, "i1"),
            "chute": world.node.join(WampRole.CHUTE, "hello@acme.r1"),
            "nobody": world.node.join(WampRole.USER, "nobody"),
        }
        for uri, declared in world.service.procedures.items():
            kind = KINDS.get(uri)
            may = {"administrator"} if kind is None else {"device"} if kind.__name__ == "DevicePeer" else {"guest"}
            if kind is None and (declared.permission is Permission.VIEW or uri in ON_WHAT_IS_THEIRS):
                may |= {"user"}
            for name, peer in peers.items():
                try:
                    peer.call(uri, 1, 2, 3, 4, 5, 6, 7, 8)
                except NotPermitted:
                    assert name not in may, (name, uri)
                except InvalidInput:
                    assert name in may, (name, uri)
                else:
                    pytest.fail(f"{uri} took eight numbers")

    def test_a_refused_call_is_written_down(self, world: World) -> None:
        ada, bob = world.administrator(), world.user("bob")
        for _ in range(3):
            with pytest.raises(NotPermitted):
                bob.call(uris.DEVICES_CREATE, "acme.r1")
        world.advance(1.5)
        entry = read(AuditEntry, ada.call(uris.AUDIT_READ, -1)[0])
        assert (entry.who, entry.action, entry.allowed, entry.times) == ("user bob", "devices.create", False, 3)

    def test_somebody_whose_role_was_taken_away_is_refused_even_on_an_old_session(self, world: World) -> None:
        ada, bob = world.administrator(), world.administrator("bob")
        ada.call(uris.USERS_REVOKE, "bob", "server")
        with pytest.raises(NotPermitted):
            bob.call(uris.DEVICES_CREATE, "acme.r1")


class TestSeeing:
    def test_everybody_sees_the_devices_they_have_a_role_on(self, world: World) -> None:
        world.device("acme.r1", ["lab"])
        world.device("acme.r2")
        world.device("acme.r3")
        assert devices(world.administrator()) == {"acme.r1": "owner", "acme.r2": "owner", "acme.r3": "owner"}
        bob = world.user("bob", **{"group:lab": "viewer", "device:acme.r2": "operator"})
        assert devices(bob) == {"acme.r1": "viewer", "acme.r2": "operator"}
        assert devices(world.user("eve")) == {}

    def test_a_device_one_may_not_see_is_none(self, world: World) -> None:
        world.device("acme.r1")
        eve = world.user("eve")
        for pdid in ("acme.r1", "acme.r9"):
            with pytest.raises(DeviceNotFoundException, match=f"there is no device '{pdid}'"):
                eve.call(uris.DEVICES_GET, pdid)
            with pytest.raises(DeviceNotFoundException):
                eve.call(uris.WANTED_LIST, pdid)

    def test_info_counts_what_the_caller_may_see(self, world: World) -> None:
        world.connect(world.device("acme.r1"))
        world.device("acme.r2")
        ada, bob = world.administrator(), world.user("bob", **{"device:acme.r2": "viewer"})
        info = read(ServerInfo, ada.call(uris.SERVER_INFO))
        assert (info.name, info.url, info.devices, info.online, info.you, info.administrator) == ("fleet", URL, 2, 1, "ada", True)
        info = read(ServerInfo, bob.call(uris.SERVER_INFO))
        assert (info.devices, info.online, info.users, info.you, info.administrator) == (1, 0, 1, "bob", False)

    def test_users_see_themselves_and_administrators_everybody(self, world: World) -> None:
        ada, bob = world.administrator(), world.user("bob")
        assert [user.name for user in read(list[User], bob.call(uris.USERS_LIST))] == ["bob"]
        assert [user.name for user in read(list[User], ada.call(uris.USERS_LIST))] == ["ada", "admin", "bob"]

    def test_groups_are_shown_with_the_devices_one_may_see(self, world: World) -> None:
        world.device("acme.r1", ["lab", "roof"])
        world.device("acme.r2", ["lab"])
        ada, bob = world.administrator(), world.user("bob", **{"device:acme.r2": "viewer"})
        assert {group.name: group.devices for group in read(list[Group], ada.call(uris.GROUPS_LIST))} == {
            "lab": ("acme.r1", "acme.r2"),
            "roof": ("acme.r1",),
        }
        assert read(list[Group], bob.call(uris.GROUPS_LIST)) == [Group(name="lab", devices=("acme.r2",))]

    def test_a_device_asks_for_the_role_of_who_called_it(self, world: World) -> None:
        device, other = world.connect(world.device("acme.r1")), world.connect(world.device("acme.r2"))
        world.user("bob", **{"device:acme.r1": "operator"})
        assert device.call(uris.SERVER_ROLE, "bob") == "operator"
        assert other.call(uris.SERVER_ROLE, "bob") is None
        assert device.call(uris.SERVER_ROLE, "nobody") is None


class TestDevices:
    def test_an_invitation_carries_the_servers_authority_and_its_url(self, world: World) -> None:
        ada = world.administrator()
        ada.call(uris.DEVICES_CREATE, "acme.r1")
        invitation = read(Invitation, ada.call(uris.DEVICES_INVITE, "acme.r1", lifetime=600))
        assert (invitation.subject, invitation.url, invitation.expires) == ("acme.r1", URL, world.wall() + 600)
        assert Token.read(invitation.token).authority == AUTHORITY

    @pytest.mark.parametrize("lifetime", [0, -1, 0.5, LONGEST + 1, float("nan"), float("inf")])
    def test_an_invitation_is_good_for_a_minute_at_least_and_thirty_days_at_most(self, world: World, lifetime: float) -> None:
        ada = world.administrator()
        ada.call(uris.DEVICES_CREATE, "acme.r1")
        with pytest.raises(InvalidInput):
            ada.call(uris.DEVICES_INVITE, "acme.r1", lifetime=lifetime)

    def test_the_owner_of_a_device_invites_and_removes_it_and_no_other(self, world: World) -> None:
        world.device("acme.r1")
        world.device("acme.r2")
        bob = world.user("bob", **{"device:acme.r1": "owner", "device:acme.r2": "operator"})
        bob.call(uris.DEVICES_INVITE, "acme.r1")
        bob.call(uris.DEVICES_REMOVE, "acme.r1")
        for uri in (uris.DEVICES_INVITE, uris.DEVICES_REMOVE):
            with pytest.raises(NotPermitted):
                bob.call(uri, "acme.r2")
        assert [device.pdid for device in world.registry.directory.devices()] == ["acme.r2"]

    def test_one_id_cannot_be_inside_another(self, world: World) -> None:
        ada = world.administrator()
        ada.call(uris.DEVICES_CREATE, "acme.r1")
        for pdid in ("acme.r1", "acme", "acme.r1.left"):
            with pytest.raises(PdidExclusionError):
                ada.call(uris.DEVICES_CREATE, pdid)

    def test_two_devices_with_one_token_only_one_gets_the_place_and_may_ask_twice(self, world: World) -> None:
        ada, first, second = world.administrator(), Key.generate(), Key.generate()
        ada.call(uris.DEVICES_CREATE, "acme.r1")
        token = world.token(ada.call(uris.DEVICES_INVITE, "acme.r1"))
        one, other = world.guest(token), world.guest(token)
        welcome = read(Welcome, one.call(uris.SERVER_ACCEPT, first.public))
        with pytest.raises(ParadropException):
            other.call(uris.SERVER_ACCEPT, second.public)
        assert read(Welcome, world.guest(token).call(uris.SERVER_ACCEPT, first.public)) == welcome
        assert world.registry.directory.device("acme.r1").public_key == first.public

    def test_a_device_that_leaves_cannot_come_back_by_its_key(self, world: World) -> None:
        device = world.device("acme.r1")
        peer = world.connect(device)
        assert peer.call(uris.DEVICES_LEFT) is None
        assert peer.id in world.node.peers  # it hears the answer
        world.advance(2)
        assert peer.id not in world.node.peers
        with pytest.raises(ParadropException):
            world.connect(device)

    def test_users_hear_of_the_devices_they_may_see_and_of_no_other(self, world: World) -> None:
        device = world.device("acme.r1")
        world.administrator()
        world.user("bob", **{"device:acme.r1": "viewer"})
        world.user("eve")
        world.node.events.clear()
        world.connect(device)
        world.advance(1)
        events = [event for event in world.node.events if event.topic == uris.ON_DEVICE]
        assert [(read(Device, event.args[0]).online, event.users) for event in events] == [(True, ("ada", "admin", "bob"))]


class TestPeople:
    def test_a_new_user_logs_in_with_the_code_and_adds_a_second_key_with_another(self, world: World) -> None:
        ada, first, second = world.administrator(), Key.generate(), Key.generate()
        world.guest(world.token(ada.call(uris.USERS_ADD, "bob"))).call(uris.SERVER_ACCEPT, first.public, label="laptop")
        bob = world.come_in("bob", first)
        world.clock.advance(1)
        world.guest(world.token(bob.call(uris.USERS_INVITE, "bob"))).call(uris.SERVER_ACCEPT, second.public, label="desk")
        user = read(list[User], world.come_in("bob", second).call(uris.USERS_LIST))[0]
        assert [(key.public_key, key.label) for key in user.keys] == [(first.public, "laptop"), (second.public, "desk")]

    def test_nobody_but_an_administrator_does_that_to_somebody_else(self, world: World) -> None:
        bob = world.user("bob")
        world.user("eve")
        key = world.registry.directory.user("eve").keys[0].public_key
        for uri, args in [(uris.USERS_INVITE, ("eve",)), (uris.USERS_FORGET_KEY, ("eve", key))]:
            with pytest.raises(NotPermitted):
                bob.call(uri, *args)

    def test_an_owner_shares_their_device_and_nothing_else(self, world: World) -> None:
        world.device("acme.r1", ["lab"])
        world.device("acme.r2")
        bob, eve = world.user("bob", **{"device:acme.r1": "owner"}), world.user("eve")
        bob.call(uris.USERS_GRANT, "eve", "viewer", "device:acme.r1")
        assert devices(eve) == {"acme.r1": "viewer"}
        for scope in ("device:acme.r2", "group:lab", "server", "device:", "nonsense"):
            with pytest.raises((NotPermitted, DeviceNotFoundException)):
                bob.call(uris.USERS_GRANT, "bob", "owner", scope)
            with pytest.raises((NotPermitted, DeviceNotFoundException)):
                bob.call(uris.USERS_REVOKE, "admin", scope)
        bob.call(uris.USERS_REVOKE, "eve", "device:acme.r1")
        assert devices(eve) == {}

    @pytest.mark.parametrize("role", ["king", "", "Owner"])
    def test_a_role_is_one_of_three(self, world: World, role: str) -> None:
        ada = world.administrator()
        world.user("bob")
        with pytest.raises(InvalidInput, match="owner, operator, viewer"):
            ada.call(uris.USERS_GRANT, "bob", role, "server")

    def test_the_last_administrator_stays(self, world: World) -> None:
        ada = world.administrator()
        ada.call(uris.USERS_REMOVE, "admin")
        with pytest.raises(Conflict):
            ada.call(uris.USERS_REVOKE, "ada", "server")
        with pytest.raises(Conflict):
            ada.call(uris.USERS_REMOVE, "ada")


class TestRevoking:
    def test_a_removed_device_is_put_out_at_once(self, world: World) -> None:
        ada, peer = world.administrator(), world.connect(world.device("acme.r1"))
        ada.call(uris.DEVICES_REMOVE, "acme.r1")
        assert peer.id not in world.node.peers
        assert ada.id in world.node.peers

    @pytest.mark.parametrize(
        ("uri", "args"),
        [
            (uris.USERS_REMOVE, ("bob",)),
            (uris.USERS_GRANT, ("bob", "owner", "device:acme.r1")),
            (uris.USERS_REVOKE, ("bob", "group:lab")),
            (uris.GROUPS_REMOVE, ("lab",)),
        ],
    )
    def test_a_user_who_is_not_what_they_were_is_put_out_at_once(self, world: World, uri: str, args: tuple[str, ...]) -> None:
        world.device("acme.r1", ["lab"])
        ada, bob, eve = world.administrator(), world.user("bob", **{"group:lab": "viewer"}), world.user("eve")
        ada.call(uri, *args)
        assert bob.id not in world.node.peers
        assert {ada.id, eve.id} <= set(world.node.peers)

    def test_a_forgotten_key_ends_the_users_sessions(self, world: World) -> None:
        ada, bob = world.administrator(), world.user("bob")
        ada.call(uris.USERS_FORGET_KEY, "bob", world.registry.directory.user("bob").keys[0].public_key)
        assert bob.id not in world.node.peers

    @pytest.mark.parametrize(("uri", "args"), [(uris.GROUPS_JOIN, ("roof", "acme.r1")), (uris.GROUPS_LEAVE, ("lab", "acme.r1"))])
    def test_a_device_whose_groups_change_comes_back_with_the_new_ones(
        self, world: World, uri: str, args: tuple[str, ...]
    ) -> None:
        ada, device = world.administrator(), world.device("acme.r1", ["lab"])
        ada.call(uris.GROUPS_ADD, "roof")
        peer = world.connect(device)
        ada.call(uri, *args)
        assert peer.id not in world.node.peers
        back = world.connect(device)
        assert back.id in world.node.peers
        assert back.extra["groups"] != peer.extra["groups"]

    def test_whoever_changes_themselves_hears_the_answer_first(self, world: World) -> None:
        world.device("acme.r1")
        ada = world.administrator()
        ada.call(uris.USERS_GRANT, "ada", "viewer", "device:acme.r1")
        assert ada.id in world.node.peers
        world.advance(2)
        assert ada.id not in world.node.peers

    def test_only_the_session_that_changed_itself_has_the_grace(self, world: World) -> None:
        bob = world.user("bob")
        key = world.registry.directory.user("bob").keys[0].public_key
        other = world.node.join(WampRole.USER, "bob", bob.extra)
        bob.call(uris.USERS_FORGET_KEY, "bob", key)
        assert (bob.id in world.node.peers, other.id in world.node.peers) == (True, False)
        world.advance(2)
        assert bob.id not in world.node.peers

    @pytest.mark.parametrize(("uri", "args"), [(uris.GROUPS_LEAVE, ("lab", "acme.r1")), (uris.DEVICES_REMOVE, ("acme.r1",))])
    def test_who_reached_a_device_by_its_group_subscribes_anew(self, world: World, uri: str, args: tuple[str, ...]) -> None:
        world.device("acme.r1", ["lab"])
        peer, bob = world.connect(world.device("acme.r2", ["lab"])), world.user("bob", **{"group:lab": "viewer"})
        world.administrator().call(uri, *args)
        assert not {peer.id, bob.id} & set(world.node.peers)

    def test_open_codes_go_with_a_key_and_older_tokens_with_a_newer_one(self, world: World) -> None:
        ada, bob = world.administrator(), world.user("bob")
        world.device("acme.r1")
        code = world.token(bob.call(uris.USERS_INVITE, "bob"))
        older = world.token(ada.call(uris.DEVICES_INVITE, "acme.r1"))
        ada.call(uris.USERS_FORGET_KEY, "bob", world.registry.directory.user("bob").keys[0].public_key)
        world.guest(world.token(ada.call(uris.DEVICES_INVITE, "acme.r1")))
        for token in (code, older):
            with pytest.raises(ParadropException):
                world.guest(token)

    def test_what_is_not_ones_device_is_written_down_as_denied(self, world: World) -> None:
        world.device("acme.r1")
        ada, eve = world.administrator(), world.user("eve")
        for uri in (uris.DEVICES_GET, uris.DEVICES_INVITE, uris.WANTED_LIST):
            with pytest.raises(DeviceNotFoundException):
                eve.call(uri, "acme.r1")
        world.advance(1.5)
        entries = read(list[AuditEntry], ada.call(uris.AUDIT_READ))
        assert [(entry.who, entry.allowed) for entry in entries[1:]] == [("user eve", False)] * 3

    def test_a_new_claim_puts_the_old_device_out(self, world: World) -> None:
        ada, old, new = world.administrator(), world.device("acme.r1"), Key.generate()
        peer = world.connect(old)
        guest = world.guest(world.token(ada.call(uris.DEVICES_INVITE, "acme.r1")))
        assert peer.id in world.node.peers
        guest.call(uris.SERVER_ACCEPT, new.public)
        assert peer.id not in world.node.peers

    def test_who_was_removed_between_challenge_and_answer_does_not_stay(self, world: World) -> None:
        ada, device = world.administrator(), world.device("acme.r1")
        principal = world.authenticate("acme.r1", authmethod="cryptosign", authextra=device.key.extra)
        ada.call(uris.DEVICES_REMOVE, "acme.r1")
        late = world.node.join(principal["role"], principal["authid"], principal["extra"])
        assert late.id not in world.node.peers

    def test_it_is_tried_again_until_the_node_has_done_it(self, world: World) -> None:
        ada, peer = world.administrator(), world.connect(world.device("acme.r1"))
        world.node.refusing = InvalidInput("the gate has the hiccups")
        ada.call(uris.DEVICES_REMOVE, "acme.r1")
        world.advance(3)
        assert peer.id in world.node.peers
        world.node.refusing = None
        world.advance(2)
        assert peer.id not in world.node.peers


class TestAuditRead:
    def test_every_administrative_action_is_there_with_who_what_and_how_it_ended(self, world: World) -> None:
        ada = world.administrator()
        ada.call(uris.DEVICES_CREATE, "acme.r1")
        with pytest.raises(PdidExclusionError):
            ada.call(uris.DEVICES_CREATE, "acme")
        token = world.token(ada.call(uris.DEVICES_INVITE, "acme.r1"))
        world.user("bob")
        ada.call(uris.USERS_GRANT, "bob", "viewer", "device:acme.r1")
        entries = read(list[AuditEntry], ada.call(uris.AUDIT_READ))
        assert [(entry.who, entry.action, entry.what, entry.allowed) for entry in entries] == [
            ("server", "users.add", "admin", True),
            ("user ada", "devices.create", "acme.r1", True),
            ("user ada", "devices.create", "acme", True),
            ("user ada", "devices.invite", "acme.r1", True),
            ("user ada", "users.grant", "bob viewer device:acme.r1", True),
        ]
        assert entries[2].detail.startswith("failed: ")
        assert all(Token.read(token).secret not in str(entry) for entry in entries)

    def test_it_is_read_from_an_entry_on_and_from_the_end(self, world: World) -> None:
        ada = world.administrator()
        for number in range(5):
            ada.call(uris.DEVICES_CREATE, f"acme.r{number}")
        entries = read(list[AuditEntry], ada.call(uris.AUDIT_READ))
        assert read(list[AuditEntry], ada.call(uris.AUDIT_READ, entries[1].id, limit=2)) == entries[2:4]
        assert read(list[AuditEntry], ada.call(uris.AUDIT_READ, -2)) == entries[-2:]

    @pytest.mark.parametrize("limit", [0, -1, 1001])
    def test_a_page_has_its_limits(self, world: World, limit: int) -> None:
        with pytest.raises(InvalidInput):
            world.administrator().call(uris.AUDIT_READ, limit=limit)

    def test_a_group_that_there_is_not(self, world: World) -> None:
        with pytest.raises(ModelNotFound):
            world.administrator().call(uris.GROUPS_REMOVE, "nothing")
