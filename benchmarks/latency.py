"""How long one statement takes: p50, p95 and p99 through the bastion, beside sshd, in one run.

    python -m benchmarks.latency [--seconds 4] [--rounds 3] [--rate 1000] [--engines sqlserver] [--json FILE]

One client as fast as it can, and eight clients that together send `--rate` statements a second at random moments
(pgbench --rate): there the time counts from the moment when a statement was due. SQL Server's eight are as fast as they
can be, over answers that are ready made. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from .clients import percentile, transaction_times
from .program import length_options, main_of
from .report import in_turns, ratio
from .setting import Database, Setting
from .tds_clients import statement_times

WAYS = ("direct", "sshd", "asyncssh", "bastion")
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

QUICK = ("--seconds", "1", "--rounds", "1")
FULL = ("--seconds", "2", "--rounds", "3")


def add_options(parser: argparse.ArgumentParser) -> None:
    length_options(parser)
    parser.add_argument("--rate", type=int, default=1000, help="statements a second of the eight (default %(default)s)")
    parser.add_argument("--engines", default="postgresql,sqlserver", help="default %(default)s")


def run(setting: Setting, options: argparse.Namespace) -> None:
    columns = ["case", "way", *(f"{name} ms" for name in SHARES), *(f"{name} / sshd" for name in SHARES)]
    setting.report.table("Latency of a statement", columns, texts=2)
    engines = options.engines.split(",")
    if "postgresql" in engines:
        _measure(setting, options.rounds, setting.postgres, _postgres(setting, options))
    if "sqlserver" in engines:
        _measure(setting, options.rounds, setting.sqlserver, _sqlserver(setting, options))
    setting.report.say(setting.bastion().on_record())


Times = Callable[[int], Sequence[float]]
"""Milliseconds of each statement by the way that listens on a port, sorted."""


def _postgres(setting: Setting, options: argparse.Namespace) -> dict[str, Times]:
    def times(port: int, clients: int, arguments: list[str]) -> list[float]:
        found = transaction_times(setting.postgres, port, clients, arguments, options.seconds)
        return [each / 1e3 for each in found]

    return {
        "1 client, simple": partial(times, clients=1, arguments=["-S", "-M", "simple"]),
        "1 client, prepared": partial(times, clients=1, arguments=["-S", "-M", "prepared"]),
        f"8 clients, {options.rate} a second": partial(
            times, clients=8, arguments=["-S", "-M", "prepared", f"--rate={options.rate}"]
        ),
    }


def _sqlserver(setting: Setting, options: argparse.Namespace) -> dict[str, Times]:
    def times(port: int, clients: int, prepared: bool) -> list[float]:
        _, found = statement_times(setting.sqlserver, port, clients, options.seconds, prepared=prepared)
        return [each / 1e6 for each in found]

    return {
        "SQL Server, 1 client, batch": partial(times, clients=1, prepared=False),
        "SQL Server, 1 client, sp_execute": partial(times, clients=1, prepared=True),
        "SQL Server, 8 clients, sp_execute": partial(times, clients=8, prepared=True),
    }


def _measure(setting: Setting, rounds: int, database: Database, cases: Mapping[str, Times]) -> None:
    with setting.ways(WAYS, database) as ways:
        for case, times in cases.items():

            def measure(name: str, times: Times = times) -> dict[str, float]:
                found = times(ways[name].port)
                ways[name].settle()
                return {share: percentile(found, SHARES[share]) for share in SHARES}

            figures = in_turns(WAYS, rounds, measure)
            for way in WAYS:
                ratios = [None if way == "direct" else ratio(figures, share, way) for share in SHARES]
                setting.report.row(case, way, *figures[way].values(), *ratios)


if __name__ == "__main__":
    sys.exit(main_of(__name__))
