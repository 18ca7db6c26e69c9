"""What one session may keep in the router at a time. Facts about Crossbar are those of 26.10.1.

When a session ends, the router takes back what it registered in one turn of the reactor: 100,000 registrations would hold up
everybody for seconds.
"""

from __future__ import annotations

from typing import Any

from autobahn.wamp import message

from paradrop.base.exceptions import NotPermitted, TooManyAttempts

KEPT = 1000
"""Registrations and subscriptions together."""
PENDING = 1000
"""Calls without an answer."""


class Quota:
    """Says no to a session that has enough."""

    def __init__(self, router: Any) -> None:
        self._registrations: dict[Any, Any] = router._dealer._session_to_registrations
        self._subscriptions: dict[Any, Any] = router._broker._session_to_subscriptions
        self._calls: dict[Any, Any] = router._dealer._caller_to_invocations

    def refusal(self, session: Any, msg: Any) -> Any:
        """The ``ERROR`` that answers *msg* of *session*; ``None`` when the router is to have it."""
        kind = type(msg)
        if kind is message.Call:
            if len(self._calls.get(session, ())) >= PENDING:
                return _error(msg, TooManyAttempts.uri(), f"a session may have {PENDING} calls under way; wait for an answer")
        elif kind is message.Register or kind is message.Subscribe:
            kept = len(self._registrations.get(session, ())) + len(self._subscriptions.get(session, ()))
            if kept >= KEPT:
                return _error(msg, NotPermitted.uri(), f"a session may have {KEPT} registrations and subscriptions")
        return None


def _error(msg: Any, uri: str, sentence: str) -> Any:
    return message.Error(msg.MESSAGE_TYPE, msg.request, uri, args=[sentence])
