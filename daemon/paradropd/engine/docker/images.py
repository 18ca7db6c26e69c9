"""Making, finding and deleting images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

from docker.utils import parse_repository_tag

from paradrop.base.exceptions import (
    BuildFailed,
    Conflict,
    EngineError,
    EngineUnavailable,
    ImageNotFound,
    NotFound,
    ParadropException,
)
from paradrop.base.seams import Threads
from paradrop.manifest.model import MIB, ServiceKind
from paradropd.engine.docker.calls import Calls
from paradropd.engine.docker.context import pack
from paradropd.engine.docker.errors import refusal
from paradropd.engine.docker.names import Names
from paradropd.engine.docker.progress import Output, Progress
from paradropd.engine.docker.wire import Wire, messages
from paradropd.engine.port import BuildSpec

BUILD_MEMORY = 1024 * MIB
"""Bytes that one step of a build may use."""

BUILD_CPU = 0.75
"""Part of the machine's processors that one step of a build may use."""

BUILD_SHARES = 256
"""Weight of a build against running chutes, which have 1024, when all want to compute."""

BUILD_PROCESSES = 4096
"""Linux counts all processes of a user, also those outside the build: so this is generous."""

CPU_PERIOD = 100_000
"""Microseconds over which the kernel measures use of the processors: its own default."""


def step_limits(processors: int) -> dict[str, str | int]:
    """What one step of a build may use on a machine with so many *processors*: parameters of ``POST /build``.

    Docker Engine API 1.41 has no limit of processes for a build. ``nproc`` binds only steps that a ``USER`` instruction took
    root from; those of root are bounded by the memory that processes need.
    """
    processes = {"Name": "nproc", "Soft": BUILD_PROCESSES, "Hard": BUILD_PROCESSES}
    return {
        "memory": BUILD_MEMORY,
        "memswap": BUILD_MEMORY,  # memory and swap together: no swap
        "cpuperiod": CPU_PERIOD,
        "cpuquota": int(processors * BUILD_CPU * CPU_PERIOD),
        "cpushares": BUILD_SHARES,
        "ulimits": json.dumps([processes]),
    }


class Images:
    """The images of one device."""

    def __init__(self, calls: Calls, wire: Wire, threads: Threads, names: Names, base_images: Mapping[str, str]) -> None:
        self._calls, self._wire, self._threads, self._names = calls, wire, threads, names
        self._base_images = base_images
        self._building = 0

    async def build(self, spec: BuildSpec, output: Output, processors: int) -> str:
        """See :meth:`paradropd.engine.port.Engine.build`. *processors* is how many this machine has."""
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
        progress = Progress(output)
        self._building += 1
        try:
            with context:
                await self._run(spec, tag, context, progress, step_limits(processors))
        except ParadropException:
            await self._sweep(progress.layers)
            raise
        finally:
            self._building -= 1
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

    async def _run(
        self, spec: BuildSpec, tag: str, context: IO[bytes], progress: Progress, limits: Mapping[str, str | int]
    ) -> None:
        """One build by Docker's own builder: BuildKit is not there in every Docker that embedded systems have."""
        labels = json.dumps(self._names.image_labels(spec.key))
        parameters = {"t": tag, "labels": labels, "rm": 1, "forcerm": 1, **limits}
        stream = await self._wire.stream("POST", "/build", messages(progress.take), parameters=parameters, body=context)
        try:
            await stream.finished
        finally:
            stream.close()  # Docker gives a build up that nobody waits for
        if progress.error:
            # A build that Docker gave up because it stops, or because the disk is full, is not the chute's fault.
            problem = refusal(500, progress.error)
            raise BuildFailed("\n".join(progress.last)) if type(problem) is EngineError else problem
        if not progress.image:
            raise EngineUnavailable("Docker ended the build without a word: it was probably stopped")

    async def _sweep(self, layers: list[str]) -> None:
        """Delete what a failed build left: no name or label leads there.

        What has a name, was pulled or is in use stays, so a build that prints the id of another image does no harm.
        """
        with suppress(ParadropException):
            for layer in reversed(layers):
                with suppress(ImageNotFound, NotFound, Conflict):
                    found = await self._calls("inspect_image", layer)
                    if found["Parent"] and not found["RepoTags"] and not found["RepoDigests"]:
                        await self._calls("remove_image", layer, noprune=True)

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
        if await self._calls("images", name=image, filters=self._names.image_filters()):
            with suppress(ImageNotFound, NotFound, Conflict):  # gone already, or a container still uses it
                await self._calls("remove_image", image)
        if not self._building:  # which has images without a name until its end
            with suppress(Conflict):  # somebody else does the same now
                await self._calls("prune_images", filters={"dangling": True, **self._names.image_filters()})
