"""The completeness cases for MySQL and MariaDB. Each works in a connection of its own and leaves nothing behind."""

from __future__ import annotations

import hashlib
import struct
import tempfile
from pathlib import Path

import pymysql

from . import mysql_wire as wire
from .case import Cases, OnRecord, Place
from .mysql_wire import Wire, bound

cases = Cases(OnRecord("SET NAMES utf8mb4", rows=0, kind="set"))
case = cases.case


def raises(number: int, client: Wire, text: str) -> None:
    """The statement fails with that error of the server."""
    failed = 0
    try:
        client.run(text)
    except pymysql.MySQLError as error:
        failed = error.args[0]
    assert failed == number, text


# ------------------------------------------------------------------------------------------------------- whole texts


@case("a statement in a comment that only this kind of server runs, and statements behind comments")
def comments_are_kept(place: Place) -> list[OnRecord]:
    texts = [
        ("/*!50000 SELECT 'hidden' */", "select"),
        ("/*! SELECT 'hidden too' */", "select"),
        ("# SELECT 'harmless'\nSELECT 'real'", "select"),
        ("-- SELECT 'harmless'\nSELECT 'real'", "select"),
        ("/* a comment */ SELECT 'after it'", "select"),
        ("SELECT 'a' # the end", "select"),
        ("SELECT 1 /*!50000 + 1 */", "select"),
        ("/* one */ /* two */ SET @a = 1", "set"),
    ]
    with Wire(place) as client:
        for text, _ in texts:
            client.run(text)
    return [OnRecord(text, rows=0 if kind == "set" else 1, kind=kind) for text, kind in texts]


@case("a statement in a comment that only MariaDB runs", only="mariadb")
def comments_of_mariadb(place: Place) -> list[OnRecord]:
    texts = ["/*M! SELECT 'mariadb only' */", "/*M!100000 SELECT 'mariadb only' */"]
    with Wire(place) as client:
        for text in texts:
            assert len(client.run(text)) == 1
    return [OnRecord(text, rows=1, kind="select") for text in texts]


@case("statements behind the first of one string, and which of them failed")
def several_statements_in_one_string(place: Place) -> list[OnRecord]:
    both = "SELECT 1; SELECT 2 UNION SELECT 3; SET @b = ';'; SELECT 'last'"
    broken = "SELECT 1; SELECT * FROM nowhere; SELECT 3"
    with Wire(place) as client:
        assert len(client.run(both)) == 4
        raises(1146, client, broken)
    return [OnRecord(both, rows=4), OnRecord(broken, rows=1, state="failed", error="1146")]


@case("the end of a long statement")
def a_megabyte_of_text(place: Place) -> list[OnRecord]:
    text = f"SELECT CHAR_LENGTH('{'é' * 500_000}') -- the end of it"
    prepared = f"SELECT ? + LENGTH('{'x' * 1_000_000}')"
    with Wire(place) as client:
        assert client.run(text) == [(500_000,)]
        assert client.execute(client.prepare(prepared), (1,)) == 1
    return [
        OnRecord(text, rows=1),
        OnRecord(prepared, kind="prepare"),
        OnRecord(prepared, ["1"], rows=1, rest_in=3),
    ]


@case("a value and a text in another character set")
def other_character_sets(place: Place) -> list[OnRecord]:
    with Wire(place) as client:
        client.run("SET NAMES latin1")
        client.send(wire.QUERY, "SELECT 'café'".encode("latin-1"))
        assert client.results() == 1
        client.send(wire.QUERY, b"SET NAMES gbk")
        client.results()
        client.send(wire.QUERY, "SELECT '数据'".encode("gbk"))
        assert client.results() == 1
    return [
        OnRecord("SET NAMES latin1", rows=0),
        OnRecord("SELECT 'café'", rows=1),
        OnRecord("SET NAMES gbk", rows=0),
        OnRecord("SELECT '数据'", rows=1),
    ]


# ----------------------------------------------------------------------------------------------- prepared statements


@case("which text a handle stands for, each time it is run")
def prepared_once_executed_many(place: Place) -> list[OnRecord]:
    text = "SELECT ? AS a, ? AS b"
    rows = [(n, None if n % 3 == 0 else f"value {n}") for n in range(100)]
    with Wire(place) as client:
        identifier = client.prepare(text)
        for row in rows:
            assert client.execute(identifier, row) == 1
        client.send(wire.CLOSE, struct.pack("<I", identifier))
        client.run("SELECT 'after'")
    return [
        OnRecord(text, kind="prepare"),
        *(OnRecord(text, [str(number), word], rows=1, kind="select") for number, word in rows),
        OnRecord("SELECT 'after'", rows=1),
    ]


