"""Filters as conditions of SQL, shared by the questions to the record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.protocols.sql_shape import DIGEST_LENGTH
from bastion.store import schema
from bastion.store.moments import to_text

from .long_texts import whole_text
from .rows import storable

ANYWHERE = "*"
"""In front of a word: it may also begin within a word. That looks at every text, which takes its time."""

MAX_WORDS = 32
MAX_WORD = 1000
"""Characters of a word that is looked for."""

MAX_VALUES = 100
"""Values of one field that any, or none, is asked of."""

MOST_SESSIONS = 200
"""Sessions of a token, or a client, that are named one by one; where there are more, statements are looked at."""

SEARCH = "audit.search"
LISTED = ("user", "database", "account", "session", "kind", "verdict", "state", "source", "token")
"""Fields that take one value, any of several, or none of several."""

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


def moment(text: str | None, field: str, method: str = SEARCH) -> str | None:
    """A time of a filter as the store has it: RFC 3339 with a zone, or a period before now. Raises Refused."""
    if text is None:
        return None
    try:
        if _PERIOD.fullmatch(text.strip().lower()):
            return parse_when(text, datetime.now(UTC))
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError(text)
        return to_text(at)
    except (ValueError, OverflowError):
        raise Refused(
            "invalid-params", method=method, detail=f"{field} is not a time with a zone (RFC 3339) nor a period"
        ) from None


def checked_words(words: Sequence[str], method: str = SEARCH) -> list[str]:
    """The words of a filter that say anything. Raises Refused for too many, or one that is too long."""
    if len(words) > MAX_WORDS:
        raise Refused("invalid-params", method=method, detail=f"more than {MAX_WORDS} words")
    for word in words:
        if len(word) > MAX_WORD:
            raise Refused("invalid-params", method=method, detail=f"a word of more than {MAX_WORD} characters")
    return [storable(word) for word in (word.removeprefix(ANYWHERE) for word in words) if word]


def checked_lists(lists: dict[str, list[str]], known: Sequence[str], method: str = SEARCH) -> None:
    """Raises Refused for a field that takes no list, and for lists that are too long."""
    for field, values in lists.items():
        if field not in known:
            raise Refused("invalid-params", method=method, detail=f"{field[:40]} takes no list of values")
        if not 0 < len(values) <= MAX_VALUES or any(len(value) > MAX_WORD for value in values):
            raise Refused("invalid-params", method=method, detail=f"{field} takes 1 to {MAX_VALUES} values")


def contains(column: sa.ColumnElement[Any], word: str) -> sa.ColumnElement[bool]:
    """The text has the word anywhere, in any case."""
    for special in "\\%_":
        word = word.replace(special, "\\" + special)
    return column.ilike(f"%{word}%", escape="\\")


def in_text_or_binds(word: str) -> sa.ColumnElement[bool]:
    """The statement's text, or a value bound to it, has the word anywhere."""
    binds = sa.cast(schema.statements.c.binds, sa.Text)
    return contains(whole_text, word) | sa.func.coalesce(
        contains(binds, msgspec.json.encode(word).decode()[1:-1]), sa.false()
    )


