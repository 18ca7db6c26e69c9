"""The real fabric: a session of :class:`paradrop.base.cxbr.BaseSession`, without its own reconnect.

A command that outlives its link reconnects itself (:mod:`pdtools.link`), because only it knows what it has seen already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from autobahn.wamp.exception import ApplicationError, Error, SerializationError
from autobahn.wamp.types import CallOptions, CloseDetails, EventDetails, PublishOptions, SubscribeOptions
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime

from paradrop.base.cxbr import DEADLINE, BaseSession
from paradrop.base.exceptions import DeadlineExceeded, InvalidInput, NotPermitted, ParadropException, Unreachable
from paradrop.uris import LOCAL_PDID
from pdtools.fabric import Event, Fabric
from pdtools.target import REMEDY, Target

CONNECT = 10.0
"""Seconds within which a device must have let a session in."""
CLOSE = 2.0
"""Seconds a leaving session waits for the router's goodbye."""


class _Session(BaseSession):
    """Tells its fabric when the link ends."""

    gone: Callable[[], None] = staticmethod(lambda: None)

    def onLeave(self, details: CloseDetails) -> Any:
        # First of all: Autobahn fails the calls under way next, and their callers ask whether the link is still there.
        self.gone()
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

    Raises :class:`Unreachable` when nobody answers there within :data:`CONNECT` seconds, and ``AuthenticationError`` when the
    device refuses.
    """
    joining: Deferred[Any] = _Session.start(target.address, LOCAL_PDID, reconnect=False, reactor=reactor)

    def expired(result: object, seconds: float) -> NoReturn:
        raise DeadlineExceeded(f"{target.name} is there, but let nobody in within {seconds:g} s.")

    try:
        session = await joining.addTimeout(CONNECT, reactor, expired)
    except Unreachable as nobody:
        raise Unreachable(f"No device listens on {target.name}. {REMEDY}") from nobody
    return WampFabric(session, reactor)


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
