"""A server, a device and a person with the real programs, on this machine: what waits for a device, and who is let in."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import Person, chute, until
from running import RunningDevice
from serving import ServerProcess, kill

pytestmark = pytest.mark.needs("bubblewrap")

STAY = "import time\nwhile True: time.sleep(60)\n"
SOON = 10.0
"""Seconds within which a device that came back must have what it missed."""


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as server:
        yield server


@pytest.fixture
def ada(server: ServerProcess, tmp_path: Path) -> Person:
    """The first administrator, with their own pdtools."""
    person = Person(tmp_path / "ada", ())
    person.home.mkdir()
    person.run("server", "login", server.url, server.admin_code)
    return person


@pytest.fixture
def r9(server: ServerProcess, ada: Person) -> Iterator[RunningDevice]:
    """A device that has joined."""
    folder = Path(tempfile.mkdtemp(prefix="pdd-"))
    device = RunningDevice(folder, "process")
    device.start()
    try:
        ada.run("server", "create-device", "acme.r9")
        device.run("provision", server.url, ada.json("server", "claim-token", "acme.r9")["token"])
        yield device
    finally:
        if device.process is None:
            device.start()
        for found in json.loads(device.run("ps", "--json")):  # what a chute runs outlives the daemon
            device.run("remove", "--yes", found["name"])
        device.stop()
        shutil.rmtree(folder, ignore_errors=True)


def is_online(ada: Person) -> bool:
    return any(device["online"] for device in ada.json("server", "devices"))


def version(device: RunningDevice) -> str:
    """What runs of the chute ``hello``."""
    found = [each for each in json.loads(device.run("ps", "--json")) if each["name"] == "hello"]
    return str(found[0]["version"]) if found and found[0]["state"] == "running" else ""


def test_a_device_that_was_away_gets_the_newest_only_soon_after_it_is_back(
    server: ServerProcess, ada: Person, r9: RunningDevice, tmp_path: Path
) -> None:
    until(lambda: is_online(ada), "acme.r9 being online")
    r9.stop()
    until(lambda: not is_online(ada), "acme.r9 being offline")
    gone = ada.tries("--target", "acme.r9", "ps")
    assert gone.code == 69
    assert "acme.r9 is offline; last seen" in gone.err
    for number in ("1", "2", "3"):
        place = chute(tmp_path, "hello", STAY, version=number)
        said = ada.tries("--target", "acme.r9", "deploy", str(place))
        assert said.code == 0, said
        assert "acme.r9" in said.out + said.err
    assert [(each["version"], each["state"]) for each in ada.json("server", "wanted", "acme.r9")] == [("3", "waiting")]

    old = server.service
    assert old is not None
    kill(old)  # what was accepted is not lost with it
    until(lambda: server.service not in (None, old) and ada.tries("server", "devices").code == 0, "the service being back")

    r9.start()
    took = until(lambda: version(r9) == "3", "version 3 running")
    assert took < SOON
    until(lambda: ada.json("server", "wanted", "acme.r9")[0]["actual"] == "3, running", "the server knowing it")
    assert ada.json("server", "wanted", "acme.r9")[0]["state"] == "delivered"
    deployed = [change["version"] for change in json.loads(r9.run("changes", "--json")) if change["kind"] == "deploy"]
    assert deployed == ["3"]


def test_a_removed_device_is_put_out_and_stays_out(server: ServerProcess, ada: Person, r9: RunningDevice) -> None:
    until(lambda: is_online(ada), "acme.r9 being online")
    ada.run("server", "remove-device", "acme.r9", "--yes")

    def refused() -> bool:
        return bool(json.loads(r9.run("status", "--json"))["uplink"]["state"] == "refused")

    until(refused, "the device being refused")
    entries = [json.loads(line) for line in ada.run("server", "audit", "--json").splitlines()]
    actions = [(entry["who"], entry["action"], entry["what"]) for entry in entries]
    assert ("user admin", "devices.remove", "acme.r9") in actions
    assert ("stranger", "login", "acme.r9") in actions
    assert r9.stop(signal.SIGTERM) == 0
