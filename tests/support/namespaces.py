"""Machines on one network, as network namespaces: each has a real address, and faults that one can put in.

::

    with Network("server", "r1") as network:
        subprocess.run([*network.within("r1"), "ping", "-c", "1", network.address("server")])

The bridge that joins them is in a namespace of its own: nothing of this machine's own network is touched.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

SUBNET = "10.77.0"
BRIDGE = "br0"
FORWARDING, DISABLED = "3", "0"
"""States of a bridge's port (linux/if_bridge.h)."""


KNOCK = """
import errno, socket, sys
with socket.socket() as probe:
    probe.settimeout(1)
    sys.exit(probe.connect_ex((sys.argv[1], 1)) not in (0, errno.ECONNREFUSED))
"""


class Network:
    """The named machines, with the addresses 10.77.0.1 and up, in that order. Needs root."""

    def __init__(self, *machines: str) -> None:
        self.machines = machines
        self._mark = f"pd{os.getpid()}{secrets.token_hex(2)}"
        self._made: list[str] = []

    def __enter__(self) -> Network:
        try:
            self._make()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.remove()

    def address(self, machine: str) -> str:
        return f"{SUBNET}.{self.machines.index(machine) + 1}"

    def within(self, machine: str) -> tuple[str, ...]:
        """What a command begins with to run on *machine*. It becomes the command: the process id is the command's own."""
        return ("ip", "netns", "exec", self._namespace(machine))

    @contextmanager
    def cut(self, machine: str) -> Iterator[None]:
        """Its cable is pulled out: the machine sees that it has no link."""
        self._port(machine, "down")
        try:
            yield
        finally:
            self._port(machine, "up")

    @contextmanager
    def swallowed(self, machine: str) -> Iterator[None]:
        """Everything to it and from it is dropped on the way, and no one is told: connections are half-open."""
        self._forwards(machine, DISABLED)
        try:
            yield
        finally:
            self._forwards(machine, FORWARDING)

    def reaches(self, machine: str, other: str) -> bool:
        """Whether *machine* gets an answer from *other*, be it a refusal, within a second."""
        command = [*self.within(machine), sys.executable, "-c", KNOCK, self.address(other)]
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0

    def remove(self) -> None:
        """With a namespace, all that is in it goes, once no process is in it any more."""
        while self._made:
            subprocess.run(["ip", "netns", "delete", self._made.pop()], capture_output=True, timeout=20, check=False)

    def _make(self) -> None:
        for name in ("bridge", *self.machines):
            _ip("netns", "add", self._namespace(name))
            self._made.append(self._namespace(name))
        bridge = self._namespace("bridge")
        _ip("-n", bridge, "link", "add", BRIDGE, "type", "bridge", "stp_state", "0", "forward_delay", "0")
        _ip("-n", bridge, "link", "set", BRIDGE, "up")
        for machine in self.machines:
            own = self._namespace(machine)
            _ip("-n", bridge, "link", "add", machine, "type", "veth", "peer", "name", "eth0", "netns", own)
            self._port(machine, "master", BRIDGE)
            self._port(machine, "up")
            _ip("-n", own, "address", "add", f"{self.address(machine)}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", own, "link", "set", device, "up")

    def _namespace(self, name: str) -> str:
        return f"{self._mark}-{name}"

    def _forwards(self, machine: str, state: str) -> None:
        # `ip link set … type bridge_slave state` is taken by iproute2 6.1, and does nothing.
        _run("bridge", "-n", self._namespace("bridge"), "link", "set", "dev", machine, "state", state)

    def _port(self, machine: str, *change: str) -> None:
        _ip("-n", self._namespace("bridge"), "link", "set", "dev", machine, *change)


def _ip(*command: str) -> None:
    _run("ip", *command)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
