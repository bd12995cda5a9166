"""A statement has the digest of its shape, for finding all that differ only in their values, beside its text's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not by copying the table, as Alembic would on SQLite: there may be many millions of rows.
    op.execute("ALTER TABLE statements RENAME COLUMN digest TO text_digest")
    op.add_column("statements", sa.Column("digest", sa.Text(), server_default="", nullable=False))
    op.create_index(op.f("ix_statements_digest"), "statements", ["digest"], unique=False)
