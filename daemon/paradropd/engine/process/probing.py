"""Finds the best way to keep programs apart that works on this machine, by trying."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.internet.interfaces import IReactorProcess

from paradrop.base.seams import Threads

from .child import Child, spawn
from .program import resolve
from .sandbox import NOBODY, Bubblewrap, Plain, Room, Sandbox, joined
from .view import look, search_path

Candidates = Callable[[Path], Sequence[Sandbox]]
"""The ways to try, best first, for an engine whose home is that folder."""


PYTHON = ("python3", "-I", "-S", "-c", "")
"""Succeeds where Python can be reached."""


def candidates(home: Path) -> Sequence[Sandbox]:
    """All the ways there are. Where the user nobody cannot reach Python or *home*, root's programs must stay root's, without
    capabilities."""
    root = os.geteuid() == 0
    as_nobody = (Plain(nobody=True, namespace=True), Plain(nobody=True, namespace=False)) if root else ()
    as_itself = (Plain(namespace=True), Plain(namespace=False, capable=root))
    return (Bubblewrap(look(home), root=root), *as_nobody, *as_itself)


async def probe(
    processes: IReactorProcess,
    threads: Threads,
    ways: Sequence[Sandbox],
    home: Path,
    null: int,
    proof: tuple[str, ...],
) -> Sandbox | None:
    """The first of *ways* in which the command *proof* succeeds."""
    image = home / "probe"
    await threads(image.mkdir, exist_ok=True)
    program = await threads(resolve, proof, image, search_path(image))
    for way in ways:
        child = Child(wrappers=way.wrappers)
        try:
            spawn(processes, child, joined((), way.command(Room(image=image), program)), {"PATH": search_path(image)}, null)
        except OSError:
            continue
        if await child.ended() == 0:
            return way
    return None


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
