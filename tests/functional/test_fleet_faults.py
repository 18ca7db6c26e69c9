"""The network fails between a device and its server: cables pulled, packets swallowed, links that come and go."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calling import Caller
from fleet import Fleet, chute, pdid, until
from namespaces import Network
from paradrop.base.exceptions import DeadlineExceeded, DeviceOffline

pytestmark = pytest.mark.needs("netns")

CUT = float(os.environ.get("PARADROP_TEST_CUT", "20"))
"""Seconds without a network, at least."""
NOTICED = 60.0
"""Seconds within which each side knows that the other is gone: TCP keep-alive finds a dead peer in 30 s."""
OFFLINE = 1.0
"""Seconds within which a call to a device that is known to be away has failed."""
BUSY = 0.3
"""Seconds that a process may wait for its turn on a busy machine."""
TOOL = 4.0
"""Seconds that pdtools itself may take on a busy machine, from its start to its end."""
DEADLINE = 5.0
"""Seconds given to a call through a link that is half-open."""
ARRIVES = 10.0
"""Seconds from a device's return until it has what was deployed meanwhile."""
BACK = 30.0
"""Seconds within which an uplink is up again: attempts are 10 s apart at most."""

ECHO = """
from paradrop import Chute

chute = Chute()

@chute.register("echo")
async def echo(value):
    return value

chute.run()
"""

CALLER = """
import time
from paradrop import Chute

chute = Chute()
counted = {"made": 0, "answered": 0, "failed": [], "longest": 0.0}

@chute.every(0.1)
async def ask():
    counted["made"] += 1
    begun = time.monotonic()
    try:
        assert await chute.call("echo.echo", counted["made"]) == counted["made"]
        counted["answered"] += 1
    except Exception as problem:
        counted["failed"].append(repr(problem))
    counted["longest"] = max(counted["longest"], time.monotonic() - begun)

@chute.register("counted")
async def how_many():
    return counted

chute.run()
"""

