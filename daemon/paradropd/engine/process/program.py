"""What a program is started with: its path and its variables."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from paradrop.base.exceptions import StartFailed

from .view import interpreter, search_path

PYTHONS = ("python", "python3")


def resolve(command: tuple[str, ...], image: Path, path: str) -> tuple[str, ...]:
    """*command* with the file to execute: found on *path*, or relative to *image* when it has a ``/`` in it.

    ``python`` and ``python3`` are the interpreter that can import ``paradrop``. Raises ``StartFailed``.
    """
    if not command:
        raise StartFailed("the service has no command, and an image of type light has none of its own")
    name, *arguments = command
    if name in PYTHONS:
        found = str(interpreter(image))
    elif "/" in name:
        found = str(image / name)
    else:
        found = shutil.which(name, path=path) or ""
    if not found or not Path(found).is_file() or not os.access(found, os.X_OK):
        raise StartFailed(f"{name!r} is no program that can be executed here")
    return (found, *arguments)


def environment_of(given: Mapping[str, str], image: Path, places: tuple[str, str]) -> dict[str, str]:
    """Every variable of a program: *given*, and what the engine adds. *places*: its data and its system folder."""
    data, system = places
    return {
        "PATH": search_path(image),
        "HOME": data,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",  # a line that is printed is a line in the log, at once
        **given,
        "PARADROP_DATA_DIR": data,
        "PARADROP_SYSTEM_DIR": system,
        "PARADROP_FABRIC": f"unix:{system}/fabric.sock",
    }
