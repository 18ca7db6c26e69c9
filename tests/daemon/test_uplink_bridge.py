"""Two realms in one process, a device's and one that stands for its server's, with the bridge between them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallDetails, CallOptions, EventDetails, PublishOptions, RegisterOptions, SubscribeOptions
from twisted.internet.defer import Deferred

from paradrop import uris
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import NotPermitted, TooManyAttempts, Unreachable
from paradrop.permissions import Role
from paradrop.tokens import Token
from paradrop.uplink import PassingSession
from paradrop.values import UplinkState, Welcome
from paradropd.permissions import ChutePeer
from upstream import MemoryLink, Outcome, Upstream, call

PDID = "acme.r1"
SPACE = f"org.paradrop.{PDID}."
HELLO = f"{SPACE}chute.hello."
OTHER = "org.paradrop.acme.r2.chute.clock."
TOKEN = str(Token("one", "secret"))
MANIFEST = b"name: clock\nversion: '1'\ntype: light\nuse: python3\ncommand: stay\nfabric: {shares: [now]}\n"
DIGEST = hashlib.sha256(MANIFEST).hexdigest()
DETAILS = RegisterOptions(details_arg="details")


async def welcome(reactor: Any, url: str, token: Token, public_key: str, label: str = "", **more: Any) -> Welcome:
    return Welcome(subject=PDID, server=url)


class Pair:
    """A device and its server."""

    def __init__(self, folder: Path, box_class: Any) -> None:
        self.reactor = box_class.make_reactor()
        self.upstream = Upstream(self.reactor)
        self.box = box_class(folder, self.reactor, make_link=self.upstream.make_link, accept=welcome)
        self.box.start()
        self.box.call("node.provision", "https://server.example", TOKEN)
        self.settle()
        self.shares: dict[str, list[str]] = {}
        self.bridge._shares = lambda chute: self.shares.get(chute, [])

    @property
    def link(self) -> MemoryLink:
        return self.upstream.links[-1]

    @property
    def bridge(self) -> Any:
        return self.box.device.uplink._bridge

    def settle(self) -> None:
        self.reactor.advance(0)
        self.reactor.advance(0)

    def chute(self, name: str, *uses: str, kind: type[Any] = BaseSession) -> Any:
        session = kind(self.box.device.realm.config())
        self.box.device.realm._router.attach(session, ChutePeer(name, uses), interrupts=True)
        return session

    def user(self, name: str = "ada", role: Role | None = Role.OWNER) -> PassingSession:
        self.upstream.roles[name] = role
        session: PassingSession = self.upstream.session(name, "user")
        return session

    def want(self, *patterns: tuple[str, str]) -> Outcome:
        return call(self.upstream.server, SPACE + uris.UPLINK_WANT, [list(pattern) for pattern in patterns])


@pytest.fixture
def pair(tmp_path: Path, box_class: Any) -> Iterator[Pair]:
    pair = Pair(tmp_path, box_class)
    yield pair
    pair.box.stop()
    assert pair.reactor.getDelayedCalls() == []


def offer(session: BaseSession, name: str, function: Any, details: bool = False) -> None:
    outcome = Outcome(session.stockRegister(function, uris.resolve(name), DETAILS if details else None))
    assert not outcome.pending
    outcome.answer.addErrback(lambda problem: problem.raiseException())


class TestCallsDown:
    def test_a_user_calls_a_chute_and_the_daemon(self, pair: Pair) -> None:
        offer(pair.chute("hello"), "hello.greet", lambda name: f"Hello, {name}!")
        ada = pair.user()
        assert call(ada, HELLO + "greet", "World").result == (["Hello, World!"], {})
        answer = call(ada, SPACE + "node.info")
        pair.settle()
        assert answer.result[0][0]["pdid"] == PDID

    def test_every_argument_and_result_passes_as_it_is(self, pair: Pair) -> None:
        """Names that Autobahn takes for its own among them."""
        names = {"options": 1, "procedure": 2, "details": 3, "error": 4, "callee": 5, "self": 6, "uri": "org.paradrop.local.x"}
        echo = pair.chute("hello", kind=PassingSession)
        echo.serve = lambda uri, args, kwargs, details: _soon(_result(args, kwargs))
        assert not Outcome(echo.offer(uris.resolve("hello.echo"))).pending
        assert call(pair.user(), HELLO + "echo", 1, [b"\xff"], None, **names).result == ([1, [b"\xff"], None], names)
        assert call(pair.user(), HELLO + "echo").result == ([], {})

    def test_progress_comes_in_order_and_then_the_result(self, pair: Pair) -> None:
        def count(to: int, details: CallDetails) -> str:
            for number in range(to):
                details.progress(number, of=to)
            return "done"

        offer(pair.chute("hello"), "hello.count", count, details=True)
        seen: list[Any] = []
        answer = call(pair.user(), HELLO + "count", 3, progress=lambda *args, **kwargs: seen.append((args, kwargs)))
        assert seen == [((number,), {"of": 3}) for number in range(3)]
        assert answer.result == (["done"], {})

    def test_an_error_keeps_its_uri_arguments_and_keywords(self, pair: Pair) -> None:
        def fail() -> None:
            problem = ApplicationError("com.example.broken", 1, "two")
            problem.kwargs = {"error": "three", "callee": 4}
            raise problem

        offer(pair.chute("hello"), "hello.fail", fail)
        assert call(pair.user(), HELLO + "fail").error == ("com.example.broken", [1, "two"], {"error": "three", "callee": 4})

    def test_what_nobody_has_registered_fails_at_once(self, pair: Pair) -> None:
        uri, args, _ = call(pair.user(), HELLO + "nothing").error
        assert uri == ApplicationError.NO_SUCH_PROCEDURE
        assert "hello.nothing" in args[0]

    def test_an_error_of_our_tree_arrives_as_itself(self, pair: Pair) -> None:
        pair.upstream.roles["ada"] = Role.OWNER
        ada = pair.upstream.session("ada", "user", BaseSession)
        problems: list[Any] = []
        ada.stockCall(SPACE + "chutes.get", "nothing").addErrback(problems.append)
        pair.settle()
        assert type(problems[0].value).__name__ == "ChuteNotFound"

    def test_who_called_is_told_with_their_role_on_this_device(self, pair: Pair) -> None:
        offer(pair.chute("hello"), "hello.who", lambda details: [details.caller_authid, details.caller_authrole], details=True)
        assert call(pair.user("ada", Role.OPERATOR), HELLO + "who").result == ([["ada@server", "operator"]], {})
        assert call(pair.upstream.server, HELLO + "who").result == ([["server", "owner"]], {})

    def test_a_change_names_who_asked_for_it(self, pair: Pair) -> None:
        """All the way into a handler of the daemon."""
        ada = pair.user()
        call(ada, SPACE + "people.add", "ann", "a long password", "owner")
        answer = call(ada, SPACE + "blobs.put", DIGEST, len(MANIFEST), 0, MANIFEST)
        assert answer.result == ([{"have": len(MANIFEST)}], {})
        answer = call(
            ada, SPACE + "chutes.deploy", {"entries": [{"path": "paradrop.yaml", "size": len(MANIFEST), "sha256": DIGEST}]}
        )
        pair.box.advance(3)
        assert answer.result[0][0]["actor"] == "ada@server"
        assert pair.box.call("changes.list")[0]["state"] == "done"

    @pytest.mark.parametrize(
        ("role", "name", "allowed"),
        [
            (Role.VIEWER, "node.info", True),
            (Role.VIEWER, "chutes.stop", False),
            (Role.VIEWER, "chute.hello.greet", False),
            (Role.OPERATOR, "chute.hello.greet", True),
            (Role.OPERATOR, "config.show", False),
            (Role.OPERATOR, "node.unprovision", False),
            (Role.OWNER, "config.show", True),
            (None, "node.info", False),
            (None, "chute.hello.greet", False),
        ],
    )
    def test_a_person_may_what_their_role_on_the_device_grants(
        self, pair: Pair, role: Role | None, name: str, allowed: bool
    ) -> None:
        offer(pair.chute("hello"), "hello.greet", lambda: "hello")
        answer = call(pair.user("bob", role), SPACE + name)
        pair.settle()
        if allowed:
            assert answer.result[0]
        else:
            assert answer.error == (NotPermitted.uri(), [f"you may not call {SPACE}{name}"], {})

    @pytest.mark.parametrize("name", ["local", "server", "ann"])
    def test_nobody_from_upstream_is_taken_for_somebody_of_the_device(self, pair: Pair, name: str) -> None:
        offer(pair.chute("hello"), "hello.who", lambda details: details.caller_authid, details=True)
        assert call(pair.user(name), HELLO + "who").result == ([f"{name}@server"], {})

    def test_nobody_gets_a_login_link_by_way_of_the_server(self, pair: Pair) -> None:
        """A session that it made would outlive whatever the server takes back."""
        assert pair.box.call("people.link")
        for session in (pair.user(), pair.upstream.server):
            answer = call(session, SPACE + "people.link")
            pair.settle()
            assert answer.error[0] == NotPermitted.uri()

    def test_the_server_is_asked_once_for_each_session(self, pair: Pair) -> None:
        offer(pair.chute("hello"), "hello.greet", lambda: "hello")
        ada, again = pair.user(), pair.user()
        for session in (ada, ada, again, ada):
            assert call(session, HELLO + "greet").result
        assert pair.upstream.asked == ["ada", "ada"]
        pair.link.cut()
        pair.link.connect()
        assert call(ada, HELLO + "greet").result
        assert len(pair.upstream.asked) == 3

    def test_what_is_remembered_of_callers_is_bounded(self, pair: Pair) -> None:
        offer(pair.chute("hello"), "hello.greet", lambda: "hello")
        pair.bridge._roles._most = 2
        for _ in range(5):
            call(pair.user(), HELLO + "greet")
        assert len(pair.bridge._roles) == 2

    @pytest.mark.parametrize("role", ["guest", "device", "stranger"])
    def test_whoever_is_neither_person_nor_chute_nor_server_may_nothing(self, pair: Pair, role: str) -> None:
        offer(pair.chute("hello"), "hello.greet", lambda: "hello")
        pair.shares["hello"] = ["*"]
        answer = call(pair.upstream.session("acme.r1", role), HELLO + "greet")
        assert answer.error[0] == NotPermitted.uri()

    def test_only_the_server_says_what_is_wanted(self, pair: Pair) -> None:
        answer = call(pair.user(), SPACE + uris.UPLINK_WANT, [["prefix", SPACE]])
        assert answer.error[0] == NotPermitted.uri()
        assert pair.bridge.relayed == frozenset()

    @pytest.mark.parametrize("patterns", ["x", [1], [["exact"]], [["exact", 1]], [[]]])
    def test_what_is_no_list_of_patterns_is_refused(self, pair: Pair, patterns: Any) -> None:
        assert call(pair.upstream.server, SPACE + uris.UPLINK_WANT, patterns).error[0] == "org.paradrop.error.invalid_input"

    def test_a_caller_that_gives_up_interrupts_the_chute(self, pair: Pair) -> None:
        stopped: list[str] = []
        offer(pair.chute("hello"), "hello.wait", lambda: Deferred(lambda answer: stopped.append("interrupted")))
        answer = call(pair.user(), HELLO + "wait")
        assert answer.pending
        answer.answer.cancel()
        assert stopped == ["interrupted"]
        assert pair.link.session is not None
        assert not pair.link.session._serving

    def test_a_caller_that_vanishes_interrupts_the_chute(self, pair: Pair) -> None:
        stopped: list[str] = []
        offer(pair.chute("hello"), "hello.wait", lambda: Deferred(lambda answer: stopped.append("interrupted")))
        ada = pair.user()
        call(ada, HELLO + "wait")
        pair.upstream.end(ada)
        assert stopped == ["interrupted"]

    def test_a_lost_link_interrupts_the_chute(self, pair: Pair) -> None:
        stopped: list[str] = []
        offer(pair.chute("hello"), "hello.wait", lambda: Deferred(lambda answer: stopped.append("interrupted")))
        call(pair.user(), HELLO + "wait")
        pair.link.cut()
        assert stopped == ["interrupted"]

    def test_the_bridge_has_no_deadline_of_its_own(self, pair: Pair) -> None:
        waiting: list[Deferred[str]] = [Deferred()]
        offer(pair.chute("hello"), "hello.wait", lambda: waiting[0])
        answer = call(pair.user(), HELLO + "wait")
        pair.reactor.advance(3600)
        assert answer.pending
        waiting[0].callback("at last")
        assert answer.result == (["at last"], {})

    def test_calls_in_passing_are_bounded(self, pair: Pair) -> None:
        waiting: list[Deferred[str]] = []

        def wait() -> Deferred[str]:
            waiting.append(Deferred())
            return waiting[-1]

        offer(pair.chute("hello"), "hello.wait", wait)
        assert pair.link.session is not None
        pair.link.session.most_calls = 3
        callers = [pair.user(name) for name in ("ada", "bob", "eve", "dan")]
        answers = [call(caller, HELLO + "wait") for caller in callers]
        assert [answer.pending for answer in answers] == [True, True, True, False]
        assert answers[3].error[0] == TooManyAttempts.uri()
        waiting[0].callback("done")
        assert call(callers[3], HELLO + "wait").pending
        assert answers[0].result == (["done"], {})

    def test_one_caller_cannot_take_the_place_of_all(self, pair: Pair) -> None:
        waiting: list[Deferred[str]] = []

        def wait() -> Deferred[str]:
            waiting.append(Deferred())
            return waiting[-1]

        offer(pair.chute("hello"), "hello.wait", wait)
        assert pair.link.session is not None
        pair.link.session.most_calls = 8
        greedy, other = pair.user("eve"), pair.user("ada")
        answers = [call(greedy, HELLO + "wait") for _ in range(3)]
        assert [answer.pending for answer in answers] == [True, True, False]
        assert answers[2].error[0] == TooManyAttempts.uri()
        assert call(other, HELLO + "wait").pending
        waiting[0].callback("done")
        assert call(greedy, HELLO + "wait").pending


class TestChutesOfOtherDevices:
    def remote(self, pair: Pair) -> Any:
        return pair.upstream.session("hello@acme.r2", "chute")

    @pytest.mark.parametrize(
        ("shares", "name", "allowed"),
        [
            ([], "clock.now", False),
            (["now"], "clock.now", True),
            (["no"], "clock.now", False),
            (["now"], "clock.now.more", False),
            (["data.*"], "clock.data.all", True),
            (["data.*"], "clock.database", False),
            (["*"], "clock.now", True),
            (["*"], "other.now", False),
        ],
    )
    def test_reach_what_the_manifest_shares(self, pair: Pair, shares: list[str], name: str, allowed: bool) -> None:
        offer(pair.chute(name.partition(".")[0]), name, lambda details: details.caller_authid, details=True)
        pair.shares["clock"] = shares
        answer = call(self.remote(pair), f"{SPACE}chute.{name}")
        if allowed:
            assert answer.result == (["hello@acme.r2"], {})
        else:
            assert answer.error[0] == NotPermitted.uri()

    @pytest.mark.parametrize("name", ["node.info", "chutes.list", "chutes.stop", "chute", "chute.clock", "chute..now"])
    def test_never_reach_the_daemon(self, pair: Pair, name: str) -> None:
        pair.shares["clock"] = ["*"]
        assert call(self.remote(pair), SPACE + name).error[0] in (NotPermitted.uri(), ApplicationError.INVALID_URI)

    def test_shares_come_from_the_manifest_of_what_is_deployed(self, pair: Pair) -> None:
        ada = pair.user()
        call(ada, SPACE + "blobs.put", DIGEST, len(MANIFEST), 0, MANIFEST)
        call(ada, SPACE + "chutes.deploy", {"entries": [{"path": "paradrop.yaml", "size": len(MANIFEST), "sha256": DIGEST}]})
        pair.box.advance(3)
        pair.bridge._shares = pair.box.device._shares
        clock = pair.chute("clock")
        offer(clock, "clock.now", lambda: 12)
        offer(clock, "clock.set", lambda: None)
        assert call(self.remote(pair), f"{SPACE}chute.clock.now").result == ([12], {})
        for name in ("clock.set", "nothing.now"):
            assert call(self.remote(pair), f"{SPACE}chute.{name}").error[0] == NotPermitted.uri()


class TestCallsUp:
    def test_a_chute_calls_a_chute_of_another_device(self, pair: Pair) -> None:
        def now(zone: str, details: CallDetails) -> list[Any]:
            details.progress("wait", zone=zone)
            return [zone, details.caller_authid, details.caller_authrole]

        remote = pair.upstream.session("acme.r2", "device", BaseSession)
        Outcome(remote.stockRegister(now, OTHER + "now", DETAILS))
        chute = pair.chute("hello", f"{OTHER}*", kind=PassingSession)
        seen: list[Any] = []
        answer = call(chute, OTHER + "now", "UTC", progress=lambda *args, **kwargs: seen.append((args, kwargs)))
        # The server's gate adds the device's name to the chute's; what the device says is the chute's.
        assert answer.result == ([["UTC", "hello", "chute"]], {})
        assert seen == [(("wait",), {"zone": "UTC"})]

    def test_only_what_the_manifest_uses(self, pair: Pair) -> None:
        remote = pair.upstream.session("acme.r2", "device", BaseSession)
        Outcome(remote.stockRegister(lambda: "now", OTHER + "now"))
        assert (
            call(pair.chute("hello", "clock.*", kind=PassingSession), OTHER + "now").error[0] == ApplicationError.NOT_AUTHORIZED
        )

    def test_an_error_from_upstream_is_as_it_was(self, pair: Pair) -> None:
        def fail() -> None:
            problem = ApplicationError("com.example.broken", 1)
            problem.kwargs = {"error": 2}
            raise problem

        remote = pair.upstream.session("acme.r2", "device", BaseSession)
        Outcome(remote.stockRegister(fail, OTHER + "fail"))
        chute = pair.chute("hello", f"{OTHER}*", kind=PassingSession)
        assert call(chute, OTHER + "fail").error == ("com.example.broken", [1], {"error": 2})
        assert call(chute, OTHER + "nothing").error[0] == ApplicationError.NO_SUCH_PROCEDURE

    def test_a_name_of_this_device_never_goes_up(self, pair: Pair) -> None:
        chute = pair.chute("hello", "clock.*", f"{HELLO}*", kind=PassingSession)
        for uri in (uris.resolve("hello.nothing"), uris.resolve("clock.now"), HELLO + "greet"):
            assert call(chute, uri).error[0] == ApplicationError.NO_SUCH_PROCEDURE
        assert pair.link.session is not None
        assert not pair.link.session._passed

    def test_a_caller_that_gives_up_or_vanishes_interrupts_the_other_device(self, pair: Pair) -> None:
        stopped: list[str] = []
        remote = pair.upstream.session("acme.r2", "device", BaseSession)
        Outcome(remote.stockRegister(lambda: Deferred(lambda answer: stopped.append("interrupted")), OTHER + "wait"))
        first, second = (pair.chute("hello", f"{OTHER}*", kind=PassingSession) for _ in range(2))
        call(first, OTHER + "wait").answer.cancel()
        assert stopped == ["interrupted"]
        call(second, OTHER + "wait")
        pair.box.device.realm._router._router.detach(second)
        assert stopped == ["interrupted", "interrupted"]

    def test_a_deadline_of_the_chute_ends_the_call_everywhere(self, pair: Pair) -> None:
        stopped: list[str] = []
        remote = pair.upstream.session("acme.r2", "device", BaseSession)
        Outcome(remote.stockRegister(lambda: Deferred(lambda answer: stopped.append("interrupted")), OTHER + "wait"))
        chute = pair.chute("hello", f"{OTHER}*")
        answer = Outcome(chute.stockCall(OTHER + "wait", options=CallOptions(timeout=5)))
        pair.reactor.advance(5)
        assert answer.error[0] == "org.paradrop.error.deadline_exceeded"
        assert stopped == ["interrupted"]

    def test_without_a_link_it_fails_at_once_and_says_so(self, pair: Pair) -> None:
        pair.link.cut()
        uri, args, _ = call(pair.chute("hello", f"{OTHER}*", kind=PassingSession), OTHER + "now").error
        assert uri == Unreachable.uri()
        assert "no link to the server" in args[0]

    def test_when_the_link_goes_whoever_waits_is_told_at_once(self, pair: Pair) -> None:
        remote = pair.upstream.session("acme.r2", "device", BaseSession)
        Outcome(remote.stockRegister(Deferred, OTHER + "wait"))
        answer = call(pair.chute("hello", f"{OTHER}*", kind=PassingSession), OTHER + "wait")
        assert answer.pending
        pair.link.cut()
        assert answer.error[0] == Unreachable.uri()

    def test_chutes_of_a_device_that_is_cut_off_keep_calling_each_other(self, pair: Pair) -> None:
        offer(pair.chute("clock"), "clock.now", lambda: 12)
        chute = pair.chute("hello", "clock.*")
        waiting: Deferred[int] = Deferred()
        offer(pair.chute("slow"), "slow.work", lambda: waiting)
        under_way = Outcome(pair.chute("third", "slow.*").stockCall(uris.resolve("slow.work")))
        pair.link.cut()
        assert Outcome(chute.stockCall(uris.resolve("clock.now"))).values == [12]
        waiting.callback(1)
        assert under_way.values == [1]
        assert pair.box.device.uplink.status.state is UplinkState.CONNECTING

    def test_a_device_that_is_alone_has_no_default_route(self, box: Any) -> None:
        chute = PassingSession(box.device.realm.config())
        box.device.realm._router.attach(chute, ChutePeer("hello", (f"{OTHER}*",)))
        assert call(chute, OTHER + "now").error[0] == ApplicationError.NO_SUCH_PROCEDURE
        assert not [info for info in box.call("fabric.procedures") if info["match"] == "prefix"]


class Listener:
    def __init__(self, session: BaseSession, match: str, uri: str) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.topics: list[str] = []
        self.publishers: list[tuple[Any, Any]] = []
        answers: list[Any] = []
        session.stockSubscribe(self, uri, SubscribeOptions(match=match, details_arg="details")).addBoth(answers.append)
        self.subscription = answers[0]

    def __call__(self, *args: Any, details: EventDetails, **kwargs: Any) -> None:
        self.events.append((*args, kwargs) if kwargs else args)
        self.topics.append(details.topic)
        self.publishers.append((details.publisher_authid, details.publisher_authrole))


class TestEventsUp:
    def test_nothing_goes_up_unless_it_is_wanted(self, pair: Pair) -> None:
        listener = Listener(pair.user(), "prefix", SPACE)
        chute = pair.chute("hello")
        chute.publish("chute.hello.ticks", 1)
        assert listener.events == []
        pair.want(("exact", HELLO + "ticks"))
        chute.publish("chute.hello.ticks", 2, more="three")
        chute.publish("chute.hello.other", 4)
        assert listener.events == [(2, {"more": "three"})]
        assert listener.topics == [HELLO + "ticks"]

    @pytest.mark.parametrize(
        "pattern",
        [
            ("exact", HELLO + "ticks"),
            ("prefix", HELLO),
            ("prefix", SPACE),
            ("prefix", "org.paradrop."),
            ("wildcard", "org.paradrop.acme..chute.hello.ticks"),
        ],
    )
    def test_each_kind_of_pattern(self, pair: Pair, pattern: tuple[str, str]) -> None:
        listener = Listener(pair.user(), "exact", HELLO + "ticks")
        pair.want(pattern)
        pair.chute("hello").publish("chute.hello.ticks", 1)
        assert listener.events == [(1,)]

    def test_it_ends_at_once_when_it_is_wanted_no_more(self, pair: Pair) -> None:
        listener = Listener(pair.user(), "prefix", SPACE)
        chute = pair.chute("hello")
        pair.want(("prefix", HELLO), ("exact", SPACE + "chutes.updated"))
        pair.want(("exact", SPACE + "chutes.updated"))
        chute.publish("chute.hello.ticks", 1)
        assert listener.events == []
        assert pair.bridge.relayed == {("exact", uris.local("chutes.updated"))}
        pair.want()
        assert pair.bridge.relayed == frozenset()

    def test_patterns_that_overlap_bring_an_event_once(self, pair: Pair) -> None:
        listener = Listener(pair.user(), "exact", HELLO + "ticks")
        pair.want(("exact", HELLO + "ticks"), ("prefix", HELLO), ("prefix", SPACE))
        chute = pair.chute("hello")
        for number in range(3):
            chute.publish("chute.hello.ticks", number)
        assert listener.events == [(0,), (1,), (2,)]

    def test_the_publisher_is_told(self, pair: Pair) -> None:
        listener = Listener(pair.user(), "prefix", SPACE)
        pair.want(("prefix", SPACE))
        pair.chute("hello").publish("chute.hello.ticks", 1)
        pair.box.device._publish("chutes.updated", 2)
        assert listener.publishers == [("hello", "chute"), (PDID, "device")]

    def test_other_devices_get_only_what_the_manifest_shares(self, pair: Pair) -> None:
        person = Listener(pair.user(), "prefix", SPACE)
        device = Listener(pair.upstream.session("acme.r2", "device", BaseSession), "prefix", SPACE)
        pair.shares["hello"] = ["ticks"]
        pair.want(("prefix", SPACE))
        chute = pair.chute("hello")
        chute.publish("chute.hello.ticks", 1)
        chute.publish("chute.hello.secret", 2)
        pair.box.device._publish("chutes.updated", 3)
        assert person.events == [(1,), (2,), (3,)]
        assert device.events == [(1,)]

    def test_a_new_link_begins_with_nothing_wanted(self, pair: Pair) -> None:
        listener = Listener(pair.user(), "prefix", SPACE)
        pair.want(("prefix", SPACE))
        pair.link.cut()
        assert pair.bridge.relayed == frozenset()
        pair.link.connect()
        chute = pair.chute("hello")
        chute.publish("chute.hello.ticks", 1)
        assert listener.events == []
        pair.want(("prefix", SPACE))
        chute.publish("chute.hello.ticks", 2)
        assert listener.events == [(2,)]

    def test_what_is_no_topic_of_the_device_is_not_listened_to(self, pair: Pair) -> None:
        pair.want(("exact", OTHER + "ticks"), ("prefix", "wamp."), ("prefix", "org.paradrop.acme.r10."), ("odd", SPACE))
        assert pair.bridge.relayed == frozenset()


class TestEventsDown:
    def test_a_chute_hears_a_chute_of_another_device(self, pair: Pair) -> None:
        listener = Listener(pair.chute("hello", f"{OTHER}*"), "exact", OTHER + "ticks")
        pair.settle()
        remote = pair.upstream.session("acme.r2", "device", BaseSession)
        clock = [{"session": 7, "authid": "clock@acme.r2", "authrole": "chute"}]
        remote.stockPublish(OTHER + "ticks", 1, b=2, options=PublishOptions(forward_for=clock))
        assert listener.events == [(1, {"b": 2})]
        assert listener.publishers == [("clock@acme.r2", "chute")]

    def test_a_chute_hears_what_people_publish_on_its_own_topics(self, pair: Pair) -> None:
        listener = Listener(pair.chute("hello"), "exact", uris.resolve("hello.lamp"))
        pair.settle()
        ada = pair.upstream.session("ada", "user", BaseSession)
        ada.stockPublish(HELLO + "lamp", "on")
        assert listener.events == [("on",)]
        assert listener.topics == [uris.resolve("hello.lamp")]
        assert listener.publishers == [("ada@server", "user")]

    def test_nobody_but_people_and_the_server_publishes_in_the_devices_own_space(self, pair: Pair) -> None:
        listener = Listener(pair.chute("hello"), "prefix", uris.chute_space("hello"))
        pair.settle()
        for role in ("device", "stranger", "guest"):
            pair.upstream.session("evil", role, BaseSession).stockPublish(HELLO + "lamp", "on")
        assert listener.events == []

    def test_nothing_goes_round_in_a_circle(self, pair: Pair) -> None:
        here = Listener(pair.chute("board", "hello.*"), "prefix", uris.chute_space("hello"))
        there = Listener(pair.user(), "prefix", SPACE)
        pair.settle()
        pair.want(("prefix", SPACE))
        pair.chute("hello").publish("chute.hello.ticks", 1)
        ada = pair.upstream.session("ada", "user", BaseSession)
        ada.stockPublish(HELLO + "lamp", "on")
        pair.settle()
        assert here.events == [(1,), ("on",)]
        assert there.events == [(1,), ("on",)]

    def test_patterns_that_overlap_bring_an_event_once(self, pair: Pair) -> None:
        chute = pair.chute("hello", f"{OTHER}*")
        exact, prefix = Listener(chute, "exact", OTHER + "ticks"), Listener(chute, "prefix", OTHER)
        pair.settle()
        pair.upstream.session("acme.r2", "device", BaseSession).stockPublish(OTHER + "ticks", 1)
        assert (exact.events, prefix.events) == ([(1,)], [(1,)])

    def test_upstream_is_listened_to_while_somebody_here_does(self, pair: Pair) -> None:
        assert pair.bridge._down.held == frozenset()
        listener = Listener(pair.chute("hello", f"{OTHER}*"), "exact", OTHER + "ticks")
        Listener(pair.box.owner, "exact", uris.local("chutes.updated"))
        pair.settle()
        assert pair.bridge._down.held == {("exact", OTHER + "ticks")}
        listener.subscription.unsubscribe()
        pair.settle()
        assert pair.bridge._down.held == frozenset()

    def test_upstream_is_listened_to_again_after_a_cut(self, pair: Pair) -> None:
        chute = pair.chute("hello", f"{OTHER}*")
        first = Listener(chute, "exact", OTHER + "ticks")
        pair.settle()
        pair.link.cut()
        second = Listener(chute, "exact", OTHER + "tocks")
        pair.settle()
        pair.link.connect()
        remote = pair.upstream.session("acme.r2", "device", BaseSession)
        remote.stockPublish(OTHER + "ticks", 1)
        remote.stockPublish(OTHER + "tocks", 2)
        assert (first.events, second.events) == ([(1,)], [(2,)])

    def test_a_session_that_ends_takes_its_patterns_with_it(self, pair: Pair) -> None:
        chute = pair.chute("hello", f"{OTHER}*")
        Listener(chute, "exact", OTHER + "ticks")
        pair.settle()
        pair.box.device.realm._router._router.detach(chute)
        pair.settle()
        assert pair.bridge._down.held == frozenset()

    def test_what_the_bridge_listens_to_itself_is_not_mirrored(self, pair: Pair) -> None:
        pair.want(("prefix", SPACE))
        pair.settle()
        assert pair.bridge.relayed
        assert pair.bridge._down.held == frozenset()


def _soon(value: Any) -> Deferred[Any]:
    answer: Deferred[Any] = Deferred()
    answer.callback(value)
    return answer


def _result(args: Any, kwargs: Any) -> Any:
    from paradrop.uplink import answer_of

    return answer_of(args, kwargs)
