"""The device realm on real unix sockets and a real WebSocket: who gets in, and what they may do there."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import cbor2
import pytest
from autobahn.wamp import message
from autobahn.wamp.types import CallOptions, Challenge, HelloDetails, PublishOptions, RegisterOptions, SubscribeOptions
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import formatEvent, globalLogPublisher
from twisted.web.resource import Resource
from twisted.web.server import Site

from paradrop import uris
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import (
    AuthenticationError,
    ChuteNotFound,
    Conflict,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    NotPermitted,
    ParadropException,
    TooManyAttempts,
    Unreachable,
)
from paradrop.permissions import Permission, Person, Role
from paradrop.routing.quota import Limits
from paradropd.fabric import Realm, RealmOptions
from paradropd.permissions import ChutePeer, Peer

KEPT, PENDING = Limits().kept, Limits().pending
DEMANDED = {
    uris.local("chutes.list"): Permission.VIEW,
    uris.local("chutes.deploy"): Permission.OPERATE,
    uris.local("config.set"): Permission.ADMINISTER,
}
HELLO, CLOCK = ChutePeer("hello"), ChutePeer("clock", ("hello.greet", "hello.ticks", "chutes.*", "config.set"))
ACKNOWLEDGED = PublishOptions(acknowledge=True)
LIMIT = 64 << 10


class Device:
    """A realm with its sockets in a folder of its own, and whatever sessions a test opens on it."""

    def __init__(self, reactor: Any, folder: Path, options: RealmOptions) -> None:
        self.reactor = reactor
        self.folder = folder
        self.realm = Realm(reactor, DEMANDED.get, options)
        self.sessions: list[BaseSession] = []

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.sock"

    def listen(self, name: str, peer: Peer) -> None:
        self.realm.listen(self.path(name), peer)

    def connected(self, name: str) -> bool:
        """Whether anybody is connected to the socket *name*, with or without having said hello."""
        _, factory = self.realm._ports[self.path(name)]
        return bool(factory.connected)

    async def join(self, name: str, kind: type[BaseSession] = BaseSession, **options: Any) -> BaseSession:
        """A session that came in by the socket *name*."""
        address = f"unix:{self.path(name)}"
        session = await kind.start(address, "local", reactor=self.reactor, reconnect=False, **options)
        self.sessions.append(session)
        return session

    async def peer(self, name: str, peer: Peer) -> BaseSession:
        self.listen(name, peer)
        return await self.join(name)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for something that the reactor is about to do; the scenario's own limit ends a wait in vain."""
        while not true():
            await deferLater(self.reactor, 0.005)


class Fabric:
    """Runs scenarios on the session's reactor, each with a device of its own, and sees that nothing is left behind."""

    def __init__(self, thread: Any) -> None:
        self.thread = thread

    def run(self, scenario: Callable[[Device], Awaitable[None]], options: RealmOptions | None = None) -> None:
        async def whole() -> None:
            async with device(self.thread.reactor, options or RealmOptions(max_message=LIMIT)) as made:
                await scenario(made)

        self.thread.run(whole)


@asynccontextmanager
async def device(reactor: Any, options: RealmOptions) -> AsyncIterator[Device]:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders can be too deep for a socket
        made = Device(reactor, Path(folder), options)
        await made.realm.start()
        daemon = BaseSession(made.realm.config())
        made.realm.attach(daemon)
        for uri in DEMANDED:
            await daemon.stockRegister(_daemons, uri, RegisterOptions(details_arg="details"))
        try:
            yield made
        finally:
            for session in made.sessions:
                session.stop()
            await made.realm.stop()
            await made.until(lambda: made.realm.sessions() == 0)
            # What the router still has to tell about those who left, as wamp.registration.on_delete.
            await made.until(lambda: not reactor.getDelayedCalls())


async def _daemons(*args: Any, details: Any) -> list[str]:
    return [details.caller_authid, details.caller_authrole]


@pytest.fixture
def fabric(reactor_thread: Any) -> Iterator[Fabric]:
    yield Fabric(reactor_thread)
    assert reactor_thread.delayed_calls() == []


async def greet(name: str) -> str:
    return f"Hello, {name}!"


async def refusal(answer: Awaitable[Any]) -> BaseException:
    """What *answer* fails with."""
    try:
        value = await answer
    except Exception as problem:
        return problem
    raise AssertionError(f"it was allowed, and gave {value!r}")


async def assert_refused(kind: type[Exception], *answers: Awaitable[Any]) -> None:
    for answer in answers:
        problem = await refusal(answer)
        assert type(problem) is kind, repr(problem)


# Chutes among themselves.


