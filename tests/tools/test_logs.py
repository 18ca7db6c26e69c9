"""``logs``: the end of a log, and what comes after it, with a real log store behind a fake link."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from paradrop.base.exceptions import ChuteNotFound
from paradrop.logstore import LogStore
from paradrop.values import ChuteState, ChuteStatus, LogPage, ServiceStatus, Want, plain
from pdtools import tail
from pdtools.testing import EPOCH, Bench


class Device:
    """The daemon's logs on a bench."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.store = LogStore(folder, bench.wall, segment_bytes=2048, cap_bytes=32768)
        self.services: tuple[str, ...] = ("main",)
        bench.realm.offer("logs.read", self.read)
        bench.realm.offer("chutes.get", self._chute)

    def read(self, source: str, since: float | None, after: int | None, limit: int) -> Any:
        if after is not None and after < 0:
            after = max(0, self.store.last(source) + after)
        return plain(self.store.read(source, after=after, since=since, limit=limit))

    def _chute(self, name: str) -> Any:
        if not self.services:
            raise ChuteNotFound
        services = tuple(ServiceStatus(name=one, state=ChuteState.RUNNING) for one in self.services)
        status = ChuteStatus(name=name, version="1", release=1, state=ChuteState.RUNNING, want=Want.RUNNING, services=services)
        return plain(status)

    def say(
        self, *texts: str, source: str = "chute.hello", service: str = "main", stream: str = "out", event: bool = True
    ) -> None:
        for text in texts:
            seq = self.store.append(source, text, stream=stream, service=service)
            if event:
                self.bench.realm.emit("logs.appended", source, seq)

    def later(self, seconds: float, *texts: str, event: bool = True) -> None:
        self.bench.clock.callLater(seconds, lambda: self.say(*texts, event=event))


@pytest.fixture
def device(bench: Bench, tmp_path: Path) -> Iterator[Device]:
    device = Device(bench, tmp_path / "logs")
    yield device
    device.store.close()


def numbers(first: int, last: int) -> list[str]:
    return [f"line {number}" for number in range(first, last + 1)]


def texts(out: str) -> list[str]:
    """What the lines say, without date and time."""
    return [line.split("  ", 1)[1] for line in out.splitlines()]


def test_the_last_hundred_lines(bench: Bench, device: Device) -> None:
    device.say(*numbers(1, 150))
    result = bench.run("logs", "hello")
    assert result.code == 0
    assert texts(result.out) == numbers(51, 150)


@pytest.mark.parametrize("count", [0, 1, 3, 500])
def test_the_last_n_lines(bench: Bench, device: Device, count: int) -> None:
    device.say(*numbers(1, 5))
    assert texts(bench.run("logs", "hello", "-n", str(count)).out) == numbers(1, 5)[5 - min(count, 5) :]


def test_lines_since_a_time_and_at_most_so_many(bench: Bench, device: Device) -> None:
    for number in range(1, 11):
        device.say(f"line {number}")
        bench.clock.advance(60)
    assert texts(bench.run("logs", "hello", "--since", "210s").out) == numbers(8, 10)
    assert texts(bench.run("logs", "hello", "--since", "1h", "-n", "2").out) == numbers(9, 10)
    assert bench.run("logs", "hello", "--since", "5s").out == ""


def test_a_long_log_is_read_page_by_page(bench: Bench, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "PAGE", 7)
    device.say(*numbers(1, 40))
    assert texts(bench.run("logs", "hello", "--since", "1h").out) == numbers(1, 40)
    assert len(bench.realm.called("logs.read")) == 6


def test_one_service_of_several(bench: Bench, device: Device) -> None:
    device.services = ("main", "db")
    device.say("starting", "ready", service="db")
    device.say(*numbers(1, 30))
    assert texts(bench.run("logs", "hello", "--service", "db", "-n", "1").out) == ["ready"]
    assert texts(bench.run("logs", "hello", "--service", "db").out) == ["starting", "ready"]
    assert texts(bench.run("logs", "hello", "-n", "1").out) == ["main  line 30"]


def test_the_services_of_a_chute_that_is_gone_are_named(bench: Bench, device: Device) -> None:
    device.services = ()
    device.say("last words")
    assert texts(bench.run("logs", "hello").out) == ["main  last words"]


def test_the_daemons_own_log_has_levels(bench: Bench, device: Device) -> None:
    device.say("careful", source="daemon", stream="WARN", service="")
    assert texts(bench.run("logs").out) == ["WARN careful"]


def test_json_lines(bench: Bench, device: Device) -> None:
    device.say("one", "two")
    lines = [json.loads(line) for line in bench.run("logs", "hello", "--json").out.splitlines()]
    assert lines[1] == {
        "source": "chute.hello", "seq": 2, "time": EPOCH, "text": "two", "stream": "out", "service": "main",
    }  # fmt: skip


