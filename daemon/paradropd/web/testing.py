"""A browser for tests: the real site, with no port, no thread and a clock that the test advances."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Site


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Socket:
    """As much of a socket as :class:`http.client.HTTPResponse` needs."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


@dataclass(slots=True)
class Exchange:
    """One connection with one request on it."""

    method: str
    channel: HTTPChannel
    transport: StringTransport

    @property
    def raw(self) -> bytes:
        """What the site has sent so far."""
        return cast(bytes, self.transport.value())

    @property
    def reply(self) -> Reply:
        """What the site answered. Raises ``http.client.HTTPException`` when it is not all there."""
        response = HTTPResponse(cast(Any, _Socket(self.raw)), method=self.method)
        response.begin()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def send(self, data: bytes) -> None:
        """Let *data* arrive at the site."""
        self.channel.dataReceived(data)

    def leave(self) -> None:
        """The browser closes the connection."""
        self.channel.connectionLost(Failure(ConnectionDone()))


@dataclass(slots=True)
class Browser:
    """Sends requests to *site* from *address*, each over a connection of its own."""

    site: Site
    address: str = "192.0.2.7"
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def open(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Exchange:
        """Send a request; its answer may come later."""
        peer = IPv4Address("TCP", self.address, 40000)
        channel = cast(HTTPChannel, self.site.buildProtocol(peer))
        transport = StringTransport(peerAddress=peer)
        channel.makeConnection(transport)
        sent = {"Host": "router.test", **self.headers, **(headers or {})}
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if body:
            sent.setdefault("Content-Length", str(len(body)))
        exchange = Exchange(method, channel, transport)
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        exchange.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        return exchange

    def request(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
        """Send a request and read its answer."""
        return self.open(method, path, headers, body).reply

    def post(self, path: str, value: Any) -> Reply:
        """POST *value* as JSON."""
        return self.request("POST", path, {"Content-Type": "application/json"}, json.dumps(value).encode())
