"""Ending a session ends its work: the database itself is asked whether the backend is gone, and the record whether it
was cancelled and seen to stop."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pymysql
import pytest

from tests.end_to_end.completeness.case import Place
from tests.end_to_end.completeness.mysql_wire import Wire as MysqlWire
from tests.end_to_end.completeness.postgresql_wire import Wire
from tests.end_to_end.stock_clients import SshTunnel, open_tunnel, session_of, ssh_tunnel, token_of
from tests.protocols.postgres import messages as m
from tests.servers.bastion_process import BastionProcess
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

DATABASE = "endings"
PASSWORD = "hosted-secret"


@pytest.fixture(scope="module")
def on_postgres(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> PostgresServer:
    postgres_server.create_user("endings_app", PASSWORD)
    postgres_server.create_database(DATABASE, "endings_app")
    stock_bastion.declare_database("endings-pg", postgres_server, account="endings_app", password=PASSWORD, to="alice")
    return postgres_server


@pytest.fixture(scope="module")
def on_mariadb(stock_bastion: BastionProcess, mariadb_server: MariadbServer) -> MariadbServer:
    mariadb_server.create_user("endings_app", PASSWORD)
    mariadb_server.create_database(DATABASE)
    stock_bastion.declare_database("endings-my", mariadb_server, account="endings_app", password=PASSWORD, to="alice")
    return mariadb_server


class Working:
    """A client with an open transaction and a statement at work, in a thread; how it ended is in `said`."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.said = ""
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except (psycopg.Error, pymysql.Error, ConnectionError) as error:
            self.said = str(error)

    def over(self) -> str:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.said


def at_work_on_postgres(server: PostgresServer, tunnel: SshTunnel) -> Working:
    def work() -> None:
        with psycopg.connect(
            host=tunnel.host, port=tunnel.port, dbname=DATABASE, user="x", sslmode="disable", connect_timeout=20
        ) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS never_there (id int)")
            connection.execute("SELECT pg_sleep(300)")

    working = Working(work)
    wait_for("the statement at work", lambda: server.running("pg_sleep(300)"))
    return working


