"""The fabric in memory keeps the rules that the device's own realm keeps."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.wamp.types import CallDetails

from paradrop import Chute, NotFound, NotPermitted
from paradrop.base.exceptions import Unreachable
from paradrop.testing import Event, MemoryFabric


def chute(name: str) -> Chute:
    return Chute(name, environ={})


@pytest.fixture
def fabric() -> MemoryFabric:
    return MemoryFabric()


@pytest.fixture
def hello(fabric: MemoryFabric) -> Chute:
    hello = chute("hello")

    @hello.register("greet")
    def greet(name: str, mark: str = "!") -> str:
        return f"Hello, {name}{mark}"

    @hello.register("who", details="caller")
    async def who(caller: CallDetails) -> tuple[Any, ...]:
        return caller.caller_authid, caller.caller_authrole, caller.procedure

    fabric.join(hello)
    return hello


def asking(fabric: MemoryFabric, name: str, uses: tuple[str, ...] = ()) -> Any:
    """A chute of that name that calls what it is told to call."""
    asker = chute(name)

    @asker.register("ask")
    async def ask(procedure: str, *args: Any) -> Any:
        return await asker.call(procedure, *args)

    fabric.join(asker, uses=uses)
    return lambda *args: fabric.call(f"{name}.ask", *args)


def test_a_test_calls_a_procedure(fabric: MemoryFabric, hello: Chute) -> None:
    assert fabric.call("hello.greet", "World") == "Hello, World!"
    assert fabric.call("hello.greet", "World", mark="?") == "Hello, World?"


def test_what_nobody_has_registered_is_not_found(fabric: MemoryFabric, hello: Chute) -> None:
    with pytest.raises(NotFound, match=r"hello\.nothing"):
        fabric.call("hello.nothing")


def test_a_procedure_is_told_who_calls(fabric: MemoryFabric, hello: Chute) -> None:
    uri = "org.paradrop.local.chute.hello.who"
    assert fabric.call("hello.who") == ("tester", "owner", uri)
    assert asking(fabric, "other", ("hello.who",))("hello.who") == ("other", "chute", uri)


def test_a_chute_calls_what_it_uses_and_nothing_else(fabric: MemoryFabric, hello: Chute) -> None:
    assert asking(fabric, "friend", ("hello.*",))("hello.greet", "you") == "Hello, you!"
    with pytest.raises(NotPermitted, match="may not call"):
        asking(fabric, "stranger")("hello.greet", "you")
    with pytest.raises(NotPermitted):
        asking(fabric, "hello2")("hello.greet", "you")


def test_a_plain_function_calls_and_waits(fabric: MemoryFabric, hello: Chute) -> None:
    plain = chute("plain")

    @plain.register("ask")
    def ask(name: str) -> Any:
        return plain.call_and_wait("hello.greet", name)

    with pytest.raises(Unreachable):
        plain.call_and_wait("hello.greet", "nobody")
    fabric.join(plain, uses=["hello.greet"])
    assert fabric.call("plain.ask", "you") == "Hello, you!"
    with pytest.raises(NotFound):
        plain.call_and_wait("plain.nothing")


def listening(fabric: MemoryFabric, name: str, topic: str, *, match: str = "exact", uses: tuple[str, ...] = ()) -> list[Any]:
    heard: list[Any] = []
    listener = chute(name)
    listener.subscribe(topic, match=match)(lambda *args, **kwargs: heard.append((args, kwargs)))
    fabric.join(listener, uses=uses)
    return heard


def test_events_reach_those_who_may_hear_them(fabric: MemoryFabric, hello: Chute) -> None:
    exact = listening(fabric, "exact", "hello.ticks", uses=("hello.ticks",))
    prefix = listening(fabric, "prefix", "hello.", match="prefix", uses=("hello.*",))
    assert hello.publish("ticks", 1, unit="s")
    assert hello.publish("tocks", 2)
    assert exact == [((1,), {"unit": "s"})]
    assert prefix == [((1,), {"unit": "s"}), ((2,), {})]
    with pytest.raises(NotPermitted, match="may not subscribe"):
        listening(fabric, "nosy", "hello.ticks")


def test_who_publishes_does_not_hear_itself(fabric: MemoryFabric) -> None:
    heard: list[Any] = []
    echo = chute("echo")
    echo.subscribe("echo.said")(heard.append)
    fabric.join(echo)
    echo.publish("said", "from the inside")
    assert heard == []
    fabric.publish("echo.said", "from the outside")
    assert heard == ["from the outside"]


def test_everything_published_is_kept(fabric: MemoryFabric, hello: Chute) -> None:
    hello.publish("ticks", 1)
    hello.publish("tocks")
    fabric.publish("weather.today", "rain", sure=False)
    assert fabric.events == [
        Event("hello.ticks", (1,), {}),
        Event("hello.tocks", (), {}),
        Event("weather.today", ("rain",), {"sure": False}),
    ]
    assert fabric.events_of("hello.ticks") == [(1,)]


def test_time_moves_when_it_is_told_to(fabric: MemoryFabric) -> None:
    ticker, count = chute("ticker"), 0

    @ticker.every(2.0)
    def tick() -> None:
        nonlocal count
        count += 1
        ticker.publish("ticks", count)

    fabric.join(ticker)
    assert fabric.events_of("ticker.ticks") == [(1,)]
    fabric.clock.advance(1.9)
    assert len(fabric.events) == 1
    fabric.clock.pump([0.1, 2.0, 2.0])
    assert fabric.events_of("ticker.ticks") == [(1,), (2,), (3,), (4,)]


def test_a_lost_link_takes_everything_with_it_and_a_new_one_brings_it_back(fabric: MemoryFabric, hello: Chute) -> None:
    other = chute("other")
    beats: list[int] = []
    other.register("answer")(lambda: 42)
    other.every(1.0)(lambda: beats.append(1))
    heard: list[Any] = []
    other.subscribe("hello.ticks")(heard.append)
    link = fabric.join(other, uses=["hello.ticks"])
    assert other.joined
    assert len(beats) == 1

    link.lose()
    assert not other.joined
    hello.publish("ticks", 1)
    fabric.clock.advance(5)
    assert (heard, len(beats)) == ([], 1)
    with pytest.raises(NotFound):
        fabric.call("other.answer")
    assert fabric.call("hello.greet", "you") == "Hello, you!"
    assert fabric.clock.getDelayedCalls() == []

    fabric.join(other, uses=["hello.ticks"])
    hello.publish("ticks", 2)
    assert (heard, len(beats), fabric.call("other.answer")) == ([2], 2, 42)


def test_a_procedure_that_waits_for_time_is_told_of(fabric: MemoryFabric) -> None:
    from twisted.internet.task import deferLater

    slow = chute("slow")

    @slow.register("later")
    async def later() -> None:
        await deferLater(fabric.clock, 1.0)

    fabric.join(slow)
    with pytest.raises(AssertionError, match="still waiting"):
        fabric.call("slow.later")
