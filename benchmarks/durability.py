"""What each durability of the record costs: throughput of short statements, beside sshd, in one run.

    python -m benchmarks.durability [--seconds 4] [--rounds 3] [--json FILE]

`written`: a statement's record is in the kernel before the statement goes on; `synced`: on the disk; `stored`: in the
store too (here SQLite). The disk is that of the system's temporary folder.
"""

from __future__ import annotations

import argparse
import sys

from .program import length_options, main_of
from .report import in_turns, ratio
from .setting import Setting
from .tunnel import CLIENTS, measured, pgbench_case

BASTIONS = ("written", "synced", "stored")
WAYS = ("sshd", *BASTIONS)

QUICK = ("--seconds", "2", "--rounds", "1")
FULL = ("--seconds", "2", "--rounds", "2")


def add_options(parser: argparse.ArgumentParser) -> None:
    length_options(parser)
    parser.add_argument("--mode", default="simple", choices=("simple", "prepared"), help="of pgbench (default simple)")


def run(setting: Setting, options: argparse.Namespace) -> None:
    columns = ["case", "unit", *WAYS, *(f"{way} / sshd" for way in BASTIONS)]
    setting.report.table("Durability", columns, texts=2)
    with setting.ways(WAYS, setting.postgres) as ways:
        for clients in CLIENTS:
            case = pgbench_case(setting, clients, options.mode, options.seconds)
            figures = in_turns(WAYS, options.rounds, lambda name, case=case: measured(ways[name], case))  # type: ignore[misc]
            rates = [figures[way]["rate"] for way in WAYS]
            setting.report.row(case.name, case.unit, *rates, *(ratio(figures, "rate", way) for way in BASTIONS))


if __name__ == "__main__":
    sys.exit(main_of(__name__))
