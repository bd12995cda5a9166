"""Something that speaks as Oracle does and has its answers ready made: no database, and much faster than one.

    CASEMATE_BENCH_PASSWORD=… python -m benchmarks.oracle_answers [--rows 1000000]

A client is logged in by the server of the tests (packets of 8,192 bytes, without encryption), in a thread of its own.
Then it is answered, in one thread with all others, to the few calls that the benchmarks make: POINT executed with its
text, and executed again by its cursor; ALL_ROWS, whose rows are fetched, as many as are asked for. Ends of transactions
and the end of the session are answered too, what else comes is an error. Nothing marks the end of an answer, since the
bastion has that switched off: its last packet is the first that is not full, for clients that read nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import socket
import struct
import threading
from collections.abc import Sequence
from functools import lru_cache

from tests.servers.oracle.columns import Column, Declared, Value, columns_of, description, encode
from tests.servers.oracle.conversation import Conversation, Manners
from tests.servers.oracle.sql import Database, OracleError
from tests.servers.oracle.wire import Gone, Wire, number

from .tds_answers import ACCOUNT, ALL_ROWS, PASSWORD_VARIABLE, POINT

SERVICE = "FREEPDB1"
POINT_CURSOR, ROWS_CURSOR = 1, 2

MANNERS = Manners(markers=False, end_of_response=False)
"""An error is an answer like others."""

_POINT_VALUES = (4711,)
_ROW_VALUES = (4711, 1, 0, " " * 84)
_POINT_COLUMNS = columns_of(["ABALANCE"], [Declared("")], [_POINT_VALUES])
_ROWS_COLUMNS = columns_of(["AID", "BID", "ABALANCE", "FILLER"], [Declared("")] * 4, [_ROW_VALUES])


def _row(columns: list[Column], values: Sequence[Value]) -> bytes:
    return b"\7" + b"".join(encode(column, value) for column, value in zip(columns, values, strict=True))


def _rows_head(columns: list[Column], count: int) -> bytes:
    return b"\6\2" + number(len(columns)) + number(0) + number(count) + number(0) * 3


ROW = _row(_ROWS_COLUMNS, _ROW_VALUES)
"""As one of pgbench_accounts."""

HEADER = 10
"""Bytes of a DATA packet in front of its content."""

_CALL, _DATA = 3, 6
_FETCH, _LOGOFF, _COMMIT, _ROLLBACK, _RE_EXECUTE_AND_FETCH, _EXECUTE, _PING = 5, 9, 14, 15, 0x4E, 0x5E, 0x93
_CALL_HEADER = 4
_NO_MORE = OracleError(1403, "no data found")


def framed(message: bytes) -> bytes:
    """An answer in as many packets as it takes, of which the last is not full."""
    room = MANNERS.unit - HEADER
    if not len(message) % room:
        raise ValueError(f"an answer of {len(message):,} bytes ends with a full packet: nobody would know its end")
    return b"".join(
        struct.pack(">IBBHH", len(part) + HEADER, _DATA, 0, 0, 0) + part
        for start in range(0, len(message), room)
        for part in (message[start : start + room],)
    )


@lru_cache(maxsize=16)
def _framed_rows(count: int, end: bytes) -> bytes:
    return framed(_rows_head(_ROWS_COLUMNS, count) + ROW * count + end)


class _Talk(Conversation):
    """One connection: `run` logs in, then `came` answers what is there to read."""

    def __init__(self, connected: socket.socket, database: Database, password: str, rows: int) -> None:
        super().__init__(Wire(connected, MANNERS.unit), database, {ACCOUNT.upper(): password}, MANNERS)
        self.socket = connected
        self.logged_in = False
        self._rows = rows
        self._left = 0
        self._rest = b""

    def _call(self) -> bool:
        """Is asked for when the login is complete: this connection's calls are not the tests' server's."""
        found = _rows_head(_POINT_COLUMNS, 1) + _row(_POINT_COLUMNS, _POINT_VALUES)
        end = self._end(_NO_MORE, rows=1, cursor=POINT_CURSOR)
        self._point = framed(self._described_as(_POINT_COLUMNS) + found + self._parameters() + end)
        self._again = framed(found + self._parameters() + end)
        self._described = framed(self._described_as(_ROWS_COLUMNS) + self._parameters() + self._end(cursor=ROWS_CURSOR))
        self.logged_in = True
        return False

    def _described_as(self, columns: list[Column]) -> bytes:
        return b"\x10" + description(columns, self._fields, self._scale_is_number)

    def came(self) -> bool:
        """False where the client is gone."""
        data = self.socket.recv(64 * 1024)
        if not data:
            return False
        data = self._rest + data
        position, end = 0, len(data)
        while end - position >= HEADER:
            length = int.from_bytes(data[position : position + 4], "big")
            if end - position < length:
                break
            if data[position + 4] != _DATA or length < HEADER + _CALL_HEADER:
                return False  # a break, or the packet behind a logoff
            self.socket.sendall(self._ready(data[position + HEADER : position + length]))
            position += length
        self._rest = data[position:]
        return True

    def _ready(self, call: bytes) -> bytes:
        function = call[1] if call[0] == _CALL else None
        if function == _RE_EXECUTE_AND_FETCH:
            return self._again
        if function == _EXECUTE and _POINT in call:
            return self._point
        if function == _EXECUTE and _ALL_ROWS in call:
            self._left = self._rows
            return self._described
        if function == _FETCH:
            return self._fetched(call[_CALL_HEADER:])
        if function in (_LOGOFF, _COMMIT, _ROLLBACK, _PING):
            return framed(self._status())
        return framed(self._end(OracleError(20000, "There is no answer ready to that.")))

    def _fetched(self, asked: bytes) -> bytes:
        """`asked`: the cursor and the count, each behind its length."""
        size = asked[0] + 1
        count = min(int.from_bytes(asked[size + 1 : size + 1 + asked[size]], "big"), self._left)
        self._left -= count
        over = None if self._left else _NO_MORE
        # The count of the rows so far is left at this answer's, so that most answers are the same.
        return _framed_rows(count, self._end(over, rows=count, cursor=ROWS_CURSOR))


