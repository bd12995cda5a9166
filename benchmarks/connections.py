"""How fast connections come: database connections through a standing tunnel, and SSH connections, beside sshd.

    python -m benchmarks.connections [--seconds 4] [--rounds 3] [--at-once 4] [--json FILE]

A database connection is a login (SCRAM at the server), one statement and a farewell, by pgbench -C. An SSH connection
is a new `ssh -W`, from its start until the database has answered a first byte. sshd checks a key there, and the bastion
a token: `ssh` starts one small program more for a token. A large part of either is `ssh` itself, on the same
processors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import struct
import sys
import tempfile
import time
from pathlib import Path

from .clients import pgbench
from .processes import BenchmarkFailed
from .program import length_options, main_of
from .report import in_turns, ratio
from .setting import Setting
from .tunnels import Login

WAYS = ("direct", "sshd", "asyncssh", "bastion")
SSH_WAYS = WAYS[1:]
CLIENTS = (1, 8)

SSL_REQUEST = struct.pack(">II", 8, 80877103)
"""PostgreSQL's SSLRequest (Message Formats): the answer is a single byte, whoever gives it."""

PATIENCE = 20.0

QUICK = ("--seconds", "1", "--rounds", "1")
FULL = ("--seconds", "2", "--rounds", "2")


def add_options(parser: argparse.ArgumentParser) -> None:
    length_options(parser)
    parser.add_argument("--at-once", type=int, default=4, help="SSH connections under way at one time (default 4)")


def run(setting: Setting, options: argparse.Namespace) -> None:
    database = setting.postgres
    columns = ["case", "unit", *WAYS, *(f"{way} / sshd" for way in SSH_WAYS[1:])]
    setting.report.table("Connections", columns, texts=2)
    with setting.ways(WAYS, database) as ways:
        for clients in CLIENTS:

            def connect(name: str, clients: int = clients) -> dict[str, float]:
                done = pgbench(database, ways[name].port, clients, ["-C", "-S"], options.seconds)
                ways[name].settle()
                return {"rate": done.rate}

            figures = in_turns(WAYS, options.rounds, connect)
            case = f"database connections in one SSH connection, {clients} at once"
            rates = [figures[way]["rate"] for way in WAYS]
            setting.report.row(case, "1/s", *rates, *(ratio(figures, "rate", way) for way in SSH_WAYS[1:]))

        def log_in(name: str) -> dict[str, float]:
            login = setting.peer(name, database).login(database.name)
            to = (database.host, database.port)
            rate = asyncio.run(_ssh_connections(login, to, setting.cipher, options.seconds, options.at_once))
            ways[name].settle()
            return {"rate": rate}

        figures = in_turns(SSH_WAYS, options.rounds, log_in)
        rates = [figures[way]["rate"] for way in SSH_WAYS]
        ratios = [ratio(figures, "rate", way) for way in SSH_WAYS[1:]]
        setting.report.row(f"SSH connections, {options.at_once} at once", "1/s", None, *rates, *ratios)


async def _ssh_connections(login: Login, to: tuple[str, int], cipher: str, seconds: float, at_once: int) -> float:
    """SSH connections a second."""
    with tempfile.TemporaryDirectory(prefix="casemate-ssh-") as folder:
        command = login.command(cipher, "-W", f"{to[0]}:{to[1]}")
        environment = login.environment(Path(folder))
        start = time.perf_counter()
        end = start + seconds

        async def worker() -> int:
            count = 0
            while time.perf_counter() < end:
                await _ssh_connection(command, environment)
                count += 1
            return count

        counts = await asyncio.gather(*(worker() for _ in range(at_once)))
        return sum(counts) / (time.perf_counter() - start)


async def _ssh_connection(command: list[str], environment: dict[str, str]) -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        process.stdin.write(SSL_REQUEST)
        async with asyncio.timeout(PATIENCE):
            answered = await process.stdout.read(1)
        if not answered:
            said = (await process.stderr.read()).decode(errors="replace")
            raise BenchmarkFailed(f"ssh ended before the database answered: {said[-1000:]}")
    except TimeoutError as late:
        raise BenchmarkFailed(f"no answer through a new SSH connection within {PATIENCE:g} s") from late
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


if __name__ == "__main__":
    sys.exit(main_of(__name__))
