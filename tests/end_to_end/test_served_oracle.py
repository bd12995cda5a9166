"""The console on Oracle in the workstation that the bastion serves over SSH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.oracle.server import PASSWORDS, OracleServer
from tests.servers.processes import server_folder

from .served_desk import Desk

DATABASE = "servedoracle"


@pytest.fixture(scope="module")
def bastion() -> Iterator[BastionProcess]:
    server = OracleServer()
    process = BastionProcess(server_folder("served"), workstation=True)
    process.apply(
        {
            "databases": [{
                "name": DATABASE, "engine": "oracle", "platform": "self-managed", "host": server.host,
                "port": server.port, "service": "FREEPDB1",
                "accounts": [{"name": "app", "password": {"env": "ACCOUNT"}}],
            }],
            "grants": [{"name": "served", "to": ["alice"], "on": [DATABASE], "accounts": ["*"]}],
        },
        {"ACCOUNT": PASSWORDS["APP"]},
    )  # fmt: skip
    yield process
    process.remove()
    server.stop()


@pytest.mark.slow
def test_rows_of_oracle_over_ssh(bastion: BastionProcess, tmp_path: Path) -> None:
    at = Desk(bastion, tmp_path / "desk")
    try:
        at.open()
        at.terminal.wait(lambda text: f"{DATABASE} " in text)
        at.terminal.press("Enter")
        at.terminal.wait("Request the token")
        at.terminal.type("INC-1")
        at.terminal.press("Enter")
        at.terminal.wait(lambda text: "autocommit" in text and "APP" in text)
        at.terminal.type("select level as n, 'parcel' as label /* served oracle */ from dual connect by level <= 2")
        at.terminal.press("F5")
        at.terminal.wait(lambda text: "parcel" in text and "2 rows" in text)
        at.terminal.press("C-q")
        at.returned(0)
    finally:
        at.close()
    found = bastion.casemate("auditor", "audit", "search", "served oracle", "--json")
    assert [(each["user"], each["database"], each["state"], each["rows"]) for each in found] == [
        ("alice", DATABASE, "done", 2)
    ]
    session = next(each for each in bastion.sessions() if each["id"] == found[0]["session"])
    assert (session["engine"], session["source"], session["unattributed_bytes"]) == ("oracle", "127.0.0.1", 0)
