"""`mariadb`, MySQL 9.7's `mysql`, PyMySQL and a client of the binary protocol through OpenSSH's `ssh -N -L`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest

from tests.servers import excuses
from tests.servers.bastion_process import BastionProcess
from tests.servers.mysql import MysqlServer
from tests.servers.mysql_family import MysqlFamilyServer
from tests.servers.processes import wait_for

from .stock_clients import SshTunnel, open_tunnel, record_of, run_client, session_of

PASSWORD = "the account's own password"
CATALOG = "stock"
ACCOUNT = "stock_app"


@dataclass(frozen=True)
class Granted:
    """A database that alice may use through the bastion, and the server behind it."""

    name: str
    server: MysqlFamilyServer

    @property
    def version(self) -> str:
        return str(self.server.execute("SELECT VERSION()")[0][0])


def _prepared(bastion: BastionProcess, server: MysqlFamilyServer, name: str, plugin: str) -> Granted:
    server.create_user(ACCOUNT, PASSWORD, plugin)
    server.create_database(CATALOG)
    server.execute(
        "CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(40), price DECIMAL(8,2), added DATETIME)",
        *(f"INSERT INTO items VALUES ({n}, 'item {n}', {n}.5, '2026-01-01 00:00:00')" for n in range(1, 6)),
        database=CATALOG,
    )
    bastion.declare_database(name, server, account=ACCOUNT, password=PASSWORD, to="alice")
    return Granted(name, server)


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess) -> BastionProcess:
    return stock_bastion


@pytest.fixture(scope="module")
def on_mariadb(bastion: BastionProcess, request: pytest.FixtureRequest) -> Granted:
    return _prepared(bastion, request.getfixturevalue("mariadb_server"), "stock-mariadb", "mysql_native_password")


@pytest.fixture(scope="module")
def on_mysql(bastion: BastionProcess, request: pytest.FixtureRequest) -> Granted:
    return _prepared(bastion, request.getfixturevalue("mysql_server"), "stock-mysql", "caching_sha2_password")


@pytest.fixture(params=["mariadb", "mysql"])
def granted(request: pytest.FixtureRequest) -> Granted:
    """The same database on MariaDB and on MySQL 9.7."""
    return request.getfixturevalue(f"on_{request.param}")


@pytest.fixture
def tunnel(bastion: BastionProcess, granted: Granted) -> Iterator[SshTunnel]:
    with open_tunnel(bastion, "alice", granted.name) as standing:
        yield standing


def mariadb_client() -> list[str]:
    program = shutil.which("mariadb")
    if program is None:
        excuses.skip("no-mariadb")
    return [program, "--no-defaults"]


def own_client(granted: Granted) -> list[str]:
    """The client of the server's own making."""
    return granted.server.client_command() if isinstance(granted.server, MysqlServer) else mariadb_client()


