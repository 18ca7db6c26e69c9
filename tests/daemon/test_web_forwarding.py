"""What a request and a response become on their way to and from a chute's page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some
from twisted.web.http_headers import Headers

from paradrop.base.exceptions import ChuteNotFound, InvalidInput
from paradropd.web.forwarding import SANDBOX, Origin, came_back, location, request_headers, response_headers, target

ORIGIN = Origin(address="192.0.2.7", host=b"router.test:8080", secure=False)
PREFIX = b"/chutes/hello"
AUTHORITY = b"172.18.0.2:8000"


def named(headers: Headers) -> dict[str, list[bytes]]:
    return {name.decode().lower(): list(values) for name, values in headers.getAllRawHeaders()}


@pytest.mark.parametrize(
    ("uri", "chute", "path"),
    [
        (b"/chutes/hello/", "hello", b"/"),
        (b"/chutes/hello/a/b?c=d&e", "hello", b"/a/b?c=d&e"),
        (b"/chutes/hello", "hello", b""),
        (b"/chutes/hello?c=/d/e/f", "hello", b"?c=/d/e/f"),
        (b"/chutes/hello//a//b", "hello", b"//a//b"),
        (b"/chutes/hello/%2e%2e/..%2f../a%20b;x", "hello", b"/%2e%2e/..%2f../a%20b;x"),
        (b"/chutes/hello/../../api/v1/me", "hello", b"/../../api/v1/me"),
        (b"/chutes/hello/chutes/other/", "hello", b"/chutes/other/"),
    ],
)
def test_the_path_goes_to_the_chute_as_it_is(uri: bytes, chute: str, path: bytes) -> None:
    asked = target(uri)
    assert (asked.chute, asked.path) == (chute, path)
    assert asked.prefix == b"/chutes/" + chute.encode()


@pytest.mark.parametrize(
    "uri",
    [
        *(b"", b"/", b"*", b"/chutes", b"/chutes/", b"/chutes//", b"/chutes/../x/", b"/chutes/A/", b"/chutes/%68ello/"),
        *(
            b"/chutes/hello%2fx/",
            b"/chutes/hello\\x/",
            b"/chutes/" + b"a" * 64 + b"/",
            b"http://x/chutes/hello/",
            b"chutes/hello/",
        ),
    ],
)
def test_what_names_no_chute_is_not_found(uri: bytes) -> None:
    with pytest.raises(ChuteNotFound):
        target(uri)


@pytest.mark.parametrize("uri", [b"/chutes/hello/\xff", b"/chutes/hello/a\tb", b"/chutes/hello/?\x7f"])
def test_bytes_that_no_url_has_are_refused(uri: bytes) -> None:
    with pytest.raises(InvalidInput):
        target(uri)


@given(some.binary(max_size=40).map(lambda tail: b"/chutes/hello" + tail))
def test_a_target_is_always_of_the_chute_it_names(uri: bytes) -> None:
    try:
        asked = target(uri)
    except (ChuteNotFound, InvalidInput):
        return
    assert asked.prefix + asked.path == uri


def test_the_chute_learns_who_asked_and_gets_no_credentials() -> None:
    given_headers = Headers()
    for name, value in (
        ("Host", "router.test:8080"),
        ("Authorization", "Bearer secret"),
        ("Cookie", "a=b"),
        ("Proxy-Authorization", "Basic x"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close, X-Private"),
        ("X-Private", "1"),
        ("Upgrade", "h2c"),
        ("TE", "trailers"),
        ("Expect", "100-continue"),
        ("Forwarded", "for=1.2.3.4"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-Whatever", "1"),
        ("X-Real-IP", "1.2.3.4"),
        ("Accept", "text/html"),
        ("Range", "bytes=0-5"),
    ):
        given_headers.addRawHeader(name, value)
    assert named(request_headers(given_headers, ORIGIN, PREFIX, "paradropd-1")) == {
        "accept": [b"text/html"],
        "range": [b"bytes=0-5"],
        "via": [b"1.1 paradropd-1"],
        "x-forwarded-for": [b"192.0.2.7"],
        "x-forwarded-host": [b"router.test:8080"],
        "x-forwarded-proto": [b"http"],
        "x-forwarded-prefix": [PREFIX],
    }


def test_a_secure_site_says_so() -> None:
    sent = request_headers(Headers(), Origin(address="::1", host=b"", secure=True), PREFIX, "paradropd-1")
    assert named(sent)["x-forwarded-proto"] == [b"https"]


@pytest.mark.parametrize(
    ("via", "back"),
    [
        ([], False),
        (["1.1 paradropd-2"], False),
        (["1.1 other (paradropd-1)"], False),
        (["1.1 paradropd-1"], True),
        (["1.0 other, 1.1 paradropd-1 (comment)"], True),
        (["1.0 other", "1.1 paradropd-1"], True),
        (["", ","], False),
    ],
)
def test_a_request_that_was_here_is_known_again(via: list[str], back: bool) -> None:
    given_headers = Headers()
    for value in via:
        given_headers.addRawHeader("Via", value)
    assert came_back(given_headers, "paradropd-1") is back


def test_a_page_is_sandboxed_whatever_the_chute_says() -> None:
    given_headers = Headers()
    for name, value in (
        ("Content-Security-Policy", "sandbox allow-same-origin allow-scripts"),
        ("Content-Security-Policy", "default-src *"),
        ("Content-Security-Policy-Report-Only", "default-src *; report-uri /api/v1/login"),
        ("Access-Control-Allow-Origin", "http://router.test:8080"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Set-Cookie", "a=b; Path=/"),
        ("Set-Cookie", "c=d"),
        ("Clear-Site-Data", '"*"'),
        ("WWW-Authenticate", "Basic"),
        ("Service-Worker-Allowed", "/"),
        ("Strict-Transport-Security", "max-age=1"),
        ("Alt-Svc", "h2=:1"),
        ("Connection", "X-Private"),
        ("X-Private", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Content-Type", "text/html"),
        ("ETag", '"1"'),
        ("Link", "<a>"),
        ("Link", "<b>"),
    ):
        given_headers.addRawHeader(name, value)
    assert named(response_headers(given_headers, PREFIX, AUTHORITY)) == {
        "content-security-policy": [SANDBOX.encode()],
        "access-control-allow-origin": [b"*"],
        "access-control-expose-headers": [b"*"],
        "content-type": [b"text/html"],
        "etag": [b'"1"'],
        "link": [b"<a>", b"<b>"],
    }


def test_the_sandbox_gives_the_page_an_origin_of_its_own() -> None:
    assert SANDBOX.split() == ["sandbox", "allow-scripts", "allow-forms", "allow-popups", "allow-downloads"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"/login", b"/chutes/hello/login"),
        (b"/", b"/chutes/hello/"),
        (b"/a?b=/c#d", b"/chutes/hello/a?b=/c#d"),
        (b"/chutes/hello", b"/chutes/hello"),
        (b"/chutes/hello/a", b"/chutes/hello/a"),
        (b"/chutes/hellox/a", b"/chutes/hello/chutes/hellox/a"),
        (b"http://172.18.0.2:8000/login?x=1", b"/chutes/hello/login?x=1"),
        (b"http://172.18.0.2:8000", b"/chutes/hello/"),
        (b"http://172.18.0.2:8001/login", b"http://172.18.0.2:8001/login"),
        (b"https://example.org/login", b"https://example.org/login"),
        (b"//example.org/login", b"//example.org/login"),
        (b"login", b"login"),
        (b"../login", b"../login"),
        (b"?page=2", b"?page=2"),
        (b"", b""),
        (b"http://[", b"http://["),
    ],
)
def test_a_redirect_stays_under_the_prefix(value: bytes, expected: bytes) -> None:
    assert location(value, PREFIX, AUTHORITY) == expected
    headers = Headers({b"Location": [value]})
    assert named(response_headers(headers, PREFIX, AUTHORITY))["location"] == [expected]
