"""The real fabric, over a session that only records: errors translated, options apart from keywords, the end of the link told."""

from __future__ import annotations

from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from autobahn.wamp.exception import ApplicationError, SerializationError, TransportLost
from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from paradrop.base.exceptions import (
    AuthenticationError,
    ChuteNotFound,
    InvalidInput,
    NotPermitted,
    ParadropException,
    Unreachable,
)
from paradrop.base.tls import EXPIRED, CertificateRefused
from pdtools.fabric import Event, Fabric, Inbox
from pdtools.wamp import CLOSE, WampFabric, _no_server

T = TypeVar("T")


def result_of(work: Coroutine[Any, Any, T]) -> T:
    """What *work*, which must be over at once, returns or raises."""
    outcome: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(outcome.append)
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    result: T = outcome[0]
    return result


class Session:
    """What a joined session does, written down."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.answer: Deferred[Any] = succeed("answer")
        self.gone: Any = None
        self.handler: Any = None

    def stockCall(self, uri: str, *args: Any, options: Any, **kwargs: Any) -> Deferred[Any]:
        self.done.append(("call", uri, args, kwargs, options.timeout))
        return self.answer

    def stockPublish(self, uri: str, *args: Any, options: Any, **kwargs: Any) -> Deferred[Any]:
        self.done.append(("publish", uri, args, kwargs, options.acknowledge))
        return self.answer

    def stockSubscribe(self, handler: Any, uri: str, options: Any) -> Deferred[Any]:
        self.handler = handler
        self.done.append(("subscribe", uri, options.match))
        return self.answer

    def stop(self) -> None:
        self.done.append(("stop",))


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fabric(session: Any, clock: Clock) -> Fabric:
    return WampFabric(session, clock)


def test_a_call_keeps_keywords_and_options_apart(fabric: Fabric, session: Session) -> None:
    keywords = {"deadline": 1, "on_progress": 2}
    assert result_of(fabric.call("a.b", 1, keywords=keywords, deadline=5)) == "answer"
    assert session.done == [("call", "a.b", (1,), keywords, 5)]


def test_the_one_keyword_that_cannot_be(fabric: Fabric) -> None:
    with pytest.raises(InvalidInput, match="'options'"):
        result_of(fabric.call("a.b", keywords={"options": 1}))


@pytest.mark.parametrize(
    ("problem", "kind", "said"),
    [
        (ApplicationError("com.example.odd", "too odd", 3), ParadropException, "a.b failed with com.example.odd: too odd 3"),
        (ApplicationError("com.example.odd"), ParadropException, "a.b failed with com.example.odd$"),
        (ApplicationError(ApplicationError.NOT_AUTHORIZED), NotPermitted, "a.b"),
        (ApplicationError(ApplicationError.INVALID_URI), InvalidInput, "'a.b' is not a name"),
        (SerializationError("no"), InvalidInput, "cannot be sent to a.b: no"),
        (TransportLost(), Unreachable, "gone"),
        (ChuteNotFound("no chute x"), ChuteNotFound, "no chute x"),
    ],
)
@pytest.mark.parametrize("verb", ["call", "publish", "subscribe"])
def test_errors_are_of_our_tree(
    fabric: Fabric, session: Session, verb: str, problem: Exception, kind: type[Exception], said: str
) -> None:
    session.answer = fail(problem)
    ask = fabric.subscribe(lambda event: None, "a.b") if verb == "subscribe" else getattr(fabric, verb)("a.b")
    with pytest.raises(kind, match=said):
        result_of(ask)


def test_publishing_waits_for_the_router(fabric: Fabric, session: Session) -> None:
    result_of(fabric.publish("a.b", 1, keywords={"c": 2}))
    assert session.done == [("publish", "a.b", (1,), {"c": 2}, True)]


def test_an_event_knows_its_topic(fabric: Fabric, session: Session) -> None:
    heard: list[Event] = []
    result_of(fabric.subscribe(heard.append, "a.", match="prefix"))
    session.handler(1, event_details_=SimpleNamespace(topic="a.b"), c=2)
    session.handler(event_details_=SimpleNamespace(topic=None))
    assert heard == [Event("a.b", (1,), {"c": 2}), Event("a.")]
    assert session.done == [("subscribe", "a.", "prefix")]


def test_the_end_of_the_link_wakes_who_waits(fabric: Fabric, session: Session, clock: Clock) -> None:
    inbox: Inbox[int] = Inbox(fabric, clock)
    inbox.put(1)
    waiting = Deferred.fromCoroutine(inbox.next())
    assert SynchronousTestCase().successResultOf(waiting) == 1
    waiting = Deferred.fromCoroutine(inbox.next(10))
    session.gone()
    SynchronousTestCase().failureResultOf(waiting, Unreachable)
    assert not fabric.connected
    assert clock.getDelayedCalls() == []


def test_a_pause_without_an_item(fabric: Fabric, clock: Clock) -> None:
    inbox: Inbox[int] = Inbox(fabric, clock)
    waiting = Deferred.fromCoroutine(inbox.next(10))
    clock.advance(10)
    assert SynchronousTestCase().successResultOf(waiting) is None


def test_closing_waits_for_the_goodbye_but_not_for_ever(fabric: Fabric, session: Session, clock: Clock) -> None:
    closing = Deferred.fromCoroutine(fabric.close())
    assert session.done == [("stop",)]
    SynchronousTestCase().assertNoResult(closing)
    clock.advance(CLOSE)
    SynchronousTestCase().successResultOf(closing)
    session.gone()
    session.gone()
    result_of(fabric.close())
    assert session.done == [("stop",)]


def test_a_goodbye_ends_the_closing(fabric: Fabric, session: Session, clock: Clock) -> None:
    closing = Deferred.fromCoroutine(fabric.close())
    session.gone()
    SynchronousTestCase().successResultOf(closing)
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("why", "kind", "said"),
    [
        (ConnectionRefusedError("111: refused"), Unreachable, r"^The server https://x does not answer: "),
        (ConnectionDone(), Unreachable, "does not answer: the server closed the connection"),
        (TLSError([("SSL routines", "", "certificate verify failed")]), AuthenticationError, "could not be verified"),
        (CertificateRefused(EXPIRED, ("2020-01-01", "2021-01-01")), AuthenticationError, "expired on 2021-01-01"),
        (VerificationError([]), AuthenticationError, "for another name"),
        (None, Unreachable, "lets nobody in now: not ready"),
    ],
)
def test_why_there_is_no_link_to_a_server(why: Exception | None, kind: type[Exception], said: str) -> None:
    problem = Unreachable("not ready")
    problem.__cause__ = why
    with pytest.raises(kind, match=said):
        raise _no_server("https://x", problem)
