"""Questions of the record: statements by filters, from the store, in the order of the record."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.store import schema
from bastion.store.interruption import Interruption

from .beginnings import rare_in_postgresql
from .few_named import few_named
from .long_texts import statements_with_texts, whole_text
from .rows import LARGEST
from .search_conditions import (
    ANYWHERE,
    SEARCH,
    moment,
    parse_when,
    sessions_of,
    sessions_saying,
    statement_conditions,
)
from .word_index import Wanted, asked_of_index, index_table, indexed, matching
from .words import mark, tables_of, terms_of, terms_wanted

PAGE = 1000
"""Statements in one page at most."""

PAGE_BYTES = 2 * 1024 * 1024
"""Bytes of one page as JSON at most: it must fit into a line of the control API. A page ends early for it."""

CUT_TEXT = 256 * 1024
"""Characters that are shown of a statement which alone is longer than a page; the record has it whole."""

FETCHED = 100

INDEX_FACTS = frozenset({"user", "database", "account", "session", "kind", "verdict", "source", "table"})
"""What the index knows of a statement beside its words, by name."""

STATEMENT_FIELDS = list(m.Statement.__struct_fields__)

__all__ = ["PAGE", "PAGE_BYTES", "cut_to_fit", "find_statements", "found_in_order", "parse_when"]


def find_statements(
    connection: sa.Connection, wanted: m.StatementFilter, interruption: Interruption | None = None
) -> m.StatementPage:
    """One page, in the order that is wanted: at most `limit` (0: none of its own), PAGE and PAGE_BYTES.

    Raises Refused for a filter that cannot be understood, Interrupted.
    """
    interruption = interruption or Interruption()
    size = min(wanted.limit, PAGE) if wanted.limit > 0 else PAGE
    found: list[m.Statement] = []
    cursor, value = 0, None
    room = PAGE_BYTES
    with interruption.of(connection):
        for row, sorted_by in ordered(connection, wanted, size + 1, interruption):
            statement = statement_of(row)
            room -= cut_to_fit(statement)
            if found and (room < 0 or len(found) == size):
                return m.StatementPage(statements=found, cursor=cursor, cursor_value=value)
            found.append(statement)
            cursor, value = row[0], sorted_by
    return m.StatementPage(statements=found, cursor=None)


def ordered(
    connection: sa.Connection, wanted: m.StatementFilter, limit: int, interruption: Interruption
) -> Iterator[tuple[sa.Row[Any], float | None]]:
    """Rows of `selected` in the order that is wanted, each with what `after_value` continues it by."""
    if not wanted.order:
        for row in found_in_order(connection, wanted, limit, interruption):
            yield row, None
        return
    from .ordered_search import largest_first

    yield from largest_first(connection, wanted, limit, interruption)


def statement_of(row: sa.Row[Any]) -> m.Statement:
    """A row of `selected` as a statement."""
    return m.Statement(**dict(zip(STATEMENT_FIELDS, row[1 : len(STATEMENT_FIELDS) + 1], strict=True)))


def selected() -> sa.Select[Any]:
    """The statement's id, its fields and its session's engine; from `joined`."""
    table, sessions = schema.statements, schema.sessions
    fields = (whole_text if name == "text" else table.c[name] for name in STATEMENT_FIELDS)
    return sa.select(table.c.id, *fields, sessions.c.engine)


def joined() -> sa.Join:
    """Statements with their long texts and their sessions."""
    sessions = schema.sessions
    return statements_with_texts().outerjoin(sessions, sessions.c.session == schema.statements.c.session)


def words_of_index(wanted: m.StatementFilter) -> list[str]:
    """The words that the index knows: those that begin where a word begins."""
    return [word for word in wanted.words if not word.startswith(ANYWHERE)]


def asked(connection: sa.Connection, wanted: m.StatementFilter) -> Wanted:
    """What the index is asked for a filter; nothing where it knows nothing of it."""
    since, until = moment(wanted.since, "since"), moment(wanted.until, "until")
    if until is not None and since is None:
        since = connection.scalar(sa.select(sa.func.min(schema.statements.c.at)))
    found = asked_of_index(msgspec.structs.replace(wanted, since=since, until=until), words_of_index(wanted))
    one_of = [
        tuple(mark(fact, value) for value in values) for fact, values in wanted.any_of.items() if fact in INDEX_FACTS
    ]
    tokens = wanted.any_of.get("token") or ([wanted.token] if wanted.token is not None else [])
    if tokens:
        sessions = sessions_of(connection, tokens)
        if sessions:
            one_of.append(tuple(mark("session", session) for session in sessions))
        elif sessions is None:
            one_of += _whose(connection, tokens)
    if wanted.client is not None and (sessions := sessions_saying(connection, wanted.client)):
        one_of.append(tuple(mark("session", session) for session in sessions))
    return dataclasses.replace(found, one_of=(*found.one_of, *one_of))


def _whose(connection: sa.Connection, tokens: list[str]) -> Iterator[tuple[str, ...]]:
    """The persons and the databases of tokens; a token has one of each."""
    sessions = schema.sessions
    query = sa.select(sessions.c.user, sessions.c.database).limit(1)
    rows = [connection.execute(query.where(sessions.c.token == token)).first() for token in tokens]
    for place, fact in enumerate(("user", "database")):
        yield tuple({mark(fact, row[place]) for row in rows if row is not None})


def found_in_order(
    connection: sa.Connection,
    wanted: m.StatementFilter,
    limit: int | None,
    interruption: Interruption,
    *more: sa.ColumnElement[bool],
) -> Iterator[sa.Row[Any]]:
    """What is found, in order: from the index of words, and beside it from what that does not know yet.

    `more`: conditions beside the filter's.
    """
    table = schema.statements
    order = table.c.id.desc() if wanted.newest else table.c.id
    query = selected().where(*statement_conditions(connection, wanted), *more).order_by(order).limit(limit)
    plain = query.select_from(joined())
    if (named := few_named(connection, wanted)) is not None:
        few = plain.where(table.c.id.in_(named), *_on_page(table.c.id, wanted))
        yield from not_indexed(connection, few, wanted, interruption)
        return
    of_index = asked(connection, wanted)
    if not of_index:
        yield from fetched(connection, plain.where(*_on_page(table.c.id, wanted)))
        return
    state = indexed(connection)
    index, key = index_table(connection)
    # Ordered by the index's own key: then its hits are read in order, and only as many as the page takes.
    by_index = query.select_from(index.join(joined(), key == table.c.id)).where(matching(connection, of_index))
    by_index = by_index.where(*_on_page(key, wanted)).order_by(None).order_by(key.desc() if wanted.newest else key)
    if connection.dialect.name == "postgresql" and rare_in_postgresql(connection, of_index.begins):
        hits = sa.select(key).select_from(index).where(matching(connection, of_index)).cte("hits")
        rare = sa.select(hits.prefix_with("MATERIALIZED", dialect="postgresql").c.id)
        by_index = plain.where(table.c.id.in_(rare), *_on_page(table.c.id, wanted))
    unknown = [plain.where(*_on_page(table.c.id, wanted, state.number))]
    if state.pending:
        waiting = table.c.id.in_(sa.select(schema.words_pending.c.statement_id))
        unknown.append(plain.where(waiting, *_on_page(table.c.id, wanted)))
    parts = [fetched(connection, by_index)]
    parts += [not_indexed(connection, part, wanted, interruption) for part in unknown]
    last: int | None = None
    for row in heapq.merge(*parts, key=itemgetter(0), reverse=wanted.newest):
        if row[0] != last:
            yield row
        last = row[0]


def _on_page(
    key: sa.ColumnElement[int], wanted: m.StatementFilter, beyond: int = 0
) -> Iterator[sa.ColumnElement[bool]]:
    """What comes after `wanted.after` in the order of the page, of the statements `beyond` a number."""
    least = beyond if wanted.newest else max(wanted.after, beyond)
    if least:  # one bound a side: SQLite goes by the first that it is given
        yield key > least
    if wanted.newest and wanted.after:
        yield key < wanted.after


def fetched(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[sa.Row[Any]]:
    """The rows of a query, some at a time."""
    with connection.execution_options(yield_per=FETCHED).execute(query) as rows:
        yield from rows


def not_indexed(
    connection: sa.Connection, query: sa.Select[Any], wanted: m.StatementFilter, interruption: Interruption
) -> Iterator[sa.Row[Any]]:
    """Of what the index does not know yet, what it would find: words where they begin, and the table of that name."""
    whole, begins = terms_wanted(words_of_index(wanted))
    named = wanted.any_of.get("table") or ([wanted.table] if wanted.table is not None else [])
    tables = {name.lower() for name in named}
    text, binds = (STATEMENT_FIELDS.index(field) + 1 for field in ("text", "binds"))
    for row in fetched(connection, query.limit(None)):
        interruption.check()
        if tables and tables.isdisjoint(tables_of(row[text], row.engine or "")):
            continue
        if whole or begins:
            terms = terms_of(row[text]).union(*(terms_of(bind) for bind in row[binds] or () if bind))
            if not whole <= terms or not all(any(term.startswith(begin) for term in terms) for begin in begins):
                continue
        yield row


def check_bounds(wanted: m.StatementFilter) -> None:
    """Raises Refused for numbers that no store takes."""
    numbers = (wanted.after, wanted.limit, wanted.seq, wanted.least_rows, wanted.most_rows)
    if any(number is not None and abs(number) > LARGEST for number in numbers):
        raise Refused("invalid-params", method=SEARCH, detail="a number is out of range")


def cut_to_fit(statement: m.Statement, most: int = PAGE_BYTES) -> int:
    """Bytes of the statement in an answer. What an answer of `most` cannot carry is cut, and says so at its end."""
    size = len(msgspec.json.encode(statement))
    if size > most and len(statement.text) > CUT_TEXT:
        length = len(statement.text)
        statement.text = f"{statement.text[:CUT_TEXT]}… (cut: {length} characters in all)"
        size = len(msgspec.json.encode(statement))
    if size > most and statement.binds:
        count, room = 0, CUT_TEXT
        for bind in statement.binds:
            room -= len(bind or "") + 4
            if room < 0:
                break
            count += 1
        statement.binds = [*statement.binds[:count], f"… (cut: {len(statement.binds)} values in all)"]
        size = len(msgspec.json.encode(statement))
    return size
