"""The folders of one home, and the lock that keeps a second daemon out of it."""

from __future__ import annotations

import errno
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from paradrop.base._files import write_atomically
from paradrop.base._homes import CLOSED, lock, make_closed
from paradrop.base.exceptions import InteralException, StorageFull
from paradrop.base.settings import Settings

DEVICE_ID = re.compile(r"[0-9a-f]{8}")

ADMITTING = 0o710
"""The mode of the runtime folder when a group may reach the control socket in it."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where one device keeps everything: all state and all runtime files are below ``root``."""

    root: Path
    runtime: Path
    data: Path
    blobs: Path
    logs: Path
    keys: Path

    @classmethod
    def of(cls, settings: Settings) -> Home:
        return cls(
            root=settings.home,
            runtime=settings.runtime_dir,
            data=settings.data_dir,
            blobs=settings.blob_dir,
            logs=settings.log_dir,
            keys=settings.key_dir,
        )

    @property
    def control_socket(self) -> Path:
        return self.runtime / "control.sock"

    @property
    def settings(self) -> Path:
        return self.root / "settings.ini"

    @property
    def accounts(self) -> Path:
        return self.root / "accounts.yaml"

    @property
    def images(self) -> Path:
        """Images of the process engine."""
        return self.root / "images"

    def system_dir(self, chute: str) -> Path:
        """What the chute sees as ``/paradrop``: its socket to the fabric, and nothing else."""
        return self.runtime / "chutes" / chute

    def fabric_socket(self, chute: str) -> Path:
        return self.system_dir(chute) / "fabric.sock"

    def data_dir(self, chute: str) -> Path:
        """What the chute sees as ``/data``."""
        return self.data / chute

    def make(self) -> None:
        """Make the folders, closed to everybody else: what lies in them is guarded by that. A folder that is there already is
        closed, too, the home itself with whatever else somebody keeps in it: a home is Paradrop's. Missing folders above them
        are made so that nobody else can write to them, whatever the umask.

        Raises :class:`InvalidInput` when one of them is another user's, :class:`StorageFull`, and ``OSError`` when the place
        cannot be written to.
        """
        try:
            folders = (self.root, self.runtime, self.data, self.blobs, self.logs, self.keys, self.images)
            for folder in (*folders, self.runtime / "chutes", self.logs / "daemon"):
                make_closed(folder, (CLOSED, ADMITTING) if folder == self.runtime else (CLOSED,))
        except OSError as problem:
            if problem.errno == errno.ENOSPC:
                raise StorageFull from problem
            raise

    def admit(self, gid: int) -> None:
        """Let the members of a group reach the control socket, which must be there, and nothing else of the home."""
        os.chown(self.runtime, -1, gid)
        self.runtime.chmod(ADMITTING)
        os.chown(self.control_socket, -1, gid)

    def lock(self) -> IO[str]:
        """Take the home for this process, until the returned file is closed or the process ends.

        Raises :class:`HomeInUse`, naming the process that has it.
        """
        return lock(self.root, "paradropd")

    def device_id(self) -> str:
        """Eight random hexadecimal digits, made at first use: tells this home's containers from another's.

        Raises :class:`InteralException` when something else is in their file: a new one would lose the containers.
        """
        path = self.root / "device-id"
        with suppress(FileNotFoundError):
            known = path.read_text(encoding="ascii", errors="replace").strip()
            if known and not DEVICE_ID.fullmatch(known):
                raise InteralException(f"{path}: what is in it is not this device's id, eight digits from 0 to 9 and a to f")
            if known:
                return known
        made = secrets.token_hex(4)
        write_atomically(path, f"{made}\n".encode())
        return made
