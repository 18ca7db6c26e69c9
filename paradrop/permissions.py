"""What a person may do, by role: pure decisions that a device and a server make in the same way.

Everything that is not allowed here is denied. A permission is part of the declaration of every procedure and of every route of a
web site, so that neither can be written without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from paradrop import uris


class Permission(StrEnum):
    """What a procedure or a route demands of a person."""

    PUBLIC = "public"
    """Nothing: for what must work before a login. Never used for a procedure."""
    VIEW = "view"
    OPERATE = "operate"
    """Change what runs: deploy, start, stop, call a chute."""
    ADMINISTER = "administer"
    """Change the device or the server itself: its settings, and who may do what."""


class Role(StrEnum):
    OWNER = "owner"
    OPERATOR = "operator"
    VIEWER = "viewer"


class WampRole(StrEnum):
    """The ``authrole`` of each kind of peer on a server's realm."""

    DEVICE = "device"
    USER = "user"
    GUEST = "guest"
    """Came in by an invitation's token, and may do nothing but accept it."""
    SERVER = "server"
    CHUTE = "chute"
    """Never a session's own: a chute behind a device, as the gate lets the device say."""


_GRANTS: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset({Permission.PUBLIC, Permission.VIEW, Permission.OPERATE, Permission.ADMINISTER}),
    Role.OPERATOR: frozenset({Permission.PUBLIC, Permission.VIEW, Permission.OPERATE}),
    Role.VIEWER: frozenset({Permission.PUBLIC, Permission.VIEW}),
}


def grants(role: Role, permission: Permission) -> bool:
    """Whether *role* includes *permission*."""
    return permission in _GRANTS[role]


def highest(roles: Iterable[Role]) -> Role | None:
    """The one of *roles* that includes the others; ``None`` without any."""
    return max(roles, key=lambda role: len(_GRANTS[role]), default=None)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who proved who they are: by the control socket's file permissions, by a login, or to a server by a key."""

    name: str
    role: Role


DEVICE_PROCEDURES: Mapping[str, Permission] = MappingProxyType(
    {
        uris.BLOBS_MISSING: Permission.OPERATE,
        uris.BLOBS_PUT: Permission.OPERATE,
        uris.CHANGES_GET: Permission.VIEW,
        uris.CHANGES_LIST: Permission.VIEW,
        uris.CHUTES_DEPLOY: Permission.OPERATE,
        uris.CHUTES_GET: Permission.VIEW,
        uris.CHUTES_LIST: Permission.VIEW,
        uris.CHUTES_REMOVE: Permission.OPERATE,
        uris.CHUTES_RESTART: Permission.OPERATE,
        uris.CHUTES_START: Permission.OPERATE,
        uris.CHUTES_STOP: Permission.OPERATE,
        uris.CONFIG_GET: Permission.ADMINISTER,
        uris.CONFIG_SET: Permission.ADMINISTER,
        uris.CONFIG_SHOW: Permission.ADMINISTER,
        uris.FABRIC_PROCEDURES: Permission.VIEW,
        uris.LOGS_READ: Permission.VIEW,
        uris.LOGS_SOURCES: Permission.VIEW,
        uris.NODE_INFO: Permission.VIEW,
        uris.NODE_PROVISION: Permission.ADMINISTER,
        uris.NODE_UNPROVISION: Permission.ADMINISTER,
        uris.PEOPLE_ADD: Permission.ADMINISTER,
        uris.PEOPLE_LINK: Permission.ADMINISTER,
        uris.PEOPLE_LIST: Permission.ADMINISTER,
        uris.PEOPLE_REMOVE: Permission.ADMINISTER,
    }
)
"""What each procedure of a device demands, for a server that decides before a call travels. The declarations in the daemon are
what counts there; a test holds the two together."""


def demanded(uri: str) -> Permission | None:
    """The permission that a device's procedure demands, by its *uri* on the device's own realm; ``None`` for any other."""
    return DEVICE_PROCEDURES.get(uri.removeprefix(uris.LOCAL)) if uri.startswith(uris.LOCAL) else None


def person_may(role: Role, action: str, uri: str, demanded: Permission | None) -> bool:
    """Whether somebody with *role* on a device may do *action* (``call``, ``register``, ``publish`` or ``subscribe``) there.

    *uri* is spelled as on the device's own realm; *demanded* is the permission declared by the daemon's procedure of exactly that
    *uri*, ``None`` when it is not the daemon's.
    """
    local, chutes = uri.startswith(uris.LOCAL), uri.startswith(uris.LOCAL + uris.CHUTE_AREA)
    if role is Role.OWNER:
        # A device alone is its owner's: its whole space, and to ask the router about itself (the WAMP meta API).
        return local or (action == "call" and uri.startswith("wamp."))
    match action:
        case "subscribe":
            return local and grants(role, Permission.VIEW)
        case "call" if demanded is not None:
            return grants(role, demanded)
        case "call" | "publish":
            return chutes and grants(role, Permission.OPERATE)
        case _:
            return False
