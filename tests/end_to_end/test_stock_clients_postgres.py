"""`psql` and psycopg through OpenSSH's `ssh -N -L`: what the client gets, and exactly what is on record."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.servers import excuses
from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PostgresServer

from .stock_clients import SshTunnel, open_tunnel, record_of, run_client, session_of

PASSWORD = "orders-app's own password"
DATABASE = "stockpg"


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess) -> BastionProcess:
    return stock_bastion


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> PostgresServer:
    """A database with a table of five rows, owned by the account that the bastion hosts."""
    postgres_server.create_user("stock_app", PASSWORD)
    postgres_server.create_database(DATABASE, "stock_app")
    with postgres_server.admin(DATABASE) as connection:
        connection.execute("SET ROLE stock_app")
        connection.execute("CREATE TABLE items (id int PRIMARY KEY, name text, price numeric(8,2), added timestamptz)")
        connection.execute(
            "INSERT INTO items SELECT n, 'item ' || n, n * 1.5, '2026-01-01T00:00:00Z' FROM generate_series(1, 5) AS n"
        )
    return postgres_server


@pytest.fixture(scope="module")
def granted(bastion: BastionProcess, database: PostgresServer) -> str:
    """The database's name in the bastion, where alice may use it with the hosted account."""
    bastion.declare_database(DATABASE, database, account="stock_app", password=PASSWORD, to="alice")
    return DATABASE


@pytest.fixture
def tunnel(bastion: BastionProcess, granted: str) -> Iterator[SshTunnel]:
    with open_tunnel(bastion, "alice", granted) as standing:
        yield standing


def psql(tunnel: SshTunnel, *words: str, user: str = "whoever", password: str | None = None, stdin: str | None = None):
    """psql without a start-up file; output without decoration."""
    program = shutil.which("psql")
    if program is None:
        excuses.skip("no-psql")
    environment = {"PGCONNECT_TIMEOUT": "20", "PGSSLMODE": "disable"}
    if password is not None:
        environment["PGPASSWORD"] = password
    command = [program, "-X", "-w", "-A", "-t", "-h", tunnel.host, "-p", str(tunnel.port), "-U", user, "-d", DATABASE]
    return run_client([*command, *words], environment, stdin)


