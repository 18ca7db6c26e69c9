"""``provision`` and ``unprovision``, and how the device stands to its server."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from paradrop.base.exceptions import InvitationRefused
from paradrop.tokens import Token
from paradrop.values import EngineInfo, NodeInfo, Uplink, UplinkState, plain
from pdtools.testing import EPOCH, Bench

TOKEN = str(Token("id", "s3cret", b"\x30\x82"))
URL = "https://shop.example:8443"
ONLINE = Uplink(state=UplinkState.ONLINE, pdid="acme.r1", server=URL, since=EPOCH - 65)
NODE = NodeInfo(
    name="box",
    pdid="acme.r1",
    version="1",
    mode="local",
    started=EPOCH - 90,
    now=EPOCH,
    engine=EngineInfo(name="process"),
    site="http://127.0.0.1:8080/",
)


@pytest.fixture(autouse=True)
def _offered(bench: Bench, screen: Bench) -> None:
    for one in (bench, screen):
        one.realm.offer("node.provision", lambda url, token: plain(ONLINE))
        one.realm.offer("node.unprovision", lambda: plain(Uplink()))
        one.realm.offer("node.info", lambda: plain(NODE))


def asked(bench: Bench) -> list[tuple[Any, ...]]:
    return [call.args for call in bench.realm.called("node.provision")]


def test_joining_a_server(bench: Bench) -> None:
    result = bench.run("provision", "shop.example", TOKEN)
    assert (result.code, result.out, result.err) == (0, f"This device is acme.r1 at {URL} now.\n", "")
    assert asked(bench) == [(URL, TOKEN)]
    assert json.loads(bench.run("provision", URL, TOKEN, "--json").out)["state"] == "online"


def test_a_token_from_a_pipe(bench: Bench) -> None:
    assert bench.run("provision", URL, "-", input=f"  {TOKEN}\nmore\n").code == 0
    assert asked(bench) == [(URL, TOKEN)]


def test_a_token_that_is_asked_for_is_not_shown(screen: Bench) -> None:
    result = screen.run("provision", URL, input=f"{TOKEN}\n")
    assert asked(screen) == [(URL, TOKEN)]
    assert "Claim token" in result.err
    assert "s3cret" not in result.out + result.err


def test_nobody_to_ask(bench: Bench) -> None:
    result = bench.run("provision", URL)
    assert (result.code, asked(bench)) == (2, [])
    assert "standard input" in result.err


@pytest.mark.parametrize(("url", "token"), [("http://x", TOKEN), (URL, "nonsense-s3cret"), (URL, "")])
def test_what_cannot_be_is_refused_before_anything_is_dialled(bench: Bench, url: str, token: str) -> None:
    result = bench.run("provision", url, token)
    assert result.code == 2
    assert bench.realm.links == []
    assert "s3cret" not in result.err


def test_a_token_that_is_not_good(bench: Bench) -> None:
    def refused(url: str, token: str) -> Any:
        raise InvitationRefused

    bench.realm.offer("node.provision", refused)
    assert bench.run("provision", URL, TOKEN).code == 77


def test_the_link_is_waited_for(bench: Bench) -> None:
    connecting = replace(ONLINE, state=UplinkState.CONNECTING, problem="no route")
    states = iter([connecting, connecting, ONLINE])
    bench.realm.offer("node.provision", lambda url, token: plain(connecting))
    bench.realm.offer("node.info", lambda: plain(replace(NODE, uplink=next(states))))
    assert bench.run("provision", URL, TOKEN).err == ""
    bench.realm.offer("node.info", lambda: plain(replace(NODE, uplink=connecting)))
    before = bench.clock.seconds()
    result = bench.run("provision", URL, TOKEN)
    assert (result.code, result.err) == (0, "Its link is connecting (no route). See: pdtools status\n")
    assert bench.clock.seconds() - before == 10


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 2)])
def test_leaving_asks(screen: Bench, typed: str, code: int) -> None:
    assert screen.run("unprovision", input=typed).code == code
    assert len(screen.realm.called("node.unprovision")) == (1 if code == 0 else 0)


def test_leaving_from_a_script(bench: Bench) -> None:
    assert bench.run("unprovision").code == 2
    bench.realm.offer("node.info", lambda: plain(replace(NODE, pdid=None)))
    assert bench.run("unprovision", "--yes").out == "This device belongs to no server now.\n"
    assert json.loads(bench.run("unprovision", "--yes", "--json").out)["state"] == "not provisioned"


def test_leaving_a_server_that_could_not_be_told_says_what_to_do_there(bench: Bench) -> None:
    bench.realm.offer("node.unprovision", lambda: plain(Uplink(problem="the server could not be told")))
    result = bench.run("unprovision", "--yes")
    assert (result.code, result.out) == (0, "This device belongs to no server now.\n")
    assert "the server could not be told; there: pdtools server remove-device acme.r1 (or claim-token" in result.err
    assert json.loads(bench.run("unprovision", "--yes", "--json").out)["problem"] == "the server could not be told"


@pytest.mark.parametrize(
    ("uplink", "lines"),
    [
        (Uplink(), []),
        (ONLINE, [f"server     {URL}", "uplink     online for 1m"]),
        (
            replace(ONLINE, state=UplinkState.CONNECTING, problem="connection refused"),
            [f"server     {URL}", "uplink     connecting for 1m: connection refused"],
        ),
        (replace(ONLINE, state=UplinkState.REFUSED, since=None), [f"server     {URL}", "uplink     refused"]),
    ],
)
def test_status_shows_the_uplink(bench: Bench, uplink: Uplink, lines: list[str]) -> None:
    bench.realm.offer("node.info", lambda: plain(replace(NODE, uplink=uplink)))
    out = bench.run("status").out.splitlines()
    assert [line for line in out if line.startswith(("server", "uplink"))] == lines
