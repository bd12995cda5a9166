"""A write on a production database in a real terminal: tried, undone, kept; its plan; a connection that is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.bastion_process import HOST, BastionProcess, program
from tests.servers.postgres import PostgresServer

from .test_workstation_terminal import CTRL_Q, ENTER, ESCAPE, F5, Terminal, environment

PASSWORD = "guard-app's own password"
DATABASE = "wsguard"
CTRL_E = "\x05"
UPDATE = "update parcels set label = 'changed' where id = 1"


@pytest.fixture
def terminal(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> Iterator[Terminal]:
    postgres_server.create_user("guard_app", PASSWORD)
    postgres_server.create_database(DATABASE, "guard_app")
    with postgres_server.admin(DATABASE) as connection:
        connection.execute("SET ROLE guard_app")
        connection.execute("CREATE TABLE parcels AS SELECT n AS id, 'parcel' AS label FROM generate_series(1, 7) AS n")
    stock_bastion.apply(
        {
            "databases": [
                {
                    "name": DATABASE, "engine": "postgresql", "platform": "self-managed", "production": True,
                    "host": postgres_server.host, "port": postgres_server.port, "tls": {"mode": "prefer"},
                    "databases": [DATABASE],
                    "accounts": [{"name": "guard_app", "password": {"env": "ACCOUNT_PASSWORD"}}],
                }
            ],
            "grants": [{"name": "bob-wsguard", "to": ["bob"], "on": [DATABASE], "accounts": ["*"]}],
        },
        {"ACCOUNT_PASSWORD": PASSWORD},
    )  # fmt: skip
    target = f"bob@{HOST}:{stock_bastion.address[1]}"
    opened = Terminal([*program(), "connect", target], environment(stock_bastion))
    yield opened
    opened.kill()


def test_the_guard_the_plan_and_a_lost_connection(
    stock_bastion: BastionProcess, postgres_server: PostgresServer, terminal: Terminal
) -> None:
    def labels() -> str:
        with postgres_server.admin(DATABASE) as connection:
            [[label]] = connection.execute("SELECT label FROM parcels WHERE id = 1").fetchall()
        return str(label)

    terminal.wait("Password, or passphrase")
    terminal.press(stock_bastion.password_of("bob") + ENTER)
    terminal.wait("1 Databases")
    terminal.press(DATABASE)
    terminal.wait("guard_app")
    terminal.press(ENTER)
    terminal.wait("Request the token")
    terminal.press("INC-4712" + ENTER)
    terminal.wait(lambda text: "autocommit" in text and "writes ask whether they are kept" in text)

    terminal.press(UPDATE + F5)
    terminal.wait(lambda text: "Keep it?" in text and "1 row affected" in text)
    assert labels() == "parcel"
    terminal.press("u")
    terminal.wait("Rolled back.")
    assert labels() == "parcel"
    terminal.press(F5)
    terminal.wait("Keep it?")
    terminal.press("k")
    terminal.wait("Committed.")
    assert labels() == "changed"

    terminal.press(CTRL_E)
    terminal.wait(lambda text: "Plan, estimated" in text and "Seq Scan" in text)
    terminal.press(F5)
    terminal.wait("Run this write for its plan?")
    terminal.press("y")
    terminal.wait("Plan, measured")
    terminal.press(ESCAPE)
    terminal.wait("was rolled back.")

    with postgres_server.admin(DATABASE) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guard_app'")
    terminal.press(F5)
    terminal.wait("F5 connects again")
    terminal.press(F5)
    terminal.wait("Connected again.")
    terminal.press(F5)
    terminal.wait("Keep it?")
    terminal.press("u")
    terminal.wait(lambda text: "Keep it?" not in text and "Rolled back." in text)
    terminal.press(CTRL_Q)
    assert terminal.ended() == 0
