"""Docker's streams, taken apart."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paradropd.engine.docker.frames import CHUNK, MERGED, Frames, Lines, News, Piece, merged, seconds, stamped


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(payload)) + payload


frames = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=20)


@given(frames, st.integers(min_value=1, max_value=40))
def test_frames_come_out_whole_however_they_are_cut(sent: list[tuple[int, bytes]], size: int) -> None:
    wire = b"".join(frame(*one) for one in sent)
    reader = Frames()
    found = [one for start in range(0, len(wire), size) for one in reader.feed(wire[start : start + size])]
    assert found == [({1: "out", 2: "err"}[stream], payload) for stream, payload in sent]


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda line: b"\n" not in line and line.strip())), st.integers(1, 30))
def test_lines_come_out_whole_however_they_are_cut(sent: list[bytes], size: int) -> None:
    wire = b"".join(line + b"\n" for line in sent)
    reader = Lines()
    assert [line for start in range(0, len(wire), size) for line in reader.feed(wire[start : start + size])] == sent


pieces = st.lists(
    st.builds(Piece, st.sampled_from(["out", "err"]), st.binary(min_size=1, max_size=30), st.floats(0, 0.05, allow_nan=False))
)


@given(pieces)
def test_merging_keeps_every_byte_in_order(sent: list[Piece]) -> None:
    found = list(merged(sent))
    for stream in ("out", "err"):
        assert b"".join(p.data for p in found if p.stream == stream) == b"".join(p.data for p in sent if p.stream == stream)
    assert len(found) <= len(sent)
    assert [p.stream for p in found[:1]] == [p.stream for p in sent[:1]]


def test_neighbours_of_one_moment_become_one_piece_with_the_last_time() -> None:
    sent = [
        Piece("out", b"a\n", 1.0),
        Piece("out", b"b\n", 1.0 + MERGED / 2),
        Piece("err", b"c\n", 1.0),
        Piece("out", b"d\n", 9.0),
    ]
    assert list(merged(sent)) == [Piece("out", b"a\nb\n", 1.0 + MERGED / 2), *sent[2:]]


def test_pieces_of_different_moments_stay_apart() -> None:
    sent = [Piece("out", b"a", 1.0), Piece("out", b"b", 1.0 + 2 * MERGED)]
    assert list(merged(sent)) == sent


def test_no_piece_is_longer_than_the_port_allows() -> None:
    found = list(merged([Piece("out", b"x" * (2 * CHUNK + 1), 1.0), Piece("out", b"y" * CHUNK, 1.0)]))
    assert max(len(piece.data) for piece in found) <= CHUNK
    assert b"".join(piece.data for piece in found) == b"x" * (2 * CHUNK + 1) + b"y" * CHUNK


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T00:00:00.000000001Z", 1e-9),
        ("2024-02-29T12:00:00.123456789Z", 1709208000.123456789),
    ],
)
def test_times(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("after", "now", "times", "taken"),
    [
        (None, 9.0, [1.0, 1.0, 2.0], [1.0, 1.0, 2.0]),  # parts of one line have the same time
        (None, 9.0, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]),  # a repetition
        (2.0, 9.0, [1.0, 2.0, 2.0, 3.0], [3.0]),  # seen before a restart of ours
        (None, 1.5, [3.0, 1.0, 1.2], [3.0, 1.0, 1.2]),  # the clock was put back
    ],
)
def test_what_was_seen_before_is_not_news(after: float | None, now: float, times: list[float], taken: list[float]) -> None:
    news = News(after)
    assert [time for time in times if news.takes(time, now)] == taken


def test_a_message_of_the_log_has_its_time_in_front() -> None:
    assert stamped("err", b"1970-01-01T00:00:01.000000000Z a b\n") == Piece("err", b"a b\n", 1.0)
