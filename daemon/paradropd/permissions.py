"""Who a peer of the device realm is, and what each kind of peer may do there: pure decisions, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from paradrop import uris
from paradrop.permissions import Permission, Person, person_may


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
            return person_may(peer.role, action, uri, demanded)
