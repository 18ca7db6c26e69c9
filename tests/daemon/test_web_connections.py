"""How many connections the site takes, and how long it waits for a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from paradropd.web.connections import BODY, HEAD, SILENCE, UNSENT, Caps
from paradropd.web.site import IDLE, DeviceSite

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Page(Resource):
    isLeaf = True

    def __init__(self, render: Callable[[Request], Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.render = render  # type: ignore[method-assign]


class World:
    def __init__(self, caps: Caps, render: Callable[[Request], Any] = lambda _: b"page") -> None:
        self.clock = Clock()
        self.site = DeviceSite(Page(render), clock=self.clock, caps=caps)

    def connect(self, address: str = "192.0.2.7") -> tuple[Any, StringTransport] | None:
        """A new connection, as a port makes one; ``None`` when it is refused."""
        peer = (IPv6Address if ":" in address else IPv4Address)("TCP", address, 40000)
        protocol = self.site.buildProtocol(peer)
        if protocol is None:
            return None
        transport = StringTransport(peerAddress=peer)
        protocol.makeConnection(transport)
        return protocol, transport

    def open(self, address: str = "192.0.2.7") -> tuple[Any, StringTransport]:
        connection = self.connect(address)
        assert connection is not None
        return connection


@pytest.fixture
def world() -> World:
    return World(Caps(total=5, by_address=2, by_loopback=3))


def test_the_caps_leave_files_for_the_rest_of_the_daemon() -> None:
    """1024 files is what a process gets where nobody says otherwise."""
    caps = Caps()
    assert caps.by_address < caps.by_loopback < caps.total < 1024 // 2


@pytest.mark.parametrize(
    ("address", "same", "most"),
    [
        ("192.0.2.7", "192.0.2.7", 2),
        ("192.0.2.7", "::ffff:192.0.2.7", 2),
        ("2001:db8::1", "2001:db8::2", 2),
        ("127.0.0.1", "127.0.0.1", 3),
        ("::1", "::1", 3),
    ],
)
def test_one_address_gets_so_many_and_no_more(world: World, address: str, same: str, most: int) -> None:
    protocols = [world.open(address)[0] for _ in range(most)]
    assert world.connect(same) is None
    assert world.connect("198.51.100.1") is not None
    protocols[0].connectionLost(Failure(ConnectionDone()))
    assert world.connect(same) is not None
    assert world.connect(same) is None


def test_all_together_get_so_many_and_no_more(world: World) -> None:
    protocols = [world.open(f"192.0.2.{number}")[0] for number in range(5)]
    assert world.connect("192.0.2.9") is None
    assert world.connect("127.0.0.1") is None
    for protocol in protocols:
        protocol.connectionLost(Failure(ConnectionDone()))
    assert len(world.site.connections) == 0
    assert world.connect("192.0.2.9") is not None


def test_refusals_are_told_once_a_minute(world: World) -> None:
    def told() -> list[tuple[int, str]]:
        with capturedLogs() as events:
            for _ in range(100):
                assert world.connect() is None
        return [(event["refused"], event["address"]) for event in events]

    for _ in range(2):
        world.open()
    assert told() == [(1, "192.0.2.7")]
    world.clock.advance(SILENCE - 1)
    assert told() == []
    world.clock.advance(1)
    assert told() == [(200, "192.0.2.7")]


def test_a_websocket_counts_until_its_end() -> None:
    taken: list[Protocol] = []

    def take_over(request: Request) -> int:
        channel: Any = request.channel
        wrapper, channel.transport = channel.transport, None
        wrapper.wrappedProtocol = Protocol()
        taken.append(wrapper.wrappedProtocol)
        return NOT_DONE_YET

    world = World(Caps(by_address=1), take_over)
    protocol, _ = world.open()
    protocol.dataReceived(GET)
    assert taken
    assert world.clock.getDelayedCalls() == []
    assert world.connect() is None
    protocol.connectionLost(Failure(ConnectionDone()))
    assert world.connect() is not None


def trickle(world: World, protocol: Any, transport: StringTransport, data: bytes, step: float) -> float:
    """Send *data* byte by byte until the site has had enough. Returns the seconds it took."""
    begun = world.clock.seconds()
    for byte in data:
        if transport.disconnecting:
            break
        protocol.dataReceived(bytes([byte]))
        world.clock.advance(step)
    return world.clock.seconds() - begun


def test_a_head_that_trickles_in_is_not_waited_for(world: World) -> None:
    assert trickle(world, *world.open(), b"GET / HTTP/1.1\r\nX: " + b"y" * 1000, 1.0) == HEAD


def test_who_does_not_take_the_rest_is_cut_off(world: World) -> None:
    protocol, transport = world.open()
    world.clock.advance(HEAD)
    world.clock.advance(UNSENT - 1)
    assert transport.disconnecting
    assert not transport.disconnected
    world.clock.advance(1)
    assert transport.disconnected
    protocol.connectionLost(Failure(ConnectionDone()))
    assert world.clock.getDelayedCalls() == []


def test_the_second_head_has_its_deadline_too(world: World) -> None:
    protocol, transport = world.open()
    world.clock.advance(HEAD - 1)
    protocol.dataReceived(GET)
    assert transport.value().endswith(b"page")
    assert trickle(world, protocol, transport, b"GET / HTTP/1.1\r\nX: " + b"y" * 1000, 1.0) == HEAD


def test_a_body_that_trickles_in_has_more_time_and_an_end(world: World) -> None:
    protocol, transport = world.open()
    protocol.dataReceived(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    assert trickle(world, protocol, transport, b"x" * 999, IDLE / 2) == BODY


def test_an_answer_may_take_its_time() -> None:
    requests: list[Request] = []

    def later(request: Request) -> int:
        requests.append(request)
        return NOT_DONE_YET

    world = World(Caps(), later)
    protocol, transport = world.open()
    protocol.dataReceived(GET)
    world.clock.advance(BODY + IDLE)
    assert not transport.disconnecting
    requests[0].finish()
    assert b"200 OK" in transport.value()


def test_a_connection_that_ends_leaves_nothing_pending(world: World) -> None:
    for sent in (b"", b"GET /", GET, b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"):
        protocol, _ = world.open()
        protocol.dataReceived(sent)
        protocol.connectionLost(Failure(ConnectionDone()))
        assert world.clock.getDelayedCalls() == []
