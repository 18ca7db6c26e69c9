"""The fabric from the command line: call, publish, subscribe."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from paradrop.base.exceptions import InvalidInput, NotPermitted
from paradrop.values import ChuteState, ChuteStatus, ProcedureInfo, Want, plain
from pdtools import words
from pdtools.testing import EPOCH, Bench


def test_text_is_printed_as_it_is(bench: Bench) -> None:
    bench.realm.offer("hello.greet", lambda name: f"Hello, {name}!")
    result = bench.run("call", "hello.greet", "World")
    assert (result.code, result.out, result.err) == (0, "Hello, World!\n", "")
    assert bench.run("call", "hello.greet", "World", "--json").out == '"Hello, World!"\n'


def test_everything_else_is_printed_as_json(bench: Bench) -> None:
    bench.realm.offer("x.echo", lambda *args, **kwargs: {"args": args, "kwargs": kwargs})
    assert json.loads(bench.run("call", "x.echo", "1", "a", "[2]", "--kw", "b=true").out) == {
        "args": [1, "a", [2]],
        "kwargs": {"b": True},
    }


def test_nothing_is_printed_as_nothing(bench: Bench) -> None:
    bench.realm.offer("x.quiet", lambda: None)
    assert bench.run("call", "x.quiet").out == ""
    assert bench.run("call", "x.quiet", "--json").out == "null\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("World", "World"),
        ('"5"', "5"),
        ("null", None),
        ("[1", "[1"),
        ("NaN", "NaN"),
        ("", ""),
        ("1.5", 1.5),
    ],
)
def test_what_an_argument_means(text: str, value: Any) -> None:
    assert words.value(text) == value
    assert words.value(text, as_string=True) == text


def test_deeply_nested_text_is_text() -> None:
    assert words.value("[" * 100_000) == "[" * 100_000


def test_negative_numbers_are_arguments_and_no_options(bench: Bench) -> None:
    bench.realm.offer("x.echo", lambda *args: list(args))
    assert json.loads(bench.run("call", "x.echo", "-5", "--string").out) == ["-5"]


def test_a_mistyped_option_is_no_argument(bench: Bench) -> None:
    bench.realm.offer("x.echo", lambda *args: list(args))
    result = bench.run("call", "x.echo", "--jsn")
    assert (result.code, result.out) == (2, "")
    assert "No such option: --jsn" in result.err
    assert json.loads(bench.run("call", "x.echo", '"--jsn"').out) == ["--jsn"]


@pytest.mark.parametrize("pair", ["a", "=b", ""])
def test_a_keyword_is_key_and_value(bench: Bench, pair: str) -> None:
    result = bench.run("call", "x.y", "--kw", pair)
    assert result.code == 2
    assert "is not KEY=VALUE" in result.err


@pytest.mark.parametrize("name", ["", "a b", "hello.", "hello..x", "a#b", "x" * 600])
def test_a_bad_name_is_refused_before_anything_is_dialled(bench: Bench, name: str) -> None:
    assert bench.run("call", name).code == 2
    assert bench.run("publish", name).code == 2
    assert bench.run("subscribe", name).code == 2
    assert bench.realm.links == []


def test_nobody_has_registered_it(bench: Bench) -> None:
    result = bench.run("call", "hello.greet")
    assert (result.code, result.err) == (1, "Error: nobody has registered hello.greet\n")


@pytest.mark.parametrize(
    ("name", "state", "hint"),
    [
        ("helo.greet", "running", "did you mean hello.greet?"),
        ("hello.greet", "stopped", "hello is stopped"),
        ("xyz", "running", "CHUTE.PROCEDURE"),
    ],
)
def test_a_name_nobody_has_registered_comes_with_a_hint(bench: Bench, name: str, state: str, hint: str) -> None:
    status = ChuteStatus(name="hello", version="1", release=1, state=ChuteState(state), want=Want.RUNNING)
    bench.realm.offer("chutes.list", lambda: [plain(status)])
    procedure = ProcedureInfo(uri="org.paradrop.local.chute.hello.greet", match="exact", owner="hello")
    bench.realm.offer("fabric.procedures", lambda: [plain(procedure)])
    result = bench.run("call", name)
    assert result.code == 1
    assert hint in result.err


def test_no_answer_in_time(bench: Bench) -> None:
    bench.realm.offer("x.hang", Deferred)
    result = bench.run("call", "x.hang", "--deadline", "2")
    assert (result.code, result.err) == (75, "Error: x.hang gave no answer within 2 s\n")
    assert bench.clock.seconds() == 2


def test_ctrl_c_ends_a_call(bench: Bench) -> None:
    bench.realm.offer("x.hang", Deferred)
    bench.interrupt_after(1)
    assert bench.run("call", "x.hang").code == 130


def test_an_error_of_the_callee_keeps_its_exit_code(bench: Bench) -> None:
    def no() -> None:
        raise NotPermitted("you may not")

    bench.realm.offer("x.no", no)
    assert bench.run("call", "x.no").code == 77


def test_the_link_is_closed_whatever_happens(bench: Bench) -> None:
    bench.run("call", "no.such")
    assert [link.connected for link in bench.realm.links] == [False]


def test_no_device(bench: Bench) -> None:
    bench.realm.up = False
    assert bench.run("call", "hello.greet").code == 69


def test_publish(bench: Bench) -> None:
    result = bench.run("publish", "hello.mood", "happy", "3", "--kw", "why=sun")
    assert (result.code, result.out) == (0, "")
    event = bench.realm.published[0]
    assert (event.topic, event.args, event.kwargs) == ("org.paradrop.local.chute.hello.mood", ("happy", 3), {"why": "sun"})


def emits(bench: Bench, *events: tuple[float, str, Any]) -> None:
    for seconds, topic, value in events:
        bench.clock.callLater(seconds, bench.realm.emit, topic, value)


def test_subscribe_prints_events_and_says_once_what_it_listens_to(bench: Bench) -> None:
    emits(bench, (1, "hello.ticks", 1), (2, "other.ticks", 7), (3, "hello.ticks", {"a": "b"}))
    bench.interrupt_after(4)
    result = bench.run("subscribe", "hello.ticks")
    assert result.code == 130
    assert [line.split("  ", 1)[1] for line in result.out.splitlines()] == ["hello.ticks  1", 'hello.ticks  {"a": "b"}']
    assert result.err.rstrip() == "Listening to hello.ticks (Ctrl-C ends)"


def test_subscribe_ends_after_so_many_events(bench: Bench) -> None:
    emits(bench, (1, "hello.ticks", 1), (2, "hello.ticks", 2), (3, "hello.ticks", 3))
    result = bench.run("subscribe", "hello.ticks", "--count", "2", "--json")
    assert result.code == 0
    assert [json.loads(line) for line in result.out.splitlines()] == [
        {"time": EPOCH + second, "topic": "org.paradrop.local.chute.hello.ticks", "args": [second], "kwargs": {}}
        for second in (1, 2)
    ]


@pytest.mark.parametrize(("match", "name", "heard"), [("prefix", "hello.", ["1", "2"]), ("wildcard", "hello..changed", ["2"])])
def test_patterns(bench: Bench, match: str, name: str, heard: list[str]) -> None:
    emits(bench, (1, "hello.ticks", 1), (2, "hello.door.changed", 2), (3, "other.door.changed", 3))
    bench.interrupt_after(4)
    out = bench.run("subscribe", name, "--match", match).out
    assert [line.split()[-1] for line in out.splitlines()] == heard


def test_subscribe_goes_on_over_a_lost_link(bench: Bench) -> None:
    emits(bench, (1, "hello.ticks", 1), (3, "hello.ticks", 2), (20, "hello.ticks", 3))
    bench.clock.callLater(2, bench.realm.lose, 6.0)
    result = bench.run("subscribe", "hello.ticks", "--count", "2")
    assert [line.split()[-1] for line in result.out.splitlines()] == ["1", "3"]
    assert result.err.splitlines() == [
        "Listening to hello.ticks (Ctrl-C ends)",
        "The link to the device is lost; trying to connect again.",
        "Connected again.",
    ]


def test_a_keyword_that_is_nobodys() -> None:
    with pytest.raises(InvalidInput):
        words.keywords(["novalue"], as_strings=False)
