"""The console on Oracle in a real terminal: results, a plan, a block that says something, a cancel."""

from __future__ import annotations

from collections.abc import Iterator

import oracledb
import pytest

from tests.servers.bastion_process import HOST, BastionProcess, program
from tests.servers.oracle.server import PASSWORDS, OracleServer
from tests.servers.processes import wait_for

from .test_workstation_terminal import CTRL_J, CTRL_Q, ENTER, F5, F8, Terminal, environment

DATABASE = "oracleterminal"
CTRL_E = "\x05"


@pytest.fixture(scope="module")
def server() -> Iterator[OracleServer]:
    server = OracleServer()
    with oracledb.connect(
        user="app", password=PASSWORDS["APP"], host=server.host, port=server.port, service_name="FREEPDB1"
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("create table parcels (id number(10) primary key, label varchar2(50), sent timestamp)")
        cursor.execute("insert into parcels values (1, 'parcel 漢', '2026-01-02 03:04:05')")
        cursor.execute("insert into parcels values (2, 'parcel two', null)")
        connection.commit()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def granted(stock_bastion: BastionProcess, server: OracleServer) -> BastionProcess:
    stock_bastion.apply(
        {
            "databases": [{
                "name": DATABASE, "engine": "oracle", "platform": "self-managed", "host": server.host,
                "port": server.port, "service": "FREEPDB1",
                "accounts": [{"name": "app", "password": {"env": "ACCOUNT_PASSWORD"}}],
            }],
            "grants": [{"name": f"alice-{DATABASE}", "to": ["alice"], "on": [DATABASE], "accounts": ["*"]}],
        },
        {"ACCOUNT_PASSWORD": PASSWORDS["APP"]},
    )  # fmt: skip
    return stock_bastion


@pytest.fixture
def terminal(granted: BastionProcess) -> Iterator[Terminal]:
    target = f"alice@{HOST}:{granted.address[1]}"
    opened = Terminal([*program(), "connect", target], environment(granted))
    yield opened
    opened.kill()


def test_a_day_at_the_console_of_oracle(granted: BastionProcess, server: OracleServer, terminal: Terminal) -> None:
    terminal.wait("Password, or passphrase")
    terminal.press(granted.password_of("alice") + ENTER)
    terminal.wait("1 Databases")
    terminal.press(DATABASE)
    terminal.wait(lambda text: f"{DATABASE} " in text and "Enter requests a token" in text)
    terminal.press(ENTER)
    terminal.wait("Request the token")
    terminal.press("INC-4713" + ENTER)
    terminal.wait("autocommit")
    terminal.wait(lambda text: "APP" in text and "REPORT" in text)

    terminal.press("select id, label, sent from parcels order by id" + F5)
    terminal.wait(lambda text: "2 rows, all of them" in text and "2026-01-02 03:04:05" in text and "parcel two" in text)

    terminal.press(CTRL_E)
    shown = terminal.wait(lambda text: "TABLE ACCESS FULL" in text and "Esc Close" in text)  # the dialog is drawn whole
    assert "Measure" not in shown
    terminal.press("\x1b")
    terminal.wait(lambda text: "Esc Close" not in text and "parcel two" in text)

    terminal.press(";\rbegin\rdbms_output.put_line('said by ' || 'the server');\rend;\r/\r" + F5)
    terminal.wait("INFO: said by the server")

    terminal.press("begin dbms_session.sleep(90); end;" + CTRL_J)
    terminal.wait("Running")
    wait_for("the block to run on the server", lambda: "sleep(90)" in server.running, 60)
    terminal.press(F8)
    terminal.wait("the connection is kept.")
    terminal.press(CTRL_Q)
    assert terminal.ended() == 0

    found = granted.casemate("auditor", "audit", "search", "dbms_session", "--database", DATABASE, "--json")
    assert [entry["state"] for entry in found] == ["cancelled"]
    session = next(entry for entry in granted.sessions() if entry["id"] == found[0]["session"])
    assert (session["engine"], session["unattributed_bytes"]) == ("oracle", 0)
