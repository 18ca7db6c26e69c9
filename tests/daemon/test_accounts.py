"""Accounts: passwords that verify, roles that stay, a file that survives."""

from __future__ import annotations

import errno
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from paradrop.base.exceptions import (
    Conflict,
    InvalidCredentials,
    InvalidInput,
    InvalidSettings,
    NotFound,
    StorageFull,
    TooManyAttempts,
)
from paradrop.base.seams import inline
from paradrop.permissions import Person, Role
from paradropd.web.accounts import MOST_WAITING, Accounts, owasp_hasher

case = SynchronousTestCase()
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def result(coroutine: Any) -> Any:
    return case.successResultOf(Deferred.fromCoroutine(coroutine))


def failure(coroutine: Any, kind: type[Exception]) -> Exception:
    problem = case.failureResultOf(Deferred.fromCoroutine(coroutine), kind).value
    assert isinstance(problem, kind)
    return problem


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "accounts.yaml"


@pytest.fixture
def accounts(path: Path) -> Accounts:
    return Accounts(path, CHEAP, inline)


class HeldThreads:
    """Threads whose work is done when the test says so; counts how much of it is under way."""

    def __init__(self) -> None:
        self.held: list[tuple[Deferred[Any], Callable[[], Any]]] = []

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        done: Deferred[Any] = Deferred()
        self.held.append((done, lambda: function(*args, **kwargs)))
        return done

    def release(self) -> None:
        done, work = self.held.pop(0)
        done.callback(work())


def test_the_cost_is_what_owasp_names() -> None:
    parameters = extract_parameters(owasp_hasher().hash("correct horse"))
    assert parameters.type.name == "ID"
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 2, 1)


def test_a_new_account_logs_in_after_a_restart_too(accounts: Accounts, path: Path) -> None:
    assert accounts.empty
    assert result(accounts.add("owner", "correct horse", Role.OWNER)) == Person("owner", Role.OWNER)
    assert not accounts.empty
    again = Accounts(path, CHEAP, inline)
    assert result(again.verify("owner", "correct horse")) == Person("owner", Role.OWNER)


def test_the_file_is_private_and_holds_no_password(accounts: Accounts, path: Path) -> None:
    result(accounts.add("owner", "correct horse", Role.OWNER))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "correct horse" not in path.read_text()
    assert [entry.name for entry in path.parent.iterdir()] == ["accounts.yaml"]


def test_wrong_password_and_unknown_name_are_told_the_same(accounts: Accounts) -> None:
    result(accounts.add("owner", "correct horse", Role.OWNER))
    wrong = failure(accounts.verify("owner", "wrong horse"), InvalidCredentials)
    unknown = failure(accounts.verify("nobody", "correct horse"), InvalidCredentials)
    assert str(wrong) == str(unknown) == "Wrong name or password."


def test_an_unknown_name_costs_a_hash_too(path: Path) -> None:
    threads = HeldThreads()
    accounts = Accounts(path, CHEAP, threads)
    waiting = Deferred.fromCoroutine(accounts.verify("nobody", "correct horse"))
    assert len(threads.held) == 1
    threads.release()
    case.failureResultOf(waiting, InvalidCredentials)


@pytest.mark.parametrize("name", ["", "Owner", "1st", "../../x", "a b", "a" * 33, "ö", "owner\n"])
def test_a_bad_name_is_refused(accounts: Accounts, name: str) -> None:
    assert str(failure(accounts.add(name, "correct horse", Role.VIEWER), InvalidInput)).startswith("name:")


@pytest.mark.parametrize("name", ["local", "paradropd", "router"])
def test_nobody_gets_a_name_that_the_device_uses_itself(accounts: Accounts, name: str) -> None:
    problem = failure(accounts.add(name, "correct horse", Role.OWNER), InvalidInput)
    assert str(problem) == f"name: the device uses {name!r} itself; choose another"
    assert accounts.empty


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025, "x" * 2**20, "broken \ud800 text"])
def test_a_bad_password_is_refused(accounts: Accounts, password: str) -> None:
    assert str(failure(accounts.add("owner", password, Role.OWNER), InvalidInput)).startswith("password:")
    failure(accounts.verify("owner", password), InvalidCredentials)
    assert accounts.empty


@pytest.mark.parametrize("password", ["12345678", "x" * 1024, "pässwörd", "🐴🐴🐴🐴🐴🐴🐴🐴"])
def test_a_good_password_is_taken(accounts: Accounts, password: str) -> None:
    result(accounts.add("owner", password, Role.OWNER))
    assert result(accounts.verify("owner", password)).name == "owner"


