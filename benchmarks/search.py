"""Questions to the record: how long the first page takes, over many statements in the default store.

    python -m benchmarks.search [--statements 1000000] [--json FILE]

The statements go through the same tables and the same index as those of a bastion; `plain` reads the record without
the index of words, which is what a filter on the table's text costs. Both are in one run.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bastion.api import messages as m
from bastion.audit.search import find_statements
from bastion.audit.word_index import WordIndex, forget
from bastion.store import schema
from bastion.store.store import Store, sqlite_url

from .program import main_of
from .setting import Setting

QUICK = ("--statements", "20000")
FULL = ("--statements", "1000000")
AT_ONCE = 10_000
OF_A_SESSION = 200
PAGE = 100
TRIES = 3
PLAIN_UP_TO = 1_000_000


def _week() -> dict[str, str]:
    return {"since": "2026-06-10T00:00:00Z", "until": "2026-06-17T00:00:00Z"}


KINDS = ("select", "update", "select", "insert", "update")
TEXTS = (
    "SELECT abalance FROM pgbench_accounts WHERE aid = {}",
    "UPDATE orders SET status = 'paid' WHERE id = {}",
    "SELECT c.name, o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = {}",
    "INSERT INTO audit_log (who, what, at) VALUES ('user{}', 'login', now())",
    "UPDATE 历史订单 SET 状态 = '已付' WHERE 编号 = {}",
)
SHARES = (60, 20, 10, 9, 1)

QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("a common word", {"words": ["orders"]}),
    ("a common word, newest first", {"words": ["orders"], "newest": True}),
    ("a word that is nowhere", {"words": ["nowhere"]}),
    ("Chinese, inside a name", {"words": ["订单"], "newest": True}),
    ("two words", {"words": ["customers", "4711"]}),
    ("two words that never meet", {"words": ["orders", "login"]}),
    ("a person's, of a table", {"user": "user7", "table": "orders", "newest": True}),
    ("a person's errors", {"user": "user3", "error": True}),
    ("errors, newest first", {"error": True, "newest": True}),
    ("a kind, newest first", {"kind": "insert", "newest": True}),
    ("slower than 10 ms, newest first", {"least_ms": 10.0, "newest": True}),
    ("two hours in June", {"since": "2026-06-10T00:00:00Z", "until": "2026-06-10T02:00:00Z"}),
    ("a source that never was", {"source": "192.0.2.1"}),
    ("most rows first", {"order": "rows"}),
    ("longest first", {"order": "duration"}),
    ("a person's, longest first", {"user": "user7", "order": "duration"}),
    ("of a table, most rows first", {"table": "orders", "order": "rows"}),
    (
        "two kinds, but one person's",
        {"any_of": {"kind": ["insert", "drop"]}, "none_of": {"user": ["user1"]}, "newest": True},
    ),
    ("of a token", {"token": "t7", "newest": True}),
    ("cancelled, newest first", {"state": "cancelled", "newest": True}),
    ("of one shape", {"digest": f"{4:032d}"}),
)


FURTHER: tuple[tuple[str, dict[str, Any]], ...] = (
    ("the newest", {"newest": True}),
    ("the name of a fact as a word", {"words": ["session"]}),
    ("a phrase", {"words": ["SET status = 'paid'"], "newest": True}),
    ("a phrase of common words that is nowhere, a person's", {"words": ["status orders"], "user": "user7"}),
    ("inside a word that is nowhere, in a week", {"words": ["*zzzz"], **_week(), "newest": True}),
    ("a person's", {"user": "user7", "newest": True}),
    ("a person's, in a week, longest first", {"user": "user7", **_week(), "order": "duration"}),
    ("of a database", {"database": "db5", "newest": True}),
    ("of an account", {"account": "app", "newest": True}),
    ("of a session", {"session": "s77"}),
    ("of a table", {"table": "历史订单", "newest": True}),
    ("of a client", {"client": "psql", "newest": True}),
    ("held", {"verdict": "held"}),
    ("failed", {"state": "failed"}),
    ("before February, newest first", {"until": "2026-02-01T00:00:00Z", "newest": True}),
    ("999,990 rows and more", {"least_rows": 999_990}),
    ("slower than 2 s, most rows first", {"least_ms": 2000.0, "order": "rows"}),
    ("of one shape, longest first", {"digest": f"{4:032d}", "order": "duration"}),
    ("of a kind, longest first", {"kind": "insert", "order": "duration"}),
    ("of a word, most rows first", {"words": ["orders"], "order": "rows"}),
)
"""With these, every filter and sort that docs/auditors/searching.md names."""

SLOW: tuple[tuple[str, dict[str, Any]], ...] = (
    ("a phrase of common words that is nowhere", {"words": ["status orders"], "newest": True}),
    ("inside a word that is nowhere", {"words": ["*zzzz"]}),
)
"""What reads all that the rest of the line leaves over."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--statements", type=int, default=1_000_000, help="(default %(default)s)")


