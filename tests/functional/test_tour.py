"""The README's tour, with the real programs: a daemon and a command line, each a process of its own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import BIN, PATIENCE, RunningDevice


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.needs("docker", "root")), "process"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningDevice]:
    device = RunningDevice(tmp_path / "home", request.param)
    device.start()
    yield device
    if device.process is None:
        device.start()
    for chute in json.loads(device.run("ps", "--json")):
        device.run("remove", "--yes", chute["name"])
    assert device.stop() == 0


@pytest.fixture
def hello(project: Path, tmp_path: Path) -> Path:
    """A copy of the hello chute, to be edited."""
    return Path(shutil.copytree(project / "chutes" / "hello", tmp_path / "hello", ignore=shutil.ignore_patterns("__pycache__")))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_tour(device: RunningDevice, hello: Path) -> None:
    assert device.engine in device.run("status")
    device.run("deploy", str(hello))
    assert device.chute("hello")["state"] == "running"
    assert device.run("call", "hello.greet", "World") == "Hello, World!\n"
    assert len(device.run("subscribe", "hello.ticks", "--count", "2", "--json").splitlines()) == 2
    assert "hello.greet" in device.run("procedures")
    assert device.run("logs", "hello", "--since", "5m")

    edit(hello / "main.py", "Hello, ", "Good morning, ")
    device.run("deploy", str(hello))
    assert device.run("call", "hello.greet", "World") == "Good morning, World!\n"

    device.run("stop", "hello")
    assert device.chute("hello")["state"] == "stopped"
    assert "hello.greet" in device.run("call", "hello.greet", "World", expect=1)
    device.run("start", "hello")
    device.run("restart", "hello")
    assert device.run("call", "hello.greet", "World") == "Good morning, World!\n"
    assert json.loads(device.run("changes", "--json"))[0]["kind"] == "restart"
    device.run("remove", "--yes", "hello")
    assert json.loads(device.run("ps", "--json")) == []


def test_a_bad_version_is_taken_back(device: RunningDevice, hello: Path) -> None:
    device.run("deploy", str(hello))
    good = (hello / "main.py").read_text()

    (hello / "main.py").write_text("print('no good')\nraise SystemExit(3)\n")
    told = device.run("deploy", str(hello), expect=1)
    assert "exit code 3" in told
    assert "no good" in told
    assert device.run("call", "hello.greet", "World") == "Hello, World!\n"

    (hello / "main.py").write_text("import time\nwhile True: time.sleep(1)\n")
    edit(hello / "paradrop.yaml", "health:", "health:\n  start: 2")
    told = device.run("deploy", str(hello), expect=1)
    assert "did not become healthy" in told
    assert device.run("call", "hello.greet", "World") == "Hello, World!\n"

    (hello / "main.py").write_text(good)
    device.run("deploy", str(hello))


def test_a_first_version_that_fails_leaves_nothing(device: RunningDevice, hello: Path) -> None:
    (hello / "main.py").write_text("raise SystemExit(3)\n")
    device.run("deploy", str(hello), expect=1)
    assert json.loads(device.run("ps", "--json")) == []
    assert list((device.home / "data").iterdir()) == []
    assert "exit code 3" in device.run("changes")


def test_everything_runs_again_after_a_restart_and_after_a_kill(device: RunningDevice, hello: Path) -> None:
    device.run("deploy", str(hello))
    for number in (signal.SIGTERM, signal.SIGKILL):
        device.stop(number)
        device.start()
        told = device.run("subscribe", "hello.ticks", "--count", "1")  # waits until it is back
        assert told
        assert device.run("call", "hello.greet", "World") == "Hello, World!\n"
    # A container has gone on meanwhile, and nothing it printed is told twice; a process ended with its daemon, and was started
    # anew.
    starts = 1 if device.engine == "docker" else 3
    assert device.run("logs", "hello", "-n", "1000").count("hello is here") == starts


def test_a_second_daemon_on_the_same_home_is_refused(device: RunningDevice) -> None:
    done = subprocess.run(
        [BIN / "paradropd", "--home", str(device.home)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert "another paradropd" in done.stderr


def test_a_chute_that_prints_100_mb_costs_no_more_than_its_share(device: RunningDevice, tmp_path: Path) -> None:
    device.stop()
    device.settings = ("LOG_CAP:4 MiB", "LOG_SEGMENT:1 MiB")
    device.start()
    folder = tmp_path / "loud"
    folder.mkdir()
    (folder / "paradrop.yaml").write_text(
        "name: loud\nversion: 1\nservices: {main: {type: light, image: python3, command: python3 main.py}}\n"
    )
    (folder / "main.py").write_text(
        "import time\nline = 'x' * 999\nfor _ in range(100_000): print(line)\n"
        "print('that was all', flush=True)\nwhile True: time.sleep(1)\n"
    )
    device.run("deploy", str(folder))
    while "that was all" not in device.run("logs", "loud", "-n", "5"):
        device.run("status")  # meanwhile the device answers
    log = device.home / "logs" / "chute.loud"
    assert sum(file.stat().st_size for file in log.iterdir()) <= 4 << 20
