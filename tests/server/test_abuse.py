"""What somebody may not do who has, or had, a right to a little: each test is an attack that was tried."""

from __future__ import annotations

import pytest

from paradrop import uris
from paradrop.base.exceptions import Conflict, InvalidInput, InvitationRefused, ParadropException, StorageFull, TooManyAttempts
from paradrop.keys import Key
from paradrop.tokens import Token
from paradrop.values import AuditEntry, Group, WantedState, read
from pdserver.audit import CHANGES_BURST
from pdserver.gate.names import WampRole
from pdserver.registry import wanted as wanted_rows
from pdserver.testing import Peer, World

MANIFEST = "name: {}\nversion: 1\nservices:\n  main: {{image: hello, command: [hello]}}\n"
TREE = {"entries": [{"path": "paradrop.yaml", "size": 3, "sha256": "11" * 32, "executable": False}]}


def accepts(world: World, token: str) -> None:
    """A device takes the place by *token*; the session is made as by a guest who came in before the token was void."""
    world.node.join(WampRole.GUEST, Token.read(token).id).call(uris.SERVER_ACCEPT, Key.generate().public)


class TestInvitationsOfWhoMayNotAnyMore:
    @pytest.mark.parametrize(
        ("uri", "args"),
        [
            (uris.USERS_REVOKE, ("eve", "device:acme.r1")),
            (uris.USERS_GRANT, ("eve", "viewer", "device:acme.r1")),
            (uris.USERS_REMOVE, ("eve",)),
        ],
    )
    @pytest.mark.parametrize("again", [False, True])
    def test_a_token_does_not_outlive_the_grant(self, world: World, uri: str, args: tuple[str, ...], again: bool) -> None:
        world.device("acme.r1")
        key = world.registry.directory.device("acme.r1").public_key
        ada, eve = world.administrator(), world.user("eve", **{"device:acme.r1": "owner"})
        token = world.token(eve.call(uris.DEVICES_INVITE, "acme.r1", 30 * 86_400.0))
        ada.call(uri, *args)
        if again:  # what was void stays void
            if uri == uris.USERS_REMOVE:
                ada.call(uris.USERS_ADD, "eve")
            ada.call(uris.USERS_GRANT, "eve", "owner", "device:acme.r1")
        with pytest.raises(InvitationRefused):
            accepts(world, token)
        assert world.registry.directory.device("acme.r1").public_key == key

    @pytest.mark.parametrize("how", [(uris.GROUPS_LEAVE, "lab", "acme.r1"), (uris.GROUPS_REMOVE, "lab")])
    def test_nor_the_group_by_which_it_was_given(self, world: World, how: tuple[str, ...]) -> None:
        world.device("acme.r1", ["lab"])
        ada, eve = world.administrator(), world.user("eve", **{"group:lab": "owner"})
        token = world.token(eve.call(uris.DEVICES_INVITE, "acme.r1"))
        ada.call(*how)
        with pytest.raises(InvitationRefused, match="may not do so now"):
            accepts(world, token)

    def test_nor_the_key_that_was_lost(self, world: World) -> None:
        world.device("acme.r1")
        ada, eve = world.administrator(), world.user("eve", **{"device:acme.r1": "owner"})
        token = world.token(eve.call(uris.DEVICES_INVITE, "acme.r1"))
        ada.call(uris.USERS_FORGET_KEY, "eve", world.registry.directory.user("eve").keys[0].public_key)
        with pytest.raises(InvitationRefused):
            accepts(world, token)

    def test_a_login_code_does_not_outlive_the_administrator_who_gave_it(self, world: World) -> None:
        ada, eve = world.administrator(), world.administrator("eve")
        code = world.token(eve.call(uris.USERS_ADD, "mallory"))
        ada.call(uris.USERS_REVOKE, "eve", "server")
        with pytest.raises(InvitationRefused):
            accepts(world, code)

    def test_those_of_others_stay_good(self, world: World) -> None:
        ada = world.administrator()
        world.device("acme.r1")
        world.user("eve", **{"device:acme.r1": "owner"})
        token = world.token(ada.call(uris.DEVICES_INVITE, "acme.r1"))
        ada.call(uris.USERS_REMOVE, "eve")
        accepts(world, token)

    def test_only_the_newest_of_ones_own_are_kept(self, world: World) -> None:
        eve = world.user("eve")
        codes = []
        for _ in range(22):
            codes.append(world.token(eve.call(uris.USERS_INVITE, "eve")))
            world.advance(0.1)
        with pytest.raises(InvitationRefused):
            accepts(world, codes[1])
        accepts(world, codes[2])
        accepts(world, codes[-1])


