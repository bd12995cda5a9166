"""Clients of Oracle that cost next to nothing: a driver logs in, then ready made messages are sent.

Once python-oracledb has logged a connection in, its socket is used beside the driver, which is asked for nothing more
until it logs off. The driver's own cost, some 50 microseconds a statement, would hide the way. All run in one
loop.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import oracledb

from tests.protocols.oracle import messages as m
from tests.servers.oracle.columns import NUMBER, encode_number
from tests.servers.oracle.wire import number, string

from .clients import Done
from .databases import OracleDatabase
from .oracle_answers import HEADER, MANNERS, POINT_CURSOR, ROW, ROWS_CURSOR, SERVICE
from .processes import BenchmarkFailed
from .tds_answers import ACCOUNT, ALL_ROWS, POINT

PATIENCE = 60.0
"""Seconds that an answer may take."""

FETCHED = 10_000
"""Rows that are asked for with a fetch."""

_RE_EXECUTE_AND_FETCH, _OPTION_EXECUTE = 0x4E, 0x20
_FOUND = b"ORA-01403"
"""What the answer ends with that has the last row."""
_FAILED = b"ORA-"
_READ = 256 * 1024
_POINTS = 997
"""Different statements that are sent in turn, so that none is always the same."""


@contextmanager
def connections(database: OracleDatabase, port: int, count: int) -> Iterator[list[socket.socket]]:
    """Logged-in connections."""
    opened: list[tuple[oracledb.Connection, socket.socket]] = []
    try:
        for _ in range(count):
            opened.append(_connected(database, port))
        yield [connected for _, connected in opened]
        for connection, connected in opened:
            connected.setblocking(True)  # as the driver left it: what is set is the socket's, whoever uses it
            connection.close()
    except (oracledb.Error, OSError) as error:
        raise BenchmarkFailed(f"Oracle's client: {error}") from error
    finally:
        for _, connected in opened:
            connected.close()


def _connected(database: OracleDatabase, port: int) -> tuple[oracledb.Connection, socket.socket]:
    before = _sockets(port)
    connection = oracledb.connect(
        user=ACCOUNT, password=database.password_at(port), dsn=f"{database.host}:{port}/{SERVICE}", disable_oob=True,
        tcp_connect_timeout=PATIENCE,
    )  # fmt: skip
    [found] = _sockets(port) - before
    connected = socket.socket(fileno=os.dup(found))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.settimeout(PATIENCE)
    return connection, connected


def _sockets(port: int) -> set[int]:
    """The descriptors of this process that are connected to that port of this machine."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        with contextlib.suppress(OSError):  # no socket, or one that is not connected, or the listing's own
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                with socket.socket(fileno=os.dup(descriptor)) as one:
                    if one.family == socket.AF_INET and one.getpeername()[1] == port:
                        found.add(descriptor)
    return found


def _ask(connected: socket.socket, message: bytes) -> tuple[int, bytes]:
    """Sends a message and reads its answer to the end; the bytes of that, and the last of them."""
    connected.sendall(message)
    rest = b""
    total = 0
    while True:
        came = connected.recv(_READ)
        if not came:
            raise BenchmarkFailed("Oracle's client was hung up on")
        data = rest + came
        position, end = 0, len(data)
        while end - position >= HEADER:
            length = int.from_bytes(data[position : position + 4], "big")
            if end - position < length:
                break
            position += length
            total += length
            if length < MANNERS.unit:
                return total, data[max(0, position - 100) : position]
        rest = data[position:]


def _short(connected: socket.socket) -> bytes:
    """An answer of one packet."""
    answer = connected.recv(4096)
    while len(answer) < HEADER or len(answer) < int.from_bytes(answer[:4], "big"):
        more = connected.recv(4096)
        if not more:
            raise BenchmarkFailed("Oracle's client was hung up on")
        answer += more
    if _FOUND not in answer:
        raise BenchmarkFailed(f"Oracle's client was told: {answer[-200:]!r}")
    return answer


def _executions() -> list[bytes]:
    return [m.data(m.execute(POINT.format(each), query=True)) for each in range(_POINTS)]


def _with_bind() -> bytes:
    return m.data(m.execute(POINT.format(":1"), binds=((NUMBER, 22),), rows=((_number(1),),), query=True))


def _again() -> list[bytes]:
    """With a bind each, by the cursor of `_with_bind`."""
    head = number(POINT_CURSOR) + number(1) + number(_OPTION_EXECUTE) + number(0)
    return [m.data(m.call(_RE_EXECUTE_AND_FETCH, body=head + b"\7" + string(_number(each)))) for each in range(_POINTS)]


def _number(value: int) -> bytes:
    return encode_number(Decimal(value))


def statement_times(
    database: OracleDatabase, port: int, clients: int, seconds: float, *, again: bool
) -> tuple[Done, list[int]]:
    """Point selects, as fast as they are answered; and the nanoseconds of each, sorted. `again`: by their cursor."""
    asks = _again() if again else _executions()
    times: list[int] = []
    with connections(database, port, clients) as opened:
        if again:
            for connected in opened:
                connected.sendall(_with_bind())
                _short(connected)
        waiting = select.epoll()
        by_number = {connected.fileno(): connected for connected in opened}
        began: dict[int, int] = {}
        sent = 0
        clock = time.perf_counter_ns
        start = clock()
        end = start + int(seconds * 1e9)
        for found, connected in by_number.items():
            waiting.register(found, select.EPOLLIN)
            began[found] = clock()
            connected.sendall(asks[sent % _POINTS])
            sent += 1
        while began:
            ready = waiting.poll(PATIENCE)
            if not ready:
                raise BenchmarkFailed(f"Oracle's clients had no answer within {PATIENCE:g} s")
            for found, _ in ready:
                connected = by_number[found]
                _short(connected)
                now = clock()
                times.append(now - began[found])
                if now < end:
                    began[found] = now
                    connected.sendall(asks[sent % _POINTS])
                    sent += 1
                else:
                    del began[found]
        took = (clock() - start) / 1e9
        waiting.close()
    times.sort()
    return Done(len(times), len(times) / took), times


def all_rows(database: OracleDatabase, port: int, rows: int) -> Done:
    """One SELECT of all rows, fetched by FETCHED of them."""
    size = 0
    with connections(database, port, 1) as [connected]:
        start = time.perf_counter()
        _, end = _ask(connected, m.data(m.execute(ALL_ROWS, query=True)))
        while _FAILED not in end:
            more, end = _ask(connected, m.data(m.fetch(ROWS_CURSOR, FETCHED)))
            size += more
        took = time.perf_counter() - start
    if _FOUND not in end:
        raise BenchmarkFailed(f"Oracle's client was told: {end!r}")
    if size < rows * len(ROW):
        raise BenchmarkFailed(f"Oracle's client read {size:,} bytes of at least {rows * len(ROW):,}")
    return Done(rows, rows / took)
