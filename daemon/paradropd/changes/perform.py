"""Does one step. Every effect a change has on the device is in this file."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from paradrop.base.exceptions import DeadlineExceeded, EngineError, StartFailed, StorageFull
from paradrop.base.seams import Threads
from paradrop.manifest import FILE_NAME
from paradrop.manifest.model import HealthCheck, Service, ServiceKind
from paradrop.source import subtree, tree_digest
from paradrop.source.blobs import Blobs
from paradrop.values import SourceTree, Want
from paradropd.changes.steps import (
    AwaitHealthy,
    Build,
    CloseSocket,
    Forget,
    OpenSocket,
    Record,
    RemoveInstance,
    Start,
    Step,
    Stop,
    Tidy,
)
from paradropd.chutes.health import HealthChecker, missing
from paradropd.chutes.model import Release
from paradropd.chutes.store import ChuteStore
from paradropd.engine.port import BuildSpec, Engine, InstanceKey, InstanceSpec, InstanceState, InstanceStatus, SourceFile
from paradropd.home import Home
from paradropd.logs import Collector, source_of

log = Logger(namespace="paradropd.changes")

LOOK = 0.02
"""Seconds between two looks at a chute that is starting, where a look costs nothing but a look-up."""

ASK = 0.25
"""Seconds between two checks of a chute that is starting, where a check is a request to it or a command in it."""

LOOK_AGAIN = 0.5
"""Seconds after which a chute whose check said yes must still run, where another program could have answered in its place."""

LAST_WORDS = 8
"""How many lines of its log go into the reason when a chute does not start."""


class Door(Protocol):
    """A chute's way to the fabric."""

    async def open(self, release: Release) -> None: ...
    async def close(self, chute: str) -> None: ...
    def forget(self, chute: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds."""

    settle: float = 2.0
    """How long a chute without a health check must stay up to be taken for started."""
    grace: float = 10.0
    """How long a chute may take to end when asked to."""
    build: float = 1800.0
    """How long a build may take."""


class Performer:
    """Does the steps of changes, with the engine, the fabric, the disk and the database."""

    def __init__(
        self,
        *,
        clock: IReactorTime,
        threads: Threads,
        engine: Engine,
        store: ChuteStore,
        blobs: Blobs,
        home: Home,
        logs: Collector,
        remove_log: Callable[[str], Any],
        door: Door,
        health: HealthChecker,
        states: MutableMapping[InstanceKey, InstanceState],
        router_id: str,
        times: Times,
    ) -> None:
        self._clock = clock
        self._threads = threads
        self._engine = engine
        self._store = store
        self._blobs = blobs
        self._home = home
        self._logs = logs
        self._remove_log = remove_log
        self._door = door
        self._health = health
        self._states = states
        self._router_id = router_id
        self._times = times
        self._marks: dict[InstanceKey, int] = {}
        """How far the chute's log went when the instance was started."""

    async def perform(self, step: Step) -> None:
        """Do *step*. Raises what the engine or the database raises, and :class:`StorageFull`."""
        try:
            await self._perform(step)
        except OSError as problem:
            if problem.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull from problem
            raise

    async def _perform(self, step: Step) -> None:
        match step:
            case Build():
                await self._build(step.release, step.release.manifest.service(step.service))
            case Stop():
                await self._engine.stop(step.key, self._times.grace)
            case OpenSocket():
                self._home.data_dir(step.release.chute).mkdir(mode=0o700, exist_ok=True)
                await self._door.open(step.release)
            case Start():
                await self._start(step.release, step.release.manifest.service(step.service))
            case AwaitHealthy():
                await self._await_healthy(step.release)
            case Record():
                if step.chute.want is Want.STOPPED:
                    self._store.stop(step.chute)
                elif self._store.find(step.chute.name) != step.chute:  # on the way back it is there already
                    self._store.want(step.chute)
            case RemoveInstance():
                await self._engine.remove(step.key)
                self._states.pop(step.key, None)
                self._logs.ended(step.key)  # the engine says nothing of an end by removal
                self._marks.pop(step.key, None)
            case CloseSocket():
                await self._door.close(step.chute)
            case Forget():
                await self._forget(step)
            case Tidy():
                await self._tidy(step.chute)

    async def _build(self, release: Release, service: Service) -> None:
        tree = subtree(self._store.tree(release), service.source)
        if service.kind is ServiceKind.LIGHT:
            # Nothing in the image reads it, and a new version alone must not make a new image.
            tree = SourceTree(entries=tuple(entry for entry in tree.entries if entry.path != FILE_NAME))
        recipe = json.dumps([service.kind, service.image, tree_digest(tree)])

        def files() -> Iterator[SourceFile]:
            for entry in tree.entries:
                content = self._blobs.path(entry.sha256)
                yield SourceFile(path=entry.path, content=content, size=entry.size, executable=entry.executable)

        spec = BuildSpec(
            key=release.key(service),
            kind=service.kind,
            image=service.image,
            digest=hashlib.sha256(recipe.encode()).hexdigest(),
            files=files,
        )

        def expired(result: object, seconds: float) -> NoReturn:
            raise DeadlineExceeded(f"the build took more than {seconds:g} s")

        building = Deferred.fromCoroutine(
            self._engine.build(spec, lambda line: self._logs.note(release.chute, service.name, line))
        )
        image = await building.addTimeout(self._times.build, self._clock, expired)
        self._store.add_image(release, service.name, image)

    async def _start(self, release: Release, service: Service) -> None:
        manifest = release.manifest
        environment = {
            **manifest.environment,
            **service.environment,
            "PARADROP_CHUTE_NAME": manifest.name,
            "PARADROP_CHUTE_VERSION": manifest.version,
            "PARADROP_ROUTER_ID": self._router_id,
        }
        spec = InstanceSpec(
            key=release.key(service),
            # Asked anew: a build that is a step of the same change has just written it down.
            image=self._store.release(release.chute, release.number).images[service.name],
            system_dir=self._home.system_dir(release.chute),
            data_dir=self._home.data_dir(release.chute),
            command=service.command,
            environment=environment,
            limits=service.limits,
            ports=service.ports,
        )
        self._marks[spec.key] = self._logs.position(release.chute)
        # The engine takes an ended instance of that key away, and says nothing when the new one does not start.
        self._states.pop(spec.key, None)
        await self._engine.start(spec)

    async def _await_healthy(self, release: Release) -> None:
        """Raises :class:`StartFailed` as soon as a service ends, or when the time is over."""
        health = release.manifest.health
        own = health is None or health.check is HealthCheck.PROCEDURE  # nobody else can register the chute's procedure
        begun = self._clock.seconds()
        while True:
            running = await self._all_run(release)
            waited = self._clock.seconds() - begun
            if health is None and waited >= self._times.settle:
                return
            if health is not None:
                if await self._health.healthy(release):
                    if not own:
                        await deferLater(self._clock, LOOK_AGAIN)
                    if running and await self._all_run(release):
                        return
                if waited >= health.start:
                    key = InstanceKey(release.chute, health.service, release.number)
                    reason = (
                        f"{health.service} did not become healthy within {health.start:g} s: {missing(release.chute, health)}"
                    )
                    raise StartFailed(self._with_last_lines(reason, key))
            await deferLater(self._clock, LOOK if own else ASK)

    async def _all_run(self, release: Release) -> bool:
        """Whether the engine has said of every service that it runs. Raises :class:`StartFailed` when one has ended."""
        states = [self._states.get(key) for key in release.keys]
        for state in states:
            if state is not None and state.status is InstanceStatus.EXITED:
                await deferLater(self._clock, LOOK)  # its last lines are on their way
                raise StartFailed(self._last_words(state))
        return None not in states

    def _last_words(self, state: InstanceState) -> str:
        reason = f"{state.key.service} ended with exit code {state.exit_code}"
        return self._with_last_lines(reason + (f" ({state.detail})" if state.detail else ""), state.key)

    def _with_last_lines(self, reason: str, key: InstanceKey) -> str:
        lines = self._logs.tail(key.chute, key.service, LAST_WORDS, self._marks.get(key, 0))
        return "\n".join([f"{reason}; its last lines:", *lines]) if lines else reason

    async def _forget(self, step: Forget) -> None:
        data = self._home.data_dir(step.chute)
        await self._engine.forget(step.chute)
        try:
            dropped = self._store.forget(step.chute)
        except StorageFull:
            if step.keep_data:
                raise
            await self._threads(shutil.rmtree, data, ignore_errors=True)  # it may be what fills the disk
            dropped = self._store.forget(step.chute)
        await self._discard_images(dropped)
        self._door.forget(step.chute)
        if step.keep_data:
            with suppress(OSError):  # not there, or there is something to keep in it
                data.rmdir()
        else:
            await self._threads(shutil.rmtree, data, ignore_errors=True)
        self._logs.forget(step.chute)
        if not step.keep_log:
            self._remove_log(source_of(step.chute))

    async def _tidy(self, name: str) -> None:
        """Keep the current release and the one before it; nothing of a chute that has none."""
        chute = self._store.find(name)
        if chute is None:
            await self._door.close(name)
            self._door.forget(name)
        current = chute.release.number if chute is not None else 0
        before = [number for number in self._store.numbers(name) if number < current]
        await self._discard_images(self._store.drop_releases(name, keep={current, *before[-1:]}))
        self._blobs.keep_only(self._store.digests())

    async def _discard_images(self, dropped: Iterable[Release]) -> None:
        """Delete the images of those releases alone. One that cannot be deleted costs disk and harms nobody."""
        needed = self._store.images()
        for image in {image for release in dropped for image in release.images.values()} - needed:
            try:
                await self._engine.discard(image)
            except EngineError as problem:
                log.warn("the image {image} is left over: {problem}", image=image, problem=problem)
