"""The engine in memory keeps the contract that the real ones keep, and does what it is told."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from paradrop.base.exceptions import BuildFailed, EngineUnavailable, ImageNotFound
from paradrop.manifest.model import ServiceKind
from paradropd.engine import testbench
from paradropd.engine.contract import EngineContract
from paradropd.engine.memory import NEVER_STARTS, Behaviour, Build, MemoryEngine
from paradropd.engine.port import BuildSpec, InstanceKey, InstanceSpec, InstanceState, InstanceStatus
from paradropd.engine.testbench import Witness

HERE = (("out", b"here\n"),)


def _environment(spec: InstanceSpec) -> Behaviour:
    names = ("GREETING", "PARADROP_CHUTE_NAME", "PARADROP_DATA_DIR", "PARADROP_SYSTEM_DIR", "PARADROP_FABRIC")
    return Behaviour(output=(("out", "|".join(spec.environment[name] for name in names).encode()),), exit_code=0)


def _keep(spec: InstanceSpec) -> Behaviour:
    note = spec.data_dir / "note"
    note.write_text((note.read_text() if note.exists() else "") + "kept\n")
    return Behaviour(output=(("out", note.read_bytes()),), exit_code=0)


CHATTER = "".join(f"line {i} of a chute that has a lot to say\n" for i in range(20000)).encode()
PROGRAMS: Mapping[tuple[str, ...], Behaviour | Callable[[InstanceSpec], Behaviour]] = {
    testbench.SUCCEED: Behaviour(exit_code=0),
    testbench.EXIT_3: Behaviour(exit_code=3),
    testbench.STAY: Behaviour(output=HERE),
    testbench.OBEY: Behaviour(output=HERE, goodbye=(("out", b"bye\n"),), stopped_code=0),
    testbench.STUBBORN: Behaviour(output=HERE, obeys=False),
    testbench.SPEAK: Behaviour(output=(("out", b"one\n"), ("err", b"uno\ndue\n"), ("out", b"two\nthree")), exit_code=0),
    testbench.CHATTER: Behaviour(output=(("out", CHATTER),), exit_code=0),
    testbench.ENVIRONMENT: _environment,
    testbench.KEEP: _keep,
    testbench.CANNOT: NEVER_STARTS,
    testbench.UNKNOWN: NEVER_STARTS,
}


def _build(spec: BuildSpec) -> Build:
    if "broken" in {file.path for file in spec.files()}:
        return Build(lines=("step 1", "alas"), problem=BuildFailed("alas"))
    if spec.kind is ServiceKind.IMAGE and spec.image != "there":
        return Build(problem=ImageNotFound(f"there is no image {spec.image}"))
    return Build(lines=("step 1",), takes=1.0)


class TestMemoryEngine(EngineContract):
    kinds = (ServiceKind.LIGHT, ServiceKind.NORMAL, ServiceKind.IMAGE)

    @pytest.fixture(autouse=True)
    def parts(self, tmp_path: Path) -> None:
        self.clock = Clock()
        self.tmp_path = tmp_path

    def new_engine(self, device: str) -> MemoryEngine:
        engine = MemoryEngine(self.clock, self.clock.seconds)
        engine.commands.update(PROGRAMS)
        engine.builds[""] = _build
        return engine

    def drive(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        done = Deferred.fromCoroutine(scenario())
        self.clock.pump([0.05] * 1200)
        SynchronousTestCase().successResultOf(done)

    def leftovers(self) -> list[object]:
        return list(self.clock.getDelayedCalls())

    def new_folder(self, name: str) -> Path:
        folder = self.tmp_path / name
        folder.mkdir()
        return folder

    def base(self, kind: ServiceKind) -> str:
        return "there" if kind is ServiceKind.IMAGE else super().base(kind)

    def broken(self, kind: ServiceKind) -> tuple[Mapping[str, str], str]:
        return {"broken": ""}, "alas"


KEY = InstanceKey("hello", "main", 1)


class TestScripts(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.engine = MemoryEngine(self.clock, self.clock.seconds, survives=True)
        self.engine.images.add("image")
        self.seen = Witness()
        self.get(self.engine.open(self.seen))

    def get(self, waiting: Coroutine[Any, Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(waiting))

    def start(self, *command: str) -> InstanceState:
        folder = Path("/nonexistent")
        state = self.get(
            self.engine.start(InstanceSpec(key=KEY, image="image", system_dir=folder, data_dir=folder, command=command))
        )
        assert isinstance(state, InstanceState)
        return state

    def test_a_scripted_exit_comes_when_the_clock_says_so(self) -> None:
        self.engine.commands["run",] = Behaviour(exit_code=137, after=2.0, detail="out of memory")
        self.start("run")
        self.clock.advance(1.9)
        assert self.seen.ends(KEY) == []
        self.clock.advance(0.1)
        assert [(end.exit_code, end.detail) for end in self.seen.ends(KEY)] == [(137, "out of memory")]

    def test_a_test_can_make_an_instance_speak_and_end(self) -> None:
        self.start("run")
        self.engine.says(KEY, b"oh", "err")
        self.engine.end(KEY, 1)
        assert self.seen.text(KEY, "err") == "oh"
        assert self.seen.ends(KEY)[0].exit_code == 1

    def test_an_engine_that_went_away(self) -> None:
        self.engine.unavailable = "it is gone"
        problem = self.failureResultOf(Deferred.fromCoroutine(self.engine.instances()), EngineUnavailable)
        assert str(problem.value) == "it is gone"
        assert not self.get(self.engine.info()).available

    def test_what_survives_is_found_again(self) -> None:
        self.start("run")
        self.get(self.engine.close())
        self.get(self.engine.open(self.seen))
        (state,) = self.get(self.engine.instances())
        assert state.status is InstanceStatus.RUNNING

    def test_it_remembers_what_it_was_asked(self) -> None:
        self.start("run")
        self.get(self.engine.stop(KEY, 1.0))
        assert [name for name, _ in self.engine.calls] == ["open", "remove", "start", "stop"]
