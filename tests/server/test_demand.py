"""Which topics are wanted of which device, and how the devices are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from paradrop.base.exceptions import Unreachable
from paradrop.border import pattern_downwards
from paradrop.uris import ROOT
from pdserver.gate.demand import MOST, Demand, concerned
from pdserver.gate.relay import Relay

PDIDS = ["a", "b.r1", "b.r10", "ab"]
URIS = [
    f"{ROOT}{rest}"
    for rest in ("a.x", "a.", "b.r1.x", "b.r1", "b.", "", "b..x", ".x", "..x", "ab.x", "b.r10.x.y", "server.x", "b.r1..y")
]
PATTERN = st.tuples(st.sampled_from(["exact", "prefix", "wildcard"]), st.sampled_from(URIS))
STEP = st.tuples(st.booleans(), st.sampled_from(["", *PDIDS]), PATTERN)


@given(st.lists(STEP, max_size=40))
def test_what_is_wanted_is_what_others_listen_to_whatever_came_before(steps: list[tuple[bool, str, tuple[str, str]]]) -> None:
    demand, model, told = Demand(), Counter[tuple[str, tuple[str, str]]](), {pdid: list[tuple[str, str]]() for pdid in PDIDS}
    for there, listener, pattern in steps:
        if there:
            changed = demand.subscribed(listener, *pattern)
            model[listener, pattern] += 1
        elif model[listener, pattern]:
            changed = demand.unsubscribed(listener, *pattern)
            model[listener, pattern] -= 1
        else:
            continue
        concerns = set(concerned(*pattern, PDIDS))
        for pdid in PDIDS:
            wanted = sorted(
                {
                    pattern
                    for (who, pattern), times in model.items()
                    if times and who != pdid and not pattern[1].startswith(f"{ROOT}server.") and pattern_downwards(*pattern, pdid)
                }
            )
            assert demand.wanted(pdid) == wanted
            if wanted != told[pdid]:
                assert changed
                assert pdid in concerns
                told[pdid] = wanted
    for (listener, pattern), times in model.items():
        for _ in range(times):
            demand.unsubscribed(listener, *pattern)
    assert len(demand) == 0
    assert [demand._ordered, demand._prefixes, demand._wildcards] == [[], set(), {}]


def test_a_device_of_which_too_much_is_wanted_is_asked_for_everything() -> None:
    demand = Demand()
    for number in range(MOST + 1):
        demand.subscribed("", "exact", f"{ROOT}a.x{number}")
    assert demand.wanted("a") == [("prefix", f"{ROOT}a.")]


def test_what_is_no_topic_of_a_device_is_not_remembered() -> None:
    demand = Demand()
    assert not demand.subscribed("", "exact", "com.example.x")
    assert not demand.subscribed("", "exact", f"{ROOT}server.devices.updated")
    assert not demand.unsubscribed("", "exact", "com.example.x")
    assert len(demand) == 0


class Fleet:
    """Devices that keep what they are told, and answer when a test says so."""

    def __init__(self, *pdids: str) -> None:
        self.clock = Clock()
        self.online = set(pdids)
        self.told: list[tuple[str, list[str]]] = []
        self.answers: list[Deferred[None]] = []
        self.answering = True
        self.relay = Relay(self.clock, Demand(), lambda: self.online, self.tell, 0.1)

    async def tell(self, pdid: str, wanted: list[tuple[str, str]]) -> None:
        self.told.append((pdid, [uri.removeprefix(ROOT) for _, uri in wanted]))
        if not self.answering:
            self.answers.append(Deferred())
            await self.answers[-1]

    def advance(self, seconds: float) -> list[tuple[str, list[str]]]:
        """What was told in that time."""
        told, self.told = self.told, []
        assert told == []
        self.clock.pump([0.01] * round(seconds * 100))
        told, self.told = self.told, []
        return told


def test_nobody_is_told_anything_while_nobody_listens() -> None:
    fleet = Fleet("a", "b")
    for pdid in fleet.online:
        fleet.relay.joined(pdid)
    assert fleet.clock.getDelayedCalls() == []


def test_many_changes_are_told_as_one() -> None:
    fleet = Fleet("a", "b")
    for name in ("x", "y", "z"):
        fleet.relay.subscribed("", "exact", f"{ROOT}a.{name}")
    fleet.relay.unsubscribed("", "exact", f"{ROOT}a.y")
    assert fleet.advance(0.05) == []
    assert fleet.advance(0.2) == [("a", ["a.x", "a.z"])]
    assert fleet.advance(60) == []


def test_what_comes_and_goes_at_once_is_not_told_at_all() -> None:
    fleet = Fleet("a")
    fleet.relay.subscribed("", "exact", f"{ROOT}a.x")
    fleet.relay.unsubscribed("", "exact", f"{ROOT}a.x")
    assert fleet.advance(1) == []


def test_only_the_newest_list_is_told_to_a_device_that_is_slow() -> None:
    fleet = Fleet("a")
    fleet.answering = False
    fleet.relay.subscribed("", "exact", f"{ROOT}a.x")
    assert fleet.advance(1) == [("a", ["a.x"])]
    for name in ("y", "z"):
        fleet.relay.subscribed("", "exact", f"{ROOT}a.{name}")
        assert fleet.advance(1) == []
    fleet.answers.pop().callback(None)
    assert fleet.advance(1) == [("a", ["a.x", "a.y", "a.z"])]


def test_a_device_that_fails_is_told_again_ever_more_seldom_and_what_is_wanted_then() -> None:
    fleet = Fleet("a")
    fleet.answering = False
    fleet.relay.subscribed("", "exact", f"{ROOT}a.x")
    fleet.advance(0.2)
    fleet.answers.pop().errback(Unreachable())
    fleet.relay.subscribed("", "exact", f"{ROOT}a.y")
    assert fleet.advance(1.1) == [("a", ["a.x", "a.y"])]
    fleet.answers.pop().errback(Unreachable())
    assert fleet.advance(1.5) == []
    assert fleet.advance(1) == [("a", ["a.x", "a.y"])]
    fleet.answers.pop().callback(None)
    assert fleet.advance(60) == []


def test_a_device_that_comes_back_is_told_anew() -> None:
    fleet = Fleet("a")
    fleet.relay.subscribed("", "prefix", ROOT)
    assert fleet.advance(1) == [("a", [""])]
    fleet.relay.left("a")
    fleet.relay.joined("a")
    assert fleet.advance(1) == [("a", [""])]


@pytest.mark.parametrize("answer", ["callback", "errback"])
def test_an_answer_of_an_earlier_session_counts_for_nothing(answer: str) -> None:
    fleet = Fleet("a")
    fleet.answering = False
    fleet.relay.subscribed("", "exact", f"{ROOT}a.x")
    fleet.advance(1)
    late = fleet.answers.pop()
    fleet.relay.left("a")
    fleet.relay.joined("a")
    late.callback(None) if answer == "callback" else late.errback(Unreachable())
    assert fleet.advance(1) == [("a", ["a.x"])]
    fleet.answers.pop().callback(None)
    assert fleet.advance(60) == []


def test_a_device_that_has_left_is_not_told() -> None:
    fleet = Fleet("a")
    fleet.relay.subscribed("", "exact", f"{ROOT}a.x")
    fleet.online.clear()
    fleet.relay.left("a")
    assert fleet.advance(60) == []
    assert fleet.clock.getDelayedCalls() == []


def test_what_a_device_itself_listens_to_is_not_wanted_of_it() -> None:
    fleet = Fleet("a", "b")
    fleet.relay.subscribed("a", "exact", f"{ROOT}a.x")
    assert fleet.advance(1) == []
    fleet.relay.subscribed("b", "exact", f"{ROOT}a.x")
    assert fleet.advance(1) == [("a", ["a.x"])]
    fleet.relay.unsubscribed("b", "exact", f"{ROOT}a.x")
    assert fleet.advance(1) == [("a", [])]


def test_a_whole_fleet_is_told_in_many_turns() -> None:
    fleet = Fleet(*(f"d{number}" for number in range(10_000)))
    fleet.relay.subscribed("", "prefix", ROOT)
    fleet.clock.advance(0.1)
    most = 0
    while fleet.clock.getDelayedCalls():
        before = len(fleet.told)
        fleet.clock.advance(0)
        fleet.clock.advance(0.1)
        most = max(most, len(fleet.told) - before)
    assert most <= 60
    assert sorted(pdid for pdid, _ in fleet.told) == sorted(fleet.online)


def test_devices_that_do_not_answer_do_not_keep_the_others_waiting_for_ever() -> None:
    fleet = Fleet(*(f"d{number}" for number in range(1500)))
    fleet.answering = False
    fleet.relay.subscribed("", "prefix", ROOT)
    assert len(fleet.advance(5)) == 1000
    answers, fleet.answers = fleet.answers, []
    for answer in answers:
        answer.errback(Unreachable())
    told: Awaitable[Any] | list[Any] = fleet.advance(5)
    assert len({pdid for pdid, _ in told}) >= 1000
    fleet.relay.stop()
    assert fleet.clock.getDelayedCalls() == []
