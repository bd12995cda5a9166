"""The console on SQL Server in a real terminal: results, a plan, a batch with variables, a cancel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.bastion_process import HOST, BastionProcess, program
from tests.servers.processes import wait_for
from tests.servers.sqlserver import TdsServer

from .test_workstation_terminal import CTRL_J, CTRL_Q, ENTER, F5, F8, Terminal, environment

PASSWORD = "Terminal-app's 1 password"
DATABASE = "mssqlterminal"
CTRL_E = "\x05"


@pytest.fixture(scope="module")
def granted(stock_bastion: BastionProcess, tds_server: TdsServer) -> BastionProcess:
    tds_server.create_user("terminal_app", PASSWORD)
    tds_server.create_database(DATABASE)
    tds_server.execute(
        "create table parcels (id int primary key, label nvarchar(50), sent datetimeoffset)",
        "insert parcels values (1, N'parcel 漢', '2026-01-02 03:04:05 +08:00'), (2, N'parcel two', null)",
        database=DATABASE,
    )
    stock_bastion.apply(
        {
            "databases": [{
                "name": DATABASE, "engine": "sqlserver", "platform": "rds", "host": tds_server.host,
                "port": tds_server.port, "tls": {"mode": "prefer"}, "databases": [DATABASE],
                "accounts": [{"name": "terminal_app", "password": {"env": "ACCOUNT_PASSWORD"}}],
            }],
            "grants": [{"name": f"alice-{DATABASE}", "to": ["alice"], "on": [DATABASE], "accounts": ["*"]}],
        },
        {"ACCOUNT_PASSWORD": PASSWORD},
    )  # fmt: skip
    return stock_bastion


@pytest.fixture
def terminal(granted: BastionProcess) -> Iterator[Terminal]:
    target = f"alice@{HOST}:{granted.address[1]}"
    opened = Terminal([*program(), "connect", target], environment(granted))
    yield opened
    opened.kill()


def test_a_day_at_the_console_of_sql_server(granted: BastionProcess, tds_server: TdsServer, terminal: Terminal) -> None:
    terminal.wait("Password, or passphrase")
    terminal.press(granted.password_of("alice") + ENTER)
    terminal.wait("1 Databases")
    terminal.press(DATABASE)
    terminal.wait(lambda text: f"{DATABASE} " in text and "terminal_app" in text)
    terminal.press(ENTER)
    terminal.wait("Request the token")
    terminal.press("INC-4712" + ENTER)
    terminal.wait("autocommit")
    terminal.wait("dbo")

    terminal.press("select id, label, sent from parcels order by id" + F5)
    terminal.wait("2 rows, all of them")
    terminal.wait(lambda text: "2026-01-02 03:04:05 +08:00" in text and "parcel two" in text)

    terminal.press(CTRL_E)
    terminal.wait(lambda text: "Clustered Index Scan" in text and "Esc Close" in text)  # the dialog is drawn whole
    terminal.press("\x1b")
    terminal.wait(lambda text: "Esc Close" not in text and "parcel two" in text)

    terminal.press("\r\rgo\rdeclare @n int = 41; set @n += 1; select @n as answer; print N'said by the server'" + F5)
    terminal.wait(lambda text: "answer" in text and "42" in text)

    terminal.press("\rgo\rwaitfor delay '00:01:30'" + CTRL_J)
    terminal.wait("Running")
    wait_for("the statement at work", lambda: tds_server.running("waitfor"))
    terminal.press(F8)
    terminal.wait("the connection is kept.")
    terminal.press(CTRL_Q)
    assert terminal.ended() == 0

    found = granted.casemate("auditor", "audit", "search", "waitfor", "--database", DATABASE, "--json")
    assert [entry["state"] for entry in found] == ["cancelled"]
    statements = granted.statements(found[0]["session"])
    batch = next(one for one in statements if one["text"].startswith("declare @n"))
    assert (batch["state"], batch["rows"]) == ("done", 1)
    session = next(entry for entry in granted.sessions() if entry["id"] == found[0]["session"])
    assert (session["engine"], session["unattributed_bytes"]) == ("sqlserver", 0)