VERSION = """
from paradrop import Chute

chute = Chute()

@chute.register("version")
async def version():
    return "{}"

chute.run()
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """r1 has two chutes, of which one calls the other ten times a second all the while."""
    folder = tmp_path_factory.mktemp("chutes")
    with Fleet("r1") as fleet:
        far = ("--target", pdid("r1"))
        fleet.person.run(*far, "deploy", str(chute(folder, "echo", ECHO)))
        fleet.person.run(*far, "deploy", str(chute(folder, "caller", CALLER, "{uses: [echo.*]}")))
        yield fleet


@pytest.fixture(autouse=True)
def the_device_is_there(fleet: Fleet) -> Iterator[None]:
    until(lambda: fleet.online("r1"), "r1 online", BACK)
    yield
    until(lambda: fleet.online("r1"), "r1 online again", BACK)


@contextmanager
def chutes_go_on(fleet: Fleet) -> Iterator[None]:
    """What the two chutes on the device count meanwhile: every call was answered, and at once."""
    begun, before = time.monotonic(), json.loads(fleet.devices["r1"].run("call", "caller.counted"))
    yield
    seconds, after = time.monotonic() - begun, json.loads(fleet.devices["r1"].run("call", "caller.counted"))
    made, answered = after["made"] - before["made"], after["answered"] - before["answered"]
    print(f"on the device: {made} calls from chute to chute in {seconds:.0f} s, {answered} answered, {after['failed']} failed,")
    print(f"the longest took {after['longest'] * 1000:.0f} ms")
    assert after["failed"] == before["failed"] == []
    assert made - answered in (-1, 0, 1)  # one may be on its way at either end
    assert made > seconds * 5


def call_ends(fleet: Fleet, *options: str) -> tuple[int, str, float]:
    """What a person who calls a chute on r1 gets, and after how many seconds."""
    ran = fleet.person.tries("--target", pdid("r1"), "call", "echo.echo", "5", *options)
    return ran.code, ran.err.strip(), ran.seconds


def deployed(fleet: Fleet, folder: Path, version: str) -> str:
    """Deploy that version of the chute ``late`` to r1; what pdtools said."""
    source = chute(folder / version, "late", VERSION.format(version), version=version)
    ran = fleet.person.tries("--target", pdid("r1"), "deploy", str(source))
    assert ran.code == 0, ran.out + ran.err
    return (ran.out + ran.err).strip()


def has(fleet: Fleet, version: str) -> bool:
    """Asked on the device itself."""
    return any(
        chute["name"] == "late" and chute["version"] == version and chute["state"] == "running"
        for chute in json.loads(fleet.devices["r1"].run("ps", "--json"))
    )


def offline_at_once(fleet: Fleet) -> None:
    """A call by somebody who has joined already fails, and says why, in time."""
    with Caller(fleet.network.within("client"), fleet.person.home / "config" / "paradrop") as caller:
        called = caller.call(f"org.paradrop.{pdid('r1')}.chute.echo.echo", 5)
    print(f"known to be away: a call ends after {called.seconds * 1000:.0f} ms: {called.words}")
    assert called.error == DeviceOffline.uri()
    assert called.words.startswith(f"{pdid('r1')} is offline; last seen ")
    assert called.seconds < OFFLINE + BUSY


def wait_until_offline(fleet: Fleet) -> float:
    return until(lambda: not fleet.online("r1"), "the server noticing", NOTICED)


def test_the_faults_are_what_they_are_called() -> None:
    with Network("one", "other") as network:
        assert network.reaches("one", "other")
        with network.cut("one"):
            assert not network.reaches("other", "one")
        assert network.reaches("one", "other")
        with network.swallowed("one"):
            assert not network.reaches("one", "other")
        assert network.reaches("one", "other")


def test_a_device_whose_cable_is_pulled_misses_nothing_but_its_server(fleet: Fleet, tmp_path: Path) -> None:
    with chutes_go_on(fleet):
        with fleet.network.cut("r1"):
            begun = time.monotonic()
            code, said, seconds = call_ends(fleet, "--deadline", str(DEADLINE))
            print(f"cut: a call at once ends after {seconds:.2f} s with exit code {code}: {said}")
            assert code != 0
            assert seconds < DEADLINE + TOOL

            print(f"cut: the server knows after {time.monotonic() - begun + wait_until_offline(fleet):.1f} s")
            offline_at_once(fleet)
            code, said, _ = call_ends(fleet)
            assert code != 0
            assert "offline" in said

            for version in ("1", "2", "3"):
                print(f"cut: deploy of version {version}: {deployed(fleet, tmp_path, version)}")
            waiting = fleet.person.json("server", "wanted", pdid("r1"))
            late = [one for one in waiting if one["chute"] == "late"]
            assert [(one["version"], one["state"]) for one in late if one["state"] != "delivered"] == [("3", "waiting")]
            time.sleep(max(0.0, CUT - (time.monotonic() - begun)))

        healed = time.monotonic()
        until(lambda: fleet.online("r1"), "the uplink coming back", BACK)
        back = time.monotonic()
        until(lambda: has(fleet, "3"), "what was deployed arriving", ARRIVES)
        print(f"healed: online after {back - healed:.1f} s, version 3 runs {time.monotonic() - back:.1f} s later")
    assert fleet.devices["r1"].run("call", "late.version") == "3\n"
    changes = json.loads(fleet.devices["r1"].run("changes", "--json"))
    assert len([change for change in changes if change["chute"] == "late"]) == 1  # the newest only
    assert fleet.call("r1", "echo.echo", "5") == 5


def test_calls_end_within_their_deadline_where_packets_are_swallowed(fleet: Fleet) -> None:
    with chutes_go_on(fleet):
        with fleet.network.swallowed("r1"):
            begun, ended = time.monotonic(), []
            while fleet.online("r1"):
                assert time.monotonic() - begun < NOTICED, "nobody notices"
                code, said, seconds = call_ends(fleet, "--deadline", str(DEADLINE))
                ended.append(seconds)
                print(f"half-open: a call ends after {seconds:.2f} s with exit code {code}: {said}")
                assert code != 0
                assert seconds < DEADLINE + TOOL
            print(f"half-open: {len(ended)} calls ended; the server knows after {time.monotonic() - begun:.1f} s")
            offline_at_once(fleet)
        print(f"healed: online after {until(lambda: fleet.online('r1'), 'the uplink coming back', BACK):.1f} s")
    assert fleet.call("r1", "echo.echo", "5") == 5


def test_a_link_that_flaps_settles(fleet: Fleet) -> None:
    with chutes_go_on(fleet):
        for number in range(6):
            with fleet.network.cut("r1") if number % 2 else fleet.network.swallowed("r1"):
                time.sleep(0.3 + number * 0.4)
            time.sleep(0.2 + number * 0.3)
        code, said, seconds = call_ends(fleet, "--deadline", str(DEADLINE))
        print(f"flapping: a call ends after {seconds:.2f} s with exit code {code}: {said}")
        assert seconds < DEADLINE + TOOL
        # Which it is depends on the moment: answered, nobody there, or no answer in time; and whoever fails says why.
        assert code in (0, DeviceOffline.exit_code, DeadlineExceeded.exit_code)
        assert bool(said) == (code != 0)
        settled = until(lambda: call_ends(fleet, "--deadline", "2")[0] == 0, "the link settling", NOTICED + BACK)
        print(f"flapping: calls are answered again {settled:.1f} s after the last time")
