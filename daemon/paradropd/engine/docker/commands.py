"""Running a command inside a container that runs already."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from paradrop.base.exceptions import ChuteNotRunning, Conflict, DeadlineExceeded, NotFound, StartFailed
from paradropd.engine.docker.calls import Calls
from paradropd.engine.docker.wire import Stream, Wire

NOT_EXECUTABLE = 126
"""What a shell returns for a command that cannot be executed (POSIX, "Exit Status for Commands")."""

LOOK_AGAIN = 0.02
"""Seconds. Docker closes a command's output a moment before it knows the exit code."""


class Commands:
    def __init__(self, reactor: IReactorTime, calls: Calls, wire: Wire) -> None:
        self._reactor, self._calls, self._wire = reactor, calls, wire

    async def execute(self, container: str, command: Sequence[str], timeout: float) -> int:
        """The exit code of *command*; what it prints is thrown away.

        Raises ``ChuteNotRunning``, and ``DeadlineExceeded`` after *timeout* seconds. Docker has no call to end such a command:
        on the engine's own machine its process group is killed by us, on another machine it runs on.
        """
        try:
            created = await self._calls("exec_create", container, list(command))
        except (Conflict, NotFound) as problem:
            raise ChuteNotRunning(str(problem)) from problem
        running = Deferred.fromCoroutine(self._finish(created["Id"]))
        try:
            return await running.addTimeout(timeout, self._reactor)
        except TimeoutError:
            await self._end(container, created["Id"])
            raise DeadlineExceeded(f"{command[0]!r} did not end within {timeout:g} s") from None
        except Conflict as problem:
            raise ChuteNotRunning(str(problem)) from problem

    async def _finish(self, command: str) -> int:
        body = {"Detach": False, "Tty": False}
        try:
            stream = await self._wire.stream("POST", f"/exec/{command}/start", lambda data: None, body=body)
        except StartFailed:
            return NOT_EXECUTABLE
        await _end_of(stream)
        while True:
            found = await self._calls("exec_inspect", command)
            if not found["Running"] and found["ExitCode"] is not None:
                return int(found["ExitCode"])
            await deferLater(self._reactor, LOOK_AGAIN)

    async def _end(self, container: str, command: str) -> None:
        with suppress(NotFound):
            found = await self._calls("exec_inspect", command)
            if found["Running"] and found["Pid"]:
                kill(found["Pid"], container)


async def _end_of(stream: Stream) -> None:
    """Wait for the end of *stream*; whoever stops waiting closes it."""
    try:
        await stream.finished
    finally:
        stream.close()


def kill(pid: int, container: str) -> None:
    """Kill the process group *pid*, when that is on this machine and still belongs to *container*.

    runc makes every command the leader of a session of its own. The open pidfd keeps the check of the cgroup true until the
    signal: while it is open and the process unreaped the number cannot be given to somebody else.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if container in Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii"):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.killpg(pid, signal.SIGKILL)
    except OSError:
        return
    finally:
        os.close(handle)
