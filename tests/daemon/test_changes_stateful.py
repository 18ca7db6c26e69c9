"""Whatever is asked, fails or is killed, and in whatever order: every change ends, and then exactly what is wanted runs."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.task import Clock

from paradrop.base.exceptions import BuildFailed, NotFound, StartFailed
from paradrop.values import Want
from paradropd.engine.memory import Behaviour, Build, MemoryEngine
from paradropd.engine.port import InstanceKey, InstanceSpec
from paradropd.testing import World, result_of

NAMES = st.sampled_from(["one", "two"])
PROGRAMS = st.sampled_from(["good", "bad", "late", "stubborn", "unbuilt", "ill"])
"""``bad`` exits at once, ``late`` while it settles, ``stubborn`` does not obey, ``ill`` cannot be executed."""


def manifest(name: str, program: str, other: bool) -> str:
    more = f"  side: {{type: light, image: python3, command: {program}}}\n" if other else ""
    kind = "unbuilt" if program == "unbuilt" else "python3"
    return f"name: {name}\nversion: '{program}'\nservices:\n  main: {{type: light, image: {kind}, command: {program}}}\n{more}"


def build(spec: object) -> Build:
    image = getattr(spec, "image", "")
    return Build(takes=1.0, problem=BuildFailed("alas") if image == "unbuilt" else None)


def late(spec: InstanceSpec) -> Behaviour:
    return Behaviour(exit_code=1, after=1.0)


class Devices(RuleBasedStateMachine):
    @initialize(survives=st.booleans())
    def begin(self, survives: bool) -> None:
        self.folder = tempfile.TemporaryDirectory()
        clock = Clock()
        engine = MemoryEngine(clock, lambda: 1_700_000_000.0 + clock.seconds(), survives=survives)
        engine.builds[""] = build
        engine.commands["bad",] = Behaviour(exit_code=1)
        engine.commands["late",] = late
        engine.commands["stubborn",] = Behaviour(obeys=False)
        engine.commands["ill",] = Behaviour(problem=StartFailed("ill"))
        self.world = World(Path(self.folder.name), clock=clock, engine=engine)
        self.changes: list[str] = []
        self.world.begin()

    @rule(name=NAMES, program=PROGRAMS, other=st.booleans())
    def deploy(self, name: str, program: str, other: bool) -> None:
        self.changes.append(self.world.deploy(manifest(name, program, other)))

    @rule(name=NAMES, verb=st.sampled_from(["start", "stop", "restart"]))
    def ask(self, name: str, verb: str) -> None:
        with suppress(NotFound):
            self.changes.append(getattr(self.world.changes, verb)(name, "x").id)

    @rule(name=NAMES, keep=st.booleans())
    def remove(self, name: str, keep: bool) -> None:
        with suppress(NotFound):
            self.changes.append(self.world.changes.remove(name, keep, "x").id)

    @rule(seconds=st.sampled_from([0.03, 0.5, 1.1, 3.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(name=NAMES, release=st.integers(1, 4))
    def end(self, name: str, release: int) -> None:
        key = InstanceKey(name, "main", release)
        if self.world.running().get(f"{name}/main") == release:
            self.world.engine.end(key, 9)

    @rule(seconds=st.sampled_from([0.5, 5.0, 50.0]))
    def engine_away(self, seconds: float) -> None:
        self.world.engine.unavailable = "away"
        self.world.advance(seconds)
        self.world.engine.unavailable = ""

    @rule()
    def kill(self) -> None:
        self.world = self.world.killed()
        self.world.begin()

    @rule()
    def quiet(self) -> None:
        """After a quiet time everything is as it is wanted."""
        for _ in range(60):
            if all(self.world.store.get(change).state.final for change in self.changes):
                break
            self.world.advance(60.0)
        else:
            raise AssertionError("a change does not end within an hour")
        self.world.advance(130.0)
        wanted = {
            f"{chute.name}/{service.name}": chute.release.number
            for chute in self.world.chutes.all()
            for service in chute.release.manifest.services
            if chute.want is Want.RUNNING
        }
        assert self.world.running() == wanted
        known = {state.key for state in result_of(self.world.engine.instances())}
        assert {f"{key.chute}/{key.service}": key.release for key in known} == wanted
        assert set(self.world.doors.open_for) == {name.partition("/")[0] for name in wanted}
        assert {key for key, state in self.world.keeper.states.items()} == known

    @invariant()
    def nothing_that_did_not_prove_itself_is_wanted(self) -> None:
        for chute in self.world.chutes.all():
            assert chute.release.manifest.version in ("good", "stubborn")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.quiet()
            self.world.stop()
            self.folder.cleanup()


Devices.TestCase.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
TestDevices = Devices.TestCase
