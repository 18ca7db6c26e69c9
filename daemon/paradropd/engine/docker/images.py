"""Making, finding and deleting images."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO, Any

from docker.utils import parse_repository_tag

from paradrop.base.exceptions import BuildFailed, Conflict, EngineError, EngineUnavailable, ImageNotFound, NotFound
from paradrop.base.seams import Threads
from paradrop.manifest.model import MIB, ServiceKind
from paradropd.engine.docker.calls import Calls
from paradropd.engine.docker.context import pack
from paradropd.engine.docker.errors import refusal
from paradropd.engine.docker.names import Names
from paradropd.engine.docker.wire import Wire, messages
from paradropd.engine.port import BuildSpec

KEPT_LINES = 20
"""How many of the last lines of a failed build its error quotes."""

BUILD_MEMORY = 1024 * MIB
"""Bytes that one step of a build may use."""

Output = Callable[[str], None]


class Progress:
    """Docker's messages about a build or a pull, as lines; remembers the end and the error."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.last: deque[str] = deque(maxlen=KEPT_LINES)
        self.error = ""
        self.image = ""
        """The id of what was built, once Docker says it."""

    def take(self, message: Mapping[str, Any]) -> None:
        if "error" in message:
            self.error = str(message["error"])
            self._lines(self.error)
        elif "stream" in message:
            self._lines(str(message["stream"]))
        elif "status" in message and not message.get("progressDetail"):
            self._lines(": ".join(str(message[part]) for part in ("id", "status") if message.get(part)))
        elif "aux" in message:
            self.image = str(message["aux"].get("ID", self.image))

    def _lines(self, text: str) -> None:
        for line in text.splitlines():
            if line.strip():
                self.last.append(line)
                self._output(line)


class Images:
    """The images of one device."""

    def __init__(
        self, calls: Calls, wire: Wire, threads: Threads, names: Names, base_images: Mapping[str, str], memory: int = BUILD_MEMORY
    ) -> None:
        self._calls, self._wire, self._threads, self._names = calls, wire, threads, names
        self._base_images, self._memory = base_images, memory

    async def build(self, spec: BuildSpec, output: Output) -> str:
        """See :meth:`paradropd.engine.port.Engine.build`."""
        if spec.kind is ServiceKind.IMAGE:
            await self._ensure(spec.image, output)
            return spec.image
        tag = self._names.image(spec)
        if await self._there(tag):
            return tag
        base = ""
        if spec.kind is ServiceKind.LIGHT:
            base = self._base(spec.image)
            await self._ensure(base, output)
        context = await self._threads(pack, spec, base)
        with context:
            await self._run(spec, tag, context, output)
        return tag

    def _base(self, name: str) -> str:
        try:
            return self._base_images[name]
        except KeyError:
            known = ", ".join(sorted(self._base_images)) or "none"
            raise ImageNotFound(f"there is no base image {name!r}; the settings have: {known}") from None

    async def _there(self, image: str) -> bool:
        try:
            await self._calls("inspect_image", image)
        except (ImageNotFound, NotFound):
            return False
        return True

    async def _run(self, spec: BuildSpec, tag: str, context: IO[bytes], output: Output) -> None:
        """One build by Docker's own builder: BuildKit is not there in every Docker that embedded systems have."""
        progress = Progress(output)
        parameters: dict[str, str | int] = {
            "t": tag,
            "labels": json.dumps(self._names.labels(spec.key)),
            "rm": 1,
            "forcerm": 1,
            "memory": self._memory,
            "memswap": self._memory,
        }
        stream = await self._wire.stream("POST", "/build", messages(progress.take), parameters=parameters, body=context)
        await stream.finished
        if progress.error:
            # A build that Docker gave up because it stops, or because the disk is full, is not the chute's fault.
            problem = refusal(500, progress.error)
            raise BuildFailed("\n".join(progress.last)) if type(problem) is EngineError else problem
        if not progress.image:
            raise EngineUnavailable("Docker ended the build without a word: it was probably stopped")

    async def _ensure(self, reference: str, output: Output) -> None:
        """See that an image is here, pulling it when it is not. Raises :class:`ImageNotFound`."""
        if await self._there(reference):
            return
        repository, tag = parse_repository_tag(reference)
        progress = Progress(output)
        headers = await self._credentials(repository)
        parameters = {"fromImage": repository, "tag": tag or "latest"}
        try:
            stream = await self._wire.stream(
                "POST", "/images/create", messages(progress.take), parameters=parameters, headers=headers
            )
            await stream.finished
        except EngineUnavailable:
            raise
        except EngineError as problem:
            progress.error = str(problem)
        if progress.error or not await self._there(reference):
            raise ImageNotFound(f"{reference} is not on this device, and cannot be fetched: {progress.error}")

    async def _credentials(self, repository: str) -> dict[str, str]:
        """What ``docker login`` stored for the registry of *repository*, as a header."""
        header = await self._calls.credentials(repository)
        return {"X-Registry-Auth": header} if header else {}

    async def discard(self, image: str) -> None:
        """See :meth:`paradropd.engine.port.Engine.discard`."""
        ours = await self._calls("images", name=image, filters=self._names.filters())
        if not ours:
            return
        try:
            await self._calls("remove_image", image)
        except (ImageNotFound, NotFound, Conflict):
            return  # gone already, or a container still uses it
