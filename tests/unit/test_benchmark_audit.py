"""The benchmark of the audit keeps up with the code: every figure is there, with few records."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import audit, live_list
from benchmarks.program import CIPHER
from benchmarks.report import Report
from benchmarks.setting import Setting


def test_every_figure_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_list, "measure", lambda sessions: {"busy": {"look_ms": float(sessions)}})
    parser = argparse.ArgumentParser()
    audit.add_options(parser)
    few = ["--records", "200", "--statements", "300", "--minutes", "1", "--sessions", "3", "--store", "sqlite"]
    with Setting(CIPHER, Report(tmp_path / "rows.jsonl")) as setting:
        audit.run(setting, parser.parse_args(few))
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    figures = {row["figure"].partition(":")[0] for row in rows}
    assert figures >= {
        "journal, written, 1 at once", "journal, synced, 8 at once", "journal, stored, 8 at once",
        "into the store, sqlite", "index of words, sqlite", "compare with the store, sqlite", "verify the journal",
        "search, sqlite", "replay", "live list, busy",
    }  # fmt: skip
    assert all(row["value"] >= 0 for row in rows)
