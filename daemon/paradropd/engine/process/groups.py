"""Limits by control groups.

Control groups are made below the daemon's own group, so that what holds the daemon also holds its chutes. Both versions are
spoken: version 2 (Linux, ``Documentation/admin-guide/cgroup-v2.rst``) and the older hierarchies of one controller each. For
version 2 the service manager must hand the group over: ``Delegate=yes`` in a systemd unit.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from paradrop.base.exceptions import EngineError
from paradrop.manifest.model import Limits

from .limits import CONTROLLERS, Cell, Limiter, ResourceLimiter

CGROUPS = Path("/sys/fs/cgroup")
WRAPPERS = 4
"""Processes of ours that run in an instance's group beside the chute's own: the sandbox's two, and two of an ``execute``."""
PERIOD = 100_000
"""Microseconds over which processor time is counted (the kernel's default)."""
PATIENCE = 200
PAUSE = 0.005
"""How often, and after how many seconds, a group is tried to be removed: the kernel counts a killed process until it is reaped,
and the older version has no event that tells of it. What is still there then is taken away by the next sweep."""
LEAF = "paradropd"
"""Name of the group that the daemon moves itself into, in version 2."""


class Group:
    """A cell that is a control group, in one folder (version 2) or in one for each controller."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self.folders = folders

    @property
    def doors(self) -> tuple[Path, ...]:
        return tuple(folder / "cgroup.procs" for folder in self.folders)

    def wrap(self, command: tuple[str, ...], *, countable: bool) -> tuple[str, ...]:
        return command

    def kill(self) -> None:
        switch = self.folders[0] / "cgroup.kill"
        if switch.exists():
            switch.write_text("1")
            return
        for pid in self._members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def out_of_memory(self) -> bool:
        return any(
            _counter(folder / name, "oom_kill") > 0 for folder in self.folders for name in ("memory.events", "memory.oom_control")
        )

    def remove(self) -> None:
        for folder in self.folders:
            for _ in range(PATIENCE):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError as problem:
                    if problem.errno != errno.EBUSY:
                        raise
                    time.sleep(PAUSE)
                else:
                    break

    def _members(self) -> list[int]:
        with contextlib.suppress(FileNotFoundError):
            return [int(pid) for pid in self.doors[0].read_text().split()]
        return []


class GroupLimiter:
    """Makes :class:`Group` cells in a folder of this device."""

    def __init__(self, parents: Mapping[str, Path], *, unified: bool) -> None:
        """*parents*: the folder for each controller of ``memory``, ``cpu`` and ``pids``; all the same in version 2, which is
        what *unified* says."""
        self._parents, self._unified = parents, unified
        self.words = frozenset(parents)

    def make(self, name: str, limits: Limits) -> Cell:
        folders = tuple(dict.fromkeys(parent / name for parent in self._parents.values()))
        try:
            for folder in folders:
                folder.mkdir(exist_ok=True)
            for controller, parent in self._parents.items():
                for file, value in settings(controller, limits, unified=self._unified).items():
                    if (parent / name / file).exists():
                        (parent / name / file).write_text(value)
        except OSError as problem:
            raise EngineError(f"the limits of {name} cannot be set: {problem}") from problem
        return Group(folders)

    def sweep(self) -> None:
        """End and take away what an earlier daemon has left."""
        for parent in dict.fromkeys(self._parents.values()):
            for folder in [entry for entry in parent.iterdir() if entry.is_dir()]:
                left = Group((folder,))
                left.kill()
                left.remove()

    def close(self) -> None:
        self.sweep()
        Group(tuple(dict.fromkeys(self._parents.values()))).remove()


def settings(controller: str, limits: Limits, *, unified: bool) -> dict[str, str]:
    """The files of one controller and what to write into them, in that order; those that a kernel does not have are left out."""
    quota = max(1000, int(limits.cpu * PERIOD))
    memory = str(limits.memory)
    new = {
        "memory": {"memory.max": memory, "memory.swap.max": "0"},
        "cpu": {"cpu.max": f"{quota} {PERIOD}"},
    }
    old = {
        "memory": {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory},
        "cpu": {"cpu.cfs_period_us": str(PERIOD), "cpu.cfs_quota_us": str(quota)},
    }
    both = {"pids": {"pids.max": str(limits.pids + WRAPPERS)}}
    return ((new if unified else old) | both)[controller]


def group_name(device: str, home: Path) -> str:
    """A name for the groups of the engine with that *home*: two daemons that call themselves the same must not end each other's
    chutes."""
    return f"{device}-{hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:8]}"


def find(device: str, root: Path = CGROUPS, membership: str | None = None) -> Limiter:
    """The best limiter that this machine lets us have.

    *root* is where control groups are mounted, *membership* the text of ``/proc/self/cgroup``.
    """
    text = Path("/proc/self/cgroup").read_text() if membership is None else membership
    folder = "paradrop-" + re.sub(r"[^A-Za-z0-9_-]", "_", device)
    own = {names: path for _, names, path in (line.split(":", 2) for line in text.splitlines())}
    together = _unified(root, own, folder)
    parents = together or _separate(root, own, folder)
    if not parents:
        return ResourceLimiter()
    limiter = GroupLimiter(parents, unified=bool(together))
    limiter.sweep()
    return limiter


def _unified(root: Path, own: Mapping[str, str], folder: str) -> dict[str, Path]:
    """The one folder of version 2 for all controllers, or nothing."""
    base = root / own.get("", "/").lstrip("/")
    if base.name == LEAF:
        base = base.parent
    try:
        if not set(CONTROLLERS) <= set((base / "cgroup.controllers").read_text().split()):
            return {}
        enabled = base / "cgroup.subtree_control"
        if not set(CONTROLLERS) <= set(enabled.read_text().split()):
            _make_way(base)
            enabled.write_text(" ".join(f"+{controller}" for controller in CONTROLLERS))
        parent = base / folder
        parent.mkdir(exist_ok=True)
        (parent / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in CONTROLLERS))
    except OSError:
        return {}
    return dict.fromkeys(CONTROLLERS, parent)


def _make_way(base: Path) -> None:
    """Move this process into a group of its own below *base*: a group may hold processes or limit groups, never both
    (cgroup-v2.rst, "No Internal Process Constraint"). Somebody else's processes are left where they are, and then there is
    no group to be had. The root group, which alone has no ``cgroup.type``, is free of this rule."""
    if not (base / "cgroup.type").exists() or (base / "cgroup.procs").read_text().split() != [str(os.getpid())]:
        return
    (base / LEAF).mkdir(exist_ok=True)
    (base / LEAF / "cgroup.procs").write_text("0")


def _separate(root: Path, own: Mapping[str, str], folder: str) -> dict[str, Path]:
    """A folder in each older hierarchy that lets us have one."""
    paths = {controller: path for names, path in own.items() for controller in names.split(",")}
    parents: dict[str, Path] = {}
    for controller in CONTROLLERS:
        base = root / controller / paths.get(controller, "/").lstrip("/")
        with contextlib.suppress(OSError):
            if controller in paths and (base / "cgroup.procs").exists():
                (base / folder).mkdir(exist_ok=True)
                parents[controller] = base / folder
    return parents


def _counter(path: Path, name: str) -> int:
    """The number after *name* in a file of ``name number`` lines; 0 when there is none."""
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
