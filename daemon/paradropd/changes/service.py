"""Takes changes, does them one after the other for each chute, and brings back what ran before when one fails.

The life of a change::

    accepted ──► planned ──► running ──► done
                    │           ├──────► rolled back    what ran before runs again
                    └───────────┴──────► failed         nothing that ran was touched, or there is nothing to go back to

A change is written to the database before it is begun, and before and after each step.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from paradrop.base.exceptions import Conflict, InteralException, InvalidInput, ParadropException
from paradrop.base.seams import WallClock
from paradrop.manifest import parse
from paradrop.manifest.model import Manifest
from paradrop.source import SourceLimits, check_tree
from paradrop.values import ChangeKind, ChangeRecord, ChangeState, SourceTree, StepRecord, StepState, Want
from paradropd.blobs import Blobs
from paradropd.changes.plan import plan, plan_removal, plan_restart, touches
from paradropd.changes.steps import Step, Tidy
from paradropd.changes.store import ChangeStore
from paradropd.chutes.keeper import Keeper
from paradropd.chutes.model import Chute
from paradropd.chutes.store import ChuteStore
from paradropd.engine.port import Engine, InstanceState

log = Logger(namespace="paradropd.changes")

MANIFEST = "paradrop.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What a change is to do: how to plan it, and how to plan the way back."""

    record: ChangeRecord
    steps: Callable[[tuple[InstanceState, ...]], tuple[Step, ...]]
    back: Callable[[tuple[InstanceState, ...]], tuple[Step, ...]]
    """Plans the way back after a failure; an empty plan where there is none."""


class Changes:
    """Everything that alters a chute goes through here."""

    def __init__(
        self,
        *,
        wall: WallClock,
        engine: Engine,
        chutes: ChuteStore,
        store: ChangeStore,
        blobs: Blobs,
        keeper: Keeper,
        perform: Callable[[Step], Any],
        announce: Callable[[ChangeRecord], Any],
        gone: Callable[[str], Any],
        limits: SourceLimits,
    ) -> None:
        """*announce*: told each new revision of a record; *gone*: the name of each chute that is not there any more."""
        self._wall = wall
        self._engine = engine
        self._chutes = chutes
        self._store = store
        self._blobs = blobs
        self._keeper = keeper
        self._perform = perform
        self._announce = announce
        self._gone = gone
        self._limits = limits
        self._running: dict[str, Deferred[None]] = {}

    # What can be asked for.

    def deploy(self, tree: SourceTree, actor: str) -> ChangeRecord:
        """Run the chute whose source is *tree*, instead of the release of it that runs now.

        Raises ``InvalidSource``, ``InvalidManifest``, :class:`InvalidInput` when content is missing, :class:`Conflict` when
        another chute has one of its ports.
        """
        check_tree(tree, self._limits)
        missing = self._blobs.missing([entry.sha256 for entry in tree.entries])
        if missing:
            raise InvalidInput(f"the content of {len(missing)} files has not been sent")
        for entry in tree.entries:
            if self._blobs.size(entry.sha256) != entry.size:
                raise InvalidInput(f"{entry.path}: its content has {self._blobs.size(entry.sha256)} bytes, not {entry.size}")
        manifest = self._manifest(tree)
        self._refuse_taken_ports(manifest)
        release = self._chutes.add_release(manifest, tree)
        before = self._chutes.find(manifest.name)
        want = Chute(want=Want.RUNNING, release=release)
        return self._accept(
            self._record(ChangeKind.DEPLOY, want, actor),
            lambda have: plan(have, want),
            lambda have: self._way_back(have, manifest.name, before),
        )

    def start(self, name: str, actor: str) -> ChangeRecord:
        """Raises :class:`ChuteNotFound`, like its siblings."""
        before = self._chutes.get(name)
        want = replace(before, want=Want.RUNNING)
        return self._accept(
            self._record(ChangeKind.START, want, actor),
            lambda have: plan(have, want),
            lambda have: () if before.want is Want.RUNNING else self._way_back(have, name, before),
        )

    def stop(self, name: str, actor: str) -> ChangeRecord:
        want = replace(self._chutes.get(name), want=Want.STOPPED)
        return self._accept(self._record(ChangeKind.STOP, want, actor), lambda have: plan(have, want), lambda have: ())

    def restart(self, name: str, actor: str) -> ChangeRecord:
        want = replace(self._chutes.get(name), want=Want.RUNNING)
        return self._accept(self._record(ChangeKind.RESTART, want, actor), lambda have: plan_restart(have, want), lambda have: ())

    def remove(self, name: str, keep_data: bool, actor: str) -> ChangeRecord:
        chute = self._chutes.get(name)
        return self._accept(
            self._record(ChangeKind.REMOVE, chute, actor),
            lambda have: plan_removal(have, name, keep_data=keep_data),
            lambda have: (),
        )

    def abandon(self) -> None:
        """Give a final state to what the last daemon left behind: what is wanted is unchanged, and is brought back anyway."""
        for record in self._store.unfinished():
            reason = "paradropd was stopped in the middle of it"
            self._save(replace(record, state=ChangeState.FAILED, reason=reason, retry=True, finished=self._wall()))

    async def stopped(self) -> None:
        """Wait for what is running."""
        for running in list(self._running.values()):
            await running

    # How it is done.

    def _manifest(self, tree: SourceTree) -> Manifest:
        for entry in tree.entries:
            if entry.path == MANIFEST:
                return parse(self._blobs.path(entry.sha256).read_bytes())
        raise InvalidInput(f"there is no {MANIFEST} at the top of the chute's folder")

    def _refuse_taken_ports(self, manifest: Manifest) -> None:
        ours = {(port.external, port.protocol) for service in manifest.services for port in service.ports}
        for chute in self._chutes.all():
            theirs = {(port.external, port.protocol) for service in chute.release.manifest.services for port in service.ports}
            if chute.name != manifest.name and ours & theirs:
                port, protocol = min(ours & theirs)
                raise Conflict(f"port {port}/{protocol} of the device is taken by the chute {chute.name!r}")

    def _record(self, kind: ChangeKind, want: Chute, actor: str) -> ChangeRecord:
        return ChangeRecord(
            id=secrets.token_hex(4),
            kind=kind,
            chute=want.name,
            version=want.release.manifest.version,
            state=ChangeState.ACCEPTED,
            created=self._wall(),
            actor=actor,
        )

    def _accept(
        self,
        record: ChangeRecord,
        steps: Callable[[tuple[InstanceState, ...]], tuple[Step, ...]],
        back: Callable[[tuple[InstanceState, ...]], tuple[Step, ...]],
    ) -> ChangeRecord:
        self._store.save(record)
        job = _Job(record=record, steps=steps, back=back)
        running = Deferred.fromCoroutine(self._run(job))
        self._running[record.id] = running
        running.addErrback(lambda failure: log.failure("change {id}", failure, id=record.id))
        running.addBoth(lambda _: self._running.pop(record.id, None))
        return self._store.get(record.id)

    async def _run(self, job: _Job) -> None:
        name = job.record.chute
        lock = self._keeper.lock(name)
        await lock.acquire()
        try:
            progress = _Progress(job.record, self._save, self._wall)
            try:
                steps = job.steps(await self._look(name))
                progress.planned(steps)
                for step in steps:
                    await progress.do(step, self._perform)
            except Exception as problem:  # noqa: BLE001 - whatever happens, the change reaches a final state
                await self._fail(job, progress, problem)
            else:
                self._keeper.settled(name)
                progress.end(ChangeState.DONE)
        finally:
            lock.release()
            if self._chutes.find(name) is None:
                self._keeper.gone(name)
                self._gone(name)
            else:
                self._keeper.look_after(name)

    async def _fail(self, job: _Job, progress: _Progress, problem: Exception) -> None:
        reason = _reason(problem)
        progress.failed()
        touched = touches(progress.begun)
        try:
            back = job.back(await self._look(job.record.chute))
            progress.way_back(back)
            for step in back:
                await progress.do(step, self._perform)
        except Exception as worse:  # noqa: BLE001 - as above
            progress.failed()
            progress.end(ChangeState.FAILED, f"{reason}\nand going back failed: {_reason(worse)}", _may_retry(problem))
            return
        ran_before = self._chutes.find(job.record.chute) is not None and job.record.kind is ChangeKind.DEPLOY
        state = ChangeState.ROLLED_BACK if touched and ran_before else ChangeState.FAILED
        progress.end(state, reason, _may_retry(problem))

    def _way_back(self, have: tuple[InstanceState, ...], name: str, before: Chute | None) -> tuple[Step, ...]:
        if before is None:
            # The log stays: it tells why there is nothing.
            return plan_removal(have, name, keep_log=True)
        steps = plan(have, before)
        return (*steps, Tidy(name)) if steps and steps[-1] != Tidy(name) else steps

    async def _look(self, name: str) -> tuple[InstanceState, ...]:
        return tuple(state for state in await self._engine.instances() if state.key.chute == name)

    def _save(self, record: ChangeRecord) -> None:
        """Write it down and tell everybody. A full disk must not stop what is under way: then it is only told."""
        try:
            self._store.save(record)
        except ParadropException as problem:
            log.warn("change {id} could not be written down: {problem}", id=record.id, problem=problem)
        self._announce(record)


