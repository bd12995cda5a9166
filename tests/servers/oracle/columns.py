"""Values of SQLite as Oracle's types, and binds the other way round."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .wire import Wire, counted, number, string

VARCHAR, NUMBER, LONG, DATE, RAW, DOUBLE, CLOB, BLOB, TIMESTAMP = 1, 2, 8, 12, 23, 101, 112, 113, 180
Value = None | int | float | str | bytes


@dataclass(frozen=True)
class Column:
    name: str
    kind: int
    size: int


def columns_of(names: list[str], declared: list[str], rows: list[tuple[Value, ...]]) -> list[Column]:
    """By the declared type, or by the first value that is not null."""
    found = []
    for index, name in enumerate(names):
        value = next((row[index] for row in rows if row[index] is not None), None)
        kind = _declared(declared[index]) or _kind(value)
        size = {NUMBER: 22, DATE: 7, TIMESTAMP: 11, DOUBLE: 8, CLOB: 4000, BLOB: 4000}.get(kind, 32767)
        found.append(Column(name.upper(), kind, size))
    return found


def _declared(text: str) -> int:
    text = text.upper()
    for word, kind in (("CLOB", CLOB), ("BLOB", BLOB), ("TIMESTAMP", TIMESTAMP), ("DATE", DATE), ("NUMBER", NUMBER),
                       ("BINARY_DOUBLE", DOUBLE), ("RAW", RAW), ("CHAR", VARCHAR)):  # fmt: skip
        if word in text:
            return kind
    return 0


def _kind(value: Value) -> int:
    if isinstance(value, int | float):
        return NUMBER
    return RAW if isinstance(value, bytes) else VARCHAR


def description(columns: list[Column], version: int, scale_is_number: bool) -> bytes:
    """What a client is told of the columns, for that field version."""
    parts = [b"\x17" + bytes(23), number(32767), number(len(columns)), b"\0" if columns else b""]
    for place, column in enumerate(columns, 1):
        scale = 0x81 if column.kind == NUMBER else 0
        parts += [
            bytes((column.kind, 0)),
            b"\0",
            (b"\x81\x7f" if scale_is_number else b"\x81") if scale else (b"\0"),
            number(column.size), number(0), number(0), number(0), number(0),
            number(873 if column.kind in (VARCHAR, CLOB) else 0),
            b"\1" if column.kind in (VARCHAR, CLOB) else b"\0", number(column.size if column.kind == VARCHAR else 0),
            number(0) if version >= 8 else b"",
            b"\1", bytes((len(column.name),)), counted(column.name.encode()), number(0), number(0), number(place),
            number(0),
            number(0) * 2 if version >= 17 else b"",
            number(0) if version >= 20 else b"",
            number(0) + b"\0\0" if version >= 24 else b"",
        ]  # fmt: skip
    parts += [counted(bytes((120, 126, 11, 23, 1, 1, 1))), number(0), number(0), number(0), number(0), number(0)]
    return b"".join(parts)


def encode(column: Column, value: Value) -> bytes:
    """A value of a row that is no LOB."""
    if value is None:
        return b"\0"
    if column.kind == NUMBER:
        return string(encode_number(Decimal(repr(value) if isinstance(value, float) else str(value))))
    if column.kind == DOUBLE:
        data = struct.pack(">d", float(value))
        return string(bytes((data[0] | 0x80,)) + data[1:] if data[0] < 0x80 else bytes(255 - each for each in data))
    if column.kind in (DATE, TIMESTAMP):
        return string(encode_date(str(value), column.kind == TIMESTAMP))
    return string(value if isinstance(value, bytes) else str(value).encode())


def encode_number(value: Decimal) -> bytes:
    if not value:
        return b"\x80"
    negative, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    if exponent > 0:
        text, exponent = text + "0" * exponent, 0
    point = len(text) + exponent
    if point % 2:
        text, point = "0" + text, point + 1
    if len(text) % 2:
        text += "0"
    pairs = [int(text[start : start + 2]) for start in range(0, len(text), 2)]
    while pairs and pairs[0] == 0:
        pairs.pop(0)
        point -= 2
    while pairs and pairs[-1] == 0:
        pairs.pop()
    first = point // 2 - 1 + 65
    if negative:
        data = bytes((~(first | 0x80) & 0xFF, *(101 - pair for pair in pairs)))
        return data + b"\x66" if len(pairs) < 20 else data
    return bytes((first | 0x80, *(pair + 1 for pair in pairs)))


def decode_number(data: bytes) -> int | float:
    if data == b"\x80":
        return 0
    positive = data[0] >= 0x80
    exponent = (data[0] & 0x7F) - 65 if positive else ((255 - data[0]) & 0x7F) - 65
    pairs = data[1:] if positive else data[1:].removesuffix(b"\x66")
    value = Decimal(0)
    for index, each in enumerate(pairs):
        value += Decimal((each - 1) if positive else (101 - each)) * Decimal(100) ** (exponent - index)
    value = value if positive else -value
    return int(value) if value == value.to_integral_value() else float(value)


def encode_date(text: str, fractions: bool) -> bytes:
    moment = datetime.fromisoformat(text)
    data = bytes((
        moment.year // 100 + 100, moment.year % 100 + 100, moment.month, moment.day, moment.hour + 1,
        moment.minute + 1, moment.second + 1,
    ))  # fmt: skip
    return data + struct.pack(">I", moment.microsecond * 1000) if fractions and moment.microsecond else data


def decode_date(data: bytes) -> str:
    moment = datetime(
        (data[0] - 100) * 100 + data[1] - 100, data[2], data[3], data[4] - 1, data[5] - 1, data[6] - 1,
        int.from_bytes(data[7:11], "big") // 1000 if len(data) >= 11 else 0,
    )  # fmt: skip
    return moment.isoformat(" ")


@dataclass(frozen=True)
class Bind:
    kind: int
    array: bool


def bind_description(wire: Wire, version: int) -> Bind:
    kind, flags = wire.byte(), wire.byte()
    wire.byte()
    if kind in (NUMBER, 180, 181, 231, 182, 183):
        first = wire.byte()
        if first & 0x80 and first & 0x7F and first != 0x81:
            wire.take(first & 0x7F)
    else:
        wire.byte()
    wire.number()
    elements = wire.number()
    wire.number()
    wire.counted()
    wire.number()
    wire.number()
    wire.byte()
    wire.number()
    if version >= 8:
        wire.number()
    return Bind(kind, bool(flags & 0x40) and elements > 0)


def bind_value(wire: Wire, bind: Bind) -> Value:
    if bind.kind in (CLOB, BLOB):
        size = wire.number()
        return None if not size else "LOB:" + (wire.string() or b"").hex()
    data = wire.string()
    if data is None:
        return None
    if bind.kind in (NUMBER, 3):
        return decode_number(data)
    if bind.kind in (DATE, TIMESTAMP, 181, 231):
        return decode_date(data)
    if bind.kind == DOUBLE:
        turned = bytes((data[0] & 0x7F,)) + data[1:] if data[0] & 0x80 else bytes(255 - each for each in data)
        return float(struct.unpack(">d", turned)[0])
    if bind.kind in (RAW, 24):
        return data
    return re.sub(r"\x00+$", "", data.decode("utf-8", "replace"))
