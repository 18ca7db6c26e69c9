"""A server, two devices and a person, each in a network namespace with an address of its own: one fabric over all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import Fleet, chute, pdid, until
from paradrop.base.exceptions import NotPermitted

pytestmark = pytest.mark.needs("netns")

SEEN = 20.0
"""Seconds within which what has happened at one place is known at another."""

GREETER = """
from paradrop import Chute

chute = Chute()

@chute.register("greet", details="details")
def greet(name, details):
    return f"Hello, {name}! Says r1 to {details.caller_authid} ({details.caller_authrole})."

@chute.register("secret")
def secret():
    return "this is for r1 alone"

@chute.every(0.5)
def tick():
    chute.publish("ticks", "tick")

chute.run()
"""
"""On r1. Its manifest shares ``greet`` and ``ticks``, and not ``secret``."""

VISITOR = """
from paradrop import Chute

SPACE = "org.paradrop.acme.r1.chute.greeter."
chute = Chute()
heard = []

@chute.subscribe(SPACE + "ticks")
def ticked(text):
    heard.append(text)

@chute.register("ask")
async def ask(procedure, *args):
    return await chute.call(SPACE + procedure, *args)

@chute.register("heard")
def how_many():
    return len(heard)

chute.run()
"""
"""On r2: asks the greeter on r1."""

STRANGER = """
import asyncio, json, ssl, sys
import logging
from autobahn.asyncio.component import Component
from autobahn.wamp.types import SubscribeOptions

url, authority, user, key, space = sys.argv[1:]
private = open(key).read().strip()
logging.disable(logging.CRITICAL)
context = ssl.create_default_context(cadata=authority)
transport = {
    "type": "websocket",
    "url": url.replace("https:", "wss:") + "/ws",
    "serializers": ["json"],
    "endpoint": {"type": "tcp", "host": url.split("//")[1].split(":")[0], "port": int(url.rsplit(":", 1)[1]), "tls": context},
}
component = Component(
    transports=[transport],
    realm="paradrop",
    authentication={"cryptosign": {"authid": user, "privkey": private}},
)
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)

@component.on_join
async def joined(session, details):
    events = asyncio.Queue()
    await session.subscribe(lambda *args: events.put_nowait(args), space + "ticks")
    greeting = await session.call(space + "greet", "World")
    try:
        await session.call(space + "nothing")
        error = None
    except Exception as problem:
        error = problem.error
    ticks = [await asyncio.wait_for(events.get(), 20) for _ in range(2)]
    print(json.dumps({"greeting": greeting, "error": error, "ticks": ticks}), flush=True)
    await session.leave()

loop.run_until_complete(component.start(loop=loop))
"""
"""A program that is no part of Paradrop: Autobahn for asyncio, WebSocket and JSON, a person's key."""


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet("r1", "r2", waiting=["r3"]) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def hello(fleet: Fleet) -> str:
    root = Path(__file__).parents[2]
    return fleet.person.run("--target", pdid("r1"), "deploy", str(root / "chutes" / "hello"))


