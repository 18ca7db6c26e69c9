"""Deploying to a device that is away, and what happens when it comes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred

from paradrop import uris
from paradrop.base.exceptions import (
    ChangeNotFound,
    DatabaseUnavailable,
    DeadlineExceeded,
    DeviceNotFoundException,
    DeviceOffline,
    InvalidInput,
    InvalidManifest,
    InvalidSource,
    ModelNotFound,
    NotFound,
    NotPermitted,
    StorageFull,
    Unreachable,
)
from paradrop.source.blobs import SPARED
from paradrop.values import ChangeKind, ChangeRecord, ChangeState, Device, StepState, Wanted, WantedState, plain, read
from pdserver.delivery import AT_ONCE, NOTHING_YET, taken_over
from pdserver.gate.names import WampRole
from pdserver.testing import MemoryDevice, Peer, World

SPACE = "org.paradrop.acme.r9."


def manifest(version: str, name: str = "hello") -> str:
    return f"name: {name}\nversion: '{version}'\ntype: light\nuse: python3\ncommand: stay\n"


def wanted(by: Peer, pdid: str = "acme.r9") -> list[Wanted]:
    return read(list[Wanted], by.call(uris.WANTED_LIST, pdid))


@pytest.fixture
def ada(world: World) -> Peer:
    return world.administrator()


@pytest.fixture
def r9(world: World) -> MemoryDevice:
    return world.device("acme.r9")


class TestAway:
    def test_a_call_fails_at_once_and_says_since_when(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        with pytest.raises(DeviceOffline, match=r"acme\.r9 is offline; it was never connected"):
            ada.call(SPACE + uris.CHUTES_LIST)
        world.node.drop(world.connect(r9))
        with pytest.raises(DeviceOffline, match=r"acme\.r9 is offline; last seen 2023-11-14 22:13:20 UTC"):
            ada.call(f"{SPACE}chute.hello.greet", "World")

    def test_a_place_that_nobody_took_says_so(self, world: World, ada: Peer) -> None:
        ada.call(uris.DEVICES_CREATE, "acme.r8")
        with pytest.raises(DeviceOffline, match="no device has claimed that place"):
            ada.call("org.paradrop.acme.r8.node.info")

    def test_a_device_that_there_is_not(self, world: World, ada: Peer) -> None:
        with pytest.raises(DeviceNotFoundException):
            ada.call("org.paradrop.acme.r1.node.info")
        with pytest.raises(NotFound, match="nobody has registered"):
            ada.call("org.paradrop.server.nonsense")

    def test_it_is_decided_as_for_one_that_is_there(self, world: World, r9: MemoryDevice) -> None:
        viewer, operator = (
            world.user("vera", **{"device:acme.r9": "viewer"}),
            world.user("otto", **{"device:acme.r9": "operator"}),
        )
        eve, lab = world.user("eve"), world.node.join(WampRole.CHUTE, "nosy@acme.r1")
        tree = plain(world.tree(manifest("1"))[0])
        for somebody, name, args in [
            (viewer, uris.BLOBS_MISSING, ([],)),
            (viewer, uris.CHUTES_DEPLOY, (tree,)),
            (operator, uris.CONFIG_SHOW, ()),
            (eve, uris.CHANGES_LIST, ()),
            (eve, uris.CHUTES_LIST, ()),
            (lab, uris.CHUTES_LIST, ()),
            (lab, uris.CHUTES_DEPLOY, (tree,)),
        ]:
            with pytest.raises(NotPermitted):
                somebody.call(SPACE + name, *args)
        assert viewer.call(SPACE + uris.CHANGES_LIST) == []
        assert operator.call(SPACE + uris.BLOBS_MISSING, []) == []

    def test_a_deploy_is_kept_and_says_that_it_waits(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        record = world.deploy(ada, "acme.r9", manifest("1"))
        assert (record.state, record.chute, record.version, record.actor) == (ChangeState.ACCEPTED, "hello", "1", "ada")
        assert record.id.startswith("w-")
        assert (record.steps[0].title, record.steps[0].state) == ("waits for acme.r9 to come back", StepState.RUNNING)
        assert read(ChangeRecord, ada.call(SPACE + uris.CHANGES_GET, record.id)) == record
        assert read(list[ChangeRecord], ada.call(SPACE + uris.CHANGES_LIST, limit=5, chute="hello")) == [record]
        assert [(w.chute, w.version, w.state, w.by, w.actual) for w in wanted(ada)] == [
            ("hello", "1", WantedState.WAITING, "ada", "")
        ]
        assert read(Device, ada.call(uris.DEVICES_GET, "acme.r9")).waiting == 1

    def test_what_cannot_be_deployed_is_refused_like_on_the_device(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        tree, _ = world.tree(manifest("1"))
        with pytest.raises(InvalidInput, match="has not been sent"):
            ada.call(SPACE + uris.CHUTES_DEPLOY, plain(tree))
        with pytest.raises(InvalidManifest):
            world.deploy(ada, "acme.r9", "name: NO\n")
        with pytest.raises(InvalidSource):
            ada.call(SPACE + uris.CHUTES_DEPLOY, {"entries": [{"path": "../x", "size": 0, "sha256": "0" * 64}]})
        with pytest.raises(InvalidSource):
            ada.call(SPACE + uris.BLOBS_PUT, "0" * 64, 1, 0, b"x")
        with pytest.raises(InvalidInput):
            ada.call(SPACE + uris.CHUTES_DEPLOY, tree="x")
        assert wanted(ada) == []

    def test_while_the_database_is_away_nothing_is_accepted(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        with world.database_away(), pytest.raises(DatabaseUnavailable):
            world.deploy(ada, "acme.r9", manifest("1"))
        assert wanted(ada) == []

    def test_changes_of_the_device_itself_are_not_there(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        with pytest.raises(DeviceOffline):
            ada.call(SPACE + uris.CHANGES_GET, "c1")
        with pytest.raises(ChangeNotFound):
            ada.call(SPACE + uris.CHANGES_GET, "w-nothing")

    def test_it_can_be_given_up(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        world.deploy(ada, "acme.r9", manifest("1"))
        with pytest.raises(NotPermitted):
            world.user("vera", **{"device:acme.r9": "viewer"}).call(uris.WANTED_FORGET, "acme.r9", "hello")
        world.user("otto", **{"device:acme.r9": "operator"}).call(uris.WANTED_FORGET, "acme.r9", "hello")
        assert wanted(ada) == []
        with pytest.raises(ModelNotFound):
            ada.call(uris.WANTED_FORGET, "acme.r9", "hello")
        world.connect(r9)
        world.advance(5)
        assert r9.trees == []


class TestComingBack:
    def test_it_gets_what_it_missed_at_once(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        change = world.deploy(ada, "acme.r9", manifest("1"), {"main.py": b"print('hello')" * 40_000})
        world.connect(r9)
        assert [record.version for record in r9.changes] == ["1"]
        assert sum(map(len, r9.blobs.values())) > 500_000
        found = wanted(ada)[0]
        assert (found.state, found.change, found.actual) == (WantedState.DELIVERED, "c1", "1, running")
        world.node.drop(next(peer for peer in world.node.peers.values() if peer.authid == "acme.r9"))
        record = read(ChangeRecord, ada.call(SPACE + uris.CHANGES_GET, change.id))
        assert (record.state, record.steps[-1].title) == (ChangeState.DONE, "acme.r9 has taken it over as its change c1")

    def test_it_gets_the_newest_only_and_each_chute(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        for version in range(1, 8):
            world.deploy(ada, "acme.r9", manifest(str(version)))
        world.clock.advance(1)
        world.deploy(ada, "acme.r9", manifest("1", name="clock"))
        world.connect(r9)
        assert [(record.chute, record.version) for record in r9.changes] == [("hello", "7"), ("clock", "1")]
        assert read(Device, ada.call(uris.DEVICES_GET, "acme.r9")).waiting == 0

    def test_it_does_not_get_it_again(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        world.deploy(ada, "acme.r9", manifest("1"))
        for _ in range(3):
            world.node.drop(world.connect(r9))
            world.advance(5)
        assert len(r9.trees) == 1

    def test_users_who_may_see_the_device_hear_of_it(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        world.user("eve")
        world.deploy(ada, "acme.r9", manifest("1"))
        world.connect(r9)
        events = [event for event in world.node.events if event.topic == uris.ON_WANTED]
        states = [read(Wanted, event.args[0]).state for event in events]
        assert (states[0], states[-1]) == (WantedState.WAITING, WantedState.DELIVERED)
        assert {event.users for event in events} == {("ada", "admin")}

    def test_how_it_ended_on_the_device_is_noted(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        r9.ends = ChangeState.FAILED
        world.deploy(ada, "acme.r9", manifest("1"))
        world.connect(r9)
        world.advance(5)
        assert (wanted(ada)[0].state, wanted(ada)[0].reason) == (WantedState.DELIVERED, "failed: it did not start")

    def test_how_each_of_several_ended_is_noted_over_a_lost_link(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        r9.ends = ChangeState.FAILED
        for name in ("clock", "hello"):
            world.deploy(ada, "acme.r9", manifest("1", name=name))
        world.node.drop(world.connect(r9))
        world.advance(5)
        assert [found.reason for found in wanted(ada)] == ["", ""]
        world.connect(r9)
        world.advance(5)
        assert [found.reason for found in wanted(ada)] == ["failed: it did not start"] * 2

    def test_what_the_device_refuses_has_failed_and_is_not_tried_again(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        r9.refusing[uris.CHUTES_DEPLOY] = InvalidInput("port 80 is taken")
        world.deploy(ada, "acme.r9", manifest("1"))
        world.connect(r9)
        world.advance(120)
        assert r9.calls.count(uris.CHUTES_DEPLOY) == 1
        assert (wanted(ada)[0].state, wanted(ada)[0].reason) == (WantedState.FAILED, "port 80 is taken")

    def test_contents_that_nothing_needs_any_more_are_deleted(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        world.deploy(ada, "acme.r9", manifest("1"))
        digests = [entry.sha256 for entry in world.tree(manifest("1"))[0].entries]
        world.clock.advance(SPARED + 1)
        world.connect(r9)
        assert world.service.shelves.of("acme.r9").missing(digests) == digests

    def test_what_was_sent_and_never_deployed_is_deleted_too(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        _, blobs = world.tree(manifest("1"))
        for digest, data in blobs.items():
            ada.call(SPACE + uris.BLOBS_PUT, digest, len(data), 0, data)
        world.clock.advance(2 * SPARED)
        assert world.service.shelves.of("acme.r9").missing(blobs) == list(blobs)


class TestTrouble:
    @pytest.mark.parametrize("problem", [DeadlineExceeded(), Unreachable(), StorageFull(), NotFound(), RuntimeError("odd")])
    @pytest.mark.parametrize("name", [uris.BLOBS_MISSING, uris.BLOBS_PUT, uris.CHANGES_LIST, uris.CHUTES_DEPLOY])
    def test_whatever_passes_is_tried_again(
        self, world: World, ada: Peer, r9: MemoryDevice, name: str, problem: Exception
    ) -> None:
        r9.refusing[name] = problem
        world.deploy(ada, "acme.r9", manifest("1"))
        world.connect(r9)
        world.advance(4)
        assert (r9.trees, wanted(ada)[0].state) == ([], WantedState.WAITING)
        r9.refusing.clear()
        world.advance(10)
        assert (len(r9.trees), wanted(ada)[0].state) == (1, WantedState.DELIVERED)

    def test_a_device_that_went_in_the_middle_gets_it_when_it_is_back(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        for name in (uris.BLOBS_MISSING, uris.BLOBS_PUT, uris.CHUTES_DEPLOY):
            r9.waiting[name] = Deferred()
            world.deploy(ada, "acme.r9", manifest(name))
            world.node.drop(world.connect(r9))
            assert wanted(ada)[0].state is WantedState.WAITING
            world.advance(3)
            del r9.waiting[name]
            world.connect(r9)
            assert (r9.changes[-1].version, wanted(ada)[0].state) == (name, WantedState.DELIVERED)
            world.node.drop(next(peer for peer in world.node.peers.values() if peer.authid == "acme.r9"))

    def test_a_deploy_whose_answer_was_lost_is_not_repeated(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        r9.losing[uris.CHUTES_DEPLOY] = DeadlineExceeded()
        world.deploy(ada, "acme.r9", manifest("1"))
        world.connect(r9)
        world.advance(5)
        assert (len(r9.trees), wanted(ada)[0].state, wanted(ada)[0].change) == (1, WantedState.DELIVERED, "c1")

    def test_a_server_that_was_restarted_goes_on(self, make_world: Callable[[], World]) -> None:
        world = make_world()
        ada, r9 = world.administrator(), world.device("acme.r9")
        world.deploy(ada, "acme.r9", manifest("1"))
        after = make_world()
        after.connect(r9)
        assert [record.version for record in r9.changes] == ["1"]

    def test_a_server_that_was_restarted_in_the_middle_of_a_deploy_does_not_repeat_it(
        self, make_world: Callable[[], World]
    ) -> None:
        world = make_world()
        ada, r9 = world.administrator(), world.device("acme.r9")
        r9.losing[uris.CHUTES_DEPLOY] = Unreachable()
        world.deploy(ada, "acme.r9", manifest("1"))
        world.connect(r9)
        after = make_world()
        after.connect(r9)
        assert len(r9.trees) == 1
        assert [record.state for record in after.run(after.registry.wanted())] == [WantedState.DELIVERED]

    def test_a_newer_one_that_comes_while_the_older_is_handed_over_wins(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        world.deploy(ada, "acme.r9", manifest("1"))
        sending = r9.waiting[uris.BLOBS_PUT] = Deferred()
        world.connect(r9)
        del r9.waiting[uris.BLOBS_PUT]
        tree, blobs = world.tree(manifest("2"))
        for digest, data in blobs.items():
            world.service.shelves.put("acme.r9", digest, len(data), 0, data)
        world.run(world.service.wanted.take("acme.r9", tree, "ada"))
        sending.callback(None)
        world.advance(3)
        assert [record.version for record in r9.changes] == ["2"]

    def test_many_devices_are_delivered_to_and_not_all_at_once(self, world: World, ada: Peer) -> None:
        devices = [world.device(f"acme.r{number}") for number in range(100, 100 + AT_ONCE + 3)]
        gate: Deferred[None] = Deferred()
        for device in devices:
            world.deploy(ada, device.pdid, manifest("1"))
            device.waiting[uris.BLOBS_MISSING] = gate
            world.connect(device)
        assert sum(bool(device.calls) for device in devices) == AT_ONCE
        for device in devices:
            device.waiting.clear()
        gate.callback(None)
        world.advance(2)
        assert all(len(device.trees) == 1 for device in devices)

    def test_removing_the_device_ends_it(self, world: World, ada: Peer, r9: MemoryDevice) -> None:
        r9.refusing[uris.BLOBS_MISSING] = Unreachable()
        world.deploy(ada, "acme.r9", manifest("1"))
        world.connect(r9)
        ada.call(uris.DEVICES_REMOVE, "acme.r9")
        tries = len(r9.calls)
        world.advance(200)
        assert len(r9.calls) == tries


class TestTakenOver:
    @staticmethod
    def change(id: str, version: str = "1", kind: ChangeKind = ChangeKind.DEPLOY) -> ChangeRecord:
        return ChangeRecord(id=id, kind=kind, chute="hello", version=version, state=ChangeState.DONE, created=0.0)

    def test_a_deploy_of_that_version_after_the_mark_is_ours(self) -> None:
        changes = [self.change("c4", kind=ChangeKind.STOP), self.change("c3"), self.change("c2", "0"), self.change("c1")]
        found = taken_over("c2", "1", changes)
        assert found is not None
        assert found.id == "c3"

    def test_what_was_there_before_is_not(self) -> None:
        assert taken_over("c3", "1", [self.change("c3"), self.change("c2")]) is None
        assert taken_over(NOTHING_YET, "2", [self.change("c3")]) is None
        assert taken_over(NOTHING_YET, "1", []) is None