def test_no_such_log(bench: Bench, device: Device) -> None:
    result = bench.run("logs", "nope")
    assert (result.code, result.out) == (1, "")
    assert "There is no log of 'nope'" in result.err


def test_a_time_that_is_none(bench: Bench, device: Device) -> None:
    assert bench.run("logs", "hello", "--since", "noon").code == 2
    assert bench.realm.links == []


def test_following_shows_what_comes(bench: Bench, device: Device) -> None:
    device.say(*numbers(1, 3))
    device.later(1, "line 4")
    device.later(1, "line 5", "line 6")
    bench.clock.callLater(1.5, device.say, "other", source="chute.other")
    bench.interrupt_after(2)
    result = bench.run("logs", "hello", "-f", "-n", "2")
    assert result.code == 130
    assert texts(result.out) == numbers(2, 6)


def test_a_lost_event_loses_no_line(bench: Bench, device: Device) -> None:
    device.say("line 1")
    device.later(1, "line 2", event=False)
    bench.interrupt_after(1 + tail.SAFETY)
    assert texts(bench.run("logs", "hello", "-f").out) == numbers(1, 2)


def test_an_event_while_reading_makes_another_round(bench: Bench, device: Device) -> None:
    device.say("line 1")
    said: list[int] = []

    def read(source: str, since: float | None, after: int | None, limit: int) -> Any:
        page = device.read(source, since, after, limit)
        if after == 1 and not said:
            said.append(1)
            device.say("line 2")
        return page

    bench.realm.offer("logs.read", read)
    bench.interrupt_after(1)
    assert texts(bench.run("logs", "hello", "-f").out) == numbers(1, 2)


def test_a_lost_link_loses_nothing_and_repeats_nothing(bench: Bench, device: Device) -> None:
    device.say("line 1")
    device.later(1, "line 2")
    bench.clock.callLater(2, bench.realm.lose, 8.0)
    device.later(5, "line 3")
    device.later(30, "line 4")
    bench.interrupt_after(31)
    result = bench.run("logs", "hello", "-f")
    assert texts(result.out) == numbers(1, 4)
    assert result.err.splitlines()[:2] == ["The link to the device is lost; trying to connect again.", "Connected again."]


def test_reconnecting_waits_longer_each_time_and_not_for_ever(bench: Bench, device: Device) -> None:
    device.say("line 1")
    tried: list[float] = []
    dial = bench.realm.dial

    async def counted(target: Any) -> Any:
        tried.append(bench.clock.seconds())
        return await dial(target)

    bench.realm.dial = counted  # type: ignore[method-assign]  # the bench's own realm, for this test
    bench.clock.callLater(1, bench.realm.lose, 100.0)
    bench.interrupt_after(40)
    bench.run("logs", "hello", "-f")
    assert tried == [0, 2, 4, 8, 16, 26, 36]


def test_a_link_that_breaks_within_a_long_read(bench: Bench, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "PAGE", 10)
    device.say(*numbers(1, 45))
    pages: list[int] = []

    def read(source: str, since: float | None, after: int | None, limit: int) -> Any:
        pages.append(1)
        if len(pages) == 3:
            bench.realm.lose()
        return device.read(source, since, after, limit)

    bench.realm.offer("logs.read", read)
    bench.interrupt_after(10)
    assert texts(bench.run("logs", "hello", "-f", "--since", "1h").out) == numbers(1, 45)


def test_lines_the_device_removed_are_reported(bench: Bench, device: Device) -> None:
    device.say("line 1")
    bench.clock.callLater(1, bench.realm.lose, 2.0)
    device.later(1.5, *[f"{'x' * 100} {number}" for number in range(200)])
    bench.interrupt_after(20)
    result = bench.run("logs", "hello", "-f")
    shown = len(result.out.splitlines()) - 1
    assert 0 < shown < 200
    assert f"{200 - shown} lines are gone" in result.err


def test_without_following_a_lost_link_is_an_error(bench: Bench, device: Device) -> None:
    def read(**asked: Any) -> Deferred[Any]:
        bench.clock.callLater(1, bench.realm.lose)
        return Deferred()

    bench.realm.offer("logs.read", lambda source, **asked: read(**asked))
    assert bench.run("logs", "hello").code == 69


def test_a_log_that_began_again_is_read_from_its_start(bench: Bench, device: Device) -> None:
    device.say(*numbers(1, 5))

    def begin_again() -> None:
        device.store.remove("chute.hello")
        device.say("new 1", "new 2")

    bench.clock.callLater(1, begin_again)
    bench.interrupt_after(10)
    assert texts(bench.run("logs", "hello", "-f").out) == [*numbers(1, 5), "new 1", "new 2"]


def test_an_empty_page_ends_the_reading(bench: Bench, device: Device) -> None:
    bench.realm.offer("logs.read", lambda *args, **kwargs: plain(LogPage(source="daemon", lines=(), cursor=0, more=False)))
    assert bench.run("logs").out == ""
