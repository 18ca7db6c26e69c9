"""What the node asks the server, and tells it, beside who may join."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from autobahn.wamp.types import CallDetails
from twisted.internet.defer import Deferred

from paradrop import uris
from paradrop.base.exceptions import NotPermitted
from pdserver.access import UserPeer, may
from pdserver.callers import peer_of, said
from pdserver.gate.names import WampRole
from pdserver.registry.directory import Directory

MOST_DENIED = 10_000
"""Rows that one report of the gate may have."""
INSIDE = (WampRole.SERVER.value, "trusted")
"""The gate's role, and that of the router's own session (``crossbar/router/service.py``, 26.10.1)."""


class Counted(Protocol):
    def __call__(self, who: str, action: str, what: str, detail: str, times: int = 1) -> None:
        """Something was denied, so many times."""


class Questions:
    def __init__(self, directory: Directory, refused: Counted) -> None:
        self._directory = directory
        self._refused = refused

    def decide(self, authrole: str, authid: str, action: str, uri: str, match: str) -> bool:
        """:data:`pdserver.gate.names.DECIDE`."""
        peer, device = peer_of(self._directory, authrole, authid), self._directory.owner_of(uri)
        if peer is None:
            return False
        if device is None and action == "call" and isinstance(peer, UserPeer) and peer.administrator:
            return uri.startswith(uris.ROOT)  # who may know is told that there is no such device
        return may(peer, action, uri, match, device.peer if device is not None else None)

    def denied(self, rows: list[list[Any]]) -> None:
        """:data:`pdserver.gate.names.DENIED`."""
        for authrole, authid, action, uri, times, detail in rows[:MOST_DENIED]:
            # Before they have come in, a name is only what somebody calls themselves.
            what = str(uri or ("" if authrole else authid))
            self._refused(said(str(authrole), str(authid)), str(action), what, str(detail), int(times))


def for_the_node(handler: Callable[..., Any]) -> Callable[..., Any]:
    """*handler*, for callers from inside the node only: the router's own session, and the gate. The gate keeps everybody else
    away; this is for the time in which it might not be there."""

    def endpoint(*args: Any, details: CallDetails, **kwargs: Any) -> Any:
        if details.caller_authrole not in INSIDE:
            raise NotPermitted("that is between the parts of the server")
        answer = handler(*args, **kwargs)
        return Deferred.fromCoroutine(answer) if isinstance(answer, Coroutine) else answer

    return endpoint
