"""What a server offers, as methods with values: the only place of the command line that knows its procedures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from paradrop import uris
from paradrop.base.exceptions import ModelNotFound
from paradrop.values import AuditEntry, Device, Group, Invitation, ServerInfo, User, Wanted, read
from pdtools.fabric import Fabric

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Server:
    """One server, over a joined session. Every method raises what :meth:`pdtools.fabric.Fabric.call` does."""

    fabric: Fabric

    async def _ask(self, kind: type[T], uri: str, *args: Any, **keywords: Any) -> T:
        return read(kind, await self.fabric.call(uri, *args, keywords=keywords))

    async def info(self) -> ServerInfo:
        return await self._ask(ServerInfo, uris.SERVER_INFO)

    async def devices(self) -> list[Device]:
        return await self._ask(list[Device], uris.DEVICES_LIST)

    async def create_device(self, pdid: str, groups: list[str]) -> Device:
        return await self._ask(Device, uris.DEVICES_CREATE, pdid, groups=groups)

    async def remove_device(self, pdid: str) -> None:
        await self.fabric.call(uris.DEVICES_REMOVE, pdid)

    async def invite_device(self, pdid: str, lifetime: float) -> Invitation:
        """A claim token, good for *lifetime* seconds."""
        return await self._ask(Invitation, uris.DEVICES_INVITE, pdid, lifetime=lifetime)

    async def users(self) -> list[User]:
        return await self._ask(list[User], uris.USERS_LIST)

    async def user(self, name: str) -> User:
        """Raises :class:`ModelNotFound`."""
        for user in await self.users():
            if user.name == name:
                return user
        raise ModelNotFound(f"There is no user {name!r}.")

    async def add_user(self, name: str, lifetime: float) -> Invitation:
        """A new user, with a first login code."""
        return await self._ask(Invitation, uris.USERS_ADD, name, lifetime=lifetime)

    async def invite_user(self, name: str, lifetime: float) -> Invitation:
        """One more login code."""
        return await self._ask(Invitation, uris.USERS_INVITE, name, lifetime=lifetime)

    async def remove_user(self, name: str) -> None:
        await self.fabric.call(uris.USERS_REMOVE, name)

    async def forget_key(self, name: str, public_key: str) -> None:
        await self.fabric.call(uris.USERS_FORGET_KEY, name, public_key)

    async def grant(self, name: str, role: str, scope: str) -> None:
        await self.fabric.call(uris.USERS_GRANT, name, role, scope)

    async def revoke(self, name: str, scope: str) -> None:
        await self.fabric.call(uris.USERS_REVOKE, name, scope)

    async def groups(self) -> list[Group]:
        return await self._ask(list[Group], uris.GROUPS_LIST)

    async def add_group(self, name: str) -> None:
        await self.fabric.call(uris.GROUPS_ADD, name)

    async def remove_group(self, name: str) -> None:
        await self.fabric.call(uris.GROUPS_REMOVE, name)

    async def join_group(self, group: str, pdid: str) -> None:
        await self.fabric.call(uris.GROUPS_JOIN, group, pdid)

    async def leave_group(self, group: str, pdid: str) -> None:
        await self.fabric.call(uris.GROUPS_LEAVE, group, pdid)

    async def wanted(self, pdid: str) -> list[Wanted]:
        return await self._ask(list[Wanted], uris.WANTED_LIST, pdid)

    async def forget_wanted(self, pdid: str, chute: str) -> None:
        await self.fabric.call(uris.WANTED_FORGET, pdid, chute)

    async def audit(self, after: int, limit: int) -> list[AuditEntry]:
        """Entries numbered above *after*, the oldest first; negative, it counts from the end."""
        return await self._ask(list[AuditEntry], uris.AUDIT_READ, after=after, limit=limit)
