"""What a bastion does with wrong logins, dead and hostile databases, and hostile clients.

Every test runs beside a bystander: another person's session that is open before, is used after, and must not notice.
After each the same bastion process is up, its memory has stayed within a bound, and the record tells what happened.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from tests.servers import excuses
from tests.servers.bastion_process import BastionProcess
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer
from tests.servers.processes import free_port, wait_for

from .stock_clients import (
    SshTunnel,
    TunnelRefused,
    open_tunnel,
    session_of,
    ssh_tunnel,
    token_of,
)

PASSWORD = "hosted-secret"
MEMORY_BOUND = 160 * 1024 * 1024
"""Bytes by which one hostile peer may make the bastion grow. 64 MB are a password's argon2; the rest is queues."""

NOT_UNDERSTOOD = re.compile("could not read what was sent as|does not understand this")
"""Said by the relay, or by the protocol's own login."""


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess) -> BastionProcess:
    return stock_bastion


@pytest.fixture(scope="module")
def good(bastion: BastionProcess, postgres_server: PostgresServer) -> str:
    """A database that works: alice's, and the bystander's."""
    postgres_server.create_user("good_app", PASSWORD)
    postgres_server.create_database("good", "good_app")
    bastion.declare_database("good", postgres_server, account="good_app", password=PASSWORD, to="alice")
    bastion.declare_database("quiet", postgres_server, account="good_app", password=PASSWORD, to="bob")
    return "good"


@pytest.fixture(autouse=True)
def bystander(bastion: BastionProcess, good: str) -> Iterator[psycopg.Connection[Any]]:
    """Bob's session: open throughout the test, and still the same one after it."""
    if not Path("/proc/self/status").exists():
        excuses.skip("linux-only")
    before = bastion.resident_bytes()
    pid = bastion.pid
    with open_tunnel(bastion, "bob", "quiet") as tunnel, postgres(tunnel) as connection:
        own = connection.execute("SELECT pg_backend_pid()").fetchone()
        yield connection
        assert connection.execute("SELECT pg_backend_pid()").fetchone() == own
    assert bastion.pid == pid
    assert bastion.is_running()
    assert bastion.resident_bytes() - before < MEMORY_BOUND


def postgres(tunnel: SshTunnel, **settings: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=tunnel.host, port=tunnel.port, dbname="good", user="me", password="", sslmode="disable", autocommit=True,
        connect_timeout=60, **settings,
    )  # fmt: skip


def mysql(tunnel: SshTunnel) -> pymysql.Connection[Any]:
    return pymysql.connect(
        host=tunnel.host, port=tunnel.port, user="me", password="", connect_timeout=60, read_timeout=60
    )


def refused(bastion: BastionProcess, user: str, token: str, to: tuple[str, int]) -> TunnelRefused:
    """What ssh says of a login that is to fail."""
    with (
        pytest.raises(TunnelRefused) as caught,
        ssh_tunnel(user=user, token=token, bastion=bastion.address, known_hosts=bastion.known_hosts, to=to),
    ):
        pass
    return caught.value


# ---------------------------------------------------------------------------------------------- logins and targets


def test_a_wrong_token(bastion: BastionProcess, good: str) -> None:
    token = token_of(bastion, "alice", good)
    wrong = "cmt_" + "a" * 32
    said = refused(bastion, "alice", wrong, (token["host"], token["port"]))
    assert said.exit_code == 255
    assert "Permission denied" in str(said)
    [record] = [each for each in bastion.journal() if each["kind"] == "login-refused"][-1:]
    assert (record["user"], record["method"]) == ("alice", "token")
    assert not bastion.mentions(wrong)


def test_a_token_of_another_person(bastion: BastionProcess, good: str) -> None:
    token = token_of(bastion, "alice", good)
    said = refused(bastion, "bob", token["token"], (token["host"], token["port"]))
    assert "Permission denied" in str(said)
    [record] = [each for each in bastion.journal() if each["kind"] == "login-refused"][-1:]
    assert record["user"] == "bob"


