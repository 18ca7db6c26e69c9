"""What is wanted of devices that were not there when somebody asked: the server's own state, and the words for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.logger import Logger

from paradrop.base.exceptions import InvalidInput, ModelNotFound, ParadropException
from paradrop.source import SourceLimits, tree_digest
from paradrop.source.admission import manifest_of
from paradrop.values import (
    ChangeKind,
    ChangeRecord,
    ChangeState,
    ChuteStatus,
    SourceTree,
    StepRecord,
    StepState,
    Wanted,
    WantedState,
    plain,
    read,
)
from pdserver.detached import detached
from pdserver.registry import Registry
from pdserver.registry.records import ActualRecord, WantedRecord
from pdserver.shelves import Shelves

log = Logger(namespace="pdserver")

PREFIX = "w-"
"""How the id of a change begins that is the server's and not a device's."""

OPEN = (WantedState.WAITING, WantedState.DELIVERING)


class WantedBook:
    """What is wanted, in the registry, with the source trees' contents on *shelves*; and in memory, who has something waiting."""

    def __init__(
        self, registry: Registry, shelves: Shelves, changed: Callable[[WantedRecord], None], limits: SourceLimits | None = None
    ) -> None:
        """*changed*: told each new state of what is wanted."""
        self.shelves = shelves
        self._registry = registry
        self._changed = changed
        self._limits = limits or SourceLimits()
        self._open: dict[str, dict[str, str]] = defaultdict(dict)
        """By device: the id of what waits, by chute."""

    async def load(self) -> None:
        """Know again what waits. Raises ``DatabaseUnavailable``."""
        self._open.clear()
        for record in await self._registry.wanted():
            self._note(record)

    def waiting(self, pdid: str) -> int:
        """How many chutes wait for that device."""
        return len(self._open.get(pdid, ()))

    async def take(self, pdid: str, tree: SourceTree, by: str) -> WantedRecord:
        """Keep *tree* for a device, instead of an older one of the same chute.

        Raises what :func:`~paradrop.source.admission.manifest_of` raises, and what the registry does.
        """
        manifest = manifest_of(tree, self.shelves.of(pdid), self._limits)
        record = await self._registry.want(pdid, manifest.name, manifest.version, plain(tree), tree_digest(tree), by)
        self._note(record)
        self._changed(record)
        return record

    async def of(self, pdid: str) -> list[WantedRecord]:
        """Without the trees."""
        return await self._registry.wanted(pdid)

    async def next(self, pdid: str) -> WantedRecord | None:
        """What has waited longest for that device."""
        if not self.waiting(pdid):
            return None
        records = [record for record in await self._registry.wanted(pdid) if record.state in OPEN]
        # The database knows: an answer of its own may have been lost, and what is asked for again and again is not there.
        self._open[pdid] = {record.chute: record.id for record in records}
        oldest = min(records, key=lambda record: (record.at, record.id), default=None)
        return await self._registry.wanted_by_id(oldest.id) if oldest is not None else None

    async def set(self, id: str, state: WantedState, *, change: str = "", reason: str = "") -> WantedRecord | None:
        """``None``: a newer one has taken its place. Goes on when the caller is cancelled: memory follows the database."""
        return await detached(self._set(id, state, change, reason))

    async def _set(self, id: str, state: WantedState, change: str, reason: str) -> WantedRecord | None:
        record = await self._registry.set_wanted(id, state, change=change, reason=reason)
        if record is not None:
            self._note(record)
            self._changed(record)
            if record.state not in OPEN:
                await self.tidy()
        return record

    async def forget(self, pdid: str, chute: str) -> None:
        """Raises ``ModelNotFound``, also for what has been delivered: that is the device's by now."""
        if chute not in self._open.get(pdid, {}):
            raise ModelNotFound(f"nothing of {chute} waits for {pdid}")
        await self._registry.forget_wanted(pdid, chute)
        self.gone(pdid, chute)
        await self.tidy()

    def gone(self, pdid: str, chute: str | None = None) -> None:
        """The device is not there any more, or what waited of that chute is not."""
        if chute is None:
            self._open.pop(pdid, None)
        else:
            self._open.get(pdid, {}).pop(chute, None)

    async def tidy(self) -> None:
        """Delete the contents that nothing needs any more."""
        try:
            self.shelves.keep_only(await self._registry.wanted_digests())
        except (ParadropException, OSError) as problem:
            log.warn("contents that are not needed any more stay for now: {problem}", problem=problem)

    def _note(self, record: WantedRecord) -> None:
        if record.state in OPEN:
            self._open[record.pdid][record.chute] = record.id
        else:
            self.gone(record.pdid, record.chute)


def as_change(record: WantedRecord) -> ChangeRecord:
    """What whoever deployed gets to see: a change of the server's own, which ends when the device takes over."""
    device = record.pdid
    waits, hands = f"waits for {device} to come back", f"is handed to {device}"
    change = ChangeRecord(
        id=record.id,
        kind=ChangeKind.DEPLOY,
        chute=record.chute,
        version=record.version,
        state=ChangeState.ACCEPTED,
        created=record.at,
        actor=record.by,
        reason=record.reason,
    )
    match record.state:
        case WantedState.WAITING:
            return replace(change, steps=(_step(waits, StepState.RUNNING), _step(hands, StepState.WAITING)))
        case WantedState.DELIVERING:
            return replace(change, revision=1, steps=(_step(waits, StepState.DONE), _step(hands, StepState.RUNNING)))
        case WantedState.DELIVERED:
            taken = f"{device} has taken it over as its change {record.change}"
            steps = (_step(waits, StepState.DONE), _step(taken, StepState.DONE))
            return replace(change, revision=2, state=ChangeState.DONE, steps=steps)
    failed = (_step(waits, StepState.DONE), _step(hands, StepState.FAILED))
    return replace(change, revision=2, state=ChangeState.FAILED, steps=failed)


def as_wanted(record: WantedRecord, actual: ActualRecord | None) -> Wanted:
    """Wanted beside actual."""
    return Wanted(
        pdid=record.pdid,
        chute=record.chute,
        version=record.version,
        state=record.state,
        by=record.by,
        at=record.at,
        change=record.change if record.state is WantedState.DELIVERED else record.id,
        reason=record.reason,
        actual=_words(record.chute, actual),
        actual_at=actual.at if actual is not None else None,
    )


def _words(chute: str, actual: ActualRecord | None) -> str:
    for data in actual.chutes if actual is not None else ():
        try:
            status = read(ChuteStatus, data)
        except InvalidInput:
            continue  # of a version that this one does not know how to read
        if status.name == chute:
            return f"{status.version}, {status.state}"
    return ""


def _step(title: str, state: StepState) -> Any:
    return StepRecord(title=title, state=state)
