"""BaseSession and its factories, against a recorded transport: no port, no router, no time but the test's."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from autobahn.exception import PayloadExceededError
from autobahn.wamp import message, role
from autobahn.wamp.exception import ApplicationError, SerializationError
from autobahn.wamp.types import CallOptions, ComponentConfig, PublishOptions, RegisterOptions, TransportDetails
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from paradrop.base import exceptions
from paradrop.base._serializers import CBORSerializer
from paradrop.base.cxbr import DEADLINE, BaseClientFactory, BaseRawSocketFactory, BaseSession, BaseSessionFactory
from paradrop.base.exceptions import (
    AuthenticationError,
    ChuteNotFound,
    Conflict,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    NotPermitted,
    ParadropException,
    Unreachable,
)

PREFIX = "org.paradrop.pd.acme.r1."
ROLES = {
    "broker": role.RoleBrokerFeatures(),
    "dealer": role.RoleDealerFeatures(call_canceling=True, progressive_call_results=True),
}


class RecordingTransport:
    """The wire: keeps what is sent. ``refuse`` is raised by the next send."""

    transport_details = TransportDetails()

    def __init__(self) -> None:
        self._serializer = CBORSerializer()  # a session asks for its id
        self.is_closed: Deferred[Any] = Deferred()
        self.sent: list[Any] = []
        self.refuse: Exception | None = None
        self.closed = False

    def send(self, sent: Any) -> None:
        if self.refuse is not None:
            problem, self.refuse = self.refuse, None
            raise problem
        self.sent.append(sent)

    def last(self, kind: type) -> Any:
        return next(sent for sent in reversed(self.sent) if isinstance(sent, kind))

    def isOpen(self) -> bool:
        return not self.closed

    def close(self) -> None:
        self.closed = True

    abort = close
    """Without a goodbye; here there is none to leave out."""


class Wire:
    """A session that has joined, its transport and its clock."""

    def __init__(self, kind: type[BaseSession] = BaseSession, pdid: str = "pd.acme.r1") -> None:
        self.clock = Clock()
        self.transport = RecordingTransport()
        self.session = kind(ComponentConfig(realm="paradrop", extra={"pdid": pdid, "reactor": self.clock}))
        self.session.onOpen(self.transport)
        self.receive(message.Welcome(1, ROLES, realm="paradrop", authid="a", authrole="owner", authmethod="x"))

    def receive(self, received: Any) -> None:
        self.session.onMessage(received)

    def answer(self, kind: type, error: str, *args: Any) -> None:
        """Refuse the last request of *kind* with *error*."""
        request = self.transport.last(kind)
        self.receive(message.Error(kind.MESSAGE_TYPE, request.request, error, args=list(args)))  # type: ignore[attr-defined]

    def failure(self, deferred: Deferred[Any]) -> BaseException:
        return SynchronousTestCase().failureResultOf(deferred).value


def result(deferred: Deferred[Any]) -> Any:
    return SynchronousTestCase().successResultOf(deferred)


@pytest.fixture
def wire() -> Wire:
    return Wire()


# Names.


def noop(*args: Any) -> None:
    """A handler that does nothing."""


@pytest.mark.parametrize(
    ("request_of", "kind", "field"),
    [
        (lambda session, twin: (session.stockCall if twin else session.call)("a.b"), message.Call, "procedure"),
        (lambda session, twin: (session.stockPublish if twin else session.publish)("a.b"), message.Publish, "topic"),
        (lambda session, twin: (session.stockRegister if twin else session.register)(noop, "a.b"), message.Register, "procedure"),
        (lambda session, twin: (session.stockSubscribe if twin else session.subscribe)(noop, "a.b"), message.Subscribe, "topic"),
    ],
    ids=["call", "publish", "register", "subscribe"],
)
def test_a_name_is_prefixed_and_that_of_the_stock_twin_is_not(
    wire: Wire, request_of: Callable[[BaseSession, bool], Any], kind: type, field: str
) -> None:
    request_of(wire.session, False)
    assert getattr(wire.transport.last(kind), field) == PREFIX + "a.b"
    request_of(wire.session, True)
    assert getattr(wire.transport.last(kind), field) == "a.b"


def test_arguments_and_options_reach_the_wire(wire: Wire) -> None:
    wire.session.publish("t", 1, b="c", options=PublishOptions(acknowledge=True))
    published = wire.transport.last(message.Publish)
    assert (published.args, published.kwargs, published.acknowledge) == ((1,), {"b": "c"}, True)
    wire.session.call("p", 2, d="e", options=CallOptions(timeout=3))
    called = wire.transport.last(message.Call)
    assert (called.args, called.kwargs, called.timeout) == ((2,), {"d": "e"}, None)


def test_without_a_pdid_a_session_is_in_the_local_space() -> None:
    assert BaseSession().prefix == "org.paradrop.local."


def test_a_publish_without_acknowledgement_is_done_at_once(wire: Wire) -> None:
    assert result(wire.session.publish("t", 1)) is None


# Deadlines.


def test_a_call_ends_after_thirty_seconds_and_its_callee_is_interrupted(wire: Wire) -> None:
    answer = wire.session.call("slow")
    wire.clock.advance(DEADLINE - 0.1)
    SynchronousTestCase().assertNoResult(answer)
    wire.clock.advance(0.1)
    problem = wire.failure(answer)
    assert isinstance(problem, DeadlineExceeded)
    assert str(problem) == f"{PREFIX}slow gave no answer within 30 s"
    assert wire.transport.last(message.Cancel).request == wire.transport.last(message.Call).request


def test_a_caller_sets_its_own_deadline_and_its_options_stay_as_they_were(wire: Wire) -> None:
    options = CallOptions(timeout=2.5)
    for _ in range(2):
        answer = wire.session.call("slow", options=options)
        wire.clock.advance(2.4)
        SynchronousTestCase().assertNoResult(answer)
        wire.clock.advance(0.1)
        assert str(wire.failure(answer)).endswith("within 2.5 s")
    assert options.timeout == 2.5


def test_the_late_answer_of_an_interrupted_call_is_nobodys(wire: Wire) -> None:
    answer = wire.session.call("slow", options=CallOptions(timeout=1))
    wire.clock.advance(1)
    wire.failure(answer)
    wire.answer(message.Call, ApplicationError.CANCELED)
    again = wire.session.call("quick")
    wire.receive(message.Result(wire.transport.last(message.Call).request, args=["here"]))
    assert result(again) == "here"


def test_an_answer_in_time_leaves_no_deadline_behind(wire: Wire) -> None:
    answer = wire.session.call("quick")
    wire.receive(message.Result(wire.transport.last(message.Call).request, args=[7]))
    assert result(answer) == 7
    assert wire.clock.getDelayedCalls() == []


# Errors that come in.


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ApplicationError.NO_SUCH_PROCEDURE, NotFound),
        (ApplicationError.NOT_AUTHORIZED, NotPermitted),
        (ApplicationError.PROCEDURE_ALREADY_EXISTS, Conflict),
        (ApplicationError.CANCELED, Unreachable),
    ],
)
def test_the_fabrics_own_errors_become_ours(wire: Wire, error: str, kind: type[ParadropException]) -> None:
    answer = wire.session.call("x")
    wire.answer(message.Call, error)
    problem = wire.failure(answer)
    assert type(problem) is kind
    assert f"{PREFIX}x" in str(problem)


@pytest.mark.parametrize(
    ("request_of", "kind", "words"),
    [
        (lambda s: s.register(noop, "x"), message.Register, f"you may not register {PREFIX}x"),
        (lambda s: s.subscribe(noop, "x"), message.Subscribe, f"you may not subscribe to {PREFIX}x"),
        (lambda s: s.publish("x", options=PublishOptions(acknowledge=True)), message.Publish, f"you may not publish {PREFIX}x"),
        (lambda s: s.call("x"), message.Call, f"you may not call {PREFIX}x"),
    ],
    ids=["register", "subscribe", "publish", "call"],
)
def test_a_denial_says_what_was_tried(wire: Wire, request_of: Callable[[BaseSession], Any], kind: type, words: str) -> None:
    answer = request_of(wire.session)
    wire.answer(kind, ApplicationError.NOT_AUTHORIZED)
    problem = wire.failure(answer)
    assert isinstance(problem, NotPermitted)
    assert str(problem) == words


def test_a_link_that_goes_away_fails_what_waits_for_an_answer(wire: Wire) -> None:
    answer = wire.session.call("x")
    wire.session.onClose(False)
    # Looked at only now: Autobahn's own Deferred would have succeeded by this time.
    assert isinstance(wire.failure(answer), Unreachable)
    assert isinstance(wire.failure(wire.session.call("x")), Unreachable)
    assert isinstance(wire.failure(wire.session.publish("x")), Unreachable)
    assert isinstance(wire.failure(wire.session.register(noop, "x")), Unreachable)
    assert isinstance(wire.failure(wire.session.subscribe(noop, "x")), Unreachable)


@pytest.mark.parametrize("refusal", [PayloadExceededError("17 MB"), SerializationError("no bytes for a socket")])
def test_arguments_that_cannot_be_sent_are_invalid_input(wire: Wire, refusal: Exception) -> None:
    wire.transport.refuse = refusal
    problem = wire.failure(wire.session.call("x"))
    assert isinstance(problem, InvalidInput)
    assert f"{PREFIX}x" in str(problem)


@pytest.mark.parametrize("name", ["a b", "a..b", "a#b", ""])
def test_a_name_that_is_no_uri_is_invalid_input(wire: Wire, name: str) -> None:
    assert isinstance(wire.failure(wire.session.stockCall(name)), InvalidInput)


def test_an_error_of_somebody_elses_passes_as_it_is(wire: Wire) -> None:
    answer = wire.session.call("x")
    wire.answer(message.Call, "com.example.oops", "it broke")
    problem = wire.failure(answer)
    assert isinstance(problem, ApplicationError)
    assert (problem.error, problem.args) == ("com.example.oops", ("it broke",))


def every_error() -> list[Any]:
    return [pytest.param(kind, id=kind.__name__) for kind in exceptions.tree()]


@pytest.mark.parametrize("kind", every_error())
def test_an_error_of_the_tree_passes_as_itself_both_ways(kind: type[ParadropException]) -> None:
    callee, caller = Wire(), Wire()
    raised = kind("the very reason")

    async def endpoint() -> None:
        raise raised

    registered = callee.session.register(endpoint, "x")
    callee.receive(message.Registered(callee.transport.last(message.Register).request, 5))
    result(registered)
    callee.receive(message.Invocation(9, 5))
    sent = callee.transport.last(message.Error)
    assert (sent.error, sent.request) == (kind.uri(), 9)

    answer = caller.session.call("x")
    caller.answer(message.Call, sent.error, *sent.args)
    arrived = caller.failure(answer)
    assert type(arrived) is kind
    assert (str(arrived), arrived.args) == (str(raised), raised.args)


def test_a_defect_in_a_procedure_is_told_without_its_traceback(wire: Wire) -> None:
    async def endpoint() -> None:
        raise ZeroDivisionError("by zero")

    wire.session.register(endpoint, "x")
    wire.receive(message.Registered(wire.transport.last(message.Register).request, 5))
    wire.receive(message.Invocation(9, 5))
    sent = wire.transport.last(message.Error)
    assert (sent.error, tuple(sent.args)) == ("wamp.error.runtime_error", ("by zero",))
    assert "Traceback" not in repr(sent)


# What others send through the router must not end a session: Autobahn raises at each of these.


TAKEN = dict.fromkeys(("callee", "callee_authid", "callee_authrole", "enc_algo", "error", "forward_for"), 2)


def test_an_answers_keywords_are_not_taken_for_autobahns_own(wire: Wire) -> None:
    answer = wire.session.call("x")
    wire.receive(message.Result(wire.transport.last(message.Call).request, args=[1], kwargs={**TAKEN, "more": 3}))
    given = result(answer)
    assert (given.results, given.kwresults) == ((1,), {"more": 3})


def test_an_errors_keywords_are_not_taken_for_autobahns_own(wire: Wire) -> None:
    answer = wire.session.call("x")
    request = wire.transport.last(message.Call).request
    wire.receive(message.Error(message.Call.MESSAGE_TYPE, request, "com.example.odd", args=["why"], kwargs={**TAKEN, "more": 3}))
    problem = wire.failure(answer)
    assert isinstance(problem, ApplicationError)
    assert (problem.error, problem.args, problem.kwargs) == ("com.example.odd", ("why",), {"more": 3})


@pytest.mark.parametrize("name", ["self", "fun"])
def test_a_call_with_a_keyword_of_the_machinerys_is_refused(wire: Wire, name: str) -> None:
    called: list[Any] = []
    wire.session.register(lambda **keywords: called.append(keywords), "x")
    wire.receive(message.Registered(wire.transport.last(message.Register).request, 5))
    wire.receive(message.Invocation(9, 5, kwargs={name: 1}))
    assert wire.transport.last(message.Error).error == "org.paradrop.error.invalid_input"
    wire.receive(message.Invocation(10, 5, kwargs={"other": 1}))
    assert called == [{"other": 1}]


@pytest.mark.parametrize("name", ["self", "fun"])
def test_an_event_with_a_keyword_of_the_machinerys_is_left_out(wire: Wire, name: str) -> None:
    heard: list[Any] = []
    wire.session.subscribe(lambda **keywords: heard.append(keywords), "x")
    wire.receive(message.Subscribed(wire.transport.last(message.Subscribe).request, 5))
    wire.receive(message.Event(5, 1, kwargs={name: 1}))
    wire.receive(message.Event(5, 2, kwargs={"other": 1}))
    assert heard == [{"other": 1}]


@pytest.mark.parametrize(
    "answer",
    [
        message.Result(99, args=["late"]),
        message.Error(message.Call.MESSAGE_TYPE, 99, "com.example.late"),
        message.Error(message.Subscribe.MESSAGE_TYPE, 99, "com.example.late"),
    ],
)
def test_an_answer_that_nobody_waits_for_is_nobodys(wire: Wire, answer: Any) -> None:
    wire.receive(answer)
    again = wire.session.call("quick")
    wire.receive(message.Result(wire.transport.last(message.Call).request, args=["here"]))
    assert result(again) == "here"


# Links.


def start(address: str, reactor: MemoryReactorClock, **options: Any) -> Deferred[BaseSession]:
    return BaseSession.start(address, "r1", reactor=reactor, **options)


@pytest.mark.parametrize(
    ("address", "attempts", "where"),
    [
        ("unix:/run/paradrop/control.sock", "unixClients", ("/run/paradrop/control.sock",)),
        ("rs://127.0.0.1:9000", "tcpClients", ("127.0.0.1", 9000)),
        ("ws://device.example/ws", "tcpClients", ("device.example", 80)),
        ("ws://device.example:7070/ws", "tcpClients", ("device.example", 7070)),
        ("wss://device.example/ws", "sslClients", ("device.example", 443)),
    ],
)
def test_each_form_of_address_connects_there(address: str, attempts: str, where: tuple[Any, ...]) -> None:
    reactor = MemoryReactorClock()
    start(address, reactor)
    made = getattr(reactor, attempts)
    assert len(made) == 1
    assert made[0][: len(where)] == where
    client = made[0][len(where)]
    assert isinstance(client, BaseClientFactory if address.startswith("ws") else BaseRawSocketFactory)


@pytest.mark.parametrize(
    "address",
    [
        *("", "hello", "unix:", "http://device/ws", "ws:x", "ws://", "ws://[::1/ws", "ws://host/ws#part", "wss://host:no/ws"),
        *("rs://host", "rs://:9000", "rs://host:port", "rs://host:70000"),
    ],
)
def test_what_is_no_address_is_refused_at_once(address: str) -> None:
    reactor = MemoryReactorClock()
    with pytest.raises(InvalidInput, match=r"^'.*'(:| is no address| names no host)"):
        start(address, reactor)
    assert (reactor.tcpClients, reactor.unixClients, reactor.sslClients) == ([], [], [])


class RecordingConnector:
    """Counts what a factory asks of its connector."""

    def __init__(self) -> None:
        self.connects = self.disconnects = self.stops = 0

    def connect(self) -> None:
        self.connects += 1

    def disconnect(self) -> None:
        self.disconnects += 1

    def stopConnecting(self) -> None:
        self.stops += 1


def raw_factory(joined: Deferred[BaseSession] | None = None) -> tuple[BaseRawSocketFactory, Clock, BaseSessionFactory]:
    """A RawSocket client's factory with a clock of its own, as ``start`` makes it."""
    clock = Clock()
    config = ComponentConfig(realm="paradrop", extra={"pdid": "r1", "reactor": clock})
    sessions = BaseSessionFactory(config, joined)
    factory = BaseRawSocketFactory(sessions)
    factory.clock = clock
    factory.on_failure = sessions.failed
    sessions.client = factory
    return factory, clock, sessions


