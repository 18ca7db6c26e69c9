"""A chute as its device runs it: a real process, joined to a real realm by its own unix socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from paradrop import uris
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import NotFound, NotPermitted
from paradrop.manifest import parse
from paradrop.permissions import Person, Role
from paradropd.fabric import Realm
from paradropd.permissions import ChutePeer

SOON = 15
"""Seconds that something may take which takes a fraction of one on a machine that is not busy."""


class Device:
    """A realm with a control socket, a session of a person on it, and chutes that are processes."""

    def __init__(self, thread: Any, folder: Path) -> None:
        self.thread = thread
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.realm: Realm = thread.call(lambda: Realm(thread.reactor, lambda uri: None))
        self.person: BaseSession = thread.run(self._start)

    async def _start(self) -> BaseSession:
        await self.realm.start()
        self.realm.listen(self.folder / "control.sock", Person("ada", Role.OWNER))
        address = f"unix:{self.folder / 'control.sock'}"
        return await BaseSession.start(address, "local", reactor=self.thread.reactor, reconnect=False)

    def listen(self, chute: str, *uses: str) -> None:
        self.thread.call(lambda: self.realm.listen(self.folder / f"{chute}.sock", ChutePeer(chute, uses)))

    def unlisten(self, chute: str) -> None:
        self.thread.run(lambda: self.realm.unlisten(self.folder / f"{chute}.sock"))

    def run(self, chute: str, main: Path) -> subprocess.Popen[str]:
        """Start *main* as that chute."""
        process = subprocess.Popen(
            [sys.executable, str(main)],
            env={
                **os.environ,
                "PARADROP_CHUTE_NAME": chute,
                "PARADROP_CHUTE_VERSION": "1.0",
                "PARADROP_DATA_DIR": str(self.folder),
                "PARADROP_FABRIC": f"unix:{self.folder}/{chute}.sock",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def until_there(self, name: str) -> None:
        """Wait until somebody has registered *name*."""

        async def registered() -> None:
            while uris.resolve(name) not in {info.uri for info in self.realm.procedures()}:
                await deferLater(self.thread.reactor, 0.01)

        self.thread.run(registered, timeout=SOON)

    def call(self, name: str, *args: Any) -> Any:
        async def call() -> Any:
            return await self.person.stockCall(uris.resolve(name), *args)

        return self.thread.run(call)

    def next_event(self, topic: str) -> Any:
        """The arguments of the next event of *topic*."""

        async def listen() -> Any:
            heard: Deferred[Any] = Deferred()
            subscription = await self.person.stockSubscribe(
                lambda *args: heard.called or heard.callback(args), uris.resolve(topic)
            )
            event = await heard
            await subscription.unsubscribe()
            return event

        return self.thread.run(listen, timeout=SOON)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

        async def stop() -> None:
            self.person.stop()
            await self.realm.stop()
            while self.realm.sessions() or self.thread.reactor.getDelayedCalls():
                await deferLater(self.thread.reactor, 0.01)

        self.thread.run(stop)


@pytest.fixture
def device(reactor_thread: Any) -> Iterator[Device]:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders can be too deep for a socket
        made = Device(reactor_thread, Path(folder))
        yield made
        made.stop()


@pytest.fixture
def hello(device: Device, project: Path) -> subprocess.Popen[str]:
    device.listen("hello")
    process = device.run("hello", project / "chutes" / "hello" / "main.py")
    device.until_there("hello.greet")
    return process


def terminate(process: subprocess.Popen[str]) -> tuple[str, str]:
    """End it as an engine does. Returns what it has printed."""
    process.send_signal(signal.SIGTERM)
    printed = process.communicate(timeout=5)  # half of what an engine gives it
    assert process.returncode == 0, printed
    return printed


def test_hello_answers_ticks_and_ends_when_asked_to(device: Device, hello: subprocess.Popen[str]) -> None:
    assert device.call("hello.greet", "World") == "Hello, World!"
    (first,) = device.next_event("hello.ticks")
    (second,) = device.next_event("hello.ticks")
    assert second > first >= 1
    out, err = terminate(hello)
    assert "World" in out
    assert err == ""


def test_hello_comes_back_after_its_link_was_broken(device: Device, hello: subprocess.Popen[str]) -> None:
    (before,) = device.next_event("hello.ticks")
    for _ in range(2):
        device.unlisten("hello")
        with pytest.raises(NotFound):
            device.call("hello.greet", "World")
        device.listen("hello")
        device.until_there("hello.greet")
        assert device.call("hello.greet", "World") == "Hello, World!"
    (after,) = device.next_event("hello.ticks")
    assert after > before
    assert "Traceback" not in terminate(hello)[1]


def test_hello_waits_for_a_device_that_is_not_there_yet(device: Device, project: Path) -> None:
    process = device.run("hello", project / "chutes" / "hello" / "main.py")
    device.listen("hello")
    device.until_there("hello.greet")
    terminate(process)


def test_hello_ends_when_asked_to_while_it_has_no_link(device: Device, hello: subprocess.Popen[str]) -> None:
    device.unlisten("hello")
    terminate(hello)


def test_hello_has_room_in_the_memory_that_its_manifest_asks_for(
    device: Device, hello: subprocess.Popen[str], project: Path
) -> None:
    device.call("hello.greet", "World")
    (service,) = parse((project / "chutes" / "hello" / "paradrop.yaml").read_bytes()).services
    assert psutil.Process(hello.pid).memory_info().rss < 0.75 * service.limits.memory
    assert psutil.Process(hello.pid).num_threads() < service.limits.pids


def chute(device: Device, name: str, text: str) -> subprocess.Popen[str]:
    main = device.folder / f"{name}.py"
    main.write_text(f"from paradrop import *\nchute = Chute()\n{text}\nchute.run()\n", encoding="utf-8")
    return device.run(name, main)


def test_plain_functions_block_side_by_side_and_reach_the_fabric_from_their_threads(
    device: Device, hello: subprocess.Popen[str]
) -> None:
    device.listen("asker", "hello.greet")
    process = chute(
        device,
        "asker",
        """
