"""WAMP sessions for every part of Paradrop: prefixed names, calls that always end, links that come back.

A session is created anew for each connection (that is how Autobahn works), so whatever must be there after a reconnect
(registrations, subscriptions) belongs into ``onJoin``.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, NoReturn, cast

from autobahn.twisted.wamp import ApplicationSession, ApplicationSessionFactory
from autobahn.wamp.types import CallOptions, CloseDetails, ComponentConfig, SessionDetails
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from paradrop.base._asking import asked
from paradrop.base._foreign import admissible
from paradrop.base._links import BaseClientFactory, BaseRawSocketFactory, Reconnecting, connect
from paradrop.base.exceptions import AuthenticationError, DeadlineExceeded, ParadropException, Unreachable, tree
from paradrop.uris import DEVICE_REALM, ROOT

__all__ = ["DEADLINE", "BaseClientFactory", "BaseRawSocketFactory", "BaseSession", "BaseSessionFactory"]

DEADLINE = 30.0
"""Seconds a call may take when its caller says nothing else. Crossbar 26.10 does not enforce a call's timeout, so the caller's
own session does."""


class BaseSession(ApplicationSession):
    """A WAMP session in the address space of one device.

    ``register``, ``publish``, ``subscribe`` and ``call`` take names below ``org.paradrop.<pdid>.``; their ``stock`` twins take
    whole URIs. Every class of :mod:`paradrop.base.exceptions` passes through the fabric in both directions as itself.
    """

    deadline: float = DEADLINE
    translates: bool = True
    """Whether errors of our tree arrive as themselves; a session that only passes calls on leaves every error as it is."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        extra: dict[str, Any] = (config.extra or {}) if config else {}
        self.pdid: str = extra.get("pdid", "local")
        self._reactor: IReactorTime | None = extra.get("reactor")
        self._joined: Deferred[BaseSession] | None = None
        self.factory: Reconnecting | None = None
        if self.translates:
            for kind in tree():
                self.define(kind, kind.uri())

    @property
    def prefix(self) -> str:
        """``org.paradrop.<pdid>.``"""
        return f"{ROOT}{self.pdid}."

    @classmethod
    def start(
        cls,
        address: str,
        pdid: str,
        realm: str = DEVICE_REALM,
        start_reactor: bool = False,
        debug: bool = False,
        extra: dict[str, Any] | None = None,
        reconnect: bool = True,
        reactor: Any = None,
        authority: str = "",
    ) -> Deferred[BaseSession]:
        """Attach a new session to the router at *address* and fire with it once it has joined *realm*.

        *address* is ``unix:/path``, ``rs://host:port`` or ``rss://host:port`` (RawSocket, the latter with TLS), ``ws://…`` or
        ``wss://…`` (WebSocket). *authority* is the certificate (PEM) to verify the server's by, instead of the system's
        authorities. *extra* reaches the session as ``config.extra``. With *reconnect* the link is tried for ever, and each new
        link is a new session of this class; without, the result fails with :class:`Unreachable` or
        :class:`AuthenticationError`. *start_reactor* runs the reactor until it is stopped (for scripts); *debug* writes what is
        sent and received to the log.
        """
        reactor = reactor or _global_reactor()
        joined: Deferred[BaseSession] = Deferred()
        config = ComponentConfig(realm=realm, extra={**(extra or {}), "pdid": pdid, "reactor": reactor})
        sessions = BaseSessionFactory(config, joined)
        sessions.session = cls
        connect(reactor, address, sessions, reconnect, authority)
        if debug:
            import txaio

            txaio.set_global_log_level("trace")
        if start_reactor:
            reactor.run()
        return joined

    def onJoin(self, details: SessionDetails) -> Any:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onJoin`: this link works, so the next one may come quickly."""
        if self.factory is not None:
            self.factory.resetDelay()  # type: ignore[no-untyped-call]
        self._settle(self)

    def onMessage(self, msg: Any) -> Any:
        """Implements :func:`autobahn.wamp.interfaces.ITransportHandler.onMessage`: nobody can end this session by what they send
        through the router."""
        return super().onMessage(msg) if self._session_id is None or admissible(self, msg) else None

    def onLeave(self, details: CloseDetails) -> Any:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onLeave`: whatever waits for an answer is told at once."""
        if self.factory is not None and not self.factory.reconnect:
            self._settle(Failure(AuthenticationError(details.message or details.reason or "")))
        return super().onLeave(details)

    def _settle(self, outcome: BaseSession | Failure) -> None:
        joined, self._joined = self._joined, None
        if joined is not None and not joined.called:
            joined.callback(outcome) if isinstance(outcome, BaseSession) else joined.errback(outcome)

    def stop(self) -> None:
        """Close the link, and do not come back."""
        if self.factory is not None:
            self.factory.stop()
        if self.is_attached():
            self.leave()
        elif self.is_connected():
            self.disconnect()
        elif self.factory is not None and self.factory.connector is not None:
            # This session's own link is gone; the one that came after it is another session's.
            self.factory.connector.disconnect()

    def publish(self, topic: str, *args: Any, **kwargs: Any) -> Any:
        """Implements :func:`autobahn.wamp.interfaces.IPublisher.publish`, below this device's address space."""
        return self.stockPublish(self.prefix + topic, *args, **kwargs)

    def subscribe(self, handler: Callable[..., Any], topic: str | None = None, options: Any = None) -> Any:
        """Implements :func:`autobahn.wamp.interfaces.ISubscriber.subscribe`, below this device's address space."""
        return self.stockSubscribe(handler, self.prefix + topic if topic else None, options)

    def call(self, procedure: str, *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Implements :func:`autobahn.wamp.interfaces.ICaller.call`, below this device's address space; see :meth:`stockCall`."""
        return self.stockCall(self.prefix + procedure, *args, **kwargs)

    def register(self, endpoint: Callable[..., Any], procedure: str | None = None, options: Any = None) -> Any:
        """Implements :func:`autobahn.wamp.interfaces.ICallee.register`, below this device's address space."""
        return self.stockRegister(endpoint, self.prefix + procedure if procedure else None, options)

    def stockPublish(self, topic: str, *args: Any, **kwargs: Any) -> Any:
        """Publish to a whole URI. With ``options=PublishOptions(acknowledge=True)`` it fails with :class:`NotPermitted`."""
        return asked(super().publish, "publish", topic, topic, *args, **kwargs)

    def stockSubscribe(self, handler: Callable[..., Any], topic: str | None = None, options: Any = None) -> Any:
        """Subscribe to a whole URI. Fails with :class:`NotPermitted`, :class:`Unreachable`."""
        return asked(super().subscribe, "subscribe to", topic or "", handler, topic, options)

    def stockRegister(self, endpoint: Callable[..., Any], procedure: str | None = None, options: Any = None) -> Any:
        """Register a whole URI. Fails with :class:`NotPermitted`, :class:`Conflict`, :class:`Unreachable`."""
        return asked(super().register, "register", procedure or "", endpoint, procedure, options)

    def stockCall(self, procedure: str, *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Call a whole URI.

        ``options=CallOptions(timeout=…)`` is the deadline in seconds, :data:`DEADLINE` without it; when it passes, the callee is
        interrupted (WAMP, section "Call Canceling"). Fails with :class:`DeadlineExceeded`, :class:`NotFound` (nobody has
        registered it), :class:`NotPermitted`, :class:`Unreachable` (the link went away), :class:`InvalidInput` (the
        message is larger than the router takes), or what the callee raised.
        """
        options: CallOptions | None = kwargs.pop("options", None)
        deadline = self.deadline
        if options is not None and options.timeout:
            # Not sent: on the wire it would be milliseconds that no router honours.
            deadline, options = options.timeout, copy(options)
            options.timeout = None

        def expired(result: object, seconds: float) -> NoReturn:
            raise DeadlineExceeded(f"{procedure} gave no answer within {seconds:g} s")

        answer = asked(super().call, "call", procedure, procedure, *args, options=options, **kwargs)
        return answer.addTimeout(deadline, self._reactor or _global_reactor(), expired)

    def onUserError(self, fail: Failure, msg: str) -> None:
        """An error of our tree is an answer, not a defect; everything else is logged with its traceback."""
        if fail.check(ParadropException) is None:
            super().onUserError(fail, msg)


class BaseSessionFactory(ApplicationSessionFactory):
    """Makes a session for each link; *deferred* fires with the first one that joins."""

    session: type[ApplicationSession] = BaseSession

    def __init__(self, config: ComponentConfig, deferred: Deferred[BaseSession] | None = None) -> None:
        super().__init__(config)
        self.deferred = deferred
        self.client: Reconnecting | None = None

    def __call__(self) -> BaseSession:
        session = cast(BaseSession, self.session(self.config))
        session.factory = self.client
        session._joined = self.deferred
        return session

    def failed(self, reason: Failure) -> None:
        """The link could not be made, or is gone, and is not tried again."""
        if self.deferred is not None and not self.deferred.called:
            problem = Unreachable(f"no link: {reason.getErrorMessage()}")
            problem.__cause__ = reason.value  # whoever knows more about the transport can tell more from it
            self.deferred.errback(Failure(problem))


def _global_reactor() -> Any:
    from twisted.internet import reactor  # noqa: TID251 - the reference's signatures have no reactor to pass

    return reactor