_POINT, _ALL_ROWS = POINT.partition("{")[0].encode(), ALL_ROWS.encode()


class _Server:
    """Logs in each client in a thread and answers all in one."""

    def __init__(self, rows: int, password: str) -> None:
        self._rows = rows
        self._password = password
        self._database = Database(":memory:")
        self._waiting = select.epoll()
        self._talks: dict[int, _Talk] = {}

    def serve(self) -> None:
        """Until it is killed; says its port on standard output first."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._waiting.register(listener, select.EPOLLIN)
        print(listener.getsockname()[1], flush=True)
        while True:
            for found, _ in self._waiting.poll():
                if found == listener.fileno():
                    connected, _ = listener.accept()
                    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._log_in, args=(connected,), daemon=True).start()
                    continue
                talk = self._talks[found]
                try:
                    goes_on = talk.came()
                except OSError:
                    goes_on = False
                if not goes_on:
                    self._waiting.unregister(found)
                    self._talks.pop(found).socket.close()

    def _log_in(self, connected: socket.socket) -> None:
        talk = _Talk(connected, self._database, self._password, self._rows)
        try:
            with contextlib.suppress(Gone, OSError):
                talk.run()
        finally:
            if not talk.logged_in:
                connected.close()
        if not talk.logged_in:
            return
        self._talks[connected.fileno()] = talk
        self._waiting.register(connected, select.EPOLLIN)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the large result (default %(default)s)")
    _Server(parser.parse_args().rows, os.environ[PASSWORD_VARIABLE]).serve()


if __name__ == "__main__":
    main()
