"""What was denied and what was administered, on its way to the audit log."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from paradrop import uris
from paradrop.base.exceptions import DeviceNotFoundException, NotPermitted, ParadropException, TooManyAttempts
from paradrop.procedure import Handler, Procedure
from pdserver.callers import Caller, whose
from pdserver.detached import detached
from pdserver.registry import Registry
from pdserver.registry.records import NewAuditEntry

log = Logger(namespace="pdserver")

WRITE_EVERY = 1.0
"""Seconds between writes of what was denied."""
BURST = 200
"""Entries about denied attempts that are written one by one …"""
RATE = 1.0
"""… and how many more a second after that; what comes faster is counted together, or a stranger could fill the disk."""
CHANGES_BURST = 100
"""What somebody who is no administrator may change in one go …"""
CHANGES_RATE = 0.1
"""… and how much more a second after that: each change is an entry of its own, and none is done that is not written down."""
WAITING = 5_000
"""Entries of each kind, denied and administrative, that are kept while the database is away."""
SHOWN = 200
"""Characters of what somebody sent that are written down."""

OTHERS = "others"

AUDITED = frozenset(
    {
        uris.DEVICES_CREATE,
        uris.DEVICES_REMOVE,
        uris.DEVICES_INVITE,
        uris.DEVICES_LEFT,
        uris.USERS_ADD,
        uris.USERS_INVITE,
        uris.USERS_REMOVE,
        uris.USERS_FORGET_KEY,
        uris.USERS_GRANT,
        uris.USERS_REVOKE,
        uris.GROUPS_ADD,
        uris.GROUPS_REMOVE,
        uris.GROUPS_JOIN,
        uris.GROUPS_LEAVE,
        uris.WANTED_FORGET,
        uris.SERVER_ACCEPT,
    }
)
"""The procedures that change who may do what, or what is there."""


class Denials:
    """Denied attempts since they were last taken, the same ones counted together: pure.

    A bucket of :data:`BURST` entries fills at :data:`RATE` a second.
    """

    def __init__(self, now: float) -> None:
        self._room = float(BURST)
        self._filled = now
        self._entries: dict[tuple[str, str, str, str], NewAuditEntry] = {}

    def add(self, now: float, who: str, action: str, what: str, detail: str = "", times: int = 1) -> None:
        self._room = min(float(BURST), self._room + (now - self._filled) * RATE)
        self._filled = now
        key = (who[:SHOWN], action, what[:SHOWN], detail[:SHOWN])
        if key not in self._entries and self._room < 1:
            # One entry for all of an action that there is no room for.
            key = (OTHERS, action, "", "too many different attempts to write each down")
        elif key not in self._entries:
            self._room -= 1
        known = self._entries.get(key)
        if known is not None:
            self._entries[key] = replace(known, times=known.times + times)
        else:
            who, action, what, detail = key
            self._entries[key] = NewAuditEntry(
                who=who, action=action, what=what, allowed=False, detail=detail, times=times, at=now
            )

    def take(self) -> list[NewAuditEntry]:
        entries = list(self._entries.values())
        self._entries.clear()
        return entries


class Pace:
    """A bucket of :data:`CHANGES_BURST` changes for each of those who make some, which fills at :data:`CHANGES_RATE`: pure."""

    def __init__(self) -> None:
        self._full: dict[str, float] = {}
        """When the bucket of each is full again."""

    def take(self, now: float, who: str) -> bool:
        """Whether *who* may change something now."""
        if len(self._full) >= BURST:
            self._full = {name: full for name, full in self._full.items() if full > now}
        full = max(now, self._full.get(who, now)) + 1 / CHANGES_RATE
        if full - now > CHANGES_BURST / CHANGES_RATE:
            return False
        self._full[who] = full
        return True


class Audit:
    """The audit log's writer. What is denied is written a moment later; what was administered, before its caller hears of it."""

    def __init__(self, clock: IReactorTime, wall: Any, registry: Registry) -> None:
        self._wall = wall
        self._registry = registry
        self._denials = Denials(wall())
        self._pace = Pace()
        self._clock = clock
        self._unwritten: list[NewAuditEntry] = []
        self._unwritten_denials: list[NewAuditEntry] = []
        self._running: set[Deferred[None]] = set()
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self.write()))
        self._loop.clock = clock

    def start(self) -> None:
        self._loop.start(WRITE_EVERY, now=False)

    async def stop(self) -> None:
        """Let what is under way end, write the last, and stop."""
        if self._loop.running:
            self._loop.stop()
        for running in list(self._running):
            await running
        await self.write()

    def denied(self, who: str, action: str, what: str, detail: str, times: int = 1) -> None:
        self._denials.add(self._wall(), who, action, what, detail, times)

    async def done(self, who: str, action: str, what: str, detail: str = "") -> None:
        """Somebody did, or failed to do, something that is always written down."""
        entry = NewAuditEntry(who=who, action=action, what=what[:SHOWN], allowed=True, detail=detail[:SHOWN], at=self._wall())
        self._unwritten.append(entry)
        await self.write()

    async def write(self) -> None:
        """Write down what there is; what cannot be written stays for the next time."""
        done, denied = self._unwritten, [*self._unwritten_denials, *self._denials.take()]
        if not done and not denied:
            return
        self._unwritten, self._unwritten_denials = [], []
        try:
            await self._registry.record([*done, *denied])
        except ParadropException as problem:
            log.warn("the audit log is written later: {problem}", problem=problem)
            # Each kind has its own room: whoever is denied often enough must not make the log forget what was administered.
            self._unwritten = [*done, *self._unwritten][:WAITING]
            self._unwritten_denials = [*denied, *self._unwritten_denials][:WAITING]

    def audited(self, procedures: Mapping[str, Procedure]) -> dict[str, Procedure]:
        """*procedures*, with everything of :data:`AUDITED` written down: who, on what, and how it ended; and of every one what
        was denied."""
        return {uri: replace(declared, handler=self._watched(declared)) for uri, declared in procedures.items()}

    def _now(self) -> float:
        return float(self._clock.seconds())

    def _watched(self, declared: Procedure) -> Handler:
        action = declared.name.removeprefix(uris.SERVER)

        async def watched(caller: Caller, *args: Any, **kwargs: Any) -> Any:
            what = " ".join(str(value) for value in (*args, *kwargs.values()))
            try:
                if declared.name in AUDITED and not caller.administrator and not self._pace.take(self._now(), whose(caller)):
                    raise TooManyAttempts(f"{caller.name} has changed too much in a short time; wait a minute, and try again")
                answer = await declared.handler(caller, *args, **kwargs)
            except ParadropException as problem:
                if is_denial(caller, problem) or (declared.name in AUDITED and not caller.administrator):
                    # Whatever fails costs whoever tries it nothing: counted together, or it would fill the log.
                    self.denied(whose(caller), action, what, str(problem))
                elif declared.name in AUDITED:
                    await self.done(whose(caller), action, what, f"failed: {problem}")
                raise
            if declared.name in AUDITED:
                await self.done(whose(caller), action, what, getattr(answer, "subject", ""))
            return answer

        @functools.wraps(declared.handler)
        async def handler(caller: Caller, *args: Any, **kwargs: Any) -> Any:
            work = watched(caller, *args, **kwargs)
            # A caller who cancels, or goes, must not keep a change from being written down, and its sessions from being ended.
            return await (detached(work, self._running) if declared.name in AUDITED else work)

        return handler


def is_denial(caller: Caller, problem: ParadropException) -> bool:
    """Whether *problem* says that *caller* may not. For a device that they may not even see it says that there is none."""
    return isinstance(problem, NotPermitted) or (isinstance(problem, DeviceNotFoundException) and not caller.administrator)