def test_a_revoked_token_says_so(bastion: BastionProcess, good: str) -> None:
    token = token_of(bastion, "alice", good, "--new")
    bastion.casemate("alice", "tokens", "--revoke", token["id"])
    said = refused(bastion, "alice", token["token"], (token["host"], token["port"]))
    assert "The token was revoked at" in str(said)
    [record] = [each for each in bastion.journal() if each["kind"] == "login-refused"][-1:]
    assert (record["user"], record["code"]) == ("alice", "token-revoked")


def test_an_expired_token_says_so(bastion: BastionProcess, good: str) -> None:
    token = token_of(bastion, "alice", good, "--new")
    bastion.expire_token(token["id"])
    said = refused(bastion, "alice", token["token"], (token["host"], token["port"]))
    assert "The token ended at" in str(said)
    [record] = [each for each in bastion.journal() if each["kind"] == "login-refused"][-1:]
    assert (record["user"], record["code"]) == ("alice", "token-expired")


def test_a_tunnel_to_an_address_that_is_not_the_tokens(
    bastion: BastionProcess, good: str, postgres_server: PostgresServer
) -> None:
    """ssh opens the channel only when a client connects; it is refused with the address that the token is for."""
    token = token_of(bastion, "alice", good)
    elsewhere = ("127.0.0.1", postgres_server.port + 1)
    with ssh_tunnel(
        user="alice", token=token["token"], bastion=bastion.address, known_hosts=bastion.known_hosts, to=elsewhere
    ) as tunnel:
        with pytest.raises(psycopg.OperationalError, match="closed the connection unexpectedly"):
            postgres(tunnel)
        wait_for("ssh's word of it", lambda: "open failed" in tunnel.log.read_text())
        said = tunnel.log.read_text()
    assert "administratively prohibited" in said
    assert f"This token opens 127.0.0.1:{postgres_server.port} (good) and nothing else" in said
    told = [each for each in bastion.journal() if each.get("code") == "token-wrong-database"]
    assert told
    assert told[-1]["user"] == "alice"


def test_a_token_of_another_database(bastion: BastionProcess, good: str, mariadb_server: MariadbServer) -> None:
    mariadb_server.create_user("good_app", PASSWORD)
    bastion.declare_database("other", mariadb_server, account="good_app", password=PASSWORD, to="alice")
    other = token_of(bastion, "alice", "other")
    token = token_of(bastion, "alice", good)
    with ssh_tunnel(
        user="alice", token=other["token"], bastion=bastion.address, known_hosts=bastion.known_hosts,
        to=(token["host"], token["port"]),
    ) as tunnel:  # fmt: skip
        with pytest.raises(psycopg.OperationalError):
            postgres(tunnel)
        wait_for("ssh's word of it", lambda: "open failed" in tunnel.log.read_text())
        assert f"This token opens 127.0.0.1:{mariadb_server.port} (other) and nothing else" in tunnel.log.read_text()


# ------------------------------------------------------------------------------------------------ dead databases


