"""Who a peer is, and what each kind of peer may do: pure decisions, no I/O.

Everything that is not allowed here is denied. A permission is part of the declaration of every procedure of the daemon and of
every route of its web site, so that neither can be written without one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from paradrop import uris


class Permission(StrEnum):
    """What a procedure or a route demands of a person."""

    PUBLIC = "public"
    """Nothing: for what must work before a login. Never used for a procedure."""
    VIEW = "view"
    OPERATE = "operate"
    """Change what runs: deploy, start, stop, call a chute."""
    ADMINISTER = "administer"
    """Change the device itself: its settings, and who may do what."""


class Role(StrEnum):
    OWNER = "owner"
    OPERATOR = "operator"
    VIEWER = "viewer"


_GRANTS: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset({Permission.PUBLIC, Permission.VIEW, Permission.OPERATE, Permission.ADMINISTER}),
    Role.OPERATOR: frozenset({Permission.PUBLIC, Permission.VIEW, Permission.OPERATE}),
    Role.VIEWER: frozenset({Permission.PUBLIC, Permission.VIEW}),
}


def grants(role: Role, permission: Permission) -> bool:
    """Whether *role* includes *permission*."""
    return permission in _GRANTS[role]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who proved who they are: by the control socket's file permissions, or by a login."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class ChutePeer:
    """A chute, known by the unix socket it came in by."""

    name: str
    uses: tuple[str, ...] = ()
    """``fabric.uses`` of its manifest."""


@dataclass(frozen=True, slots=True)
class DaemonPeer:
    """The daemon's own session."""

    name: str = "paradropd"


Peer = Person | ChutePeer | DaemonPeer


Action = str
"""``call``, ``register``, ``publish`` or ``subscribe``, as WAMP has them."""


def may(peer: Peer, action: Action, uri: str, match: str, demanded: Permission | None) -> bool:
    """Whether *peer* may do *action* on *uri* with the *match* policy ``exact``, ``prefix`` or ``wildcard``.

    *demanded* is the permission declared by the daemon's procedure of exactly that *uri*, ``None`` when it is not the daemon's.
    """
    match peer:
        case DaemonPeer():
            return True
        case ChutePeer():
            # Of the daemon's own procedures a manifest can open those that only tell something: whoever may deploy a chute must
            # not be able to make it do what they may not do themselves.
            return demanded in (None, Permission.VIEW) and uris.chute_may(peer.name, peer.uses, action, uri, match)
        case Person():
            return _person_may(peer, action, uri, demanded)


def _person_may(person: Person, action: Action, uri: str, demanded: Permission | None) -> bool:
    local, chutes = uri.startswith(uris.LOCAL), uri.startswith(uris.LOCAL + uris.CHUTE_AREA)
    if person.role is Role.OWNER:
        # A device alone is its owner's: its whole space, and to ask the router about itself (the WAMP meta API).
        return local or (action == "call" and uri.startswith("wamp."))
    match action:
        case "subscribe":
            return local and grants(person.role, Permission.VIEW)
        case "call" if demanded is not None:
            return grants(person.role, demanded)
        case "call" | "publish":
            return chutes and grants(person.role, Permission.OPERATE)
        case _:
            return False
