"""Processes that end are started again, in time, and all end together; on a clock that is advanced, with nothing that runs."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pdserver.nodelog import CappedLog
from pdserver.restarts import FIRST, LONGEST, STEADY, Restarts
from pdserver.running import LEAN, connections_for, for_child, for_node
from pdserver.settings import ServerSettings
from pdserver.supervisor import GRACE, LATEST, PROBE, Program, Supervisor, last_line


@pytest.mark.parametrize(
    ("lives", "waits"),
    [
        ([0.0, 0.0, 0.0], [0.2, 0.4, 0.8]),
        ([0.0] * 8, [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]),
        ([1.0, 1.0, STEADY, 1.0], [0.2, 0.4, 0.2, 0.4]),
        ([STEADY + 1] * 3, [0.2, 0.2, 0.2]),
        ([1.0] * 6 + [STEADY - 0.1], [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]),
    ],
)
def test_how_long_to_wait_after_lives_of_so_many_seconds(lives: list[float], waits: list[float]) -> None:
    restarts, found = Restarts(), []
    for up in lives:
        wait, restarts = restarts.ended(up)
        found.append(wait)
    assert found == waits


class Process:
    """What Twisted gives for a child."""

    def __init__(self, reactor: Processes, pid: int, protocol: Any, command: Sequence[str]) -> None:
        self.pid = pid
        self.command = command
        self.stdin = b""
        self.alive = True
        self.deaf = False
        self._reactor = reactor
        self._protocol = protocol

    def writeToChild(self, childFD: int, data: bytes) -> None:
        assert childFD == 0
        self.stdin += data

    def closeChildFD(self, descriptor: int) -> None:
        assert descriptor == 0

    def says(self, childFD: int, data: bytes) -> None:
        self._protocol.childDataReceived(childFD, data)

    def signalProcess(self, name: str) -> None:
        if not self.alive:
            raise ProcessExitedAlready
        if not self.deaf:
            self.ends(ProcessDone(0))

    def ends(self, how: Exception) -> None:
        self.alive = False
        self._protocol.processExited(Failure(how))
        self._protocol.processEnded(Failure(how))


class Processes(Clock):
    """A reactor with a clock and processes that are none."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Process] = []
        self.killed: list[tuple[int, int]] = []
        self.refusing: dict[str, OSError] = {}
        """What starting that program fails with."""

    def spawnProcess(
        self, protocol: Any, executable: str, args: Sequence[str], env: Mapping[str, str], path: str, childFDs: Any
    ) -> Process:
        if executable in self.refusing:
            raise self.refusing[executable]
        process = Process(self, 100 + len(self.started), protocol, args)
        self.started.append(process)
        protocol.makeConnection(process)
        return process

    def kill_group(self, pid: int, number: int) -> None:
        self.killed.append((pid, number))
        process = next(each for each in self.started if each.pid == pid)
        if not process.alive:
            raise ProcessLookupError
        process.ends(ProcessTerminated(signal=number))

    def running(self) -> list[str]:
        return [process.command[0] for process in self.started if process.alive]


class Log:
    def __init__(self) -> None:
        self.data = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed = True


class World:
    def __init__(self, *programs: Program, refusing: Mapping[str, OSError] | None = None) -> None:
        self.reactor = Processes()
        self.reactor.refusing.update(refusing or {})
        self.told: list[str] = []
        self.logs: dict[str, Log] = {}
        self.supervisor = Supervisor(
            self.reactor,
            programs or (Program("node", ("node",)), Program("service", ("service",))),
            tell=self.told.append,
            log=lambda name: self.logs.setdefault(name, Log()),
            kill_group=self.reactor.kill_group,
        )
        self.supervisor.start()

    def last(self, name: str) -> Process:
        return next(each for each in reversed(self.reactor.started) if each.command[0] == name)

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.supervisor.stop())


def killed(number: int = signal.SIGKILL) -> ProcessTerminated:
    return ProcessTerminated(signal=number)


def test_each_program_comes_back_alone() -> None:
    world = World()
    node = world.last("node")
    world.last("service").ends(killed())
    assert world.reactor.running() == ["node"]
    world.reactor.advance(FIRST)
    assert sorted(world.reactor.running()) == ["node", "service"]
    assert world.last("node") is node


