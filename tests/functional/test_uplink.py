"""A real device at a real server: claims, the TLS in between, and calls, events and errors over the link."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from autobahn.wamp.types import CallOptions, Challenge
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred

from paradrop import claim, uris
from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import ChuteNotFound, InvitationRefused, ParadropException, Unreachable
from paradrop.base.tls import explain
from paradrop.keys import Key
from paradrop.tokens import Token
from paradrop.uplink import UplinkSession, link
from paradrop.values import NodeInfo, UplinkState, read
from pdserver.certificates import Pair, issue, make_authority
from running import RunningDevice
from serving import ServerProcess, free_port, kill, until

NOW = datetime.datetime.now(datetime.UTC)
YEAR = datetime.timedelta(days=365)


class Person(BaseSession):
    """Somebody with a key."""

    def onConnect(self) -> None:
        self.join(self.config.realm, authmethods=["cryptosign"], authextra=self.config.extra["key"].extra)

    def onChallenge(self, challenge: Challenge) -> str:
        answer: str = self.config.extra["key"].answer(challenge)
        return answer


class Operator:
    """The first administrator of a server, on the reactor's thread."""

    def __init__(self, threads: Any, server: ServerProcess) -> None:
        self.threads, self.server = threads, server
        self.key = Key.generate()
        code = Token.read(server.admin_code)
        threads.run(lambda: claim.accept(threads.reactor, server.url, code, self.key.public, "a test", kind="user"))
        self.session = threads.run(self._start)

    async def _start(self) -> Any:
        extra, reactor = {"key": self.key}, self.threads.reactor
        return await Person.start(
            self.server.address, "admin", extra=extra, reactor=reactor, authority=self.server.authority_pem, reconnect=False
        )

    def call(self, uri: str, *args: Any, timeout: float = 20.0, **kwargs: Any) -> Any:
        async def scenario() -> Any:
            return await self.session.stockCall(uri, *args, options=CallOptions(timeout=timeout), **kwargs)

        return self.threads.run(scenario)

    def token(self, pdid: str) -> str:
        self.call(uris.DEVICES_CREATE, pdid)
        return str(self.call(uris.DEVICES_INVITE, pdid)["token"])

    def close(self) -> None:
        self.threads.call(self.session.stop)


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as running:
        yield running


@pytest.fixture
def operator(reactor_thread: Any, server: ServerProcess) -> Iterator[Operator]:
    operator = Operator(reactor_thread, server)
    yield operator
    operator.close()


class Claimed(RunningDevice):
    """A device that claims its place when it starts."""

    claim: tuple[str, str] = ("", "")

    def start(self) -> None:
        wrapper = self.home.parent / "claiming.sh"
        wrapper.write_text(f'#!/bin/sh\nPARADROP_CLAIM_TOKEN={self.claim[1]} exec "$@" --claim {self.claim[0]} -\n')
        wrapper.chmod(0o700)
        self.before = (str(wrapper),)
        super().start()
        self.before = ()


def uplink_of(device: RunningDevice) -> Any:
    return read(NodeInfo, json.loads(device.run("call", "node.info"))).uplink


def test_a_device_claims_its_place_and_is_there_for_who_may(tmp_path: Path, operator: Operator, server: ServerProcess) -> None:
    device = Claimed(tmp_path / "home", "memory")
    device.claim = (server.url, operator.token("acme.r1"))
    device.start()
    try:
        until(lambda: uplink_of(device).state is UplinkState.ONLINE, "the uplink")
        for log in (tmp_path / "home" / "logs").rglob("*"):
            if log.is_file():
                assert device.claim[1].split(".")[2] not in log.read_text(errors="replace")
        info = operator.call("org.paradrop.acme.r1.node.info")
        assert (info["pdid"], info["uplink"]["state"]) == ("acme.r1", "online")
        with pytest.raises(ChuteNotFound, match="'nothing'"):
            operator.call("org.paradrop.acme.r1.chutes.get", "nothing")
        heard: list[Any] = []

        async def listen() -> None:
            await operator.session.stockSubscribe(heard.append, "org.paradrop.acme.r1.chutes.removed")

        operator.threads.run(listen)
        worker = server.worker
        assert worker is not None
        kill(worker)
        until(lambda: uplink_of(device).state is not UplinkState.ONLINE, "the loss")
        until(lambda: uplink_of(device).state is UplinkState.ONLINE, "the link's return")
    finally:
        device.stop()


def test_a_device_that_is_unprovisioned_is_forgotten(tmp_path: Path, operator: Operator, server: ServerProcess) -> None:
    device = Claimed(tmp_path / "home", "memory")
    device.claim = (server.url, operator.token("acme.r1"))
    device.start()
    try:
        until(lambda: uplink_of(device).state is UplinkState.ONLINE, "the uplink")
        device.run("call", "node.unprovision")
        assert uplink_of(device).state is UplinkState.NONE
        assert operator.call(uris.DEVICES_GET, "acme.r1")["claimed"] is False
    finally:
        device.stop()