def run(setting: Setting, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="casemate-search-") as folder:
        store = Store.open(sqlite_url(Path(folder) / "store.db"))
        store.migrate()
        for statements in _batches(options.statements):
            store.run_now(lambda connection, rows=statements: _insert(connection, rows))  # type: ignore[misc]
        setting.report.table(
            f"Questions to {options.statements:,} statements", ["question", "ms", "plain, ms", "found"]
        )
        plain = (
            {}
            if options.statements > PLAIN_UP_TO
            else {what: _asked(store, wanted) for what, wanted in (*QUESTIONS, *FURTHER)}
        )
        began = time.perf_counter()
        index = WordIndex()
        while store.run_now(index.go_on):
            pass
        each = (time.perf_counter() - began) / options.statements * 1e6
        for what, wanted in (*QUESTIONS, *FURTHER, *SLOW):
            took, found = _asked(store, wanted)
            setting.report.row(what, took, plain[what][0] if what in plain else None, found)
        setting.report.say(f"The index took {each:.0f} µs a statement, at its own time.")
        store.run_now(forget)
        store.close()


def _asked(store: Store, wanted: dict[str, Any]) -> tuple[float, float]:
    """Milliseconds (the best of some tries) and statements of the first page."""
    best, found = float("inf"), 0
    for _ in range(TRIES):
        began = time.perf_counter()
        page = store.read_now(lambda connection: find_statements(connection, m.StatementFilter(limit=PAGE, **wanted)))
        best, found = min(best, time.perf_counter() - began), len(page.statements)
    return best * 1e3, float(found)


def _batches(count: int) -> Iterator[list[dict[str, Any]]]:
    chance = random.Random(1)  # the same statements in each run
    rows: list[dict[str, Any]] = []
    for number in range(count):
        which = chance.choices(range(len(TEXTS)), SHARES)[0]
        session, moment = number // OF_A_SESSION, int(number / count * 365 * 24 * 3600)
        day = moment // 86400
        date = f"2026-{day // 31 + 1:02d}-{day % 31 % 28 + 1:02d}"
        at = f"{date}T{moment // 3600 % 24:02d}:{moment // 60 % 60:02d}:00.000000Z"
        error = "42P01: no such table" if number % 500 == 0 else None
        rows.append({
            "session": f"s{session}", "seq": number % OF_A_SESSION + 1,
            "at": at,
            "user": f"user{session % 50}", "database": f"db{session % 37}", "account": "app", "schema": "public",
            "operation": "query", "kind": KINDS[which], "text": TEXTS[which].format(chance.randrange(10**7)),
            "text_digest": "x", "state": "cancelled" if number % 10_000 == 7 else "done", "error": error,
            # A few are large, a few take long, as in life.
            "rows": chance.randrange(100, 10**6) if number % 50 == 0 else 1,
            "duration_ms": chance.expovariate(1.0) * (1000 if number % 100 == 0 else 1), "bytes_down": 100,
            "digest": f"{which:032d}",
        })  # fmt: skip
        if len(rows) == AT_ONCE:
            yield rows
            rows = []
    if rows:
        yield rows


def _insert(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    connection.execute(sa.insert(schema.statements), rows)
    connection.execute(sa.insert(schema.sessions), sessions_of(rows))


def sessions_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The sessions of a batch; none is in two batches."""
    return [
        {"session": session, "user": row["user"], "database": row["database"], "state": "closed",
         "engine": "postgresql", "source": "10.0.0.9", "client": "psql", "token": f"t{session[1:][-3:].lstrip('0')}",
         "started_at": row["at"], "ended_at": row["at"]}
        for session, row in {row["session"]: row for row in rows}.items()
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main_of(__name__))
