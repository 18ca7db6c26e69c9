"""The engine contract on a real Docker, and what only Docker promises."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest
from twisted.internet.threads import deferToThreadPool

from paradrop.manifest.model import ServiceKind
from paradropd.engine.contract import SandboxContract
from paradropd.engine.docker import DockerEngine

pytestmark = pytest.mark.needs("docker")

BASE = "devroot:1"


def remains(devices: set[str]) -> None:
    """Delete the images of *devices*, and see that nothing else of theirs is left."""
    client = docker.APIClient(version="auto")
    for device in devices:
        label = {"label": f"org.paradrop.device={device}"}
        for image in client.images(filters=label):
            client.remove_image(image["Id"], force=True)
        assert client.containers(all=True, filters=label) == []
        assert client.networks(filters=label) == []
    client.close()


@pytest.mark.usefixtures("_parts")
class TestDockerEngine(SandboxContract):
    kinds = (ServiceKind.LIGHT, ServiceKind.NORMAL, ServiceKind.IMAGE)
    survives = True
    wanted = ("files", "processes", "network", "memory", "cpu", "pids", "privileges")

    @pytest.fixture
    def _parts(self, reactor_thread: Any, tmp_path: Path) -> Iterator[None]:
        self.thread, self.tmp_path = reactor_thread, tmp_path
        self.devices: set[str] = set()
        yield
        remains(self.devices)

    def new_engine(self, device: str) -> DockerEngine:
        reactor = self.thread.reactor
        self.devices.add(device)

        def threads(function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
            return deferToThreadPool(reactor, reactor.getThreadPool(), function, *args, **options)

        return DockerEngine(reactor, threads, reactor.seconds, "unix:///var/run/docker.sock", device, {"python3": BASE})

    def drive(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.thread.run(scenario)

    def leftovers(self) -> list[object]:
        return self.thread.delayed_calls()

    def new_folder(self, name: str) -> Path:
        folder = self.tmp_path / name
        folder.mkdir()
        return folder

    def base(self, kind: ServiceKind) -> str:
        return {ServiceKind.LIGHT: "python3", ServiceKind.NORMAL: "", ServiceKind.IMAGE: BASE}[kind]

    def files(self, kind: ServiceKind) -> Mapping[str, str]:
        if kind is ServiceKind.NORMAL:
            return {"Dockerfile": f"FROM {BASE}\nCOPY . /srv/\n", "a/b.txt": "text\n"}
        return super().files(kind)

    def broken(self, kind: ServiceKind) -> tuple[Mapping[str, str], str] | None:
        if kind is ServiceKind.NORMAL:
            return {"Dockerfile": f"FROM {BASE}\nRUN echo it is broken && exit 4\n"}, "it is broken"
        return None
