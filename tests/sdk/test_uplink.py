"""The uplink's own session, on a transport that is a list; and the addresses and refusals of a claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from autobahn.exception import PayloadExceededError
from autobahn.wamp import message, role
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallDetails, Challenge, CloseDetails, ComponentConfig, TransportDetails
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from paradrop import claim, uris
from paradrop.base._links import Reconnecting
from paradrop.base.exceptions import AuthenticationError, InvalidInput, InvitationRefused, TooManyAttempts, Unreachable
from paradrop.keys import Key
from paradrop.uplink import UplinkSession, link
from paradrop.uplink.passing import MOST_UNSENT
from paradrop.uplink.session import PATIENCE, REFUSED_DELAY

PDID = "acme.r1"
SPACE = f"org.paradrop.{PDID}."
REGISTRATION = 7


class Wire:
    """A transport that keeps what is sent."""

    transport_details = TransportDetails()

    class _serializer:
        SERIALIZER_ID = "cbor"

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.closed = False

    transport: Any = None
    largest: int | None = None
    """Characters of the first argument of a part of a result."""

    def send(self, msg: Any) -> None:
        if self.largest is not None and isinstance(msg, message.Yield) and msg.args and len(msg.args[0]) > self.largest:
            raise PayloadExceededError("too large")
        self.sent.append(msg)

    def isOpen(self) -> bool:
        return not self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def last(self, kind: type[Any]) -> Any:
        return [msg for msg in self.sent if isinstance(msg, kind)][-1]


class Recorder:
    """Something behind an uplink that keeps what it is told."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.answer: Any = None

    def up(self, session: UplinkSession) -> None:
        self.log.append("up")

    def down(self, reason: str, refused: bool) -> None:
        self.log.append((reason, refused))

    async def call(self, uri: str, args: Sequence[Any], kwargs: Mapping[str, Any], details: CallDetails) -> Any:
        self.log.append((uri, tuple(args), dict(kwargs)))
        return await self.answer if isinstance(self.answer, Deferred) else self.answer

    def want(self, patterns: list[tuple[str, str]]) -> None:
        self.log.append(patterns)


class Uplinked:
    def __init__(self, joined: bool = True) -> None:
        self.behind, self.wire, self.key = Recorder(), Wire(), Key(bytes(32))
        extra = {"pdid": PDID, "reactor": Clock(), "key": self.key, "behind": self.behind}
        self.session = UplinkSession(ComponentConfig(realm=uris.DEVICE_REALM, extra=extra))
        self.session.factory = Reconnecting()
        self.session.onOpen(self.wire)
        if joined:
            roles = {"broker": role.RoleBrokerFeatures(), "dealer": role.RoleDealerFeatures()}
            self.session.onMessage(message.Welcome(1, roles, realm=uris.DEVICE_REALM, authid=PDID, authrole="device"))
            self.session.onMessage(message.Registered(self.wire.last(message.Register).request, REGISTRATION))

    def invoke(self, name: str, *args: Any, request: int = 1, role: str = "server", **kwargs: Any) -> None:
        invocation = message.Invocation(
            request,
            REGISTRATION,
            args=args,
            kwargs=kwargs,
            procedure=SPACE + name,
            caller=3,
            caller_authid="s",
            caller_authrole=role,
        )
        self.session.onMessage(invocation)


def test_it_joins_with_its_key_and_takes_its_whole_space_once() -> None:
    uplinked = Uplinked()
    hello, register = uplinked.wire.sent[0], uplinked.wire.last(message.Register)
    assert (hello.authmethods, hello.authid, hello.authextra) == (["cryptosign"], PDID, {"pubkey": uplinked.key.public})
    assert (register.procedure, register.match, register.force_reregister) == (SPACE, "prefix", True)
    assert uplinked.behind.log == ["up"]


def test_it_signs_what_the_server_asks() -> None:
    session = Uplinked(joined=False).session
    signed = session.onChallenge(Challenge("cryptosign", {"challenge": "ab" * 32}))
    assert signed.endswith("ab" * 32)
    with pytest.raises(AuthenticationError):
        session.onChallenge(Challenge("ticket", {}))


