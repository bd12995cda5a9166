"""The stricter durabilities through the whole house: a statement waits for its record, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PostgresServer
from tests.servers.processes import server_folder

from .stock_clients import open_tunnel, record_of, session_of


@pytest.fixture(params=["synced", "stored"])
def strict_bastion(request: pytest.FixtureRequest) -> Iterator[BastionProcess]:
    process = BastionProcess(server_folder("bastion"))
    process.stop()
    text = process.configuration.read_text()
    assert 'durability = "written"' in text
    process.configuration.write_text(text.replace('durability = "written"', f'durability = "{request.param}"'))
    process.start()
    yield process
    process.remove()


def test_statements_wait_for_their_record_and_all_arrive(
    strict_bastion: BastionProcess, postgres_server: PostgresServer
) -> None:
    postgres_server.create_user("durable", "durable-password")
    postgres_server.create_database("durable", "durable")
    strict_bastion.declare_database(
        "orders", postgres_server, account="durable", password="durable-password", to="alice"
    )
    with open_tunnel(strict_bastion, "alice", "orders") as tunnel:
        with psycopg.connect(
            host=tunnel.host, port=tunnel.port, user="x", dbname="durable", autocommit=True, connect_timeout=20
        ) as connection:
            with connection.pipeline():
                cursors = [connection.execute("SELECT %s::int", (number,)) for number in range(50)]
            assert [cursor.fetchone() for cursor in cursors] == [(number,) for number in range(50)]
            with pytest.raises(psycopg.errors.DivisionByZero):
                connection.execute("SELECT 1/0")
        session = session_of(strict_bastion, tunnel)
    statements = record_of(strict_bastion, session)
    assert [one["binds"] for one in statements[:50]] == [[str(number)] for number in range(50)]
    assert [one["state"] for one in statements] == ["done"] * 50 + ["failed"]
    assert session["unattributed_bytes"] == 0
