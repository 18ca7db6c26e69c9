"""The device's web site, on one port: the dashboard, ``/api/v1``, the fabric at ``/ws``, and the pages of chutes."""

# Twisted 26.10's web server is only partly annotated.
# mypy: allow-untyped-calls

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.protocols.policies import ProtocolWrapper
from twisted.web.http import Request as HttpRequest
from twisted.web.iweb import IAgent
from twisted.web.resource import IResource
from twisted.web.server import Site

from paradrop.permissions import Permission
from paradropd.web import login
from paradropd.web.accounts import Accounts
from paradropd.web.connections import Caps, Connections, PunctualChannel, host
from paradropd.web.limiter import Limiter
from paradropd.web.pages import Dashboard
from paradropd.web.proxy import AddressOf, ChutePages
from paradropd.web.requests import LimitedRequest, Uploads
from paradropd.web.routes import Route, Routes
from paradropd.web.tokens import Tokens

IDLE = 60.0
"""Seconds a connection may be silent before a request is complete."""
CAPS = Caps()


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What the site tells everybody about the device."""

    name: str
    version: str


class DeviceSite(Site):
    """A site without an access log, and without the call each second that keeps such a log's clock."""

    protocol = PunctualChannel  # type: ignore[assignment]  # Twisted's own also speaks HTTP/2, which needs TLS
    requestFactory = LimitedRequest
    routes: tuple[Route, ...] = ()

    def __init__(self, root: IResource, *, clock: IReactorTime, caps: Caps = CAPS) -> None:
        super().__init__(root, reactor=clock, timeout=IDLE, parsePOSTFormSubmission=False)
        self.connections = Connections(clock.seconds, caps)
        self.uploads = Uploads()

    def buildProtocol(self, addr: IAddress) -> ProtocolWrapper | None:  # type: ignore[override]  # Twisted names its own class
        """The protocol of a new connection; ``None``, which closes it, when there are too many."""
        return self.connections.count(super().buildProtocol(addr)) if self.connections.may_come(host(addr)) else None

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
    routes.publish(root, "chutes", ChutePages(agent, clock, address_of, f"paradropd-{token_hex(8)}"))
    site = DeviceSite(root, clock=clock)
    site.routes = tuple(routes.table)
    return site
