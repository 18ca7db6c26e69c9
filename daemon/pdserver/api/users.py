"""``users.*``: people, and what is granted to them."""

from __future__ import annotations

import builtins

from paradrop import uris
from paradrop.base.exceptions import InvalidInput, NotPermitted
from paradrop.permissions import Permission, Role
from paradrop.procedure import procedure
from paradrop.values import Grant, Invitation, User
from pdserver.access import device_scope
from pdserver.api.invitations import LOGIN_LIFETIME, Inviter
from pdserver.callers import Caller
from pdserver.registry import Registry
from pdserver.registry.records import InvitationKind, UserRecord
from pdserver.revoking import Revoking

DEVICE_SCOPE = device_scope("")


class UsersApi:
    def __init__(self, *, registry: Registry, inviter: Inviter, revoking: Revoking) -> None:
        self._registry = registry
        self._inviter = inviter
        self._revoking = revoking

    @procedure(uris.USERS_LIST, Permission.VIEW)
    async def list(self, caller: Caller) -> list[User]:
        """All of them for administrators, and themselves for others."""
        users = self._registry.directory.users()
        return [_shown(user) for user in users if caller.administrator or user.name == caller.name]

    @procedure(uris.USERS_ADD, Permission.ADMINISTER)
    async def add(self, caller: Caller, name: str, lifetime: float = LOGIN_LIFETIME) -> Invitation:
        await self._registry.add_user(name)
        return await self._inviter.invite(InvitationKind.USER, name, lifetime, caller)

    @procedure(uris.USERS_INVITE, Permission.ADMINISTER)
    async def invite(self, caller: Caller, name: str, lifetime: float = LOGIN_LIFETIME) -> Invitation:
        """Everybody may have one for another key of their own."""
        _demand_oneself(caller, name)
        return await self._inviter.invite(InvitationKind.USER, name, lifetime, caller)

    @procedure(uris.USERS_REMOVE, Permission.ADMINISTER)
    async def remove(self, caller: Caller, name: str) -> None:
        await self._registry.remove_user(name)
        self._revoking.users([name], f"{name} was removed", caller)

    @procedure(uris.USERS_FORGET_KEY, Permission.ADMINISTER)
    async def forget_key(self, caller: Caller, name: str, public_key: str) -> None:
        """Everybody may for a key of their own."""
        _demand_oneself(caller, name)
        await self._registry.forget_user_key(name, public_key)
        self._revoking.users([name], "a key was removed", caller)

    @procedure(uris.USERS_GRANT, Permission.ADMINISTER)
    async def grant(self, caller: Caller, name: str, role: str, scope: str) -> None:
        self._demand_owner(caller, scope)
        if role not in builtins.list(Role):
            raise InvalidInput(f"a role is one of {', '.join(Role)}")
        if await self._registry.grant(name, scope, Role(role)):
            self._revoking.users([name], "what is granted to you has changed", caller)
        else:
            self._revoking.outdated()  # an answer may have been lost, with the sessions still to be ended

    @procedure(uris.USERS_REVOKE, Permission.ADMINISTER)
    async def revoke(self, caller: Caller, name: str, scope: str) -> None:
        self._demand_owner(caller, scope)
        await self._registry.revoke(name, scope)
        self._revoking.users([name], "what is granted to you has changed", caller)

    def _demand_owner(self, caller: Caller, scope: str) -> None:
        """Raises :class:`NotPermitted` unless the caller is an administrator, or owns the device that is the whole *scope*."""
        if caller.administrator:
            return
        if not scope.startswith(DEVICE_SCOPE):
            raise NotPermitted("only administrators grant that")
        caller.device(self._registry.directory, scope.removeprefix(DEVICE_SCOPE), Permission.ADMINISTER)


def _demand_oneself(caller: Caller, name: str) -> None:
    if not caller.administrator and name != caller.name:
        raise NotPermitted("only administrators may do that to others")


def _shown(user: UserRecord) -> User:
    grants = tuple(Grant(scope=scope, role=role.value) for scope, role in sorted(user.grants.items()))
    return User(name=user.name, created=user.created, keys=user.keys, grants=grants)
