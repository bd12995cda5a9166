"""Decodes the kept bytes of one command's answer: text and binary result sets, several in a row, OK and errors.

MySQL: "COM_QUERY Response", "Binary Protocol Resultset", "COM_STMT_FETCH"; MariaDB: "Result Set Packets". Whether an
EOF packet follows the definitions, and whether MariaDB puts extended types into them, is seen from the bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from bastion.protocols.contract import Leg, ProtocolError
from bastion.protocols.results import Column, Columns, Ended, Part, Parts, Row, Said

from .character_sets import codec_of_collation
from .codec import Malformed, Short, lenenc_bytes, lenenc_int
from .constants import MAX_PACKET_PAYLOAD, Status
from .refusal import PROGRESS_REPORT, decode_error
from .values import TEXTS, UNSIGNED, decode_value, text_of

BINARY_COLLATION = 63
_UNSIGNED_FLAG = 0x20
_BIT, _GEOMETRY, _VECTOR = 16, 255, 242
_TINY, _SHORT, _LONG, _LONGLONG, _INT24 = 1, 2, 3, 8, 9
_BYTES_ONLY = frozenset((_BIT, _GEOMETRY, _VECTOR))
_MAY_BE_BYTES = frozenset((15, 249, 250, 251, 252, 253, 254))

TYPES = {
    0: "decimal", 1: "tinyint", 2: "smallint", 3: "int", 4: "float", 5: "double", 6: "null", 7: "timestamp",
    8: "bigint", 9: "mediumint", 10: "date", 11: "time", 12: "datetime", 13: "year", 15: "varchar", 16: "bit",
    242: "vector", 245: "json", 246: "decimal", 247: "enum", 248: "set", 249: "tinyblob", 250: "mediumblob",
    251: "longblob", 252: "blob", 253: "varchar", 254: "char", 255: "geometry",
}  # fmt: skip
_AS_TEXT = {249: "tinytext", 250: "mediumtext", 251: "longtext", 252: "text"}
_AS_BYTES = {15: "varbinary", 253: "varbinary", 254: "binary"}

BINARY_ROWS = frozenset(("COM_STMT_EXECUTE", "COM_STMT_BULK_EXECUTE", "COM_STMT_FETCH"))
"""Commands whose rows are in the binary protocol."""


@dataclass(frozen=True, slots=True)
class _Field:
    """`kind` is the type with UNSIGNED where it is; `codec` that of its text; `raw`: its values are bytes."""

    kind: int
    codec: str
    raw: bool


def decode(data: bytes, codec: str, operation: str, *, described: bytes = b"") -> Parts:
    """The parts of a command's answer.

    operation   the command, as the record names it: `COM_QUERY`, `COM_STMT_EXECUTE`, …
    described   the answer to the execution that opened the cursor, where `data` is a page of it

    Raises ProtocolError for bytes that are no answer to that command.
    """
    try:
        yield from _Answer(data, codec, operation, described).parts()
    except Short:
        raise ProtocolError(Leg.SERVER, "a packet that ends too early", data) from None
    except (Malformed, struct.error, IndexError) as error:
        raise ProtocolError(Leg.SERVER, f"a packet that cannot be read: {error}", data) from None


def _packets(data: bytes) -> Iterator[bytes]:
    """The payloads, those of 16 MiB and more put together; a torn one at the end is left out."""
    position, end = 0, len(data)
    parts: list[bytes] = []
    while end - position >= 4:
        length = data[position] | data[position + 1] << 8 | data[position + 2] << 16
        following = position + 4 + length
        if following > end:
            return
        payload = data[position + 4 : following]
        position = following
        if length == MAX_PACKET_PAYLOAD:
            parts.append(payload)
        elif parts:
            yield b"".join([*parts, payload])
            parts = []
        else:
            yield payload


class _Answer:
    def __init__(self, data: bytes, codec: str, operation: str, described: bytes) -> None:
        self._packets = _packets(data)
        self._codec = codec
        self._operation = operation
        self._described = described
        self._binary = operation in BINARY_ROWS

    def parts(self) -> Parts:
        """All parts, as far as the bytes reach."""
        if self._operation == "COM_STMT_FETCH":
            yield from self._page()
            return
        if self._operation == "COM_STMT_PREPARE":
            yield from self._preparation()
            return
        if self._operation == "COM_FIELD_LIST":
            yield from self._field_list()
            return
        for payload in self._packets:
            first = payload[0] if payload else 0
            if first == 0xFF:
                yield from self._error(payload)
            elif first == 0x00 or (first == 0xFE and len(payload) < 9):
                yield _ended(payload, self._codec)
            elif first == 0xFB:
                name = payload[1:].decode(self._codec, "backslashreplace")
                yield Said("INFO", "", f"The server asked the client for the file {name!r}; its content is not kept.")
            else:
                yield from self._result_set(payload)

    def _result_set(self, payload: bytes) -> Parts:
        count, behind = lenenc_int(payload, 0)
        if behind != len(payload) or not 0 < count <= 0xFFFF:
            raise Malformed("neither OK nor an error nor a count of columns")
        columns, fields = self._definitions(count)
        if len(fields) < count:
            return
        yield columns
        yield from self._rows(fields, classic=None)

    def _definitions(self, count: int) -> tuple[Columns, list[_Field]]:
        """Fewer than `count` where the bytes end."""
        columns: list[Column] = []
        fields: list[_Field] = []
        while len(fields) < count:
            payload = next(self._packets, None)
            if payload is None:
                break
            column, field = _definition(payload, self._codec)
            columns.append(column)
            fields.append(field)
        return Columns(tuple(columns)), fields

    def _rows(self, fields: list[_Field], *, classic: bool | None) -> Parts:
        """Rows up to what ends them. `classic`: an EOF packet ends them; None: the first packet shows."""
        for payload in self._packets:
            first = payload[0] if payload else 0
            if first == 0xFF:
                yield from self._error(payload)
                if not _is_progress(payload):
                    return
                continue
            if classic is None:
                # An EOF packet behind the definitions has 5 bytes; an OK that ends the rows has 7 at least.
                classic = first == 0xFE and len(payload) == 5
                if classic:
                    if payload[3] & Status.CURSOR_EXISTS:
                        yield Ended("(a cursor was opened)", None)
                        return
                    continue
            if first == 0xFE and len(payload) < (9 if classic else MAX_PACKET_PAYLOAD):
                yield _ended(payload, self._codec, rows=True)
                return
            yield _binary_row(payload, fields) if self._binary else _text_row(payload, fields)

    def _page(self) -> Parts:
        """Rows of a cursor; its columns were described when it was opened."""
        fields: list[_Field] = []
        opened = _Answer(self._described, self._codec, "COM_STMT_EXECUTE", b"")
        count = next(opened._packets, b"")
        if count and count[0] not in (0x00, 0xFF, 0xFE):
            columns, fields = opened._definitions(lenenc_int(count, 0)[0])
            yield columns
        for payload in self._packets:
            first = payload[0] if payload else 0
            if first == 0xFF:
                yield from self._error(payload)
            elif first == 0xFE:
                yield _ended(payload, self._codec, rows=True)
            elif fields:
                yield _binary_row(payload, fields)
            else:
                yield ["0x" + payload.hex()]

    def _preparation(self) -> Parts:
        payload = next(self._packets, None)
        if payload is None:
            return
        if payload[0] == 0xFF:
            yield from self._error(payload)
            return
        columns, parameters = payload[5] | payload[6] << 8, payload[7] | payload[8] << 8
        yield Ended(f"prepared: {parameters} parameters, {columns} columns", None)

    def _field_list(self) -> Parts:
        yield Columns((Column("Field", ""), Column("Type", "")))
        for payload in self._packets:
            if payload[:1] == b"\xff":
                yield from self._error(payload)
            elif payload[:1] == b"\xfe" and len(payload) < 9:
                yield Ended("", None)
            else:
                column, _ = _definition(payload, self._codec)
                yield [column.name, column.type]

    def _error(self, payload: bytes) -> Iterator[Part]:
        if not _is_progress(payload):
            yield decode_error(payload, self._codec)


def _is_progress(payload: bytes) -> bool:
    """MariaDB's report of progress, which looks like an error."""
    return payload[0] == 0xFF and int.from_bytes(payload[1:3], "little") == PROGRESS_REPORT


