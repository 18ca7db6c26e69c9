"""The command line against a real server, and a real device behind it: as a person at a keyboard does it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import Person, until
from paradrop.base.exceptions import Conflict
from pdtools.known import Servers
from running import RunningDevice
from serving import ServerProcess, kill

R1 = ("--target", "acme.r1")


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as server:
        yield server


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A short path: a unix socket's name has 107 characters at most."""
    folder = Path(tempfile.mkdtemp(prefix="pdt-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def admin(server: ServerProcess, folder: Path) -> Person:
    person = Person(folder / "admin", ())
    person.run("server", "login", server.url, server.admin_code)
    person.run("server", "groups", "add", "shops")
    return person


@pytest.fixture(scope="module")
def device(server: ServerProcess, admin: Person, folder: Path) -> Iterator[RunningDevice]:
    """``acme.r1``, with the chute ``hello`` on it."""
    device = RunningDevice(folder / "r1", "process")
    device.start()
    try:
        admin.run("server", "create-device", "acme.r1", "--group", "shops")
        device.run("provision", server.url, admin.run("server", "claim-token", "acme.r1").strip())
        yield device
    finally:
        if device.process is not None:
            device.stop()


@pytest.fixture(scope="module")
def hello(admin: Person, device: RunningDevice, folder: Path) -> Path:
    """The chute's folder; it runs."""
    place = folder / "hello"
    shutil.copytree(Path(__file__).parents[2] / "chutes" / "hello", place)
    admin.run(*R1, "deploy", str(place))
    return place


def version(place: Path, text: str) -> None:
    manifest = place / "paradrop.yaml"
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(f'version: "{text}"' if line.startswith("version:") else line for line in lines) + "\n")


def user(server: ServerProcess, admin: Person, folder: Path, name: str, *grants: tuple[str, str]) -> Person:
    """A new user who has logged in."""
    code = admin.run("server", "users", "add", name).strip()
    for role, scope in grants:
        admin.run("server", "users", "grant", name, role, scope)
    person = Person(folder / name, ())
    person.run("server", "login", server.url, code)
    return person


def denied(admin: Person) -> set[str]:
    """Who was denied something, as the audit log has it."""
    entries = [json.loads(line) for line in admin.run("server", "audit", "-n", "200", "--json").splitlines()]
    return {entry["who"] for entry in entries if not entry["allowed"]}


def test_the_server_as_its_administrator_sees_it(server: ServerProcess, admin: Person, device: RunningDevice) -> None:
    info = admin.json("server", "status")
    assert (info["you"], info["administrator"], info["url"]) == ("admin", True, server.url)
    devices = {one["pdid"]: one for one in admin.json("server", "devices")}
    assert devices["acme.r1"]["online"] is True
    assert devices["acme.r1"]["groups"] == ["shops"]
    assert [one["url"] for one in admin.json("server", "list")] == [server.url]


def test_the_device_knows_its_server(server: ServerProcess, device: RunningDevice) -> None:
    uplink = json.loads(device.run("status", "--json"))["uplink"]
    assert (uplink["state"], uplink["pdid"], uplink["server"]) == ("online", "acme.r1", server.url)


def test_what_is_asked_there_is_answered_as_here(admin: Person, device: RunningDevice, hello: Path) -> None:
    here: list[dict[str, Any]] = json.loads(device.run("ps", "--json"))
    there = admin.json(*R1, "ps")
    assert [(one["name"], one["version"], one["state"]) for one in there] == [("hello", "1.0.0", "running")]
    assert there == here
    assert admin.run(*R1, "call", "hello.greet", "World") == "Hello, World!\n"
    assert [line.split("  ")[1] for line in admin.run(*R1, "subscribe", "hello.ticks", "--count", "2").splitlines()] == [
        "hello.ticks"
    ] * 2
    assert "did you mean hello.greet?" in admin.tries(*R1, "call", "hello.gret").err


def test_a_deploy_shows_its_steps(admin: Person, hello: Path) -> None:
    ran = admin.tries(*R1, "deploy", str(hello))
    assert ran.code == 0
    assert "start main" in ran.err
    assert ran.out.endswith(" runs.\n")


def test_a_log_is_followed_over_a_killed_node(server: ServerProcess, admin: Person, device: RunningDevice, hello: Path) -> None:
    names = [f"guest-{number}" for number in range(12)]
    following = subprocess.Popen(
        admin.command(*R1, "logs", "-f", "-n", "0", "hello"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=admin.environment,
    )  # fmt: skip
    try:
        assert following.stdout is not None
        assert following.stderr is not None
        # It follows once a first line comes through.
        heard: list[str] = []
        device.run("call", "hello.greet", "first")
        while not any("first" in line for line in heard):
            device.run("call", "hello.greet", "first")
            heard.append(following.stdout.readline())
        for number, name in enumerate(names):
            if number == 4:
                node = server.node
                assert node is not None
                kill(node)
            device.run("call", "hello.greet", name)
        while not heard[-1].endswith(f"{names[-1]}\n"):
            heard.append(following.stdout.readline())
            assert heard[-1], "the command has ended"
        assert [line.split()[-1] for line in heard if "guest-" in line] == names
    finally:
        following.terminate()
        following.wait()
        following.stdout and following.stdout.close()
        assert following.stderr is not None
        assert "Connected again." in following.stderr.read()
        following.stderr.close()


def test_roles_hold_for_people_at_the_server(server: ServerProcess, admin: Person, folder: Path, hello: Path) -> None:
    eve = user(server, admin, folder, "eve")
    vic = user(server, admin, folder, "vic", ("viewer", "group:shops"))
    oz = user(server, admin, folder, "oz", ("operator", "device:acme.r1"))
    assert eve.json("server", "devices") == []
    assert eve.tries(*R1, "ps").code == 77
    assert len(vic.json(*R1, "ps")) == 1
    refused = vic.tries(*R1, "stop", "hello")
    assert refused.code == 77
    assert "chutes.stop on acme.r1" in refused.err
    assert vic.tries("server", "create-device", "acme.r2").code == 77
    assert oz.run(*R1, "restart", "hello") == "hello restarted.\n"
    assert oz.tries(*R1, "config", "show").code == 77
    until(lambda: {"user eve", "user vic", "user oz"} <= denied(admin), "the audit log's knowing", 30)


def test_whoever_is_removed_is_out_at_once(server: ServerProcess, admin: Person, folder: Path, hello: Path) -> None:
    mal = user(server, admin, folder, "mal", ("viewer", "group:shops"))
    listening = subprocess.Popen(
        mal.command(*R1, "logs", "-f", "hello"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=mal.environment
    )
    assert listening.stdout is not None
    assert listening.stdout.readline()
    admin.run("server", "users", "remove", "mal", "--yes")
    assert listening.wait(30) == 77
    assert "does not take the key of mal" in listening.stdout.read()
    listening.stdout.close()


def test_a_device_that_is_away_gets_the_newest_when_it_is_back(admin: Person, device: RunningDevice, hello: Path) -> None:
    device.stop()
    try:
        until(lambda: not admin.json("server", "devices")[0]["online"], "going offline")
        away = admin.tries(*R1, "ps")
        assert away.code == 69
        assert "acme.r1 is offline" in away.err
        assert away.seconds < 10  # of which the server's answer is a small part
        for number in (1, 2, 3):
            version(hello, f"2.{number}")
            assert "acme.r1 is offline: hello" in admin.run(*R1, "deploy", str(hello))
        (wanted,) = admin.json("server", "wanted", "acme.r1")
        assert (wanted["version"], wanted["state"]) == ("2.3", "waiting")
    finally:
        device.start()
    until(lambda: admin.json("server", "wanted", "acme.r1")[0]["state"] == "delivered", "the delivery", 30)
    until(lambda: device.chute("hello")["version"] == "2.3", "the deploy", 30)
    versions = [one["version"] for one in admin.json(*R1, "changes") if one["chute"] == "hello" and one["kind"] == "deploy"]
    assert versions[0] == "2.3"
    assert not {"2.1", "2.2"} & set(versions)


def test_what_is_wrong_is_said(server: ServerProcess, admin: Person, device: RunningDevice, folder: Path) -> None:
    nobody = Person(folder / "nobody", ())
    assert nobody.tries("server", "devices").code == 77
    assert nobody.tries("server", "login", server.url, "pd1.x.y").code == 69  # no authority in it: whose server is that?
    used = admin.run("server", "users", "add", "twice").strip()
    assert Person(folder / "one", ()).tries("server", "login", server.url, used).code == 0
    second = Person(folder / "two", ()).tries("server", "login", server.url, used)
    assert second.code == 77
    assert "used already" in second.err
    for_a_device = admin.run("server", "claim-token", "acme.r1").strip()
    refused = Person(folder / "three", ()).tries("server", "login", server.url, for_a_device)
    assert (refused.code, "is for a device, not for a user; it is still good" in refused.err) == (77, True)


def test_a_server_that_is_not_the_one_it_was_is_shown_no_key(server: ServerProcess, admin: Person, folder: Path) -> None:
    shutil.copytree(admin.home, folder / "changed")
    changed = Person(folder / "changed", ())
    paradrop = changed.home / "config" / "paradrop"
    known, [key] = paradrop / "servers.yaml", (paradrop / "keys").iterdir()
    kept = known.read_text()
    known.write_text(kept[: kept.index("authority:")] + "authority: ''\n")
    unverified = changed.tries("server", "status")
    assert (unverified.code, "Your key for" in unverified.err) == (77, True)  # it is for the server with that authority
    servers = Servers(paradrop)
    key.rename(servers.key_file(server.url, ""))
    unverified = changed.tries("server", "status")
    assert (unverified.code, "could not be verified" in unverified.err) == (77, True)
    known.write_text(known.read_text().replace(server.url, "https://127.0.0.1:1"))
    servers.key_file(server.url, "").rename(servers.key_file("https://127.0.0.1:1", ""))
    assert changed.tries("server", "status").code == 69


def test_who_logs_out_leaves_no_key_and_comes_back_as_somebody_else(server: ServerProcess, admin: Person, folder: Path) -> None:
    first, second = (admin.run("server", "users", "add", name).strip() for name in ("eva", "kim"))
    person = Person(folder / "shared", ())
    keys = person.home / "config" / "paradrop" / "keys"
    for _ in range(2):  # the second time as if the first answer had been lost
        person.run("server", "login", server.url, first)
    taken = person.tries("server", "login", server.url, second)
    assert (taken.code, person.json("server", "status")["you"]) == (Conflict.exit_code, "eva")
    assert "You are eva at" in taken.err
    person.run("server", "logout")
    assert list(keys.iterdir()) == []
    assert person.tries("server", "login", server.url, first).code == 77
    person.run("server", "login", server.url, second)
    assert person.json("server", "status")["you"] == "kim"
    assert len(list(keys.iterdir())) == 1


def test_leaving_the_server(admin: Person, device: RunningDevice, hello: Path) -> None:
    device.run("unprovision", "--yes")
    until(lambda: not admin.json("server", "devices")[0]["claimed"], "the device's leaving")
    assert json.loads(device.run("status", "--json"))["uplink"]["state"] == "not provisioned"
    assert device.chute("hello")["state"] == "running"
