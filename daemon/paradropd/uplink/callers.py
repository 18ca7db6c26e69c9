"""Who calls from upstream, and what they may do on this device: pure decisions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from paradrop import uris
from paradrop.permissions import Permission, Role, WampRole, person_may

V = TypeVar("V")

CHUTES = uris.LOCAL + uris.CHUTE_AREA

SERVER_NAME = "server"
"""What the server is called on a device. ``@`` is in no account's name, no chute's and no user's."""

LOGIN_LINK = uris.LOCAL + uris.PEOPLE_LINK

Shares = Callable[[str], Sequence[str]]
"""``fabric.shares`` of the chute of that name; nothing when there is none."""


def shared(uri: str, shares: Shares) -> bool:
    """Whether *uri*, as on the device's realm, is a name that its chute shares with chutes of other devices."""
    if not uri.startswith(CHUTES):
        return False
    chute, _, name = uri.removeprefix(CHUTES).partition(".")
    return bool(name) and uris.shared(shares(chute), name)


def person_may_call(role: Role | None, uri: str, demanded: Permission | None) -> bool:
    """Whether somebody with *role* on this device may call *uri*, as on the device's realm.

    Nobody gets a login link by way of the server: it makes a session of the device's own, which the server could not end.
    """
    return role is not None and uri != LOGIN_LINK and person_may(role, "call", uri, demanded)


def known_as(authid: str | None, authrole: str | None) -> str | None:
    """What somebody from upstream is called on this device: ``ada@server``, for ``ada`` and ``local`` are people here.

    A chute is called ``clock@acme.r1`` already. The server's own session has a name that is made up anew at each start.
    """
    match authrole:
        case WampRole.SERVER:
            return SERVER_NAME
        case WampRole.USER:
            return f"{authid}@{SERVER_NAME}"
    return authid


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
