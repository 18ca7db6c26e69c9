"""The folders of one server, and the lock that keeps a second one out of them."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from paradrop.base._homes import lock, make_closed
from paradrop.base.exceptions import InvalidInput, StorageFull

LONGEST_SOCKET = 107
"""Bytes of a unix socket's path (``sun_path`` of unix(7), with its final zero)."""


@dataclass(frozen=True, slots=True)
class ServerHome:
    """Where one server keeps everything."""

    root: Path

    @property
    def node(self) -> Path:
        """Crossbar's own folder: written anew at each start, but for the node's key."""
        return self.root / "node"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def socket(self) -> Path:
        """Where the service joins the node; whoever can open it may do everything."""
        return self.run / "node.sock"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def database(self) -> Path:
        return self.root / "server.db"

    @property
    def authority(self) -> Path:
        """The authority's certificate (PEM), to give to clients."""
        return self.root / "authority.pem"

    def make(self) -> None:
        """Make the folders, closed to everybody else.

        Raises :class:`InvalidInput` when the place cannot be a server's home, :class:`StorageFull`, and ``OSError`` when it
        cannot be written to.
        """
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET:
            raise InvalidInput(f"{self.root}: the name is too long: {self.socket} must not exceed {LONGEST_SOCKET} bytes")
        if (self.root / "device-id").exists():
            raise InvalidInput(f"{self.root}: that is a device's home; a server needs one of its own")
        try:
            for folder in (self.root, self.node, self.run, self.keys, self.blobs, self.logs):
                make_closed(folder)
        except OSError as problem:
            if problem.errno == errno.ENOSPC:
                raise StorageFull(f"{self.root}: there is no room on the disk") from problem
            raise

    def lock(self) -> IO[str]:
        """Take the home for this process, until the returned file is closed or the process ends.

        Raises :class:`HomeInUse`, naming the process that has it.
        """
        return lock(self.root, "pdserver")
