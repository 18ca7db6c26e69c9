"""Running programs for the base image, and saying what went wrong."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

Say = Callable[[str], None]


class BaseError(Exception):
    """The base image could not be made; the message says why, and what to do."""


def run(*command: str, cwd: Path | None = None) -> str:
    """What *command* prints. Raises :class:`BaseError` with the end of its complaint."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    except FileNotFoundError as problem:
        raise BaseError(
            f"this machine has no {command[0]}: on something else than Debian, name an image to stand on with --from"
        ) from problem
    except subprocess.CalledProcessError as problem:
        tail = "\n".join(problem.stderr.strip().splitlines()[-12:])
        raise BaseError(f"{command[0]} failed with exit code {problem.returncode}:\n{tail}") from problem
    return done.stdout
