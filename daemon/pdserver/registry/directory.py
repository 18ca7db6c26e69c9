"""Everything that decisions need, in memory: a picture of the database that is read without waiting.

It follows the database and is never ahead of it: the registry changes it after a transaction was committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from paradrop import uris
from pdserver.access import device_scope, group_scope
from pdserver.registry.names import above
from pdserver.registry.records import DeviceRecord, UserRecord


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole of it, as it is read at the start."""

    devices: tuple[DeviceRecord, ...] = ()
    users: tuple[UserRecord, ...] = ()
    groups: tuple[str, ...] = ()


class Directory:
    """Devices, users and groups by name and by key. Reading is everybody's; the other methods are the registry's."""

    def __init__(self) -> None:
        self._devices: dict[str, DeviceRecord] = {}
        self._device_keys: dict[str, str] = {}
        self._users: dict[str, UserRecord] = {}
        self._user_keys: dict[str, str] = {}
        self._groups: dict[str, set[str]] = {}

    def device(self, pdid: str) -> DeviceRecord | None:
        return self._devices.get(pdid)

    def devices(self) -> Iterable[DeviceRecord]:
        """By pdid."""
        return [record for _, record in sorted(self._devices.items())]

    def device_by_key(self, public_key: str) -> DeviceRecord | None:
        return self._devices.get(self._device_keys.get(public_key, ""))

    def owner_of(self, uri: str) -> DeviceRecord | None:
        """The device in whose space *uri* lies, or all that a prefix *uri* matches.

        ``org.paradrop.acme.r1.`` is inside; ``org.paradrop.acme.r1``, which as a prefix matches ``acme.r10`` too, is not. There
        is at most one, because no pdid is a dotted prefix of another.
        """
        if not uri.startswith(uris.ROOT):
            return None
        return next((self._devices[pdid] for pdid in above(uri[len(uris.ROOT) :]) if pdid in self._devices), None)

    def user(self, name: str) -> UserRecord | None:
        return self._users.get(name)

    def users(self) -> Iterable[UserRecord]:
        """By name."""
        return [record for _, record in sorted(self._users.items())]

    def user_by_key(self, public_key: str) -> UserRecord | None:
        return self._users.get(self._user_keys.get(public_key, ""))

    def groups(self) -> Mapping[str, frozenset[str]]:
        """The pdids in each group, by its name."""
        return {name: frozenset(pdids) for name, pdids in sorted(self._groups.items())}

    def group(self, name: str) -> frozenset[str] | None:
        """The pdids in a group; ``None`` when there is no such group."""
        return frozenset(self._groups[name]) if name in self._groups else None

    def snapshot(self) -> Snapshot:
        return Snapshot(tuple(self.devices()), tuple(self.users()), tuple(sorted(self._groups)))

    def load(self, snapshot: Snapshot) -> None:
        """Be *snapshot*, and nothing else."""
        for everything in (self._devices, self._device_keys, self._users, self._user_keys, self._groups):
            everything.clear()
        for name in snapshot.groups:
            self.put_group(name)
        self.put_devices(snapshot.devices)
        for user in snapshot.users:
            self.put_user(user)

    def put_device(self, record: DeviceRecord) -> None:
        before = self._devices.get(record.pdid)
        if before is not None and before.public_key is not None:
            del self._device_keys[before.public_key]
        if record.public_key is not None:
            self._device_keys[record.public_key] = record.pdid
        for group in (before.groups if before is not None else frozenset()) - record.groups:
            self._groups[group].discard(record.pdid)
        for group in record.groups:
            self._groups[group].add(record.pdid)
        self._devices[record.pdid] = record

    def put_devices(self, records: Iterable[DeviceRecord]) -> None:
        for record in records:
            self.put_device(record)

    def put_seen(self, times: Mapping[str, float]) -> None:
        for pdid, at in times.items():
            record = self._devices.get(pdid)
            if record is not None:
                self._devices[pdid] = replace(record, seen=max(at, record.seen or at))

    def drop_device(self, pdid: str) -> None:
        record = self._devices.pop(pdid)
        if record.public_key is not None:
            del self._device_keys[record.public_key]
        for group in record.groups:
            self._groups[group].discard(pdid)
        self._drop_scope(device_scope(pdid))

    def put_user(self, record: UserRecord) -> None:
        self._forget_keys_of(record.name)
        self._user_keys.update({key.public_key: record.name for key in record.keys})
        self._users[record.name] = record

    def drop_user(self, name: str) -> None:
        self._forget_keys_of(name)
        del self._users[name]

    def put_group(self, name: str) -> None:
        self._groups.setdefault(name, set())

    def drop_group(self, name: str) -> None:
        for pdid in self._groups.pop(name):
            device = self._devices[pdid]
            self._devices[pdid] = replace(device, groups=device.groups - {name})
        self._drop_scope(group_scope(name))

    def _forget_keys_of(self, name: str) -> None:
        if name in self._users:
            for key in self._users[name].keys:
                del self._user_keys[key.public_key]

    def _drop_scope(self, scope: str) -> None:
        for name, user in self._users.items():
            if scope in user.grants:
                grants = {other: role for other, role in user.grants.items() if other != scope}
                self._users[name] = replace(user, grants=grants)
