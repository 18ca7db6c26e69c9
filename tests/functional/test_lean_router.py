"""The lean import of Crossbar's router does what the plain import does, with less."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

SCENARIO = """
import json
import resource
import sys
import tempfile
from pathlib import Path

lean = sys.argv[1] == "lean"

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from autobahn.wamp.types import CallOptions, PublishOptions, RegisterOptions, SubscribeOptions
from paradrop.base.cxbr import BaseSession
from paradropd.fabric import Realm, RealmOptions
from paradropd.fabric.lean import UNUSED
from paradrop.permissions import Permission, Person, Role
from paradropd.permissions import ChutePeer


async def scenario(folder):
    told = {}
    realm = Realm(reactor, lambda uri: Permission.VIEW if uri.endswith("chutes.list") else None, RealmOptions(lean=lean))
    await realm.start()
    daemon = BaseSession(realm.config())
    realm.attach(daemon)
    peers = {"hello": ChutePeer("hello"), "clock": ChutePeer("clock", ("hello.*",)), "ada": Person("ada", Role.OWNER)}
    sessions = {}
    for name, peer in peers.items():
        realm.listen(folder / name, peer)
        sessions[name] = await BaseSession.start(f"unix:{folder / name}", "local", reactor=reactor, reconnect=False)
    hello, clock, ada = sessions.values()

    async def who(*args, details):
        return [args, details.caller_authid, details.caller_authrole, details.procedure]

    async def slow():
        await Deferred()

    details = RegisterOptions(details_arg="details")
    await hello.register(who, "chute.hello.who", details)
    await hello.register(who, "chute.hello.below.", RegisterOptions(details_arg="details", match="prefix"))
    await hello.register(slow, "chute.hello.slow")
    await daemon.register(who, "chutes.list", details)
    told["calls"] = [
        await clock.call("chute.hello.who", 1, "two", [3.5], {"four": None}),
        await clock.call("chute.hello.below.deep.down"),
        await ada.call("chutes.list", b"bytes"),
    ]
    refused = [
        clock.call("chute.other.x"), clock.call("chute.hello.nothing"), clock.register(who, "chute.hello.x"),
        clock.subscribe(who, "chutes.updated"), hello.call("chute.hello.who", b"x" * (5 << 20)),
        ada.call("chute.hello.slow", options=CallOptions(timeout=0.1)), hello.register(who, "chute.hello.who"),
    ]
    told["errors"] = []
    for answer in refused:
        try:
            told["errors"].append(repr(await answer))
        except Exception as problem:
            told["errors"].append(f"{type(problem).__name__}: {problem}")
    heard = []
    await clock.subscribe(lambda *args: heard.append(args), "chute.hello.", SubscribeOptions(match="prefix"))
    for number in range(3):
        await hello.publish("chute.hello.ticks", number, options=PublishOptions(acknowledge=True))
    await clock.call("chute.hello.who")
    told["events"] = heard
    told["procedures"] = [[info.uri, info.match, info.owner] for info in realm.procedures()]
    told["meta"] = await ada.stockCall("wamp.session.count")
    told["sessions"] = realm.sessions()
    for session in sessions.values():
        session.stop()
    await realm.stop()
    return told


async def whole(_):
    with tempfile.TemporaryDirectory() as folder:
        told = await scenario(Path(folder))
    tops = {name.partition(".")[0] for name in sys.modules}
    there = sorted(tops & UNUSED)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    import numpy  # whoever really wants it
    told_numpy = int(numpy.arange(4).sum())
    print(json.dumps({"told": told, "there": there, "resident": resident, "numpy": told_numpy}, default=str))


react(lambda reactor: Deferred.fromCoroutine(whole(reactor)))
"""


@cache
def outcome(how: str) -> Any:
    done = subprocess.run([sys.executable, "-c", SCENARIO, how], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout.splitlines()[-1]), "stderr": done.stderr}


def test_both_do_the_same() -> None:
    assert outcome("lean")["told"] == outcome("plain")["told"]


def test_what_both_do_is_what_is_meant() -> None:
    told = outcome("lean")["told"]
    assert told["calls"][0] == [
        *([1, "two", [3.5], {"four": None}], "clock", "chute"),
        "org.paradrop.local.chute.hello.who",
    ]
    assert told["calls"][1][3] == "org.paradrop.local.chute.hello.below.deep.down"
    kinds = [error.partition(":")[0] for error in told["errors"]]
    assert kinds == [
        *("NotPermitted", "NotFound", "NotPermitted", "NotPermitted"),
        *("InvalidInput", "DeadlineExceeded", "Conflict"),
    ]
    assert told["events"] == [[0], [1], [2]]
    assert len(told["procedures"]) == 4
    assert told["sessions"] == 3


def test_the_lean_one_leaves_out_what_it_does_not_use() -> None:
    assert outcome("lean")["there"] == []
    assert {"numpy", "zlmdb", "xbr"} <= set(outcome("plain")["there"])


@pytest.mark.parametrize("how", ["lean", "plain"])
def test_numpy_is_there_for_whoever_wants_it(how: str) -> None:
    assert outcome(how)["numpy"] == 6


def test_the_lean_one_prints_nothing() -> None:
    assert outcome("lean")["stderr"] == ""


def test_the_lean_one_takes_less_memory() -> None:
    lean, plain = outcome("lean")["resident"], outcome("plain")["resident"]
    print(f"resident: lean {lean >> 20} MiB, plain {plain >> 20} MiB")
    assert lean < 0.75 * plain
