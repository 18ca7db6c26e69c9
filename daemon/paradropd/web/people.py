"""Who may use this device: what stands behind the procedures ``people.link``, ``list``, ``add`` and ``remove``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from paradrop.permissions import Person, Role
from paradropd.web.accounts import Accounts
from paradropd.web.tokens import CodeKind, Tokens


@dataclass(frozen=True, slots=True)
class LoginLink:
    """A URL that logs in once. The code is in the fragment, which a browser sends to nobody."""

    url: str
    expires: float
    """Seconds since the epoch."""


class People:
    def __init__(self, accounts: Accounts, tokens: Tokens, site: Callable[[], str]) -> None:
        """*site*: URL of the device's web site, with or without a ``/`` at the end."""
        self._accounts = accounts
        self._tokens = tokens
        self._site = site

    async def link(self, caller: Person) -> LoginLink:
        """A link that logs *caller* in, or, for an owner while there is no account, lets them set the first password."""
        if self._accounts.empty and caller.role is Role.OWNER:
            kind, issued = CodeKind.SETUP, self._tokens.setup_code()
        else:
            kind, issued = CodeKind.LOGIN, self._tokens.code(caller)
        return LoginLink(f"{self._site().rstrip('/')}/#{kind}={issued.token}", issued.expires)

    async def list(self) -> tuple[Person, ...]:
        """Everybody who has an account, by name."""
        return self._accounts.list()

    async def add(self, name: str, password: str, role: Role) -> Person:
        """Give somebody an account. Raises :class:`InvalidInput`, :class:`Conflict`, :class:`StorageFull`."""
        return await self._accounts.add(name, password, role)

    async def remove(self, name: str) -> None:
        """Take somebody's account, tokens and unused links away.

        Raises :class:`NotFound`, :class:`Conflict` for the last owner, :class:`StorageFull`.
        """
        await self._accounts.remove(name)
        self._tokens.revoke_person(name)
