"""The words of all statements, for searches: an FTS5 table, or a tsvector with a GIN index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0007"
down_revision = "r0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "words_indexed",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_words_indexed")),
    )
    op.create_table(
        "words_pending",
        sa.Column("statement_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_words_pending")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE TABLE statement_words (id bigint PRIMARY KEY, words tsvector NOT NULL)")
        op.execute("CREATE INDEX ix_statement_words_words ON statement_words USING gin (words)")
    else:
        # Without the texts themselves, which the statements have, and without the places of words, which nobody asks.
        op.execute(
            "CREATE VIRTUAL TABLE statement_words USING fts5"
            "(words, content='', detail=none, columnsize=0, tokenize=\"ascii tokenchars '_'\")"
        )
