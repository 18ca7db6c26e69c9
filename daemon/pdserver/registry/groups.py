"""Groups of devices in the database. Every function here is the body of a transaction."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from paradrop.base.exceptions import Conflict, ModelNotFound
from pdserver.access import group_scope
from pdserver.registry import devices
from pdserver.registry.names import askable, check_name, shown
from pdserver.registry.records import Affected, DeviceRecord
from pdserver.registry.schema import grants, groups, memberships


def add(connection: Connection, name: str) -> None:
    check_name(name, "group")
    if known(connection, name):
        raise Conflict(f"there is a group {name!r} already")
    connection.execute(insert(groups).values(name=name))


def remove(connection: Connection, name: str) -> Affected:
    require(connection, name)
    scope = grants.c.scope == group_scope(name)
    affected = devices.reached_by(connection, [name])
    connection.execute(delete(grants).where(scope))
    connection.execute(delete(groups).where(groups.c.name == name))
    return affected


def join(connection: Connection, name: str, pdid: str) -> tuple[DeviceRecord, bool]:
    """Together with whether that changed anything."""
    require(connection, name)
    record = devices.get(connection, pdid)
    if name in record.groups:
        return record, False
    connection.execute(insert(memberships).values(group_name=name, pdid=pdid))
    return devices.get(connection, pdid), True


def leave(connection: Connection, name: str, pdid: str) -> tuple[DeviceRecord, Affected]:
    """Together with who could reach the device by that group, the device itself among them."""
    require(connection, name)
    devices.require(connection, pdid)
    affected = devices.reached_by(connection, [name])
    found = connection.execute(delete(memberships).where(memberships.c.group_name == name, memberships.c.pdid == pdid))
    if not found.rowcount:
        raise ModelNotFound(f"{pdid} is not in the group {name!r}")
    return devices.get(connection, pdid), affected


def known(connection: Connection, name: object) -> bool:
    # What cannot be a name is not asked for: PostgreSQL refuses some texts as parameters.
    return askable(name) and connection.scalar(select(groups.c.name).where(groups.c.name == name)) is not None


def require(connection: Connection, name: str) -> None:
    """Raises :class:`ModelNotFound`."""
    if not known(connection, name):
        raise ModelNotFound(f"there is no group {shown(name)}")


def load(connection: Connection) -> tuple[str, ...]:
    return tuple(connection.scalars(select(groups.c.name)))
