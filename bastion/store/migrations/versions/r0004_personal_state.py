"""Personal state is kept by kind and key, sealed, with its size beside it: what a person keeps is bounded by count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None

BigKey = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.drop_table("personal_state")  # no version has written to it
    op.create_table(
        "personal_state",
        sa.Column("user_id", BigKey, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_personal_state_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "kind", "key", name=op.f("pk_personal_state")),
    )
    op.create_index(
        op.f("ix_personal_state_user_id_kind_updated_at"),
        "personal_state",
        ["user_id", "kind", "updated_at"],
        unique=False,
    )
