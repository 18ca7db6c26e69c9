"""``--target``: a device behind a server, as if one were on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from paradrop.base.exceptions import DeviceOffline, InvalidInput, NotPermitted, Unreachable
from paradrop.logstore import LogStore
from paradrop.values import ChangeState, ChuteState, ChuteStatus, ServiceStatus, Want, plain
from pdtools.fabric import Fabric
from pdtools.remote import Remote
from pdtools.testing import Bench
from pdtools.watch import SAFETY

R1 = ("--target", "acme.r1")
MANIFEST = """
name: hello
version: "1.2"
services:
  main: {type: light, image: python3, command: [python3, main.py]}
"""


@pytest.fixture(autouse=True)
def _logged_in(bench: Bench, screen: Bench) -> None:
    for one in (bench, screen):
        one.log_in()
        one.realm.offer("node.info", dict)


def test_a_call_is_spelled_for_the_server_and_heard_as_on_the_device(bench: Bench) -> None:
    bench.realm.offer("hello.greet", lambda name: f"Hello, {name}!")
    assert bench.run(*R1, "call", "hello.greet", "World").out == "Hello, World!\n"
    assert bench.server.calls[0].uri == "org.paradrop.acme.r1.chute.hello.greet"
    assert bench.realm.calls[0].uri == "org.paradrop.local.chute.hello.greet"


def test_arguments_are_nobodys_business(bench: Bench) -> None:
    bench.realm.offer("hello.echo", lambda text: text)
    text = "org.paradrop.local.x org.paradrop.acme.r1.x"
    assert bench.run(*R1, "call", "hello.echo", text).out == f"{text}\n"


def test_the_target_may_be_in_the_environment(bench: Bench) -> None:
    bench.environment["PARADROP_TARGET"] = "acme.r1"
    bench.realm.offer("chutes.list", list)
    assert bench.run("ps").code == 0
    assert len(bench.server.calls) == 1
    bench.run("--home", "/h", "ps")
    bench.run("--target", "", "ps")
    assert len(bench.server.calls) == 1
    assert len(bench.realm.calls) == 3


def test_a_name_that_is_written_out_stays(bench: Bench) -> None:
    bench.server.offer("org.paradrop.server.info", lambda: "the server")
    assert bench.run(*R1, "call", "org.paradrop.server.info").out == "the server\n"


def test_publishing(bench: Bench) -> None:
    assert bench.run(*R1, "publish", "hello.mood", "happy").code == 0
    assert [event.topic for event in bench.server.published] == ["org.paradrop.acme.r1.chute.hello.mood"]


@pytest.mark.parametrize(
    ("arguments", "subscribed"),
    [
        (["hello.ticks"], ("exact", "org.paradrop.acme.r1.chute.hello.ticks")),
        (["hello.", "--match", "prefix"], ("prefix", "org.paradrop.acme.r1.chute.hello.")),
        (["hello..changed", "--match", "wildcard"], ("wildcard", "org.paradrop.acme.r1.chute.hello..changed")),
    ],
)
def test_events_come_with_the_devices_own_names(bench: Bench, arguments: list[str], subscribed: tuple[str, str]) -> None:
    topic = "hello.room.changed" if "wildcard" in arguments else "hello.ticks"
    bench.clock.callLater(1, bench.realm.emit, topic, 1)
    result = bench.run(*R1, "subscribe", *arguments, "--count", "1")
    assert result.out.split("  ")[1:] == [topic, "1\n"]
    assert bench.server.links[-1].subscriptions[0][:2] == subscribed


def test_progress_and_deadline_pass() -> None:
    asked: list[Any] = []

    class Link:
        closed: Deferred[None] = Deferred()

        async def call(self, uri: str, *args: Any, keywords: Any, deadline: float, on_progress: Any) -> str:
            asked.append((uri, args, keywords, deadline))
            on_progress(1, 3)
            return "done"

    seen: list[tuple[int, ...]] = []
    work = Remote(cast(Fabric, Link()), "acme.r1").call(
        "org.paradrop.local.chute.x.y", 5, keywords={"a": 1}, deadline=2.0, on_progress=lambda *done: seen.append(done)
    )
    assert SynchronousTestCase().successResultOf(Deferred.fromCoroutine(work)) == "done"
    assert (seen, asked) == ([(1, 3)], [("org.paradrop.acme.r1.chute.x.y", (5,), {"a": 1}, 2.0)])


def test_what_one_may_not_do_names_the_device(bench: Bench) -> None:
    def fail() -> None:
        raise NotPermitted("you may not call org.paradrop.acme.r1.chutes.list")

    bench.realm.offer("chutes.list", fail)
    result = bench.run(*R1, "ps")
    assert (result.code, result.err) == (
        77,
        "Error: you may not call chutes.list on acme.r1. What you may use: pdtools server devices\n",
    )


def test_errors_speak_of_names_as_on_the_device(bench: Bench) -> None:
    def fail() -> None:
        raise InvalidInput("no org.paradrop.acme.r1.chute.hello.greet, no org.paradrop.acme.r2.chute.x")

    bench.realm.offer("hello.greet", fail)
    assert bench.run(*R1, "call", "hello.greet").err == "Error: no hello.greet, no org.paradrop.acme.r2.chute.x\n"


def test_a_device_that_is_away(bench: Bench) -> None:
    bench.server.disconnect("acme.r1")
    result = bench.run(*R1, "ps")
    assert (result.code, result.out, result.err) == (69, "", "Error: acme.r1 is offline\n")
    assert bench.run(*R1, "logs", "-f", "hello").code == 69


def test_a_device_that_the_server_does_not_know(bench: Bench) -> None:
    result = bench.run("--target", "acme.r7", "ps")
    assert result.code == 1
    assert result.err == "Error: The server knows no device acme.r7. See: pdtools server devices\n"


@pytest.mark.parametrize("pdid", ["a b", "a..b", ".", "a#"])
def test_a_target_that_can_be_none(bench: Bench, pdid: str) -> None:
    result = bench.run("--target", pdid, "ps")
    assert result.code == 2
    assert "is not a device's id" in result.err
    assert bench.server.links == []


def test_a_server_that_does_not_answer(bench: Bench) -> None:
    bench.server.up = False
    assert bench.run(*R1, "ps").code == 69


def test_a_key_that_was_removed(bench: Bench) -> None:
    bench.server.keys.clear()
    result = bench.run(*R1, "ps")
    assert result.code == 77
    assert "does not take the key of ada" in result.err


def test_without_a_login(bench: Bench) -> None:
    bench.servers.forget(bench.servers.known()[0])
    result = bench.run(*R1, "ps")
    assert (result.code, bench.server.links) == (77, [])
    assert "pdtools server login" in result.err


def test_which_of_several_servers(bench: Bench) -> None:
    lab = bench.servers.remember("lab", "https://lab.example:8443", "ada", "")
    own = bench.servers.own_key(lab.url, lab.authority)
    bench.server.keys[own.public] = "ada"
    bench.realm.offer("chutes.list", list)
    assert "shop" in bench.run(*R1, "ps").err
    assert bench.server.target is None
    bench.run("--server", "lab", *R1, "ps")
    assert bench.server.target is not None
    assert bench.server.target.address == "rss://lab.example:8443"
    assert bench.server.target.login is not None
    assert bench.server.target.login.key.public == own.public  # and never the one for the other server
    bench.environment["PARADROP_SERVER"] = "shop"
    bench.run(*R1, "ps")
    assert bench.server.target.address == "rss://shop.example:8443"


@pytest.mark.parametrize("arguments", [["dashboard"], ["provision", "x.example", "pd1.a.b"], ["unprovision", "--yes"]])
def test_what_is_for_a_device_here_only(bench: Bench, arguments: list[str]) -> None:
    result = bench.run(*R1, *arguments)
    assert result.code == 2
    assert "for a device on this machine" in result.err
    assert bench.server.links == []


class Logs:
    """The log of ``hello``, kept by the device whatever its links do."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.store = LogStore(folder, bench.wall)
        service = ServiceStatus(name="main", state=ChuteState.RUNNING)
        status = ChuteStatus(
            name="hello", version="1", release=1, state=ChuteState.RUNNING, want=Want.RUNNING, services=(service,)
        )
        bench.realm.offer("chutes.get", lambda name: plain(status))
        bench.realm.offer("logs.read", self._read)

    def _read(self, source: str, since: float | None, after: int | None, limit: int) -> Any:
        if after is not None and after < 0:
            after = max(0, self.store.last(source) + after)
        return plain(self.store.read(source, after=after, since=since, limit=limit))

    def say(self, text: str) -> None:
        self.bench.realm.emit("logs.appended", "chute.hello", self.store.append("chute.hello", text))


