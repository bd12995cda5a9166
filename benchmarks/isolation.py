"""Whether a bad neighbour is felt: others' p99 alone, and beside a hung database, a stuck client, a large result.

    python -m benchmarks.isolation [--seconds 5] [--gigabytes 4] [--rate 400] [--json FILE]

The others are four clients that together send `--rate` statements a second in an SSH connection of their own. The
neighbours come through the same sshd or bastion in SSH connections of theirs:

- hung database: clients that connect to a server which takes connections and never says a word, and a COPY into a
  PostgreSQL process that is stopped (SIGSTOP) while its client goes on sending;
- stuck client: a client that asks for a large result and never reads it;
- large result: a COPY of `--gigabytes` that is read as fast as it comes, for as long as the others are measured.

All share the machine's processors, so a large result takes its part of them from the others, whoever stands in the
middle: sshd's ratio says how much.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from tests.servers.processes import wait_for

from .clients import copy_part, many_rows, percentile, psql_command, transaction_times
from .processes import running
from .program import main_of
from .setting import Setting, Way
from .tunnel import PART_MEGABYTES

WAYS = ("sshd", "bastion")
OTHERS = 4
HUNG_CLIENTS = 4

QUICK = ("--seconds", "2", "--gigabytes", "1")
FULL = ("--seconds", "4", "--gigabytes", "4")

Neighbour = Callable[[], AbstractContextManager[None]]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement (default %(default)s)")
    parser.add_argument("--gigabytes", type=int, default=4, help="of the large results (default %(default)s)")
    parser.add_argument("--rate", type=int, default=400, help="statements a second of the others (default %(default)s)")


def run(setting: Setting, options: argparse.Namespace) -> None:
    columns = ["neighbour", "way", "p50 alone, ms", "p50 beside, ms", "p99 alone, ms", "p99 beside, ms", "p99 ratio"]
    setting.report.table("Isolation", columns, texts=2)
    with ExitStack() as stack:
        hung = stack.enter_context(_HungDatabase())
        for name in WAYS:
            others = stack.enter_context(setting.way(name, setting.postgres))
            theirs = stack.enter_context(setting.way(name, setting.postgres))
            to_hung = stack.enter_context(setting.way(name, hung))
            for title, neighbours in _neighbours(setting, theirs, to_hung, options.gigabytes).items():
                alone = _others(setting, others, options)
                with ExitStack() as beside_them:
                    for neighbour in neighbours:
                        beside_them.enter_context(neighbour())
                    beside = _others(setting, others, options)
                others.settle()
                setting.report.row(title, name, alone[0], beside[0], alone[1], beside[1], beside[1] / alone[1])


def _others(setting: Setting, way: Way, options: argparse.Namespace) -> tuple[float, float]:
    """p50 and p99 of the others, in milliseconds."""
    words = ["-S", "-M", "prepared", f"--rate={options.rate}"]
    times = transaction_times(setting.postgres, way.port, OTHERS, words, options.seconds)
    return percentile(times, 0.5) / 1000, percentile(times, 0.99) / 1000


def _neighbours(setting: Setting, theirs: Way, to_hung: Way, gigabytes: int) -> dict[str, list[Neighbour]]:
    hung = [partial(_hung_clients, setting, to_hung), partial(_stopped_backend, setting, theirs)]
    stuck = partial(_stuck_client, setting, theirs, gigabytes)
    large = partial(_large_result, setting, theirs, gigabytes)
    return {
        "hung database": [*hung],
        "stuck client": [stuck],
        f"result of {gigabytes} GB": [large],
        "all three": [*hung, stuck, large],
    }


class _HungDatabase:
    """A server that the kernel connects people to, and that never takes them."""

    engine = "postgresql"
    name = "bench-hung"
    host = "127.0.0.1"
    password = "never-asked-for"

    def __enter__(self) -> _HungDatabase:
        self._socket = socket.create_server((self.host, 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()


@contextmanager
def _hung_clients(setting: Setting, way: Way) -> Iterator[None]:
    """Clients that wait for a database's first word."""
    with ExitStack() as stack:
        for _ in range(HUNG_CLIENTS):
            command = psql_command(setting.postgres, way.port, ["-c", "SELECT 1"])
            stack.enter_context(running(command, setting.postgres.environment()))
        yield


@contextmanager
def _stopped_backend(setting: Setting, way: Way) -> Iterator[None]:
    """A COPY whose client sends and whose server process stands still."""
    database = setting.postgres
    part = copy_part(database, setting.folder, PART_MEGABYTES)
    words = ["-c", f"\\copy sink FROM PROGRAM 'cat {' '.join([str(part)] * 200)}' WHERE aid < 0"]
    with running(psql_command(database, way.port, words), database.environment()):
        backends = wait_for("the COPY to begin", lambda: database.server.running("aid < 0"), interval=0.05)
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in backends:
                os.kill(pid, signal.SIGCONT)


@contextmanager
def _stuck_client(setting: Setting, way: Way, gigabytes: int) -> Iterator[None]:
    """A client that asks and does not read."""
    connection = setting.postgres.connect(way.port)
    try:
        connection.pgconn.send_query(many_rows(gigabytes * 1000).encode())
        connection.pgconn.flush()
        yield
    finally:
        connection.close()


@contextmanager
def _large_result(setting: Setting, way: Way, gigabytes: int) -> Iterator[None]:
    """A client that reads a large result as fast as it comes."""
    words = ["-o", os.devnull, "-c", f"COPY ({many_rows(gigabytes * 1000)}) TO STDOUT"]
    with running(psql_command(setting.postgres, way.port, words), setting.postgres.environment()) as client:
        wait_for("the large result to begin", lambda: setting.postgres.server.running("TO STDOUT"), interval=0.05)
        yield
        if client.poll() is not None:
            setting.report.say("Note: the large result came to its end before the others were measured.")


if __name__ == "__main__":
    sys.exit(main_of(__name__))
