"""Values of SQLite as values of SQL Server's types on the wire. [MS-TDS] 2.2.5.5.

A column's encoder is made once a result; it takes None, int, float, str or bytes. Times are ISO 8601 text.
"""

from __future__ import annotations

import datetime
import decimal
import re
import struct
import uuid
from collections.abc import Callable

from .sql_types import BINARIES, CHARACTERS, INTEGERS, MAX, NATIONAL, SqlType, decimal_bytes, type_info

Value = int | float | str | bytes | None
Encoder = Callable[[Value], bytes]

PIECE = 8000
"""Bytes of a chunk of a value without limit."""
_EPOCH = datetime.date(1900, 1, 1).toordinal()
_CODE_PAGE = "cp1252"


class Unfit(Exception):
    """The value cannot become one of the type; the message is for the client."""


def text_of(value: Value) -> str:
    """As SQL Server would make text of it."""
    if isinstance(value, bytes):
        return value.decode("utf-16-le", "replace")
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value)


def bytes_of(value: Value) -> bytes:
    """As SQL Server would make a binary of it."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return struct.pack(">q" if abs(value) > 0x7FFFFFFF else ">i", value)
    return text_of(value).encode(_CODE_PAGE, "replace")


def number_of(value: Value) -> decimal.Decimal:
    """Raises Unfit."""
    try:
        return decimal.Decimal(repr(value) if isinstance(value, float) else text_of(value).strip() or "0")
    except decimal.InvalidOperation as error:
        raise Unfit(f"Error converting data type varchar to numeric: {text_of(value)[:40]!r}.") from error


_MOMENT = re.compile(
    r"\s*(?:(\d{4})-?(\d{2})-?(\d{2}))?[T ]*"
    r"(?:(\d{1,2}):(\d{2})(?::(\d{2})(?:[.:](\d{1,9}))?)?)?\s*(Z|[+-]\d{2}:?\d{2})?\s*"
)


class Moment:
    """A date and time to 100 ns; `minutes` east of UTC."""

    def __init__(self, value: Value) -> None:
        text = text_of(value)
        found = _MOMENT.fullmatch(text)
        if found is None or not text.strip():
            raise Unfit("Conversion failed when converting date and/or time from character string.")
        year, month, day, hour, minute, second, fraction, zone = found.groups()
        try:
            self.day = datetime.date(int(year or 1900), int(month or 1), int(day or 1)).toordinal()
        except ValueError as error:
            raise Unfit("Conversion failed when converting date and/or time from character string.") from error
        seconds = int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
        self.ticks = seconds * 10_000_000 + int((fraction or "0").ljust(7, "0")[:7])
        self.minutes = 0
        if zone and zone != "Z":
            digits = zone[1:].replace(":", "")
            self.minutes = (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if zone[0] == "-" else 1)


def _time_bytes(ticks: int, scale: int) -> bytes:
    units: int = ticks // 10 ** (7 - scale)
    return units.to_bytes(3 if scale <= 2 else 4 if scale <= 4 else 5, "little")


def _date_bytes(day: int) -> bytes:
    return (day - 1).to_bytes(3, "little")


def _datetime(moment: Moment) -> bytes:
    ticks = round(moment.ticks * 300 / 10_000_000)
    return struct.pack("<iI", moment.day - _EPOCH, min(ticks, 300 * 86400 - 1))


def _smalldatetime(moment: Moment) -> bytes:
    return struct.pack("<HH", moment.day - _EPOCH, round(moment.ticks / 600_000_000) % 1440)


def _datetimeoffset(moment: Moment, scale: int) -> bytes:
    ticks = moment.day * 864_000_000_000 + moment.ticks - moment.minutes * 600_000_000
    day, ticks = divmod(ticks, 864_000_000_000)
    return _time_bytes(ticks, scale) + _date_bytes(day) + struct.pack("<h", moment.minutes)


def _decimal(value: Value, precision: int, scale: int) -> bytes:
    with decimal.localcontext(prec=60):
        scaled = number_of(value).scaleb(scale).to_integral_value(decimal.ROUND_HALF_UP)
    if abs(scaled) >= 10**precision:
        raise Unfit(f"Arithmetic overflow error converting expression to data type numeric({precision},{scale}).")
    return bytes([scaled >= 0]) + int(abs(scaled)).to_bytes(decimal_bytes(precision) - 1, "little")


def _money(value: Value, length: int) -> bytes:
    with decimal.localcontext(prec=60):
        units = int((number_of(value) * 10000).to_integral_value(decimal.ROUND_HALF_UP))
    if not -(1 << 8 * length - 1) <= units < 1 << 8 * length - 1:
        raise Unfit("Arithmetic overflow error converting numeric to data type money.")
    if length == 4:
        return struct.pack("<i", units)
    return struct.pack("<iI", units >> 32, units & 0xFFFFFFFF)


def _integer(value: Value, size: int) -> bytes:
    number = int(value) if isinstance(value, int | float) else int(number_of(value))
    try:
        return number.to_bytes(size, "little", signed=size > 1)
    except OverflowError as error:
        raise Unfit("Arithmetic overflow error converting expression to data type int.") from error


def bare(sql_type: SqlType) -> Callable[[Value], bytes]:
    """Makes the bytes of a value that is not NULL, without any length before them."""
    name = sql_type.name
    if name in INTEGERS:
        size = INTEGERS[name]
        return lambda value: _integer(value, size)
    if name == "bit":
        return lambda value: b"\x01" if text_of(value).lower() not in ("0", "0.0", "false") else b"\x00"
    if name in ("float", "real"):
        form = "<d" if name == "float" else "<f"
        return lambda value: struct.pack(form, float(value if isinstance(value, int | float) else number_of(value)))
    if name in ("money", "smallmoney"):
        return lambda value: _money(value, 8 if name == "money" else 4)
    if name in ("decimal", "numeric"):
        return lambda value: _decimal(value, sql_type.precision, sql_type.scale)
    if name == "uniqueidentifier":
        return _guid
    if name == "date":
        return lambda value: _date_bytes(Moment(value).day)
    if name == "time":
        return lambda value: _time_bytes(Moment(value).ticks, sql_type.scale)
    if name == "datetime2":
        return lambda value: _datetime2(Moment(value), sql_type.scale)
    if name == "datetimeoffset":
        return lambda value: _datetimeoffset(Moment(value), sql_type.scale)
    if name == "datetime":
        return lambda value: _datetime(Moment(value))
    if name == "smalldatetime":
        return lambda value: _smalldatetime(Moment(value))
    return _strings(sql_type)


def _datetime2(moment: Moment, scale: int) -> bytes:
    return _time_bytes(moment.ticks, scale) + _date_bytes(moment.day)


def _guid(value: Value) -> bytes:
    try:
        return value if isinstance(value, bytes) and len(value) == 16 else uuid.UUID(text_of(value)).bytes_le
    except ValueError as error:
        raise Unfit("Conversion failed when converting from a character string to uniqueidentifier.") from error


def _strings(sql_type: SqlType) -> Callable[[Value], bytes]:
    name, length = sql_type.name, sql_type.length
    if name in BINARIES:
        size = 8 if name == "timestamp" else length if name == "binary" else 0
        return lambda value: bytes_of(value).ljust(size, b"\0")
    most = None if length in (0, MAX) else length
    pad = length if name in ("char", "nchar") else 0
    encoding = "utf-16-le" if name in NATIONAL else _CODE_PAGE
    errors = "surrogatepass" if name in NATIONAL else "replace"
    if pad:
        return lambda value: text_of(value)[:most].ljust(pad).encode(encoding, errors)
    return lambda value: (value if isinstance(value, str) else text_of(value))[:most].encode(encoding, errors)


def plp(data: bytes, piece: int = PIECE) -> bytes:
    """A value without limit, in chunks, its length told before."""
    parts: list[bytes | memoryview] = [struct.pack("<Q", len(data))]
    view = memoryview(data)
    for start in range(0, len(data), piece):
        chunk = view[start : start + piece]
        parts += [struct.pack("<I", len(chunk)), chunk]
    parts.append(b"\0\0\0\0")
    return b"".join(parts)


_POINTER = b"\x10" + b"dummy textptr\0\0\0" + b"dummyTS\0"


def encoder(sql_type: SqlType, *, in_row: bool = True) -> Encoder:
    """Of values in rows, or of an output parameter's value. Raises Unfit."""
    make = bare(sql_type)
    if sql_type.large:
        return lambda value: b"\xff" * 8 if value is None else plp(make(value))
    if sql_type.name in ("text", "ntext", "image"):
        head = _POINTER if in_row else b""
        null = b"\0" if in_row else b"\xff\xff\xff\xff"

        def old_large(value: Value) -> bytes:
            if value is None:
                return null
            data = make(value)
            return head + struct.pack("<I", len(data)) + data

        return old_large
    if sql_type.name == "sql_variant":
        return _variant
    if sql_type.name == "int":
        pack = struct.Struct("<Bi").pack

        def plain_int(value: Value) -> bytes:
            if type(value) is int and -0x80000000 <= value <= 0x7FFFFFFF:
                return pack(4, value)
            return b"\0" if value is None else b"\x04" + make(value)

        return plain_int
    if type_info(sql_type)[0] in (0xA7, 0xAF, 0xE7, 0xEF, 0xA5, 0xAD):

        def counted(value: Value) -> bytes:
            if value is None:
                return b"\xff\xff"
            data = make(value)
            return struct.pack("<H", len(data)) + data

        return counted

    def short(value: Value) -> bytes:
        if value is None:
            return b"\0"
        data = make(value)
        return bytes([len(data)]) + data

    return short


