"""Statements that an index of the store's own names, where they are few: of one shape, of a rare state, very large."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from bastion.api import messages as m
from bastion.store import schema

from .search_conditions import digest_like

FEW = 5_000
"""Statements that are named at most."""

LEAST = 100
"""Rows, and milliseconds, from which on statements are sorted. It is in the store's indexes and in docs."""

RARE_STATES = ("sent", "cancelled", "refused", "skipped", "failed")
"""Those that the store has an index of (schema.py)."""


def few_named(connection: sa.Connection, wanted: m.StatementFilter) -> list[int] | None:
    """The numbers of all statements that may meet the filter; None where no index names them, or too many.

    Raises Refused for a `like` that is no statement.
    """
    for condition in _conditions(connection, wanted):
        found = list(connection.scalars(sa.select(schema.statements.c.id).where(condition).limit(FEW + 1)))
        if len(found) <= FEW:
            return found
    return None


def _conditions(connection: sa.Connection, wanted: m.StatementFilter) -> Iterator[sa.ColumnElement[bool]]:
    table = schema.statements
    digest = wanted.digest if wanted.like is None else digest_like(connection, wanted.like)
    if digest is not None:
        yield table.c.digest == digest.lower()
    if wanted.state in RARE_STATES:
        yield table.c.state == sa.literal_column(f"'{wanted.state}'")
    for name, least in (("rows", wanted.least_rows), ("duration_ms", wanted.least_ms)):
        if least is not None and least > LEAST:
            # Written out: only then the store sees that its index of large ones has them all.
            yield sa.and_(sa.text(f"statements.{name} >= {LEAST}"), table.c[name] >= least)
