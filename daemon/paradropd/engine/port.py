"""The port to whatever runs chutes, in our words.

An *instance* is one running (or ended) copy of one service of one release of one chute. An engine knows instances and images,
and nothing of manifests, health, restarts or the fabric. Three engines stand behind this port: :mod:`.memory` for tests,
:mod:`.process` and :mod:`.docker`; :mod:`.contract` holds all three to the same behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from paradrop.manifest.model import Limits, PortBinding, ServiceKind
from paradrop.values import EngineInfo


@dataclass(frozen=True, slots=True, order=True)
class InstanceKey:
    chute: str
    service: str
    release: int

    def __str__(self) -> str:
        return f"{self.chute}/{self.service}#{self.release}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    path: str
    """Relative, with ``/``, without ``..``: checked before an engine sees it."""
    content: Path
    """Where the bytes are on the device."""
    size: int
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    key: InstanceKey
    kind: ServiceKind
    image: str
    """``light``: the base's name, as in settings; ``image``: a reference; ``normal``: empty."""
    digest: str
    """sha-256 of everything that goes into the build: the same digest means the same image, which is not built twice."""
    files: Callable[[], Iterator[SourceFile]]
    """The files of the service's source folder, paths relative to that folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSpec:
    key: InstanceKey
    image: str
    """What :meth:`Engine.build` returned."""
    system_dir: Path
    """Holds ``fabric.sock``; the chute sees it read-only, as ``/paradrop`` where the engine can arrange that."""
    data_dir: Path
    """The chute's own, kept across releases; ``/data`` where the engine can arrange that."""
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Without the five ``PARADROP_*DIR/FABRIC`` variables that say where things are: the engine adds those."""
    limits: Limits = field(default_factory=Limits)
    ports: tuple[PortBinding, ...] = ()


class InstanceStatus(StrEnum):
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceState:
    key: InstanceKey
    status: InstanceStatus
    exit_code: int | None = None
    """``128 + n`` for an end by signal n, as a shell has it."""
    started: float | None = None
    """Seconds since the epoch."""
    address: str | None = None
    """Where the daemon reaches the instance's ports, while it runs."""
    detail: str = ""
    """Why it ended, when the engine knows more than the exit code: ``out of memory``."""


class Observer(Protocol):
    """Told by an engine, on the reactor's thread, what happens to instances it has started or found."""

    def state_changed(self, state: InstanceState) -> None:
        """An instance started or ended by whatever cause; never called for one that :meth:`Engine.remove` took away."""

    def output(self, key: InstanceKey, stream: str, data: bytes, time: float) -> None:
        """Some bytes an instance printed (``stream`` is ``out`` or ``err``): not aligned to lines, at most 64 KiB, with the
        engine's time in seconds since the epoch."""


class Engine(Protocol):
    """Runs instances.

    Every method that waits raises :class:`~paradrop.base.exceptions.EngineUnavailable` when the engine does not answer, and
    :class:`~paradrop.base.exceptions.EngineError` (or the subclass named) when it refuses.
    """

    name: str

    async def open(self, observer: Observer) -> EngineInfo:
        """Connect, find the instances that are ours from before, and report to *observer* from now on."""

    async def info(self) -> EngineInfo:
        """What this engine is and isolates; ``available=False`` with a detail instead of an exception."""

    async def build(self, spec: BuildSpec, output: Callable[[str], None]) -> str:
        """Make an image, telling *output* each line of progress on the reactor's thread. Returns the image's name.

        Raises ``BuildFailed`` with the last lines of output, ``ImageNotFound``.
        """

    async def start(self, spec: InstanceSpec) -> InstanceState:
        """Create the instance and start it. An instance of the same key that exists is removed first.

        Raises ``StartFailed`` when the command cannot be executed, ``ImageNotFound``.
        """

    async def stop(self, key: InstanceKey, grace: float) -> None:
        """Ask it to end (SIGTERM), and after *grace* seconds make it end (SIGKILL). It stays listed as exited. Nothing to do
        when it is not there or has ended."""

    async def remove(self, key: InstanceKey) -> None:
        """Make it end at once and forget it. Nothing to do when it is not there."""

    async def instances(self) -> tuple[InstanceState, ...]:
        """Everything there is of this device, ordered by key."""

    async def execute(self, key: InstanceKey, command: tuple[str, ...], timeout: float) -> int:
        """Run *command* inside a running instance and return its exit code.

        Raises ``ChuteNotRunning``; ``DeadlineExceeded`` after *timeout* seconds, with the command ended.
        """

    async def discard(self, image: str) -> None:
        """Delete an image that :meth:`build` made. Nothing to do when it is gone, in use or not ours."""

    async def forget(self, chute: str) -> None:
        """Delete whatever the engine keeps for *chute* beside instances and images (its network)."""

    async def close(self) -> None:
        """Disconnect and stop all threads. What runs goes on where the engine can do that (Docker), and ends where it cannot
        (processes)."""
