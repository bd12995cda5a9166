"""Values as an auditor reads them: of binds, and of rows.

The forms are those of python-oracledb (`impl/base/decoders.pyx`, `buffer.pyx`); that of TIMESTAMP WITH TIME ZONE in
a 23ai database was seen in captures.
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta

from . import constants as c
from .codec import NULL_LENGTHS, Dialect, Malformed, Reader
from .columns import NATIONAL, Described

_ROWID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NEGATIVE_END = 0x66
_LOCAL_TIME, _REGION = 0x40, 0x80


def number(data: bytes) -> str:
    """A NUMBER: an exponent of base 100, then digits of base 100. Raises Malformed."""
    if data == b"\x80":
        return "0"
    if data == b"\x00":
        return "-1e126"
    if data == b"\xff\x65":
        return "Infinity"
    if not data:
        raise Malformed("a NUMBER without bytes")
    positive = bool(data[0] & 0x80)
    exponent = (data[0] & 0x7F if positive else ~data[0] & 0x7F) - 65
    mantissa = data[1:]
    if not positive and mantissa.endswith(bytes((_NEGATIVE_END,))):
        mantissa = mantissa[:-1]
    digits = "".join(f"{(each - 1 if positive else 101 - each) % 100:02d}" for each in mantissa)
    places = 2 * (exponent + 1)
    if places <= 0:
        whole, part = "0", "0" * -places + digits
    else:
        whole, part = digits[:places].ljust(places, "0"), digits[places:]
    text = whole.lstrip("0") or "0"
    part = part.rstrip("0")
    return ("" if positive else "-") + text + (f".{part}" if part else "")


def date(data: bytes) -> str:
    """A DATE or TIMESTAMP, with or without fractions and time zone. Raises Malformed."""
    if len(data) < 7:
        raise Malformed("a date that is too short")
    year = (data[0] - 100) * 100 + data[1] - 100
    text = f"{year:04d}-{data[2]:02d}-{data[3]:02d} {data[4] - 1:02d}:{data[5] - 1:02d}:{data[6] - 1:02d}"
    fraction = ""
    if len(data) >= 11 and (nanoseconds := int.from_bytes(data[7:11], "big")):
        fraction = f".{nanoseconds:09d}".rstrip("0")
    if len(data) < 13:
        return text + fraction
    if data[11] & _REGION:
        return f"{text}{fraction} (zone {data[11:13].hex()})"
    hours, minutes = (data[11] & 0x3F) - 20, data[12] - 60
    if not data[11] & _LOCAL_TIME:
        text = _shifted(text, hours * 60 + minutes)
    sign = "-" if hours < 0 or minutes < 0 else "+"
    return f"{text}{fraction} {sign}{abs(hours):02d}:{abs(minutes):02d}"


def _shifted(text: str, minutes: int) -> str:
    try:
        return (datetime.fromisoformat(text) + timedelta(minutes=minutes)).isoformat(" ")
    except (ValueError, OverflowError):  # before Christ, or past the year 9999: as it came
        return text


def binary_float(data: bytes) -> str:
    """IEEE 754, with the bits turned so that bytes sort like numbers. Raises Malformed."""
    if len(data) not in (4, 8):
        raise Malformed(f"a binary number of {len(data)} bytes")
    turned = bytes((data[0] & 0x7F,)) + data[1:] if data[0] & 0x80 else bytes(~each & 0xFF for each in data)
    return repr(struct.unpack(">f" if len(data) == 4 else ">d", turned)[0])


def interval_of_days(data: bytes) -> str:
    """Days, hours, minutes, seconds and nanoseconds. Raises Malformed."""
    if len(data) != 11:
        raise Malformed(f"an interval of {len(data)} bytes")
    days = int.from_bytes(data[:4], "big") - 0x80000000
    hours, minutes, seconds = (each - 60 for each in data[4:7])
    nanoseconds = int.from_bytes(data[7:11], "big") - 0x80000000
    sign = "-" if min(days, hours, minutes, seconds, nanoseconds) < 0 else "+"
    fraction = f".{abs(nanoseconds):09d}".rstrip("0") if nanoseconds else ""
    return f"{sign}{abs(days)} {abs(hours):02d}:{abs(minutes):02d}:{abs(seconds):02d}{fraction}"


def interval_of_years(data: bytes) -> str:
    """Years and months. Raises Malformed."""
    if len(data) != 5:
        raise Malformed(f"an interval of {len(data)} bytes")
    years, months = int.from_bytes(data[:4], "big") - 0x80000000, data[4] - 60
    return f"{'-' if min(years, months) < 0 else '+'}{abs(years)}-{abs(months):02d}"


def rowid(data_object: int, file: int, block: int, slot: int) -> str:
    """The eighteen letters that Oracle writes."""

    def letters(value: int, count: int) -> str:
        return "".join(_ROWID_LETTERS[value >> 6 * place & 63] for place in reversed(range(count)))

    return letters(data_object, 6) + letters(file, 3) + letters(block, 6) + letters(slot, 3)


def text(dialect: Dialect, national: bool, data: bytes) -> str:
    """Never fails: what cannot be read stands there as escapes."""
    return data.decode("utf-16-be" if national else dialect.codec, "backslashreplace")


def _boolean(data: bytes) -> str:
    return "true" if data[-1:] == b"\x01" else "false"


def _hexadecimal(data: bytes) -> str:
    return "0x" + data.hex()


_DECODERS = {
    c.NUMBER: number, c.BINARY_INTEGER: number, c.DATE: date, c.TIMESTAMP: date, c.TIMESTAMP_TZ: date,
    c.TIMESTAMP_LTZ: date, c.BINARY_FLOAT: binary_float, c.BINARY_DOUBLE: binary_float,
    c.INTERVAL_DS: interval_of_days, c.INTERVAL_YM: interval_of_years, c.RAW: _hexadecimal, c.LONG_RAW: _hexadecimal,
    c.BOOLEAN: _boolean,
}  # fmt: skip
_TEXTS = frozenset((c.VARCHAR, c.CHAR, c.LONG))
_ROWIDS = frozenset((c.ROWID, c.ROWID_DESCRIPTOR, c.UROWID))

MOST_ELEMENTS = 1_000_000
"""Values of one array at most."""


def shown(dialect: Dialect, described: Described, data: bytes | None) -> str | None:
    """One value that travels as a byte string; None for NULL. What is damaged is shown as its bytes."""
    if data is None:
        return None
    if described.kind in _TEXTS:
        return text(dialect, described.form == NATIONAL, data)
    try:
        return _DECODERS.get(described.kind, _hexadecimal)(data)
    except Malformed:
        return _hexadecimal(data)


def shown_bind(dialect: Dialect, described: Described, data: bytes | None) -> str | None:
    """A bind that travels as a byte string; None for NULL. A rowid is a text there."""
    if data is not None and described.kind in _ROWIDS:
        return text(dialect, False, data)
    return shown(dialect, described, data)


def read_bind(reader: Reader, described: Described) -> str | None:
    """A value in a row of binds that is no array. Raises Short and Malformed."""
    kind = described.kind
    if kind == c.REF_CURSOR:
        return _bound_cursor(reader)
    if kind in (c.CLOB, c.BLOB, c.BFILE):
        return _locator(reader, kind)
    if kind in (c.JSON, c.VECTOR):
        return _with_locator(reader, kind)
    if kind == c.OBJECT:
        return _object(reader)
    return shown_bind(reader.dialect, described, reader.byte_string())


def _bound_cursor(reader: Reader) -> str:
    """One that is still to be opened (a length of 1, and 0), or the number of one that is open behind a count."""
    count = reader.ub1() if reader.dialect.native_ub4 else reader.ub4()
    return f"cursor {reader.ub4()}" if count else "cursor"


def read_column(reader: Reader, described: Described) -> str | None:
    """A value in a row of a result. Raises Short and Malformed."""
    kind = described.kind
    if kind in (c.ROWID, c.ROWID_DESCRIPTOR):
        return _rowid(reader)
    if kind == c.UROWID:
        return _universal_rowid(reader)
    if kind in (c.CLOB, c.BLOB, c.BFILE):
        return _prefetched(reader, kind)
    if kind in (c.JSON, c.VECTOR):
        return _with_locator(reader, kind)
    if kind == c.REF_CURSOR:
        raise Malformed("a cursor inside a row")
    if kind == c.OBJECT:
        return _object(reader)
    value = shown(reader.dialect, described, reader.byte_string())
    if kind in (c.LONG, c.LONG_RAW):
        reader.sb4()
        reader.ub4()
    return value


def _rowid(reader: Reader) -> str | None:
    if reader.ub1() in NULL_LENGTHS:
        return None
    data_object, file = reader.ub4(), reader.ub2()
    reader.skip(1)
    return rowid(data_object, file, reader.ub4(), reader.ub2())


def _universal_rowid(reader: Reader) -> str | None:
    if not reader.ub4():
        return None
    data = reader.long_form()
    if data[:1] == b"\x01" and len(data) >= 13:
        return rowid(*struct.unpack(">IHIH", data[1:13]))
    return "*" + data[1:].hex()


def _locator(reader: Reader, kind: int) -> str | None:
    if not reader.ub4():
        return None
    return f"<{c.TYPES[kind]}, locator of {len(reader.long_form())} bytes>"


def _prefetched(reader: Reader, kind: int) -> str | None:
    """A locator with the size of what it stands for."""
    if not reader.ub4():
        return None
    if kind == c.BFILE:
        reader.skip_byte_string()
        return "<BFILE>"
    size = reader.ub8()
    reader.ub4()
    reader.skip_byte_string()
    return f"<{c.TYPES[kind]}, {size} {'characters' if kind == c.CLOB else 'bytes'}>"


def _with_locator(reader: Reader, kind: int) -> str | None:
    """JSON and VECTOR: their bytes, then a locator that nobody needs."""
    if not reader.ub4():
        return None
    reader.ub8()
    reader.ub4()
    data = reader.long_form()
    reader.skip_byte_string()
    return f"<{c.TYPES[kind]}, {len(data)} bytes: {data[:32].hex()}>"


def _object(reader: Reader) -> str | None:
    for _ in range(3):  # type, object, snapshot
        reader.counted()
    reader.ub2()
    size = reader.ub4()
    reader.ub2()
    if not size:
        return None
    return f"<OBJECT, {len(reader.long_form())} bytes>"
