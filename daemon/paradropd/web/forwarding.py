"""What a request and a response become on their way between a browser and a chute's page: pure functions over headers and paths.

A chute's page has the device's origin, and must not get what the dashboard keeps there. So every response carries a ``sandbox``
policy without ``allow-same-origin``: the browser gives the page an origin of its own that equals no other (HTML, "sandboxing"),
with no storage, no cookies and no access to the dashboard. To such a page its own files are foreign ones: that is why they allow
every origin (``Access-Control-Allow-Origin: *``). And nothing a chute answers may change what the browser does with the
rest of the origin: cookies, stored data, HTTP authentication and the like are taken out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from twisted.web.http_headers import Headers

from paradrop.base.exceptions import ChuteNotFound, InvalidInput
from paradrop.uris import NAME

SANDBOX = "sandbox allow-scripts allow-forms allow-popups allow-downloads"

_TARGET = re.compile(rb"[\x21-\x7e]*")

_HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
    *("transfer-encoding", "upgrade"),
}
"""RFC 9110, 7.6.1, and what RFC 2616 had there."""

_NOT_SENT = _HOP_BY_HOP | {
    *("authorization", "cookie"),  # the person's, not the chute's
    *("content-length", "expect", "host"),  # the client writes its own
    *("forwarded", "x-real-ip"),
}
_NOT_RETURNED = _HOP_BY_HOP | {
    *("set-cookie", "set-cookie2", "clear-site-data", "www-authenticate", "service-worker-allowed"),
    *("strict-transport-security", "public-key-pins", "expect-ct", "alt-svc"),
    *("nel", "report-to", "reporting-endpoints", "accept-ch", "critical-ch"),
    *("content-security-policy", "content-security-policy-report-only"),
}


@dataclass(frozen=True, slots=True)
class Target:
    chute: str
    path: bytes
    """What follows ``/chutes/<chute>``, untouched, with the query; empty when not even a ``/`` follows."""

    @property
    def prefix(self) -> bytes:
        return b"/chutes/" + self.chute.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """How the browser reached the device."""

    address: str
    host: bytes
    secure: bool


def target(uri: bytes) -> Target:
    """Which chute, and what of it, the request target *uri* (origin form, RFC 9112, 3.2.1) asks for.

    Raises :class:`ChuteNotFound`; :class:`InvalidInput` for bytes that no URI has. The path is neither decoded nor normalised: it
    is the chute's, and it never becomes a path of the device.
    """
    path, mark, query = uri.partition(b"?")
    _, chutes, name, *rest = [*path.split(b"/", 3), b"", b""]
    has_more = path.count(b"/") >= 3
    text = name.decode("latin-1")
    if chutes != b"chutes" or not NAME.fullmatch(text):
        raise ChuteNotFound
    if not _TARGET.fullmatch(uri):
        raise InvalidInput("the address has characters that a URL cannot have")
    return Target(text, (b"/" + rest[0] if has_more else b"") + mark + query)


def request_headers(given: Headers, origin: Origin, prefix: bytes, proxy: str) -> Headers:
    """What the chute is told. *proxy*: the name of this proxy, for ``Via`` (RFC 9110, 7.6.3)."""
    sent = Headers()
    left_out = _NOT_SENT | _named_by_connection(given)
    for name, values in given.getAllRawHeaders():
        if name.lower().decode("latin-1") not in left_out and not name.lower().startswith(b"x-forwarded-"):
            sent.setRawHeaders(name, values)
    sent.setRawHeaders(b"X-Forwarded-For", [origin.address.encode()])
    sent.setRawHeaders(b"X-Forwarded-Host", [origin.host])
    sent.setRawHeaders(b"X-Forwarded-Proto", [b"https" if origin.secure else b"http"])
    sent.setRawHeaders(b"X-Forwarded-Prefix", [prefix])
    sent.addRawHeader(b"Via", f"1.1 {proxy}".encode())
    return sent


def came_back(given: Headers, proxy: str) -> bool:
    """Whether a request has been through *proxy* already: what RFC 9110, 7.6.3 has ``Via`` for."""
    through = (hop.split() for value in given.getRawHeaders(b"via", []) for hop in value.split(b","))
    return any(hop[1:2] == [proxy.encode()] for hop in through)


def response_headers(given: Headers, prefix: bytes, authority: bytes) -> Headers:
    """What the browser is told. *authority*: the chute's ``host:port``, as the chute knows it."""
    sent = Headers()
    left_out = _NOT_RETURNED | _named_by_connection(given)
    for name, values in given.getAllRawHeaders():
        low = name.lower()
        if low == b"location":
            sent.setRawHeaders(name, [location(value, prefix, authority) for value in values])
        elif low.decode("latin-1") not in left_out and not low.startswith(b"access-control-"):
            sent.setRawHeaders(name, values)
    for header, text in page_headers().items():
        sent.setRawHeaders(header, [text])
    return sent


def page_headers() -> dict[str, str]:
    """What every answer under ``/chutes/`` carries, whoever made it."""
    return {
        "Content-Security-Policy": SANDBOX,
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "*",
    }


def location(value: bytes, prefix: bytes, authority: bytes) -> bytes:
    """A chute's redirect as the browser must see it: a path of the chute's gets *prefix* in front, any other address stays."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return value
    path = value
    if parts.scheme in (b"http", b"https") and parts.netloc == authority:
        path = parts._replace(scheme=b"", netloc=b"", path=parts.path or b"/").geturl()
    if not path.startswith(b"/") or path.startswith((b"//", prefix + b"/")) or path == prefix:
        return value
    return prefix + path


def _named_by_connection(headers: Headers) -> set[str]:
    values = headers.getRawHeaders(b"connection", [])
    return {word.strip().lower().decode("latin-1") for value in values for word in value.split(b",")}
