"""The folders of a server, and who may have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paradrop.base.exceptions import HomeInUse, InvalidInput
from pdserver.home import ServerHome
from pdserver.node import SOCKET


@pytest.fixture
def home(tmp_path: Path) -> ServerHome:
    made = ServerHome(tmp_path / "a" / "server")
    made.make()
    return made


def test_folders_are_closed_to_others(home: ServerHome) -> None:
    for folder in (home.root, home.node, home.run, home.keys, home.blobs, home.logs):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_was_open_is_closed(home: ServerHome) -> None:
    home.run.chmod(0o777)
    home.make()
    assert home.run.stat().st_mode & 0o777 == 0o700


def test_only_one_has_it_until_it_lets_go(home: ServerHome) -> None:
    held = home.lock()
    with pytest.raises(HomeInUse, match=rf"another pdserver \(process {os.getpid()}\) runs here"):
        home.lock()
    held.close()
    home.lock().close()


def test_a_name_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="too long"):
        ServerHome(tmp_path / ("x" * 100)).make()
    assert list(tmp_path.iterdir()) == []


def test_a_devices_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "device-id").write_text("0123abcd\n")
    with pytest.raises(InvalidInput, match="that is a device's home"):
        ServerHome(tmp_path).make()


def test_the_service_and_the_node_meet_at_one_socket(home: ServerHome) -> None:
    assert (home.node / SOCKET).resolve() == home.socket.resolve()
