"""From an engine's bytes to lines in the log, with a clock that only moves when it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from paradrop.logstore import LogStore
from paradrop.values import LogLine
from paradropd.engine.port import InstanceKey
from paradropd.logs import LONGEST, LOOK_BACK, PAUSE, Collector, source_of

MAIN, STORE = InstanceKey("hello", "main", 1), InstanceKey("hello", "store", 1)


class RecordingStore:
    """What of a log store a collector writes to."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str, str]] = []

    def append(self, source: str, text: str, *, stream: str, service: str, time: float | None = None) -> int:
        self.lines.append((source, service, stream, text))
        return len(self.lines)

    def sources(self) -> tuple[str, ...]:
        return ()

    def texts(self, stream: str = "out") -> list[str]:
        return [text for _, _, each, text in self.lines if each == stream]


class Bench:
    def __init__(self) -> None:
        self.store = RecordingStore()
        self.clock = Clock()
        self.announced: list[tuple[str, int]] = []
        self.collector = Collector(self.store, self.clock, lambda *told: self.announced.append(told))  # type: ignore[arg-type]

    def print(self, *pieces: bytes, key: InstanceKey = MAIN, stream: str = "out") -> None:
        for piece in pieces:
            self.collector.output(key, stream, piece, 1.0)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def again(tmp_path: Path) -> Iterator[Collector]:
    """The collector of the next daemon, on the same log store."""
    store = LogStore(tmp_path, lambda: 1000.0)
    yield Collector(store, Clock(), lambda *told: None)
    store.close()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """One that writes to a real log store."""
    store = LogStore(tmp_path, lambda: 1000.0)
    yield Collector(store, Clock(), lambda *told: None)
    store.close()


# Lines.


def test_bytes_become_lines(bench: Bench) -> None:
    bench.print(b"one\ntw", b"o\n\nthree\r\n")
    assert bench.store.lines == [("chute.hello", "main", "out", text) for text in ("one", "two", "", "three")]


@given(st.lists(st.text(st.characters(blacklist_characters="\n\r", codec="utf-8"), max_size=8), max_size=8), st.data())
def test_where_the_pieces_are_cut_does_not_matter(lines: list[str], data: st.DataObject) -> None:
    everything = "".join(line + "\n" for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(everything)), max_size=6)))
    bench = Bench()
    for start, end in zip([0, *cuts], [*cuts, len(everything)], strict=True):
        bench.print(everything[start:end])
    assert bench.store.texts() == lines


def test_streams_and_services_do_not_mix(bench: Bench) -> None:
    bench.print(b"out-")
    bench.print(b"err-", stream="err")
    bench.print(b"store-", key=STORE)
    bench.print(b"main\n")
    bench.print(b"main\n", stream="err")
    bench.print(b"out\n", key=STORE)
    assert bench.store.lines == [
        ("chute.hello", "main", "out", "out-main"),
        ("chute.hello", "main", "err", "err-main"),
        ("chute.hello", "store", "out", "store-out"),
    ]


def test_a_last_line_without_an_end_is_a_line(bench: Bench) -> None:
    bench.print(b"done\nalmost")
    bench.print(b"oops", stream="err")
    assert bench.store.texts() == ["done"]
    bench.collector.ended(MAIN, 2.0)
    assert (bench.store.texts(), bench.store.texts("err")) == (["done", "almost"], ["oops"])
    bench.collector.ended(MAIN, 3.0)
    assert len(bench.store.lines) == 3


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["unended", "ended"])
def test_a_long_line_is_cut_into_several(bench: Bench, end: bytes) -> None:
    line = b"x" * (2 * LONGEST + 10)
    bench.print(line + end)
    bench.collector.ended(MAIN, 2.0)
    assert [len(text) for text in bench.store.texts()] == [LONGEST, LONGEST, 10]


@pytest.mark.parametrize("character", ["ä", "€", "🙂"])
@pytest.mark.parametrize("shift", range(4))
def test_a_long_line_is_cut_between_characters(bench: Bench, character: str, shift: int) -> None:
    line = "." * shift + character * LONGEST
    bench.print(line.encode() + b"\n")
    assert "".join(bench.store.texts()) == line
    assert max(len(text.encode()) for text in bench.store.texts()) <= LONGEST


def test_a_long_line_that_is_no_text_at_all_comes_to_an_end(bench: Bench) -> None:
    bench.print(b"\x80" * (3 * LONGEST))
    bench.collector.ended(MAIN, 2.0)
    assert sum(map(len, bench.store.texts())) == 3 * LONGEST


def test_what_is_no_utf8_is_shown_as_well_as_it_can(bench: Bench) -> None:
    bench.print(b"caf\xe9\n")
    assert bench.store.texts() == ["caf\N{REPLACEMENT CHARACTER}"]


