"""Which engine a device has: a decision, and the making of what was decided.

The engines come in as functions that make them, so that what an engine needs (for Docker, a library of some size) is imported
only when it is the one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from paradrop.base.exceptions import InvalidSettings

from .port import Engine

AUTO = "auto"
DOCKER = "docker"
PROCESS = "process"
ENGINES = (DOCKER, PROCESS)


class Answers(Protocol):
    async def __call__(self) -> bool:
        """Whether Docker answers at its socket."""


def choose(setting: str, docker_answers: bool) -> str:
    """The name of the engine for the value of the setting ``engine``: ``auto`` is Docker where it answers.

    Raises ``InvalidSettings``.
    """
    if setting == AUTO:
        return DOCKER if docker_answers else PROCESS
    if setting not in ENGINES:
        raise InvalidSettings(f"engine: {setting!r} is none of {', '.join((AUTO, *ENGINES))}")
    return setting


async def make_engine(setting: str, docker_answers: Answers, makers: Mapping[str, Callable[[], Engine]]) -> Engine:
    """The engine for *setting*, made by the one of *makers* with its name. Docker is asked only when the setting is ``auto``.

    Raises ``InvalidSettings``.
    """
    name = choose(setting, setting == AUTO and await docker_answers())
    return makers[name]()