REFUSED = Failure(ConnectionRefusedError())


def delays(factory: Any, clock: Clock, connector: Any, count: int) -> list[float]:
    """Seconds between *count* attempts that all fail."""
    waited = []
    for _ in range(count):
        factory.clientConnectionFailed(connector, REFUSED)
        (call,) = clock.getDelayedCalls()
        waited.append(call.getTime() - clock.seconds())
        clock.advance(waited[-1])
    return waited


NOMINAL = (1, 2, 4, 8, 10, 10, 10, 10)


@pytest.mark.parametrize("seed", range(20))
def test_a_lost_link_is_tried_after_one_second_doubling_to_ten_with_jitter(seed: int) -> None:
    random.seed(seed)
    factory, clock, _ = raw_factory()
    connector = RecordingConnector()
    waited = delays(factory, clock, connector, len(NOMINAL))
    for seconds, nominal in zip(waited, NOMINAL, strict=True):
        assert 0.5 * nominal <= seconds <= 1.5 * nominal
    assert waited != list(NOMINAL)
    assert connector.connects == len(NOMINAL)


def test_without_jitter_the_delays_are_exact_and_a_join_starts_them_anew() -> None:
    factory, clock, sessions = raw_factory()
    factory.jitter = 0
    connector = RecordingConnector()
    assert delays(factory, clock, connector, 6) == [1, 2, 4, 8, 10, 10]
    join(sessions())
    assert delays(factory, clock, connector, 2) == [1, 2]


