"""One simulated device: what stands behind its uplink, where a real one has a realm and chutes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallDetails
from twisted.internet.defer import succeed

from paradrop import uris
from pdserver.simulate.fleet import ECHO, TICK
from pdserver.simulate.tally import Tally


class Link(Protocol):
    """The part of :class:`paradrop.uplink.UplinkSession` that a simulated device uses."""

    def stockPublish(self, topic: str, *args: Any, **kwargs: Any) -> Any: ...

    def stockCall(self, procedure: str, *args: Any, **kwargs: Any) -> Awaitable[Any]: ...


class SimulatedDevice:
    """Implements :class:`paradrop.uplink.Behind` without any realm: one chute, ``sim``, with an echo and a topic."""

    def __init__(self, pdid: str, tally: Tally, settled: Callable[[], None] = lambda: None) -> None:
        """*settled* is called once: when the device has joined for the first time, or was not let in."""
        self.pdid = pdid
        self.link: Link | None = None
        """While it is there."""
        self._tally = tally
        self._settled: Callable[[], None] | None = settled
        self._before = False
        self._relays = False
        space = uris.device_space(pdid)
        self._answers: Mapping[str, Callable[..., Any]] = {
            space + ECHO: lambda value=None: value,
            space + uris.CHUTES_LIST: list,
        }
        self._topic = space + TICK

    # As an uplink has it.

    def up(self, session: Link) -> None:
        self.link = session
        self._tally.joined += 1
        self._tally.rejoined += self._before
        self._before = True
        self._settle()

    def down(self, reason: str, refused: bool) -> None:
        if self.link is not None:
            self.link = None
            self._tally.joined -= 1
            self._tally.lost += 1
        self.want([])
        if refused:
            self._tally.refused += 1
            self._settle()

    def call(self, uri: str, args: Sequence[Any], kwargs: Mapping[str, Any], details: CallDetails) -> Awaitable[Any]:
        answer = self._answers.get(uri)
        if answer is None:
            raise ApplicationError(ApplicationError.NO_SUCH_PROCEDURE, f"a simulated device does not offer {uri}")
        self._tally.answered += 1
        return succeed(answer(*args, **kwargs))

    def want(self, patterns: list[tuple[str, str]]) -> None:
        wanted = any(matches(match, uri, self._topic) for match, uri in patterns)
        self._tally.wanted += wanted - self._relays
        self._relays = wanted

    # What its chute does.

    def tick(self, number: int) -> None:
        """An event on its own realm; relayed when somebody upstream listens, and only then."""
        self._tally.ticks += 1
        if self._relays and self.link is not None:
            self._tally.relayed += 1
            self.link.stockPublish(self._topic, number)

    def _settle(self) -> None:
        settled, self._settled = self._settled, None
        if settled is not None:
            settled()


def matches(match: str, pattern: str, topic: str) -> bool:
    """Whether a subscription to *pattern* gets events of *topic* (WAMP, section "Pattern-based Subscriptions")."""
    match match:
        case "exact":
            return pattern == topic
        case "prefix":
            return topic.startswith(pattern)
        case "wildcard":
            wanted, there = pattern.split("."), topic.split(".")
            return len(wanted) == len(there) and all(a in ("", b) for a, b in zip(wanted, there, strict=True))
    return False
