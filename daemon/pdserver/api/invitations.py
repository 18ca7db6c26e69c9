"""``invitations.accept``: how a device or a person takes the place that is kept for them."""

from __future__ import annotations

from collections.abc import Callable

from paradrop import uris
from paradrop.base.exceptions import InvalidInput
from paradrop.permissions import Permission
from paradrop.procedure import procedure
from paradrop.tokens import Token
from paradrop.values import Invitation, Welcome
from pdserver.callers import Caller
from pdserver.registry import Registry
from pdserver.registry.records import Accepted, InvitationKind, IssuedInvitation

SHORTEST, LONGEST = 1.0, 30 * 86_400.0
"""Seconds for which an invitation may be good."""
DEVICE_LIFETIME = 86_400.0
LOGIN_LIFETIME = 3_600.0


class Inviter:
    """Makes invitations, and tokens of them."""

    def __init__(self, registry: Registry, url: str, authority: bytes) -> None:
        """*authority*: see :class:`paradrop.tokens.Token`."""
        self._registry = registry
        self._url = url
        self._authority = authority

    async def invite(self, kind: InvitationKind, subject: str, lifetime: float, by: Caller) -> Invitation:
        """Raises :class:`InvalidInput`, and what the registry does."""
        if not SHORTEST <= lifetime <= LONGEST:
            raise InvalidInput(f"lifetime is from {SHORTEST:g} to {LONGEST:g} seconds")
        return self.shown(await self._registry.invite(kind, subject, lifetime, by.name))

    def shown(self, issued: IssuedInvitation) -> Invitation:
        token = str(Token(issued.id, issued.secret, self._authority))
        return Invitation(subject=issued.subject, token=token, expires=issued.expires, url=self._url)


class InvitationsApi:
    def __init__(self, registry: Registry, accepted: Callable[[Accepted], None], name: str, url: str) -> None:
        """*accepted*: told each place that was taken."""
        self._registry = registry
        self._accepted = accepted
        self._name = name
        self._url = url

    @procedure(uris.SERVER_ACCEPT, Permission.VIEW)
    async def accept(self, caller: Caller, public_key: str, label: str = "", kind: str = "") -> Welcome:
        """The same key gets the same answer again: the first may have been lost."""
        if kind and kind not in list(InvitationKind):
            raise InvalidInput(f"an invitation is for a {' or a '.join(InvitationKind)}")
        done = await self._registry.accept(caller.name, public_key, label, InvitationKind(kind) if kind else None)
        self._accepted(done)
        return Welcome(subject=done.subject, server=self._url, name=self._name)
