"""The server's session on its own node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from autobahn.wamp.types import CloseDetails, ComponentConfig, SessionDetails
from twisted.internet.defer import Deferred

from paradrop.base.cxbr import BaseSession


class Joining(Protocol):
    """Who wants to know of the session."""

    async def joined(self, session: BaseSession) -> None:
        """*session* is on the node."""

    def left(self, session: BaseSession) -> None:
        """*session* is gone, and with it every registration. It may be said twice."""


Connect = Callable[[Joining], Awaitable[BaseSession]]
"""Join the node once; fails with :class:`Unreachable`, ``AuthenticationError``."""


class ServiceSession(BaseSession):
    """Tells :class:`Joining`, ``config.extra["service"]``, when it has joined, and when it is gone."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        assert config is not None
        self._service: Joining = config.extra["service"]

    def onJoin(self, details: SessionDetails) -> Any:
        super().onJoin(details)
        return Deferred.fromCoroutine(self._service.joined(self))

    def onLeave(self, details: CloseDetails) -> Any:
        self._service.left(self)
        return super().onLeave(details)

    def onDisconnect(self) -> Any:
        self._service.left(self)
        return super().onDisconnect()


def by_socket(reactor: Any, path: str) -> Connect:
    """The node of a running server, by its unix socket."""

    async def connect(service: Joining) -> BaseSession:
        return await ServiceSession.start(f"unix:{path}", "server", extra={"service": service}, reconnect=False, reactor=reactor)

    return connect