@pytest.fixture
def logs(bench: Bench, tmp_path: Path) -> Any:
    logs = Logs(bench, tmp_path / "logs")
    logs.say("line 0")
    yield logs
    logs.store.close()


def break_server(bench: Bench) -> None:
    bench.server.lose(7)


def break_uplink(bench: Bench) -> None:
    bench.server.disconnect("acme.r1", 7)


@pytest.mark.parametrize("broken", [break_server, break_uplink])
def test_a_log_is_followed_over_both_parts_of_the_link(bench: Bench, logs: Logs, broken: Any) -> None:
    for second in range(1, 40):
        bench.clock.callLater(second, logs.say, f"line {second}")
    bench.clock.callLater(3.5, broken, bench)
    bench.clock.callLater(22.5, broken, bench)
    bench.interrupt_after(45)
    result = bench.run(*R1, "logs", "-f", "hello")
    assert result.code == 130
    assert [line.split("  ", 1)[1] for line in result.out.splitlines()] == [f"line {number}" for number in range(40)]
    assert result.err.split("\n")[:4] == ["The link to acme.r1 is lost; trying to connect again.", "Connected again."] * 2
    assert not any(link.connected for link in bench.server.links)


def test_following_ends_when_the_key_is_removed(bench: Bench, logs: Logs) -> None:
    def remove() -> None:
        bench.server.keys.clear()
        bench.server.lose()

    bench.clock.callLater(5, remove)
    result = bench.run(*R1, "logs", "-f", "hello")
    assert result.code == 77


