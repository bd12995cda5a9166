"""kill -9 at random moments, also while it starts, under load on two databases that log every statement themselves.

For every statement that a database logged there is a record, what is on record is what was sent, the journal and all
that goes with it holds, and every session has an end.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from tests.end_to_end.stock_clients import ssh_tunnel, token_of
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

from .quick_bastion import QuickBastion

DATABASE = "randomly"
PASSWORD = "hosted-secret"
SEED = os.environ.get("CASEMATE_SEED", "20261123")
LONGEST_LIFE = 0.5
"""Seconds that a bastion lives at most once it takes work."""

DURING_START = 0.2
"""Share of the kills that come while it starts."""

PACE = 0.002
"""Seconds between a client's statements: the record is read again at the end."""

_MARK = re.compile(rb"mark-\d+-\d+")


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer) -> PostgresServer:
    postgres_server.create_user("randomly_app", PASSWORD)
    postgres_server.create_database(DATABASE, "randomly_app")
    with postgres_server.admin(DATABASE) as connection:
        connection.execute("CREATE TABLE done (mark text)")
        connection.execute("GRANT ALL ON done TO randomly_app")
    return postgres_server


@pytest.fixture(scope="module")
def mariadb(mariadb_server: MariadbServer) -> MariadbServer:
    mariadb_server.create_user("randomly_app", PASSWORD)
    mariadb_server.create_database(DATABASE)
    mariadb_server.execute("CREATE TABLE done (mark TEXT)", database=DATABASE)
    return mariadb_server


@pytest.fixture
def bastion(tmp_path: Path, postgres: PostgresServer, mariadb: MariadbServer) -> Iterator[QuickBastion]:
    made = QuickBastion(tmp_path)
    for name, server in (("pg", postgres), ("my", mariadb)):
        made.declare_database(name, server, account="randomly_app", password=PASSWORD, to="alice")
    yield made
    made.remove()


class Client(threading.Thread):
    """Sends statements that nobody else sends, each with a mark of its own, for as long as it is let.

    A new connection is made whenever one is lost. `sent` has the text of each mark, and the value bound to it.
    """

    def __init__(self, number: int, load: Load) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self.number = number
        self.sent: dict[str, str] = {}
        self.answered = 0
        self.failed: BaseException | None = None
        self._load = load
        self._chance = random.Random(f"{SEED}-{number}")

    def run(self) -> None:
        try:
            while not self._load.over.is_set():
                with contextlib.suppress(psycopg.Error, pymysql.MySQLError, OSError):
                    self._work()
                self._load.over.wait(0.02)
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.failed = error

    def _work(self) -> None:
        raise NotImplementedError

    def _next(self) -> tuple[str, str]:
        """A mark, and a text that has it."""
        mark = f"mark-{self.number}-{len(self.sent)}"
        long = "x" * self._chance.randrange(20_000, 200_000) if self._chance.random() < 0.01 else ""
        text = self._chance.choice((
            f"SELECT '{mark}'", f"INSERT INTO done VALUES ('{mark}')",
            f"SELECT '{mark}', '{long}'", f"DELETE FROM done WHERE mark = '{mark}'", f"SELECT missing /* {mark} */",
        ))  # fmt: skip
        self.sent[mark] = text
        return mark, text

    def _rest(self) -> None:
        self.answered += 1
        time.sleep(PACE)


class OfPostgres(Client):
    """Every other one binds its marks as values, with one text that is prepared."""

    def _work(self) -> None:
        with psycopg.connect(
            host="127.0.0.1", port=self._load.ports["pg"], dbname=DATABASE, user="x", sslmode="disable",
            autocommit=True, connect_timeout=10,
        ) as connection:  # fmt: skip
            while not self._load.over.is_set():
                mark, text = self._next()
                if self.number % 2:
                    self.sent[mark] = text = "INSERT INTO done VALUES (%s)"
                    connection.execute(text.encode(), (mark,))
                else:
                    with contextlib.suppress(psycopg.errors.UndefinedColumn):
                        connection.execute(text.encode())
                self._rest()


class OfMariadb(Client):
    def _work(self) -> None:
        connection = pymysql.connect(
            host="127.0.0.1", port=self._load.ports["my"], user="x", password="", database=DATABASE, autocommit=True,
            connect_timeout=10, read_timeout=30,
        )  # fmt: skip
        with connection, connection.cursor() as cursor:
            while not self._load.over.is_set():
                _, text = self._next()
                with contextlib.suppress(pymysql.err.OperationalError):
                    try:
                        cursor.execute(text)
                    except pymysql.err.OperationalError as error:
                        if error.args[0] >= 2000:  # not the server's own
                            raise
                self._rest()
                if cursor.connection is None or not connection.open:
                    return


