"""Real MariaDB and MySQL servers, reached through the package by real clients over a small bridge."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from bastion.protocols.contract import (
    LoggedIn,
    LoginEnded,
    LoginRequest,
    Refusal,
    StatementBegins,
    StatementExtends,
    TlsMode,
)
from tests.servers import certificates
from tests.servers.mariadb import MariadbServer, program
from tests.servers.mysql import MysqlServer, client_command
from tests.servers.mysql_family import MysqlFamilyServer
from tests.servers.new_mariadb import NewMariadbServer
from tests.servers.processes import wait_for

from .bridge import LIMIT, Bridge, Bridged
from .packets import packet

ACCOUNT, SECRET = "bridge_app", "s3cret for the account"


@pytest.fixture(params=["mariadb", "mysql"])
def server(request: pytest.FixtureRequest) -> MysqlFamilyServer:
    found: MysqlFamilyServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def database(server: MysqlFamilyServer) -> str:
    server.create_database("bridge")
    return "bridge"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    made = certificates.make(tmp_path)
    return str(made.certificate), str(made.key)


def hosted(server: MysqlFamilyServer, plugin: str | None = None, **settings: Any) -> LoginRequest:
    server.create_user(ACCOUNT, SECRET, plugin)
    values = {"person": "alice", "account": ACCOUNT, "secret": SECRET, "server_tls": TlsMode.DISABLE, **settings}
    return LoginRequest(**values)


def connect(bridge: Bridge, password: str = "", **settings: Any) -> pymysql.Connection[Any]:
    return pymysql.connect(
        host="127.0.0.1", port=bridge.port, user="typed", password=password, autocommit=True, connect_timeout=LIMIT,
        **settings,
    )  # fmt: skip


def finished(bridge: Bridge) -> Bridged:
    """The bridge's last connection, once it is over."""
    connection = bridge.connections[-1]
    assert connection.done.wait(LIMIT)
    assert connection.errors == []
    return connection


PLUGINS = [
    ("mariadb", "mysql_native_password"), ("mariadb", "ed25519"),
    ("mysql", "caching_sha2_password"), ("mysql", "sha256_password"),
    ("new_mariadb", "parsec"), ("new_mariadb", "caching_sha2_password"),
]  # fmt: skip


@pytest.mark.parametrize("tls", [TlsMode.DISABLE, TlsMode.REQUIRE])
@pytest.mark.parametrize(("kind", "plugin"), PLUGINS)
def test_a_hosted_password_logs_in_whatever_the_client_types(
    request: pytest.FixtureRequest, kind: str, plugin: str, tls: TlsMode
) -> None:
    server: MysqlFamilyServer = request.getfixturevalue(f"{kind}_server")
    with Bridge((server.host, server.port), hosted(server, plugin, server_tls=tls)) as bridge:
        for password in ("", "nonsense", "nonsense"):  # the second login of caching_sha2_password is the fast one
            with connect(bridge, password) as connection, connection.cursor() as cursor:
                cursor.execute("select current_user(), connection_id()")
                user, identifier = cursor.fetchall()[0]
            result = finished(bridge).result
            assert isinstance(result, LoggedIn)
            assert user == f"{ACCOUNT}@%"
            assert (result.login, connection.thread_id()) == ("typed", identifier)
            assert result.cancel_key is not None
            assert result.cancel_key.id == identifier


def test_tls_to_the_client(server: MysqlFamilyServer, certificate: tuple[str, str]) -> None:
    request = hosted(server, server_tls=TlsMode.PREFER)
    with Bridge((server.host, server.port), request, certificate=certificate) as bridge:
        for password in ("", "nonsense"):
            with connect(bridge, password, ssl={"check_hostname": False}) as connection, connection.cursor() as cursor:
                cursor.execute("select 1")
                assert cursor.fetchall() == ((1,),)
            finished(bridge)