def test_a_server_that_does_not_give_it_its_names_is_left() -> None:
    uplinked = Uplinked(joined=False)
    roles = {"broker": role.RoleBrokerFeatures(), "dealer": role.RoleDealerFeatures()}
    uplinked.session.onMessage(message.Welcome(1, roles, realm=uris.DEVICE_REALM))
    request = uplinked.wire.last(message.Register).request
    uplinked.session.onMessage(message.Error(message.Register.MESSAGE_TYPE, request, ApplicationError.NOT_AUTHORIZED))
    assert isinstance(uplinked.wire.sent[-1], message.Goodbye)
    ((reason, refused),) = uplinked.behind.log
    assert (refused, reason.startswith("the server does not take the device's names")) == (False, True)


def test_calls_and_wishes_reach_what_is_behind() -> None:
    uplinked = Uplinked()
    uplinked.behind.answer = [1, 2]
    uplinked.invoke("chute.a.b", 1, c=2)
    assert uplinked.behind.log[-1] == (f"{SPACE}chute.a.b", (1,), {"c": 2})
    assert uplinked.wire.last(message.Yield).args == [[1, 2]]
    uplinked.invoke(uris.UPLINK_WANT, [["exact", "x"]], request=2)
    assert uplinked.behind.log[-1] == [("exact", "x")]


def test_a_call_that_is_interrupted_is_cancelled_and_answered() -> None:
    uplinked = Uplinked()
    cancelled: list[Any] = []
    uplinked.behind.answer = Deferred(cancelled.append)
    uplinked.invoke("chute.a.b")
    uplinked.session.onMessage(message.Interrupt(1))
    assert len(cancelled) == 1
    assert uplinked.wire.last(message.Error).error == ApplicationError.CANCELED


def test_a_defect_behind_is_told_as_one() -> None:
    uplinked = Uplinked()
    failing: Deferred[Any] = Deferred()
    failing.addErrback(lambda problem: problem)
    uplinked.behind.answer = failing
    uplinked.invoke("chute.a.b")
    failing.errback(ZeroDivisionError("secret"))
    error = uplinked.wire.last(message.Error)
    assert error.error == "org.paradrop.error.internal"
    assert "secret" not in str(error.args)


@pytest.mark.parametrize("kwargs", [{"callee": 1, "error": 2, "options": 3}, {}])
def test_results_and_errors_of_calls_that_pass_are_what_they_were(kwargs: dict[str, Any]) -> None:
    """With these keywords, Autobahn's own way raises inside the session, which ends it."""
    session, wire = (uplinked := Uplinked()).session, uplinked.wire
    outcomes: list[Any] = []
    for _ in range(2):
        session.pass_call("org.paradrop.x.y", [1], kwargs).addBoth(outcomes.append)
    first, second = (msg for msg in wire.sent if isinstance(msg, message.Call))
    assert (first.kwargs or {}) == kwargs
    session.onMessage(message.Result(first.request, args=[1, 2], kwargs=kwargs))
    session.onMessage(message.Error(message.Call.MESSAGE_TYPE, second.request, "com.example.x", args=[3], kwargs=kwargs))
    assert (outcomes[0].results, outcomes[0].kwresults) == ((1, 2), kwargs)
    assert (outcomes[1].value.error, outcomes[1].value.args, outcomes[1].value.kwargs) == ("com.example.x", (3,), kwargs)
    assert session.is_attached()


def test_an_answer_that_comes_after_the_cancel_harms_nobody() -> None:
    session, wire = (uplinked := Uplinked()).session, uplinked.wire
    outcomes: list[Any] = []
    answer = session.pass_call("org.paradrop.x.y", [], {})
    answer.addBoth(outcomes.append)
    answer.cancel()
    request = wire.last(message.Cancel).request
    session.onMessage(message.Error(message.Call.MESSAGE_TYPE, request, ApplicationError.CANCELED))
    assert len(outcomes) == 1
    assert not session._passed


