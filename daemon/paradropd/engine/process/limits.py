"""Limits of memory, processor time and processes: what they are to the engine, and the simple way that always works.

:mod:`.groups` has the better way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from paradrop.manifest.model import Limits

CONTROLLERS = ("memory", "cpu", "pids")
"""Of the kernel; the same words are in ``EngineInfo``."""
ALONE = "memory per process"
"""The word of ``EngineInfo`` for a limit that a chute gets round by starting another process."""


class Cell(Protocol):
    """The limits of one instance."""

    @property
    def doors(self) -> tuple[Path, ...]:
        """A process that writes ``0`` into each of these is inside, with all its children to come."""

    def wrap(self, command: tuple[str, ...], *, countable: bool) -> tuple[str, ...]:
        """*command* with what must be done in the process itself. *countable*: the kernel can
        count its processes apart from others."""

    def kill(self) -> None:
        """Send SIGKILL to everything inside."""

    def out_of_memory(self) -> bool:
        """Whether the kernel ended a process inside for want of memory."""

    def remove(self) -> None:
        """Take the cell away; everything inside has ended."""


class Limiter(Protocol):
    """Makes cells. Every method may block for a short time."""

    words: frozenset[str]
    """What is limited, in the words of ``EngineInfo``."""

    def make(self, name: str, limits: Limits) -> Cell:
        """A new cell; one of that *name* that exists is emptied and replaced. Raises ``EngineError``."""

    def close(self) -> None:
        """End and take away every cell of this device that is there still, and the folder of them."""


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """A cell that is no group: limits of each process alone, kept by the kernel from parent to child (``setrlimit(2)``).

    The data limit counts what a process may write to, which is what memory means to a chute; the address space would count
    shared libraries and reserved ranges too, and a Python program needs far more of that than it ever uses. The number of
    processes is counted for each user and user namespace, and never for root.
    """

    limits: Limits

    @property
    def doors(self) -> tuple[Path, ...]:
        return ()

    def wrap(self, command: tuple[str, ...], *, countable: bool) -> tuple[str, ...]:
        processes = (f"--nproc={self.limits.pids}",) if countable else ()
        return ("prlimit", f"--data={self.limits.memory}", *processes, "--core=0", *command)

    def kill(self) -> None:
        """There is no group to kill."""

    def out_of_memory(self) -> bool:
        return False

    def remove(self) -> None:
        """There is nothing to take away."""


class ResourceLimiter:
    """Makes :class:`ResourceLimits`."""

    words = frozenset({ALONE})

    def make(self, name: str, limits: Limits) -> Cell:
        return ResourceLimits(limits)

    def close(self) -> None:
        """Nothing stays."""