def command_line(
    client: Sequence[str], tunnel: SshTunnel, *words: str, user: str = "whoever", password: str = "",
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """One run of a command-line client: batch output, no column names."""
    where = [f"--host={tunnel.host}", f"--port={tunnel.port}", "--protocol=TCP", f"--user={user}", CATALOG]
    options = ["--batch", "--skip-column-names", "--default-character-set=utf8mb4"]
    return run_client([*client, *options, *where, *words], {"MYSQL_PWD": password}, stdin)


@contextmanager
def driver(tunnel: SshTunnel, **settings: Any) -> Iterator[pymysql.Connection[Any]]:
    connection = pymysql.connect(
        host=tunnel.host, port=tunnel.port, user="whoever", database=CATALOG, autocommit=True, connect_timeout=20,
        **{"password": "", **settings},
    )  # fmt: skip
    try:
        yield connection
    finally:
        connection.close()


def expected(granted: Granted, text: str, *, kind: str, rows: int | None, binds: list[str | None] | None = None,
             state: str = "done", error: str | None = None) -> dict[str, Any]:  # fmt: skip
    """A statement's record, without what differs from run to run."""
    return {
        "user": "alice", "database": granted.name, "account": ACCOUNT, "schema": CATALOG, "kind": kind, "text": text,
        "binds": binds, "verdict": "allowed", "tool": "", "state": state, "rows": rows, "error": error,
    }  # fmt: skip


def about(records: list[dict[str, Any]], word: str) -> list[dict[str, Any]]:
    """Those whose text has `word`: without what a client says of itself at its start."""
    return [each for each in records if word in each["text"]]


@pytest.mark.parametrize("password", ["", "anything", "token"])
def test_the_servers_own_client_needs_no_password(bastion: BastionProcess, granted: Granted, password: str) -> None:
    query = "SELECT id, name FROM items WHERE id <= 3 ORDER BY id"
    with open_tunnel(bastion, "alice", granted.name) as tunnel:
        shown = tunnel.token if password == "token" else password
        done = command_line(own_client(granted), tunnel, "-e", query, password=shown)
    assert (done.returncode, done.stdout) == (0, "1\titem 1\n2\titem 2\n3\titem 3\n"), done.stderr
    session = session_of(bastion, tunnel)
    assert about(record_of(bastion, session), "items") == [expected(granted, query, kind="select", rows=3)]
    assert session["unattributed_bytes"] == 0


def test_mariadb_client_on_mysql(bastion: BastionProcess, on_mysql: Granted) -> None:
    with open_tunnel(bastion, "alice", on_mysql.name) as tunnel:
        done = command_line(mariadb_client(), tunnel, "-e", "SELECT name FROM items WHERE id = 5")
    assert (done.returncode, done.stdout) == (0, "item 5\n"), done.stderr
    assert about(record_of(bastion, session_of(bastion, tunnel)), "items") == [
        expected(on_mysql, "SELECT name FROM items WHERE id = 5", kind="select", rows=1)
    ]


def test_the_session_is_on_record_with_who_asked_and_what_was_typed(bastion: BastionProcess, granted: Granted) -> None:
    with open_tunnel(bastion, "alice", granted.name) as tunnel:
        assert command_line(own_client(granted), tunnel, "-e", "SELECT 1", user="root").returncode == 0
    session = session_of(bastion, tunnel)
    assert {name: session[name] for name in ("user", "database", "account", "login", "engine", "state")} == {
        "user": "alice", "database": granted.name, "account": ACCOUNT, "login": "root", "engine": "mysql",
        "state": "closed",
    }  # fmt: skip
    assert session["catalog"] == CATALOG
    assert session["server_version"] == granted.version
    assert session["unattributed_bytes"] == 0


def test_the_database_sees_the_hosted_account_and_its_greeting_reaches_the_client(
    bastion: BastionProcess, granted: Granted, tunnel: SshTunnel
) -> None:
    server = granted.server
    direct = pymysql.connect(host=server.host, port=server.port, user=ACCOUNT, password=PASSWORD)
    greeting = direct.get_server_info()
    direct.close()
    with driver(tunnel) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), CONNECTION_ID(), VERSION(), DATABASE()")
        user, connection_id, version, catalog = cursor.fetchone()
        assert (user, version, catalog) == (ACCOUNT, granted.version, CATALOG)
        assert connection.thread_id() == connection_id
        assert connection.get_server_info() == greeting
    granted.server.wait_until_logged("SUBSTRING_INDEX(CURRENT_USER()")


def test_errors_are_the_servers_own(bastion: BastionProcess, granted: Granted, tunnel: SshTunnel) -> None:
    done = command_line(own_client(granted), tunnel, "-e", "SELECT no_such_column FROM items")
    assert done.returncode == 1
    assert "ERROR 1054 (42S22)" in done.stderr
    assert "Unknown column 'no_such_column' in" in done.stderr
    [record] = about(record_of(bastion, session_of(bastion, tunnel)), "no_such_column")
    assert record["state"] == "failed"
    assert record["rows"] is None
    assert record["error"].startswith("1054")
    assert "Unknown column 'no_such_column' in" in record["error"]


def test_a_script_is_recorded_statement_by_statement(
    bastion: BastionProcess, granted: Granted, tunnel: SshTunnel
) -> None:
    script = (
        "CREATE TEMPORARY TABLE basket (id INT, what VARCHAR(20) CHARACTER SET utf8mb4);\n"
        "INSERT INTO basket VALUES (1, 'café'), (2, '数据');\n"
        "UPDATE basket SET what = UPPER(what) WHERE id = 1;\n"
        "SELECT what FROM basket ORDER BY id;\n"
        "DELETE FROM basket;\n"
    )
    done = command_line(own_client(granted), tunnel, stdin=script)
    assert (done.returncode, done.stdout) == (0, "CAFÉ\n数据\n"), done.stderr
    assert about(record_of(bastion, session_of(bastion, tunnel)), "basket") == [
        expected(
            granted, "CREATE TEMPORARY TABLE basket (id INT, what VARCHAR(20) CHARACTER SET utf8mb4)", kind="create",
            rows=0,
        ),
        expected(granted, "INSERT INTO basket VALUES (1, 'café'), (2, '数据')", kind="insert", rows=2),
        expected(granted, "UPDATE basket SET what = UPPER(what) WHERE id = 1", kind="update", rows=1),
        expected(granted, "SELECT what FROM basket ORDER BY id", kind="select", rows=2),
        expected(granted, "DELETE FROM basket", kind="delete", rows=2),
    ]  # fmt: skip


