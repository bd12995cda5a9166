"""An auditor's lock of a person stands in a table of its own, with its reason."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0009"
down_revision = "r0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    locks = op.create_table(
        "user_locks",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("until", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
    )
    users = sa.table("users", sa.column("name"), sa.column("locked_until"), sa.column("locked_by"))
    locked = sa.select(users.c.name, users.c.locked_until, users.c.locked_by, sa.literal(""), users.c.locked_until)
    op.execute(
        locks.insert().from_select(
            ["name", "until", "by", "reason", "at"], locked.where(users.c.locked_until.is_not(None))
        )
    )
    op.drop_column("users", "locked_until")
