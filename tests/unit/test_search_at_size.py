"""What makes searches fast at many statements changes no answer; and the benchmark's store is like one that grew."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.audit import few_named, search_conditions
from bastion.audit.beginnings import terms_beginning
from bastion.audit.periods import period_terms
from bastion.audit.records import AnyRecord
from bastion.audit.rows import UNKNOWN, Batch, write
from bastion.audit.search import find_statements
from bastion.audit.word_index import WordIndex, forget
from bastion.audit.words import mark
from bastion.store import schema
from bastion.store.store import Store
from benchmarks import search as benchmark
from benchmarks.filled_store import fill

from .journal_samples import done, logged_in, opened, sent
from .test_projection import migrated_store, store  # noqa: F401 - the fixtures, for both databases

COUNT = 3000
TEXTS = (
    "select session, kind from tables_used where user_name = 'error'",
    "select 1 from sessioné",
    "select 2 from sessão, table1",
    "select 3",
)

FILTERS: list[dict[str, Any]] = [
    {},
    {"words": ["orders"], "newest": True},
    {"words": ["user1"]},
    {"words": ["user"], "newest": True},
    {"words": ["user", "login"], "database": "db3"},
    {"words": ["*rder"], "user": "user3"},
    {"words": ["订单"], "newest": True},
    {"words": ["orders", "c"]},
    {"client": "psql", "newest": True},
    {"client": "psql", "order": "rows"},
    {"client": "nobody"},
    {"token": "t7", "newest": True},
    {"token": "t7", "order": "duration"},
    {"any_of": {"token": ["t3", "t7"]}, "words": ["accounts"]},
    {"until": "2026-02-10T00:00:00Z", "newest": True},
    {"until": "2026-02-10T00:00:00Z", "order": "duration"},
    {"since": "2026-02-10T00:00:00Z", "until": "2026-09-02T12:00:00Z"},
    {"least_rows": 500_000},
    {"least_rows": 500_000, "words": ["orders"], "newest": True},
    {"least_ms": 1000.0, "newest": True},
    {"least_rows": 500_000, "least_ms": 1000.0},
    {"state": "cancelled", "user": "user0"},
    {"digest": f"{4:032d}", "order": "rows"},
    {"digest": f"{4:032d}", "words": ["订单"]},
]


def index(store: Store) -> None:  # noqa: F811
    words = WordIndex()
    while store.run_now(words.go_on):
        pass


def found(store: Store, wanted: dict[str, Any]) -> list[tuple[str, int]]:  # noqa: F811
    """All that is found, page by page."""
    everything: list[tuple[str, int]] = []
    after, value = 0, None
    while True:
        filters = m.StatementFilter(**{**wanted, "after": after, "after_value": value, "limit": 700})
        page = store.read_now(lambda connection, f=filters: find_statements(connection, f))  # type: ignore[misc]
        everything += [(each.session, each.seq) for each in page.statements]
        if page.cursor is None:
            return everything
        after, value = page.cursor, page.cursor_value


def contents(store: Store) -> dict[str, Any]:  # noqa: F811
    def read(connection: sa.Connection) -> dict[str, Any]:
        tables = (schema.statements, schema.sessions, schema.words_indexed, schema.words_pending)
        rows: dict[str, Any] = {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=str) for table in tables
        }
        if store.is_sqlite:
            connection.exec_driver_sql(
                "CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, statement_words, instance)"
            )
            rows["words"] = sorted(map(tuple, connection.exec_driver_sql("SELECT term, doc FROM temp.words")))
            connection.exec_driver_sql("DROP TABLE temp.words")
            indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        else:
            query = "SELECT id, words::text FROM statement_words ORDER BY id"
            rows["words"] = list(map(tuple, connection.exec_driver_sql(query)))
            indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
        rows["indexes"] = sorted(map(tuple, connection.exec_driver_sql(indexes)))
        return rows

    return store.read_now(read)


def test_a_store_that_is_filled_at_once_is_like_one_that_grew(
    store: Store,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(benchmark, "AT_ONCE", 1000)
    empty = contents(store)["indexes"]
    for rows in benchmark._batches(COUNT):
        store.run_now(lambda connection, rows=rows: benchmark._insert(connection, rows))  # type: ignore[misc]
    index(store)
    grown = contents(store)
    store.run_now(_clear)
    fill(store, benchmark._batches(COUNT), benchmark.sessions_of)
    at_once = contents(store)
    assert [*map(len, (grown["statements"], grown["sessions"]))] == [COUNT, COUNT / benchmark.OF_A_SESSION]
    assert len(grown["words"]) >= COUNT
    for name, rows in grown.items():
        assert at_once[name] == rows, name
    assert at_once["indexes"] == empty


def _clear(connection: sa.Connection) -> None:
    """Everything goes, and numbers begin at 1 again."""
    forget(connection)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("TRUNCATE statements, sessions RESTART IDENTITY")
        return
    for table in (schema.statements, schema.sessions):
        connection.execute(sa.delete(table))


def test_few_and_many_are_found_alike(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    for rows in benchmark._batches(COUNT):
        store.run_now(lambda connection, rows=rows: benchmark._insert(connection, rows))  # type: ignore[misc]
    plain = [found(store, wanted) for wanted in FILTERS]
    assert sum(map(bool, plain)) > len(FILTERS) - 3
    index(store)
    assert [found(store, wanted) for wanted in FILTERS] == plain
    monkeypatch.setattr(search_conditions, "MOST_SESSIONS", 0)
    monkeypatch.setattr(few_named, "FEW", 0)
    assert [found(store, wanted) for wanted in FILTERS] == plain


def test_a_word_that_is_the_name_of_a_fact(store: Store) -> None:  # noqa: F811
    batch = Batch("n1", lambda _session: UNKNOWN)
    records: list[AnyRecord] = [opened(), logged_in()]
    for number, text in enumerate(TEXTS, 1):
        records += [sent(number, text), done(number)]
    batch.take(enumerate(records, 1))
    store.run_now(lambda connection: write(connection, batch))
    index(store)
    words = {
        "session": [1, 2],
        "sess": [1, 2, 3],
        "sessã": [3],
        "table": [1, 3],
        "tables": [1],
        "error": [1],
        "day": [],
    }
    seen = {word: [number for _session, number in found(store, {"words": [word]})] for word in words}
    assert seen == words
    if store.is_sqlite:
        terms = store.read_now(lambda connection: {word: terms_beginning(connection, word) for word in words})
        assert terms["session"] == ["session", "session_c3a9"]
        assert terms["table"] == ["table1", "tables"]
        assert terms["day"] == []


def test_days_and_months_of_a_period() -> None:
    (terms,) = period_terms("2026-01-30T23:00:00Z", "2026-04-02T00:00:00+08:00")
    days = ["2026-01-30", "2026-01-31", "2026-04-01"]
    assert set(terms) == {*(mark("day", day) for day in days), mark("month", "2026-02"), mark("month", "2026-03")}
    assert period_terms("2026-02-01T00:00:00Z", "2026-02-28T10:00:00Z") == ((mark("month", "2026-02"),),)
    assert period_terms("2026-05-05T00:00:00Z", "2026-05-04T00:00:00Z") == ((mark("day", "2026-05-05"),),)
    assert period_terms(None, "2026-05-04T00:00:00Z") == ()
    assert period_terms("2010-05-05T00:00:00Z", "2026-05-04T00:00:00Z") == ()
