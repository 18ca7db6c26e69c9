"""The nexus: who the device is, kept in a file that is never half written; its keys; its one session."""

from __future__ import annotations

import resource
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from autobahn.wamp.exception import SessionNotReady
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from paradrop.base import nexus
from paradrop.base.exceptions import InvalidInput, InvalidSettings, NotPermitted, PdidError, StorageFull
from paradrop.base.nexus import AttrWrapper, NexusBase, resolveInfo, validateInfo, writeYaml
from paradrop.base.output import BaseOutput, Level, Output
from paradrop.base.settings import resolve


@contextmanager
def full_disk() -> Iterator[None]:
    """Every file of this process is refused its eleventh byte (RLIMIT_FSIZE)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def device(tmp_path: Path) -> NexusBase:
    return make(tmp_path)


def make(home: Path) -> NexusBase:
    return NexusBase(False, False, config=resolve("unittest", home), out=Output(info=BaseOutput(Level.INFO)))


def saved(device: NexusBase) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(device.config.config_file.read_text())
    return content


def result(awaitable: Awaitable[Any]) -> Any:
    return SynchronousTestCase().successResultOf(Deferred.fromCoroutine(awaitable))  # type: ignore[arg-type]


class FakeSession:
    def __init__(self, problem: Exception | None = None) -> None:
        self.stopped = 0
        self.problem = problem

    def stop(self) -> None:
        self.stopped += 1
        if self.problem is not None:
            raise self.problem


class Sessions:
    """A session class that records what was asked of it."""

    def __init__(self, *sessions: FakeSession | Deferred[FakeSession]) -> None:
        self.sessions = list(sessions)
        self.started: list[tuple[str, str, dict[str, Any]]] = []

    def start(self, address: str, pdid: str, **kw: Any) -> Deferred[FakeSession]:
        self.started.append((address, pdid, kw))
        session = self.sessions.pop(0)
        return succeed(session) if isinstance(session, FakeSession) else session


def test_a_new_device_is_nobody_and_writes_nothing(device: NexusBase) -> None:
    assert (device.info.pdid, device.info.pdserver, device.info.wampRouter) == (None, "", "")
    assert device.info.version
    assert device.PDID is None
    assert not device.provisioned()
    assert not device.config.config_file.exists()


def test_a_change_is_saved_at_once(device: NexusBase, tmp_path: Path) -> None:
    device.info.pdserver = "https://server.example"
    assert saved(device)["pdserver"] == "https://server.example"
    assert make(tmp_path).info.pdserver == "https://server.example"


def test_the_same_value_again_is_not_written(device: NexusBase) -> None:
    device.info.pdserver = "x"
    device.config.config_file.unlink()
    device.info.pdserver = "x"
    assert not device.config.config_file.exists()


def test_what_else_is_in_the_file_is_kept(device: NexusBase, tmp_path: Path) -> None:
    device.config.config_file.write_text("site: {room: 5}\n")
    again = make(tmp_path)
    assert again.info.site == {"room": 5}
    again.info.pdserver = "x"
    assert saved(again)["site"] == {"room": 5}


def test_the_version_is_that_of_the_code(device: NexusBase, tmp_path: Path) -> None:
    device.config.config_file.write_text("version: 0.0.1\n")
    assert make(tmp_path).info.version == device.info.version != "0.0.1"


def test_provision_saves_all_three(device: NexusBase, tmp_path: Path) -> None:
    device.provision("pd.acme.r1", "https://server.example", "wss://server.example/ws")
    assert device.provisioned()
    assert device.PDID == "pd.acme.r1"
    again = make(tmp_path)
    assert (again.PDID, again.info.pdid) == ("pd.acme.r1", "pd.acme.r1")
    assert (again.info.pdserver, again.info.wampRouter) == ("https://server.example", "wss://server.example/ws")
    again.provision("pd.acme.r2")
    assert again.info.wampRouter == "wss://"


@pytest.mark.parametrize(
    "pdid", ["", "local", "local.x", "server.chutes", "error", "A", "a..b", ".a", "a b", "a#", "../x", "a\n", "a" * 256]
)
def test_what_is_no_device_id_is_refused(device: NexusBase, pdid: str) -> None:
    with pytest.raises(PdidError):
        device.provision(pdid)
    assert not device.provisioned()
    assert not device.config.config_file.exists()


def test_a_full_disk_leaves_file_and_memory_as_they_were(device: NexusBase, tmp_path: Path) -> None:
    device.provision("pd.acme.r1", "https://old.example")
    before = device.config.config_file.read_bytes()
    with full_disk():
        with pytest.raises(StorageFull):
            device.info.pdserver = "https://new.example"
        with pytest.raises(StorageFull):
            device.provision("pd.acme.r2")
        with pytest.raises(StorageFull):
            device.saveKey("k" * 100, "private")
    assert (device.info.pdserver, device.info.pdid, device.PDID) == ("https://old.example", "pd.acme.r1", "pd.acme.r1")
    assert device.config.config_file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["info.yaml", "keys"]
    assert list(device.config.key_dir.iterdir()) == []


def test_a_value_of_the_wrong_type_is_taken_back(device: NexusBase) -> None:
    with pytest.raises(InvalidInput, match="pdserver"):
        device.info.pdserver = 5
    assert device.info.pdserver == ""
    with pytest.raises(InvalidInput):
        device.info.thing = object()
    assert not hasattr(device.info, "thing")
    with pytest.raises(InvalidInput, match="pdserver"):
        device.provision("pd.x", pdserver=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"pdid: [", "line 1"),
        (b"", "expected keys and values"),
        (b"- a", "expected keys and values, got list"),
        (b"pdid: 5", "pdid: 5 is not text"),
        (b"wampRouter: null", "wampRouter: None is not text"),
        (b"5: x", "5 is not a name"),
        (b"\xff\xfe\x00", "info.yaml"),
        (b"!!python/object:os.system {}", "could not determine a constructor"),
        (b"when: 2026-99-99", "month must be in"),
    ],
)
def test_a_broken_file_is_named_and_left_alone(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "info.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidSettings, match=message) as caught:
        make(tmp_path)
    assert str(caught.value).startswith(str(path))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("contents", "valid"),
    [({}, True), ({"pdid": None}, True), ({"pdid": "a", "more": 1}, True), (None, False), ({"pdid": 1}, False), ({1: 2}, False)],
)
def test_validate_info(contents: object, valid: bool) -> None:
    assert validateInfo(contents) is valid


def test_write_yaml_replaces_and_refuses_what_yaml_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.yaml"
    writeYaml({"b": "ü", "a": None}, path)
    assert path.read_text() == "a: null\nb: ü\n"
    with pytest.raises(InvalidInput):
        writeYaml({"a": object()}, path)
    assert yaml.safe_load(path.read_text()) == {"a": None, "b": "ü"}


def test_resolve_info_can_be_called_again(device: NexusBase) -> None:
    device.config.config_file.write_text("pdid: pd.other\n")
    resolveInfo(device, device.config.config_file)
    assert (device.PDID, device.info.pdid) == ("pd.other", "pd.other")


def test_keys_are_for_this_user_only(device: NexusBase) -> None:
    assert device.getKey("private") is None
    device.saveKey("one", "private")
    device.saveKey("two\n", "private")
    assert device.getKey("private") == "two\n"
    path = device.config.key_dir / "private"
    assert path.stat().st_mode & 0o777 == 0o600
    assert device.config.key_dir.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "a\0b", "x" * 65])
def test_a_bad_key_name_never_becomes_a_path(device: NexusBase, name: str) -> None:
    with pytest.raises(InvalidInput):
        device.saveKey("x", name)
    with pytest.raises(InvalidInput):
        device.getKey(name)


def test_connect_starts_a_session_as_this_device(device: NexusBase) -> None:
    device.provision("pd.acme.r1", wampRouter="wss://server.example/ws")
    session = FakeSession()
    sessions = Sessions(session)
    assert result(device.connect(sessions, debug=True)) is session
    assert device.session is session
    assert sessions.started == [("wss://server.example/ws", "pd.acme.r1", {"debug": True})]


def test_connect_ends_the_session_before(device: NexusBase) -> None:
    device.provision("pd.acme.r1")
    first, second = FakeSession(SessionNotReady()), FakeSession()
    sessions = Sessions(first, second)
    result(device.connect(sessions))
    result(device.connect(sessions))
    assert (first.stopped, second.stopped) == (1, 0)
    assert device.session is second


def test_of_two_connects_at_once_one_session_stays(device: NexusBase) -> None:
    device.provision("pd.acme.r1")
    slow: Deferred[FakeSession] = Deferred()
    early, late = FakeSession(), FakeSession()
    sessions = Sessions(slow, early)
    waiting = Deferred.fromCoroutine(device.connect(sessions))
    result(device.connect(sessions))
    slow.callback(late)
    assert SynchronousTestCase().successResultOf(waiting) is late
    assert (early.stopped, late.stopped, device.session) == (1, 0, late)


def test_connect_needs_an_id(device: NexusBase) -> None:
    sessions = Sessions(FakeSession())
    failure = SynchronousTestCase().failureResultOf(Deferred.fromCoroutine(device.connect(sessions)))
    assert failure.check(PdidError)
    assert sessions.started == []


def test_start_and_stop(tmp_path: Path) -> None:
    device = make(tmp_path)
    device.provision("pd.acme.r1")
    device.onStart()
    session = FakeSession()
    result(device.connect(Sessions(session)))
    result(device.onStop())
    assert (session.stopped, device.session) == (1, None)
    messages = [each["message"] for each in device.out.getLogsSince(0)]
    assert messages == ["starting, as pd.acme.r1", "stopped"]


def test_attr_wrapper() -> None:
    changes: list[tuple[str, Any]] = []
    wrapper = AttrWrapper(a=1)
    wrapper.b = 2
    wrapper.setOnChange(lambda key, value: changes.append((key, value)))
    wrapper.a = 3
    assert (wrapper.a, wrapper.b, wrapper.contents, changes) == (3, 2, {"a": 3, "b": 2}, [("a", 3)])
    assert repr(wrapper) == "AttrWrapper({'a': 3, 'b': 2})"
    assert getattr(wrapper, "c", "none") == "none"
    wrapper._lock()
    with pytest.raises(NotPermitted, match="a cannot be changed"):
        wrapper.a = 4
    assert wrapper.a == 3


def test_there_is_no_nexus_before_the_entry_point_makes_one() -> None:
    assert nexus.core is None


def test_unprovision_makes_it_nobody_again(device: NexusBase) -> None:
    device.provision("pd.acme.r1", "https://server.example:8443", "rss://server.example:8443")
    device.unprovision()
    assert (device.provisioned(), device.PDID) == (False, None)
    again = make(device.config.home)
    assert (again.info.pdid, again.info.pdserver, again.info.wampRouter) == (None, "", "")


def test_a_key_that_is_removed_is_gone(device: NexusBase) -> None:
    device.saveKey("secret", "device")
    device.removeKey("device")
    device.removeKey("device")
    assert device.getKey("device") is None
    with pytest.raises(InvalidInput):
        device.removeKey("../device")
