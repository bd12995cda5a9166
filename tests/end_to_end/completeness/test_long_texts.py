"""Twenty megabytes of one statement: in the journal whole, in parts, each before it was passed on."""

from __future__ import annotations

from typing import Any

from tests.end_to_end.stock_clients import SshTunnel, open_tunnel, session_of
from tests.protocols.postgres import messages as m
from tests.servers.bastion_process import BastionProcess
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer

from .case import Place
from .mysql_wire import Wire as MysqlWire
from .postgresql_wire import Wire

CATALOG = "longtext"
LETTERS = 20 * 1024 * 1024
TEXT = "SELECT length('" + "x" * LETTERS + "') /* the very end */"
PART = 256 * 1024


def assert_whole(bastion: BastionProcess, tunnel: SshTunnel, rows: int) -> None:
    session = session_of(bastion, tunnel)
    journal = [each for each in bastion.journal() if each.get("session") == session["id"]]
    number = next(each["seq"] for each in journal if each["kind"] == "statement-sent" and "length('" in each["text"])
    parts: list[dict[str, Any]] = [
        each
        for each in journal
        if each["kind"] in ("statement-sent", "statement-extended") and each["seq"] == number and each["text"]
    ]
    assert "".join(each["text"] for each in parts) == TEXT
    assert max(len(each["text"]) for each in parts) <= PART
    assert [each["complete"] for each in parts] == [False] * (len(parts) - 1) + [True]
    [done] = [each for each in journal if each["kind"] == "statement-done" and each["seq"] == number]
    assert (done["state"], done["rows"]) == ("done", rows)
    shown = bastion.statements(session["id"])[number - 1]
    assert (shown["kind"], shown["state"], shown["rows"]) == ("select", "done", rows)
    # A listing shows the beginning and says that there is more.
    assert shown["text"].startswith(TEXT[:1000])
    assert "characters in all)" in shown["text"]
    assert session["unattributed_bytes"] == 0


def test_on_postgresql(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> None:
    postgres_server.create_user("long_text", "hosted-secret")
    postgres_server.create_database(CATALOG, "long_text")
    stock_bastion.declare_database(
        "long-pg", postgres_server, account="long_text", password="hosted-secret", to="alice"
    )
    before = stock_bastion.resident_bytes()
    with open_tunnel(stock_bastion, "alice", "long-pg") as tunnel:
        with Wire(Place(tunnel.host, tunnel.port, CATALOG)) as wire:
            assert wire.value(TEXT) == str(LETTERS)
        assert stock_bastion.resident_bytes() - before < 3 * LETTERS
        assert_whole(stock_bastion, tunnel, rows=1)


def test_prepared_on_postgresql(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> None:
    postgres_server.create_user("long_text", "hosted-secret")
    postgres_server.create_database(CATALOG, "long_text")
    stock_bastion.declare_database(
        "long-pg2", postgres_server, account="long_text", password="hosted-secret", to="alice"
    )
    with open_tunnel(stock_bastion, "alice", "long-pg2") as tunnel:
        with Wire(Place(tunnel.host, tunnel.port, CATALOG)) as wire:
            assert wire.ask(m.parse(TEXT), m.bind(), m.execute(), m.SYNC) == "12DCZ"
        assert_whole(stock_bastion, tunnel, rows=1)


def test_on_mariadb_where_it_is_more_than_a_packet_holds(
    stock_bastion: BastionProcess, mariadb_server: MariadbServer
) -> None:
    mariadb_server.create_user("long_text", "hosted-secret")
    mariadb_server.create_database(CATALOG)
    stock_bastion.declare_database("long-my", mariadb_server, account="long_text", password="hosted-secret", to="alice")
    with open_tunnel(stock_bastion, "alice", "long-my") as tunnel:
        with MysqlWire(Place(tunnel.host, tunnel.port, CATALOG)) as wire:
            assert wire.run(TEXT) == [(LETTERS,)]
        assert_whole(stock_bastion, tunnel, rows=1)
