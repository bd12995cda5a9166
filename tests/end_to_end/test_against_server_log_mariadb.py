"""The record against MariaDB's own general log of the same run: the same statements, in the same order, none missing.

Nine sessions with three ways of sending work at once, with errors, cancels (KILL QUERY), connections that are cut and
connections that are killed in between. The log is kept as a table, where a statement with line ends is one row.
"""

from __future__ import annotations

import contextlib
import random
import secrets
import socket
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Lock, Thread
from typing import Any

import pymysql
import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.mariadb import MariadbServer
from tests.servers.processes import wait_for

from .completeness import mysql_wire
from .completeness.case import Place
from .completeness.mysql_wire import Value, Wire
from .server_log_workload import Told, at_once, differences, numbers, of_sessions
from .stock_clients import SshTunnel, open_tunnel

PASSWORD = "hosted-secret"
DATABASE = "logged"
SESSIONS = 8
SEED = 20261122


@pytest.fixture(scope="module")
def server(mariadb_server: MariadbServer) -> Iterator[MariadbServer]:
    mariadb_server.execute("SET GLOBAL log_output = 'FILE,TABLE'")
    yield mariadb_server
    mariadb_server.execute("SET GLOBAL log_output = 'FILE'", "TRUNCATE mysql.general_log")


@pytest.fixture(scope="module")
def granted(stock_bastion: BastionProcess, server: MariadbServer) -> str:
    server.create_user("logged_app", PASSWORD)
    server.create_database(DATABASE)
    server.execute(
        "CREATE TABLE things (id INT AUTO_INCREMENT PRIMARY KEY, session TEXT, what TEXT, n INT)", database=DATABASE
    )
    stock_bastion.declare_database("logged-my", server, account="logged_app", password=PASSWORD, to="alice")
    return "logged-my"


@contextlib.contextmanager
def errors_of_the_server() -> Iterator[None]:
    """What a statement may end with. Errors of the client's own (2000 and up) are faults of the test or the bastion."""
    try:
        yield
    except pymysql.MySQLError as error:
        if not error.args or not (1000 <= error.args[0] < 2000 or error.args[0] >= 4000):
            raise


class Canceller:
    """One connection, as a client's second one, on which all cancelling is done."""

    def __init__(self, place: Place) -> None:
        self.wire = Wire(place)
        self._lock = Lock()

    def cancel(self, server: MariadbServer, connection: int, mark: str) -> None:
        wait_for("the statement to cancel", lambda: server.running(mark))
        with self._lock:
            self.wire.run(f"KILL QUERY {connection}")


class Client:
    """One connection's share of the work. `ended_early`: it was cut off or killed, and did not log out."""

    def __init__(self, tunnel: SshTunnel, name: str, way: str, server: MariadbServer, canceller: Canceller) -> None:
        self.name = name
        self.way = way
        self.wire = Wire(Place(tunnel.host, tunnel.port, DATABASE, client=name))
        self.id = self.wire.id
        self._server = server
        self._canceller = canceller
        self._handles: dict[str, int] = {}

    def work(self, generators: list[random.Random]) -> None:
        for number, chance in enumerate(generators):
            if chance.random() < 0.01:
                self._cancelled(number)
                continue
            with errors_of_the_server():
                if self.way == "prepared":
                    self._prepared(chance)
                elif self.way == "several" and chance.random() < 0.3:
                    self.wire.run(several(chance, self.name))
                else:
                    self.wire.run(text_of(*statement(chance, self.name)))

    def _prepared(self, chance: random.Random) -> None:
        text, values = statement(chance, self.name)
        if text not in self._handles:
            self._handles[text] = self.wire.prepare(text)
        self.wire.execute(self._handles[text], values)
        if chance.random() < 0.1:
            self.wire.send(mysql_wire.CLOSE, struct.pack("<I", self._handles.pop(text)))

    def _cancelled(self, number: int) -> None:
        mark = f"{self.name}/{number}"
        canceller = Thread(target=self._canceller.cancel, args=(self._server, self.id, mark))
        canceller.start()
        with errors_of_the_server():
            self.wire.run(f"SELECT '{mark}' FROM DUAL WHERE SLEEP(60) = 0")
        canceller.join()


