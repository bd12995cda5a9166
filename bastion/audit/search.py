"""Questions of the record: statements and sessions by filters, from the store."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.protocols.sql_shape import DIGEST_LENGTH
from bastion.store import schema
from bastion.store.moments import to_text

from .long_texts import statements_with_texts, whole_text
from .rows import storable
from .word_index import asked_of_index, index_table, indexed, matching
from .words import tables_of, terms_of, terms_wanted

PAGE = 1000
"""Statements in one page at most, and sessions in one answer."""

PAGE_BYTES = 2 * 1024 * 1024
"""Bytes of one page as JSON at most: it must fit into a line of the control API. A page ends early for it."""

CUT_TEXT = 256 * 1024
"""Characters that are shown of a statement which alone is longer than a page; the record has it whole."""

FETCHED = 100
ANYWHERE = "*"
"""In front of a word: it may also begin within a word. That looks at every text, which takes its time."""

MAX_WORDS = 32
MAX_WORD = 1000
"""Characters of a word that is looked for."""

_STATEMENT_FIELDS = list(m.Statement.__struct_fields__)
_SESSION_FIELDS = [name for name in m.Session.__struct_fields__ if name not in ("id", "running")]

_DIGEST = re.compile(rf"[0-9a-f]{{{DIGEST_LENGTH}}}")
_STATEMENT = re.compile(r"(.{1,100})/(\d{1,18})")
_PERIOD = re.compile(r"(\d{1,9})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_when(text: str, now: datetime) -> str:
    """A moment as the store has it, from RFC 3339, a date (its beginning in UTC), or so long ago (`30m`, `2h`, `3d`).

    Raises ValueError, with a sentence, for anything else.
    """
    period = _PERIOD.fullmatch(text.strip().lower())
    try:
        if period is not None:
            return to_text(now - timedelta(**{_UNITS[period[2]]: int(period[1])}))
        moment = datetime.fromisoformat(text.strip())
        return to_text(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:40]!r} is no point in time. Say 2026-11-22T09:30:00Z, 2026-11-22, or 2h for two hours ago."
        ) from None


def find_statements(connection: sa.Connection, wanted: m.StatementFilter) -> m.StatementPage:
    """One page, in the order of the record or newest first: at most `limit` (0: none of its own), PAGE and PAGE_BYTES.

    Raises Refused for a filter that cannot be understood.
    """
    size = min(wanted.limit, PAGE) if wanted.limit > 0 else PAGE
    found: list[m.Statement] = []
    cursor = 0
    room = PAGE_BYTES
    for row in _rows(connection, wanted, size + 1):
        statement = m.Statement(**dict(zip(_STATEMENT_FIELDS, row[1 : len(_STATEMENT_FIELDS) + 1], strict=True)))
        room -= cut_to_fit(statement)
        if found and (room < 0 or len(found) == size):
            return m.StatementPage(statements=found, cursor=cursor)
        found.append(statement)
        cursor = row[0]
    return m.StatementPage(statements=found, cursor=None)


def _rows(connection: sa.Connection, wanted: m.StatementFilter, limit: int) -> Iterator[sa.Row[Any]]:
    """What is found, in order: from the index of words, and beside it from what that does not know yet."""
    table, sessions = schema.statements, schema.sessions
    fields = (whole_text if name == "text" else table.c[name] for name in _STATEMENT_FIELDS)
    query = sa.select(table.c.id, *fields, sessions.c.engine)
    order = table.c.id.desc() if wanted.newest else table.c.id
    joined = statements_with_texts().outerjoin(sessions, sessions.c.session == table.c.session)
    query = query.where(*_conditions(connection, wanted)).order_by(order).limit(limit)
    plain = query.select_from(joined)
    words = [word for word in wanted.words if not word.startswith(ANYWHERE)]
    asked = asked_of_index(wanted, words)
    if not asked:
        yield from _fetched(connection, plain.where(*_on_page(table.c.id, wanted)))
        return
    state = indexed(connection)
    index, key = index_table(connection)
    # Ordered by the index's own key: then its hits are read in order, and only as many as the page takes.
    by_index = query.select_from(index.join(joined, key == table.c.id)).where(matching(connection, asked))
    by_index = by_index.where(*_on_page(key, wanted)).order_by(None).order_by(key.desc() if wanted.newest else key)
    unknown = [plain.where(*_on_page(table.c.id, wanted, state.number))]
    if state.pending:
        waiting = table.c.id.in_(sa.select(schema.words_pending.c.statement_id))
        unknown.append(plain.where(waiting, *_on_page(table.c.id, wanted)))
    parts = [_fetched(connection, by_index)]
    parts += [_not_indexed(connection, part, words, wanted.table) for part in unknown]
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


def _fetched(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[sa.Row[Any]]:
    with connection.execution_options(yield_per=FETCHED).execute(query) as rows:
        yield from rows


def _not_indexed(
    connection: sa.Connection, query: sa.Select[Any], words: list[str], name: str | None
) -> Iterator[sa.Row[Any]]:
    """Of what the index does not know yet, what it would find: words where they begin, and the table of that name."""
    whole, begins = terms_wanted(words)
    text, binds = (_STATEMENT_FIELDS.index(field) + 1 for field in ("text", "binds"))
    for row in _fetched(connection, query.limit(None)):
        if name is not None and name.lower() not in tables_of(row[text], row.engine or ""):
            continue
        terms = terms_of(row[text]).union(*(terms_of(bind) for bind in row[binds] or () if bind))
        if whole <= terms and all(any(term.startswith(begin) for term in terms) for begin in begins):
            yield row


def _conditions(connection: sa.Connection, wanted: m.StatementFilter) -> Iterator[sa.ColumnElement[bool]]:
    table, sessions = schema.statements, schema.sessions
    for word in _words(wanted.words):
        binds = sa.cast(table.c.binds, sa.Text)
        yield whole_text.ilike(_anywhere(word), escape="\\") | sa.func.coalesce(
            binds.ilike(_anywhere(msgspec.json.encode(word).decode()[1:-1]), escape="\\"), sa.false()
        )
    for name in ("user", "database", "account", "session", "kind", "verdict"):
        value = getattr(wanted, name)
        if value is not None:
            yield table.c[name] == (value.lower() if name == "kind" else storable(value))
    for digest in (wanted.digest, None if wanted.like is None else _digest_like(connection, wanted.like)):
        if digest is not None:
            yield table.c.digest == digest.lower()
    if wanted.since is not None:
        yield table.c.at >= _moment(wanted.since, "since")
    if wanted.until is not None:
        yield table.c.at < _moment(wanted.until, "until")
    if wanted.error is not None:
        yield table.c.error.is_not(None) if wanted.error else table.c.error.is_(None)
    if wanted.source is not None:
        yield sessions.c.source == storable(wanted.source)
    if wanted.client is not None:
        said = sessions.c.client.ilike(_anywhere(storable(wanted.client)), escape="\\")
        yield table.c.session.in_(sa.select(sessions.c.session).where(said))
    if wanted.least_rows is not None:
        yield table.c.rows >= wanted.least_rows
    if wanted.least_ms is not None:
        yield table.c.duration_ms >= wanted.least_ms


def _digest_like(connection: sa.Connection, like: str) -> str:
    """The digest that is meant: one itself, or that of the statement `SESSION/SEQ`. Raises Refused for neither."""
    if _DIGEST.fullmatch(like.lower()):
        return like
    named = _STATEMENT.fullmatch(like)
    if named is None:
        raise Refused(
            "invalid-params", method="audit.search", detail="like is neither SESSION/SEQ of a statement nor a digest"
        )
    session, number = storable(named[1]), int(named[2])
    table = schema.statements
    query = sa.select(table.c.digest).where(table.c.session == session, table.c.seq == number)
    digest: str | None = connection.scalar(query)
    if digest is None:
        raise Refused("statement-unknown", session=session[:64], seq=number)
    if not digest:
        raise Refused("invalid-params", method="audit.search", detail=f"statement {like[:80]} has no digest")
    return digest


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


def find_sessions(connection: sa.Connection, wanted: m.SessionFilter) -> list[m.Session]:
    """Sessions in the order of the record, or newest first; 1,000 at most."""
    table = schema.sessions
    query = sa.select(table.c.session, *(table.c[name] for name in _SESSION_FIELDS))
    if wanted.live:
        query = query.where(table.c.state.in_(("opening", "live")))
    for name, column in (("user", "user"), ("database", "database"), ("id", "session")):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(table.c[column] == storable(value))
    order = table.c.id.desc() if wanted.newest else table.c.id
    limit = min(wanted.limit, PAGE) if wanted.limit > 0 else PAGE
    return [_session(row) for row in connection.execute(query.order_by(order).limit(limit))]


def _session(row: sa.Row[Any]) -> m.Session:
    return m.Session(id=row[0], **dict(zip(_SESSION_FIELDS, row[1:], strict=True)))


def _words(words: list[str]) -> list[str]:
    if len(words) > MAX_WORDS:
        raise Refused("invalid-params", method="audit.search", detail=f"more than {MAX_WORDS} words")
    for word in words:
        if len(word) > MAX_WORD:
            raise Refused("invalid-params", method="audit.search", detail=f"a word of more than {MAX_WORD} characters")
    return [storable(word) for word in (word.removeprefix(ANYWHERE) for word in words) if word]


def _anywhere(word: str) -> str:
    for special in "\\%_":
        word = word.replace(special, "\\" + special)
    return f"%{word}%"


def _moment(text: str, field: str) -> str:
    try:
        return to_text(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise Refused(
            "invalid-params", method="audit.search", detail=f"{field} is not a time with a zone (RFC 3339)"
        ) from None
