"""The device's web site, on one port: the dashboard, ``/api/v1``, the fabric at ``/ws``, and the pages of chutes."""

# Twisted 26.10's web server is only partly annotated.
# mypy: allow-untyped-calls

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.web.http import Request as HttpRequest
from twisted.web.iweb import IAgent
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from paradropd.permissions import Permission
from paradropd.web import login
from paradropd.web.accounts import Accounts
from paradropd.web.limiter import Limiter
from paradropd.web.pages import STRICT_HEADERS, Dashboard
from paradropd.web.proxy import AddressOf, ChutePages
from paradropd.web.routes import Route, Routes
from paradropd.web.tokens import Tokens

IDLE = 60.0
"""Seconds a connection may be silent before a request is complete."""
MOST_UPLOAD = 16 * 1024 * 1024
"""Bytes of a request's body, for the pages of chutes; the API takes far less."""
TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What the site tells everybody about the device."""

    name: str
    version: str


class LimitedRequest(Request):
    """A request whose body is limited while it comes in, and whose answer carries the strict headers whoever makes it."""

    defaultContentType = None
    """Twisted would call everything HTML that does not say what it is."""
    refused = False

    def gotLength(self, length: int | None) -> None:
        if length is not None and length > MOST_UPLOAD:
            self._refuse()
        else:
            super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        if self.refused:
            return
        assert self.content is not None
        if self.content.tell() + len(data) > MOST_UPLOAD:
            self.content.close()
            self._refuse()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if not self.refused:
            super().requestReceived(command, path, version)

    def process(self) -> None:
        for name, value in STRICT_HEADERS.items():
            self.setHeader(name, value)
        super().process()

    def _refuse(self) -> None:
        """Answer before the body has come, and take no more of it."""
        self.refused = True
        self.channel.write(TOO_LARGE)
        self.channel.loseConnection()


class DeviceSite(Site):
    """A site without an access log, and without the call each second that keeps such a log's clock."""

    requestFactory = LimitedRequest
    routes: tuple[Route, ...] = ()

    def startFactory(self) -> None:
        pass

    def stopFactory(self) -> None:
        pass

    def log(self, request: HttpRequest) -> None:
        pass


def make_site(
    *,
    clock: IReactorTime,
    static: Path,
    device: Device,
    accounts: Accounts,
    tokens: Tokens,
    limiter: Limiter,
    fabric: IResource,
    agent: IAgent,
    address_of: AddressOf,
) -> DeviceSite:
    """The whole site.

    *clock*: the reactor. *static*: the folder of the built dashboard; it need not exist. *fabric*: the WAMP WebSocket at ``/ws``,
    which authenticates each session itself. *agent*: how chutes' pages are fetched, ``Agent(reactor, connectTimeout=…)``.
    """
    routes = Routes(tokens.person)
    root = Dashboard(str(static))
    routes.table.append(Route(method="GET", path="/", permission=Permission.PUBLIC))
    login.declare(routes, accounts, tokens, limiter, device.name, device.version)
    routes.mount(root)
    routes.publish(root, "ws", fabric)
    routes.publish(root, "chutes", ChutePages(agent, clock, address_of))
    site = DeviceSite(root, reactor=clock, timeout=IDLE, parsePOSTFormSubmission=False)
    site.routes = tuple(routes.table)
    return site
