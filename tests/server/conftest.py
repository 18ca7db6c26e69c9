"""A server in memory, taken down after each test with nothing left pending."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from pdserver.testing import World


@pytest.fixture(autouse=True)
def logged_failures() -> Iterator[list[Failure]]:
    """Failures that a test has logged. One that expects some takes them out; any other fails by them."""
    seen: list[Failure] = []

    def observe(event: dict[str, Any]) -> None:
        if event.get("log_failure") is not None:
            seen.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    try:
        yield seen
    finally:
        globalLogPublisher.removeObserver(observe)
    assert not seen, f"logged: {[repr(failure.value) for failure in seen]}"


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[[], World]]:
    """Starts a server; the next one in the same home after the one before was stopped. Time goes on."""
    worlds: list[World] = []
    clock = Clock()

    def make() -> World:
        if worlds:
            worlds.pop().stop()
        worlds.append(World(tmp_path / "home", clock=clock))
        worlds[-1].start()
        return worlds[-1]

    yield make
    for world in worlds:
        world.stop()


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """A server that has started."""
    return make_world()
