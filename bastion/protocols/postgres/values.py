"""Bind values as an auditor reads them. Text format is text already; binary is decoded by the type's OID.

OIDs and binary forms: PostgreSQL source, pg_type.dat and the types' `*send` functions.
"""

from __future__ import annotations

import hashlib
import re
import struct
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from bastion.protocols.contract import BIND_LIMIT

ZERO_GROUPS = 100
"""Groups of four zeros that a number may be written out with: eight bytes may stand for 131,072 digits."""

_INFINITE = float("inf")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def bind_text(oid: int, binary: bool, value: bytes, codec: str, size: int | None = None) -> str:
    """A value for the record. `size` is its full length where `value` is only its beginning.

    A value longer than BIND_LIMIT is kept as its beginning and its length, with a digest where it is whole.
    """
    whole = len(value) if size is None else size
    if whole > BIND_LIMIT:
        digest = f", sha256 {hashlib.sha256(value).hexdigest()}" if size is None or size == len(value) else ""
        start = value[: BIND_LIMIT // 2]
        shown = "\\x" + start.hex() if binary and oid not in _TEXTUAL else start.decode(codec, "backslashreplace")
        return f"{shown}… ({whole} bytes{digest})"
    return value_text(oid, binary, value, codec)


def value_text(oid: int, binary: bool, value: bytes, codec: str) -> str:
    """A whole value, however long, as its type is read."""
    if not binary or oid in _TEXTUAL:
        return value.decode(codec, "backslashreplace")
    if oid == _JSONB and value[:1] == b"\x01":
        return value[1:].decode(codec, "backslashreplace")
    try:
        if oid in _ARRAYS:
            return _array(value, codec)
        decode = _BINARY.get(oid)
        if decode is not None:
            return decode(value)
    except (struct.error, ValueError, OverflowError, IndexError):
        # Not the type's form: the bytes themselves.
        pass
    return "\\x" + value.hex()


def _unpacked(form: str) -> Callable[[bytes], str]:
    reader = struct.Struct(form)
    return lambda value: str(reader.unpack(value)[0])


def _single(value: bytes) -> str:
    """The shortest text that reads back as the same float4, as PostgreSQL writes it."""
    number = struct.unpack(">f", value)[0]
    if number != number or number in (_INFINITE, -_INFINITE):
        return _double_text(number)
    return next(text for digits in range(6, 10) if _same_single(text := f"{number:.{digits}g}", number))


def _same_single(text: str, number: float) -> bool:
    try:
        return bool(struct.unpack(">f", struct.pack(">f", float(text)))[0] == number)
    except OverflowError:
        return False


def _double(value: bytes) -> str:
    return _double_text(struct.unpack(">d", value)[0])


def _double_text(number: float) -> str:
    if number != number:
        return "NaN"
    if number in (_INFINITE, -_INFINITE):
        return "Infinity" if number > 0 else "-Infinity"
    return repr(number).removesuffix(".0")


def _money(value: bytes) -> str:
    """The number of the smallest units: how many make one depends on the server's lc_monetary."""
    return str(struct.unpack(">q", value)[0])


def _boolean(value: bytes) -> str:
    return "true" if value != b"\0" else "false"


def _date(value: bytes) -> str:
    days = struct.unpack(">i", value)[0]
    if abs(days) == 2**31 - 1 or days == -(2**31):
        return "infinity" if days > 0 else "-infinity"
    return (date(2000, 1, 1) + timedelta(days=days)).isoformat()


def _moment(value: bytes) -> datetime | str:
    micros = struct.unpack(">q", value)[0]
    if micros in (2**63 - 1, -(2**63)):
        return "infinity" if micros > 0 else "-infinity"
    return _EPOCH + timedelta(microseconds=micros)


def _timestamp(value: bytes) -> str:
    moment = _moment(value)
    return moment if isinstance(moment, str) else moment.replace(tzinfo=None).isoformat(sep=" ")


def _timestamp_tz(value: bytes) -> str:
    moment = _moment(value)
    return moment if isinstance(moment, str) else moment.isoformat(sep=" ")


def _time(value: bytes) -> str:
    return _clock(struct.unpack(">q", value)[0])


def _time_tz(value: bytes) -> str:
    micros, west = struct.unpack(">qi", value)
    seconds = abs(west) % 60
    zone = f"{'-' if west > 0 else '+'}{abs(west) // 3600:02}:{abs(west) % 3600 // 60:02}"
    return _clock(micros) + zone + (f":{seconds:02}" if seconds else "")


def _clock(micros: int) -> str:
    """HH:MM:SS[.ffffff] with as many hours as there are."""
    seconds, fraction = divmod(abs(micros), 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return ("-" if micros < 0 else "") + text + (f".{fraction:06}" if fraction else "")


def _numeric(value: bytes) -> str:
    count, weight, sign, scale = struct.unpack_from(">hhHH", value)
    if sign in (0xC000, 0xD000, 0xF000):
        return {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}[sign]
    most = count + ZERO_GROUPS
    if count < 0 or len(value) != 8 + 2 * count or abs(weight) > most or scale > 4 * most:
        raise ValueError("no number for a record")
    digits = struct.unpack_from(f">{count}H", value, 8)
    whole = "".join(f"{digits[i] if 0 <= i < count else 0:04}" for i in range(weight + 1)).lstrip("0") or "0"
    if scale:
        first = weight + 1
        groups = (scale + 3) // 4
        part = "".join(f"{digits[i] if 0 <= i < count else 0:04}" for i in range(first, first + groups))
        whole += "." + part[:scale]
    return ("-" if sign == 0x4000 else "") + whole


def _interval(value: bytes) -> str:
    micros, days, months = struct.unpack(">qii", value)
    parts = []
    if months:
        parts.append(f"{months} mons")
    if days:
        parts.append(f"{days} days")
    if micros or not parts:
        parts.append(_clock(micros))
    return " ".join(parts)


def _array(value: bytes, codec: str) -> str:
    """PostgreSQL's own text of an array, with its quotes."""
    dimensions, _, oid = struct.unpack_from(">iiI", value)
    if dimensions == 0:
        return "{}"
    if dimensions != 1:
        raise ValueError("an array of several dimensions is shown as it came")
    count = struct.unpack_from(">i", value, 12)[0]
    position, parts = 20, []
    for _i in range(count):
        size = struct.unpack_from(">i", value, position)[0]
        position += 4
        if size < 0:
            parts.append("NULL")
        else:
            parts.append(_quoted(value_text(oid, True, value[position : position + size], codec)))
            position += size
    if position != len(value):
        raise ValueError("an array that does not end where it says")
    return "{" + ",".join(parts) + "}"


def _quoted(text: str) -> str:
    if text and text.upper() != "NULL" and not _NEEDS_QUOTES.search(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_NEEDS_QUOTES = re.compile(r'[{},"\\\s]')
_JSONB = 3802
_TEXTUAL = {18, 19, 25, 114, 142, 194, 705, 1042, 1043, 2275, 3734, 3769}
_ARRAYS = {1000, 1001, 1005, 1007, 1009, 1014, 1015, 1016, 1021, 1022, 1028, 1115, 1182, 1185, 1231, 2951, 199, 3807}
_BINARY: dict[int, Callable[[bytes], str]] = {
    16: _boolean,
    17: lambda value: "\\x" + value.hex(),
    20: _unpacked(">q"),
    21: _unpacked(">h"),
    23: _unpacked(">i"),
    26: _unpacked(">I"),
    28: _unpacked(">I"),
    700: _single,
    701: _double,
    790: _money,
    1082: _date,
    1083: _time,
    1114: _timestamp,
    1184: _timestamp_tz,
    1186: _interval,
    1266: _time_tz,
    1700: _numeric,
    2950: lambda value: str(uuid.UUID(bytes=value)),
    3220: lambda value: "{:X}/{:X}".format(*struct.unpack(">II", value)),
}