def test_whoever_keeps_ending_is_waited_for_longer() -> None:
    world = World()
    for wait in (0.2, 0.4, 0.8, 1.6, 3.2, LONGEST, LONGEST):
        world.last("node").ends(ProcessTerminated(exitCode=1))
        world.reactor.advance(wait - 0.01)
        assert world.reactor.running() == ["service"]
        world.reactor.advance(0.011)
        assert "node" in world.reactor.running()


def test_whoever_was_up_for_long_comes_back_quickly() -> None:
    world = World()
    for _ in range(4):
        world.last("node").ends(killed())
        world.reactor.advance(LONGEST)
    world.reactor.advance(STEADY)
    world.last("node").ends(killed())
    world.reactor.advance(FIRST)
    assert "node" in world.reactor.running()


def test_what_a_program_left_behind_is_killed_before_it_starts_again() -> None:
    world = World()
    pid = world.last("node").pid
    world.last("node").ends(killed())
    assert world.reactor.killed == [(pid, signal.SIGKILL)]


def test_the_operator_is_told_once_why_and_that_it_is_back() -> None:
    answering = False
    world = World(Program("node", ("node",), ready=lambda: answering))
    world.last("node").says(2, b"Starting\nRuntimeError: no room\nbye\n")
    world.last("node").ends(ProcessTerminated(exitCode=3))
    assert world.told == ["the node has ended with exit code 3 (RuntimeError: no room); starting again in 0.2 s"]
    world.reactor.pump([FIRST, PROBE, PROBE])
    assert len(world.told) == 1
    answering = True
    world.reactor.pump([PROBE] * 5)
    assert world.told[1:] == ["the node is back"]


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EMFILE, errno.ENOMEM])
def test_a_program_that_cannot_be_started_is_told_and_tried_again_and_the_others_run(number: int) -> None:
    why = os.strerror(number)
    world = World(refusing={"node": OSError(number, why)})
    assert world.reactor.running() == ["service"]
    world.reactor.pump([FIRST, 2 * FIRST])
    assert world.told == [f"the node cannot be started ({why}); starting again in {wait:g} s" for wait in (0.2, 0.4, 0.8)]
    world.reactor.refusing.clear()
    world.reactor.advance(4 * FIRST)
    assert sorted(world.reactor.running()) == ["node", "service"]


def test_a_program_that_cannot_be_started_again_keeps_being_tried_until_all_are_stopped() -> None:
    world = World()
    world.reactor.refusing["node"] = OSError(errno.ENOMEM, "no memory")
    world.last("node").ends(killed())
    world.reactor.advance(FIRST)
    assert world.told[1:] == ["the node cannot be started (no memory); starting again in 0.4 s"]
    done = world.stop()
    assert done.called
    assert world.reactor.running() == []
    assert world.reactor.getDelayedCalls() == []


def test_one_that_never_gets_ready_is_started_anew() -> None:
    world = World(Program("node", ("node",), ready=lambda: False))
    stuck = world.last("node")
    for _ in range(int(LATEST / PROBE) + 2):
        world.reactor.advance(PROBE)
    assert not stuck.alive
    assert "not ready within 60 s" in world.told[0]
    world.reactor.advance(FIRST)
    assert world.reactor.running() == ["node"]


def test_one_that_got_ready_is_left_alone() -> None:
    world = World(Program("node", ("node",), ready=lambda: True))
    world.reactor.pump([PROBE] * int(2 * LATEST / PROBE))
    assert len(world.reactor.started) == 1
    assert world.told == []
    assert world.reactor.getDelayedCalls() == []


def test_a_signal_is_told_by_its_name() -> None:
    world = World()
    world.last("service").ends(killed(signal.SIGSEGV))
    assert world.told[0].startswith("the service was ended by SIGSEGV; ")


def test_settings_go_in_by_the_pipe_at_every_start() -> None:
    world = World(Program("service", ("service",), stdin=b"settings"))
    world.last("service").ends(killed())
    world.reactor.advance(FIRST)
    assert [process.stdin for process in world.reactor.started] == [b"settings"] * 2


def test_output_goes_to_the_operator_and_errors_to_the_log() -> None:
    printed: list[bytes] = []
    world = World(Program("node", ("node",)), Program("service", ("service",), output=printed.append))
    world.last("node").says(1, b"n1")
    world.last("service").says(1, b"s1")
    world.last("service").says(2, b"s2")
    assert printed == [b"s1"]
    assert (world.logs["node"].data, world.logs["service"].data) == (b"n1", b"s2")


