"""The registry: who the devices and the people are, and what they may do; kept in a database, answered from memory.

Every change is one transaction, and they run one at a time: first the database, then, when it was committed, the directory. So a
failure leaves both as they were, and what the directory says has been written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from paradrop.base.seams import WallClock
from paradrop.permissions import Role
from pdserver.registry import audit, claims, devices, groups, invitations, people, wanted
from pdserver.registry.changes import Changes
from pdserver.registry.database import Database
from pdserver.registry.directory import Directory, Snapshot
from pdserver.registry.records import (
    Accepted,
    ActualRecord,
    Affected,
    AuditEntry,
    DeviceRecord,
    InvitationKind,
    InvitationRecord,
    IssuedInvitation,
    NewAuditEntry,
    NewDevice,
    UserRecord,
    WantedRecord,
    WantedState,
)


class Registry:
    """Every method may raise :class:`DatabaseUnavailable`, and a changing one :class:`StorageFull`; nothing was changed then.

    One registry at a time may be open on a database: what another one changes would be missing in this one's directory.
    """

    def __init__(self, database: Database, wall: WallClock, superseded: Callable[[], None] = lambda: None) -> None:
        """*superseded*: told, at a change, that another server has taken the database over."""
        self.directory = Directory()
        self._database = database
        self._wall = wall
        self._changes = Changes(database, self.directory, self._load, superseded)

    def _load(self, connection: Connection) -> Snapshot:
        return Snapshot(devices.load(connection), people.load(connection), groups.load(connection))

    # The life of the registry.

    async def open(self) -> None:
        """Bring the database to this version's schema, and read it. Raises :class:`InvalidSettings` when it is a newer one's, and
        :class:`HomeInUse` when another server uses it (PostgreSQL)."""
        await self._database.claim()
        await self._database.upgrade()
        await self._changes.reload()

    async def close(self) -> None:
        """After the change that is under way."""
        await self._changes.end()
        await self._database.close()

    # Devices.

    async def create_device(self, pdid: str, groups: Sequence[str] = ()) -> DeviceRecord:
        """Raises :class:`PdidError`, :class:`PdidExclusionError`, :class:`ModelNotFound` for a group."""
        return (await self.create_devices([NewDevice(pdid=pdid, groups=groups)]))[0]

    async def create_devices(self, new: Iterable[NewDevice]) -> list[DeviceRecord]:
        """All or none, in one transaction. Raises as :meth:`create_device`, and :class:`InvalidInput` or :class:`Conflict` for a
        key."""
        work = partial(devices.create, new=list(new), now=self._wall())
        return await self._changes.make(work, self.directory.put_devices)

    async def remove_device(self, pdid: str) -> Affected:
        """With its key, its invitations, its wanted state and what was granted on it. Raises :class:`DeviceNotFoundException`."""
        return await self._changes.make(partial(devices.remove, pdid=pdid), lambda _: self.directory.drop_device(pdid))

    async def forget_device_key(self, pdid: str, public_key: str | None = None) -> None:
        """The place is free for another claim. With *public_key*, only if that is still its key.

        Raises :class:`DeviceNotFoundException`.
        """
        await self._changes.make(partial(devices.forget_key, pdid=pdid, public_key=public_key), self.directory.put_device)

    async def seen(self, times: Mapping[str, float]) -> None:
        """When devices were last online, many at once; those that are not known any more are passed over."""
        if times:
            await self._changes.make(partial(devices.seen, times=dict(times)), lambda _: self.directory.put_seen(times))

    # People.

    async def add_user(self, name: str) -> UserRecord:
        """Raises :class:`InvalidInput`, :class:`Conflict`."""
        return await self._changes.make(partial(people.add, name=name, now=self._wall()), self.directory.put_user)

    async def remove_user(self, name: str) -> None:
        """With the keys, grants and invitations. Raises :class:`ModelNotFound`; :class:`Conflict` for the last administrator."""
        await self._changes.make(partial(people.remove, name=name), lambda _: self.directory.drop_user(name))

    async def forget_user_key(self, name: str, public_key: str) -> None:
        """Raises :class:`ModelNotFound`; :class:`Conflict` for the last key by which an administrator can come in."""
        work = partial(people.forget_key, name=name, public_key=public_key)
        await self._changes.make(work, self.directory.put_user)

    async def grant(self, user: str, scope: str, role: Role) -> bool:
        """Instead of what was granted there before; ``False`` when it was just that.

        Raises :class:`InvalidInput` or :class:`PdidError` for a scope that is none, :class:`ModelNotFound`,
        :class:`DeviceNotFoundException`; :class:`Conflict` when it makes the last administrator less.
        """
        work = partial(people.grant, name=user, scope=scope, role=role)
        return (await self._changes.make(work, lambda done: self.directory.put_user(done[0])))[1]

    async def revoke(self, user: str, scope: str) -> None:
        """Raises :class:`ModelNotFound` when nothing is granted there; :class:`Conflict` for the last administrator."""
        await self._changes.make(partial(people.revoke, name=user, scope=scope), self.directory.put_user)

    async def first_administrator(self, name: str, lifetime: float) -> IssuedInvitation | None:
        """A login code for an administrator, as long as none has a key: ``None`` as soon as one has.

        Makes the user *name* an administrator when there is none; takes the one there is otherwise. A code that was issued to
        them before and not used is void from now on. Raises :class:`InvalidInput`.
        """
        work = partial(claims.first_administrator, name=name, lifetime=lifetime, now=self._wall())
        made = await self._changes.make(work, lambda made: self.directory.put_user(made[0]) if made else None)
        return made[1] if made else None

    # Groups.

    async def add_group(self, name: str) -> None:
        """Raises :class:`InvalidInput`, :class:`Conflict`."""
        await self._changes.make(partial(groups.add, name=name), lambda _: self.directory.put_group(name))

    async def remove_group(self, name: str) -> Affected:
        """With what was granted on it; its devices stay. Raises :class:`ModelNotFound`."""
        return await self._changes.make(partial(groups.remove, name=name), lambda _: self.directory.drop_group(name))

    async def join_group(self, group: str, pdid: str) -> bool:
        """``False`` when it is in already. Raises :class:`ModelNotFound`, :class:`DeviceNotFoundException`."""
        work = partial(groups.join, name=group, pdid=pdid)
        return (await self._changes.make(work, lambda done: self.directory.put_device(done[0])))[1]

    async def leave_group(self, group: str, pdid: str) -> Affected:
        """Raises as :meth:`join_group`; :class:`ModelNotFound` also when it is not in."""
        work = partial(groups.leave, name=group, pdid=pdid)
        return (await self._changes.make(work, lambda done: self.directory.put_device(done[0])))[1]

    # Invitations.

    async def invite(self, kind: InvitationKind, subject: str, lifetime: float, by: str | None = None) -> IssuedInvitation:
        """*lifetime*: seconds. *by*: the user who gives it, and without whose right to do so it is void.

        Raises :class:`InvalidInput`; :class:`DeviceNotFoundException` or :class:`ModelNotFound`.
        """
        work = partial(claims.invite, kind=kind, subject=subject, lifetime=lifetime, now=self._wall(), by=by)
        return await self._changes.make(work)

    async def check_invitation(self, id: str, secret: str) -> InvitationRecord:
        """Whether that secret opens that invitation now. Raises :class:`InvitationRefused`.

        One that was used passes, so that the same key may accept it again when the answer was lost.
        """
        return await self._database.read(partial(invitations.check, id=id, secret=secret, now=self._wall()))

    async def accept(self, id: str, public_key: str, label: str = "", kind: InvitationKind | None = None) -> Accepted:
        """Let that key be the device's, instead of what it had, or one of the user's. Once; the same key gets the same answer
        again, as long as it is still theirs. *kind*: what the owner of the key is; an invitation for another kind is refused.

        Raises :class:`InvitationRefused`; :class:`InvalidInput` and :class:`Conflict` for the key, with the invitation unused.
        """
        work = partial(claims.accept, id=id, public_key=public_key, label=label, expected=kind, now=self._wall())
        return (await self._changes.make(work, lambda done: self._put(done[1])))[0]

    # What happened.

    async def record(self, entries: Sequence[NewAuditEntry]) -> None:
        """Add to the audit log, in that order. The oldest go when there are more than ``audit.MOST``."""
        if entries:
            await self._changes.make(partial(audit.add, entries=list(entries), now=self._wall()))

    async def audit(self, after: int, limit: int) -> list[AuditEntry]:
        """The oldest *limit* entries with an id above *after*, in order; a negative *after*: that many from the end."""
        return await self._database.read(partial(audit.read, after=after, limit=limit))

    # Wanted state.

    async def want(self, pdid: str, chute: str, version: str, tree: Mapping[str, Any], digest: str, by: str) -> WantedRecord:
        """Instead of what was wanted of that chute before. *tree*: a :class:`SourceTree` as plain data.

        Raises :class:`DeviceNotFoundException`, :class:`InvalidInput`; :class:`Conflict` when too many chutes wait for the device
        already, and :class:`StorageFull` when their trees are too large together.
        """
        work = partial(wanted.want, pdid=pdid, chute=chute, version=version, tree=tree, digest=digest, by=by, now=self._wall())
        return await self._changes.make(work)

    async def wanted(self, pdid: str | None = None) -> list[WantedRecord]:
        """By device and chute, without their trees; of all devices when *pdid* is ``None``."""
        return await self._database.read(partial(wanted.of, pdid=pdid))

    async def wanted_by_id(self, id: str) -> WantedRecord | None:
        """With its tree, as long as it waits. ``None``: a newer one has replaced it, or it was forgotten."""
        return await self._database.read(partial(wanted.by_id, id=id))

    async def set_wanted(self, id: str, state: WantedState, *, change: str = "", reason: str = "") -> WantedRecord | None:
        """``None``: a newer one has replaced it, or it was forgotten. Without *change* the one it had stays."""
        return await self._changes.make(partial(wanted.set_state, id=id, state=state, change=change, reason=reason))

    async def forget_wanted(self, pdid: str, chute: str) -> None:
        """Raises :class:`ModelNotFound`."""
        await self._changes.make(partial(wanted.forget, pdid=pdid, chute=chute))

    async def wanted_digests(self) -> dict[str, set[str]]:
        """SHA-256 of every content that is still to be delivered, by device."""
        return await self._database.read(wanted.digests)

    async def remember_actual(self, pdid: str, chutes: Sequence[Any], at: float) -> None:
        """Raises :class:`DeviceNotFoundException`."""
        await self._changes.make(partial(wanted.remember_actual, pdid=pdid, chutes=list(chutes), at=at))

    async def actual(self, pdid: str) -> ActualRecord | None:
        """What it last said of its chutes; ``None`` when it never did."""
        return await self._database.read(partial(wanted.actual_of, pdid=pdid))

    def _put(self, record: DeviceRecord | UserRecord) -> None:
        match record:
            case DeviceRecord():
                self.directory.put_device(record)
            case UserRecord():
                self.directory.put_user(record)