@pytest.mark.parametrize(
    ("reason", "refused"),
    [
        (ApplicationError.NOT_AUTHORIZED, True),
        (AuthenticationError.uri(), True),
        (ApplicationError.NO_SUCH_PROCEDURE, False),  # the service beside the node is not there yet
        (ApplicationError.NO_SUCH_REALM, False),
        ("wamp.close.normal", False),
    ],
)
def test_a_refusal_is_told_from_trouble_that_passes(reason: str, refused: bool) -> None:
    uplinked = Uplinked(joined=False)
    uplinked.session.onMessage(message.Abort(reason, message="words"))
    uplinked.session.onClose(True)
    assert uplinked.behind.log == [("words", refused)]
    factory = uplinked.session.factory
    assert factory is not None
    assert (factory.delay == REFUSED_DELAY) is refused


def test_being_sent_away_after_joining_is_no_refusal() -> None:
    uplinked = Uplinked()
    uplinked.session.onMessage(message.Goodbye(ApplicationError.NOT_AUTHORIZED, message="your key was changed"))
    assert uplinked.behind.log == ["up", ("your key was changed", False)]


def test_a_lost_link_is_told_once_and_ends_what_waits() -> None:
    uplinked = Uplinked()
    outcomes: list[Any] = []
    uplinked.session.pass_call("org.paradrop.x.y", [], {}).addBoth(outcomes.append)
    uplinked.session.onClose(False)
    assert uplinked.behind.log == ["up", ("the link went down", False)]
    assert outcomes[0].check(Unreachable)
    with pytest.raises(Unreachable):
        uplinked.session.pass_call("org.paradrop.x.y", [], {})


class Slow:
    """A connection whose other side reads nothing, as Twisted's."""

    offset = 0

    def __init__(self, waiting: int) -> None:
        self.dataBuffer = bytes(waiting)
        self._tempDataLen = 0


class TestSlowLink:
    def test_events_are_dropped_and_calls_refused_until_it_has_read(self) -> None:
        uplinked = Uplinked()
        event = message.Event(1, 2, args=["x"])
        uplinked.wire.transport = Slow(MOST_UNSENT + 1)
        sent = len(uplinked.wire.sent)
        uplinked.session.pass_event(f"{SPACE}chute.a.b", event)
        with pytest.raises(TooManyAttempts):
            uplinked.session.pass_call("org.paradrop.x.y", [], {})
        assert len(uplinked.wire.sent) == sent
        uplinked.invoke("chute.a.b")
        assert uplinked.wire.last(message.Error).error == TooManyAttempts.uri()
        uplinked.wire.transport = Slow(MOST_UNSENT)
        uplinked.session.pass_event(f"{SPACE}chute.a.b", event)
        assert uplinked.wire.last(message.Publish).args == ["x"]

    @pytest.mark.parametrize("at_once", [False, True])
    def test_a_part_of_a_result_that_cannot_be_sent_ends_the_call_on_both_sides(self, at_once: bool) -> None:
        uplinked = Uplinked()
        cancelled: list[Any] = []
        parts: list[Any] = []

        async def work(uri: str, args: Any, kwargs: Any, details: CallDetails) -> Any:
            parts.append(details.progress)
            if at_once:
                details.progress("large")
            await Deferred(cancelled.append)

        uplinked.behind.call = work  # type: ignore[method-assign]
        uplinked.wire.largest = 3
        invocation = message.Invocation(1, REGISTRATION, procedure=f"{SPACE}chute.a.b", caller=3, receive_progress=True)
        uplinked.session.onMessage(invocation)
        if not at_once:
            parts[0]("ok")
            assert uplinked.wire.last(message.Yield).args == ("ok",)
            assert not cancelled
            parts[0]("large")
        parts[0]("ok")  # too late
        answers = [msg for msg in uplinked.wire.sent if isinstance(msg, message.Error)]
        assert [answer.error for answer in answers] == [ApplicationError.PAYLOAD_SIZE_EXCEEDED]
        assert len(cancelled) == 1
        assert len([msg for msg in uplinked.wire.sent if isinstance(msg, message.Yield)]) == (0 if at_once else 1)


