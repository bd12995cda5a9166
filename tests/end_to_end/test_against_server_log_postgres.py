"""The record against PostgreSQL's own log of the same run: the same statements, in the same order, none missing.

The server writes every statement, its parameters and its errors as JSON (log_statement=all). Eight sessions with three
ways of sending work at once, with errors, cancels, connections that are cut and backends that are killed in between.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import threading
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Any

import psycopg
import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

from .server_log_workload import Told, at_once, differences, numbers, of_sessions
from .stock_clients import SshTunnel, open_tunnel

PASSWORD = "hosted-secret"
DATABASE = "logged"
SESSIONS = 8
SEED = 20261122


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of its own, which logs as JSON."""
    process = PostgresServer(
        {
            "logging_collector": "on",
            "log_destination": "jsonlog",
            "log_directory": "jsonlog",
            "log_filename": "all.log",
            "log_rotation_size": "0",
            "log_min_error_statement": "error",
            "log_parameter_max_length": "-1",
            "log_parameter_max_length_on_error": "0",
        }
    )
    yield process
    process.remove()


@pytest.fixture(scope="module")
def granted(stock_bastion: BastionProcess, server: PostgresServer) -> str:
    server.create_user("logged_app", PASSWORD)
    server.create_database(DATABASE, "logged_app")
    with server.admin(DATABASE) as connection:
        connection.execute("CREATE TABLE things (id serial PRIMARY KEY, session text, what text, n int)")
        connection.execute("GRANT ALL ON things, things_id_seq TO logged_app")
    stock_bastion.declare_database("logged-pg", server, account="logged_app", password=PASSWORD, to="alice")
    return "logged-pg"


class Client:
    """One connection's share of the work. `ended_early`: it was cut off or killed, and did not log out."""

    def __init__(self, tunnel: SshTunnel, name: str, way: str, server: PostgresServer) -> None:
        self.name = name
        self._server = server
        self.ended_early = False
        self._way = way
        self._prepared = count(1)
        self.connection = psycopg.connect(
            host=tunnel.host, port=tunnel.port, dbname=DATABASE, user="x", sslmode="disable", application_name=name,
            autocommit=True, connect_timeout=20, prepare_threshold=3 if way == "extended" else None,
            cursor_factory=psycopg.ClientCursor if way == "simple" else psycopg.Cursor,
        )  # fmt: skip

    def work(self, generators: list[random.Random]) -> None:
        if self._way == "pipeline":
            for start in range(0, len(generators), 20):
                self._pipeline(generators[start : start + 20])
        else:
            for chance in generators:
                self._one(chance)

    def _pipeline(self, generators: list[random.Random]) -> None:
        try:
            with self.connection.pipeline():
                for chance in generators:
                    text, values = statement(chance, self.name)
                    self.connection.execute(text, values)
        except psycopg.Error:
            # The rest of the pipeline was skipped, and is on record as that.
            assert not self.connection.closed

    def _one(self, chance: random.Random) -> None:
        if chance.random() < 0.01:
            self._cancelled()
            return
        text, values = statement(chance, self.name)
        try:
            cursor = self.connection.execute(text, values)
            if cursor.description is not None:
                cursor.fetchall()
        except psycopg.Error:
            assert not self.connection.closed

    def _cancelled(self) -> None:
        def cancel() -> None:
            wait_for("the statement to cancel", self._sleeps)
            self.connection.cancel_safe()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        try:
            self.connection.execute(f"SELECT pg_sleep(60) /* {self.name} */".encode())
        except psycopg.errors.QueryCanceled:
            pass
        else:
            raise AssertionError("it was not cancelled")
        canceller.join()

    def _sleeps(self) -> bool:
        with self._server.admin() as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE %s",
                (f"%/* {self.name} */",),
            ).fetchone()
        return found is not None


WORDS = ["plain", "it's", 'a "quoted" one', "数据", "café", "back\\slash", "semi;colon", "-- no comment", "$1", "%"]


