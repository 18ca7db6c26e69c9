"""The gate: a component of the Crossbar node that runs inside its router worker.

In the node's configuration, before the transports::

    {"type": "class", "classname": "pdserver.gate.component.Gate", "realm": "paradrop", "role": "server", "extra": {…}}

The roles ``device``, ``user`` and ``guest`` must be there, with no permission at all: until this component is up, and whenever it
cannot be, whoever gets in can do nothing.
"""

from __future__ import annotations

from typing import Any

from autobahn.wamp.types import CallOptions, PublishOptions, SessionDetails
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from paradrop.base.cxbr import BaseSession
from paradrop.uris import UPLINK_WANT, device_space
from pdserver.gate import names
from pdserver.gate.demand import Pattern
from pdserver.gate.denials import INTERVAL
from pdserver.gate.guard import Guard
from pdserver.gate.install import Installation
from pdserver.gate.pace import Pace
from pdserver.gate.settings import GateSettings

log = Logger(namespace="pdserver.gate")

DEADLINE = 10.0
"""Seconds that the server has for a decision, and a device for hearing what is wanted of it."""
TO_SERVER = PublishOptions(eligible_authrole=[str(names.WampRole.SERVER)])


class Gate(BaseSession):
    """The gate's session on the realm that it guards."""

    guard: Guard
    _installation: Installation | None = None
    _delivering: LoopingCall | None = None
    _pace: Pace | None = None

    async def onJoin(self, details: SessionDetails) -> None:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onJoin`."""
        super().onJoin(details)
        try:
            await self._start()
        except Exception:
            log.failure("the gate is not in its place: nobody is let in")
            self._stop()
            raise
        log.info("the gate is in its place")

    def onLeave(self, details: Any) -> Any:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onLeave`: without the gate, nobody may do anything."""
        self._stop()
        return super().onLeave(details)

    async def _start(self) -> None:
        router = self._transport._router
        clock = self._reactor = router._factory._reactor
        settings = GateSettings.read((self.config.extra if self.config else None) or {})
        self.guard = Guard(clock, router, settings, decide=self._decide, want=self._want, presence=self._presence)
        await self.stockRegister(self._sessions, names.SESSIONS)
        await self.stockRegister(self._close, names.CLOSE)
        await self.stockRegister(self._online, names.ONLINE)
        self._installation = Installation(router, self.guard)
        self._delivering = LoopingCall(lambda: ensureDeferred(self.guard.denials.deliver(self._deliver)))
        self._delivering.clock = clock
        self._delivering.start(INTERVAL, now=False)
        self._pace = Pace(clock)
        self._pace.start()

    def _stop(self) -> None:
        if self._installation is not None:
            self._installation.remove()
            self._installation = None
        if self._delivering is not None and self._delivering.running:
            self._delivering.stop()
        if self._pace is not None:
            self._pace.stop()
            self._pace = None
        if hasattr(self, "guard"):
            self.guard.stop()

    # What the server calls.

    def _sessions(self) -> list[list[Any]]:
        found = self.guard.fleet.sessions.items()
        return [
            [session_id, each._authrole, each._authid, each.public_key, (each._authextra or {}).get("stamp", "")]
            for session_id, each in found
        ]

    def _close(self, sessions: list[int], reason: str = "") -> int:
        return self.guard.close(sessions, reason)

    def _online(self) -> list[str]:
        return sorted(self.guard.fleet.online)

    # What the gate calls.

    async def _decide(self, authrole: str, authid: str, action: str, uri: str, match: str) -> Any:
        return await self.stockCall(names.DECIDE, authrole, authid, action, uri, match, options=CallOptions(timeout=DEADLINE))

    async def _want(self, pdid: str, wanted: list[Pattern]) -> None:
        uri = device_space(pdid) + UPLINK_WANT
        await self.stockCall(uri, [list(pattern) for pattern in wanted], options=CallOptions(timeout=DEADLINE))

    async def _deliver(self, rows: list[list[Any]]) -> None:
        await self.stockCall(names.DENIED, rows, options=CallOptions(timeout=DEADLINE))

    def _presence(self, pdid: str, online: bool) -> None:
        self.stockPublish(names.PRESENCE, pdid, online, options=TO_SERVER)
