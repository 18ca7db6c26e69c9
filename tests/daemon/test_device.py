"""A whole device in memory: every procedure by its name, for everybody who may and may not call it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from autobahn.wamp.exception import ApplicationError

from paradrop import uris
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import (
    ChangeNotFound,
    ChuteNotFound,
    InteralException,
    InvalidInput,
    InvalidManifest,
    InvalidSettings,
    LogNotFound,
    NotFound,
    NotPermitted,
    ParadropException,
)
from paradrop.permissions import Permission, Person, Role, grants
from paradrop.values import ChangeRecord, ChangeState, ChuteState, ChuteStatus, LogPage, NodeInfo, Setting, read
from paradropd.chutes.keeper import PATIENCE
from paradropd.permissions import ChutePeer

MANIFEST = b"name: hello\nversion: '1'\ntype: light\nuse: python3\ncommand: stay\n"
DIGEST = hashlib.sha256(MANIFEST).hexdigest()
TREE = {"entries": [{"path": "paradrop.yaml", "size": len(MANIFEST), "sha256": DIGEST, "executable": False}]}
Box = Any
"""``conftest.Box``."""


def deploy(box: Box, **options: Any) -> ChangeRecord:
    box.call("blobs.put", DIGEST, len(MANIFEST), 0, MANIFEST)
    record = read(ChangeRecord, box.call("chutes.deploy", TREE, **options))
    box.advance(3)
    return read(ChangeRecord, box.call("changes.get", record.id))


OFFERED = {
    name: value
    for name, value in vars(uris).items()
    if isinstance(value, str) and value.partition(".")[0] in uris.AREAS and "." in value
}


class TestDeclarations:
    def test_every_procedure_is_in_the_table_of_names_and_the_other_way_round(self, box: Box) -> None:
        offered = {info["uri"] for info in box.call("fabric.procedures") if info["owner"] == "paradropd"}
        named = {uris.local(value) for name, value in OFFERED.items() if not name.startswith("ON_") and value != uris.CHUTE_AREA}
        assert offered == named - {uris.local(uris.UPLINK_WANT)}  # that one is answered on the uplink, to the server alone

    def test_every_procedure_has_a_permission_that_is_not_public(self, box: Box) -> None:
        for declared in box.device._procedures.values():
            assert declared.permission in (Permission.VIEW, Permission.OPERATE, Permission.ADMINISTER)

    @pytest.mark.parametrize("role", Role)
    def test_each_role_may_call_what_its_permissions_grant(self, box: Box, role: Role) -> None:
        session = box.session(Person("somebody", role))
        for uri, declared in box.device._procedures.items():
            try:
                box.call(uri.removeprefix(uris.LOCAL), 1, 2, 3, 4, 5, 6, 7, 8, by=session)
            except NotPermitted:
                assert not grants(role, declared.permission), uri
            except InvalidInput:
                assert grants(role, declared.permission), uri
            else:
                pytest.fail(f"{uri} took eight numbers")

    def test_a_chute_may_call_what_its_manifest_names_and_only_what_tells_something(self, box: Box) -> None:
        session = box.session(ChutePeer("nosy", ("node.*", "chutes.*", "config.*")))
        assert box.call("node.info", by=session)["version"] == "1.2.3"
        assert box.call("chutes.list", by=session) == []
        for name, args in (("chutes.stop", ["hello"]), ("config.show", []), ("logs.sources", [])):
            with pytest.raises(NotPermitted):
                box.call(name, *args, by=session)


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("chutes.get", (), "chutes.get: missing a required argument: 'name'"),
    ("chutes.get", ("a", "b"), "chutes.get: too many positional arguments"),
    ("chutes.get", (1,), "chutes.get: name is not text"),
    ("chutes.get", (None,), "chutes.get: name is not text"),
    ("chutes.remove", ("a", "yes"), "chutes.remove: keep_data is not true or false"),
    ("chutes.remove", ("a", 1), "chutes.remove: keep_data is not true or false"),
    ("chutes.deploy", ([],), "chutes.deploy: tree is not a mapping"),
    ("changes.list", ("x",), "changes.list: limit is not a whole number"),
    ("changes.list", (True,), "changes.list: limit is not a whole number"),
    ("changes.list", (1.5,), "changes.list: limit is not a whole number"),
    ("changes.list", (0,), "limit is from 1 to 200"),
    ("changes.list", (201,), "limit is from 1 to 200"),
    ("changes.list", (-(10**30),), "limit is from 1 to 200"),
    ("logs.read", ("daemon", "now"), "logs.read: since is not a number"),
    ("logs.read", ("daemon", None, None, 0), "limit is from 1 to 1000"),
    ("logs.read", ("daemon", None, None, 1001), "limit is from 1 to 1000"),
    ("blobs.missing", ("x",), "blobs.missing: digests is not a list of text"),
    ("blobs.missing", ([1],), "blobs.missing: digests is not a list of text"),
    ("blobs.missing", (["x"] * 20_001,), "ask for 20000 digests at most"),
    ("blobs.put", ("x", 1, 0, "text"), "blobs.put: data is not bytes"),
    ("people.add", ("ann", "secret secret", "king"), "a role is one of owner, operator, viewer"),
    ("config.set", ("settle", 3), "config.set: value is not text"),
]


class TestArguments:
    @pytest.mark.parametrize(("name", "args", "words"), WRONG)
    def test_wrong_ones_are_told_in_a_sentence(self, box: Box, name: str, args: tuple[Any, ...], words: str) -> None:
        with pytest.raises(InvalidInput) as told:
            box.call(name, *args)
        assert str(told.value) == words

    def test_an_unknown_name(self, box: Box) -> None:
        with pytest.raises(InvalidInput, match="unexpected keyword argument 'colour'"):
            box.call("chutes.list", colour="red")

    @pytest.mark.parametrize(
        "tree", [{}, {"entries": 1}, {"entries": [1]}, {"entries": [{"path": "a"}]}, {"entries": [], "x": 1}]
    )
    def test_what_is_no_tree(self, box: Box, tree: Any) -> None:
        with pytest.raises(InvalidInput):
            box.call("chutes.deploy", tree)

    def test_a_defect_tells_nothing(self, box: Box) -> None:
        box.engine.info = None  # not what an engine should be
        with pytest.raises(InteralException) as told:
            box.call("node.info")
        assert str(told.value) == "Paradrop has a defect here; the daemon's log says more."

    def test_an_error_travels_as_itself(self, box: Box) -> None:
        errors: list[Any] = []
        box.owner.stockCall(uris.local("chutes.get"), "nothing").addErrback(errors.append)
        assert errors[0].check(ChuteNotFound)
        assert not errors[0].check(ApplicationError)


class TestChutes:
    def test_deployed_listed_stopped_removed(self, box: Box) -> None:
        record = deploy(box)
        assert (record.state, record.actor, record.chute) == (ChangeState.DONE, "olga", "hello")
        (status,) = (read(ChuteStatus, each) for each in box.call("chutes.list"))
        assert status.state is ChuteState.RUNNING
        assert read(ChuteStatus, box.call("chutes.get", "hello")) == status
        box.call("chutes.stop", "hello")
        assert box.call("chutes.get", "hello")["state"] == "stopped"
        box.call("chutes.start", "hello")
        box.advance(3)
        box.call("chutes.restart", "hello")
        box.advance(3)
        assert box.call("chutes.get", "hello")["state"] == "running"
        box.call("chutes.remove", "hello")
        assert box.call("chutes.list") == []
        kinds = [change["kind"] for change in box.call("changes.list")]
        assert kinds == ["remove", "restart", "start", "stop", "deploy"]
        assert len(box.call("changes.list", limit=2, chute="hello")) == 2
        assert box.call("changes.list", chute="other") == []

    def test_what_happens_is_announced(self, box: Box) -> None:
        seen: list[tuple[str, Any]] = []
        for topic in (uris.ON_CHANGE, uris.ON_CHUTE, uris.ON_CHUTE_REMOVED, uris.ON_LOG):
            box.owner.subscribe(lambda *args, topic=topic: seen.append((topic, args)), topic)
        record = deploy(box)
        changes = [read(ChangeRecord, args[0]) for topic, args in seen if topic == uris.ON_CHANGE]
        assert [change.revision for change in changes] == list(range(record.revision + 1))
        assert changes[-1] == record
        statuses = [read(ChuteStatus, args[0]) for topic, args in seen if topic == uris.ON_CHUTE]
        assert statuses[-1].state is ChuteState.RUNNING
        box.call("chutes.remove", "hello")
        box.advance(0.1)
        assert (uris.ON_CHUTE_REMOVED, ("hello",)) in seen

    def test_a_deploy_that_is_refused(self, box: Box) -> None:
        with pytest.raises(InvalidInput, match="has not been sent"):
            box.call("chutes.deploy", TREE)
        bad = b"name: ../../x\nversion: 1\ntype: light\nuse: python3\n"
        digest = hashlib.sha256(bad).hexdigest()
        box.call("blobs.put", digest, len(bad), 0, bad)
        with pytest.raises(InvalidManifest, match="name"):
            box.call("chutes.deploy", {"entries": [{**TREE["entries"][0], "size": len(bad), "sha256": digest}]})

    @pytest.mark.parametrize("verb", ["get", "start", "stop", "restart", "remove"])
    def test_unknown_names(self, box: Box, verb: str) -> None:
        for name in ("nothing", "", "../../x", "a" * 5000, "\x00", "'; DROP TABLE chutes"):
            with pytest.raises(ChuteNotFound):
                box.call(f"chutes.{verb}", name)

    def test_unknown_change(self, box: Box) -> None:
        with pytest.raises(ChangeNotFound, match="'x'"):
            box.call("changes.get", "x")

    def test_a_port_of_its_own(self, box: Box) -> None:
        """The chute's socket is there while it is wanted, and only then."""

        def sockets() -> list[str]:
            return [Path(server[0]).parent.name for server in box.reactor.unixServers[1:]]

        deploy(box)
        assert sockets() == ["hello"]
        assert box.home.system_dir("hello").is_dir()
        box.call("chutes.remove", "hello")
        assert not box.home.system_dir("hello").exists()
        assert not box.home.data_dir("hello").exists()


