"""A program and everything below it, as one child of the daemon's reactor."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from typing import Final

import psutil
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

READY: Final = 3
"""Descriptor on which the sandbox says that it stands."""
STREAMS: Final = {1: "out", 2: "err"}
PIECE: Final = 1 << 16
"""Bytes told at once, at most (the port's rule)."""


class Child(ProcessProtocol):
    """One program in its sandbox.

    What it prints is handed on as it is read, and no more is read until *output* returns: a program that prints faster than the
    daemon takes has to wait, and nothing is kept here.
    """

    transport: IProcessTransport | None

    def __init__(self, output: Callable[[str, bytes], None] = lambda stream, data: None, wrappers: int = 0) -> None:
        """*output* is called with the stream and the bytes; *wrappers* as in :class:`~.sandbox.Sandbox`."""
        self._output, self._wrappers = output, wrappers
        self._standing: list[Deferred[int | None]] = []
        self._early: list[tuple[str, bytes]] = []
        self._ready = False
        self._waiting: list[Deferred[int]] = []
        self._session = 0
        self._killed = False
        self.exit_code: int | None = None
        self.on_ready: Callable[[], None] = lambda: None
        self.on_exit: Callable[[], None] = lambda: None
        """Called when the program has ended, perhaps before all it printed has been read."""
        self.on_end: Callable[[int], None] = lambda code: None
        """Called with the exit code when it has ended and all it printed was handed on."""

    @property
    def pid(self) -> int:
        pid = None if self.transport is None else self.transport.pid
        if pid is None:
            raise ProcessExitedAlready
        return int(pid)

    @property
    def complaint(self) -> str:
        """What a sandbox that never stood has printed."""
        return b"".join(data for _, data in self._early).decode(errors="replace").strip()

    def stands(self) -> Deferred[int | None]:
        """``None`` once the sandbox stands, or the exit code when it ends before. To be asked once, right after the start."""
        waiting: Deferred[int | None] = Deferred()
        self._standing.append(waiting)
        return waiting

    def ended(self) -> Deferred[int]:
        """The exit code, when there is one."""
        waiting: Deferred[int] = Deferred()
        if self.exit_code is None:
            self._waiting.append(waiting)
        else:
            waiting.callback(self.exit_code)
        return waiting

    def members(self) -> list[psutil.Process]:
        """The processes of the program, without those of the sandbox."""
        try:
            level = [psutil.Process(self.pid)]
            for _ in range(self._wrappers):
                level = [child for process in level for child in process.children()]
            return level + [below for process in level for below in process.children(recursive=True)]
        except (psutil.NoSuchProcess, ProcessExitedAlready):
            return []

    def innermost(self) -> int:
        """The pid of the last wrapper, or of the program when there is none. Raises ``ProcessExitedAlready``."""
        try:
            process = psutil.Process(self.pid)
            for _ in range(self._wrappers - 1):
                (process,) = process.children()
        except (psutil.NoSuchProcess, ValueError) as problem:
            raise ProcessExitedAlready from problem
        return int(process.pid)

    def ask(self) -> None:
        """Send SIGTERM to every process of the program."""
        for process in self.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to every process of the program and of the sandbox.

        Without a process namespace one may have left both the tree and the session; it is not waited for.
        """
        with contextlib.suppress(psutil.NoSuchProcess, ProcessExitedAlready):
            root = psutil.Process(self.pid)
            self._killed = True
            for process in [*root.children(recursive=True), root]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        if self._wrappers == 0:
            self._kill_session()
            if self.transport is not None:
                self.transport.loseConnection()

    def _kill_session(self) -> None:
        """Kill the orphans of a program without a process namespace: its session has the number of its first process."""
        for pid in psutil.pids() if self._session else ():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getsid(pid) == self._session:
                    os.kill(pid, signal.SIGKILL)

    def connectionMade(self) -> None:
        self._session = self.pid

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == READY:
            self._stands()
        elif not self._ready:
            self._early.append((STREAMS[childFD], data))
        else:
            for begin in range(0, len(data), PIECE):
                self._output(STREAMS[childFD], data[begin : begin + PIECE])

    def _stands(self) -> None:
        """The order of events is kept for the observer: first that it runs, then what it prints."""
        if self._ready:
            return
        self._ready = True
        early, self._early = self._early, []
        self.on_ready()
        for stream, data in early:
            self._output(stream, data)
        self._tell_standing(None)

    def _tell_standing(self, code: int | None) -> None:
        waiting, self._standing = self._standing, []
        for one in waiting:
            one.callback(code)

    def processExited(self, reason: Failure) -> None:
        if self._wrappers == 0:
            self._kill_session()
        self.on_exit()

    def processEnded(self, reason: Failure) -> None:
        status = reason.value
        number = getattr(status, "signal", None)
        code = 128 + number if number is not None else getattr(status, "exitCode", None)
        # What was killed from outside says so, whatever the sandbox makes of the death of the process it watched:
        # unshare 2.38 may end with 1.
        self.exit_code = 128 + signal.SIGKILL if self._killed else 1 if code is None else code
        self.transport = None
        self.on_end(self.exit_code)
        self._tell_standing(self.exit_code)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(self.exit_code)


def spawn(
    processes: IReactorProcess,
    child: Child,
    command: tuple[str, ...],
    environment: Mapping[str, str],
    null: int,
    *,
    silent: bool = False,
) -> None:
    """Start *command*; *null* is a descriptor of ``/dev/null``, where the output goes too when it is to be *silent*.

    Raises ``OSError``.
    """
    streams: dict[int, int | str] = {0: null, 1: "r", 2: "r", READY: "r"}
    if silent:
        streams = {0: null, 1: null, 2: null}
    processes.spawnProcess(child, command[0], command, env=environment, childFDs=streams)