@pytest.fixture(scope="module")
def greeter(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = chute(tmp_path_factory.mktemp("chutes"), "greeter", GREETER, "{shares: [greet, ticks]}")
    fleet.person.run("--target", pdid("r1"), "deploy", str(folder))


@pytest.fixture(scope="module")
def visitor(fleet: Fleet, greeter: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    uses = "{uses: [org.paradrop.acme.r1.chute.greeter.*]}"
    folder = chute(tmp_path_factory.mktemp("chutes"), "visitor", VISITOR, uses)
    fleet.person.run("--target", pdid("r2"), "deploy", str(folder))


def test_both_devices_are_online_for_a_person_elsewhere(fleet: Fleet) -> None:
    assert fleet.online("r1")
    assert fleet.online("r2")
    assert f"https://{fleet.network.address('server')}:" in fleet.devices["r1"].run("status")


def test_a_device_far_away_is_used_as_if_it_were_here(fleet: Fleet, hello: str) -> None:
    assert "hello" in hello
    far = ("--target", pdid("r1"))
    running = {chute["name"]: chute["state"] for chute in fleet.person.json(*far, "ps")}
    assert running["hello"] == "running"
    assert running == {chute["name"]: chute["state"] for chute in json.loads(fleet.devices["r1"].run("ps", "--json"))}
    assert fleet.person.run(*far, "call", "hello.greet", "World") == "Hello, World!\n"
    until(lambda: "greeting World" in fleet.person.run(*far, "logs", "hello"), "the chute's line", SEEN)
    assert any("hello is here" in line for line in fleet.person.first_lines(3, *far, "logs", "-f", "hello"))
    ticks = [
        json.loads(line) for line in fleet.person.run(*far, "subscribe", "hello.ticks", "--count", "3", "--json").splitlines()
    ]
    numbers = [tick["args"][0] for tick in ticks]
    assert numbers == list(range(numbers[0], numbers[0] + 3))


def test_a_chute_that_is_not_there_is_said_to_be_missing_and_not_waited_for(fleet: Fleet) -> None:
    ran = fleet.person.tries("--target", pdid("r2"), "call", "hello.greet", "World")
    assert ran.code != 0
    assert "hello.greet" in ran.err
    assert ran.seconds < SEEN


def test_a_chute_calls_and_hears_a_chute_of_another_device(fleet: Fleet, visitor: None) -> None:
    answer = fleet.devices["r2"].run("call", "visitor.ask", "greet", "World")
    print(f"r2's visitor asked r1's greeter: {answer.strip()}")
    assert answer == "Hello, World! Says r1 to visitor@acme.r2 (chute).\n"
    until(lambda: int(fleet.devices["r2"].run("call", "visitor.heard")) > 2, "hearing the greeter's ticks", SEEN)


def test_what_a_manifest_does_not_share_stays_on_its_device(fleet: Fleet, visitor: None) -> None:
    assert fleet.devices["r1"].run("call", "greeter.secret") == "this is for r1 alone\n"
    told = fleet.devices["r2"].run("call", "visitor.ask", "secret", expect=NotPermitted.exit_code)
    print(f"r2's visitor asked for what is not shared: {told.strip()}")
    assert "r1 alone" not in told
    assert "you may not call" in told


def test_a_program_that_is_not_paradrops_calls_and_subscribes_with_a_persons_key(fleet: Fleet, greeter: None) -> None:
    seen = stranger(fleet, "org.paradrop.acme.r1.chute.greeter.")
    print(f"a plain WAMP client saw: {seen}")
    assert seen["greeting"] == "Hello, World! Says r1 to admin@server (owner)."
    assert seen["error"] == "wamp.error.no_such_procedure"
    assert seen["ticks"] == [["tick"], ["tick"]]


def stranger(fleet: Fleet, space: str) -> dict[str, Any]:
    [key] = (fleet.person.home / "config" / "paradrop" / "keys").iterdir()
    arguments = [fleet.server.url, fleet.server.authority_pem, "admin", str(key), space]
    command = [*fleet.network.within("client"), sys.executable, "-c", STRANGER, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def test_a_device_leaves_its_server_and_joins_another_one(fleet: Fleet) -> None:
    device = fleet.devices["r3"]
    assert fleet.server.url not in device.run("status")
    fleet.provision("r3")
    until(lambda: fleet.online("r3"), "r3 online", SEEN)

    device.run("unprovision", "--yes")
    until(lambda: not fleet.online("r3"), "r3 gone", SEEN)
    refused = fleet.person.tries("--target", pdid("r3"), "ps")
    print(f"after un-provisioning, from elsewhere: {refused.err.strip()}")
    assert refused.code != 0

    other = fleet.another_server()
    elsewhere = fleet.administrator(other)
    elsewhere.run("server", "create-device", "else.r3")
    device.run("provision", other.url, elsewhere.json("server", "claim-token", "else.r3")["token"])
    until(lambda: elsewhere.json("server", "devices")[0]["online"], "else.r3 online", SEEN)
    assert "else.r3" in device.run("status")
    assert elsewhere.json("--target", "else.r3", "ps") == []
    assert not fleet.online("r3")