class _Progress:
    """The record of one change, as it goes on."""

    def __init__(self, record: ChangeRecord, save: Callable[[ChangeRecord], None], wall: WallClock) -> None:
        self.record = record
        self.begun: list[Step] = []
        self._save = save
        self._wall = wall
        self._steps: list[StepRecord] = []
        self._next = 0

    def planned(self, steps: Iterable[Step]) -> None:
        self._steps = [StepRecord(title=step.title) for step in steps]
        self._update(state=ChangeState.PLANNED)

    def way_back(self, steps: Iterable[Step]) -> None:
        """What was not planned, and is to be done now."""
        self._next = len(self._steps)
        self._steps += [StepRecord(title=f"go back: {step.title}") for step in steps]

    async def do(self, step: Step, perform: Callable[[Step], Any]) -> None:
        """The next step, written down before and after."""
        self.begun.append(step)
        self._mark(StepState.RUNNING, started=self._wall())
        await perform(step)
        self._mark(StepState.DONE, finished=self._wall())
        self._next += 1

    def failed(self) -> None:
        """The step that was under way has failed; those after it are not done."""
        if self._next < len(self._steps):
            self._mark(StepState.FAILED, finished=self._wall())
            del self._steps[self._next + 1 :]

    def end(self, state: ChangeState, reason: str = "", retry: bool = False) -> None:
        self._update(state=state, reason=reason, retry=retry, finished=self._wall())

    def _mark(self, state: StepState, *, started: float | None = None, finished: float | None = None) -> None:
        step = self._steps[self._next]
        self._steps[self._next] = replace(step, state=state, started=started or step.started, finished=finished)
        self._update(state=ChangeState.RUNNING)

    def _update(self, **changed: Any) -> None:
        self.record = replace(self.record, steps=tuple(self._steps), revision=self.record.revision + 1, **changed)
        self._save(self.record)


def _reason(problem: Exception) -> str:
    if isinstance(problem, ParadropException):
        return str(problem)
    log.failure("a step failed in an unforeseen way")
    return str(InteralException())


def _may_retry(problem: Exception) -> bool:
    return isinstance(problem, ParadropException) and problem.retry
