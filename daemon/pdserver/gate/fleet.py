"""Who is connected: every session by its id, every device by its pdid, and which of them can be called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from pdserver.access import DevicePeer, GuestPeer, Peer, UserPeer, candidates


class Joined(Protocol):
    """A session that has proved who it is."""

    peer: Peer | None
    _session_id: int | None


class Fleet:
    """Facts about connected sessions, for decisions that are made on every call: nothing here is ever searched."""

    def __init__(self, presence: Callable[[str, bool], None]) -> None:
        """*presence*: told when a device can be called (its prefix is registered), and when it can no more."""
        self._presence = presence
        self.sessions: dict[int, Any] = {}
        self.devices: dict[str, Any] = {}
        self.online: set[str] = set()
        self._people: Counter[tuple[str, str]] = Counter()

    def joined(self, session: Joined) -> Any:
        """Returns the older session of the same device, if there is one: the newest wins, because the older may be half-open."""
        assert session._session_id is not None
        self.sessions[session._session_id] = session
        if (person := _person(session.peer)) is not None:
            self._people[person] += 1
        if not isinstance(session.peer, DevicePeer):
            return None
        older = self.devices.get(session.peer.pdid)
        if older is not None:
            self._offline(session.peer.pdid)
        self.devices[session.peer.pdid] = session
        return older

    def left(self, session: Joined, session_id: int) -> None:
        person = _person(session.peer)
        if self.sessions.pop(session_id, None) is not None and person is not None:
            self._people[person] -= 1
            if not self._people[person]:
                del self._people[person]
        if isinstance(session.peer, DevicePeer) and self.devices.get(session.peer.pdid) is session:
            del self.devices[session.peer.pdid]
            self._offline(session.peer.pdid)

    def count(self, peer: Peer | None) -> int:
        """How many sessions that user or guest has."""
        person = _person(peer)
        return 0 if person is None else self._people[person]

    def registered(self, session: Joined, there: bool) -> None:
        """Whether *session*, a device's, has its whole prefix registered now."""
        assert isinstance(session.peer, DevicePeer)
        pdid = session.peer.pdid
        if self.devices.get(pdid) is not session or there == (pdid in self.online):
            return
        if there:
            self.online.add(pdid)
            self._presence(pdid, True)
        else:
            self._offline(pdid)

    def device_of(self, uri: str) -> DevicePeer | None:
        """The connected device in whose space *uri* lies."""
        for pdid in candidates(uri):
            session = self.devices.get(pdid)
            if session is not None:
                peer: DevicePeer = session.peer
                return peer
        return None

    def _offline(self, pdid: str) -> None:
        if pdid in self.online:
            self.online.discard(pdid)
            self._presence(pdid, False)


def _person(peer: Peer | None) -> tuple[str, str] | None:
    match peer:
        case UserPeer():
            return "user", peer.name
        case GuestPeer():
            return "guest", peer.invitation
    return None
