"""What an auditor is shown of a statement is what the client saw, and what is missing is said to be missing."""

from __future__ import annotations

import asyncio
import csv
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import mysql.connector
import psycopg
import pymysql
import pytest

from tests.servers.bastion_process import AUDITOR, BastionProcess, CommandFailed
from tests.servers.connector_c import ATTRIBUTE_CURSOR, ATTRIBUTE_PREFETCH, CURSOR_READ_ONLY, Connection
from tests.servers.mariadb import MariadbServer
from tests.servers.mysql_family import MysqlFamilyServer
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

from .stock_clients import SshTunnel, open_tunnel, session_of
from .test_gateway_control import control
from .test_stock_clients_mysql import mariadb_client, run_client

PASSWORD = "recorded-app's own password"
CATALOG = "recorded"
LIMIT = 1024 * 1024


def declared(bastion: BastionProcess, server: Any, name: str, plugin: str | None = None) -> str:
    server.create_user("recorded_app", PASSWORD, *([plugin] if plugin else []))
    server.create_database(CATALOG, *(["recorded_app"] if isinstance(server, PostgresServer) else []))
    bastion.declare_database(name, server, account="recorded_app", password=PASSWORD, to="alice", tls="disable")
    return name


@pytest.fixture(scope="module")
def on_postgres(bastion: BastionProcess, postgres_server: PostgresServer) -> str:
    return declared(bastion, postgres_server, "recorded-pg")


@contextmanager
def postgres(tunnel: SshTunnel) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(
        host=tunnel.host, port=tunnel.port, dbname=CATALOG, user="whoever", sslmode="disable", autocommit=True
    ) as connection:
        yield connection


class Shown:
    """A statement as the auditor is shown it. `rows` are those of all its results, `results` by result."""

    def __init__(self, pages: list[dict[str, Any]]) -> None:
        self.first = pages[0]
        self.kept = (self.first["kept"], self.first["why"])
        self.columns: dict[int, list[str]] = {}
        self.results: dict[int, list[list[str | None]]] = {}
        for result in (result for page in pages for result in page["results"] if result["columns"]):
            self.columns[result["number"]] = [column["name"] for column in result["columns"]]
            self.results.setdefault(result["number"], []).extend(result["rows"])
        self.rows = [row for rows in self.results.values() for row in rows]
        self.ended = [result["number"] for page in pages for result in page["results"] if result["ended"]]
        self.notices = [said["message"] for page in pages for said in page["said"]]
        self.errors = [error for page in pages for error in page["errors"]]


def look_at(bastion: BastionProcess, session: str) -> dict[str, list[Shown]]:
    """What an auditor is shown of every statement of a session that was run, by its text."""

    async def look() -> dict[str, list[Shown]]:
        found: dict[str, list[Shown]] = {}
        async with control(bastion, AUDITOR) as channel:
            for statement in (await channel.result("audit.search", session=session))["statements"]:
                pages: list[dict[str, Any]] = []
                while not pages or pages[-1]["next"] is not None:
                    after = pages[-1]["next"] if pages else 0
                    pages.append(await channel.result("audit.show", session=session, seq=statement["seq"], after=after))
                if statement["kind"] != "prepare":
                    found.setdefault(statement["text"], []).append(Shown(pages))
        return found

    with ThreadPoolExecutor(1) as pool:  # some tests have an event loop of their own
        return pool.submit(asyncio.run, look()).result()


def as_text(rows: Any) -> list[list[str | None]]:
    """Rows of a driver as the server wrote them, for values whose text is the same in Python."""
    return [[None if value is None else str(value) for value in row] for row in rows]


