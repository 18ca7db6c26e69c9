"""The chute `hello`, tested as its author would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from paradrop.manifest import parse
from paradrop.testing import MemoryFabric


@pytest.fixture
def fabric(load: Callable[[str], ModuleType]) -> MemoryFabric:
    fabric = MemoryFabric()
    fabric.join(load("hello").chute)
    return fabric


def test_it_greets_and_says_so_in_its_log(fabric: MemoryFabric, capsys: pytest.CaptureFixture[str]) -> None:
    assert fabric.call("hello.greet", "World") == "Hello, World!"
    assert "World" in capsys.readouterr().out


def test_it_counts_the_seconds_and_is_quiet_about_it(fabric: MemoryFabric, capsys: pytest.CaptureFixture[str]) -> None:
    fabric.clock.pump([1.0, 1.0])
    assert fabric.events_of("hello.ticks") == [(1,), (2,), (3,)]
    assert capsys.readouterr().out == ""


def test_its_health_is_the_procedure_that_it_offers(fabric: MemoryFabric, project: Path) -> None:
    health = parse((project / "chutes" / "hello" / "paradrop.yaml").read_bytes()).health
    assert health is not None
    assert fabric.call(f"hello.{health.procedure}", "you")