class Listener:
    """A database that is none: what it does with a connection is `behave`."""

    engine: str
    host = "127.0.0.1"

    def __init__(self, engine: str, behave: Callable[[socket.socket], None]) -> None:
        self.engine = engine
        self._behave = behave
        self._server = socket.create_server((self.host, 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._behave(connection)

    def close(self) -> None:
        # Closing alone does not wake a thread that waits in accept: it would wait on, and might end up with the
        # connections of whoever gets the descriptor next.
        self._server.shutdown(socket.SHUT_RDWR)
        self._accepting.join(60)
        self._server.close()
        for connection in self._open:
            connection.close()


@contextlib.contextmanager
def hostile(bastion: BastionProcess, engine: str, behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A declared database with such a listener behind it; its name."""
    listener = Listener(engine, behave)
    name = f"hostile-{listener.port}"
    try:
        bastion.declare_database(name, listener, account="app", password=PASSWORD, to="alice")
        yield name
    finally:
        listener.close()


def connect(engine: str, tunnel: SshTunnel) -> str:
    """Tries to connect as that engine's driver does; what it is told."""
    with pytest.raises((psycopg.Error, pymysql.Error)) as caught:
        (postgres if engine == "postgresql" else mysql)(tunnel).close()
    return str(caught.value)


def refused_session(bastion: BastionProcess, name: str) -> dict[str, Any]:
    """The newest session of that database, once it is over."""

    def found() -> dict[str, Any] | None:
        sessions = [each for each in bastion.sessions() if each["database"] == name]
        return sessions[-1] if sessions and sessions[-1]["state"] in ("refused", "closed") else None

    return wait_for(f"the record of the session on {name}", found)


@dataclass(frozen=True)
class Nobody:
    """An address at which nothing listens."""

    engine: str
    port: int
    host: str = "127.0.0.1"


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_closed_database_port(bastion: BastionProcess, engine: str) -> None:
    name, nobody = f"closed-{engine}", Nobody(engine, free_port())
    bastion.declare_database(name, nobody, account="app", password=PASSWORD, to="alice")
    with open_tunnel(bastion, "alice", name) as tunnel:
        told = connect(engine, tunnel)
    sentence = f"The database {name} at 127.0.0.1:{nobody.port} cannot be reached from the bastion"
    assert sentence in told
    session = refused_session(bastion, name)
    assert (session["state"], session["user"]) == ("refused", "alice")
    assert session["end_reason"].startswith(sentence)
    assert refusal_codes(bastion, session) == ["database-unreachable"]


def test_databases_that_hang(bastion: BastionProcess, good: str) -> None:
    """They take the connection and never say a word. The clients are told in the end; others go on meanwhile."""
    with ExitStack() as stack:
        names, told, waiting = {}, {}, []
        for engine in ("postgresql", "mysql"):
            names[engine] = name = stack.enter_context(hostile(bastion, engine, _never_answer))
            tunnel = stack.enter_context(open_tunnel(bastion, "alice", name))

            def wait_to_be_told(engine: str = engine, tunnel: SshTunnel = tunnel) -> None:
                told[engine] = connect(engine, tunnel)

            waiting.append(threading.Thread(target=wait_to_be_told))
            waiting[-1].start()
        wait_for("both sessions", lambda: set(names.values()) <= {each["database"] for each in bastion.sessions()})
        with open_tunnel(bastion, "alice", good) as other, postgres(other) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        for thread in waiting:
            thread.join(60)
        for engine, name in names.items():
            assert f"The login to the database {name} took longer than" in told[engine]
            session = refused_session(bastion, name)
            assert session["state"] == "refused"


def _never_answer(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


GARBAGE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html>this is no database</html>\r\n" * 20


def refusal_codes(bastion: BastionProcess, session: dict[str, Any]) -> list[str]:
    """The codes of the journal's records that the session was refused."""
    records = [each for each in bastion.journal() if each["kind"] == "session-refused"]
    return [each["code"] for each in records if each["session"] == session["id"]]


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_database_that_answers_garbage(bastion: BastionProcess, engine: str) -> None:
    def garbage(connection: socket.socket) -> None:
        connection.sendall(GARBAGE)
        connection.recv(65536)

    with hostile(bastion, engine, garbage) as name:
        with open_tunnel(bastion, "alice", name) as tunnel:
            told = connect(engine, tunnel)
        assert NOT_UNDERSTOOD.search(told)
        session = refused_session(bastion, name)
        assert session["state"] == "refused"
        assert "not understood" in session["end_reason"]


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_database_that_announces_a_gigabyte(bastion: BastionProcess, engine: str) -> None:
    """A length field of 1 GB (MySQL: endless full packets) before login is refused, not waited for."""

    def gigabyte(connection: socket.socket) -> None:
        if engine == "postgresql":
            assert connection.recv(8) == struct.pack("!II", 8, 80877103), "a request for TLS"
            connection.sendall(b"N")
            connection.recv(65536)
            connection.sendall(b"R" + struct.pack("!I", 1 << 30))
        chunk = b"\xff\xff\xff\x00" + b"\x0a" * 65532 if engine == "mysql" else b"x" * 65536
        connection.sendall(chunk)
        for _ in range(16 * 1024):
            connection.sendall(b"x" * 65536)

    with hostile(bastion, engine, gigabyte) as name:
        with open_tunnel(bastion, "alice", name) as tunnel:
            told = connect(engine, tunnel)
        assert NOT_UNDERSTOOD.search(told)
        assert refused_session(bastion, name)["state"] == "refused"


# ------------------------------------------------------------------------------------------------ hostile clients


NONSENSE = {
    "garbage": GARBAGE,
    "a gigabyte's length": struct.pack("!II", 1 << 30, 196608) + b"user\0me\0",
    "an impossible length": struct.pack("!II", 3, 196608),
    "a version that is none": struct.pack("!II", 16, 99 << 16) + b"whatever",
}


def test_clients_that_send_nonsense_instead_of_a_login(bastion: BastionProcess, good: str) -> None:
    """Each is told in PostgreSQL's protocol and closed, within a limit; each is on record as a refused session."""
    with open_tunnel(bastion, "alice", good) as tunnel, ExitStack() as stack:
        before = {each["id"] for each in bastion.sessions()}
        clients = {}
        for what, data in NONSENSE.items():
            clients[what] = stack.enter_context(socket.create_connection((tunnel.host, tunnel.port), timeout=60))
            clients[what].sendall(data)
        answers = {what: _until_closed(client) for what, client in clients.items()}
        for what, answer in answers.items():
            assert answer.startswith(b"E"), what
            assert NOT_UNDERSTOOD.search(answer.decode(errors="replace")), what
        new = wait_for(
            "the records of it",
            lambda: (
                found
                if len(found := [s for s in bastion.sessions() if s["id"] not in before]) == len(NONSENSE)
                and all(s["state"] == "refused" for s in found)
                else None
            ),
        )
        assert {session["user"] for session in new} == {"alice"}


def test_a_client_that_connects_and_leaves(bastion: BastionProcess, good: str) -> None:
    with open_tunnel(bastion, "alice", good) as tunnel:
        before = {each["id"] for each in bastion.sessions()}
        with socket.create_connection((tunnel.host, tunnel.port), timeout=60) as client:
            client.shutdown(socket.SHUT_WR)
            assert _until_closed(client) == b""
        [session] = wait_for(
            "the record of it",
            lambda: [s for s in bastion.sessions() if s["id"] not in before and s["state"] == "refused"],
        )
        assert refusal_codes(bastion, session) == ["client-left"]


def _until_closed(client: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionError):
        while chunk := client.recv(65536):
            answer += chunk
    return answer


def test_a_client_that_announces_a_gigabyte_in_a_session(
    bastion: BastionProcess, good: str, postgres_server: PostgresServer
) -> None:
    """A Query of almost 1 GB, PostgreSQL's most, of which 256 MB come: they stream through, on record as sent."""
    with open_tunnel(bastion, "alice", good) as tunnel:
        connection = postgres(tunnel)
        backend = connection.info.backend_pid
        with socket.socket(fileno=os.dup(connection.fileno())) as raw:
            raw.setblocking(True)
            raw.sendall(b"Q" + struct.pack("!I", (1 << 30) - 16) + b"SELECT 'the beginning', '")
            for _ in range(256):
                raw.sendall(b"x" * (1 << 20))
            raw.shutdown(socket.SHUT_RDWR)
        connection.close()
        session = session_of(bastion, tunnel)
    _until_gone(postgres_server, backend)
    [statement] = bastion.statements(session["id"])
    assert statement["text"].startswith("SELECT 'the beginning', 'xxx")
    assert statement["state"] == "sent"
    assert statement["rows"] is None


def test_a_client_that_sends_garbage_in_a_session(bastion: BastionProcess, good: str) -> None:
    with open_tunnel(bastion, "alice", good) as tunnel:
        connection = postgres(tunnel)
        assert connection.execute("SELECT 'before'").fetchone() == ("before",)
        with socket.socket(fileno=os.dup(connection.fileno())) as raw:
            raw.setblocking(True)
            raw.sendall(b"\x00\x01\x02\x03garbage")
            answer = _until_closed(raw)
        connection.close()
        session = session_of(bastion, tunnel)
    assert NOT_UNDERSTOOD.search(answer.decode(errors="replace"))
    assert session["end_reason"].startswith("not-understood")
    assert [each["text"] for each in bastion.statements(session["id"])] == ["SELECT 'before'"]
    assert any(each["kind"] == "raw-bytes" and each["session"] == session["id"] for each in bastion.journal())


def _until_gone(server: PostgresServer, backend: int) -> None:
    def gone() -> bool:
        with server.admin() as admin:
            row = admin.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (backend,)).fetchone()
        return row is None

    wait_for(f"the end of PostgreSQL's process {backend}", gone)


def test_a_client_that_vanishes_in_mid_query_postgres(
    bastion: BastionProcess, good: str, postgres_server: PostgresServer
) -> None:
    """ssh is killed while a statement runs: it is cancelled on the database within seconds."""
    with open_tunnel(bastion, "alice", good) as tunnel:
        connection = postgres(tunnel)
        threading.Thread(
            target=lambda: (
                contextlib.suppress(psycopg.Error).__enter__() or _swallow(connection, "SELECT pg_sleep(62)")
            ),
            daemon=True,
        ).start()
        wait_for("pg_sleep at work", lambda: postgres_server.running("pg_sleep(62)"))
        tunnel.process.process.send_signal(signal.SIGKILL)
        wait_for("its cancellation", lambda: not postgres_server.running("pg_sleep(62)"), limit=50)
        session = session_of(bastion, tunnel)
    [statement] = bastion.statements(session["id"])
    assert statement["text"] == "SELECT pg_sleep(62)"
    assert statement["state"] == "cancelled"
    assert "57014" in statement["error"]
    [cancel] = [each for each in bastion.journal() if each["kind"] == "cancel" and each["session"] == session["id"]]
    assert cancel["confirmed"] is True


def _swallow(connection: psycopg.Connection[Any], query: str) -> None:
    with contextlib.suppress(psycopg.Error):
        connection.execute(query.encode())


def test_a_client_that_vanishes_in_mid_query_mariadb(
    bastion: BastionProcess, good: str, mariadb_server: MariadbServer
) -> None:
    mariadb_server.create_user("gone_app", PASSWORD)
    bastion.declare_database("gone", mariadb_server, account="gone_app", password=PASSWORD, to="alice")
    with open_tunnel(bastion, "alice", "gone") as tunnel:
        connection = mysql(tunnel)

        def run() -> None:
            with contextlib.suppress(pymysql.Error, OSError), connection.cursor() as cursor:
                cursor.execute("SELECT SLEEP(62), 'gone'")

        threading.Thread(target=run, daemon=True).start()
        wait_for("SLEEP at work", lambda: mariadb_server.running("SLEEP(62)"))
        tunnel.process.process.send_signal(signal.SIGKILL)
        wait_for("its cancellation", lambda: not mariadb_server.running("SLEEP(62)"), limit=50)
        session = session_of(bastion, tunnel)
    [statement] = [each for each in bastion.statements(session["id"]) if "SLEEP(62)" in each["text"]]
    assert statement["state"] in ("cancelled", "done")


def test_kill_9_of_the_bastion_leaves_sent_without_outcome(
    own_bastion: BastionProcess, postgres_server: PostgresServer
) -> None:
    """A bastion of its own is killed in mid-statement and started again: the record has it, and it holds."""
    bastion = own_bastion
    postgres_server.create_user("good_app", PASSWORD)
    bastion.declare_database("killed", postgres_server, account="good_app", password=PASSWORD, to="alice")
    with open_tunnel(bastion, "alice", "killed") as tunnel:
        connection = postgres(tunnel)
        assert connection.execute("SELECT 'before the kill'").fetchone() == ("before the kill",)
        threading.Thread(target=lambda: _swallow(connection, "SELECT pg_sleep(63)"), daemon=True).start()
        wait_for("pg_sleep at work", lambda: postgres_server.running("pg_sleep(63)"))
        session = next(each["id"] for each in bastion.sessions() if each["database"] == "killed")
        bastion.kill()
    bastion.start()
    statements = bastion.statements(session)
    assert [(each["text"], each["state"], each["rows"]) for each in statements] == [
        ("SELECT 'before the kill'", "done", 1),
        ("SELECT pg_sleep(63)", "sent", None),
    ]
    [record] = [each for each in bastion.sessions() if each["id"] == session]
    assert record["state"] == "lost"
    proof = bastion.casemate("auditor", "audit", "verify", "--json")[0]
    assert proof["intact"] is True
    with postgres_server.admin() as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE '%pg_sleep(63)%' AND pid <> pg_backend_pid()"
        )
