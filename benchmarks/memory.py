"""Memory that a session takes in the middle, idle and at work, at hundreds of them, beside sshd.

    python -m benchmarks.memory [--sessions 500] [--connections 5] [--seconds 4] [--json FILE]

The memory (PSS) of the processes in the middle with N sessions less that without, by N: with an SSH connection for each
session, and with all in a few SSH connections, each time in processes that have served nobody before but a few
sessions, so that what is loaded once does not count. Busy: each session has a statement of 100 rows under way, again
and again; the most of several looks.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from typing import Any

import psycopg

from .processes import BenchmarkFailed
from .program import main_of
from .setting import Setting, Way

WAYS = ("sshd", "asyncssh", "bastion")
KIB = 1024
WARM_UP = 8
LOOKS = 5

QUICK = ("--sessions", "60", "--connections", "2", "--seconds", "1")
FULL = ("--sessions", "500", "--connections", "5", "--seconds", "3")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=500, help="at one time (default %(default)s)")
    parser.add_argument("--connections", type=int, default=5, help="SSH connections where they are few (default 5)")
    parser.add_argument("--seconds", type=int, default=4, help="that the sessions are busy (default %(default)s)")


def run(setting: Setting, options: argparse.Namespace) -> None:
    columns = ["SSH connections", "way", "before, MiB", "idle, KiB a session", "busy, KiB a session"]
    setting.report.table(f"Memory at {options.sessions} sessions", columns, texts=2)
    share = KIB * options.sessions
    for connections in (options.sessions, options.connections):
        # What a process has freed before would be taken again and not be seen.
        with setting.with_fresh_peers() as fresh:
            for name in WAYS:
                before, idle, busy = _measure(fresh, name, options.sessions, connections, options.seconds)
                figures = [before / KIB / KIB, (idle - before) / share, (busy - before) / share]
                setting.report.row(str(connections), name, *figures)


def _measure(setting: Setting, name: str, sessions: int, connections: int, seconds: int) -> tuple[int, int, int]:
    """Bytes before, with idle sessions, with busy ones."""
    database = setting.postgres
    with setting.way(name, database, min(WARM_UP, connections)) as warm:
        held = [database.connect(port) for port in warm.ports]
        _one_statement_each(held)
        _close(held)
    warm.settle()
    before = warm.memory_bytes()
    with ExitStack() as stack:
        way = stack.enter_context(setting.way(name, database, connections))
        held = []
        stack.callback(lambda: _close(held))
        for number in range(sessions):
            held.append(database.connect(way.ports[number % connections]))
        _one_statement_each(held)
        way.settle()
        idle = way.memory_bytes()
        busy = _busy(way, held, seconds)
    way.settle()
    return before, idle, busy


def _one_statement_each(held: list[psycopg.Connection[Any]]) -> None:
    for connection in held:
        connection.execute("SELECT 1").fetchall()


def _close(held: list[psycopg.Connection[Any]]) -> None:
    for connection in held:
        connection.close()


def _busy(way: Way, held: list[psycopg.Connection[Any]], seconds: int) -> int:
    """The most memory while every session has a statement under way."""
    most, start, looks = 0, time.perf_counter(), 0
    statement = b"SELECT aid, bid, abalance, filler FROM pgbench_accounts WHERE aid BETWEEN 5000 AND 5099"
    while looks < LOOKS or time.perf_counter() < start + seconds:
        for connection in held:
            connection.pgconn.send_query(statement)
            connection.pgconn.flush()
        if time.perf_counter() >= start + looks * seconds / LOOKS:
            most = max(most, way.memory_bytes())
            looks += 1
        for connection in held:
            rows = 0
            while (result := connection.pgconn.get_result()) is not None:
                rows += result.ntuples
            if rows != 100:
                raise BenchmarkFailed(f"a session answered {rows} rows in place of 100")
    return most


if __name__ == "__main__":
    sys.exit(main_of(__name__))
