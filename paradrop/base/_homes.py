"""A home: folders that are closed to everybody else, and one process at a time in them."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import IO

from paradrop.base.exceptions import HomeInUse, InvalidInput

CLOSED = 0o700


def make_closed(folder: Path, admitted: Collection[int] = (CLOSED,)) -> None:
    """Let *folder* be there, closed to everybody else; one that is there with one of the modes *admitted* keeps it. Missing
    folders above it are made so that nobody else can write to them, whatever the umask.

    Raises :class:`InvalidInput` when it is another user's, and ``OSError``.
    """
    for parent in reversed([parent for parent in folder.parents if not parent.exists()]):
        parent.mkdir(mode=0o755)  # "parents" of mkdir would make them with what the umask leaves
    folder.mkdir(mode=CLOSED, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise InvalidInput(f"{folder}: the folder is another user's (uid {found.st_uid}); give it to uid {os.geteuid()}")
    if stat.S_IMODE(found.st_mode) not in admitted:
        folder.chmod(CLOSED)


def lock(root: Path, program: str) -> IO[str]:
    """Take the home *root* for this process, until the returned file is closed or the process ends.

    Raises :class:`HomeInUse`, naming the *program* and the process that has it.
    """
    file = open(root / "lock", "a+", encoding="ascii", opener=_open_for_us)  # noqa: SIM115 - it is the caller's
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read(32).strip()
        file.close()
        raise HomeInUse(f"{root}: another {program}{f' (process {owner})' if owner else ''} runs here") from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _open_for_us(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
