"""The script as a security engineer runs it: against a bastion that they are given, through a standing tunnel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.end_to_end.stock_clients import client_environment, open_tunnel
from tests.servers.bastion_process import AUDITOR, BastionProcess
from tests.servers.postgres import PostgresServer


def test_the_script_says_what_it_saw(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> None:
    postgres_server.create_user("by_hand", "hosted-secret")
    postgres_server.create_database("byhand", "by_hand")
    stock_bastion.declare_database("by-hand", postgres_server, account="by_hand", password="hosted-secret", to="alice")
    with open_tunnel(stock_bastion, "alice", "by-hand") as tunnel:
        host, port = stock_bastion.address
        done = subprocess.run(
            [sys.executable, "-m", "tests.end_to_end.completeness", "postgresql", "--port", str(tunnel.port),
             "--catalog", "byhand", "--auditor", f"{AUDITOR}@{host}:{port}", "--case", "copy_both_ways"],
            cwd=Path(__file__).parents[3],
            env=client_environment({
                "CASEMATE_PASSWORD": stock_bastion.password_of(AUDITOR),
                "CASEMATE_KNOWN_HOSTS": str(stock_bastion.known_hosts),
            }),
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    lost = "what COPY moved, in and out, and one that the client gave up"
    assert done.stdout == f"ok     copy_both_ways: 4 statements; {lost}\n"
