"""``/chutes/<name>/…``: the pages of chutes, through the device's own site.

A response is passed on piece by piece, as fast as the browser takes it and no faster; a browser that goes away ends the request
to the chute. A request's body is there as a whole before the chute is asked, because Twisted's server collects it first (in a
temporary file from 100 kB on); its size is limited by :mod:`paradropd.web.requests`. WebSockets are not passed on.
"""

# Twisted 26.10's web server is only partly annotated.
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, NoReturn

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure
from twisted.web.client import (
    FileBodyProducer,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IResponse
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from werkzeug.exceptions import BadGateway, ServiceUnavailable
from werkzeug.exceptions import NotImplemented as NotOffered

from paradrop.base.exceptions import DeadlineExceeded
from paradropd.web.errors import answer_to
from paradropd.web.forwarding import Origin, Target, came_back, page_headers, request_headers, response_headers, target
from paradropd.web.routes import client_address

AddressOf = Callable[[str], tuple[str, int] | None]
"""Where a chute's page is: IP address and port, or ``None`` while the chute does not run. Raises
:class:`~paradrop.base.exceptions.NotFound` (or a kind of it) when there is no such chute, or when it has no page."""

PATIENCE = 120.0
"""Seconds a chute has to begin its answer."""
UPSTREAM_FAILURES = (
    *(ConnectError, ConnectionClosed, DNSLookupError, OSError),
    *(RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed),
)


class ChutePages(Resource):
    """The reverse proxy.

    It is public: a manifest's ``web`` key publishes a page to whoever reaches the device, and to every site that is open in their
    browser. A chute that wants to know who asks must ask by itself, in a form of its own: it gets neither cookies nor
    ``Authorization``.
    """

    isLeaf = True

    def __init__(self, agent: IAgent, clock: IReactorTime, address_of: AddressOf, name: str) -> None:
        """*name*: what this proxy calls itself in ``Via``. Nobody else may have it: two devices may stand behind each other."""
        super().__init__()
        self._name = name
        self._agent = agent
        self._clock = clock
        self._address_of = address_of
        self._cooperator = Cooperator(scheduler=lambda step: clock.callLater(0, step))

    def render(self, request: Request) -> int:
        for name, value in page_headers().items():
            request.setHeader(name, value)
        for name in ("X-Content-Type-Options", "Referrer-Policy"):
            request.responseHeaders.removeHeader(name)  # the chute's to say
        gone = request.notifyFinish()
        running = ensureDeferred(self._serve(request))
        gone.addErrback(lambda _: running.cancel())
        running.addErrback(_give_up, request, gone)
        return NOT_DONE_YET

    async def _serve(self, request: Request) -> None:
        asked = target(request.uri)
        if not asked.path.startswith(b"/"):
            request.setResponseCode(307)
            request.setHeader(b"Location", asked.prefix + b"/" + asked.path)
            request.finish()
        elif b"websocket" in (request.getHeader(b"upgrade") or b"").lower():
            raise NotOffered("the device's site does not pass WebSockets on to chutes")
        elif request.method == b"OPTIONS" and request.requestHeaders.hasHeader(b"access-control-request-method"):
            _allow(request)
        else:
            await self._forward(request, asked)

    async def _forward(self, request: Request, asked: Target) -> None:
        if came_back(request.requestHeaders, self._name):
            raise BadGateway(f"the page of the chute {asked.chute} leads back to the device's own site")
        address = self._address_of(asked.chute)
        if address is None:
            raise ServiceUnavailable(f"the chute {asked.chute} is not running")
        authority = _authority(*address)
        origin = Origin(address=client_address(request), host=request.getHeader(b"host") or b"", secure=request.isSecure())
        headers = request_headers(request.requestHeaders, origin, asked.prefix, self._name)
        body = FileBodyProducer(request.content, self._cooperator)
        url = b"http://" + authority + asked.path
        try:
            answered = self._agent.request(request.method, url, headers, body if body.length else None)
            response = await answered.addTimeout(PATIENCE, self._clock, _too_slow)
        except UPSTREAM_FAILURES as problem:
            raise BadGateway(f"the chute {asked.chute} runs, and its page does not answer") from problem
        request.setResponseCode(response.code, response.phrase)
        for name, values in response_headers(response.headers, asked.prefix, authority).getAllRawHeaders():
            request.responseHeaders.setRawHeaders(name, values)
        if response.length is not UNKNOWN_LENGTH and request.method != b"HEAD" and response.code not in (204, 304):
            request.setHeader(b"Content-Length", b"%d" % response.length)
        await _relay(response, request)


class _Relay(Protocol):
    """Passes a response's body on. The request's transport pauses the chute's when the browser is slow."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.done: Deferred[None] = Deferred(self._stop)

    def connectionMade(self) -> None:
        self._request.registerProducer(self.transport, streaming=True)

    def dataReceived(self, data: bytes) -> None:
        self._request.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        self._request.unregisterProducer()
        # PotentialDataLoss: the end of the connection is the end of the body (RFC 9112, 6.3, point 8).
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(None)
        else:
            self.done.errback(reason)

    def _stop(self, _: object) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


async def _relay(response: IResponse, request: Request) -> None:
    request.write(b"")  # the head goes out at once: the body may be long in coming
    relay = _Relay(request)
    response.deliverBody(relay)
    try:
        await relay.done
    except UPSTREAM_FAILURES:
        _abort(request)
    else:
        request.finish()


def _abort(request: Request) -> None:
    """End the connection: half a response must not look like a whole one."""
    transport: Any = request.transport
    transport.abortConnection()


def _give_up(failure: Failure, request: Request, gone: Deferred[None]) -> None:
    """Tell the browser why there is no page, unless it is gone."""
    if gone.called:
        return
    if request.startedWriting:
        _abort(request)
        return
    answer = answer_to(failure)
    request.setResponseCode(answer.status)
    for name, value in (*answer.headers, ("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")):
        request.setHeader(name, value)
    request.write(f"{answer.message}\n".encode())
    request.finish()


def _allow(request: Request) -> None:
    """Answer a browser's question whether a page may send such a request (Fetch, "CORS-preflight request").

    A chute's own page counts as foreign, and the chute itself cannot know.
    """
    request.setResponseCode(204)
    request.setHeader(b"Access-Control-Allow-Methods", request.getHeader(b"access-control-request-method") or b"*")
    request.setHeader(b"Access-Control-Allow-Headers", b"*")
    request.finish()


def _authority(host: str, port: int) -> bytes:
    """As a client writes it into ``Host`` (RFC 9110, 7.2): without the port that is the scheme's own."""
    name = f"[{host}]" if ip_address(host).version == 6 else host
    return (name if port == 80 else f"{name}:{port}").encode()


def _too_slow(_: object, seconds: float) -> NoReturn:
    raise DeadlineExceeded(f"the chute's page did not answer in {seconds:.0f} seconds")
