"""Which device a command is about."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from paradrop.base.exceptions import NotPermitted, Unreachable
from pdtools.target import Kind, Place, Seen, Where, choose, look

ADA = 1000
HERE = Place(directory=Path("/srv/shop/chutes"), home=Path("/home/ada"), uid=ADA)
NEAR = "/srv/shop/.paradrop/run/control.sock"
OWN = "/home/ada/.paradrop/run/control.sock"
SYSTEM = "/run/paradrop/control.sock"


def machine(**there: Seen) -> Callable[[Path], Seen]:
    known = {Path(path): seen for path, seen in there.items()}
    return lambda path: known.get(path, Seen(Kind.ABSENT))


def sockets(*paths: str, owner: int = ADA) -> Callable[[Path], Seen]:
    return machine(**{path: Seen(Kind.SOCKET, owner) for path in paths})


def test_the_nearest_project_wins_over_the_home_and_the_system() -> None:
    assert choose(Where(), HERE, sockets(NEAR, OWN, SYSTEM)).address == f"unix:{NEAR}"


def test_then_the_home_then_the_system() -> None:
    assert choose(Where(), HERE, sockets(OWN, SYSTEM)).name == OWN
    assert choose(Where(), HERE, sockets(SYSTEM)).name == SYSTEM


@pytest.mark.parametrize(("owner", "found"), [(0, NEAR), (ADA, NEAR), (1001, OWN)])
def test_a_project_socket_counts_only_when_it_is_roots_or_mine(owner: int, found: str) -> None:
    look = machine(**{NEAR: Seen(Kind.SOCKET, owner), OWN: Seen(Kind.SOCKET, ADA)})
    assert choose(Where(), HERE, look).name == found


def test_somebody_elses_socket_is_mentioned() -> None:
    with pytest.raises(Unreachable, match=r"srv/shop/\.paradrop/run/control\.sock \(somebody else's\)"):
        choose(Where(), HERE, sockets(NEAR, owner=5))


def test_a_socket_that_is_named_is_the_only_one_looked_at() -> None:
    assert choose(Where(socket=Path("mine.sock")), HERE, sockets("/srv/shop/chutes/mine.sock")).address == (
        "unix:/srv/shop/chutes/mine.sock"
    )
    with pytest.raises(Unreachable, match=r"Looked at /x\.sock\."):
        choose(Where(socket=Path("/x.sock")), HERE, sockets(NEAR, OWN, SYSTEM))


def test_a_named_home_has_precedence_over_the_environment() -> None:
    place = Place(directory=Path("/d"), home=Path("/h"), uid=ADA, environment={"PARADROP_HOME": "/env"})
    look = sockets("/env/run/control.sock", "/said/run/control.sock")
    assert choose(Where(home=Path("/said")), place, look).name == "/said/run/control.sock"
    assert choose(Where(), place, look).name == "/env/run/control.sock"


def test_an_empty_variable_is_none() -> None:
    place = Place(directory=Path("/d"), home=Path("/h"), uid=ADA, environment={"PARADROP_HOME": ""})
    assert choose(Where(), place, sockets(SYSTEM)).name == SYSTEM


def test_nothing_there_says_where_it_looked_and_what_to_do() -> None:
    with pytest.raises(Unreachable) as nothing:
        choose(Where(), HERE, machine())
    assert SYSTEM in str(nothing.value)
    assert OWN in str(nothing.value)
    assert "`make run`" in str(nothing.value)
    assert nothing.value.exit_code == 69


def test_a_socket_one_may_not_use_names_the_group() -> None:
    with pytest.raises(NotPermitted, match="root and the group 'paradrop'"):
        choose(Where(), HERE, machine(**{SYSTEM: Seen(Kind.FORBIDDEN, 0, "paradrop")}))


def test_a_file_that_is_no_socket_is_passed_over() -> None:
    with pytest.raises(Unreachable, match=r"control\.sock \(not a socket\)"):
        choose(Where(home=Path("/said")), HERE, machine(**{"/said/run/control.sock": Seen(Kind.OTHER, ADA)}))


def test_looking_at_real_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("there.sock")
    listener.close()
    assert look(tmp_path / "there.sock") == Seen(Kind.SOCKET, os.getuid())
    assert look(tmp_path / "file").kind is Kind.OTHER
    assert look(tmp_path / "absent").kind is Kind.ABSENT
    assert look(tmp_path / "file" / "below").kind is Kind.ABSENT
    assert look(tmp_path / ("x" * 300)).kind is Kind.ABSENT
