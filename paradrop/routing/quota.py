"""What one session may keep in the router at a time. Facts about Crossbar are those of 26.10.1.

When a session ends, the router takes back what it registered in one turn of the reactor: 100,000 registrations would hold up
everybody for seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

from autobahn.wamp import message

from paradrop.base.exceptions import NotPermitted, TooManyAttempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one session at a time; ``None``: as many as together."""

    pending: int = 1000
    """Calls without an answer."""
    pending_bytes: int = 16 << 20
    """… and what they carry, as it came: the router keeps it until there is an answer. Calls of less than a fair share, that is
    this by :attr:`pending`, are counted only."""
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
        self._sizes: WeakKeyDictionary[Any, dict[int, int]] = WeakKeyDictionary()
        """Bytes of large calls, by the identity of their message, which has no place for it."""

    def refusal(self, session: Any, msg: Any, size: int, undecided: Iterable[int] = ()) -> Any:
        """The ``ERROR`` that answers *msg* of *session*; ``None`` when the router is to have it.

        *size*: bytes of *msg*. *undecided*: identities of messages that wait to be let through, and are kept as long.
        """
        kind, limits = type(msg), self._limits
        if kind is message.Call:
            if len(self._calls.get(session, ())) >= limits.pending:
                return error(
                    msg, TooManyAttempts.uri(), f"a session may have {limits.pending} calls under way; wait for an answer"
                )
            if self.is_too_much(session, msg, size, undecided):
                words = f"a session may have {limits.pending_bytes >> 10} KiB in calls under way; wait for an answer"
                return error(msg, TooManyAttempts.uri(), words)
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

    def is_too_much(self, session: Any, call: Any, size: int, undecided: Iterable[int]) -> bool:
        """Whether *call* and those under way carry too much together, see :meth:`refusal`. One alone may always."""
        before = self._sizes.get(session, {})
        if size <= self._limits.pending_bytes // self._limits.pending:
            before.pop(id(call), None)  # that of one that is gone
            return False
        under_way = chain((id(each.call) for each in self._calls.get(session, ())), undecided)
        sizes = self._sizes[session] = {each: before[each] for each in under_way if each in before}
        if sizes and sum(sizes.values()) + size > self._limits.pending_bytes:
            return True
        sizes[id(call)] = size
        return False


def error(msg: Any, uri: str, sentence: str) -> Any:
    """The ``ERROR`` that answers *msg*."""
    return message.Error(msg.MESSAGE_TYPE, msg.request, uri, args=[sentence])
