"""The table of the web site's routes: each one names the permission it demands, or cannot be declared.

A request proves who sends it with the header ``Authorization: Bearer <token>`` and with nothing else. The site sets no cookie, so
a page of another site cannot act in a person's name (no cross-site request forgery), and a page that reaches the device under a
name of its own (DNS rebinding) has no token either: it may do what any stranger may. That is why the ``Host`` header is not
checked, and a device answers under every name and address it has.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from cattrs import transform_error
from cattrs.preconf.json import make_converter
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request
from werkzeug.exceptions import NotFound as NoSuchRoute
from werkzeug.exceptions import UnsupportedMediaType

from paradrop.base.exceptions import AuthenticationError, InvalidInput, NotPermitted
from paradrop.permissions import Permission, Person, grants
from paradropd.web.connections import host
from paradropd.web.errors import answer_to

T = TypeVar("T")

API = "/api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    method: str
    """``*``: what is mounted there decides."""
    path: str
    permission: Permission


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the API, let through."""

    request: Request
    person: Person | None
    """``None`` on a public route."""
    token: str
    """The token that proved it, or nothing."""

    @property
    def known(self) -> Person:
        """Who asks. Raises :class:`AuthenticationError` on a public route."""
        if self.person is None:
            raise AuthenticationError
        return self.person

    @property
    def address(self) -> str:
        """Where the request came from."""
        return client_address(self.request)

    def body(self, kind: type[T]) -> T:
        """The JSON body as a *kind*, a dataclass whose fields are all text. :mod:`paradropd.web.requests` limits its size.

        Raises werkzeug's ``UnsupportedMediaType``; :class:`InvalidInput` with each bad key's path.
        """
        content_type = (self.request.getHeader("content-type") or "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise UnsupportedMediaType("send JSON, with the header 'Content-Type: application/json'")
        assert self.request.content is not None
        try:
            data = json.loads(self.request.content.read())
        except (ValueError, RecursionError) as problem:
            raise InvalidInput(f"not JSON: {problem}") from problem
        if not isinstance(data, dict):
            raise InvalidInput("not a JSON object")
        try:
            return _converter.structure(data, kind)
        except Exception as problem:
            raise InvalidInput("; ".join(transform_error(problem))) from problem


Handler = Callable[[Call], Awaitable[Any]]


class Routes:
    """Everything the site answers. :attr:`table` is there to be read, by the test that knocks at every door."""

    def __init__(self, identify: Callable[[str], Person]) -> None:
        """*identify*: whose token it is; raises :class:`AuthenticationError`."""
        self._identify = identify
        self._app = Klein()
        # A path is taken as it stands: werkzeug would answer /v1//me and such with a redirect.
        self._app.url_map.merge_slashes = False
        self._app.url_map.strict_slashes = False
        self._app.handle_errors(_refuse)
        self.table: list[Route] = []

    def route(self, method: str, path: str, permission: Permission) -> Callable[[Handler], Handler]:
        """Declare the decorated handler for *method* and *path* (below :data:`API`); what it returns is sent as JSON."""

        def declare(handler: Handler) -> Handler:
            async def answer(request: Request) -> bytes:
                call = self._admit(request, permission)
                return _send(request, await handler(call))

            self.table.append(Route(method=method, path=API + path, permission=permission))
            self._app.route(path, methods=[method], endpoint=f"{method} {path}")(answer)
            return handler

        return declare

    def publish(self, root: IResource, segment: str, resource: IResource) -> None:
        """Mount *resource*, which decides by itself whom to serve, at ``/segment`` of *root*: public as far as the site goes."""
        self.table.append(Route(method="*", path=f"/{segment}", permission=Permission.PUBLIC))
        root.putChild(segment.encode(), resource)

    def mount(self, root: IResource) -> None:
        """Mount the API at its place below *root*."""
        root.putChild(API.strip("/").encode(), _Readable(self._app.resource()))

    def _admit(self, request: Request, permission: Permission) -> Call:
        if permission is Permission.PUBLIC:
            return Call(request, None, "")
        token = bearer(request)
        person = self._identify(token)
        if not grants(person.role, permission):
            raise NotPermitted(f"that takes more than the role {person.role}")
        return Call(request, person, token)


class _Readable(Resource):
    """Lets a request through to *inner* when its path and its host are UTF-8. Klein 24.8 logs a traceback for each other one."""

    isLeaf = True

    def __init__(self, inner: IResource) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inner = inner

    def render(self, request: Request) -> Any:
        try:
            for part in (*(request.postpath or ()), request.getRequestHostname()):
                part.decode()
        except UnicodeDecodeError:
            return _refuse(request, Failure(InvalidInput("the address is not valid UTF-8")))
        return self._inner.render(request)


def bearer(request: Request) -> str:
    """The token of the ``Authorization`` header (RFC 6750, 2.1), or nothing."""
    scheme, _, token = (request.getHeader("authorization") or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def client_address(request: Request) -> str:
    """The address the connection comes from; ``unix`` when it has none. ``X-Forwarded-For`` is not believed."""
    return host(request.getClientAddress())


def _send(request: Request, value: Any) -> bytes:
    request.setHeader("Content-Type", "application/json")
    request.setHeader("Cache-Control", "no-store")
    return json.dumps(value).encode()


def _refuse(request: Request, failure: Failure) -> bytes:
    if failure.check(NoSuchRoute):
        failure = Failure(NoSuchRoute("there is no such route"))
    answer = answer_to(failure)
    request.setResponseCode(answer.status)
    for name, value in answer.headers:
        request.setHeader(name, value)
    return _send(request, answer.plain())


def _text(value: Any, _: type) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


_converter = make_converter(forbid_extra_keys=True)
_converter.register_structure_hook(str, _text)
