"""Who may log in: names, password hashes and roles, in one file.

Passwords are kept as argon2id hashes with the cost that OWASP's Password Storage Cheat Sheet names for it: 19 MiB, two passes,
one lane. One such hash is made at a time, because a router has little memory and few cores, and only a few callers may wait.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from twisted.internet.defer import Deferred, DeferredLock

from paradrop.base._files import write_atomically
from paradrop.base.exceptions import (
    Conflict,
    InvalidCredentials,
    InvalidInput,
    InvalidSettings,
    NotFound,
    TooManyAttempts,
)
from paradrop.base.seams import Threads
from paradrop.permissions import Person, Role
from paradrop.values import read

T = TypeVar("T")

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
RESERVED = frozenset({"local", "paradropd", "router"})
"""What the daemon calls itself and those who are on the device: an account of that name would look like one of them."""
PASSWORD_LENGTHS = range(8, 1025)
"""Characters; the upper end keeps a request from costing more than a hash should."""
MOST_WAITING = 16


def owasp_hasher() -> PasswordHasher:
    """argon2id at OWASP's cost. ``memory_cost`` is in KiB."""
    return PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


@dataclass(frozen=True, slots=True)
class Account:
    hash: str
    role: Role


@dataclass(frozen=True, slots=True)
class _File:
    accounts: dict[str, Account]


class Accounts:
    """The accounts of this device. The file is written before anything changes in memory."""

    def __init__(self, path: Path, hasher: PasswordHasher, threads: Threads) -> None:
        """Reads *path*, which need not exist. Raises :class:`InvalidSettings` when it is damaged: taking it for empty would let
        whoever comes next set the first password."""
        self._path = path
        self._hasher = hasher
        self._threads = threads
        self._lock = DeferredLock()
        self._accounts: Mapping[str, Account] = _load(path)

    @property
    def empty(self) -> bool:
        """Whether nobody can log in yet."""
        return not self._accounts

    def list(self) -> tuple[Person, ...]:
        """Everybody, by name."""
        return tuple(Person(name, account.role) for name, account in sorted(self._accounts.items()))

    async def verify(self, name: str, password: str) -> Person:
        """Who logs in with *name* and *password*.

        Raises :class:`InvalidCredentials` in the same words and after the same work for a wrong password and an unknown name;
        :class:`TooManyAttempts` when too many callers wait already.
        """
        try:
            secret = _normal(password)
        except InvalidInput:
            raise InvalidCredentials from None
        account = self._accounts.get(name)

        async def work() -> bool:
            return await self._threads(self._matches, account, secret)

        # The account may have been removed or replaced while its hash was computed.
        if await self._alone(work) and account is not None and self._accounts.get(name) is account:
            return Person(name, account.role)
        raise InvalidCredentials

    async def add(self, name: str, password: str, role: Role, *, first: bool = False) -> Person:
        """Add an account; with *first* only while there is none.

        Raises :class:`InvalidInput` as :func:`check` does, :class:`Conflict`, :class:`StorageFull`.
        """
        check(name, password)
        secret = _normal(password)

        async def work() -> None:
            if first and self._accounts:
                raise Conflict("this device has an account already; log in")
            if name in self._accounts:
                raise Conflict(f"there is an account {name!r} already")
            hashed = await self._threads(self._hasher.hash, secret)
            await self._save({**self._accounts, name: Account(hashed, role)})

        await self._alone(work)
        return Person(name, role)

    async def remove(self, name: str) -> None:
        """Remove an account. Raises :class:`NotFound`; :class:`Conflict` for the last owner; :class:`StorageFull`."""

        async def work() -> None:
            if name not in self._accounts:
                raise NotFound(f"there is no account {name!r}")
            rest = {other: account for other, account in self._accounts.items() if other != name}
            if not any(account.role is Role.OWNER for account in rest.values()):
                raise Conflict("the last owner cannot be removed")
            await self._save(rest)

        await self._alone(work)

    def _matches(self, account: Account | None, password: str) -> bool:
        if account is None:
            self._hasher.hash(password)  # an unknown name costs what a known one costs
            return False
        try:
            return self._hasher.verify(account.hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _save(self, accounts: Mapping[str, Account]) -> None:
        await self._threads(_store, self._path, accounts)
        self._accounts = accounts

    async def _alone(self, work: Callable[[], Coroutine[Deferred[object], object, T]]) -> T:
        if len(self._lock.waiting) >= MOST_WAITING:
            raise TooManyAttempts("too many people are logging in at this moment", wait=1.0)

        async def locked() -> T:
            async with self._lock:
                return await work()

        # A caller that goes away cancels what it awaits. A thread cannot be cancelled, so the lock must stay taken until the
        # thread is done: what the caller awaits is therefore not the work itself.
        result: Deferred[T] = Deferred()
        Deferred.fromCoroutine(locked()).chainDeferred(result)
        return await result


def check(name: str, password: str) -> None:
    """Raises :class:`InvalidInput` when no account can have that *name* or *password*."""
    if not NAME.fullmatch(name):
        raise InvalidInput("name: 1 to 32 lower-case letters, digits and dashes, starting with a letter")
    if name in RESERVED:
        raise InvalidInput(f"name: the device uses {name!r} itself; choose another")
    if len(_normal(password)) not in PASSWORD_LENGTHS:
        raise InvalidInput(f"password: {PASSWORD_LENGTHS.start} to {PASSWORD_LENGTHS.stop - 1} characters")


def _normal(password: str) -> str:
    """The same bytes for the same password typed on any system (RFC 8265, OpaqueString: NFC)."""
    if len(password) >= PASSWORD_LENGTHS.stop:
        raise InvalidInput("password: too long")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise InvalidInput("password: not valid Unicode") from None
    return unicodedata.normalize("NFC", password)


def _load(path: Path) -> Mapping[str, Account]:
    try:
        return read(_File, yaml.safe_load(path.read_text(encoding="utf-8"))).accounts
    except FileNotFoundError:
        return {}
    except (ValueError, yaml.YAMLError, InvalidInput) as problem:
        raise InvalidSettings(f"{path} is damaged: {problem}") from problem


def _store(path: Path, accounts: Mapping[str, Account]) -> None:
    data = {name: {"hash": account.hash, "role": account.role.value} for name, account in accounts.items()}
    write_atomically(path, yaml.safe_dump({"accounts": data}).encode(), mode=0o600)
