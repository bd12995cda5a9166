"""The index of the words of all statements: FTS5 in SQLite, a GIN index over tsvector in PostgreSQL.

The index follows the statements at some distance, when the store has nothing better to do. Beside words it knows
facts (the person, the tables, the day, …), so that no common filter walks the whole record. Statements that it
does not know yet (those after `words_indexed`, and those in `words_pending`: still running, not whole, or longer than
LONGEST) are looked at one by one by whoever searches, so that an index which is behind costs time, and no answer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.store import schema

from .beginnings import beginning, terms_beginning
from .periods import period_terms
from .words import mark, tables_of, terms_of, terms_wanted

PASS = 2000
"""Statements of one pass at most."""

RETURNING = 500
"""Statements of `words_pending` that a pass looks at again."""

LONGEST = 256 * 1024
"""Characters of a text, and of the values bound to it as JSON, whose words are indexed; longer ones stay pending."""

KNOWN = 4096
"""Shapes, sessions and combinations of facts that are remembered."""

REMEMBERED = 2000
"""Characters of a text whose words are remembered."""

_NAME = "statements"
_FACTS = ("user", "database", "account", "session", "kind", "verdict", "source")
_POWERS = range(7)
"""Rows and milliseconds are known by the powers of ten that they reach."""


@dataclass(frozen=True)
class Indexed:
    """How far the index is: it has the statements up to `number`, but for those that are pending."""

    number: int
    pending: bool


@dataclass(frozen=True)
class Part:
    """The next statements, read and taken apart, for the index: after number `before`, up to `to`."""

    before: int
    to: int
    new: int
    documents: list[tuple[int, str]]
    waiting: list[int]
    again: list[int]


class IndexMoved(Exception):
    """Somebody else has indexed the same statements meanwhile."""


class WordIndex:
    """Fills the index: `read` and `write` in transactions of their own, so that nobody waits while texts are read."""

    def __init__(self) -> None:
        self._tables: dict[str, str] = {}
        self._facts: dict[tuple[str, ...], str] = {}
        self._sessions: dict[str, tuple[str, str]] = {}

    def go_on(self, connection: sa.Connection, most: int = PASS) -> int:
        """Indexes the next statements, in the caller's transaction; how many were new. 0: there is nothing left."""
        part = self.read(connection, most)
        self.write(connection, part)
        return part.new

    def read(self, connection: sa.Connection, most: int = PASS) -> Part:
        """The next statements, `most` at most, and some of those that were pending and are ready now."""
        at = indexed(connection).number
        new = connection.execute(_NEXT, {"at": at, "longest": LONGEST, "most": most}).all()
        returning = connection.execute(_RETURNING, {"longest": LONGEST, "most": RETURNING}).all()
        ready = [row for row in new if row[-1]]
        self._learn_sessions(connection, [*returning, *ready])
        # The index takes numbers that grow best.
        document = self._terms if connection.dialect.name == "postgresql" else self._words_and_marks
        return Part(
            before=at,
            to=new[-1][0] if new else at,
            new=len(new),
            documents=[(row[0], document(row)) for row in (*returning, *ready)],
            waiting=[row[0] for row in new if not row[-1]],
            again=[row[0] for row in returning],
        )

    def write(self, connection: sa.Connection, part: Part) -> None:
        """Puts what was read into the index. Raises IndexMoved; then nothing may be committed."""
        if connection.dialect.name == "postgresql" and not connection.scalar(
            sa.select(sa.func.pg_try_advisory_xact_lock(sa.func.hashtext("casemate words")))
        ):
            raise IndexMoved
        pending = schema.words_pending
        if part.to != part.before:
            _move(connection, part.before, part.to)
        if part.again:
            gone = connection.execute(sa.delete(pending).where(pending.c.statement_id.in_(part.again)))
            if gone.rowcount != len(part.again):
                raise IndexMoved
        if part.waiting:
            connection.execute(sa.insert(pending), [{"statement_id": number} for number in part.waiting])
        if not part.documents:
            return
        if connection.dialect.name == "postgresql":
            numbers, documents = zip(*part.documents, strict=True)
            connection.exec_driver_sql(_INTO_TSVECTOR, (list(numbers), list(documents)))
        else:
            connection.exec_driver_sql("INSERT INTO statement_words (rowid, words) VALUES (?, ?)", part.documents)

    def remove(self, connection: sa.Connection, numbers: list[int]) -> None:
        """Takes statements that are about to be deleted out of the index, while their rows are still there."""
        pending = schema.words_pending
        waiting = sa.select(pending.c.statement_id).where(pending.c.statement_id.in_(numbers))
        left_out = set(connection.scalars(waiting))
        connection.execute(sa.delete(pending).where(pending.c.statement_id.in_(numbers)))
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("DELETE FROM statement_words WHERE id = ANY(:numbers)"), {"numbers": numbers})
            return
        known = indexed(connection).number
        wanted = [number for number in numbers if number <= known and number not in left_out]
        if not wanted:
            return
        rows = connection.execute(_THESE, {"numbers": wanted, "longest": LONGEST}).all()
        self._learn_sessions(connection, rows)
        documents = [(row[0], self._words_and_marks(row)) for row in rows if row[-1]]
        if documents:
            # What has no content of its own must be told what it was (FTS5, 4.4.4).
            connection.exec_driver_sql(
                "INSERT INTO statement_words (statement_words, rowid, words) VALUES ('delete', ?, ?)", documents
            )

    # --------------------------------------------------------------------------------------------- of one statement

    def _words_and_marks(self, row: Sequence[Any]) -> str:
        """For FTS5, which finds the words of plain text itself: what is not a letter, a digit or `_` parts them."""
        text, binds = row[1], row[2]
        words = text.replace("_", " ") if text.isascii() else " ".join(_terms_of(text))
        for bind in () if binds is None else msgspec.json.decode(binds):
            if bind is not None:
                words += " " + (bind.replace("_", " ") if bind.isascii() else " ".join(terms_of(bind)))
        return words + self._marks(row)

    def _terms(self, row: Sequence[Any]) -> str:
        """For PostgreSQL, which takes terms as they are: each parted from the next by one space."""
        terms = set(_terms_of(row[1]))
        for bind in () if row[2] is None else msgspec.json.decode(row[2]):
            if bind is not None:
                terms |= terms_of(bind)
        return " ".join(terms) + self._marks(row)

    def _marks(self, row: Sequence[Any]) -> str:
        """The facts of a statement, a space before each."""
        _, text, _, digest, at, session, user, database, account, kind, verdict, rows, duration, failed, _ = row
        engine, source = self._sessions.get(session, ("", ""))
        whose = self._facts_of("user", user, "database", database, "account", account, "session", session,
                               "source", source)  # fmt: skip
        what = self._facts_of("kind", kind, "verdict", verdict, "day", at[:10], "month", at[:7])
        tables = self._tables_of(text, digest, engine)
        numbers = f"{_REACHED['rows'][_power(rows)]}{_REACHED['ms'][_power(duration)]}"
        return f"{whose}{what}{tables}{numbers}{' error_' if failed else ''}"

    def _facts_of(self, *facts: str) -> str:
        known = self._facts.get(facts)
        if known is None:
            if len(self._facts) >= KNOWN:
                self._facts.clear()
            known = "".join(f" {mark(fact, value or '')}" for fact, value in zip(facts[::2], facts[1::2], strict=True))
            self._facts[facts] = known
        return known

    def _tables_of(self, text: str, digest: str, engine: str) -> str:
        tables = self._tables.get(digest) if digest else None
        if tables is None:
            tables = "".join(f" {mark('table', table)}" for table in sorted(tables_of(text, engine)))
            if digest:
                if len(self._tables) >= KNOWN:
                    self._tables.clear()
                self._tables[digest] = tables
        return tables

    def _learn_sessions(self, connection: sa.Connection, rows: Iterable[Sequence[Any]]) -> None:
        """Engine and source of the sessions of these rows, which do not change."""
        unknown = {row[5] for row in rows} - self._sessions.keys()
        if len(self._sessions) + len(unknown) > KNOWN:
            self._sessions.clear()
            unknown = {row[5] for row in rows}
        if unknown:
            table = schema.sessions
            query = sa.select(table.c.session, table.c.engine, table.c.source).where(table.c.session.in_(unknown))
            self._sessions.update((row[0], (row[1], row[2])) for row in connection.execute(query))


