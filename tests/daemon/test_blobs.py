"""The store of contents, on a real folder."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from paradrop.base.exceptions import InvalidInput, InvalidSource, NotFound, StorageFull
from paradrop.source.blobs import MAX_PIECE, SPARED, Blobs

DATA = b"hello, world"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def store(folder: Path, **more: Any) -> Blobs:
    return Blobs(folder / "blobs", reserve=0, **more)


def put(blobs: Blobs, data: bytes) -> str:
    assert blobs.put(sha(data), len(data), 0, data) == len(data)
    return sha(data)


def on_disk(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder / "blobs")) for path in (folder / "blobs").rglob("*") if path.is_file())


def test_a_content_in_one_piece(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    assert blobs.missing([sha(DATA)]) == [sha(DATA)]
    put(blobs, DATA)
    assert blobs.missing([sha(DATA)]) == []
    assert blobs.path(sha(DATA)).read_bytes() == DATA
    assert blobs.size(sha(DATA)) == len(DATA)
    assert on_disk(tmp_path) == [f"{sha(DATA)[:2]}/{sha(DATA)}"]
    assert blobs.path(sha(DATA)).stat().st_mode & 0o777 == 0o600


def test_missing_keeps_the_order_and_drops_repetitions(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    put(blobs, b"b")
    assert blobs.missing([sha(b"c"), sha(b"b"), sha(b"a"), sha(b"c")]) == [sha(b"c"), sha(b"a")]


def test_an_interrupted_content_goes_on_where_it_stopped(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    digest, size = sha(DATA), len(DATA)
    assert blobs.put(digest, size, 0, DATA[:5]) == 5
    assert blobs.partial_bytes == 5
    assert blobs.put(digest, size, 0, DATA[:5]) == 5
    assert blobs.put(digest, size, 7, DATA[7:]) == 5
    assert blobs.put(digest, size, 0, b"") == 5
    with pytest.raises(NotFound):
        blobs.path(digest)
    assert blobs.put(digest, size, 5, DATA[5:]) == size
    assert blobs.path(digest).read_bytes() == DATA
    assert blobs.partial_bytes == 0


def test_a_whole_content_answers_its_size(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    put(blobs, DATA)
    assert blobs.put(sha(DATA), len(DATA), 3, b"x") == len(DATA)
    with pytest.raises(InvalidSource, match="has 12 bytes, not 13"):
        blobs.put(sha(DATA), len(DATA) + 1, 0, b"")


def test_the_empty_content(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    assert blobs.put(sha(b""), 0, 0, b"") == 0
    assert blobs.missing([sha(b"")]) == []


def test_a_wrong_content_is_deleted(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    blobs.put(sha(DATA), len(DATA), 0, DATA[:5])
    with pytest.raises(InvalidSource, match="not what its name says"):
        blobs.put(sha(DATA), len(DATA), 5, b"WRONGxx")
    assert on_disk(tmp_path) == []
    put(blobs, DATA)


@pytest.mark.parametrize(
    "digest", ["", "../../etc/passwd", "0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n", "../" + "0" * 61, 5, None]
)
def test_only_a_sha_256_is_a_name(tmp_path: Path, digest: Any) -> None:
    blobs = store(tmp_path)
    with pytest.raises(InvalidSource):
        blobs.missing([digest])
    with pytest.raises(InvalidSource):
        blobs.path(digest)
    with pytest.raises(InvalidSource):
        blobs.put(digest, 1, 0, b"x")
    assert on_disk(tmp_path) == []


@pytest.mark.parametrize(
    ("size", "offset", "data"),
    [(-1, 0, b""), (1, -1, b"x"), (1, 0, "x"), (True, 0, b"x"), (1.0, 0, b"x"), (2 * MAX_PIECE, 0, bytes(MAX_PIECE + 1))],
)
def test_arguments_that_make_no_sense(tmp_path: Path, size: Any, offset: Any, data: Any) -> None:
    with pytest.raises(InvalidInput):
        store(tmp_path).put(sha(DATA), size, offset, data)


def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    blobs = store(tmp_path, max_size=10)
    with pytest.raises(InvalidSource, match="at most"):
        blobs.put(sha(DATA), 11, 0, b"x")
    with pytest.raises(InvalidSource, match="more bytes"):
        blobs.put(sha(DATA), 3, 0, b"four")
    assert on_disk(tmp_path) == []


class Disk:
    """Has room for so many bytes, and takes at most *chunk* at once."""

    def __init__(self, room: int, chunk: int = 1 << 20) -> None:
        self.room = room
        self.chunk = chunk

    def write(self, descriptor: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "full")
        written = os.write(descriptor, data[: min(self.room, self.chunk)])
        self.room -= written
        return written


def test_a_full_disk_keeps_nothing_of_the_content(tmp_path: Path) -> None:
    disk = Disk(room=8)
    blobs = store(tmp_path, write=disk.write)
    assert blobs.put(sha(DATA), len(DATA), 0, DATA[:5]) == 5
    with pytest.raises(StorageFull):
        blobs.put(sha(DATA), len(DATA), 5, DATA[5:])
    assert on_disk(tmp_path) == []
    assert blobs.partial_bytes == 0
    disk.room = 100
    put(blobs, DATA)


def test_a_disk_that_writes_little_at_once(tmp_path: Path) -> None:
    blobs = store(tmp_path, write=Disk(room=100, chunk=5).write)
    put(blobs, DATA)
    assert blobs.path(sha(DATA)).read_bytes() == DATA


def test_what_cannot_fit_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs", reserve=100, free=lambda _: 110)
    with pytest.raises(StorageFull):
        blobs.put(sha(DATA), len(DATA), 0, DATA[:1])
    assert on_disk(tmp_path) == []
    put(blobs, DATA[:10])


def test_other_errors_of_the_disk_keep_their_name(tmp_path: Path) -> None:
    def broken(descriptor: int, data: bytes) -> int:
        raise OSError(errno.EIO, "broken")

    blobs = store(tmp_path, write=broken)
    with pytest.raises(OSError, match="broken"):
        put(blobs, DATA)
    assert on_disk(tmp_path) == []


def test_partial_contents_are_bounded(tmp_path: Path) -> None:
    blobs = store(tmp_path, max_partial=10)
    first, second, third = sha(b"first"), sha(b"second"), sha(b"third")
    assert blobs.put(first, 5, 0, b"firs") == 4
    assert blobs.put(second, 6, 0, b"seco") == 4
    assert blobs.put(third, 5, 0, b"thi") == 3
    assert blobs.partial_bytes == 7
    assert blobs.put(first, 5, 4, b"t") == 0
    assert blobs.put(second, 6, 4, b"nd") == 6


def test_the_number_of_partial_contents_is_bounded(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    for number in range(300):
        blobs.put(f"{number:064x}", 2, 0, b"x")
    assert len(on_disk(tmp_path)) == 256
    assert blobs.partial_bytes == 256


def test_after_a_restart_partial_contents_begin_again(tmp_path: Path) -> None:
    before = store(tmp_path)
    put(before, b"whole")
    before.put(sha(DATA), len(DATA), 0, DATA[:5])
    blobs = store(tmp_path)
    assert on_disk(tmp_path) == [f"{sha(b'whole')[:2]}/{sha(b'whole')}"]
    assert blobs.put(sha(DATA), len(DATA), 5, DATA[5:]) == 0
    put(blobs, DATA)


def test_keep_only(tmp_path: Path) -> None:
    before = store(tmp_path)
    kept, gone = put(before, b"kept"), put(before, b"gone")
    clock = Clock()
    blobs = store(tmp_path, seconds=clock.seconds)
    assert blobs.keep_only([kept, sha(b"never here")]) == 1
    assert blobs.missing([kept, gone]) == [gone]
    assert blobs.keep_only([]) == 0
    clock.advance(SPARED)
    assert blobs.keep_only([]) == 1
    assert on_disk(tmp_path) == []


def test_keep_only_spares_for_an_hour_what_a_deploy_has_sent_or_asked_for(tmp_path: Path) -> None:
    before = store(tmp_path)
    asked = put(before, b"asked for")
    clock = Clock()
    blobs = store(tmp_path, seconds=clock.seconds)
    sent = put(blobs, b"sent")
    blobs.put(sha(DATA), len(DATA), 0, DATA[:5])
    assert blobs.missing([asked]) == []
    for _ in range(3):  # other changes end meanwhile
        clock.advance(SPARED / 4)
        assert blobs.keep_only([]) == 0
    assert blobs.put(sha(DATA), len(DATA), 0, b"") == 5
    clock.advance(SPARED / 4)
    assert blobs.keep_only([]) == 2
    assert on_disk(tmp_path) == []
    assert blobs.missing([sent]) == [sent]


def test_keep_only_touches_nothing_that_is_not_a_content(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    (tmp_path / "blobs" / "ab").mkdir()
    (tmp_path / "blobs" / "ab" / "notes").touch()
    (tmp_path / "blobs" / "README").touch()
    blobs.keep_only([])
    assert on_disk(tmp_path) == ["README", "ab/notes"]