def _definition(payload: bytes, codec: str) -> tuple[Column, _Field]:
    position = 0
    name = b""
    for index in range(6):
        value, position = lenenc_bytes(payload, position)
        if index == 4:
            name = value
    # The fixed part is 13 bytes with its length; MariaDB's extended types stand before it, a default value behind.
    extended = b""
    if payload[position] != 0x0C or (
        len(payload) - position > 13 and payload[position + 11 : position + 13] != b"\0\0"
    ):
        extended, position = lenenc_bytes(payload, position)
    collation, _length, kind, flags = struct.unpack_from("<HIBH", payload, position + 1)
    number = kind
    if flags & _UNSIGNED_FLAG:
        kind |= UNSIGNED
    binary = collation == BINARY_COLLATION
    word = TYPES.get(number, f"type {number}")
    word = (_AS_BYTES if binary else _AS_TEXT).get(number, word)
    if kind & UNSIGNED and number in (_TINY, _SHORT, _LONG, _LONGLONG, _INT24):
        word += " unsigned"
    if len(extended) > 2 and extended[0] in (0, 1):
        word = extended[2 : 2 + extended[1]].decode("ascii", "backslashreplace") or word
    text_codec = codec if binary else codec_of_collation(collation)
    raw = number in _BYTES_ONLY or (binary and number in _MAY_BE_BYTES)
    return Column(name.decode(codec, "backslashreplace"), word), _Field(kind, text_codec, raw)


