"""What the server tells its users without being asked: each only of the devices they may see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from paradrop import uris
from paradrop.permissions import Role
from paradrop.values import Device, Wanted, plain
from pdserver.access import EVERYTHING, DevicePeer, device_scope, group_scope
from pdserver.link import Link
from pdserver.presence import Presence
from pdserver.registry.directory import Directory
from pdserver.registry.records import DeviceRecord, UserRecord
from pdserver.wanted import WantedBook

TOGETHER = 0.2
"""Seconds for which changes of a device are gathered into one event."""


def viewers(users: Iterable[UserRecord]) -> Callable[[DevicePeer], list[str]]:
    """Who may see a device, as a function that is quick for many devices."""
    by_scope: dict[str, set[str]] = defaultdict(set)
    for user in users:
        for scope in user.grants:
            by_scope[scope].add(user.name)

    def of(device: DevicePeer) -> list[str]:
        scopes = (EVERYTHING, device_scope(device.pdid), *map(group_scope, device.groups))
        return sorted(set().union(*(by_scope.get(scope, ()) for scope in scopes)))

    return of


def shown(device: DeviceRecord, presence: Presence, waiting: int, role: Role | None = None) -> Device:
    """A device for somebody with *role* on it."""
    return Device(
        pdid=device.pdid,
        online=device.pdid in presence.online,
        claimed=device.public_key is not None,
        seen=presence.seen(device),
        created=device.created,
        groups=tuple(sorted(device.groups)),
        role=role.value if role is not None else "",
        waiting=waiting,
    )


class Notices:
    """Publishes :data:`~paradrop.uris.ON_DEVICE` and :data:`~paradrop.uris.ON_WANTED`."""

    def __init__(self, clock: IReactorTime, link: Link, directory: Directory, presence: Presence, wanted: WantedBook) -> None:
        self._clock = clock
        self._link = link
        self._directory = directory
        self._presence = presence
        self._wanted = wanted
        self._changed: set[str] = set()
        self._due: IDelayedCall | None = None
        self._stopped = False

    def device(self, pdid: str) -> None:
        """Something about that device changed."""
        self._changed.add(pdid)
        if self._due is None and not self._stopped:
            self._due = self._clock.callLater(TOGETHER, self._publish)

    def removed(self, device: DeviceRecord, users: list[str]) -> None:
        """A device is not there any more; *users* are those who saw it."""
        self._changed.discard(device.pdid)
        self._link.publish(uris.ON_DEVICE, plain(Device(pdid=device.pdid)), users=users)

    def wanted(self, wanted: Wanted) -> None:
        """Something about what waits for a device changed."""
        self._link.publish(uris.ON_WANTED, plain(wanted), users=self.viewers(wanted.pdid))
        self.device(wanted.pdid)

    def viewers(self, pdid: str) -> list[str]:
        device = self._directory.device(pdid)
        return viewers(self._directory.users())(device.peer) if device is not None else []

    def stop(self) -> None:
        self._stopped = True
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _publish(self) -> None:
        self._due = None
        changed, self._changed = self._changed, set()
        who = viewers(self._directory.users())
        for device in filter(None, map(self._directory.device, sorted(changed))):
            event = shown(device, self._presence, self._wanted.waiting(device.pdid))
            self._link.publish(uris.ON_DEVICE, plain(event), users=who(device.peer))
