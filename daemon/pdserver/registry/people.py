"""Users, their keys and what is granted to them, in the database. Every function here is the body of a transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select

from paradrop.base.exceptions import Conflict, InvalidInput, ModelNotFound
from paradrop.permissions import Role
from pdserver.access import EVERYTHING
from pdserver.registry import devices, groups, invitations
from pdserver.registry.names import askable, check_key, check_name, read_scope, shown
from pdserver.registry.records import InvitationKind, UserKey, UserRecord
from pdserver.registry.schema import grants, keys, users


def add(connection: Connection, name: str, now: float) -> UserRecord:
    check_name(name, "user")
    if known(connection, name):
        raise Conflict(f"there is a user {name!r} already")
    connection.execute(insert(users).values(name=name, created=now))
    return get(connection, name)


def remove(connection: Connection, name: str) -> None:
    require(connection, name)
    before = administrators(connection)
    invitations.void(connection, InvitationKind.USER, name)
    invitations.void_issued(connection, name)
    connection.execute(delete(users).where(users.c.name == name))
    _check_administrators(before, administrators(connection))


def forget_key(connection: Connection, name: str, public_key: str) -> UserRecord:
    require(connection, name)
    before = administrators(connection)
    if check_key(public_key) not in {key.public_key for key in get(connection, name).keys}:
        raise ModelNotFound(f"{name!r} has no such key")
    connection.execute(delete(keys).where(keys.c.public_key == public_key))
    # Whoever had the key could ask for a login code, and come back by that.
    invitations.void_open(connection, InvitationKind.USER, name)
    invitations.void_issued(connection, name)
    _check_administrators(before, administrators(connection))
    return get(connection, name)


def grant(connection: Connection, name: str, scope: str, role: Role) -> tuple[UserRecord, bool]:
    """Together with whether that changed anything."""
    require(connection, name)
    kind, subject = read_scope(scope)
    if kind == "device":
        devices.require(connection, subject)
    elif kind == "group":
        groups.require(connection, subject)
    record, role = get(connection, name), _role(role)
    if record.grants.get(scope) is role:
        return record, False
    before = administrators(connection)
    if record.grants.get(scope) is Role.OWNER:
        invitations.void_issued(connection, name)  # who owned it could give places on it away
    connection.execute(delete(grants).where(grants.c.user_name == name, grants.c.scope == scope))
    connection.execute(insert(grants).values(user_name=name, scope=scope, role=role.value))
    _check_administrators(before, administrators(connection))
    return get(connection, name), True


def revoke(connection: Connection, name: str, scope: str) -> UserRecord:
    require(connection, name)
    read_scope(scope)
    before = administrators(connection)
    if scope not in get(connection, name).grants:
        raise ModelNotFound(f"nothing is granted to {name!r} on {shown(scope)}")
    invitations.void_issued(connection, name)
    connection.execute(delete(grants).where(grants.c.user_name == name, grants.c.scope == scope))
    _check_administrators(before, administrators(connection))
    return get(connection, name)


def add_key(connection: Connection, name: str, public_key: str, label: str, now: float) -> None:
    row = {"public_key": public_key, "pdid": None, "user_name": name, "added": now, "label": label}
    connection.execute(insert(keys), row)


def known(connection: Connection, name: object) -> bool:
    # What cannot be a name is not asked for: PostgreSQL refuses some texts as parameters.
    return askable(name) and connection.scalar(select(users.c.name).where(users.c.name == name)) is not None


def require(connection: Connection, name: object) -> str:
    """Raises :class:`ModelNotFound`."""
    if not known(connection, name):
        raise ModelNotFound(f"there is no user {shown(name)}")
    return str(name)


def get(connection: Connection, name: str) -> UserRecord:
    """Raises :class:`ModelNotFound`."""
    require(connection, name)
    return _records(connection, [name])[0]


def load(connection: Connection) -> tuple[UserRecord, ...]:
    return tuple(_records(connection, None))


def _records(connection: Connection, names: Iterable[str] | None) -> list[UserRecord]:
    """Of all users when *names* is ``None``."""
    which_users, which_keys, which_grants = select(users), select(keys).where(keys.c.user_name.is_not(None)), select(grants)
    if names is not None:
        names = list(names)
        which_users = which_users.where(users.c.name.in_(names))
        which_keys = which_keys.where(keys.c.user_name.in_(names))
        which_grants = which_grants.where(grants.c.user_name.in_(names))
    has: defaultdict[str, list[UserKey]] = defaultdict(list)
    for key in connection.execute(which_keys.order_by(keys.c.added, keys.c.public_key)):
        has[key.user_name].append(UserKey(public_key=key.public_key, added=key.added, label=key.label))
    may: defaultdict[str, dict[str, Role]] = defaultdict(dict)
    for row in connection.execute(which_grants):
        may[row.user_name][row.scope] = Role(row.role)
    return [
        UserRecord(name=user.name, keys=tuple(has[user.name]), grants=may[user.name], created=user.created)
        for user in connection.execute(which_users.order_by(users.c.name))
    ]


def administrators(connection: Connection) -> dict[str, bool]:
    """Each, and whether they have a key to come in with."""
    owner = (grants.c.scope == EVERYTHING) & (grants.c.role == Role.OWNER.value)
    names = set(connection.scalars(select(grants.c.user_name).where(owner)))
    with_key = set(connection.scalars(select(keys.c.user_name).where(keys.c.user_name.in_(names))))
    return {name: name in with_key for name in names}


def _check_administrators(before: dict[str, bool], after: dict[str, bool]) -> None:
    """Somebody must be left who can administer the server, and come in; a login code that nobody used yet may have been lost."""
    if before and not after:
        raise Conflict("that is the last administrator; make another user one first: the role owner on server")
    if any(before.values()) and not any(after.values()):
        raise Conflict("no administrator who can log in would be left: let another key or administrator log in first")


def _role(role: object) -> Role:
    try:
        return Role(role)  # type: ignore[arg-type]
    except ValueError:
        raise InvalidInput(f"{shown(role)} is no role: {', '.join(Role)}") from None
