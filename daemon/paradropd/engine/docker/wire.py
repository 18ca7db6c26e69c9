"""Docker's streaming answers (events, output, builds, pulls, commands), on the reactor.

docker-py would keep a blocked thread for each of them. Here each is one file descriptor; what nobody has taken yet stays in the
socket, and Docker stops reading from the container: a chute that prints faster than its log is written is slowed down, and the
daemon's memory does not grow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import IO, Any, cast
from urllib.parse import urlencode, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from paradrop.base.exceptions import EngineUnavailable, InvalidSettings
from paradropd.engine.docker.errors import VENDOR_ERRORS, innermost, refusal, translate
from paradropd.engine.docker.frames import Lines

CONNECT = 10.0
"""Seconds to wait for a connection."""


class Stream(Protocol):
    """A body that is read while it comes.

    :ivar finished: fires with ``None`` at the end, whether Docker closed the stream or :meth:`close` did; fails with
        :class:`EngineUnavailable` when the connection broke in the middle.
    """

    def __init__(self, receive: Callable[[bytes], object]) -> None:
        self.finished: Deferred[None] = Deferred()
        self._receive = receive
        self._closing = False

    def dataReceived(self, data: bytes) -> None:
        self._receive(data)

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:  # noqa: B008 - Twisted's own default
        if self._closing or reason.check(ResponseDone, PotentialDataLoss):
            # An attached stream has no length: its end is the end of the connection, which Twisted calls a potential data loss.
            self.finished.callback(None)
        else:
            self.finished.errback(Failure(EngineUnavailable(f"the connection to Docker broke: {innermost(reason.value)}")))

    def pause(self) -> None:
        """Take nothing more until :meth:`resume`."""
        if self.transport is not None:
            cast(IPushProducer, self.transport).pauseProducing()

    def resume(self) -> None:
        if self.transport is not None:
            cast(IPushProducer, self.transport).resumeProducing()

    def close(self) -> None:
        """Stop reading. Nothing to do when it has ended."""
        self._closing = True
        if self.transport is not None:
            self.transport.loseConnection()


def messages(receive: Callable[[dict[str, Any]], object]) -> Callable[[bytes], None]:
    """A receiver of bytes for :meth:`Wire.stream` that calls *receive* with each JSON message."""
    lines = Lines()

    def take(data: bytes) -> None:
        for line in lines.feed(data):
            receive(json.loads(line))

    return take


@implementer(IAgentEndpointFactory)
class _Endpoint:
    """Leads every request to Docker's address, whatever host the URL names."""

    def __init__(self, reactor: Any, base_url: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme in ("unix", "http+unix") and parts.path:
            self._endpoint: Any = UNIXClientEndpoint(reactor, parts.path, timeout=CONNECT)
        elif parts.scheme in ("tcp", "http") and parts.hostname:
            self._endpoint = HostnameEndpoint(reactor, parts.hostname, parts.port or 2375, timeout=CONNECT)
        else:
            raise InvalidSettings(f"Docker's address {base_url!r} is neither unix:///path nor tcp://host:port")

    def endpointForURI(self, uri: object) -> Any:
        return self._endpoint


class Wire:
    """Requests to Docker whose answer is a stream.

    :param version: tells the API version to speak.
    """

    def __init__(self, reactor: IReactorTime, base_url: str) -> None:
        self._reactor = reactor
        self._agent = Agent.usingEndpointFactory(reactor, _Endpoint(reactor, base_url))
        self.version = ""

    async def stream(
        self,
        method: str,
        path: str,
        receive: Callable[[bytes], object],
        *,
        parameters: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | IO[bytes] | None = None,
    ) -> Stream:
        """Send a request and hand each piece of the answer to *receive* as it comes.

        *body* is sent as JSON, or is a tar file that is read to its end. Raises :class:`EngineUnavailable`, and what
        :func:`~paradropd.engine.docker.errors.refusal` makes of an error status.
        """
        target = f"http://docker{f'/v{self.version}' if self.version else ''}{path}?{urlencode(parameters or {})}"
        fields = Headers({name: [value] for name, value in (headers or {}).items()})
        try:
            response: IResponse = await self._agent.request(method.encode(), target.encode(), fields, self._body(body, fields))
            if response.code >= 400:
                raise refusal(response.code, await _explanation(response))
        except VENDOR_ERRORS as problem:
            raise translate(problem) from problem
        stream = Stream(receive)
        response.deliverBody(stream)
        return stream

    async def fetch(self, path: str) -> Any:
        """The JSON at *path*. Raises what :meth:`stream` raises."""
        parts: list[bytes] = []
        stream = await self.stream("GET", path, parts.append)
        await stream.finished
        return json.loads(b"".join(parts))

    def _body(self, body: Mapping[str, Any] | IO[bytes] | None, headers: Headers) -> IBodyProducer | None:
        if body is None:
            return None
        cooperator = Cooperator(scheduler=lambda step: self._reactor.callLater(0, step))
        if isinstance(body, Mapping):
            headers.setRawHeaders("Content-Type", ["application/json"])
            return FileBodyProducer(BytesIO(json.dumps(body).encode()), cooperator)
        headers.setRawHeaders("Content-Type", ["application/x-tar"])
        return FileBodyProducer(body, cooperator)


async def _explanation(response: IResponse) -> str:
    """The text of an error answer (Docker Engine API, ``ErrorResponse``)."""
    parts: list[bytes] = []
    stream = Stream(parts.append)
    response.deliverBody(stream)
    await stream.finished
    body = b"".join(parts)
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")
