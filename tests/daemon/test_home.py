"""The folders of a home, its lock and its id."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from paradrop.base.exceptions import HomeInUse, InteralException, InvalidInput
from paradrop.base.settings import resolve
from paradropd.home import Home
from paradropd.testing import home_in


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.of(resolve("unittest", tmp_path / "a" / "home"))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_every_folder_is_closed_to_others_whatever_the_umask(home: Home, umask: int) -> None:
    before = os.umask(umask)
    try:
        home.make()
    finally:
        os.umask(before)
    folders = [home.root, *(path for path in home.root.rglob("*") if path.is_dir())]
    assert len(folders) == 9
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}
    assert home.root.parent.stat().st_mode & 0o777 == 0o755 & ~umask
    home.make()  # again: nothing to do


def test_folders_that_are_there_already_are_closed(home: Home) -> None:
    folders = (home.root, home.runtime, home.data, home.blobs, home.logs, home.keys, home.images)
    for folder in folders:
        folder.mkdir(parents=True)
        folder.chmod(0o755)
    home.make()
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_a_group_that_was_admitted_stays_so(home: Home) -> None:
    home.make()
    home.runtime.chmod(0o710)
    home.data.chmod(0o710)
    home.make()
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (home.runtime, home.data)] == [0o710, 0o700]


def test_a_folder_of_another_user_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.root.mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: home.root.stat().st_uid + 1)
    with pytest.raises(InvalidInput, match=f"{home.root}: the folder is another user's"):
        home.make()


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file") as told:
        home_in(tmp_path / "file")
    assert told.value.errno in (errno.ENOTDIR, errno.EEXIST)


def test_the_lock_names_who_has_it(home: Home) -> None:
    home.make()
    with home.lock():
        script = (
            "import sys; from pathlib import Path; from paradrop.base.settings import resolve; from paradropd.home import Home;"
            " Home.of(resolve('unittest', sys.argv[1])).lock()"
        )
        ended = subprocess.run([sys.executable, "-c", script, str(home.root)], capture_output=True, text=True)
        assert f"HomeInUse: {home.root}: another paradropd (process {os.getpid()}) runs here" in ended.stderr


def test_nobody_else_may_write_to_the_lock(home: Home) -> None:
    home.make()
    before = os.umask(0)
    try:
        home.lock().close()
    finally:
        os.umask(before)
    assert (home.root / "lock").stat().st_mode & 0o777 == 0o600


def test_the_lock_is_free_when_its_file_is_closed(home: Home) -> None:
    home.make()
    for _ in range(2):
        with home.lock(), pytest.raises(HomeInUse):
            home.lock()
    assert (home.root / "lock").read_text() == f"{os.getpid()}\n"


def test_the_lock_is_not_inherited(home: Home) -> None:
    home.make()
    with home.lock():
        program = [sys.executable, "-c", "print('here', flush=True); input()"]
        child = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"here\n"  # only now it has surely closed what it does not inherit
        home.lock().close()
    finally:
        child.communicate(b"\n")


def test_the_id_is_made_once(home: Home) -> None:
    home.make()
    first = home.device_id()
    assert len(first) == 8
    assert int(first, 16) >= 0
    assert home.device_id() == first


def test_an_id_that_a_power_cut_left_empty_is_made_anew(home: Home) -> None:
    home.make()
    (home.root / "device-id").write_text("")
    assert len(home.device_id()) == 8
    assert (home.root / "device-id").read_text().strip() == home.device_id()


@pytest.mark.parametrize("content", [b"../../etc", b"0123456", b"0123456789", b"0123456G", b"\xff\xfe"])
def test_an_id_that_is_none_is_not_replaced(home: Home, content: bytes) -> None:
    home.make()
    (home.root / "device-id").write_bytes(content)
    with pytest.raises(InteralException, match="device-id: "):
        home.device_id()
    assert (home.root / "device-id").read_bytes() == content


def test_a_chutes_folders(home: Home) -> None:
    assert home.fabric_socket("hello") == home.runtime / "chutes" / "hello" / "fabric.sock"
    assert home.data_dir("hello") == home.data / "hello"
    assert home.control_socket.parent == home.runtime


def test_a_group_may_reach_the_control_socket_and_nothing_else(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    home.make()
    home.control_socket.touch(mode=0o660)
    home.admit(os.getegid())
    assert stat.S_IMODE(home.runtime.stat().st_mode) == 0o710
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    assert stat.S_IMODE((home.runtime / "chutes").stat().st_mode) == 0o700
    assert home.control_socket.stat().st_gid == os.getegid()
