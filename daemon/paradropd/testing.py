"""A device's heart in memory: changes and the keeper, with no fabric, no engine outside the process and no time of its own.

::

    world = World(tmp_path)
    world.begin()
    change = world.deploy("name: hello\\nversion: '1'\\n...")
    assert world.finish(change).state is ChangeState.DONE

Time passes only when the test says so. Everything lies in one folder, so that a second world on the same folder is the next
daemon on the same device: :meth:`World.killed` makes it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent

from paradrop.base.seams import inline
from paradrop.logstore import LogStore
from paradrop.source import SourceLimits
from paradrop.source.blobs import MAX_PIECE, Blobs
from paradrop.values import ChangeRecord, ChuteStatus, ProcedureInfo, SourceTree, TreeEntry
from paradropd.changes.perform import Performer, Times
from paradropd.changes.service import Changes
from paradropd.changes.steps import Step
from paradropd.changes.store import ChangeStore
from paradropd.chutes.health import HealthChecker
from paradropd.chutes.keeper import Keeper
from paradropd.chutes.model import Release
from paradropd.chutes.store import ChuteStore
from paradropd.engine.memory import MemoryEngine
from paradropd.home import Home
from paradropd.logs import Collector
from paradropd.storage import Database

T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""What the wall clock says when a world's clock says 0."""
PATIENCE = 3600.0
"""Seconds of a world's time within which a change must have ended."""


def result_of(work: Coroutine[Any, Any, T]) -> T:
    """What *work* returns or raises, which it must do without time passing."""
    outcomes: list[T | Failure] = []
    Deferred.fromCoroutine(work).addBoth(outcomes.append)
    if not outcomes:
        raise AssertionError("it waits for something")
    outcome = outcomes[0]
    if isinstance(outcome, Failure):
        outcome.raiseException()
    return outcome


def home_in(folder: Path) -> Home:
    """The folders of a home below *folder*, made."""
    parts = {name: folder / name for name in ("runtime", "data", "blobs", "logs", "keys")}
    home = Home(root=folder, **parts)
    home.make()
    return home


class OpenDoors:
    """A :class:`~paradropd.changes.perform.Door` that only remembers what is open."""

    def __init__(self) -> None:
        self.open_for: dict[str, Release] = {}
        self.problem: Exception | None = None
        """Raised instead of opening."""

    async def open(self, release: Release) -> None:
        if self.problem is not None:
            raise self.problem
        self.open_for[release.chute] = release

    async def close(self, chute: str) -> None:
        self.open_for.pop(chute, None)

    def forget(self, chute: str) -> None:
        if chute in self.open_for:
            raise AssertionError("forgotten while it is open")


class NoWeb:
    """An agent for chutes without a page: nobody answers."""

    def request(self, *args: Any, **kwargs: Any) -> Deferred[Any]:
        raise ConnectionRefusedError