def test_postgresql_in_every_form_that_results_come_in(bastion: BastionProcess, on_postgres: str) -> None:
    mixed = "SELECT n, NULL AS nothing, 'käse ' || n AS word, n * 1.25 AS price FROM generate_series(1, %s::int) AS n"
    seen: dict[str, Any] = {}
    with open_tunnel(bastion, "alice", on_postgres) as tunnel, postgres(tunnel) as connection:
        connection.prepare_threshold = None
        seen["text"] = connection.execute("SELECT 'plain' AS a, NULL AS b, '' AS c").fetchall()
        seen["binary"] = connection.cursor(binary=True).execute(mixed, (3,)).fetchall()
        connection.execute("BEGIN")
        connection.execute("DECLARE pages CURSOR FOR SELECT n FROM generate_series(1, 5) AS n")
        seen["pages"] = [connection.execute("FETCH 2 FROM pages").fetchall() for _ in range(3)]
        connection.execute("COMMIT")
        with connection.cursor().copy("COPY (VALUES (1, 'a'), (2, NULL)) TO STDOUT") as copy:
            seen["copy"] = [bytes(part).decode() for part in copy]
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        connection.execute("DO $$ BEGIN RAISE NOTICE 'mind the gap'; END $$")
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int + 1 AS piped", (n,)) for n in range(3)]
            seen["piped"] = [cursor.fetchall() for cursor in cursors]
    shown = look_at(bastion, session_of(bastion, tunnel)["id"])

    [plain] = shown["SELECT 'plain' AS a, NULL AS b, '' AS c"]
    assert plain.kept == ("whole", "")
    assert plain.columns == {1: ["a", "b", "c"]}
    assert plain.rows == as_text(seen["text"]) == [["plain", None, ""]]
    assert plain.first["bytes_kept"] == plain.first["bytes_total"] == plain.first["statement"]["bytes_down"]

    [binary] = shown[mixed.replace("%s", "$1")]
    assert binary.columns == {1: ["n", "nothing", "word", "price"]}
    assert binary.rows == as_text(seen["binary"])
    assert binary.rows[2] == ["3", None, "käse 3", "3.75"]

    pages = [page.rows for page in shown["FETCH 2 FROM pages"]]
    assert pages == [as_text(page) for page in seen["pages"]] == [[["1"], ["2"]], [["3"], ["4"]], [["5"]]]

    [copied] = shown["COPY (VALUES (1, 'a'), (2, NULL)) TO STDOUT"]
    assert "".join(f"{row[0]}\n" for row in copied.rows) == "".join(seen["copy"]) == "1\ta\n2\t\\N\n"

    [failed] = shown["SELECT 1 / 0"]
    assert (failed.rows, failed.errors) == ([], ["22012: division by zero"])
    [noticed] = shown["DO $$ BEGIN RAISE NOTICE 'mind the gap'; END $$"]
    assert noticed.notices == ["mind the gap"]
    piped = [each.rows for each in shown["SELECT $1::int + 1 AS piped"]]
    assert piped == [as_text(rows) for rows in seen["piped"]] == [[["1"]], [["2"]], [["3"]]]


async def test_binary_results_that_were_described_when_they_were_prepared(
    bastion: BastionProcess, on_postgres: str
) -> None:
    """asyncpg asks for everything in binary, and for the columns only once."""
    with open_tunnel(bastion, "alice", on_postgres) as tunnel:
        connection = await asyncpg.connect(
            host=tunnel.host, port=tunnel.port, database=CATALOG, user="whoever", password="", ssl=False
        )
        prepared = await connection.prepare("SELECT $1::int AS n, 2::bigint AS b, NULL::text AS t, 'x'::text AS u")
        answers = [await prepared.fetch(n) for n in (7, 8)]
        await connection.close()
    session = session_of(bastion, tunnel)["id"]
    shown = look_at(bastion, session)["SELECT $1::int AS n, 2::bigint AS b, NULL::text AS t, 'x'::text AS u"]
    assert [each.columns for each in shown] == [{1: ["n", "b", "t", "u"]}] * 2
    assert [each.rows for each in shown] == [as_text(rows) for rows in answers] == [
        [["7", "2", None, "x"]], [["8", "2", None, "x"]],
    ]  # fmt: skip


def test_a_long_result_is_cut_cleanly_and_the_next_one_is_whole(bastion: BastionProcess, on_postgres: str) -> None:
    text = "SELECT n, 'row ' || n FROM generate_series(1, 100000) AS n"
    with open_tunnel(bastion, "alice", on_postgres) as tunnel, postgres(tunnel) as connection:
        rows = connection.execute(text).fetchall()
        connection.execute("SELECT 'after'")
    shown = look_at(bastion, session_of(bastion, tunnel)["id"])
    [long], [after] = shown[text], shown["SELECT 'after'"]
    assert long.kept == ("part", "statement")
    assert long.first["bytes_kept"] == LIMIT < long.first["bytes_total"] == long.first["statement"]["bytes_down"]
    assert 10_000 < len(long.rows) < 100_000
    assert long.rows == as_text(rows[: len(long.rows)])
    assert long.ended == []
    assert (after.rows, after.kept) == ([["after"]], ("whole", ""))


