"""The keys of a device's places on servers: for each a device key of its own, and the authority to verify that server by.

A signature with a device key proves who the device is to whoever sent the challenge, and nobody can tell for whom it was made:
with one key for all, a server that a device is on could pass another's challenge on and be the device there. So no two servers
see the same key, and none sees it twice under different invitations.

Both are kept under names that belong to the place, and the info file says which place is taken (``keys``): writing that one file
is the whole switch, whenever the power goes. A place's name begins with a number that only grows: one that is lower than that of
the place that is taken was left, a higher one is still to be taken, with a key that the server may know already.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

from paradrop.keys import Key
from paradrop.tokens import Token

DEVICE, AUTHORITY = "device", "server-authority"


class Keys(Protocol):
    """Where keys are kept: :class:`paradrop.base.nexus.NexusBase`."""

    info: Any

    def saveKey(self, key: str, name: str) -> None: ...

    def getKey(self, name: str) -> str | None: ...

    def removeKey(self, name: str) -> None: ...

    def keyNames(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """What the keys of one place are called."""

    name: str
    """``<number>-<invitation>``; empty for one that was taken before places had names."""

    @property
    def device(self) -> str:
        return f"{DEVICE}-{self.name}" if self.name else DEVICE

    @property
    def authority(self) -> str:
        return f"{AUTHORITY}-{self.name}" if self.name else AUTHORITY

    @property
    def number(self) -> int:
        number = self.name.partition("-")[0]
        return int(number) if number.isdecimal() else 0


def invitation(server: str, token: Token) -> str:
    """The same for the same *token* at the same *server* only, and says nothing about either."""
    told = "\0".join((server, token.id, token.secret, token.authority.hex()))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def taken(keys: Keys) -> Place:
    """The place that the info file says."""
    return Place(getattr(keys.info, "keys", ""))


def key_of(keys: Keys, place: Place) -> Key:
    """Its key, made and saved now if there is none: before it is used, because an answer may be lost, and the key must not be."""
    saved = keys.getKey(place.device)
    if saved is not None:
        return Key.read(saved)
    key = Key.generate()
    keys.saveKey(key.secret(), place.device)
    return key


def place_for(keys: Keys, server: str, token: Token) -> Place:
    """The place to take with *token*: the same as last time, if it was tried before."""
    known, wanted = _places(keys), invitation(server, token)
    for place in known:
        if place.name.endswith(f"-{wanted}") and place.number >= taken(keys).number:
            return place
    highest = max((place.number for place in [*known, taken(keys)]), default=0)
    return Place(f"{highest + 1}-{wanted}")


def forget(keys: Keys, place: Place) -> None:
    """Remove the keys of *place*."""
    for name in (place.device, place.authority):
        keys.removeKey(name)


def forget_all(keys: Keys, but: Place | None = None) -> None:
    """Remove the keys of every place *but* that one."""
    for place in _places(keys):
        if place != but:
            forget(keys, place)


def forget_left(keys: Keys) -> None:
    """Remove the keys of places that were left, when something went wrong before that."""
    current = taken(keys)
    for place in _places(keys):
        if place.number < current.number:
            forget(keys, place)


def _places(keys: Keys) -> list[Place]:
    found: dict[Place, None] = {}
    for name in keys.keyNames():
        for kind in (DEVICE, AUTHORITY):
            if name == kind or name.startswith(f"{kind}-"):
                found[Place(name.removeprefix(kind).removeprefix("-"))] = None
    return list(found)
