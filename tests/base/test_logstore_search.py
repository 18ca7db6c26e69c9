"""Bisecting must find exactly what reading everything finds."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from paradrop.logstore import LogStore, Record
from paradrop.logstore import segment as segments
from paradrop.logstore.record import encode
from paradrop.logstore.segment import BLOCK, SegmentName, day_of, records

START = 1_795_262_400.0

LENGTHS = st.sampled_from([0, 10, 200, BLOCK // 2, BLOCK, 3 * BLOCK])
LINES = st.lists(st.tuples(st.booleans(), LENGTHS, st.sampled_from([0.0, 0.5, 40_000.0])), max_size=60)
"""For each line: whether it is damaged, how long it is, and how many seconds it comes after the one before."""


def written(folder: Path, lines: list[tuple[bool, int, float]], per_segment: int) -> list[Record]:
    """Write *lines* as a source's segments, a new one each day and after *per_segment* lines; returns the good records."""
    good: list[Record] = []
    time, name, count = START, SegmentName(day_of(START), 0), 0
    for damaged, length, pause in lines:
        time += pause
        if count == per_segment or day_of(time) != name.day:
            name = SegmentName(day_of(time), name.counter + 1 if day_of(time) == name.day else 0)
            count = 0
        count += 1
        with (folder / str(name)).open("ab") as file:
            if damaged:
                file.write(b"#" * length + b"\n")
            else:
                seq = len(good) + 1
                good.append({"seq": seq, "time": time, "text": "x" * length, "stream": "out", "service": ""})
                file.write(encode(seq, time, "x" * length, "out", "", {}))
    return good


@settings(max_examples=150, deadline=None)
@given(lines=LINES, per_segment=st.integers(1, 30), torn=st.booleans(), data=st.data())
def test_a_search_finds_what_a_scan_finds(
    lines: list[tuple[bool, int, float]], per_segment: int, torn: bool, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as home:
        store = LogStore(Path(home), lambda: START)
        folder = Path(home) / "daemon"
        folder.mkdir()
        good = written(folder, lines, per_segment)
        names = segments.listing(folder)
        if torn and names:
            with (folder / str(names[-1])).open("ab") as file:
                file.write(b'{"seq": 5')
        if not names:
            return
        times = [START - 1, START, *[record["time"] for record in good]]
        since = data.draw(st.sampled_from(times)) + data.draw(st.sampled_from([0.0, 0.25, -0.25]))
        after = data.draw(st.integers(0, len(good)))
        assert list(store.since("daemon", since)) == [record for record in good if record["time"] > since]
        page = store.read("daemon", after=after, since=since, limit=100, size=1 << 30)
        expected = [record["seq"] for record in good if record["seq"] > after and record["time"] > since]
        assert [line.seq for line in page.lines] == expected
        assert store.last("daemon") == len(good)


def test_a_search_reads_little_of_a_large_segment(tmp_path: Path) -> None:
    path = tmp_path / "2026-11-21.000.jsonl"
    with path.open("wb") as file:
        for seq in range(1, 50_001):
            file.write(encode(seq, START + seq, "x" * 100, "out", "", {}))
    looked_at: list[int] = []

    def past(record: Record) -> bool:
        looked_at.append(record["seq"])
        return bool(record["seq"] > 49_000)

    assert next(records(path, past))["seq"] == 49_001
    assert len(looked_at) < 100


def test_segments_of_earlier_days_are_not_opened(tmp_path: Path) -> None:
    store = LogStore(tmp_path, lambda: START)
    for day in range(5):
        store.append("daemon", f"day {day}", time=START + day * 86_400)
    store.close()
    old = sorted((tmp_path / "daemon").iterdir())[:4]
    for path in old:
        path.unlink()
        path.mkdir()  # opening it would raise IsADirectoryError
    assert [record["text"] for record in store.since("daemon", START + 4 * 86_400 - 60)] == ["day 4"]
