"""Which engine a device has, and the making of it.

What an engine needs (for Docker, a library of 15 MB) is imported only when it is the one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from paradrop.base.exceptions import InvalidSettings
from paradrop.base.seams import Threads, WallClock
from paradrop.base.settings import Settings
from paradropd.engine.port import Engine, InstanceKey
from paradropd.home import Home

AUTO = "auto"
DOCKER = "docker"
PROCESS = "process"
MEMORY = "memory"
ENGINES = (DOCKER, PROCESS, MEMORY)

UNIX = "unix://"


def choose(setting: str, docker_answers: Callable[[], bool]) -> str:
    """The name of the engine for the value of the setting ``engine``: ``auto`` is Docker where it answers, else processes.

    Docker is asked only for ``auto``. Raises ``InvalidSettings``.
    """
    if setting == AUTO:
        return DOCKER if docker_answers() else PROCESS
    if setting not in ENGINES:
        raise InvalidSettings(f"engine: {setting!r} is none of {', '.join((AUTO, *ENGINES))}")
    return setting


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether Docker answers a ping (Docker API, "Ping") at *url*, ``unix://…``, within *timeout* seconds."""
    if not url.startswith(UNIX):
        return False
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(timeout)
            probe.connect(url.removeprefix(UNIX))
            probe.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in probe.recv(64)
    except OSError:
        return False


def make_engine(
    home: Home,
    resume: Callable[[InstanceKey], float | None],
    *,
    settings: Settings,
    reactor: Any,
    threads: Threads,
    wall: WallClock,
    environment: Mapping[str, str],
) -> Engine:
    """The engine that *settings* choose.

    *resume*: the engine's time of the last output of an instance that is known already. *environment*: the daemon's own.
    """
    match choose(settings.engine, lambda: answers(settings.docker_socket)):
        case "docker":
            from paradropd.engine.docker import DockerEngine

            return DockerEngine(reactor, threads, wall, settings.docker_socket, home.device_id(), settings.base_images, resume)
        case "memory":
            from paradropd.engine.memory import MemoryEngine

            return MemoryEngine(clock=reactor, wall=wall)
        case _:
            from paradropd.engine.process import ProcessEngine

            return ProcessEngine(
                processes=reactor,
                clock=reactor,
                threads=threads,
                wall=wall,
                home=home.images,
                device=home.device_id(),
                environment=environment,
                grace=settings.stop_grace,
                chutes=(home.runtime / "chutes", home.data),
                hidden=(home.root, home.runtime, home.data, home.logs, home.keys, home.blobs),
            )
