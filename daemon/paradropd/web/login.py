"""Routes before and around a login: what the device is, the first account, tokens."""

from __future__ import annotations

from dataclasses import dataclass

from paradrop.base.exceptions import Conflict
from paradrop.permissions import Permission, Person, Role
from paradropd.web.accounts import Accounts, check
from paradropd.web.limiter import Limiter
from paradropd.web.routes import Call, Routes
from paradropd.web.tokens import CodeKind, Issued, Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    code: str
    password: str
    name: str = "owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    password: str
    name: str = "owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    code: str


def declare(routes: Routes, accounts: Accounts, tokens: Tokens, limiter: Limiter, device: str, version: str) -> None:
    """Put the routes into *routes*. Every way in counts against *limiter*."""

    @routes.route("GET", "/v1/state", Permission.PUBLIC)
    async def state(call: Call) -> dict[str, object]:
        return {"name": device, "version": version, "first": accounts.empty}

    @routes.route("POST", "/v1/first", Permission.PUBLIC)
    async def first(call: Call) -> dict[str, object]:
        asked = call.body(First)
        check(asked.name, asked.password)  # before the code is used up
        if not accounts.empty:
            raise Conflict("this device has an account already; log in")
        with limiter.attempt(call.address):
            tokens.redeem(asked.code, CodeKind.SETUP)
        person = await accounts.add(asked.name, asked.password, Role.OWNER, first=True)
        return _answer(tokens.issue(person), person)

    @routes.route("POST", "/v1/login", Permission.PUBLIC)
    async def login(call: Call) -> dict[str, object]:
        asked = call.body(Login)
        with limiter.attempt(call.address, asked.name):
            person = await accounts.verify(asked.name, asked.password)
        return _answer(tokens.issue(person), person)

    @routes.route("POST", "/v1/link", Permission.PUBLIC)
    async def link(call: Call) -> dict[str, object]:
        asked = call.body(Link)
        with limiter.attempt(call.address):
            person = tokens.redeem(asked.code, CodeKind.LOGIN)
        return _answer(tokens.issue(person), person)

    @routes.route("POST", "/v1/renew", Permission.VIEW)
    async def renew(call: Call) -> dict[str, object]:
        return _answer(tokens.renew(call.token), call.known)

    @routes.route("POST", "/v1/logout", Permission.VIEW)
    async def logout(call: Call) -> dict[str, object]:
        tokens.revoke(call.token)
        return {}

    @routes.route("GET", "/v1/me", Permission.VIEW)
    async def me(call: Call) -> dict[str, object]:
        return {"name": call.known.name, "role": call.known.role}


def _answer(issued: Issued, person: Person) -> dict[str, object]:
    return {"token": issued.token, "expires": issued.expires, "name": person.name, "role": person.role}