def _variant(value: Value) -> bytes:
    """A value with its own type before it: u32 length, type, length of the properties, properties, value."""
    if value is None:
        return b"\0\0\0\0"
    data, base = _variant_of(value)
    return struct.pack("<I", len(base) + len(data)) + base + data


def _variant_of(value: Value) -> tuple[bytes, bytes]:
    if isinstance(value, int):
        size = 4 if abs(value) <= 0x7FFFFFFF else 8
        return _integer(value, size), b"\x38\0" if size == 4 else b"\x7f\0"
    if isinstance(value, float):
        return struct.pack("<d", value), b"\x3e\0"
    if isinstance(value, bytes):
        return value, b"\xa5\x02" + struct.pack("<H", 8000)
    text = text_of(value).encode("utf-16-le")
    return text, b"\xe7\x07" + type_info(SqlType("nvarchar", 4000))[3:] + struct.pack("<H", 8000)


def row_maker(types: list[SqlType], *, with_bitmap: bool) -> Callable[[tuple[Value, ...]], bytes]:
    """Makes ROW tokens, or NBCROW where it may and at least a third of the row is NULL."""
    encoders = [encoder(each) for each in types]
    count = len(types)

    def plain(row: tuple[Value, ...]) -> bytes:
        return b"\xd1" + b"".join([encode(value) for encode, value in zip(encoders, row, strict=True)])

    if not with_bitmap:
        return plain

    def either(row: tuple[Value, ...]) -> bytes:
        if 3 * row.count(None) < count or not count:
            return plain(row)
        bits = bytearray((count + 7) // 8)
        parts = []
        for index, value in enumerate(row):
            if value is None:
                bits[index // 8] |= 1 << (index % 8)
            else:
                parts.append(encoders[index](value))
        return b"\xd2" + bytes(bits) + b"".join(parts)

    return either


def is_text(sql_type: SqlType) -> bool:
    """Whether its values are characters."""
    return sql_type.name in CHARACTERS