def at_work_on_mariadb(server: MariadbServer, tunnel: SshTunnel) -> Working:
    def work() -> None:
        connection = pymysql.connect(
            host=tunnel.host, port=tunnel.port, database=DATABASE, user="x", autocommit=False, connect_timeout=20
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT 'begun'")
            cursor.execute("SELECT 'work' FROM DUAL WHERE SLEEP(300) = 0")

    working = Working(work)
    wait_for("the statement at work", lambda: server.running("SLEEP(300)"))
    return working


def backends_on_postgres(server: PostgresServer) -> list[Any]:
    with server.admin() as connection:
        return connection.execute(
            "SELECT pid, state, query FROM pg_stat_activity WHERE usename = 'endings_app'"
        ).fetchall()


def backends_on_mariadb(server: MariadbServer) -> list[Any]:
    return server.execute("SELECT ID, COMMAND, INFO FROM information_schema.PROCESSLIST WHERE USER = 'endings_app'")


class Ground:
    """One engine: how a client is set to work there, and how the server itself is asked."""

    def __init__(self, name: str, server: Any, at_work: Callable[..., Working], backends: Callable[..., Any]) -> None:
        self.name = name
        self.server = server
        self._at_work = at_work
        self._backends = backends

    def at_work(self, tunnel: SshTunnel) -> Working:
        return self._at_work(self.server, tunnel)

    def assert_nothing_is_left(self) -> None:
        """The server ends a connection that was hung up on in a moment, not in the 300 s of the statement."""
        wait_for("the end of the backend", lambda: not self._backends(self.server))


@pytest.fixture(params=["endings-pg", "endings-my"])
def ground(request: pytest.FixtureRequest) -> Ground:
    if request.param == "endings-pg":
        server = request.getfixturevalue("on_postgres")
        return Ground(request.param, server, at_work_on_postgres, backends_on_postgres)
    return Ground(request.param, request.getfixturevalue("on_mariadb"), at_work_on_mariadb, backends_on_mariadb)


@pytest.fixture
def tunnel(stock_bastion: BastionProcess, ground: Ground) -> Iterator[SshTunnel]:
    with open_tunnel(stock_bastion, "alice", ground.name) as standing:
        yield standing


def live_session(bastion: BastionProcess, name: str) -> str:
    [session] = [each for each in bastion.sessions() if each["database"] == name and each["state"] == "live"]
    found: str = session["id"]
    return found


def assert_on_record(bastion: BastionProcess, session: dict[str, Any], *, by: str, reason: str, ending: str) -> None:
    """The cancel and that the database took it, the statement's outcome, and that the backend was left idle."""
    journal = [each for each in bastion.journal() if each.get("session") == session["id"]]
    cancels = [each for each in journal if each["kind"] == "cancel"]
    assert cancels
    assert {(each["by"], each["reason"], each["confirmed"]) for each in cancels} == {(by, reason, True)}
    last = bastion.statements(session["id"])[-1]
    assert last["seq"] == cancels[0]["seq"]
    assert last["state"] == "cancelled"
    assert last["error"].startswith(
        ("57014: canceling statement due to user request", "1317 (70100): Query execution was interrupted")
    )
    [closed] = [each for each in journal if each["kind"] == "session-closed"]
    assert closed["backend"] == "idle"
    assert closed["reason"] == session["end_reason"]
    assert closed["reason"].startswith(ending)
    assert journal[-1] == closed


def test_an_auditor_ends_it(stock_bastion: BastionProcess, ground: Ground, tunnel: SshTunnel) -> None:
    working = ground.at_work(tunnel)
    session = live_session(stock_bastion, ground.name)
    stock_bastion.casemate("auditor", "end", session, "--reason", "not today", "--json")
    assert working.over()
    ground.assert_nothing_is_left()
    assert_on_record(
        stock_bastion, session_of(stock_bastion, tunnel), by="auditor", reason="ended", ending="ended by auditor"
    )


def test_its_token_is_revoked(stock_bastion: BastionProcess, ground: Ground, tunnel: SshTunnel) -> None:
    working = ground.at_work(tunnel)
    [token] = [each for each in stock_bastion.casemate("alice", "tokens", "--json") if each["database"] == ground.name]
    stock_bastion.casemate("alice", "tokens", "--revoke", token["id"])
    assert working.over()
    ground.assert_nothing_is_left()
    assert_on_record(
        stock_bastion, session_of(stock_bastion, tunnel), by="alice", reason="token-revoked",
        ending="token-revoked by alice",
    )  # fmt: skip


def test_the_grant_is_taken_away(stock_bastion: BastionProcess, ground: Ground, tunnel: SshTunnel) -> None:
    working = ground.at_work(tunnel)
    grant = {"name": f"alice-{ground.name}", "to": ["alice"], "on": [ground.name], "accounts": ["*"]}
    stock_bastion.apply({"grants": [{**grant, "until": "2026-01-01"}]})
    try:
        assert working.over()
        ground.assert_nothing_is_left()
        session = session_of(stock_bastion, tunnel)
        assert_on_record(
            stock_bastion, session, by="bastion", reason=session["end_reason"], ending=session["end_reason"]
        )
    finally:
        stock_bastion.apply({"grants": [grant]})


def test_the_clients_link_is_cut(stock_bastion: BastionProcess, ground: Ground, tunnel: SshTunnel) -> None:
    working = ground.at_work(tunnel)
    tunnel.process.process.kill()
    assert working.over()
    ground.assert_nothing_is_left()
    assert_on_record(stock_bastion, session_of(stock_bastion, tunnel), by="bastion", reason="client", ending="client")


def test_every_statement_of_a_pipeline_is_stopped(stock_bastion: BastionProcess, on_postgres: PostgresServer) -> None:
    """Cancelling one lets the next begin: on an unattended connection it would run on."""
    with open_tunnel(stock_bastion, "alice", "endings-pg") as tunnel:
        wire = Wire(Place(tunnel.host, tunnel.port, DATABASE, client="pipelined"))
        wire.send(m.query("SELECT pg_sleep(301)"), m.query("SELECT pg_sleep(302)"), m.query("SELECT pg_sleep(303)"))
        wait_for("the first at work", lambda: on_postgres.running("pg_sleep(301)"))
        wire.leave()
        session = session_of(stock_bastion, tunnel)
    wait_for("the end of the others", lambda: not on_postgres.running("pg_sleep(30"))
    statements = stock_bastion.statements(session["id"])
    assert [(each["text"], each["state"]) for each in statements] == [
        (f"SELECT pg_sleep({n})", "cancelled") for n in (301, 302, 303)
    ]
    journal = stock_bastion.journal()
    seqs = {each["seq"] for each in journal if each["kind"] == "cancel" and each["session"] == session["id"]}
    assert seqs == {1, 2, 3}
    assert session["end_reason"] == "client"


def test_a_client_that_does_not_read_does_not_keep_its_statement_alive(
    stock_bastion: BastionProcess, on_postgres: PostgresServer
) -> None:
    with open_tunnel(stock_bastion, "alice", "endings-pg") as tunnel:
        wire = Wire(Place(tunnel.host, tunnel.port, DATABASE, client="deaf"))
        wire.send(m.query("SELECT repeat('x', 1000), generate_series(1, 100000000)"))
        wait_for("the database waits for the client", lambda: _waits_to_send(on_postgres))
        session = live_session(stock_bastion, "endings-pg")
        before = stock_bastion.resident_bytes()
        stock_bastion.casemate("auditor", "end", session, "--reason", "over", "--json")
        ended = stock_bastion.wait_for_sessions(
            "its end", lambda all_: [each for each in all_ if each["id"] == session and each["state"] == "closed"]
        )[0]
        wait_for("the end of the backend", lambda: not backends_on_postgres(on_postgres))
        assert stock_bastion.resident_bytes() - before < 64 * 1024 * 1024
        wire.leave()
    assert_on_record(stock_bastion, ended, by="auditor", reason="ended", ending="ended by auditor")


def _waits_to_send(server: PostgresServer) -> bool:
    with server.admin() as connection:
        row = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE usename = 'endings_app' AND wait_event = 'ClientWrite'"
        ).fetchone()
    return row is not None


