"""The dashboard's files: what is sent, with which headers, and what never is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from paradropd.web.pages import STRICT_HEADERS, Dashboard
from paradropd.web.site import DeviceSite
from paradropd.web.testing import Browser, Reply


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    static = tmp_path / "assets"  # a name that must not be mistaken for the folder of hashed files
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<title>Paradrop</title>")
    (static / "icon.svg").write_text("<svg/>")
    (static / "unknown.kind").write_text("<script>")
    (static / "assets" / "index-4f2a.js").write_text("run()")
    return static


@pytest.fixture
def browser(folder: Path) -> Browser:
    return Browser(DeviceSite(Dashboard(str(folder)), clock=Clock()))


def strict(reply: Reply) -> None:
    assert {name: reply.headers[name.lower()] for name in STRICT_HEADERS} == STRICT_HEADERS
    assert "set-cookie" not in reply.headers


def test_the_policy_lets_nothing_foreign_in() -> None:
    policy = STRICT_HEADERS["Content-Security-Policy"].split("; ")
    assert "default-src 'self'" in policy
    assert "connect-src 'self' ws: wss:" in policy
    assert "frame-ancestors 'none'" in policy
    assert not any("unsafe" in rule or "*" in rule or "http" in rule for rule in policy)


@pytest.mark.parametrize("path", ["/", "/index.html", "/?x=1"])
def test_the_page_is_asked_for_again_each_time(browser: Browser, path: str) -> None:
    reply = browser.request("GET", path)
    assert (reply.status, reply.body) == (200, b"<title>Paradrop</title>")
    assert reply.headers["content-type"] == "text/html"
    assert reply.headers["cache-control"] == "no-cache"
    strict(reply)


def test_hashed_files_are_kept_for_ever(browser: Browser) -> None:
    reply = browser.request("GET", "/assets/index-4f2a.js")
    assert (reply.status, reply.body) == (200, b"run()")
    assert reply.headers["content-type"].endswith("/javascript")
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    strict(reply)


def test_other_files_are_not(browser: Browser) -> None:
    reply = browser.request("GET", "/icon.svg")
    assert (reply.headers["content-type"], reply.headers["cache-control"]) == ("image/svg+xml", "no-cache")


def test_what_is_of_no_known_kind_is_not_called_html(browser: Browser) -> None:
    assert browser.request("GET", "/unknown.kind").headers["content-type"] == "application/octet-stream"


def test_an_unchanged_file_is_not_sent_again(browser: Browser) -> None:
    seen = browser.request("GET", "/").headers["etag"]
    reply = browser.request("GET", "/", {"If-None-Match": seen})
    assert (reply.status, reply.body) == (304, b"")


def test_a_changed_file_is_sent_even_when_its_date_is_the_same(browser: Browser, folder: Path) -> None:
    old = browser.request("GET", "/").headers["etag"]
    page = folder / "index.html"
    dates = (page.stat().st_atime, page.stat().st_mtime)
    page.write_text("<title>Paradrop 2</title>")
    os.utime(page, dates)
    assert browser.request("GET", "/", {"If-None-Match": old}).body == b"<title>Paradrop 2</title>"


def test_head_sends_no_body(browser: Browser) -> None:
    reply = browser.request("HEAD", "/")
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "23")


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "/assets", "/assets/", "/assets/nothing", "/index.html/", "/index.html/x", "//"),
        *("/../secret", "/%2e%2e/secret", "/..%2fsecret", "/assets/../../secret", "/assets/%2e%2e/%2e%2e/secret"),
        *("/..\\secret", "/%00", "/~root", "/.", "/..", "/%ff"),
    ],
)
def test_nothing_else_is_there(browser: Browser, path: str) -> None:
    reply = browser.request("GET", path)
    assert reply.status == 404
    assert b"secret" not in reply.body
    strict(reply)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_files_are_only_read(browser: Browser, method: str) -> None:
    assert browser.request(method, "/index.html").status in (405, 501)


@pytest.mark.parametrize("there", [True, False])
def test_a_dashboard_that_is_not_built_says_how(browser: Browser, folder: Path, there: bool) -> None:
    (folder / "index.html").unlink()
    if not there:
        folder.rename(folder.with_name("elsewhere"))
    reply = browser.request("GET", "/")
    assert reply.status == 503
    assert b"make run" in reply.body
    strict(reply)
