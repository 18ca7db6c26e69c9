"""The chute `clock`, tested as its author would: its part on the fabric, and its page without a port."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from datetime import datetime
from email.parser import Parser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from paradrop import NotPermitted
from paradrop.manifest import parse
from paradrop.testing import MemoryFabric


@pytest.fixture
def clock(load: Callable[[str], ModuleType]) -> Any:
    return load("clock")


@pytest.fixture
def uses(project: Path) -> tuple[str, ...]:
    return parse((project / "chutes" / "clock" / "paradrop.yaml").read_bytes()).fabric.uses


@pytest.fixture
def fabric(clock: Any, uses: tuple[str, ...]) -> MemoryFabric:
    fabric = MemoryFabric()
    fabric.join(clock.chute, uses=uses)
    return fabric


class Wire:
    """A connection that has one request in it, and keeps the answer."""

    def __init__(self, request: str) -> None:
        self.answer = b""
        self._request = request.encode()

    def makefile(self, *args: object) -> io.BytesIO:
        return io.BytesIO(self._request)

    def sendall(self, data: bytes) -> None:
        self.answer += data


def get(clock: Any, path: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what the chute's site answers."""
    wire = Wire(f"GET {path} HTTP/1.0\r\n\r\n")
    clock.Site(wire, ("192.0.2.1", 1234), None)
    head, _, body = wire.answer.partition(b"\r\n\r\n")
    first, _, headers = head.decode().partition("\r\n")
    return int(first.split()[1]), dict(Parser().parsestr(headers).items()), body


def test_it_tells_the_time(fabric: MemoryFabric) -> None:
    told = datetime.fromisoformat(fabric.call("clock.now"))
    assert told.tzinfo is not None
    assert abs((datetime.now().astimezone() - told).total_seconds()) < 60


def test_it_says_when_a_minute_begins(fabric: MemoryFabric, clock: Any) -> None:
    assert fabric.events_of("clock.minutes") == []
    clock.state.minute -= 1
    fabric.clock.advance(1.0)
    ((told,),) = fabric.events_of("clock.minutes")
    assert datetime.fromisoformat(told)


def test_it_hears_hello_and_says_so_once(fabric: MemoryFabric, clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for count in (41, 42):
        fabric.publish("hello.ticks", count)
    assert clock.state.tick.count == 42
    assert capsys.readouterr().out == "hello is ticking\n"


def test_it_needs_what_its_manifest_uses(clock: Any) -> None:
    with pytest.raises(NotPermitted):
        MemoryFabric().join(clock.chute)


def test_what_the_page_is_told(clock: Any) -> None:
    noon = datetime(2026, 7, 1, 12, 0).astimezone()
    told = clock.facts(noon.timestamp(), clock.Tick(7, noon.timestamp() - 1.25))
    offset = noon.utcoffset()
    assert offset is not None
    assert told == {
        "time": noon.timestamp(),
        "offset": offset.total_seconds(),
        "zone": noon.tzname(),
        "hello": {"count": 7, "age": 1.25},
    }
    assert clock.facts(noon.timestamp(), None)["hello"] is None


def test_the_page_asks_for_the_time_by_a_relative_address(clock: Any) -> None:
    status, headers, body = get(clock, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    page = body.decode()
    assert 'fetch("api/time"' in page
    assert not re.search(r"""(?:src|href)=(?!"data:)|url\(|@import|https?://(?!www\.w3\.org/)""", page)


def test_what_the_page_asks_for(fabric: MemoryFabric, clock: Any) -> None:
    fabric.publish("hello.ticks", 42)
    status, headers, body = get(clock, "/api/time?x=1")
    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, "application/json", "no-store")
    assert headers["Content-Length"] == str(len(body))
    assert json.loads(body)["hello"]["count"] == 42


@pytest.mark.parametrize("path", ["/nothing", "/main.py", "/../main.py", "/api"])
def test_there_is_nothing_else(clock: Any, path: str) -> None:
    assert get(clock, path)[0] == 404


def test_requests_do_not_fill_the_log(clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    get(clock, "/")
    assert capsys.readouterr() == ("", "")


def test_the_health_check_asks_for_what_is_there(clock: Any, project: Path) -> None:
    manifest = parse((project / "chutes" / "clock" / "paradrop.yaml").read_bytes())
    assert manifest.health is not None
    assert manifest.web is not None
    assert manifest.health.port == manifest.web.port == clock.PORT
    assert get(clock, manifest.health.path)[0] == 200
