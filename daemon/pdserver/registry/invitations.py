"""Invitations in the database, whoever they are for. Every function here is the body of a transaction."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from paradrop import tokens
from paradrop.base.exceptions import InvitationRefused
from pdserver.registry.names import check_lifetime
from pdserver.registry.records import InvitationKind, InvitationRecord, IssuedInvitation
from pdserver.registry.schema import invitations

SECRET_BYTES = 32
KEPT = 30 * 86400.0
"""Seconds for which an invitation is kept after it expired: as long, a device whose answer was lost may ask again."""
MOST_OPEN = 20
"""Invitations of one subject that nobody has used yet: everybody may make them for themselves, and each is a row."""

UNKNOWN = "that token is not good: this server has issued no such token"
"""For an unknown id and a wrong secret alike: trying tells nobody which ids there are."""


def issue(
    connection: Connection, kind: InvitationKind, subject: str, lifetime: float, now: float, by: str | None
) -> IssuedInvitation:
    """For a *subject* that there is. *by*: the user who gives it; ``None`` is the server itself."""
    expires = now + check_lifetime(lifetime)
    connection.execute(delete(invitations).where(invitations.c.expires < now - KEPT))
    # The id is a name that stands in logs and in "authid"; the secret is what opens.
    made = IssuedInvitation(
        id=f"i{secrets.token_hex(8)}",
        kind=kind,
        subject=subject,
        secret=secrets.token_urlsafe(SECRET_BYTES),
        expires=expires,
    )
    row = {"id": made.id, "kind": kind.value, "subject": subject, "issuer": by, "secret_hash": _hash(made.secret)}
    connection.execute(insert(invitations), {**row, "created": now, "expires": expires, "used": None, "used_by": None})
    _keep_newest(connection, kind, subject)
    return made


def void(connection: Connection, kind: InvitationKind, subject: str) -> None:
    """Forget every invitation of *subject*."""
    connection.execute(delete(invitations).where(invitations.c.kind == kind.value, invitations.c.subject == subject))


def void_open(connection: Connection, kind: InvitationKind, subject: str) -> None:
    """Forget those of *subject* that nobody has used; who used one may still ask again."""
    theirs = (invitations.c.kind == kind.value) & (invitations.c.subject == subject)
    connection.execute(delete(invitations).where(theirs, invitations.c.used.is_(None)))


def void_issued(connection: Connection, name: str) -> None:
    """Forget those that the user *name* has given to anybody, and that nobody has used."""
    connection.execute(delete(invitations).where(invitations.c.issuer == name, invitations.c.used.is_(None)))


def _keep_newest(connection: Connection, kind: InvitationKind, subject: str) -> None:
    open_ones = (invitations.c.kind == kind.value) & (invitations.c.subject == subject) & invitations.c.used.is_(None)
    newest = select(invitations.c.id).where(open_ones).order_by(invitations.c.created.desc(), invitations.c.expires.desc())
    too_old = list(connection.scalars(newest.offset(MOST_OPEN)))
    connection.execute(delete(invitations).where(invitations.c.id.in_(too_old)))


def check(connection: Connection, id: str, secret: str, now: float) -> InvitationRecord:
    row = find(connection, id)
    # The same work for an unknown id: the comparison takes as long, with a hash that no secret has.
    known = hmac.compare_digest(_hash(secret), row.secret_hash if row is not None else "0" * 64)
    if row is None or not known:
        raise InvitationRefused(UNKNOWN)
    if row.used is None:
        check_age(row, now)
    return InvitationRecord(
        id=row.id,
        kind=InvitationKind(row.kind),
        subject=row.subject,
        created=row.created,
        expires=row.expires,
        used=row.used,
        used_by=row.used_by,
    )


def find(connection: Connection, id: object) -> Row[Any] | None:
    """Only what can be an id is asked for: PostgreSQL refuses some texts as parameters."""
    if not isinstance(id, str) or len(id) > 64 or not tokens.PART.fullmatch(id):
        return None
    return connection.execute(select(invitations).where(invitations.c.id == id)).one_or_none()


def check_age(row: Row[Any], now: float) -> None:
    if now >= row.expires:
        raise InvitationRefused("that token has expired; ask for a new one")


def _hash(secret: object) -> str:
    """A fast hash is right for it: the secret is 256 random bits, which nobody guesses."""
    return hashlib.sha256(str(secret).encode(errors="surrogatepass")).hexdigest()