def _text(value: bytes, field: _Field) -> str:
    if field.kind & 0xFF in _BYTES_ONLY:
        return "0x" + value.hex()
    if field.raw:
        return text_of(value, field.codec)
    return value.decode(field.codec, "backslashreplace")


def _text_row(payload: bytes, fields: list[_Field]) -> Row:
    row: Row = []
    position = 0
    for field in fields:
        if payload[position] == 0xFB:
            row.append(None)
            position += 1
            continue
        value, position = lenenc_bytes(payload, position)
        row.append(_text(value, field))
    if position != len(payload):
        raise Malformed("a row that is longer than its columns")
    return row


def _binary_row(payload: bytes, fields: list[_Field]) -> Row:
    if payload[:1] != b"\0":
        raise Malformed("a row of the binary protocol that does not begin like one")
    nulls = payload[1 : 1 + (len(fields) + 9) // 8]
    position = 1 + len(nulls)
    row: Row = []
    for index, field in enumerate(fields):
        bit = index + 2
        if nulls[bit >> 3] >> (bit & 7) & 1:
            row.append(None)
            continue
        number = field.kind & 0xFF
        if number in TEXTS:
            raw, position = lenenc_bytes(payload, position)
            row.append(_text(raw, field))
        else:
            value, position = decode_value(field.kind, payload, position, field.codec)
            row.append(value)
    return row


def _ended(payload: bytes, codec: str, *, rows: bool = False) -> Ended:
    """What OK or EOF says; `rows`: it ends rows, which it does not count."""
    if not payload or (payload[0] == 0xFE and len(payload) <= 5):
        return Ended("", None)
    affected, position = lenenc_int(payload, 1)
    _, position = lenenc_int(payload, position)
    message = ""
    if position + 4 < len(payload):
        status = payload[position] | payload[position + 1] << 8
        tail = payload[position + 4 :]
        if status & Status.SESSION_STATE_CHANGED:
            tail = lenenc_bytes(tail, 0)[0]
        elif tail and tail[0] == len(tail) - 1:
            tail = tail[1:]
        message = tail.decode(codec, "backslashreplace")
    return Ended(message, None if rows else affected)
