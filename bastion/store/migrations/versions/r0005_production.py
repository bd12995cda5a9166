"""A database may be marked as production."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("databases", sa.Column("production", sa.Boolean(), server_default=sa.false(), nullable=False))
