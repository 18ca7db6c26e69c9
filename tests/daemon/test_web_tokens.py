"""Tokens and one-time codes, with a clock that the test moves."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from paradrop.base.exceptions import AuthenticationError
from paradrop.permissions import Person, Role
from paradropd.permissions import ChutePeer
from paradropd.web.tokens import GRACE, LONGEST, MOST_CODES, MOST_TOKENS, CodeKind, Tokens

OWNER = Person("owner", Role.OWNER)
GUEST = Person("guest", Role.VIEWER)


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        numbers = count()
        self.tokens = Tokens(lambda: self.now, lifetime=100.0, secret=lambda: f"secret-{next(numbers)}")


@pytest.fixture
def world() -> World:
    return World()


def test_a_token_is_good_until_it_expires(world: World) -> None:
    issued = world.tokens.issue(OWNER)
    assert issued.expires == 1100.0
    world.now = 1099.9
    assert world.tokens.person(issued.token) == OWNER
    world.now = 1100.0
    with pytest.raises(AuthenticationError):
        world.tokens.person(issued.token)


@pytest.mark.parametrize("token", ["", "secret-1", "SECRET-0", "secret-0 ", "\ud800"])
def test_any_other_text_is_no_token(world: World, token: str) -> None:
    world.tokens.issue(OWNER)
    with pytest.raises(AuthenticationError):
        world.tokens.person(token)


def test_the_secret_itself_is_not_kept(world: World) -> None:
    tokens = [world.tokens.issue(OWNER).token, world.tokens.code(OWNER).token]
    assert not any(token in repr(vars(world.tokens)) for token in tokens)


def test_secrets_are_long_and_differ() -> None:
    tokens = Tokens(lambda: 0.0)
    secrets = {tokens.issue(OWNER).token for _ in range(100)}
    assert len(secrets) == 100
    assert min(map(len, secrets)) >= 43  # 32 bytes in base64


def test_renewing_gives_a_new_token_and_ends_the_old_one_soon(world: World) -> None:
    old = world.tokens.issue(OWNER)
    world.now += 10
    new = world.tokens.renew(old.token)
    assert new.expires == 1110.0
    assert world.tokens.person(old.token) == OWNER
    world.now += GRACE
    with pytest.raises(AuthenticationError):
        world.tokens.person(old.token)
    assert world.tokens.person(new.token) == OWNER


def test_renewing_never_lengthens_the_old_token(world: World) -> None:
    old = world.tokens.issue(OWNER)
    world.now = 1099.0
    world.tokens.renew(old.token)
    world.now = 1100.0
    with pytest.raises(AuthenticationError):
        world.tokens.renew(old.token)


def test_a_revoked_token_is_none(world: World) -> None:
    one, two = world.tokens.issue(OWNER), world.tokens.issue(OWNER)
    world.tokens.revoke(one.token)
    world.tokens.revoke("unknown")
    with pytest.raises(AuthenticationError):
        world.tokens.person(one.token)
    assert world.tokens.person(two.token) == OWNER


def test_revoking_a_person_takes_everything_and_tells_who(world: World) -> None:
    told: list[str] = []
    world.tokens.observe(told.append)
    token, code, other = world.tokens.issue(GUEST), world.tokens.code(GUEST), world.tokens.issue(OWNER)
    world.tokens.revoke_person("guest")
    assert told == ["guest"]
    with pytest.raises(AuthenticationError):
        world.tokens.person(token.token)
    with pytest.raises(AuthenticationError):
        world.tokens.redeem(code.token)
    assert world.tokens.person(other.token) == OWNER


def test_a_code_works_once(world: World) -> None:
    code = world.tokens.code(GUEST)
    assert world.tokens.redeem(code.token) == GUEST
    with pytest.raises(AuthenticationError):
        world.tokens.redeem(code.token)


def test_a_code_expires(world: World) -> None:
    code = world.tokens.code(GUEST, lifetime=600.0)
    assert code.expires == 1600.0
    world.now = 1600.0
    with pytest.raises(AuthenticationError):
        world.tokens.redeem(code.token)


def test_one_kind_of_code_is_not_taken_for_the_other(world: World) -> None:
    login, setup = world.tokens.code(GUEST), world.tokens.setup_code()
    with pytest.raises(AuthenticationError):
        world.tokens.redeem(login.token, CodeKind.SETUP)
    with pytest.raises(AuthenticationError):
        world.tokens.redeem(setup.token, CodeKind.LOGIN)
    assert world.tokens.redeem(setup.token, CodeKind.SETUP) == OWNER
    assert world.tokens.redeem(login.token) == GUEST


def test_a_code_is_no_token_and_a_token_no_code(world: World) -> None:
    with pytest.raises(AuthenticationError):
        world.tokens.person(world.tokens.code(OWNER).token)
    with pytest.raises(AuthenticationError):
        world.tokens.redeem(world.tokens.issue(OWNER).token)


def test_the_number_is_bounded_and_the_oldest_goes(world: World) -> None:
    first = world.tokens.issue(OWNER)
    world.now += 1
    rest = [world.tokens.issue(OWNER) for _ in range(MOST_TOKENS)]
    with pytest.raises(AuthenticationError):
        world.tokens.person(first.token)
    assert all(world.tokens.person(issued.token) for issued in rest)
    codes = [world.tokens.code(OWNER, lifetime=600.0 + number) for number in range(MOST_CODES + 1)]
    with pytest.raises(AuthenticationError):
        world.tokens.redeem(codes[0].token)
    assert world.tokens.redeem(codes[1].token) == OWNER


def test_a_login_is_good_for_as_long_as_it_has_a_token(world: World) -> None:
    token = world.tokens.issue(OWNER).token
    visitor = world.tokens.visitor(token)
    assert (visitor.name, visitor.role) == ("owner", Role.OWNER)
    world.now += 90
    token = world.tokens.renew(token).token
    world.now += 90  # the first token is gone
    assert world.tokens.good(visitor)
    assert world.tokens.visitor(token) == visitor
    world.now += 10
    assert not world.tokens.good(visitor)


def test_logging_out_ends_every_token_of_that_login_and_of_no_other(world: World) -> None:
    told: list[str] = []
    world.tokens.observe(told.append)
    old, other = world.tokens.issue(OWNER).token, world.tokens.issue(OWNER).token
    here, there = world.tokens.visitor(old), world.tokens.visitor(other)
    new = world.tokens.renew(old).token
    world.tokens.revoke(new)
    assert told == ["owner"]
    with pytest.raises(AuthenticationError):
        world.tokens.person(old)
    assert (world.tokens.good(here), world.tokens.good(there)) == (False, True)


def test_a_login_cannot_be_renewed_for_ever(world: World) -> None:
    token = world.tokens.issue(OWNER).token
    began = world.now
    while world.now + 99 < began + LONGEST:
        world.now += 99
        token = world.tokens.renew(token).token
    world.now = began + LONGEST
    with pytest.raises(AuthenticationError, match="log in again"):
        world.tokens.renew(token)
    assert world.tokens.person(token) == OWNER


def test_a_device_ends_the_sessions_of_a_login_that_has_ended(box: Any) -> None:
    ended: list[Any] = []
    here, there = (box.device._login("olga", box.device.tokens.issue(Person("olga", Role.OWNER)).token) for _ in range(2))
    chute = ChutePeer("olga")
    box.device.realm.end_sessions = lambda which: ended.extend(peer for peer in (here, there, chute, OWNER) if which(peer))
    token = box.device.tokens.issue(Person("olga", Role.OWNER)).token
    third = box.device._login("olga", token)
    assert box.device._logged_in(third)
    box.device.tokens.revoke(token)
    assert not box.device._logged_in(third)
    assert ended == []  # the others are still good
    box.device.tokens.revoke_person("olga")
    assert ended == [here, there]
