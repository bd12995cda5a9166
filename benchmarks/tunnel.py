"""Throughput of a database connection through the bastion, beside the same through OpenSSH's sshd, in one run.

    python -m benchmarks.tunnel [--seconds 5] [--rounds 3] [--cipher aes256-gcm@openssh.com]

Each case is run in turns (direct, sshd, bastion, direct, …), so that a busy moment of the machine hits all of them; the
median of the rounds counts. `ratio` is the bastion's throughput over sshd's: 1.00 is as fast as a tunnel that records
nothing. PostgreSQL, both tunnels' ends, the client and the bastion share this machine's processors. Prints a table,
writes nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import secrets
import shlex
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.parts import Bastion, Sshd
from tests.servers.postgres import PROGRAMS, PostgresServer

ACCOUNT = "app"
ROWS = 1_000_000


@dataclass(frozen=True)
class Case:
    """One workload of pgbench. `rows` is what a transaction returns; the figure is transactions or rows a second."""

    name: str
    clients: int
    arguments: tuple[str, ...]
    rows: int = 1

    @property
    def unit(self) -> str:
        return "rows/s" if self.rows > 1 else "tx/s"


def cases(scripts: Path) -> list[Case]:
    """Short statements (what a round trip costs) and one long answer (what a byte costs)."""
    million = scripts / "million.sql"
    million.write_text("SELECT aid, bid, abalance, filler FROM pgbench_accounts;\n")
    short = [
        Case(f"pgbench -S -c {clients} -M {mode}", clients, ("-S", "-M", mode))
        for clients in (1, 8)
        for mode in ("simple", "prepared")
    ]
    return [*short, Case("SELECT of 1,000,000 rows", 1, ("-f", str(million), "-t", "1"), ROWS)]


def measure(case: Case, port: int, password: str, seconds: int) -> float:
    """Transactions (rows, for the long answer) a second of one run against 127.0.0.1:`port`."""
    length = [] if "-t" in case.arguments else ["-T", str(seconds)]
    command = [str(PROGRAMS / "pgbench"), "-n", "-h", "127.0.0.1", "-p", str(port), "-U", ACCOUNT,
               "-c", str(case.clients), "-j", "1", *length, *case.arguments, "bench"]  # fmt: skip
    done = subprocess.run(
        command, env={"PGPASSWORD": password, "PATH": os.environ["PATH"]}, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    match = re.search(r"^tps = ([0-9.]+) \(without initial connection time\)", done.stdout, re.M)
    if done.returncode != 0 or match is None:
        raise SystemExit(f"{shlex.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return float(match[1]) * case.rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5, help="length of one run of a short case (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case on each way (default 3)")
    parser.add_argument("--cipher", default="aes256-gcm@openssh.com", help="of both tunnels (default %(default)s)")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="casemate-bench-")))
        password = secrets.token_hex(12)
        server = PostgresServer({"log_statement": "none", "log_connections": "", "shared_buffers": "256MB"})
        stack.callback(server.remove)
        server.create_user(ACCOUNT, password)
        server.create_database("bench", ACCOUNT)
        _fill(server, password)
        bastion = Bastion(folder, server, ACCOUNT, password)
        stack.callback(bastion.stop)
        sshd = Sshd(folder, server)
        stack.callback(sshd.stop)
        through_sshd = stack.enter_context(sshd.tunnel(options.cipher))
        through_bastion = stack.enter_context(bastion.tunnel(options.cipher))
        ways = {"direct": server.port, "sshd": through_sshd.port, "bastion": through_bastion.port}
        print(f"$ {shlex.join([Path(sys.executable).name, '-m', 'benchmarks.tunnel', *sys.argv[1:]])}")
        print(_machine(options.cipher))
        _table(cases(folder), ways, password, options.seconds, options.rounds)
        sessions = bastion.asked("sessions")
        print(
            f"On record: {len(sessions)} sessions, {sum(each['statements'] for each in sessions):,} statements, "
            f"{sum(each['unattributed_bytes'] for each in sessions)} unattributed bytes. "
            f"The bastion's memory at the end: {bastion.resident_megabytes():.0f} MB."
        )
    return 0


def _fill(server: PostgresServer, password: str) -> None:
    subprocess.run(
        [PROGRAMS / "pgbench", "-i", "-q", "-s", str(ROWS // 100_000), "-h", server.host, "-p", str(server.port),
         "-U", ACCOUNT, "bench"],
        env={"PGPASSWORD": password, "PATH": os.environ["PATH"]}, check=True, capture_output=True,
    )  # fmt: skip


def _machine(cipher: str) -> str:
    version = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr.strip()
    return f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, {version}, {cipher}, no compression"


def _table(all_cases: list[Case], ways: dict[str, int], password: str, seconds: int, rounds: int) -> None:
    print(f"{'case':<30}{'':>8}" + "".join(f"{way:>12}" for way in ways) + f"{'ratio':>8}")
    for case in all_cases:
        figures: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, port in ways.items():
                figures[way].append(measure(case, port, password, seconds))
        median = {way: statistics.median(values) for way, values in figures.items()}
        ratio = median["bastion"] / median["sshd"]
        cells = "".join(f"{median[way]:>12,.0f}" for way in ways)
        print(f"{case.name:<30}{case.unit:>8}{cells}{ratio:>8.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