def test_what_a_client_copies_in_is_kept_up_to_the_limit(bastion: BastionProcess, on_postgres: str) -> None:
    rows = [f"{n}\tkäse {n}\n" for n in range(50_000)]
    with open_tunnel(bastion, "alice", on_postgres) as tunnel, postgres(tunnel) as connection:
        connection.execute("CREATE TEMPORARY TABLE copied_in (n int, word text)")
        for wanted in (rows[:3], rows):
            with connection.cursor().copy("COPY copied_in FROM STDIN") as copy:
                for row in wanted:
                    copy.write(row)
    shown = look_at(bastion, session_of(bastion, tunnel)["id"])
    short, long = (each.first["sent"] for each in shown["COPY copied_in FROM STDIN"])
    assert (short["data"], short["why"], short["form"]) == ("".join(rows[:3]), "", "text")
    everything = "".join(rows).encode()
    assert (long["bytes_kept"], long["bytes_total"], long["why"]) == (256 * 1024, len(everything), "upload")
    assert long["data"] == everything[: 256 * 1024].decode(errors="backslashreplace")
    [created] = shown["CREATE TEMPORARY TABLE copied_in (n int, word text)"]
    assert created.first["sent"] is None


def test_what_runs_now_can_be_looked_at(bastion: BastionProcess, on_postgres: str) -> None:
    text = "SELECT n, pg_sleep(CASE n WHEN 3000 THEN 60 ELSE 0 END) FROM generate_series(1, 5000) AS n"
    with open_tunnel(bastion, "alice", on_postgres) as tunnel, postgres(tunnel) as connection:

        def run() -> None:
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute(text)

        running = threading.Thread(target=run)
        running.start()
        try:
            session = wait_for(
                "rows of the running statement",
                lambda: next(
                    (each for each in bastion.sessions()
                     if each["state"] == "live" and each["database"] == on_postgres and each["bytes_down"] > 10_000),
                    None,
                ),
            )["id"]  # fmt: skip
            [shown] = look_at(bastion, session)[text]
            assert shown.kept == ("part", "running")
            assert [row[0] for row in shown.rows] == [str(n) for n in range(1, len(shown.rows) + 1)]
            assert 100 < len(shown.rows) < 3000
        finally:
            connection.cancel()
            running.join(30)


@pytest.fixture(params=["mariadb", "mysql"])
def on_mysql(request: pytest.FixtureRequest, bastion: BastionProcess) -> tuple[str, MysqlFamilyServer]:
    server = request.getfixturevalue(f"{request.param}_server")
    name = f"recorded-{request.param}"
    if not any(each["name"] == name for each in bastion.casemate("alice", "databases", "--json")):
        declared(bastion, server, name)
        server.execute(
            "CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(40), price DECIMAL(8,2), made DATETIME(3), "
            "raw VARBINARY(8))",
            "INSERT INTO items VALUES (1, 'größer', 1.50, '2026-01-02 03:04:05.678', X'00FF')",
            "INSERT INTO items VALUES (2, NULL, NULL, NULL, NULL)",
            "CREATE PROCEDURE both_of() BEGIN SELECT id FROM items; SELECT name FROM items ORDER BY id; END",
            database=CATALOG,
        )
    return name, server


def test_mysql_in_every_form_that_results_come_in(
    bastion: BastionProcess, on_mysql: tuple[str, MysqlFamilyServer]
) -> None:
    name, _ = on_mysql
    everything = "SELECT * FROM items ORDER BY id"
    several = "SELECT 1 AS one; UPDATE items SET price = price; SELECT 'two' AS two, NULL AS none"
    with open_tunnel(bastion, "alice", name) as tunnel:
        where: dict[str, Any] = {"host": tunnel.host, "port": tunnel.port, "user": "whoever", "database": CATALOG}
        flags = pymysql.constants.CLIENT.MULTI_STATEMENTS
        text = pymysql.connect(password="", client_flag=flags, autocommit=True, charset="utf8mb4", **where)
        with text, text.cursor() as cursor:
            cursor.execute(everything)
            seen = cursor.fetchall()
            cursor.execute(several)
            while cursor.nextset():
                pass
            cursor.execute("CALL both_of()")
            while cursor.nextset():
                pass
            with pytest.raises(pymysql.err.ProgrammingError):
                cursor.execute("SELECT * FROM nowhere")
    looked = look_at(bastion, session_of(bastion, tunnel)["id"])
    [shown] = looked[everything]
    assert shown.columns == {1: ["id", "name", "price", "made", "raw"]}
    assert shown.rows == [["1", "größer", "1.50", "2026-01-02 03:04:05.678", "0x00ff"], ["2", None, None, None, None]]
    assert [row[:3] for row in shown.rows] == as_text([row[:3] for row in seen])
    assert shown.kept == ("whole", "")
    [batch] = looked[several]
    assert batch.results == {1: [["1"]], 3: [["two", None]]}
    [called] = looked["CALL both_of()"]
    assert called.results == {1: [["1"], ["2"]], 2: [["größer"], [None]]}
    [failed] = looked["SELECT * FROM nowhere"]
    assert failed.errors[0].startswith("1146 (42S02): ")

    with open_tunnel(bastion, "alice", name) as tunnel:
        where |= {"host": tunnel.host, "port": tunnel.port}
        binary = mysql.connector.connect(password="", use_pure=True, ssl_disabled=True, **where)
        prepared = binary.cursor(prepared=True)
        prepared.execute("SELECT id, name, price, made FROM items WHERE id <= ?", (2,))
        rows = prepared.fetchall()
        binary.close()
    looked = look_at(bastion, session_of(bastion, tunnel)["id"])
    [executed] = looked["SELECT id, name, price, made FROM items WHERE id <= ?"]
    assert executed.first["operation"] == "COM_STMT_EXECUTE"
    assert executed.rows == [["1", "größer", "1.50", "2026-01-02 03:04:05.678000"], ["2", None, None, None]]
    assert [row[:3] for row in executed.rows] == as_text([row[:3] for row in rows])


