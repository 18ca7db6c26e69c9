"""Calls and events that are somebody else's, passed on as they are.

Autobahn (26.10) hands arguments to Python functions, results to ``CallResult(**…)`` and errors to ``ApplicationError(**…)``: a
keyword argument of the name ``options``, ``callee`` or ``error`` is then taken for its own, and raises inside the session. What
only passes through is therefore taken from the messages, and put into messages, here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autobahn.exception import PayloadExceededError
from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError, SerializationError, TransportLost
from autobahn.wamp.request import Registration, Subscription
from autobahn.wamp.types import CallDetails, CallResult, CloseDetails, ComponentConfig, RegisterOptions, SubscribeOptions
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from paradrop.base.cxbr import BaseSession
from paradrop.base.exceptions import InteralException, InvalidInput, ParadropException, TooManyAttempts, Unreachable
from paradrop.routing.connections import unsent

log = Logger(namespace="paradrop.uplink")

MOST_CALLS = 2000
"""Calls in passing at a time, in one direction: beyond that somebody calls faster than anybody answers."""

OF_ONE_CALLER = 4
"""One caller may have this part of them under way: a quarter."""

MOST_UNSENT = 4 << 20
"""Bytes that may wait for the other side to read before it gets no more events and calls: what comes faster than a link takes
would otherwise stay in memory."""

Progress = Callable[..., None]
Heard = Callable[[message.Event, str], None]
"""Called with an event and its topic."""


def answer_of(args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> CallResult:
    """A result with whatever keywords; ``CallResult(**kwargs)`` takes some of them for its own."""
    answer = CallResult()
    answer.results = tuple(args or ())
    answer.kwresults = dict(kwargs) if kwargs else {}
    return answer


def spoken(problem: ParadropException) -> ApplicationError:
    """*problem* as it is on the wire: a session with ``translates = False`` knows no classes of ours."""
    return ApplicationError(problem.uri(), *problem.args)


def caller_of(session: int | None, authid: str | None, authrole: str | None) -> list[dict[str, Any]]:
    """``forward_for`` for whoever really calls or publishes (WAMP, "Router-to-router links"; the first entry is the origin)."""
    return [{"session": session or 0, "authid": authid, "authrole": authrole or ""}]


class _Raw:
    """Marks a registration or a subscription of a :class:`PassingSession`; never called."""

    def __init__(self, heard: Heard | None = None) -> None:
        self.heard = heard

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        raise InteralException


@dataclass(slots=True)
class _Passed:
    """A call that waits for its answer."""

    answer: Deferred[CallResult]
    progress: Progress | None


@dataclass(slots=True)
class _Serving:
    """A call that is being answered."""

    caller: int | None
    work: Deferred[None] | None = None
    answered: bool = False
    """Whether the caller has the end of it, though the work may still be on its way to its own."""

    def cancel(self) -> None:
        if self.work is not None:
            self.work.cancel()


class PassingSession(BaseSession):
    """A session between two others."""

    translates = False
    most_calls: int = MOST_CALLS

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._passed: dict[int, _Passed] = {}
        self._serving: dict[int, _Serving] = {}
        self._callers: Counter[int | None] = Counter()
        self._dropped = 0

    def serve(self, uri: str, args: Sequence[Any], kwargs: Mapping[str, Any], details: CallDetails) -> Awaitable[Any]:
        """Answer a call of what :meth:`offer` registered: a value, or a ``CallResult``. An error is passed on as it is."""
        raise ApplicationError(ApplicationError.NO_SUCH_PROCEDURE, f"no callee registered for procedure <{uri}>")

    def offer(self, prefix: str, *, force: bool = False) -> Deferred[Registration]:
        """Register everything below *prefix*, to be answered by :meth:`serve`; *force* ends whoever else has registered it."""
        options = RegisterOptions(match="prefix", force_reregister=force or None)
        answer: Deferred[Registration] = self.stockRegister(_Raw(), prefix, options)
        return answer

    def listen(self, match: str, uri: str, heard: Heard) -> Deferred[Subscription]:
        """Subscribe; *heard* gets the events as they are. Fails as ``stockSubscribe`` does."""
        answer: Deferred[Subscription] = self.stockSubscribe(_Raw(heard), uri, SubscribeOptions(match=match))
        return answer

    def pass_call(
        self,
        uri: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        forward_for: list[dict[str, Any]] | None = None,
        progress: Progress | None = None,
    ) -> Deferred[CallResult]:
        """Call *uri*, without a deadline: that is the caller's own, whose end arrives as a cancel.

        Cancelling the result interrupts the callee. Fails with the callee's or the router's error, untranslated, and with
        :class:`Unreachable` when there is no link or it goes away. Raises :class:`InvalidInput` for what cannot be sent,
        :class:`TooManyAttempts` while too much waits to be sent already.
        """
        if not self.is_attached():
            raise Unreachable("the link is down")
        if self._is_full():
            raise TooManyAttempts("the link is too slow for what is sent over it; wait")
        request = self._request_id_gen.next()

        def cancel(answer: object) -> None:
            if self._transport is not None:
                self._transport.send(message.Cancel(request))

        answer: Deferred[CallResult] = Deferred(cancel)
        self._passed[request] = _Passed(answer, progress)
        call = message.Call(
            request, uri, args=args, kwargs=kwargs or None, receive_progress=progress is not None or None, forward_for=forward_for
        )
        try:
            self._transport.send(call)
        except (SerializationError, PayloadExceededError, TransportLost) as problem:
            del self._passed[request]
            raise _unsendable(problem, uri) from problem
        return answer

    def pass_event(
        self,
        topic: str,
        event: message.Event,
        *,
        forward_for: list[dict[str, Any]] | None = None,
        eligible: list[str] | None = None,
    ) -> None:
        """Publish *event* as *topic*, for peers of the *eligible* roles only when there are any; lost when there is no link, or
        when too much waits to be sent already."""
        if not self.is_attached():
            return
        if self._is_full():
            self._dropped += 1
            if self._dropped == 1:
                log.warn("the link is too slow for what is published: events are dropped")
            return
        if self._dropped:
            log.warn("the link takes events again; {count} were dropped", count=self._dropped)
            self._dropped = 0
        published = message.Publish(
            self._request_id_gen.next(),
            topic,
            args=event.args,
            kwargs=event.kwargs,
            eligible_authrole=eligible,
            forward_for=forward_for,
        )
        try:
            self._transport.send(published)
        except (SerializationError, PayloadExceededError, TransportLost) as problem:
            log.warn("an event of {topic} was not passed on: {problem}", topic=topic, problem=problem)

    def onMessage(self, msg: Any) -> None:
        """Implements :func:`autobahn.wamp.interfaces.ITransportHandler.onMessage`: takes out what only passes through."""
        kind = type(msg)
        if kind is message.Result and msg.request in self._passed:
            self._answered(msg)
        elif kind is message.Error and msg.request_type == message.Call.MESSAGE_TYPE and msg.request in self._passed:
            answer = self._passed.pop(msg.request).answer
            if not answer.called:
                answer.errback(_error_of(msg))
        elif kind is message.Invocation and self._is_raw(msg.registration):
            self._invoked(msg)
        elif kind is message.Interrupt and msg.request in self._serving:
            self._serving[msg.request].cancel()
        elif kind is message.Event and (subscription := self._raw_subscription(msg.subscription)) is not None:
            subscription.handler.fn.heard(msg, msg.topic or subscription.topic)
        else:
            super().onMessage(msg)

    def onLeave(self, details: CloseDetails) -> Any:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onLeave`."""
        self.end_passing()
        return super().onLeave(details)

    def onDisconnect(self) -> Any:
        """Implements :func:`autobahn.wamp.interfaces.ISession.onDisconnect`."""
        self.end_passing()
        return super().onDisconnect()

    def onUserError(self, fail: Any, msg: str) -> None:
        """What passes through is nobody's defect here."""
        if fail.check(ApplicationError, CancelledError, TransportLost) is None:
            super().onUserError(fail, msg)

    def _is_raw(self, registration: int) -> bool:
        registered = self._registrations.get(registration)
        return registered is not None and isinstance(registered.endpoint.fn, _Raw)

    def _raw_subscription(self, subscription: int) -> Subscription | None:
        handlers = self._subscriptions.get(subscription)
        return handlers[0] if handlers and isinstance(handlers[0].handler.fn, _Raw) else None

    def _answered(self, msg: message.Result) -> None:
        passed = self._passed[msg.request]
        if not msg.progress:
            del self._passed[msg.request]
            if not passed.answer.called:
                passed.answer.callback(answer_of(msg.args, msg.kwargs))
        elif passed.progress is not None and not passed.answer.called:
            passed.progress(*(msg.args or ()), **(msg.kwargs or {}))

    def _invoked(self, msg: message.Invocation) -> None:
        registration = self._registrations[msg.registration]
        progress = None
        if msg.receive_progress:

            def progress(*args: Any, **kwargs: Any) -> None:
                self._progress(message.Yield(msg.request, args=args, kwargs=kwargs or None, progress=True))

        details = CallDetails(
            registration,
            progress=progress,
            caller=msg.caller,
            caller_authid=msg.caller_authid,
            caller_authrole=msg.caller_authrole,
            procedure=msg.procedure or registration.procedure,
        )
        if busy := self._is_busy(msg.caller):
            self._reply(_error(msg.request, spoken(TooManyAttempts(busy))))
            return
        self._serving[msg.request] = serving = _Serving(msg.caller)
        self._callers[msg.caller] += 1
        serving.work = Deferred.fromCoroutine(self._serve(msg, details, serving))
        if serving.answered:
            serving.cancel()

    def _is_busy(self, caller: int | None) -> str:
        """Why *caller* has to wait; nothing when it does not."""
        of_one = -(-self.most_calls // OF_ONE_CALLER)
        if len(self._serving) >= self.most_calls:
            return f"{self.most_calls} calls are under way on this link already; wait for an answer"
        if self._callers[caller] >= of_one:
            return f"{of_one} of your calls are under way on this link already; wait for an answer"
        return "the link is too slow for what is sent over it; wait" if self._is_full() else ""

    def _is_full(self) -> bool:
        return unsent(self._transport) > MOST_UNSENT

    async def _serve(self, msg: message.Invocation, details: CallDetails, serving: _Serving) -> None:
        reply: Any
        try:
            result = await self.serve(details.procedure, msg.args or (), msg.kwargs or {}, details)
        except ApplicationError as problem:
            reply = _error(msg.request, problem)
        except ParadropException as problem:
            reply = _error(msg.request, spoken(problem))
        except CancelledError:
            reply = _error(msg.request, ApplicationError(ApplicationError.CANCELED))
        except Exception:  # noqa: BLE001 - whatever it is, the caller gets an answer
            log.failure("{uri} failed in an unforeseen way", uri=details.procedure)
            reply = _error(msg.request, spoken(InteralException()))
        else:
            if isinstance(result, CallResult):
                reply = message.Yield(msg.request, args=result.results, kwargs=result.kwresults or None)
            else:
                reply = message.Yield(msg.request, args=[result])
        self._serving.pop(msg.request, None)
        self._callers[serving.caller] -= 1
        if self._callers[serving.caller] <= 0:
            del self._callers[serving.caller]
        if not serving.answered:
            self._reply(reply)

    def _progress(self, part: message.Yield) -> None:
        """Send a part of a result. One that cannot be sent ends the call: its caller has an error, its callee is cancelled."""
        serving = self._serving.get(part.request)
        if serving is None or serving.answered:
            return
        if self._is_full():
            self._reply(_error(part.request, spoken(TooManyAttempts("the link is too slow for the parts of this result"))))
        elif self._reply(part):
            return
        serving.answered = True
        serving.cancel()

    def _reply(self, reply: Any) -> bool:
        """Send *reply*, or the error that says why not; whether it was sent itself."""
        if self._transport is None:
            return False
        try:
            self._transport.send(reply)
            return True
        except TransportLost:
            pass
        except SerializationError as problem:
            words = f"the answer is nothing that can be sent: {problem}"
            self._transport.send(_error(reply.request, ApplicationError(ApplicationError.INVALID_PAYLOAD, words)))
        except PayloadExceededError:
            words = "the answer is larger than the link takes"
            self._transport.send(_error(reply.request, ApplicationError(ApplicationError.PAYLOAD_SIZE_EXCEEDED, words)))
        return False

    def end_passing(self) -> None:
        """Whoever waits for an answer by this link is told, and whatever works for somebody behind it is interrupted."""
        passed, self._passed = self._passed, {}
        for each in passed.values():
            if not each.answer.called:
                each.answer.errback(Unreachable("the link went down before the answer came"))
        for serving in list(self._serving.values()):
            serving.cancel()


def _error_of(msg: message.Error) -> ApplicationError:
    problem = ApplicationError(msg.error, *(msg.args or ()))
    problem.kwargs = msg.kwargs or {}
    return problem


def _error(request: int, problem: ApplicationError) -> message.Error:
    return message.Error(
        message.Invocation.MESSAGE_TYPE, request, problem.error, args=list(problem.args), kwargs=problem.kwargs or None
    )


def _unsendable(problem: Exception, uri: str) -> ParadropException:
    match problem:
        case PayloadExceededError():
            return InvalidInput(f"the arguments of {uri} are larger than the link takes")
        case TransportLost():
            return Unreachable("the link is down")
    return InvalidInput(f"the arguments of {uri} cannot be sent: {problem}")
