"""How a device stands to its server: a table.

A device that is not provisioned has no link. One that is tries to have one for ever: ``connecting`` until it is there and
whenever it is lost, ``refused`` while the server does not take the device's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from types import MappingProxyType

from paradrop.values import Uplink, UplinkState


class Happened(Enum):
    UP = "the link is there"
    LOST = "there is no link"
    REFUSED = "the server refused"


NEXT: Mapping[tuple[UplinkState, Happened], UplinkState] = MappingProxyType(
    {
        (UplinkState.CONNECTING, Happened.UP): UplinkState.ONLINE,
        (UplinkState.CONNECTING, Happened.LOST): UplinkState.CONNECTING,
        (UplinkState.CONNECTING, Happened.REFUSED): UplinkState.REFUSED,
        (UplinkState.REFUSED, Happened.UP): UplinkState.ONLINE,
        (UplinkState.REFUSED, Happened.LOST): UplinkState.CONNECTING,
        (UplinkState.REFUSED, Happened.REFUSED): UplinkState.REFUSED,
        (UplinkState.ONLINE, Happened.LOST): UplinkState.CONNECTING,
    }
)
"""Whatever is not here does not happen, and changes nothing."""


def begun(pdid: str, server: str, now: float) -> Uplink:
    """The first state of a device that is provisioned; *now* in seconds since the epoch."""
    return Uplink(state=UplinkState.CONNECTING, pdid=pdid, server=server, since=now)


def after(uplink: Uplink, happened: Happened, now: float, problem: str = "") -> Uplink:
    """What *uplink* is then. ``since`` is the beginning of a state: it stays when only the *problem* is another."""
    state = NEXT.get((uplink.state, happened), uplink.state)
    if (uplink.state, happened) not in NEXT:
        return uplink
    return replace(uplink, state=state, problem=problem, since=uplink.since if state is uplink.state else now)
