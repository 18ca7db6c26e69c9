"""Where the benchmarks run: what there is on this machine, and what was asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors

from paradrop.base.seams import in_thread

ROOT = Path(__file__).parents[2]
BASE_IMAGE = "paradrop/python3:1"
DOCKER_URL = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


class NotMeasured(Exception):
    """A section came to no figure; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a benchmark may use."""

    reactor: Any
    quick: bool
    """Few rounds: to see that it works, not to quote."""
    paradropd: Path
    """The daemon's console script."""
    hello: Path
    """Folder of the chute that is deployed."""
    docker: Any
    """docker-py's client; ``None`` where there is no Docker."""
    why: str
    """Why there is none."""
    say: Callable[[str], None]
    """Tells what is being done."""

    @property
    def engine(self) -> str:
        """The daemon's setting."""
        return "process" if self.docker is None else "docker"

    def rounds(self, full: int, quick: int) -> int:
        return quick if self.quick else full


def look(say: Callable[[str], None]) -> tuple[Any, str]:
    """docker-py's client with the base image of light chutes in it, or ``None`` and why not."""
    try:
        client = docker.DockerClient(DOCKER_URL, timeout=300)
        client.ping()
    except docker.errors.DockerException as problem:
        return None, f"Docker does not answer ({problem})"
    try:
        client.images.get(BASE_IMAGE)
    except docker.errors.ImageNotFound:
        say(f"building {BASE_IMAGE} …")
        command = [sys.executable, str(ROOT / "chutes" / "base" / "build_base.py")]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
            client.close()
            return None, f"{BASE_IMAGE} could not be built"
    return client, ""


async def output_of(command: Sequence[str]) -> str:
    """What *command* prints; it is ended when nobody waits any more. Raises :class:`NotMeasured` when it fails."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            printed, errors = await in_thread(process.communicate)
        finally:
            process.terminate()
    if process.returncode != 0:
        raise NotMeasured(f"{' '.join(command)} ended with {process.returncode}: {printed}{errors}")
    return printed


def console_script(name: str) -> Path:
    """The console script *name* beside this Python. Raises :class:`NotMeasured` when it is not installed."""
    beside = Path(sys.executable).with_name(name)
    found = beside if beside.exists() else shutil.which(name)
    if found is None:
        raise NotMeasured(f"{name} is not installed beside {sys.executable}: run `make setup`")
    return Path(found)
