"""A deploy by hand: the Docker calls that the daemon makes, in the same order and with the same waiting, and nothing else.

The container has the options of the daemon's own, and joins a bare Crossbar node: what the daemon's deploy takes more is ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from bench.place import NotMeasured
from twisted.internet.defer import Deferred

from paradrop import uris
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import NotFound, ParadropException
from paradrop.base.seams import in_thread
from paradrop.manifest.model import Manifest
from paradropd.engine.docker.containers import configuration
from paradropd.engine.docker.names import Names
from paradropd.engine.port import InstanceKey, InstanceSpec

CREATED = "wamp.registration.on_create"
"""Of the WAMP meta API: somebody is the first to register a URI."""

GRACE = 10
"""Seconds, as the daemon's own default."""


class ByHand:
    """One chute of one service, kept by docker-py alone."""

    def __init__(self, client: Any, session: BaseSession, manifest: Manifest, system_dir: Path, data_dir: Path) -> None:
        self._api = client.api
        self._session = session
        self._manifest = manifest
        self._folders = system_dir, data_dir
        self._names = Names("bench-by-hand")
        self._release = count(1)
        self._container: str | None = None
        self._healthy: Deferred[None] | None = None
        health = manifest.health
        self._uri = uris.chute_space(manifest.name) + (health.procedure if health else "")

    async def open(self) -> None:
        """Make the network, and listen for what the chute registers."""
        facts = await in_thread(self._api.info)
        self._create = partial(
            configuration, names=self._names, init=bool(facts.get("InitBinary")), processors=int(facts["NCPU"])
        )
        network = self._names.network(self._manifest.name)
        labels = self._names.chute_labels(self._manifest.name)
        await in_thread(self._api.create_network, network, driver="bridge", labels=labels)
        await self._session.stockSubscribe(self._registered, CREATED)

    def _registered(self, session: int, registration: dict[str, Any]) -> None:
        if registration["uri"] == self._uri and self._healthy is not None:
            waiting, self._healthy = self._healthy, None
            waiting.callback(None)

    async def deploy(self, image: str, environment: dict[str, str]) -> dict[str, float]:
        """Put a container of *image* in the place of the one before. Returns the seconds of each stage."""
        stages: dict[str, float] = {}

        async def stage(name: str, *functions: Callable[[], Any]) -> Any:
            begun = time.perf_counter()
            answers = [await in_thread(function) for function in functions]
            stages[name] = time.perf_counter() - begun
            return answers[0]

        before, api = self._container, self._api
        await stage("build", partial(api.inspect_image, image))
        if before is not None:
            await stage("stop", partial(api.stop, before, timeout=GRACE), partial(api.inspect_container, before))
        healthy: Deferred[None] = Deferred()
        self._healthy = healthy
        begun = time.perf_counter()
        self._container = container = await in_thread(self._start, image, environment)
        stages["start"] = time.perf_counter() - begun
        await healthy
        await self._answers()
        stages["healthy"] = time.perf_counter() - begun - stages["start"]
        if before is not None:
            await stage("clear away", partial(api.remove_container, before, force=True, v=True))
        self._container = container
        return stages

    def _start(self, image: str, environment: dict[str, str]) -> str:
        service = self._manifest.services[0]
        system_dir, data_dir = self._folders
        spec = InstanceSpec(
            key=InstanceKey(self._manifest.name, service.name, next(self._release)),
            image=image,
            system_dir=system_dir,
            data_dir=data_dir,
            command=service.command,
            environment={**self._manifest.environment, **service.environment, **environment},
            limits=service.limits,
        )
        created = self._api.create_container_from_config(self._create(spec), self._names.container(spec.key))
        container = str(created["Id"])
        self._api.start(container)
        self._api.inspect_container(container)
        return container

    async def _answers(self) -> None:
        """See that the chute answers; that it does not like the argument is an answer too."""
        try:
            await self._session.stockCall(self._uri, "World")
        except NotFound:
            raise NotMeasured(f"{self._uri} is registered and does not answer") from None
        except ParadropException:
            return

    @property
    def device(self) -> str:
        """What the labels of everything made here name as the device."""
        return self._names.device
