"""Puts the gate into a running router of Crossbar 26.10.1, wholly or not at all.

Crossbar has no place for any of this in its configuration, so classes and attributes of it are replaced; where one of them is
missing or is not what it was, that is an error, and nobody is let in.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import crossbar.router.auth.cryptosign
import crossbar.router.router
import crossbar.router.session
from crossbar.router import unisocket
from crossbar.router.auth import PendingAuthCryptosign, PendingAuthTicket
from crossbar.router.protocol import (
    WampRawSocketServerFactory,
    WampRawSocketServerProtocol,
    WampWebSocketServerFactory,
    WampWebSocketServerProtocol,
)
from crossbar.router.role import RouterRole
from crossbar.router.session import RouterSession, RouterSessionFactory

from paradrop.base.exceptions import InteralException
from paradrop.routing.notices import PeerLog
from pdserver.gate.connections import Bounds, RawSocketProtocol, UniversalProtocol, WebSocketProtocol
from pdserver.gate.guard import Guard
from pdserver.gate.names import WampRole
from pdserver.gate.roles import GuardedRole
from pdserver.gate.session import GuardedSession

GUARDED = (WampRole.DEVICE, WampRole.USER, WampRole.GUEST)


class Installation:
    """What has been replaced, so that it can be put back."""

    def __init__(self, router: Any, guard: Guard) -> None:
        """Raises :class:`InteralException` when this is not the Crossbar we know, with nothing replaced."""
        self._router = router
        self._before: list[Callable[[], None]] = []
        try:
            self._install(guard)
        except Exception as problem:
            self.remove()
            raise InteralException(f"the gate does not fit into this Crossbar: {problem!r}") from problem

    def remove(self) -> None:
        """Put everything back; the roles may do nothing from now on."""
        for name in GUARDED:
            self._router.add_role(RouterRole(self._router, name))
        while self._before:
            self._before.pop()()

    def _install(self, guard: Guard) -> None:
        bounds = Bounds(guard.clock, guard.strangers, guard.notices, guard.settings)
        sessions = self._router._factory._worker._router_session_factory
        _expect(isinstance(sessions, RouterSessionFactory) and sessions.session is RouterSession, "its sessions")
        _expect(WampRawSocketServerFactory.protocol is WampRawSocketServerProtocol, "its RawSocket transport")
        _expect(WampWebSocketServerFactory.protocol is WampWebSocketServerProtocol, "its WebSocket transport")
        quiet = PeerLog(guard.notices, "router")
        for part in (self._router, self._router._broker, self._router._dealer, PendingAuthCryptosign, PendingAuthTicket):
            self._replace(part, "log", quiet)
        for module in (crossbar.router.auth.cryptosign, crossbar.router.router, crossbar.router.session):
            self._replace(module, "pformat", str)  # what a session is gets formatted for a log line that is never written
        self._replace(WampRawSocketServerFactory, "protocol", _bound(RawSocketProtocol, bounds))
        self._replace(WampWebSocketServerFactory, "protocol", _bound(WebSocketProtocol, bounds))
        self._replace(unisocket.UniSocketServerFactory, "buildProtocol", _builds(_bound(UniversalProtocol, bounds)))
        self._replace(sessions, "session", partial(GuardedSession, guard))
        for name in GUARDED:
            _expect(self._router.add_role(GuardedRole(self._router, name, guard)), f"the role {name}")

    def _replace(self, owner: Any, name: str, value: Any) -> None:
        _expect(hasattr(owner, name), f"{owner!r}.{name}")
        mine = vars(owner)
        if name in mine:
            self._before.append(partial(setattr, owner, name, mine[name]))
        else:
            self._before.append(partial(delattr, owner, name))
        setattr(owner, name, value)


def _bound(protocol: type[Any], bounds: Bounds) -> type[Any]:
    """Crossbar makes the instances, so that what they need is on their class."""
    return type(protocol.__name__, (protocol,), {"bounds": bounds})


def _builds(protocol: type[Any]) -> Callable[[Any, Any], Any]:
    def build(factory: Any, addr: Any) -> Any:
        return protocol(factory, addr)

    return build


def _expect(fact: bool, what: str) -> None:
    if not fact:
        raise LookupError(f"{what} is not as expected")
