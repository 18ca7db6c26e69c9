"""Which devices there are, and who of them is where: values and pure functions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Protocol
from urllib.parse import urlsplit

from paradrop.base.exceptions import InvalidInput, ParadropException
from paradrop.keys import Key
from pdserver.registry.names import check_pdid

GROUP = "simulated"
"""The group that all of them are in, so that they may call each other's chutes."""
ECHO = "chute.sim.echo"
"""Below a device's space: answers with its first argument."""
TICK = "chute.sim.tick"
"""Below a device's space: what the simulated chute publishes."""


class Fleet(Protocol):
    """Devices by their number, from 0."""

    def __len__(self) -> int: ...

    def pdid(self, number: int) -> str: ...

    def key(self, number: int) -> Key: ...


@dataclass(frozen=True, slots=True)
class SeededFleet:
    """Every key follows from the seed, and none has to be kept. Whoever knows the seed is every device of it."""

    seed: str
    devices: int
    organization: str = "sim"

    def __len__(self) -> int:
        return self.devices

    def pdid(self, number: int) -> str:
        return f"{self.organization}.d{number:05d}"

    def key(self, number: int) -> Key:
        return Key(hashlib.sha256(f"{self.seed}:{number}".encode()).digest())


@dataclass(frozen=True, slots=True)
class ListedFleet:
    """Devices that a server has: their pdids and private keys."""

    listed: tuple[tuple[str, str], ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.listed)

    def pdid(self, number: int) -> str:
        return self.listed[number][0]

    def key(self, number: int) -> Key:
        return Key.read(self.listed[number][1])


def read_devices(text: str) -> ListedFleet:
    """A line a device: its pdid and its private key (hexadecimal); what follows a ``#`` is not read.

    Raises :class:`InvalidInput` with the line's number; a key is never quoted.
    """
    listed: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        if len(fields) != 2:
            raise InvalidInput(f"line {number}: a pdid and a private key are needed")
        try:
            check_pdid(fields[0])
            Key.read(fields[1])
        except ParadropException as problem:
            raise InvalidInput(f"line {number}: {problem}") from None
        listed.append((fields[0], fields[1]))
    if not listed:
        raise InvalidInput("there is no device in the file")
    return ListedFleet(tuple(listed))


def read_address(address: str) -> tuple[bool, str, str]:
    """Whether there is TLS, the host, and ``host:port`` of ``rss://host:port`` or ``rs://host:port``. Raises
    :class:`InvalidInput`."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as problem:
        raise InvalidInput(f"{address!r}: {problem}") from None
    if parts.scheme not in ("rs", "rss") or not host or not port:
        raise InvalidInput(f"{address!r} is no address: rss://host:port, or rs://host:port without TLS")
    return parts.scheme == "rss", host, parts.netloc


def shares(devices: int, processes: int) -> list[range]:
    """*devices* among at most *processes*, as evenly as can be; nobody gets none."""
    count = min(devices, processes)
    bounds = [devices * index // count for index in range(count + 1)] if count else []
    return [range(first, end) for first, end in pairwise(bounds)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one process of the simulator is told at its start."""

    address: str
    """``rss://host:port`` or ``rs://host:port``."""
    authority: str = ""
    """The certificate (PEM) to verify the server's by; empty: the system's authorities."""
    source: str = ""
    """The address to connect from; empty: any. One address has 28,000 ports for one server."""
    first: int
    """The number of the first device."""
    count: int
    seed: str = ""
    devices: int = 0
    """How many devices the seed stands for; 0: :attr:`listed` has them."""
    organization: str = ""
    listed: Sequence[Sequence[str]] = field(default=(), repr=False)
    rate: float = 0.0
    """Devices that begin to join in a second; 0: as many as can."""
    joining: int = 100
    """Devices that may be on their way in at the same time, at first; a restart of the server is not bound by it."""
    tick: float = 0.0
    """Seconds between two events of each device's chute; 0: it has none."""
    keyless: bool = False
    """Nobody proves who they are: for a router that is no server of ours."""

    @property
    def fleet(self) -> Fleet:
        if self.devices:
            return SeededFleet(self.seed, self.devices, self.organization)
        return ListedFleet(tuple((pdid, secret) for pdid, secret in self.listed))

    def plain(self) -> dict[str, Any]:
        return asdict(self)