@pytest.mark.parametrize("client_tls", [False, True], ids=["client-plain", "client-tls"])
@pytest.mark.parametrize("tls", [TlsMode.DISABLE, TlsMode.REQUIRE])
@pytest.mark.parametrize(("kind", "plugin"), [each for each in PLUGINS if each[1] != "parsec"])
def test_without_a_hosted_password_the_clients_own_proof_is_relayed(
    request: pytest.FixtureRequest,
    kind: str,
    plugin: str,
    tls: TlsMode,
    client_tls: bool,
    certificate: tuple[str, str],
) -> None:
    server: MysqlFamilyServer = request.getfixturevalue(f"{kind}_server")
    wanted = hosted(server, plugin, server_tls=tls, secret=None)
    with Bridge((server.host, server.port), wanted, certificate=certificate if client_tls else None) as bridge:
        settings = {"ssl": {"check_hostname": False}} if client_tls else {}
        for _ in range(2):
            with connect(bridge, SECRET, **settings) as connection, connection.cursor() as cursor:
                cursor.execute("select 1")
            finished(bridge)
        with pytest.raises(pymysql.OperationalError, match="Access denied for user 'bridge_app'"):
            connect(bridge, "wrong", **settings)
        result = finished(bridge).result
        assert isinstance(result, LoginEnded)
        assert result.by == "database"


@pytest.mark.parametrize("client_tls", [False, True], ids=["client-plain", "client-tls"])
def test_parsec_is_relayed(
    new_mariadb_server: NewMariadbServer, certificate: tuple[str, str], client_tls: bool
) -> None:
    """By MariaDB 11.8's own client, as no Python driver speaks it."""
    request = hosted(new_mariadb_server, "parsec", secret=None)
    address = (new_mariadb_server.host, new_mariadb_server.port)
    with Bridge(address, request, certificate=certificate if client_tls else None) as bridge:
        tls = ["--ssl", "--skip-ssl-verify-server-cert"] if client_tls else ["--skip-ssl"]
        for password, code in ((SECRET, 0), ("wrong", 1)):
            done = subprocess.run(
                [*new_mariadb_server.client_command(), *tls, "-h127.0.0.1", f"-P{bridge.port}", "-utyped", "-N",
                 "-e", "select current_user()"],
                capture_output=True, text=True, timeout=LIMIT, check=False, env={"MYSQL_PWD": password},
            )  # fmt: skip
            assert done.returncode == code, done.stderr
            assert done.stdout == (f"{ACCOUNT}@%\n" if not code else "")
            finished(bridge)
        assert "Access denied for user 'bridge_app'" in done.stderr


def test_the_token_is_demanded(server: MysqlFamilyServer) -> None:
    with Bridge((server.host, server.port), hosted(server, demand_token=True, token="cmt_abc")) as bridge:
        connect(bridge, "cmt_abc").close()
        for wrong in ("", "cmt_abd"):
            with pytest.raises(pymysql.OperationalError, match="must be the O&M token") as refused:
                connect(bridge, wrong)
            assert refused.value.args[0] == 1045


def test_a_wrong_hosted_password_is_told_in_the_servers_words(server: MysqlFamilyServer) -> None:
    request = hosted(server)
    server.create_user(ACCOUNT, "another one")
    with (
        Bridge((server.host, server.port), request) as bridge,
        pytest.raises(pymysql.OperationalError, match="Access denied for user 'bridge_app'"),
    ):
        connect(bridge)