class TestLogs:
    @pytest.fixture
    def talking(self, box: Box) -> Box:
        for number in range(1, 11):
            box.logs.append("chute.talker", f"line {number}")
        return box

    def read(self, box: Box, *args: Any, **kwargs: Any) -> list[int]:
        return [line.seq for line in read(LogPage, box.call("logs.read", "chute.talker", *args, **kwargs)).lines]

    def test_pages(self, talking: Box) -> None:
        assert talking.call("logs.sources") == ["chute.talker"]
        assert self.read(talking) == list(range(1, 11))
        assert self.read(talking, after=7) == [8, 9, 10]
        assert self.read(talking, limit=2) == [1, 2]

    @pytest.mark.parametrize(("after", "first"), [(-1, 10), (-3, 8), (-10, 1), (-11, 1), (-(10**20), 1)])
    def test_the_last_so_many(self, talking: Box, after: int, first: int) -> None:
        assert self.read(talking, after=after) == list(range(first, 11))

    @pytest.mark.parametrize("source", ["nothing", "", "../keys", "chute.talker/", "A"])
    def test_unknown_sources(self, talking: Box, source: str) -> None:
        with pytest.raises(LogNotFound):
            talking.call("logs.read", source)

    def test_a_time_that_is_none(self, talking: Box) -> None:
        with pytest.raises(InvalidInput, match="is not a time"):
            talking.call("logs.read", "chute.talker", since=float("nan"))


