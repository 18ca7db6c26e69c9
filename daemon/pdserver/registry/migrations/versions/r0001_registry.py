"""Devices, users, groups, invitations, wanted state and the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PDID = sa.String(255)
NAME = sa.String(63)
KEY = sa.String(64)


def upgrade() -> None:
    op.create_table(
        "devices",
        sa.Column("pdid", PDID, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("seen", sa.Double),
        sa.PrimaryKeyConstraint("pdid", name="pk_devices"),
    )
    op.create_table(
        "users",
        sa.Column("name", NAME, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_users"),
    )
    op.create_table(
        "keys",
        sa.Column("public_key", KEY, nullable=False),
        sa.Column("pdid", PDID),
        sa.Column("user_name", NAME),
        sa.Column("added", sa.Double, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("public_key", name="pk_keys"),
        sa.UniqueConstraint("pdid", name="uq_keys_pdid"),
        sa.ForeignKeyConstraint(["pdid"], ["devices.pdid"], name="fk_keys_pdid", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_name"], ["users.name"], name="fk_keys_user_name", ondelete="CASCADE"),
        sa.CheckConstraint("(pdid IS NULL) <> (user_name IS NULL)", name="ck_keys_one_owner"),
    )
    op.create_index("ix_keys_user_name", "keys", ["user_name"])
    op.create_table(
        "grants",
        sa.Column("user_name", NAME, nullable=False),
        sa.Column("scope", sa.String(300), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("user_name", "scope", name="pk_grants"),
        sa.ForeignKeyConstraint(["user_name"], ["users.name"], name="fk_grants_user_name", ondelete="CASCADE"),
    )
    op.create_index("ix_grants_scope", "grants", ["scope"])
    op.create_table(
        "device_groups",
        sa.Column("name", NAME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_device_groups"),
    )
    op.create_table(
        "memberships",
        sa.Column("group_name", NAME, nullable=False),
        sa.Column("pdid", PDID, nullable=False),
        sa.PrimaryKeyConstraint("group_name", "pdid", name="pk_memberships"),
        sa.ForeignKeyConstraint(["group_name"], ["device_groups.name"], name="fk_memberships_group_name", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["pdid"], ["devices.pdid"], name="fk_memberships_pdid", ondelete="CASCADE"),
    )
    op.create_index("ix_memberships_pdid", "memberships", ["pdid"])
    op.create_table(
        "invitations",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", PDID, nullable=False),
        sa.Column("issuer", NAME),
        sa.Column("secret_hash", KEY, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("used", sa.Double),
        sa.Column("used_by", KEY),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
    )
    op.create_index("ix_invitations_issuer", "invitations", ["issuer"])
    op.create_index("ix_invitations_subject", "invitations", ["subject"])
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("allowed", sa.Boolean, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_table(
        "wanted",
        sa.Column("pdid", PDID, nullable=False),
        sa.Column("chute", NAME, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("tree", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("change_id", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("pdid", "chute", name="pk_wanted"),
        sa.UniqueConstraint("id", name="uq_wanted_id"),
        sa.ForeignKeyConstraint(["pdid"], ["devices.pdid"], name="fk_wanted_pdid", ondelete="CASCADE"),
    )
    op.create_table(
        "actual",
        sa.Column("pdid", PDID, nullable=False),
        sa.Column("chutes", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("pdid", name="pk_actual"),
        sa.ForeignKeyConstraint(["pdid"], ["devices.pdid"], name="fk_actual_pdid", ondelete="CASCADE"),
    )


def downgrade() -> None:
    for table in (
        "actual",
        "wanted",
        "audit",
        "invitations",
        "memberships",
        "device_groups",
        "grants",
        "keys",
        "users",
        "devices",
    ):
        op.drop_table(table)
