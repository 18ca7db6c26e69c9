"""A clock with a page of its own, which also listens to another chute."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from paradrop import Chute

PORT = 8000
PAGE = Path(__file__).with_name("page.html")

chute = Chute()


@dataclass(frozen=True)
class Tick:
    """The last event of ``hello.ticks``."""

    count: int
    heard: float


@dataclass
class State:
    """What the page shows besides the time."""

    tick: Tick | None = None
    minute: int | None = None


state = State()


@chute.register("now")
def now() -> str:
    """``pdtools call clock.now``: the device's time, as ISO 8601 has it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


@chute.subscribe("hello.ticks")
async def ticked(count: int) -> None:
    """Called with each event that the chute ``hello`` publishes."""
    if state.tick is None:
        print("hello is ticking")
    state.tick = Tick(count, time.time())


@chute.every(1.0)
async def watch() -> None:
    """``pdtools subscribe clock.minutes``: an event at the beginning of each minute."""
    minute = int(time.time()) // 60
    if state.minute not in (None, minute):
        chute.publish("minutes", now())
    state.minute = minute


def facts(wall: float, tick: Tick | None) -> dict[str, Any]:
    """What the page asks for each second. Times are in seconds."""
    here = datetime.fromtimestamp(wall).astimezone()
    offset = here.utcoffset()
    return {
        "time": wall,
        "offset": offset.total_seconds() if offset else 0,
        "zone": here.tzname(),
        "hello": {"count": tick.count, "age": round(wall - tick.heard, 3)} if tick else None,
    }


class Site(BaseHTTPRequestHandler):
    """Two addresses: the page, and what it asks for."""

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/":
                self.answer(200, "text/html; charset=utf-8", PAGE.read_bytes())
            case "/api/time":
                self.answer(200, "application/json", json.dumps(facts(time.time(), state.tick)).encode())
            case _:
                self.answer(404, "text/plain; charset=utf-8", b"There is nothing here.\n")

    def answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Nothing: a line for each second of each open page would hide what matters."""


def main() -> None:
    server = ThreadingHTTPServer(("", PORT), Site)
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="site", daemon=True).start()
    print(f"the page is on port {PORT}")
    chute.run()


if __name__ == "__main__":
    main()