def test_where_to_go_on_after_the_daemon_was_away(bench: Bench) -> None:
    bench.collector.output(MAIN, "out", b"a\n", 5.0)
    bench.collector.output(MAIN, "err", b"b", 6.5)
    assert bench.collector.seen == {MAIN: 6.5}


def test_the_last_line_is_found_among_long_ones(collector: Collector, again: Collector) -> None:
    for index in range(LOOK_BACK):
        collector.output(MAIN, "out", b"x" * 8000 + b"\n", 2000.0 + index)
    assert again.resume(MAIN) == 2000.0 + LOOK_BACK - 1


def test_a_quiet_service_goes_on_where_the_lines_of_a_noisy_one_begin(collector: Collector, again: Collector) -> None:
    collector.output(STORE, "out", b"quiet\n", 1500.0)
    for index in range(2 * LOOK_BACK):
        collector.output(MAIN, "out", b"noise\n", 2000.0 + index)
    for index in range(2 * LOOK_BACK):  # the noisy one has caught up before the quiet one is asked about
        again.output(MAIN, "out", b"noise\n", 9000.0 + index)
    assert again.resume(STORE) == 2000.0 + LOOK_BACK


def test_a_chute_without_a_log_begins_at_the_beginning(collector: Collector) -> None:
    assert collector.resume(MAIN) is None


def test_what_is_not_there_any_more_is_forgotten(bench: Bench) -> None:
    bench.print(b"half a line")
    bench.print(b"half a line", key=InstanceKey("other", "main", 1))
    bench.collector.forget("hello")
    bench.print(b"whole\n")
    assert bench.store.texts() == ["whole"]
    bench.collector.forget("hello")
    assert list(bench.collector.seen) == [InstanceKey("other", "main", 1)]


# Announcements.


def test_growth_is_announced_at_once_and_then_after_a_pause(bench: Bench) -> None:
    bench.collector.appended("daemon", 1)
    assert bench.announced == [("daemon", 1)]
    for seq in (2, 3, 4):
        bench.collector.appended("daemon", seq)
    assert bench.announced == [("daemon", 1)]
    bench.clock.advance(PAUSE)
    assert bench.announced == [("daemon", 1), ("daemon", 4)]
    bench.clock.advance(PAUSE)
    bench.clock.advance(PAUSE)
    bench.collector.appended("daemon", 5)
    assert bench.announced == [("daemon", 1), ("daemon", 4), ("daemon", 5)]


def test_logs_do_not_wait_for_each_other(bench: Bench) -> None:
    bench.collector.appended("daemon", 1)
    bench.collector.appended("chute.hello", 1)
    assert bench.announced == [("daemon", 1), ("chute.hello", 1)]


def test_a_flood_is_a_bounded_number_of_announcements(bench: Bench) -> None:
    for seq in range(1, 1001):
        bench.collector.appended("chute.hello", seq)
        bench.clock.advance(0.001)
    bench.clock.advance(PAUSE)
    assert len(bench.announced) <= 1.0 / PAUSE + 2
    assert bench.announced[-1] == ("chute.hello", 1000)


def test_a_collector_that_stops_leaves_nothing_pending(bench: Bench) -> None:
    bench.collector.appended("daemon", 1)
    bench.collector.appended("daemon", 2)
    bench.collector.stop()
    assert bench.clock.getDelayedCalls() == []


# The last words of a chute, from a real store.


def texts(lines: tuple[LogLine, ...]) -> list[str]:
    return [line.text for line in lines]


def test_the_tail_of_a_service(collector: Collector) -> None:
    collector.output(MAIN, "out", b"".join(b"m%d\n" % index for index in range(5)), 1.0)
    collector.output(STORE, "out", b"s0\n", 1.0)
    collector.note("hello", "main", "a word of the daemon's")
    collector.output(MAIN, "err", b"last\n", 1.0)
    assert collector.tail("hello", "main", 3, 0) == ["m3", "m4", "last"]
    assert collector.tail("hello", "store", 3, 0) == ["s0"]


def test_the_tail_begins_after_a_position(collector: Collector) -> None:
    assert collector.position("hello") == 0
    assert collector.tail("hello", "main", 3, 0) == []
    collector.output(MAIN, "out", b"before\n", 1.0)
    position = collector.position("hello")
    assert collector.tail("hello", "main", 3, position) == []
    collector.output(MAIN, "out", b"after\n", 1.0)
    assert collector.tail("hello", "main", 3, position) == ["after"]


def test_the_name_of_a_chutes_log() -> None:
    assert source_of("hello") == "chute.hello"
