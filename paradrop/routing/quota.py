"""What one session may keep in the router at a time. Facts about Crossbar are those of 26.10.1.

When a session ends, the router takes back what it registered in one turn of the reactor: 100,000 registrations would hold up
everybody for seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autobahn.wamp import message

from paradrop.base.exceptions import NotPermitted, TooManyAttempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one session at a time; ``None``: as many as together."""

    pending: int = 1000
    """Calls without an answer."""
    kept: int = 1000
    """Registrations and subscriptions together."""
    registrations: int | None = None
    subscriptions: int | None = None


class Quota:
    """Says no to a session that has enough."""

    def __init__(self, router: Any, limits: Limits | None = None) -> None:
        self._registrations: dict[Any, Any] = router._dealer._session_to_registrations
        self._subscriptions: dict[Any, Any] = router._broker._session_to_subscriptions
        self._calls: dict[Any, Any] = router._dealer._caller_to_invocations
        self._limits = limits or Limits()

    def refusal(self, session: Any, msg: Any) -> Any:
        """The ``ERROR`` that answers *msg* of *session*; ``None`` when the router is to have it."""
        kind, limits = type(msg), self._limits
        if kind is message.Call:
            if len(self._calls.get(session, ())) >= limits.pending:
                return error(
                    msg, TooManyAttempts.uri(), f"a session may have {limits.pending} calls under way; wait for an answer"
                )
            return None
        if kind is message.Register:
            most, what = limits.registrations, "registrations"
        elif kind is message.Subscribe:
            most, what = limits.subscriptions, "subscriptions"
        else:
            return None
        registrations, subscriptions = len(self._registrations.get(session, ())), len(self._subscriptions.get(session, ()))
        if most is not None and (registrations if kind is message.Register else subscriptions) >= most:
            return error(msg, NotPermitted.uri(), f"a session may have {most} {what}")
        if registrations + subscriptions >= limits.kept:
            return error(msg, NotPermitted.uri(), f"a session may have {limits.kept} registrations and subscriptions")
        return None


def error(msg: Any, uri: str, sentence: str) -> Any:
    """The ``ERROR`` that answers *msg*."""
    return message.Error(msg.MESSAGE_TYPE, msg.request, uri, args=[sentence])
