"""Who may do what on the server's realm: pure decisions, made alike in the router's process and in the server's own.

Everything that is not allowed here is denied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from paradrop.border import downwards
from paradrop.permissions import Role, demanded, highest, person_may
from paradrop.uris import (
    CHUTE_AREA,
    DEVICES_LEFT,
    LOCAL,
    ON_DEVICE,
    ON_WANTED,
    ROOT,
    SERVER,
    SERVER_ACCEPT,
    SERVER_ROLE,
    UPLINK_WANT,
    device_space,
)
from pdserver.gate.names import SPACE, WampRole

EVERYTHING = "server"
"""The scope of an administrator: an owner of the server itself, and so of every device."""


def device_scope(pdid: str) -> str:
    return f"device:{pdid}"


def group_scope(group: str) -> str:
    return f"group:{group}"


@dataclass(frozen=True, slots=True)
class DevicePeer:
    pdid: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class UserPeer:
    name: str
    grants: Mapping[str, Role] = field(default_factory=dict)
    """Role by scope."""

    @property
    def administrator(self) -> bool:
        return self.grants.get(EVERYTHING) is Role.OWNER

    def role_on(self, device: DevicePeer) -> Role | None:
        """The highest of the roles granted on the device, on a group it is in, or on everything."""
        scopes = (EVERYTHING, device_scope(device.pdid), *map(group_scope, device.groups))
        return highest(self.grants[scope] for scope in scopes if scope in self.grants)


@dataclass(frozen=True, slots=True)
class GuestPeer:
    """Whoever came in by the token of that invitation."""

    invitation: str


@dataclass(frozen=True, slots=True)
class ServerPeer:
    """The server's own session."""


Peer = DevicePeer | UserPeer | GuestPeer | ServerPeer

MATCHES = frozenset({"exact", "prefix", "wildcard"})
DEVICE_CALLS = frozenset({SERVER_ROLE, DEVICES_LEFT})
"""What a device asks of its server."""
USER_TOPICS = frozenset({ON_DEVICE, ON_WANTED})


def peer_of(role: str | None, name: str | None, extra: Mapping[str, Any] | None) -> Peer | None:
    """Who a session is, by the authrole, authid and authextra that its authenticator gave it; ``None`` when that says nothing."""
    extra = extra or {}
    if not name:
        return None
    match role:
        case WampRole.DEVICE:
            groups = extra.get("groups") or ()
            return DevicePeer(name, frozenset(str(group) for group in groups))
        case WampRole.USER:
            grants = extra.get("grants") or {}
            known = {str(scope): Role(grant) for scope, grant in grants.items() if grant in list(Role)}
            return UserPeer(name, known)
        case WampRole.GUEST:
            return GuestPeer(name)
        case WampRole.SERVER:
            return ServerPeer()
    return None


def candidates(uri: str) -> Iterator[str]:
    """Every pdid in whose space *uri* would lie, the shortest first: ``org.paradrop.a.b.c`` → ``a``, ``a.b``."""
    if uri.startswith(ROOT) and not uri.startswith(SERVER):
        dot = uri.find(".", len(ROOT))
        while dot > 0:
            yield uri[len(ROOT) : dot]
            dot = uri.find(".", dot + 1)


def may(peer: Peer, action: str, uri: str, match: str, device: DevicePeer | None) -> bool:
    """Whether *peer* may do *action* (``call``, ``register``, ``publish`` or ``subscribe``) at *uri*.

    *match* is ``exact``, ``prefix`` or ``wildcard``. *device* is the one in whose space *uri* lies, if any. A pattern that begins
    with an allowed prefix can only match below it: see :func:`paradrop.uris.chute_may`.
    """
    if isinstance(peer, ServerPeer):
        return True
    if match not in MATCHES or not uri.startswith(ROOT) or uri.startswith(SPACE):
        return False  # outside of it is the router's own space (wamp.), and the last is the gate's
    if isinstance(peer, DevicePeer):
        return _device_may(peer, action, uri, device)
    if isinstance(peer, UserPeer):
        return _user_may(peer, action, uri, match, device)
    return action == "call" and uri == SERVER_ACCEPT


def _device_may(peer: DevicePeer, action: str, uri: str, device: DevicePeer | None) -> bool:
    if uri.startswith(SERVER):
        return action == "call" and uri in DEVICE_CALLS
    own = uri.startswith(device_space(peer.pdid))
    if action == "register" or action == "publish":
        return own
    if action == "subscribe" and own:
        return True
    if device is None or device.pdid == peer.pdid or action not in ("call", "subscribe"):
        return False
    return uri.startswith(device_space(device.pdid) + CHUTE_AREA) and not peer.groups.isdisjoint(device.groups)


def _user_may(peer: UserPeer, action: str, uri: str, match: str, device: DevicePeer | None) -> bool:
    if action == "register":
        return False
    if action == "subscribe" and peer.administrator:
        return True
    if uri.startswith(SERVER):
        if action == "subscribe":
            return match == "exact" and uri in USER_TOPICS
        return action == "call" and uri != SERVER  # each procedure asks for the permission it demands
    if device is None or not uri.startswith(device_space(device.pdid)):
        return False
    role, local = peer.role_on(device), downwards(uri, device.pdid)
    if role is None or local == LOCAL + UPLINK_WANT:
        return False
    return person_may(role, action, local, demanded(local))


def harmless(action: str, options: Mapping[str, Any]) -> bool:
    """Whether nothing in WAMP's *options* is kept from everybody but the server itself.

    A retained event stays in the router as long as that runs, and so does a call queued for a callee that limits its
    ``concurrency``; an invocation policy other than ``single`` would let a second callee share a registration.
    """
    if action == "publish":
        return not options.get("retain")
    if action == "register":
        return options.get("invoke") in (None, "single") and options.get("concurrency") is None
    return True


def elsewhere(peer: Peer, action: str, uri: str) -> bool:
    """Whether *peer* might be allowed to do that, if *uri* lies in the space of a device that is not connected."""
    match peer:
        case DevicePeer():
            return action in ("call", "subscribe") and bool(peer.groups) and f".{CHUTE_AREA}" in uri
        case UserPeer():
            return action != "register" and bool(peer.grants) and next(candidates(uri), None) is not None
    return False
