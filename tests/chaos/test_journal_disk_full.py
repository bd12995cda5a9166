"""The journal's disk is full: what cannot be recorded is not sent, and the client is told so."""

from __future__ import annotations

import json
import resource

import psycopg
import pytest

from tests.end_to_end.stock_clients import SshTunnel, open_tunnel
from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PostgresServer

DATABASE = "full"
ROOM = 200_000
"""Bytes that the journal may still grow by."""


def _connect(tunnel: SshTunnel) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=tunnel.host, port=tunnel.port, dbname=DATABASE, user="x", sslmode="disable", autocommit=True,
        connect_timeout=20,
    )  # fmt: skip


def test_a_full_disk_stops_statements_not_their_record(
    own_bastion: BastionProcess, postgres_server: PostgresServer
) -> None:
    """The limit on a file's size is what a test may set for one process; the write fails as on a full disk."""
    postgres_server.create_user("full_app", "hosted-secret")
    postgres_server.create_database(DATABASE, "full_app")
    with postgres_server.admin(DATABASE) as connection:
        connection.execute("CREATE TABLE filled (n int)")
        connection.execute("GRANT ALL ON filled TO full_app")
    own_bastion.declare_database("orders", postgres_server, account="full_app", password="hosted-secret", to="alice")
    with open_tunnel(own_bastion, "alice", "orders") as tunnel:
        with _connect(tunnel) as busy, _connect(tunnel) as other:
            other.execute("SELECT 'there is room'")
            [segment] = (own_bastion.home / "journal").rglob("*.journal")
            limit = segment.stat().st_size + ROOM
            resource.prlimit(own_bastion.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            last = 0
            with pytest.raises(psycopg.OperationalError) as refused:
                for last in range(1, 1000):
                    busy.execute(f"INSERT INTO filled VALUES ({last}) /* {'x' * 2000} */".encode())
            assert "cannot write its record" in str(refused.value), refused.value
            assert 10 < last < 1000
            # A session that had nothing to do with it cannot be recorded either, so it does not go on.
            with pytest.raises(psycopg.OperationalError):
                other.execute("INSERT INTO filled VALUES (5000)")
        with pytest.raises(psycopg.OperationalError):
            _connect(tunnel)
    with postgres_server.admin(DATABASE) as connection:
        ran = [row[0] for row in connection.execute("SELECT n FROM filled ORDER BY n").fetchall()]
    assert ran == list(range(1, last))

    own_bastion.stop()
    own_bastion.start()
    recorded = [
        each["text"].split()[4] for each in own_bastion.journal()
        if each["kind"] == "statement-sent" and each["text"].startswith("INSERT INTO filled")
    ]  # fmt: skip
    assert recorded == [f"({n})" for n in ran]
    sessions = own_bastion.sessions()
    assert [each["state"] for each in sessions] == ["lost", "lost"]
    statements = own_bastion.statements(sessions[0]["id"])
    assert [each["text"].split()[4] for each in statements] == recorded
    assert [each["state"] for each in statements[:-1]] == ["done"] * (last - 2)
    proof = json.loads(own_bastion.run("audit", "verify", "--json", "--config", str(own_bastion.configuration)))
    assert proof["intact"] is True
    with open_tunnel(own_bastion, "alice", "orders") as tunnel, _connect(tunnel) as connection:
        assert connection.execute("SELECT 'there is room again'").fetchone() == ("there is room again",)
