"""The audit's pages: sorted by rows and duration, rare states, sessions of a token, saved filters, messages by type."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "r0010"
down_revision = "r0008"
branch_labels = None
depends_on = None

BigKey = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UNUSUAL = "state = 'sent' OR state = 'cancelled' OR state = 'refused' OR state = 'skipped'"
INDEXES = (
    ("ix_statements_large", "rows", "rows >= 100"),
    ("ix_statements_slow", "duration_ms", "duration_ms >= 100"),
    ("ix_statements_unusual", "state", _UNUSUAL),
)


def upgrade() -> None:
    for name, column, condition in INDEXES:
        op.create_index(
            name, "statements", [column, "id"], unique=False,
            sqlite_where=sa.text(condition), postgresql_where=sa.text(condition),
        )  # fmt: skip
    op.create_index(op.f("ix_sessions_token"), "sessions", ["token"], unique=False)
    messages = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    op.add_column("sessions", sa.Column("messages", messages, nullable=True))
    op.create_table(
        "audit_filters",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), server_default="statements", nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("shared", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("changed_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_filters")),
        sa.UniqueConstraint("owner", "name", name=op.f("uq_audit_filters_owner_name")),
    )
