"""All terms of SQLite's index of words that begin alike, as far as they are few.

FTS5 collects every statement of a beginning (`"orders" *`) before it gives the first; the terms themselves it reads in
order, only as far as the page goes. And a beginning like `session` is that of the facts too (`session_3f…`, of which
every statement has one): by name they are left out.
"""

from __future__ import annotations

import re

import sqlalchemy as sa

MOST_TERMS = 24
"""Terms that are named; where more begin so, FTS5 is asked for the beginning."""

MOST_LOOKS = 6000
"""Terms looked at: about a tenth of a millisecond each."""

_TERMS = "CREATE VIRTUAL TABLE IF NOT EXISTS temp.statement_terms USING fts5vocab(main, statement_words, instance)"
_NEXT = "SELECT term FROM temp.statement_terms WHERE term >= ? AND term < ? LIMIT 1"
_FACT = re.compile(r"[a-z]+_(?:[0-9a-f]{18}|[0-9]?)")
"""A fact (words.mark), a power of ten, or `error_`. What stands for a character of a text has 4, 6 or 8 digits."""

FACTS = frozenset({
    "user", "database", "account", "session", "kind", "verdict", "source", "table", "day", "month",
    "rows", "ms", "error",
})  # fmt: skip
"""The names that facts begin with (word_index.py)."""

_FIRST_BYTES = range(0xC2, 0xF5)
"""Of characters beyond ASCII, in UTF-8; the byte behind begins with 8, 9, a or b."""


def terms_beginning(connection: sa.Connection, begin: str) -> list[str] | None:
    """The terms of texts that begin so, in order; None where they are more than MOST_TERMS, or too far apart."""
    connection.exec_driver_sql(_TERMS)
    found: list[str] = []
    at, end = begin, begin + "{"  # behind "z"
    for _look in range(MOST_LOOKS):
        term = connection.exec_driver_sql(_NEXT, (at, end)).scalar()
        if term is None:
            return found
        if _FACT.fullmatch(term):
            at = _behind(term)
            continue
        found.append(term)
        if len(found) > MOST_TERMS:
            return None
        at = term + "0"  # no character of a term comes before it
    return None


def beginning(begin: str) -> str:
    """What FTS5 is asked where the terms are too many to be named: of a fact's name, all but most of the facts."""
    if begin not in FACTS:
        return f'"{begin}" *'
    within = [f"{begin}{character}" for character in "0123456789abcdefghijklmnopqrstuvwxyz"]
    beyond = [f"{begin}_{first:02x}{nibble}" for first in _FIRST_BYTES for nibble in "89ab"]
    return f'("{begin}" OR ' + " OR ".join(f'"{each}" *' for each in within + beyond) + ")"


def _behind(fact: str) -> str:
    """Where the first term of a text may stand behind this fact: a word that goes on beyond ASCII, or the next one."""
    name, digits = fact.split("_")
    if len(digits) < 4:
        return f"{fact}0"
    first = int(digits[:2], 16)
    if first not in _FIRST_BYTES:
        return f"{name}_c28" if first < _FIRST_BYTES.start else f"{name}a"
    if digits[2] < "8":
        return f"{name}_{digits[:2]}8"
    if digits[2] > "b":
        return f"{name}_{first + 1:02x}8"
    return f"{fact}0"


def rare_in_postgresql(connection: sa.Connection, begins: frozenset[str]) -> bool:
    """Whether one of these beginnings is of no common term, by PostgreSQL's statistics.

    Its planner takes two per cent of all statements for what has a beginning, and would walk them in their order.
    """
    return any(connection.execute(_COMMON, {"begin": begin}).first() is None for begin in begins)


_COMMON = sa.text(
    "SELECT 1 FROM pg_stats, unnest(CAST(CAST(most_common_elems AS text) AS text[])) AS term"
    " WHERE schemaname = current_schema() AND tablename = 'statement_words' AND attname = 'words'"
    " AND starts_with(term, :begin) LIMIT 1"
)