from threading import Barrier, current_thread, main_thread
together = Barrier(2)

@chute.register("meet")
def meet():
    together.wait(20)
    return current_thread() is main_thread()

@chute.register("ask")
def ask(name):
    chute.publish("asked", name)
    return chute.call_and_wait("hello.greet", name)

@chute.register("forbidden")
def forbidden():
    try:
        chute.call_and_wait("hello.other")
    except NotPermitted as problem:
        return str(problem)

@chute.register("wrong")
async def wrong():
    try:
        chute.call_and_wait("hello.greet", "x")
    except RuntimeError as problem:
        return str(problem)
""",
    )
    device.until_there("asker.wrong")

    async def together() -> list[Any]:
        both: list[Awaitable[Any]] = [device.person.stockCall(uris.resolve("asker.meet")) for _ in range(2)]
        return [await one for one in both]

    assert device.thread.run(together) == [False, False]
    assert device.call("asker.ask", "you") == "Hello, you!"
    assert device.call("asker.forbidden") == f"you may not call {uris.resolve('hello.other')}"
    assert device.call("asker.wrong").startswith("call_and_wait blocks")
    terminate(process)


def test_a_chute_that_asks_for_more_than_its_manifest_says_prints_why(device: Device) -> None:
    device.listen("nosy")
    process = chute(device, "nosy", 'chute.subscribe("hello.ticks")(print)')
    assert process.stderr is not None
    assert process.stderr.readline() == f"nosy: you may not subscribe to {uris.resolve('hello.ticks')}\n"
    terminate(process)


def test_an_error_in_a_procedure_reaches_its_caller(device: Device) -> None:
    device.listen("broken")
    process = chute(
        device,
        "broken",
        """
@chute.register("refuse")
def refuse():
    raise NotPermitted("not today")
""",
    )
    device.until_there("broken.refuse")
    with pytest.raises(NotPermitted, match="not today"):
        device.call("broken.refuse")
    terminate(process)
