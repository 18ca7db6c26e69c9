"""The simulator: which devices there are, how they behave, and what is counted of them."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from autobahn.wamp.exception import ApplicationError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from paradrop.base.exceptions import Conflict, HomeInUse, InvalidInput
from paradrop.base.seams import inline
from paradrop.keys import Key
from pdserver.cli import main
from pdserver.home import ServerHome
from pdserver.registry import Database, Registry
from pdserver.simulate.caller import Caller
from pdserver.simulate.crew import Plan
from pdserver.simulate.device import SimulatedDevice, matches
from pdserver.simulate.enrol import database_of, enrol
from pdserver.simulate.fleet import GROUP, Order, SeededFleet, read_address, read_devices, shares
from pdserver.simulate.joining import Joining
from pdserver.simulate.tally import Tally, Wire, merged


class FakeLink:
    """What a device publishes and calls, and the answers it gets."""

    def __init__(self, answer: Any = None) -> None:
        self.published: list[tuple[str, Any]] = []
        self.called: list[str] = []
        self._answer = answer or (lambda: succeed("hello"))

    def stockPublish(self, topic: str, *args: Any, **kwargs: Any) -> None:
        self.published.append((topic, *args))

    def stockCall(self, procedure: str, *args: Any, **kwargs: Any) -> Any:
        self.called.append(procedure)
        return self._answer()


def result(awaited: Any) -> Any:
    """What is there at once."""
    values: list[Any] = []

    async def wait() -> None:
        values.append(await awaited)

    Deferred.fromCoroutine(wait()).addErrback(lambda failure: values.append(failure.value))
    (value,) = values
    if isinstance(value, Exception):
        raise value
    return value


# The fleet.


def test_keys_follow_from_the_seed_and_differ() -> None:
    fleet = SeededFleet("seed", 3)
    again, other = SeededFleet("seed", 3), SeededFleet("another", 3)
    assert [fleet.key(number).public for number in range(3)] == [again.key(number).public for number in range(3)]
    everybody = {each.key(number).public for each in (fleet, other) for number in range(3)}
    assert len(everybody) == 6


def test_a_list_of_devices_is_read_with_its_comments() -> None:
    key = Key.generate()
    fleet = read_devices(f"# mine\n\nacme.r1 {key.secret()}  # the first\n")
    assert (len(fleet), fleet.pdid(0), fleet.key(0).public) == (1, "acme.r1", key.public)


@pytest.mark.parametrize("line", ["acme.r1", "acme.r1 key", "Acme {key}", "acme.r1 {key} more", "# nothing"])
def test_a_bad_list_is_refused_without_quoting_a_key(line: str) -> None:
    secret = Key.generate().secret()
    with pytest.raises(InvalidInput) as caught:
        read_devices(line.format(key=secret))
    assert secret not in str(caught.value)


@pytest.mark.parametrize(("devices", "processes", "sizes"), [(10, 3, [3, 3, 4]), (2, 4, [1, 1]), (0, 2, []), (5, 1, [5])])
def test_devices_are_shared_out_evenly(devices: int, processes: int, sizes: list[int]) -> None:
    parts = shares(devices, processes)
    assert [len(part) for part in parts] == sizes
    assert [number for part in parts for number in part] == list(range(devices))


def test_each_process_is_told_its_part_and_comes_from_an_address_of_its_own() -> None:
    plan = Plan(address="rss://127.0.0.1:8443", fleet=SeededFleet("seed", 10), processes=2, rate=30.0, joining=10)
    one, two = (Order(**json.loads(json.dumps(order.plain()))) for order in plan.orders())
    assert (one.first, one.count, two.first, two.count) == (0, 5, 5, 5)
    assert one.source != two.source
    assert (one.rate, one.joining) == (15.0, 5)
    assert two.fleet.pdid(two.first) == "sim.d00005"
    assert two.fleet.key(9).public == SeededFleet("seed", 10).key(9).public


def test_a_server_elsewhere_is_reached_from_any_address() -> None:
    plan = Plan(address="rss://server.example:8443", fleet=SeededFleet("seed", 1), processes=1)
    assert plan.orders()[0].source == ""


# One device.


def test_a_device_answers_its_echo_and_nothing_it_does_not_have() -> None:
    tally = Tally()
    device = SimulatedDevice("sim.d1", tally)
    details: Any = None
    assert result(device.call("org.paradrop.sim.d1.chute.sim.echo", ["hello"], {}, details)) == "hello"
    assert result(device.call("org.paradrop.sim.d1.chutes.list", [], {}, details)) == []
    with pytest.raises(ApplicationError, match="does not offer"):
        device.call("org.paradrop.sim.d2.chute.sim.echo", ["hello"], {}, details)
    assert tally.answered == 2


def test_comings_and_goings_are_counted() -> None:
    tally, settled = Tally(), []
    device = SimulatedDevice("sim.d1", tally, lambda: settled.append(True))
    device.up(FakeLink())
    device.down("the link went down", False)
    device.down("no connection", False)  # an attempt that failed is no loss
    assert (tally.joined, tally.lost, tally.rejoined, settled) == (0, 1, 0, [True])
    device.up(FakeLink())
    assert (tally.joined, tally.lost, tally.rejoined, settled) == (1, 1, 1, [True])


def test_one_that_is_not_let_in_holds_nobody_up() -> None:
    tally, settled = Tally(), []
    device = SimulatedDevice("sim.d1", tally, lambda: settled.append(True))
    device.down("no connection", False)
    assert settled == []
    device.down("not you", True)
    assert (tally.refused, tally.lost, settled) == (1, 0, [True])


def test_nothing_is_published_while_nobody_listens() -> None:
    tally, link = Tally(), FakeLink()
    device = SimulatedDevice("sim.d1", tally)
    device.up(link)
    device.tick(1)
    device.want([("exact", "org.paradrop.sim.d1.chute.other.topic")])
    device.tick(2)
    assert (link.published, tally.relayed, tally.wanted) == ([], 0, 0)
    device.want([("prefix", "org.paradrop.sim.")])
    device.tick(3)
    assert link.published == [("org.paradrop.sim.d1.chute.sim.tick", 3)]
    device.want([])
    device.tick(4)
    assert (len(link.published), tally.ticks, tally.relayed, tally.wanted) == (1, 4, 1, 0)


def test_a_link_that_was_lost_forgets_who_listened() -> None:
    tally, again = Tally(), FakeLink()
    device = SimulatedDevice("sim.d1", tally)
    device.up(FakeLink())
    device.want([("prefix", "org.")])
    device.down("the link went down", False)
    device.up(again)
    device.tick(1)
    assert (again.published, tally.wanted) == ([], 0)


@pytest.mark.parametrize(
    ("match", "pattern", "yes"),
    [
        ("exact", "a.b.c", True),
        ("exact", "a.b", False),
        ("prefix", "a.b", True),
        ("prefix", "b", False),
        ("wildcard", "a..c", True),
        ("wildcard", "a..", True),
        ("wildcard", "a.", False),
        ("wildcard", "a..d", False),
    ],
)
def test_patterns_match_as_in_wamp(match: str, pattern: str, yes: bool) -> None:
    assert matches(match, pattern, "a.b.c") is yes


# Joining.


def test_no_more_than_allowed_are_on_their_way() -> None:
    begun: list[int] = []
    joining = Joining(Clock(), begun.append, 5, rate=0.0, joining=2)
    joining.start()
    assert begun == [0, 1]
    joining.settled()
    assert begun == [0, 1, 2]
    for _ in range(10):
        joining.settled()
    assert begun == [0, 1, 2, 3, 4]


def test_a_rate_is_kept() -> None:
    clock, begun = Clock(), []
    joining = Joining(clock, begun.append, 10, rate=2.0, joining=100)
    joining.start()
    assert begun == [0]
    clock.pump([0.25] * 8)
    assert begun == [0, 1, 2, 3, 4]
    clock.pump([0.5] * 20)
    assert begun == list(range(10))
    assert clock.getDelayedCalls() == []


# Calls.


def make_caller(clock: Clock, link: FakeLink | None, tally: Tally) -> Caller:
    device = SimulatedDevice("sim.d1", tally)
    if link is not None:
        device.up(link)
    return Caller(clock, clock.seconds, [device], lambda caller: "org.paradrop.sim.d2.chute.sim.echo", tally, random.Random(1))


def test_calls_are_made_at_their_rate_and_timed() -> None:
    clock, tally = Clock(), Tally()
    waiting: list[Deferred[str]] = []

    def answer() -> Deferred[str]:
        waiting.append(Deferred())
        return waiting[-1]

    done: list[Any] = []
    make_caller(clock, FakeLink(answer), tally).run(10.0, 1.0).addCallback(done.append)
    for _ in range(12):
        before = list(waiting)
        clock.advance(0.1)
        for each in before:
            if not each.called:
                each.callback("hello")
    clock.advance(0)
    (found,) = done
    assert (len(found["seconds"]), found["errors"], tally.called) == (10, [], 10)
    assert found["seconds"] == pytest.approx([0.1] * 10)
    assert clock.getDelayedCalls() == []


def test_calls_that_fail_are_told_by_their_kind() -> None:
    clock, tally = Clock(), Tally()
    done: list[Any] = []
    make_caller(clock, FakeLink(lambda: fail(Conflict("no"))), tally).run(10.0, 0.2).addCallback(done.append)
    clock.pump([0.1] * 3)
    assert (done[0]["errors"], tally.failed) == ([["Conflict", 2]], 2)


def test_a_device_without_a_link_calls_nobody() -> None:
    clock, tally = Clock(), Tally()
    done: list[Any] = []
    make_caller(clock, None, tally).run(10.0, 0.2).addCallback(done.append)
    clock.pump([0.1] * 3)
    assert done[0]["errors"] == [["CallerOffline", 2]]


# Counting.


def test_counts_of_all_processes_add_up() -> None:
    total = Tally.sum([Tally(joined=2, lost=1), Tally(joined=3, called=4)])
    assert total == Tally(joined=5, lost=1, called=4)
    assert merged([{"seconds": [1.0], "n": 1}, {"seconds": [2.0], "n": 2}]) == {"seconds": [1.0, 2.0], "n": 3}


def test_what_went_over_the_wire_is_read_from_tcp_info() -> None:
    info = bytes(120) + struct.pack("=QQII", 100, 200, 3, 4) + bytes(100)
    wire = Wire.sum([Wire.read(info), Wire.read(info)])
    assert (wire.links, wire.payload, wire.segments, wire.total) == (2, 600, 14, 600 + 14 * 52)


# The registry.


def registered(home: ServerHome) -> Registry:
    registry = Registry(Database(database_of(home), inline), lambda: 0.0)
    result(registry.open())
    return registry


def test_a_fleet_is_enrolled_once_with_its_keys_and_its_group(tmp_path: Path) -> None:
    home, fleet = ServerHome(tmp_path / "home"), SeededFleet("seed", 3)
    assert result(enrol(home, "", fleet, inline, lambda: 0.0)) == 3
    assert result(enrol(home, "", SeededFleet("seed", 5), inline, lambda: 0.0)) == 2
    registry = registered(home)
    device = registry.directory.device_by_key(fleet.key(1).public)
    assert device is not None
    assert (device.pdid, device.groups) == ("sim.d00001", frozenset({GROUP}))
    result(registry.close())


def test_a_fleet_of_another_seed_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    home = ServerHome(tmp_path / "home")
    result(enrol(home, "", SeededFleet("seed", 1), inline, lambda: 0.0))
    with pytest.raises(Conflict, match=r"sim\.d00000"):
        result(enrol(home, "", SeededFleet("another", 2), inline, lambda: 0.0))
    registry = registered(home)
    assert [device.pdid for device in registry.directory.devices()] == ["sim.d00000"]
    result(registry.close())


def test_a_running_server_is_left_alone(tmp_path: Path) -> None:
    home = ServerHome(tmp_path / "home")
    home.make()
    with home.lock(), pytest.raises(HomeInUse):
        result(enrol(home, "", SeededFleet("seed", 1), inline, lambda: 0.0))


# The command line.


def test_an_address_says_whether_there_is_tls() -> None:
    assert read_address("rss://server.example:8443") == (True, "server.example", "server.example:8443")
    assert read_address("rs://[::1]:8080") == (False, "::1", "[::1]:8080")


@pytest.mark.parametrize("address", ["server", "wss://server:1", "rss://server", "rss://server:x", "rss://:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput):
        read_address(address)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--devices-file"),
        (["--devices-file", "{list}", "--enrol"], "--home"),
        (["--home", "{home}"], "--seed"),
        (["--home", "{home}", "--seed", "s", "--address", "server"], "no address"),
        (["--home", "{home}", "--seed", "s", "--authority", "{list}"], "no certificate"),
    ],
)
def test_wrong_options_are_one_sentence(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "list"
    listed.write_text(f"acme.r1 {Key.generate().secret()}\n", encoding="ascii")
    words = [option.format(list=listed, home=tmp_path / "home") for option in options]
    assert main(["simulate", *words]) > 0
    errors = capsys.readouterr().err
    assert said in errors
    assert "Traceback" not in errors


def test_enrolling_says_what_it_has_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["simulate", "--home", str(tmp_path / "home"), "--devices", "3", "--enrol"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["created"] == 3
    assert (main([*words, "--seed", said["seed"]]), json.loads(capsys.readouterr().out)["created"]) == (0, 0)


def test_nobody_can_guess_the_seed_of_devices_that_were_enrolled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = []
    for home in ("a", "b"):
        assert main(["simulate", "--home", str(tmp_path / home), "--devices", "1", "--enrol"]) == 0
        seeds.append(json.loads(capsys.readouterr().out)["seed"])
    assert seeds[0] != seeds[1]
    assert all(len(bytes.fromhex(seed)) >= 16 for seed in seeds)
