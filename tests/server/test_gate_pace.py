"""Nobody is accepted while the router is late."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from twisted.internet import tcp, unix
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pdserver.gate.pace import AT_ONCE, LONGEST, Pace


class LateReactor(Clock):
    """A reactor with readers, whose time can pass without anything being done."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)

    def getReaders(self) -> list[Any]:
        return list(self.readers)


def listening(reactor: LateReactor, kind: type[Any], where: Any) -> Any:
    """A port that nothing was bound for."""
    port = kind(where, Factory(), reactor=reactor)
    port.connected = True
    port.startReading()
    return port


def test_a_late_reactor_accepts_nobody_until_it_has_caught_up() -> None:
    reactor = LateReactor()
    port = listening(reactor, tcp.Port, 0)
    pace = Pace(reactor, tick=1.0, late=0.5)
    pace.start()
    reactor.advance(1.0)
    assert reactor.readers == [port]
    reactor.advance(1.6)  # a look that was due after one second
    assert reactor.readers == []
    reactor.advance(1.0)
    assert reactor.readers == [port]
    assert port.numberAccepts == AT_ONCE
    pace.stop()
    assert reactor.getDelayedCalls() == []


def test_the_services_own_way_in_stays_open() -> None:
    reactor = LateReactor()
    inside = listening(reactor, unix.Port, "nowhere.sock")
    pace = Pace(reactor, tick=1.0, late=0.5)
    pace.start()
    reactor.advance(2.0)
    assert reactor.readers == [inside]
    pace.stop()


def test_what_was_stopped_is_opened_again_at_the_end_unless_it_was_closed() -> None:
    reactor = LateReactor()
    port, closed = listening(reactor, tcp.Port, 0), listening(reactor, tcp.Port, 0)
    pace = Pace(reactor, tick=1.0, late=0.5)
    pace.start()
    reactor.advance(2.0)
    assert reactor.readers == []
    closed.connected = False
    pace.stop()
    assert reactor.readers == [port]


@pytest.mark.parametrize("turn", [0.06, 0.2, 1.0])
def test_a_reactor_that_is_late_for_good_still_lets_somebody_in_every_second(turn: float) -> None:
    reactor = LateReactor()
    port = listening(reactor, tcp.Port, 0)
    pace = Pace(reactor)
    pace.start()
    open_at: list[float] = [0.0]
    while reactor.seconds() < 60:
        reactor.advance(turn)
        if port in reactor.readers:
            open_at.append(reactor.seconds())
    assert max(later - earlier for earlier, later in pairwise([*open_at, 60.0])) <= max(LONGEST + 2 * turn, 2 * turn)
    assert len(open_at) < 60 / LONGEST + 2, "and it is closed for the rest"
    assert port.numberAccepts == AT_ONCE
    pace.stop()


def test_ports_are_open_again_when_looking_fails(logged_failures: list[Failure]) -> None:
    reactor = LateReactor()
    ports = [listening(reactor, tcp.Port, 0), listening(reactor, tcp.Port, 0)]
    ports[1].stopReading = lambda: 1 / 0
    Pace(reactor, tick=1.0, late=0.5).start()
    reactor.advance(2.0)
    assert set(reactor.readers) == set(ports)
    assert [failure.type for failure in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()