@contextmanager
def driver(tunnel: SshTunnel, **settings: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(
        host=tunnel.host, port=tunnel.port, dbname=DATABASE, user="whoever", password="", sslmode="disable",
        connect_timeout=20, autocommit=True, **settings,
    ) as connection:  # fmt: skip
        yield connection


def expected(text: str, *, kind: str, rows: int | None, binds: list[str | None] | None = None, state: str = "done",
             error: str | None = None) -> dict[str, Any]:  # fmt: skip
    """A statement's record, without what differs from run to run."""
    return {
        "user": "alice", "database": DATABASE, "account": "stock_app", "schema": '"$user", public', "kind": kind,
        "text": text, "binds": binds, "verdict": "allowed", "tool": "", "state": state, "rows": rows, "error": error,
    }  # fmt: skip


@pytest.mark.parametrize("password", [None, "anything", "token"])
def test_psql_needs_no_password_and_its_statement_is_on_record(
    bastion: BastionProcess, granted: str, password: str | None
) -> None:
    with open_tunnel(bastion, "alice", granted) as tunnel:
        shown = tunnel.token if password == "token" else password
        done = psql(tunnel, "-c", "SELECT id, name FROM items WHERE id <= 3 ORDER BY id", password=shown)
    assert (done.returncode, done.stdout) == (0, "1|item 1\n2|item 2\n3|item 3\n"), done.stderr
    session = session_of(bastion, tunnel)
    assert record_of(bastion, session) == [
        expected("SELECT id, name FROM items WHERE id <= 3 ORDER BY id", kind="select", rows=3)
    ]


def test_the_session_is_on_record_with_who_asked_and_what_was_typed(bastion: BastionProcess, granted: str) -> None:
    with open_tunnel(bastion, "alice", granted) as tunnel:
        assert psql(tunnel, "-c", "SELECT 1", user="postgres").returncode == 0
    session = session_of(bastion, tunnel)
    assert {name: session[name] for name in ("user", "database", "account", "login", "engine", "state")} == {
        "user": "alice", "database": DATABASE, "account": "stock_app", "login": "postgres", "engine": "postgresql",
        "state": "closed",
    }  # fmt: skip
    assert session["client"] == "psql"
    assert session["source"].startswith("127.0.0.1")
    assert session["statements"] == 1
    assert session["unattributed_bytes"] == 0
    assert session["bytes_up"] > 0
    assert session["bytes_down"] > 0
    assert session["server_version"].startswith("18")


def test_the_database_sees_the_hosted_account_and_the_person(
    bastion: BastionProcess, granted: str, database: PostgresServer, tunnel: SshTunnel
) -> None:
    done = psql(tunnel, "-c", "SELECT current_user, session_user, current_setting('application_name')")
    user, session_user, application = done.stdout.strip().split("|")
    assert (user, session_user) == ("stock_app", "stock_app")
    assert application.startswith("psql")
    assert "alice" in application
    database.wait_until_logged("user=stock_app db=stockpg app=psql")


def test_the_servers_own_version_and_errors_reach_the_client(bastion: BastionProcess, tunnel: SshTunnel) -> None:
    done = psql(tunnel, "-c", "SELECT no_such_column FROM items", "-v", "VERBOSITY=verbose")
    assert done.returncode == 1
    assert '42703: column "no_such_column" does not exist' in done.stderr
    assert "LINE 1: SELECT no_such_column FROM items" in done.stderr
    session = session_of(bastion, tunnel)
    assert record_of(bastion, session) == [
        expected(
            "SELECT no_such_column FROM items", kind="select", rows=None, state="failed",
            error='42703: column "no_such_column" does not exist',
        )
    ]  # fmt: skip


def test_a_script_is_recorded_statement_by_statement(bastion: BastionProcess, tunnel: SshTunnel) -> None:
    script = (
        "CREATE TEMPORARY TABLE basket (id int, what text);\n"
        "INSERT INTO basket VALUES (1, 'café'), (2, '数据');\n"
        "UPDATE basket SET what = upper(what) WHERE id = 1;\n"
        "SELECT what FROM basket ORDER BY id;\n"
        "DELETE FROM basket;\n"
    )
    done = psql(tunnel, "-q", stdin=script)
    assert (done.returncode, done.stdout) == (0, "CAFÉ\n数据\n"), done.stderr
    assert record_of(bastion, session_of(bastion, tunnel)) == [
        expected("CREATE TEMPORARY TABLE basket (id int, what text);", kind="create", rows=None),
        expected("INSERT INTO basket VALUES (1, 'café'), (2, '数据');", kind="insert", rows=2),
        expected("UPDATE basket SET what = upper(what) WHERE id = 1;", kind="update", rows=1),
        expected("SELECT what FROM basket ORDER BY id;", kind="select", rows=2),
        expected("DELETE FROM basket;", kind="delete", rows=2),
    ]


def test_copy_in_and_out(bastion: BastionProcess, tunnel: SshTunnel) -> None:
    script = (
        "CREATE TEMPORARY TABLE loaded (id int, name text);\n"
        "COPY loaded FROM STDIN;\n1\tone\n2\ttwo\n\\.\n"
        "COPY loaded TO STDOUT;\n"
    )
    done = psql(tunnel, "-q", stdin=script)
    assert (done.returncode, done.stdout) == (0, "1\tone\n2\ttwo\n"), done.stderr
    session = session_of(bastion, tunnel)
    assert record_of(bastion, session)[1:] == [
        expected("COPY loaded FROM STDIN;", kind="copy", rows=2),
        expected("COPY loaded TO STDOUT;", kind="copy", rows=2),
    ]
    assert session["unattributed_bytes"] == 0


def test_psycopg_binds_are_on_record(bastion: BastionProcess, tunnel: SshTunnel) -> None:
    with driver(tunnel, row_factory=dict_row) as connection:
        rows = connection.execute(
            "SELECT id, name FROM items WHERE id = %s AND (name = %s OR %s::text IS NULL)", (2, "item 2", None)
        ).fetchall()
    assert rows == [{"id": 2, "name": "item 2"}]
    assert record_of(bastion, session_of(bastion, tunnel)) == [
        expected(
            "SELECT id, name FROM items WHERE id = $1 AND (name = $2 OR $3::text IS NULL)", kind="select", rows=1,
            binds=["2", "item 2", None],
        )
    ]  # fmt: skip


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_runs_a_prepared_statement_again(bastion: BastionProcess, tunnel: SshTunnel, binary: bool) -> None:
    query = "SELECT name FROM items WHERE id = %s"
    with driver(tunnel) as connection:
        found = [connection.execute(query, (n,), prepare=True, binary=binary).fetchall() for n in (1, 4, 99)]
    assert found == [[("item 1",)], [("item 4",)], []]
    records = [each for each in record_of(bastion, session_of(bastion, tunnel)) if each["kind"] == "select"]
    text = "SELECT name FROM items WHERE id = $1"
    assert records == [
        expected(text, kind="select", rows=1, binds=["1"]),
        expected(text, kind="select", rows=1, binds=["4"]),
        expected(text, kind="select", rows=0, binds=["99"]),
    ]


def test_psycopg_pipeline_with_an_error_in_the_middle(bastion: BastionProcess, tunnel: SshTunnel) -> None:
    with driver(tunnel) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero), connection.pipeline():
            connection.execute("SELECT %s::int + 1", (1,))
            connection.execute("SELECT 1 / %s::int", (0,))
            connection.execute("SELECT %s::int + 3", (3,))
        assert connection.execute("SELECT 'still here'").fetchone() == ("still here",)
    records = [each for each in record_of(bastion, session_of(bastion, tunnel)) if each["kind"] == "select"]
    assert [(each["text"], each["binds"], each["state"], each["rows"]) for each in records] == [
        ("SELECT $1::int + 1", ["1"], "done", 1),
        ("SELECT 1 / $1::int", ["0"], "failed", None),
        ("SELECT $1::int + 3", ["3"], "skipped", None),
        ("SELECT 'still here'", None, "done", 1),
    ]
    assert records[1]["error"] == "22012: division by zero"


