"""Everything the gate knows and decides by, in one place; its sessions, roles and connections all hold this."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall

from paradrop.base.exceptions import TooManyAttempts
from paradrop.routing.notices import Notices
from paradrop.routing.quota import Quota
from pdserver import access
from pdserver.gate.connections import address
from pdserver.gate.demand import Demand, Pattern
from pdserver.gate.denials import Denials
from pdserver.gate.fleet import Fleet
from pdserver.gate.relay import Relay
from pdserver.gate.settings import GateSettings
from pdserver.gate.strangers import Strangers

Decide = Callable[[str, str, str, str, str], Awaitable[Any]]
"""``authrole, authid, action, uri, match`` → whether, by the server's directory."""


class Guard:
    """The books of one realm."""

    def __init__(
        self,
        clock: Any,
        router: Any,
        settings: GateSettings,
        *,
        decide: Decide,
        want: Callable[[str, list[Pattern]], Awaitable[None]],
        presence: Callable[[str, bool], None],
    ) -> None:
        """*want*: tell a device what is wanted of it. *presence*: tell the server who is there."""
        self.clock = clock
        self.settings = settings
        self.notices = Notices(clock.seconds)
        self.denials = Denials()
        self.quota = Quota(router, settings.limits)
        self.fleet = Fleet(self._present)
        self.relay = Relay(clock, Demand(), lambda: self.fleet.online, want, settings.coalesce)
        self.strangers = Strangers(clock, settings.patience, settings.strangers, settings.stranger_bytes, self._dropped)
        self._guests: dict[Any, IDelayedCall] = {}
        self._decide = decide
        self._presence = presence

    def joined(self, session: Any) -> None:
        """*session* is a member of the realm from now on."""
        if session.peer is None:
            self.denied(session._authrole or "", session._authid or "", "login", "", "it is none of the known roles")
            session.end("wamp.close.killed", "nobody knows what you are")
        elif not isinstance(session.peer, access.ServerPeer):
            older = self.fleet.joined(session)
            if older is not None:
                older.end("wamp.close.killed", "the same device has joined again")
            self._bound(session)

    def _bound(self, session: Any) -> None:
        """People and guests do not replace themselves, so that the newest has to go when there are too many."""
        if isinstance(session.peer, access.DevicePeer):
            return
        guest = isinstance(session.peer, access.GuestPeer)
        most = self.settings.guest_sessions if guest else self.settings.user_sessions
        if self.fleet.count(session.peer) > most:
            self.denied(session._authrole, session._authid, "login", "", f"{most} sessions are open already")
            session.end("wamp.close.killed", f"you have {most} sessions already; close one of them")
        elif guest:
            ended = "wamp.close.killed", "an invitation is accepted at once, or later by another session"
            self._guests[session] = self.clock.callLater(self.settings.guest_time, session.end, *ended)

    def left(self, session: Any, session_id: int) -> None:
        self.fleet.left(session, session_id)
        due = self._guests.pop(session, None)
        if due is not None and due.active():
            due.cancel()

    def close(self, sessions: list[int], reason: str) -> int:
        """End those sessions at once. Returns how many there were."""
        found = [self.fleet.sessions[each] for each in sessions if each in self.fleet.sessions]
        for session in found:
            session.end("wamp.close.killed", reason)
        return len(found)

    def elsewhere(self, session: Any, action: str, uri: str) -> bool:
        """Whether only the server can say if *session* may, because the device in question is not connected."""
        return access.elsewhere(session.peer, action, uri) and self.fleet.device_of(uri) is None

    def ask(self, session: Any, action: str, uri: str, match: str) -> Deferred[dict[str, bool]]:
        """The router's decision about *session*, made by the server. Fails while the server is away."""
        return ensureDeferred(self._ask(session, action, uri, match))

    async def _ask(self, session: Any, action: str, uri: str, match: str) -> dict[str, bool]:
        if len(session.asking) >= self.settings.decisions:
            raise TooManyAttempts(f"a session may ask {self.settings.decisions} things of devices that are away at a time")
        joined_as = session._session_id
        asked = object() if session.current is None else session.current
        session.asking[id(asked)] = asked
        try:
            allow = await self._decide(session._authrole, session._authid, action, uri, match) is True
        finally:
            session.asking.pop(id(asked), None)
        if session._session_id != joined_as:
            allow = False  # it has left since: the router would keep what it is given for it
        elif not allow:
            self.denied_to(session, action, uri)
        elif action == "subscribe":
            self.clock.callLater(0, session.look_at_subscriptions)
        return {"allow": allow, "disclose": True, "cache": False}

    def denied_to(self, session: Any, action: str, uri: str) -> None:
        self.denied(session._authrole or "", session._authid or "", action, uri)

    def denied(self, authrole: str, authid: str, action: str, uri: str, detail: str = "") -> None:
        self.denials.add(authrole, authid, action, uri, detail)

    def stop(self) -> None:
        """Leave no timer behind."""
        while self._guests:
            self._guests.popitem()[1].cancel()
        self.strangers.stop()
        self.relay.stop()

    def _present(self, pdid: str, online: bool) -> None:
        if online:
            self.relay.joined(pdid)
        else:
            self.relay.left(pdid)
        self._presence(pdid, online)

    def _dropped(self, connection: Any, reason: str) -> None:
        self.notices.say(address(connection), reason)
