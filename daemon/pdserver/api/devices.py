"""``devices.*``: the fleet."""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable

from paradrop import uris
from paradrop.permissions import Permission
from paradrop.procedure import procedure
from paradrop.values import Device, Invitation
from pdserver.api.invitations import DEVICE_LIFETIME, Inviter
from pdserver.api.notices import Notices, shown
from pdserver.callers import Caller
from pdserver.presence import Presence
from pdserver.registry import Registry
from pdserver.registry.records import DeviceRecord, InvitationKind
from pdserver.revoking import Revoking
from pdserver.wanted import WantedBook


class DevicesApi:
    def __init__(
        self,
        *,
        registry: Registry,
        presence: Presence,
        wanted: WantedBook,
        notices: Notices,
        inviter: Inviter,
        revoking: Revoking,
        forget: Callable[[str], None],
        key_of: Callable[[int | None], Awaitable[str]],
    ) -> None:
        """*key_of*: the public key by which a session came in. *forget*: told each device that is none any more."""
        self._registry = registry
        self._presence = presence
        self._wanted = wanted
        self._notices = notices
        self._inviter = inviter
        self._revoking = revoking
        self._forget = forget
        self._key_of = key_of

    @procedure(uris.DEVICES_LIST, Permission.VIEW)
    async def list(self, caller: Caller) -> list[Device]:
        """Those that the caller may see, by pdid."""
        return [self._shown(caller, device) for device in self._registry.directory.devices() if caller.role_on(device)]

    @procedure(uris.DEVICES_GET, Permission.VIEW)
    async def get(self, caller: Caller, pdid: str) -> Device:
        return self._shown(caller, caller.device(self._registry.directory, pdid, Permission.VIEW))

    @procedure(uris.DEVICES_CREATE, Permission.ADMINISTER)
    async def create(self, caller: Caller, pdid: str, groups: builtins.list[str] | None = None) -> Device:
        device = await self._registry.create_device(pdid, groups or [])
        self._notices.device(pdid)
        return self._shown(caller, device)

    @procedure(uris.DEVICES_REMOVE, Permission.ADMINISTER)
    async def remove(self, caller: Caller, pdid: str) -> None:
        device = caller.device(self._registry.directory, pdid, Permission.ADMINISTER)
        viewers = self._notices.viewers(pdid)
        affected = await self._registry.remove_device(pdid)
        self._wanted.gone(pdid)
        self._forget(pdid)
        self._notices.removed(device, viewers)
        self._revoking.devices([pdid], f"{pdid} was removed", caller)
        self._revoking.affected(affected, f"{pdid} was removed", caller)
        await self._wanted.tidy()

    @procedure(uris.DEVICES_INVITE, Permission.ADMINISTER)
    async def invite(self, caller: Caller, pdid: str, lifetime: float = DEVICE_LIFETIME) -> Invitation:
        """A claim token. Until it is used, whoever has that place now keeps it."""
        caller.device(self._registry.directory, pdid, Permission.ADMINISTER)
        return await self._inviter.invite(InvitationKind.DEVICE, pdid, lifetime, caller)

    @procedure(uris.DEVICES_LEFT, Permission.VIEW)
    async def left(self, caller: Caller) -> None:
        """The calling device goes: its key is good for nothing any more."""
        # Its own one: meanwhile another device may have taken the place.
        await self._registry.forget_device_key(caller.pdid, await self._key_of(caller.session))
        self._notices.device(caller.pdid)
        self._revoking.devices([caller.pdid], f"{caller.pdid} has left", caller)

    def _shown(self, caller: Caller, device: DeviceRecord) -> Device:
        return shown(device, self._presence, self._wanted.waiting(device.pdid), caller.role_on(device))
