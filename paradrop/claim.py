"""Taking the place that an invitation's token holds: a device becomes a server's, a person's key is enrolled."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallOptions, Challenge, CloseDetails, ComponentConfig
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from paradrop import uris
from paradrop.base._links import connect
from paradrop.base.cxbr import BaseSession, BaseSessionFactory
from paradrop.base.exceptions import (
    AuthenticationError,
    InvalidInput,
    InvitationRefused,
    ParadropException,
    PdServerException,
    Unreachable,
    tree,
)
from paradrop.tokens import Token
from paradrop.values import Welcome, read

PORT = 8443
"""Where a server listens, unless its URL says otherwise."""

PATIENCE = 20.0
"""Seconds for the connection, and again for the answer."""

REFUSALS = frozenset(
    {
        ApplicationError.AUTHENTICATION_FAILED,
        ApplicationError.NOT_AUTHORIZED,
        ApplicationError.NO_SUCH_PRINCIPAL,
        InvitationRefused.uri(),
        AuthenticationError.uri(),
    }
)
"""Reasons for not letting a guest in that mean the token; see :data:`paradrop.uplink.session.REFUSALS`."""


def normal(url: str) -> str:
    """The server at *url*, however it was written: ``https://host:port``. Raises :class:`InvalidInput`."""
    host, port, _ = _parts(url)
    return f"https://{host}:{port}"


def address(url: str, transport: str = "rawsocket") -> str:
    """Where to connect for the server at *url*: ``https://host[:port]``, ``wss://host[:port][/path]`` or ``host[:port]``.

    *transport* is ``rawsocket`` or ``websocket``; ``wss:`` means the latter anyway. Raises :class:`InvalidInput`.
    """
    host, port, path = _parts(url)
    if transport == "websocket" or url.strip().startswith("wss:"):
        return f"wss://{host}:{port}/{path or 'ws'}"
    return f"rss://{host}:{port}"


async def accept(
    reactor: Any, url: str, token: Token, public_key: str, label: str = "", *, kind: str = "device", transport: str = "rawsocket"
) -> Welcome:
    """Accept the invitation *token* of the server at *url* for *public_key* (hex), the key of a ``device`` or a ``user``.

    *label* is where the key lives, in words, for people who look at a list of keys. The same key may accept the same token again,
    and gets the same answer: an answer may be lost. Raises :class:`InvalidInput` for a bad URL, :class:`InvitationRefused`,
    :class:`Unreachable` (with the reason: no route, no TLS, the wrong certificate), or what else the server raises.
    """
    joined: Deferred[Any] = Deferred()
    sessions = _Sessions(ComponentConfig(realm=uris.DEVICE_REALM, extra={"reactor": reactor, "token": token}), joined)
    connect(reactor, address(url, transport), sessions, False, token.authority_pem)

    def late(result: object, seconds: float) -> None:
        raise Unreachable(f"the server at {url} did not let us in within {seconds:g} s")

    joined.addTimeout(PATIENCE, reactor, late)
    try:
        session = await joined
        answer = await session.stockCall(
            uris.SERVER_ACCEPT, public_key, label=label, kind=kind, options=CallOptions(timeout=PATIENCE)
        )
        return read(Welcome, answer)
    finally:
        client = sessions.client
        if client is not None:
            client.stop()
            if client.connector is not None:
                client.connector.disconnect()


class _Guest(BaseSession):
    """Comes in by a token."""

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        self._token: Token = config.extra["token"]

    def onConnect(self) -> None:
        self.join(self.config.realm, authmethods=["ticket"], authid=self._token.id)

    def onChallenge(self, challenge: Challenge) -> str:
        if challenge.method != "ticket":
            raise AuthenticationError("the server asks for something else than a token")
        return self._token.secret

    def onLeave(self, details: CloseDetails) -> Any:
        self._settle(Failure(_refusal(details)))
        return super().onLeave(details)


class _Sessions(BaseSessionFactory):
    session = _Guest

    def failed(self, reason: Failure) -> None:
        from paradrop.base.tls import explain  # only now: it needs OpenSSL

        if self.deferred is not None and not self.deferred.called:
            self.deferred.errback(Failure(Unreachable(explain(reason))))


def _parts(url: str) -> tuple[str, int, str]:
    """Host (with brackets around an IPv6 address), port and path."""
    wrong = f"{url!r} is not the URL of a server: https://host:port, wss://host:port/ws or host:port"
    text = url.strip()
    if not text.isprintable() or any(letter.isspace() for letter in text):
        raise InvalidInput(wrong)
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host, port = parts.hostname, parts.port or PORT
    except ValueError as problem:
        raise InvalidInput(f"{url!r} is not the URL of a server: {problem}") from None
    path = parts.path.strip("/")
    if parts.scheme not in ("https", "wss") or not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise InvalidInput(wrong)
    if path and parts.scheme == "https":
        raise InvalidInput(f"{url!r} is not the URL of a server: nothing comes after the port")
    return f"[{host}]" if ":" in host else host, port, path


def _refusal(details: CloseDetails) -> ParadropException:
    """Why the server did not let a guest in."""
    words = details.message or ""
    ours = {kind.uri(): kind for kind in tree(PdServerException)}
    if details.reason in (InvitationRefused.uri(), AuthenticationError.uri()):
        return ours[details.reason](words)
    if details.reason in REFUSALS:
        return InvitationRefused(words)
    return Unreachable(f"the server does not let anybody in now: {words or details.reason}")
