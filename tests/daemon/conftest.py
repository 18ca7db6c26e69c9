"""A device's heart in memory, taken down after each test with nothing left pending."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from paradrop.base.exceptions import EngineError, EngineUnavailable, StorageFull
from paradropd.engine.memory import MemoryEngine
from paradropd.storage import Database
from paradropd.testing import World


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
