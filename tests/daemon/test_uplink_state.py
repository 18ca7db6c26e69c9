"""The life of an uplink, as a table."""

from __future__ import annotations

import pytest

from paradrop.values import Uplink, UplinkState
from paradropd.uplink.state import NEXT, Happened, after, begun

NONE, CONNECTING, ONLINE, REFUSED = UplinkState.NONE, UplinkState.CONNECTING, UplinkState.ONLINE, UplinkState.REFUSED


def test_it_begins_with_connecting() -> None:
    assert begun("acme.r1", "https://s:8443", 5.0) == Uplink(state=CONNECTING, pdid="acme.r1", server="https://s:8443", since=5.0)


@pytest.mark.parametrize(
    ("states", "happened"),
    [
        ([CONNECTING, ONLINE, CONNECTING, ONLINE], [Happened.UP, Happened.LOST, Happened.UP]),
        ([CONNECTING, REFUSED, REFUSED, ONLINE], [Happened.REFUSED, Happened.REFUSED, Happened.UP]),
        ([CONNECTING, REFUSED, CONNECTING], [Happened.REFUSED, Happened.LOST]),
    ],
)
def test_what_follows_what(states: list[UplinkState], happened: list[Happened]) -> None:
    uplink, seen = begun("a", "s", 0.0), [CONNECTING]
    for moment, each in enumerate(happened, start=1):
        uplink = after(uplink, each, float(moment), "why")
        seen.append(uplink.state)
    assert seen == states


def test_since_is_the_beginning_of_the_state() -> None:
    lost = after(begun("a", "s", 1.0), Happened.LOST, 2.0, "no route")
    assert (lost.since, lost.problem) == (1.0, "no route")
    up = after(lost, Happened.UP, 3.0)
    assert (up.since, up.problem) == (3.0, "")


def test_a_device_that_is_alone_stays_so_whatever_an_old_link_says() -> None:
    for each in Happened:
        assert after(Uplink(), each, 1.0, "why") == Uplink()


def test_every_state_but_none_can_be_left() -> None:
    assert {before for before, _ in NEXT} == {CONNECTING, ONLINE, REFUSED}
