"""People: links that log in, accounts that come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from paradrop.base.exceptions import AuthenticationError, Conflict, InvalidInput, NotFound
from paradrop.base.seams import inline
from paradrop.permissions import Person, Role
from paradropd.web.accounts import Accounts
from paradropd.web.people import People
from paradropd.web.tokens import CodeKind, Tokens

case = SynchronousTestCase()
ROOT = Person("root", Role.OWNER)
PASSWORD = "correct horse"


def result(coroutine: Any) -> Any:
    return case.successResultOf(Deferred.fromCoroutine(coroutine))


class World:
    def __init__(self, folder: Path) -> None:
        self.accounts = Accounts(folder / "accounts.yaml", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1), inline)
        self.tokens = Tokens(lambda: 1000.0)
        self.people = People(self.accounts, self.tokens, lambda: "http://192.0.2.1:8080/")

    def redeem(self, url: str, kind: CodeKind) -> Person:
        start = f"http://192.0.2.1:8080/#{kind}="
        assert url.startswith(start)
        return self.tokens.redeem(url.removeprefix(start), kind)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_without_an_account_an_owner_gets_a_setup_link(world: World) -> None:
    link = result(world.people.link(ROOT))
    assert link.expires == 1600.0
    assert world.redeem(link.url, CodeKind.SETUP) == Person("owner", Role.OWNER)


def test_with_an_account_a_link_logs_the_caller_in(world: World) -> None:
    result(world.people.add("owner", PASSWORD, Role.OWNER))
    for caller in (ROOT, Person("guest", Role.VIEWER)):
        assert world.redeem(result(world.people.link(caller)).url, CodeKind.LOGIN) == caller


def test_nobody_but_an_owner_sets_the_device_up(world: World) -> None:
    guest = Person("guest", Role.VIEWER)
    assert world.redeem(result(world.people.link(guest)).url, CodeKind.LOGIN) == guest


def test_people_are_listed_by_name(world: World) -> None:
    assert result(world.people.list()) == ()
    for name, role in (("zoe", Role.OWNER), ("bob", Role.VIEWER)):
        assert result(world.people.add(name, PASSWORD, role)) == Person(name, role)
    assert result(world.people.list()) == (Person("bob", Role.VIEWER), Person("zoe", Role.OWNER))


def test_who_is_removed_loses_tokens_and_links(world: World) -> None:
    revoked: list[str] = []
    world.tokens.observe(revoked.append)
    result(world.people.add("owner", PASSWORD, Role.OWNER))
    guest = result(world.people.add("guest", PASSWORD, Role.VIEWER))
    token, link = world.tokens.issue(guest).token, result(world.people.link(guest))
    result(world.people.remove("guest"))
    assert revoked == ["guest"]
    with pytest.raises(AuthenticationError):
        world.tokens.person(token)
    with pytest.raises(AuthenticationError):
        world.redeem(link.url, CodeKind.LOGIN)


def test_what_cannot_be_done_changes_nothing(world: World) -> None:
    owner = result(world.people.add("owner", PASSWORD, Role.OWNER))
    token = world.tokens.issue(owner).token
    for coroutine, kind in (
        (world.people.add("owner", PASSWORD, Role.VIEWER), Conflict),
        (world.people.add("guest", "short", Role.VIEWER), InvalidInput),
        (world.people.remove("owner"), Conflict),
        (world.people.remove("nobody"), NotFound),
    ):
        case.failureResultOf(Deferred.fromCoroutine(coroutine), kind)
    assert result(world.people.list()) == (owner,)
    assert world.tokens.person(token) == owner
