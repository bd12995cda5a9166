"""Throughput of a database connection through the bastion, beside the same through OpenSSH's sshd, in one run.

    python -m benchmarks.tunnel [--seconds 4] [--rounds 3] [--only REGEX] [--megabytes 1000] [--engines oracle]

Each case is run in turns (direct, sshd, asyncssh, bastion, direct, …), so that a busy moment of the machine hits all
of them; the median of the rounds counts. A ratio is throughput over sshd's: 1.00 is as fast as a tunnel that records
nothing. `asyncssh` only forwards ports, and shows what SSH costs in Python. The databases, the clients, both ends of
all tunnels and the bastion share this machine's processors.

The second table is the processor time of the process in the middle, with all that it started: for the bastion also the
process that fills the store, until it has nothing left to do.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from . import oracle_clients
from .clients import Done, copy_in, copy_out, copy_part, dump, pgbench, point_client, point_selects, rows_script
from .databases import BLOB_MEGABYTES, ROWS, mariadb_is_here
from .program import length_options, main_of
from .report import in_turns, ratio
from .setting import Database, Setting, Way
from .tds_clients import all_rows, blob, bulk_data, bulk_load, statement_times

WAYS = ("direct", "sshd", "asyncssh", "bastion")
CLIENTS = (1, 8, 32)
PART_MEGABYTES = 16

QUICK = ("--seconds", "2", "--rounds", "1", "--bulk-rounds", "1", "--megabytes", "64", "--mysql-modes", "simple")
FULL = ("--seconds", "2", "--rounds", "3", "--bulk-rounds", "2", "--megabytes", "1000", "--mysql-modes", "simple")


@dataclass(frozen=True)
class Case:
    """A workload. `work` is given a port; processor time is told for `cpu_amount` of what it gets done."""

    name: str
    unit: str
    work: Callable[[int], Done]
    cpu_unit: str = "10,000 statements"
    cpu_amount: float = 10_000


def add_options(parser: argparse.ArgumentParser) -> None:
    length_options(parser)
    parser.add_argument("--bulk-rounds", type=int, default=3, help="the same for the large answers (default 3)")
    parser.add_argument("--megabytes", type=int, default=1000, help="of one COPY, out and in (default 1000)")
    parser.add_argument("--ways", default=",".join(WAYS), help="default %(default)s")
    parser.add_argument("--mysql-modes", default="simple,prepared", help="default %(default)s; empty: no MySQL")
    parser.add_argument("--engines", default="postgresql,mysql,sqlserver,oracle", help="default %(default)s")
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose name it matches")


def run(setting: Setting, options: argparse.Namespace) -> None:
    ways = [name for name in options.ways.split(",") if name]
    compared = [way for way in ways if way not in ("direct", "sshd")]
    setting.report.table("Throughput", ["case", "unit", *ways, *(f"{way} / sshd" for way in compared)], texts=2)
    spent: list[tuple[Case, dict[str, dict[str, float]]]] = []
    for group in _groups(setting, options):
        cases = [case for case in group.cases if re.search(options.only, case.name)]
        if not cases:
            continue
        able = [way for way in ways if way not in group.without]
        with setting.ways(able, group.database()) as open_ways:
            for case in cases:
                figures = in_turns(able, group.rounds, lambda way, case=case: measured(open_ways[way], case))  # type: ignore[misc]
                rates = [figures[way]["rate"] if way in able else None for way in ways]
                setting.report.row(case.name, case.unit, *rates, *(ratio(figures, "rate", way) for way in compared))
                spent.append((case, figures))
    between = [way for way in ways if way != "direct"]
    setting.report.table("Processor seconds in the middle", ["case", "for", *between], texts=2)
    for case, figures in spent:
        seconds = [figures[way]["cpu"] if way in figures else None for way in between]
        setting.report.row(case.name, case.cpu_unit, *seconds)
    if "bastion" in ways:
        setting.report.say(setting.bastion().on_record())


@dataclass(frozen=True)
class _Group:
    """Cases on one database. `without` are ways that cannot be measured there."""

    database: Callable[[], Database]
    cases: Sequence[Case]
    rounds: int
    without: tuple[str, ...] = ()


def _groups(setting: Setting, options: argparse.Namespace) -> Iterator[_Group]:
    engines = options.engines.split(",")
    if "postgresql" in engines:
        yield _Group(lambda: setting.postgres, _statements(setting, options.seconds), options.rounds)
    modes = [mode for mode in options.mysql_modes.split(",") if mode and "mysql" in engines]
    if modes and mariadb_is_here():
        # asyncssh's forwarding can lose the greeting of a server that speaks first, where channels open together.
        cases = _point_selects(setting, modes, options.seconds)
        yield _Group(lambda: setting.mariadb, cases, options.rounds, without=("asyncssh",))
    elif modes:
        setting.report.say("Note: mariadbd is not on this machine; MySQL is left out (install mariadb-server).")
    if "sqlserver" in engines:
        yield _Group(lambda: setting.sqlserver, _sqlserver_statements(setting, options.seconds), options.rounds)
        yield _Group(lambda: setting.sqlserver, _sqlserver_bulk(setting), options.bulk_rounds)
    if "oracle" in engines:
        yield _Group(lambda: setting.oracle, _oracle_statements(setting, options.seconds), options.rounds)
        yield _Group(lambda: setting.oracle, _oracle_bulk(setting), options.bulk_rounds)
    if "postgresql" in engines:
        yield _Group(lambda: setting.postgres, _bulk(setting, options.megabytes), options.bulk_rounds)


def measured(way: Way, case: Case) -> dict[str, float]:
    """The rate of one run, and the processor time in the middle for `cpu_amount`."""
    before = way.cpu_seconds()
    done = case.work(way.port)
    way.settle()
    return {"rate": done.rate, "cpu": (way.cpu_seconds() - before) / done.amount * case.cpu_amount}


def pgbench_case(setting: Setting, clients: int, mode: str, seconds: int) -> Case:
    """Point selects of pgbench, one statement a transaction."""

    def work(port: int) -> Done:
        # The time that pgbench is given begins before its clients are connected.
        return pgbench(setting.postgres, port, clients, ["-S", "-M", mode], seconds + clients // 16)

    return Case(f"pgbench -S -M {mode} -c {clients}", "tx/s", work)


def _statements(setting: Setting, seconds: int) -> list[Case]:
    return [pgbench_case(setting, clients, mode, seconds) for mode in ("simple", "prepared") for clients in CLIENTS]


def _point_selects(setting: Setting, modes: Sequence[str], seconds: int) -> list[Case]:
    def work(clients: int, mode: str, port: int) -> Done:
        return point_selects(setting.mariadb, port, clients, seconds, prepared=mode == "prepared")

    return [
        Case(f"{point_client()} point select, {mode}, {clients} clients", "queries/s", partial(work, clients, mode))
        for mode in modes
        for clients in CLIENTS
    ]


def _sqlserver_statements(setting: Setting, seconds: int) -> list[Case]:
    def work(clients: int, prepared: bool, port: int) -> Done:
        return statement_times(setting.sqlserver, port, clients, seconds, prepared=prepared)[0]

    return [
        Case(f"SQL Server {word}, {clients} clients", "queries/s", partial(work, clients, prepared))
        for word, prepared in (("batch", False), ("sp_execute", True))
        for clients in CLIENTS
    ]


def _sqlserver_bulk(setting: Setting) -> list[Case]:
    def load(port: int) -> Done:
        return bulk_load(setting.sqlserver, port, data())

    data = lru_cache(maxsize=1)(lambda: bulk_data(BLOB_MEGABYTES))
    return [
        Case(f"SQL Server SELECT of {ROWS:,} rows", "rows/s",
             lambda port: all_rows(setting.sqlserver, port, ROWS), "1,000,000 rows", ROWS),
        Case(f"SQL Server value of {BLOB_MEGABYTES} MB", "MB/s",
             lambda port: blob(setting.sqlserver, port, BLOB_MEGABYTES), "GB", 1e3),
        Case(f"SQL Server bulk load of {BLOB_MEGABYTES} MB", "MB/s", load, "GB", 1e3),
    ]  # fmt: skip


def _oracle_statements(setting: Setting, seconds: int) -> list[Case]:
    def work(clients: int, again: bool, port: int) -> Done:
        return oracle_clients.statement_times(setting.oracle, port, clients, seconds, again=again)[0]

    return [
        Case(f"Oracle {word}, {clients} clients", "queries/s", partial(work, clients, again))
        for word, again in (("execute", False), ("executed again", True))
        for clients in CLIENTS
    ]


def _oracle_bulk(setting: Setting) -> list[Case]:
    return [
        Case(f"Oracle SELECT of {ROWS:,} rows", "rows/s",
             lambda port: oracle_clients.all_rows(setting.oracle, port, ROWS), "1,000,000 rows", ROWS),
    ]  # fmt: skip


def _bulk(setting: Setting, megabytes: int) -> list[Case]:
    times = max(1, megabytes // PART_MEGABYTES)

    def million(port: int) -> Done:
        words = ["-f", str(rows_script(setting.folder)), "-t", "1"]
        done = pgbench(setting.postgres, port, 1, words, None)
        return Done(ROWS, done.rate * ROWS)

    def into(port: int) -> Done:
        part = copy_part(setting.postgres, setting.folder, min(PART_MEGABYTES, megabytes))
        return copy_in(setting.postgres, port, part, times)

    return [
        Case(f"SELECT of {ROWS:,} rows", "rows/s", million, "1,000,000 rows", ROWS),
        Case(
            f"COPY out of {megabytes:,} MB", "MB/s", lambda port: copy_out(setting.postgres, port, megabytes), "GB", 1e3
        ),
        Case(f"COPY in of {megabytes:,} MB", "MB/s", into, "GB", 1e3),
        Case(
            f"pg_dump of {ROWS:,} rows",
            "rows/s",
            lambda port: dump(setting.postgres, port, ROWS),
            "1,000,000 rows",
            ROWS,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main_of(__name__))
