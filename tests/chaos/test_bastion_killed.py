"""kill -9 of the bastion in mid-statement: what was sent is on record without an outcome, and the sessions as lost."""

from __future__ import annotations

import json
import threading
from typing import Any

import psycopg
import pytest

from tests.end_to_end.completeness.case import Place
from tests.end_to_end.completeness.postgresql_wire import Wire
from tests.end_to_end.stock_clients import open_tunnel
from tests.protocols.postgres import messages as m
from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

DATABASE = "killed"


@pytest.fixture
def granted(own_bastion: BastionProcess, postgres_server: PostgresServer) -> str:
    postgres_server.create_user("killed_app", "hosted-secret")
    postgres_server.create_database(DATABASE, "killed_app")
    own_bastion.declare_database("orders", postgres_server, account="killed_app", password="hosted-secret", to="alice")
    return "orders"


def test_a_kill_in_mid_statement_loses_nothing(
    own_bastion: BastionProcess, postgres_server: PostgresServer, granted: str
) -> None:
    running = "SELECT pg_sleep(300), 'in the middle'"
    with open_tunnel(own_bastion, "alice", granted) as tunnel:
        busy = psycopg.connect(
            host=tunnel.host, port=tunnel.port, dbname=DATABASE, user="x", sslmode="disable", autocommit=True,
            connect_timeout=20, application_name="busy",
        )  # fmt: skip
        busy.execute("SELECT 'before'")
        loading = Wire(Place(tunnel.host, tunnel.port, DATABASE, client="loading"))
        loading.ask(m.query("CREATE TEMPORARY TABLE loaded (a text)"))
        loading.send(m.query("COPY loaded FROM STDIN"))
        loading.until("G")
        loading.send(m.copy_data(b"some\n" * 1000))
        idle = Wire(Place(tunnel.host, tunnel.port, DATABASE, client="idle"))
        idle.ask(m.query("SELECT 'nothing runs'"))

        said: list[Exception] = []
        waiting = threading.Thread(target=lambda: said.append(_error_of(busy, running)))
        waiting.start()
        [backend] = wait_for("the statement at work", lambda: postgres_server.running("in the middle"))
        _wait_until_recorded(own_bastion, "COPY loaded", 5000)
        own_bastion.kill()
        waiting.join(60)
        assert isinstance(said[0], psycopg.OperationalError)
        loading.leave()
        idle.leave()
    with postgres_server.admin() as connection:
        # Nobody is left who could cancel it: this is what "sent, no outcome" warns of.
        connection.execute("SELECT pg_terminate_backend(%s)", (backend,))
    own_bastion.start()

    sessions = {each["client"]: each for each in own_bastion.sessions()}
    lost = ("lost", "the bastion stopped without closing it")
    ends = {name: (each["state"], each["end_reason"]) for name, each in sessions.items()}
    assert ends == {"busy": lost, "loading": lost, "idle": lost}
    assert _record(own_bastion, sessions["busy"]) == [
        ("SELECT 'before'", "done", 1, True), (running, "sent", None, False),
    ]  # fmt: skip
    assert _record(own_bastion, sessions["loading"])[1] == ("COPY loaded FROM STDIN", "sent", None, False)
    assert _record(own_bastion, sessions["idle"]) == [("SELECT 'nothing runs'", "done", 1, True)]
    proof = json.loads(own_bastion.run("audit", "verify", "--json", "--config", str(own_bastion.configuration)))
    assert proof["intact"] is True

    with open_tunnel(own_bastion, "alice", granted) as tunnel:
        wire = Wire(Place(tunnel.host, tunnel.port, DATABASE, client="afterwards"))
        assert wire.value("SELECT 'works again'") == "works again"
        wire.leave()


def _error_of(connection: psycopg.Connection[Any], text: str) -> Exception:
    try:
        connection.execute(text.encode())
    except psycopg.Error as error:
        return error
    return AssertionError("it did not fail")


def _wait_until_recorded(bastion: BastionProcess, text: str, data_bytes: int) -> None:
    def recorded() -> bool:
        journal = bastion.journal()
        for each in journal:
            if each["kind"] == "statement-sent" and each["text"].startswith(text):
                mine = [
                    other["data_bytes"]
                    for other in journal
                    if other["kind"] == "statement-extended"
                    and (other["session"], other["seq"]) == (each["session"], each["seq"])
                ]
                return bool(sum(mine) == data_bytes)
        return False

    wait_for("the data on record", recorded)


def _record(bastion: BastionProcess, session: dict[str, Any]) -> list[tuple[str, str, int | None, bool]]:
    return [
        (each["text"], each["state"], each["rows"], each["duration_ms"] is not None)
        for each in bastion.statements(session["id"])
    ]
