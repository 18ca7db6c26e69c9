"""The API, over the real site with no port: accounts, logins, errors, and a knock at every door."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent
from twisted.web.resource import Resource
from twisted.web.server import Site

from paradrop.base.seams import Threads, inline
from paradrop.permissions import Permission, Person, Role
from paradropd.web.accounts import Accounts
from paradropd.web.limiter import Limit, Limiter
from paradropd.web.login import Link
from paradropd.web.pages import STRICT_HEADERS
from paradropd.web.requests import MOST_BODY, MOST_UPLOAD
from paradropd.web.routes import Call, Routes
from paradropd.web.site import Device, DeviceSite, make_site
from paradropd.web.testing import Browser, Reply
from paradropd.web.tokens import Tokens

case = SynchronousTestCase()
PASSWORD = "correct horse"


class World:
    """A device's site, and what stands behind it."""

    def __init__(self, folder: Path, threads: Threads = inline) -> None:
        self.now = 1000.0
        self.clock = Clock()
        numbers = count()
        self.accounts = Accounts(folder / "accounts.yaml", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1), threads)
        self.tokens = Tokens(lambda: self.now, lifetime=100.0, secret=lambda: f"secret-{next(numbers)}")
        self.site: DeviceSite = make_site(
            clock=self.clock,
            static=folder / "static",
            device=Device(name="router", version="1.2.3"),
            accounts=self.accounts,
            tokens=self.tokens,
            limiter=Limiter(self.clock.seconds, Limit(3, 60.0), Limit(5, 60.0)),
            fabric=Resource(),
            agent=Agent(MemoryReactorClock()),
            address_of=lambda chute: None,
        )
        self.browser = Browser(self.site)

    def account(self, name: str = "owner", role: Role = Role.OWNER) -> Person:
        person: Person = case.successResultOf(Deferred.fromCoroutine(self.accounts.add(name, PASSWORD, role)))
        return person

    def login(self, name: str = "owner", password: str = PASSWORD, address: str = "192.0.2.7") -> Reply:
        return Browser(self.site, address=address).post("/api/v1/login", {"name": name, "password": password})

    def as_person(self, token: str) -> Browser:
        return Browser(self.site, token=token)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def error(reply: Reply) -> Any:
    assert reply.headers["content-type"] == "application/json"
    assert set(reply.json) == {"error"}
    assert set(reply.json["error"]) == {"code", "message", "retry"}
    return reply.json["error"]


# The table of routes.


def test_what_strangers_may_reach_is_this_and_nothing_else(world: World) -> None:
    public = {(route.method, route.path) for route in world.site.routes if route.permission is Permission.PUBLIC}
    assert public == {
        ("GET", "/"),
        ("GET", "/api/v1/state"),
        ("POST", "/api/v1/first"),
        ("POST", "/api/v1/login"),
        ("POST", "/api/v1/link"),
        ("*", "/ws"),
        ("*", "/chutes"),
    }


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer guess", "Basic b3duZXI6eA==", "secret-0", "Bearer a b"]
)
def test_a_stranger_gets_401_at_every_other_door(world: World, header: str | None) -> None:
    world.account()
    world.tokens.issue(Person("owner", Role.OWNER))
    guarded = [route for route in world.site.routes if route.permission is not Permission.PUBLIC]
    assert guarded
    for route in guarded:
        reply = world.browser.request(route.method, route.path, {} if header is None else {"Authorization": header})
        assert (reply.status, error(reply)["code"]) == (401, "authentication"), route
        assert reply.headers["www-authenticate"] == "Bearer"


def test_a_role_that_does_not_reach_gets_403() -> None:
    def identify(token: str) -> Person:
        return Person("guest", Role(token))

    routes = Routes(identify)

    @routes.route("GET", "/v1/secret", Permission.ADMINISTER)
    async def secret(call: Call) -> str:
        return f"{call.known.name} from {call.address}"

    root = Resource()
    routes.mount(root)
    site = Site(root, reactor=Clock(), parsePOSTFormSubmission=False)  # type: ignore[no-untyped-call]
    for role in (Role.VIEWER, Role.OPERATOR):
        reply = Browser(site, token=role).request("GET", "/api/v1/secret")
        assert (reply.status, error(reply)["code"]) == (403, "not_permitted")
    assert Browser(site, token=Role.OWNER).request("GET", "/api/v1/secret").json == "guest from 192.0.2.7"


