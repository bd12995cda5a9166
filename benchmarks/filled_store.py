"""A store with very many statements, in minutes: the rows, and the index of words, as the projection leaves them.

The statements' own indexes are taken off first and made again at the end, which is several times faster than keeping
them; the words go into their index by the code that a bastion has for it, in passes of the same size.
tests/unit/test_search_at_size.py compares such a store with one that was filled row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa

from bastion.audit.word_index import WordIndex
from bastion.store import schema
from bastion.store.store import Store

CHECKPOINT_PAGES = 20_000
"""SQLite's write-ahead log goes into the file after so many pages while the store is filled, and not after 1,000."""

CACHE_KIB = 512 * 1024
_GIN = "CREATE INDEX ix_statement_words_words ON statement_words USING gin (words)"


Rows = list[dict[str, Any]]


def fill(store: Store, batches: Iterable[Rows], sessions_of: Callable[[Rows], Rows]) -> None:
    """Puts the statements of `batches` (rows of `statements`, all with the same columns) and their words into it.

    sessions_of: the rows of `sessions` that belong to a batch. The store is new and nobody else is at it.
    """
    indexes = sorted(schema.statements.indexes, key=lambda index: str(index.name))
    with store.engine.connect() as connection:
        settled = _hurried(store, connection)
        with connection.begin():
            for index in indexes:
                index.drop(connection)
            if not store.is_sqlite:
                connection.exec_driver_sql("DROP INDEX ix_statement_words_words")
        for rows in batches:
            with connection.begin():
                _put(store, connection, rows)
                connection.execute(sa.insert(schema.sessions), sessions_of(rows))
        words = WordIndex()
        left = True
        while left:
            with connection.begin():
                left = words.go_on(connection) > 0
        for index in indexes:
            with connection.begin():
                index.create(connection)
        if not store.is_sqlite:
            with connection.begin():
                connection.exec_driver_sql(_GIN)
        for statement in settled:
            connection.connection.cursor().execute(statement)
        connection.connection.commit()
    if not store.is_sqlite:
        with store.engine.connect() as connection:
            quiet = connection.execution_options(isolation_level="AUTOCOMMIT")
            quiet.exec_driver_sql("SET statement_timeout = 0")
            quiet.exec_driver_sql("VACUUM ANALYZE")
            quiet.exec_driver_sql("RESET statement_timeout")


def _hurried(store: Store, connection: sa.Connection) -> list[str]:
    """Lets the connection hurry; the statements that make it what it was."""
    raw = connection.connection.cursor()
    if store.is_sqlite:
        for pragma in ("synchronous = OFF", f"wal_autocheckpoint = {CHECKPOINT_PAGES}", f"cache_size = -{CACHE_KIB}"):
            raw.execute(f"PRAGMA {pragma}")
        return [
            f"PRAGMA {pragma}" for pragma in ("synchronous = NORMAL", "wal_autocheckpoint = 1000", "cache_size = -2000")
        ]
    raw.execute("SET statement_timeout = 0")
    raw.execute("SET maintenance_work_mem = '1GB'")
    connection.connection.commit()
    return ["RESET statement_timeout", "RESET maintenance_work_mem"]


def _put(store: Store, connection: sa.Connection, rows: Rows) -> None:
    names = list(rows[0])
    columns = ", ".join(f'"{name}"' for name in names)
    cursor: Any = connection.connection.cursor()
    if store.is_sqlite:
        marks = ", ".join("?" * len(names))
        cursor.executemany(
            f"INSERT INTO statements ({columns}) VALUES ({marks})",
            [tuple(row.values()) for row in rows],
        )
        return
    with cursor.copy(f"COPY statements ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(tuple(row.values()))
