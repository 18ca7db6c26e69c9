"""Ways to keep a program apart from the device, as command lines: values in, values out, nothing is run here.

Two ways are known. :class:`Bubblewrap` gives a program its own view of files, processes, users and inter-process communication.
:class:`Plain` takes privileges away and shows the device's own files; it has a process namespace where the kernel allows it. Both
make sure that the program cannot outlive the daemon, whose death the kernel reports as SIGKILL (``prctl(2)``,
``PR_SET_PDEATHSIG``); in a process namespace that ends all descendants too (``pid_namespaces(7)``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

NOBODY = 65534
"""User and group id without any file (Debian Policy, section 9.2.2; ``user_namespaces(7)``)."""

JOIN = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec setsid "$@"'
"""Enters the control groups that are its first arguments, then runs the rest in a session of its own: Ctrl-C in the daemon's
terminal is for the daemon, which stops its chutes in order."""

READY = "echo >&3; exec 3>&-; "
"""Tells the daemon on descriptor 3 that the sandbox stands."""
BECOME = READY + 'exec "$@"'
WATCH = READY + '"$@" & wait "$!"'
"""For a shell that is process 1 of its namespace: it stays, because signals do nothing to a process 1 that does not ask for
them, and it reaps orphans while it waits. Its exit code is the program's, ``128 + n`` for signal n."""

SMALL = 1 << 20
"""Bytes of a file system in memory that only holds folders."""

LOADER = ("LD_", "GLIBC_", "GCONV_")
"""Beginnings of variables that change how a program is loaded. The daemon's own helpers must not see a chute's, so these are
set last, inside."""