def test_every_answer_of_the_api_carries_the_strict_headers(world: World) -> None:
    for path in ("/api/v1/state", "/api/v1/me", "/api/v1/nothing", "/api"):
        headers = world.browser.request("GET", path).headers
        assert {name: headers[name.lower()] for name in STRICT_HEADERS} == STRICT_HEADERS
        assert headers["cache-control"] == "no-store"
        assert "set-cookie" not in headers


# The first account.


def test_a_new_device_says_that_nobody_has_an_account(world: World) -> None:
    assert world.browser.request("GET", "/api/v1/state").json == {"name": "router", "version": "1.2.3", "first": True}
    world.account()
    assert world.browser.request("GET", "/api/v1/state").json["first"] is False


def test_the_first_account_takes_a_setup_code(world: World) -> None:
    code = world.tokens.setup_code().token
    reply = world.browser.post("/api/v1/first", {"code": code, "password": PASSWORD})
    assert reply.status == 200
    assert reply.json == {"token": "secret-1", "expires": 1100.0, "name": "owner", "role": "owner"}
    assert world.as_person(reply.json["token"]).request("GET", "/api/v1/me").json == {"name": "owner", "role": "owner"}
    assert world.login().status == 200


@pytest.mark.parametrize("code", ["", "guess", "secret-1"])
def test_without_a_setup_code_there_is_no_first_account(world: World, code: str) -> None:
    world.tokens.setup_code()
    world.tokens.code(Person("guest", Role.OWNER))  # secret-1 logs in, and sets nothing up
    reply = world.browser.post("/api/v1/first", {"code": code, "password": PASSWORD})
    assert (reply.status, error(reply)["code"]) == (401, "authentication")
    assert world.accounts.empty


def test_there_is_one_first_account(world: World) -> None:
    codes = [world.tokens.setup_code().token for _ in range(2)]
    assert world.browser.post("/api/v1/first", {"code": codes[0], "password": PASSWORD, "name": "one"}).status == 200
    reply = world.browser.post("/api/v1/first", {"code": codes[1], "password": PASSWORD, "name": "two"})
    assert (reply.status, error(reply)["code"]) == (409, "conflict")
    assert [person.name for person in world.accounts.list()] == ["one"]


def test_a_bad_first_password_does_not_use_the_code_up(world: World) -> None:
    code = world.tokens.setup_code().token
    reply = world.browser.post("/api/v1/first", {"code": code, "password": "short"})
    assert (reply.status, error(reply)["code"]) == (400, "invalid_input")
    assert world.browser.post("/api/v1/first", {"code": code, "password": PASSWORD}).status == 200


# Logins and tokens.


def test_a_login_gives_a_token_until_it_expires(world: World) -> None:
    world.account("guest", Role.VIEWER)
    reply = world.login("guest")
    assert reply.json == {"token": "secret-0", "expires": 1100.0, "name": "guest", "role": "viewer"}
    person = world.as_person("secret-0")
    assert person.request("GET", "/api/v1/me").json == {"name": "guest", "role": "viewer"}
    world.now = 1100.0
    assert person.request("GET", "/api/v1/me").status == 401


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(world: World) -> None:
    world.account()
    wrong, unknown = world.login(password="wrong horse"), world.login("nobody")
    assert (wrong.status, wrong.body) == (unknown.status, unknown.body)
    assert (wrong.status, error(wrong)) == (
        401,
        {"code": "invalid_credentials", "message": "Wrong name or password.", "retry": False},
    )


