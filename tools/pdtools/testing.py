"""The command line in memory: a device without a socket, a clock that is moved, a screen that is a string.

::

    bench = Bench()
    bench.realm.offer("hello.greet", lambda name: f"Hello, {name}!")
    assert bench.run("call", "hello.greet", "World").out == "Hello, World!\\n"

The same device is behind a server too, as ``acme.r1``, once somebody has logged in there::

    bench.log_in()
    assert bench.run("--target", "acme.r1", "call", "hello.greet", "World").out == "Hello, World!\\n"

A command runs to its end at once: whenever it waits for time, the clock is moved to the next thing that is due.
"""

from __future__ import annotations

import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from click.testing import CliRunner
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pdtools.app import App
from pdtools.fabric import Fabric
from pdtools.fake_server import FakeServer
from pdtools.fakes import FakeRealm
from pdtools.known import Servers
from pdtools.run import execute
from pdtools.show import Show
from pdtools.target import Kind, Place, Seen, Target

T = TypeVar("T")
EPOCH = 1_800_000_000.0
"""The time at which the clock starts, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


class Bench:
    """Runs commands against a :class:`FakeRealm`, and a :class:`FakeServer` that it is connected to."""

    def __init__(self, directory: Path = Path("/nowhere"), *, terminal: bool = False, width: int = 100) -> None:
        """*directory*: where the commands run. *terminal*: whether somebody sits at the screen, *width* columns wide."""
        self.clock = Clock()
        self.realm = FakeRealm(self.clock)
        self.server = FakeServer(self.clock)
        self.server.connect("acme.r1", self.realm)
        self.directory = directory
        self.terminal = terminal
        self.width = width
        self.opened: list[str] = []
        """URLs opened in the browser."""
        self.environment: dict[str, str] = {}
        self._interrupt_at: float | None = None

    @property
    def place(self) -> Place:
        """Where the commands run, and as whom."""
        home = self.directory / "home"
        return Place(directory=self.directory, home=home, uid=1000, environment=self.environment, machine="laptop")

    @property
    def servers(self) -> Servers:
        """Those that whoever runs the commands knows."""
        return Servers.of(self.place)

    def log_in(self, user: str = "ada") -> None:
        """Have whoever runs the commands be *user* at the server."""
        self.server.keys[self.servers.own_key(self.server.url, self.server.authority).public] = user
        self.servers.remember("shop", self.server.url, user, self.server.authority)

    async def dial(self, target: Target) -> Fabric:
        """A new link to what is meant."""
        return await (self.realm if target.login is None else self.server).dial(target)

    def wall(self) -> float:
        """Seconds since the epoch, moving with the clock."""
        return EPOCH + self.clock.seconds()

    def interrupt_after(self, seconds: float) -> None:
        """Press Ctrl-C in the next command, that many seconds from now."""
        self._interrupt_at = self.clock.seconds() + seconds

    def run(self, *arguments: str, input: str = "") -> Result:
        """Run one command with *input* to read from. Fails with ``AssertionError`` when it would wait for ever."""
        with CliRunner().isolation(input=input) as (out, err, _):
            app = App(
                show=Show(sys.stdout, sys.stderr, terminal=self.terminal, width=self.width if self.terminal else None),
                place=self.place,
                wall=self.wall,
                clock=self.clock,
                dial=self.dial,
                accept=self.server.accept,
                drive=self._drive,
                browser=self.opened.append,
                interactive=self.terminal,
                look=lambda path: Seen(Kind.SOCKET, 1000),
            )
            code = execute(arguments, app)
            sys.stdout.flush()
            sys.stderr.flush()
            return Result(code, out.getvalue().decode(), err.getvalue().decode())

    def _drive(self, work: Coroutine[Any, Any, T]) -> T:
        outcome: list[Any] = []
        done = Deferred.fromCoroutine(work)
        done.addBoth(outcome.append)
        interrupted = False
        if self._interrupt_at is not None:
            self.clock.callLater(self._interrupt_at - self.clock.seconds(), done.cancel)
        while not outcome:
            due = [call.getTime() for call in self.clock.getDelayedCalls()]
            assert due, "the command waits for something that never happens"
            self.clock.advance(max(0.0, min(due) - self.clock.seconds()))
            interrupted = self._interrupt_at is not None and self.clock.seconds() >= self._interrupt_at
        if interrupted:
            raise KeyboardInterrupt
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        result: T = outcome[0]
        return result
