"""Long texts of statements in the store: each is there once, by its digest, however often it is executed.

The row of a statement has the beginning and the digest. The journal is not like that: it has every text whole, with
every execution. A part of a text is on record before it goes to the database, when nobody can know yet whether the
rest of it is a text that was seen before; and each segment proves its own records without another one at hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from bastion.store import schema

IN_LINE = 4096
"""Characters of a text that stand in the statement's row; longer ones are kept apart."""

whole_text: sa.ColumnElement[str] = sa.func.coalesce(schema.texts.c.text, schema.statements.c.text)
"""The text of a statement, in a query from `statements_with_texts`."""


def statements_with_texts() -> sa.Join:
    """The statements, each beside its long text where it has one."""
    statements, texts = schema.statements, schema.texts
    return statements.outerjoin(texts, texts.c.digest == statements.c.text_digest)


def taken_apart(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The long texts of rows (of statements, or changes to them) as rows of `texts`; the rows keep the beginnings.

    A text that is not whole (yet) has no digest, and stays where it is.
    """
    texts: dict[str, str] = {}
    for row in rows:
        text = row.get("text", "")
        if len(text) > IN_LINE and row.get("text_digest"):
            texts[row["text_digest"]] = text
            row["text"] = text[:IN_LINE]
    return [{"digest": digest, "text": text} for digest, text in texts.items()]