class TestFloodsOfTheLog:
    def test_what_fails_is_counted_together(self, world: World) -> None:
        ada, eve = world.administrator(), world.user("eve")
        for _ in range(90):
            with pytest.raises(InvalidInput):
                eve.call(uris.USERS_INVITE, "eve", -1.0)
        for _ in range(500):
            with pytest.raises(ParadropException):
                eve.call(uris.USERS_INVITE, "ada")
        world.advance(1.5)
        entries = [entry for entry in read(list[AuditEntry], ada.call(uris.AUDIT_READ, limit=1000)) if entry.who == "user eve"]
        assert len(entries) < 5
        assert sum(entry.times for entry in entries) == 590

    def test_what_succeeds_is_bounded_and_nothing_is_done_that_is_not_written_down(self, world: World) -> None:
        ada, eve = world.administrator(), world.user("eve")
        for _ in range(CHANGES_BURST):
            eve.call(uris.USERS_INVITE, "eve")
        for _ in range(50):
            with pytest.raises(TooManyAttempts):
                eve.call(uris.USERS_INVITE, "eve")
        world.user("bob").call(uris.USERS_INVITE, "bob")  # others are not held up
        world.advance(11)
        eve.call(uris.USERS_INVITE, "eve")
        entries = [entry for entry in read(list[AuditEntry], ada.call(uris.AUDIT_READ, limit=1000)) if entry.who == "user eve"]
        assert sum(entry.allowed for entry in entries) == CHANGES_BURST + 1
        assert [entry.times for entry in entries if not entry.allowed] == [50]

    def test_administrators_are_not_held_up(self, world: World) -> None:
        ada = world.administrator()
        for number in range(CHANGES_BURST + 5):
            ada.call(uris.GROUPS_ADD, f"g{number}")


class TestWhatWaits:
    def want(self, world: World, chute: str, tree: object = None) -> object:
        return world.run(world.registry.want("acme.r1", chute, "1", tree or TREE, "d", "ada"))

    def test_no_more_than_so_many_chutes_wait_for_a_device(self, world: World) -> None:
        world.device("acme.r1")
        for number in range(wanted_rows.MOST_WAITING):
            self.want(world, f"c{number}")
        with pytest.raises(Conflict, match="and no more may"):
            self.want(world, "one-more")
        self.want(world, "c0")  # a newer one of a chute that waits
        world.run(world.registry.forget_wanted("acme.r1", "c1"))
        self.want(world, "one-more")

    def test_nor_larger_trees(self, world: World) -> None:
        world.device("acme.r1")
        large = {"entries": [{"path": "x" * (wanted_rows.LARGEST_WAITING // 3), "size": 0, "sha256": "11" * 32}]}
        self.want(world, "a", large)
        self.want(world, "b", large)
        with pytest.raises(StorageFull):
            self.want(world, "c", large)
        assert [record.chute for record in world.run(world.registry.wanted("acme.r1"))] == ["a", "b"]

    def test_what_has_ended_keeps_no_tree_and_not_for_ever(self, world: World) -> None:
        world.device("acme.r1")
        for number in range(wanted_rows.MOST_ENDED + 5):
            record = self.want(world, f"c{number}")
            world.run(world.registry.set_wanted(record.id, WantedState.FAILED))
            world.advance(0.1)
        assert world.run(world.registry.wanted_by_id(record.id)).tree == {}
        self.want(world, "last")
        assert len(world.run(world.registry.wanted("acme.r1"))) == wanted_rows.MOST_ENDED + 1

    def test_a_list_brings_no_trees(self, world: World) -> None:
        world.device("acme.r1")
        record = self.want(world, "hello")
        assert [found.tree for found in world.run(world.registry.wanted("acme.r1"))] == [{}]
        assert world.run(world.registry.wanted_by_id(record.id)) == record


class TestWhatIsSoAlready:
    def test_joining_a_group_again_cuts_nobody_off(self, world: World) -> None:
        ada, peer = world.administrator(), world.connect(world.device("acme.r1", ["lab"]))
        ada.call(uris.GROUPS_JOIN, "lab", "acme.r1")
        world.advance(2)
        assert peer.id in world.node.peers
        assert read(list[Group], ada.call(uris.GROUPS_LIST)) == [Group(name="lab", devices=("acme.r1",))]

    def test_granting_the_same_again_cuts_nobody_off(self, world: World) -> None:
        world.device("acme.r1")
        ada, bob = world.administrator(), world.user("bob", **{"device:acme.r1": "viewer"})
        ada.call(uris.USERS_GRANT, "bob", "viewer", "device:acme.r1")
        world.advance(2)
        assert bob.id in world.node.peers
        ada.call(uris.USERS_GRANT, "bob", "operator", "device:acme.r1")
        world.advance(2)
        assert bob.id not in world.node.peers


def test_a_device_that_leaves_forgets_its_own_key_only(world: World) -> None:
    device = world.device("acme.r1")
    peer: Peer = world.connect(device)
    world.run(world.registry.forget_device_key("acme.r1", "ab" * 32))
    assert world.registry.directory.device("acme.r1").public_key == device.key.public
    peer.call(uris.DEVICES_LEFT)
    assert world.registry.directory.device("acme.r1").public_key is None