@lru_cache(maxsize=1024)
def _remembered(text: str) -> frozenset[str]:
    return frozenset(terms_of(text))


def _terms_of(text: str) -> Iterable[str]:
    """Those of a text that may come again as it is, without its values, are remembered."""
    return _remembered(text) if len(text) <= REMEMBERED else terms_of(text)


_REACHED = {
    name: ["".join(f" {name}_{power}" for power in _POWERS[:count]) for count in range(len(_POWERS) + 1)]
    for name in ("rows", "ms")
}
_TENS = [10**power for power in _POWERS]


def _power(number: float | None) -> int:
    """How many of the powers of ten, from 1 on, a number reaches."""
    return 0 if number is None else bisect_right(_TENS, number)


_READY = (
    "(s.complete AND length(coalesce(t.text, s.text)) <= :longest"
    " AND coalesce(length(CAST(s.binds AS TEXT)), 0) <= :longest AND (s.state <> 'sent' OR"
    " EXISTS (SELECT 1 FROM sessions WHERE sessions.session = s.session AND sessions.ended_at IS NOT NULL)))"
)
# As the driver has them: a row's way through SQLAlchemy's types costs as much as all the rest.
_ROWS = (
    "SELECT id, CASE WHEN ready THEN text END, CASE WHEN ready THEN binds END, digest, at, session, owner, base,"  # noqa: S608
    " account, kind, verdict, lines, duration_ms, failed, coalesce(ready, FALSE) FROM ("
    "SELECT s.id, coalesce(t.text, s.text) AS text, CAST(s.binds AS TEXT) AS binds, s.digest, s.at, s.session,"
    ' s."user" AS owner, s."database" AS base, s.account, s.kind, s.verdict, s.rows AS lines, s.duration_ms,'
    f" s.error IS NOT NULL AS failed, {_READY} AS ready"
    " FROM statements AS s LEFT JOIN texts AS t ON t.digest = s.text_digest WHERE "
)
_IN_ORDER = " ORDER BY s.id LIMIT :most) AS part ORDER BY id"
_NEXT = sa.text(f"{_ROWS} s.id > :at {_IN_ORDER}")
_RETURNING = sa.text(f"{_ROWS} s.id IN (SELECT statement_id FROM words_pending) AND {_READY} {_IN_ORDER}")  # noqa: S608
_THESE = sa.text(f"{_ROWS} s.id IN :numbers) AS part").bindparams(sa.bindparam("numbers", expanding=True))
_INTO_TSVECTOR = (
    "INSERT INTO statement_words (id, words) SELECT each.id, array_to_tsvector(string_to_array(each.words, ' '))"
    " FROM unnest(CAST(%s AS bigint[]), CAST(%s AS text[])) AS each (id, words) ON CONFLICT DO NOTHING"
)


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
    return Wanted(frozenset(whole), frozenset(begins), period_terms(wanted.since, wanted.until))


