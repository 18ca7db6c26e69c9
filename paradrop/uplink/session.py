"""The uplink's own session: proves with a key who the device is, answers for its whole space, and comes back when it is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallDetails, Challenge, CloseDetails, ComponentConfig, SessionDetails
from twisted.internet.defer import succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from paradrop import uris
from paradrop.base._links import Reconnecting, connect
from paradrop.base.cxbr import BaseSessionFactory
from paradrop.base.exceptions import AuthenticationError, DeviceNotFoundException, InvalidInput, NotPermitted, ParadropException
from paradrop.keys import Key
from paradrop.permissions import WampRole
from paradrop.uplink.passing import PassingSession

REFUSED_DELAY = 30.0
"""Seconds until a server that refused the device's key is asked again: an administrator may have mended it."""

PATIENCE = 60.0
"""Seconds for an attempt, from its beginning to a session that has its names: a server may take a connection and say nothing. A
server that thousands come back to at the same time takes a while."""

REFUSALS = frozenset(
    {
        ApplicationError.AUTHENTICATION_FAILED,
        ApplicationError.NOT_AUTHORIZED,
        ApplicationError.NO_AUTH_METHOD,
        ApplicationError.NO_SUCH_PRINCIPAL,
        ApplicationError.NO_SUCH_ROLE,
        AuthenticationError.uri(),
        DeviceNotFoundException.uri(),
        NotPermitted.uri(),
    }
)
"""Reasons that mean: not you. Any other (the authenticator is not there yet, say) is the server's own trouble, which passes."""


class Behind(Protocol):
    """What an uplink stands for: a device's realm, or a simulated device."""

    def up(self, session: UplinkSession) -> None:
        """The link is there, and calls may come."""

    def down(self, reason: str, refused: bool) -> None:
        """There is no link, or another attempt has failed; *reason* is for people. *refused*: the server takes not this key."""

    def call(self, uri: str, args: Sequence[Any], kwargs: Mapping[str, Any], details: CallDetails) -> Awaitable[Any]:
        """Answer a call of *uri*, spelled as upstream: a value or a ``CallResult``, or raise ``ApplicationError`` or one of our
        tree. ``details.progress`` is there when the caller wants progressive results; a cancel cancels the awaitable."""

    def want(self, patterns: list[tuple[str, str]]) -> None:
        """All topics of the device that somebody upstream listens to, as ``match, uri``, spelled as upstream."""