def test_a_local_file_is_kept_up_to_the_limit(
    bastion: BastionProcess, on_mysql: tuple[str, MysqlFamilyServer], tmp_path: Path
) -> None:
    name, server = on_mysql
    server.execute("SET GLOBAL local_infile = 1")
    content = b"".join(b"%d\n" % number for number in range(60_000))
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    load = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE loaded"
    with open_tunnel(bastion, "alice", name) as tunnel:
        connection = pymysql.connect(
            host=tunnel.host, port=tunnel.port, user="whoever", password="", database=CATALOG, local_infile=True
        )
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE loaded (n INT)")
            assert cursor.execute(load) == 60_000
    [shown] = look_at(bastion, session_of(bastion, tunnel)["id"])[load]
    sent = shown.first["sent"]
    assert (sent["bytes_kept"], sent["bytes_total"], sent["why"]) == (256 * 1024, len(content), "upload")
    assert sent["data"].encode() == content[: 256 * 1024]


def test_the_pages_of_a_cursor(bastion: BastionProcess, mariadb_server: MariadbServer) -> None:
    name = declared(bastion, mariadb_server, "recorded-cursor")
    text = "SELECT 1 AS n UNION SELECT 2 UNION SELECT 3"
    with (
        open_tunnel(bastion, "alice", name) as tunnel,
        Connection(tunnel.host, tunnel.port, "whoever", "", CATALOG) as connection,
    ):
        statement = connection.statement(text)
        statement.attribute(ATTRIBUTE_CURSOR, CURSOR_READ_ONLY)
        statement.attribute(ATTRIBUTE_PREFETCH, 2)
        assert statement.execute() == 3
        statement.close()
    shown = look_at(bastion, session_of(bastion, tunnel)["id"])[text]
    fetched = [each for each in shown if each.first["operation"] == "COM_STMT_FETCH"]
    assert [each.columns for each in fetched if each.rows] == [{1: ["n"]}] * 2
    assert [row for each in fetched for row in each.rows] == [["1"], ["2"], ["3"]]


def test_the_same_as_a_command_line_client_printed(bastion: BastionProcess, mariadb_server: MariadbServer) -> None:
    name = declared(bastion, mariadb_server, "recorded-batch")
    text = "SELECT 1 AS a, 'with, comma' AS b UNION SELECT 2, 'and \"quotes\"' UNION SELECT 3, ''"
    with open_tunnel(bastion, "alice", name) as tunnel:
        where = [f"--host={tunnel.host}", f"--port={tunnel.port}", "--protocol=TCP", "--user=whoever", CATALOG]
        done = run_client([*mariadb_client(), "--batch", "--raw", *where, "-e", text])
    assert done.returncode == 0, done.stderr
    session = session_of(bastion, tunnel)["id"]
    [seq] = [str(each["seq"]) for each in bastion.statements(session) if each["text"] == text]
    environment = {"CASEMATE_PASSWORD": bastion.password_of(AUDITOR)}
    where = ["--bastion", f"{AUDITOR}@{bastion.address[0]}:{bastion.address[1]}"]
    printed = bastion.run("audit", "show", session, seq, "--csv", *where, environment=environment)
    assert list(csv.reader(io.StringIO(printed))) == [line.split("\t") for line in done.stdout.splitlines()]
    table = bastion.run("audit", "show", session, seq, "--limit", "2", *where, environment=environment)
    assert "whole: all " in table
    assert table.splitlines()[-3:-1] == ["a  b", "1  with, comma"]