@pytest.mark.parametrize("address", ["192.0.2.7", "127.0.0.1"])
def test_guessing_is_slowed_down(world: World, address: str) -> None:
    world.account()
    for _ in range(3):
        assert world.login(password="wrong horse", address=address).status == 401
    reply = world.login(address=address)
    assert (reply.status, error(reply)["code"], error(reply)["retry"]) == (429, "too_many_attempts", True)
    assert reply.headers["retry-after"] == "60"
    assert world.login(address="192.0.2.99").status == 200
    world.clock.advance(60)
    assert world.login(address=address).status == 200


def test_429_is_called_by_its_name(world: World) -> None:
    asked = [world.browser.open("POST", "/api/v1/link", {"Content-Type": "application/json"}, b'{"code": "x"}') for _ in range(4)]
    assert asked[-1].raw.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")


@pytest.mark.parametrize("path", ["/api/v1/link", "/api/v1/first"])
def test_guessing_codes_is_slowed_down_too(world: World, path: str) -> None:
    body = {"code": "guess"} if path.endswith("link") else {"code": "guess", "password": PASSWORD}
    assert [world.browser.post(path, body).status for _ in range(4)] == [401, 401, 401, 429]


def test_a_link_logs_in_once(world: World) -> None:
    code = world.tokens.code(Person("alice", Role.OPERATOR)).token
    reply = world.browser.post("/api/v1/link", {"code": code})
    assert (reply.json["name"], reply.json["role"]) == ("alice", "operator")
    assert world.as_person(reply.json["token"]).request("GET", "/api/v1/me").status == 200
    assert world.browser.post("/api/v1/link", {"code": code}).status == 401


def test_renewing_and_logging_out(world: World) -> None:
    world.account()
    old = world.login().json["token"]
    world.now += 50
    renewed = world.as_person(old).request("POST", "/api/v1/renew").json
    assert renewed["expires"] == 1150.0
    world.now += 60
    assert world.as_person(old).request("GET", "/api/v1/me").status == 401
    person = world.as_person(renewed["token"])
    assert person.request("POST", "/api/v1/logout").json == {}
    assert person.request("GET", "/api/v1/me").status == 401


