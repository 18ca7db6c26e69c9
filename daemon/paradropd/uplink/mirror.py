"""Subscriptions held on one side of the border because somebody on the other side listens."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.request import Subscription
from twisted.application.internet import backoffPolicy
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from paradrop.base.exceptions import NotPermitted, ParadropException
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


MOST_ASKED = 50
"""Subscriptions without an answer at a time: a router bounds the open questions of a session, and a server asks its directory."""

REFUSALS = frozenset({ApplicationError.NOT_AUTHORIZED, NotPermitted.uri(), ApplicationError.INVALID_URI})
"""Answers that stay what they are while the link is up. Any other (too many questions, say) passes, and is asked again."""

delay_after = backoffPolicy(initialDelay=1.0, maxDelay=60.0, factor=2.0)
"""Seconds until what could not be answered is asked again: 1, doubling to 60, each with up to a second of jitter."""


class _Held(Enum):
    ASKED = 1
    REFUSED = 2
    LATER = 3
    """Not answered, and to be asked again."""


class Mirror:
    """Keeps a session subscribed to what is wanted, and no more; each publication is heard once, however many patterns match."""

    def __init__(self, heard: Heard, clock: IReactorTime) -> None:
        self._heard = heard
        self._clock = clock
        self._session: PassingSession | None = None
        self._wanted: frozenset[Pattern] = frozenset()
        self._held: dict[Pattern, Subscription | _Held] = {}
        self._asked = 0
        self._asking = False
        self._again: IDelayedCall | None = None
        self._failures = 0
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
        self._asked = self._failures = 0
        self._publications.clear()
        if self._again is not None and self._again.active():
            self._again.cancel()
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
        for pattern in self._held.keys() - self._wanted:
            if self._held[pattern] is not _Held.ASKED:  # then the answer finds that nobody wants it any more
                _drop(self._held.pop(pattern))
        self._ask()

    def _ask(self) -> None:
        """Ask for what is wanted and not held, as far as there may be questions. An answer may come before the call returns: then
        the loop that asked goes on, and not another inside of it."""
        if self._asking:
            return
        self._asking = True
        try:
            for pattern in sorted(self._wanted - self._held.keys()):
                if self._session is None or self._asked >= MOST_ASKED:
                    return
                if pattern in self._wanted and pattern not in self._held:
                    self._subscribe(self._session, pattern)
        finally:
            self._asking = False

    def _ask_later(self) -> None:
        if self._again is None or not self._again.active():
            self._again = self._clock.callLater(delay_after(self._failures), self._ask_again)
            self._failures += 1

    def _ask_again(self) -> None:
        for pattern in [pattern for pattern, held in self._held.items() if held is _Held.LATER]:
            del self._held[pattern]
        self._ask()

    def _subscribe(self, session: PassingSession, pattern: Pattern) -> None:
        self._held[pattern] = _Held.ASKED
        self._asked += 1

        def heard(event: message.Event, topic: str) -> None:
            if pattern in self._wanted and event.publication not in self._publications:
                self._publications.put(event.publication, None)
                self._heard(event, topic)

        def subscribed(subscription: Subscription) -> None:
            if session is not self._session:
                return
            self._asked -= 1
            if self._again is None or not self._again.active():
                self._failures = 0
            if pattern in self._wanted:
                self._held[pattern] = subscription
            else:
                del self._held[pattern]
                _drop(subscription)
            self._ask()

        def refused(problem: Failure) -> None:
            if session is not self._session:
                return
            self._asked -= 1
            lasting = _reason(problem) in REFUSALS
            if pattern not in self._wanted:
                del self._held[pattern]
            else:
                self._held[pattern] = _Held.REFUSED if lasting else _Held.LATER
                words = "are not passed on" if lasting else "are not passed on yet"
                log.info(
                    "events of {pattern} {words}: {problem}", pattern=pattern, words=words, problem=problem.getErrorMessage()
                )
                if not lasting:
                    self._ask_later()
            self._ask()

        session.listen(*pattern, heard).addCallbacks(subscribed, refused)


def _reason(problem: Failure) -> str:
    """The URI of an error; nothing when it has none."""
    value = problem.value
    if isinstance(value, ApplicationError):
        return str(value.error)
    return value.uri() if isinstance(value, ParadropException) else ""


def _drop(subscription: Subscription | _Held) -> None:
    if isinstance(subscription, Subscription) and subscription.active and subscription.session.is_attached():
        dropped = subscription.unsubscribe()
        if isinstance(dropped, Deferred):
            dropped.addErrback(lambda problem: None)  # the link went away, and the subscription with it
