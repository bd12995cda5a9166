"""Values of SQLite as Oracle's types, and binds the other way round.

Types that SQLite has nothing like (intervals, moments with a zone) are kept as the bytes that came.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .wire import Wire, counted, number, string

VARCHAR, NUMBER, LONG, DATE, RAW, LONG_RAW, CHAR = 1, 2, 8, 12, 23, 24, 96
FLOAT, DOUBLE, CURSOR, CLOB, BLOB = 100, 101, 102, 112, 113
TIMESTAMP, TIMESTAMP_TZ, INTERVAL_YM, INTERVAL_DS, TIMESTAMP_LTZ = 180, 181, 182, 183, 231
Value = None | int | float | str | bytes
NATIONAL = 2

TEXTS = (VARCHAR, CHAR, LONG, CLOB)
_KEPT = (TIMESTAMP_TZ, INTERVAL_YM, INTERVAL_DS, TIMESTAMP_LTZ)
_SIZES = {
    NUMBER: 22, DATE: 7, TIMESTAMP: 11, TIMESTAMP_TZ: 13, TIMESTAMP_LTZ: 11, INTERVAL_YM: 5, INTERVAL_DS: 11,
    FLOAT: 4, DOUBLE: 8, CLOB: 4000, BLOB: 4000, CURSOR: 4,
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """`form`: 1, or 2 for the national character set. `scale` -127: a number of any precision."""

    name: str
    kind: int
    size: int
    precision: int = 0
    scale: int = 0
    nullable: bool = True
    form: int = 1


@dataclass(frozen=True)
class Declared:
    """Of a column of a table, as it was declared."""

    kind: str
    required: bool = False


def columns_of(names: Sequence[str], declared: Sequence[Declared], rows: Sequence[tuple[Value, ...]]) -> list[Column]:
    """By the declared type, or by the first value that is not null."""
    found = []
    for index, name in enumerate(names):
        value = next((row[index] for row in rows if row[index] is not None), None)
        found.append(_column(name if '"' in name else name.upper(), declared[index], value))
    return found


_DECLARATIONS = (
    ("NCLOB", CLOB), ("CLOB", CLOB), ("BLOB", BLOB), ("WITH LOCAL", TIMESTAMP_LTZ), ("WITH TIME", TIMESTAMP_TZ),
    ("TIMESTAMP", TIMESTAMP), ("DATE", DATE), ("BINARY_DOUBLE", DOUBLE), ("BINARY_FLOAT", FLOAT),
    ("INTERVAL YEAR", INTERVAL_YM), ("INTERVAL DAY", INTERVAL_DS), ("LONG RAW", LONG_RAW), ("LONG", LONG),
    ("RAW", RAW), ("VARCHAR", VARCHAR), ("CHAR", CHAR), ("NUMBER", NUMBER), ("FLOAT", NUMBER), ("INTEGER", NUMBER),
)  # fmt: skip


def _column(name: str, declared: Declared, value: Value) -> Column:
    text = declared.kind.upper()
    kind = next((kind for word, kind in _DECLARATIONS if word in text), 0)
    if not kind:
        kind = NUMBER if isinstance(value, int | float) else RAW if isinstance(value, bytes) else VARCHAR
        return Column(name, kind, _SIZES.get(kind, 32767), 0, -127 if kind == NUMBER else 0)
    numbers = [int(each) for each in re.findall(r"-?\d+", text.replace("VARCHAR2", ""))]
    size, precision, scale = _SIZES.get(kind, 32767), 0, 0
    if kind == NUMBER and "FLOAT" in text:
        precision, scale = numbers[0] if numbers else 126, -127
    elif kind == NUMBER and "INTEGER" in text:
        precision, scale = 38, 0
    elif kind == NUMBER:
        precision, scale = (numbers[0], numbers[1] if len(numbers) > 1 else 0) if numbers else (0, -127)
    elif kind in (VARCHAR, CHAR, RAW):
        size = numbers[0] if numbers else 1
    elif kind == TIMESTAMP:
        scale = numbers[0] if numbers else 6
    form = NATIONAL if text.startswith("N") and kind in TEXTS else 1
    if form == NATIONAL and kind != CLOB:
        size *= 2
    elif kind in (VARCHAR, CHAR) and "CHAR)" in text.replace("VARCHAR", ""):
        size *= 4
    return Column(name, kind, size, precision, scale, not declared.required, form)


def description(columns: list[Column], version: int, scale_is_number: bool) -> bytes:
    """What a client is told of the columns, for that field version."""
    parts = [b"\x17" + bytes(23), description_body(columns, version, scale_is_number)]
    return b"".join(parts)


def description_body(columns: list[Column], version: int, scale_is_number: bool) -> bytes:
    """From the size of a row on, as it stands in a description and in the value of a cursor."""
    parts = [number(32767), number(len(columns)), b"\0" if columns else b""]
    for place, column in enumerate(columns, 1):
        is_text = column.kind in TEXTS
        units = column.size // 2 if column.form == NATIONAL else column.size
        name = column.name.strip('"').encode()
        parts += [
            bytes((column.kind, 0)),
            bytes((column.precision,)),
            number(column.scale) if scale_is_number else struct.pack("b", column.scale),
            number(column.size), number(0), number(0), number(0), number(0),
            number((2000 if column.form == NATIONAL else 873) if is_text else 0),
            bytes((column.form,)) if is_text else b"\0", number(units if column.kind in (VARCHAR, CHAR) else 0),
            number(0) if version >= 8 else b"",
            bytes((column.nullable,)), bytes((len(name),)), counted(name), number(0), number(0), number(place),
            number(0),
            number(0) * 2 if version >= 17 else b"",
            number(0) if version >= 20 else b"",
            number(0) + b"\0\0" if version >= 24 else b"",
        ]  # fmt: skip
    parts += [counted(bytes((120, 126, 11, 23, 1, 1, 1))), number(0), number(0), number(0), number(0), number(0)]
    return b"".join(parts)


def encode(column: Column, value: Value) -> bytes:
    """A value of a row that is no LOB."""
    if column.kind in (LONG, LONG_RAW):
        return _plain(column, value) + number(0) + number(0)
    return _plain(column, value)


def _plain(column: Column, value: Value) -> bytes:
    if value is None:
        return b"\0"
    if column.kind == NUMBER:
        return string(encode_number(Decimal(repr(value) if isinstance(value, float) else _text(value))))
    if column.kind in (DOUBLE, FLOAT):
        data = struct.pack(">d" if column.kind == DOUBLE else ">f", float(value))
        return string(bytes((data[0] | 0x80,)) + data[1:] if data[0] < 0x80 else bytes(255 - each for each in data))
    if column.kind in (DATE, TIMESTAMP):
        return string(encode_date(_text(value), column.kind == TIMESTAMP))
    if column.kind in (RAW, LONG_RAW, *_KEPT):
        return string(value if isinstance(value, bytes) else _text(value).encode())
    text = _text(value)
    if column.kind == CHAR:
        text = text.ljust(column.size // (2 if column.form == NATIONAL else 1))
    return string(text.encode("utf-16-be" if column.form == NATIONAL else "utf-8", "surrogatepass"))


def _text(value: Value) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def given_back(bind: Bind, value: Value) -> bytes:
    """A value of an out bind that is no LOB and no cursor, and how long it is where it was cut off."""
    return _plain(Column("", bind.kind, 0, form=bind.form), value) + number(0)


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
    pairs = pairs[:20]
    while pairs and pairs[-1] == 0:
        pairs.pop()
    first = point // 2 - 1 + 65
    if negative:
        data = bytes((~(first | 0x80) & 0xFF, *(101 - pair for pair in pairs)))
        return data + b"\x66" if len(pairs) < 20 else data
    return bytes((first | 0x80, *(pair + 1 for pair in pairs)))


def decode_number(data: bytes) -> int | float | str:
    """What SQLite has no number for comes as text."""
    if data == b"\x80":
        return 0
    positive = data[0] >= 0x80
    exponent = (data[0] & 0x7F) - 65 if positive else ((255 - data[0]) & 0x7F) - 65
    pairs = data[1:] if positive else data[1:].removesuffix(b"\x66")
    value = Decimal(0)
    for index, each in enumerate(pairs):
        value += Decimal((each - 1) if positive else (101 - each)) * Decimal(100) ** (exponent - index)
    value = value if positive else -value
    if value == value.to_integral_value():
        whole = int(value)
        return whole if -(1 << 63) <= whole < 1 << 63 else str(whole)
    return float(value)


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
    size: int = 0
    form: int = 1


def bind_description(wire: Wire, version: int) -> Bind:
    kind, flags = wire.byte(), wire.byte()
    wire.byte()
    if kind in (NUMBER, 180, 181, 231, 182, 183):
        first = wire.byte()
        if first & 0x80 and first & 0x7F and first != 0x81:
            wire.take(first & 0x7F)
    else:
        wire.byte()
    size = wire.number()
    elements = wire.number()
    wire.number()
    wire.counted()
    wire.number()
    wire.number()
    form = wire.byte()
    wire.number()
    if version >= 8:
        wire.number()
    return Bind(kind, bool(flags & 0x40) and elements > 0, size, form)


def bind_value(wire: Wire, bind: Bind) -> Value:
    if bind.kind in (CLOB, BLOB):
        size = wire.number()
        return None if not size else "LOB:" + (wire.string() or b"").hex()
    if bind.kind == CURSOR:
        if size := wire.byte():
            wire.take(size)
        return None
    data = wire.string()
    if data is None:
        return None
    if bind.kind in (NUMBER, 3):
        return decode_number(data)
    if bind.kind in (DATE, TIMESTAMP):
        return decode_date(data)
    if bind.kind in (DOUBLE, FLOAT):
        turned = bytes((data[0] & 0x7F,)) + data[1:] if data[0] & 0x80 else bytes(255 - each for each in data)
        return float(struct.unpack(">d" if bind.kind == DOUBLE else ">f", turned)[0])
    if bind.kind in (RAW, LONG_RAW, *_KEPT):
        return data
    text = data.decode("utf-16-be" if bind.form == NATIONAL else "utf-8", "replace")
    return re.sub(r"\x00+$", "", text)
