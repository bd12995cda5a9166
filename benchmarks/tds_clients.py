"""Clients of SQL Server that cost next to nothing, as pgbench does for PostgreSQL: what they send is made beforehand.

The drivers' own cost would hide the way: pymssql alone takes longer for a statement than sshd does. They run in this
process, all in one loop.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.protocols.tds import messages as m
from tests.protocols.tds.logins import login7, prelogin

from .clients import MEGABYTE, Done
from .databases import SqlserverDatabase
from .processes import BenchmarkFailed
from .tds_answers import ACCOUNT, ALL_ROWS, BLOB, BULK, POINT, ROW, bulk_message

PATIENCE = 60.0
"""Seconds that an answer may take."""

_HEADER, _LAST, _ERROR = 8, 1, 2
_DONE_SIZE = 13
_READ = 256 * 1024

_POINTS = 997
"""Different statements that are sent in turn, so that none is always the same."""


@contextmanager
def connections(database: SqlserverDatabase, port: int, count: int) -> Iterator[list[socket.socket]]:
    """Logged-in connections."""
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            connected = socket.create_connection((database.host, port), timeout=PATIENCE)
            opened.append(connected)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Without encryption: the tunnel has its own.
            ask(connected, m.packets(18, prelogin(2)), logged_in=False)
            ask(connected, m.packets(16, login7(ACCOUNT, database.password)))
        yield opened
    finally:
        for connected in opened:
            connected.close()


def ask(connected: socket.socket, message: bytes, *, logged_in: bool = True) -> int:
    """Sends a message and reads its answer to the end; the bytes of that. Raises BenchmarkFailed for an error."""
    try:
        connected.sendall(message)
        return _read(connected, logged_in=logged_in)
    except OSError as error:
        raise BenchmarkFailed(f"SQL Server's client: {error}") from error


def _read(connected: socket.socket, *, logged_in: bool) -> int:
    rest = b""
    total = 0
    while True:
        came = connected.recv(_READ)
        if not came:
            raise BenchmarkFailed("SQL Server's client was hung up on")
        data = rest + came
        position, end = 0, len(data)
        while end - position >= _HEADER:
            length = data[position + 2] << 8 | data[position + 3]
            if end - position < length:
                break
            last = data[position + 1] & _LAST
            position += length
            total += length
            if last:
                if logged_in:
                    _check(data[:position])
                return total
        rest = data[position:]


def _check(answer: bytes) -> None:
    """That its last DONE tells of no error."""
    if answer[1 - _DONE_SIZE] & _ERROR:
        raise BenchmarkFailed(f"SQL Server's client was told: {answer[-200:].decode('utf-16-le', 'replace')!r}")


def _executions() -> list[bytes]:
    return [m.rpc(m.call(12, m.integer(1), m.integer(number, "@P1"))) for number in range(_POINTS)]


def _batches() -> list[bytes]:
    return [m.batch(POINT.format(number)) for number in range(_POINTS)]


def statement_times(
    database: SqlserverDatabase, port: int, clients: int, seconds: float, *, prepared: bool
) -> tuple[Done, list[int]]:
    """Point selects, as fast as they are answered; and the nanoseconds of each, sorted."""
    asks = _executions() if prepared else _batches()
    times: list[int] = []
    with connections(database, port, clients) as opened:
        if prepared:
            for connected in opened:
                statement = m.call(
                    11,
                    m.integer(None, output=True),
                    m.nvarchar("@P1 int"),
                    m.nvarchar(POINT.format("@P1")),
                    m.integer(1),
                )
                ask(connected, m.rpc(statement))
        waiting = select.epoll()
        by_number = {connected.fileno(): connected for connected in opened}
        began: dict[int, int] = {}
        sent = 0
        clock = time.perf_counter_ns
        start = clock()
        end = start + int(seconds * 1e9)
        for number, connected in by_number.items():
            waiting.register(number, select.EPOLLIN)
            began[number] = clock()
            connected.sendall(asks[sent % _POINTS])
            sent += 1
        while began:
            ready = waiting.poll(PATIENCE)
            if not ready:
                raise BenchmarkFailed(f"SQL Server's clients had no answer within {PATIENCE:g} s")
            for number, _ in ready:
                connected = by_number[number]
                answer = connected.recv(4096)
                while len(answer) < _HEADER or len(answer) < answer[2] << 8 | answer[3]:
                    more = connected.recv(4096)
                    if not more:
                        raise BenchmarkFailed("SQL Server's client was hung up on")
                    answer += more
                _check(answer)
                now = clock()
                times.append(now - began[number])
                if now < end:
                    began[number] = now
                    connected.sendall(asks[sent % _POINTS])
                    sent += 1
                else:
                    del began[number]
        took = (clock() - start) / 1e9
    times.sort()
    return Done(len(times), len(times) / took), times


def all_rows(database: SqlserverDatabase, port: int, rows: int) -> Done:
    """One SELECT of all rows."""
    return Done(rows, rows / _seconds_of(database, port, m.batch(ALL_ROWS), least=rows * len(ROW)))


def blob(database: SqlserverDatabase, port: int, megabytes: int) -> Done:
    """One value without limit."""
    seconds = _seconds_of(database, port, m.batch(BLOB), least=megabytes * MEGABYTE)
    return Done(megabytes, megabytes / seconds)


def _seconds_of(database: SqlserverDatabase, port: int, message: bytes, least: int) -> float:
    with connections(database, port, 1) as [connected]:
        start = time.perf_counter()
        size = ask(connected, message)
        took = time.perf_counter() - start
    if size < least:
        raise BenchmarkFailed(f"SQL Server's client read {size:,} bytes of at least {least:,}")
    return took


def bulk_load(database: SqlserverDatabase, port: int, data: bytes) -> Done:
    """INSERT BULK and the data behind it (`bulk_data`); megabytes."""
    amount = len(data) / MEGABYTE
    with connections(database, port, 1) as [connected]:
        start = time.perf_counter()
        ask(connected, m.batch(BULK))
        ask(connected, data)
        took = time.perf_counter() - start
    return Done(amount, amount / took)


def bulk_data(megabytes: int) -> bytes:
    """What `bulk_load` sends."""
    return bulk_message(megabytes * MEGABYTE // len(ROW))
