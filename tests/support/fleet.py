"""A server, devices and a person, each on a machine of its own of a :class:`namespaces.Network`, with the real programs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from namespaces import Network
from running import BIN, RunningDevice
from serving import ServerProcess

PATIENCE = 60.0
"""Seconds after which something that should have happened is taken to have failed."""
ENDED = 10.0
"""Seconds that a program which is interrupted has for its end."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with ``pdtools`` and a configuration of their own."""

    home: Path
    before: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("PARADROP_")}
        return {**own, "HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config")}

    def command(self, *command: str) -> list[str]:
        return [*self.before, str(BIN / "pdtools"), *command]

    def tries(self, *command: str) -> Ran:
        """Run pdtools, whatever it comes to."""
        begun = time.monotonic()
        done = subprocess.run(
            self.command(*command), capture_output=True, text=True, timeout=2 * PATIENCE, env=self.environment, check=False
        )
        return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)

    def run(self, *command: str) -> str:
        """What pdtools prints; it must succeed."""
        ran = self.tries(*command)
        assert ran.code == 0, f"{command}: {ran.out}{ran.err}"
        return ran.out

    def json(self, *command: str) -> Any:
        return json.loads(self.run(*command, "--json"))

    def first_lines(self, count: int, *command: str) -> list[str]:
        """The first lines of a command that does not end by itself, which is interrupted then, as by Ctrl-C."""
        process = subprocess.Popen(self.command(*command), stdout=subprocess.PIPE, text=True, env=self.environment)
        try:
            assert process.stdout is not None
            return [process.stdout.readline().rstrip("\n") for _ in range(count)]
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(ENDED)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


class Fleet:
    """``pdserver run`` on the machine ``server``, a person on ``client``, and a device on each machine of *devices*::

    with Fleet("r1", "r2") as fleet:
        fleet.person.run("--target", "acme.r1", "ps")

    The person is the server's administrator; every device is provisioned as ``acme.<machine>`` by its own ``pdtools``.
    """

    def __init__(self, *devices: str, group: str = "shops", waiting: Sequence[str] = ()) -> None:
        """*waiting*: machines with a device that runs and is not provisioned."""
        self._names, self._waiting, self._group = devices, tuple(waiting), group
        self._stack = ExitStack()
        self.devices: dict[str, RunningDevice] = {}

    def __enter__(self) -> Fleet:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _start(self) -> None:
        machines = (*self._names, *self._waiting)
        self.network = self._stack.enter_context(Network("server", "client", *machines))
        self.server = self.another_server()
        self.person = self.administrator(self.server)
        self.person.run("server", "groups", "add", self._group)
        for name in machines:
            self.devices[name] = self._device(name)
        for name in self._names:
            self.provision(name)

    def another_server(self) -> ServerProcess:
        """A server on the machine ``server``, with a home and a port of its own."""
        host = self.network.address("server")
        return self._stack.enter_context(ServerProcess(host=host, before=self.network.within("server")))

    def administrator(self, server: ServerProcess) -> Person:
        """Somebody on the machine ``client`` who has logged in with the server's first code."""
        person = Person(self._folder("pdc-"), self.network.within("client"))
        person.run("server", "login", server.url, server.admin_code)
        return person

    def provision(self, name: str) -> None:
        """Make a place for the device on the machine *name*, and let it join."""
        self.person.run("server", "create-device", pdid(name), "--group", self._group)
        token = self.person.json("server", "claim-token", pdid(name))["token"]
        self.devices[name].run("provision", self.server.url, token)

    def call(self, name: str, procedure: str, *arguments: str) -> Any:
        """By the person, through the server."""
        return self.person.json("--target", pdid(name), "call", procedure, *arguments)

    def online(self, name: str) -> bool:
        """Whether the server says that the device on the machine *name* is there."""
        known = {device["pdid"]: device for device in self.person.json("server", "devices")}
        return bool(known[pdid(name)]["online"])

    def _device(self, name: str) -> RunningDevice:
        device = RunningDevice(self._folder("pdd-"), "process", before=self.network.within(name))
        device.start()
        self._stack.callback(self._end, device)
        return device

    @staticmethod
    def _end(device: RunningDevice) -> None:
        if device.process is None:
            return
        chutes = json.loads(device.run("ps", "--json"))
        for chute in chutes:  # what a chute runs outlives the daemon
            device.run("remove", "--yes", chute["name"])
        device.stop()

    def _folder(self, prefix: str) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder


def pdid(machine: str) -> str:
    """What the device on *machine* is called at the server."""
    return f"acme.{machine}"


def chute(folder: Path, name: str, source: str, fabric: str = "{}", version: str = "1") -> Path:
    """The source of a small light chute; *fabric* is YAML."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    manifest = (
        f"name: {name}\nversion: '{version}'\nfabric: {fabric}\n"
        "services: {main: {type: light, image: python3, command: python3 main.py}}\n"
    )
    (place / "paradrop.yaml").write_text(manifest, encoding="utf-8")
    (place / "main.py").write_text(source, encoding="utf-8")
    return place


def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> float:
    """Seconds that it takes until *condition* is true; fails with *what* that was."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < patience, f"{what} does not happen within {patience:g} s"
        time.sleep(0.05)
    return time.monotonic() - begun
