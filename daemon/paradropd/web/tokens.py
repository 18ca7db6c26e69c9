"""What a login gives: short-lived bearer tokens, and the one-time codes that are exchanged for one.

Both live in memory only, so that a restart of the daemon logs everybody out, and only their sha-256 is kept: whoever reads the
daemon's memory or a crash report finds nothing to log in with. They are 256 random bits, which nobody guesses (RFC 6750, 5.2).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from itertools import count

from paradrop.base.exceptions import AuthenticationError
from paradrop.base.seams import WallClock
from paradrop.permissions import Person, Role

LIFETIME = 12 * 3600.0
"""Seconds a token is good for."""
CODE_LIFETIME = 600.0
LONGEST = 7 * 24 * 3600.0
"""Seconds after a login in which its token can be renewed."""
GRACE = 60.0
"""Seconds an old token is still good for after it was renewed: for an answer lost on the way, and for other tabs."""
MOST_TOKENS = 1024
MOST_CODES = 64


class CodeKind(StrEnum):
    """What a one-time code is good for; one kind is never taken for the other."""

    LOGIN = "code"
    SETUP = "setup"
    """Sets the first password of the device."""


@dataclass(frozen=True, slots=True)
class Issued:
    token: str
    expires: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Visitor(Person):
    """A person who came in by a token."""

    login: int
    """Which of this run's logins it was: a renewed token belongs to the login of the first."""


@dataclass(frozen=True, slots=True)
class _Kept:
    person: Person
    expires: float
    kind: CodeKind | None = None
    login: int = 0
    began: float = 0.0
    """When the login was."""


class Tokens:
    """All tokens and codes of this device. When there are too many, those that would expire first make room."""

    def __init__(
        self, wall: WallClock, lifetime: float = LIFETIME, secret: Callable[[], str] = lambda: secrets.token_urlsafe(32)
    ) -> None:
        """*lifetime*: seconds. *secret*: a new unguessable text at each call."""
        self._wall = wall
        self._lifetime = lifetime
        self._secret = secret
        self._tokens: dict[bytes, _Kept] = {}
        self._codes: dict[bytes, _Kept] = {}
        self._logins = count(1)
        self._observers: list[Callable[[str], None]] = []

    def observe(self, revoked: Callable[[str], None]) -> None:
        """Have *revoked* called with a person's name whenever a token of theirs is revoked, or all that they have."""
        self._observers.append(revoked)

    def issue(self, person: Person) -> Issued:
        """A new token for *person*."""
        now = self._wall()
        return self._keep(self._tokens, MOST_TOKENS, _Kept(person, now + self._lifetime, login=next(self._logins), began=now))

    def person(self, token: str) -> Person:
        """Whose *token* it is. Raises :class:`AuthenticationError` when it is unknown, revoked or expired."""
        return self._known(token).person

    def visitor(self, token: str) -> Visitor:
        """As :meth:`person`, with the login that *token* belongs to."""
        kept = self._known(token)
        return Visitor(kept.person.name, kept.person.role, kept.login)

    def good(self, visitor: Visitor) -> bool:
        """Whether there is still a token of the login by which *visitor* came in."""
        now = self._wall()
        return any(kept.login == visitor.login and kept.expires > now for kept in self._tokens.values())

    def renew(self, token: str) -> Issued:
        """A new token in place of *token*, which ends :data:`GRACE` seconds from now. Raises :class:`AuthenticationError`."""
        kept, now = self._known(token), self._wall()
        if now >= kept.began + LONGEST:
            raise AuthenticationError("the login was too long ago to be renewed; log in again")
        self._tokens[_digest(token)] = replace(kept, expires=min(kept.expires, now + GRACE))
        return self._keep(self._tokens, MOST_TOKENS, replace(kept, expires=now + self._lifetime))

    def revoke(self, token: str) -> None:
        """End *token* now, with all others of its login, and tell the observers. Nothing to do when it is unknown."""
        ended = self._tokens.get(_digest(token))
        if ended is None:
            return
        self._tokens = {digest: kept for digest, kept in self._tokens.items() if kept.login != ended.login}
        self._tell(ended.person.name)

    def revoke_person(self, name: str) -> None:
        """End every token and code of the person *name*, and tell the observers."""
        self._tokens = {digest: kept for digest, kept in self._tokens.items() if kept.person.name != name}
        self._codes = {digest: kept for digest, kept in self._codes.items() if kept.person.name != name}
        self._tell(name)

    def code(self, person: Person, lifetime: float = CODE_LIFETIME) -> Issued:
        """A code that logs *person* in, once, within *lifetime* seconds."""
        return self._keep(self._codes, MOST_CODES, _Kept(person, self._wall() + lifetime, CodeKind.LOGIN))

    def setup_code(self, lifetime: float = CODE_LIFETIME) -> Issued:
        """A code that sets the first password, once. The caller makes sure that there is no account yet."""
        return self._keep(self._codes, MOST_CODES, _Kept(Person("owner", Role.OWNER), self._wall() + lifetime, CodeKind.SETUP))

    def redeem(self, code: str, kind: CodeKind = CodeKind.LOGIN) -> Person:
        """Whom *code* logs in; it does so only once. Raises :class:`AuthenticationError`."""
        kept = self._codes.get(_digest(code))
        if kept is None or kept.kind is not kind or kept.expires <= self._wall():
            raise AuthenticationError("that link has been used already, or is too old; ask for a new one")
        del self._codes[_digest(code)]
        return kept.person

    def _known(self, token: str) -> _Kept:
        kept = self._tokens.get(_digest(token))
        if kept is None or kept.expires <= self._wall():
            raise AuthenticationError
        return kept

    def _tell(self, name: str) -> None:
        for observer in self._observers:
            observer(name)

    def _keep(self, where: dict[bytes, _Kept], most: int, kept: _Kept) -> Issued:
        now = self._wall()
        for digest in [digest for digest, other in where.items() if other.expires <= now]:
            del where[digest]
        if len(where) >= most:
            del where[min(where, key=lambda digest: where[digest].expires)]
        secret = self._secret()
        where[_digest(secret)] = kept
        return Issued(secret, kept.expires)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
