"""Finds the best way to keep programs apart that works on this machine, by trying."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.internet.interfaces import IReactorProcess

from paradrop.base.seams import Threads

from .child import Child, spawn
from .program import resolve
from .sandbox import NOBODY, Bubblewrap, Plain, Room, Sandbox, joined
from .view import look, search_path

Candidates = Callable[[Sequence[Path]], Sequence[Sandbox]]
"""The ways to try, best first, for a device whose private folders are these."""

PYTHON = ("python3", "-I", "-S", "-c", "")
"""Succeeds where Python can be reached."""

REACH = ': > "$1/probe" && : < "$2/fabric.sock" && shift 2 && exec "$@"'
"""Uses a chute's data and its system folder, then runs the rest. A socket in a read-only file system can be connected to, so
reading is all that is asked of the system folder."""


def candidates(private: Sequence[Path]) -> Sequence[Sandbox]:
    """All the ways there are. Where the user nobody cannot reach Python or a chute's folders, root's programs must stay root's,
    without capabilities; what that is worth is said by :class:`~.sandbox.Plain`."""
    root = os.geteuid() == 0
    as_nobody = [Plain(nobody=True, root=True, namespace=namespace) for namespace in (True, False)] if root else []
    as_itself = [Plain(root=root, namespace=namespace) for namespace in (True, False)]
    return (Bubblewrap(look(private), root=root), *as_nobody, *as_itself)


async def probe(
    processes: IReactorProcess,
    threads: Threads,
    ways: Sequence[Sandbox],
    room: Room,
    null: int,
    proof: tuple[str, ...],
) -> Sandbox | None:
    """The first of *ways* in which the command *proof* succeeds and a program can use its folders. Those of *room* are made
    anew for each way, and taken away; the folders above them must be those that a chute's have."""
    await threads(room.image.mkdir, exist_ok=True)
    program = await threads(resolve, proof, room.image, search_path(room.image))
    try:
        for way in ways:
            await threads(_furnish, room, way)
            child = Child(wrappers=way.wrappers)
            command = way.command(room, ("sh", "-c", REACH, "sh", *way.places(room), *program))
            try:
                spawn(processes, child, joined((), command), {"PATH": search_path(room.image)}, null)
            except OSError:
                continue
            if await child.ended() == 0:
                return way
        return None
    finally:
        await threads(_clear, room)


def _furnish(room: Room, way: Sandbox) -> None:
    """Make the folders of *room* as an instance gets them in *way*."""
    _clear(room)
    if room.system is not None and room.data is not None:
        for folder in (room.system, room.data):
            folder.mkdir(parents=True)
        (room.system / "fabric.sock").touch(mode=0o600)
        if way.changes_user:
            hand_over(room.system, room.data)


def _clear(room: Room) -> None:
    for folder in (room.system, room.data):
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def hand_over(system: Path, data: Path) -> None:
    """Let :data:`NOBODY` use the socket in *system*, and own what is in *data*."""
    socket = system / "fabric.sock"
    if socket.exists():
        os.chown(socket, -1, NOBODY)
        socket.chmod(0o660)
    if data.lstat().st_uid != NOBODY:
        own(data, NOBODY)


def own(folder: Path, user: int) -> None:
    """Make *user* the owner of *folder* and of everything in it. No link is followed."""
    os.chown(folder, user, user)
    for parent, folders, files, descriptor in os.fwalk(folder):
        del parent
        for name in (*folders, *files):
            os.chown(name, user, user, dir_fd=descriptor, follow_symlinks=False)