class TestConfig:
    def test_set_and_get(self, box: Box) -> None:
        before = read(Setting, box.call("config.get", "settle"))
        assert (before.value, before.source, before.restart) == (2.0, "default", False)
        after = read(Setting, box.call("config.set", "settle", "5"))
        assert (after.value, after.restart) == (5.0, True)
        shown = {each["key"]: each for each in box.call("config.show")}
        assert (shown["settle"]["value"], shown["settle"]["restart"]) == (5.0, True)
        assert shown["engine"]["restart"] is False
        assert box.call("config.set", "SETTLE", "2")["restart"] is False

    @pytest.mark.parametrize("key", ["nothing", "", "home ] x"])
    def test_unknown_keys(self, box: Box, key: str) -> None:
        for name, args in (("config.get", (key,)), ("config.set", (key, "1"))):
            with pytest.raises(NotFound, match="there is no setting"):
                box.call(name, *args)
        assert not (box.home.settings).exists()

    @pytest.mark.parametrize(
        ("key", "value"), [("settle", "soon"), ("portal_server_port", "70000"), ("engine", "steam"), ("home", "/")]
    )
    def test_bad_values(self, box: Box, key: str, value: str) -> None:
        with pytest.raises(InvalidSettings, match=key):
            box.call("config.set", key, value)
        assert not (box.home.settings).exists()

    def test_a_value_that_somebody_broke_by_hand_can_be_replaced(self, box: Box) -> None:
        box.home.settings.write_text("[base]\nsettle = soon\n")
        with pytest.raises(InvalidSettings):
            box.call("config.show")
        assert box.call("config.set", "settle", "3")["value"] == 3.0
        assert "settle = 3" in box.home.settings.read_text()