def test_a_link_that_never_joins_does_not_start_the_delays_anew() -> None:
    factory, clock, sessions = raw_factory()
    factory.jitter = 0
    connector = RecordingConnector()
    delays(factory, clock, connector, 3)
    session = sessions()
    session.onOpen(RecordingTransport())
    session.onClose(False)
    assert delays(factory, clock, connector, 1) == [8]


def join(session: BaseSession) -> RecordingTransport:
    transport = RecordingTransport()
    session.onOpen(transport)
    session.onMessage(message.Welcome(1, ROLES, realm="paradrop", authid="a", authrole="owner", authmethod="x"))
    return transport


def test_start_fires_with_the_first_session_that_joins() -> None:
    joined: Deferred[BaseSession] = Deferred()
    _, _, sessions = raw_factory(joined)
    refused, first, second = sessions(), sessions(), sessions()
    refused.onOpen(RecordingTransport())
    refused.onMessage(message.Abort("wamp.error.no_such_realm"))
    SynchronousTestCase().assertNoResult(joined)
    join(first)
    join(second)
    assert result(joined) is first


def test_without_reconnect_a_refused_connection_fails_the_start() -> None:
    reactor = MemoryReactorClock()
    joined = start("unix:/nowhere", reactor, reconnect=False)
    _, client, _, _ = reactor.unixClients[0]
    client.clientConnectionFailed(RecordingConnector(), REFUSED)
    problem = SynchronousTestCase().failureResultOf(joined).value
    assert isinstance(problem, Unreachable)
    assert "refused" in str(problem)
    assert reactor.getDelayedCalls() == []