DROP = ("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a program gets to see."""

    image: Path
    """Its working folder."""
    system: Path | None = None
    data: Path | None = None
    memory: int = 64 << 20
    """Bytes that each of its temporary file systems may hold."""
    building: bool = False
    """Whether it may write to *image*."""
    also: tuple[Path, ...] = ()
    """More of the device that it may see, read-only, where the view does not have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What of the device every program may see, read-only."""

    folders: tuple[Path, ...]
    """Existing files and folders, outermost first."""
    links: Mapping[str, str]
    """Symbolic links of the root folder, by path."""
    hidden: tuple[Path, ...] = ()
    """Folders inside *folders* that are not to be seen, but for those of *folders* that lie in them in turn."""
    kernel: tuple[Path, ...] = ()
    """Files and folders of ``/proc`` through which root could change the device."""


class Sandbox(Protocol):
    """One way."""

    detail: str
    isolates: tuple[str, ...]
    shares: tuple[str, ...]
    wrappers: int
    """How many processes of the sandbox stand between the daemon and the program."""
    countable: bool
    """Whether the kernel can count a program's processes apart from others: they are in a user namespace of their own, and their
    user outside is not root."""
    changes_user: bool
    """Whether programs run as :data:`NOBODY`, so that files must be handed over to that user."""

    def places(self, room: Room) -> tuple[str, str]:
        """Where the program sees its data and its system folder."""

    def command(self, room: Room, program: tuple[str, ...]) -> tuple[str, ...]:
        """The command line that runs *program* in *room*."""

    def enter(self, pid: int, room: Room, program: tuple[str, ...]) -> tuple[str, ...]:
        """The command line that runs *program* where the process *pid*, the last of the wrappers, is."""


class Bubblewrap:
    """The program in namespaces of its own, made by bubblewrap (``bwrap(1)``, 0.8 or newer).

    Its user is :data:`NOBODY` inside and the daemon's user outside, without any capability in either. When the daemon is root,
    the kernel therefore still takes the program for root where it asks for nothing but the user id: files of ``/proc/sys`` are
    such a place, and bubblewrap 0.8 does not cover them, so :attr:`View.kernel` is mounted read-only here.
    """

    detail = "bubblewrap"
    isolates: tuple[str, ...] = ("files", "processes", "users", "privileges")
    shares: tuple[str, ...] = ("network",)
    wrappers = 2
    changes_user = False

    def __init__(self, view: View, *, root: bool) -> None:
        """*root*: whether the daemon is root."""
        self._view, self.countable = view, not root

    def places(self, room: Room) -> tuple[str, str]:
        return "/data", "/paradrop"

    def command(self, room: Room, program: tuple[str, ...]) -> tuple[str, ...]:
        shared = () if room.system is None or room.data is None else (
            "--ro-bind", f"{room.system}", "/paradrop", "--bind", f"{room.data}", "/data",
        )  # fmt: skip
        return (
            "bwrap", "--die-with-parent", "--unshare-user", "--uid", f"{NOBODY}", "--gid", f"{NOBODY}",
            "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL",
            # First: what is bound may lie below /tmp, as a checkout may.
            *_memory_folder("/tmp", room),  # noqa: S108 - inside, it is nobody else's
            *_layers(self._view),
            *(word for path, target in self._view.links.items() for word in ("--symlink", target, path)),
            "--proc", "/proc",
            *(word for path in self._view.kernel for word in ("--ro-bind", f"{path}", f"{path}")),
            *(word for path in room.also for word in ("--ro-bind", f"{path}", f"{path}")),
            *_devices(),
            *_memory_folder("/dev/shm", room),  # noqa: S108 - as above
            *shared,
            "--bind" if room.building else "--ro-bind", f"{room.image}", f"{room.image}",
            # Last: the folders made for what is bound are in file systems in memory, too, which count against nobody.
            *(word for folder in ("/dev", *self._view.hidden, "/") for word in ("--remount-ro", f"{folder}")),
            "--chdir", f"{room.image}",
            "--", "sh", "-c", BECOME, "sh", *program,
        )  # fmt: skip

    def enter(self, pid: int, room: Room, program: tuple[str, ...]) -> tuple[str, ...]:
        spaces = ("--user", "--mount", "--pid", "--ipc", "--uts", "--preserve-credentials")
        return ("nsenter", f"--target={pid}", *spaces, f"--wd={room.image}", "--", *DROP, *program)


NOBODYS = "chutes run as the user nobody: install bubblewrap to keep them apart from each other"
ROOTS = "chutes run as root and can change the device: install bubblewrap"
OWNERS = "chutes run as you, and can act as the device's owner: install bubblewrap"


class Plain:
    """The program among the device's own files, without capabilities.

    *root*: whether the daemon is root. *nobody*: it is, and the program is :data:`NOBODY`; otherwise the program has the daemon's
    user, and that user's files are all it takes to act as the device's owner. *namespace*: with a process namespace, which an
    ordinary user gets through a user namespace.
    """

    changes_user: bool
    countable = False

    def __init__(self, *, namespace: bool, root: bool, nobody: bool = False) -> None:
        self._namespace, self._capable = namespace, namespace or root
        self.changes_user = nobody
        self.detail = NOBODYS if nobody else ROOTS if root else OWNERS
        kept_apart = {"processes": namespace, "privileges": nobody}
        self.isolates: tuple[str, ...] = tuple(word for word, apart in kept_apart.items() if apart)
        self.shares: tuple[str, ...] = (
            "files", "users", "network", *(word for word, apart in kept_apart.items() if not apart),
        )  # fmt: skip
        self.wrappers = 2 if namespace else 0

    def places(self, room: Room) -> tuple[str, str]:
        return f"{room.data}", f"{room.system}"

    def command(self, room: Room, program: tuple[str, ...]) -> tuple[str, ...]:
        # A change of user clears the death signal (prctl(2)): setpriv sets it last, so once before and once after.
        dropped = (*self._drop(), "--pdeathsig=KILL", "sh", "-c", WATCH if self._namespace else BECOME, "sh", *program)
        if not self._namespace:
            return ("env", f"--chdir={room.image}", *dropped)
        users = () if self.changes_user else ("--user", "--map-current-user")
        spaces = ("unshare", *users, "--pid", "--mount-proc", "--fork", "--kill-child=KILL")
        return ("env", f"--chdir={room.image}", "setpriv", "--pdeathsig=KILL", *spaces, *dropped)

    def enter(self, pid: int, room: Room, program: tuple[str, ...]) -> tuple[str, ...]:
        folder = ("env", f"--chdir={room.image}")
        if not self._namespace:
            return (*folder, *self._drop(), "--pdeathsig=KILL", *program)
        users = () if self.changes_user else ("--user", "--preserve-credentials")
        spaces = (*users, "--mount", "--pid", f"--wd={room.image}")
        return ("nsenter", f"--target={pid}", *spaces, "--", *self._drop(), *program)

    def _drop(self) -> tuple[str, ...]:
        user = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups") if self.changes_user else ()
        return (*(DROP if self._capable else ("setpriv", "--no-new-privs")), *user)


def joined(doors: Iterable[Path], command: tuple[str, ...]) -> tuple[str, ...]:
    """*command*, run inside the control groups with those *doors*."""
    return ("/bin/sh", "-c", JOIN, "sh", *map(str, doors), "--", *command)


def dressed(environment: Mapping[str, str], program: tuple[str, ...]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The variables to start the sandbox with, and *program* with those that only it may see."""
    outside = {name: value for name, value in environment.items() if not name.startswith(LOADER)}
    inside = tuple(f"{name}={value}" for name, value in environment.items() if name.startswith(LOADER))
    return outside, ("env", *inside, *program) if inside else program


def _layers(view: View) -> tuple[str, ...]:
    """What is seen and what is hidden, from the outside in: each covers what it lies in."""
    shown = [(folder, ("--ro-bind", f"{folder}", f"{folder}")) for folder in view.folders]
    hidden = [(folder, _empty_folder(f"{folder}")) for folder in view.hidden]
    return tuple(word for _, words in sorted([*shown, *hidden], key=lambda layer: len(layer[0].parts)) for word in words)


def _memory_folder(folder: str, room: Room) -> tuple[str, ...]:
    """An empty folder in memory, which counts against the program's own."""
    return ("--size", f"{room.memory}", "--tmpfs", folder)


def _empty_folder(folder: str) -> tuple[str, ...]:
    """A folder in memory for nothing but what is bound in it."""
    return ("--size", f"{SMALL}", "--tmpfs", folder)


def _devices() -> tuple[str, ...]:
    """A ``/dev`` with nothing but what every program expects. bubblewrap's own ``--dev`` would need a second user namespace, and
    then no ``nsenter`` could follow."""
    paths = [f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom")]
    links = {"/dev/fd": "", "/dev/stdin": "/0", "/dev/stdout": "/1", "/dev/stderr": "/2"}
    bound = [word for path in paths for word in ("--dev-bind", path, path)]
    linked = [word for path, end in links.items() for word in ("--symlink", f"/proc/self/fd{end}", path)]
    return (*_empty_folder("/dev"), *bound, *linked)
