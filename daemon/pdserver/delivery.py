"""Handing to devices that came back what was deployed while they were away.

Theory: what is wanted is in the database, with its state, and that is written before and after each step. ::

    waiting ──▶ delivering ──▶ delivered        the device has taken it over as a change of its own
       ▲            │  └─────▶ failed           the device refused it
       └────────────┘ the link went away, or this server did

Only one step cannot be repeated without a trace: ``chutes.deploy``. Before it, the newest change that the device knows of the
chute is written down as a mark; whoever comes by later and finds the mark looks whether the device has a newer deploy of that
version, and takes that for the answer that was lost. Nothing here compares two machines' clocks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from paradrop import uris
from paradrop.base.exceptions import NotFound, ParadropException
from paradrop.base.seams import WallClock
from paradrop.source import read_piece
from paradrop.source.sending import send
from paradrop.values import ChangeKind, ChangeRecord, ChangeState, SourceTree, WantedState, plain, read
from pdserver.link import Link
from pdserver.registry import Registry
from pdserver.registry.records import WantedRecord
from pdserver.wanted import WantedBook

log = Logger(namespace="pdserver")

AT_ONCE = 16
"""Devices that are delivered to at the same time."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a delivery is tried again, doubling."""
SLOW = 60.0
"""Seconds for what a device may have to think about: taking in a whole source tree."""
LOOKED_BACK = 50
"""Changes of a chute that are looked through for one of ours."""
NOTHING_YET = "none"
"""The mark on a device that knows no change of the chute."""
TURN = 300.0
"""Seconds for which one delivery may keep its turn: others wait. What was sent by then stays on the device, and it goes on from
there when it is its turn again."""
FOLLOWED = 1800.0
"""Seconds for which a change that was delivered is looked at, to know how it ended."""


class RemoteDevice:
    """One device's procedures, over the server's own session."""

    def __init__(self, link: Link, pdid: str) -> None:
        self._link = link
        self._space = uris.device_space(pdid)

    async def blobs_missing(self, digests: list[str]) -> list[str]:
        return read(list[str], await self._link.call(self._space + uris.BLOBS_MISSING, digests, deadline=SLOW))

    async def put_blob(self, digest: str, size: int, offset: int, data: bytes) -> int:
        answer = await self._link.call(self._space + uris.BLOBS_PUT, digest, size, offset, data)
        return int(read(dict[str, int], answer)["have"])

    async def deploy(self, tree: SourceTree) -> ChangeRecord:
        return read(ChangeRecord, await self._link.call(self._space + uris.CHUTES_DEPLOY, plain(tree), deadline=SLOW))

    async def changes(self, chute: str, limit: int) -> list[ChangeRecord]:
        answer = await self._link.call(self._space + uris.CHANGES_LIST, limit=limit, chute=chute)
        return read(list[ChangeRecord], answer)

    async def change(self, change: str) -> ChangeRecord:
        return read(ChangeRecord, await self._link.call(self._space + uris.CHANGES_GET, change))

    async def chutes(self) -> list[Any]:
        """As the device says it, plain."""
        return read(list[Any], await self._link.call(self._space + uris.CHUTES_LIST))


def taken_over(mark: str, version: str, changes: list[ChangeRecord]) -> ChangeRecord | None:
    """The deploy of *version* among *changes* (of one chute, the newest first) that is newer than the one called *mark*."""
    found = None
    for change in changes:
        if change.id == mark:
            break
        if change.kind is ChangeKind.DEPLOY and change.version == version:
            found = change  # the oldest after the mark: it came from us first
    return found


def may_help_to_repeat(problem: Exception) -> bool:
    """Whether the device has not refused it: it went away, its disk is full, or we did not even reach it."""
    return not isinstance(problem, ParadropException) or problem.retry or isinstance(problem, NotFound)