def test_without_reconnect_a_router_that_says_no_fails_the_start() -> None:
    joined: Deferred[BaseSession] = Deferred()
    factory, clock, sessions = raw_factory(joined)
    factory.reconnect = False
    session = sessions()
    session.onOpen(RecordingTransport())
    session.onMessage(message.Abort("wamp.error.authentication_failed", "wrong name or password"))
    factory.clientConnectionLost(RecordingConnector(), Failure(ConnectionDone()))
    problem = SynchronousTestCase().failureResultOf(joined).value
    assert isinstance(problem, AuthenticationError)
    assert str(problem) == "wrong name or password"
    assert clock.getDelayedCalls() == []


def test_a_session_gets_its_extra_and_its_class_is_kept_over_reconnects() -> None:
    class Mine(BaseSession):
        pass

    reactor = MemoryReactorClock()
    Mine.start("unix:/x", "r1", extra={"chute": 3}, reactor=reactor)
    factory = reactor.unixClients[0][1]._factory
    first, second = factory(), factory()
    assert first is not second
    assert {type(first), type(second)} == {Mine}
    assert first.config.extra["chute"] == 3
    assert first.prefix == "org.paradrop.r1."


def test_stop_says_goodbye_and_does_not_come_back() -> None:
    factory, clock, sessions = raw_factory()
    connector = RecordingConnector()
    factory.startedConnecting(connector)
    session = sessions()
    transport = join(session)
    session.stop()
    assert transport.last(message.Goodbye).reason == "wamp.close.normal"
    session.onMessage(message.Goodbye("wamp.close.goodbye_and_out"))
    assert transport.closed
    session.onClose(True)
    factory.clientConnectionLost(connector, Failure(ConnectionDone()))
    assert clock.getDelayedCalls() == []
    assert connector.connects == 0


