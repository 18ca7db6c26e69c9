"""A real ``paradropd`` in a process and a home of its own, and a session on its control socket."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import docker.errors
from bench.place import DOCKER_URL, NotMeasured, Place
from twisted.internet.task import deferLater

from paradrop import uris
from paradrop.base.exceptions import NotFound, Unreachable
from paradrop.base.seams import in_thread
from paradrop.manifest import FILE_NAME
from paradrop.source import read_piece, scan
from paradrop.source.sending import send
from paradrop.source.walk import Scan
from paradrop.values import ChangeRecord, ChangeState, SourceTree, read
from pdtools.device import Device
from pdtools.fabric import Event, Fabric, Inbox
from pdtools.target import Target
from pdtools.wamp import dial

LOOK = 0.002
"""Seconds between two looks at a daemon that is starting."""
PAUSE = 0.2
"""Seconds before a deploy that failed is tried again."""
READY = 60.0
"""Seconds within which a daemon must have started."""
SILENCE = 60.0
"""Seconds without news of a change after which the bench gives up."""
DEVICE_LABEL = "org.paradrop.device"
IMAGE_LABEL = "org.paradrop.image.device"


@dataclass(frozen=True, slots=True)
class Ended:
    """A change that has ended."""

    record: ChangeRecord
    seconds: float
    """From asking for it to hearing that it is done."""


class Client:
    """A session on a device's control socket that hears of its changes."""

    def __init__(self, fabric: Fabric, reactor: Any) -> None:
        self.fabric = fabric
        self._reactor = reactor
        self.device = Device(fabric)
        self._changes: Inbox[dict[str, Any]] = Inbox(fabric, reactor)

    async def listen(self) -> None:
        def heard(event: Event) -> None:
            self._changes.put(event.args[0])

        await self.fabric.subscribe(heard, uris.local(uris.ON_CHANGE))

    async def send(self, source: Scan) -> None:
        """Send what the device has not got of *source*."""
        await send(self.device, source.tree, source.files, read_piece, lambda have, total: None)

    async def deploy(self, tree: SourceTree) -> Ended:
        """Deploy *tree*, whose content is there, and wait. Raises :class:`NotMeasured` with the reason when it is not done."""
        give_up = time.perf_counter() + READY
        while True:
            self._changes.clear()
            begun = time.perf_counter()
            ended = await self._ended(await self.device.deploy(tree))
            if ended.record.state is ChangeState.DONE:
                return replace(ended, seconds=ended.seconds - begun)
            # A daemon that has just started may not have opened its engine yet, and then says that a retry may work.
            if not ended.record.retry or begun > give_up:
                raise NotMeasured(f"the deploy ended as {ended.record.state}: {ended.record.reason}")
            await deferLater(self._reactor, PAUSE)

    async def remove(self, chute: str) -> None:
        with suppress(NotFound):
            await self._ended(await self.device.change_of(uris.CHUTES_REMOVE, chute))

    async def _ended(self, asked: ChangeRecord) -> Ended:
        while (heard := await self._changes.next(SILENCE)) is not None:
            if heard["id"] == asked.id and ChangeState(heard["state"]).final:
                return Ended(read(ChangeRecord, heard), time.perf_counter())
        raise NotMeasured(f"nothing was heard of the change {asked.id} for {SILENCE:g} s")


@dataclass(slots=True)
class Daemon:
    place: Place
    home: Path
    process: subprocess.Popen[bytes]
    begun: float
    """When it was executed, by ``time.perf_counter``."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def containers(self) -> list[dict[str, Any]]:
        """What Docker has of this daemon's, the newest first. Blocks."""
        identity = (self.home / "device-id").read_text(encoding="ascii").strip()
        found: list[dict[str, Any]] = self.place.docker.api.containers(filters={"label": f"{DEVICE_LABEL}={identity}"})
        return found

    def chute_socket(self, chute: str) -> Path:
        return self.home / "run" / "chutes" / chute / "fabric.sock"

    async def dial(self) -> Fabric:
        """A session on the control socket, as soon as there is one. Raises :class:`NotMeasured` when it does not start."""
        control = self.home / "run" / "control.sock"
        while self.process.poll() is None and time.perf_counter() < self.begun + READY:
            if control.exists():
                with suppress(Unreachable):
                    return await dial(Target(f"unix:{control}", str(control)), self.place.reactor)
            await deferLater(self.place.reactor, LOOK)
        raise NotMeasured(f"paradropd did not start: {(self.home / 'stderr').read_text(encoding='utf-8')[-2000:]}")

    async def client(self) -> Client:
        """A session, once the engine is there. Raises :class:`NotMeasured` when it does not come."""
        client = Client(await self.dial(), self.place.reactor)
        await client.listen()
        while not (engine := (await client.device.info()).engine).available:
            if time.perf_counter() > self.begun + READY:
                raise NotMeasured(f"the engine {engine.name} is not there: {engine.detail}")
            await deferLater(self.place.reactor, LOOK)
        return client


@asynccontextmanager
async def daemon(place: Place, *settings: str, engine: str | None = None) -> AsyncIterator[Daemon]:
    """A daemon with *settings* (``KEY:value``), ended afterwards with everything it made."""
    home = Path(tempfile.mkdtemp(prefix="pd-bench-"))
    command = [str(place.paradropd), "--home", str(home), "--quiet"]
    for setting in ("PORTAL_SERVER_PORT:0", f"ENGINE:{engine or place.engine}", f"DOCKER_SOCKET:{DOCKER_URL}", *settings):
        command += ["--set", setting]
    with (home / "stderr").open("wb") as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
    running = Daemon(place, home, process, begun)
    try:
        yield running
    finally:
        await _end(running)
        shutil.rmtree(home, ignore_errors=True)


async def _end(running: Daemon) -> None:
    if running.process.poll() is None:
        running.process.terminate()
        try:
            await in_thread(partial(running.process.wait, timeout=30))
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()
    identity = running.home / "device-id"
    if running.place.docker is not None and identity.exists():
        await in_thread(clear, running.place.docker, identity.read_text(encoding="ascii").strip())


def clear(client: Any, device: str) -> None:
    """Delete everything in Docker that carries the label of *device*."""
    filters = {"label": f"{DEVICE_LABEL}={device}"}
    for container in client.containers.list(all=True, filters=filters):
        container.remove(force=True, v=True)
    for network in client.networks.list(filters=filters):
        network.remove()
    for image in client.images.list(filters={"label": f"{IMAGE_LABEL}={device}"}):
        with suppress(docker.errors.APIError):
            client.images.remove(image.id, force=True)


def versions(hello: Path, folder: Path) -> tuple[Scan, Scan]:
    """Two copies of the chute in *hello* below *folder*, alike but for the manifest's version."""
    return _version(hello, folder / "one", "1.0.1"), _version(hello, folder / "two", "1.0.2")


def _version(hello: Path, folder: Path, version: str) -> Scan:
    shutil.copytree(hello, folder, ignore=shutil.ignore_patterns("__pycache__"))
    lines = (folder / FILE_NAME).read_text(encoding="utf-8").splitlines()
    changed = [f'version: "{version}"' if line.startswith("version:") else line for line in lines]
    (folder / FILE_NAME).write_text("\n".join(changed) + "\n", encoding="utf-8")
    return scan(folder)
