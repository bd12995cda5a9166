"""How long one statement takes: p50, p95 and p99 through the bastion, beside sshd, in one run.

    python -m benchmarks.latency [--seconds 4] [--rounds 3] [--rate 1000] [--json FILE]

One client as fast as it can, and eight clients that together send `--rate` statements a second at random moments
(pgbench --rate): there the time counts from the moment when a statement was due. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import sys

from .clients import percentile, transaction_times
from .program import length_options, main_of
from .report import in_turns, ratio
from .setting import Setting

WAYS = ("direct", "sshd", "asyncssh", "bastion")
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

QUICK = ("--seconds", "1", "--rounds", "1")
FULL = ("--seconds", "2", "--rounds", "3")


def add_options(parser: argparse.ArgumentParser) -> None:
    length_options(parser)
    parser.add_argument("--rate", type=int, default=1000, help="statements a second of the eight (default %(default)s)")


def run(setting: Setting, options: argparse.Namespace) -> None:
    database = setting.postgres
    cases = {
        "1 client, simple": (1, ["-S", "-M", "simple"]),
        "1 client, prepared": (1, ["-S", "-M", "prepared"]),
        f"8 clients, {options.rate} a second": (8, ["-S", "-M", "prepared", f"--rate={options.rate}"]),
    }
    columns = ["case", "way", *(f"{name} ms" for name in SHARES), *(f"{name} / sshd" for name in SHARES)]
    setting.report.table("Latency of a statement", columns, texts=2)
    with setting.ways(WAYS, database) as ways:
        for case, (clients, arguments) in cases.items():

            def measure(name: str, clients: int = clients, arguments: list[str] = arguments) -> dict[str, float]:
                times = transaction_times(database, ways[name].port, clients, arguments, options.seconds)
                ways[name].settle()
                return {share: percentile(times, SHARES[share]) / 1000 for share in SHARES}

            figures = in_turns(WAYS, options.rounds, measure)
            for way in WAYS:
                ratios = [None if way == "direct" else ratio(figures, share, way) for share in SHARES]
                setting.report.row(case, way, *figures[way].values(), *ratios)


if __name__ == "__main__":
    sys.exit(main_of(__name__))