def test_a_chute_calls_another_that_its_manifest_names(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        hello, clock = await device.peer("hello", HELLO), await device.peer("clock", CLOCK)

        async def who(details: Any) -> list[Any]:
            return [details.caller_authid, details.caller_authrole]

        await hello.register(greet, "chute.hello.greet")
        assert await clock.call("chute.hello.greet", "clock") == "Hello, clock!"
        await hello.register(who, "chute.hello.who", RegisterOptions(details_arg="details"))
        assert await hello.call("chute.hello.who") == ["hello", "chute"]

    fabric.run(scenario)


def test_an_event_reaches_a_chute_that_its_manifest_lets_hear_it(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        hello, clock = await device.peer("hello", HELLO), await device.peer("clock", CLOCK)
        heard: Deferred[Any] = Deferred()
        await clock.subscribe(lambda *args: heard.callback(args), "chute.hello.ticks")
        await hello.publish("chute.hello.ticks", 1, "two", options=ACKNOWLEDGED)
        assert await heard == (1, "two")

    fabric.run(scenario)


OUTSIDE = (
    "chute.hello2.greet",
    "chute.hello",
    "chute.weather.today",
    "chute.",
    "chutes.deploy",
    "config.set",
    "somewhere.new",
)


def test_a_chute_is_kept_in_its_own_space(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        hello = await device.peer("hello", HELLO)
        for name in (name for name in OUTSIDE if not name.endswith(".")):
            await assert_refused(
                NotPermitted,
                hello.call(name),
                hello.register(greet, name, RegisterOptions(force_reregister=True)),
                hello.subscribe(greet, name),
                hello.publish(name, options=ACKNOWLEDGED),
            )
            # Crossbar (26.10.1) tells of what is there before it tells that one may not.
            refused = Conflict if uris.local(name) in DEMANDED else NotPermitted
            await assert_refused(refused, hello.register(greet, name))
        for uri in ("org.paradrop.hello.x", "org.paradrop.pd.acme.chute.hello.x", "com.example.x"):
            await assert_refused(
                NotPermitted, hello.stockCall(uri), hello.stockRegister(greet, uri), hello.stockSubscribe(greet, uri)
            )
        # After all that it is still there, and may do what it may.
        await hello.register(greet, "chute.hello.greet")
        assert await hello.call("chute.hello.greet", "me") == "Hello, me!"
        owners = {info.uri: info.owner for info in device.realm.procedures()}
        assert {owners[uri] for uri in DEMANDED} == {"paradropd"}

    fabric.run(scenario)


@pytest.mark.parametrize("match", ["prefix", "wildcard"])
def test_a_pattern_does_not_lead_out_of_a_chutes_space(fabric: Fabric, match: str) -> None:
    async def scenario(device: Device) -> None:
        clock = await device.peer("clock", CLOCK)
        outside = [*OUTSIDE, "", "chute.hello.ticks", "chute.hello."]
        outside += ["chute..ticks", ".hello.ticks"] if match == "wildcard" else []
        for name in outside:
            uri = uris.LOCAL + name
            if name != "chutes.deploy":  # below chutes.*, which its manifest names: it may hear what is said there
                await assert_refused(NotPermitted, clock.stockSubscribe(greet, uri, SubscribeOptions(match=match)))
            await assert_refused(NotPermitted, clock.stockRegister(greet, uri, RegisterOptions(match=match)))
        await clock.subscribe(greet, "chute.clock.", SubscribeOptions(match=match))
        await clock.register(greet, "chute.clock.", RegisterOptions(match=match))

    fabric.run(scenario)


def test_the_routers_own_procedures_are_not_for_chutes(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        nosy = await device.peer("nosy", ChutePeer("nosy", ("wamp.*", "wamp.session.list", "wamp.session.kill_all")))
        for name in ("wamp.session.list", "wamp.session.count", "wamp.session.kill_all", "wamp.registration.list"):
            await assert_refused(NotPermitted, nosy.stockCall(name))
            await assert_refused(InvalidInput, nosy.stockRegister(greet, name))
        await assert_refused(NotPermitted, nosy.stockSubscribe(greet, "wamp.session.on_join"))

    fabric.run(scenario)


def test_a_chute_hears_of_the_device_what_its_manifest_names_and_changes_nothing(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        clock = await device.peer("clock", CLOCK)
        assert await clock.call("chutes.list") == ["clock", "chute"]
        await assert_refused(NotPermitted, clock.call("chutes.deploy"), clock.call("config.set"))

    fabric.run(scenario)


def test_of_two_that_register_the_same_the_second_is_refused_or_takes_over(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        first = await device.peer("hello", HELLO)
        second = await device.join("hello")

        async def other(name: str) -> str:
            return f"Welcome, {name}!"

        await first.register(greet, "chute.hello.greet")
        await assert_refused(Conflict, second.register(other, "chute.hello.greet"))
        assert await second.call("chute.hello.greet", "x") == "Hello, x!"
        await second.register(other, "chute.hello.greet", RegisterOptions(force_reregister=True))
        assert await first.call("chute.hello.greet", "x") == "Welcome, x!"

    fabric.run(scenario)


# Errors.


def test_what_goes_wrong_is_told_in_our_own_errors(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        hello, ada = await device.peer("hello", HELLO), await device.peer("control", Person("ada", Role.OWNER))
        interrupted: Deferred[None] = Deferred()

        async def missing() -> None:
            raise ChuteNotFound("there is no chute 'x'")

        async def slow() -> None:
            try:
                await Deferred()
            except CancelledError:
                interrupted.callback(None)
                raise

        await hello.register(missing, "chute.hello.missing")
        await hello.register(slow, "chute.hello.slow")
        problem = await refusal(ada.call("chute.hello.missing"))
        assert (type(problem), str(problem)) == (ChuteNotFound, "there is no chute 'x'")
        await assert_refused(NotFound, ada.call("chute.hello.nothing"))
        await assert_refused(InvalidInput, ada.call("chute.hello.not a name"), ada.call("chute.hello.missing", object()))
        await assert_refused(DeadlineExceeded, ada.call("chute.hello.slow", options=CallOptions(timeout=0.05)))
        await interrupted

        called: Deferred[None] = Deferred()

        async def silent() -> None:
            called.callback(None)
            await Deferred()

        await hello.register(silent, "chute.hello.silent")
        waiting = ada.call("chute.hello.silent")
        await called
        hello.stop()
        await assert_refused(Unreachable, waiting)

    fabric.run(scenario)


# What is on the wire.


class Wire:
    """A RawSocket client of a few lines, to send what no well-behaved client would. Blocks: to be used in a thread."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    def shake_hands(self, first: bytes = b"\x7f\xf3\0\0") -> bytes:
        self.socket.sendall(first)
        return self._exactly(4)

    def join(self) -> None:
        self.shake_hands()
        self.send([message.Hello.MESSAGE_TYPE, uris.DEVICE_REALM, {"roles": {"caller": {}, "publisher": {}}}])
        assert self.receive()[0] == message.Welcome.MESSAGE_TYPE

    def send(self, what: list[Any]) -> None:
        data = cbor2.dumps(what)
        self.socket.sendall(len(data).to_bytes(4, "big") + data)

    def receive(self) -> Any:
        return cbor2.loads(self._exactly(int.from_bytes(self._exactly(4), "big")))

    def ends(self) -> bool:
        """Whether the other side closes, without a word more than it has said."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError(data)
            data += piece
        return data


def test_a_caller_cannot_say_that_it_is_somebody_else(fabric: Fabric) -> None:
    forged = [{"session": 1, "authid": "ada", "authrole": "owner"}]
    lies: list[dict[str, Any]] = [
        {"forward_for": forged},
        {"caller": 1, "caller_authid": "ada", "caller_authrole": "owner"},
        {"disclose_me": False},
    ]

    def call_with(path: Path, options: dict[str, Any]) -> Any:
        with Wire(path) as wire:
            wire.join()
            wire.send([message.Call.MESSAGE_TYPE, 1, options, uris.local("chutes.list"), []])
            return wire.receive()

    async def scenario(device: Device) -> None:
        device.listen("clock", CLOCK)
        for options in lies:
            answer = await deferToThread(call_with, device.path("clock"), options)
            assert answer[0] == message.Result.MESSAGE_TYPE, answer
            assert answer[3] == [["clock", "chute"]], options

    fabric.run(scenario)


def test_a_publisher_cannot_say_that_it_is_somebody_else(fabric: Fabric) -> None:
    forged = {"forward_for": [{"session": 1, "authid": "ada", "authrole": "owner"}], "acknowledge": True}

    def publish(path: Path) -> Any:
        with Wire(path) as wire:
            wire.join()
            wire.send([message.Publish.MESSAGE_TYPE, 1, forged, uris.local("chute.hello.ticks"), [1]])
            return wire.receive()

    async def scenario(device: Device) -> None:
        ada = await device.peer("control", Person("ada", Role.OWNER))
        device.listen("hello", HELLO)
        heard: Deferred[Any] = Deferred()

        def listen(value: int, details: Any) -> None:
            heard.callback((details.publisher_authid, details.publisher_authrole))

        await ada.subscribe(listen, "chute.hello.ticks", SubscribeOptions(details_arg="details"))
        assert (await deferToThread(publish, device.path("hello")))[0] == message.Published.MESSAGE_TYPE
        assert await heard == ("hello", "chute")

    fabric.run(scenario)


@pytest.mark.parametrize("kind", [message.Error, message.Yield])
def test_nobody_answers_a_call_that_somebody_else_was_given(fabric: Fabric, kind: type[Any]) -> None:
    def forge(path: Path) -> bool:
        """All the answers, of which one is to a call under way."""
        with Wire(path) as wire:
            wire.join()
            with suppress(ConnectionError):  # it may be ended at any of them
                for guess in range(1, 100):
                    if kind is message.Error:
                        wire.send([kind.MESSAGE_TYPE, message.Invocation.MESSAGE_TYPE, guess, {}, NotFound.uri(), ["forged"]])
                    else:
                        wire.send([kind.MESSAGE_TYPE, guess, {}, ["forged"]])
            return wire.ends()

    async def scenario(device: Device) -> None:
        ada = await device.peer("control", Person("ada", Role.OWNER))
        hello = await device.peer("hello", HELLO)
        device.listen("clock", CLOCK)
        called: Deferred[None] = Deferred()
        given: Deferred[str] = Deferred()

        async def slow() -> str:
            called.callback(None)
            return await given

        await hello.register(slow, "chute.hello.slow")
        answer = ada.call("chute.hello.slow")
        await called
        assert await deferToThread(forge, device.path("clock"))
        given.callback("the real one")
        assert await answer == "the real one"

    fabric.run(scenario)


def test_calls_under_way_carry_a_limited_number_of_bytes(fabric: Fabric) -> None:
    large = bytes(60_000)
    fit = Limits().pending_bytes // len(large)

    async def scenario(device: Device) -> None:
        hello = await device.peer("hello", HELLO)
        ada = await device.peer("control", Person("ada", Role.OWNER))
        given: Deferred[str] = Deferred()

        async def slow(data: bytes) -> str:
            waiting: Deferred[str] = Deferred()
            given.addCallback(lambda value: waiting.callback(value) or value)
            return await waiting

        await hello.register(slow, "chute.hello.slow")
        answers = [ada.call("chute.hello.slow", large) for _ in range(fit)]
        await assert_refused(TooManyAttempts, ada.call("chute.hello.slow", large))
        given.callback("done")
        assert [await each for each in answers] == ["done"] * fit

    fabric.run(scenario)


def test_a_hello_cannot_say_who_it_is(fabric: Fabric) -> None:
    def join(path: Path) -> Any:
        with Wire(path) as wire:
            wire.shake_hands()
            details = {"roles": {"caller": {}}, "authid": "ada", "authrole": "owner", "authmethods": ["anonymous", "ticket"]}
            wire.send([message.Hello.MESSAGE_TYPE, uris.DEVICE_REALM, details])
            return wire.receive()

    async def scenario(device: Device) -> None:
        device.listen("hello", HELLO)
        welcome = await deferToThread(join, device.path("hello"))
        assert welcome[0] == message.Welcome.MESSAGE_TYPE
        assert (welcome[2]["authid"], welcome[2]["authrole"]) == ("hello", "chute")

    fabric.run(scenario)


def test_a_call_before_the_hello_gets_no_answer(fabric: Fabric) -> None:
    def first_answer(path: Path) -> Any:
        with Wire(path) as wire:
            wire.shake_hands()
            wire.send([message.Call.MESSAGE_TYPE, 1, {}, uris.local("chutes.list")])
            wire.send([message.Hello.MESSAGE_TYPE, uris.DEVICE_REALM, {"roles": {"caller": {}}}])
            return wire.receive()

    async def scenario(device: Device) -> None:
        device.listen("clock", CLOCK)
        assert (await deferToThread(first_answer, device.path("clock")))[0] == message.Welcome.MESSAGE_TYPE

    fabric.run(scenario)


def test_another_realm_is_refused(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        device.listen("hello", HELLO)
        problem = await refusal(device.join("hello", realm="crossbar"))
        assert isinstance(problem, AuthenticationError)
        assert "there is no realm 'crossbar'" in str(problem)

    fabric.run(scenario)


def test_a_message_over_the_limit_is_refused_before_it_is_sent(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        hello = await device.peer("hello", HELLO)

        async def length(data: bytes) -> int:
            return len(data)

        await hello.register(length, "chute.hello.length")
        fits = b"x" * (LIMIT - 1024)
        assert await hello.call("chute.hello.length", fits) == len(fits)
        await assert_refused(
            InvalidInput,
            hello.call("chute.hello.length", b"x" * LIMIT),
            hello.publish("chute.hello.ticks", b"x" * LIMIT),
            hello.call("chute.hello.length", b"x" * (20 << 20)),
        )
        assert await hello.call("chute.hello.length", fits) == len(fits)

    fabric.run(scenario)


def test_an_answer_that_cannot_be_sent_is_told_to_the_caller(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        hello, ada = await device.peer("hello", HELLO), await device.peer("control", Person("ada", Role.OWNER))

        async def large() -> bytes:
            return b"x" * LIMIT

        async def strange() -> object:
            return object()

        await hello.register(large, "chute.hello.large")
        await hello.register(strange, "chute.hello.strange")
        for name, words in (("large", "is larger than the fabric takes"), ("strange", "is nothing that can be sent")):
            problem = await refusal(ada.call(f"chute.hello.{name}"))
            assert (type(problem), str(problem)) == (
                ParadropException,
                f"the answer of {uris.local('chute.hello.')}{name} {words}",
            )

    fabric.run(scenario)


def garbage(wire: Wire) -> None:
    wire.shake_hands()
    wire.socket.sendall(b"\0\0\0\x08\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8")


def no_message(wire: Wire) -> None:
    wire.join()
    wire.send([99, "what is this?"])


def too_large(wire: Wire) -> None:
    wire.join()
    wire.socket.sendall((LIMIT + 1).to_bytes(4, "big") + b"x" * 100)


def too_large_without_a_hello(wire: Wire) -> None:
    wire.shake_hands()
    wire.socket.sendall(b"\0\xff\xff\xff" + b"x" * 100)


def wrong_magic(wire: Wire) -> None:
    wire.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")


def wrong_serializer(wire: Wire) -> None:
    wire.socket.sendall(b"\x7f\xf1\0\0")  # JSON


@pytest.mark.parametrize(
    "mischief",
    [garbage, no_message, too_large, too_large_without_a_hello, wrong_magic, wrong_serializer],
    ids=lambda function: function.__name__,
)
def test_nonsense_ends_its_own_connection_and_no_other(fabric: Fabric, mischief: Callable[[Wire], None]) -> None:
    def misbehave(path: Path) -> bool:
        with Wire(path) as wire:
            mischief(wire)
            return wire.ends()

    async def scenario(device: Device) -> None:
        hello = await device.peer("hello", HELLO)
        await hello.register(greet, "chute.hello.greet")
        assert await deferToThread(misbehave, device.path("hello"))
        assert await hello.call("chute.hello.greet", "still here") == "Hello, still here!"
        await device.until(lambda: device.realm.sessions() == 1)

    fabric.run(scenario)


def test_connections_that_never_say_hello_are_counted_too(fabric: Fabric) -> None:
    def crowd(path: Path) -> bool:
        with Wire(path), Wire(path) as shaken, Wire(path) as third:
            shaken.shake_hands()
            return third.ends()

    async def scenario(device: Device) -> None:
        device.listen("hello", HELLO)
        other = await device.peer("clock", CLOCK)
        for _ in range(3):  # each time there is room again
            assert await deferToThread(crowd, device.path("hello"))
            await device.until(lambda: not device.connected("hello"))
        assert await other.call("chutes.list") == ["clock", "chute"]
        await device.until(lambda: device.realm.sessions() == 1)
        hello = await device.join("hello")
        assert hello.is_attached()

    fabric.run(scenario, RealmOptions(max_message=LIMIT, connections=2))


# Sockets that come and go.


def test_unlisten_ends_every_connection_of_that_socket_and_of_no_other(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        hello, clock = await device.peer("hello", HELLO), await device.peer("clock", CLOCK)
        await hello.register(greet, "chute.hello.greet")
        waiting = await deferToThread(Wire, device.path("hello"))
        await deferToThread(waiting.shake_hands)
        await device.realm.unlisten(device.path("hello"))
        assert await deferToThread(waiting.ends)
        waiting.socket.close()
        await device.until(lambda: not hello.is_connected())
        assert not device.path("hello").exists()
        await assert_refused(NotFound, clock.call("chute.hello.greet", "x"))
        await assert_refused(Unreachable, device.join("hello"))
        await device.realm.unlisten(device.path("hello"))  # nothing to do

    fabric.run(scenario)


def test_a_connection_that_waits_with_its_hello_does_not_keep_old_permissions(fabric: Fabric) -> None:
    def hello_at_last(wire: Wire) -> bool:
        try:
            wire.join()
        except (EOFError, OSError):
            return False
        return True

    async def scenario(device: Device) -> None:
        device.listen("clock", CLOCK)
        wire = await deferToThread(Wire, device.path("clock"))
        await device.until(lambda: device.connected("clock"))
        await device.realm.unlisten(device.path("clock"))
        device.listen("clock", ChutePeer("clock"))
        assert not await deferToThread(hello_at_last, wire)
        wire.socket.close()

    fabric.run(scenario)


def test_listening_again_replaces_the_permissions(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        hello, clock = await device.peer("hello", HELLO), await device.peer("clock", CLOCK)
        await hello.register(greet, "chute.hello.greet")
        assert await clock.call("chute.hello.greet", "x")
        await device.realm.unlisten(device.path("clock"))
        clock = await device.peer("clock", ChutePeer("clock"))
        await assert_refused(NotPermitted, clock.call("chute.hello.greet", "x"))

    fabric.run(scenario)


def test_an_old_socket_is_replaced_and_only_its_owner_may_use_the_new_one(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(device.path("hello")))
        left.close()
        assert (await device.peer("hello", HELLO)).is_attached()
        assert device.path("hello").stat().st_mode & 0o777 == 0o600

    fabric.run(scenario)


def test_a_path_that_is_too_long_for_a_socket_is_refused(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        long = device.folder / ("x" * 120)
        with pytest.raises(InvalidInput, match="use a shorter --home"):
            device.realm.listen(long, HELLO)

    fabric.run(scenario)


# People.


@pytest.mark.parametrize(
    ("role", "calls"),
    [
        (Role.OWNER, {"chutes.list", "chutes.deploy", "config.set", "chute.hello.greet"}),
        (Role.OPERATOR, {"chutes.list", "chutes.deploy", "chute.hello.greet"}),
        (Role.VIEWER, {"chutes.list"}),
    ],
)
def test_a_person_may_what_the_role_and_the_procedure_say(fabric: Fabric, role: Role, calls: set[str]) -> None:
    async def scenario(device: Device) -> None:
        hello, ada = await device.peer("hello", HELLO), await device.peer("control", Person("ada", role))
        await hello.register(greet, "chute.hello.greet")
        for name in ("chutes.list", "chutes.deploy", "config.set"):
            if name in calls:
                assert await ada.call(name) == ["ada", role.value]
            else:
                await assert_refused(NotPermitted, ada.call(name))
        if "chute.hello.greet" in calls:
            assert await ada.call("chute.hello.greet", "Ada") == "Hello, Ada!"
        else:
            await assert_refused(NotPermitted, ada.call("chute.hello.greet", "Ada"))
        if role is not Role.OWNER:
            await assert_refused(NotPermitted, ada.register(greet, "chute.hello.mine"), ada.stockCall("wamp.session.count"))
        await ada.subscribe(greet, "chute.", SubscribeOptions(match="prefix"))

    fabric.run(scenario)


def test_everything_registered_is_listed_with_its_owner(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        hello = await device.peer("hello", HELLO)
        await hello.register(greet, "chute.hello.greet")
        await hello.register(greet, "chute.hello.files.", RegisterOptions(match="prefix"))
        listed = [(info.uri, info.match, info.owner) for info in device.realm.procedures()]
        assert listed == [
            (uris.local("chute.hello.files."), "prefix", "hello"),
            (uris.local("chute.hello.greet"), "exact", "hello"),
            (uris.local("chutes.deploy"), "exact", "paradropd"),
            (uris.local("chutes.list"), "exact", "paradropd"),
            (uris.local("config.set"), "exact", "paradropd"),
        ]
        hello.stop()
        await device.until(lambda: len(device.realm.procedures()) == 3)

    fabric.run(scenario)


# WebSocket.

PEOPLE = {"good": Person("ada", Role.OWNER), "look": Person("grace", Role.VIEWER)}


def login(name: str, ticket: str) -> Peer:
    """Who has that ticket. An expired one is known, and refused with its own words."""
    if ticket == "expired":
        raise AuthenticationError("the login has expired; log in again")
    if ticket not in PEOPLE or PEOPLE[ticket].name != name:
        raise AuthenticationError("that ticket is not known")
    return PEOPLE[ticket]


class WithTicket(BaseSession):
    """A session that logs in with ``authid`` and ``ticket`` of its ``extra``, as the dashboard does."""

    methods: tuple[str, ...] = ("ticket",)

    def onConnect(self) -> None:
        self.join(self.config.realm, authmethods=list(self.methods), authid=self.config.extra["authid"])

    def onChallenge(self, challenge: Any) -> str:
        assert challenge.method == "ticket"
        ticket: str = self.config.extra["ticket"]
        return ticket


class Anonymous(WithTicket):
    methods = ("anonymous",)


@asynccontextmanager
async def website(device: Device, still: Callable[[Peer], bool] = lambda peer: True) -> AsyncIterator[str]:
    """The realm's WebSocket on a port of its own; gives its address."""
    root = Resource()
    root.putChild(b"ws", device.realm.websocket(login, still))  # type: ignore[no-untyped-call]
    port = device.reactor.listenTCP(0, Site(root), interface="127.0.0.1")  # type: ignore[no-untyped-call]
    try:
        yield f"ws://127.0.0.1:{port.getHost().port}/ws"
    finally:
        for session in device.sessions:
            session.stop()
        await device.until(lambda: device.realm.sessions() == 0)
        await port.stopListening()


async def log_in(device: Device, address: str, name: str, ticket: str, kind: type[BaseSession] = WithTicket) -> BaseSession:
    session = await kind.start(
        address, "local", extra={"authid": name, "ticket": ticket}, reactor=device.reactor, reconnect=False
    )
    device.sessions.append(session)
    return session


def test_a_person_logs_in_over_websocket_with_a_ticket(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        async with website(device) as address:
            ada, grace = await log_in(device, address, "ada", "good"), await log_in(device, address, "grace", "look")
            assert await ada.call("config.set") == ["ada", "owner"]
            assert await grace.call("chutes.list") == ["grace", "viewer"]
            await assert_refused(NotPermitted, grace.call("config.set"))

    fabric.run(scenario)


@pytest.mark.parametrize(
    ("name", "ticket", "kind", "words"),
    [
        ("ada", "wrong", WithTicket, "that ticket is not known"),
        ("ada", "", WithTicket, "that ticket is not known"),
        ("grace", "good", WithTicket, "that ticket is not known"),
        ("ada", "expired", WithTicket, "the login has expired; log in again"),
        ("ada", "good", Anonymous, "log in: a ticket is needed here"),
        (None, "good", WithTicket, "log in: a ticket is needed here"),
        ("ada", "good", BaseSession, "log in: a ticket is needed here"),
    ],
    ids=["wrong", "empty", "somebody else's", "expired", "anonymous", "no name", "nothing at all"],
)
def test_without_a_good_ticket_there_is_no_way_in(
    fabric: Fabric, name: str, ticket: str, kind: type[BaseSession], words: str
) -> None:
    async def scenario(device: Device) -> None:
        async with website(device) as address:
            problem = await refusal(log_in(device, address, name, ticket, kind))
            assert (type(problem), str(problem)) == (AuthenticationError, words)

    fabric.run(scenario)


def test_sessions_are_ended_by_who_they_are(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        async with website(device) as address:
            ada, again = await log_in(device, address, "ada", "good"), await log_in(device, address, "ada", "good")
            grace = await log_in(device, address, "grace", "look")
            assert device.realm.sessions() == 3
            assert device.realm.end_sessions(lambda peer: peer == PEOPLE["good"]) == 2
            await device.until(lambda: not ada.is_connected() and not again.is_connected())
            assert await grace.call("chutes.list") == ["grace", "viewer"]
            assert device.realm.end_sessions(lambda peer: peer.name == "nobody") == 0

    fabric.run(scenario)


def test_a_message_over_the_limit_ends_only_its_own_websocket(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        async with website(device) as address:
            ada, grace = await log_in(device, address, "ada", "good"), await log_in(device, address, "grace", "look")
            await assert_refused(Unreachable, ada.call("chutes.list", "x" * (2 * LIMIT)))
            assert await grace.call("chutes.list") == ["grace", "viewer"]

    fabric.run(scenario)


@pytest.mark.parametrize("first", [b"", b"\x7f\xf3\0\0"], ids=["not a byte", "no hello"])
def test_whoever_says_nothing_is_dropped(fabric: Fabric, first: bytes) -> None:
    async def scenario(device: Device) -> None:
        device.listen("hello", HELLO)

        def wait() -> bool:
            with Wire(device.path("hello")) as wire:
                if first:
                    wire.shake_hands(first)
                return wire.ends()

        assert await deferToThread(wait)

    fabric.run(scenario, RealmOptions(max_message=LIMIT, patience=0.1))


# Bounds.


@contextmanager
def logged() -> Iterator[list[str]]:
    """What is written to the log meanwhile, as text."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        lines.append(formatEvent(event) + (str(event["log_failure"]) if "log_failure" in event else ""))

    globalLogPublisher.addObserver(observe)
    try:
        yield lines
    finally:
        globalLogPublisher.removeObserver(observe)


@pytest.mark.parametrize("way", ["unix", "websocket"])
def test_a_peer_that_does_not_read_is_dropped_and_one_that_does_is_not(fabric: Fabric, way: str) -> None:
    async def scenario(device: Device) -> None:
        async with website(device) as address:
            ada = await device.peer("control", Person("ada", Role.OWNER))
            reader = await device.join("control")
            idle = await (device.join("control") if way == "unix" else log_in(device, address, "grace", "look"))
            heard = []
            await reader.subscribe(heard.append, "chute.hello.ticks")
            await idle.subscribe(heard.append, "chute.hello.ticks")
            idle._transport.transport.pauseProducing()
            for _ in range(400):  # 24 MB: more than the buffers of a kernel take
                await ada.publish("chute.hello.ticks", b"x" * 60_000, options=ACKNOWLEDGED)
                if device.realm.sessions() == 2:
                    break
            left = device.realm.sessions()
            idle._transport.transport.resumeProducing()
            assert left == 2
            await device.until(lambda: not idle.is_connected())
            assert reader.is_connected()

    fabric.run(scenario, RealmOptions(max_message=LIMIT, unsent=4 * LIMIT))


def test_only_the_daemon_has_events_retained(fabric: Fabric) -> None:
    retained = PublishOptions(acknowledge=True, retain=True)

    async def scenario(device: Device) -> None:
        hello, ada = await device.peer("hello", HELLO), await device.peer("control", Person("ada", Role.OWNER))
        for session in (hello, ada):
            await assert_refused(NotPermitted, session.publish("chute.hello.ticks", 1, options=retained))
        daemon = BaseSession(device.realm.config())
        device.realm.attach(daemon)
        await daemon.publish("chutes.updated", 1, options=retained)

    fabric.run(scenario)


@pytest.mark.parametrize("begun", [b"\0", b"\0\0\1\0", b"\0\0\1\0half"], ids=["length", "no byte", "some bytes"])
def test_a_message_that_does_not_end_ends_its_connection(fabric: Fabric, begun: bytes) -> None:
    def trickle(path: Path) -> bool:
        with Wire(path) as wire:
            wire.join()
            wire.socket.sendall(begun)
            return wire.ends()

    async def scenario(device: Device) -> None:
        hello = await device.peer("hello", HELLO)
        assert await deferToThread(trickle, device.path("hello"))
        assert hello.is_connected()

    fabric.run(scenario, RealmOptions(max_message=LIMIT, frame_patience=0.1))


def test_people_may_have_more_connections_than_a_chute(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        await device.peer("hello", HELLO)
        await assert_refused(Unreachable, device.join("hello"))
        await device.peer("control", Person("ada", Role.OWNER))
        assert (await device.join("control")).is_attached()

    assert RealmOptions().connections < RealmOptions().control_connections
    fabric.run(scenario, RealmOptions(max_message=LIMIT, connections=1, control_connections=2))


def test_what_a_session_keeps_in_the_router_is_bounded(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        hello, other = await device.peer("hello", HELLO), await device.join("hello")
        half = KEPT // 2
        await gatherResults([hello.register(greet, f"chute.hello.r{number}") for number in range(half)])
        await gatherResults([hello.subscribe(greet, f"chute.hello.s{number}") for number in range(KEPT - half)])
        for answer in (hello.register(greet, "chute.hello.more"), hello.subscribe(greet, "chute.hello.more")):
            problem = await refusal(answer)
            assert isinstance(problem, NotPermitted)
            assert str(problem) == "a session may have 1000 registrations and subscriptions"
        await other.register(greet, "chute.hello.more")
        assert await hello.call("chute.hello.more", "you") == "Hello, you!"

    fabric.run(scenario)


def test_calls_without_an_answer_are_bounded(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        hello, other = await device.peer("hello", HELLO), await device.join("hello")
        answer: Deferred[str] = Deferred()

        async def slow() -> str:
            await answer
            return "at last"

        await other.register(slow, "chute.hello.slow")
        await other.register(greet, "chute.hello.greet")
        waiting = gatherResults([hello.call("chute.hello.slow") for _ in range(PENDING)])
        problem = await refusal(hello.call("chute.hello.greet", "you"))
        assert isinstance(problem, TooManyAttempts)
        answer.callback("")
        assert len(await waiting) == PENDING
        assert await hello.call("chute.hello.greet", "you") == "Hello, you!"

    fabric.run(scenario)


@pytest.mark.parametrize("realm", ["no such realm\n" * 4000, "other." * 8000 + "realm"], ids=["not a name", "unknown"])
def test_what_a_peer_sends_is_not_quoted_at_length(fabric: Fabric, realm: str) -> None:
    def ask(path: Path) -> Any:
        with Wire(path) as wire:
            wire.shake_hands()
            wire.send([message.Hello.MESSAGE_TYPE, realm, {"roles": {"caller": {}}}])
            try:
                return wire.receive()
            except (EOFError, OSError):
                return None

    async def scenario(device: Device) -> None:
        device.listen("hello", HELLO)
        with logged() as lines:
            answers = [await deferToThread(ask, device.path("hello")) for _ in range(30)]
        assert len(lines) <= 25
        assert all(len(line) <= 200 and "\n" not in line for line in lines), lines
        assert all(answer is None or len(str(answer)) < 400 for answer in answers)

    fabric.run(scenario)


def test_denials_do_not_fill_the_log(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        hello = await device.peer("hello", HELLO)
        with logged() as lines:
            await assert_refused(NotPermitted, hello.stockCall(uris.local("chute.other.\x1b[31mforged")))
            for number in range(100):
                await assert_refused(NotPermitted, hello.call(f"chute.other.x{number}"))
        assert lines[0] == r"chute hello: may not call org.paradrop.local.chute.other.\x1b[31mforged"
        assert len(lines) <= 25
        assert len([line for line in lines if "left out" in line]) == 1

    fabric.run(scenario)


def test_a_session_ends_with_its_login(fabric: Fabric) -> None:
    good = {"ada", "grace"}

    async def scenario(device: Device) -> None:
        async with website(device, lambda peer: peer.name in good) as address:
            ada, grace = await log_in(device, address, "ada", "good"), await log_in(device, address, "grace", "look")
            good.discard("ada")
            await device.until(lambda: not ada.is_connected())
            assert await grace.call("chutes.list") == ["grace", "viewer"]

    fabric.run(scenario, RealmOptions(max_message=LIMIT, login_check=0.05))


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
)


def test_those_who_have_not_logged_in_do_not_keep_out_those_who_do(fabric: Fabric) -> None:
    def stranger(port: int) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", port), timeout=20)
        made.sendall(UPGRADE)
        assert made.recv(4096).startswith(b"HTTP/1.1 101")
        return made

    def ended(made: socket.socket) -> bool:
        try:
            return made.recv(1) == b""
        except ConnectionResetError:
            return True

    async def scenario(device: Device) -> None:
        async with website(device) as address:
            port = int(address.rpartition(":")[2].removesuffix("/ws"))
            ada = await log_in(device, address, "ada", "good")
            crowd = [await deferToThread(stranger, port) for _ in range(8)]
            with logged() as lines:
                grace = await log_in(device, address, "grace", "look")
                assert await deferToThread(ended, crowd[0])
                assert await grace.call("chutes.list") == ["grace", "viewer"]
                assert await ada.call("chutes.list") == ["ada", "owner"]
            assert lines == []
            await device.until(lambda: device.realm.sessions() == 9)
            for each in crowd:
                each.close()

    fabric.run(scenario, RealmOptions(max_message=LIMIT, patience=60))


def test_sessions_that_have_logged_in_are_bounded(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        async with website(device) as address:
            ada = await log_in(device, address, "ada", "good")
            problem = await refusal(log_in(device, address, "grace", "look"))
            assert "1 sessions are logged in already" in str(problem)
            ada.stop()
            await device.until(lambda: device.realm.sessions() == 0)
            assert (await log_in(device, address, "grace", "look")).is_attached()

    fabric.run(scenario, RealmOptions(max_message=LIMIT, logins=1))


def test_after_a_goodbye_a_ticket_is_needed_again(fabric: Fabric) -> None:
    async def scenario(device: Device) -> None:
        async with website(device) as address:
            await log_in(device, address, "ada", "good")
            (session,) = device.realm._router.open
            answer = session.onHello(uris.DEVICE_REALM, HelloDetails(authmethods=["ticket"], authid="ada"))
            assert isinstance(answer, Challenge)

    fabric.run(scenario)
