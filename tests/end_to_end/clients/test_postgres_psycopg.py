"""psycopg 3 through the bastion, in both TLS modes: rows, errors, cancel, and the record of each."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.pq import ExecStatus as Status
from psycopg.pq.abc import PGconn
from psycopg.types.json import Jsonb

from tests.servers.processes import wait_for

from .postgres_place import ACCOUNT, DATABASE, TYPED_LOGIN, Place, cancelled, done, failed


def settings(place: Place) -> dict[str, Any]:
    where = {"host": place.host, "port": place.port, "dbname": DATABASE, "user": TYPED_LOGIN, "connect_timeout": 20}
    tls = {"sslmode": "verify-full", "sslrootcert": str(place.authority)} if place.tls else {"sslmode": "disable"}
    return {**where, **tls, "application_name": "report"}


@contextmanager
def connected(place: Place, **more: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**settings(place), autocommit=True, **more) as connection:
        assert connection.pgconn.ssl_in_use == place.tls
        yield connection


def pipelined(connection: PGconn, queries: Sequence[tuple[bytes, bytes]]) -> list[int]:
    """Sends all queries before it reads an answer, which `Connection.pipeline` leaves to chance."""
    connection.enter_pipeline_mode()
    for query, value in queries:
        connection.send_query_params(query, [value])
    connection.pipeline_sync()
    while connection.flush():
        select.select([], [connection.socket], [], 20)
    statuses: list[int] = []
    while len(statuses) <= len(queries):
        result = connection.get_result()
        if result is not None:
            statuses.append(result.status)
    connection.exit_pipeline_mode()
    return statuses


def test_values_of_many_types(postgres: Place) -> None:
    """Binary and text, both ways; the record has every value as PostgreSQL writes it."""
    values = (
        7, 2**40, 1.5, Decimal("12.3400"), "naïve 数", b"\x00\xff", True, None, date(2026, 2, 3),
        datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC), [1, 2, 3], Jsonb({"a": [1, None]}),
    )  # fmt: skip
    types = "int4,int8,float8,numeric,text,bytea,bool,text,date,timestamptz,int4[],jsonb"
    with connected(postgres) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        for placeholder in ("%t", "%b"):
            query = "SELECT " + ", ".join(f"{placeholder}::{name}" for name in types.split(","))
            row = connection.execute(query, values, binary=placeholder == "%b").fetchone()
            assert row == (*values[:-1], {"a": [1, None]})
    session = postgres.session()
    assert session["client"] == "report"
    text = "SELECT " + ", ".join(f"${n}::{name}" for n, name in enumerate(types.split(","), 1))
    binds = [
        "7", "1099511627776", "1.5", "12.3400", "naïve 数", "\\x00ff", "true", None, "2026-02-03",
        "2026-02-03 04:05:06.000007+00:00", "{1,2,3}", '{"a": [1, null]}',
    ]  # fmt: skip
    as_text = ["t" if value == "true" else value for value in binds]
    assert postgres.record(session) == [done("SET TIME ZONE 'UTC'"), done(text, 1, as_text), done(text, 1, binds)]


def test_errors_and_transactions(postgres: Place) -> None:
    with connected(postgres) as connection:
        row = connection.execute("SELECT current_user, current_setting('application_name')").fetchone()
        assert row == (ACCOUNT, "report (alice)")
        with pytest.raises(psycopg.errors.UniqueViolation) as violation, connection.transaction():
            connection.execute("INSERT INTO items (id, name) VALUES (%s, %s)", (1, "twice"))
        assert violation.value.diag.constraint_name == "items_pkey"
        assert violation.value.diag.message_detail == "Key (id)=(1) already exists."
        with connection.transaction(force_rollback=True):
            assert connection.execute("UPDATE items SET price = 0").rowcount == 5
    duplicate = '23505: duplicate key value violates unique constraint "items_pkey"'
    assert postgres.record(postgres.session()) == [
        done("SELECT current_user, current_setting('application_name')", 1),
        done("BEGIN"),
        failed("INSERT INTO items (id, name) VALUES ($1, $2)", duplicate, ["1", "twice"]),
        done("ROLLBACK"),
        done("BEGIN"),
        done("UPDATE items SET price = 0", 5),
        done("ROLLBACK"),
    ]


def test_executemany_and_pipeline(postgres: Place) -> None:
    """A thousand rows before one Sync; a pipeline with an error in its middle."""
    rows = [(n, f"row {n}") for n in range(1000)]
    with connected(postgres) as connection:
        connection.execute("CREATE TEMPORARY TABLE many (n int, what text)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO many VALUES (%s, %s)", rows)
            assert cursor.rowcount == 1000
        assert pipelined(
            connection.pgconn,
            [(b"SELECT $1::int + 1", b"1"), (b"SELECT 1 / $1::int", b"0"), (b"SELECT $1::int + 3", b"3")],
        ) == [Status.TUPLES_OK, Status.FATAL_ERROR, Status.PIPELINE_ABORTED, Status.PIPELINE_SYNC]
        assert connection.execute("SELECT count(*), max(n) FROM many").fetchone() == (1000, 999)
    record = [each for each in postgres.record(postgres.session()) if each[1] is not None or "many" not in each[0]]
    inserted = [each for each in record if each[0].startswith("INSERT")]
    assert inserted == [done("INSERT INTO many VALUES ($1, $2)", 1, [str(n), what]) for n, what in rows]
    assert [each for each in record if each not in inserted] == [
        done("SELECT $1::int + 1", 1, ["1"]),
        failed("SELECT 1 / $1::int", "22012: division by zero", ["0"]),
        ("SELECT $1::int + 3", ["3"], "skipped", None, None),
    ]


@pytest.mark.parametrize("binary", [False, True])
def test_copy(postgres: Place, binary: bool) -> None:
    form = " (FORMAT binary)" if binary else ""
    with connected(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE loaded (n int, what text)")
        with cursor.copy(f"COPY loaded FROM STDIN{form}") as copy:
            copy.set_types(["int4", "text"])
            for n in range(500):
                copy.write_row((n, "x" * n))
        with cursor.copy(f"COPY loaded TO STDOUT{form}") as copy:
            copy.set_types(["int4", "text"])
            assert [(n, len(what)) for n, what in copy.rows()] == [(n, n) for n in range(500)]
        with pytest.raises(RuntimeError, match="given up"), cursor.copy(f"COPY loaded FROM STDIN{form}") as copy:
            copy.write_row((1, "one"))
            raise RuntimeError("given up")
    assert postgres.record(postgres.session())[1:] == [
        done(f"COPY loaded FROM STDIN{form}", 500),
        done(f"COPY loaded TO STDOUT{form}", 500),
        failed(
            f"COPY loaded FROM STDIN{form}",
            "57014: COPY from stdin failed: error from Python: RuntimeError - given up",
        ),
    ]


def test_server_cursor(postgres: Place) -> None:
    with connected(postgres) as connection, connection.transaction():
        with connection.cursor(name="pages") as cursor:
            cursor.execute("SELECT n FROM generate_series(1, %s) AS n", (2500,))
            assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
            cursor.scroll(2000)
            assert cursor.fetchone() == (2004,)
        assert connection.execute("SELECT 'another'").fetchone() == ("another",)
    assert postgres.record(postgres.session()) == [
        done("BEGIN"),
        done('DECLARE "pages" CURSOR FOR SELECT n FROM generate_series(1, $1) AS n', None, ["2500"]),
        done('FETCH FORWARD 3 FROM "pages"', 3),
        done('MOVE 2000 FROM "pages"', 2000),
        done('FETCH FORWARD 1 FROM "pages"', 1),
        done('CLOSE "pages"'),
        done("SELECT 'another'", 1),
        done("COMMIT"),
    ]


def test_streaming_and_notifications(postgres: Place) -> None:
    with connected(postgres) as connection:
        assert sum(n for (n,) in connection.cursor().stream("SELECT generate_series(1, 10000)")) == 50_005_000
        connection.execute("LISTEN bell")
        with connected(postgres) as other:
            other.execute("SELECT pg_notify(%s, %s)", ("bell", "rings"))
        [note] = connection.notifies(timeout=20, stop_after=1)
        assert (note.channel, note.payload) == ("bell", "rings")
    sessions = postgres.sessions(2)
    assert [postgres.record(each) for each in sessions] == [
        [done("SELECT generate_series(1, 10000)", 10_000, []), done("LISTEN bell")],
        [done("SELECT pg_notify($1, $2)", 1, ["bell", "rings"])],
    ]


def test_cancel(postgres: Place) -> None:
    with connected(postgres) as connection:

        def cancel() -> None:
            wait_for("pg_sleep(66) at work", lambda: postgres.server.running("pg_sleep(66)"))
            connection.cancel_safe(timeout=20)

        with ThreadPoolExecutor() as pool:
            asked = pool.submit(cancel)
            with pytest.raises(psycopg.errors.QueryCanceled, match="canceling statement due to user request"):
                connection.execute("SELECT pg_sleep(66)")
            asked.result()
        assert postgres.server.running("pg_sleep(66)") == []
        assert connection.execute("SELECT 'still here'").fetchone() == ("still here",)
    record = postgres.record(postgres.session(cancels=1))
    assert record == [cancelled("SELECT pg_sleep(66)"), done("SELECT 'still here'", 1)]


async def test_async(postgres: Place) -> None:
    """The same driver on asyncio: rows, a task's cancellation that reaches the database, COPY, a pipeline."""
    connection = await psycopg.AsyncConnection.connect(**settings(postgres), autocommit=True)
    async with connection:
        cursor = await connection.execute("SELECT id FROM items WHERE id > %s ORDER BY id", (3,))
        assert await cursor.fetchall() == [(4,), (5,)]
        sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(67)"))
        await asyncio.to_thread(wait_for, "pg_sleep(67)", lambda: postgres.server.running("pg_sleep(67)"))
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        assert postgres.server.running("pg_sleep(67)") == []
        async with connection.cursor() as other, other.copy("COPY items (id) TO STDOUT") as copy:
            assert [row async for row in copy.rows()] == [("1",), ("2",), ("3",), ("4",), ("5",)]
        async with connection.pipeline():
            first = await connection.execute("SELECT %s::int", (1,))
            second = await connection.execute("SELECT %s::int", (2,))
            assert (await first.fetchone(), await second.fetchone()) == ((1,), (2,))
    assert postgres.record(postgres.session(cancels=1)) == [
        done("SELECT id FROM items WHERE id > $1 ORDER BY id", 2, ["3"]),
        cancelled("SELECT pg_sleep(67)"),
        done("COPY items (id) TO STDOUT", 5),
        done("SELECT $1::int", 1, ["1"]),
        done("SELECT $1::int", 1, ["2"]),
    ]
