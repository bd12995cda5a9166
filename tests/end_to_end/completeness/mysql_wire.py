"""PyMySQL's connection, with the commands of the binary protocol that PyMySQL itself does not send."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import pymysql
from pymysql.constants import CLIENT

from .case import Place

Value = int | float | str | bytes | None

INIT_DB, QUERY, FIELD_LIST, PING, PREPARE, EXECUTE, LONG_DATA, CLOSE, RESET, FETCH = (
    0x02, 0x03, 0x04, 0x0E, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1C,
)  # fmt: skip
RESET_CONNECTION = 0x1F
LAST_PREPARED = 0xFFFFFFFF
MORE_RESULTS, CURSOR_EXISTS, LAST_ROW_SENT = 0x08, 0x40, 0x80


class Wire:
    """A logged-in connection; errors of the server are raised as PyMySQL raises them."""

    def __init__(self, place: Place, **settings: Any) -> None:
        self.connection = pymysql.connect(
            host=place.host, port=place.port, user=place.user, password=place.password, database=place.database,
            program_name=place.client, autocommit=None, charset="utf8mb4", connect_timeout=20,
            read_timeout=place.patience,
            client_flag=CLIENT.MULTI_STATEMENTS, **settings,
        )  # fmt: skip

    @property
    def id(self) -> int:
        """The connection's id in the server."""
        return int(self.connection.server_thread_id[0])  # type: ignore[attr-defined]

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.connection.close()

    def run(self, text: str, values: Sequence[Value] | None = None) -> list[Any]:
        """A query as PyMySQL sends it; the rows of all its results."""
        with self.connection.cursor() as cursor:
            cursor.execute(text, values)
            rows = list(cursor.fetchall())
            while cursor.nextset():
                rows += cursor.fetchall()
        return rows

    # ------------------------------------------------------------------------------------------------ single commands

    def send(self, command: int, payload: bytes = b"") -> None:
        """A command, without waiting for an answer."""
        self.connection._execute_command(command, payload)  # type: ignore[attr-defined]

    def packet(self) -> bytes:
        """The next packet of the answer; raises the server's error."""
        return bytes(self.connection._read_packet().get_all_data())  # type: ignore[no-untyped-call]

    def simple(self, command: int, payload: bytes = b"") -> bytes:
        """A command that is answered by one packet."""
        self.send(command, payload)
        return self.packet()

    def until_eof(self) -> tuple[int, int]:
        """Packets up to an EOF: how many, and the EOF's status flags."""
        count = 0
        while True:
            packet = self.packet()
            if packet[:1] == b"\xfe" and len(packet) < 9:
                return count, int.from_bytes(packet[3:5], "little")
            count += 1

    def prepare(self, text: str | bytes) -> int:
        """COM_STMT_PREPARE; the statement's id."""
        answer = self.simple(PREPARE, text.encode() if isinstance(text, str) else text)
        identifier, columns, parameters = struct.unpack_from("<IHH", answer, 1)
        for count in (parameters, columns):
            if count:
                self.until_eof()
        return int(identifier)

    def execute(self, identifier: int, values: Sequence[Value] = (), *, cursor: bool = False) -> int:
        """COM_STMT_EXECUTE; how many rows came in all results."""
        self.send(EXECUTE, struct.pack("<IBI", identifier, int(cursor), 1) + bound(values))
        return self.results()

    def results(self) -> int:
        """The answer to an execution; how many rows came."""
        rows = 0
        while True:
            first = self.packet()
            if first[:1] == b"\0":
                status = status_of_ok(first)
            else:
                _, status = self.until_eof()
                if not status & CURSOR_EXISTS:
                    count, status = self.until_eof()
                    rows += count
            if not status & MORE_RESULTS:
                return rows

    def leave(self) -> None:
        """Closes the connection without a word, as a client does that dies."""
        self.connection._force_close()  # type: ignore[attr-defined]


def status_of_ok(packet: bytes) -> int:
    """The status flags of an OK packet: they stand behind two integers of variable length."""
    position = 1
    for _ in range(2):
        position += {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(packet[position], 1)
    return int.from_bytes(packet[position : position + 2], "little")


def bound(values: Sequence[Value], *, long: Sequence[int] = ()) -> bytes:
    """The values of an execution: null bitmap, types, values. Those in `long` were sent before."""
    if not values:
        return b""
    nulls = bytearray((len(values) + 7) // 8)
    types, data = b"", b""
    for index, value in enumerate(values):
        if value is None:
            nulls[index >> 3] |= 1 << (index & 7)
            types += b"\x06\0"
        elif isinstance(value, int):
            types += b"\x08\0"
            data += struct.pack("<q", value)
        elif isinstance(value, float):
            types += b"\x05\0"
            data += struct.pack("<d", value)
        else:
            types += b"\xfc\0" if isinstance(value, bytes) else b"\xfd\0"
            raw = value if isinstance(value, bytes) else value.encode()
            if index not in long:
                data += (bytes([len(raw)]) if len(raw) < 251 else b"\xfd" + len(raw).to_bytes(3, "little")) + raw
    return bytes(nulls) + b"\x01" + types + data