def statement(chance: random.Random, name: str) -> tuple[Any, tuple[Any, ...] | None]:
    """A statement and its values; some of them fail, each in another way."""
    word, n = chance.choice(WORDS), chance.randrange(1000)
    choices: list[tuple[str, tuple[Any, ...] | None]] = [
        ("SELECT id, what FROM things WHERE n = %s AND session = %s ORDER BY id LIMIT 5", (n, name)),
        ("INSERT INTO things (session, what, n) VALUES (%s, %s, %s) RETURNING id", (name, word, n)),
        ("UPDATE things SET what = %s WHERE session = %s AND n = %s", (None if n % 7 == 0 else word, name, n)),
        ("DELETE FROM things WHERE session = %s AND n < %s AND n > %s", (name, n // 4, n // 8)),
        ("SELECT %s::text || %s::text, %s::numeric", (word, name, n / 8)),
        (f"/* {n} */ SELECT count(*) -- the number {n}\nFROM things", None),
        ("SELECT * FROM generate_series(1, %s)", (n % 50,)),
        ("DO $$ BEGIN PERFORM 1; END $$", None),
        ("SELECT 1 / %s::int", (n % 3,)),
        (f"SELECT missing_{n % 5} FROM things", None),
        (f"SELEC {n}", None),
        ("SELECT %s::int", (word,)),
        ("INSERT INTO things (id) VALUES (1), (1)", None),
    ]
    weights = [20, 15, 10, 5, 15, 5, 10, 3, 4, 2, 2, 3, 1]
    return chance.choices(choices, weights)[0]


def parameters(detail: str) -> tuple[str | None, ...]:
    """The values of `Parameters: $1 = 'a', $2 = NULL` (quotes doubled)."""
    text = detail.partition(": ")[2]
    found: list[str | None] = []
    position = 0
    while position < len(text):
        start = text.index(" = ", position) + 3
        if text.startswith("NULL", start):
            found.append(None)
            position = start + 4
        else:
            end = start + 1
            while text[end] != "'" or text[end : end + 2] == "''":
                end += 2 if text[end] == "'" else 1
            found.append(text[start + 1 : end].replace("''", "'"))
            position = end + 1
        position += 2
    return tuple(found)


def logged(server: PostgresServer) -> list[dict[str, Any]]:
    """What the server has logged until now. A process of its own writes it: it has come to this call's own mark."""
    mark = secrets.token_hex(8)
    with server.admin() as connection:
        connection.execute(f"SELECT '{mark}'".encode())

    def whole() -> list[bytes]:
        text = (server.data / "jsonlog" / "all.json").read_bytes()
        return text[: text.rfind(b"\n")].split(b"\n") if mark.encode() in text[: text.rfind(b"\n")] else []

    return [json.loads(line) for line in wait_for("the server's log", whole)]


def told_by_the_server(server: PostgresServer, clients: set[str]) -> dict[str, list[Told]]:
    """Every statement of the clients' connections, in the order of the server's log."""
    told: dict[str, list[Told]] = {}
    for entry in logged(server):
        client = entry.get("application_name", "").split(" ")[0]
        if entry.get("user") != "logged_app" or not client:
            continue
        assert client in clients, f"a connection that nobody made: {entry}"
        at = datetime.fromisoformat(entry["timestamp"].replace(" UTC", "+00:00"))
        statements = told.setdefault(client, [])
        message = entry["message"]
        if entry["error_severity"] == "LOG":
            kind, _, text = message.partition(": ")
            if kind == "statement":
                statements.append(Told(text, at=at))
            elif kind.startswith("execute "):
                statements.append(Told(text, parameters(entry["detail"]) if "detail" in entry else (), at=at))
            else:
                assert kind.split(" ")[0] in ("connection", "disconnection"), entry
        elif entry["error_severity"] in ("ERROR", "FATAL") and "statement" in entry:
            error = f"{entry['state_code']}: {message}"
            last = statements[-1] if statements else None
            if last is not None and last.text == entry["statement"] and last.error is None and last.at is not None:
                running = entry.get("ps") not in ("PARSE", "BIND")
                if running:
                    statements[-1] = Told(last.text, last.binds, error, last.at)
                    continue
            statements.append(Told(entry["statement"], error=error, at=at))
    return told


def told_by_the_record(statements: list[dict[str, Any]]) -> list[Told]:
    """What of a session's record the server must have logged: not what was only prepared, nor what was skipped."""
    told = []
    for each in statements:
        if each["state"] == "skipped" or (each["statement_kind"] == "prepare" and each["state"] == "done"):
            continue
        at = datetime.fromisoformat(each.get("runs_at") or each["at"])
        told.append(Told(each["text"], tuple(each["binds"] or ()), each["error"], at, each["state"] != "sent"))
    return told


def without_unlogged_binds(record: list[Told], log: list[Told]) -> list[Told]:
    """The server does not log the values of what failed before it was run (at Parse or Bind); the record has them."""
    return [
        Told(ours.text, theirs.binds, ours.error, ours.at, ours.outcome)
        if ours.error is not None and not theirs.binds and ours.text == theirs.text
        else ours
        for ours, theirs in zip(record, log, strict=False)
    ] + record[len(log) :]


@pytest.mark.parametrize("amount", [2_000, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_the_record_and_the_servers_log_say_the_same(
    stock_bastion: BastionProcess, server: PostgresServer, granted: str, amount: int
) -> None:
    run = secrets.token_hex(3)
    ways = ["simple", "extended", "extended", "pipeline"]
    shares = numbers(SEED, amount, SESSIONS)
    with open_tunnel(stock_bastion, "alice", granted) as tunnel:
        clients = [Client(tunnel, f"{run}-{n}-{ways[n % 4]}", ways[n % 4], server) for n in range(SESSIONS)]
        at_once([lambda c=c, share=share: c.work(share) for c, share in zip(clients, shares, strict=True)])  # type: ignore[misc]
        # The ends: one backend is killed by the database's administrator, one client dies, one session is ended.
        killed, dies, ended = clients[0], clients[1], clients[3]
        at_once([lambda: _killed(server, killed), lambda: _dies(server, dies), lambda: _ended(stock_bastion, ended)])
        for client in clients:
            client.connection.close()

        def closed(sessions: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
            ours = [each for each in sessions if each["client"].startswith(run)]
            return ours if len(ours) == SESSIONS and all(each["state"] == "closed" for each in ours) else None

        sessions = stock_bastion.wait_for_sessions("the end of the sessions", closed)
    names = {client.name for client in clients}
    log = told_by_the_server(server, names) if amount == 2_000 else _of_run(server, run)
    record = of_sessions(stock_bastion.journal(), {each["id"] for each in sessions})
    early = {client.name for client in (killed, dies, ended)}
    found: list[str] = []
    total = 0
    for session in sessions:
        name = session["client"].split(" ")[0]
        assert session["unattributed_bytes"] == 0
        ours = without_unlogged_binds(told_by_the_record(record[session["id"]]), log[name])
        total += len(ours)
        found += [f"{name} {each}" for each in differences(ours, log[name], ended_early=name in early)]
    assert not found, "\n".join(found)
    assert set(log) == names
    assert total > amount * 0.8
    outcomes = [each["state"] for session in sessions for each in record[session["id"]]]
    assert min(outcomes.count(state) for state in ("failed", "cancelled", "skipped")) > 0


def _of_run(server: PostgresServer, run: str) -> dict[str, list[Told]]:
    everything = {entry.get("application_name", "").split(" ")[0] for entry in logged(server)}
    return {name: told for name, told in told_by_the_server(server, everything).items() if name.startswith(run)}


def _killed(server: PostgresServer, client: Client) -> None:
    def terminate() -> None:
        wait_for("the statement", lambda: server.running("pg_sleep(71)"))
        with server.admin() as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", (server.running("pg_sleep(71)")[0],))

    at_once([terminate, lambda: _fails(client, "SELECT pg_sleep(71)")])


def _dies(server: PostgresServer, client: Client) -> None:
    """Its socket is closed under the statement that it waits for."""

    def leave() -> None:
        wait_for("the statement", lambda: server.running("pg_sleep(72)"))
        with socket.socket(fileno=os.dup(client.connection.fileno())) as theirs:
            theirs.shutdown(socket.SHUT_RDWR)

    at_once([leave, lambda: _fails(client, "SELECT pg_sleep(72)")])


def _ended(bastion: BastionProcess, client: Client) -> None:
    [session] = [each for each in bastion.sessions() if each["client"].split(" ")[0] == client.name]
    bastion.casemate("auditor", "end", session["id"], "--reason", "over", "--json")
    _fails(client, "SELECT 'too late'")


def _fails(client: Client, text: str) -> None:
    try:
        client.connection.execute(text.encode())
    except psycopg.OperationalError:
        return
    raise AssertionError(f"{text} did not fail")
