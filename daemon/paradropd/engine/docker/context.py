"""What Docker builds from: a tar of regular files and folders, made by name and content, never by path on the host."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import IO

from paradropd.engine.port import BuildSpec, SourceFile

IN_MEMORY = 1 << 20
"""Bytes of a context that are kept in memory; a larger one goes to a temporary file."""

REQUIREMENTS = "requirements.txt"

USER = "1000:1000"
"""Whom a light chute runs as: a number, because not every base image knows the name ``chute``."""

WORKDIR = "/opt/chute"


def dockerfile(base: str, requirements: bool) -> str:
    """The Dockerfile of a light chute. Its source belongs to root, and everybody may read it."""
    install = f"USER 0\nRUN python3 -m pip install --no-cache-dir -r {REQUIREMENTS}\n" if requirements else ""
    return f"FROM {base}\nWORKDIR {WORKDIR}\nCOPY source/ {WORKDIR}/\n{install}USER {USER}\n"


def pack(spec: BuildSpec, base: str = "") -> IO[bytes]:
    """The build context, read from its start. With a *base* image it is a light chute's: the source in a folder of its own.

    The caller closes it. It blocks: not for the reactor's thread.
    """
    target = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - the caller's to close
    prefix = "source" if base else ""
    folders: set[str] = set()
    requirements = False
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        if prefix:
            tar.addfile(_folder(prefix))
        for file in spec.files():
            path = f"{prefix}/{file.path}" if prefix else file.path
            requirements = requirements or file.path == REQUIREMENTS
            for folder in _parents(path):
                if folder not in folders and folder != prefix:
                    folders.add(folder)
                    tar.addfile(_folder(folder))
            with file.content.open("rb") as content:
                tar.addfile(_file(path, file), content)
        if base:
            text = dockerfile(base, requirements).encode()
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(text)
            tar.addfile(entry, BytesIO(text))
    target.seek(0)
    return target


def _parents(path: str) -> Iterator[str]:
    """The folders above *path*, outermost first."""
    return (str(folder) for folder in reversed(PurePosixPath(path).parents) if str(folder) != ".")


def _folder(path: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type = tarfile.DIRTYPE
    entry.mode = 0o755
    return entry


def _file(path: str, file: SourceFile) -> tarfile.TarInfo:
    """Time and owner are always zero, so that Docker's cache sees the same source as the same."""
    entry = tarfile.TarInfo(path)
    entry.size = file.size
    entry.mode = 0o755 if file.executable else 0o644
    return entry
