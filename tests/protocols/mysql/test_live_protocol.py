"""What only other clients than Python's drivers speak, live on every server: records and bytes are looked at.

The client is MariaDB's library (see tests/servers/connector_c.py); packets that it does not make are made by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mysql.connector
import pytest

from bastion.protocols.contract import LoginRequest, SessionChanged, StatementExtends, TlsMode
from tests.servers.connector_c import (
    ATTRIBUTE_CURSOR,
    ATTRIBUTE_PARAMETERS,
    ATTRIBUTE_PREFETCH,
    CURSOR_READ_ONLY,
    DEFAULT,
    NULL,
    Connection,
    Failed,
    Moment,
)
from tests.servers.mysql import MysqlServer
from tests.servers.mysql_family import MysqlFamilyServer
from tests.servers.processes import wait_for

from .bridge import LIMIT, Bridge, Bridged

ACCOUNT, SECRET = "live_app", "s3cret of the account"
MULTI_STATEMENTS = 1 << 16
GREATEST = (1 << 24) - 1
"""Payload bytes of one packet."""


@pytest.fixture(params=["mariadb", "new_mariadb", "mysql"])
def server(request: pytest.FixtureRequest) -> MysqlFamilyServer:
    found: MysqlFamilyServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def database(server: MysqlFamilyServer) -> str:
    server.create_database("live")
    server.execute("create table t (a int primary key, b longtext)", database="live")
    return "live"


def hosted(server: MysqlFamilyServer, **settings: Any) -> LoginRequest:
    server.create_user(ACCOUNT, SECRET)
    values = {"person": "alice", "account": ACCOUNT, "secret": SECRET, "server_tls": TlsMode.DISABLE, **settings}
    return LoginRequest(**values)


class Through:
    """One connection through the bridge, as `connection`; `record` once it is over."""

    def __init__(self, server: MysqlFamilyServer, database: str | None, *, flags: int = 0, user: str = "typed",
                 password: str = "", **settings: Any) -> None:  # fmt: skip
        self.bridge = Bridge((server.host, server.port), hosted(server, **settings))
        self.connection = Connection("127.0.0.1", self.bridge.port, user, password, database, flags=flags)

    def __enter__(self) -> Connection:
        return self.connection

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.bridge.close()

    @property
    def record(self) -> Bridged:
        found = self.bridge.connections[0]
        assert found.done.wait(LIMIT)
        assert found.errors == []
        return found

    def schemas(self) -> list[str]:
        return [n.schema for n in self.record.notes if isinstance(n, SessionChanged) and n.schema is not None]

    def outcomes(self, operation: str) -> list[tuple[str, tuple[str | None, ...] | None, int | None, str]]:
        """Text, binds, rows and outcome of each statement of that operation."""
        ended = self.record.ended()
        return [
            (note.text, note.binds, ended[note.number].rows, ended[note.number].outcome)
            for note in self.record.begun()
            if note.operation == operation
        ]


def value(connection: Connection, text: str) -> bytes | None:
    [rows] = connection.query(text)
    assert isinstance(rows, list)
    return rows[0][0]


# ------------------------------------------------------------------------------------------ the session made anew


@pytest.mark.parametrize("tls", [TlsMode.DISABLE, TlsMode.REQUIRE])
@pytest.mark.parametrize("secret", [SECRET, None], ids=["hosted", "relayed"])
def test_change_user_is_the_account_whatever_is_sent(
    server: MysqlFamilyServer, database: str, tls: TlsMode, secret: str | None
) -> None:
    password = "" if secret else SECRET
    session = Through(server, database, server_tls=tls, secret=secret, password=password)
    with session as connection:
        connection.query("set @mine = 1")
        statement = connection.statement("select 1")
        assert statement.execute() == 1
        connection.query("begin")
        connection.change_user("root", password, "mysql")
        assert connection.query("select substring_index(current_user(), '@', 1), database(), @mine") == [
            [(ACCOUNT.encode(), b"mysql", None)]
        ]
        connection.change_user("root", password, None)
        assert value(connection, "select database()") is None
    assert session.outcomes("COM_CHANGE_USER") == [
        ("CHANGE USER 'root' DATABASE `mysql`", None, None, "done"), ("CHANGE USER 'root'", None, None, "done"),
    ]  # fmt: skip
    assert session.schemas() == ["mysql", ""]


def test_change_user_fails_as_the_server_says(server: MysqlFamilyServer, database: str) -> None:
    session = Through(server, database)
    with session as connection:
        with pytest.raises(Failed, match="1049: Unknown database 'nowhere'"):
            connection.change_user("whoever", "", "nowhere")
        if not isinstance(server, MysqlServer):  # MySQL closes the connection then
            assert value(connection, "select database()") == database.encode()
    [(_, _, _, outcome)] = session.outcomes("COM_CHANGE_USER")
    assert outcome == "failed"
    assert session.schemas() == []


def test_change_user_with_an_account_that_the_server_has_forgotten(mysql_server: MysqlServer) -> None:
    """Its cache of hashes is empty again, so it asks for the whole password; the client hears nothing of that."""
    for tls in (TlsMode.DISABLE, TlsMode.REQUIRE):
        session = Through(mysql_server, None, server_tls=tls)
        with session as connection:
            mysql_server.execute("flush privileges")
            connection.change_user("whoever", "", None)
            assert value(connection, "select 7") == b"7"
        assert [outcome for *_, outcome in session.outcomes("COM_CHANGE_USER")] == ["done"]


def test_reset_connection_clears_handles_and_the_session(server: MysqlFamilyServer, database: str) -> None:
    session = Through(server, database)
    with session as connection:
        connection.query("set @mine = 1")
        connection.query("begin")
        connection.call("mysql_reset_connection")
        assert value(connection, "select @mine") is None
        assert value(connection, "select database()") == database.encode()
        assert connection.statement("select 2").execute() == 1
    assert session.outcomes("COM_RESET_CONNECTION") == [("RESET CONNECTION", None, None, "done")]
    changes = [n.transaction for n in session.record.notes if isinstance(n, SessionChanged) and n.transaction]
    assert [change.value for change in changes] == ["open", "none"]


def test_the_encoding_behind_a_reset(server: MysqlFamilyServer, database: str) -> None:
    """Whatever the server makes of `set names` then: the text is recorded as the server reads it."""
    session = Through(server, database)
    with session as connection:
        connection.query("set names latin1")
        connection.call("mysql_reset_connection")
        encoding = value(connection, "select @@character_set_client")
        assert encoding is not None
        assert encoding.startswith(b"utf8")
        data = "select 'café'".encode()
        connection.call("mysql_real_query", data, len(data))
        connection._result()
    assert session.record.begun()[-1].text == "select 'café'"


# --------------------------------------------------------------------------------------------- the current database


@pytest.mark.parametrize("text", ["use mysql", "/*!50000 use mysql */", "select 1; use mysql", "use `mysql` -- end"])
def test_use_is_held_to_the_allowed_databases(server: MysqlFamilyServer, database: str, text: str) -> None:
    session = Through(server, database, flags=MULTI_STATEMENTS, databases=(database,))
    with session as connection:
        with pytest.raises(Failed, match="1044: Access denied: the database 'mysql' may not be opened here"):
            connection.query(text)
        with pytest.raises(Failed, match="1044"):
            connection.call("mysql_select_db", b"mysql")
        assert value(connection, "select database()") == database.encode()
        connection.query(f"select 1; use {database}")
    assert not server.logged(text)


def test_what_is_put_together_at_run_time(server: MysqlFamilyServer, database: str) -> None:
    session = Through(server, database, databases=(database,))
    with session as connection:
        connection.query("set @text = 'use mysql'")
        for text in ("prepare s from @text", "prepare s from 'use mysql'"):
            with pytest.raises(Failed) as refused:
                connection.query(text)
            # MySQL does not take USE there at all, and says so by itself.
            assert refused.value.number in ((1295, 1064) if isinstance(server, MysqlServer) else (1044,))
        assert value(connection, "select database()") == database.encode()


def test_the_schema_follows_among_several_statements(server: MysqlFamilyServer, database: str) -> None:
    session = Through(server, database, flags=MULTI_STATEMENTS)
    with session as connection:
        connection.query("select 1; use mysql; select 2")
        connection.query(f"/* back */ use {database}")
        with pytest.raises(Failed, match="1049"):
            connection.query("select 1; use nowhere; use mysql")
    assert session.schemas() == ["mysql", database]


# ------------------------------------------------------------------------------------------------ large packets


@pytest.mark.parametrize("size", [GREATEST - 1, GREATEST, GREATEST + 1, 2 * GREATEST])
@pytest.mark.parametrize("name", ["mariadb", "mysql"])
def test_packets_of_the_greatest_length(request: pytest.FixtureRequest, name: str, size: int) -> None:
    server: MysqlFamilyServer = request.getfixturevalue(f"{name}_server")
    session = Through(server, None)
    head = "select 'y', length('"
    with session as connection:
        filler = size - 1 - len(head) - 2  # the command's code, and the closing quote and bracket
        text = head + "x" * filler + "')"
        assert connection.query(text) == [[(b"y", str(filler).encode())]]
        # A row of that size: one length-encoded value (4 bytes of length, 9 from 16 MiB on).
        length = size - (4 if size - 4 <= GREATEST else 9)
        [rows] = connection.query(f"select repeat('z', {length})")
        assert isinstance(rows, list)
        assert len(rows[0][0] or b"") == length
        [rows] = connection.query(f"select repeat('z', {length}) union all select ''")
        assert isinstance(rows, list)
        assert [len(row[0] or b"") for row in rows] == [length, 0]
    found = session.record
    parts = "".join(n.text for n in found.notes if isinstance(n, StatementExtends))
    assert len(found.begun()[-3].text) + len(parts) == size - 1
    assert [found.ended()[note.number].rows for note in found.begun()[-3:]] == [1, 1, 2]


def test_a_long_bind_and_long_data_stream_through(server: MysqlFamilyServer, database: str) -> None:
    session = Through(server, database)
    with session as connection:
        insert = connection.statement("insert into t values (?, ?)")
        insert.bind(1, b"x" * (GREATEST + 10))
        assert insert.execute() == 1
        insert.bind(2, b"")
        for _ in range(20):
            insert.long_data(1, b"y" * 1_000_000)
        insert.execute()
        lengths = connection.query("select length(b) from t order by a")
        assert lengths == [[(str(GREATEST + 10).encode(),), (b"20000000",)]]
    (_, first, _, _), (_, second, _, _) = session.outcomes("COM_STMT_EXECUTE")
    assert first is not None
    assert second is not None
    assert first[0] == "1"
    assert f"({GREATEST + 10} bytes" in str(first[1])
    assert "(20000000 bytes, sha256 " in str(second[1])


# ------------------------------------------------------------------------------------------ prepared statements


def test_binds_of_every_type_are_recorded_as_they_are(server: MysqlFamilyServer, database: str) -> None:
    session = Through(server, database)
    with session as connection:
        columns = "a bigint, b bigint unsigned, c double, d text, e longblob, f date, g datetime(6), h time(6), i int"
        connection.query(f"create table types ({columns})")
        insert = connection.statement("insert into types values (?,?,?,?,?,?,?,?,?)")
        day = Moment(2026, 11, 22, type=0)
        moment = Moment(2026, 11, 22, 20, 30, 1, 250, type=1)
        span = Moment(0, 0, 1, 2, 3, 4, 5, b"\1", 2)
        insert.bind(-5, 7, 0.5, "café", b"\xff\x00", day, moment, span, None)
        insert.execute()
        insert.execute()
        unsigned = connection.statement("select ?")
        unsigned.bind((1 << 64) - 1, unsigned=True)
        unsigned.execute()
        assert connection.query("select count(*), min(h), max(g) from types") == [
            [(b"2", b"-26:03:04.000005", b"2026-11-22 20:30:01.000250")]
        ]
    executions = session.outcomes("COM_STMT_EXECUTE")
    expected = (
        "-5", "7", "0.5", "café", "0xff00", "2026-11-22", "2026-11-22 20:30:01.000250", "-26:03:04.000005", None,
    )  # fmt: skip
    assert [binds for _, binds, _, _ in executions] == [expected, expected, ("18446744073709551615",)]
    assert {text for text, *_ in executions[:2]} == {"insert into types values (?,?,?,?,?,?,?,?,?)"}
    assert [rows for _, _, rows, _ in executions] == [1, 1, 1]


def test_a_cursor_is_read_page_by_page(server: MysqlFamilyServer, database: str) -> None:
    session = Through(server, database)
    with session as connection:
        connection.query("insert into t values " + ",".join(f"({n}, 'row')" for n in range(25)))
        select = connection.statement("select a, b from t where a >= ?")
        select.attribute(ATTRIBUTE_CURSOR, CURSOR_READ_ONLY)
        select.attribute(ATTRIBUTE_PREFETCH, 10)
        select.bind(5)
        assert select.execute() == 20
        select.reset()
        select.close()
        assert value(connection, "select 'behind'") == b"behind"
    assert session.outcomes("COM_STMT_EXECUTE") == [("select a, b from t where a >= ?", ("5",), 0, "suspended")]
    pages = session.outcomes("COM_STMT_FETCH")
    assert [rows for _, _, rows, _ in pages if rows] == [10, 10]
    assert {text for text, *_ in pages} == {"select a, b from t where a >= ?"}
    assert pages[-1][3] == "done"


def test_a_procedures_out_parameters_as_text_and_binary(server: MysqlFamilyServer, database: str) -> None:
    session = Through(server, database, flags=1 << 17 | 1 << 18)
    with session as connection:
        connection.query(
            "create procedure p(in a int, out b int, inout c varchar(20)) "
            "begin set b = a * 2; set c = concat(c, '!'); select 1 union select 2; select 'last'; end"
        )
        connection.query("set @c = 'hi'")
        results = connection.query("call p(4, @b, @c)")
        assert results == [[(b"1",), (b"2",)], [(b"last",)], 0]
        assert connection.query("select @b, @c") == [[(b"8", b"hi!")]]
        call = connection.statement("call p(?, ?, ?)")
        call.bind(4, None, "hi")
        assert call.execute() == 2
        followed = 0
        while call.more_results():
            followed += 1
        assert followed >= 2
        assert value(connection, "select 'behind'") == b"behind"
    called = [each for each in session.outcomes("COM_QUERY") if each[0].startswith("call")]
    assert called == [("call p(4, @b, @c)", None, 3, "done")]
    # The row that carries the OUT parameters is none of the results'.
    assert session.outcomes("COM_STMT_EXECUTE") == [("call p(?, ?, ?)", ("4", None, "hi"), 3, "done")]


@pytest.mark.parametrize("name", ["mariadb", "new_mariadb"])
def test_mariadbs_direct_and_bulk_execution(request: pytest.FixtureRequest, name: str) -> None:
    server: MysqlFamilyServer = request.getfixturevalue(f"{name}_server")
    server.create_database("live")
    session = Through(server, "live")
    with session as connection:
        connection.query("create table bulk (a int, b varchar(20) default 'none')")
        direct = connection.statement()
        direct.attribute(ATTRIBUTE_PARAMETERS, 2)
        direct.bind(1, "one")
        assert direct.execute_direct("insert into bulk values (?, ?)") == 1
        assert connection.statement().execute_direct("select a from bulk") == 1
        bulk = connection.statement("insert into bulk values (?, ?)")
        marks = [[0, 0, 0], [0, NULL, DEFAULT]]
        bulk.bind_columns([2, 3, 4], ["two", "", ""], indicators=marks)
        assert bulk.execute() == 3
        bulk.bind_columns([5, 6], ["five", "six"])
        assert bulk.execute() == 2
        assert connection.query("select a, b from bulk order by a") == [[
            (b"1", b"one"), (b"2", b"two"), (b"3", None), (b"4", b"none"), (b"5", b"five"), (b"6", b"six"),
        ]]  # fmt: skip
    text = "insert into bulk values (?, ?)"
    assert session.outcomes("COM_STMT_EXECUTE") == [
        (text, ("1", "one"), 1, "done"), ("select a from bulk", (), 1, "done"),
    ]  # fmt: skip
    assert session.outcomes("COM_STMT_BULK_EXECUTE") == [
        (text, ("2", "two", "3", None, "4", "DEFAULT"), 3, "done"), (text, ("5", "five", "6", "six"), 2, "done"),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------- local files


def test_the_record_says_which_file_the_server_asked_for(
    server: MysqlFamilyServer, database: str, tmp_path: Path
) -> None:
    rows = tmp_path / "rows"
    rows.write_text("".join(f"{n}\t{'x' * 200}\n" for n in range(100_000)))
    session = Through(server, database)
    with session as connection:
        if isinstance(server, MysqlServer):
            server.execute("set global local_infile = 1")
        assert connection.query(f"load data local infile '{rows}' into table t") == [100_000]
        with pytest.raises(Failed, match=r"No such file or directory|not found"):
            connection.query(f"load data local infile '{rows}.not' into table t")
        assert value(connection, "select count(*) from t") == b"100000"
    notes = [n for n in session.record.notes if isinstance(n, StatementExtends)]
    asked = [n.detail for n in notes if n.detail.startswith("LOCAL INFILE")]
    assert asked == [f"LOCAL INFILE '{rows}'", f"LOCAL INFILE '{rows}.not'"]
    number = notes[0].number
    assert sum(n.data_bytes for n in notes if n.number == number) == rows.stat().st_size
    assert sum(n.data_bytes for n in notes if n.number != number) == 0


# ----------------------------------------------------------------------------------------------- the old commands


def test_commands_that_are_not_sql(server: MysqlFamilyServer, database: str) -> None:
    session = Through(server, database)
    with session as connection:
        connection.call("mysql_ping")
        connection.driver.mysql_stat.restype = __import__("ctypes").c_char_p
        assert b"Uptime" in connection.driver.mysql_stat(connection.handle)
        connection.call("mysql_dump_debug_info")
        connection.call("mysql_set_server_option", 0)
        assert connection.query("select 1; select 2") == [[(b"1",)], [(b"2",)]]
        connection.call("mysql_set_server_option", 1)
        with pytest.raises(Failed, match="1064"):
            connection.query("select 1; select 2")
        assert value(connection, "select 'behind'") == b"behind"
    assert [note.text for note in session.record.begun() if note.operation == "COM_DEBUG"] == ["DEBUG"]


def test_kill_reaches_the_connection_with_the_real_id(server: MysqlFamilyServer, database: str) -> None:
    session = Through(server, database)
    other = Connection(server.host, server.port, ACCOUNT, SECRET)
    with session as connection:
        seen = server.execute("select id from information_schema.processlist where user = 'live_app'")
        assert (connection.thread_id,) in seen
        assert (other.thread_id,) in seen
        killed = other.thread_id
        connection.query(f"kill {killed}")

        def gone() -> bool:
            alive = server.execute("select id from information_schema.processlist where user = 'live_app'")
            return (killed,) not in alive

        wait_for("the killed connection to go", gone)
    other.close()
    assert ("COM_QUERY", f"kill {killed}") in [(n.operation, n.text) for n in session.record.begun()]


def test_the_command_to_kill(server: MysqlFamilyServer, database: str) -> None:
    """COM_PROCESS_KILL, which MySQL 9.7 has no more: its own words reach the client."""
    session = Through(server, database)
    other = Connection(server.host, server.port, ACCOUNT, SECRET)
    with session as connection:
        try:
            connection.call("mysql_kill", other.thread_id)
        except Failed as failed:
            assert failed.number == 1047  # noqa: PT017 - only some servers
    other.close()
    texts = [n.text for n in session.record.begun() if n.operation in ("COM_PROCESS_KILL", "COM_QUERY")]
    assert any(text.lower().startswith("kill ") for text in texts)


def test_query_attributes_of_an_execution(mysql_server: MysqlServer) -> None:
    """By MySQL's own driver for Python, which sends them with text and with prepared statements."""
    mysql_server.create_database("live")
    with Bridge((mysql_server.host, mysql_server.port), hosted(mysql_server)) as bridge:
        connection = mysql.connector.connect(
            host="127.0.0.1", port=bridge.port, user="typed", password="", use_pure=True, ssl_disabled=True
        )
        cursor = connection.cursor(prepared=True)
        cursor.add_attribute("trace", "00-4bf9")
        cursor.add_attribute("depth", 3)
        cursor.execute("select ?, ?", ("text", 7))
        assert cursor.fetchall() == [("text", 7)]
        cursor.execute("select ?, ?", ("again", 8))
        assert cursor.fetchall() == [("again", 8)]
        cursor.clear_attributes()
        cursor.execute("select ?, ?", ("without", 9))
        assert cursor.fetchall() == [("without", 9)]
        cursor.close()
        connection.close()
        found = bridge.connections[0]
        assert found.done.wait(LIMIT)
        assert found.errors == []
    assert [note.binds for note in found.begun() if note.operation == "COM_STMT_EXECUTE"] == [
        ("text", "7", "trace=00-4bf9", "depth=3"), ("again", "8", "trace=00-4bf9", "depth=3"), ("without", "9"),
    ]  # fmt: skip
