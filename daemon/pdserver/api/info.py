"""``info`` and ``access.role``: what a user, and what a device, asks first."""

from __future__ import annotations

from paradrop import uris
from paradrop.base.seams import WallClock
from paradrop.permissions import Permission
from paradrop.procedure import procedure
from paradrop.values import ServerInfo
from pdserver.callers import Caller
from pdserver.presence import Presence
from pdserver.registry.directory import Directory


class InfoApi:
    def __init__(self, *, directory: Directory, presence: Presence, wall: WallClock, name: str, url: str, version: str) -> None:
        self._directory = directory
        self._presence = presence
        self._wall = wall
        self._name = name
        self._url = url
        self._version = version
        self._started = wall()

    @procedure(uris.SERVER_INFO, Permission.VIEW)
    async def info(self, caller: Caller) -> ServerInfo:
        """Devices and users are counted as far as the caller may see them."""
        devices = [device.pdid for device in self._directory.devices() if caller.role_on(device) is not None]
        return ServerInfo(
            name=self._name,
            version=self._version,
            started=self._started,
            now=self._wall(),
            url=self._url,
            devices=len(devices),
            online=sum(pdid in self._presence.online for pdid in devices),
            users=len(list(self._directory.users())) if caller.administrator else 1,
            you=caller.name,
            administrator=caller.administrator,
        )


class AccessApi:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    @procedure(uris.SERVER_ROLE, Permission.VIEW)
    async def role(self, caller: Caller, user: str) -> str | None:
        """For the calling device: *user* is whom the node says its caller is."""
        device, known = self._directory.device(caller.pdid), self._directory.user(user)
        role = known.peer.role_on(device.peer) if device is not None and known is not None else None
        return role.value if role is not None else None