def test_following_ends_when_the_role_is_revoked(bench: Bench, logs: Logs) -> None:
    asked: list[float] = []

    def refuse() -> None:
        asked.append(bench.clock.seconds())
        raise NotPermitted("you may not call org.paradrop.acme.r1.node.info")

    def revoke() -> None:
        bench.realm.offer("node.info", refuse)
        bench.server.lose()

    bench.clock.callLater(5, revoke)
    result = bench.run(*R1, "logs", "-f", "hello")
    assert (result.code, len(asked)) == (77, 1)
    assert result.err.endswith("Error: You may not use acme.r1 any more. What you may use: pdtools server devices\n")


def test_deploying_as_a_viewer(bench: Bench, tmp_path: Path) -> None:
    def refuse(digests: list[str]) -> None:
        raise NotPermitted("you may not call org.paradrop.acme.r1.blobs.missing")

    bench.realm.offer("blobs.missing", refuse)
    (tmp_path / "paradrop.yaml").write_text(MANIFEST)
    result = bench.run(*R1, "deploy", str(tmp_path))
    assert (result.code, result.err) == (77, "Error: You may not deploy to acme.r1.\n")


def test_following_ends_when_the_device_is_removed(bench: Bench, logs: Logs) -> None:
    def remove() -> None:
        bench.server.disconnect("acme.r1")
        bench.server.away.clear()

    bench.clock.callLater(5, remove)
    assert bench.run(*R1, "logs", "-f", "hello").code == 1


@pytest.fixture
def chute(tmp_path: Path) -> Path:
    folder = tmp_path / "chute"
    folder.mkdir()
    (folder / "paradrop.yaml").write_text(MANIFEST)
    (folder / "main.py").write_text("print(1)\n")
    return folder


class Blobs:
    """What somebody has of a chute's content."""

    def __init__(self) -> None:
        self.whole: set[str] = set()

    def missing(self, digests: list[str]) -> list[str]:
        return [digest for digest in digests if digest not in self.whole]

    def put(self, digest: str, size: int, offset: int, data: bytes) -> dict[str, int]:
        self.whole.add(digest)
        return {"have": size}

    def deploy(self, tree: Any) -> None:
        lost = self.missing([entry["sha256"] for entry in tree["entries"]])
        if lost:
            raise InvalidInput(f"the content of {len(lost)} files has not been sent")


@pytest.fixture
def device_blobs(bench: Bench, changes: Any) -> Blobs:
    blobs = Blobs()
    bench.realm.offer("blobs.missing", blobs.missing)
    bench.realm.offer("blobs.put", blobs.put)

    def deploy(tree: Any) -> Any:
        blobs.deploy(tree)
        return changes.accept()

    bench.realm.offer("chutes.deploy", deploy)
    return blobs


@pytest.fixture
def server_blobs(bench: Bench, change: Any) -> Blobs:
    """The server in the place of ``acme.r1``, when that is away."""
    blobs, space = Blobs(), "org.paradrop.acme.r1."
    bench.server.offer(f"{space}blobs.missing", blobs.missing)
    bench.server.offer(f"{space}blobs.put", blobs.put)

    def deploy(tree: Any) -> Any:
        blobs.deploy(tree)
        return plain(change(id="w-5"))

    bench.server.offer(f"{space}chutes.deploy", deploy)
    return blobs


