"""The console on SQL Server in the workstation that the bastion serves over SSH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.processes import server_folder
from tests.servers.sqlserver import TdsServer

from .served_desk import Desk

DATABASE = "servedmssql"
PASSWORD = "Served's 1 password"


@pytest.fixture(scope="module")
def bastion(tds_server: TdsServer) -> Iterator[BastionProcess]:
    tds_server.create_user("served_app", PASSWORD)
    tds_server.create_database(DATABASE)
    tds_server.execute(
        "create table parcels (id int primary key, label nvarchar(50))",
        "insert parcels values (1, N'parcel 漢'), (2, N'parcel two')",
        database=DATABASE,
    )
    process = BastionProcess(server_folder("served"), workstation=True)
    process.apply(
        {
            "databases": [{
                "name": DATABASE, "engine": "sqlserver", "platform": "self-managed", "host": tds_server.host,
                "port": tds_server.port, "tls": {"mode": "prefer"}, "databases": [DATABASE],
                "accounts": [{"name": "served_app", "password": {"env": "ACCOUNT"}}],
            }],
            "grants": [{"name": "served", "to": ["alice"], "on": [DATABASE], "accounts": ["*"]}],
        },
        {"ACCOUNT": PASSWORD},
    )  # fmt: skip
    yield process
    process.remove()


@pytest.mark.slow
def test_rows_of_sql_server_over_ssh(bastion: BastionProcess, tmp_path: Path) -> None:
    at = Desk(bastion, tmp_path / "desk")
    try:
        at.open()
        at.terminal.wait(lambda text: f"{DATABASE} " in text)
        at.terminal.press("Enter")
        at.terminal.wait("Request the token")
        at.terminal.type("INC-1")
        at.terminal.press("Enter")
        at.terminal.wait(lambda text: "autocommit" in text and "dbo" in text)
        at.terminal.type("select id, label from parcels /* served mssql */ order by id")
        at.terminal.press("F5")
        at.terminal.wait(lambda text: "parcel two" in text and "2 rows" in text)
        at.terminal.press("C-q")
        at.returned(0)
    finally:
        at.close()
    found = bastion.casemate("auditor", "audit", "search", "served mssql", "--json")
    assert [(each["user"], each["database"], each["state"], each["rows"]) for each in found] == [
        ("alice", DATABASE, "done", 2)
    ]
    session = next(each for each in bastion.sessions() if each["id"] == found[0]["session"])
    assert (session["engine"], session["source"], session["unattributed_bytes"]) == ("sqlserver", "127.0.0.1", 0)
