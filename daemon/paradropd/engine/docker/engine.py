"""Chutes as Docker containers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.task import deferLater

from paradrop.base.exceptions import (
    ChuteNotRunning,
    Conflict,
    EngineError,
    EngineUnavailable,
    ImageNotFound,
    NotFound,
    ParadropException,
    StartFailed,
)
from paradrop.base.seams import Threads, WallClock
from paradrop.values import EngineInfo
from paradropd.engine.docker.background import Background
from paradropd.engine.docker.calls import Calls
from paradropd.engine.docker.commands import Commands
from paradropd.engine.docker.containers import configuration, state_of
from paradropd.engine.docker.events import Watcher
from paradropd.engine.docker.images import Images
from paradropd.engine.docker.init import complaint, executed
from paradropd.engine.docker.names import Names
from paradropd.engine.docker.networks import Networks
from paradropd.engine.docker.roster import Entry, Resume, Roster
from paradropd.engine.docker.wire import Wire
from paradropd.engine.port import BuildSpec, InstanceKey, InstanceSpec, InstanceState, InstanceStatus, Observer

ISOLATES = ("files", "processes", "network", "memory", "cpu", "pids", "privileges")
SHARES = ("kernel",)

SHARED_FOLDER = 0o777
"""Mode of a data folder. Which user an image runs as is not known from outside, as with a user namespace or a name. The folder
above is what keeps other people of this machine out."""


EXECUTED_WITHIN = 1.0
"""Seconds within which a container's init executes the command on a slow machine."""

LOOK_AGAIN = 0.01
"""Seconds between two looks whether it has."""