def test_statements_rows_errors_and_schema_are_recorded(server: MysqlFamilyServer, database: str) -> None:
    with Bridge((server.host, server.port), hosted(server)) as bridge:
        with connect(bridge, database=database) as connection, connection.cursor() as cursor:
            cursor.execute("create table t (a int primary key, b longtext)")
            cursor.executemany("insert into t values (%s, %s)", [(index, "") for index in range(500)])
            cursor.execute("select b, a from t order by a")
            assert len(cursor.fetchall()) == 500
            with pytest.raises(pymysql.ProgrammingError):
                cursor.execute("select * from nowhere")
            connection.select_db("mysql")
            cursor.execute("begin")
            cursor.execute("rollback")
        connection = finished(bridge)
    texts = {note.number: note.text for note in connection.begun()}
    ends = connection.ended()
    rows = {texts[number].split(" values")[0]: end.rows for number, end in ends.items()}
    assert rows["insert into t"] == 500
    assert rows["select b, a from t order by a"] == 500
    (failed,) = [end for end in ends.values() if end.error]
    assert failed.error is not None
    assert failed.error.code == "1146 (42S02)"
    assert ends.keys() == texts.keys()
    changes = [note.schema for note in connection.notes if getattr(note, "schema", None)]
    assert changes == ["mysql"]


def test_results_of_every_size_pass_untouched(server: MysqlFamilyServer, database: str) -> None:
    sizes = [0, 1, 250, 251, 65535, 65536, (1 << 24) - 5, (1 << 24) - 4, 1 << 24, (1 << 24) + 1]
    with Bridge((server.host, server.port), hosted(server)) as bridge:
        with connect(bridge, max_allowed_packet=1 << 26) as connection, connection.cursor() as cursor:
            for size in sizes:
                cursor.execute("select repeat('x', %s), 'behind' union all select '', 'y'", (size,))
                first, second = cursor.fetchall()
                assert (len(first[0]), first[1], second) == (size, "behind", ("", "y"))
            cursor.execute("select length(%s)", ("z" * ((1 << 24) + 1000),))
            assert cursor.fetchall() == (((1 << 24) + 1000,),)
        connection = finished(bridge)
    assert [end.rows for end in connection.ended().values()][-len(sizes) - 1 :] == [2] * len(sizes) + [1]
    parts = [note for note in connection.notes if isinstance(note, StatementExtends)]
    assert sum(len(part.text) for part in parts) > 16_000_000


def test_calls_with_several_results(server: MysqlFamilyServer, database: str) -> None:
    with Bridge((server.host, server.port), hosted(server)) as bridge:
        with connect(bridge, database=database) as connection, connection.cursor() as cursor:
            cursor.execute("create procedure p() begin select 1 union select 2; select ''; do 0; end")
            cursor.execute("call p()")
            results = [cursor.fetchall()]
            while cursor.nextset():
                results.append(cursor.fetchall())
            assert results == [((1,), (2,)), (("",),), []]
        connection = finished(bridge)
    called = next(note.number for note in connection.begun() if note.text == "call p()")
    assert connection.ended()[called].rows == 3


