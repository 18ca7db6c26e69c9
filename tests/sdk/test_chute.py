"""The chute's side of the fabric, on sessions that only record."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from paradrop import Chute, DeadlineExceeded, Unreachable
from paradrop.base.cxbr import DEADLINE
from paradrop.base.exceptions import InvalidInput, NotPermitted

SPACE = "org.paradrop.local.chute.hello."


def test_help_shows_nothing_of_the_environment() -> None:
    assert signature(Chute).parameters["environ"].default is None


class RecordingSession:
    """A link: keeps what is asked of it. What ``answers`` has for a URI is what asking for that URI gives."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.answers: dict[str, Deferred[Any]] = {}
        self.registered: dict[str, tuple[Callable[..., Any], Any]] = {}
        self.subscribed: dict[str, tuple[Callable[..., Any], Any]] = {}
        self.published: list[tuple[Any, ...]] = []
        self.called: list[tuple[Any, ...]] = []

    def _answer(self, uri: str) -> Deferred[Any]:
        return self.answers.get(uri) or succeed(None)

    def stockRegister(self, endpoint: Callable[..., Any], procedure: str, options: Any = None) -> Deferred[Any]:
        self.registered[procedure] = (endpoint, options)
        return self._answer(procedure)

    def stockSubscribe(self, handler: Callable[..., Any], topic: str, options: Any = None) -> Deferred[Any]:
        self.subscribed[topic] = (handler, options)
        return self._answer(topic)

    def stockPublish(self, topic: str, *args: Any, **kwargs: Any) -> Deferred[Any]:
        self.published.append((topic, args, kwargs))
        return self._answer(topic)

    def stockCall(self, procedure: str, *args: Any, options: Any = None, **kwargs: Any) -> Deferred[Any]:
        self.called.append((procedure, args, kwargs, options.timeout))
        return self._answer(procedure)


