"""Chutes' folders on a real disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paradrop.base.exceptions import InvalidSource
from paradrop.source import Scan, SourceLimits, check_tree, read_piece, scan


@pytest.fixture
def chute(tmp_path: Path) -> Path:
    folder = tmp_path / "chute"
    folder.mkdir()
    (folder / "paradrop.yaml").write_text("name: a\n")
    return folder


def write(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


def paths(scanned: Scan) -> list[str]:
    return [entry.path for entry in scanned.tree.entries]


def refusal(folder: Path, limits: SourceLimits | None = None) -> str:
    with pytest.raises(InvalidSource) as caught:
        scan(folder, limits)
    return str(caught.value)


def test_every_file_by_content(chute: Path) -> None:
    write(chute, "b/main.py", "a.txt", "b/größe")
    (chute / "run").write_text("a.txt")
    (chute / "run").chmod(0o755)
    (chute / "empty folder").mkdir()
    scanned = scan(chute)
    assert paths(scanned) == ["a.txt", "b/größe", "b/main.py", "paradrop.yaml", "run"]
    assert [entry.executable for entry in scanned.tree.entries] == [False, False, False, False, True]
    for entry in scanned.tree.entries:
        content = scanned.files[entry.sha256].read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry.sha256, entry.size)
    assert len(scanned.files) == 4
    check_tree(scanned.tree, SourceLimits())


def test_what_is_never_sent(chute: Path) -> None:
    write(chute, ".git/config", "a/__pycache__/x.pyc", ".venv/x", "web/node_modules/x/y", ".gitignore")
    assert paths(scan(chute)) == [".gitignore", "paradrop.yaml"]


def test_the_ignore_file(chute: Path) -> None:
    write(chute, "a.log", "b/a.log", "b/keep.log", "build/x", "b/build.py", "top", "b/top", "b/Dockerfile", "x.yaml")
    (chute / ".dockerignore").write_text("# a comment\n*.log\n!keep.log\nbuild/\n/top\n*.yaml\nDockerfile\n")
    assert paths(scan(chute)) == [".dockerignore", "b/Dockerfile", "b/build.py", "b/keep.log", "b/top", "paradrop.yaml"]


def test_an_ignored_folder_is_not_looked_into(chute: Path) -> None:
    write(chute, "data/x")
    os.mkfifo(chute / "data" / "pipe")
    (chute / ".dockerignore").write_text("data/\n")
    assert paths(scan(chute)) == [".dockerignore", "paradrop.yaml"]


def test_an_ignore_file_that_cannot_be_read(chute: Path) -> None:
    ignore = chute / ".dockerignore"
    ignore.write_bytes(b"\xff")
    assert refusal(chute) == ".dockerignore: is not UTF-8 text"
    ignore.write_text("x" * 70_000)
    assert refusal(chute) == ".dockerignore: is longer than 64 KiB"
    ignore.write_text("!\n")
    assert refusal(chute).startswith(".dockerignore: ")
    ignore.unlink()
    os.mkfifo(ignore)
    assert refusal(chute) == ".dockerignore: is not a file"


def test_a_link_to_a_file_inside_is_sent_as_that_file(chute: Path) -> None:
    write(chute, "lib/real.py")
    (chute / "link.py").symlink_to("lib/real.py")
    (chute / "absolute.py").symlink_to(chute / "lib" / "real.py")
    entries = {entry.path: entry for entry in scan(chute).tree.entries}
    assert entries["link.py"].sha256 == entries["absolute.py"].sha256 == entries["lib/real.py"].sha256


def test_links_that_are_refused(chute: Path, tmp_path: Path) -> None:
    write(tmp_path, "secret", "chute-2/x")
    write(chute, "folder/x")
    for target, reason in {
        "../secret": "is a link that leaves the folder",
        "../chute-2/x": "is a link that leaves the folder",
        "/etc/passwd": "is a link that leaves the folder",
        "/dev/zero": "is a link that leaves the folder",
        "folder": "is a link to a folder; only links to files are sent",
        ".": "is a link to a folder; only links to files are sent",
        "nothing": "is not there",
        "link": "is a link that leads to itself or appeared while the folder was read",
    }.items():
        (chute / "link").symlink_to(target)
        assert refusal(chute) == f"link: {reason}"
        (chute / "link").unlink()


def test_a_link_through_a_link_that_leaves(chute: Path, tmp_path: Path) -> None:
    write(tmp_path, "outside/x")
    (chute / "a").symlink_to("b")
    (chute / "b").symlink_to(tmp_path / "outside" / "x")
    assert refusal(chute).endswith("is a link that leaves the folder")


def test_the_folder_itself_may_be_a_link(chute: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(chute)
    assert paths(scan(tmp_path / "link")) == ["paradrop.yaml"]


def test_pipes_and_sockets_are_refused(chute: Path) -> None:
    os.mkfifo(chute / "pipe")
    assert refusal(chute).startswith("pipe: is not a file")
    (chute / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        descriptor = os.open(chute, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{descriptor}/s")  # the path itself may be longer than a socket's name may be
        finally:
            os.close(descriptor)
    assert refusal(chute).startswith("s: is not a file")


@pytest.mark.needs("root")
def test_devices_are_refused(chute: Path) -> None:
    os.mknod(chute / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    assert refusal(chute).startswith("null: is not a file")


@pytest.fixture
def readable_by_all() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_what_cannot_be_read_is_refused(readable_by_all: Path) -> None:
    write(readable_by_all, "paradrop.yaml", "closed", "locked/x")
    (readable_by_all / "closed").chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        refused = refusal(readable_by_all)
    finally:
        if root:
            os.seteuid(0)
    assert refused == "closed: cannot be read: permission denied"


@pytest.mark.parametrize(
    ("name", "reason"), [(b"a\xff", "UTF-8"), (b"a\nb", "control"), (b"a\\b", "backslash"), (b"d/" * 64 + b"x", "deep")]
)
def test_names_that_are_refused(chute: Path, name: bytes, reason: str) -> None:
    path = Path(os.fsdecode(os.fsencode(chute) + b"/" + name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert reason in refusal(chute)


def test_too_many_files_are_refused_before_one_is_read(chute: Path) -> None:
    for number in range(30):
        with (chute / str(number)).open("wb") as file:
            file.truncate(1 << 40)  # a hole: reading even one of these would take for ever
    assert refusal(chute, SourceLimits(files=20, bytes=1 << 60)).startswith("there are more than 20 files")
    assert "has more than 256 MiB" in refusal(chute)


def test_empty_folders_count_too(chute: Path) -> None:
    for number in range(30):
        (chute / str(number)).mkdir()
    assert refusal(chute, SourceLimits(files=20)).startswith("there are more than 20 files")


def test_no_folder_or_no_manifest(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing").endswith("nothing: is not there")
    assert "has no paradrop.yaml" in refusal(tmp_path)
    write(tmp_path, "file")
    assert refusal(tmp_path / "file").endswith("file: is not a folder")


def test_pieces_of_a_file(chute: Path) -> None:
    (chute / "x").write_bytes(b"0123456789")
    assert read_piece(chute / "x", 3, 4) == b"3456"
    assert read_piece(chute / "x", 10, 0) == b""
    with pytest.raises(InvalidSource, match="changed while"):
        read_piece(chute / "x", 8, 4)
    (chute / "x").unlink()
    with pytest.raises(InvalidSource, match="is not there"):
        read_piece(chute / "x", 0, 1)
    with pytest.raises(InvalidSource, match="is not a file"):
        read_piece(Path("/dev/null"), 0, 0)
