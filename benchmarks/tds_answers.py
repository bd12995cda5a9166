"""Something that speaks as SQL Server does and has its answers ready made: no database, and much faster than one.

    CASEMATE_BENCH_PASSWORD=… python -m benchmarks.tds_answers [--rows 1000000] [--megabytes 100]

It logs in as SQL Server does without encryption (PRELOGIN, LOGIN7 with the password checked, packets of 4,096 bytes),
and answers with whole streams of tokens the few statements that the benchmarks send: POINT as a batch, and prepared and
executed by its handle; ALL_ROWS; BLOB; a bulk load behind INSERT BULK, whose data it counts. Every `SET` succeeds, what
else comes is an error. One process, one thread: it takes some 10 microseconds a statement, of which most are the
kernel's, so what is measured is the way to it.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import struct
from dataclasses import dataclass

from tests.protocols.tds import messages as m
from tests.protocols.tds.logins import prelogin, welcome
from tests.servers.tds.login import read_login

ACCOUNT = "app"
PASSWORD_VARIABLE = "CASEMATE_BENCH_PASSWORD"

POINT = "SELECT abalance FROM pgbench_accounts WHERE aid = {}"
ALL_ROWS = "SELECT aid, bid, abalance, filler FROM pgbench_accounts"
BLOB = "SELECT content FROM documents"
BULK = "INSERT BULK sink (aid int, bid int, abalance int, filler char(84))"

CHAR_84 = b"\xaf\x54\x00\x09\x04\xd0\x00\x34"
BINARY_MAX = b"\xa5\xff\xff"
COLUMNS = m.columns((m.INT, "aid"), (m.INT, "bid"), (m.INT, "abalance"), (CHAR_84, "filler"))
ROW = m.row(m.int_value(4711), m.int_value(1), m.int_value(0), struct.pack("<H", 84) + b" " * 84)
"""As one of pgbench_accounts."""

CHUNK = 8000
"""Bytes of a chunk of a value without limit."""

_HEADER = 8
_BATCH, _RPC, _ATTENTION, _BULK_DATA, _LOGIN, _PRELOGIN = 1, 3, 6, 7, 16, 18
_REQUEST_HEADERS = len(m.HEADERS)
_PREPARE, _EXECUTE = b"\xff\xff\x0b\x00", b"\xff\xff\x0c\x00"


@dataclass(frozen=True)
class Answers:
    """What is said to each statement, as packets."""

    point: bytes
    prepared: bytes
    executed: bytes
    rows: bytes
    blob: bytes

    @classmethod
    def made(cls, rows: int, megabytes: int) -> Answers:
        """`rows` of ALL_ROWS, `megabytes` of BLOB."""
        found = (m.columns((m.INT, "abalance")), m.row(m.int_value(4711)))
        size = megabytes * 1_000_000
        chunks = m.chunks(*[b"\x5a" * CHUNK] * (size // CHUNK), *([b"\x5a" * (size % CHUNK)] if size % CHUNK else []))
        return cls(
            point=m.answer(*found, m.done(m.COUNT, 1)),
            prepared=m.answer(m.return_status(), m.return_value(1), m.done_procedure()),
            executed=m.answer(*found, m.done_within(m.MORE | m.COUNT, 1), m.return_status(), m.done_procedure()),
            rows=_framed(COLUMNS + ROW * rows + m.done(m.COUNT, rows)),
            blob=_framed(m.columns((BINARY_MAX, "content")) + m.row(chunks) + m.done(m.COUNT, 1)),
        )


def _framed(data: bytes) -> bytes:
    """A long message of the server."""
    return b"".join(_packets(4, data))


def _packets(kind: int, data: bytes, size: int = 4096) -> list[bytes]:
    room = size - _HEADER
    starts = range(0, len(data), room)
    return [
        struct.pack(">BBHHBB", kind, start + room >= len(data), len(part) + _HEADER, 0, number & 255, 0) + part
        for number, start in enumerate(starts, 1)
        for part in (data[start : start + room],)
    ]


def bulk_message(rows: int) -> bytes:
    """The data of a bulk load as a client sends them."""
    return b"".join(_packets(_BULK_DATA, COLUMNS + ROW * rows + m.done()))


class _Talk:
    """One connection."""

    def __init__(self, connected: socket.socket, answers: Answers, password: str) -> None:
        self.socket = connected
        self._answers = answers
        self._password = password
        self._known = False
        self._rest = b""
        self._parts: list[bytes] = []
        self._bulk = 0

    def came(self) -> bool:
        """Reads what is here and answers what is whole; False where the client is gone."""
        data = self.socket.recv(256 * 1024)
        if not data:
            return False
        if not self._rest and not self._parts and _is_whole(data):
            return self._say(data[0], data[_HEADER:])
        data = self._rest + data
        position, end = 0, len(data)
        while end - position >= _HEADER:
            length = data[position + 2] << 8 | data[position + 3]
            if end - position < length:
                break
            kind, last = data[position], data[position + 1] & 1
            if kind == _BULK_DATA:
                self._bulk += length - _HEADER
            else:
                self._parts.append(data[position + _HEADER : position + length])
            position += length
            if last:
                whole = b"".join(self._parts)
                self._parts.clear()
                if not self._say(kind, whole):
                    return False
        self._rest = data[position:]
        return True

    def _say(self, kind: int, data: bytes) -> bool:
        said = self._answer(kind, data)
        if said:
            self.socket.sendall(said)
        return bool(said)

    def _answer(self, kind: int, data: bytes) -> bytes:
        """Nothing where the connection is to be closed."""
        if kind == _PRELOGIN:
            return m.packets(4, prelogin(2))
        if kind == _LOGIN:
            login = read_login(data)
            self._known = login.user == ACCOUNT and login.password == self._password
            if not self._known:
                return m.answer(m.error(18456, f"Login failed for user '{login.user}'.", 14), m.done(m.ERROR))
            return welcome(database=login.database or "master")
        if not self._known:
            return b""
        answers = self._answers
        if kind == _RPC:
            called = data[_REQUEST_HEADERS : _REQUEST_HEADERS + 4]
            if called == _EXECUTE:
                return answers.executed
            return answers.prepared if called == _PREPARE else self._unknown("that procedure")
        if kind == _BATCH:
            return self._batch(data[_REQUEST_HEADERS:])
        if kind == _BULK_DATA:
            size, self._bulk = self._bulk, 0
            return m.answer(m.done(m.COUNT, (size - len(COLUMNS)) // len(ROW)))
        if kind == _ATTENTION:
            return m.answer(m.done(m.ATTENTION))
        return b""

    def _batch(self, said: bytes) -> bytes:
        if said.startswith(_POINT):
            return self._answers.point
        text = said.decode("utf-16-le", "replace").strip()
        if text == ALL_ROWS:
            return self._answers.rows
        if text == BLOB:
            return self._answers.blob
        if text == BULK or text.upper().startswith("SET "):
            return m.answer(m.done())
        return self._unknown(text[:80])

    @staticmethod
    def _unknown(what: str) -> bytes:
        return m.answer(m.error(50000, f"There is no answer ready to {what}."), m.done(m.ERROR))


_POINT = m.wide(POINT.partition("{")[0])


def _is_whole(data: bytes) -> bool:
    """Whether it is one short message of another kind than bulk data."""
    return len(data) >= _HEADER and len(data) == data[2] << 8 | data[3] and bool(data[1] & 1) and data[0] != _BULK_DATA


def serve(answers: Answers, password: str) -> None:
    """Until it is killed; says its port on standard output first."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    waiting = select.epoll()
    waiting.register(listener, select.EPOLLIN)
    talks: dict[int, _Talk] = {}
    print(listener.getsockname()[1], flush=True)
    while True:
        for number, _ in waiting.poll():
            if number == listener.fileno():
                connected, _ = listener.accept()
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                talks[connected.fileno()] = _Talk(connected, answers, password)
                waiting.register(connected, select.EPOLLIN)
                continue
            talk = talks[number]
            try:
                goes_on = talk.came()
            except OSError:
                goes_on = False
            if not goes_on:
                waiting.unregister(number)
                talks.pop(number).socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the large result (default %(default)s)")
    parser.add_argument("--megabytes", type=int, default=100, help="of the large value (default %(default)s)")
    options = parser.parse_args()
    serve(Answers.made(options.rows, options.megabytes), os.environ[PASSWORD_VARIABLE])


if __name__ == "__main__":
    main()
