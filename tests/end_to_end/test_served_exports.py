"""From a login over plain SSH to the file on one's own machine: a result, sorted and exported, and `export get`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.served_desk import Desk
from tests.servers.bastion_process import BastionProcess
from tests.servers.processes import wait_for

from .test_result_exports import ssh
from .test_served_workstation import bastion, desk, open_console, run_sql  # noqa: F401 - fixtures

ROWS = 300_000


def test_login_to_result_to_export_to_quit(
    bastion: BastionProcess,  # noqa: F811
    desk: Callable[..., Desk],  # noqa: F811
    tmp_path: Path,
) -> None:
    at = desk()
    at.open()
    open_console(at)
    run_sql(at, f"select n as id, repeat('parcel ', 20) || n as label from generate_series(1, {ROWS}) n")
    at.terminal.wait(lambda text: f"{ROWS:,} rows, all of them" in text)
    at.terminal.press("F6")
    at.terminal.type("ss")
    at.terminal.wait(lambda text: "by id ↓" in text and f"{ROWS} " in text)
    at.terminal.type("G")
    at.terminal.wait(lambda text: re.search(r" 1 +1  parcel", text) is not None)
    at.terminal.type("e")
    at.terminal.wait("Parquet")
    at.terminal.type("csv")
    at.terminal.press("Enter")
    found = re.search(r"export get (x-[0-9a-f]{16})", at.terminal.wait("wait on the bastion until", 60))
    assert found is not None
    at.terminal.press("Escape")
    at.terminal.wait(lambda text: "wait on the bastion until" not in text)
    at.terminal.press("C-q")
    at.returned(0)
    # Nothing of the rows is left on the bastion but the sealed export.
    folder = bastion.configuration.parent
    wait_for("the end of what it kept there", lambda: not list(folder.rglob("run-*")))
    got = ssh(bastion, tmp_path, "alice", f"export get {found[1]}")
    assert got.returncode == 0
    rows = list(csv.reader(io.StringIO(got.stdout.decode(), newline="")))
    assert len(rows) == ROWS + 1
    assert (rows[0], rows[1][0], rows[-1]) == (["id", "label"], str(ROWS), ["1", "parcel " * 20 + "1"])
