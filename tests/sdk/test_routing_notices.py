"""What peers can make a router write to its log, with a clock that the test moves."""

from __future__ import annotations

import pytest
from twisted.python.failure import Failure

from paradrop.routing.notices import MOST, MOST_IN_ALL, MOST_PEERS, SHOWN, WINDOW, Notices, PeerLog


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.notices = Notices(lambda: self.now, self.lines.append)


@pytest.fixture
def world() -> World:
    return World()


def test_so_many_lines_a_minute_and_then_how_many_were_left_out(world: World) -> None:
    for number in range(1000):
        world.notices.say("chute hello", f"may not call {number}")
    assert world.lines[:2] == ["chute hello: may not call 0", "chute hello: may not call 1"]
    assert world.lines[MOST:] == ["chute hello: what comes in the next 60 seconds is left out"]
    world.notices.say("chute clock", "may not call 1")
    assert world.lines[-1] == "chute clock: may not call 1"
    world.now = WINDOW
    world.notices.say("chute hello", "again")
    assert world.lines[-2:] == ["chute hello: 980 lines were left out", "chute hello: again"]


def test_so_many_lines_a_minute_about_all_of_them(world: World) -> None:
    for number in range(5000):
        world.notices.say(f"host{number}", "garbage")
    assert world.lines[MOST_IN_ALL:] == ["what comes about anybody in the next 60 seconds is left out"]
    world.now = WINDOW
    world.notices.say("host1", "again")
    assert world.lines[-1] == "host1: again"


def test_a_line_is_short_and_is_one_line(world: World) -> None:
    world.notices.say("chute hello", "x\nchute clock: forged\x1b[31m\u2028" + "y" * 3_000_000)
    (line,) = world.lines
    assert line.startswith(r"chute hello: x\nchute clock: forged\x1b[31m\u2028yyy")
    assert len(line) == SHOWN


def test_peers_that_come_and_go_are_forgotten(world: World) -> None:
    for number in range(10 * MOST_PEERS):
        world.notices.say(f"10.0.0.{number}", "x")
    assert len(world.notices._windows) == MOST_PEERS


def test_a_library_writes_the_reason_only(world: World) -> None:
    log = PeerLog(world.notices, "10.0.0.1")
    log.info("joined {who}", who="ada")
    log.warn("{klass}: aborting!\n{err}", klass="X", err="the reason")
    log.critical("{tb}", tb="Traceback:\n  File x\nValueError: bad\n")
    assert world.lines == ["10.0.0.1: the reason", "10.0.0.1: ValueError: bad"]


def test_a_failure_tells_what_and_where(world: World) -> None:
    try:
        raise ValueError("z" * 1000)
    except ValueError:
        PeerLog(world.notices, "router").failure()
        PeerLog(world.notices, "router").failure("of {what}", what=1, failure=Failure())
    assert len(world.lines) == 2
    for line in world.lines:
        assert line.startswith("router: ValueError at ")
        assert "test_routing_notices.py" in line
