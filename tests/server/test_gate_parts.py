"""The gate's smaller parts, each by itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred, succeed
from twisted.internet.task import Clock

from paradrop.base.exceptions import InvalidSettings, Unreachable
from paradrop.testing import settled
from pdserver.gate.denials import MOST, REST, Denials
from pdserver.gate.forwarding import origin
from pdserver.gate.settings import GateSettings
from pdserver.gate.strangers import Strangers


class Connection:
    def __init__(self) -> None:
        self.aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class TestStrangers:
    def make(self, **bounds: int) -> tuple[Clock, Strangers]:
        clock = Clock()
        values = {"patience": 10, "most": 3, "most_bytes": 100} | bounds
        return clock, Strangers(clock, **values, notice=lambda connection, reason: None)

    def test_each_has_its_own_time(self) -> None:
        clock, strangers = self.make()
        connections = []
        for _ in range(3):
            connections.append(Connection())
            strangers.add(connections[-1])
            clock.advance(4)
        assert [each.aborted for each in connections] == [True, False, False]
        clock.advance(2)
        assert [each.aborted for each in connections] == [True, True, False]
        clock.advance(4)
        assert [each.aborted for each in connections] == [True, True, True]
        assert clock.getDelayedCalls() == []

    def test_who_has_joined_is_left_alone(self) -> None:
        clock, strangers = self.make()
        connection = Connection()
        strangers.add(connection)
        strangers.discard(connection)
        assert strangers.heard(connection, 1000)
        clock.advance(100)
        assert not connection.aborted
        assert clock.getDelayedCalls() == []

    def test_being_added_twice_gives_no_more_time(self) -> None:
        clock, strangers = self.make()
        connection = Connection()
        strangers.add(connection)
        clock.advance(9)
        strangers.add(connection)
        clock.advance(1)
        assert connection.aborted

    def test_bytes_are_counted_together(self) -> None:
        _, strangers = self.make()
        connection = Connection()
        strangers.add(connection)
        assert strangers.heard(connection, 60)
        assert not strangers.heard(connection, 41)
        assert connection.aborted
        assert len(strangers) == 0

    def test_five_thousand_that_say_nothing_need_one_timer(self) -> None:
        clock, strangers = self.make(most=8192)
        connections = [Connection() for _ in range(5000)]
        for connection in connections:
            strangers.add(connection)
        assert len(clock.getDelayedCalls()) == 1
        clock.advance(10)
        assert all(each.aborted for each in connections)


class TestDenials:
    def test_the_same_is_counted(self) -> None:
        denials = Denials()
        for _ in range(3):
            denials.add("device", "a", "register", "wamp.")
        denials.add("user", "ada", "call", "x", "why")
        assert denials.take() == [["device", "a", "register", "wamp.", 3, ""], ["user", "ada", "call", "x", 1, "why"]]
        assert denials.take() == []

    def test_they_are_kept_while_the_server_is_away(self) -> None:
        denials, delivered = Denials(), list[Any]()
        denials.add("device", "a", "register", "wamp.")

        async def away(rows: list[Any]) -> None:
            denials.add("device", "a", "register", "wamp.")
            raise Unreachable

        settled(ensureDeferred(denials.deliver(away)))
        settled(ensureDeferred(denials.deliver(lambda rows: succeed(delivered.extend(rows)))))
        assert delivered == [["device", "a", "register", "wamp.", 2, ""]]

    def test_whatever_is_tried_they_stay_few_and_short(self) -> None:
        denials = Denials()
        for number in range(3 * MOST):
            denials.add("device", "a", "call", f"{number}" + "x" * 10_000)
        rows = denials.take()
        assert len(rows) == MOST + 1
        assert rows[-1] == [*REST[:4], 2 * MOST, REST[4]]
        assert max(len(row[3]) for row in rows) == 200


JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda each: st.lists(each, max_size=2) | st.dictionaries(st.text(), each, max_size=2),
    max_leaves=3,
)
ENTRY = st.fixed_dictionaries({}, optional={"session": JSON, "authid": JSON, "authrole": st.just("chute") | JSON})


@given(st.lists(ENTRY, max_size=3) | JSON)
def test_whatever_a_device_says_it_speaks_for_its_own_chutes_only(forward_for: Any) -> None:
    seen = origin(forward_for, 7, "acme.r1")
    if seen is not None:
        [entry] = seen
        chute, _, device = entry["authid"].partition("@")
        assert (entry["session"], entry["authrole"], device) == (7, "chute", "acme.r1")
        assert chute == forward_for[0]["authid"]


def test_a_chute_is_named_with_its_device() -> None:
    said = [{"session": 1, "authid": "hello", "authrole": "chute"}]
    assert origin(said, 7, "acme.r1") == [{"session": 7, "authid": "hello@acme.r1", "authrole": "chute"}]


class TestSettings:
    def test_what_is_not_said_is_as_it_is_and_what_is_somebody_elses_is_left_out(self) -> None:
        assert GateSettings.read({"patience": 3, "cbdir": "/x"}) == GateSettings(patience=3)

    @pytest.mark.parametrize("value", [0, -1, "5", None, True])
    def test_what_is_no_bound_is_refused(self, value: object) -> None:
        with pytest.raises(InvalidSettings, match="strangers"):
            GateSettings.read({"strangers": value})
