"""Bind values as an auditor reads them. Text format is text already; binary is decoded by the type's OID.

OIDs and binary forms: PostgreSQL source, pg_type.dat and the types' `*send` functions.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from bastion.protocols.contract import BIND_LIMIT

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
    if not binary or oid in _TEXTUAL:
        return value.decode(codec, "backslashreplace")
    decode = _BINARY.get(oid)
    if decode is not None:
        try:
            return decode(value)
        except (struct.error, ValueError, OverflowError, IndexError):
            return "\\x" + value.hex()
    return "\\x" + value.hex()


def _unpacked(form: str) -> Callable[[bytes], str]:
    reader = struct.Struct(form)
    return lambda value: str(reader.unpack(value)[0])


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
    micros = struct.unpack(">q", value[:8])[0]
    text = str(timedelta(microseconds=micros))
    if len(value) == 12:
        west = struct.unpack(">i", value[8:])[0]
        text += f"{'-' if west > 0 else '+'}{abs(west) // 3600:02}:{abs(west) % 3600 // 60:02}"
    return text


def _numeric(value: bytes) -> str:
    count, weight, sign, scale = struct.unpack_from(">hhHH", value)
    if sign in (0xC000, 0xD000, 0xF000):
        return {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}[sign]
    digits = struct.unpack_from(f">{count}h", value, 8)
    whole = "".join(f"{digits[i] if 0 <= i < count else 0:04}" for i in range(weight + 1)).lstrip("0") or "0"
    if scale:
        first = weight + 1
        groups = (scale + 3) // 4
        part = "".join(f"{digits[i] if 0 <= i < count else 0:04}" for i in range(first, first + groups))
        whole += "." + part[:scale]
    return ("-" if sign == 0x4000 else "") + whole


def _interval(value: bytes) -> str:
    micros, days, months = struct.unpack(">qii", value)
    return f"{months} mons {days} days {timedelta(microseconds=micros)}"


def _array(value: bytes) -> str:
    dimensions, _, oid = struct.unpack_from(">iiI", value)
    if dimensions == 0:
        return "{}"
    if dimensions != 1:
        return "\\x" + value.hex()
    count = struct.unpack_from(">i", value, 12)[0]
    position, parts = 20, []
    for _i in range(count):
        size = struct.unpack_from(">i", value, position)[0]
        position += 4
        if size < 0:
            parts.append("NULL")
        else:
            parts.append(bind_text(oid, True, value[position : position + size], "utf-8"))
            position += size
    return "{" + ",".join(parts) + "}"


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
    700: _unpacked(">f"),
    701: _unpacked(">d"),
    790: _unpacked(">q"),
    1082: _date,
    1083: _time,
    1114: _timestamp,
    1184: _timestamp_tz,
    1186: _interval,
    1266: _time,
    1700: _numeric,
    2950: lambda value: str(uuid.UUID(bytes=value)),
    3802: lambda value: value[1:].decode("utf-8", "backslashreplace"),
    3220: lambda value: "{:X}/{:X}".format(*struct.unpack(">II", value)),
    **dict.fromkeys(_ARRAYS, _array),
}
