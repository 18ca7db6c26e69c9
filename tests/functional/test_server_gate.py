"""The gate in a real Crossbar node, on real connections: what an attacker gets to see, and that nobody else notices."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from autobahn.wamp.types import CallOptions, PublishOptions, RegisterOptions
from twisted.internet.task import deferLater

from gated import Member, Service
from paradrop import uris
from paradrop.base._links import KEEPALIVE
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import AuthenticationError, NotPermitted
from paradrop.keys import Key
from pdserver.certificates import issue, make_authority
from pdserver.gate import names
from pdserver.node import configuration
from pdserver.settings import ServerSettings

PATIENCE = 2.0
STRANGERS = 40
GREETING = b"\x7f\xf3\x00\x00"
PREFIX = RegisterOptions(match="prefix", details_arg="details", force_reregister=True)


@dataclass
class Node:
    """A node as ``pdserver`` configures it, and a service that is the test's own."""

    thread: Any
    root: Path
    port: int
    authority: str = ""
    process: subprocess.Popen[bytes] | None = None
    service: Service | None = None
    sessions: list[BaseSession] = field(default_factory=list)

    def start(self) -> None:
        url = f"https://127.0.0.1:{self.port}"
        settings = ServerSettings(
            home=self.root,
            name="test",
            url=url,
            listen_host="127.0.0.1",
            listen_port=self.port,
            patience=PATIENCE,
            strangers=STRANGERS,
        )
        now = datetime.datetime.now(datetime.UTC)
        authority = make_authority("test", now)
        own = issue(authority, ["127.0.0.1"], now)
        self.authority = authority.certificate_pem.decode()
        (self.root / "node" / "tls").mkdir(parents=True)
        (self.root / "run").mkdir(mode=0o700)
        (self.root / "node" / "tls" / "certificate.pem").write_bytes(own.certificate_pem)
        (self.root / "node" / "tls" / "key.pem").write_bytes(own.key_pem)
        (self.root / "node" / "config.json").write_text(json.dumps(configuration(settings)))
        program = str(Path(sys.executable).parent / "crossbar")
        command = [program, "start", "--cbdir", str(self.root / "node"), "--loglevel", "warn", "--color", "false"]
        with (self.root / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self.root)

    async def serve(self) -> None:
        """Join as the server's own process, as soon as there is a node."""
        address = f"unix:{self.root / 'run' / 'node.sock'}"
        self.service = await Service.start(address, "local", reactor=self.thread.reactor)
        await self.service.offer()

    async def member(self, name: str, key: Key | None = None, address: str = "rss://127.0.0.1:{port}") -> Member:
        kind = type("Somebody", (Member,), {"key": key or Key.generate(), "name": name})
        link = address.format(port=self.port)
        member: Member = await kind.start(link, name, reactor=self.thread.reactor, reconnect=False, authority=self.authority)
        self.sessions.append(member)
        return member

    def key(self, name: str, role: str, **extra: Any) -> Key:
        assert self.service is not None
        key = Key.generate()
        self.service.principals[key.public] = {"pubkey": key.public, "authid": name, "role": role, "extra": extra}
        return key

    async def device(self, pdid: str, *groups: str, **options: Any) -> Member:
        device = await self.member(pdid, self.key(pdid, "device", groups=list(groups)), **options)
        await device.stockRegister(who, uris.device_space(pdid), PREFIX)
        return device

    async def user(self, name: str, **options: Any) -> Member:
        return await self.member(name, self.key(name, "user", grants={"server": "owner"}), **options)

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            await deferLater(self.thread.reactor, 0.02)

    async def clear(self) -> None:
        assert self.service is not None
        for session in self.sessions:
            session.stop()
        self.sessions.clear()
        while await self.service.stockCall(names.SESSIONS):
            await deferLater(self.thread.reactor, 0.02)
        self.service.denied.clear()
        self.service.presence.clear()

    def stop(self) -> None:
        async def leave() -> None:
            if self.service is not None:
                self.service.stop()
                await self.until(lambda: not self.service.is_connected())  # type: ignore[union-attr]

        self.thread.run(leave)
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)

    def stranger(self, *data: bytes, tls: bool = True) -> socket.socket:
        """A connection of somebody who sends that."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=self.authority)
            made = context.wrap_socket(made, server_hostname="127.0.0.1")
        for piece in data:
            made.sendall(piece)
        return made


async def who(*args: Any, details: Any) -> list[Any]:
    return [details.procedure, details.caller_authid, details.caller_authrole]


def ended(connection: socket.socket) -> bool:
    """Whether the node ends *connection* before this gives up on it."""
    try:
        while connection.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        return True
    except TimeoutError:
        return False
    return True


async def refusal(answer: Awaitable[Any]) -> Exception:
    try:
        value = await answer
    except Exception as problem:
        return problem
    raise AssertionError(f"it was allowed, and gave {value!r}")


@pytest.fixture(scope="module")
def running(reactor_thread: Any) -> Iterator[Node]:
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        node = Node(reactor_thread, Path(folder), port)
        node.start()
        try:
            reactor_thread.run(node.serve, timeout=60)
            yield node
        finally:
            node.stop()


@pytest.fixture
def node(running: Node) -> Iterator[Node]:
    yield running
    running.thread.run(running.clear)


ADDRESSES = pytest.mark.parametrize("address", ["rss://127.0.0.1:{port}", "wss://127.0.0.1:{port}/ws"])


@ADDRESSES
def test_a_device_joins_by_its_key_and_is_called_through_the_server(node: Node, address: str) -> None:
    async def scenario() -> None:
        await node.device("acme.r1", address=address)
        ada = await node.user("ada", address=address)
        assert await ada.stockCall("org.paradrop.acme.r1.chutes.list") == ["org.paradrop.acme.r1.chutes.list", "ada", "user"]

    node.thread.run(scenario)


def test_foreign_names_cannot_be_registered(node: Node) -> None:
    async def scenario() -> None:
        await node.device("acme.r2")
        rogue = await node.device("acme.r1")
        foreign = ("org.paradrop.acme.r2.", "org.paradrop.", "org.paradrop.server.", "wamp.", "org.paradrop.acme.r1", "org.")
        for uri in foreign:
            assert type(await refusal(rogue.stockRegister(who, uri, PREFIX))) is NotPermitted
        assert node.service is not None
        denied = node.service.denied
        await node.until(lambda: len([row for row in denied if row[2] == "register"]) == len(foreign))
        assert [row[:5] for row in denied if row[2] == "register"] == [
            ["device", "acme.r1", "register", uri, 1] for uri in foreign
        ]
        assert (await node.service.stockCall("org.paradrop.acme.r2.x"))[0] == "org.paradrop.acme.r2.x"

    node.thread.run(scenario)


def test_two_devices_are_not_confused_with_each_other(node: Node) -> None:
    async def scenario() -> None:
        first, second = await node.device("acme.r1"), await node.device("acme.r2")
        options = PublishOptions(acknowledge=True)
        for _ in range(3):
            await first.stockPublish("org.paradrop.acme.r1.x", options=options)
            assert type(await refusal(second.stockPublish("org.paradrop.acme.r1.x", options=options))) is NotPermitted
            await second.stockPublish("org.paradrop.acme.r2.x", options=options)

    node.thread.run(scenario)


def test_a_forged_caller_is_not_believed(node: Node) -> None:
    async def scenario() -> None:
        await node.device("acme.r1", "field")
        rogue = await node.device("acme.r2", "field")
        forged = [{"session": 1, "authid": "ada", "authrole": "user"}]
        uri = "org.paradrop.acme.r1.chute.hello.greet"
        assert await rogue.stockCall(uri, options=CallOptions(forward_for=forged)) == [uri, "acme.r2", "device"]
        chute = [{"session": 1, "authid": "hello", "authrole": "chute"}]
        assert await rogue.stockCall(uri, options=CallOptions(forward_for=chute)) == [uri, "hello@acme.r2", "chute"]
        ada = await node.user("ada")
        assert await ada.stockCall(uri, options=CallOptions(forward_for=chute)) == [uri, "ada", "user"]

    node.thread.run(scenario)


def test_a_copied_name_with_another_key_is_refused(node: Node) -> None:
    async def scenario() -> None:
        assert node.service is not None
        real, copied = node.key("acme.r1", "device"), Key.generate()
        node.service.principals[copied.public] = node.service.principals[real.public]
        assert type(await refusal(node.member("acme.r1", copied))) is AuthenticationError
        denied = node.service.denied
        await node.until(lambda: ["acme.r1", "login"] in [row[1:3] for row in denied])

    node.thread.run(scenario)


@ADDRESSES
def test_sessions_that_are_closed_are_gone(node: Node, address: str) -> None:
    async def scenario() -> None:
        assert node.service is not None
        device = await node.device("acme.r1", address=address)
        assert await node.service.stockCall(names.ONLINE) == ["acme.r1"]
        [[session, *_]] = await node.service.stockCall(names.SESSIONS)
        assert await node.service.stockCall(names.CLOSE, [session], "enough") == 1
        assert await node.service.stockCall(names.ONLINE) == []
        await node.until(lambda: not device.is_connected())
        assert device.left is not None
        assert device.left.message == "enough"

    node.thread.run(scenario)


@pytest.mark.parametrize(
    ("tls", "data"),
    [
        pytest.param(False, [], id="connects and says nothing"),
        pytest.param(False, [b"\x16\x03\x01\x02\x00\x01"], id="begins a TLS handshake"),
        pytest.param(False, [b"GET / HTTP/1.1\r\n\r\n"], id="speaks no TLS"),
        pytest.param(True, [], id="says nothing after the TLS handshake"),
        pytest.param(True, [b"\x7f"], id="says one byte"),
        pytest.param(True, [GREETING], id="never says hello"),
        pytest.param(True, [GREETING, b"\x00\x00\x10\x00half"], id="sends half a message"),
        pytest.param(True, [GREETING, b"\x00\x00\x00\x04\xff\xff\xff\xff"], id="sends garbage"),
        pytest.param(True, [GREETING, b"\x7f\xff\xff\xff"], id="announces a message that is too large"),
        pytest.param(True, [b"\x00garbage"], id="speaks nothing known"),
        pytest.param(True, [b"GET /\xff\xfe HTTP/1.1\r\n\r\n"], id="asks for no page"),
        pytest.param(True, [b"GET /ws HTTP/1.1\r\nHost: x\r\nX: "], id="begins a WebSocket handshake"),
    ],
)
def test_whoever_does_not_join_is_dropped_in_time(node: Node, tls: bool, data: list[bytes]) -> None:
    device = node.thread.run(lambda: node.device("acme.r1"))
    with node.stranger(*data, tls=tls) as connection:
        connection.settimeout(PATIENCE + 10)
        assert ended(connection)

    async def scenario() -> None:
        assert node.service is not None
        assert (await node.service.stockCall("org.paradrop.acme.r1.x"))[0] == "org.paradrop.acme.r1.x"
        assert device.left is None

    node.thread.run(scenario)


def test_many_silent_connections_do_not_keep_a_device_out(node: Node) -> None:
    silent = [node.stranger(tls=False) for _ in range(3 * STRANGERS)]
    try:
        node.thread.run(lambda: node.device("acme.r1"), timeout=PATIENCE)
        # The first ones have made room for the last.
        silent[0].settimeout(PATIENCE / 2)
        assert ended(silent[0])
    finally:
        for connection in silent:
            connection.close()


def test_the_log_of_an_attack_is_short(node: Node) -> None:
    before = (node.root / "log").stat().st_size
    for _ in range(100):
        with node.stranger(GREETING, b"\x00\x00\x00\x04\xff\xff\xff\xff") as connection:
            assert ended(connection)
    written = (node.root / "log").read_bytes()[before:]
    assert len(written) < 10_000
    assert b"Traceback" not in written


def test_the_kernel_looks_after_a_connection_with_tls(node: Node) -> None:
    async def scenario() -> None:
        device = await node.device("acme.r1")
        handle = device._transport.transport.transport.getHandle()
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEPALIVE["TCP_KEEPIDLE"]

    node.thread.run(scenario)
