"""Subscriptions held on one side of the border because somebody on the other side listens."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from autobahn.wamp import message
from autobahn.wamp.request import Subscription
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from paradrop.uplink import PassingSession
from paradrop.uplink.passing import Heard
from paradropd.uplink.callers import Recent

log = Logger(namespace="paradropd.uplink")

Pattern = tuple[str, str]
"""``match, uri``."""

MOST = 1000
"""Patterns held at a time. A router lets a session have about as many."""

REMEMBERED = 1000
"""Publications: patterns that overlap bring the same one several times."""


class _Held(Enum):
    ASKED = 1
    REFUSED = 2


class Mirror:
    """Keeps a session subscribed to what is wanted, and no more; each publication is heard once, however many patterns match."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._session: PassingSession | None = None
        self._wanted: frozenset[Pattern] = frozenset()
        self._held: dict[Pattern, Subscription | _Held] = {}
        self._publications: Recent[None] = Recent(REMEMBERED)

    @property
    def held(self) -> frozenset[Pattern]:
        """What the session is subscribed to."""
        return frozenset(pattern for pattern, held in self._held.items() if isinstance(held, Subscription))

    def attach(self, session: PassingSession) -> None:
        """Subscribe with *session*, a new one that has no subscriptions yet."""
        self.detach()
        self._session = session
        self._reconcile()

    def detach(self) -> None:
        """Give the session up, and its subscriptions with it; what is wanted stays so."""
        session, self._session = self._session, None
        held, self._held = self._held, {}
        self._publications.clear()
        if session is not None and session.is_attached():
            for subscription in held.values():
                _drop(subscription)

    def want(self, patterns: Iterable[Pattern]) -> None:
        """Listen to *patterns*, and to nothing else from now on."""
        wanted = sorted(set(patterns))
        if len(wanted) > MOST:
            log.warn("{count} topics are listened to, of which {most} are passed on", count=len(wanted), most=MOST)
        self._wanted = frozenset(wanted[:MOST])
        self._reconcile()

    def _reconcile(self) -> None:
        if self._session is None:
            return
        for pattern in self._held.keys() - self._wanted:
            if self._held[pattern] is not _Held.ASKED:  # then the answer finds that nobody wants it any more
                _drop(self._held.pop(pattern))
        for pattern in sorted(self._wanted - self._held.keys()):
            self._subscribe(self._session, pattern)

    def _subscribe(self, session: PassingSession, pattern: Pattern) -> None:
        self._held[pattern] = _Held.ASKED

        def heard(event: message.Event, topic: str) -> None:
            if pattern in self._wanted and event.publication not in self._publications:
                self._publications.put(event.publication, None)
                self._heard(event, topic)

        def subscribed(subscription: Subscription) -> None:
            if session is not self._session:
                return
            if pattern in self._wanted:
                self._held[pattern] = subscription
            else:
                del self._held[pattern]
                _drop(subscription)

        def refused(problem: Failure) -> None:
            if session is self._session:
                self._held[pattern] = _Held.REFUSED
                if pattern not in self._wanted:
                    del self._held[pattern]
                log.info("events of {pattern} are not passed on: {problem}", pattern=pattern, problem=problem.getErrorMessage())

        session.listen(*pattern, heard).addCallbacks(subscribed, refused)


def _drop(subscription: Subscription | _Held) -> None:
    if isinstance(subscription, Subscription) and subscription.active and subscription.session.is_attached():
        dropped = subscription.unsubscribe()
        if isinstance(dropped, Deferred):
            dropped.addErrback(lambda problem: None)  # the link went away, and the subscription with it