def test_a_deploy_is_as_on_the_device(bench: Bench, changes: Any, device_blobs: Blobs, chute: Path) -> None:
    changes.after(5, state=ChangeState.DONE)
    result = bench.run(*R1, "deploy", str(chute))
    assert (result.code, result.out) == (0, "hello 1.2 runs.\n")
    assert len(device_blobs.whole) == 2


@pytest.mark.parametrize("broken", [break_server, break_uplink])
def test_waiting_for_a_deploy_goes_on_after_a_break(
    bench: Bench, changes: Any, device_blobs: Blobs, chute: Path, broken: Any
) -> None:
    bench.clock.callLater(1, broken, bench)
    changes.after(2, state=ChangeState.DONE)
    result = bench.run(*R1, "deploy", str(chute))
    assert (result.code, result.out) == (0, "hello 1.2 runs.\n")
    assert len(bench.realm.called("chutes.deploy")) == 1
    assert bench.clock.seconds() < 1 + SAFETY + 7 + 10


def test_a_deploy_to_a_device_that_is_away_is_kept_by_the_server(bench: Bench, server_blobs: Blobs, chute: Path) -> None:
    bench.server.disconnect("acme.r1")
    result = bench.run(*R1, "deploy", str(chute))
    assert result.code == 0
    assert result.out == "acme.r1 is offline: hello 1.2 is saved on the server, and delivered when it is back.\n"
    assert "pdtools server wanted acme.r1" in result.err
    assert len(server_blobs.whole) == 2
    assert json.loads(bench.run(*R1, "deploy", str(chute), "--json").out)["id"] == "w-5"


def test_a_device_that_comes_back_in_the_middle_gets_what_it_misses(
    bench: Bench, changes: Any, device_blobs: Blobs, server_blobs: Blobs, chute: Path
) -> None:
    bench.server.disconnect("acme.r1")
    put = server_blobs.put

    def back(*args: Any) -> Any:
        if not bench.server.online:
            bench.server.connect("acme.r1", bench.realm)
        return put(*args)

    bench.server.offer("org.paradrop.acme.r1.blobs.put", back)
    changes.after(5, state=ChangeState.DONE)
    result = bench.run(*R1, "deploy", str(chute))
    assert (result.code, result.out) == (0, "hello 1.2 runs.\n")
    assert len(device_blobs.whole) == 2


def test_a_device_that_goes_in_the_middle_leaves_it_to_the_server(
    bench: Bench, device_blobs: Blobs, server_blobs: Blobs, chute: Path
) -> None:
    def gone(digest: str, size: int, offset: int, data: bytes) -> Any:
        answer = device_blobs.put(digest, size, offset, data)
        bench.server.disconnect("acme.r1")
        return answer

    bench.realm.offer("blobs.put", gone)
    result = bench.run(*R1, "deploy", str(chute))
    assert result.code == 0
    assert "is saved on the server" in result.out


def test_a_device_that_never_has_what_was_sent_is_given_up(bench: Bench, device_blobs: Blobs, chute: Path) -> None:
    bench.realm.offer("blobs.put", lambda digest, size, offset, data: {"have": size})
    result = bench.run(*R1, "deploy", str(chute))
    assert result.code == 2
    assert "has not been sent" in result.err
    assert len(bench.realm.called("chutes.deploy")) < 6


def test_a_change_whose_answer_is_lost_with_the_uplink(bench: Bench) -> None:
    def gone(name: str) -> None:
        bench.server.disconnect("acme.r1")
        raise Unreachable("whoever answers it went away")

    bench.realm.offer("chutes.stop", gone)
    result = bench.run(*R1, "stop", "hello")
    assert result.code == 1
    assert "Whether it took the change" in result.err


def test_a_change_on_a_device_that_is_away_is_refused_at_once(bench: Bench) -> None:
    bench.server.disconnect("acme.r1")
    assert bench.run(*R1, "stop", "hello").code == DeviceOffline.exit_code


def test_removing_names_the_device(screen: Bench, change: Any) -> None:
    screen.realm.offer("chutes.remove", lambda name, keep: Deferred())
    result = screen.run(*R1, "remove", "hello", input="n\n")
    assert "Remove hello from acme.r1 and all its data?" in result.err
