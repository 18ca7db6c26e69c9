"""The tables, as SQLAlchemy Core. The migrations make them; a test holds the two together.

Times are seconds since the epoch. A public key stands in one table, whoever has it: so no two can have the same.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraints have names on every database, so that a later migration can speak of them."""

PDID = String(255)
NAME = String(63)
KEY = String(64)
"""Hexadecimal: an Ed25519 public key, or a SHA-256."""

metadata = MetaData(naming_convention=NAMES)

devices = Table(
    "devices",
    metadata,
    Column("pdid", PDID, primary_key=True),
    Column("created", Double, nullable=False),
    Column("seen", Double),
)

users = Table(
    "users",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("created", Double, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("public_key", KEY, primary_key=True),
    Column("pdid", PDID, ForeignKey("devices.pdid", ondelete="CASCADE")),
    Column("user_name", NAME, ForeignKey("users.name", ondelete="CASCADE"), index=True),
    Column("added", Double, nullable=False),
    Column("label", Text, nullable=False),
    UniqueConstraint("pdid"),
    CheckConstraint("(pdid IS NULL) <> (user_name IS NULL)", name="one_owner"),
)
"""A device has one key, a user any number."""

grants = Table(
    "grants",
    metadata,
    Column("user_name", NAME, ForeignKey("users.name", ondelete="CASCADE"), primary_key=True),
    Column("scope", String(300), primary_key=True),
    Column("role", String(16), nullable=False),
    Index(None, "scope"),
)

groups = Table("device_groups", metadata, Column("name", NAME, primary_key=True))

memberships = Table(
    "memberships",
    metadata,
    Column("group_name", NAME, ForeignKey("device_groups.name", ondelete="CASCADE"), primary_key=True),
    Column("pdid", PDID, ForeignKey("devices.pdid", ondelete="CASCADE"), primary_key=True, index=True),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("subject", PDID, nullable=False, index=True),
    Column("issuer", NAME, index=True),
    Column("secret_hash", KEY, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("used", Double),
    Column("used_by", KEY),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("allowed", Boolean, nullable=False),
    Column("detail", Text, nullable=False),
    Column("times", Integer, nullable=False),
)

wanted = Table(
    "wanted",
    metadata,
    Column("pdid", PDID, ForeignKey("devices.pdid", ondelete="CASCADE"), primary_key=True),
    Column("chute", NAME, primary_key=True),
    Column("id", String(64), nullable=False),
    Column("version", Text, nullable=False),
    Column("tree", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("change_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    UniqueConstraint("id"),
)
"""One row a chute: the newest only. ``tree`` is JSON in ASCII, which every database keeps as it is."""

actual = Table(
    "actual",
    metadata,
    Column("pdid", PDID, ForeignKey("devices.pdid", ondelete="CASCADE"), primary_key=True),
    Column("chutes", Text, nullable=False),
    Column("at", Double, nullable=False),
)
