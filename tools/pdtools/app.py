"""What every command is given: the screen, the clock, and the way to a device. No command reaches for them itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import click
from twisted.internet.interfaces import IReactorTime

from paradrop.base.seams import WallClock
from pdtools.device import Device
from pdtools.fabric import Fabric
from pdtools.link import staying
from pdtools.show import Show
from pdtools.target import Place, Seen, Target, Where, choose, look

P = ParamSpec("P")
T = TypeVar("T")


class Drive(Protocol):
    """Runs a coroutine to its end, on whatever runs such things here."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> T:
        """Its result, or its exception; ``KeyboardInterrupt`` when a person had enough."""


@dataclass(frozen=True, kw_only=True)
class App:
    show: Show
    place: Place
    wall: WallClock
    clock: IReactorTime
    dial: Callable[[Target], Awaitable[Fabric]]
    drive: Drive
    browser: Callable[[str], object] | None
    """Opens a URL for the person; None where there is no display."""
    interactive: bool
    """Whether somebody is there to answer a question."""
    where: Where = field(default_factory=Where)
    look: Callable[[Path], Seen] = look

    async def connect(self) -> Fabric:
        """A session on the device that is meant."""
        return await self.dial(choose(self.where, self.place, self.look))

    async def with_device(self, work: Callable[[Device], Awaitable[T]]) -> T:
        """*work* on one link, which is closed after it."""
        fabric = await self.connect()
        try:
            return await work(Device(fabric))
        finally:
            await fabric.close()

    async def staying(self, work: Callable[[Fabric], Awaitable[T]]) -> T:
        """*work* on a link, and again on a new one when it is lost: see :func:`pdtools.link.staying`."""
        return await staying(self.connect, work, self.clock, self.show.warn)


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
