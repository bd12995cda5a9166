"""A client that sends tens of thousands of statements before it reads an answer is served, and nothing is missing."""

from __future__ import annotations

from typing import Any

from tests.end_to_end.completeness.case import Place
from tests.end_to_end.completeness.mysql_wire import QUERY
from tests.end_to_end.completeness.mysql_wire import Wire as MysqlWire
from tests.end_to_end.completeness.postgresql_wire import Wire
from tests.end_to_end.stock_clients import open_tunnel, session_of
from tests.protocols.postgres import messages as m
from tests.servers.bastion_process import BastionProcess
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer

CATALOG = "far_ahead"
STATEMENTS = 15_000
"""Each of two messages, so that they are beyond what a client is read ahead of its answers."""


def test_on_postgresql_in_one_pipeline(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> None:
    postgres_server.create_user("far_ahead", "hosted-secret")
    postgres_server.create_database(CATALOG, "far_ahead")
    stock_bastion.declare_database("far-pg", postgres_server, account="far_ahead", password="hosted-secret", to="alice")
    with open_tunnel(stock_bastion, "alice", "far-pg") as tunnel:
        with Wire(Place(tunnel.host, tunnel.port, CATALOG)) as wire:
            wire.send(m.parse("select 1 where $1"), *[m.bind((b"f",)), m.execute()] * STATEMENTS, m.SYNC)
            assert wire.until("Z") == "1" + "2C" * STATEMENTS + "Z"
        session = session_of(stock_bastion, tunnel)
    assert (session["statements"], session["unattributed_bytes"]) == (STATEMENTS, 0)


def test_on_mariadb_one_command_behind_the_other(stock_bastion: BastionProcess, mariadb_server: MariadbServer) -> None:
    mariadb_server.create_user("far_ahead", "hosted-secret")
    mariadb_server.create_database(CATALOG)
    stock_bastion.declare_database("far-my", mariadb_server, account="far_ahead", password="hosted-secret", to="alice")
    with open_tunnel(stock_bastion, "alice", "far-my") as tunnel:
        with MysqlWire(Place(tunnel.host, tunnel.port, CATALOG)) as wire:
            inner: Any = wire.connection
            inner._sock.sendall((bytes((5, 0, 0, 0, QUERY)) + b"do 1") * STATEMENTS)
            for _ in range(STATEMENTS):
                inner._next_seq_id = 1
                assert wire.packet()[:1] == b"\0"
        session = session_of(stock_bastion, tunnel)
        record = stock_bastion.statements(session["id"])
    assert session["unattributed_bytes"] == 0
    assert sum(each["text"] == "do 1" and each["state"] == "done" for each in record) == STATEMENTS