def test_stopping_ends_the_service_before_the_node_and_leaves_nothing() -> None:
    world = World()
    world.last("service").deaf = True
    done = world.stop()
    assert world.reactor.running() == ["node", "service"], "the node waits for the service"
    world.last("service").ends(ProcessDone(0))
    assert world.reactor.running() == []
    assert done.called
    assert world.reactor.getDelayedCalls() == []
    assert world.told == []
    assert all(log.closed for log in world.logs.values())


def test_whoever_does_not_end_is_killed() -> None:
    world = World()
    world.last("node").deaf = world.last("service").deaf = True
    done = world.stop()
    world.reactor.advance(GRACE)
    assert world.reactor.running() == ["node"]
    world.reactor.advance(GRACE)
    assert world.reactor.running() == []
    assert done.called
    assert world.reactor.getDelayedCalls() == []


def test_stopping_between_two_lives_starts_nothing() -> None:
    world = World()
    world.last("node").ends(killed())
    world.last("service").ends(killed())
    done = world.stop()
    assert done.called
    world.reactor.advance(60)
    assert world.reactor.running() == []
    assert world.reactor.getDelayedCalls() == []


def test_one_that_dies_while_another_is_being_ended_is_not_started() -> None:
    world = World()
    world.last("service").deaf = True
    done = world.stop()
    world.last("node").ends(killed())
    world.last("service").ends(ProcessDone(0))
    world.reactor.advance(60)
    assert done.called
    assert world.reactor.running() == []


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (b"", ""),
        (b"\n \n", ""),
        (b"one\ntwo\n", "two"),
        (b"Traceback\nValueError: bad\n\nbye", "ValueError: bad"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 500, "x" * 200 + "…"),
    ],
)
def test_the_line_that_tells(output: bytes, line: str) -> None:
    assert last_line(output) == line


def test_a_log_never_grows_above_twice_its_cap(tmp_path: Path) -> None:
    log = CappedLog(tmp_path / "node.log", cap=100)
    for number in range(100):
        log.write(b"%09d\n" % number)
    log.write(b"x" * 1000)
    log.close()
    files = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(files) == {"node.log", "node.log.1"}
    assert max(files.values()) <= 100


def test_a_log_goes_on_where_it_was(tmp_path: Path) -> None:
    for word in (b"one\n", b"two\n"):
        log = CappedLog(tmp_path / "node.log")
        log.write(word)
        log.close()
    assert (tmp_path / "node.log").read_bytes() == b"one\ntwo\n"


def test_a_log_that_cannot_be_written_loses_lines_only(tmp_path: Path) -> None:
    log = CappedLog(tmp_path / "absent" / "node.log")
    log.write(b"line")
    (tmp_path / "absent").mkdir()
    log.write(b"later")
    log.close()
    assert (tmp_path / "absent" / "node.log").read_bytes() == b"later"


def test_children_see_what_they_need_of_the_environment() -> None:
    needed = {"PATH": "/bin", "LC_ALL": "C"}
    whole = {**needed, "PGPASSFILE": "/f", "PDSERVER_DATABASE": "secret", "AWS_KEY": "secret", "PYTHONPATH": "/x"}
    assert for_child(whole).keys() & whole.keys() == {"PATH", "LC_ALL"}
    assert for_child(whole, "PG").keys() & whole.keys() == {"PATH", "LC_ALL", "PGPASSFILE"}


def test_the_node_reads_its_own_openssl_configuration_unless_the_operator_has_one(tmp_path: Path) -> None:
    settings = ServerSettings(home=tmp_path, name="shop", url="https://a:1")
    assert for_node(settings, {"OPENSSL_CONF": "/etc/mine.cnf"})["OPENSSL_CONF"] == "/etc/mine.cnf"
    for nothing in ({}, {"OPENSSL_CONF": ""}):
        assert for_node(settings, nothing)["OPENSSL_CONF"] == str(tmp_path / "node" / "openssl.cnf")


def test_the_node_is_lean_unless_the_operator_says_otherwise(tmp_path: Path) -> None:
    settings = ServerSettings(home=tmp_path, name="shop", url="https://a:1")
    assert for_node(settings, {"PYTHONPATH": "/x"})["PYTHONPATH"] == LEAN
    assert "PYTHONPATH" not in for_node(replace(settings, lean=False), {"PYTHONPATH": "/x"})


@pytest.mark.parametrize(("files", "connections"), [(65_536, 65_024), (1024, 512), (100, 64)])
def test_connections_leave_files_for_the_server_itself(files: int, connections: int) -> None:
    assert connections_for(files) == connections
