"""What the registry knows, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from paradrop.permissions import Role
from paradrop.values import AuditEntry, UserKey, WantedState
from pdserver.access import DevicePeer, UserPeer

__all__ = [
    "Accepted",
    "ActualRecord",
    "Affected",
    "AuditEntry",
    "DeviceRecord",
    "InvitationKind",
    "InvitationRecord",
    "IssuedInvitation",
    "NewAuditEntry",
    "NewDevice",
    "UserKey",
    "UserRecord",
    "WantedRecord",
    "WantedState",
]


class InvitationKind(StrEnum):
    DEVICE = "device"
    """A claim token: a device takes a pdid."""
    USER = "user"
    """A login code: a person adds a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDevice:
    """A device that is created with its key, for a fleet made in one go."""

    pdid: str
    public_key: str | None = None
    groups: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    pdid: str
    public_key: str | None = None
    """Hexadecimal; ``None`` until a device has claimed this place."""
    groups: frozenset[str] = frozenset()
    created: float = 0.0
    """Seconds since the epoch, like every time here."""
    seen: float | None = None

    @property
    def peer(self) -> DevicePeer:
        return DevicePeer(self.pdid, self.groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    name: str
    keys: tuple[UserKey, ...] = ()
    """The oldest first."""
    grants: Mapping[str, Role] = field(default_factory=dict)
    """Role by scope (``pdserver.access``)."""
    created: float = 0.0

    @property
    def peer(self) -> UserPeer:
        return UserPeer(self.name, self.grants)

    @property
    def administrator(self) -> bool:
        return self.peer.administrator


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """Whose facts changed because something else was removed: their sessions carry what is not so any more."""

    devices: frozenset[str] = frozenset()
    """pdids."""
    users: frozenset[str] = frozenset()
    """Names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationRecord:
    id: str
    kind: InvitationKind
    subject: str
    """The pdid or the user's name."""
    created: float
    expires: float
    used: float | None = None
    used_by: str | None = None
    """The public key that accepted it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedInvitation:
    """An invitation with its secret, which exists here and nowhere else: the database keeps its SHA-256."""

    id: str
    kind: InvitationKind
    subject: str
    secret: str = field(repr=False)
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    kind: InvitationKind
    subject: str
    """The pdid or the user's name."""
    public_key: str
    replaced: str | None = None
    """The device's key until now, when that was another one."""
    again: bool = False
    """Whether this key had accepted this invitation before; nothing was changed then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAuditEntry:
    """See :class:`paradrop.values.AuditEntry`."""

    who: str
    action: str
    what: str
    allowed: bool
    detail: str = ""
    times: int = 1
    at: float | None = None
    """``None``: now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRecord:
    """The newest of a chute that somebody wants on a device."""

    id: str
    """``w-…``."""
    pdid: str
    chute: str
    version: str
    tree: Mapping[str, Any]
    """A :class:`paradrop.values.SourceTree` as plain data; empty in lists, and when it does not wait any more."""
    digest: str
    by: str
    at: float
    state: WantedState = WantedState.WAITING
    change: str = ""
    """Id of the device's own change, once it has taken it over."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActualRecord:
    """What a device last said of its chutes."""

    pdid: str
    chutes: tuple[Any, ...]
    """Each a :class:`paradrop.values.ChuteStatus` as plain data."""
    at: float
