"""The log store: what goes in comes out, by number and by time, whatever happened to the files."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from paradrop.base.exceptions import InvalidInput, LogNotFound
from paradrop.logstore import MAX_TEXT, LogStore
from paradrop.logstore.segment import SegmentName

NOON = 1_795_262_400.0  # 2026-11-21 12:00:00 UTC
DAY = 86_400.0


class Wall:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def make(tmp_path: Path, wall: Wall) -> Iterator[Callable[..., LogStore]]:
    stores: list[LogStore] = []

    def make(**options: int) -> LogStore:
        stores.append(LogStore(tmp_path / "logs", wall, **options))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond *size* bytes: the kernel then refuses writes as a full disk does, after a part
    of them where a part fits (setrlimit(2), RLIMIT_FSIZE; Python ignores SIGXFSZ)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def texts(store: LogStore, source: str = "daemon", **query: int) -> list[str]:
    return [line.text for line in store.read(source, **query).lines]


def segments(store: LogStore, source: str = "daemon") -> list[Path]:
    return sorted((store.folder / source).glob("*.jsonl"))


def test_numbers_start_at_one_and_survive_a_restart(make: Callable[..., LogStore]) -> None:
    first = make()
    assert [first.append("daemon", "a"), first.append("daemon", "b")] == [1, 2]
    first.close()
    again = make()
    assert again.last("daemon") == 2
    assert again.append("daemon", "c") == 3
    assert texts(again) == ["a", "b", "c"]


def test_sources_count_for_themselves(make: Callable[..., LogStore]) -> None:
    store = make()
    store.append("daemon", "a")
    assert store.append("chute.hello", "b", stream="err", service="main") == 1
    assert store.sources() == ("chute.hello", "daemon")
    (line,) = store.read("chute.hello").lines
    assert (line.text, line.stream, line.service, line.time) == ("b", "err", "main", NOON)


def test_extra_fields_are_kept_and_cannot_replace_ours(make: Callable[..., LogStore]) -> None:
    store = make()
    store.append("daemon", "a", level=3, seq=99, path=Path("x"))
    (record,) = store.since("daemon", 0)
    assert record == {"seq": 1, "time": NOON, "text": "a", "stream": "out", "service": "", "level": 3, "path": "x"}


def test_time_never_goes_back(make: Callable[..., LogStore], wall: Wall) -> None:
    store = make()
    store.append("daemon", "a")
    wall.now -= 5000
    store.append("daemon", "b")
    store.append("daemon", "c", time=NOON - 1)
    store.close()
    make().append("daemon", "d")
    assert [record["time"] for record in store.since("daemon", 0)] == [NOON] * 4


@pytest.mark.parametrize("time", [-6.2e10, 1e15, float("nan"), float("inf")])
def test_an_impossible_time_is_replaced_by_now(make: Callable[..., LogStore], time: float) -> None:
    store = make()
    store.append("daemon", "a", time=time)
    assert [line.time for line in store.read("daemon").lines] == [NOON]


def test_pages_follow_each_other_without_loss_or_repetition(make: Callable[..., LogStore]) -> None:
    store = make(segment_bytes=500)
    for number in range(50):
        store.append("daemon", f"line {number}")
    seen: list[str] = []
    cursor, more = 0, True
    while more:
        page = store.read("daemon", after=cursor, limit=7)
        assert len(page.lines) <= 7
        seen += [line.text for line in page.lines]
        cursor, more = page.cursor, page.more
    assert seen == [f"line {number}" for number in range(50)]
    assert store.read("daemon", after=cursor).lines == ()
    assert store.read("daemon", after=cursor).cursor == 50


def test_a_page_is_bounded_in_size_and_never_stuck(make: Callable[..., LogStore]) -> None:
    store = make()
    for _ in range(3):
        store.append("daemon", "x" * 1000)
    page = store.read("daemon", size=10)
    assert (len(page.lines), page.more) == (1, True)
    assert len(store.read("daemon", size=2000).lines) == 2


def test_since_is_strictly_later(make: Callable[..., LogStore], wall: Wall) -> None:
    store = make()
    for offset in (0, 1, 2):
        wall.now = NOON + offset
        store.append("daemon", f"+{offset}")
    assert [record["text"] for record in store.since("daemon", NOON)] == ["+1", "+2"]
    page = store.read("daemon", since=NOON + 2)
    assert (page.lines, page.cursor, page.more) == ((), 3, False)


def test_a_cursor_of_a_lost_log_begins_again(make: Callable[..., LogStore], wall: Wall) -> None:
    store = make()
    store.append("daemon", "old")
    wall.now += 10
    store.append("daemon", "new")
    page = store.read("daemon", after=1000)
    assert ([line.text for line in page.lines], page.cursor, page.missed) == (["old", "new"], 2, 0)
    assert [line.text for line in store.read("daemon", after=1000, since=NOON + 5).lines] == ["new"]


@pytest.mark.parametrize("name", ["..", ".", "", "../x", "a/b", "A", ".hidden", "a\n", "x" * 201, "ü", "a\0b"])
def test_a_bad_name_never_becomes_a_path(make: Callable[..., LogStore], tmp_path: Path, name: str) -> None:
    store = make()
    for call in (store.append, store.since, lambda name, _: store.read(name), lambda name, _: store.remove(name)):
        with pytest.raises(InvalidInput):
            call(name, 0)  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_source_is_named_with_a_near_one(make: Callable[..., LogStore]) -> None:
    store = make()
    with pytest.raises(LogNotFound):
        store.read("daemon")
    store.append("daemon", "a")
    with pytest.raises(LogNotFound, match="did you mean 'daemon'"):
        store.since("deamon", 0)
    assert store.last("deamon") == 0


def test_a_limit_below_one_and_a_time_that_is_none_are_refused(make: Callable[..., LogStore]) -> None:
    store = make()
    store.append("daemon", "a")
    with pytest.raises(InvalidInput, match="limit"):
        store.read("daemon", limit=0)
    with pytest.raises(InvalidInput, match="since"):
        store.read("daemon", since=float("nan"))
    assert store.read("daemon", since=1e300).lines == ()
    assert len(store.read("daemon", after=-5, since=-1e300).lines) == 1


def test_segments_are_named_by_day_and_counter(make: Callable[..., LogStore], wall: Wall) -> None:
    store = make(segment_bytes=100)
    store.append("daemon", "a")
    store.append("daemon", "b")
    wall.now += DAY
    store.append("daemon", "c")
    names = [path.name for path in segments(store)]
    assert names == ["2026-11-21.000.jsonl", "2026-11-21.001.jsonl", "2026-11-22.000.jsonl"]


def test_more_than_a_thousand_segments_of_a_day_stay_in_order() -> None:
    day = date(2026, 11, 21)
    assert SegmentName.parse("2026-11-21.1000.jsonl") == SegmentName(day, 1000)
    assert SegmentName(day, 999) < SegmentName(day, 1000)


@pytest.mark.parametrize("name", ["2026-11-21.jsonl", "2026-13-01.000.jsonl", "2026-11-21.0001.jsonl", "x.000.jsonl", "a"])
def test_foreign_files_are_neither_read_nor_deleted(make: Callable[..., LogStore], name: str) -> None:
    store = make()
    folder = store.folder / "daemon"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b'{"seq": 70, "time": 0, "text": "foreign"}\n')
    store.append("daemon", "ours")
    assert texts(store) == ["ours"]
    store.remove("daemon")
    assert [path.name for path in folder.iterdir()] == [name]
    assert store.sources() == ()
    assert store.append("daemon", "begins again") == 1


def test_a_torn_last_line_is_skipped_and_ended(make: Callable[..., LogStore]) -> None:
    store = make()
    store.append("daemon", "whole")
    store.close()
    (path,) = segments(store)
    with path.open("ab") as file:
        file.write(b'{"seq":2,"time":1,"te')
    assert texts(store) == ["whole"]
    again = make()
    assert again.append("daemon", "next") == 2
    assert texts(again) == ["whole", "next"]
    assert path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize(
    "damage",
    [
        b"\0" * 5000,
        b"\xff\xfe",
        b"[1, 2]",
        b'{"seq": "1"}',
        b'{"seq": 1, "time": NaN, "text": "x"}',
        b"[" * 100_000,
        b"5",
        b"a\rb",
    ],
)
def test_damaged_lines_are_skipped(make: Callable[..., LogStore], damage: bytes) -> None:
    store = make()
    store.append("daemon", "before")
    store.close()
    (path,) = segments(store)
    with path.open("ab") as file:
        file.write(damage + b"\n")
    store.append("daemon", "after")
    assert texts(store) == ["before", "after"]
    assert texts(store, after=1) == ["after"]
    with path.open("ab") as file:
        file.write(damage + b"\n")
    assert make().last("daemon") == 2


def test_a_segment_that_disappears_while_reading_is_passed_over(make: Callable[..., LogStore]) -> None:
    store = make(segment_bytes=100)
    for text in "abcd":
        store.append("daemon", text)
    records = store.since("daemon", 0)
    assert next(records)["text"] == "a"
    segments(store)[1].unlink()
    assert [record["text"] for record in records] == ["c", "d"]


def test_a_segment_deleted_under_the_writer_is_begun_anew(make: Callable[..., LogStore]) -> None:
    store = make()
    store.append("daemon", "a")
    segments(store)[0].unlink()
    assert store.append("daemon", "b") == 2
    assert texts(store) == ["b"]


def test_the_cap_removes_the_oldest_and_the_cursor_learns_how_many(make: Callable[..., LogStore]) -> None:
    store = make(segment_bytes=1000, cap_bytes=3000)
    for number in range(200):
        store.append("daemon", f"line {number}")
        assert sum(path.stat().st_size for path in segments(store)) <= 3000
    page = store.read("daemon", after=10, limit=1000)
    first = page.lines[0].seq
    assert page.missed == first - 11 > 0
    assert [line.seq for line in page.lines] == list(range(first, 201))
    assert store.read("daemon", after=first - 1).missed == 0
    assert store.read("daemon").missed == 0


def test_a_cap_smaller_than_a_segment_still_holds(make: Callable[..., LogStore]) -> None:
    store = make(segment_bytes=1 << 20, cap_bytes=2000)
    for number in range(100):
        store.append("daemon", f"line {number}")
        assert sum(path.stat().st_size for path in segments(store)) <= 2000
    assert texts(store)[-1] == "line 99"


@pytest.mark.parametrize("text", ["x" * (2 * MAX_TEXT + 5), "ü" * MAX_TEXT, "a" + "€" * MAX_TEXT, "𝄞" * MAX_TEXT])
def test_a_long_text_is_split_between_characters(make: Callable[..., LogStore], text: str) -> None:
    store = make()
    last = store.append("daemon", text)
    records = list(store.since("daemon", 0))
    assert "".join(record["text"] for record in records) == text
    assert all(len(record["text"].encode()) <= MAX_TEXT for record in records)
    assert [record.get("continues", False) for record in records] == [True] * (last - 1) + [False]


@pytest.mark.parametrize("text", ["", "a\nb\r\n\u2028c", '"\\', "\0", "\ud800"])
def test_any_text_is_one_line(make: Callable[..., LogStore], text: str) -> None:
    store = make()
    store.append("daemon", text)
    assert texts(store) == [text.replace("\ud800", "?")]


def test_a_full_disk_drops_counts_and_reports(make: Callable[..., LogStore]) -> None:
    store = make()
    store.append("daemon", "before")
    size = segments(store)[0].stat().st_size
    with file_size_limit(size + 10):  # room for a part of a line: the worst case
        assert [store.append("daemon", "lost") for _ in range(3)] == [1, 1, 1]
    assert segments(store)[0].stat().st_size == size
    assert store.append("daemon", "after") == 3
    before, note, after = store.since("daemon", 0)
    assert (before["text"], after["text"]) == ("before", "after")
    assert (note["lost"], note["stream"]) == (3, "err")
    assert note["text"].startswith("3 lines were lost here: ")


def test_a_folder_that_cannot_be_made_only_drops(make: Callable[..., LogStore], tmp_path: Path) -> None:
    store = make()
    (tmp_path / "logs").write_text("in the way")
    assert store.append("daemon", "lost") == 0
    (tmp_path / "logs").unlink()
    store.append("daemon", "kept")
    assert [record.get("lost", 0) for record in store.since("daemon", 0)] == [1, 0]


def test_purge_deletes_old_days_and_keeps_the_number(make: Callable[..., LogStore], wall: Wall) -> None:
    store = make()
    for _ in range(3):
        store.append("daemon", "x")
        wall.now += DAY
    assert store.purge_before(date(2026, 11, 23)) == 2
    assert [path.name for path in segments(store)] == ["2026-11-23.000.jsonl"]
    assert store.purge_before(date(2030, 1, 1)) == 0
    assert make().last("daemon") == 3


def test_the_observer_hears_of_each_record_that_was_written(tmp_path: Path, wall: Wall) -> None:
    heard: list[tuple[str, int]] = []
    store = LogStore(tmp_path / "logs", wall, appended=lambda source, seq: heard.append((source, seq)))
    store.append("daemon", "a")
    with file_size_limit(0):
        store.append("daemon", "lost")
    store.close()
    assert heard == [("daemon", 1)]


def test_threads_may_share_a_store(make: Callable[..., LogStore]) -> None:
    store = make(segment_bytes=10_000)

    def write(thread: int) -> list[int]:
        return [store.append("daemon", f"{thread}: {number}") for number in range(200)]

    with ThreadPoolExecutor(4) as pool:
        given = [seq for numbers in pool.map(write, range(4)) for seq in numbers]
    assert sorted(given) == list(range(1, 801))
    records = list(store.since("daemon", 0))
    assert [record["seq"] for record in records] == list(range(1, 801))
    for thread in range(4):
        said = [record["text"] for record in records if record["text"].startswith(f"{thread}: ")]
        assert said == [f"{thread}: {number}" for number in range(200)]


def test_reading_while_writing_misses_nothing_and_repeats_nothing(make: Callable[..., LogStore]) -> None:
    store = make(segment_bytes=2000)
    seen: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        store.append("daemon", "0")
        writing = pool.submit(lambda: [store.append("daemon", str(number)) for number in range(1, 1000)])
        cursor = 0
        while not writing.done() or cursor < 1000:
            page = store.read("daemon", after=cursor, limit=50)
            seen += [line.seq for line in page.lines]
            cursor = page.cursor
    assert seen == list(range(1, 1001))


def test_records_are_plain_json_lines(make: Callable[..., LogStore]) -> None:
    store = make()
    store.append("daemon", "ü")
    (path,) = segments(store)
    assert json.loads(path.read_text()) == {"seq": 1, "time": NOON, "text": "ü", "stream": "out", "service": ""}