class Load:
    """Clients of both databases. `ports` are those of the tunnels that stand now."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.ports = {"pg": 1, "my": 1}
        self.clients: list[Client] = [OfPostgres(1, self), OfPostgres(2, self), OfPostgres(4, self),
                                      OfMariadb(5, self), OfMariadb(7, self)]  # fmt: skip

    def start(self) -> None:
        for client in self.clients:
            client.start()

    def stop(self) -> None:
        self.over.set()
        for client in self.clients:
            client.join(120)
            assert not client.is_alive(), client.name
            if client.failed is not None:
                raise client.failed


@contextlib.contextmanager
def tunnels(bastion: QuickBastion, tokens: dict[str, dict[str, Any]], load: Load) -> Iterator[None]:
    """Both tunnels."""
    with contextlib.ExitStack() as stack:
        for name, token in tokens.items():
            tunnel = stack.enter_context(
                ssh_tunnel(user="alice", token=token["token"], bastion=bastion.address, known_hosts=bastion.known_hosts,
                           to=(token["host"], token["port"]))
            )  # fmt: skip
            load.ports[name] = tunnel.port
        yield


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_every_statement_that_a_database_saw_is_on_record(
    bastion: QuickBastion, postgres: PostgresServer, mariadb: MariadbServer, kills: int
) -> None:
    chance = random.Random(SEED)
    tokens = {name: token_of(bastion, "alice", name) for name in ("pg", "my")}
    logs = (postgres.statements_log, mariadb.statements_log)
    begun_at = [log.stat().st_size for log in logs]
    load = Load()
    load.start()
    bastion.kill()
    while kills:
        if chance.random() < DURING_START:
            bastion.begin_to_start()
            time.sleep(chance.random() * LONGEST_LIFE)  # at any moment of its start: that is what is tried
            bastion.kill()
            kills -= 1
            continue
        bastion.start()
        with tunnels(bastion, tokens, load):
            # Each database in turn has to be at work, however slow the machine.
            at_work = [client for client in load.clients if isinstance(client, (OfPostgres, OfMariadb)[kills % 2])]
            answered = sum(client.answered for client in at_work)
            wait_for("statements", lambda: sum(client.answered for client in at_work) > answered + 5, 120, 0.005)  # noqa: B023
            time.sleep(chance.random() * LONGEST_LIFE)
            bastion.kill()
            kills -= 1
    load.stop()
    bastion.start()
    told = f"CASEMATE_SEED={SEED}"
    _all_is_recorded(bastion, load, logs, begun_at, told)
    _all_holds(bastion, told)


def _all_is_recorded(bastion: QuickBastion, load: Load, logs: tuple[Path, ...], begun_at: list[int], told: str) -> None:
    sent = {mark: text for client in load.clients for mark, text in client.sent.items()}
    recorded: set[str] = set()
    halves: dict[tuple[str, int], dict[str, Any]] = {}
    for record in bastion.journal():
        if record["kind"] == "statement-sent":
            halves[record["session"], record["seq"]] = record
        elif record["kind"] == "statement-extended":
            statement = halves[record["session"], record["seq"]]
            statement["text"] += record["text"]
            statement["complete"] = record["complete"]
            statement["binds"] = [*(statement["binds"] or []), *(record["binds"] or [])]
    for statement in halves.values():
        marks = _MARK.findall(json.dumps([statement["text"][:100], statement["binds"]]).encode())
        for mark in {each.decode() for each in marks}:
            recorded.add(mark)
            text = sent[mark].replace("%s", "$1")
            # Nothing is half there: what was sent, or of what was to come in parts a beginning.
            same = statement["text"] == text if statement["complete"] else text.startswith(statement["text"])
            assert same, f"{told}: {statement}"
    for log, begin in zip(logs, begun_at, strict=True):
        with log.open("rb") as file:
            file.seek(begin)
            logged = {mark.decode() for mark in _MARK.findall(file.read())}
        assert len(logged) > 10, log
        missing = sorted(logged - recorded)
        assert not missing, f"{told}: {len(missing)} statements of {log.name} are not on record: {missing[:5]}"


def _all_holds(bastion: QuickBastion, told: str) -> None:
    last = max(int(line.split(b" ", 1)[0]) for file in (bastion.home / "journal").rglob("*.journal")
               for line in file.read_bytes().splitlines()[-1:])  # fmt: skip

    def shipped() -> bool:
        with contextlib.closing(sqlite3.connect(bastion.home / "state" / "casemate.sqlite3", timeout=30)) as store:
            [number] = store.execute("SELECT max(number) FROM shipped").fetchone()
        return bool(number >= last)

    wait_for("the record in the store", shipped, 300, 0.2)
    proof = json.loads(bastion.run("audit", "verify", "--json", "--config", str(bastion.configuration)))
    assert proof["intact"] is True, f"{told}: {proof}"
    assert proof["store"] == "", f"{told}: {proof}"
    assert proof["recording"] == "", f"{told}: {proof}"
    assert proof["unwitnessed"] < 10, f"{told}: {proof}"
    with contextlib.closing(sqlite3.connect(bastion.home / "state" / "casemate.sqlite3", timeout=30)) as store:
        states = dict(store.execute("SELECT state, count(*) FROM sessions GROUP BY state").fetchall())
    assert set(states) <= {"closed", "lost", "refused"}, f"{told}: {states}"
    assert states["lost"] > 0