class World:
    """Changes and the keeper, with everything they need. What they announce is remembered."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        engine: MemoryEngine | None = None,
        open_database: Callable[[Path], Database] = Database,
        database: str = "paradrop.db",
        agent: IAgent | NoWeb | None = None,
        doing: Callable[[Step], Deferred[None] | None] = lambda step: None,
        limits: SourceLimits | None = None,
    ) -> None:
        """*doing*: told each step before it is done; what it returns is waited for, what it raises is the step's end."""
        self.folder = folder
        self.clock = clock or Clock()
        self.engine = engine or MemoryEngine(self.clock, self.wall)
        self.home = home_in(folder)
        self.doing = doing
        self._database_path = folder / database
        self.database = open_database(self._database_path)
        self.chutes, self.store = ChuteStore(self.database), ChangeStore(self.database)
        self.blobs = Blobs(self.home.blobs, seconds=self.clock.seconds)
        self.logs = LogStore(self.home.logs, self.wall)
        self.records: list[ChangeRecord] = []
        self.statuses: list[ChuteStatus] = []
        self.gone: list[str] = []
        self.procedures: list[ProcedureInfo] = []
        self.doors = OpenDoors()
        self.collector = Collector(self.logs, self.clock, lambda source, seq: None)
        self.keeper = Keeper(
            clock=self.clock, wall=self.wall, store=self.chutes, logs=self.collector, announce=self.statuses.append
        )
        web: Any = agent or NoWeb()
        self.health = HealthChecker(self.clock, self.engine, web, self.keeper.states, lambda: self.procedures)
        self.performer = Performer(
            clock=self.clock,
            threads=inline,
            engine=self.engine,
            store=self.chutes,
            blobs=self.blobs,
            home=self.home,
            logs=self.collector,
            remove_log=self.logs.remove,
            door=self.doors,
            health=self.health,
            states=self.keeper.states,
            router_id="router",
            times=Times(),
        )
        self.changes = Changes(
            wall=self.wall,
            engine=self.engine,
            chutes=self.chutes,
            store=self.store,
            blobs=self.blobs,
            keeper=self.keeper,
            perform=self._perform,
            has_data=lambda name: self.home.data_dir(name).exists(),
            has_log=lambda name: self.collector.position(name) > 0,
            announce=self.records.append,
            gone=self.gone.append,
            limits=limits or SourceLimits(),
        )

    def wall(self) -> float:
        return EPOCH + float(self.clock.seconds())

    def begin(self) -> None:
        """As the daemon starts."""
        self.changes.abandon()
        self.bring_up()

    def bring_up(self) -> None:
        """Open the engine, and bring chutes to what is wanted of them."""
        result_of(self.engine.open(self.keeper))
        self._go(self.keeper.begin(self.engine, self._perform, self.health))
        self._go(self.changes.tidy())

    def stop(self) -> None:
        """As the daemon ends."""
        self.keeper.stop()
        result_of(self.changes.end())
        result_of(self.engine.close())
        self.collector.stop()
        self.logs.close()
        self.database.close()

    def killed(self, *, doing: Callable[[Step], Deferred[None] | None] = lambda step: None) -> World:
        """The next daemon on this device, after this one was killed just now: it knows what was written down, and no more."""
        name = f"{self._database_path.stem}x.db"
        source, copy = sqlite3.connect(self._database_path), sqlite3.connect(self.folder / name)
        source.backup(copy)
        source.close()
        copy.close()
        self.stop()  # whatever it writes down as it goes, it writes into the old file
        return World(self.folder, clock=self.clock, engine=self.engine, database=name, doing=doing)

    def tree(self, manifest: str, files: Mapping[str, bytes] | None = None) -> SourceTree:
        """A chute's source, whose content is put into the blobs."""
        contents = {**(files or {}), "paradrop.yaml": manifest.encode()}
        return SourceTree(entries=tuple(self._entry(path, data) for path, data in sorted(contents.items())))

    def deploy(self, manifest: str, files: Mapping[str, bytes] | None = None) -> str:
        """Deploy a chute. Returns the change's id."""
        return self.changes.deploy(self.tree(manifest, files), "somebody").id

    def advance(self, seconds: float) -> None:
        """Let time pass, from each delayed call to the next."""
        end = self.clock.seconds() + seconds
        while (due := self._next_due()) is not None and due <= end:
            self.clock.advance(max(0.0, due - self.clock.seconds()))
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    def finish(self, change: str) -> ChangeRecord:
        """Let time pass until *change* has ended."""
        return self.finish_all([change])[0]

    def finish_all(self, changes: Iterable[str]) -> list[ChangeRecord]:
        ids = list(changes)
        give_up = self.clock.seconds() + PATIENCE
        while not all(self.newest(change).state.final for change in ids):
            due = self._next_due()
            if due is None or due > give_up:
                raise AssertionError(f"it does not end: {[self.newest(change) for change in ids]}")
            self.clock.advance(max(0.0, due - self.clock.seconds()))
        return [self.newest(change) for change in ids]

    def newest(self, change: str) -> ChangeRecord:
        """What was announced last of *change*."""
        return next(record for record in reversed(self.records) if record.id == change)

    def running(self) -> dict[str, int]:
        """The release that runs, by chute and service, as the engine says."""
        return {
            f"{state.key.chute}/{state.key.service}": state.key.release
            for state in result_of(self.engine.instances())
            if state.status == "running"
        }

    async def _perform(self, step: Step) -> None:
        waiting = self.doing(step)
        if waiting is not None:
            await waiting
        await self.performer.perform(step)

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        """Let *work* go on by itself; its errors are the test's."""
        failures: list[Failure] = []
        Deferred.fromCoroutine(work).addErrback(failures.append)
        if failures:
            failures[0].raiseException()

    def _entry(self, path: str, data: bytes) -> TreeEntry:
        digest = hashlib.sha256(data).hexdigest()
        for begin in range(0, len(data) or 1, MAX_PIECE):
            self.blobs.put(digest, len(data), begin, data[begin : begin + MAX_PIECE])
        return TreeEntry(path=path, size=len(data), sha256=digest)

    def _next_due(self) -> float | None:
        return min((call.getTime() for call in self.clock.getDelayedCalls()), default=None)
