"""An auditor over plain SSH: from a filter to a statement, its result, what else, a saved filter and an export."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import psycopg

from tests.end_to_end.served_desk import Desk
from tests.servers.bastion_process import AUDITOR, BastionProcess

from .stock_clients import open_tunnel
from .test_result_exports import ssh
from .test_served_workstation import DATABASE, bastion, desk  # noqa: F401 - fixtures


def test_an_auditor_finds_what_was_done_and_takes_it_home(
    bastion: BastionProcess,  # noqa: F811
    desk: Callable[..., Desk],  # noqa: F811
    tmp_path: Path,
) -> None:
    with (
        open_tunnel(bastion, "bob", DATABASE) as tunnel,
        psycopg.connect(
            host=tunnel.host, port=tunnel.port, dbname=DATABASE, user="x", sslmode="disable", autocommit=True
        ) as connection,
    ):
        for number in range(3):
            connection.execute("SELECT label, %s AS wanted FROM parcels WHERE id <= 2", (f"上海 {number}",))
    at = desk(AUDITOR)
    at.log_in()
    terminal = at.terminal
    terminal.wait(lambda text: "Sessions" in text and "bob" in text)
    terminal.press("F6")
    terminal.wait(lambda text: "parcels" in text)
    terminal.type("/")
    terminal.wait("Enter Search")
    terminal.type("parcels us")
    terminal.press("Tab")
    terminal.wait("user:")
    terminal.type("bo")
    terminal.wait(lambda text: re.search(r"(?m)^ *bob *$", text) is not None)
    terminal.press("Tab")
    terminal.wait("user:bob")
    terminal.press("Enter")
    # The keys are the list's again, and it has what was asked for.
    terminal.wait(lambda text: "Enter Open" in text and "· 3 statements · newest first" in text and "SELECT" in text)
    terminal.press("Enter")
    terminal.wait(lambda text: "The result, whole" in text and "parcel 1" in text and "上海 2" in text)
    terminal.press("Escape")
    terminal.wait(lambda text: "The result, whole" not in text)
    terminal.type("a")
    terminal.wait(lambda text: "like:" in text and "3 statements" in text)
    terminal.press("BSpace")
    terminal.wait("parcels user:bob")
    terminal.type("f")
    terminal.wait("No filter is kept yet")
    terminal.press("F7")
    terminal.wait("under which name")
    terminal.type("parcels of bob")
    terminal.press("Enter")
    # The list says so once the question has gone and the filter is there.
    terminal.wait(lambda text: "parcels of bob" in text and "In view: parcels user:bob" in text)
    terminal.press("Escape")
    terminal.wait(lambda text: "In view:" not in text)
    terminal.type("e")
    terminal.wait("Parquet")
    terminal.press("Enter")
    found = re.search(r"export get (x-[0-9a-f]{16})", terminal.wait("wait on the bastion until", 60))
    assert found is not None
    terminal.press("Escape")
    terminal.wait(lambda text: "wait on the bastion until" not in text)
    terminal.press("C-q")
    at.returned(0)
    got = ssh(bastion, tmp_path, AUDITOR, f"export get {found[1]}")
    assert got.returncode == 0, got.stderr
    rows = list(csv.DictReader(io.StringIO(got.stdout.decode(), newline="")))
    assert [row["user"] for row in rows] == ["bob"] * 3
    assert [row["binds"] for row in rows] == [f'["上海 {number}"]' for number in (2, 1, 0)]
    said = [record for record in bastion.journal() if record.get("act") == "audit-exported"]
    assert [(each["user"], each["detail"]["rows"], each["detail"]["state"]) for each in said] == [(AUDITOR, 3, "whole")]