WORDS = [
    "plain",
    "it's",
    'a "quoted" one',
    "数据",
    "café",
    "back\\slash",
    "semi;colon",
    "-- no comment",
    "%",
    "line\nend",
]


def statement(chance: random.Random, name: str) -> tuple[str, list[Value]]:
    """A statement and its values; some of them fail, each in another way."""
    word, n = chance.choice(WORDS), chance.randrange(1000)
    choices: list[tuple[str, list[Value]]] = [
        ("SELECT id, what FROM things WHERE n = ? AND session = ? ORDER BY id LIMIT 5", [n, name]),
        ("INSERT INTO things (session, what, n) VALUES (?, ?, ?)", [name, word, n]),
        ("UPDATE things SET what = ? WHERE session = ? AND n = ?", [None if n % 7 == 0 else word, name, n]),
        ("DELETE FROM things WHERE session = ? AND n < ? AND n > ?", [name, n // 4, n // 8]),
        ("SELECT CONCAT(?, ?) AS joined, ? + 1", [word, name, n]),
        (f"/* {n % 5} */ SELECT COUNT(*) # the number {n % 5}\nFROM things", []),
        ("/*!50000 SELECT SQL_NO_CACHE ? */", [n]),
        ("SELECT seq FROM seq_1_to_50 WHERE seq < ?", [n % 50]),
        ("INSERT INTO things (id) VALUES (?), (?)", [n + 1_000_000, n + 1_000_000]),
        (f"SELECT missing_{n % 5} FROM things", []),
        (f"SELEC {n % 5}", []),
        ("SELECT JSON_EXTRACT(?, ?)", [word, word]),
    ]
    weights = [20, 15, 10, 5, 15, 5, 5, 10, 4, 3, 2, 2]
    return chance.choices(choices, weights)[0]


def several(chance: random.Random, name: str) -> str:
    return "; ".join(text_of(*statement(chance, name)) for _ in range(3))


def text_of(text: str, values: list[Value]) -> str:
    """The statement with its values in it, as a driver without prepared statements sends it, and as the log has it."""
    parts = text.split("?")
    return parts[0] + "".join(literal(value) + part for value, part in zip(values, parts[1:], strict=True))


def literal(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"').replace("\n", "\\n")
        return f"'{escaped}'"
    return str(value)


def told_by_the_server(server: MariadbServer) -> dict[int, list[Told]]:
    """Every command of the account's connections, by connection id, in the order of the log."""
    rows = server.execute(
        "SELECT thread_id, command_type, argument, event_time FROM mysql.general_log "
        "WHERE user_host LIKE '%logged_app%' OR command_type = 'Connect' AND argument LIKE 'logged_app@%'"
    )
    told: dict[int, list[Told]] = {}
    for connection, command, argument, at in rows:
        statements = told.setdefault(connection, [])
        if command in ("Query", "Prepare", "Execute"):
            text = argument.decode() if isinstance(argument, bytes) else argument
            statements.append(Told(f"{command}: {text}", at=at.replace(tzinfo=UTC)))
        else:
            assert command in ("Connect", "Quit", "Close stmt"), (command, argument)
    return told


def told_by_the_record(statements: list[dict[str, Any]]) -> list[Told]:
    """A session's record as the server's log words it."""
    told = []
    for each in statements:
        text, command = each["text"], "Query"
        if each["operation"] == "COM_STMT_PREPARE":
            command = "Prepare"
            if each["state"] == "failed":
                continue  # the server logs a preparation when it has succeeded
        elif each["operation"] == "COM_STMT_EXECUTE":
            command = "Execute"
            text = text_of(text, [_value(bind) for bind in each["binds"] or []])
        at = datetime.fromisoformat(each["at"])
        told.append(Told(f"{command}: {text}", at=at, outcome=each["state"] != "sent"))
    return told


def _value(bind: str | None) -> Value:
    return int(bind) if bind is not None and bind.lstrip("-").isdigit() else bind


@pytest.mark.parametrize("amount", [2_000, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_the_record_and_the_servers_log_say_the_same(
    stock_bastion: BastionProcess, server: MariadbServer, granted: str, amount: int
) -> None:
    server.execute("TRUNCATE mysql.general_log")
    run = secrets.token_hex(3)
    ways = ["text", "prepared", "several", "prepared"]
    shares = numbers(SEED, amount, SESSIONS)
    with open_tunnel(stock_bastion, "alice", granted) as tunnel:
        canceller = Canceller(Place(tunnel.host, tunnel.port, DATABASE, client=f"{run}-canceller"))
        clients = [Client(tunnel, f"{run}-{n}-{ways[n % 4]}", ways[n % 4], server, canceller) for n in range(SESSIONS)]
        at_once([lambda c=c, share=share: c.work(share) for c, share in zip(clients, shares, strict=True)])  # type: ignore[misc]
        killed, dies, ended = clients[0], clients[1], clients[3]
        at_once([lambda: _killed(server, killed), lambda: _dies(server, dies), lambda: _ended(stock_bastion, ended)])
        for client in clients:
            if client not in (killed, dies, ended):
                client.wire.connection.close()
        canceller.wire.connection.close()

        def closed(sessions: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
            ours = [each for each in sessions if each["client"].startswith(run)]
            return ours if len(ours) == SESSIONS + 1 and all(each["state"] == "closed" for each in ours) else None

        sessions = stock_bastion.wait_for_sessions("the end of the sessions", closed)
    log = told_by_the_server(server)
    record = of_sessions(stock_bastion.journal(), {each["id"] for each in sessions})
    ids = {client.name: client.id for client in clients}
    ids[f"{run}-canceller"] = canceller.wire.id
    early = {client.name for client in (killed, dies, ended)}
    found: list[str] = []
    total = 0
    for session in sessions:
        name = session["client"].partition(" ")[0]
        assert session["unattributed_bytes"] == 0
        ours = told_by_the_record(record[session["id"]])
        total += len(ours)
        found += [f"{name} {each}" for each in differences(ours, log[ids[name]], ended_early=name in early)]
    assert not found, "\n".join(found)
    assert total > amount * 0.8
    # Whoever else came as this account was the bastion itself, to cancel: it says so by doing nothing else.
    others = {connection: told for connection, told in log.items() if connection not in ids.values()}
    assert len(others) == 1
    for told in others.values():
        assert [each.text for each in told] == [f"Query: KILL QUERY {dies.id}"]
    outcomes = [each["state"] for session in sessions for each in record[session["id"]]]
    assert outcomes.count("failed") > 0


def _killed(server: MariadbServer, client: Client) -> None:
    """By the database's administrator."""

    def kill() -> None:
        wait_for("the statement", lambda: server.running("SLEEP(71)"))
        server.execute(f"KILL {client.id}")

    at_once([kill, lambda: _fails(client, "SELECT 'x' FROM DUAL WHERE SLEEP(71) = 0")])


def _dies(server: MariadbServer, client: Client) -> None:
    """Its socket is closed under the statement that it waits for."""

    def leave() -> None:
        wait_for("the statement", lambda: server.running("SLEEP(72)"))
        client.wire.connection._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]

    at_once([leave, lambda: _fails(client, "SELECT 'x' FROM DUAL WHERE SLEEP(72) = 0")])


def _ended(bastion: BastionProcess, client: Client) -> None:
    [session] = [each for each in bastion.sessions() if each["client"].partition(" ")[0] == client.name]
    bastion.casemate("auditor", "end", session["id"], "--reason", "over", "--json")
    _fails(client, "SELECT 'too late'")


def _fails(client: Client, text: str) -> None:
    try:
        client.wire.run(text)
    except pymysql.MySQLError:
        return
    raise AssertionError(f"{text} did not fail")
