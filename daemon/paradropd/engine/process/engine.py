"""The process engine: every instance is a tree of processes below the daemon, kept apart as well as the machine allows."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IReactorProcess, IReactorTime

from paradrop.base.exceptions import (
    ChuteNotRunning,
    Conflict,
    DeadlineExceeded,
    EngineError,
    EngineUnavailable,
    ImageNotFound,
    StartFailed,
)
from paradrop.base.seams import Threads, WallClock
from paradrop.manifest.model import PortBinding
from paradrop.values import EngineInfo
from paradropd.engine.port import BuildSpec, InstanceKey, InstanceSpec, InstanceState, InstanceStatus, Observer

from .builder import Builder
from .child import Child, spawn
from .groups import find, group_name
from .images import Images
from .limits import ALONE, CONTROLLERS, Cell, Limiter, ResourceLimiter
from .probing import PYTHON, Candidates, candidates, hand_over, probe
from .program import environment_of, resolve
from .sandbox import Room, Sandbox, dressed, joined

ADDRESS = "127.0.0.1"


@dataclass(slots=True)
class _Instance:
    spec: InstanceSpec
    room: Room
    cell: Cell
    child: Child
    environment: Mapping[str, str]
    state: InstanceState
    silent: bool = False
    """Whether the observer is told nothing more of it."""


class ProcessEngine:
    """An :class:`~paradropd.engine.port.Engine` that needs nothing but Linux.

    It has one kind of image, ``light``. A service's ports are the device's own, on :data:`ADDRESS`. Instances end with the
    daemon, whatever ends it. The observer is called as output is read, so it must be quick: while it
    works, chutes that print wait.
    """

    name = "process"

    def __init__(
        self,
        *,
        processes: IReactorProcess,
        clock: IReactorTime,
        threads: Threads,
        wall: WallClock,
        home: Path,
        device: str,
        environment: Mapping[str, str],
        sandboxes: Candidates = candidates,
        proof: tuple[str, ...] = PYTHON,
        limiter: Callable[[str], Limiter] = find,
        chutes: tuple[Path, Path] | None = None,
        hidden: tuple[Path, ...] = (),
        grace: float = 5.0,
    ) -> None:
        """*home* is the engine's own folder; *device* tells this device's control groups from others'; *environment* is the
        daemon's. *sandboxes* and *limiter* decide how programs are kept apart and limited; the first sandbox in which the
        command *proof* succeeds is taken.

        *chutes* are the folders in which the system and the data folders of chutes lie, by default *home*. No chute may see
        anything of *hidden* and *home* but its own. :meth:`close` gives what runs *grace* seconds to end by itself.

        The thread that runs the reactor must live as long as the daemon: the kernel counts the end of that thread as the end
        of the parent (``prctl(2)``).
        """
        self._processes, self._clock, self._threads, self._wall = processes, clock, threads, wall
        self._home, self._device, self._environment = home, device, environment
        self._chutes, self._hidden, self._grace = chutes or (home, home), (home, *hidden), grace
        self._ways, self._proof, self._find_limiter = sandboxes, proof, limiter
        self._images = Images(home / "images")
        self._instances: dict[InstanceKey, _Instance] = {}
        self._observer: Observer | None = None
        self._sandbox: Sandbox | None = None
        self._limiter: Limiter = ResourceLimiter()
        self._null = -1
        self._builder: Builder | None = None

    async def open(self, observer: Observer) -> EngineInfo:
        await self._threads(self._home.mkdir, parents=True, exist_ok=True)
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._builder = Builder(self._processes, self._threads, self._images, self._environment, self._null)
        self._limiter = await self._threads(self._find_limiter, group_name(self._device, self._home))
        ways = await self._threads(self._ways, self._hidden)
        system, data = self._chutes
        room = Room(image=self._home / "probe", system=system / ".probe-system", data=data / ".probe-data")
        self._sandbox = await probe(self._processes, self._threads, ways, room, self._null, self._proof)
        self._observer = observer
        return await self.info()

    async def info(self) -> EngineInfo:
        if self._sandbox is None:
            detail = "neither bubblewrap nor setpriv can be used here" if self._builder else "the engine is not open"
            return EngineInfo(name=self.name, available=False, detail=detail)
        limited = tuple(word for word in (*CONTROLLERS, ALONE) if word in self._words(self._sandbox))
        unlimited = tuple(word for word in CONTROLLERS if word not in limited)
        return EngineInfo(
            name=self.name,
            isolates=(*self._sandbox.isolates, *limited),
            shares=(*self._sandbox.shares, *unlimited),
            detail=self._sandbox.detail,
        )

    def _words(self, sandbox: Sandbox) -> frozenset[str]:
        """What is limited; the number of processes is, too, by resource limits where the kernel can count them."""
        by_user = {"pids"} if sandbox.countable else set()
        return self._limiter.words | by_user

    async def build(self, spec: BuildSpec, output: Callable[[str], None]) -> str:
        sandbox, builder = self._open()
        return await builder.build(spec, sandbox, output)

    async def start(self, spec: InstanceSpec) -> InstanceState:
        sandbox, _ = self._open()
        await self.remove(spec.key)
        image = await self._threads(self._images.path, spec.image)
        if image is None:
            raise ImageNotFound(f"there is no image {spec.image}")
        for port in spec.ports:
            _refuse(port)
        room = Room(image=image, system=spec.system_dir, data=spec.data_dir, memory=spec.limits.memory)
        environment = environment_of(spec.environment, image, sandbox.places(room))
        program = await self._threads(resolve, spec.command, image, environment["PATH"])
        if sandbox.changes_user:
            await self._threads(hand_over, spec.system_dir, spec.data_dir)
        cell = await self._threads(self._limiter.make, _cell_name(spec.key), spec.limits)
        return await self._launch(spec, sandbox, room, cell, environment, program)

    async def _launch(
        self,
        spec: InstanceSpec,
        sandbox: Sandbox,
        room: Room,
        cell: Cell,
        environment: Mapping[str, str],
        program: tuple[str, ...],
    ) -> InstanceState:
        outside, inside = dressed(environment, cell.wrap(program, countable=sandbox.countable))
        child = Child(lambda stream, data: self._printed(instance, stream, data), sandbox.wrappers)
        state = InstanceState(key=spec.key, status=InstanceStatus.RUNNING, started=self._wall(), address=ADDRESS)
        instance = _Instance(spec, room, cell, child, environment, state)
        child.on_ready = lambda: self._stands(instance)
        child.on_exit = lambda: self._empty(cell)
        child.on_end = lambda code: self._ended(instance, code)
        try:
            spawn(self._processes, child, joined(cell.doors, sandbox.command(room, inside)), outside, self._null)
        except OSError as problem:
            await self._threads(cell.remove)
            raise StartFailed(f"{spec.key} cannot be started: {problem.strerror}") from problem
        try:
            code = await child.stands()
        finally:
            if spec.key not in self._instances:
                child.kill()
        if code is not None:
            await self._threads(cell.remove)
            raise StartFailed(f"the sandbox of {spec.key} cannot be made: {child.complaint or f'exit code {code}'}")
        return state

    async def stop(self, key: InstanceKey, grace: float) -> None:
        instance = self._instances.get(key)
        if instance is None or instance.state.status is InstanceStatus.EXITED:
            return
        instance.child.ask()
        kill = self._clock.callLater(grace, self._kill, instance)
        try:
            await instance.child.ended()
        finally:
            if kill.active():
                kill.cancel()

    async def remove(self, key: InstanceKey) -> None:
        instance = self._instances.pop(key, None)
        if instance is not None:
            instance.silent = True
            if instance.state.status is InstanceStatus.RUNNING:
                self._kill(instance)
                await instance.child.ended()
            await self._threads(instance.cell.remove)

    async def instances(self) -> tuple[InstanceState, ...]:
        return tuple(self._instances[key].state for key in sorted(self._instances))

    async def execute(self, key: InstanceKey, command: tuple[str, ...], timeout: float) -> int:
        sandbox, _ = self._open()
        instance = self._instances.get(key)
        if instance is None or instance.state.status is InstanceStatus.EXITED:
            raise ChuteNotRunning(f"{key} is not running")
        program = await self._threads(resolve, command, instance.room.image, instance.environment["PATH"])
        try:
            innermost = await self._threads(instance.child.innermost)
        except ProcessExitedAlready:
            raise ChuteNotRunning(f"{key} is not running") from None
        outside, inside = dressed(instance.environment, instance.cell.wrap(program, countable=sandbox.countable))
        line = joined(instance.cell.doors, sandbox.enter(innermost, instance.room, inside))
        child = Child()
        spawn(self._processes, child, line, outside, self._null, silent=True)
        deadline = self._clock.callLater(timeout, child.kill)
        try:
            code = await child.ended()
        finally:
            child.kill()
            late = not deadline.active()
            if not late:
                deadline.cancel()
        if late:
            raise DeadlineExceeded(f"{command[0]} did not end within {timeout:g} s")
        return code

    async def discard(self, image: str) -> None:
        folder = await self._threads(self._images.path, image)
        if folder is not None and all(instance.spec.image != image for instance in self._instances.values()):
            await self._threads(self._images.delete, folder)

    async def forget(self, chute: str) -> None:
        """Nothing is kept for a chute."""

    async def close(self) -> None:
        if self._builder is not None:
            self._builder.kill()
        await DeferredList([Deferred.fromCoroutine(self.stop(key, self._grace)) for key in self._instances])
        for key in tuple(self._instances):
            await self.remove(key)
        limiter, self._limiter = self._limiter, ResourceLimiter()
        await self._threads(limiter.close)
        self._observer = self._sandbox = self._builder = None
        if self._null >= 0:
            os.close(self._null)
            self._null = -1

    def _open(self) -> tuple[Sandbox, Builder]:
        if self._sandbox is None or self._builder is None:
            raise EngineUnavailable("the process engine is not open, or the device has no way to keep chutes apart")
        return self._sandbox, self._builder

    def _kill(self, instance: _Instance) -> None:
        instance.child.kill()
        self._empty(instance.cell)

    def _empty(self, cell: Cell) -> None:
        """End what is left in *cell*: orphans of a program without a process namespace."""
        with contextlib.suppress(OSError):
            cell.kill()

    def _stands(self, instance: _Instance) -> None:
        self._instances[instance.spec.key] = instance
        if self._observer is not None:
            self._observer.state_changed(instance.state)

    def _printed(self, instance: _Instance, stream: str, data: bytes) -> None:
        if self._observer is not None and not instance.silent:
            self._observer.output(instance.spec.key, stream, data, self._wall())

    def _ended(self, instance: _Instance, code: int) -> None:
        detail = "out of memory" if code and instance.cell.out_of_memory() else ""
        instance.state = replace(instance.state, status=InstanceStatus.EXITED, exit_code=code, address=None, detail=detail)
        if self._instances.get(instance.spec.key) is instance and self._observer is not None and not instance.silent:
            self._observer.state_changed(instance.state)


def _refuse(port: PortBinding) -> None:
    """Raises ``EngineError`` for a port that the device cannot give, :class:`Conflict` for one that another program has: what
    answers there would be taken for the chute."""
    if port.external != port.internal:
        raise EngineError(
            f"this device runs chutes as processes, which have its own ports: {port.internal} cannot be "
            f"{port.external} outside; use the same number, or install Docker on the device"
        )
    datagram = port.protocol == "udp"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM) as attempt:
        if not datagram:  # what is left of connections that have ended is in nobody's way
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((ADDRESS, port.internal))
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                raise Conflict(f"port {port.internal}/{port.protocol} of the device is taken by another program") from problem


def _cell_name(key: InstanceKey) -> str:
    """Names of chutes and services have no dot, so this cannot be two keys' name."""
    return f"{key.chute}.{key.service}.{key.release}"