def test_use_changes_the_schema_on_record(bastion: BastionProcess, granted: Granted, tunnel: SshTunnel) -> None:
    with driver(tunnel) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 'before'")
        connection.select_db("information_schema")
        cursor.execute("SELECT 'between'")
        cursor.execute(f"USE {CATALOG}")
        cursor.execute("SELECT 'after'")
    records = record_of(bastion, session_of(bastion, tunnel))
    schemas = {each["text"]: each["schema"] for each in records if each["kind"] == "select"}
    assert schemas == {"SELECT 'before'": CATALOG, "SELECT 'between'": "information_schema", "SELECT 'after'": CATALOG}


def test_load_data_local(bastion: BastionProcess, granted: Granted, tunnel: SshTunnel, tmp_path: Any) -> None:
    rows = tmp_path / "rows.tsv"
    rows.write_text("".join(f"{n}\tline {n}\n" for n in range(1000)))
    statement = f"LOAD DATA LOCAL INFILE '{rows}' INTO TABLE loaded"
    script = f"CREATE TEMPORARY TABLE loaded (id INT, what VARCHAR(20));\n{statement};\nSELECT COUNT(*) FROM loaded;\n"
    done = command_line(own_client(granted), tunnel, "--local-infile=1", stdin=script)
    assert (done.returncode, done.stdout) == (0, "1000\n"), done.stderr
    session = session_of(bastion, tunnel)
    assert about(record_of(bastion, session), "LOAD DATA") == [expected(granted, statement, kind="load", rows=1000)]
    assert session["unattributed_bytes"] == 0


def test_pymysql_several_statements_in_one(bastion: BastionProcess, granted: Granted, tunnel: SshTunnel) -> None:
    text = "SELECT id FROM items WHERE id < 3; UPDATE items SET price = price WHERE id = 1; SELECT 'last' AS items"
    flags = pymysql.constants.CLIENT.MULTI_STATEMENTS
    with driver(tunnel, client_flag=flags) as connection, connection.cursor() as cursor:
        cursor.execute(text)
        answers = [cursor.fetchall()]
        while cursor.nextset():
            answers.append(cursor.fetchall())
    assert [answer for answer in answers if answer] == [((1,), (2,)), (("last",),)]
    session = session_of(bastion, tunnel)
    [record] = about(record_of(bastion, session), "items")
    assert (record["text"], record["state"], record["kind"]) == (text, "done", "select")
    assert session["unattributed_bytes"] == 0


PREPARED = """
use strict; use DBI; use JSON::PP;
my ($host, $port, $catalog) = @ARGV;
my $db = DBI->connect("DBI:MariaDB:host=$host;port=$port;database=$catalog", "whoever", "",
    {RaiseError => 1, PrintError => 0, mariadb_server_prepare => 1, mariadb_auto_reconnect => 0});
my @seen;
my $select = $db->prepare("SELECT name FROM items WHERE id = ? AND (name LIKE ? OR ? IS NULL)");
for my $id (1, 4, 99) {
    $select->execute($id, "item%", undef);
    push @seen, $select->fetchall_arrayref();
}
my $update = $db->prepare("UPDATE items SET price = price + ? WHERE id <= ?");
push @seen, int($update->execute("0.00", 2));
eval { $db->prepare("SELECT nothing FROM nowhere")->execute(); };
push @seen, $db->err;
$db->disconnect();
print encode_json(\\@seen);
"""


def test_the_binary_protocol_with_binds(bastion: BastionProcess, granted: Granted, tunnel: SshTunnel) -> None:
    perl = shutil.which("perl")
    if perl is None or subprocess.run([perl, "-MDBD::MariaDB", "-e", "1"], capture_output=True, check=False).returncode:
        excuses.skip("no-dbd-mariadb")
    done = run_client([perl, "-e", PREPARED.replace("\\\\", "\\"), tunnel.host, str(tunnel.port), CATALOG])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[:3] == [[["item 1"]], [["item 4"]], []]
    assert json.loads(done.stdout)[4] == 1146
    session = session_of(bastion, tunnel)
    records = [each for each in record_of(bastion, session) if each["kind"] in ("select", "update") and each["binds"]]
    select = "SELECT name FROM items WHERE id = ? AND (name LIKE ? OR ? IS NULL)"
    assert [(each["text"], each["binds"], each["state"], each["rows"]) for each in records] == [
        (select, ["1", "item%", None], "done", 1),
        (select, ["4", "item%", None], "done", 1),
        (select, ["99", "item%", None], "done", 0),
        ("UPDATE items SET price = price + ? WHERE id <= ?", ["0.00", "2"], "done", records[3]["rows"]),
    ]
    [failed] = about(record_of(bastion, session), "nowhere")
    assert failed["state"] == "failed"
    assert failed["error"].startswith("1146")
    assert session["unattributed_bytes"] == 0


