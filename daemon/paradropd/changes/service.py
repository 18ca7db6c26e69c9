"""Takes changes, does them one after the other for each chute, and brings back what ran before when one fails.

The life of a change::

    accepted ──► planned ──► running ──► done
        │           │           ├──────► rolled back    what ran before runs again
        └───────────┴───────────┴──────► failed         nothing that ran was touched, or there is nothing to go back to

A change is written to the database before it is begun, and before and after each step. What it is to do is decided when its turn
has come, from what is there then: a change that waits does not know what the one before it leaves behind.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from paradrop.base.exceptions import ParadropException, StorageFull, Unreachable
from paradrop.base.seams import WallClock
from paradrop.manifest.model import Manifest
from paradrop.source import SourceLimits
from paradrop.source.admission import manifest_of
from paradrop.source.blobs import Blobs
from paradrop.values import ChangeKind, ChangeRecord, ChangeState, SourceTree
from paradropd.changes import task as task_module
from paradropd.changes.admission import refuse_taken_ports
from paradropd.changes.plan import touches
from paradropd.changes.progress import Perform, Progress, cut_short, may_retry, reason_of
from paradropd.changes.steps import Build, Step, Tidy
from paradropd.changes.store import ChangeStore
from paradropd.changes.task import Task
from paradropd.chutes.keeper import Keeper
from paradropd.chutes.model import Chute, Release
from paradropd.chutes.store import ChuteStore
from paradropd.engine.port import Engine, InstanceState

log = Logger(namespace="paradropd.changes")

ONE_ADDRESS = frozenset({"process"})
"""Engines whose instances have no address of their own: a port of one is a port of the device."""

CUT_SHORT = "paradropd was stopped in the middle of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    record: ChangeRecord
    decide: Callable[[], Task]
    release: Release | None = None
    """What a deploy has added."""


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
        perform: Perform,
        has_data: Callable[[str], bool],
        has_log: Callable[[str], bool],
        announce: Callable[[ChangeRecord], Any],
        gone: Callable[[str], Any],
        limits: SourceLimits,
        site_port: Callable[[], int | None] = lambda: None,
    ) -> None:
        """*has_data*, *has_log*: whether the device keeps data, a log of the chute of that name; *announce*: told each new
        revision of a record; *gone*: the name of each chute that is not there any more; *site_port*: the port of the device's
        own web site."""
        self._wall = wall
        self._engine = engine
        self._chutes = chutes
        self._store = store
        self._blobs = blobs
        self._keeper = keeper
        self._perform = perform
        self._has_data = has_data
        self._has_log = has_log
        self._announce = announce
        self._gone = gone
        self._limits = limits
        self._site_port = site_port
        self._running: dict[str, Deferred[None]] = {}
        self._deploying: dict[str, Manifest] = {}
        self._stopping = False

    # What can be asked for.

    def deploy(self, tree: SourceTree, actor: str) -> ChangeRecord:
        """Run the chute whose source is *tree*, instead of the release of it that runs now.

        Raises what :func:`manifest_of` raises, ``Conflict`` when another chute has one of its ports, ``StorageFull``, and
        :class:`Unreachable` while the daemon goes down.
        """
        manifest = manifest_of(tree, self._blobs, self._limits)
        self._refuse_taken_ports(manifest)
        release = self._chutes.add_release(manifest, tree)
        self._chutes.hold(release)
        try:
            return self._accept(
                ChangeKind.DEPLOY, release.chute, manifest.version, actor, lambda: self._deploying_task(release), release
            )
        except ParadropException:
            self._chutes.let_go(release)
            with suppress(StorageFull):  # or the next start of the daemon finds it
                self._chutes.drop_releases(release.chute, keep=set(self._chutes.numbers(release.chute)) - {release.number})
            raise

    def start(self, name: str, actor: str) -> ChangeRecord:
        """Raises ``ChuteNotFound``, ``StorageFull`` and :class:`Unreachable`, like its siblings; but :meth:`stop` and
        :meth:`remove` are taken when the disk is full, too: they are the way out of that."""
        return self._accept_for(name, ChangeKind.START, actor, task_module.starting)

    def stop(self, name: str, actor: str) -> ChangeRecord:
        return self._accept_for(name, ChangeKind.STOP, actor, task_module.stopping)

    def restart(self, name: str, actor: str) -> ChangeRecord:
        return self._accept_for(name, ChangeKind.RESTART, actor, task_module.restarting)

    def remove(self, name: str, keep_data: bool, actor: str) -> ChangeRecord:
        """Also the log that a first deploy which failed has left behind can be removed, by the name of its chute."""

        def decide() -> Task:
            chute = self._chutes.find(name)
            version = chute.release.manifest.version if chute is not None else ""
            return task_module.removing(name, version, keep_data=keep_data)

        if self._chutes.find(name) is None and self._has_log(name):
            return self._accept(ChangeKind.REMOVE, name, "", actor, decide)
        return self._accept_for(name, ChangeKind.REMOVE, actor, lambda chute: decide())

    # What the daemon's start and end ask for.

    def abandon(self) -> None:
        """Give a final state to what the last daemon left behind: what is wanted is unchanged, and is brought back anyway."""
        for record in self._store.unfinished():
            ended = replace(record, steps=cut_short(record.steps, self._wall()), revision=record.revision + 1)
            self._save(replace(ended, state=ChangeState.FAILED, reason=CUT_SHORT, retry=True, finished=self._wall()))

    async def tidy(self) -> None:
        """Delete what deploys that were cut short have left behind. What cannot be deleted is left to the next time."""
        for name in self._chutes.unfinished():
            async with self._keeper.lock(name):
                try:
                    await self._perform(Tidy(name))
                except Exception as problem:  # noqa: BLE001 - clearing up must not keep the daemon from starting
                    log.warn("{name}: {problem}", name=name, problem=reason_of(problem))
            self._keeper.look_after(name)

    async def end(self) -> None:
        """Take no more, and cut short what is under way: it fails and may be tried again; the next daemon brings back what is
        wanted, as after a power cut."""
        self._stopping = True
        # Those that wait first, or they would begin when the one before them ends.
        running = list(reversed(self._running.values()))
        for each in running:
            each.cancel()
        for each in running:
            await each

    # How it is done.

    def _refuse_taken_ports(self, manifest: Manifest) -> None:
        running = [chute.release.manifest for chute in self._chutes.all()]
        others = [*running, *self._deploying.values()]
        refuse_taken_ports(manifest, others, site=self._site_port(), shared=self._engine.name in ONE_ADDRESS)

    def _deploying_task(self, release: Release) -> Task:
        self._chutes.let_go(release)
        return task_module.deploying(release, self._chutes.find(release.chute), keep_data=self._has_data(release.chute))

    def _accept_for(self, name: str, kind: ChangeKind, actor: str, decide: Callable[[Chute], Task]) -> ChangeRecord:
        version = self._chutes.get(name).release.manifest.version
        return self._accept(kind, name, version, actor, lambda: decide(self._chutes.get(name)))

    def _accept(
        self, kind: ChangeKind, name: str, version: str, actor: str, decide: Callable[[], Task], release: Release | None = None
    ) -> ChangeRecord:
        if self._stopping:
            raise Unreachable("paradropd is being stopped")
        record = ChangeRecord(
            id=secrets.token_hex(4),
            kind=kind,
            chute=name,
            version=version,
            state=ChangeState.ACCEPTED,
            created=self._wall(),
            actor=actor,
        )
        if kind in (ChangeKind.STOP, ChangeKind.REMOVE):
            self._store.keep(record)
        else:
            self._store.save(record)
        self._announce(record)
        if release is not None:
            self._deploying[record.id] = release.manifest
        running = Deferred.fromCoroutine(self._run(_Job(record=record, decide=decide, release=release)))
        self._running[record.id] = running
        running.addErrback(lambda failure: log.failure("change {id}", failure, id=record.id))
        running.addBoth(lambda _: self._ended(record.id))
        return self._store.get(record.id)

    def _ended(self, change: str) -> None:
        self._running.pop(change, None)
        self._deploying.pop(change, None)

    async def _run(self, job: _Job) -> None:
        name = job.record.chute
        lock = self._keeper.lock(name)
        progress = Progress(job.record, self._save, self._perform, self._wall)
        try:
            await lock.acquire()
        except CancelledError:
            progress.end(ChangeState.FAILED, CUT_SHORT, retry=True)
            return
        try:
            await self._do(job, progress)
        except CancelledError:
            progress.failed()
            progress.end(ChangeState.FAILED, CUT_SHORT, retry=True)
        finally:
            # Before the lock is free: the next change may be the first deploy of a chute of this name.
            if self._chutes.find(name) is None:
                self._keeper.gone(name)
                self._gone(name)
            lock.release()
            self._keeper.look_after(name)

    async def _do(self, job: _Job, progress: Progress) -> None:
        task: Task | None = None
        try:
            await self._keeper.ready()
            task = job.decide()
            progress.record = replace(progress.record, version=task.version)
            await progress.do(task.steps(await self._look(job.record.chute)))
        except CancelledError:
            raise
        except Exception as problem:  # noqa: BLE001 - whatever happens, the change reaches a final state
            await self._fail(job, task, progress, problem)
        else:
            self._keeper.settled(job.record.chute)
            progress.end(ChangeState.DONE)

    async def _fail(self, job: _Job, task: Task | None, progress: Progress, problem: Exception) -> None:
        reason, retry = reason_of(problem), may_retry(problem)
        progress.failed()
        ran_before = task is not None and task.before is not None and touches(progress.begun)
        try:
            await progress.go_back(await self._way_back(job, task, progress))
        except CancelledError:
            raise
        except Exception as worse:  # noqa: BLE001 - as above
            progress.failed()
            progress.end(ChangeState.FAILED, f"{reason}\nand going back failed: {reason_of(worse)}", retry)
        else:
            progress.end(ChangeState.ROLLED_BACK if ran_before else ChangeState.FAILED, reason, retry)

    async def _way_back(self, job: _Job, task: Task | None, progress: Progress) -> tuple[Step, ...]:
        if task is None or all(isinstance(step, Build) for step in progress.begun):
            # Everything is as it was, and the engine, which may be what is away, need not be asked.
            return (Tidy(job.record.chute),) if job.release is not None else ()
        return task.back(await self._look(job.record.chute))

    async def _look(self, name: str) -> tuple[InstanceState, ...]:
        return tuple(state for state in await self._engine.instances() if state.key.chute == name)

    def _save(self, record: ChangeRecord) -> None:
        """Write it down and tell everybody. A full disk must not stop what is under way."""
        self._store.keep(record)
        self._announce(record)
