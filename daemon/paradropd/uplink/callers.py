"""Who calls from upstream, and what they may do on this device: pure decisions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from paradrop import uris
from paradrop.permissions import Permission, Role, person_may

V = TypeVar("V")

SERVER, USER, CHUTE = "server", "user", "chute"
"""``authrole`` upstream."""

CHUTES = uris.LOCAL + uris.CHUTE_AREA

Shares = Callable[[str], Sequence[str]]
"""``fabric.shares`` of the chute of that name; nothing when there is none."""


def shared(uri: str, shares: Shares) -> bool:
    """Whether *uri*, as on the device's realm, is a name that its chute shares with chutes of other devices."""
    if not uri.startswith(CHUTES):
        return False
    chute, _, name = uri.removeprefix(CHUTES).partition(".")
    return bool(name) and uris.shared(shares(chute), name)


def person_may_call(role: Role | None, uri: str, demanded: Permission | None) -> bool:
    """Whether somebody with *role* on this device may call *uri*, as on the device's realm."""
    return role is not None and person_may(role, "call", uri, demanded)


class Recent(Generic[V]):
    """The values of the keys that were used last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[int, V] = OrderedDict()

    def __contains__(self, key: int) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: int) -> V:
        """Raises ``KeyError``."""
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: int, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)

    def clear(self) -> None:
        self._values.clear()
