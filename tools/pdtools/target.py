"""Which device a command is about: found as git finds a repository, or named.

The decision is :func:`candidates` and :func:`choose`; looking at the file system is :func:`look`, and nothing else.
"""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from paradrop.base.exceptions import NotPermitted, Unreachable
from paradrop.keys import Key

TARGET_VARIABLE = "PARADROP_TARGET"
HOME_VARIABLE = "PARADROP_HOME"
SOCKET = Path("run/control.sock")
"""Where a home has its control socket."""
PROJECT_HOME = Path(".paradrop")
SYSTEM_SOCKET = Path("/run/paradrop/control.sock")
REMEDY = "Start a device with `make run` or `paradropd`, or say where one is with --home or --socket."


@dataclass(frozen=True, slots=True)
class Login:
    """How to prove to a server who is asking."""

    user: str
    key: Key = field(repr=False)
    authority: str = field(default="", repr=False)
    """The certificate (PEM) to verify the server by; empty: by the system's authorities."""


@dataclass(frozen=True, slots=True)
class Target:
    """One device, or one server."""

    address: str
    """As :meth:`paradrop.base.cxbr.BaseSession.start` reads it: ``unix:/path``, ``rss://host:port``."""
    name: str
    """What to call it to a person."""
    login: Login | None = None
    """For a server; a control socket's file permissions say who may use it."""
    pdid: str | None = None
    """The device behind the server that is meant; None: whoever answers at the address itself."""


@dataclass(frozen=True, slots=True)
class Where:
    """What the caller said about the device."""

    socket: Path | None = None
    home: Path | None = None
    target: str | None = None
    """A device behind a server, by its pdid."""
    server: str | None = None
    """Which of several servers, by name or URL."""

    def pdid(self, place: Place) -> str | None:
        """The device behind a server that is meant; None: one on this machine."""
        if self.target is not None or self.socket is not None or self.home is not None:
            return self.target or None
        return place.environment.get(TARGET_VARIABLE) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the command runs, and as whom."""

    directory: Path
    home: Path
    uid: int
    environment: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    """This machine's name."""


@dataclass(frozen=True, slots=True)
class Candidate:
    path: Path
    shared: bool = False
    """In a folder that others may write: only a socket of root's or of the caller's own counts."""


class Kind(StrEnum):
    ABSENT = "not there"
    OTHER = "not a socket"
    FORBIDDEN = "not permitted"
    SOCKET = "a socket"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is at a path."""

    kind: Kind
    owner: int = -1
    group: str = ""
    """Who may use it, when the caller may not."""


def candidates(where: Where, place: Place) -> Iterator[Candidate]:
    """Every path that may be the device's control socket, the likeliest first."""
    home = where.home
    if home is None and place.environment.get(HOME_VARIABLE):
        home = Path(place.environment[HOME_VARIABLE])
    if where.socket is not None:
        yield Candidate(place.directory / where.socket)
    elif home is not None:
        yield Candidate(place.directory / home.expanduser() / SOCKET)
    else:
        seen = []
        for folder in (place.directory, *place.directory.parents):
            seen.append(folder / PROJECT_HOME / SOCKET)
            yield Candidate(seen[-1], shared=True)
        if place.home / PROJECT_HOME / SOCKET not in seen:
            yield Candidate(place.home / PROJECT_HOME / SOCKET)
        yield Candidate(SYSTEM_SOCKET)


def choose(where: Where, place: Place, look: Callable[[Path], Seen]) -> Target:
    """The first candidate that is a socket.

    Raises :class:`NotPermitted` when it may not be used, :class:`Unreachable` when there is none.
    """
    looked = []
    for candidate in candidates(where, place):
        seen = look(candidate.path)
        if candidate.shared and seen.kind is not Kind.ABSENT and seen.owner not in (0, place.uid):
            looked.append(f"{candidate.path} (somebody else's)")
        elif seen.kind is Kind.FORBIDDEN:
            who = f"root and the group {seen.group!r}" if seen.group not in ("", "root") else "root"
            raise NotPermitted(f"You may not use {candidate.path}: it is for {who}.")
        elif seen.kind is Kind.SOCKET:
            return Target(f"unix:{candidate.path}", str(candidate.path))
        else:
            looked.append(str(candidate.path) + (" (not a socket)" if seen.kind is Kind.OTHER else ""))
    raise Unreachable(f"No device here. Looked at {_listed(looked)}. {REMEDY}")


def _listed(looked: list[str]) -> str:
    """The paths that say something: empty parents of the working directory would only add noise."""
    if len(looked) <= 4:
        return ", ".join(looked)
    remarkable = [path for path in looked[1:-2] if path.endswith(")")]
    return ", ".join([looked[0], *remarkable, "the same in the folders above", *looked[-2:]])


def look(path: Path) -> Seen:
    """What is at *path*, as far as this user may know."""
    try:
        found = path.stat()
    except PermissionError:
        return Seen(Kind.FORBIDDEN, *_keeper(path.parent))
    except (OSError, ValueError):
        return Seen(Kind.ABSENT)
    if not stat.S_ISSOCK(found.st_mode):
        return Seen(Kind.OTHER, found.st_uid)
    # connect(2) on a unix socket asks for write permission.
    if not os.access(path, os.W_OK):
        return Seen(Kind.FORBIDDEN, found.st_uid, _group(found.st_gid))
    return Seen(Kind.SOCKET, found.st_uid)


def _keeper(folder: Path) -> tuple[int, str]:
    """Owner and group of the first folder above that can be looked at: the one that lets nobody else in."""
    for parent in (folder, *folder.parents):
        try:
            found = parent.stat()
        except OSError:
            continue
        return found.st_uid, _group(found.st_gid)
    return -1, ""


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