def test_a_token_works_once_and_whoever_has_another_key_stays_out(operator: Operator, server: ServerProcess) -> None:
    threads, text = operator.threads, operator.token("acme.r1")
    token, key = Token.read(text), Key.generate()

    def accept(which: Token, whose: Key) -> Any:
        return threads.run(lambda: claim.accept(threads.reactor, server.url, which, whose.public))

    assert accept(token, key).subject == "acme.r1"
    again = lambda: claim.accept(threads.reactor, server.url, token, key.public, transport="websocket")  # noqa: E731
    assert threads.run(again).subject == "acme.r1"  # the answer may have been lost
    for transport in ("rawsocket", "websocket"):
        assert threads.run(lambda transport=transport: outcome(threads.reactor, server, key, [], transport)) == "up"
    with pytest.raises(InvitationRefused):
        accept(token, Key.generate())
    with pytest.raises(InvitationRefused):
        accept(Token(token.id, "guessed", token.authority), key)
    log: list[Any] = []
    assert threads.run(lambda: outcome(threads.reactor, server, Key.generate(), log))[1] is True


async def outcome(reactor: Any, server: ServerProcess, key: Key, log: list[Any], transport: str = "rawsocket") -> Any:
    """The first thing an uplink with *key* is told."""
    told: Deferred[Any] = Deferred()

    class Behind:
        def up(self, session: UplinkSession) -> None:
            told.callback("up")

        def down(self, reason: str, refused: bool) -> None:
            if not told.called:
                told.callback((reason, refused))

        async def call(self, *args: Any) -> None:
            log.append(args)

        def want(self, patterns: list[tuple[str, str]]) -> None:
            log.append(patterns)

    made = link(
        reactor, claim.address(server.url, transport), "acme.r1", key, Behind(), authority=server.authority_pem, explain=explain
    )
    try:
        return await told
    finally:
        made.stop()


@contextmanager
def tls_server(folder: Path, pair: Any) -> Iterator[int]:
    """Something that speaks TLS with that certificate, once, and nothing else."""
    certificate = folder / "server.pem"
    certificate.write_bytes(
        pair.certificate.public_bytes(serialization.Encoding.PEM)
        + pair.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def dated(authority: Pair, begin: datetime.datetime) -> Pair:
    """A certificate for this machine that is valid for a year from *begin*."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
    builder = x509.CertificateBuilder(authority.certificate.subject, name, key.public_key())
    builder = builder.serial_number(1).not_valid_before(begin).not_valid_after(begin + YEAR)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return Pair(builder.add_extension(names, critical=False).sign(authority.key, hashes.SHA256()), key)


def refusal(threads: Any, port: int, authority: Any) -> str:
    der = authority.certificate.public_bytes(serialization.Encoding.DER)
    token = Token("id", "secret", der)
    with pytest.raises(Unreachable) as told:
        threads.run(lambda: claim.accept(threads.reactor, f"https://127.0.0.1:{port}", token, Key.generate().public))
    return str(told.value)


class TestWhoTheServerIs:
    def test_another_authority(self, reactor_thread: Any, tmp_path: Path) -> None:
        ours, theirs = make_authority("ours", NOW), make_authority("theirs", NOW)
        with tls_server(tmp_path, issue(theirs, ["127.0.0.1"], NOW)) as port:
            assert "neither the token's nor one this machine trusts" in refusal(reactor_thread, port, ours)

    def test_another_name(self, reactor_thread: Any, tmp_path: Path) -> None:
        authority = make_authority("ours", NOW)
        with tls_server(tmp_path, issue(authority, ["elsewhere.example"], NOW)) as port:
            assert refusal(reactor_thread, port, authority) == "the server's certificate is for another name than that of the URL"

    def test_a_certificate_that_has_expired_or_is_not_valid_yet(self, reactor_thread: Any, tmp_path: Path) -> None:
        authority = make_authority("ours", NOW)
        for begin, words in ((NOW - 2 * YEAR, "expired on"), (NOW + YEAR, "is not valid before")):
            with tls_server(tmp_path, dated(authority, begin)) as port:
                told = refusal(reactor_thread, port, authority)
                assert words in told
                assert f"this machine's clock says {NOW:%Y-%m-%d}" in told


@pytest.mark.parametrize("speaks", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_what_is_no_server_of_ours(reactor_thread: Any, speaks: bytes) -> None:
    """Something else on that port, which says something else, or closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(10)
                connection.sendall(speaks)

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(Unreachable):
            reactor_thread.run(lambda: claim.accept(reactor_thread.reactor, url, Token("id", "secret"), Key.generate().public))
        thread.join()


def test_nobody_there(reactor_thread: Any) -> None:
    url = f"https://127.0.0.1:{free_port()}"
    with pytest.raises(ParadropException, match="no connection to the server"):
        reactor_thread.run(lambda: claim.accept(reactor_thread.reactor, url, Token("id", "secret"), Key.generate().public))