def matching(connection: sa.Connection, wanted: Wanted) -> sa.TextClause:
    """The condition on the index."""
    # Terms are ASCII letters, digits and underscores: nothing in them can be read as an operator.
    if connection.dialect.name == "postgresql":
        parts = [*(f"'{term}'" for term in sorted(wanted.whole)), *(f"'{term}':*" for term in sorted(wanted.begins))]
        parts += ["('" + "' | '".join(terms) + "')" for terms in wanted.one_of]
        return sa.text("statement_words.words @@ CAST(:wanted AS tsquery)").bindparams(wanted=" & ".join(parts))
    parts = [f'"{term}"' for term in sorted(wanted.whole)]
    one_of = list(wanted.one_of)
    for begin in sorted(wanted.begins):
        terms = terms_beginning(connection, begin)
        if terms is None:
            parts.append(beginning(begin))
        else:
            one_of.append(tuple(terms) or (begin,))
    parts += ['("' + '" OR "'.join(terms) + '")' for terms in one_of]
    return sa.text("statement_words MATCH :wanted").bindparams(wanted=" AND ".join(parts))


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
    if moved.rowcount:
        return
    if connection.scalar(sa.select(table.c.number).where(table.c.name == _NAME)) is not None:
        raise IndexMoved
    connection.execute(sa.insert(table).values(name=_NAME, number=to))