class RecordingThreads:
    """Runs nothing by itself: a test says when a thread has come to the end of its work."""

    def __init__(self) -> None:
        self.pending: list[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        result: Deferred[Any] = Deferred()
        self.pending.append((result, function, args, kwargs))
        return result

    def run(self) -> None:
        for result, function, args, kwargs in self.pending[:]:
            del self.pending[0]
            try:
                result.callback(function(*args, **kwargs))
            except Exception:
                result.errback()


class Bench:
    """A chute ``hello``, its threads and the session it has when :meth:`attach` is called."""

    def __init__(self, **environ: str) -> None:
        self.threads = RecordingThreads()
        self.session = RecordingSession()
        self.chute = Chute(environ={"PARADROP_CHUTE_NAME": "hello", **environ}, threads=self.threads)

    def attach(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.chute.attach(self.session))

    def result(self, deferred: Any) -> Any:
        return SynchronousTestCase().successResultOf(deferred)

    def failure(self, deferred: Any) -> BaseException:
        return SynchronousTestCase().failureResultOf(deferred).value


@pytest.fixture
def bench() -> Bench:
    return Bench()


def noop(*args: Any) -> None:
    """A handler that does nothing."""


# What the device tells a chute.


def test_the_environment_says_who_the_chute_is() -> None:
    chute = Chute(environ={"PARADROP_CHUTE_NAME": "clock", "PARADROP_CHUTE_VERSION": "1.2", "PARADROP_DATA_DIR": "/data"})
    assert (chute.name, chute.version, chute.data_dir) == ("clock", "1.2", Path("/data"))
    assert not chute.joined


def test_a_name_of_its_own_goes_before_the_environments() -> None:
    assert Chute("mine", environ={"PARADROP_CHUTE_NAME": "clock"}).name == "mine"


def test_without_a_device_there_is_nothing_to_run() -> None:
    with pytest.raises(SystemExit, match="PARADROP_FABRIC is not set"):
        Chute("mine", environ={}).run()


# Declarations.


def test_what_is_declared_is_put_on_the_session_in_the_chutes_own_space(bench: Bench) -> None:
    bench.chute.register("greet")(noop)
    bench.chute.register("deep.name", details="caller")(noop)
    bench.chute.subscribe("weather.today")(noop)
    bench.chute.subscribe("hello.", match="prefix")(noop)
    bench.result(bench.attach())
    assert set(bench.session.registered) == {SPACE + "greet", SPACE + "deep.name"}
    assert bench.session.registered[SPACE + "deep.name"][1].details_arg == "caller"
    assert all(options.force_reregister for _, options in bench.session.registered.values())
    subscribed = {topic: options.match for topic, (_, options) in bench.session.subscribed.items()}
    assert subscribed == {"org.paradrop.local.chute.weather.today": "exact", SPACE: "prefix"}
    assert bench.chute.joined


def test_a_decorated_function_stays_what_it_was(bench: Bench) -> None:
    assert bench.chute.register("a")(noop) is noop
    assert bench.chute.subscribe("b.c")(noop) is noop
    assert bench.chute.every(1)(noop) is noop


def test_a_plain_function_runs_in_a_thread_and_a_coroutine_function_does_not(bench: Bench) -> None:
    @bench.chute.register("plain")
    def plain(value: int, plus: int = 0) -> int:
        return value + plus

    @bench.chute.register("coroutine")
    async def coroutine(value: int) -> int:
        return -value

    bench.result(bench.attach())
    first, _ = bench.session.registered[SPACE + "plain"]
    answers = [first(1), first(2, plus=10)]
    assert len(bench.threads.pending) == 2  # at a time
    bench.threads.run()
    assert [bench.result(answer) for answer in answers] == [1, 12]

    second, _ = bench.session.registered[SPACE + "coroutine"]
    assert bench.result(Deferred.fromCoroutine(second(3))) == -3
    assert bench.threads.pending == []


def test_what_a_handler_raises_is_printed_and_goes_no_further(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    @bench.chute.subscribe("weather.today")
    async def listen(value: int) -> None:
        raise ValueError(f"no {value}")

    bench.result(bench.attach())
    handler, _ = bench.session.subscribed["org.paradrop.local.chute.weather.today"]
    assert bench.result(handler(3)) is None
    assert "ValueError: no 3" in capsys.readouterr().err


# every().


def test_every_runs_at_once_and_then_after_each_interval_while_joined(bench: Bench) -> None:
    times: list[float] = []

    @bench.chute.every(5)
    async def beat() -> None:
        times.append(bench.session.clock.seconds())

    assert times == []
    bench.result(bench.attach())
    bench.session.clock.pump([4.9, 0.1, 5])
    assert times == [0, 5, 10]
    bench.chute.detach()
    bench.session.clock.advance(60)
    assert times == [0, 5, 10]
    assert bench.session.clock.getDelayedCalls() == []


def test_a_call_that_takes_long_delays_the_next(bench: Bench) -> None:
    count: list[int] = []
    bench.chute.every(1)(lambda: count.append(1))
    bench.result(bench.attach())
    bench.session.clock.advance(3.5)
    assert len(bench.threads.pending) == 1
    bench.threads.run()
    bench.session.clock.advance(0.5)
    assert len(bench.threads.pending) == 1
    assert len(count) == 1


def test_one_that_raises_does_not_end_the_series(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    @bench.chute.every(1)
    async def beat() -> None:
        raise RuntimeError("off the beat")

    bench.result(bench.attach())
    bench.session.clock.pump([1, 1])
    assert capsys.readouterr().err.count("RuntimeError: off the beat") == 3


# Publishing and calling.


def test_an_event_without_a_link_is_dropped(bench: Bench) -> None:
    assert bench.chute.publish("ticks", 1) is False
    bench.result(bench.attach())
    assert bench.chute.publish("ticks", 2, unit="s") is True
    bench.chute.detach()
    assert bench.chute.publish("ticks", 3) is False
    assert bench.session.published == [(SPACE + "ticks", (2,), {"unit": "s"})]


def test_an_event_on_a_link_that_is_just_going_is_dropped(bench: Bench) -> None:
    bench.result(bench.attach())
    bench.session.answers[SPACE + "ticks"] = fail(Unreachable("the link to the fabric is down"))
    assert bench.chute.publish("ticks", 1) is False


def test_an_event_that_cannot_be_sent_is_told_of(bench: Bench) -> None:
    bench.result(bench.attach())
    bench.session.answers[SPACE + "ticks"] = fail(InvalidInput("larger than the fabric takes"))
    with pytest.raises(InvalidInput, match="larger"):
        bench.chute.publish("ticks", "x" * 1000)


def test_a_call_goes_by_the_names_of_the_device_with_a_deadline(bench: Bench) -> None:
    bench.result(bench.attach())
    bench.session.answers["org.paradrop.local.chute.weather.today"] = succeed("rain")
    assert bench.result(Deferred.fromCoroutine(bench.chute.call("weather.today", 1, at="noon"))) == "rain"
    bench.result(Deferred.fromCoroutine(bench.chute.call("node.info", deadline=0.5)))
    assert bench.session.called == [
        ("org.paradrop.local.chute.weather.today", (1,), {"at": "noon"}, DEADLINE),
        ("org.paradrop.local.node.info", (), {}, 0.5),
    ]


def test_what_a_call_fails_with_is_what_the_caller_gets(bench: Bench) -> None:
    assert isinstance(bench.failure(Deferred.fromCoroutine(bench.chute.call("weather.today"))), Unreachable)
    bench.result(bench.attach())
    bench.session.answers["org.paradrop.local.chute.weather.today"] = fail(DeadlineExceeded("no answer"))
    assert isinstance(bench.failure(Deferred.fromCoroutine(bench.chute.call("weather.today"))), DeadlineExceeded)


def test_waiting_for_a_call_without_a_link_does_not_wait(bench: Bench) -> None:
    with pytest.raises(Unreachable):
        bench.chute.call_and_wait("weather.today")


def test_waiting_for_a_call_on_the_reactors_thread_is_refused() -> None:
    """In a process of its own, because a test session must not be a reactor's thread for ever."""
    script = """
from twisted.python import threadable
from paradrop import Chute
threadable.registerAsIOThread()
chute = Chute("hello", environ={})
chute._session = object()
try:
    chute.call_and_wait("weather.today")
except RuntimeError as problem:
    print(problem)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "call_and_wait blocks: on the reactor's thread use `await chute.call(…)`\n", done.stderr


# Links that come and go.


def test_everything_declared_is_there_again_on_the_next_link(bench: Bench) -> None:
    bench.chute.register("greet")(noop)
    bench.chute.subscribe("weather.today")(noop)
    beats: list[int] = []

    @bench.chute.every(1)
    async def beat() -> None:
        beats.append(1)

    first, second = bench.session, RecordingSession()
    bench.result(bench.attach())
    bench.chute.detach()
    bench.session = second
    bench.result(bench.attach())
    assert (set(first.registered), set(first.subscribed)) == (set(second.registered), set(second.subscribed))
    first.clock.advance(10)
    second.clock.advance(1)
    assert len(beats) == 3
    bench.chute.publish("ticks")
    assert (len(first.published), len(second.published)) == (0, 1)


def test_a_registration_that_is_refused_fails_the_attach_and_nothing_periodic_runs(bench: Bench) -> None:
    bench.chute.register("greet")(noop)
    beats: list[int] = []
    bench.chute.every(1)(lambda: beats.append(1))
    bench.session.answers[SPACE + "greet"] = fail(NotPermitted("you may not register that"))
    assert isinstance(bench.failure(bench.attach()), NotPermitted)
    assert bench.session.clock.getDelayedCalls() == []
    assert bench.threads.pending == []


def test_a_link_that_is_lost_while_it_is_being_set_up_starts_nothing(bench: Bench) -> None:
    bench.chute.register("greet")(noop)
    bench.chute.every(1)(noop)
    waiting: Deferred[None] = Deferred()
    bench.session.answers[SPACE + "greet"] = waiting
    attached = bench.attach()
    bench.chute.detach()
    waiting.errback(Unreachable("the link to the fabric went down"))
    assert isinstance(bench.failure(attached), Unreachable)
    assert not bench.chute.joined
    assert bench.session.clock.getDelayedCalls() == []
