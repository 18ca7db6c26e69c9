"""Places and who takes them by an invitation: once, whoever else tries at the same time. Every function here is the body of a
transaction."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from paradrop import uris
from paradrop.base.exceptions import Conflict, DeviceNotFoundException, InvalidInput, InvitationRefused, ModelNotFound
from paradrop.permissions import Permission, Role, grants
from pdserver.access import EVERYTHING
from pdserver.gate.names import WampRole
from pdserver.registry import audit, devices, invitations, people, schema
from pdserver.registry.names import check_key, check_name, clean, shown
from pdserver.registry.records import Accepted, DeviceRecord, InvitationKind, IssuedInvitation, NewAuditEntry, UserRecord

LONGEST_LABEL = 64


def invite(
    connection: Connection, kind: InvitationKind, subject: str, lifetime: float, now: float, by: str | None = None
) -> IssuedInvitation:
    """*by*: the user who gives it; ``None`` is the server itself."""
    match kind:
        case InvitationKind.DEVICE:
            devices.require(connection, subject)
            # A place is for one device: the newest token is the one that is meant.
            invitations.void_open(connection, kind, subject)
        case InvitationKind.USER:
            people.require(connection, subject)
        case _:
            raise InvalidInput(f"{shown(kind)} is no kind of invitation")
    return invitations.issue(connection, kind, subject, lifetime, now, by)


def first_administrator(
    connection: Connection, name: str, lifetime: float, now: float
) -> tuple[UserRecord, IssuedInvitation] | None:
    there = people.administrators(connection)
    if any(can_come_in for can_come_in in there.values()):
        return None
    who = min(there, default=name)
    if not there:
        if not people.known(connection, check_name(who, "user")):
            people.add(connection, who, now)
        people.grant(connection, who, EVERYTHING, Role.OWNER)
    invitations.void(connection, InvitationKind.USER, who)
    action = uris.USERS_INVITE if there else uris.USERS_ADD
    done = NewAuditEntry(who=WampRole.SERVER, action=action.removeprefix(uris.SERVER), what=who, allowed=True)
    audit.add(connection, [done], now)
    return people.get(connection, who), invitations.issue(connection, InvitationKind.USER, who, lifetime, now, None)


def accept(
    connection: Connection, id: str, public_key: str, label: str, expected: InvitationKind | None, now: float
) -> tuple[Accepted, DeviceRecord | UserRecord]:
    """Together with the record of whose key it is now. Runs in a writing transaction, which is alone: of two who accept at the
    same time, the second sees what the first has done."""
    check_key(public_key)
    row = invitations.find(connection, id)
    if row is None:
        raise InvitationRefused(invitations.UNKNOWN)
    kind, subject = InvitationKind(row.kind), str(row.subject)
    if expected not in (None, kind):
        raise InvitationRefused(f"that token is for a {kind}, not for a {expected}; it is still good")
    record = _subject(connection, kind, subject)
    theirs = public_key in _keys_of(record)
    if row.used is not None:
        if row.used_by == public_key and theirs:
            return Accepted(kind=kind, subject=subject, public_key=public_key, again=True), record
        raise InvitationRefused("that token was used already; a token works once")
    invitations.check_age(row, now)
    _check_issuer(connection, row.issuer, record)
    same_key = select(schema.keys.c.public_key).where(schema.keys.c.public_key == public_key)
    if not theirs and connection.scalar(same_key) is not None:
        raise Conflict("that key is somebody else's: make a new one")
    connection.execute(update(schema.invitations).where(schema.invitations.c.id == id).values(used=now, used_by=public_key))
    if kind is InvitationKind.DEVICE:
        invitations.void_open(connection, kind, subject)  # the place is taken
    replaced = None
    if not theirs and isinstance(record, DeviceRecord):
        replaced = record.public_key
        devices.set_key(connection, subject, public_key, clean(label, LONGEST_LABEL), now)
    elif not theirs:
        people.add_key(connection, subject, public_key, clean(label, LONGEST_LABEL), now)
    accepted = Accepted(kind=kind, subject=subject, public_key=public_key, replaced=replaced)
    return accepted, _subject(connection, kind, subject)


def _check_issuer(connection: Connection, issuer: str | None, subject: DeviceRecord | UserRecord) -> None:
    """Whoever gave the invitation must still be one who may give it: an invitation outlives no right.

    Raises :class:`InvitationRefused`.
    """
    if issuer is None:
        return
    if people.known(connection, issuer):
        peer = people.get(connection, issuer).peer
        if isinstance(subject, DeviceRecord):
            role = peer.role_on(subject.peer)
            may = role is not None and grants(role, Permission.ADMINISTER)
        else:
            may = peer.administrator or issuer == subject.name
        if may:
            return
    raise InvitationRefused("that token is not good any more: whoever gave it may not do so now")


def _subject(connection: Connection, kind: InvitationKind, subject: str) -> DeviceRecord | UserRecord:
    try:
        return devices.get(connection, subject) if kind is InvitationKind.DEVICE else people.get(connection, subject)
    except (DeviceNotFoundException, ModelNotFound):
        raise InvitationRefused("that token is not good: what it was for has been removed") from None


def _keys_of(record: DeviceRecord | UserRecord) -> set[str]:
    if isinstance(record, UserRecord):
        return {key.public_key for key in record.keys}
    return {record.public_key} if record.public_key is not None else set()
