"""asyncpg through the bastion, in both TLS modes: its binary protocol, COPY, cursors, listeners and cancel."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.servers.processes import wait_for

from .postgres_place import ACCOUNT, DATABASE, TYPED_LOGIN, Place, cancelled, done, failed


def settings(place: Place) -> dict[str, Any]:
    tls = ssl.create_default_context(cafile=place.authority) if place.tls else False
    return {
        "host": place.host, "port": place.port, "user": TYPED_LOGIN, "database": DATABASE, "ssl": tls, "password": "",
        "timeout": 20, "server_settings": {"application_name": "nightly"},
    }  # fmt: skip


@asynccontextmanager
async def connected(place: Place) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(**settings(place))
    assert (connection._transport.get_extra_info("ssl_object") is not None) is place.tls
    try:
        yield connection
    finally:
        await connection.close()


async def test_rows_values_and_errors(postgres: Place) -> None:
    async with connected(postgres) as connection:
        assert connection.get_server_version().major == 18
        row = await connection.fetchrow("SELECT current_user, current_setting('application_name')")
        assert tuple(row) == (ACCOUNT, "nightly (alice)")
        values = (
            7, 2**40, Decimal("12.3400"), "naïve 数", b"\x00\xff", None, datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC),
            UUID(int=5), [1, 2], True,
        )  # fmt: skip
        query = (
            "SELECT $1::int4, $2::int8, $3::numeric, $4::text, $5::bytea, $6::text, $7::timestamptz, $8::uuid, "
            "$9::int4[], $10::bool"
        )
        assert tuple(await connection.fetchrow(query, *values)) == values
        statement = await connection.prepare("SELECT name FROM items WHERE id = $1")
        assert [await statement.fetchval(n) for n in (1, 5, 99)] == ["item 1", "item 5", None]
        with pytest.raises(asyncpg.UniqueViolationError) as violation:
            await connection.execute("INSERT INTO items (id) VALUES ($1)", 1)
        assert violation.value.detail == "Key (id)=(1) already exists."
        async with connection.transaction():
            assert await connection.execute("UPDATE items SET name = name") == "UPDATE 5"
    session = postgres.session()
    assert session["client"] == "nightly"
    # The driver asks the catalog about types that it meets for the first time.
    own = [each for each in postgres.record(session) if "typeinfo_tree" not in each[0] and "'jit'" not in each[0]]
    binds = [
        "7", "1099511627776", "12.3400", "naïve 数", "\\x00ff", None, "2026-02-03 04:05:06.000007+00:00",
        "00000000-0000-0000-0000-000000000005", "{1,2}", "true",
    ]  # fmt: skip
    by_id = "SELECT name FROM items WHERE id = $1"
    duplicate = '23505: duplicate key value violates unique constraint "items_pkey"'
    assert own == [
        done("SELECT current_user, current_setting('application_name')", 1, []),
        done(query),
        done(query, 1, binds),
        done(by_id, 1, ["1"]),
        done(by_id, 1, ["5"]),
        done(by_id, 0, ["99"]),
        failed("INSERT INTO items (id) VALUES ($1)", duplicate, ["1"]),
        done("BEGIN;"),
        done("UPDATE items SET name = name", 5),
        done("COMMIT;"),
    ]


async def test_executemany_copy_and_cursor(postgres: Place) -> None:
    rows = [(n, f"row {n}") for n in range(1000)]
    async with connected(postgres) as connection:
        await connection.execute("CREATE TEMPORARY TABLE many (n int, what text)")
        await connection.executemany("INSERT INTO many VALUES ($1, $2)", rows)
        assert await connection.copy_records_to_table("many", records=rows) == "COPY 1000"
        got = bytearray()

        async def keep(data: bytes) -> None:
            got.extend(data)

        assert await connection.copy_from_query("SELECT n FROM many WHERE n < $1", 3, output=keep) == "COPY 6"
        assert bytes(got) == b"0\n1\n2\n0\n1\n2\n"
        async with connection.transaction():
            cursor = await connection.cursor("SELECT n FROM many ORDER BY n")
            assert [row["n"] for row in await cursor.fetch(4)] == [0, 0, 1, 1]
            assert await connection.fetchval("SELECT 'another'") == "another"
            assert [row["n"] for row in await cursor.fetch(2)] == [2, 2]
    record = postgres.record(postgres.session())
    insert = "INSERT INTO many VALUES ($1, $2)"
    assert [each for each in record if each[0] == insert and each[1] is not None] == [
        done(insert, 1, [str(n), what]) for n, what in rows
    ]
    quoting = 'SELECT quote_literal($1::"pg_catalog"."int4"::text)'
    assert [each for each in record if each[0] != insert] == [
        done("CREATE TEMPORARY TABLE many (n int, what text)"),
        done('SELECT * FROM "many" LIMIT 1'),
        done('COPY "many" FROM STDIN (FORMAT binary) ', 1000),
        done("SELECT n FROM many WHERE n < $1"),
        done(quoting),
        done(quoting, 1, ["3"]),
        done("COPY (SELECT n FROM many WHERE n < '3') TO STDOUT ", 6),
        done("BEGIN;"),
        done("SELECT n FROM many ORDER BY n"),
        done("SELECT n FROM many ORDER BY n", 4, []),
        done("SELECT 'another'", 1, []),
        done("SELECT n FROM many ORDER BY n", 2, []),
        done("COMMIT;"),
    ]


async def test_listener(postgres: Place) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with connected(postgres) as connection, connected(postgres) as other:

        def ring(_connection: object, _process: int, _channel: str, payload: str) -> None:
            heard.put_nowait(payload)

        await connection.add_listener("bell", ring)
        await other.execute("SELECT pg_notify('bell', $1)", "rings")
        assert await asyncio.wait_for(heard.get(), 20) == "rings"
        await connection.remove_listener("bell", ring)
    assert [postgres.record(each) for each in postgres.sessions(2)] == [
        [done('LISTEN "bell"', None, []), done('UNLISTEN "bell"', None, [])],
        [done("SELECT pg_notify('bell', $1)", 1, ["rings"])],
    ]


async def test_cancel_and_timeout(postgres: Place) -> None:
    """A cancelled task and a time limit both reach the database; the connection stays good."""
    async with connected(postgres) as connection:
        sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(68)"))
        await asyncio.to_thread(wait_for, "pg_sleep(68)", lambda: postgres.server.running("pg_sleep(68)"))
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        with pytest.raises(asyncio.TimeoutError):
            await connection.execute("SELECT pg_sleep(69)", timeout=4)  # longer than the statement is on its way
        assert await connection.fetchval("SELECT 'still here'") == "still here"
        assert postgres.server.running("pg_sleep(68)") == postgres.server.running("pg_sleep(69)") == []
    assert postgres.record(postgres.session(cancels=2)) == [
        cancelled("SELECT pg_sleep(68)"),
        cancelled("SELECT pg_sleep(69)"),
        done("SELECT 'still here'", 1, []),
    ]
