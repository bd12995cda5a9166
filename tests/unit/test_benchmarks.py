"""The benchmarks that need no network, so that they keep up with the code; the others share what is tested here."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import parts
from benchmarks.clients import percentile
from benchmarks.processes import BenchmarkFailed, cpu_seconds, memory_bytes, tree
from benchmarks.program import CIPHER
from benchmarks.report import Report, in_turns, ratio
from benchmarks.setting import Setting
from benchmarks.terminal import Reader


def test_every_part_of_the_data_path_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    parts.add_options(parser)
    options = parser.parse_args(["--statements", "100", "--megabytes", "1", "--repeats", "1"])
    with Setting(CIPHER, Report(tmp_path / "rows.jsonl")) as setting:
        parts.run(setting, options)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert {(row["part"], row["unit"]) for row in rows} == {
        ("readers", "µs a statement"),
        ("record", "µs a statement"),
        ("journal", "µs a statement"),
        ("all", "µs a statement"),
        ("all", "MB/s"),
    }
    assert len(rows) == 25
    assert all(row["figure"] > 0 for row in rows if row["part"] != "readers")
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == len(rows) + 2
    assert {line.count("|") for line in table} == {5}


def test_the_median_of_turns_and_its_ratio() -> None:
    asked: list[str] = []
    rates = {"sshd": iter((10.0, 1000.0, 20.0)), "bastion": iter((5.0, 15.0, 1.0))}

    def measure(way: str) -> dict[str, float]:
        asked.append(way)
        return {"rate": next(rates[way])}

    figures = in_turns(("sshd", "bastion"), 3, measure)
    assert asked == ["sshd", "bastion"] * 3
    assert figures == {"sshd": {"rate": 20.0}, "bastion": {"rate": 5.0}}
    assert ratio(figures, "rate", "bastion") == 0.25
    assert ratio(figures, "rate", "asyncssh") is None


def test_a_failure_names_the_way() -> None:
    def measure(way: str) -> dict[str, float]:
        raise BenchmarkFailed("no answer")

    with pytest.raises(BenchmarkFailed, match="by way of sshd: no answer"):
        in_turns(("sshd",), 1, measure)


def test_percentiles_are_values_that_were_measured() -> None:
    times = list(range(1, 101))
    assert [percentile(times, share) for share in (0.5, 0.95, 0.99)] == [51, 96, 100]
    assert percentile([7], 0.99) == 7


def test_a_tree_of_processes_is_counted_with_those_that_ended() -> None:
    spin = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    script = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {spin!r}])\n"
        "kept = subprocess.Popen(['sleep', '60'])\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
        "kept.kill()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)
    ) as root:
        assert root.stdout is not None
        assert root.stdout.readline() == b"ready\n"
        assert len(tree(root.pid)) == 2
        assert cpu_seconds(root.pid) >= 0.29
        assert memory_bytes(root.pid) > 1_000_000
        root.communicate(b"")


def test_the_reader_shows_what_a_terminal_would_however_the_bytes_are_cut() -> None:
    data = "\x1b[>1u\x1b[?2026$p\x1bP+q544e\x1b\\\x1b[2;3H\x1b[31m行 7\x1b[0m\x1b[<u".encode()
    for cut in range(len(data) + 1):
        reader = Reader(10, 3)
        reader.feed(data[:cut])
        reader.feed(data[cut:])
        assert [line.rstrip() for line in reader.text.splitlines()] == ["", "  行 7", ""], cut
