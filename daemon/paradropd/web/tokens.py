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

from paradrop.base.exceptions import AuthenticationError
from paradrop.base.seams import WallClock
from paradropd.permissions import Person, Role

LIFETIME = 12 * 3600.0
"""Seconds a token is good for."""
CODE_LIFETIME = 600.0
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
class _Kept:
    person: Person
    expires: float
    kind: CodeKind | None = None


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
        self._observers: list[Callable[[str], None]] = []

    def observe(self, revoked: Callable[[str], None]) -> None:
        """Have *revoked* called with a person's name whenever :meth:`revoke_person` takes away what that person has."""
        self._observers.append(revoked)

    def issue(self, person: Person) -> Issued:
        """A new token for *person*."""
        return self._keep(self._tokens, MOST_TOKENS, _Kept(person, self._wall() + self._lifetime))

    def person(self, token: str) -> Person:
        """Whose *token* it is. Raises :class:`AuthenticationError` when it is unknown, revoked or expired."""
        kept = self._tokens.get(_digest(token))
        if kept is None or kept.expires <= self._wall():
            raise AuthenticationError
        return kept.person

    def renew(self, token: str) -> Issued:
        """A new token in place of *token*, which ends :data:`GRACE` seconds from now. Raises :class:`AuthenticationError`."""
        person = self.person(token)
        kept = self._tokens[_digest(token)]
        self._tokens[_digest(token)] = replace(kept, expires=min(kept.expires, self._wall() + GRACE))
        return self.issue(person)

    def revoke(self, token: str) -> None:
        """End *token* now. Nothing to do when it is unknown."""
        self._tokens.pop(_digest(token), None)

    def revoke_person(self, name: str) -> None:
        """End every token and code of the person *name*, and tell the observers."""
        self._tokens = {digest: kept for digest, kept in self._tokens.items() if kept.person.name != name}
        self._codes = {digest: kept for digest, kept in self._codes.items() if kept.person.name != name}
        for observer in self._observers:
            observer(name)

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