@case("an execution whose types the client does not send again, and one after the statement was closed")
def types_are_remembered_and_handles_forgotten(place: Place) -> list[OnRecord]:
    with Wire(place) as client:
        identifier = client.prepare("SELECT ?")
        assert client.execute(identifier, (5,)) == 1
        client.send(wire.EXECUTE, struct.pack("<IBIBBq", identifier, 0, 1, 0, 0, 6))
        assert client.results() == 1
        client.send(wire.CLOSE, struct.pack("<I", identifier))
        other = client.prepare("SELECT 'other', ?")
        assert client.execute(other, (7,)) == 1
        client.send(wire.EXECUTE, struct.pack("<IBI", identifier, 0, 1) + bound((8,)))
        try:
            client.packet()
        except pymysql.MySQLError as error:
            assert "prepared statement" in str(error)  # noqa: PT017
    return [
        OnRecord("SELECT ?", kind="prepare"),
        OnRecord("SELECT ?", ["5"], rows=1),
        OnRecord("SELECT ?", ["6"], rows=1),
        OnRecord("SELECT 'other', ?", kind="prepare"),
        OnRecord("SELECT 'other', ?", ["7"], rows=1),
        OnRecord(f"(unknown prepared statement {identifier})", state="refused", error="1243"),
    ]


@case("which text the id -1 stands for, which each preparation gives to another statement", only="mariadb")
def the_last_prepared_statement(place: Place) -> list[OnRecord]:
    with Wire(place) as client:
        client.prepare("SELECT 'first', ?")
        assert client.execute(wire.LAST_PREPARED, (1,)) == 1
        client.prepare("SELECT 'second', ?")
        assert client.execute(wire.LAST_PREPARED, (2,)) == 1
        # Both without waiting, as MariaDB's own connectors do.
        client.send(wire.PREPARE, b"SELECT 'third', ?")
        client.connection._next_seq_id = 0  # type: ignore[attr-defined]
        client.send(wire.CLOSE, struct.pack("<I", 4_000_000))
        answer = client.packet()
        assert answer[:1] == b"\0"
        client.until_eof()
        client.until_eof()
        assert client.execute(wire.LAST_PREPARED, (3,)) == 1
    return [
        statement
        for word, value in (("first", "1"), ("second", "2"), ("third", "3"))
        for statement in (
            OnRecord(f"SELECT '{word}', ?", kind="prepare"),
            OnRecord(f"SELECT '{word}', ?", [value], rows=1),
        )
    ]


@case("the pages of a server cursor, and what ran between them")
def cursor_and_fetch(place: Place) -> list[OnRecord]:
    text = "SELECT n FROM (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5) AS t WHERE n > ?"
    with Wire(place) as client:
        identifier = client.prepare(text)
        assert client.execute(identifier, (0,), cursor=True) == 0
        client.send(wire.FETCH, struct.pack("<II", identifier, 2))
        assert client.until_eof()[0] == 2
        client.run("SELECT 'another'")
        client.send(wire.FETCH, struct.pack("<II", identifier, 10))
        count, status = client.until_eof()
        assert count == 3
        assert status & wire.LAST_ROW_SENT
        client.simple(wire.RESET, struct.pack("<I", identifier))
    return [
        OnRecord(text, kind="prepare"),
        OnRecord(text, ["0"], rows=0),
        OnRecord(text, rows=2),
        OnRecord("SELECT 'another'", rows=1),
        OnRecord(text, rows=3),
    ]


@case("a value that is sent ahead, in parts")
def long_data(place: Place) -> list[OnRecord]:
    value = "z" * 300_000
    with Wire(place) as client:
        identifier = client.prepare("SELECT LENGTH(?), ?")
        for start in range(0, len(value), 100_000):
            part = value[start : start + 100_000].encode()
            client.send(wire.LONG_DATA, struct.pack("<IH", identifier, 0) + part)
        client.send(wire.EXECUTE, struct.pack("<IBI", identifier, 0, 1) + bound((value, 9), long=(0,)))
        assert client.results() == 1
    digest = hashlib.sha256(value.encode()).hexdigest()
    return [
        OnRecord("SELECT LENGTH(?), ?", kind="prepare"),
        OnRecord("SELECT LENGTH(?), ?", [f"{value[:65536]}… (300000 bytes, sha256 {digest})", "9"], rows=1),
    ]


@case("statements that could not be prepared")
def errors_of_a_preparation(place: Place) -> list[OnRecord]:
    with Wire(place) as client:
        for text in ("SELEC 1", "SELECT * FROM nowhere WHERE a = ?"):
            try:
                client.prepare(text)
            except pymysql.MySQLError:
                continue
            raise AssertionError(text)
    return [
        OnRecord("SELEC 1", state="failed", error="1064", kind="prepare"),
        OnRecord("SELECT * FROM nowhere WHERE a = ?", state="failed", error="1146", kind="prepare"),
    ]


@case("the rows of executemany, which PyMySQL makes one statement of")
def executemany(place: Place) -> list[OnRecord]:
    table = "CREATE TEMPORARY TABLE many (id INT, what VARCHAR(20))"
    rows = [(n, f"it''s {n}"[:15]) for n in range(300)]
    with Wire(place) as client:
        client.run(table)
        with client.connection.cursor() as cursor:
            assert cursor.executemany("INSERT INTO many VALUES (%s, %s)", rows) == 300
            text = "INSERT INTO many VALUES " + ",".join(cursor.mogrify("(%s, %s)", row) for row in rows)
    return [OnRecord(table, rows=0), OnRecord(text, rows=300, kind="insert")]