def test_a_database_that_does_not_answer_the_cancel_is_said_to_be_busy(
    stock_bastion: BastionProcess, on_postgres: PostgresServer
) -> None:
    with open_tunnel(stock_bastion, "alice", "endings-pg") as tunnel:
        working = at_work_on_postgres(on_postgres, tunnel)
        [pid] = on_postgres.running("pg_sleep(300)")
        subprocess.run(["kill", "-STOP", str(pid)], check=True)
        try:
            running = live_session(stock_bastion, "endings-pg")
            stock_bastion.casemate("auditor", "end", running, "--reason", "over", "--json")
            assert working.over()
            session = session_of(stock_bastion, tunnel)
        finally:
            subprocess.run(["kill", "-CONT", str(pid)], check=True)
    assert session["end_reason"] == (
        "ended by auditor; the database has not confirmed that the cancelled statement stopped, and its connection was"
        " cut"
    )
    last = stock_bastion.statements(session["id"])[-1]
    assert (last["state"], last["rows"], last["error"]) == ("sent", None, None)
    [closed] = [
        each
        for each in stock_bastion.journal()
        if each["kind"] == "session-closed" and each["session"] == session["id"]
    ]
    assert closed["backend"] == "busy"


def test_a_backend_that_was_killed_on_the_database(stock_bastion: BastionProcess, on_postgres: PostgresServer) -> None:
    with open_tunnel(stock_bastion, "alice", "endings-pg") as tunnel:
        working = at_work_on_postgres(on_postgres, tunnel)
        [pid] = on_postgres.running("pg_sleep(300)")
        with on_postgres.admin() as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
        assert "terminating connection due to administrator command" in working.over()
        session = session_of(stock_bastion, tunnel)
    last = stock_bastion.statements(session["id"])[-1]
    assert (last["state"], last["error"]) == (
        "failed", "57P01: terminating connection due to administrator command",
    )  # fmt: skip
    assert session["end_reason"] == "database"


def test_an_idle_session_that_is_ended_is_gone_on_the_database(
    stock_bastion: BastionProcess, ground: Ground, tunnel: SshTunnel
) -> None:
    place = Place(tunnel.host, tunnel.port, DATABASE)
    idle = Wire(place) if ground.name == "endings-pg" else MysqlWire(place)
    session = live_session(stock_bastion, ground.name)
    stock_bastion.casemate("auditor", "end", session, "--reason", "over", "--json")
    ground.assert_nothing_is_left()
    ended = session_of(stock_bastion, tunnel)
    assert (ended["id"], ended["state"], ended["end_reason"]) == (session, "closed", "ended by auditor")
    assert [each["kind"] for each in stock_bastion.journal() if each.get("session") == session].count("cancel") == 0
    idle.leave()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_its_token_expires(stock_bastion: BastionProcess, on_postgres: PostgresServer) -> None:
    """A minute is the shortest that a token lives. By the rule `now` the statement is cancelled; else it may finish."""
    for name in ("expires-now", "expires-finish"):
        stock_bastion.declare_database(name, on_postgres, account="endings_app", password=PASSWORD, to="alice")
    policy = {"name": "expiry", "to": ["*"], "on": ["expires-now"], "at_expiry": "now"}
    stock_bastion.apply({"policies": [policy]})

    def run(name: str, text: str) -> tuple[SshTunnel, str]:
        token = token_of(stock_bastion, "alice", name, "--for", "1m")
        with ssh_tunnel(
            user="alice", token=token["token"], bastion=stock_bastion.address, known_hosts=stock_bastion.known_hosts,
            to=(token["host"], token["port"]),
        ) as tunnel:  # fmt: skip
            wire = Wire(Place(tunnel.host, tunnel.port, DATABASE, client=name, patience=120))
            # Left only when the bastion has hung up: who leaves first is whose end is on record.
            kinds = _until_hung_up(wire, text)
        return replace(tunnel, database=name), kinds

    with ThreadPoolExecutor(2) as threads:
        now = threads.submit(run, "expires-now", "SELECT pg_sleep(310)")
        finish = threads.submit(run, "expires-finish", "SELECT pg_sleep(70)")
        (tunnel_now, _), (tunnel_finish, kinds) = now.result(), finish.result()
    assert kinds.startswith("TDCZ")
    assert backends_on_postgres(on_postgres) == []
    session = session_of(stock_bastion, tunnel_now)
    assert_on_record(stock_bastion, session, by="bastion", reason="token-expired", ending="token-expired")
    session = session_of(stock_bastion, tunnel_finish)
    assert session["end_reason"] == "token-expired"
    [statement] = stock_bastion.statements(session["id"])
    assert (statement["state"], statement["rows"]) == ("done", 1)


def _until_hung_up(wire: Wire, text: str) -> str:
    wire.send(m.query(text))
    kinds = ""
    with contextlib.suppress(ConnectionError):
        while True:
            kinds += wire.message()[0]
    return kinds
