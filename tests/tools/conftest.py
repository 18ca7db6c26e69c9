"""What the tests of the command line share: a bench, and values to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paradrop.values import ChangeKind, ChangeRecord, ChangeState, ChuteState, ChuteStatus, ServiceStatus, Want, plain
from pdtools.testing import EPOCH, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Output into a pipe."""
    return Bench(tmp_path)


@pytest.fixture
def screen(tmp_path: Path) -> Bench:
    """Output on a terminal, with somebody in front of it."""
    return Bench(tmp_path, terminal=True, width=80)


HELLO = ChuteStatus(
    name="hello",
    version="1.1",
    release=2,
    state=ChuteState.RUNNING,
    want=Want.RUNNING,
    since=EPOCH - 4000,
    services=(ServiceStatus(name="main", state=ChuteState.RUNNING, restarts=1),),
)
CHANGE = ChangeRecord(
    id="c7",
    kind=ChangeKind.DEPLOY,
    chute="hello",
    state=ChangeState.ACCEPTED,
    created=EPOCH,
    version="1.2",
    actor="control socket",
)


@pytest.fixture
def hello() -> ChuteStatus:
    return HELLO


@pytest.fixture
def change() -> Callable[..., ChangeRecord]:
    """The change ``c7`` with some of its fields different."""
    return lambda **different: replace(CHANGE, **different)


class Changes:
    """The daemon's side of a change: a record that moves on with the clock."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.record = CHANGE
        self.events = True
        """Whether updates are published, and not only written down."""
        bench.realm.offer("changes.get", self._get)

    def _get(self, identity: str) -> Any:
        assert identity == self.record.id
        return plain(self.record)

    def accept(self, *args: Any) -> Any:
        """What ``chutes.deploy`` and its like answer."""
        return plain(self.record)

    def after(self, seconds: float, **different: Any) -> None:
        """Move the record on, that many seconds from now."""

        def move() -> None:
            self.record = replace(self.record, revision=self.record.revision + 1, **different)
            if self.events:
                self.bench.realm.emit("changes.updated", plain(self.record))

        self.bench.clock.callLater(seconds, move)


@pytest.fixture
def changes(bench: Bench) -> Changes:
    return Changes(bench)
