"""``server login``, ``logout``, ``list``: a person's way to a server."""

from __future__ import annotations

import json

import pytest

from paradrop.base.exceptions import Conflict
from paradrop.tokens import Token
from paradrop.values import ServerInfo, plain
from pdtools.testing import EPOCH, Bench

INFO = ServerInfo(
    name="shop", version="1.0", started=EPOCH - 7200, now=EPOCH, url="https://shop.example:8443",
    devices=3, online=2, users=1, you="ada", administrator=True,
)  # fmt: skip
CODE = str(Token("id", "s3cret"))


@pytest.fixture(autouse=True)
def _offered(bench: Bench, screen: Bench) -> None:
    for one in (bench, screen):
        one.server.codes["s3cret"] = "ada"
        one.server.offer("org.paradrop.server.info", lambda: plain(INFO))


def test_a_first_login_makes_a_key_and_remembers_the_server(bench: Bench) -> None:
    result = bench.run("server", "login", "shop.example", CODE)
    assert (result.code, result.out) == (0, "You are ada at shop now.\n")
    [shop] = bench.servers.known()
    assert bench.server.keys == {bench.servers.key(shop).public: "ada"}
    assert [(one.name, one.url, one.user) for one in bench.servers.known()] == [("shop", bench.server.url, "ada")]
    assert len(bench.server.called("org.paradrop.server.info")) == 1
    assert "s3cret" not in result.out + result.err


def test_the_authority_of_the_code_is_pinned(bench: Bench) -> None:
    token = Token("id", "s3cret", b"\x30\x03abc")
    bench.server.authority = token.authority_pem
    assert bench.run("server", "login", bench.server.url, str(token)).code == 0
    assert bench.servers.known()[0].authority == token.authority_pem
    assert "its own authority" in bench.run("server", "list").out


def test_a_second_login_uses_the_same_key(bench: Bench) -> None:
    bench.run("server", "login", bench.server.url, CODE)
    bench.server.codes["more"] = "ada"
    assert bench.run("server", "login", bench.server.url, str(Token("id", "more"))).code == 0
    assert bench.server.keys == {bench.servers.key(bench.servers.known()[0]).public: "ada"}


def test_who_is_to_be_somebody_else_logs_out_first(bench: Bench) -> None:
    bench.run("server", "login", bench.server.url, CODE)
    bench.server.codes["other"] = "bob"
    other = ("server", "login", bench.server.url, str(Token("id", "other")))
    result = bench.run(*other)
    assert result.code == Conflict.exit_code
    assert "You are ada at shop" in result.err
    assert "pdtools server logout shop" in result.err
    assert [one.user for one in bench.servers.known()] == ["ada"]
    bench.run("server", "logout", "shop")
    assert bench.run(*other).out == "You are bob at shop now.\n"
    assert sorted(bench.server.keys.values()) == ["ada", "bob"]  # a key each


def test_a_login_whose_answer_was_lost_is_tried_again_with_the_same_key(bench: Bench) -> None:
    bench.server.lose_answers = 1
    assert bench.run("server", "login", bench.server.url, CODE).code == 69
    assert bench.servers.known() == []
    [taken] = bench.server.keys
    result = bench.run("server", "login", bench.server.url, CODE)
    assert (result.code, result.out) == (0, "You are ada at shop now.\n")
    assert bench.servers.key(bench.servers.known()[0]).public == taken
    assert bench.server.keys == {taken: "ada"}


def test_a_code_works_for_one_key(bench: Bench) -> None:
    for _ in range(2):
        assert bench.run("server", "login", bench.server.url, CODE).code == 0
    bench.run("server", "logout")  # and the next login makes a new key
    result = bench.run("server", "login", bench.server.url, CODE)
    assert result.code == 77
    assert "used already" in result.err
    assert bench.servers.known() == []
    assert len(bench.server.keys) == 1


def test_a_code_from_a_pipe_and_one_that_is_typed(bench: Bench, screen: Bench) -> None:
    assert bench.run("server", "login", bench.server.url, "-", input=f"{CODE}\n").code == 0
    result = screen.run("server", "login", screen.server.url, input=f"{CODE}\n")
    assert result.code == 0
    assert "s3cret" not in result.out + result.err
    assert bench.run("server", "login", bench.server.url).code == 2


def test_a_server_that_is_not_there_is_not_remembered(bench: Bench) -> None:
    assert bench.run("server", "login", "https://else.example:1", CODE).code == 69
    assert bench.servers.known() == []


def test_login_as_json(bench: Bench) -> None:
    assert json.loads(bench.run("server", "login", bench.server.url, CODE, "--json").out)["administrator"] is True


def test_logging_out(bench: Bench) -> None:
    bench.log_in()
    [shop] = bench.servers.known()
    public = bench.servers.key(shop).public
    result = bench.run("server", "logout")
    assert (result.code, result.out) == (0, "You are logged out of shop, and your key for it is removed from this machine.\n")
    assert f"users forget-key ada {public[:12]}" in result.err
    assert bench.servers.known() == []
    assert not bench.servers.key_file(shop.url, shop.authority).exists()
    assert bench.run("server", "logout").code == 77


def test_logging_out_without_a_key(bench: Bench) -> None:
    bench.log_in()
    [shop] = bench.servers.known()
    bench.servers.key_file(shop.url, shop.authority).unlink()
    assert "pdtools server login https://shop.example:8443" in bench.run("server", "status").err
    result = bench.run("server", "logout")
    assert (result.code, result.err) == (0, "")
    assert bench.servers.known() == []


def test_logging_out_of_one_of_several(bench: Bench) -> None:
    bench.log_in()
    bench.servers.remember("lab", "https://lab.example:8443", "ada", "")
    assert bench.run("server", "logout").code == 2
    assert bench.run("server", "logout", "lab.example:8443").out.startswith("You are logged out of lab,")
    assert [one.name for one in bench.servers.known()] == ["shop"]


def test_the_known_servers(bench: Bench) -> None:
    assert "pdtools server login" in bench.run("server", "list").err
    assert bench.run("server", "list", "--json").out == "[]\n"
    bench.log_in()
    assert bench.run("server", "list").out.splitlines() == [
        "NAME  YOU ARE  URL                        VERIFIED BY",
        "shop  ada      https://shop.example:8443  the system",
    ]
    assert json.loads(bench.run("server", "list", "--json").out) == [
        {"name": "shop", "url": "https://shop.example:8443", "user": "ada", "pinned": False}
    ]


def test_the_server_at_a_glance(bench: Bench) -> None:
    bench.log_in()
    assert bench.run("server", "status").out.splitlines() == [
        "server    shop",
        "url       https://shop.example:8443",
        "pdserver  1.0, up 2h",
        "devices   2 of 3 online",
        "users     1",
        "you       ada, an administrator",
    ]
    assert json.loads(bench.run("server", "status", "--json").out)["online"] == 2


@pytest.mark.parametrize("command", ["status", "devices", "users", "groups", "audit"])
def test_without_a_login_it_says_how_to(bench: Bench, command: str) -> None:
    result = bench.run("server", command)
    assert result.code == 77
    assert "pdtools server login URL" in result.err
