"""Docker's short calls, through docker-py, in the thread pool.

Whatever answers with a stream goes over :mod:`.wire` instead, so that no thread ever waits for a container.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

import docker
import docker.auth

from paradrop.base.seams import Threads
from paradropd.engine.docker.errors import VENDOR_ERRORS, translate

T = TypeVar("T")

TIMEOUT = 120
"""Seconds without a byte from Docker after which it counts as gone. A slow disk makes creating a container slow."""


class Calls:
    """``await calls("inspect_container", id)`` is docker-py's ``APIClient.inspect_container(id)``, with our errors.

    The connection is made at the first call, and again at the next one when that failed: Docker may start after us.
    """

    def __init__(self, threads: Threads, base_url: str) -> None:
        self._threads = threads
        self._base_url = base_url
        self._lock = Lock()
        self._client: Any = None

    async def __call__(self, name: str, /, *args: Any, **options: Any) -> Any:
        """The call's result. Raises what :func:`~paradropd.engine.docker.errors.translate` makes of the problem."""
        return await self._translated(lambda: getattr(self._connected(), name)(*args, **options))

    async def version(self) -> str:
        """The API version that docker-py and the engine agreed on, such as ``1.41``."""
        return str(await self._translated(lambda: self._connected().api_version))

    async def credentials(self, repository: str) -> str | None:
        """What ``docker login`` left for the registry of *repository*, as the value of an ``X-Registry-Auth`` header."""

        def look() -> str | None:
            registry, _ = docker.auth.resolve_repository_name(repository)
            header = docker.auth.get_config_header(self._connected(), registry)
            return None if header is None else header.decode("ascii")

        return await self._translated(look)

    async def _translated(self, function: Callable[[], T]) -> T:
        try:
            return await self._threads(function)
        except VENDOR_ERRORS as problem:
            raise translate(problem) from problem

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = docker.APIClient(base_url=self._base_url, version="auto", timeout=TIMEOUT)
            return self._client

    async def close(self) -> None:
        """Close the idle connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