def test_stop_before_the_join_closes_the_link() -> None:
    _, clock, sessions = raw_factory()
    session = sessions()
    transport = RecordingTransport()
    session.onOpen(transport)
    session.stop()
    assert transport.closed
    assert clock.getDelayedCalls() == []


def test_stop_while_waiting_for_the_next_try_cancels_it() -> None:
    factory, clock, sessions = raw_factory()
    connector = RecordingConnector()
    factory.startedConnecting(connector)
    session = sessions()
    join(session)
    session.onClose(False)
    factory.clientConnectionLost(connector, Failure(ConnectionDone()))
    session.stop()
    assert clock.getDelayedCalls() == []
    clock.advance(60)
    assert connector.connects == 0


def test_stop_ends_a_link_that_came_after_the_stopped_session() -> None:
    """Whoever holds the session that ``start`` gave can end the later ones with it."""
    factory, clock, sessions = raw_factory()
    connector = RecordingConnector()
    factory.startedConnecting(connector)
    first = sessions()
    join(first)
    first.onClose(False)
    factory.clientConnectionLost(connector, Failure(ConnectionDone()))
    clock.advance(5)
    assert connector.connects == 1
    join(sessions())
    first.stop()
    assert (connector.stops, connector.disconnects) == (1, 1)
    factory.clientConnectionLost(connector, Failure(ConnectionDone()))
    assert clock.getDelayedCalls() == []


