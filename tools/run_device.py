"""`make run`: a device in the foreground, with the hello chute deployed to it the way any chute is, by pdtools over WAMP."""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from paradrop.base import settings
from paradropd.engine.choose import DOCKER, PROCESS, answers, choose

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
BASE_IMAGE = ROOT / "chutes" / "base" / "build_base.py"


def listens(path: Path) -> bool:
    """Whether somebody listens on the unix socket *path*."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def pdtools(home: Path, *command: str) -> int:
    return subprocess.run([BIN / "pdtools", "--home", str(home), *command], check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a device from this checkout.")
    parser.add_argument("--home", type=Path, default=ROOT / ".paradrop")
    parser.add_argument("--port", type=int, default=8080, help="of the web site; 0 takes a free one")
    options = parser.parse_args()
    home = options.home.absolute()
    control = home / "run" / "control.sock"

    # What the daemon itself will read.
    read = settings.loadSettings(home=home)
    engine = choose(read.engine, lambda: answers(read.docker_socket))
    if engine == DOCKER and subprocess.run([sys.executable, str(BASE_IMAGE)], check=False).returncode != 0:
        print("Without its base image the hello chute cannot run in Docker: it runs as a process instead.", file=sys.stderr)
        engine = PROCESS

    # In a process group of its own, so that a Ctrl-C reaches the daemon once, through this script.
    command = [BIN / "paradropd", "--home", str(home), "--set", f"PORTAL_SERVER_PORT:{options.port}"]
    command += ["--set", f"ENGINE:{engine}", "--set", "STOP_CHUTES:true", "--quiet"]
    device = subprocess.Popen(command, process_group=0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: device.terminate())
    while device.poll() is None and not listens(control):
        time.sleep(0.05)
    if device.poll() is None:
        if pdtools(home, "deploy", str(ROOT / "chutes" / "hello")) == 0:
            introduce(home)
        else:
            device.terminate()
            device.wait()
            return 1
    code = device.wait()
    if not code:
        print("The device has stopped.")
    elif options.port:
        print(f"If port {options.port} is taken: make run PORT=0", file=sys.stderr)
    return code


def introduce(home: Path) -> None:
    """Say what runs, where to look and what to try."""
    print("\nRunning now:", flush=True)
    pdtools(home, "ps")
    print("\nThe dashboard (the first visit sets a password):", flush=True)
    pdtools(home, "dashboard", "--no-open")
    print("\nTry, in a second terminal in this folder:")
    shown = BIN.relative_to(Path.cwd()) if BIN.is_relative_to(Path.cwd()) else BIN
    where = "" if home == Path.cwd() / ".paradrop" else f" --home {home}"
    for command in ("call hello.greet World", "subscribe hello.ticks", "logs hello -f"):
        print(f"  {shown}/pdtools{where} {command}")
    print("\nCtrl-C stops the device.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
