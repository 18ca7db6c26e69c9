"""A real server in a process of its own, for functional tests: the node, its router worker, and the service."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import psutil

BIN = Path(sys.executable).parent
PATIENCE = 60.0
"""Seconds after which something that should have happened is taken to have failed."""
READY = "pdserver is ready: "


def free_port() -> int:
    """A TCP port that nobody has now, below those that the kernel gives to connections: nobody gets it in the meantime."""
    first, last = 20_000, 32_000
    for offset in range(last - first):
        port = first + (os.getpid() * 61 + time.monotonic_ns() // 1000 + offset) % (last - first)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def until(condition: Callable[[], object], what: str = "it", patience: float = PATIENCE) -> None:
    """Wait until *condition* is true; fails with *what* that was."""
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up, f"{what} does not happen within {patience:g} s"
        time.sleep(0.02)


class ServerProcess:
    """``pdserver run`` on a free port, with a home of its own under a short path unless one is given::

    with ServerProcess() as server:
        ... server.url, server.authority_pem, server.admin_code
    """

    def __init__(
        self,
        *more: str,
        home: Path | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
        url: str = "",
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> None:
        """*more*: further options of ``pdserver run``. *host*: where to listen; *url*: what to tell others, if not that.
        *before*: a command that runs the program, such as ``ip netns exec NAME``."""
        self._own = home is None
        self.home = home or Path(tempfile.mkdtemp(prefix="pds-"))
        self.port = port or free_port()
        self.host = host
        self.url = url or f"https://{host}:{self.port}"
        self._more = more
        self._environment = {**os.environ, **(environment or {})}
        self._before = before
        self.output: list[str] = []
        """Every line that was printed so far."""
        self.process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def command(self) -> list[str]:
        options = ["--home", str(self.home), "--listen", f"{self.host}:{self.port}", "--url", self.url, *self._more]
        return [*self._before, str(BIN / "pdserver"), "run", *options]

    def begin(self) -> None:
        """Start it, without waiting for it."""
        self.output.clear()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def start(self) -> ServerProcess:
        """Start it, and return when it is ready."""
        self.begin()
        try:
            until(lambda: self.said(READY) or not self.running, "being ready")
            assert self.running, f"pdserver has ended: {self.output}"
        except BaseException:
            self.close()
            raise
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; returns the exit code, negative for a signal."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self._finish()
        return code

    def close(self) -> None:
        """End it whatever has happened, and remove a home of its own."""
        if self.process is not None:
            with_it = self.tree()
            self.process.kill()
            self.process.wait()
            for each in with_it:  # the kernel does that, too: that it does is one of the tests
                kill(each)
            self._finish()
        if self._own:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> ServerProcess:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def said(self, part: str) -> str:
        """The last line with *part* in it; empty when there is none."""
        return next((line for line in reversed(self.output) if part in line), "")

    @property
    def authority_pem(self) -> str:
        """What to verify the server by."""
        return (self.home / "authority.pem").read_text(encoding="ascii")

    @property
    def admin_code(self) -> str:
        """The first administrator's login code; each start prints another one, until one was used."""
        until(lambda: self.said(" pd1."), "the first login code")
        return next(word for word in self.said(" pd1.").split() if word.startswith("pd1."))

    @property
    def address(self) -> str:
        """For :meth:`paradrop.base.cxbr.BaseSession.start`."""
        parts = urlsplit(self.url)
        return f"rss://{parts.netloc}"

    @property
    def supervisor(self) -> psutil.Process:
        """The ``pdserver run`` itself: the process that holds the home."""
        return psutil.Process(int((self.home / "lock").read_text(encoding="ascii")))

    @property
    def node(self) -> psutil.Process | None:
        """Crossbar's controller, once it can be told from the service."""
        return self._child(lambda line: "crossbar" in line)

    @property
    def worker(self) -> psutil.Process | None:
        """The router worker: where every connection is."""
        node = self.node
        children = descendants(node) if node is not None else []
        return children[0] if children else None

    @property
    def service(self) -> psutil.Process | None:
        return self._child(lambda line: "pdserver.component" in line)

    def _child(self, wanted: Callable[[str], bool]) -> psutil.Process | None:
        return next((child for child in descendants(self.supervisor, recursive=False) if wanted(command_of(child))), None)

    def tree(self) -> list[psutil.Process]:
        """Every process below the supervisor."""
        try:
            return descendants(self.supervisor)
        except (psutil.NoSuchProcess, OSError, ValueError):
            return []

    def answers(self) -> bool:
        """Whether a TLS handshake with the server succeeds, with its certificate verified."""
        host = urlsplit(self.url).hostname or ""
        try:
            context = ssl.create_default_context(cadata=self.authority_pem)
            with socket.create_connection((self.host, self.port), 5) as plain, context.wrap_socket(plain, server_hostname=host):
                return True
        except OSError:
            return False

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:  # ends when the last process that holds the pipe does
            self.output.append(line.rstrip("\n"))

    def _finish(self) -> None:
        if self._reader is not None:
            self._reader.join(PATIENCE)
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process = self._reader = None


def command_of(process: psutil.Process) -> str:
    """Its command line; empty when it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def descendants(process: psutil.Process, recursive: bool = True) -> list[psutil.Process]:
    try:
        return process.children(recursive=recursive)
    except psutil.NoSuchProcess:
        return []


def kill(process: psutil.Process) -> None:
    """kill -9."""
    with suppress(psutil.NoSuchProcess):
        process.kill()
