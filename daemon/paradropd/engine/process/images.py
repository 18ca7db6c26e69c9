"""Images of the process engine: a folder each, named by the digest of what went into it.

An image is there when its mark is, and the mark is written last: a build that was cut short is no image, and is started anew. The
folder is never moved once something has been installed into it, because a virtual environment knows its own path.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import shlex
import shutil
import site
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from paradrop.base.exceptions import BuildFailed, StorageFull
from paradropd.engine.port import SourceFile

PREFIX = "process:"
DIGEST = re.compile(r"[0-9a-f]{64}")
MARK = ".paradrop-image"
REQUIREMENTS = "requirements.txt"
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Images:
    """The folder of all images. Every method may block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, image: str) -> Path | None:
        """The folder of *image*, or ``None`` when there is no such image."""
        digest = image.removeprefix(PREFIX)
        if not image.startswith(PREFIX) or not DIGEST.fullmatch(digest):
            return None
        folder = self._folder / digest
        return folder if (folder / MARK).exists() else None

    def lay_out(self, digest: str, files: Iterable[SourceFile]) -> Path:
        """Begin an image with *files*; what an earlier attempt has left is taken away.

        Raises ``BuildFailed`` for a file that cannot be had, ``StorageFull``.
        """
        if not DIGEST.fullmatch(digest):
            raise BuildFailed(f"{digest!r} is not a digest")
        folder = self._folder / digest
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True)
            for file in files:
                _write(folder, file)
        except OSError as problem:
            shutil.rmtree(folder, ignore_errors=True)
            if problem.errno in DISK_FULL:
                raise StorageFull from problem
            raise BuildFailed(f"the source cannot be laid out: {problem}") from problem
        return folder

    def finish(self, folder: Path) -> str:
        """Make *folder* an image, and return its name."""
        with (folder / MARK).open("x") as mark:
            mark.flush()
            os.fsync(mark.fileno())
        return PREFIX + folder.name

    def delete(self, folder: Path) -> None:
        """Take an image away, the mark first."""
        (folder / MARK).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, file: SourceFile) -> None:
    """Copy one file to its place. No link can lead out: *folder* was empty, and only plain files and folders are made in it."""
    path = PurePosixPath(file.path)
    if path.is_absolute() or not path.parts or ".." in path.parts or path.name == MARK:
        raise BuildFailed(f"{file.path!r} cannot be a file of an image")
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o755 if file.executable else 0o644
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as copy, file.content.open("rb") as content:
        shutil.copyfileobj(content, copy, 1 << 20)


def install_script(folder: Path) -> str:
    """A shell script that gives an image an environment of its own with what its requirements name.

    ``--system-site-packages`` would show the packages of the Python that the daemon's own virtual environment was made from, so a
    ``.pth`` file points to the daemon's packages instead (``site``, "addsitedir"): that is where ``paradrop`` and ``pip`` are.
    """
    pip = "--without-pip" if importlib.util.find_spec("pip") else "--clear"
    places = "; ".join(f"site.addsitedir({place!r})" for place in site.getsitepackages())
    packages = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    return "\n".join(
        [
            "set -e",
            f"{shlex.quote(sys.executable)} -m venv --system-site-packages {pip} venv",
            f"echo {shlex.quote(f'import site; {places}')} > venv/{packages}/paradrop.pth",
            f"venv/bin/python3 -m pip install --disable-pip-version-check --no-input --progress-bar off -r {REQUIREMENTS}",
        ]
    )
