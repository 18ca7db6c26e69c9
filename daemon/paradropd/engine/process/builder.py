"""Builds images of the process engine: source files in a folder, and a Python environment when the source asks for packages."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorProcess

from paradrop.base.exceptions import BuildFailed, EngineError
from paradrop.base.seams import Threads
from paradrop.manifest.model import ServiceKind
from paradropd.engine.port import BuildSpec

from .child import Child, spawn
from .images import PREFIX, REQUIREMENTS, Images, install_script
from .probing import own
from .sandbox import NOBODY, Room, Sandbox
from .view import search_path

LAST_LINES = 20
"""Lines of output that an error has."""
LONGEST = 2000
"""Characters of one line of output that are kept."""
PASSED_ON = ("PIP_", "SSL_CERT_")
"""Beginnings of the daemon's own variables that the installation of packages may know."""
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "HOME")
MEMORY = 1 << 30
"""Bytes of temporary files during a build."""


class Lines:
    """Cuts output into lines, keeps the last ones, and tells each."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._rest = tell, {"out": "", "err": ""}
        self.last: deque[str] = deque(maxlen=LAST_LINES)

    def add(self, stream: str, data: bytes) -> None:
        *lines, self._rest[stream] = (self._rest[stream] + data.decode(errors="replace")).split("\n")
        self._rest[stream] = self._rest[stream][-LONGEST:]
        for line in lines:
            self._line(line)

    def finish(self) -> None:
        for stream, rest in self._rest.items():
            if rest:
                self._line(rest)
            self._rest[stream] = ""

    def _line(self, line: str) -> None:
        text = line.rstrip("\r")[:LONGEST]
        self.last.append(text)
        self._tell(text)


class Builder:
    """Makes images, one at a time."""

    def __init__(
        self, processes: IReactorProcess, threads: Threads, images: Images, environment: Mapping[str, str], null: int
    ) -> None:
        """*environment* is the daemon's own."""
        self._processes, self._threads, self._images = processes, threads, images
        self._null, self._lock, self._children = null, DeferredLock(), set[Child]()
        names = [name for name in environment if name.startswith(PASSED_ON) or name in PROXIES]
        self._environment = {name: environment[name] for name in names} | {"PIP_NO_CACHE_DIR": "1"}

    async def build(self, spec: BuildSpec, sandbox: Sandbox, output: Callable[[str], None]) -> str:
        """As :meth:`~.port.Engine.build`, for *sandbox*."""
        if spec.kind is not ServiceKind.LIGHT:
            raise EngineError(
                f"this device runs chutes as processes and cannot make a service of type {spec.kind}: "
                "use 'type: light', or install Docker on the device"
            )
        if spec.image not in ("python3", "python"):
            raise EngineError(f"this device has no base {spec.image!r} for services of type light; it has python3")
        await self._lock.acquire()
        try:
            image = PREFIX + spec.digest
            if await self._threads(self._images.path, image) is None:
                image = await self._make(spec, sandbox, output)
            return image
        finally:
            self._lock.release()

    async def _make(self, spec: BuildSpec, sandbox: Sandbox, output: Callable[[str], None]) -> str:
        folder = await self._threads(lambda: self._images.lay_out(spec.digest, spec.files()))
        try:
            output("the source is laid out")
            if (folder / REQUIREMENTS).is_file():
                await self._install(folder, sandbox, output)
            return await self._threads(self._images.finish, folder)
        except BaseException:
            await self._threads(self._images.delete, folder)
            raise

    async def _install(self, folder: Path, sandbox: Sandbox, output: Callable[[str], None]) -> None:
        lines = Lines(output)
        child = Child(lines.add, sandbox.wrappers)
        command = sandbox.command(
            Room(image=folder, building=True, memory=MEMORY, also=self._configuration()), ("sh", "-c", install_script(folder))
        )
        if sandbox.changes_user:
            await self._threads(own, folder, NOBODY)
        self._children.add(child)
        try:
            spawn(self._processes, child, command, {"PATH": search_path(folder), **self._environment}, self._null)
            code = await child.ended()
        finally:
            child.kill()
            self._children.discard(child)
            if sandbox.changes_user:
                await self._threads(own, folder, os.geteuid())
        lines.finish()
        if code:
            raise BuildFailed("\n".join(lines.last) or child.complaint or f"the installation ended with {code}")

    def _configuration(self) -> tuple[Path, ...]:
        """Files and folders of the device that tell pip where packages come from."""
        values = " ".join(value for name, value in self._environment.items() if name.startswith(PASSED_ON)).split()
        home = Path(self._environment.get("HOME", "/nonexistent"))
        candidates = [Path(value) for value in values if value.startswith("/")]
        candidates += [Path("/etc/pip.conf"), home / ".config/pip/pip.conf", home / ".pip/pip.conf"]
        found = []
        for path in candidates:
            with contextlib.suppress(OSError):
                if path.exists():
                    found.append(path)
        return tuple(found)

    def kill(self) -> None:
        """End what is being built."""
        for child in self._children:
            child.kill()
