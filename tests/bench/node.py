"""A bare Crossbar node: one router worker, one realm, RawSocket with CBOR on a unix socket, everything allowed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from bench.place import NotMeasured, Place, console_script
from twisted.internet.task import deferLater

from paradrop.base.seams import in_thread
from paradrop.uris import DEVICE_REALM

READY = 60.0
"""Seconds within which the node must have started."""


def configuration(path: Path) -> dict[str, object]:
    """What Crossbar's own documentation has for a node of this kind."""
    allow = {"call": True, "register": True, "publish": True, "subscribe": True}
    role = {"name": "anonymous", "permissions": [{"uri": "", "match": "prefix", "allow": allow, "cache": True}]}
    transport = {
        "type": "rawsocket",
        "endpoint": {"type": "unix", "path": str(path)},
        "serializers": ["cbor"],
    }
    worker = {"type": "router", "realms": [{"name": DEVICE_REALM, "roles": [role]}], "transports": [transport]}
    return {"version": 2, "workers": [worker]}


@asynccontextmanager
async def crossbar(place: Place) -> AsyncIterator[Path]:
    """The node's socket: ``fabric.sock``, alone in its folder."""
    folder = Path(tempfile.mkdtemp(prefix="pd-bench-"))
    path = folder / "fabric" / "fabric.sock"
    path.parent.mkdir()
    (folder / "config.json").write_text(json.dumps(configuration(path)), encoding="utf-8")
    command = [str(console_script("crossbar")), "start", "--cbdir", str(folder), "--loglevel", "warn", "--color", "false"]
    with (folder / "output").open("wb") as output:
        # A session of its own: its worker is a second process, and both are ended together.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    try:
        give_up = time.monotonic() + READY
        while not answers(path):
            if process.poll() is not None or time.monotonic() > give_up:
                raise NotMeasured(f"crossbar did not start: {(folder / 'output').read_text(encoding='utf-8')[-2000:]}")
            await deferLater(place.reactor, 0.05)
        path.chmod(0o666)
        yield path
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            await in_thread(partial(process.wait, timeout=15))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def answers(path: Path) -> bool:
    """Whether somebody listens on the unix socket *path*."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