class UplinkSession(PassingSession):
    """One link of a device to its server. ``config.extra`` has ``pdid``, ``reactor``, ``key`` (:class:`paradrop.keys.Key`) and
    ``behind`` (:class:`Behind`)."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        extra: dict[str, Any] = (config.extra or {}) if config else {}
        self._key: Key = extra["key"]
        self._behind: Behind = extra["behind"]
        self._want = f"{self.prefix}{uris.UPLINK_WANT}"
        self.is_up = False
        self.told = False
        """Whether ``Behind.down`` was called: it is once for each session."""
        self.refused = False
        self.over = False
        """Stopped by us: nothing of it reaches :class:`Behind` any more."""

    def onConnect(self) -> None:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onConnect`."""
        self.join(self.config.realm, authmethods=["cryptosign"], authid=self.pdid, authextra=self._key.extra)

    def onChallenge(self, challenge: Challenge) -> str:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onChallenge`."""
        return self._key.answer(challenge)

    async def onJoin(self, details: SessionDetails) -> None:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onJoin`."""
        try:
            # An old link of ours may be half-open, and the server not know it yet: its registration ends now.
            await self.offer(self.prefix, force=True)
        except (ParadropException, ApplicationError) as problem:
            self.tell(f"the server does not take the device's names: {problem}")
            if self.is_attached():
                self.leave()
            return
        super().onJoin(details)
        self.is_up = True
        if not self.over:
            self._behind.up(self)

    def onLeave(self, details: CloseDetails) -> Any:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onLeave`."""
        self.refused = not self.is_up and details.reason in REFUSALS
        if self.refused and self.factory is not None:
            # retry() doubles the delay and keeps it below the maximum: both say how long it is to be now.
            self.factory.delay = REFUSED_DELAY
            self.factory.maxDelay = round(REFUSED_DELAY)
        elif self.factory is not None:
            self.factory.maxDelay = Reconnecting.maxDelay
        lost = details.reason == CloseDetails.REASON_TRANSPORT_LOST
        self.tell("the link went down" if lost else details.message or f"the server closed the link ({details.reason})")
        return super().onLeave(details)

    def onDisconnect(self) -> Any:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onDisconnect`."""
        self.tell("the link went down")
        return super().onDisconnect()

    def serve(self, uri: str, args: Sequence[Any], kwargs: Mapping[str, Any], details: CallDetails) -> Awaitable[Any]:
        """Answer a call from upstream."""
        if self.over:
            raise ApplicationError(ApplicationError.CANCELED, "the device is leaving")
        if uri != self._want:
            return self._behind.call(uri, args, kwargs, details)
        if details.caller_authrole != WampRole.SERVER:
            raise NotPermitted(f"only the server calls {uris.UPLINK_WANT}")
        self._behind.want(_patterns(args[0] if args else ()))
        return succeed(None)

    def tell(self, reason: str) -> None:
        """There is no link, because of *reason*; only the first one counts."""
        if not self.told:
            self.told = True
            if not self.over:
                self._behind.down(reason, self.refused)


def _patterns(data: Any) -> list[tuple[str, str]]:
    """Raises :class:`InvalidInput` unless *data* is ``[[match, uri], …]``."""
    if not isinstance(data, list | tuple):
        raise InvalidInput(f"{uris.UPLINK_WANT}: a list of pairs is expected")
    for each in data:
        if not isinstance(each, list | tuple) or len(each) != 2 or not all(isinstance(part, str) for part in each):
            raise InvalidInput(f"{uris.UPLINK_WANT}: {each!r} is not a pair of match and URI")
    return [(match, uri) for match, uri in data]


class _Sessions(BaseSessionFactory):
    session = UplinkSession
    last: UplinkSession | None = None

    def __call__(self) -> UplinkSession:
        self.last = cast(UplinkSession, super().__call__())
        return self.last


class Link:
    """A link that comes back until it is stopped; see :func:`link`."""

    def __init__(
        self,
        reactor: Any,
        address: str,
        config: ComponentConfig,
        behind: Behind,
        authority: str,
        explain: Callable[[Failure], str],
        session: type[UplinkSession] = UplinkSession,
    ) -> None:
        self._reactor = reactor
        self._behind = behind
        self._explain = explain
        self._due: IDelayedCall | None = None
        self._over = False
        self._gave_up = ""
        """Why this attempt was broken off by us."""
        self._sessions = _Sessions(config)
        self._sessions.session = session
        self._client: Reconnecting = connect(reactor, address, self._sessions, True, authority, prepare=self._prepare)

    def stop(self) -> None:
        """Close it, and do not come back; :class:`Behind` hears no more of it."""
        self._over = True
        self._patient()
        self._client.stop()
        if self._sessions.last is not None:
            self._sessions.last.over = True
            self._sessions.last.end_passing()
        if self._client.connector is not None:
            self._client.connector.disconnect()

    def _prepare(self, client: Reconnecting) -> None:
        client.on_attempt, client.on_retry = self._attempt, self._lost

    def _attempt(self) -> None:
        self._sessions.last, self._gave_up = None, ""
        self._patient()
        self._due = self._reactor.callLater(PATIENCE, self._give_up)

    def _give_up(self) -> None:
        last = self._sessions.last
        if (last is None or not last.is_up) and self._client.connector is not None:
            self._gave_up = f"the server took the connection and said nothing for {PATIENCE:g} s"
            if last is not None:
                last.tell(self._gave_up)
            self._client.connector.disconnect()

    def _lost(self, reason: Failure) -> None:
        self._patient()
        last = self._sessions.last
        if last is None:
            self._client.maxDelay = Reconnecting.maxDelay
        if not self._over and (last is None or not last.told):
            self._behind.down(self._gave_up or self._explain(reason), False)

    def _patient(self) -> None:
        if self._due is not None and self._due.active():
            self._due.cancel()


def link(
    reactor: Any,
    address: str,
    pdid: str,
    key: Key,
    behind: Behind,
    *,
    authority: str = "",
    explain: Callable[[Failure], str] = Failure.getErrorMessage,
    session: type[UplinkSession] = UplinkSession,
) -> Link:
    """Link the device *pdid* to the router at *address* (``rss://host:port``, ``wss://…``, ``rs://…``), for as long as it takes.

    *authority* is the certificate (PEM) to verify the server by; *explain* puts a failed connection into words. Attempts come
    after 1 s, doubling to 10 s, with some jitter; :data:`REFUSED_DELAY` after a refusal. Raises ``InvalidInput`` for a bad
    address.
    """
    extra = {"pdid": pdid, "reactor": reactor, "key": key, "behind": behind}
    return Link(reactor, address, ComponentConfig(realm=uris.DEVICE_REALM, extra=extra), behind, authority, explain, session)
