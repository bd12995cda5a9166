"""The clients: pgbench, psql, pg_dump, sysbench. Each run goes to one port of 127.0.0.1 and says what it got done."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers.postgres import PROGRAMS

from .databases import ACCOUNT, NAME, POINT_ROWS, MariadbDatabase, PostgresDatabase
from .processes import BenchmarkFailed, run

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Done:
    """What a run got done: `amount` (statements, rows, megabytes) and how many of them a second."""

    amount: float
    rate: float


def pgbench(database: PostgresDatabase, port: int, clients: int, arguments: Sequence[str], seconds: int | None) -> Done:
    """Transactions. `seconds` None: `arguments` say how many."""
    length = [] if seconds is None else ["-T", str(seconds)]
    command: list[str | Path] = [
        PROGRAMS / "pgbench",
        "-n",
        *database.address(port),
        "-c",
        str(clients),
        "-j",
        "1",
        *length,
        *arguments,
    ]
    printed = run([*command, NAME], database.environment())
    rate = re.search(r"^tps = ([0-9.]+)", printed, re.M)
    amount = re.search(r"^number of transactions actually processed: (\d+)", printed, re.M)
    if rate is None or amount is None:
        raise BenchmarkFailed(f"pgbench printed no figures:\n{printed}")
    return Done(int(amount[1]), float(rate[1]))


def transaction_times(
    database: PostgresDatabase, port: int, clients: int, arguments: Sequence[str], seconds: int
) -> list[int]:
    """Microseconds of each transaction, sorted; with `--rate` counted from when it was due."""
    with tempfile.TemporaryDirectory(prefix="casemate-pgbench-") as folder:
        log = ["-l", f"--log-prefix={folder}/times"]
        pgbench(database, port, clients, [*arguments, *log], seconds)
        lines = [line for file in Path(folder).iterdir() for line in file.read_text().splitlines()]
    # client, transaction, microseconds, …; `skipped` or `failed` stand in place of a time that there is not.
    times = sorted(int(field) for line in lines if (field := line.split()[2]).isdigit())
    if not times:
        raise BenchmarkFailed("pgbench logged no transaction")
    return times


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie (nearest rank)."""
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))])


def rows_script(folder: Path) -> Path:
    """A script for pgbench that reads all rows of its largest table."""
    file = folder / "rows.sql"
    file.write_text("SELECT aid, bid, abalance, filler FROM pgbench_accounts;\n")
    return file


ROW_BYTES = 97
"""Of a row of pgbench_accounts in COPY's text format, to a byte or two."""


def many_rows(megabytes: int) -> str:
    """A query whose result is that large in COPY's text format."""
    rows = megabytes * MEGABYTE // ROW_BYTES
    return f"SELECT aid, bid, abalance, filler FROM generate_series(1, 1000000) AS again, pgbench_accounts LIMIT {rows}"


def copy_out(database: PostgresDatabase, port: int, megabytes: int) -> Done:
    """COPY TO STDOUT, thrown away by psql."""
    return _timed(database, port, ["-o", "/dev/null", "-c", f"COPY ({many_rows(megabytes)}) TO STDOUT"], megabytes)


def copy_in(database: PostgresDatabase, port: int, part: Path, times: int) -> Done:
    """COPY FROM STDIN of a file, again and again; the server reads the rows and keeps none."""
    files = " ".join([str(part)] * times)
    command = f"\\copy sink FROM PROGRAM 'cat {files}' WHERE false"
    return _timed(database, port, ["-c", command], part.stat().st_size * times / MEGABYTE)


def copy_part(database: PostgresDatabase, folder: Path, megabytes: int) -> Path:
    """A file for `copy_in`."""
    file = folder / f"part-{megabytes}.copy"
    if not file.exists():
        _psql(database, database.port, ["-o", str(file), "-c", f"COPY ({many_rows(megabytes)}) TO STDOUT"])
    return file


def dump(database: PostgresDatabase, port: int, rows: int) -> Done:
    """pg_dump of pgbench's largest table; the figure is its rows."""
    command: list[str | Path] = [
        PROGRAMS / "pg_dump",
        *database.address(port),
        "-t",
        "pgbench_accounts",
        "-f",
        "/dev/null",
        NAME,
    ]
    start = time.perf_counter()
    run(command, database.environment())
    return Done(rows, rows / (time.perf_counter() - start))


def psql_command(database: PostgresDatabase, port: int, words: Sequence[str]) -> list[str]:
    """A command line of psql."""
    return [str(PROGRAMS / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *database.address(port), *words, NAME]


def _psql(database: PostgresDatabase, port: int, words: Sequence[str]) -> None:
    run(psql_command(database, port, words), database.environment())


def _timed(database: PostgresDatabase, port: int, words: Sequence[str], megabytes: float) -> Done:
    start = time.perf_counter()
    _psql(database, port, words)
    return Done(megabytes, megabytes / (time.perf_counter() - start))


def point_selects(database: MariadbDatabase, port: int, clients: int, seconds: int, *, prepared: bool) -> Done:
    """Point selects by sysbench, or by mariadb-slap where sysbench is not here."""
    program = shutil.which("sysbench")
    if program is None:
        return _slap(database, port, clients, seconds)
    # The password is of an account of this run alone.
    printed = run(
        [program, "oltp_point_select", f"--mysql-host={database.host}", f"--mysql-port={port}",
         f"--mysql-user={ACCOUNT}", f"--mysql-password={database.password}", f"--mysql-db={NAME}", "--tables=1",
         f"--table-size={POINT_ROWS}", f"--threads={clients}", f"--time={seconds}",
         f"--db-ps-mode={'auto' if prepared else 'disable'}", "run"],
        {"PATH": os.environ["PATH"]},
    )  # fmt: skip
    found = re.search(r"queries:\s+(\d+)\s+\(([0-9.]+) per sec", printed)
    if found is None:
        raise BenchmarkFailed(f"sysbench printed no figures:\n{printed}")
    return Done(int(found[1]), float(found[2]))


def _slap(database: MariadbDatabase, port: int, clients: int, seconds: int) -> Done:
    """mariadb-slap runs a number of statements, not a time: about what a tunnel gets done in `seconds`."""
    program = shutil.which("mariadb-slap")
    if program is None:
        raise BenchmarkFailed("neither sysbench nor mariadb-slap is on this machine: install sysbench")
    number = 4_000 * seconds
    printed = run(
        [program, "--no-defaults", f"--host={database.host}", f"--port={port}", "--protocol=tcp", f"--user={ACCOUNT}",
         "--skip-ssl", f"--concurrency={clients}", f"--number-of-queries={number}", f"--create-schema={NAME}",
         "--no-drop", f"--query=SELECT c FROM sbtest1 WHERE id = {POINT_ROWS // 2}"],
        {"PATH": os.environ["PATH"], "MYSQL_PWD": database.password},
    )  # fmt: skip
    found = re.search(r"Average number of seconds to run all queries: ([0-9.]+)", printed)
    if found is None:
        raise BenchmarkFailed(f"mariadb-slap printed no figures:\n{printed}")
    return Done(number, number / float(found[1]))


def point_client() -> str:
    """The program that `point_selects` takes."""
    return "sysbench" if shutil.which("sysbench") else "mariadb-slap"
