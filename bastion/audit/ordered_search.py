"""Statements sorted by rows or by duration, the largest first.

Sorted is what reaches LEAST rows or milliseconds: the store has an index of those alone, so that the many small
statements cost nothing to keep. What is below it follows, newest first. Where a filter leaves few of the large ones,
the index of words names them and they are sorted; where it leaves many, the sorted index is walked until the page is
full, which is soon then.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.store import schema
from bastion.store.interruption import Interruption

from . import search
from .few_named import FEW, LEAST, few_named
from .search_conditions import SEARCH, statement_conditions, without_index
from .word_index import index_table, indexed, matching

_COLUMNS = {"rows": ("rows", "least_rows", "most_rows"), "duration": ("duration_ms", "least_ms", "most_ms")}


def largest_first(
    connection: sa.Connection, wanted: m.StatementFilter, limit: int, interruption: Interruption
) -> Iterator[tuple[sa.Row[Any], float]]:
    """Rows with what each is sorted by, 0 for those that are not. Raises Refused for an order that there is not."""
    if wanted.order not in _COLUMNS:
        raise Refused("invalid-params", method=SEARCH, detail=f"order is one of {', '.join(_COLUMNS)}")
    column_name, least_name, _most = _COLUMNS[wanted.order]
    column = schema.statements.c[column_name]
    place = search.STATEMENT_FIELDS.index(column_name) + 1
    value = wanted.after_value
    left = limit
    if value is None or value >= LEAST:
        large = msgspec.structs.replace(wanted, **{least_name: max(getattr(wanted, least_name) or 0, LEAST)})
        for row in _sorted(connection, large, column, interruption):
            yield row, float(row[place])
            left -= 1
            if not left:
                return
    small = msgspec.structs.replace(
        wanted, newest=True, after=wanted.after if value is not None and value < LEAST else 0
    )
    below = (column < LEAST) | column.is_(None)
    for row in search.found_in_order(connection, small, left, interruption, below):
        yield row, 0.0


def _sorted(
    connection: sa.Connection, wanted: m.StatementFilter, column: sa.Column[Any], interruption: Interruption
) -> Iterator[sa.Row[Any]]:
    table = schema.statements
    place = search.STATEMENT_FIELDS.index(column.name) + 1
    query = (
        search.selected()
        .where(*statement_conditions(connection, wanted, indexes=False))
        .order_by(column.desc(), table.c.id.desc())
        .select_from(search.joined())
    )
    known = _few(connection, wanted, column)
    if known is None:
        # Written out: only then the store sees that its index of large ones has them all.
        walk = query.where(sa.text(f"statements.{column.name} >= {LEAST}"), *_beyond(wanted, column))
        yield from search.not_indexed(connection, walk, wanted, interruption)
        return
    named = query.where(*_beyond(wanted, without_index(connection, column)))
    parts = [search.fetched(connection, named.where(table.c.id.in_(known[0])))]
    if known[1]:
        parts.append(search.not_indexed(connection, named.where(table.c.id.in_(known[1])), wanted, interruption))
    last: int | None = None
    for row in heapq.merge(*parts, key=lambda row: (row[place], row[0]), reverse=True):
        if row[0] != last:
            yield row
        last = row[0]


def _few(
    connection: sa.Connection, wanted: m.StatementFilter, column: sa.Column[Any]
) -> tuple[list[int], list[int]] | None:
    """The numbers of what the index finds, and of what it does not know yet; None where they are many, or all."""
    least = _COLUMNS["rows" if column.name == "rows" else "duration"][1]
    if (named := few_named(connection, wanted)) is not None:
        return [], named
    if not search.asked(connection, msgspec.structs.replace(wanted, **{least: None})):
        return None
    index, key = index_table(connection)
    hits = sa.select(key).select_from(index).where(matching(connection, search.asked(connection, wanted)))
    found = list(connection.scalars(hits.limit(FEW + 1)))
    if len(found) > FEW:
        return None
    statements, pending = schema.statements, schema.words_pending
    state = indexed(connection)
    large = sa.text(f"statements.{column.name} >= {LEAST}")
    new = list(connection.scalars(sa.select(statements.c.id).where(statements.c.id > state.number, large).limit(FEW)))
    if state.pending:
        new += connection.scalars(sa.select(pending.c.statement_id).limit(FEW))
    return (found, new) if len(new) < FEW else None


def _beyond(wanted: m.StatementFilter, column: sa.ColumnElement[Any]) -> Iterator[sa.ColumnElement[bool]]:
    """What comes after the page before."""
    if wanted.after_value is None:
        return
    yield column <= wanted.after_value
    yield (column < wanted.after_value) | (schema.statements.c.id < wanted.after)