class TestNode:
    def test_info(self, box: Box) -> None:
        deploy(box)
        info = read(NodeInfo, box.call("node.info"))
        assert (info.version, info.mode, info.chutes, info.running) == ("1.2.3", "unittest", 1, 1)
        assert info.engine.name == "memory"
        assert info.started <= info.now
        assert 0 < info.disk_free <= info.disk_total

    def test_an_engine_that_is_away(self, box: Box) -> None:
        box.engine.unavailable = "it is stopped"
        engine = box.call("node.info")["engine"]
        assert (engine["available"], engine["detail"]) == (False, "it is stopped")

    def test_people(self, box: Box) -> None:
        assert "#setup=" in box.call("people.link")["url"]
        assert box.call("people.list") == []
        assert box.call("people.add", "ann", "a long password", "owner") == {"name": "ann", "role": "owner"}
        box.call("people.add", "bob", "another password")
        assert box.call("people.list") == [{"name": "ann", "role": "owner"}, {"name": "bob", "role": "viewer"}]
        box.call("people.remove", "bob")
        with pytest.raises(ParadropException, match="last owner"):
            box.call("people.remove", "ann")

    def test_blobs(self, box: Box) -> None:
        data = b"\x00\xff" * 1000
        digest = hashlib.sha256(data).hexdigest()
        assert box.call("blobs.missing", [digest]) == [digest]
        assert box.call("blobs.put", digest, 2000, 0, data[:500]) == {"have": 500}
        assert box.call("blobs.put", digest, 2000, 500, data[500:]) == {"have": 2000}
        assert box.call("blobs.missing", [digest]) == []


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"size": "5"}, "entry 1 of the source tree: its size is not a whole number"),
        ({"size": True}, "its size is not a whole number"),
        ({"size": 5.0}, "its size is not a whole number"),
        ({"path": b"x"}, "its path is not a text"),
        ({"sha256": None}, "its sha256 is not a text"),
        ({"executable": "no"}, "its executable is not true or false"),
    ],
)
def test_nothing_is_made_of_a_value_of_another_type(box: Box, entry: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        box.call("chutes.deploy", {"entries": [{**TREE["entries"][0], **entry}]})


@pytest.mark.parametrize("tree", [{"entries": None}, {"entries": "abc"}, {"entries": [None]}, {"entries": [["a", 1]]}])
def test_a_tree_that_is_none(box: Box, tree: Any) -> None:
    with pytest.raises(InvalidInput, match="source tree is"):
        box.call("chutes.deploy", tree)


def test_a_chutes_page_is_never_the_devices_own_site(box: Box) -> None:
    manifest = MANIFEST + b"web: {service: main, port: %d}\n" % box.device._site_port
    digest = hashlib.sha256(manifest).hexdigest()
    box.call("blobs.put", digest, len(manifest), 0, manifest)
    box.call("chutes.deploy", {"entries": [{"path": "paradrop.yaml", "size": len(manifest), "sha256": digest}]})
    box.advance(3)
    with pytest.raises(NotFound, match="the device's own site"):
        box.device._address_of("hello")


class TestLife:
    def test_a_chute_cannot_be_the_daemon(self, box: Box) -> None:
        chute: BaseSession = box.session(ChutePeer("evil"))
        errors: list[Any] = []
        chute.register(lambda: None, "node.other").addErrback(errors.append)
        assert errors[0].check(NotPermitted)

    def test_what_a_chute_offers_is_listed_with_its_name(self, box: Box) -> None:
        chute: BaseSession = box.session(ChutePeer("hello"))
        chute.register(lambda name: f"Hello, {name}!", "chute.hello.greet")
        assert box.call("chute.hello.greet", "World") == "Hello, World!"
        mine = [info for info in box.call("fabric.procedures") if info["owner"] == "hello"]
        assert [info["uri"] for info in mine] == ["org.paradrop.local.chute.hello.greet"]

    def test_the_engine_is_away_at_the_start_and_comes_back(self, make_box: Callable[[], Box]) -> None:
        box = make_box()
        box.engine.unavailable = "not yet"
        box.start()
        assert box.call("node.info")["engine"]["available"] is False
        box.call("blobs.put", DIGEST, len(MANIFEST), 0, MANIFEST)
        change = box.call("chutes.deploy", TREE)
        assert change["state"] == "accepted"  # it waits for the engine
        box.advance(10)
        box.engine.unavailable = ""
        box.advance(20)
        assert box.bringing_up.called
        assert box.call("changes.get", change["id"])["state"] == "done"
        assert deploy(box).state is ChangeState.DONE

    def test_a_change_does_not_wait_for_ever_for_an_engine(self, make_box: Callable[[], Box]) -> None:
        box = make_box()
        box.engine.unavailable = "not yet"
        box.start()
        box.call("blobs.put", DIGEST, len(MANIFEST), 0, MANIFEST)
        change = box.call("chutes.deploy", TREE)
        box.advance(PATIENCE)
        ended = box.call("changes.get", change["id"])
        assert (ended["state"], ended["retry"]) == ("failed", True)
        assert "engine" in ended["reason"]

    def test_stopped_while_the_engine_is_away(self, make_box: Callable[[], Box]) -> None:
        box = make_box()
        box.engine.unavailable = "not yet"
        box.start()  # the fixture stops it and looks at what is pending

    def test_stopped_in_the_middle_of_a_deploy(self, make_box: Callable[[], Box]) -> None:
        box = make_box()
        box.start()
        box.call("blobs.put", DIGEST, len(MANIFEST), 0, MANIFEST)
        assert box.call("chutes.deploy", TREE)["state"] == "running"

    def test_chutes_end_with_the_daemon_where_that_is_wanted(self, make_box: Callable[[], Box], tmp_path: Path) -> None:
        (tmp_path / "settings.ini").write_text("[base]\nstop_chutes = true\n")
        box = make_box()
        box.start()
        deploy(box)
        box.stop()
        assert [name for name, _ in box.engine.calls][-2:] == ["stop", "close"]
        again = make_box()
        again.engine.images |= box.engine.images
        again.start()
        again.advance(1)
        assert again.call("chutes.get", "hello")["state"] == "running"

    def test_the_next_daemon_runs_what_this_one_ran(self, make_box: Callable[[], Box]) -> None:
        box = make_box()
        box.start()
        deploy(box)
        box.call("chutes.deploy", TREE)
        box.advance(0.1)
        box.stop()
        images = box.engine.images
        box = make_box()
        box.engine.images |= images
        box.start()
        box.advance(3)
        last = read(ChangeRecord, box.call("changes.list", 1)[0])
        assert (last.state, last.reason) == (ChangeState.FAILED, "paradropd was stopped in the middle of it")
        assert box.call("chutes.get", "hello")["state"] == "running"
        assert box.call("chutes.get", "hello")["release"] == 1


def test_base64_is_not_bytes(box: Box) -> None:
    with pytest.raises(InvalidInput, match="data is not bytes"):
        box.call("blobs.put", DIGEST, len(MANIFEST), 0, base64.b64encode(MANIFEST).decode())
