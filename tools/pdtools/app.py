"""What every command is given: the screen, the clock, and the way to a device. No command reaches for them itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import click
from twisted.internet.interfaces import IReactorTime

from paradrop.base.exceptions import InvalidInput
from paradrop.base.seams import WallClock
from paradrop.tokens import Token
from paradrop.uris import device_space, is_uri
from paradrop.values import Welcome
from pdtools.device import Device
from pdtools.fabric import Fabric
from pdtools.known import SERVER_VARIABLE, KnownServer, Servers, pick
from pdtools.link import BARRED, staying
from pdtools.remote import Remote
from pdtools.server import Server
from pdtools.show import Show
from pdtools.target import TARGET_VARIABLE, Place, Seen, Target, Where, choose, look

P = ParamSpec("P")
T = TypeVar("T")


class Drive(Protocol):
    """Runs a coroutine to its end, on whatever runs such things here."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> T:
        """Its result, or its exception; ``KeyboardInterrupt`` when a person had enough."""


class Accept(Protocol):
    """Takes the place that an invitation holds; see :mod:`paradrop.claim`."""

    def __call__(self, url: str, token: Token, public_key: str, label: str, /) -> Awaitable[Welcome]: ...


@dataclass(frozen=True, kw_only=True)
class App:
    show: Show
    place: Place
    wall: WallClock
    clock: IReactorTime
    dial: Callable[[Target], Awaitable[Fabric]]
    accept: Accept
    drive: Drive
    browser: Callable[[str], object] | None
    """Opens a URL for the person; None where there is no display."""
    interactive: bool
    """Whether somebody is there to answer a question."""
    where: Where = field(default_factory=Where)
    look: Callable[[Path], Seen] = look

    @property
    def pdid(self) -> str | None:
        """The device behind a server that is meant; None: one on this machine."""
        return self.where.pdid(self.place)

    @property
    def subject(self) -> str:
        """What to call the device that is meant."""
        return self.pdid or "the device"

    @property
    def servers(self) -> Servers:
        """Those that this person knows."""
        return Servers.of(self.place)

    @property
    def server(self) -> KnownServer:
        """The server that is meant. Raises :class:`AuthenticationError`, :class:`InvalidInput`."""
        return pick(self.servers.known(), self.where.server or self.place.environment.get(SERVER_VARIABLE))

    def only_here(self, what: str) -> None:
        """Raises :class:`InvalidInput` when a device behind a server is meant, which *what* is not for."""
        if self.pdid is not None:
            raise InvalidInput(f"{what} is for a device on this machine: leave --target (or {TARGET_VARIABLE}) out.")

    async def connect(self) -> Fabric:
        """A session on the device that is meant."""
        if self.pdid is None:
            return await self.dial(choose(self.where, self.place, self.look))
        return await self._remote(self.pdid)

    async def connect_server(self) -> Fabric:
        """A session on the server that is meant."""
        return await self._dial_server()

    async def _remote(self, pdid: str) -> Remote:
        if not is_uri(device_space(pdid).removesuffix(".")):
            raise InvalidInput(f"{pdid!r} is not a device's id: it is like acme.r1")
        return Remote(await self._dial_server(pdid), pdid)

    async def _dial_server(self, pdid: str | None = None) -> Fabric:
        known = self.server
        return await self.dial(known.target(self.servers.key(known), pdid))

    async def _again(self) -> Fabric:
        """A session on the device that is meant, after one was lost."""
        if self.pdid is None:
            return await self.connect()
        fabric = await self._remote(self.pdid)
        try:
            await fabric.check()
        except BaseException:
            await fabric.close()
            raise
        return fabric

    async def with_device(self, work: Callable[[Device], Awaitable[T]]) -> T:
        """*work* on one link, which is closed after it."""
        fabric = await self.connect()
        try:
            return await work(Device(fabric))
        finally:
            await fabric.close()

    async def with_server(self, work: Callable[[Server], Awaitable[T]]) -> T:
        """*work* on one link to the server, which is closed after it."""
        fabric = await self.connect_server()
        try:
            return await work(Server(fabric))
        finally:
            await fabric.close()

    async def staying(self, work: Callable[[Fabric], Awaitable[T]]) -> T:
        """*work* on a link, and again on a new one when it is lost: see :func:`pdtools.link.staying`."""
        barred = BARRED if self.pdid is None else 0.0
        return await staying(self.connect, work, self.clock, self.show.warn, self._again, self.subject, barred)

    async def staying_at_server(self, work: Callable[[Fabric], Awaitable[T]]) -> T:
        """The same, on links to the server."""
        return await staying(self.connect_server, work, self.clock, self.show.warn, name=self.server.name)

    def confirm(self, question: str, yes: bool, undone: str = "Nothing was changed.") -> None:
        """Ask, unless *yes* was said before. Raises :class:`InvalidInput` when the answer is no, or nobody can be asked."""
        if yes:
            return
        if not self.interactive:
            raise InvalidInput(f"{undone} Without a terminal to ask on, say --yes.")
        if not click.confirm(question, err=True):
            raise InvalidInput(undone)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def command(function: Callable[Concatenate[App, P], Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A command that connects by itself, or not at all."""

    @click.pass_obj
    @wraps(function)
    def invoke(app: App, /, *args: P.args, **kwargs: P.kwargs) -> None:
        app.drive(function(app, *args, **kwargs))

    return invoke


def device_command(function: Callable[Concatenate[App, Device, P], Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A command that is over before its link can matter: it is given the device, and the link is closed after it."""

    @command
    @wraps(function)
    async def connected(app: App, /, *args: P.args, **kwargs: P.kwargs) -> None:
        await app.with_device(lambda device: function(app, device, *args, **kwargs))

    return connected


def server_command(function: Callable[Concatenate[App, Server, P], Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """The same with the server."""

    @command
    @wraps(function)
    async def connected(app: App, /, *args: P.args, **kwargs: P.kwargs) -> None:
        await app.with_server(lambda server: function(app, server, *args, **kwargs))

    return connected
