"""A device's heart in memory, taken down after each test with nothing left pending."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from paradrop.base._inifile import read_ini
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import EngineError, EngineUnavailable, StorageFull
from paradrop.base.nexus import NexusBase
from paradrop.base.seams import inline
from paradrop.base.settings import Settings, resolve
from paradrop.logstore import LogStore
from paradrop.permissions import Person, Role
from paradropd.engine.memory import MemoryEngine
from paradropd.home import Home
from paradropd.permissions import Peer
from paradropd.storage import Database
from paradropd.testing import World, result_of


class RefusingEngine(MemoryEngine):
    """Refuses what a test names: ``refusals["start"] = StartFailed("no")``, as often as it is asked."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refusals: dict[str, EngineError] = {}
        self.patience: dict[str, int] = {}
        """How many calls of that name go well before the engine is away for good."""

    def _ask(self, name: str, argument: object) -> None:
        super()._ask(name, argument)
        if name in self.patience:
            self.patience[name] -= 1
            if self.patience[name] < 0:
                self.unavailable = "it was stopped"
                raise EngineUnavailable(self.unavailable)
        if name in self.refusals:
            raise self.refusals[name]


class CrampedDatabase(Database):
    """A database whose disk is full during the writes that a test names."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.writes = 0
        self.full_at: Callable[[int], bool] = lambda write: False

    def transaction(self) -> Any:
        self.writes += 1
        if self.full_at(self.writes):
            raise StorageFull
        return super().transaction()


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes a world, which is stopped after the test; makes the next one on the same folder after that was killed."""
    worlds: list[World] = []

    def make(before: World | None = None, **parts: Any) -> World:
        if before is not None:
            worlds.remove(before)
            worlds.append(before.killed(**parts))
        else:
            clock = parts.pop("clock", Clock())
            survives = parts.pop("survives", False)
            engine = parts.pop("engine", None)
            parts.setdefault("open_database", CrampedDatabase)
            engine = engine or RefusingEngine(clock, lambda: 1_700_000_000.0 + clock.seconds(), survives=survives)
            worlds.append(World(tmp_path, clock=clock, engine=engine, **parts))
        return worlds[-1]

    yield make
    for world in worlds:
        world.stop()
        assert world.clock.getDelayedCalls() == []


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world that has begun."""
    world = make_world()
    world.begin()
    return world


class MemoryReactor(MemoryReactorClock):
    """A reactor that opens nothing, whose only thread is the test's."""

    def callFromThread(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)


class Box:
    """A whole device in memory: the real realm, with sessions of whoever a test wants to be."""

    make_reactor = MemoryReactor

    def __init__(self, folder: Path, reactor: MemoryReactor | None = None, **parts: Any) -> None:
        """*parts* are more parameters of the device."""
        from paradropd.device import Device  # only now: it imports the router

        self.reactor = reactor or self.make_reactor()
        self.engine = RefusingEngine(self.reactor, self.wall)

        def load() -> Settings:
            return resolve("unittest", folder, ini_text=read_ini(folder / "settings.ini"))

        settings = load()
        self.home = Home.of(settings)
        self.home.make()
        self.logs = LogStore(settings.log_dir, self.wall)
        self.nexus = NexusBase(stealStdio=False, printToConsole=False, config=settings, logs=self.logs, wall=self.wall)
        self.device = Device(
            reactor=self.reactor,
            wall=self.wall,
            threads=inline,
            settings=settings,
            load_settings=load,
            make_engine=lambda home, seen: self.engine,
            logs=self.logs,
            version="1.2.3",
            identity=self.nexus,
            **parts,
        )
        self.owner = BaseSession(self.device.realm.config())

    def wall(self) -> float:
        return 1_700_000_000.0 + float(self.reactor.seconds())

    def start(self) -> None:
        result_of(self.device.start())
        self.bringing_up = Deferred.fromCoroutine(self.device.run_chutes())
        self.owner = self.session(Person("olga", Role.OWNER))
        self.reactor.advance(0)

    def stop(self) -> None:
        result_of(self.device.stop())
        self.logs.close()
        self.reactor.advance(0)  # Crossbar's last meta events

    def session(self, peer: Peer) -> BaseSession:
        """A session of that peer, as if it had come in by a socket."""
        session = BaseSession(self.device.realm.config())
        self.device.realm._router.attach(session, peer)
        return session

    def call(self, name: str, *args: Any, by: BaseSession | None = None, **kwargs: Any) -> Any:
        """What a procedure of the device answers, or raises."""
        outcomes: list[Any] = []
        (by or self.owner).call(name, *args, **kwargs).addBoth(outcomes.append)
        for _ in range(600):
            if outcomes:
                break
            self.reactor.advance(0.1)
        if isinstance(outcomes[0], Failure):
            outcomes[0].raiseException()
        return outcomes[0]

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds * 20)):
            self.reactor.advance(0.05)


@pytest.fixture
def box_class() -> type[Box]:
    """For tests that build a device out of parts of their own."""
    return Box


@pytest.fixture
def make_box(tmp_path: Path) -> Iterator[Callable[[], Box]]:
    """Makes devices on one home, one after the other; the last is stopped after the test."""
    boxes: list[Box] = []

    def make() -> Box:
        boxes.append(Box(tmp_path))
        return boxes[-1]

    yield make
    boxes[-1].stop()
    assert boxes[-1].reactor.getDelayedCalls() == []


@pytest.fixture
def box(make_box: Callable[[], Box]) -> Box:
    """A device that has started."""
    box = make_box()
    box.start()
    return box