def test_a_cancelled_statement_is_cancelled_on_the_database(
    bastion: BastionProcess, granted: Granted, tunnel: SshTunnel
) -> None:
    """As a command-line client does on Ctrl-C: KILL QUERY on a second connection, with the id it was greeted with."""
    import threading

    with driver(tunnel) as connection, connection.cursor() as cursor:

        def cancel() -> None:
            wait_for("SLEEP(61) at work", lambda: granted.server.running("SLEEP(61)"))
            with driver(tunnel) as other, other.cursor() as killer:
                killer.execute(f"KILL QUERY {connection.thread_id()}")

        canceller = threading.Thread(target=cancel)
        canceller.start()
        # An interrupted SLEEP answers 1 in MariaDB and MySQL when it is all of the statement, else an error.
        try:
            cursor.execute("SELECT SLEEP(61)")
            assert cursor.fetchall() == ((1,),)
        except pymysql.err.OperationalError as error:
            assert error.args[0] == 1317  # noqa: PT017
        canceller.join()
        wait_for("its end there", lambda: not granted.server.running("SLEEP(61)"))
        cursor.execute("SELECT 2")
        assert cursor.fetchall() == ((2,),)


def test_a_password_in_a_statement_is_not_kept(bastion: BastionProcess, granted: Granted, tunnel: SshTunnel) -> None:
    with driver(tunnel) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER 'temp'@'localhost' IDENTIFIED BY 'sesame-43'")
        cursor.execute("DROP USER 'temp'@'localhost'")
    texts = [each["text"] for each in about(record_of(bastion, session_of(bastion, tunnel)), "'temp'")]
    assert texts == ["CREATE USER 'temp'@'localhost' IDENTIFIED BY '***'", "DROP USER 'temp'@'localhost'"]
    assert not bastion.mentions("sesame-43")


def test_a_long_answer_and_a_long_statement(bastion: BastionProcess, granted: Granted, tunnel: SshTunnel) -> None:
    long_text = "SELECT LENGTH('" + "x" * 600_000 + "')"
    with driver(tunnel) as connection, connection.cursor() as cursor:
        cursor.execute(long_text)
        assert cursor.fetchall() == ((600_000,),)
        cursor.execute("SELECT REPEAT('y', 20000000)")
        assert len(cursor.fetchall()[0][0]) == 20_000_000
    session = session_of(bastion, tunnel)
    long, answer = [each for each in bastion.statements(session["id"]) if each["kind"] == "select"]
    assert long["text"] == long_text
    assert (answer["rows"], answer["state"]) == (1, "done")
    assert answer["bytes_down"] > 20_000_000
    assert session["unattributed_bytes"] == 0


@pytest.mark.parametrize("plugin", ["mysql_native_password", "ed25519"])
def test_every_way_in_which_mariadb_asks_for_a_password(
    bastion: BastionProcess, mariadb_server: Any, plugin: str
) -> None:
    account = f"way_{plugin}"
    mariadb_server.create_user(account, "hosted-secret", plugin)
    mariadb_server.create_database("ways")
    name = f"mariadb-{plugin.replace('_', '-')}"
    bastion.declare_database(name, mariadb_server, account=account, password="hosted-secret", to="alice")
    with open_tunnel(bastion, "alice", name) as tunnel:
        done = run_client(
            [*mariadb_client(), "--batch", "--skip-column-names", f"--host={tunnel.host}", f"--port={tunnel.port}",
             "--protocol=TCP", "--user=me", "-e", "SELECT CURRENT_USER()", "ways"]
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{account}@%\n"), done.stderr


@pytest.mark.parametrize("tls", ["disable", "require"])
def test_caching_sha2_password_full_and_fast(bastion: BastionProcess, mysql_server: MysqlServer, tls: str) -> None:
    """The first login of a new account takes the full exchange (RSA without TLS); the next one the server's cache."""
    account = f"sha2_{tls}"
    mysql_server.create_user(account, "hosted-secret")
    bastion.declare_database(
        f"mysql-{tls}", mysql_server, account=account, password="hosted-secret", to="alice", tls=tls
    )
    with open_tunnel(bastion, "alice", f"mysql-{tls}") as tunnel:
        for _ in ("full", "fast"):
            done = run_client(
                [*mysql_server.client_command(), "--batch", "--skip-column-names", f"--host={tunnel.host}",
                 f"--port={tunnel.port}", "--protocol=TCP", "--user=me", "-e", "SELECT CURRENT_USER()"]
            )  # fmt: skip
            assert (done.returncode, done.stdout) == (0, f"{account}@%\n"), done.stderr
