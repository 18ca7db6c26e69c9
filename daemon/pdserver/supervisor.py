"""Runs a server's processes: starts them, starts each again when it ends, and ends them in order.

::

    supervisor ── node (crossbar start) ── router worker
               └─ service (python -m pdserver.component)

Whoever starts anew keeps nothing of the one that died: the group of a child that has ended is killed before the next begins, so
that its port and its socket are free.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from pdserver.restarts import Restarts

GRACE = 15.0
"""Seconds that a child has for ending by itself before it is killed."""
PROBE = 0.1
"""Seconds between two looks whether a child that was started is ready."""
LATEST = 60.0
"""Seconds after which one that is not ready is taken to be stuck."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is kept running."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: str = "/"
    stdin: bytes = field(default=b"", repr=False)
    ready: Callable[[], bool] | None = None
    """Looked at after each start until it is true. A program that is not ready by :data:`LATEST` is started anew, and the
    operator is told of one that is back. None: the program says so itself."""
    output: Callable[[bytes], None] | None = None
    """Where its standard output goes instead of the log."""


class Sink(Protocol):
    """Where a child's log goes."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Supervisor:
    """Keeps *programs* running. They are started in their order, and ended in the opposite one."""

    def __init__(
        self,
        reactor: Any,
        programs: Sequence[Program],
        *,
        tell: Callable[[str], None],
        log: Callable[[str], Sink],
        kill_group: Callable[[int, int], None] = os.killpg,
    ) -> None:
        """*tell* says one line to the operator; *log* opens a program's log."""
        self._children = [_Child(reactor, program, tell, log(program.name), kill_group) for program in programs]

    def start(self) -> None:
        for child in self._children:
            child.start()

    async def stop(self) -> None:
        """End all; nothing is left running then, and no delayed call."""
        for child in self._children:
            child.retire()
        for child in reversed(self._children):
            await child.ended()

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each program that runs now."""
        return {child.program.name: child.pid for child in self._children if child.pid}


class _Child(ProcessProtocol):
    """One program through all its lives."""

    def __init__(
        self,
        reactor: Any,
        program: Program,
        tell: Callable[[str], None],
        log: Sink,
        kill_group: Callable[[int, int], None],
    ) -> None:
        self.program = program
        self._reactor = reactor
        self._tell = tell
        self._log = log
        self._kill_group = kill_group
        self._restarts = Restarts()
        self._process: Any = None
        self._pid = 0
        self._started = 0.0
        self._lives = 0
        self._tail = b""
        self._delayed: IDelayedCall | None = None
        self._retired = False
        self._waiting: list[Deferred[None]] = []

    @property
    def pid(self) -> int:
        return self._pid if self._process is not None else 0

    def start(self) -> None:
        self._delayed = None
        self._lives += 1
        self._tail = b""
        self._started = self._reactor.seconds()
        pipes = {0: "w", 1: "r", 2: "r"}
        command, environment = list(self.program.command), dict(self.program.environment)
        try:
            self._process = self._reactor.spawnProcess(
                self, command[0], command, env=environment, path=self.program.folder, childFDs=pipes
            )
        except OSError as problem:  # there is no process, no file or no memory left for it: there will be
            self._start_again(f"cannot be started ({problem.strerror or problem})", 0.0)
            return
        self._pid = self._process.pid

    def connectionMade(self) -> None:
        if self.transport is not None:
            self.transport.writeToChild(0, self.program.stdin)
            self.transport.closeChildFD(0)
        if self.program.ready is not None:
            self._delayed = self._reactor.callLater(PROBE, self._look)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == 1 and self.program.output is not None:
            self.program.output(data)
        else:
            self._log.write(data)
            self._tail = (self._tail + data)[-4096:]

    def processExited(self, reason: Failure) -> None:
        # What it has started may hold its port, or a pipe, without which the end would not be told.
        self._kill_all()

    def processEnded(self, reason: Failure) -> None:
        up = self._reactor.seconds() - self._started
        self._cancel()
        self._process = None
        if self._retired:
            self._log.close()
            for waiting in self._waiting:
                waiting.callback(None)
            return
        said = last_line(self._tail)
        self._start_again(f"{how(reason)}{f' ({said})' if said else ''}", up)

    def _start_again(self, why: str, up: float) -> None:
        """It is not there, after *up* seconds."""
        wait, self._restarts = self._restarts.ended(up)
        self._tell(f"the {self.program.name} {why}; starting again in {wait:g} s")
        self._delayed = self._reactor.callLater(wait, self.start)

    def _look(self) -> None:
        self._delayed = None
        if self.program.ready is not None and self.program.ready():
            if self._lives > 1:
                self._tell(f"the {self.program.name} is back")
        elif self._reactor.seconds() - self._started > LATEST:
            self._tell(f"the {self.program.name} is not ready within {LATEST:g} s: it is killed")
            self._kill_all()
        else:
            self._delayed = self._reactor.callLater(PROBE, self._look)

    def retire(self) -> None:
        """Do not start again."""
        self._retired = True
        self._cancel()
        if self._process is None:
            self._log.close()

    def ended(self) -> Deferred[None]:
        """End it; fires when it has. Killed with all its group when it takes longer than :data:`GRACE`."""
        done: Deferred[None] = Deferred()
        if self._process is None:
            done.callback(None)
            return done
        self._waiting.append(done)
        self._delayed = self._reactor.callLater(GRACE, self._kill)
        with suppress(ProcessExitedAlready):
            self._process.signalProcess("TERM")
        return done

    def _kill(self) -> None:
        self._delayed = None
        self._tell(f"the {self.program.name} does not end within {GRACE:g} s: it is killed")
        self._kill_all()

    def _kill_all(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
            self._kill_group(self._pid, signal.SIGKILL)

    def _cancel(self) -> None:
        if self._delayed is not None:
            self._delayed.cancel()
            self._delayed = None


def how(reason: Failure) -> str:
    """How a process ended, in words."""
    number = getattr(reason.value, "signal", None)
    if number:
        try:
            return f"was ended by {signal.Signals(number).name}"
        except ValueError:
            return f"was ended by signal {number}"
    return f"has ended with exit code {getattr(reason.value, 'exitCode', None)}"


def last_line(output: bytes) -> str:
    """What a process that has ended said last of an error, or last at all; shortened to a line."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if "Error" in line or "error" in line or "Could not" in line]
    chosen = (telling or lines or [""])[-1]
    return chosen if len(chosen) <= 200 else f"{chosen[:200]}…"
