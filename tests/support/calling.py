"""Somebody who has joined a server and calls, with nothing but the call being timed.

As a program (``python calling.py FOLDER``, wherever in the network): joins the server which the person of that folder knows,
says so, and answers each line ``["uri", argument, …]`` with ``[error's URI, its words, seconds]`` (JSON both ways).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pdtools.known import Servers
from rawpeer import RawPeer, Refused


@dataclass(frozen=True, slots=True)
class Called:
    """What a call came to; *error* is empty when it was answered."""

    error: str
    words: str
    seconds: float


class Caller:
    """The program above, on a machine of a network::

    with Caller(network.within("client"), folder) as caller:
        called = caller.call("org.paradrop.acme.r1.chute.echo.echo", 5)
    """

    def __init__(self, before: Sequence[str], folder: Path) -> None:
        """*folder*: the person's own, with their key and what they know of servers."""
        self._command = [*before, sys.executable, __file__, str(folder)]

    def __enter__(self) -> Caller:
        # The tests run with a safe path (PYTHONSAFEPATH): a script's own folder is not on it.
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        assert self._line() == "joined"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def call(self, uri: str, *arguments: object) -> Called:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([uri, *arguments]) + "\n")
        self._process.stdin.flush()
        return Called(*json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def main(folder: str) -> None:
    servers = Servers(Path(folder))
    [server] = servers.known()
    with RawPeer(server.url, server.authority, patience=60.0) as peer:
        peer.join(servers.key(server))
        print("joined", flush=True)
        for line in sys.stdin:
            uri, *arguments = json.loads(line)
            begun, error, words = time.monotonic(), "", ""
            try:
                peer.call(uri, *arguments)
            except Refused as no:
                error, words = no.uri, no.words
            print(json.dumps([error, words, time.monotonic() - begun]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
