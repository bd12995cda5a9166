"""The index of the words of all statements: FTS5 in SQLite, a GIN index over tsvector in PostgreSQL.

The index follows the statements at some distance, when the store has nothing better to do. Beside words it knows
facts (the person, the tables, the day, …), so that no common filter walks the whole record. Statements that it
does not know yet (those after `words_indexed`, and those in `words_pending`: still running, not whole, or longer than
LONGEST) are looked at one by one by whoever searches, so that an index which is behind costs time, and no answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bastion.api import messages as m
from bastion.store import schema

from .long_texts import statements_with_texts, whole_text
from .words import mark, tables_of, terms_of, terms_wanted

PASS = 2000
"""Statements of one pass at most."""

RETURNING = 500
"""Statements of `words_pending` that a pass looks at again."""

LONGEST = 256 * 1024
"""Characters of a text, and of the values bound to it as JSON, whose words are indexed; longer ones stay pending."""

KNOWN_SHAPES = 4096
MOST_DAYS = 45
"""Days of a period that are asked for one by one; of a longer one the months are."""

MOST_MONTHS = 120
_NAME = "statements"
_FACTS = ("user", "database", "account", "session", "kind", "verdict", "source")
_POWERS = range(7)
"""Rows and milliseconds are known by the powers of ten that they reach."""


@dataclass(frozen=True)
class Indexed:
    """How far the index is: it has the statements up to `number`, but for those that are pending."""

    number: int
    pending: bool


class WordIndex:
    """Fills the index. One at a time for a store: SQLite has one writer, PostgreSQL is asked for a lock."""

    def __init__(self) -> None:
        self._tables: dict[str, frozenset[str]] = {}

    def go_on(self, connection: sa.Connection) -> int:
        """Indexes the next statements, in the caller's transaction; how many were new. 0: there is nothing left."""
        if connection.dialect.name == "postgresql" and not connection.scalar(
            sa.select(sa.func.pg_try_advisory_xact_lock(sa.func.hashtext("casemate words")))
        ):
            return 0
        at = indexed(connection).number
        statements, sessions, pending = schema.statements, schema.sessions, schema.words_pending
        query = (
            sa.select(*_COLUMNS)
            .select_from(statements_with_texts().outerjoin(sessions, sessions.c.session == statements.c.session))
            .limit(PASS)
        )
        new = connection.execute(query.where(statements.c.id > at).order_by(statements.c.id)).all()
        ready = [row for row in new if row.ready]
        waiting = [{"statement_id": row.id} for row in new if not row.ready]
        again = connection.execute(
            query.where(statements.c.id.in_(sa.select(pending.c.statement_id)), _READY).limit(RETURNING)
        ).all()
        self._add(connection, [*ready, *again])
        if waiting:
            connection.execute(sa.insert(pending), waiting)
        if again:
            connection.execute(sa.delete(pending).where(pending.c.statement_id.in_([row.id for row in again])))
        if new:
            _move(connection, at, new[-1].id)
        return len(new)

    def _add(self, connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> None:
        if not rows:
            return
        values = [{"id": row.id, "terms": self._terms(row)} for row in rows]
        if connection.dialect.name == "postgresql":
            insert = sa.text(
                "INSERT INTO statement_words (id, words) VALUES (:id, array_to_tsvector(:terms)) ON CONFLICT DO NOTHING"
            )
            connection.execute(insert, [{"id": each["id"], "terms": sorted(each["terms"])} for each in values])
        else:
            insert = sa.text("INSERT INTO statement_words (rowid, words) VALUES (:id, :terms)")
            connection.execute(insert, [{"id": each["id"], "terms": " ".join(each["terms"])} for each in values])

    def _terms(self, row: sa.Row[Any]) -> set[str]:
        terms = terms_of(row.text)
        for bind in row.binds or ():
            if bind is not None:
                terms |= terms_of(bind)
        terms.update(mark(fact, getattr(row, fact) or "") for fact in _FACTS)
        terms.update(mark("table", table) for table in self._tables_of(row))
        terms.update((mark("day", row.at[:10]), mark("month", row.at[:7])))
        terms.update(f"rows_{power}" for power in _POWERS if (row.rows or 0) >= 10**power)
        terms.update(f"ms_{power}" for power in _POWERS if (row.duration_ms or 0) >= 10**power)
        if row.error is not None:
            terms.add("error_")
        return terms

    def _tables_of(self, row: sa.Row[Any]) -> frozenset[str]:
        if not row.digest:
            return tables_of(row.text, row.engine or "")
        tables = self._tables.get(row.digest)
        if tables is None:
            if len(self._tables) >= KNOWN_SHAPES:
                self._tables.clear()
            tables = self._tables[row.digest] = tables_of(row.text, row.engine or "")
        return tables


_STATEMENTS = schema.statements
_READY = (
    _STATEMENTS.c.complete
    & (sa.func.length(whole_text) <= LONGEST)
    & (sa.func.coalesce(sa.func.length(sa.cast(_STATEMENTS.c.binds, sa.Text)), 0) <= LONGEST)
    & ((_STATEMENTS.c.state != "sent") | schema.sessions.c.ended_at.is_not(None))
)
_COLUMNS = (
    _STATEMENTS.c.id, whole_text.label("text"), *(
        _STATEMENTS.c[name]
        for name in ("binds", "digest", "at", "user", "database", "account", "session", "kind", "verdict", "rows",
                     "duration_ms", "error")
    ),
    schema.sessions.c.engine, schema.sessions.c.source, sa.func.coalesce(_READY, sa.false()).label("ready"),
)  # fmt: skip


def indexed(connection: sa.Connection) -> Indexed:
    """How far the index is."""
    table, pending = schema.words_indexed, schema.words_pending
    number = connection.scalar(sa.select(table.c.number).where(table.c.name == _NAME)) or 0
    return Indexed(number, connection.scalar(sa.select(pending.c.statement_id).limit(1)) is not None)


@dataclass(frozen=True)
class Wanted:
    """What the index is asked: terms that must be there, beginnings of such, and sets of which one must be there."""

    whole: frozenset[str]
    begins: frozenset[str]
    one_of: tuple[tuple[str, ...], ...]

    def __bool__(self) -> bool:
        return bool(self.whole or self.begins or self.one_of)


def asked_of_index(wanted: m.StatementFilter, words: Iterable[str]) -> Wanted:
    """A filter as the index knows it: what it finds, and maybe more, meets the filter. `words`: those it has."""
    whole, begins = terms_wanted(words)
    for fact in (*_FACTS, "table"):
        if (value := getattr(wanted, fact)) is not None:
            whole.add(mark(fact, value))
    for name, least in (("rows", wanted.least_rows), ("ms", wanted.least_ms)):
        reached = [power for power in _POWERS if least is not None and least >= 10**power]
        if reached:
            whole.add(f"{name}_{reached[-1]}")
    if wanted.error:
        whole.add("error_")
    return Wanted(frozenset(whole), frozenset(begins), _period(wanted.since, wanted.until))


def matching(connection: sa.Connection, wanted: Wanted) -> sa.TextClause:
    """The condition on the index."""
    # Terms are ASCII letters, digits and underscores: nothing in them can be read as an operator.
    if connection.dialect.name == "postgresql":
        parts = [*(f"'{term}'" for term in sorted(wanted.whole)), *(f"'{term}':*" for term in sorted(wanted.begins))]
        parts += ["('" + "' | '".join(terms) + "')" for terms in wanted.one_of]
        return sa.text("statement_words.words @@ CAST(:wanted AS tsquery)").bindparams(wanted=" & ".join(parts))
    parts = [*(f'"{term}"' for term in sorted(wanted.whole)), *(f'"{term}" *' for term in sorted(wanted.begins))]
    parts += ['("' + '" OR "'.join(terms) + '")' for terms in wanted.one_of]
    return sa.text("statement_words MATCH :wanted").bindparams(wanted=" AND ".join(parts))


def _period(since: str | None, until: str | None) -> tuple[tuple[str, ...], ...]:
    """The days, or the months, that lie in a period; () where it has no beginning, or is too long for either."""
    if since is None:
        return ()
    try:
        first = datetime.fromisoformat(since).astimezone(UTC)
        last = datetime.now(UTC) if until is None else datetime.fromisoformat(until).astimezone(UTC)
    except (ValueError, OverflowError):  # the search itself says so
        return ()
    days = (last.date() - first.date()).days + 1
    if days <= MOST_DAYS:
        return (tuple(mark("day", str(first.date() + timedelta(days=day))) for day in range(max(days, 1))),)
    months = (last.year - first.year) * 12 + last.month - first.month + 1
    if months > MOST_MONTHS:
        return ()
    numbers = range(first.month - 1, first.month - 1 + months)
    return (tuple(mark("month", f"{first.year + number // 12:04d}-{number % 12 + 1:02d}") for number in numbers),)


def index_table(connection: sa.Connection) -> tuple[sa.TableClause, sa.ColumnClause[int]]:
    """The index, and its column with the statement's id."""
    key: sa.ColumnClause[int] = sa.column("id" if connection.dialect.name == "postgresql" else "rowid", sa.BigInteger)
    return sa.table("statement_words", key), key


def forget(connection: sa.Connection) -> None:
    """Empties the index: it is made again from the statements, from the first one on."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("TRUNCATE statement_words"))
    else:
        connection.execute(sa.text("INSERT INTO statement_words (statement_words) VALUES ('delete-all')"))
    for table in (schema.words_pending, schema.words_indexed):
        connection.execute(sa.delete(table))


def _move(connection: sa.Connection, before: int, to: int) -> None:
    table = schema.words_indexed
    moved = connection.execute(
        sa.update(table).where(table.c.name == _NAME, table.c.number == before).values(number=to)
    )
    if not moved.rowcount:
        connection.execute(sa.insert(table).values(name=_NAME, number=to))
