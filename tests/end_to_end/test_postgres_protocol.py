"""PostgreSQL's side roads against PostgreSQL 18: requests to cancel, versions of the protocol, replication.

The clients are PostgreSQL's own of the same version, or bytes where the clients leave no choice.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.protocols.postgres import messages as m
from tests.servers.bastion_process import BastionProcess
from tests.servers.debian_postgres import TlsPostgresServer
from tests.servers.processes import wait_for

from .desk import Desk, Way
from .stock_clients import client_environment

PASSWORD = "the account's own password"
ACCOUNT = "roads_app"
LOGICAL_DATABASE = "roads"


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess) -> BastionProcess:
    return stock_bastion


@pytest.fixture(scope="module")
def desk(bastion: BastionProcess) -> Iterator[Desk]:
    standing = Desk(bastion)
    yield standing
    standing.close()


@pytest.fixture(scope="module")
def server(tls_postgres_server: TlsPostgresServer) -> TlsPostgresServer:
    tls_postgres_server.create_user(ACCOUNT, PASSWORD)
    with tls_postgres_server.admin() as connection:
        connection.execute(f"ALTER ROLE {ACCOUNT} REPLICATION")
    tls_postgres_server.create_database(LOGICAL_DATABASE, ACCOUNT)
    return tls_postgres_server


def declare_replication(bastion: BastionProcess, granted: bool) -> str:
    """Says whether alice may replicate from `roads-copy`; what `apply` said it changes."""
    file = bastion.folder / "replication.yaml"
    flag = "true" if granted else "false"
    file.write_text(f"grants: [{{name: copy, to: [alice], on: [roads-copy], replication: {flag}}}]\n")
    return bastion.run("apply", str(file), "--config", str(bastion.configuration))


@pytest.fixture(scope="module")
def declared(bastion: BastionProcess, server: TlsPostgresServer) -> None:
    def database(name: str, **more: Any) -> dict[str, Any]:
        account = {"name": ACCOUNT, "password": {"env": "ACCOUNT_PASSWORD"}}
        tls = {"mode": "require"}
        return {
            "name": name, "engine": "postgresql", "host": "localhost", "port": server.port, "tls": tls,
            "accounts": [account], **more,
        }  # fmt: skip

    bastion.apply(
        {
            "databases": [
                database("roads"),
                database("roads-copy"),
                database("roads-one-only", databases=[LOGICAL_DATABASE]),
            ],
            "grants": [
                {"name": "roads", "to": ["alice", "bob"], "on": ["roads"]},
                {"name": "copy", "to": ["alice"], "on": ["roads-copy"], "replication": True},
                {"name": "one-only", "to": ["alice"], "on": ["roads-one-only"], "replication": True},
            ],
        },
        {"ACCOUNT_PASSWORD": PASSWORD},
    )


def target(way: Way, **settings: str) -> str:
    """A connection string through the tunnel."""
    given = {
        "host": way.host, "port": str(way.port), "user": "whoever", "dbname": LOGICAL_DATABASE, "sslmode": "disable",
        "gssencmode": "disable", "connect_timeout": "20", **settings,
    }  # fmt: skip
    return " ".join(f"{name}={value}" for name, value in given.items())


def run(server: TlsPostgresServer, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*server.client(name), *words],
        env=client_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# -------------------------------------------------------------------------------------------------- by hand


@dataclass
class Conversation:
    """One connection of bytes: `connect`, then `ask` and see what comes up to ReadyForQuery."""

    way: Way
    version: int = 0x0003_0000
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __enter__(self) -> Conversation:
        self.socket = socket.create_connection((self.way.host, self.way.port), 60)
        self.stream = self.socket.makefile("rb")
        self.socket.sendall(m.startup(self.version, user="whoever", database=LOGICAL_DATABASE, **self.parameters))
        self.welcome = self.until_ready()
        [key] = [body for kind, body in self.welcome if kind == b"K"]
        self.key = int.from_bytes(key[:4], "big"), key[4:]
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.socket.sendall(b"X\0\0\0\x04")
        self.socket.close()

    def one(self) -> tuple[bytes, bytes]:
        kind, size = struct.unpack(">cI", self.stream.read(5))
        return kind, self.stream.read(size - 4)

    def until_ready(self) -> list[tuple[bytes, bytes]]:
        found = []
        while not found or found[-1][0] != b"Z":
            found.append(self.one())
        return found

    def ask(self, text: str) -> list[tuple[bytes, bytes]]:
        self.socket.sendall(m.query(text))
        return self.until_ready()


def request_cancel(way: Way, key: tuple[int, bytes]) -> bytes:
    """What comes back: nothing, whatever the bastion and the server made of it."""
    with socket.create_connection((way.host, way.port), 60) as connection:
        connection.sendall(m.cancel_request(*key))
        return connection.recv(100)


# ---------------------------------------------------------------------------------------- versions and keys


@pytest.mark.parametrize(("version", "length"), [(0x0003_0000, 4), (0x0003_0002, 32)])
def test_the_key_has_the_length_of_the_version(
    desk: Desk, server: TlsPostgresServer, declared: None, version: int, length: int
) -> None:
    way = desk.way("roads")
    with Conversation(way, version) as asker:
        assert len(asker.key[1]) == length
        assert not [kind for kind, _ in asker.welcome if kind == b"v"]
        asker.socket.sendall(m.query("SELECT pg_sleep(30)"))
        wait_for("the statement to run", lambda: server.running("pg_sleep(30)"))
        assert request_cancel(way, asker.key) == b""
        answer = asker.until_ready()
        assert b"C57014\0" in next(body for kind, body in answer if kind == b"E")
        assert asker.ask("SELECT 'still here'")[1] == (b"D", b"\0\x01\0\0\0\x0astill here")
    cancelled, cancel = sorted(desk.sessions(way, 2), key=lambda each: each["end_reason"] == "cancel-request")
    assert (cancel["state"], cancel["end_reason"]) == ("closed", "cancel-request")
    states = [(each["text"], each["state"]) for each in desk.statements(cancelled)]
    assert states == [("SELECT pg_sleep(30)", "cancelled"), ("SELECT 'still here'", "done")]
    assert cancelled["unattributed_bytes"] == 0


@pytest.mark.parametrize("version", [0x0003_0002, 0x0003_270F])
def test_the_client_is_told_what_is_not_spoken(
    desk: Desk, server: TlsPostgresServer, declared: None, version: int
) -> None:
    with Conversation(desk.way("roads"), version, {"_pq_.no_such_option": "1"}) as asker:
        assert asker.welcome[0] == (b"v", struct.pack(">II", 0x0003_0002, 1) + b"_pq_.no_such_option\0")
        assert len(asker.key[1]) == 32
        assert asker.ask("SELECT 1")[-1] == (b"Z", b"I")


@pytest.mark.parametrize("version", ["3.0", "3.2", "latest"])
@pytest.mark.parametrize("tls", ["disable", "require"])
def test_psql_and_its_interrupt(desk: Desk, server: TlsPostgresServer, declared: None, version: str, tls: str) -> None:
    """psql asks to cancel on a connection of its own, encrypted as the first one is."""
    way = desk.way("roads")
    wanted = f"SELECT pg_sleep(30), '{version} {tls}'"
    where = target(way, max_protocol_version=version, sslmode=tls)
    client = subprocess.Popen(
        [*server.client("psql"), "-X", "-At", where, "-c", wanted, "-c", "SELECT 'after'"],
        env=client_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for("the statement to run", lambda: server.running(wanted.replace("'", "_")) or client.poll() is not None)
    client.send_signal(signal.SIGINT)
    out, err = client.communicate(timeout=60)
    assert "canceling statement due to user request" in err
    sessions = desk.sessions(way, 2)
    assert sorted(each["end_reason"] for each in sessions) == ["cancel-request", "client"]
    statements = [each for session in sessions for each in desk.statements(session)]
    assert (statements[0]["text"], statements[0]["state"]) == (wanted, "cancelled"), (out, err)


@pytest.mark.parametrize("whose", ["bob", "nobody"])
def test_the_key_of_another_person_cancels_nothing(
    desk: Desk, server: TlsPostgresServer, declared: None, whose: str
) -> None:
    of_alice, of_bob = desk.way("roads"), desk.way("roads", "bob")
    text = f"SELECT pg_advisory_xact_lock(4711), 'of {whose}'"
    with Conversation(of_alice) as victim, server.admin(LOGICAL_DATABASE) as holder:
        # It lasts until it is let go on.
        holder.execute("SELECT pg_advisory_lock(4711)")
        victim.socket.sendall(m.query(text))
        wait_for("the statement to run", lambda: server.running(text.replace("'", "_")))
        key = victim.key if whose == "bob" else (victim.key[0], bytes(4))
        assert request_cancel(of_bob if whose == "bob" else of_alice, key) == b""
        holder.execute("SELECT pg_advisory_unlock(4711)")
        assert (b"C", b"SELECT 1\0") in victim.until_ready()
    [refused] = [each for each in desk.sessions(of_alice, 2) if each["state"] == "refused"]
    assert refused["user"] == ("bob" if whose == "bob" else "alice")
    assert "so nothing was cancelled" in refused["end_reason"]
    assert ("not of bob" in refused["end_reason"]) is (whose == "bob")


# ------------------------------------------------------------------------------------------------ schema and role


def test_schema_and_role_are_on_record(
    bastion: BastionProcess, desk: Desk, server: TlsPostgresServer, declared: None
) -> None:
    with server.admin() as admin:
        admin.execute("DROP ROLE IF EXISTS roads_role")
        admin.execute(f"CREATE ROLE roads_role ROLE {ACCOUNT}")
    way = desk.way("roads")
    with Conversation(way) as asker:
        for text in (
            "SET search_path TO one, \"Two\"", "BEGIN; SET LOCAL search_path TO three; SET LOCAL ROLE roads_role",
            "SELECT current_user", "ROLLBACK", "SELECT current_user", "SET ROLE roads_role", "DISCARD ALL", "SELECT 1",
        ):  # fmt: skip
            asker.ask(text)
    session = desk.session(way)
    assert [(each["text"], each["schema"]) for each in desk.statements(session)] == [
        ('SET search_path TO one, "Two"', '"$user", public'),
        ("BEGIN; SET LOCAL search_path TO three; SET LOCAL ROLE roads_role", 'one, "Two"'),
        ("SELECT current_user", "three"),
        ("ROLLBACK", "three"),
        ("SELECT current_user", 'one, "Two"'),
        ("SET ROLE roads_role", 'one, "Two"'),
        ("DISCARD ALL", 'one, "Two"'),
        ("SELECT 1", '"$user", public'),
    ]
    roles = [
        (record["seq"], record["detail"])
        for record in bastion.journal()
        if record["kind"] == "statement-extended" and record["session"] == session["id"] and record["detail"]
    ]
    own = "the role is the account's own again"
    assert roles == [(2, "the role is now roads_role"), (4, own), (6, "the role is now roads_role"), (7, own)]


# --------------------------------------------------------------------------------- what comes without being asked for


def test_what_the_server_says_by_itself_comes_at_once(desk: Desk, server: TlsPostgresServer, declared: None) -> None:
    """Notifications of others, and the end by an administrator, all while the client is idle."""
    way = desk.way("roads")
    with Conversation(way) as asker, server.admin(LOGICAL_DATABASE) as admin:
        assert asker.ask("LISTEN news")[-1] == (b"Z", b"I")
        admin.execute("NOTIFY news, 'from elsewhere'")
        kind, body = asker.one()
        assert (kind, body[4:]) == (b"A", b"news\0from elsewhere\0")
        notices = asker.ask("DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$")
        assert [kind for kind, _ in notices] == [b"N", b"N", b"C", b"Z"]
        admin.execute("SELECT pg_terminate_backend(%s)", (asker.key[0],))
        kind, body = asker.one()
        assert (kind, b"C57P01\0" in body) == (b"E", True)
        assert asker.stream.read(1) == b""
    session = desk.session(way)
    assert (session["end_reason"], session["unattributed_bytes"]) == ("database", 0)
    statements = desk.statements(session)
    assert [(each["kind"], each["state"]) for each in statements] == [("listen", "done"), ("do", "done")]


# ----------------------------------------------------------------------------------------------- replication


def test_wal_is_received(desk: Desk, server: TlsPostgresServer, declared: None, tmp_path: Path) -> None:
    way = desk.way("roads-copy")
    with server.admin() as admin:
        admin.execute("SELECT pg_create_physical_replication_slot('roads_wal', true)")
        admin.execute("CREATE TABLE moved AS SELECT generate_series(1, 50000) AS n")
        upto = admin.execute("SELECT pg_current_wal_lsn()").fetchone()[0]  # type: ignore[index]
        admin.execute("DROP TABLE moved")
        admin.execute("SELECT pg_switch_wal()")
    folder = tmp_path / "wal"
    folder.mkdir()
    done = run(
        server, "pg_receivewal", "-D", str(folder), "-d", target(way, dbname="postgres"), "--no-loop", "--no-sync",
        "--slot", "roads_wal", "-E", str(upto),
    )  # fmt: skip
    with server.admin() as admin:
        admin.execute("SELECT pg_drop_replication_slot('roads_wal')")
    assert done.returncode == 0, done.stderr
    assert sum(file.stat().st_size for file in folder.iterdir()) >= 16 * 1024 * 1024
    session = desk.session(way)
    statements = desk.statements(session)
    started = next(each for each in statements if each["text"].startswith("START_REPLICATION"))
    assert (started["kind"], started["state"]) == ("start_replication", "done")
    assert started["bytes_down"] > 3_000_000
    assert session["unattributed_bytes"] == 0
    assert session["end_reason"] == "client"


def test_a_base_backup(desk: Desk, server: TlsPostgresServer, declared: None, tmp_path: Path) -> None:
    way = desk.way("roads-copy")
    folder = tmp_path / "backup"
    done = run(
        server, "pg_basebackup", "-D", str(folder), "-d", target(way, dbname="postgres"), "--no-sync", "-c", "fast",
        "-X", "stream",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / "PG_VERSION").read_text() == "18\n"
    sessions = desk.sessions(way, 2)
    assert len(sessions) == 2
    assert [each["unattributed_bytes"] for each in sessions] == [0, 0]
    backups = [each for session in sessions for each in desk.statements(session) if "BASE_BACKUP" in each["text"]]
    assert [(each["kind"], each["state"]) for each in backups] == [("base_backup", "done")]
    assert backups[0]["bytes_down"] > 20_000_000


def test_logical_replication_and_sql_on_one_connection(
    desk: Desk, server: TlsPostgresServer, declared: None, tmp_path: Path
) -> None:
    way = desk.way("roads-copy")
    where = target(way)
    slot = ["-d", where, "--slot", "roads_slot"]
    assert run(server, "pg_recvlogical", *slot, "--create-slot", "-P", "test_decoding").returncode == 0
    with server.admin(LOGICAL_DATABASE) as admin:
        admin.execute("CREATE TABLE things (id int)")
        admin.execute("INSERT INTO things VALUES (4711)")
        upto = admin.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]  # type: ignore[index]
    file = tmp_path / "changes"
    done = run(server, "pg_recvlogical", *slot, "--start", "-f", str(file), "-E", str(upto), "--no-loop")
    assert done.returncode == 0, done.stderr
    assert "table public.things: INSERT: id[integer]:4711" in file.read_text()
    mixed = run(server, "psql", "-X", "-At", where + " replication=database", "-c", "SELECT 1", "-c", "IDENTIFY_SYSTEM")
    assert mixed.stdout.startswith("1\n")
    assert run(server, "pg_recvlogical", *slot, "--drop-slot").returncode == 0
    sessions = desk.sessions(way, 4)
    assert [each["unattributed_bytes"] for each in sessions] == [0] * 4
    texts = [(each["text"].split()[0], each["state"]) for session in sessions for each in desk.statements(session)]
    assert ("START_REPLICATION", "done") in texts
    assert {state for _, state in texts} == {"done"}


@pytest.mark.parametrize(
    ("name", "words", "reason"),
    [
        ("roads", ["pg_receivewal", "-D", "."], "Replication connections are not granted here."),
        ("roads", ["pg_recvlogical", "--slot", "x", "--start", "-f", "-"], "Replication connections are not granted"),
        ("roads-one-only", ["pg_receivewal", "-D", "."], "Physical replication copies every database of the server"),
    ],
)
def test_replication_that_is_not_granted(
    desk: Desk, server: TlsPostgresServer, declared: None, name: str, words: list[str], reason: str
) -> None:
    way = desk.way(name)
    done = run(server, *words, "-d", target(way), "--no-loop")
    assert done.returncode == 1
    assert reason in done.stderr
    session = desk.session(way)
    assert (session["state"], session["statements"]) == ("refused", 0)


def test_replication_ends_with_its_grant(bastion: BastionProcess, desk: Desk, declared: None) -> None:
    way = desk.way("roads-copy")
    with Conversation(way, parameters={"replication": "database"}) as standing:
        assert standing.ask("IDENTIFY_SYSTEM")[-1] == (b"Z", b"I")
        said = declare_replication(bastion, granted=False)
        assert "replication: True -> -" in said
        farewell = standing.stream.read(4096)
    assert b"Replication connections to roads-copy are not granted." in farewell
    assert desk.session(way)["end_reason"] == "replication-not-allowed"
    assert "replication: - -> True" in declare_replication(bastion, granted=True)
    assert "replication: true" in bastion.run("export", "--config", str(bastion.configuration))
