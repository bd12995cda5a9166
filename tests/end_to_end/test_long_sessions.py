"""What takes long: a million rows, and thousands of statements, all on record."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import Any

import psycopg
import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PROGRAMS, PostgresServer

from .stock_clients import client_environment, open_tunnel, session_of

pytestmark = pytest.mark.slow
PASSWORD = "hosted-secret"


@pytest.fixture(scope="module")
def granted(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> str:
    postgres_server.create_user("long_app", PASSWORD)
    postgres_server.create_database("long", "long_app")
    subprocess.run(
        [PROGRAMS / "pgbench", "-i", "-q", "-s", "1", postgres_server.dsn("long", "long_app", PASSWORD)],
        env=client_environment(), check=True, capture_output=True,
    )  # fmt: skip
    stock_bastion.declare_database("long", postgres_server, account="long_app", password=PASSWORD, to="alice")
    return "long"


def test_a_million_rows_stream_through_in_bounded_memory(stock_bastion: BastionProcess, granted: str) -> None:
    query = "SELECT n, md5(n::text), repeat('x', 100) FROM generate_series(1, 1000000) AS n"
    with open_tunnel(stock_bastion, "alice", granted) as tunnel:
        before = stock_bastion.resident_bytes()
        with psycopg.connect(
            host=tunnel.host, port=tunnel.port, dbname="long", user="me", password="", sslmode="disable",
            autocommit=True,
        ) as connection, connection.cursor() as cursor:  # fmt: skip
            count = sum(1 for _ in cursor.stream(query))
        assert count == 1_000_000
        assert stock_bastion.resident_bytes() - before < 64 * 1024 * 1024
        session = session_of(stock_bastion, tunnel)
    [statement] = [each for each in stock_bastion.statements(session["id"]) if each["kind"] == "select"]
    assert (statement["text"], statement["rows"], statement["state"]) == (query, 1_000_000, "done")
    assert statement["bytes_down"] > 140_000_000
    assert session["unattributed_bytes"] == 0


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_every_statement_of_eight_busy_clients_is_on_record(
    stock_bastion: BastionProcess, granted: str, mode: str
) -> None:
    transactions = 8 * 100
    with open_tunnel(stock_bastion, "alice", granted) as tunnel:
        done = subprocess.run(
            [PROGRAMS / "pgbench", "-n", "-c", "8", "-t", "100", "-M", mode, "-h", tunnel.host, "-p", str(tunnel.port),
             "-U", "me", "long"],
            env=client_environment({"PGPASSWORD": "any"}), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"number of transactions actually processed: {transactions}/{transactions}" in done.stdout
        session_of(stock_bastion, tunnel)

        def closed(sessions: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
            ours = [s for s in sessions if s["database"] == granted and s["started_at"] >= tunnel.opened_at.isoformat()]
            return ours if len(ours) >= 8 and all(s["state"] == "closed" for s in ours) else None

        sessions = stock_bastion.wait_for_sessions("the end of the clients' sessions", closed)
    counted: Counter[str] = Counter()
    for session in sessions:
        assert session["unattributed_bytes"] == 0
        for statement in stock_bastion.statements(session["id"]):
            assert statement["state"] == "done", statement
            counted[f"{statement['kind']} {'pgbench_' + statement['text'].split('pgbench_')[-1].split()[0]}"] += (
                statement["kind"] != "prepare"
            )
    assert counted["update pgbench_accounts"] == transactions
    assert counted["select pgbench_accounts"] == transactions
    assert counted["update pgbench_tellers"] == transactions
    assert counted["update pgbench_branches"] == transactions
    assert counted["insert pgbench_history"] == transactions
