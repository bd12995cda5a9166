"""Failed statements are found by the index of unusual states too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0012"
down_revision = "r0011"
branch_labels = None
depends_on = None

_BEFORE = "state = 'sent' OR state = 'cancelled' OR state = 'refused' OR state = 'skipped'"


def upgrade() -> None:
    op.drop_index("ix_statements_unusual", table_name="statements")
    _make(f"{_BEFORE} OR state = 'failed'")


def _make(condition: str) -> None:
    op.create_index(
        "ix_statements_unusual", "statements", ["state", "id"], unique=False,
        sqlite_where=sa.text(condition), postgresql_where=sa.text(condition),
    )  # fmt: skip
