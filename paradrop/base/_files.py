"""Small files that must never be half written: the device's info, its keys, the operator's settings."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from paradrop.base.exceptions import StorageFull

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""How a file system says that there is no room, or none for us."""


def write_atomically(path: Path, data: bytes, mode: int | None = None) -> None:
    """Replace *path* by a file that holds *data*: after a crash at any point it is the old file or the new one.

    The way of rename(2): a temporary file in the same folder, fsync, rename, fsync of the folder. *mode* is the file's
    permissions; ``None`` keeps those of the old file, or is 0644 for a new one. A symbolic link is followed. Raises
    :class:`StorageFull` when there is no room, and ``OSError`` for any other refusal; the old file is then untouched.
    """
    path = Path(os.path.realpath(path))
    if mode is None:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
    try:
        _replace(path, data, mode)
    except OSError as problem:
        if problem.errno in NO_ROOM:
            raise StorageFull(f"{path} was not written: {problem.strerror}; nothing was changed") from problem
        raise


def _replace(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
