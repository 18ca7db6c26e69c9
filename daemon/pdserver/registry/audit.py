"""The audit log in the database. Every function here is the body of a transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select

from paradrop.base.exceptions import InvalidInput
from paradrop.values import AuditEntry
from pdserver.registry.names import clean
from pdserver.registry.records import NewAuditEntry
from pdserver.registry.schema import audit

MOST = 100_000
"""Entries about what was denied, and again as many about what was done: whoever is denied again and again must neither fill the
disk, nor push out of the log what administrators did."""
LONGEST = 1000
"""Characters of each text of an entry: what was denied is what a stranger has sent."""
LARGEST_PAGE = 1000


def add(connection: Connection, entries: Sequence[NewAuditEntry], now: float, most: int = MOST) -> None:
    rows = [
        {
            "at": now if entry.at is None else entry.at,
            "who": clean(entry.who, LONGEST),
            "action": clean(entry.action, LONGEST),
            "what": clean(entry.what, LONGEST),
            "allowed": entry.allowed,
            "detail": clean(entry.detail, LONGEST),
            "times": entry.times,
        }
        for entry in entries
    ]
    connection.execute(insert(audit), rows)
    newest = connection.scalar(select(func.max(audit.c.id))) or 0
    if newest > most:
        for allowed in {row["allowed"] for row in rows}:
            kind = audit.c.allowed.is_(allowed)
            oldest = connection.scalar(select(audit.c.id).where(kind).order_by(audit.c.id.desc()).limit(1).offset(most))
            connection.execute(delete(audit).where(kind, audit.c.id <= (oldest or 0)))


def read(connection: Connection, after: int, limit: int) -> list[AuditEntry]:
    if not all(isinstance(number, int) and -(2**62) < number < 2**62 for number in (after, limit)) or limit < 1:
        raise InvalidInput("after: a number; limit: a number from 1")
    limit = min(limit, LARGEST_PAGE)
    if after < 0:
        last = select(audit).order_by(audit.c.id.desc()).limit(min(-after, LARGEST_PAGE))
        rows = list(reversed(connection.execute(last).all()))[:limit]
    else:
        rows = list(connection.execute(select(audit).where(audit.c.id > after).order_by(audit.c.id).limit(limit)))
    return [
        AuditEntry(
            id=row.id,
            at=row.at,
            who=row.who,
            action=row.action,
            what=row.what,
            allowed=row.allowed,
            detail=row.detail,
            times=row.times,
        )
        for row in rows
    ]
