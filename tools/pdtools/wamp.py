"""The real fabric: a session of :class:`paradrop.base.cxbr.BaseSession`, without its own reconnect.

A command that outlives its link reconnects itself (:mod:`pdtools.link`), because only it knows what it has seen already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from autobahn.wamp.exception import ApplicationError, Error, SerializationError
from autobahn.wamp.types import CallOptions, Challenge, CloseDetails, EventDetails, PublishOptions, SubscribeOptions
from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from paradrop.base.cxbr import DEADLINE, BaseSession
from paradrop.base.exceptions import (
    AuthenticationError,
    DatabaseUnavailable,
    DeadlineExceeded,
    InvalidInput,
    NotPermitted,
    ParadropException,
    Unreachable,
)
from paradrop.base.tls import explain
from paradrop.uris import LOCAL_PDID
from pdtools.fabric import Event, Fabric
from pdtools.target import REMEDY, Login, Target

CONNECT = 10.0
"""Seconds within which a device must have let a session in."""
CLOSE = 2.0
"""Seconds a leaving session waits for the router's goodbye."""


NOT_READY = (
    ApplicationError.NO_SUCH_PROCEDURE,
    ApplicationError.NO_SUCH_ROLE,
    ApplicationError.NO_SUCH_REALM,
    ApplicationError.CANCELED,
    DatabaseUnavailable.uri(),
    DeadlineExceeded.uri(),
)
"""How a server that starts, and cannot say yet who may come in, turns a session away."""


class _Session(BaseSession):
    """Tells its fabric when the link ends; proves who is asking where a login says how."""

    gone: Callable[[], None] = staticmethod(lambda: None)

    @property
    def _login(self) -> Login | None:
        login: Login | None = self.config.extra.get("login")
        return login

    def onConnect(self) -> None:
        if self._login is None:
            super().onConnect()
        else:
            self.join(self.config.realm, ["cryptosign"], authid=self._login.user, authextra=self._login.key.extra)

    def onChallenge(self, challenge: Challenge) -> str:
        if self._login is None:
            raise AuthenticationError
        return self._login.key.answer(challenge)

    def onLeave(self, details: CloseDetails) -> Any:
        # First of all: Autobahn fails the calls under way next, and their callers ask whether the link is still there.
        self.gone()
        if details.reason in NOT_READY:
            self._settle(Failure(Unreachable(f"it is not ready ({details.message or details.reason})")))
        return super().onLeave(details)

    def onDisconnect(self) -> None:
        self.gone()
        super().onDisconnect()


class WampFabric:
    """A :class:`pdtools.fabric.Fabric` over one joined session."""

    def __init__(self, session: _Session, reactor: IReactorTime) -> None:
        self._session = session
        self._reactor = reactor
        self.closed: Deferred[None] = Deferred()
        session.gone = self._gone

    @property
    def connected(self) -> bool:
        """Whether the link is there."""
        return not self.closed.called

    async def call(
        self,
        uri: str,
        *args: Any,
        keywords: Mapping[str, Any] | None = None,
        deadline: float = DEADLINE,
        on_progress: Callable[..., None] | None = None,
    ) -> Any:
        """See :meth:`pdtools.fabric.Fabric.call`."""
        options = CallOptions(timeout=deadline, on_progress=on_progress)
        try:
            return await self._session.stockCall(uri, *args, **_keywords(keywords), options=options)
        except Error as problem:
            raise _ours(problem, uri) from problem

    async def publish(self, uri: str, *args: Any, keywords: Mapping[str, Any] | None = None) -> None:
        """See :meth:`pdtools.fabric.Fabric.publish`."""
        try:
            await self._session.stockPublish(uri, *args, **_keywords(keywords), options=PublishOptions(acknowledge=True))
        except Error as problem:
            raise _ours(problem, uri) from problem

    async def subscribe(self, handler: Callable[[Event], None], uri: str, match: str = "exact") -> None:
        """See :meth:`pdtools.fabric.Fabric.subscribe`."""

        def heard(*args: Any, event_details_: EventDetails, **kwargs: Any) -> None:
            handler(Event(event_details_.topic or uri, args, kwargs))

        try:
            await self._session.stockSubscribe(heard, uri, SubscribeOptions(match=match, details_arg="event_details_"))
        except Error as problem:
            raise _ours(problem, uri) from problem

    async def close(self) -> None:
        """See :meth:`pdtools.fabric.Fabric.close`."""
        if not self.connected:
            return
        left: Deferred[None] = Deferred()
        self.closed.addBoth(left.callback)
        self._session.stop()
        try:
            await left.addTimeout(CLOSE, self._reactor)
        except TimeoutError:
            # The process ends, or forgets this link; the kernel closes the socket.
            return

    def _gone(self) -> None:
        if not self.closed.called:
            self.closed.callback(None)


async def dial(target: Target, reactor: IReactorTime) -> Fabric:
    """Join the realm of *target*.

    Raises :class:`Unreachable` when nobody answers there within :data:`CONNECT` seconds, and :class:`AuthenticationError` when
    whoever is there cannot be verified, or refuses.
    """
    login = target.login
    joining: Deferred[Any] = _Session.start(
        target.address,
        LOCAL_PDID,
        reconnect=False,
        reactor=reactor,
        authority=login.authority if login else "",
        extra={"login": login},
    )

    def expired(result: object, seconds: float) -> NoReturn:
        raise DeadlineExceeded(f"{target.name} is there, but let nobody in within {seconds:g} s.")

    try:
        session = await joining.addTimeout(CONNECT, reactor, expired)
    except Unreachable as nobody:
        if login is None:
            raise Unreachable(f"No device listens on {target.name}. {REMEDY}") from nobody
        raise _no_server(target.name, nobody) from nobody
    except AuthenticationError as refused:
        if login is None:
            raise
        raise AuthenticationError(
            f"The server {target.name} does not take the key of {login.user}: {refused}. It may have been removed. To log in "
            f"with a new code from an administrator: pdtools server login {target.name}"
        ) from refused
    return WampFabric(session, reactor)


def _no_server(name: str, problem: Unreachable) -> ParadropException:
    """Why there is no link to a server, by what the transport said when it ended."""
    why = problem.__cause__
    if why is None:
        return Unreachable(f"The server {name} lets nobody in now: {problem}.")
    reason = explain(Failure(why)).rstrip(".")
    if isinstance(why, TLSError | VerificationError):
        return AuthenticationError(f"The server at {name} could not be verified, and was told nothing: {reason}.")
    return Unreachable(f"The server {name} does not answer: {reason}.")


def _keywords(keywords: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if keywords and "options" in keywords:
        raise InvalidInput("'options' cannot be the name of a keyword argument: Autobahn keeps it for itself")
    return keywords or {}


def _ours(problem: Error, uri: str) -> ParadropException:
    """A fabric's error that has no class of ours, as the nearest one of the tree."""
    if isinstance(problem, SerializationError):
        return InvalidInput(f"that cannot be sent to {uri}: {problem}")
    if not isinstance(problem, ApplicationError):
        return Unreachable("The link to the device is gone.")
    if problem.error == ApplicationError.NOT_AUTHORIZED:
        return NotPermitted(f"You may not do that with {uri}.")
    if problem.error == ApplicationError.INVALID_URI:
        return InvalidInput(f"{uri!r} is not a name the fabric takes")
    message = " ".join(str(part) for part in problem.args)
    return ParadropException(f"{uri} failed with {problem.error}" + (f": {message}" if message else ""))
