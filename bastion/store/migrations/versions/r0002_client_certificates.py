"""An account may have a certificate for the TLS to its database, beside its password or instead of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("certificate", sa.Text(), nullable=True))
    op.add_column("accounts", sa.Column("certificate_key", sa.Text(), nullable=True))
