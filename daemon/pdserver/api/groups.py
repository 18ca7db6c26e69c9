"""``groups.*``: devices that belong together."""

from __future__ import annotations

from paradrop import uris
from paradrop.permissions import Permission
from paradrop.procedure import procedure
from paradrop.values import Group
from pdserver.access import UserPeer, group_scope
from pdserver.api.notices import Notices
from pdserver.callers import Caller
from pdserver.registry import Registry
from pdserver.revoking import Revoking


class GroupsApi:
    def __init__(self, *, registry: Registry, notices: Notices, revoking: Revoking) -> None:
        self._registry = registry
        self._notices = notices
        self._revoking = revoking

    @procedure(uris.GROUPS_LIST, Permission.VIEW)
    async def list(self, caller: Caller) -> list[Group]:
        """All for administrators; for others those with a device that they may see, or on which something is granted to them."""
        directory, found = self._registry.directory, []
        granted = caller.peer.grants if isinstance(caller.peer, UserPeer) else {}
        for name, pdids in directory.groups().items():
            devices = filter(None, map(directory.device, sorted(pdids)))
            seen = tuple(device.pdid for device in devices if caller.role_on(device) is not None)
            if caller.administrator or seen or group_scope(name) in granted:
                found.append(Group(name=name, devices=seen))
        return found

    @procedure(uris.GROUPS_ADD, Permission.ADMINISTER)
    async def add(self, caller: Caller, name: str) -> None:
        await self._registry.add_group(name)

    @procedure(uris.GROUPS_REMOVE, Permission.ADMINISTER)
    async def remove(self, caller: Caller, name: str) -> None:
        affected = await self._registry.remove_group(name)
        self._revoking.affected(affected, f"the group {name} was removed", caller)
        for pdid in affected.devices:
            self._notices.device(pdid)

    @procedure(uris.GROUPS_JOIN, Permission.ADMINISTER)
    async def join(self, caller: Caller, group: str, pdid: str) -> None:
        if await self._registry.join_group(group, pdid):
            self._revoking.devices([pdid], "its groups have changed", caller)
            self._notices.device(pdid)
        else:
            self._revoking.outdated()  # an answer may have been lost, with the session still to be ended

    @procedure(uris.GROUPS_LEAVE, Permission.ADMINISTER)
    async def leave(self, caller: Caller, group: str, pdid: str) -> None:
        affected = await self._registry.leave_group(group, pdid)
        # The router asks at a subscription, and not again: whoever listened to it by the group must subscribe anew.
        self._revoking.affected(affected, f"{pdid} has left the group {group}", caller)
        self._notices.device(pdid)