def test_local_files(server: MysqlFamilyServer, database: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("".join(f"{index}\n" for index in range(200_000)))
    with Bridge((server.host, server.port), hosted(server)) as bridge:
        with connect(bridge, database=database, local_infile=True) as connection, connection.cursor() as cursor:
            cursor.execute("create table t (a int)")
            assert cursor.execute(f"load data local infile '{path}' into table t") == 200_000
            cursor.execute("select count(*) from t")
            assert cursor.fetchall() == ((200_000,),)
        connection = finished(bridge)
    sent = [note for note in connection.notes if isinstance(note, StatementExtends)]
    assert sent[0].detail == f"LOCAL INFILE '{path}'"
    assert sum(note.data_bytes for note in sent) == path.stat().st_size
    assert sent[-1].detail == "end of file"


def test_a_refused_statement_leaves_the_session_usable(server: MysqlFamilyServer) -> None:
    def judge(begins: StatementBegins) -> Refusal | None:
        return Refusal("denied", "DROP is not allowed here.") if begins.text.startswith("drop") else None

    with Bridge((server.host, server.port), hosted(server), judge=judge) as bridge:
        with connect(bridge) as connection, connection.cursor() as cursor:
            with pytest.raises(pymysql.OperationalError, match="DROP is not allowed here") as refused:
                cursor.execute("drop database bridge")
            assert refused.value.args[0] == 1227
            cursor.execute("select 1")
            assert cursor.fetchall() == ((1,),)
        finished(bridge)


def test_a_running_statement_is_cancelled_on_the_server(server: MysqlFamilyServer) -> None:
    with Bridge((server.host, server.port), hosted(server)) as bridge:
        connection = connect(bridge)
        outcome: list[object] = []

        def sleep() -> None:
            with connection.cursor() as cursor:
                try:
                    cursor.execute("select sleep(60) from (select 1 union select 2) t")
                    outcome.append(cursor.fetchall())
                except pymysql.Error as error:
                    outcome.append(error.args[0])

        thread = threading.Thread(target=sleep)
        thread.start()
        wait_for("the statement to run", lambda: bool(server.running("sleep(60)")))
        result = bridge.connections[0].result
        assert isinstance(result, LoggedIn)
        assert result.cancel_key is not None
        assert bridge.cancel(result.cancel_key)
        thread.join(50)
        assert not thread.is_alive()
        assert outcome
        wait_for("its end there", lambda: not server.running("sleep(60)"))
        connection.close()
        finished(bridge)


def _payloads(data: bytes) -> list[bytes]:
    payloads = []
    while data:
        length = int.from_bytes(data[:3], "little")
        payloads.append(data[4 : 4 + length])
        data = data[4 + length :]
    return payloads


class RawClient:
    """The connection of a logged-in PyMySQL, used for commands that PyMySQL does not speak."""

    def __init__(self, connection: pymysql.Connection[Any]) -> None:
        self.socket: socket.socket = connection._sock  # type: ignore[attr-defined]
        self.socket.settimeout(LIMIT)

    def ask(self, payload: bytes, until: Callable[[list[bytes]], bool]) -> list[bytes]:
        self.socket.sendall(packet(0, payload))
        data = b""
        while True:
            received = self.socket.recv(65536)
            assert received, "the connection was closed"
            data += received
            try:
                payloads = _payloads(data)
            except IndexError:
                continue
            if sum(len(each) + 4 for each in payloads) == len(data) and until(payloads):
                return payloads


@pytest.fixture
def prepared_session(server: MysqlFamilyServer, database: str) -> Iterator[tuple[RawClient, Bridge]]:
    with Bridge((server.host, server.port), hosted(server)) as bridge:
        connection = connect(bridge, database=database)
        with connection.cursor() as cursor:
            cursor.execute("create table t (a int, b longtext)")
            cursor.execute("insert into t values (1, 'one'), (2, 'two'), (3, 'three')")
        yield RawClient(connection), bridge
        connection.close()
        finished(bridge)


def test_prepared_statements_cursors_and_long_data(prepared_session: tuple[RawClient, Bridge]) -> None:
    client, bridge = prepared_session

    def ended(payloads: list[bytes]) -> bool:
        return payloads[-1][0] in (0xFE, 0xFF) and len(payloads[-1]) < 9 + 200

    answer = client.ask(b"\x16select a, b from t where a >= ? order by a", lambda p: len(p) >= 6)
    handle = answer[0][1:5]
    cursor = b"\x17" + handle + b"\x01\x01\0\0\0" + b"\x00\x01\x03\x00" + b"\x02\0\0\0"
    client.ask(cursor, ended)
    fetch = b"\x1c" + handle + b"\x01\0\0\0"
    assert [len(client.ask(fetch, ended)) for _ in range(3)] == [2, 2, 1]
    client.socket.sendall(packet(0, b"\x19" + handle))
    handle = client.ask(b"\x16select a, b from t where a >= ?", lambda p: len(p) >= 6)[0][1:5]
    client.ask(b"\x17" + handle + b"\x00\x01\0\0\0" + b"\x00\x01\x03\x00" + b"\x03\0\0\0", ended)
    again = client.ask(b"\x17" + handle + b"\x00\x01\0\0\0" + b"\x00\x00" + b"\x01\0\0\0", ended)
    assert again[-2][0] == 0
    client.ask(b"\x1a" + handle, lambda p: True)
    client.socket.sendall(packet(0, b"\x19" + handle))
    insert = client.ask(b"\x16insert into t values (9, ?)", lambda p: len(p) >= 2)[0][1:5]
    client.socket.sendall(packet(0, b"\x18" + insert + b"\0\0" + b"x" * 70_000))
    inserted = client.ask(b"\x17" + insert + b"\x00\x01\0\0\0" + b"\x00\x01\xfc\x00", lambda p: True)
    assert inserted[0][:2] == b"\0\x01"
    client.ask(b"\x04t\0", ended)
    client.ask(b"\x09", lambda p: True)
    client.ask(b"\x0e", lambda p: True)
    client.ask(b"\x0a", ended)
    client.ask(b"\x1f", lambda p: True)
    recorded = bridge.connections[-1]
    outcomes = [(note.operation, note.binds) for note in recorded.begun() if note.operation != "COM_QUERY"]
    text = recorded.begun()[-4].binds
    assert outcomes[:8] == [
        ("COM_STMT_PREPARE", None), ("COM_STMT_EXECUTE", ("2",)), ("COM_STMT_FETCH", None), ("COM_STMT_FETCH", None),
        ("COM_STMT_FETCH", None), ("COM_STMT_PREPARE", None), ("COM_STMT_EXECUTE", ("3",)),
        ("COM_STMT_EXECUTE", ("1",)),
    ]  # fmt: skip
    assert text is not None
    assert "(70000 bytes, sha256 " in str(text[0])
    pages = [end for end in recorded.ended().values() if end.outcome == "suspended"]
    assert [end.rows for end in pages] == [0, 1, 1]
    fetched = [recorded.ended()[note.number].rows for note in recorded.begun() if note.operation == "COM_STMT_EXECUTE"]
    assert fetched == [0, 1, 3, 1]
    assert recorded.errors == []


def _stock_client(server: MysqlFamilyServer) -> list[str]:
    if isinstance(server, MysqlServer):
        return client_command(server.tree)
    assert isinstance(server, MariadbServer)
    return [program("mariadb") or "mariadb", "--no-defaults"]


def test_the_stock_client(server: MysqlFamilyServer, database: str, tmp_path: Path) -> None:
    """The server's own `mysql`, with its start-up, several statements, and the exact record of them."""
    script = (
        "create table t (a int);\ninsert into t values (1),(2);\nselect * from t;\nuse mysql;\nselect database();\n"
    )
    with Bridge((server.host, server.port), hosted(server)) as bridge:
        done = subprocess.run(
            [*_stock_client(server), "-h127.0.0.1", f"-P{bridge.port}", "-utyped", "-pnonsense", "-vvv", database],
            input=script, capture_output=True, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "2 rows affected" in done.stdout
        recorded = finished(bridge)
    result = recorded.result
    assert isinstance(result, LoggedIn)
    assert result.client.startswith("mysql")
    assert result.catalog == database
    texts = [note.text for note in recorded.begun() if note.operation != "COM_FIELD_LIST"]
    chatter = ("@@version", "user()", "$$", "SELECT DATABASE()")  # its own questions
    # MariaDB's client says `use` by COM_INIT_DB, MySQL 9.7's by a query.
    own = [text for text in texts if not any(word in text for word in chatter)]
    assert [text for text in own if text.lower().replace("`", "") != "use mysql"] == [
        "create table t (a int)", "insert into t values (1),(2)", "select * from t", "select database()",
    ]  # fmt: skip
    assert [text for text in texts if text.lower().replace("`", "") == "use mysql"]
    failed = [recorded.begun()[number - 1].text for number, end in recorded.ended().items() if end.error]
    assert failed in ([], ["select $$"])
    assert [note.schema for note in recorded.notes if getattr(note, "schema", None)] == ["mysql"]
    assert recorded.server_bytes
