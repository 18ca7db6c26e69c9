"""The daemon as a process of its own: its beginning, its end, and what it says when it cannot begin."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from paradrop.base.cxbr import BaseSession

PATIENCE = 30.0
"""Seconds within which whatever a test waits for must have happened."""

MANIFEST = b"name: hello\nversion: '1'\ntype: light\nuse: python3\ncommand: stay\n"
TREE = {"entries": [{"path": "paradrop.yaml", "size": len(MANIFEST), "sha256": hashlib.sha256(MANIFEST).hexdigest()}]}


def command(home: Path, *more: str) -> list[str]:
    """The daemon with the engine in memory, on a free port."""
    options = ["--mode", "unittest", "--set", "engine:memory", "--set", "portal_server_port:0", *more]
    return [sys.executable, "-m", "paradropd.entry", "--home", str(home), *options]


def until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, f"it has ended: {process.communicate()}"
        assert time.monotonic() < give_up, "it does not happen"
        time.sleep(0.02)


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a short path: a socket's name has 107 bytes at most."""
    folder = Path(tempfile.mkdtemp(prefix="pd-"))
    yield folder
    shutil.rmtree(folder)


class Daemon:
    def __init__(self, home: Path, *more: str) -> None:
        self.control = home / "run" / "control.sock"
        self.process = subprocess.Popen(
            command(home, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home, start_new_session=True
        )
        until(lambda: accepts(self.control), self.process)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Its exit code, and what it printed."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Daemon]]:
    daemons: list[Daemon] = []

    def begin(*more: str) -> Daemon:
        daemons.append(Daemon(home, *more))
        return daemons[-1]

    yield begin
    for daemon in daemons:
        if daemon.process.poll() is None:
            daemon.end(signal.SIGKILL)


def refused(home: Path, *more: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and last words of a daemon that cannot start."""
    ended = subprocess.run(
        command(home, *more), capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **(environment or {})}
    )
    assert "Traceback" not in ended.stdout + ended.stderr
    return ended.returncode, ended.stderr


def test_it_starts_says_nothing_and_ends_when_it_is_told(start: Callable[..., Daemon], home: Path) -> None:
    daemon = start("--quiet")
    assert daemon.control.stat().st_mode & 0o777 == 0o660
    begun = time.monotonic()
    assert daemon.end() == (0, "", "")
    assert time.monotonic() - begun < 10
    assert not daemon.control.exists()
    assert [path.name for path in (home / "run").rglob("*")] == ["chutes"]
    assert sorted(path.name for path in home.iterdir() if path.name.startswith("paradrop.db")) == ["paradrop.db"]
    assert "ready" in "".join(path.read_text() for path in (home / "logs" / "daemon").iterdir())


def test_ctrl_c_ends_it_too_and_without_quiet_it_says_where_it_is(start: Callable[..., Daemon]) -> None:
    daemon = start()
    assert daemon.process.stdout is not None
    lines = iter(daemon.process.stdout.readline, "")
    assert any("ready: http://127.0.0.1:" in line for line in lines)
    code, _, err = daemon.end(signal.SIGINT)
    assert (code, err) == (0, "")


def test_a_second_daemon_on_the_same_home(start: Callable[..., Daemon], home: Path) -> None:
    daemon = start("--quiet")
    code, said = refused(home)
    assert code == 1
    assert said == f"paradropd: {home}: another paradropd (process {daemon.process.pid}) runs here\n"
    assert accepts(daemon.control)
    assert daemon.end()[0] == 0


def test_killed_and_started_again(start: Callable[..., Daemon], home: Path, reactor_thread: Any) -> None:
    def call(daemon: Daemon, name: str, *args: Any) -> Any:
        async def scenario() -> Any:
            session = await BaseSession.start(f"unix:{daemon.control}", "local", reconnect=False, reactor=reactor_thread.reactor)
            try:
                return await session.call(name, *args)
            finally:
                session.stop()

        return reactor_thread.run(scenario)

    daemon = start("--quiet")
    call(daemon, "blobs.put", TREE["entries"][0]["sha256"], len(MANIFEST), 0, MANIFEST)
    change = call(daemon, "chutes.deploy", TREE)
    assert change["state"] == "running"
    assert daemon.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert daemon.control.exists()  # nobody was there to remove it
    daemon = start("--quiet")
    ended = call(daemon, "changes.get", change["id"])
    assert (ended["state"], ended["retry"], ended["reason"]) == ("failed", True, "paradropd was stopped in the middle of it")
    assert call(daemon, "chutes.list") == []
    call(daemon, "blobs.put", TREE["entries"][0]["sha256"], len(MANIFEST), 0, MANIFEST)
    again = call(daemon, "chutes.deploy", TREE)["id"]
    until(lambda: call(daemon, "changes.get", again)["state"] == "done", daemon.process)
    assert call(daemon, "chutes.get", "hello")["state"] == "running"
    assert daemon.end() == (0, "", "")


def test_told_to_end_in_the_middle_of_a_change(start: Callable[..., Daemon], reactor_thread: Any) -> None:
    daemon = start("--quiet", "--set", "settle:600")

    async def scenario() -> Any:
        session = await BaseSession.start(f"unix:{daemon.control}", "local", reconnect=False, reactor=reactor_thread.reactor)
        await session.call("blobs.put", TREE["entries"][0]["sha256"], len(MANIFEST), 0, MANIFEST)
        return await session.call("chutes.deploy", TREE)

    assert reactor_thread.run(scenario)["state"] == "running"
    begun = time.monotonic()
    assert daemon.end() == (0, "", "")
    assert time.monotonic() - begun < 10


class TestRefused:
    def test_a_bad_value(self, home: Path) -> None:
        code, said = refused(home, "--set", "settle:soon")
        assert code == 78
        assert said.startswith("paradropd: ")
        assert "settle" in said
        assert "'soon'" in said

    def test_an_unknown_key_in_the_file(self, home: Path) -> None:
        (home / "settings.ini").write_text("[base]\nsetle = 3\n")
        code, said = refused(home)
        assert code == 78
        assert said == f"paradropd: {home}/settings.ini:2: setle: unknown setting; did you mean settle?\n"

    def test_an_unknown_name_in_the_environment(self, home: Path) -> None:
        code, said = refused(home, environment={"PARADROP_SETLE": "3"})
        assert code == 78
        assert "SETLE" in said

    def test_a_port_that_is_taken(self, home: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            code, said = refused(home, "--quiet", "--set", f"portal_server_port:{port}")
        assert code == 2
        assert said.startswith(f"paradropd: the web site cannot listen on 127.0.0.1:{port}")
        assert "portal_server_port" in said
        assert not (home / "run" / "control.sock").exists()

    def test_a_home_whose_path_is_too_long_for_a_socket(self, home: Path) -> None:
        code, said = refused(home / ("x" * 100), "--quiet")
        assert code == 2
        assert "use a shorter --home" in said

    def test_a_home_that_is_a_file(self, home: Path) -> None:
        (home / "file").write_text("")
        code, said = refused(home / "file")
        assert code == 74
        assert str(home / "file") in said

    @pytest.mark.needs("root", "netns")
    def test_a_home_that_cannot_be_written_to(self, home: Path) -> None:
        script = f'mount -t tmpfs -o ro none "{home}" && exec "$@"'
        ended = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", *command(home / "device")],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert ended.returncode == 74
        assert "Read-only file system" in ended.stderr
        assert str(home / "device") in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_a_database_that_is_none(self, home: Path) -> None:
        (home / "paradrop.db").write_text("not a database, and certainly longer than a header" * 100)
        code, said = refused(home)
        assert code == 1
        assert str(home / "paradrop.db") in said

    def test_something_that_is_no_socket_is_in_the_way(self, home: Path) -> None:
        (home / "run" / "control.sock").mkdir(parents=True)
        code, said = refused(home, "--quiet")
        assert code == 74
        assert "control.sock" in said
