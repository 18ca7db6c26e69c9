"""What a session is subscribed to follows what is wanted, also when the other side cannot answer at once."""

from __future__ import annotations

from typing import Any, cast

import pytest
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.request import Subscription
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from paradrop.base.exceptions import NotPermitted, TooManyAttempts
from paradrop.uplink import PassingSession
from paradropd.uplink.mirror import MOST, MOST_ASKED, Mirror, Pattern

A, B = ("exact", "org.paradrop.x.a"), ("prefix", "org.paradrop.x.b.")


class Asked:
    """A session whose router answers when the test does."""

    def __init__(self) -> None:
        self.questions: list[tuple[Pattern, Deferred[Any]]] = []
        self.most = 0

    def is_attached(self) -> bool:
        return True

    def listen(self, match: str, uri: str, heard: Any) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self.questions.append(((match, uri), answer))
        self.most = max(self.most, self.open)
        return answer

    @property
    def open(self) -> int:
        return sum(not answer.called for _, answer in self.questions)

    @property
    def patterns(self) -> list[Pattern]:
        return [pattern for pattern, _ in self.questions]

    def grant(self, index: int = -1) -> None:
        self.questions[index][1].callback(Subscription(1, "x", cast(Any, self), None))

    def refuse(self, error: str, index: int = -1) -> None:
        self.questions[index][1].errback(ApplicationError(error))


def mirrored() -> tuple[Clock, Asked, Mirror]:
    clock, asked = Clock(), Asked()
    mirror = Mirror(lambda event, topic: None, clock)
    mirror.attach(cast(PassingSession, asked))
    return clock, asked, mirror


@pytest.mark.parametrize("error", [TooManyAttempts.uri(), "wamp.error.no_such_procedure", "wamp.error.canceled"])
def test_what_could_not_be_answered_is_asked_again_ever_more_slowly(error: str) -> None:
    clock, asked, mirror = mirrored()
    mirror.want([A])
    times = []
    for _ in range(10):
        asked.refuse(error)
        before = len(asked.questions)
        started = clock.seconds()
        while len(asked.questions) == before:
            clock.advance(0.25)
        times.append(clock.seconds() - started)
    assert times[0] < 3
    assert 30 < times[-1] < 70
    asked.grant()
    assert mirror.held == {A}
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("error", [ApplicationError.NOT_AUTHORIZED, NotPermitted.uri()])
def test_what_is_not_permitted_is_not_asked_again_on_the_same_link(error: str) -> None:
    clock, asked, mirror = mirrored()
    mirror.want([A])
    asked.refuse(error)
    clock.advance(3600)
    mirror.want([A, B])
    assert asked.patterns == [A, B]
    mirror.attach(cast(PassingSession, asked))
    assert asked.patterns == [A, B, A, B]


def test_questions_are_few_at_a_time_and_all_are_asked() -> None:
    _, asked, mirror = mirrored()
    wanted = {("exact", f"org.paradrop.x.t{number}") for number in range(MOST)}
    mirror.want(wanted)
    assert asked.open == MOST_ASKED
    for index in range(MOST):
        asked.grant(index)
    assert mirror.held == wanted
    assert asked.most == MOST_ASKED


def test_nothing_is_asked_any_more_after_the_link_went() -> None:
    clock, asked, mirror = mirrored()
    mirror.want([A])
    asked.refuse(TooManyAttempts.uri())
    mirror.detach()
    assert clock.getDelayedCalls() == []
    assert asked.patterns == [A]


def test_what_is_wanted_no_more_is_not_asked_again() -> None:
    clock, asked, mirror = mirrored()
    mirror.want([A])
    asked.refuse(TooManyAttempts.uri())
    mirror.want([])
    clock.advance(3600)
    assert asked.patterns == [A]
