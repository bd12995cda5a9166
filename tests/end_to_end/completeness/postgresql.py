"""The completeness cases for PostgreSQL. Each works in a connection of its own and leaves nothing behind."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg

from tests.protocols.postgres import messages as m

from .case import Cases, OnRecord, Place
from .postgresql_wire import Wire

cases = Cases()
case = cases.case


@contextmanager
def driver(place: Place, **settings: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(
        host=place.host, port=place.port, dbname=place.database, user=place.user, password=place.password,
        application_name=place.client, sslmode="disable", autocommit=True, connect_timeout=20, **settings,
    ) as connection:  # fmt: skip
        yield connection


# ------------------------------------------------------------------------------------------------------- whole texts


@case("a statement hidden behind what looks like a comment, and the comments themselves")
def comments_are_kept(place: Place) -> list[OnRecord]:
    texts = [
        "-- SELECT 'harmless'\nSELECT 'real'",
        "/* outer /* inner */ still a comment */ SELECT 'after nested'",
        "SELECT 'a' -- DROP TABLE x",
        "SELECT /*! DROP TABLE x */ 'mysql only'",
        "SELECT 1 # 3",
    ]
    with driver(place) as connection:
        for text in texts:
            connection.execute(text.encode(), prepare=False)
    return [OnRecord(text, rows=1, kind="select") for text in texts]


@case("what stands between dollar quotes: DO blocks and functions, with semicolons and quotes in them")
def dollar_quotes_are_kept(place: Place) -> list[OnRecord]:
    block = "DO $do$ BEGIN PERFORM 1; EXECUTE 'SELECT ''$$; --'''; END $do$"
    function = "CREATE FUNCTION pg_temp.twice(n int) RETURNS int LANGUAGE sql AS $$ SELECT n * 2; $$"
    with driver(place) as connection:
        connection.execute(block)
        connection.execute(function)
        assert connection.execute("SELECT pg_temp.twice(21)").fetchone() == (42,)
    return [
        OnRecord(block, kind="do"),
        OnRecord(function, kind="create"),
        OnRecord("SELECT pg_temp.twice(21)", rows=1, kind="select"),
    ]


@case("statements behind the first of one string")
def several_statements_in_one_string(place: Place) -> list[OnRecord]:
    both = "SELECT 1; SELECT n FROM generate_series(1, 4) AS n; SELECT ';' AS one"
    broken = "SELECT 1; SELECT 1/0; SELECT 3"
    with Wire(place) as wire:
        assert wire.ask(m.query(both)).count("D") == 6
        assert wire.ask(m.query(broken)).count("E") == 1
    return [
        OnRecord(both, rows=6),
        OnRecord(broken, rows=1, state="failed", error="22012: division by zero"),
    ]


@case("the end of a long statement")
def a_megabyte_of_text(place: Place) -> list[OnRecord]:
    text = f"SELECT length('{'é' * 500_000}') -- the end of it"
    assert len(text.encode()) > 1_000_000
    with driver(place) as connection:
        assert connection.execute(text.encode()).fetchone() == (500_000,)
        prepared = f"SELECT %s::int + length('{'x' * 1_000_000}')"
        assert connection.execute(prepared, (1,)).fetchone() == (1_000_001,)
    return [OnRecord(text, rows=1), OnRecord(prepared.replace("%s", "$1"), ["1"], rows=1)]


@case("queries of nothing, of which the server says nothing")
def empty_statements(place: Place) -> list[OnRecord]:
    with Wire(place) as wire:
        assert wire.ask(m.query("")) == "IZ"
        assert wire.ask(m.query(";; -- nothing")) == "IZ"
        assert wire.ask(m.parse(""), m.bind(), m.execute(), m.SYNC) == "12IZ"
    return [OnRecord(""), OnRecord(";; -- nothing"), OnRecord("", [])]


# --------------------------------------------------------------------------------------------- the extended protocol


@case("all but the first of a driver's batch, which sends one statement once and a thousand rows of values")
def a_thousand_rows_before_one_sync(place: Place) -> list[OnRecord]:
    text = "INSERT INTO batch VALUES ($1, $2)"
    rows = [(str(number), None if number % 10 == 0 else f"row {number}") for number in range(1000)]
    with Wire(place) as wire:
        wire.ask(m.query("CREATE TEMPORARY TABLE batch (id int, what text)"))
        sent = [m.parse(text, "s1")]
        for row in rows:
            values = tuple(None if value is None else value.encode() for value in row)
            sent += [m.bind(values, statement="s1"), m.execute()]
        assert wire.ask(*sent, m.SYNC) == "1" + "2C" * 1000 + "Z"
        assert wire.value("SELECT count(*) FROM batch") == "1000"
    return [
        OnRecord("CREATE TEMPORARY TABLE batch (id int, what text)"),
        *(OnRecord(text, row, rows=1, kind="insert") for row in rows),
        OnRecord("SELECT count(*) FROM batch", rows=1),
    ]


@case("the values of executemany, which a driver sends as a pipeline")
def executemany(place: Place) -> list[OnRecord]:
    with driver(place) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE many (id int, what text)")
        cursor.executemany("INSERT INTO many VALUES (%s, %s)", [(n, f"value {n}") for n in range(200)])
        assert cursor.rowcount == 200
    text = "INSERT INTO many VALUES ($1, $2)"
    # The driver prepares the statement on the way; that it did is on record, and the executions are, each with values.
    return [
        OnRecord("CREATE TEMPORARY TABLE many (id int, what text)"),
        *(OnRecord(text, [str(n), f"value {n}"], rows=1, kind="insert") for n in range(200)),
    ]


@case("the pages after the first of a result that is fetched in pages, and what runs between them")
def paging_and_then_another_statement(place: Place) -> list[OnRecord]:
    text = "SELECT n FROM generate_series(1, 5) AS n WHERE n > $1"
    with Wire(place) as wire:
        wire.ask(m.query("BEGIN"))
        assert wire.ask(m.parse(text), m.bind((b"0",), portal="c"), m.execute("c", 2), m.SYNC) == "12DDsZ"
        assert wire.ask(m.parse("SELECT 'another'"), m.bind(), m.execute(), m.SYNC) == "12DCZ"
        assert wire.ask(m.execute("c", 2), m.SYNC) == "DDsZ"
        assert wire.ask(m.execute("c", 2), m.SYNC) == "DCZ"
        wire.ask(m.query("COMMIT"))
    return [
        OnRecord("BEGIN"),
        OnRecord(text, ["0"], rows=2),
        OnRecord("SELECT 'another'", [], rows=1),
        OnRecord(text, ["0"], rows=2),
        OnRecord(text, ["0"], rows=1),
        OnRecord("COMMIT"),
    ]


@case("what a server cursor fetched")
def server_cursor(place: Place) -> list[OnRecord]:
    query = "SELECT n FROM generate_series(1, 25) AS n"
    with driver(place) as connection, connection.transaction(), connection.cursor("pages") as cursor:
        cursor.execute(query)
        assert len(cursor.fetchmany(10)) == 10
        assert len(cursor.fetchall()) == 15
    return [
        OnRecord("BEGIN"),
        OnRecord(f'DECLARE "pages" CURSOR FOR {query}'),
        OnRecord('FETCH FORWARD 10 FROM "pages"', rows=10),
        OnRecord('FETCH FORWARD ALL FROM "pages"', rows=15),
        OnRecord('CLOSE "pages"'),
        OnRecord("COMMIT"),
    ]


@case("which statement of a pipeline failed, and that those behind it never ran")
def an_error_in_the_middle_of_a_pipeline(place: Place) -> list[OnRecord]:
    def run(text: str, *values: str) -> list[bytes]:
        return [m.parse(text), m.bind(tuple(value.encode() for value in values)), m.execute()]

    with Wire(place) as wire:
        kinds = wire.ask(
            *run("SELECT $1::int", "1"), *run("SELECT 1/$1::int", "0"), *run("SELECT $1::int", "3"),
            *run("SELECT 'never'"), m.SYNC,
        )  # fmt: skip
        assert kinds == "12DC1EZ"
        assert wire.ask(*run("SELECT 'after'"), m.SYNC) == "12DCZ"
    return [
        OnRecord("SELECT $1::int", ["1"], rows=1),
        OnRecord("SELECT 1/$1::int", ["0"], state="failed", error="22012: division by zero"),
        OnRecord("SELECT $1::int", ["3"], state="skipped"),
        OnRecord("SELECT 'never'", [], state="skipped"),
        OnRecord("SELECT 'after'", [], rows=1),
    ]


@case("statements that failed before they ran: at Parse, at Bind, at the commit")
def errors_at_every_step(place: Place) -> list[OnRecord]:
    table = "CREATE TEMPORARY TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)"
    insert = "INSERT INTO late VALUES (1), (1)"
    with Wire(place) as wire:
        assert wire.ask(m.parse("SELEC 1"), m.bind(), m.execute(), m.SYNC) == "EZ"
        assert wire.ask(m.parse("SELECT $1::int"), m.bind((b"x",)), m.execute(), m.SYNC) == "1EZ"
        wire.ask(m.query(table))
        assert wire.ask(m.parse(insert), m.bind(), m.execute(), m.SYNC) == "12CEZ"
    return [
        OnRecord("SELEC 1", [], state="failed", error='42601: syntax error at or near "SELEC"'),
        OnRecord("SELECT $1::int", ["x"], state="failed", error="22P02: invalid input syntax for type integer"),
        OnRecord(table),
        # The database said that it inserted two rows, and took it back at the end of the pipeline.
        OnRecord(insert, [], rows=2),
    ]


@case("which text a handle stood for when its name was used again")
def a_name_is_used_again(place: Place) -> list[OnRecord]:
    with Wire(place) as wire:
        assert wire.ask(m.parse("SELECT $1::int + 1", "s"), m.SYNC) == "1Z"
        for value in (b"1", b"2", b"3"):
            assert wire.ask(m.bind((value,), statement="s"), m.execute(), m.SYNC) == "2DCZ"
        assert wire.ask(m.close("S", "s"), m.parse("SELECT 'other ' || $1", "s"), m.SYNC) == "31Z"
        assert wire.ask(m.bind((b"x",), statement="s"), m.execute(), m.SYNC) == "2DCZ"
        # Both at once: a name that is closed and given anew within one pipeline.
        assert wire.ask(
            m.close("S", "s"), m.parse("SELECT 'third'", "s"), m.bind(statement="s"), m.execute(), m.SYNC
        ) == "312DCZ"  # fmt: skip
        # A name that the server refuses to give again stands for what it stood for.
        assert wire.ask(m.parse("SELECT 'fourth'", "s"), m.SYNC) == "EZ"
        assert wire.ask(m.bind(statement="s"), m.execute(), m.SYNC) == "2DCZ"
    first = "SELECT $1::int + 1"
    return [
        OnRecord(first, kind="prepare"),
        *(OnRecord(first, [value], rows=1, kind="select") for value in ("1", "2", "3")),
        OnRecord("SELECT 'other ' || $1", kind="prepare"),
        OnRecord("SELECT 'other ' || $1", ["x"], rows=1),
        OnRecord("SELECT 'third'", [], rows=1),
        OnRecord("SELECT 'fourth'", state="failed", error='42P05: prepared statement "s" already exists'),
        OnRecord("SELECT 'third'", [], rows=1),
    ]


@case("the values of a binary protocol")
def binary_values_are_readable(place: Place) -> list[OnRecord]:
    key = uuid.UUID("12345678-1234-5678-1234-567812345678")
    values = [7, 2.5, Decimal("12.30"), date(2026, 11, 22), b"\x00\xff", key, True, None, [1, 2], "数据"]
    types = ("int", "float8", "numeric", "date", "bytea", "uuid", "bool", "text", "int[]", "text")
    text = "SELECT " + ", ".join(f"%b::{name}" for name in types)
    with driver(place) as connection:
        assert connection.execute(text, values).fetchone() is not None
    for number in range(1, len(types) + 1):
        text = text.replace("%b", f"${number}", 1)
    shown = ["7", "2.5", "12.30", "2026-11-22", "\\x00ff", str(key), "true", None, "{1,2}", "数据"]
    return [OnRecord(text, shown, rows=1)]


@case("a large value: its beginning, its length and its digest")
def a_megabyte_of_value(place: Place) -> list[OnRecord]:
    value = "y" * 1_000_000
    with driver(place) as connection:
        assert connection.execute("SELECT length(%s)", (value,)).fetchone() == (len(value),)
    digest = hashlib.sha256(value.encode()).hexdigest()
    return [OnRecord("SELECT length($1)", [f"{value[:32768]}… (1000000 bytes, sha256 {digest})"], rows=1)]


# ------------------------------------------------------------------------------------------------ other ways to work


@case("a function that is called without SQL")
def function_call(place: Place) -> list[OnRecord]:
    with Wire(place) as wire:
        oid = int(wire.value("SELECT 'md5(text)'::regprocedure::oid::int"))
        assert wire.ask(m.function_call(oid, b"shout")) == "VZ"
        assert wire.ask(m.function_call(4_000_000_000)) == "EZ"
    return [
        OnRecord("SELECT 'md5(text)'::regprocedure::oid::int", rows=1),
        OnRecord(f"function OID {oid}", ["shout"]),
        OnRecord("function OID 4000000000", [""], state="failed", error="42883: function with OID 4000000000"),
    ]


@case("what COPY moved, in and out, and one that the client gave up")
def copy_both_ways(place: Place) -> list[OnRecord]:
    with Wire(place) as wire:
        wire.ask(m.query("CREATE TEMPORARY TABLE moved (id int, what text)"))
        wire.send(m.query("COPY moved FROM STDIN"))
        assert wire.until("G") == "G"
        assert wire.ask(*(m.copy_data(b"%d\tline\n" % n) for n in range(500)), m.COPY_DONE) == "CZ"
        wire.send(m.query("COPY moved FROM STDIN"))
        assert wire.until("G") == "G"
        assert wire.ask(m.copy_data(b"7\tnever\n"), m.copy_fail("changed my mind")) == "EZ"
        assert wire.ask(m.query("COPY moved TO STDOUT")).count("d") == 500
    return [
        OnRecord("CREATE TEMPORARY TABLE moved (id int, what text)"),
        OnRecord("COPY moved FROM STDIN", rows=500, kind="copy"),
        OnRecord("COPY moved FROM STDIN", state="failed", error="57014: COPY from stdin failed: changed my mind"),
        OnRecord("COPY moved TO STDOUT", rows=500, kind="copy"),
    ]


@case("what a procedure was called with and gave back")
def call_of_a_procedure(place: Place) -> list[OnRecord]:
    procedure = (
        "CREATE PROCEDURE pg_temp.add(INOUT n int, OUT doubled int) LANGUAGE plpgsql AS "
        "$$ BEGIN n := n + 1; doubled := n * 2; END $$"
    )
    with driver(place) as connection:
        connection.execute(procedure)
        assert connection.execute("CALL pg_temp.add(%s, NULL)", (4,)).fetchone() == (5, 10)
        connection.execute("DROP PROCEDURE pg_temp.add")
    return [
        OnRecord(procedure),
        OnRecord("CALL pg_temp.add($1, NULL)", ["4"], rows=1, kind="call"),
        OnRecord("DROP PROCEDURE pg_temp.add"),
    ]


@case("statements that SQL itself prepares and runs")
def prepared_in_sql(place: Place) -> list[OnRecord]:
    texts = ["PREPARE p (int) AS SELECT $1 + 1", "EXECUTE p (41)", "EXECUTE p (1)", "DEALLOCATE p"]
    with driver(place) as connection:
        for text in texts:
            connection.execute(text.encode(), prepare=False)
    rows = [None, 1, 1, None]
    return [OnRecord(text, rows=count) for text, count in zip(texts, rows, strict=True)]


@case("the statement that a client had sent when it died")
def a_client_that_dies_in_mid_statement(place: Place) -> list[OnRecord]:
    wire = Wire(place)
    wire.ask(m.query("SELECT 'before'"))
    wire.send(m.query("SELECT pg_sleep(30), 'dies'"))
    wire.leave()
    return [
        OnRecord("SELECT 'before'", rows=1),
        OnRecord(
            "SELECT pg_sleep(30), 'dies'", state="cancelled", error="57014: canceling statement due to user request"
        ),
    ]


@case("the statements behind a client's own last words")
def commands_until_the_last_byte(place: Place) -> list[OnRecord]:
    wire = Wire(place)
    with wire:
        # Everything in one write, Terminate included, and nothing is read.
        wire.send(m.query("SELECT 'first'"), m.query("SELECT 'second'"), m.query("SELECT 'last'"))
        assert (wire.until("Z") + wire.until("Z") + wire.until("Z")).count("D") == 3
    return [OnRecord(f"SELECT '{word}'", rows=1) for word in ("first", "second", "last")]
