"""A device behind a server, as if one were on it: names are translated as at the device's own border.

``org.paradrop.local.`` is ``org.paradrop.<pdid>.`` on the way out, and back again in events and in what errors say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from paradrop.base.cxbr import DEADLINE
from paradrop.base.exceptions import (
    DeviceNotFoundException,
    DeviceOffline,
    NotFound,
    NotPermitted,
    ParadropException,
    Unreachable,
)
from paradrop.border import downwards, upwards
from paradrop.uris import LOCAL, NODE_INFO, device_space, local
from pdtools.fabric import Event, Fabric


class Remote:
    """The :class:`pdtools.fabric.Fabric` of one device, over a session with its server.

    Its link has two parts, of which either may break. When the device goes away from its server, this link ends like one to a
    device here; unless the device has never been there: then that is what is told.
    """

    def __init__(self, server: Fabric, pdid: str) -> None:
        self.closed: Deferred[None] = Deferred()
        self._server = server
        self._pdid = pdid
        self._answered = False
        server.closed.addBoth(lambda _: self._end())

    @property
    def connected(self) -> bool:
        """Whether the link is there."""
        return not self.closed.called

    async def call(
        self,
        uri: str,
        *args: Any,
        keywords: Mapping[str, Any] | None = None,
        deadline: float = DEADLINE,
        on_progress: Callable[..., None] | None = None,
    ) -> Any:
        """See :meth:`pdtools.fabric.Fabric.call`."""
        self._check()
        try:
            answer = await self._server.call(
                upwards(uri, self._pdid), *args, keywords=keywords, deadline=deadline, on_progress=on_progress
            )
        except Unreachable as problem:
            if self._answered or not isinstance(problem, DeviceOffline):
                self._end()
            self._say_it_here(problem)
            raise
        except ParadropException as problem:
            self._say_it_here(problem)
            raise
        self._answered = True
        return answer

    async def publish(self, uri: str, *args: Any, keywords: Mapping[str, Any] | None = None) -> None:
        """See :meth:`pdtools.fabric.Fabric.publish`."""
        self._check()
        try:
            await self._server.publish(upwards(uri, self._pdid), *args, keywords=keywords)
        except ParadropException as problem:
            self._say_it_here(problem)
            raise

    async def subscribe(self, handler: Callable[[Event], None], uri: str, match: str = "exact") -> None:
        """See :meth:`pdtools.fabric.Fabric.subscribe`."""
        self._check()

        def heard(event: Event) -> None:
            handler(replace(event, topic=downwards(event.topic, self._pdid)))

        try:
            await self._server.subscribe(heard, upwards(uri, self._pdid), match)
        except ParadropException as problem:
            self._say_it_here(problem)
            raise

    async def close(self) -> None:
        """See :meth:`pdtools.fabric.Fabric.close`."""
        await self._server.close()
        self._end()

    async def check(self) -> None:
        """Ask the device for a sign of life.

        Raises :class:`Unreachable` while it, or its server, is not yet back, :class:`NotPermitted` when a role was revoked.
        """
        try:
            await self.call(local(NODE_INFO))
        except NotPermitted as problem:
            raise NotPermitted(f"You may not use {self._pdid} any more. What you may use: pdtools server devices") from problem
        except NotFound as problem:
            if type(problem) is not NotFound:
                raise
            # A server that starts lets people in a moment before it can say who is away.
            raise Unreachable(str(problem)) from problem

    def _say_it_here(self, problem: ParadropException) -> None:
        """Let *problem* speak of the device's names as on the device, and of the device where that is what it is about."""
        text, space = str(problem), device_space(self._pdid)
        if isinstance(problem, DeviceNotFoundException) and space in text:
            text = f"The server knows no device {self._pdid}. See: pdtools server devices"
        elif isinstance(problem, NotPermitted) and space in text:
            text = f"{text.rstrip('.')} on {self._pdid}. What you may use: pdtools server devices"
        problem.args = (text.replace(space, LOCAL), *problem.args[1:])

    def _check(self) -> None:
        if not self.connected:
            raise Unreachable(f"The link to {self._pdid} is gone.")

    def _end(self) -> None:
        if not self.closed.called:
            self.closed.callback(None)