class TestLink:
    def make(self) -> tuple[MemoryReactorClock, Recorder, Any]:
        reactor, behind = MemoryReactorClock(), Recorder()
        made = link(reactor, "rs://server.example:8080", PDID, Key(bytes(32)), behind, explain=lambda reason: "no route")
        return reactor, behind, made

    def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(self) -> None:
        reactor, behind, made = self.make()
        (connector,) = reactor.connectors
        reactor.advance(PATIENCE - 1)
        assert not connector._disconnected
        reactor.advance(1)
        assert connector._disconnected
        reactor.tcpClients[0][2].clientConnectionLost(connector, Failure(ConnectionDone()))
        assert behind.log == [("the server took the connection and said nothing for 60 s", False)]
        made.stop()
        assert reactor.getDelayedCalls() == []

    def test_a_failed_attempt_is_told_and_another_follows(self) -> None:
        from twisted.internet.error import ConnectionRefusedError

        reactor, behind, made = self.make()
        factory = reactor.tcpClients[0][2]
        factory.clientConnectionFailed(reactor.connectors[0], Failure(ConnectionRefusedError()))
        assert behind.log == [("no route", False)]
        (again,) = reactor.getDelayedCalls()
        assert 0.5 < again.getTime() < 4
        made.stop()
        assert reactor.getDelayedCalls() == []

    def test_a_bad_address(self) -> None:
        with pytest.raises(InvalidInput):
            link(MemoryReactorClock(), "http://x", PDID, Key(bytes(32)), Recorder())


@pytest.mark.parametrize(
    ("url", "raw", "web"),
    [
        ("https://server.example", "rss://server.example:8443", "wss://server.example:8443/ws"),
        ("https://server.example:443/", "rss://server.example:443", "wss://server.example:443/ws"),
        ("server.example:1234", "rss://server.example:1234", "wss://server.example:1234/ws"),
        (" Server.Example ", "rss://server.example:8443", "wss://server.example:8443/ws"),
        ("wss://server.example:443/fabric/ws", "wss://server.example:443/fabric/ws", "wss://server.example:443/fabric/ws"),
        ("wss://server.example", "wss://server.example:8443/ws", "wss://server.example:8443/ws"),
        ("https://[fe80::1]:9000", "rss://[fe80::1]:9000", "wss://[fe80::1]:9000/ws"),
        ("192.0.2.1", "rss://192.0.2.1:8443", "wss://192.0.2.1:8443/ws"),
    ],
)
def test_where_a_server_is_reached(url: str, raw: str, web: str) -> None:
    assert claim.address(url) == raw
    assert claim.address(url, "websocket") == web
    assert claim.normal(url).startswith("https://")


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "http://x",
        "https://",
        "https://x/y",
        "https://x?y",
        "https://x#y",
        "https://u:p@x",
        "x:y",
        "x:99999",
        "a b",
        "a\nb",
        "rs://x",
    ],
)
def test_what_is_no_url_of_a_server(url: str) -> None:
    with pytest.raises(InvalidInput):
        claim.address(url)


@pytest.mark.parametrize(
    ("reason", "words", "kind"),
    [
        (InvitationRefused.uri(), "it has expired", InvitationRefused),
        (AuthenticationError.uri(), "no", AuthenticationError),
        (ApplicationError.NOT_AUTHORIZED, "no", InvitationRefused),
        (ApplicationError.NO_SUCH_PROCEDURE, "no authenticator", Unreachable),
        ("org.paradrop.error.database_unavailable", "locked", Unreachable),
    ],
)
def test_why_a_guest_is_not_let_in(reason: str, words: str, kind: type[Exception]) -> None:
    problem = claim._refusal(CloseDetails(reason, words))
    assert type(problem) is kind
    assert words in str(problem)