def test_a_look_is_for_auditors_and_on_record(bastion: BastionProcess, on_postgres: str) -> None:
    with open_tunnel(bastion, "alice", on_postgres) as tunnel, postgres(tunnel) as connection:
        connection.execute("SELECT 'a value for nobody else'")
    session = session_of(bastion, tunnel)["id"]
    assert not bastion.mentions("\0a value for nobody else")
    for person in ("alice", "admin"):
        with pytest.raises(CommandFailed, match="role auditor"):
            bastion.casemate(person, "audit", "show", session, "1")
    with pytest.raises(CommandFailed, match="no statement 99"):
        bastion.casemate(AUDITOR, "audit", "show", session, "99")
    before = [record for record in bastion.journal() if record.get("act") == "result-shown"]
    lines = bastion.casemate(AUDITOR, "audit", "show", session, "1", "--json")
    assert [line["row"] for line in lines if "row" in line] == [["a value for nobody else"]]
    assert lines[0]["kept"] == "whole"
    after = [record for record in bastion.journal() if record.get("act") == "result-shown"]
    [look] = after[len(before) :]
    assert (look["user"], look["subject"], look["detail"]) == (AUDITOR, session, {"seq": 1, "from": 0})


def test_a_recording_that_was_altered_or_removed_is_found(bastion: BastionProcess, on_postgres: str) -> None:
    with open_tunnel(bastion, "alice", on_postgres) as tunnel, postgres(tunnel) as connection:
        connection.execute("SELECT 'evidence'")
    session = session_of(bastion, tunnel)["id"]
    [proof] = bastion.casemate(AUDITOR, "audit", "verify", "--json")
    assert (proof["intact"], proof["recording"]) == (True, "")
    path = bastion.home / "state" / "recordings" / f"{session}.recording"
    content = path.read_bytes()
    altered = bytearray(content)
    altered[-40] ^= 1
    path.write_bytes(altered)
    with pytest.raises(CommandFailed) as failed:
        bastion.run("audit", "verify", "--config", str(bastion.configuration))
    assert failed.value.exit_code == 1
    with pytest.raises(CommandFailed, match="the recording was altered or is damaged"):
        bastion.casemate(AUDITOR, "audit", "show", session, "1", "--json")
    path.unlink()
    with pytest.raises(CommandFailed) as failed:
        bastion.casemate(AUDITOR, "audit", "verify")
    assert failed.value.exit_code == 1
    path.write_bytes(content)
    path.chmod(0o600)
    assert look_at(bastion, session)["SELECT 'evidence'"][0].rows == [["evidence"]]
    assert bastion.casemate(AUDITOR, "audit", "verify", "--json")[0]["intact"] is True


def test_what_a_killed_bastion_had_not_written_is_said_to_be_missing(
    own_bastion: BastionProcess, postgres_server: PostgresServer
) -> None:
    name = declared(own_bastion, postgres_server, "recorded-killed")
    folder = own_bastion.home / "state" / "recordings"

    def chunks_on_record() -> list[dict[str, Any]]:
        return [record for record in own_bastion.journal() if record["kind"] == "recording"]

    with open_tunnel(own_bastion, "alice", name) as tunnel, postgres(tunnel) as connection:
        connection.execute("SELECT 'written in time'")
        wait_for("the first chunk", chunks_on_record)
        connection.execute("SELECT 'lost with the bastion'")
        own_bastion.kill()
    [session] = [path.stem for path in folder.iterdir()]
    set_recording(own_bastion.configuration, "off")
    own_bastion.start()
    shown = look_at(own_bastion, session)
    assert shown["SELECT 'written in time'"][0].rows == [["written in time"]]
    assert shown["SELECT 'lost with the bastion'"][0].kept == ("none", "died")
    with pytest.raises(CommandFailed, match="the bastion died before it was written"):
        own_bastion.casemate(AUDITOR, "audit", "show", session, "2", "--json")
    [proof] = own_bastion.casemate(AUDITOR, "audit", "verify", "--json")
    assert (proof["intact"], proof["recordings"]) == (True, 1)

    with open_tunnel(own_bastion, "alice", name) as tunnel, postgres(tunnel) as connection:
        connection.execute("SELECT 'not recorded'")
    later = session_of(own_bastion, tunnel)["id"]
    with pytest.raises(CommandFailed, match=r"recording\.results was off"):
        own_bastion.casemate(AUDITOR, "audit", "show", later, "1", "--json")
    assert [path.stem for path in folder.iterdir()] == [session]


def set_recording(configuration: Path, results: str) -> None:
    text = configuration.read_text()
    assert 'results = "on"' in text
    configuration.write_text(text.replace('results = "on"', f'results = "{results}"'))