def without_index(connection: sa.Connection, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The column, so that SQLite looks for no index of it: without statistics it would take that for the best."""
    if connection.dialect.name != "sqlite":
        return column
    return sa.literal_column(f'+{column.table.name}."{column.name}"', column.type)


def statement_conditions(
    connection: sa.Connection, wanted: m.StatementFilter, *, indexes: bool = True
) -> Iterator[sa.ColumnElement[bool]]:
    """What a statement has to meet, but for `table` and where a word begins, which only terms know. Raises Refused.

    indexes: False where the question has an index of its own, and SQLite is to use no other.
    """
    table, sessions = schema.statements, schema.sessions
    statements: Mapping[str, sa.ColumnElement[Any]] = {
        column.name: column if indexes else without_index(connection, column) for column in table.c
    }
    checked_lists(wanted.any_of, (*LISTED, "table"))
    checked_lists(wanted.none_of, (*LISTED, "words"))
    for word in checked_words(wanted.words):
        yield in_text_or_binds(word)
    for word in checked_words(wanted.none_of.get("words", ())):
        yield sa.not_(in_text_or_binds(word))
    for name in LISTED:
        one = getattr(wanted, name)
        asked = (None if one is None else [one], wanted.any_of.get(name), wanted.none_of.get(name))
        for place, values in enumerate(asked):
            if values:
                values = [value.lower() if name == "kind" else storable(value) for value in values]
                yield from _listed(connection, statements, name, values, place == 2)
    for digest in (wanted.digest, None if wanted.like is None else digest_like(connection, wanted.like)):
        if digest is not None:
            yield statements["digest"] == digest.lower()
    since, until = moment(wanted.since, "since"), moment(wanted.until, "until")
    if since is not None:
        yield statements["at"] >= since
    if until is not None:
        yield statements["at"] < until
    if wanted.error is not None:
        yield table.c.error.is_not(None) if wanted.error else table.c.error.is_(None)
    if wanted.tools is not None:
        yield table.c.tool != "" if wanted.tools else table.c.tool == ""
    if wanted.seq is not None:
        yield table.c.seq == wanted.seq
    if wanted.client is not None:
        few = sessions_saying(connection, wanted.client)
        yield _in_sessions(connection, statements["session"], few, contains(sessions.c.client, storable(wanted.client)))
    for column, least, most in (
        (statements["rows"], wanted.least_rows, wanted.most_rows),
        (statements["duration_ms"], wanted.least_ms, wanted.most_ms),
    ):
        if least is not None:
            yield column >= least
        if most is not None:
            yield column <= most


def _listed(
    connection: sa.Connection,
    statements: Mapping[str, sa.ColumnElement[Any]],
    name: str,
    values: list[str],
    inverted: bool,
) -> Iterator[sa.ColumnElement[bool]]:
    sessions = schema.sessions
    if name == "token":
        with_token = sessions.c.token.in_(values)
        if inverted:
            yield statements["session"].not_in(sa.select(sessions.c.session).where(with_token))
        else:
            yield _in_sessions(connection, statements["session"], sessions_of(connection, values), with_token)
        return
    column = sessions.c.source if name == "source" else statements[name]
    if inverted:
        yield column.not_in(values)
    elif name == "state":
        # Written out: only then an index of chosen states is taken for it.
        yield sa.or_(*(column == sa.literal_column(f"'{value}'") for value in values if value.isalpha()), sa.false())
    else:
        yield column == values[0] if len(values) == 1 else column.in_(values)


def _in_sessions(
    connection: sa.Connection, column: sa.ColumnElement[Any], few: list[str] | None, those: sa.ColumnElement[bool]
) -> sa.ColumnElement[bool]:
    """The statement's session is one of `few`, or, where they are many, one of `those`."""
    if few is not None:
        return column.in_(few) if few else sa.false()
    # Not by the index of sessions: all of their statements would be sorted for one page.
    walked = without_index(connection, schema.statements.c.session)
    return walked.in_(sa.select(schema.sessions.c.session).where(those))


def sessions_of(connection: sa.Connection, tokens: Sequence[str]) -> list[str] | None:
    """The sessions of tokens, None where they are more than MOST_SESSIONS."""
    return _few_sessions(connection, schema.sessions.c.token.in_(list(tokens)))


def sessions_saying(connection: sa.Connection, client: str) -> list[str] | None:
    """The sessions whose client program says so of itself, None where they are more than MOST_SESSIONS."""
    return _few_sessions(connection, contains(schema.sessions.c.client, storable(client)))


def _few_sessions(connection: sa.Connection, those: sa.ColumnElement[bool]) -> list[str] | None:
    query = sa.select(schema.sessions.c.session).where(those).limit(MOST_SESSIONS + 1)
    found = list(connection.scalars(query))
    return None if len(found) > MOST_SESSIONS else found


def digest_like(connection: sa.Connection, like: str) -> str:
    """The digest that is meant: one itself, or that of the statement `SESSION/SEQ`. Raises Refused for neither."""
    if _DIGEST.fullmatch(like.lower()):
        return like
    named = _STATEMENT.fullmatch(like)
    if named is None:
        raise Refused("invalid-params", method=SEARCH, detail="like is neither SESSION/SEQ of a statement nor a digest")
    session, number = storable(named[1]), int(named[2])
    table = schema.statements
    query = sa.select(table.c.digest).where(table.c.session == session, table.c.seq == number)
    digest: str | None = connection.scalar(query)
    if digest is None:
        raise Refused("statement-unknown", session=session[:64], seq=number)
    if not digest:
        raise Refused("invalid-params", method=SEARCH, detail=f"statement {like[:80]} has no digest")
    return digest
