"""Values as an auditor reads them, of parameters and of results ([MS-TDS] 2.2.5.5)."""

from __future__ import annotations

import struct
import uuid
from datetime import UTC, date, datetime, timedelta

from .character_sets import codec_of_collation
from .codec import Malformed
from .type_info import TypeInfo

_INTEGERS = {1: struct.Struct("<B"), 2: struct.Struct("<h"), 4: struct.Struct("<i"), 8: struct.Struct("<q")}
_single, _double = struct.Struct("<f"), struct.Struct("<d")
_DAYS_BEFORE = date(1900, 1, 1).toordinal() - 1
_LAST_DAY = date.max.toordinal()


def text_of(data: bytes, codec: str) -> str:
    """A value's bytes as text; hexadecimal where they are none."""
    return data.decode(codec, "backslashreplace") if codec else "0x" + data.hex()


def beginning_of(data: bytes, codec: str) -> str:
    """The same for the beginning of a longer value, which may end in the middle of a character."""
    if codec == "utf-16-le":
        data = data[: len(data) & ~1]
        if len(data) >= 2 and 0xD8 <= data[-1] <= 0xDB:
            data = data[:-2]
    elif codec:
        for cut in range(4):
            try:
                return data[: len(data) - cut].decode(codec)
            except UnicodeDecodeError:
                continue
    return text_of(data, codec)


def value_text(info: TypeInfo, data: bytes) -> str | None:
    """A value that is not NULL by its length; data of no length are NULL where the type has no empty value.

    Raises Malformed for a length that the type has not.
    """
    if info.codec:
        return data.decode(info.codec, "backslashreplace")
    kind = info.kind
    decode = _DECODERS.get(kind)
    if decode is None:
        return "0x" + data.hex()
    if not data:
        return None
    try:
        return decode(info, data)
    except (struct.error, IndexError, ValueError, OverflowError):
        raise Malformed(f"a value of an impossible length for the type {kind:#04x}") from None


def _integer(_: TypeInfo, data: bytes) -> str:
    return str(_INTEGERS[len(data)].unpack(data)[0]) if len(data) in _INTEGERS else _impossible()


def _impossible() -> str:
    raise ValueError


def _bit(_: TypeInfo, data: bytes) -> str:
    return "1" if data[0] else "0"


def single_text(number: float) -> str:
    """The shortest text that reads back as the same 32 bits."""
    for digits in range(6, 10):
        said = f"{number:.{digits}g}"
        if struct.pack("<f", float(said)) == struct.pack("<f", number):
            return said
    return repr(number)


def _real(_: TypeInfo, data: bytes) -> str:
    if len(data) == 4:
        return single_text(_single.unpack(data)[0])
    return repr(_double.unpack(data)[0]).removesuffix(".0")


def _money(_: TypeInfo, data: bytes) -> str:
    if len(data) == 4:
        amount = struct.unpack("<i", data)[0]
    else:
        high, low = struct.unpack("<iI", data)
        amount = high << 32 | low
    return _with_point(amount, 4)


def _with_point(number: int, scale: int) -> str:
    sign, digits = ("-" if number < 0 else ""), str(abs(number)).rjust(scale + 1, "0")
    return sign + (f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits)


def _decimal(info: TypeInfo, data: bytes) -> str:
    magnitude = int.from_bytes(data[1:], "little")
    return _with_point(magnitude if data[0] else -magnitude, info.scale)


def _datetime(_: TypeInfo, data: bytes) -> str:
    if len(data) == 4:
        days, minutes = struct.unpack("<HH", data)
        return f"{_day(days + _DAYS_BEFORE)} {minutes // 60:02}:{minutes % 60:02}:00"
    days, ticks = struct.unpack("<iI", data)
    milliseconds = (ticks * 10 + 1) // 3
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{_day(days + _DAYS_BEFORE)} {_clock(seconds)}.{milliseconds:03}"


def _day(days: int) -> str:
    """Days since 0001-01-01."""
    return date.fromordinal(days + 1).isoformat() if 0 <= days < _LAST_DAY else _impossible()


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _date(_: TypeInfo, data: bytes) -> str:
    return _day(int.from_bytes(data, "little")) if len(data) == 3 else _impossible()


def _time_text(units: int, scale: int) -> str:
    seconds, fraction = divmod(units, 10**scale)
    return _clock(seconds) + (f".{fraction:0{scale}}" if scale else "")


def _time(info: TypeInfo, data: bytes) -> str:
    return _time_text(int.from_bytes(data, "little"), info.scale) if 3 <= len(data) <= 5 else _impossible()


def _datetime2(info: TypeInfo, data: bytes) -> str:
    if not 6 <= len(data) <= 8:
        return _impossible()
    return f"{_day(int.from_bytes(data[-3:], 'little'))} {_time_text(int.from_bytes(data[:-3], 'little'), info.scale)}"


def _datetimeoffset(info: TypeInfo, data: bytes) -> str:
    """The time is kept in UTC and shown where it was."""
    if not 8 <= len(data) <= 10:
        return _impossible()
    minutes = struct.unpack("<h", data[-2:])[0]
    units, days = int.from_bytes(data[:-5], "little"), int.from_bytes(data[-5:-2], "little")
    seconds, fraction = divmod(units, 10**info.scale)
    moment = datetime.min.replace(tzinfo=UTC) + timedelta(days=days, seconds=seconds, minutes=minutes)
    sign, away = ("-" if minutes < 0 else "+"), abs(minutes)
    part = f".{fraction:0{info.scale}}" if info.scale else ""
    shown = f"{moment.date().isoformat()} {moment.time().isoformat('seconds')}{part}"
    return f"{shown} {sign}{away // 60:02}:{away % 60:02}"


def _guid(_: TypeInfo, data: bytes) -> str:
    return str(uuid.UUID(bytes_le=data)).upper()


def _variant(_: TypeInfo, data: bytes) -> str | None:
    """sql_variant: the type, the bytes of its properties, these, the value (2.2.5.5.4)."""
    kind, size = data[0], data[1]
    properties, value = data[2 : 2 + size], data[2 + size :]
    scale = 0
    codec = ""
    if kind in (0x6A, 0x6C):
        scale = properties[1]
    elif kind in (0x29, 0x2A, 0x2B):
        scale = properties[0]
    elif kind in (0xE7, 0xEF):
        codec = "utf-16-le"
    elif kind in (0xA7, 0xAF):
        codec = codec_of_collation(properties[:5])
    return value_text(TypeInfo(kind, 0, len(value), 0, scale, codec), value)


_DECODERS = {
    0x30: _integer, 0x34: _integer, 0x38: _integer, 0x7F: _integer, 0x26: _integer, 0x32: _bit, 0x68: _bit,
    0x3B: _real, 0x3E: _real, 0x6D: _real, 0x3C: _money, 0x7A: _money, 0x6E: _money, 0x37: _decimal, 0x3F: _decimal,
    0x6A: _decimal, 0x6C: _decimal, 0x3A: _datetime, 0x3D: _datetime, 0x6F: _datetime, 0x28: _date, 0x29: _time,
    0x2A: _datetime2, 0x2B: _datetimeoffset, 0x24: _guid, 0x62: _variant,
}  # fmt: skip
