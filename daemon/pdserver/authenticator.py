"""Who may join the server's realm, and as whom.

Crossbar's dynamic authenticator (26.10.1, ``crossbar/router/auth/{cryptosign,ticket}.py``): it is called with ``realm, authid,
details`` and returns a principal. For cryptosign that happens before the challenge, so that a principal is nothing proven yet;
for a ticket it happens with the ticket in ``details["ticket"]``. What is raised here reaches the client as the reason and message
of its ABORT. That is why a stranger hears the same sentence whatever was wrong; the audit log says what it was.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from paradrop import uris
from paradrop.base.exceptions import AuthenticationError, InvitationRefused
from paradrop.keys import PUBLIC
from pdserver.access import DevicePeer, UserPeer
from pdserver.callers import STRANGER, Refused
from pdserver.gate.names import WampRole
from pdserver.registry import Registry
from pdserver.registry.directory import Directory

SENTENCE = "this server does not know you by that key"

KEY_SHOWN = 16
"""Digits of a public key in the audit log: enough to tell keys apart."""

STAMP = 12
"""Digits."""


class Denied(Exception):
    """Somebody is not let in. Outsiders hear :data:`SENTENCE`, as an :class:`AuthenticationError`."""

    def __init__(self, why: str) -> None:
        super().__init__(SENTENCE)
        self.why = why
        """For the audit log only."""


def principal(directory: Directory, authid: str | None, public_key: object) -> dict[str, Any]:
    """Whose key that is, as Crossbar wants to have it. Raises :class:`Denied`.

    *authid* may be left out; when there is one, the key must be of that device or user.
    """
    if not isinstance(public_key, str) or not PUBLIC.fullmatch(public_key):
        raise Denied("no public key was sent")
    shown = f"{public_key[:KEY_SHOWN]}…"
    device = directory.device_by_key(public_key)
    if device is not None and authid in (None, "", device.pdid):
        return _principal(device.pdid, WampRole.DEVICE, public_key, device.peer)
    user = directory.user_by_key(public_key)
    if user is not None and authid in (None, "", user.name):
        return _principal(user.name, WampRole.USER, public_key, user.peer)
    owner = device.pdid if device is not None else user.name if user is not None else ""
    if owner:
        raise Denied(f"the key {shown} is that of {owner}")
    if authid and (directory.device(authid) is not None or directory.user(authid) is not None):
        raise Denied(f"the key {shown} is not one of theirs")
    raise Denied(f"nobody has the key {shown}")


def facts(peer: DevicePeer | UserPeer) -> dict[str, Any]:
    """What the gate decides by, as the session's ``authextra`` carries it."""
    if isinstance(peer, DevicePeer):
        return {"groups": sorted(peer.groups)}
    return {"grants": {scope: role.value for scope, role in sorted(peer.grants.items())}}


def stamp(peer: DevicePeer | UserPeer) -> str:
    """Short for :func:`facts`: two sessions with the same stamp may do the same."""
    return hashlib.sha256(json.dumps(facts(peer), sort_keys=True).encode()).hexdigest()[:STAMP]


def outdated(directory: Directory, authrole: str, authid: str, public_key: str, its_stamp: str) -> bool:
    """Whether a session of that peer would be another today, or none."""
    peer: DevicePeer | UserPeer
    match authrole:
        case WampRole.DEVICE:
            device = directory.device(authid)
            if device is None or device.public_key != public_key:
                return True
            peer = device.peer
        case WampRole.USER:
            user = directory.user(authid)
            if user is None or public_key not in [key.public_key for key in user.keys]:
                return True
            peer = user.peer
        case _:
            return False
    return its_stamp != stamp(peer)


class Authenticator:
    """The procedure :data:`pdserver.gate.names.AUTHENTICATE`."""

    def __init__(self, registry: Registry, refused: Refused) -> None:
        self._registry = registry
        self._refused = refused

    async def __call__(self, realm: str, authid: str | None, details: dict[str, Any]) -> dict[str, Any]:
        """Raises :class:`AuthenticationError`, :class:`InvitationRefused`, and ``DatabaseUnavailable`` for a ticket only."""
        try:
            if details.get("authmethod") == "ticket":
                return await self._guest(authid or "", details.get("ticket"))
            return principal(self._registry.directory, authid, (details.get("authextra") or {}).get("pubkey"))
        except Denied as denied:
            self._refuse(authid, denied.why, details)
            raise AuthenticationError(str(denied)) from None
        except InvitationRefused as refused:
            self._refuse(authid, str(refused), details)
            raise InvitationRefused from None

    async def _guest(self, invitation: str, secret: object) -> dict[str, Any]:
        if not isinstance(secret, str):
            raise InvitationRefused("no ticket was sent")
        await self._registry.check_invitation(invitation, secret)
        return {"realm": uris.DEVICE_REALM, "authid": invitation, "role": WampRole.GUEST.value, "extra": {}}

    def _refuse(self, authid: str | None, why: str, details: dict[str, Any]) -> None:
        self._refused(STRANGER, "login", authid or "", f"{why}; from {_address(details)}")


def _principal(authid: str, role: WampRole, public_key: str, peer: DevicePeer | UserPeer) -> dict[str, Any]:
    # The key is in the extra, too, for whoever looks at a session that has joined.
    extra = {**facts(peer), "pubkey": public_key, "stamp": stamp(peer)}
    return {"pubkey": public_key, "realm": uris.DEVICE_REALM, "authid": authid, "role": role.value, "extra": extra}


def _address(details: dict[str, Any]) -> str:
    """Where they came from, without the port: each attempt has another."""
    peer = str((details.get("transport") or {}).get("peer", "somewhere"))
    kind, _, rest = peer.partition(":")
    return rest.rpartition(":")[0] or rest or kind