def test_the_error_tree_is_known_to_every_session(wire: Wire) -> None:
    answer = wire.session.call("x")
    wire.answer(message.Call, ChuteNotFound.uri(), "there is no chute 'x'")
    problem = wire.failure(answer)
    assert isinstance(problem, NotFound)
    assert str(problem) == "there is no chute 'x'"


def test_a_handlers_details_are_asked_for_as_autobahn_has_it(wire: Wire) -> None:
    got: list[Any] = []

    async def endpoint(value: int, details: Any) -> int:
        got.append((value, details.caller_authid, details.caller_authrole))
        return value

    wire.session.register(endpoint, "x", RegisterOptions(details_arg="details"))
    wire.receive(message.Registered(wire.transport.last(message.Register).request, 5))
    wire.receive(message.Invocation(9, 5, args=[4], caller=77, caller_authid="ada", caller_authrole="viewer"))
    assert got == [(4, "ada", "viewer")]
    assert wire.transport.last(message.Yield).args == [4]


def test_an_awaitable_is_what_everything_gives(wire: Wire) -> None:
    pending: list[Awaitable[Any]] = [wire.session.call("a"), wire.session.register(noop, "b"), wire.session.subscribe(noop, "c")]
    assert all(isinstance(one, Deferred) for one in pending)