class DockerEngine:
    """An :class:`~paradropd.engine.port.Engine` on a Docker of API 1.41 or newer.

    :param threads: runs docker-py's blocking calls.
    :param base_url: ``unix:///var/run/docker.sock`` or ``tcp://host:port``.
    :param device: id of the device; what carries another one in its labels is not seen.
    :param base_images: image references by the names that light services use, such as ``python3``.
    :param resume: time (seconds since the epoch) of the last output that was kept of an instance found at :meth:`open`; its
        later output is delivered, and all of it without such a time.
    """

    name = "docker"

    def __init__(
        self,
        reactor: Any,
        threads: Threads,
        wall: WallClock,
        base_url: str,
        device: str,
        base_images: Mapping[str, str],
        resume: Resume = lambda key: None,
    ) -> None:
        self._reactor, self._wall, self._resume = reactor, wall, resume
        self._names = Names(device)
        self._threads = threads
        self._calls = Calls(threads, base_url)
        self._wire = Wire(reactor, base_url)
        self._images = Images(self._calls, self._wire, threads, self._names, base_images)
        self._networks = Networks(self._calls, self._names)
        self._commands = Commands(reactor, self._calls, self._wire)
        self._background = Background()
        self._roster: Roster | None = None
        self._watcher: Watcher | None = None
        self._init, self._processors = False, 1
        self._local = base_url.startswith("unix:")

    @property
    def roster(self) -> Roster:
        if self._roster is None:
            raise EngineUnavailable("the engine is not open")
        return self._roster

    async def open(self, observer: Observer) -> EngineInfo:
        """See the port. Raises ``EngineUnavailable`` when Docker does not answer; when it stops later, it is waited for."""
        # docker-py 7.2 leaves a socket unclosed when nobody listens, so the first to knock is Twisted.
        found = await self._found()
        facts = await self._calls("info")
        self._init, self._processors = bool(facts.get("InitBinary")), int(facts.get("NCPU") or 1)
        roster = Roster(self._reactor, self._calls, self._wire, self._wall, self._names, observer, self._resume, self._background)
        self._watcher = Watcher(self._reactor, self._calls, self._wire, self._names, roster, self._background)
        await self._watcher.open()
        self._roster = roster
        return found

    async def info(self) -> EngineInfo:
        try:
            return await self._found()
        except EngineError as problem:
            return EngineInfo(name=self.name, available=False, isolates=ISOLATES, shares=SHARES, detail=str(problem))

    async def _found(self) -> EngineInfo:
        version = (await self._wire.fetch("/version"))["Version"]
        return EngineInfo(name=self.name, version=str(version), isolates=ISOLATES, shares=SHARES)

    async def build(self, spec: BuildSpec, output: Callable[[str], None]) -> str:
        return await self._images.build(spec, output, self._processors)

    async def start(self, spec: InstanceSpec) -> InstanceState:
        """See the port. In the usual case these are three requests: create, start, inspect."""
        await self.remove(spec.key)
        await self._networks.ensure(spec.key.chute)
        spec.data_dir.chmod(SHARED_FOLDER)
        entry = self.roster.add(await self._create(spec), spec.key)
        entry.starting = True
        try:
            await self._run(entry)
            self.roster.follow(entry)
            state = await self._started(entry)
        except BaseException:
            await self._scrap(entry)
            raise
        finally:
            entry.starting = False
        self.roster.apply(entry, state)
        if entry.missed:
            self._background(self.roster.refresh(entry))
        return state

    async def _started(self, entry: Entry) -> InstanceState:
        """The first state of a container, once its command is executed. Raises ``StartFailed`` when it cannot be."""
        give_up = self._reactor.seconds() + EXECUTED_WITHIN
        while True:
            inspected = await self._calls("inspect_container", entry.id)
            state = state_of(inspected, entry.key, self._names.network(entry.key.chute))
            if state.status is InstanceStatus.EXITED:
                await self.roster.last_words(entry)
                if reason := complaint(entry.follower.complaint, state.exit_code):
                    raise StartFailed(reason)
                return state
            if not (self._init and self._local) or executed(inspected["State"]["Pid"]) or self._reactor.seconds() > give_up:
                return state
            await deferLater(self._reactor, LOOK_AGAIN)

    async def _create(self, spec: InstanceSpec) -> str:
        wanted = configuration(spec, self._names, init=self._init, processors=self._processors)
        name = self._names.container(spec.key)
        try:
            created = await self._calls("create_container_from_config", wanted, name)
        except Conflict:
            # A container of ours that we had not seen yet; another's is not in our list and the name stays taken.
            await self.roster.look()
            await self.remove(spec.key)
            created = await self._calls("create_container_from_config", wanted, name)
        except NotFound as problem:
            raise ImageNotFound(str(problem)) from problem
        return str(created["Id"])

    async def _run(self, entry: Entry) -> None:
        try:
            await self._calls("start", entry.id)
        except NotFound:
            # Somebody deleted the network that we know to have made.
            await self._networks.ensure(entry.key.chute, again=True)
            await self._calls("start", entry.id)
        except EngineError as problem:
            raise StartFailed(str(problem)) if type(problem) is EngineError else problem from problem

    async def _scrap(self, entry: Entry) -> None:
        """Take away a container that did not start."""
        self.roster.drop(entry)
        with suppress(ParadropException):
            await self._calls("remove_container", entry.id, force=True, v=True)

    async def stop(self, key: InstanceKey, grace: float) -> None:
        for entry in self._running(key):
            with suppress(NotFound):
                await self._calls("stop", entry.id, timeout=math.ceil(grace))
            await self.roster.refresh(entry)

    async def remove(self, key: InstanceKey) -> None:
        for entry in self.roster.of(key):
            entry.leaving = True
            try:
                await self._remove(entry)
            except BaseException:
                entry.leaving = False
                raise
            self.roster.drop(entry)

    async def _remove(self, entry: Entry) -> None:
        """Its last words are waited for: they are often the reason why it goes."""
        if entry.state is None or entry.state.status is InstanceStatus.RUNNING:
            with suppress(NotFound, Conflict):  # gone, or has ended
                await self._calls("kill", entry.id)
            await self.roster.last_words(entry)
        with suppress(NotFound, Conflict):
            await self._calls("remove_container", entry.id, force=True, v=True)

    def _running(self, key: InstanceKey) -> list[Entry]:
        return [entry for entry in self.roster.of(key) if entry.state and entry.state.status is InstanceStatus.RUNNING]

    async def instances(self) -> tuple[InstanceState, ...]:
        await self.roster.look()
        return tuple(sorted(self.roster.states(), key=lambda state: state.key))

    async def execute(self, key: InstanceKey, command: tuple[str, ...], timeout: float) -> int:
        running = self._running(key)
        if not running:
            raise ChuteNotRunning(f"{key} is not running")
        return await self._commands.execute(running[0].id, command, timeout)

    async def discard(self, image: str) -> None:
        await self._images.discard(image)

    async def forget(self, chute: str) -> None:
        await self._networks.forget(chute)

    async def close(self) -> None:
        """See the port. The containers go on."""
        watcher, self._watcher = self._watcher, None
        roster, self._roster = self._roster, None
        if watcher is not None:
            watcher.close()
        self._background.close()
        if roster is not None:
            roster.close()
        await self._calls.close()
