"""Long texts of statements are kept once each, by their digest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0006"
down_revision = "r0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "texts",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_texts")),
    )
    op.execute(
        "INSERT INTO texts (digest, text) SELECT text_digest, min(text) FROM statements "
        "WHERE length(text) > 4096 AND text_digest <> '' GROUP BY text_digest"
    )
    op.execute("UPDATE statements SET text = substr(text, 1, 4096) WHERE length(text) > 4096 AND text_digest <> ''")