def test_the_same_letters_typed_on_another_system_are_the_same_password(accounts: Accounts) -> None:
    result(accounts.add("owner", "p\u00e4ssword", Role.OWNER))
    assert result(accounts.verify("owner", "pa\u0308ssword")).name == "owner"


def test_a_name_is_taken_once(accounts: Accounts) -> None:
    result(accounts.add("owner", "correct horse", Role.OWNER))
    failure(accounts.add("owner", "another horse", Role.VIEWER), Conflict)
    assert accounts.list() == (Person("owner", Role.OWNER),)


def test_only_one_account_is_the_first(path: Path) -> None:
    threads = HeldThreads()
    accounts = Accounts(path, CHEAP, threads)
    one = Deferred.fromCoroutine(accounts.add("one", "correct horse", Role.OWNER, first=True))
    two = Deferred.fromCoroutine(accounts.add("two", "correct horse", Role.OWNER, first=True))
    while threads.held:
        threads.release()
    assert case.successResultOf(one) == Person("one", Role.OWNER)
    case.failureResultOf(two, Conflict)
    assert accounts.list() == (Person("one", Role.OWNER),)


def test_the_last_owner_stays(accounts: Accounts) -> None:
    result(accounts.add("owner", "correct horse", Role.OWNER))
    result(accounts.add("guest", "correct horse", Role.VIEWER))
    failure(accounts.remove("owner"), Conflict)
    failure(accounts.remove("nobody"), NotFound)
    result(accounts.remove("guest"))
    failure(accounts.verify("guest", "correct horse"), InvalidCredentials)
    result(accounts.add("second", "correct horse", Role.OWNER))
    result(accounts.remove("owner"))
    assert accounts.list() == (Person("second", Role.OWNER),)


def test_an_account_removed_during_its_login_does_not_log_in(path: Path) -> None:
    threads = HeldThreads()
    accounts = Accounts(path, CHEAP, threads)
    for name in ("owner", "guest"):
        adding = Deferred.fromCoroutine(accounts.add(name, "correct horse", Role.OWNER))
        threads.release()
        threads.release()
        case.successResultOf(adding)
    removing = Deferred.fromCoroutine(accounts.remove("guest"))
    login = Deferred.fromCoroutine(accounts.verify("guest", "correct horse"))
    threads.release()
    case.successResultOf(removing)
    threads.release()
    case.failureResultOf(login, InvalidCredentials)


def test_one_hash_at_a_time_even_when_callers_go_away(path: Path) -> None:
    threads = HeldThreads()
    accounts = Accounts(path, CHEAP, threads)
    logins = [Deferred.fromCoroutine(accounts.verify("owner", "correct horse")) for _ in range(5)]
    for login in logins:
        login.cancel()
        login.addErrback(lambda _: None)
    assert len(threads.held) == 1
    for _ in range(5):
        assert len(threads.held) == 1
        threads.release()
    assert not threads.held


def test_only_so_many_wait(path: Path) -> None:
    threads = HeldThreads()
    accounts = Accounts(path, CHEAP, threads)
    waiting = [Deferred.fromCoroutine(accounts.verify("owner", "correct horse")) for _ in range(MOST_WAITING + 1)]
    failure(accounts.verify("owner", "correct horse"), TooManyAttempts)
    while threads.held:
        threads.release()
    for login in waiting:
        case.failureResultOf(login, InvalidCredentials)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "accounts: []",
        "accounts: {owner: null}",
        "accounts: {owner: {}}",
        "accounts: {owner: {hash: x, role: king}}",
        "!!python/object/apply:os.getcwd []",
        "\xff",
    ],
)
def test_a_damaged_file_is_not_taken_for_an_empty_one(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InvalidSettings, match="damaged"):
        Accounts(path, CHEAP, inline)


def test_a_hash_that_is_none_lets_nobody_in(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("accounts: {owner: {hash: plain text, role: owner}}")
    failure(Accounts(path, CHEAP, inline).verify("owner", "plain text"), InvalidCredentials)


@pytest.mark.parametrize("problem", [StorageFull(), OSError(errno.EIO, "no")])
def test_what_could_not_be_written_did_not_happen(path: Path, problem: Exception) -> None:
    async def failing(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if function == CHEAP.hash:
            return function(*args, **kwargs)
        raise problem

    result(Accounts(path, CHEAP, inline).add("owner", "correct horse", Role.OWNER))
    accounts = Accounts(path, CHEAP, failing)
    failure(accounts.add("guest", "correct horse", Role.VIEWER), type(problem))
    assert accounts.list() == (Person("owner", Role.OWNER),)
