"""A device and a command line as processes of their own, for tests that use the real programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
PATIENCE = 60.0
"""Seconds after which something that should have happened is taken to have failed."""


@dataclass
class RunningDevice:
    """A paradropd in a process of its own, and pdtools to talk to it."""

    home: Path
    engine: str
    settings: tuple[str, ...] = ()
    bin: Path = BIN
    """Where the two programs are."""
    before: tuple[str, ...] = ()
    """A command that runs the programs, such as ``ip netns exec NAME``."""
    process: subprocess.Popen[str] | None = field(default=None)

    def start(self) -> None:
        command = [
            *self.before,
            self.bin / "paradropd",
            "--home",
            str(self.home),
            "--set",
            f"ENGINE:{self.engine}",
            "--set",
            "PORTAL_SERVER_PORT:0",
        ]
        for setting in self.settings:
            command += ["--set", setting]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:  # ends when the daemon does
            if "ready: " in line:
                return
        self.process.stdout.close()
        raise AssertionError(f"paradropd ended with {self.process.wait()}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def run(self, *command: str, expect: int = 0) -> str:
        """What pdtools prints; its exit code must be *expect*."""
        environment = {**os.environ, "PARADROP_HOME": str(self.home)}
        done = subprocess.run(
            [self.bin / "pdtools", *command], capture_output=True, text=True, timeout=PATIENCE, env=environment, check=False
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr if expect else done.stdout

    def chute(self, name: str) -> dict[str, object]:
        return next(chute for chute in json.loads(self.run("ps", "--json")) if chute["name"] == name)