class Delivery:
    """One delivery at a time a device, :data:`AT_ONCE` devices at a time."""

    def __init__(
        self,
        *,
        clock: IReactorTime,
        wall: WallClock,
        registry: Registry,
        wanted: WantedBook,
        device: Callable[[str], RemoteDevice],
        online: Callable[[str], bool],
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._registry = registry
        self._wanted = wanted
        self._device = device
        self._online = online
        self._turns = DeferredSemaphore(AT_ONCE)
        self._running: dict[str, Deferred[None]] = {}
        self._following: dict[str, dict[str, Deferred[None]]] = defaultdict(dict)
        self._unended: dict[str, dict[str, WantedRecord]] = defaultdict(dict)
        """By device and chute: what was delivered, and has not ended there yet as far as we know."""
        self._stopped = False

    def wake(self, pdid: str) -> None:
        """The device is there; hand over what waits for it. Costs nothing when nothing does."""
        if self._stopped or not self._online(pdid):
            return
        for record in self._unended.get(pdid, {}).values():
            self._follow(record)
        if pdid not in self._running and self._wanted.waiting(pdid):
            self._start(self._running, pdid, self._serve(pdid), lambda: self.wake(pdid))

    def gone(self, pdid: str) -> None:
        """The device went: whatever is under way goes on when it comes back."""
        if pdid in self._running:
            self._running[pdid].cancel()
        for following in list(self._following.pop(pdid, {}).values()):
            following.cancel()

    def forget(self, pdid: str) -> None:
        """The device is none any more."""
        self._unended.pop(pdid, None)
        self.gone(pdid)

    async def stop(self) -> None:
        """Break off what is under way; the next server goes on with it."""
        self._stopped = True
        following = [each for some in self._following.values() for each in some.values()]
        for running in [*self._running.values(), *following]:
            running.cancel()
            await running

    def _start(self, where: dict[str, Deferred[None]], pdid: str, work: Any, then: Callable[[], None]) -> None:
        def ended(_: object) -> None:
            where.pop(pdid, None)
            then()

        running = Deferred.fromCoroutine(work)
        where[pdid] = running
        running.addErrback(lambda failure: None if failure.check(CancelledError) else failure)
        running.addErrback(lambda failure: log.failure("delivery to {pdid}", failure, pdid=pdid))
        running.addBoth(ended)

    async def _serve(self, pdid: str) -> None:
        pause = FIRST_PAUSE
        while self._online(pdid):
            await self._turns.acquire()
            try:
                if not await Deferred.fromCoroutine(self._deliver_next(pdid)).addTimeout(TURN, self._clock):
                    return
                pause = FIRST_PAUSE
                continue
            except Exception as problem:  # noqa: BLE001 - whatever it is, it waits, and is tried again
                log.warn("delivery to {pdid} is tried again: {problem}", pdid=pdid, problem=problem)
            finally:
                self._turns.release()
            await deferLater(self._clock, pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _deliver_next(self, pdid: str) -> bool:
        """Whether there was something; raises what it may help to repeat."""
        record = await self._wanted.next(pdid)
        if record is None:
            return False
        try:
            change = await self._hand_over(record)
        except CancelledError:
            await self._put_back(record, f"{pdid} went away")
            raise
        except Exception as problem:
            if may_help_to_repeat(problem):
                await self._put_back(record, str(problem))
                raise
            await self._wanted.set(record.id, WantedState.FAILED, reason=str(problem))
            return True
        if change is not None:
            delivered = await self._wanted.set(record.id, WantedState.DELIVERED, change=change.id)
            if delivered is not None:
                self._follow(delivered)
        return True

    async def _put_back(self, record: WantedRecord, reason: str) -> None:
        try:
            await self._wanted.set(record.id, WantedState.WAITING, reason=reason)
        except ParadropException:
            return  # it stays as delivering, and is looked for in the same way

    async def _hand_over(self, record: WantedRecord) -> ChangeRecord | None:
        """The change that the device makes of it; ``None`` when a newer one has taken its place meanwhile."""
        device = self._device(record.pdid)
        if record.change:
            taken = taken_over(record.change, record.version, await device.changes(record.chute, LOOKED_BACK))
            if taken is not None:
                return taken
        if await self._wanted.set(record.id, WantedState.DELIVERING) is None:
            return None
        tree = read(SourceTree, dict(record.tree))
        try:
            blobs = self._wanted.shelves.of(record.pdid)
            files = {entry.sha256: blobs.path(entry.sha256) for entry in tree.entries}
        except NotFound:
            await self._wanted.set(record.id, WantedState.FAILED, reason="its content is not on the server any more")
            return None
        await send(device, tree, files, read_piece, lambda have, total: None)
        known = await device.changes(record.chute, 1)
        mark = known[0].id if known else NOTHING_YET
        if await self._wanted.set(record.id, WantedState.DELIVERING, change=mark) is None:
            return None
        return await device.deploy(tree)

    def _follow(self, record: WantedRecord) -> None:
        following = self._following[record.pdid]
        self._unended[record.pdid][record.chute] = record
        if record.chute not in following:
            self._start(following, record.chute, self._until_it_ends(record.pdid, record.chute), lambda: None)

    async def _until_it_ends(self, pdid: str, chute: str) -> None:
        """Note how the device's change of that chute ends, and what the device has then."""
        pause, until = FIRST_PAUSE, self._clock.seconds() + FOLLOWED
        while self._clock.seconds() < until:
            await deferLater(self._clock, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            record = self._unended[pdid][chute]
            try:
                change = await self._device(pdid).change(record.change)
                if not change.state.final:
                    continue
                await self.look(pdid)
                reason = "" if change.state is ChangeState.DONE else f"{change.state}: {change.reason}"
                await self._wanted.set(record.id, WantedState.DELIVERED, reason=reason)
            except ParadropException as problem:
                if problem.retry:
                    continue
                log.warn("how {chute} ended on {pdid} is not known: {problem}", chute=chute, pdid=pdid, problem=problem)
            if self._unended[pdid].get(chute) is record:
                del self._unended[pdid][chute]
                return
            pause = FIRST_PAUSE  # a newer one was delivered meanwhile

    async def look(self, pdid: str) -> None:
        """Ask the device for its chutes, and remember them. Raises what the call does, and ``DatabaseUnavailable``."""
        await self._registry.remember_actual(pdid, await self._device(pdid).chutes(), self._wall())
