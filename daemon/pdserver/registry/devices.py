"""Devices in the database. Every function here is the body of a transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from paradrop.base.exceptions import Conflict, DeviceNotFoundException, InvalidInput, ModelNotFound, PdidExclusionError
from pdserver.access import device_scope, group_scope
from pdserver.registry import invitations
from pdserver.registry.names import above, askable, check_key, check_name, check_pdid, shown
from pdserver.registry.records import Affected, DeviceRecord, InvitationKind, NewDevice
from pdserver.registry.schema import devices, grants, groups, keys, memberships

SOME = 500
"""Names in one ``IN``: SQLite takes 32,766 parameters, older ones 999."""


def create(connection: Connection, new: Sequence[NewDevice], now: float) -> list[DeviceRecord]:
    for device in new:
        check_pdid(device.pdid)
    _check_room(connection, [device.pdid for device in new])
    _check_groups(connection, {check_name(group, "group") for device in new for group in device.groups})
    _check_keys(connection, [check_key(device.public_key) for device in new if device.public_key is not None])
    records = [
        DeviceRecord(pdid=device.pdid, public_key=device.public_key, groups=frozenset(device.groups), created=now)
        for device in new
    ]
    _insert(connection, devices, [{"pdid": record.pdid, "created": now, "seen": None} for record in records])
    _insert(connection, keys, [_key_row(record.pdid, record.public_key, now) for record in records if record.public_key])
    _insert(
        connection, memberships, [{"group_name": group, "pdid": record.pdid} for record in records for group in record.groups]
    )
    return records


def remove(connection: Connection, pdid: str) -> Affected:
    """Returns who else could reach it: their sessions may listen to its topics."""
    by_group = reached_by(connection, get(connection, pdid).groups)
    scope = grants.c.scope == device_scope(pdid)
    users = frozenset(connection.scalars(select(grants.c.user_name).where(scope)))
    connection.execute(delete(grants).where(scope))
    invitations.void(connection, InvitationKind.DEVICE, pdid)
    connection.execute(delete(devices).where(devices.c.pdid == pdid))
    return Affected(devices=by_group.devices - {pdid}, users=users | by_group.users)


def reached_by(connection: Connection, names: Iterable[str]) -> Affected:
    """The members of those groups, and who has something granted on one of them."""
    names = list(names)
    scopes = list(map(group_scope, names))
    return Affected(
        devices=frozenset(connection.scalars(select(memberships.c.pdid).where(memberships.c.group_name.in_(names)))),
        users=frozenset(connection.scalars(select(grants.c.user_name).where(grants.c.scope.in_(scopes)))),
    )


def forget_key(connection: Connection, pdid: str, public_key: str | None = None) -> DeviceRecord:
    """That key, if the device still has it; ``None`` is whichever it has."""
    require(connection, pdid)
    which = keys.c.pdid == pdid
    connection.execute(delete(keys).where(which if public_key is None else which & (keys.c.public_key == public_key)))
    return get(connection, pdid)


def set_key(connection: Connection, pdid: str, public_key: str, label: str, now: float) -> None:
    """Instead of the one it has."""
    connection.execute(delete(keys).where(keys.c.pdid == pdid))
    connection.execute(insert(keys), _key_row(pdid, public_key, now, label))


def seen(connection: Connection, times: Mapping[str, float]) -> None:
    newer = or_(devices.c.seen.is_(None), devices.c.seen < bindparam("at"))
    statement = update(devices).where(devices.c.pdid == bindparam("which"), newer).values(seen=bindparam("at"))
    connection.execute(statement, [{"which": pdid, "at": at} for pdid, at in times.items()])


def require(connection: Connection, pdid: object) -> str:
    """Raises :class:`DeviceNotFoundException`."""
    if not askable(pdid) or connection.scalar(select(devices.c.pdid).where(devices.c.pdid == pdid)) is None:
        raise DeviceNotFoundException(f"there is no device {shown(pdid)}")
    return str(pdid)


def get(connection: Connection, pdid: str) -> DeviceRecord:
    """Raises :class:`DeviceNotFoundException`."""
    require(connection, pdid)
    row = connection.execute(select(devices).where(devices.c.pdid == pdid)).one()
    key = connection.scalar(select(keys.c.public_key).where(keys.c.pdid == pdid))
    into = connection.scalars(select(memberships.c.group_name).where(memberships.c.pdid == pdid))
    return DeviceRecord(pdid=pdid, public_key=key, groups=frozenset(into), created=row.created, seen=row.seen)


def load(connection: Connection) -> tuple[DeviceRecord, ...]:
    """All of them, by three statements."""
    key_of = {pdid: key for pdid, key in connection.execute(select(keys.c.pdid, keys.c.public_key)) if pdid is not None}
    into: defaultdict[str, set[str]] = defaultdict(set)
    for pdid, group in connection.execute(select(memberships.c.pdid, memberships.c.group_name)):
        into[pdid].add(group)
    return tuple(
        DeviceRecord(pdid=pdid, public_key=key_of.get(pdid), groups=frozenset(into.get(pdid, ())), created=created, seen=last)
        for pdid, created, last in connection.execute(select(devices.c.pdid, devices.c.created, devices.c.seen))
    )


def _check_room(connection: Connection, new: Sequence[str]) -> None:
    """No pdid may be taken, or be a dotted prefix of another: the one's address space would lie in the other's."""
    taken = set(connection.scalars(select(devices.c.pdid)))
    inner = set(chain.from_iterable(map(above, taken)))  # where a pdid would have others below it
    for pdid in new:
        outer = next((prefix for prefix in above(pdid) if prefix in taken), None)
        if pdid in taken:
            raise PdidExclusionError(f"{pdid} is taken")
        if outer is not None:
            raise PdidExclusionError(f"{pdid} lies in the address space of the device {outer}")
        if pdid in inner:
            raise PdidExclusionError(f"{pdid} would take in the address space of other devices, which begins with {pdid}.")
        taken.add(pdid)
        inner.update(above(pdid))


def _check_groups(connection: Connection, names: set[str]) -> None:
    there = set(connection.scalars(select(groups.c.name)))
    if names - there:
        raise ModelNotFound(f"there is no group {shown(min(names - there))}")


def _check_keys(connection: Connection, new: Sequence[str]) -> None:
    if len(set(new)) != len(new):
        raise InvalidInput("two of these devices have the same key")
    for start in range(0, len(new), SOME):
        some = new[start : start + SOME]
        if connection.scalar(select(keys.c.public_key).where(keys.c.public_key.in_(some)).limit(1)) is not None:
            raise Conflict("that key is somebody else's")


def _key_row(pdid: str, public_key: str | None, now: float, label: str = "") -> dict[str, object]:
    return {"public_key": public_key, "pdid": pdid, "user_name": None, "added": now, "label": label}


def _insert(connection: Connection, table: object, rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        connection.execute(insert(table), rows)  # type: ignore[arg-type]
