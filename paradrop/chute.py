"""The chute's side of the fabric.

::

    from paradrop import Chute

    chute = Chute()

    @chute.register("greet")
    def greet(name):
        return f"Hello, {name}!"

    chute.run()

Procedures and topics of a chute are named within its own space: on the device, ``greet`` of the chute ``hello`` is
``hello.greet``. What belongs to others is named whole, ``weather.today``, and must stand in the manifest's ``fabric.uses``.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from autobahn.wamp.types import CallOptions, RegisterOptions, SessionDetails, SubscribeOptions
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import blockingCallFromThread
from twisted.python import threadable
from twisted.python.failure import Failure

from paradrop import uris
from paradrop.base.cxbr import DEADLINE, BaseSession
from paradrop.base.exceptions import ParadropException, Unreachable
from paradrop.base.seams import Threads, in_thread

F = TypeVar("F", bound=Callable[..., Any])


class Session(Protocol):
    """What a chute needs of a WAMP session; :class:`~paradrop.base.cxbr.BaseSession` is one."""

    def stockRegister(self, endpoint: Callable[..., Any], procedure: str, options: Any = None) -> Any: ...
    def stockSubscribe(self, handler: Callable[..., Any], topic: str, options: Any = None) -> Any: ...
    def stockPublish(self, topic: str, *args: Any, **kwargs: Any) -> Any: ...
    def stockCall(self, procedure: str, *args: Any, **kwargs: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Procedure:
    uri: str
    function: Callable[..., Any]
    details: str | None


@dataclass(frozen=True, slots=True)
class _Subscription:
    uri: str
    match: str
    function: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Periodic:
    seconds: float
    function: Callable[..., Any]


class Chute:
    """One service's place on the fabric.

    Declare with the decorators, then :meth:`run`. Functions written with ``async def`` run on the reactor's thread; plain
    functions run in threads, several at a time, and may block. After a lost link the chute joins again and everything declared
    is there again.
    """

    def __init__(
        self, name: str | None = None, *, environ: Mapping[str, str] | None = None, threads: Threads = in_thread
    ) -> None:
        """*name*: the chute's name, by default the one the device gave it (``PARADROP_CHUTE_NAME``).
        *environ*: what there is instead of ``os.environ``."""
        environ = os.environ if environ is None else environ
        self.name: str = name or environ.get("PARADROP_CHUTE_NAME", "chute")
        self.version: str = environ.get("PARADROP_CHUTE_VERSION", "")
        self.data_dir = Path(environ.get("PARADROP_DATA_DIR", "."))
        """The chute's own folder: kept across updates and restarts."""
        self._address = environ.get("PARADROP_FABRIC", "")
        self._threads = threads
        self._blocking: Callable[[Callable[[], Any]], Any] = _blocking
        self._session: Session | None = None
        self._procedures: list[_Procedure] = []
        self._subscriptions: list[_Subscription] = []
        self._periodics: list[_Periodic] = []
        self._loops: list[LoopingCall] = []

    @property
    def joined(self) -> bool:
        """Whether there is a link to the fabric now."""
        return self._session is not None

    def register(self, name: str, *, details: str | None = None) -> Callable[[F], F]:
        """Offer the decorated function as the procedure *name* of this chute.

        *details*: the parameter that gets Autobahn's ``CallDetails`` (who called, and ``progress`` for results that come in
        pieces).
        """

        def declare(function: F) -> F:
            self._procedures.append(_Procedure(self._own(name), function, details))
            return function

        return declare

    def subscribe(self, topic: str, *, match: str = "exact") -> Callable[[F], F]:
        """Call the decorated function with each event of *topic*, ``<chute>.<name>``. *match*: ``exact`` or ``prefix``."""

        def declare(function: F) -> F:
            self._subscriptions.append(_Subscription(uris.resolve(topic), match, function))
            return function

        return declare

    def every(self, seconds: float) -> Callable[[F], F]:
        """Call the decorated function when the chute joins, and every *seconds* from then on while it is joined.

        A call that takes longer than *seconds* delays the next; one that raises is reported and does not end the series.
        """

        def declare(function: F) -> F:
            self._periodics.append(_Periodic(seconds, function))
            return function

        return declare

    def publish(self, topic: str, *args: Any, **kwargs: Any) -> bool:
        """Publish an event of this chute's own *topic*, from any thread.

        Returns whether there was a link to publish it on: an event without a link is dropped, as an event nobody listens to is.
        Raises :class:`~paradrop.base.exceptions.InvalidInput` when the arguments cannot be sent.
        """
        if threadable.isInIOThread() or not self._reactor_runs():
            return self._publish(topic, *args, **kwargs)
        return bool(self._blocking(partial(self._publish, topic, *args, **kwargs)))

    def _publish(self, topic: str, *args: Any, **kwargs: Any) -> bool:
        if self._session is None:
            return False
        problems: list[Failure] = []
        # Without acknowledgement there is nothing to wait for: a problem is there at once or never.
        maybeDeferred(self._session.stockPublish, self._own(topic), *args, **kwargs).addErrback(problems.append)
        if problems and not problems[0].check(Unreachable):
            problems[0].raiseException()
        return not problems

    async def call(self, name: str, *args: Any, deadline: float = DEADLINE, **kwargs: Any) -> Any:
        """Call the procedure *name*, ``<chute>.<procedure>``, and return its result.

        Raises :class:`~paradrop.base.exceptions.DeadlineExceeded` after *deadline* seconds, ``NotFound`` when nobody has
        registered it, ``NotPermitted`` when the manifest does not name it, ``Unreachable`` without a link, or what the other side
        raised.
        """
        if self._session is None:
            raise Unreachable("this chute has no link to the fabric now")
        return await self._session.stockCall(uris.resolve(name), *args, options=CallOptions(timeout=deadline), **kwargs)

    def call_and_wait(self, name: str, *args: Any, deadline: float = DEADLINE, **kwargs: Any) -> Any:
        """:meth:`call` for plain functions, which run in threads. Raises the same errors; ``RuntimeError`` on the reactor's
        thread, which must not block."""
        if self._session is None:
            raise Unreachable("this chute has no link to the fabric now")
        call = partial(self.call, name, *args, deadline=deadline, **kwargs)
        return self._blocking(lambda: Deferred.fromCoroutine(call()))

    def run(self) -> None:
        """Join the device's fabric and stay, until SIGTERM or SIGINT.

        Raises ``SystemExit`` when the environment has no ``PARADROP_FABRIC``: the device sets it.
        """
        if not self._address:
            raise SystemExit("PARADROP_FABRIC is not set: a chute is started by a device. For tests see paradrop.testing.")
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(line_buffering=True)  # a line printed is a line in the device's log
        reactor = self._reactor
        links: list[_ChuteSession] = []
        _ChuteSession.start(self._address, uris.LOCAL_PDID, extra={"chute": self, "links": links}, reactor=reactor)
        reactor.addSystemEventTrigger("before", "shutdown", lambda: _stop(links))
        reactor.run()

    async def attach(self, session: Session) -> None:
        """Put everything declared onto *session*, which has just joined. :meth:`run` and the fake fabric call this."""
        self._session = session
        for procedure in self._procedures:
            # Forced: after a broken link the router may not have noticed yet that the session before this one is gone.
            options = RegisterOptions(details_arg=procedure.details, force_reregister=True)
            await session.stockRegister(self._runnable(procedure.function), procedure.uri, options)
        for subscription in self._subscriptions:
            handler = self._reported(self._runnable(subscription.function))
            await session.stockSubscribe(handler, subscription.uri, SubscribeOptions(match=subscription.match))
        for periodic in self._periodics:
            loop = LoopingCall(self._reported(self._runnable(periodic.function)))
            loop.clock = getattr(session, "clock", None) or self._reactor
            self._loops.append(loop)
            loop.start(periodic.seconds)

    def detach(self) -> None:
        """The link is gone: nothing periodic runs until the next."""
        self._session = None
        for loop in self._loops:
            loop.stop()
        self._loops.clear()

    def _own(self, name: str) -> str:
        return uris.chute_space(self.name) + name

    def _runnable(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """*function* as something the reactor can call: itself when it is a coroutine function, else in a thread."""
        return function if inspect.iscoroutinefunction(function) else partial(self._threads, function)

    @staticmethod
    def _reported(function: Callable[..., Any]) -> Callable[..., Any]:
        """*function* whose errors go to stderr, and so into the chute's log, and no further."""

        async def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                await function(*args, **kwargs)
            except Exception:  # noqa: BLE001 - the author's code: whatever it raises is theirs to read
                traceback.print_exc()

        return lambda *args, **kwargs: Deferred.fromCoroutine(guarded(*args, **kwargs))

    @property
    def _reactor(self) -> Any:
        from twisted.internet import reactor  # noqa: TID251 - a chute's main module is an entry point

        return reactor

    def _reactor_runs(self) -> bool:
        return "twisted.internet.reactor" in sys.modules and bool(self._reactor.running)


def _blocking(function: Callable[[], Any]) -> Any:
    """What *function*, called on the reactor's thread, returns; a Deferred is waited for."""
    if threadable.isInIOThread():
        raise RuntimeError("call_and_wait blocks: on the reactor's thread use `await chute.call(…)`")
    from twisted.internet import reactor  # noqa: TID251 - a chute's main module is an entry point

    running: Any = reactor
    return blockingCallFromThread(running, function)


class _ChuteSession(BaseSession):
    """One link of a chute; the next link is another."""

    async def onJoin(self, details: SessionDetails) -> None:
        extra = self.config.extra
        extra["links"][:] = [self]
        try:
            await extra["chute"].attach(self)
        except ParadropException as problem:
            print(f"{extra['chute'].name}: {problem}", file=sys.stderr)
            self.disconnect()
            return
        super().onJoin(details)

    def onLeave(self, details: Any) -> Any:
        self.config.extra["chute"].detach()
        return super().onLeave(details)


def _stop(links: list[_ChuteSession]) -> None:
    for link in links:
        link.stop()
