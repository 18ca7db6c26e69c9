from __future__ import annotations

import json
from typing import Any

import pytest

from pdtools.testing import Bench


@pytest.fixture(autouse=True)
def _offered(bench: Bench, screen: Bench) -> None:
    for one in (bench, screen):
        one.realm.offer("people.list", lambda: [{"name": "ada", "role": "owner"}])
        one.realm.offer("people.add", lambda *args: {"name": args[0], "role": args[2]})
        one.realm.offer("people.remove", lambda name: None)


def added(bench: Bench) -> list[tuple[Any, ...]]:
    return [call.args for call in bench.realm.called("people.add")]


def test_listing(bench: Bench) -> None:
    assert bench.run("people", "list").out.splitlines()[1].split() == ["ada", "owner"]
    assert json.loads(bench.run("people", "list", "--json").out) == [{"name": "ada", "role": "owner"}]
    bench.realm.offer("people.list", list)
    assert "people add" in bench.run("people", "list").err


def test_a_password_is_asked_for_twice_and_not_shown(screen: Bench) -> None:
    result = screen.run("people", "add", "ada", "--role", "owner", input="secret one\nsecret two\nsame\nsame\n")
    assert result.code == 0
    assert added(screen) == [("ada", "same", "owner")]
    assert "secret" not in result.out + result.err
    assert "same\n" not in result.out + result.err


def test_a_password_from_a_pipe(bench: Bench) -> None:
    result = bench.run("people", "add", "bob", "--password-stdin", input="pass word \r\nmore\n")
    assert added(bench) == [("bob", "pass word ", "viewer")]
    assert result.out == "bob may log in as viewer.\n"


def test_nobody_to_ask(bench: Bench) -> None:
    result = bench.run("people", "add", "bob")
    assert result.code == 2
    assert "--password-stdin" in result.err
    assert added(bench) == []


def test_an_empty_password(bench: Bench) -> None:
    assert bench.run("people", "add", "bob", "--password-stdin", input="").code == 2
    assert added(bench) == []


def test_an_unknown_role(bench: Bench) -> None:
    assert bench.run("people", "add", "bob", "--role", "king").code == 2


def test_removing(bench: Bench) -> None:
    assert bench.run("people", "remove", "ada").code == 0
    assert bench.realm.called("people.remove")[0].args == ("ada",)
