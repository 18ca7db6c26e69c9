"""The engine in memory, for tests of everything above an engine: nothing runs, and what "runs" is scripted.

::

    clock = Clock()
    engine = MemoryEngine(clock, clock.seconds)
    engine.commands["python3", "main.py"] = Behaviour(output=(("out", b"hello\\n"),), exit_code=1, after=2.0)
    engine.builds[digest] = Build(lines=("no such file",), problem=BuildFailed("no such file"))

A command without a script starts, prints nothing, runs until it is stopped, and obeys. :attr:`MemoryEngine.calls` remembers what
was asked. Time passes only when the test advances the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from paradrop.base.exceptions import (
    ChuteNotRunning,
    DeadlineExceeded,
    EngineError,
    EngineUnavailable,
    ImageNotFound,
    StartFailed,
)
from paradrop.base.seams import WallClock
from paradrop.values import EngineInfo

from .port import BuildSpec, InstanceKey, InstanceSpec, InstanceState, InstanceStatus, Observer

PIECE = 1 << 16
"""Bytes of output told at once, at most (the port's rule)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What one command does."""

    output: tuple[tuple[str, bytes], ...] = ()
    """What it prints at its start: stream (``out`` or ``err``) and bytes."""
    exit_code: int | None = None
    """``None``: it runs until it is stopped."""
    after: float = 0.0
    """Seconds from its start to its exit."""
    detail: str = ""
    """Why it ended, as the engine would know it."""
    problem: EngineError | None = None
    """Raised by the start instead of starting."""
    obeys: bool = True
    """Whether SIGTERM ends it."""
    goodbye: tuple[tuple[str, bytes], ...] = ()
    """What it prints on SIGTERM."""
    stopped_code: int = 128 + 15
    """Its exit code when it obeys."""


Script = Behaviour | Callable[[InstanceSpec], Behaviour]
"""A behaviour, or what decides it from the spec whose environment is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What one build does."""

    lines: tuple[str, ...] = ()
    problem: EngineError | None = None
    takes: float = 0.0
    """Seconds."""


@dataclass(slots=True)
class _Instance:
    spec: InstanceSpec
    behaviour: Behaviour
    state: InstanceState
    exit: IDelayedCall | None = None
    ended: list[Deferred[None]] = field(default_factory=list)


class MemoryEngine:
    """An :class:`~.port.Engine` of which nothing outside the process knows."""

    name = "memory"

    def __init__(self, clock: IReactorTime, wall: WallClock, *, survives: bool = False) -> None:
        """*survives*: instances go on over :meth:`close` and are found by the next :meth:`open`, as with Docker."""
        self.commands: dict[tuple[str, ...], Script] = {}
        self.builds: dict[str, Build | Callable[[BuildSpec], Build]] = {}
        """Scripts of builds by digest; ``""`` is for every digest without one."""
        self.images: set[str] = set()
        self.calls: list[tuple[str, Any]] = []
        """Name of the method and its first argument, in order."""
        self.unavailable = ""
        """When set, every method that waits raises EngineUnavailable with this text."""
        self._clock, self._wall, self._survives = clock, wall, survives
        self._observer: Observer | None = None
        self._instances: dict[InstanceKey, _Instance] = {}

    async def open(self, observer: Observer) -> EngineInfo:
        self._ask("open", observer)
        self._observer = observer
        return await self.info()

    async def info(self) -> EngineInfo:
        isolates = ("files", "processes", "network", "memory", "pids")
        return EngineInfo(name=self.name, available=not self.unavailable, isolates=isolates, detail=self.unavailable)

    async def build(self, spec: BuildSpec, output: Callable[[str], None]) -> str:
        self._ask("build", spec)
        image = f"memory:{spec.digest}"
        if image not in self.images:
            tuple(spec.files())
            script = self.builds.get(spec.digest, self.builds.get("", Build()))
            build = script(spec) if callable(script) else script
            for line in build.lines:
                output(line)
            if build.takes:
                await deferLater(self._clock, build.takes)
            if build.problem is not None:
                raise build.problem
            self.images.add(image)
        return image

    async def start(self, spec: InstanceSpec) -> InstanceState:
        await self.remove(spec.key)
        self._ask("start", spec)
        if spec.image not in self.images:
            raise ImageNotFound(f"there is no image {spec.image}")
        behaviour = self._behaviour(spec.command, replace(spec, environment=_complete(spec.environment)))
        if behaviour.problem is not None:
            raise behaviour.problem
        state = InstanceState(key=spec.key, status=InstanceStatus.RUNNING, started=self._wall(), address="127.0.0.1")
        instance = self._instances[spec.key] = _Instance(spec, behaviour, state)
        self._tell().state_changed(state)
        self._print(instance, behaviour.output)
        if behaviour.exit_code is not None:
            instance.exit = self._clock.callLater(behaviour.after, self.end, spec.key, behaviour.exit_code, behaviour.detail)
        return state

    async def stop(self, key: InstanceKey, grace: float) -> None:
        self._ask("stop", key)
        instance = self._instances.get(key)
        if instance is None or instance.state.status is InstanceStatus.EXITED:
            return
        self._print(instance, instance.behaviour.goodbye)
        if instance.behaviour.obeys:
            self.end(key, instance.behaviour.stopped_code)
            return
        kill = self._clock.callLater(grace, self.end, key, 128 + 9)
        ended: Deferred[None] = Deferred()
        instance.ended.append(ended)
        await ended
        if kill.active():
            kill.cancel()

    async def remove(self, key: InstanceKey) -> None:
        self._ask("remove", key)
        self._take(key)

    async def instances(self) -> tuple[InstanceState, ...]:
        self._ask("instances", None)
        return tuple(self._instances[key].state for key in sorted(self._instances))

    async def execute(self, key: InstanceKey, command: tuple[str, ...], timeout: float) -> int:
        self._ask("execute", (key, command))
        instance = self._instances.get(key)
        if instance is None or instance.state.status is InstanceStatus.EXITED:
            raise ChuteNotRunning(f"{key} is not running")
        behaviour = self._behaviour(command, instance.spec)
        if behaviour.exit_code is None or behaviour.after > timeout:
            await deferLater(self._clock, timeout)
            raise DeadlineExceeded(f"{command[0]} did not end within {timeout:g} s")
        return behaviour.exit_code

    async def discard(self, image: str) -> None:
        self._ask("discard", image)
        if all(instance.spec.image != image for instance in self._instances.values()):
            self.images.discard(image)

    async def forget(self, chute: str) -> None:
        self._ask("forget", chute)

    async def close(self) -> None:
        self.calls.append(("close", None))
        self._observer = None
        if not self._survives:
            for key in tuple(self._instances):
                self._take(key)

    def end(self, key: InstanceKey, exit_code: int, detail: str = "") -> None:
        """Let a running instance end now: for a test, and for nobody else."""
        instance = self._instances[key]
        if instance.exit is not None and instance.exit.active():
            instance.exit.cancel()
        instance.state = replace(instance.state, status=InstanceStatus.EXITED, exit_code=exit_code, address=None, detail=detail)
        if self._observer is not None:
            self._observer.state_changed(instance.state)
        self._release(instance)

    def says(self, key: InstanceKey, data: bytes, stream: str = "out") -> None:
        """Let a running instance print *data* now: for a test, and for nobody else."""
        self._print(self._instances[key], ((stream, data),))

    def _ask(self, name: str, argument: object) -> None:
        self.calls.append((name, argument))
        if self.unavailable:
            raise EngineUnavailable(self.unavailable)

    def _tell(self) -> Observer:
        if self._observer is None:
            raise EngineUnavailable("the engine is not open")
        return self._observer

    def _behaviour(self, command: tuple[str, ...], spec: InstanceSpec) -> Behaviour:
        script = self.commands.get(command, Behaviour())
        return script(spec) if callable(script) else script

    def _print(self, instance: _Instance, output: tuple[tuple[str, bytes], ...]) -> None:
        for stream, data in output:
            for begin in range(0, len(data), PIECE):
                if self._observer is not None:
                    self._observer.output(instance.spec.key, stream, data[begin : begin + PIECE], self._wall())

    def _take(self, key: InstanceKey) -> None:
        instance = self._instances.pop(key, None)
        if instance is not None:
            if instance.exit is not None and instance.exit.active():
                instance.exit.cancel()
            self._release(instance)

    def _release(self, instance: _Instance) -> None:
        waiting, instance.ended = instance.ended, []
        for ended in waiting:
            ended.callback(None)


def _complete(environment: Mapping[str, str]) -> dict[str, str]:
    """*environment* with what an engine adds."""
    return {
        **environment,
        "PARADROP_DATA_DIR": "/data",
        "PARADROP_SYSTEM_DIR": "/paradrop",
        "PARADROP_FABRIC": "unix:/paradrop/fabric.sock",
    }


NEVER_STARTS = Behaviour(problem=StartFailed("the command cannot be executed"))
