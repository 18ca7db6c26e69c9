"""Docker goes away in the middle of a deploy, and comes back. The way there is a relay of the test's own, which can be cut."""

from __future__ import annotations

import json
import shutil
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import docker
import pytest

from running import PATIENCE, RunningDevice

pytestmark = [pytest.mark.needs("docker", "root"), pytest.mark.timeout(300)]

DOCKER = "/var/run/docker.sock"

CUTS = [
    pytest.param(b'"Step 2/', id="a build"),
    pytest.param(b"/containers/create?", id="a create"),
    pytest.param(b"/start HTTP/1.1", id="a start"),
]
"""What passes the relay in the middle of each."""


class _Link(socketserver.BaseRequestHandler):
    """One connection: what comes in goes to Docker, and back."""

    server: _Server

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as there:
            there.connect(DOCKER)
            self.server.relay.links += [self.request, there]
            if self.server.relay.cut.is_set():  # it was on its way
                return
            back = threading.Thread(target=self.copy, args=(there, self.request))
            back.start()
            self.copy(self.request, there)
            back.join()

    def copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # cut
            passed = b""
            while data := source.recv(1 << 16):
                target.sendall(data)
                passed = (passed + data)[-(1 << 17) :]
                self.server.relay.saw(passed)
            target.shutdown(socket.SHUT_WR)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        super().__init__(str(relay.path), _Link)


class Relay:
    """A way to Docker, open from :meth:`go` to :meth:`shut`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.links: list[Any] = []
        self.cut_at = b""
        """Whoever sends this, in either direction, cuts the way for all."""
        self.cut = threading.Event()

    def go(self) -> None:
        self.cut_at = b""
        self.cut.clear()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def saw(self, passed: bytes) -> None:
        if self.cut_at and self.cut_at in passed and not self.cut.is_set():
            self._break()

    def _break(self) -> None:
        self.cut.set()
        self.path.unlink(missing_ok=True)
        for link in self.links:
            with suppress(OSError):  # has ended
                link.shutdown(socket.SHUT_RDWR)
        self.links.clear()

    def shut(self) -> None:
        """Ends the threads too."""
        self._break()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def relay() -> Iterator[Relay]:
    with tempfile.TemporaryDirectory() as folder:  # a socket's name has 107 bytes at most
        relay = Relay(Path(folder) / "docker.sock")
        relay.go()
        yield relay
        relay.shut()


@pytest.fixture
def device(relay: Relay, tmp_path: Path) -> Iterator[RunningDevice]:
    device = RunningDevice(tmp_path / "home", "docker", (f"DOCKER_SOCKET:unix://{relay.path}",))
    device.start()
    yield device
    for chute in json.loads(device.run("ps", "--json")):
        device.run("remove", "--yes", chute["name"])
    assert device.stop() == 0


@pytest.fixture
def hello(project: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(project / "chutes" / "hello", tmp_path / "hello", ignore=shutil.ignore_patterns("__pycache__")))


def say(hello: Path, old: str, new: str) -> None:
    main = hello / "main.py"
    text = main.read_text()
    assert f'"{old}, ' in text
    main.write_text(text.replace(f'"{old}, ', f'"{new}, '))


def containers(device: RunningDevice) -> list[str]:
    """The names of what Docker runs for *device*, asked past the relay and past the daemon."""
    label = f"org.paradrop.device={(device.home / 'device-id').read_text().strip()}"
    with closing(docker.APIClient(base_url=f"unix://{DOCKER}", version="auto")) as client:
        return [name for found in client.containers(filters={"label": label}) for name in found["Names"]]


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "it does not happen"


def deploy_and_cut(device: RunningDevice, relay: Relay, hello: Path, cut: bytes) -> str:
    """What pdtools says of a deploy in the middle of which Docker goes away."""
    relay.cut_at = cut
    told = device.run("deploy", str(hello), expect=1)
    assert relay.cut.is_set()
    assert "Docker" in told
    assert "Traceback" not in told
    assert "<twisted" not in told
    return told


@pytest.mark.parametrize("cut", CUTS)
def test_the_version_before_runs(device: RunningDevice, relay: Relay, hello: Path, cut: bytes) -> None:
    device.run("deploy", str(hello))
    before = containers(device)
    assert len(before) == 1
    say(hello, "Hello", "Good morning")
    deploy_and_cut(device, relay, hello, cut)

    relay.shut()
    relay.go()
    # When the cut came too late to keep the new version from starting, it is ended as soon as that can be asked for.
    until(lambda: containers(device) == before and "hello.greet" in device.run("procedures"))
    assert device.run("call", "hello.greet", "World") == "Hello, World!\n"
    device.run("deploy", str(hello))
    assert device.run("call", "hello.greet", "World") == "Good morning, World!\n"


@pytest.mark.parametrize("cut", CUTS)
def test_nothing_is_left_of_a_first_version(device: RunningDevice, relay: Relay, hello: Path, cut: bytes) -> None:
    deploy_and_cut(device, relay, hello, cut)
    assert json.loads(device.run("ps", "--json")) == []

    relay.shut()
    relay.go()
    device.run("deploy", str(hello))
    assert device.run("call", "hello.greet", "World") == "Hello, World!\n"
    assert [chute["name"] for chute in json.loads(device.run("ps", "--json"))] == ["hello"]
    assert len(containers(device)) == 1
