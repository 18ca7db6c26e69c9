"""Who called one of the server's own procedures, and whether they may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autobahn.wamp.types import CallDetails

from paradrop import uris
from paradrop.base.exceptions import DeviceNotFoundException, NotPermitted
from paradrop.permissions import Permission, Role, grants
from paradrop.procedure import Procedure
from pdserver.access import DevicePeer, GuestPeer, Peer, ServerPeer, UserPeer
from pdserver.gate.names import WampRole
from pdserver.registry.directory import Directory
from pdserver.registry.records import DeviceRecord

KINDS: dict[str, type[DevicePeer | GuestPeer]] = {
    uris.SERVER_ACCEPT: GuestPeer,
    uris.SERVER_ROLE: DevicePeer,
    uris.DEVICES_LEFT: DevicePeer,
}
"""What is offered to others than users."""

ON_WHAT_IS_THEIRS = frozenset(
    {
        uris.DEVICES_INVITE,
        uris.DEVICES_REMOVE,
        uris.USERS_GRANT,
        uris.USERS_REVOKE,
        uris.USERS_INVITE,
        uris.USERS_FORGET_KEY,
        uris.WANTED_FORGET,
    }
)
"""What not only administrators may do: who has the permission on the device that it is about, or is that user. The procedure
itself looks, since it knows what it is about."""

STRANGER = "stranger"
"""Who tried to come in and did not, in the audit log: what they call themselves is what they tried."""

Refused = Callable[[str, str, str, str], None]
"""``who, action, what, detail`` of an attempt that was denied."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whom the node has let in, with what they are by now: their session may be older than a change."""

    name: str
    peer: Peer
    session: int | None = None
    """The one they called on."""

    @property
    def administrator(self) -> bool:
        return isinstance(self.peer, UserPeer) and self.peer.administrator

    @property
    def pdid(self) -> str:
        """Of a calling device. Raises :class:`NotPermitted` for anybody else."""
        if not isinstance(self.peer, DevicePeer):
            raise NotPermitted
        return self.peer.pdid

    def role_on(self, device: DeviceRecord) -> Role | None:
        return self.peer.role_on(device.peer) if isinstance(self.peer, UserPeer) else None

    def device(self, directory: Directory, pdid: str, permission: Permission) -> DeviceRecord:
        """The device of that id, if *permission* on it is theirs.

        Raises :class:`DeviceNotFoundException`, also for a device they may not even see, and :class:`NotPermitted`.
        """
        device = directory.device(pdid)
        role = self.role_on(device) if device is not None else None
        if device is None or role is None:
            raise DeviceNotFoundException(f"there is no device {pdid!r}")
        if not grants(role, permission):
            raise NotPermitted(f"a {role} of {pdid} may not do that")
        return device


def peer_of(directory: Directory, authrole: str, authid: str) -> Peer | None:
    """Who that is, by the directory of now; ``None`` when there is nobody of that name any more.

    A chute, ``<name>@<pdid>``, is let through as far as its device.
    """
    match authrole:
        case WampRole.DEVICE | WampRole.CHUTE:
            device = directory.device(authid.rpartition("@")[2])
            return device.peer if device is not None else None
        case WampRole.USER:
            user = directory.user(authid)
            return user.peer if user is not None else None
        case WampRole.GUEST:
            return GuestPeer(authid)
        case WampRole.SERVER:
            return ServerPeer()
    return None


def said(authrole: str, authid: str) -> str:
    """A peer for the audit log: ``user ada``, ``device acme.r1``, ``guest``, ``server``, or a stranger."""
    if not authrole:
        return STRANGER
    return authrole if authrole in (WampRole.GUEST, WampRole.SERVER) else f"{authrole} {authid}"


def whose(caller: Caller) -> str:
    """:func:`said` of a caller."""
    match caller.peer:
        case DevicePeer():
            return said(WampRole.DEVICE, caller.name)
        case GuestPeer():
            return said(WampRole.GUEST, caller.name)
        case ServerPeer():
            return said(WampRole.SERVER, caller.name)
    return said(WampRole.USER, caller.name)


def is_allowed(peer: Peer | None, declared: Procedure) -> bool:
    """Whether *peer* may call *declared* at all, before it is asked on what."""
    kind = KINDS.get(declared.name, UserPeer)
    if not isinstance(peer, kind):
        return False
    if isinstance(peer, UserPeer) and declared.name not in ON_WHAT_IS_THEIRS:
        return declared.permission is Permission.VIEW or peer.administrator
    return True


class Callers:
    """A :data:`~paradrop.procedure.CallerOf` that asks the directory, each time."""

    def __init__(self, directory: Directory, refused: Refused) -> None:
        self._directory = directory
        self._refused = refused

    def __call__(self, details: CallDetails, declared: Procedure) -> Caller:
        """Raises :class:`NotPermitted`."""
        authrole, authid = str(details.caller_authrole), str(details.caller_authid)
        # A chute came in as its device; none of these is for chutes.
        peer = None if authrole == WampRole.CHUTE else peer_of(self._directory, authrole, authid)
        if peer is None or not is_allowed(peer, declared):
            self._refused(said(authrole, authid), declared.name.removeprefix(uris.SERVER), "", "")
            raise NotPermitted(f"you may not call {declared.name}")
        return Caller(authid, peer, details.caller)