def test_a_browser_that_leaves_during_its_login_harms_nothing(tmp_path: Path) -> None:
    held: list[Deferred[Any]] = []

    def threads(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Deferred[Any]:
        held.append(Deferred())
        return held[-1]

    world = World(tmp_path, threads)
    body = json.dumps({"password": PASSWORD}).encode()
    exchange = world.browser.open("POST", "/api/v1/login", {"Content-Type": "application/json"}, body)
    exchange.leave()
    held[0].callback(True)
    assert exchange.raw == b""
    again = world.browser.open("POST", "/api/v1/login", {"Content-Type": "application/json"}, body)
    held[1].callback(False)
    assert again.reply.status == 401


# Bad requests.


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 10_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "required field missing @ $.code"),
        (b'{"code": 1}', "$.code"),
        (b'{"code": null}', "$.code"),
        (b'{"code": ["x"]}', "$.code"),
        (b'{"code": "x", "role": "owner"}', "extra fields found (role)"),
    ],
)
def test_a_bad_body_is_400_and_says_where(world: World, body: bytes, message: str) -> None:
    reply = world.browser.request("POST", "/api/v1/link", {"Content-Type": "application/json; charset=utf-8"}, body)
    assert (reply.status, error(reply)["code"]) == (400, "invalid_input")
    assert message in error(reply)["message"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_only_json_is_read(world: World, kind: str | None) -> None:
    """A form of another site can send these without asking; it must not be able to log in."""
    reply = world.browser.request("POST", "/api/v1/link", {"Content-Type": kind} if kind else {}, b'{"code": "x"}')
    assert (reply.status, error(reply)["code"]) == (415, "unsupported_media_type")


def test_a_large_body_is_413(world: World) -> None:
    for size, status in ((MOST_BODY, 401), (MOST_BODY + 1, 413)):
        body = json.dumps({"code": "x"}).encode().ljust(size)
        reply = world.browser.request("POST", "/api/v1/link", {"Content-Type": "application/json"}, body)
        assert reply.status == status
        assert error(reply)["message"]


MOST = [
    *(("/", MOST_BODY), ("/api/v1/link", MOST_BODY), ("/ws", MOST_BODY), ("/chutes", MOST_BODY), ("/x/chutes/", MOST_BODY)),
    ("/chutes/hello/", MOST_UPLOAD),
]


@pytest.mark.parametrize(("path", "most"), MOST)
def test_a_body_that_says_it_is_huge_is_refused_before_it_comes(world: World, path: str, most: int) -> None:
    taken = world.browser.open("POST", path, {"Content-Length": str(most)})
    assert taken.raw == b""
    taken.leave()
    exchange = world.browser.open("POST", path, {"Content-Length": str(most + 1)})
    assert exchange.reply.status == 413
    assert exchange.transport.disconnecting


@pytest.mark.parametrize(("path", "most"), MOST)
def test_a_body_that_becomes_huge_is_refused_on_the_way(world: World, path: str, most: int) -> None:
    exchange = world.browser.open("POST", path, {"Transfer-Encoding": "chunked"})
    piece = b"x" * (most // 16)
    for _ in range(16):
        exchange.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    assert exchange.raw == b""
    exchange.send(b"1\r\nx\r\n")
    assert exchange.reply.status == 413
    sent = exchange.raw
    exchange.send(b"1\r\nx\r\n0\r\n\r\n")
    assert exchange.raw == sent


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1", "/api/v1/nothing", "/api/v1//me", "/api/v2/me", "/api/../api/v1/x", "/api/v1/me/x"]
)
def test_an_unknown_route_is_404_in_json(world: World, path: str) -> None:
    for method in ("GET", "POST"):
        reply = world.browser.request(method, path)
        assert (reply.status, error(reply)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "host"), [("/api/%ff", "router.test"), ("/api/v1/%ff/x", "router.test"), ("/api/v1/me", "\xff")]
)
def test_an_address_that_is_not_text_is_400_in_json_and_not_logged(world: World, path: str, host: str) -> None:
    with capturedLogs() as events:
        reply = world.browser.request("GET", path, {"Host": host})
    assert (reply.status, error(reply)["code"]) == (400, "invalid_input")
    assert events == []


def test_a_wrong_method_is_405(world: World) -> None:
    reply = world.browser.request("GET", "/api/v1/login")
    assert (reply.status, error(reply)["code"]) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "POST"
    assert world.browser.request("OPTIONS", "/api/v1/login").status == 405


def test_no_other_origin_is_let_in(world: World) -> None:
    asked = {"Origin": "null", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for method in ("OPTIONS", "POST", "GET"):
        reply = world.browser.request(method, "/api/v1/login", asked)
        assert not any(name.startswith("access-control-") for name in reply.headers)


def test_an_unexpected_error_is_logged_and_not_told(world: World) -> None:
    class Broken(Exception):
        pass

    def broken(token: str) -> Person:
        raise Broken("the secret detail")

    routes = Routes(broken)

    @routes.route("GET", "/v1/broken", Permission.VIEW)
    async def never(call: Call) -> Link:
        raise AssertionError

    root = Resource()
    routes.mount(root)
    site = Site(root, reactor=Clock(), parsePOSTFormSubmission=False)  # type: ignore[no-untyped-call]
    with capturedLogs() as events:
        reply = Browser(site).request("GET", "/api/v1/broken")
    assert (reply.status, error(reply)["code"]) == (500, "internal")
    assert b"secret" not in reply.body
    assert [str(event["log_failure"].value) for event in events if "log_failure" in event] == ["the secret detail"]


def test_a_silent_connection_is_closed(world: World) -> None:
    exchange = world.browser.open("POST", "/api/v1/link", {"Content-Length": "10"})
    world.clock.advance(59)
    assert not exchange.transport.disconnecting
    world.clock.advance(2)
    assert exchange.transport.disconnecting


def test_a_started_site_leaves_nothing_pending(world: World) -> None:
    world.site.doStart()
    world.site.doStop()
    assert world.clock.getDelayedCalls() == []
