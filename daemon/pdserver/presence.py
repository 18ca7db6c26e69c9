"""Which devices are there, and who is on the node."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from paradrop.base.exceptions import NotFound, ParadropException, Unreachable
from paradrop.base.seams import WallClock
from pdserver.authenticator import outdated
from pdserver.gate import names
from pdserver.gate.names import WampRole
from pdserver.link import Link
from pdserver.registry import Registry
from pdserver.registry.directory import Directory
from pdserver.registry.records import DeviceRecord

log = Logger(namespace="pdserver")

WRITE_EVERY = 3.0
"""Seconds between writes of when devices were seen: one statement for all of them."""


class Presence:
    """The devices that are online, as the gate says."""

    def __init__(self, wall: WallClock, changed: Callable[[str, bool], None]) -> None:
        """*changed*: told each device that came or went."""
        self.online: set[str] = set()
        self._wall = wall
        self._changed = changed
        self._seen: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def set(self, pdid: str, online: bool) -> None:
        """A device came or went. One that came back without having gone is told, too: its link is new."""
        if online:
            self.online.add(pdid)
        elif pdid in self.online:
            self.online.remove(pdid)
        else:
            return
        self._seen[pdid] = self._last[pdid] = self._wall()
        self._changed(pdid, online)

    def reset(self, online: Iterable[str]) -> None:
        """Those, and no others, are there: after a time in which nothing was heard."""
        there = set(online)
        for pdid in self.online - there:
            self.set(pdid, False)
        for pdid in there:
            self.set(pdid, True)

    def forget(self, pdid: str) -> None:
        """The device is none any more."""
        self.online.discard(pdid)
        self._seen.pop(pdid, None)
        self._last.pop(pdid, None)

    def seen(self, device: DeviceRecord) -> float | None:
        """When *device* last came or went, written down or not."""
        return self._last.get(device.pdid, device.seen)

    def take_seen(self) -> dict[str, float]:
        """When each device that came or went since the last time was seen."""
        seen, self._seen = self._seen, {}
        return seen

    def give_back(self, seen: dict[str, float]) -> None:
        """What :meth:`take_seen` gave could not be written down."""
        self._seen = {**seen, **self._seen}


class SeenWriter:
    """Writes down when devices were seen."""

    def __init__(self, clock: IReactorTime, presence: Presence, registry: Registry) -> None:
        self._presence = presence
        self._registry = registry
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self.write()))
        self._loop.clock = clock

    def start(self) -> None:
        self._loop.start(WRITE_EVERY, now=False)

    async def stop(self) -> None:
        """Write the last, and stop."""
        if self._loop.running:
            self._loop.stop()
        await self.write()

    async def write(self) -> None:
        seen = self._presence.take_seen()
        if not seen:
            return
        try:
            await self._registry.seen(seen)
        except ParadropException as problem:
            log.debug("when devices were seen is written down later: {problem}", problem=problem)
            self._presence.give_back(seen)


class Sessions:
    """Who is on the node, and who must go."""

    def __init__(self, link: Link, directory: Directory) -> None:
        self._link = link
        self._directory = directory

    async def close(self, role: WampRole, authids: Iterable[str], reason: str, spared: int | None = None) -> None:
        """End the sessions of those but *spared*, so that they come back with what they are now, or not at all."""
        concerned = set(authids)
        await self._close(lambda row: row[1] == role and row[2] in concerned and row[0] != spared, reason)

    async def key_of(self, session: int | None) -> str:
        """The public key by which that session came in; empty when it is not there any more. Raises what the call does."""
        return next((str(row[3]) for row in await self._link.call(names.SESSIONS) if row[0] == session), "")

    async def end(self, session: int, reason: str) -> None:
        """End that one."""
        await self._end([session], reason)

    async def end_all(self, reason: str) -> None:
        """End everybody's."""
        await self._close(lambda row: True, reason)

    async def compare(self) -> None:
        """End the sessions of who was removed, or changed, while the server was away."""
        await self._close(lambda row: outdated(self._directory, *row[1:]), "what you are here has changed")

    async def joined(self, details: dict[str, Any]) -> None:
        """Look at one that has just joined: between its challenge and its answer somebody may have removed it."""
        extra = details.get("authextra") or {}
        key, stamp = str(extra.get("pubkey", "")), str(extra.get("stamp", ""))
        if outdated(self._directory, str(details.get("authrole")), str(details.get("authid")), key, stamp):
            await self._end([details["session"]], "what you are here has changed")

    async def _close(self, concerned: Callable[[Any], bool], reason: str) -> None:
        try:
            rows = await self._link.call(names.SESSIONS)
        except (Unreachable, NotFound):
            return  # no node, or no gate on it yet: then nobody is in, and the directory is asked of whoever comes
        await self._end([row[0] for row in rows if concerned(row)], reason)

    async def _end(self, sessions: list[Any], reason: str) -> None:
        if not sessions:
            return
        try:
            await self._link.call(names.CLOSE, sessions, reason)
        except (Unreachable, NotFound):
            return
