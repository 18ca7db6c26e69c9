"""What a fleet has done, as numbers that add up."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

HEADERS = 52
"""Bytes of a TCP segment that are not its payload: IPv4 20, TCP 20, timestamps 12 (RFC 791, RFC 9293, RFC 7323)."""


@dataclass(slots=True)
class Tally:
    """Counts since the start, of a process or of all of them."""

    joined: int = 0
    """Devices that are there now, with their prefix registered."""
    lost: int = 0
    """Links that went away after the device had joined."""
    rejoined: int = 0
    """Devices that joined again."""
    refused: int = 0
    """Times that a device was not let in."""
    answered: int = 0
    """Calls that devices have answered."""
    called: int = 0
    """Calls that devices have made and got an answer to."""
    failed: int = 0
    """Calls that came to an error."""
    ticks: int = 0
    """Events of the devices' chutes on their own realms."""
    relayed: int = 0
    """Those of them that went upstream."""
    wanted: int = 0
    """Devices whose topics somebody upstream listens to, now."""

    def plain(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def sum(cls, tallies: Iterable[Tally]) -> Tally:
        total = cls()
        for tally in tallies:
            for name in (each.name for each in fields(cls)):
                setattr(total, name, getattr(total, name) + getattr(tally, name))
        return total


@dataclass(frozen=True, slots=True)
class Wire:
    """What went over TCP connections, both ways together."""

    links: int
    payload: int
    """Bytes, TLS included."""
    segments: int

    @property
    def total(self) -> int:
        """With the headers of IP and TCP; without those of the link layer."""
        return self.payload + self.segments * HEADERS

    def plain(self) -> dict[str, int]:
        return {"links": self.links, "payload": self.payload, "segments": self.segments, "bytes": self.total}

    @classmethod
    def read(cls, info: bytes) -> Wire:
        """From ``struct tcp_info`` (tcp(7), ``linux/tcp.h`` since Linux 4.2): bytes acknowledged and received, segments out and
        in."""
        acknowledged, received, out, into = struct.unpack_from("=QQII", info, 120)
        return cls(1, acknowledged + received, out + into)

    @classmethod
    def sum(cls, wires: Iterable[Wire]) -> Wire:
        links = payload = segments = 0
        for wire in wires:
            links, payload, segments = links + wire.links, payload + wire.payload, segments + wire.segments
        return cls(links, payload, segments)


def merged(answers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One answer of all processes to one question: numbers are added, lists are put together."""
    found: dict[str, Any] = {}
    for answer in answers:
        for name, value in answer.items():
            known = found.get(name)
            found[name] = value if known is None or isinstance(value, str) else known + value
    return found