# ------------------------------------------------------------------------------------------------ other ways to work


@case("the results of a procedure after its first, and its OUT parameters")
def call_with_several_results(place: Place) -> list[OnRecord]:
    name = f"complete_{abs(hash(place.client)) % 10**8}"
    create = (
        f"CREATE PROCEDURE {name} (IN a INT, OUT b INT) "
        "BEGIN SELECT 1 UNION SELECT 2; SELECT a; SET b = a * 2; UPDATE nothing_here SET x = 1; END"
    )
    quiet = create.replace(" UPDATE nothing_here SET x = 1;", "")
    with Wire(place) as client:
        client.run(quiet)
        assert client.run(f"CALL {name}(4, @out)") == [(1,), (2,), (4,)]
        assert client.run("SELECT @out") == [(8,)]
        identifier = client.prepare(f"CALL {name}(?, @out)")
        assert client.execute(identifier, (5,)) == 3
        client.run(f"DROP PROCEDURE {name}")
        client.run(create)
        raises(1146, client, f"CALL {name}(6, @out)")
        client.run(f"DROP PROCEDURE {name}")
    return [
        OnRecord(quiet, rows=0),
        OnRecord(f"CALL {name}(4, @out)", rows=3, kind="call"),
        OnRecord("SELECT @out", rows=1),
        OnRecord(f"CALL {name}(?, @out)", kind="prepare"),
        OnRecord(f"CALL {name}(?, @out)", ["5"], rows=3, kind="call"),
        OnRecord(f"DROP PROCEDURE {name}", rows=0),
        OnRecord(create, rows=0),
        OnRecord(f"CALL {name}(6, @out)", rows=3, state="failed", error="1146"),
        OnRecord(f"DROP PROCEDURE {name}", rows=0),
    ]


@case("statements that SQL itself prepares and runs")
def prepared_in_sql(place: Place) -> list[OnRecord]:
    texts = ["PREPARE p FROM 'SELECT ? + 1'", "SET @a = 41", "EXECUTE p USING @a", "DEALLOCATE PREPARE p"]
    with Wire(place) as client:
        for text in texts:
            client.run(text)
    return [OnRecord(text, rows=int(text.startswith("EXECUTE"))) for text in texts]


@case("which file the server asked the client for, and that a client did not give it")
def load_data_local(place: Place) -> list[OnRecord]:
    table = "CREATE TEMPORARY TABLE loaded (id INT, what VARCHAR(20))"
    with tempfile.TemporaryDirectory() as folder, Wire(place, local_infile=True) as client:
        file = Path(folder) / "rows.tsv"
        file.write_text("".join(f"{n}\tline {n}\n" for n in range(1000)))
        client.run(table)
        load = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE loaded"
        client.run(load)
        gone = f"LOAD DATA LOCAL INFILE '{file}.gone' INTO TABLE loaded"
        raises(1017, client, gone)
        assert client.run("SELECT COUNT(*) FROM loaded") == [(1000,)]
    return [
        OnRecord(table, rows=0),
        OnRecord(load, rows=1000, kind="load"),
        OnRecord(gone, rows=0, kind="load"),
        OnRecord("SELECT COUNT(*) FROM loaded", rows=1),
    ]


@case("commands that are no SQL: the database that was changed to, the columns that were listed, a connection killed")
def commands_without_sql(place: Place) -> list[OnRecord]:
    table = f"listed_{abs(hash(place.client)) % 10**8}"
    with Wire(place) as client:
        client.run(f"CREATE TABLE {table} (a INT, b INT)")
        client.send(wire.FIELD_LIST, table.encode() + b"\0")
        assert client.until_eof()[0] == 2
        client.run(f"DROP TABLE {table}")
        client.simple(wire.INIT_DB, b"information_schema")
        client.run("SELECT 'there'")
        client.simple(wire.RESET_CONNECTION)
        raises(1094, client, "KILL QUERY 4000000000")
    return [
        OnRecord(f"CREATE TABLE {table} (a INT, b INT)", rows=0),
        OnRecord(f"SHOW FIELDS FROM `{table}`"),
        OnRecord(f"DROP TABLE {table}", rows=0),
        OnRecord("USE `information_schema`"),
        OnRecord("SELECT 'there'", rows=1),
        OnRecord("RESET CONNECTION"),
        OnRecord("KILL QUERY 4000000000", state="failed", error="1094"),
    ]


@case("the statement that a client had sent when it died")
def a_client_that_dies_in_mid_statement(place: Place) -> list[OnRecord]:
    client = Wire(place)
    client.run("SELECT 'before'")
    client.send(wire.QUERY, b"SELECT 'dies' FROM DUAL WHERE SLEEP(30) = 0")
    client.leave()
    return [
        OnRecord("SELECT 'before'", rows=1),
        OnRecord("SELECT 'dies' FROM DUAL WHERE SLEEP(30) = 0", rows=0, state="cancelled", error="1317"),
    ]
