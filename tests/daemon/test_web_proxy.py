"""The pages of chutes through the device's site: real site, real client, and the wire to the chute in the test's hands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.resource import Resource
from zope.interface import implementer

from paradrop.base.exceptions import ChuteNotFound, NotFound
from paradrop.base.seams import inline
from paradropd.web.accounts import Accounts
from paradropd.web.forwarding import SANDBOX
from paradropd.web.limiter import Limiter
from paradropd.web.proxy import PATIENCE
from paradropd.web.requests import MOST_UPLOAD, MOST_UPLOADS
from paradropd.web.site import Device, make_site
from paradropd.web.testing import Browser, Exchange, Reply
from paradropd.web.tokens import Tokens


@implementer(IAgentEndpointFactory)
class Endpoints:
    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor

    def endpointForURI(self, uri: URI) -> TCP4ClientEndpoint:
        return TCP4ClientEndpoint(self.reactor, uri.host.decode(), uri.port)


class ChuteWire(StringTransport):
    """The chute's end of one connection."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()


@dataclass
class Chute:
    host: str
    port: int
    protocol: Any
    wire: ChuteWire

    @property
    def heard(self) -> bytes:
        return self.wire.value()

    def say(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def close(self, reason: Exception | None = None) -> None:
        self.protocol.connectionLost(Failure(reason or ConnectionDone()))


class World:
    def __init__(self, folder: Path) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.addresses: dict[str, tuple[str, int] | None] = {"hello": ("172.18.0.2", 8000), "stopped": None}
        self.site = make_site(
            clock=self.reactor,
            static=folder,
            device=Device(name="router", version="1"),
            accounts=Accounts(folder / "accounts.yaml", PasswordHasher(time_cost=1, memory_cost=8), inline),
            tokens=Tokens(lambda: 0.0),
            limiter=Limiter(self.reactor.seconds),
            fabric=Resource(),
            agent=Agent.usingEndpointFactory(self.reactor, Endpoints(self.reactor)),
            address_of=self.address_of,
        )
        self.browser = Browser(self.site)

    def address_of(self, chute: str) -> tuple[str, int] | None:
        if chute == "pageless":
            raise NotFound("the chute pageless has no page")
        try:
            return self.addresses[chute]
        except KeyError:
            raise ChuteNotFound from None

    def connect(self) -> Chute:
        host, port, factory, _, _ = self.reactor.tcpClients[-1]
        protocol = factory.buildProtocol(None)
        wire = ChuteWire()
        protocol.makeConnection(wire)
        return Chute(host, port, protocol, wire)

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> tuple[Exchange, Chute]:
        exchange = self.browser.open(method, path, headers, body)
        chute = self.connect()
        for _ in range(100):
            self.reactor.advance(0.001)
        return exchange, chute


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def sandboxed(reply: Reply) -> None:
    assert reply.headers["content-security-policy"] == SANDBOX
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "set-cookie" not in reply.headers


def test_a_page_comes_from_the_chute(world: World) -> None:
    exchange, chute = world.ask(
        "GET", "/chutes/hello/a/b?c=d", {"Cookie": "x=y", "Authorization": "Bearer secret", "Accept": "text/html"}
    )
    assert (chute.host, chute.port) == ("172.18.0.2", 8000)
    line, *headers = chute.heard.decode().strip().split("\r\n")
    assert line == "GET /a/b?c=d HTTP/1.1"
    via = next(header for header in headers if header.startswith("Via: 1.1 paradropd-"))
    assert sorted(headers) == [
        "Accept: text/html",
        "Connection: close",
        "Host: 172.18.0.2:8000",
        via,
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Host: router.test",
        "X-Forwarded-Prefix: /chutes/hello",
        "X-Forwarded-Proto: http",
    ]
    chute.say(b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nContent-Type: text/html\r\nSet-Cookie: a=b\r\n")
    chute.say(b"Content-Security-Policy: sandbox allow-same-origin\r\nServer: chute\r\n\r\nhello")
    reply = exchange.reply
    assert (reply.status, reply.body) == (200, b"hello")
    assert (reply.headers["content-type"], reply.headers["content-length"], reply.headers["server"]) == (
        "text/html",
        "5",
        "chute",
    )
    sandboxed(reply)


@pytest.mark.parametrize("path", ["/%2e%2e/%2e%2e/api", "/../x", "//a//b", "/a%20b%2Fc;d?e=%26&f", "/%ff", "/?x=../y"])
def test_the_path_is_left_as_it_is(world: World, path: str) -> None:
    _, chute = world.ask("GET", "/chutes/hello" + path)
    assert chute.heard.split(b" ")[1].decode() == path


def test_without_the_slash_the_browser_is_sent_to_it(world: World) -> None:
    for path, to in (("/chutes/hello", "/chutes/hello/"), ("/chutes/hello?a=/b", "/chutes/hello/?a=/b")):
        reply = world.browser.request("GET", path)
        assert (reply.status, reply.headers["location"]) == (307, to)
        sandboxed(reply)
    assert not world.reactor.tcpClients


def test_a_redirect_of_the_chute_stays_with_the_chute(world: World) -> None:
    exchange, chute = world.ask("GET", "/chutes/hello/")
    chute.say(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n")
    assert (exchange.reply.status, exchange.reply.headers["location"]) == (302, "/chutes/hello/login")


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/chutes", 404, "no chute"),
        ("/chutes/", 404, "no chute"),
        ("/chutes/nothing/", 404, "no chute"),
        ("/chutes/..%2f..%2fapi/", 404, "no chute"),
        ("/chutes/../api/v1/state", 404, "no chute"),
        ("/chutes/pageless/", 404, "has no page"),
        ("/chutes/stopped/", 503, "not running"),
        ("/chutes/hello/\x7f", 400, "characters"),
    ],
)
def test_where_there_is_no_page_it_is_said_why(world: World, path: str, status: int, message: str) -> None:
    reply = world.browser.request("GET", path)
    assert reply.status == status
    assert message in reply.body.decode()
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    sandboxed(reply)
    assert not world.reactor.tcpClients


def test_a_chute_that_refuses_is_502(world: World) -> None:
    exchange = world.browser.open("GET", "/chutes/hello/")
    factory = world.reactor.tcpClients[-1][2]
    factory.clientConnectionFailed(world.reactor.connectors[-1], Failure(ConnectionRefusedError()))
    assert exchange.reply.status == 502
    sandboxed(exchange.reply)


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_a_chute_that_breaks_off_before_its_page_is_502(world: World, said: bytes) -> None:
    exchange, chute = world.ask("GET", "/chutes/hello/")
    if said:
        chute.say(said)
    chute.close(ConnectionLost())
    assert exchange.reply.status == 502


@pytest.mark.parametrize("length", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_half_a_page_does_not_look_like_a_whole_one(world: World, length: bytes) -> None:
    exchange, chute = world.ask("GET", "/chutes/hello/")
    chute.say(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n")
    chute.say(b"5\r\nhello\r\n" if b"chunked" in length else b"hello")
    chute.close(ConnectionLost())
    assert exchange.transport.disconnecting
    with pytest.raises(IncompleteRead):
        _ = exchange.reply


def test_a_page_that_ends_with_the_connection_is_whole(world: World) -> None:
    exchange, chute = world.ask("GET", "/chutes/hello/")
    chute.say(b"HTTP/1.0 200 OK\r\n\r\nhel")
    chute.say(b"lo")
    chute.close()
    assert exchange.reply.body == b"hello"


def test_a_chute_that_does_not_answer_is_504(world: World) -> None:
    exchange, chute = world.ask("GET", "/chutes/hello/")
    world.reactor.advance(PATIENCE - 1)
    assert exchange.raw == b""
    world.reactor.advance(2)
    chute.close(ConnectionLost())
    assert exchange.reply.status == 504
    assert chute.wire.aborted


def test_a_long_page_is_passed_on_piece_by_piece(world: World) -> None:
    exchange, chute = world.ask("GET", "/chutes/hello/events")
    chute.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert b"content-type: text/event-stream" in exchange.raw.lower()
    for number in range(3):
        chute.say(b"7\r\ndata: %d\r\n" % number)
        assert exchange.raw.endswith(b"data: %d\r\n" % number)
        world.reactor.advance(PATIENCE)  # an answer that has begun may last
    chute.say(b"0\r\n\r\n")
    assert exchange.reply.body == b"data: 0data: 1data: 2"


def test_a_slow_browser_slows_the_chute_down(world: World) -> None:
    exchange, chute = world.ask("GET", "/chutes/hello/")
    chute.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx")
    assert chute.wire.producerState == "producing"
    exchange.transport.producer.pauseProducing()
    assert chute.wire.producerState == "paused"
    exchange.transport.producer.resumeProducing()
    assert chute.wire.producerState == "producing"


@pytest.mark.parametrize("answered", [False, True])
def test_a_browser_that_leaves_ends_the_request(world: World, answered: bool) -> None:
    exchange, chute = world.ask("GET", "/chutes/hello/")
    if answered:
        chute.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    before = exchange.raw
    exchange.leave()
    assert chute.wire.disconnecting
    chute.close(ConnectionLost())
    assert exchange.raw == before
    assert world.reactor.getDelayedCalls() == []


def test_a_browser_that_leaves_before_the_chute_is_reached_ends_the_attempt(world: World) -> None:
    exchange = world.browser.open("GET", "/chutes/hello/")
    connector = world.reactor.connectors[-1]
    exchange.leave()
    assert connector.stoppedConnecting


@pytest.mark.parametrize("size", [1, 70_000, 300_000])
def test_a_body_goes_to_the_chute(world: World, size: int) -> None:
    body = b"\0abc" * (size // 4) + b"x" * (size % 4)
    exchange, chute = world.ask("POST", "/chutes/hello/form", {"Content-Type": "multipart/form-data; boundary=x"}, body)
    head, _, sent = chute.heard.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /form HTTP/1.1\r\n")
    assert re.findall(rb"(?i)content-length: (\d+)", head) == [b"%d" % size]
    assert sent == body
    chute.say(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert exchange.reply.status == 204


def test_a_body_of_unknown_length_gets_one(world: World) -> None:
    exchange = world.browser.open("PUT", "/chutes/hello/x", {"Transfer-Encoding": "chunked"})
    exchange.send(b"5\r\nhello\r\n0\r\n\r\n")
    chute = world.connect()
    world.reactor.advance(0.001)
    world.reactor.advance(0.001)
    assert b"Content-Length: 5\r\n" in chute.heard
    assert chute.heard.endswith(b"\r\n\r\nhello")
    chute.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert exchange.reply.body == b"ok"


def test_head_and_not_modified_have_no_body(world: World) -> None:
    exchange, chute = world.ask("HEAD", "/chutes/hello/")
    chute.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert (exchange.reply.headers["content-length"], exchange.reply.body) == ("5", b"")
    exchange, chute = world.ask("GET", "/chutes/hello/", {"If-None-Match": '"1"'})
    assert b'If-None-Match: "1"' in chute.heard
    chute.say(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n')
    assert (exchange.reply.status, exchange.reply.headers["etag"]) == (304, '"1"')
    sandboxed(exchange.reply)


def test_a_page_without_a_kind_gets_none(world: World) -> None:
    exchange, chute = world.ask("GET", "/chutes/hello/")
    chute.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert "content-type" not in exchange.reply.headers


def test_websockets_are_not_passed_on(world: World) -> None:
    reply = world.browser.request("GET", "/chutes/hello/ws", {"Upgrade": "WebSocket", "Connection": "Upgrade"})
    assert reply.status == 501
    assert b"WebSocket" in reply.body
    assert not world.reactor.tcpClients


def test_a_page_may_ask_its_own_chute_anything(world: World) -> None:
    """The browser takes a sandboxed page for a foreign one, and asks before it sends JSON."""
    asked = {"Origin": "null", "Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "content-type"}
    reply = world.browser.request("OPTIONS", "/chutes/hello/item", asked)
    assert (reply.status, reply.headers["access-control-allow-methods"]) == (204, "DELETE")
    assert reply.headers["access-control-allow-headers"] == "*"
    assert "access-control-allow-credentials" not in reply.headers
    sandboxed(reply)
    assert not world.reactor.tcpClients
    _, chute = world.ask("OPTIONS", "/chutes/hello/item")
    assert chute.heard.startswith(b"OPTIONS /item ")


def test_an_ipv6_chute_is_reached(world: World) -> None:
    world.addresses["hello"] = ("fd00::2", 80)
    _, chute = world.ask("GET", "/chutes/hello/")
    assert (chute.host, chute.port) == ("fd00::2", 80)
    assert b"Host: [fd00::2]\r\n" in chute.heard


def test_two_requests_on_one_connection(world: World) -> None:
    exchange, chute = world.ask("GET", "/chutes/hello/1")
    chute.say(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
    exchange.send(b"GET /chutes/hello/2 HTTP/1.1\r\nHost: x\r\n\r\n")
    chute = world.connect()
    assert chute.heard.startswith(b"GET /2 ")
    chute.say(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo")
    assert exchange.raw.endswith(b"two")


def test_a_request_does_not_go_round_in_circles(world: World) -> None:
    """A chute whose page is the device's own site sends every request back to where it came from."""
    _, chute = world.ask("GET", "/chutes/hello/chutes/hello/")
    line, *headers = chute.heard.decode().strip().split("\r\n")
    again = world.browser.request("GET", line.split()[1], dict(header.split(": ", 1) for header in headers))
    assert (again.status, again.body) == (502, b"the page of the chute hello leads back to the device's own site\n")
    sandboxed(again)
    assert len(world.reactor.tcpClients) == 1


def test_another_device_may_stand_behind_this_one(world: World, tmp_path: Path) -> None:
    _, chute = world.ask("GET", "/chutes/hello/chutes/hello/")
    line, *headers = chute.heard.decode().strip().split("\r\n")
    other = World(tmp_path)
    _, behind = other.ask("GET", line.split()[1], dict(header.split(": ", 1) for header in headers))
    assert behind.heard.startswith(b"GET / ")


def test_uploads_are_limited_all_together(world: World) -> None:
    piece = b"x" * MOST_UPLOAD
    unfinished = {"Content-Length": str(MOST_UPLOAD)}
    uploads = [world.browser.open("POST", "/chutes/hello/", unfinished) for _ in range(MOST_UPLOADS // MOST_UPLOAD)]
    for upload in uploads:
        upload.send(piece[:-1])
    for upload in uploads[1:]:
        upload.send(b"x")
    late = world.browser.open("POST", "/chutes/hello/", {"Content-Length": "2"})
    assert late.raw == b""  # there is no room for it, and nothing of it has come
    late.send(b"ab")
    assert late.reply.status == 503
    assert late.reply.json["error"]["retry"] is True
    assert late.transport.disconnecting
    for gone in (late, uploads[0]):
        gone.leave()
    again = world.browser.open("POST", "/chutes/hello/", body=b"ab")
    assert again.raw == b""
    for left in (*uploads[1:], again):
        left.leave()
    assert world.site.uploads.kept == 0


def test_an_upload_that_is_answered_counts_no_longer(world: World) -> None:
    reply = world.browser.request("POST", "/chutes/stopped/", body=b"x" * 100_001)
    assert reply.status == 503
    assert world.site.uploads.kept == 0