def test_a_cancelled_statement_is_cancelled_on_the_database(
    bastion: BastionProcess, tunnel: SshTunnel, database: PostgresServer
) -> None:
    with driver(tunnel) as connection:
        import threading

        canceller = threading.Thread(
            target=lambda: (_until_running(database, "pg_sleep(61)"), connection.cancel_safe())
        )
        canceller.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(61)")
        canceller.join()
        assert database.running("pg_sleep(61)") == []
        assert connection.execute("SELECT 2").fetchone() == (2,)
    states = [(each["text"], each["state"]) for each in record_of(bastion, session_of(bastion, tunnel))]
    assert states[0][0] == "SELECT pg_sleep(61)"
    assert states[0][1] in ("failed", "cancelled")
    assert states[1] == ("SELECT 2", "done")


def _until_running(database: PostgresServer, text: str) -> None:
    from tests.servers.processes import wait_for

    wait_for(f"{text} at work", lambda: database.running(text))


def test_a_password_in_a_statement_is_not_kept(bastion: BastionProcess, tunnel: SshTunnel) -> None:
    done = psql(
        tunnel,
        "-c",
        "ALTER ROLE stock_app PASSWORD 'sesame-42'",
        "-c",
        f"ALTER ROLE stock_app PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'",
    )
    assert done.returncode == 0, done.stderr
    texts = [each["text"] for each in record_of(bastion, session_of(bastion, tunnel))]
    assert texts == ["ALTER ROLE stock_app PASSWORD '***'"] * 2
    assert not bastion.mentions("sesame-42")


def test_a_long_answer_and_a_long_statement(bastion: BastionProcess, tunnel: SshTunnel) -> None:
    long_text = "SELECT length('" + "x" * 600_000 + "')"
    with driver(tunnel) as connection:
        assert connection.execute(long_text).fetchone() == (600_000,)
        count = sum(
            len(row[0]) for row in connection.execute("SELECT repeat('y', 1000) FROM generate_series(1, 20000)")
        )
    assert count == 20_000_000
    session = session_of(bastion, tunnel)
    records = bastion.statements(session["id"])
    assert [(each["rows"], each["state"]) for each in records] == [(1, "done"), (20_000, "done")]
    assert records[0]["text"] == long_text
    assert records[1]["bytes_down"] > 20_000_000
    assert session["unattributed_bytes"] == 0


@pytest.mark.parametrize("plugin", ["md5", "scram-sha-256", "cleartext", "trust"])
def test_every_way_in_which_the_database_asks_for_a_password(
    bastion: BastionProcess, database: PostgresServer, plugin: str
) -> None:
    account = f"way_{plugin.replace('-', '_')}"
    database.create_user(account, "hosted-secret", plugin)
    name = f"pg-{plugin}"
    bastion.declare_database(name, database, account=account, password="hosted-secret", to="alice")
    with open_tunnel(bastion, "alice", name) as tunnel:
        done = psql(tunnel, "-c", "SELECT current_user")
    assert (done.returncode, done.stdout) == (0, account + "\n"), done.stderr
    assert session_of(bastion, tunnel)["account"] == account
