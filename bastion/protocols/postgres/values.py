"""Bind values as an auditor reads them. Text format is text already; binary is decoded by the type's OID.

OIDs and binary forms: PostgreSQL source, pg_type.dat and the types' `*send` functions.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
import struct
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from bastion.protocols.contract import BIND_LIMIT

MOST_DIMENSIONS = 6
"""Dimensions of an array (MAXDIM)."""

ZERO_GROUPS = 100
"""Groups of four zeros that a number may be written out with: eight bytes may stand for 131,072 digits."""

FIXED_SINGLE, FIXED_DOUBLE = 1e6, 1e15
"""From here on the server writes a float4 and a float8 with a power of ten."""

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
    if oid in (_JSONB, _JSONPATH) and value[:1] == b"\x01":
        return value[1:].decode(codec, "backslashreplace")
    try:
        if oid in _ARRAYS:
            return _array(value, codec)
        if oid in _RANGES:
            return _range(_RANGES[oid], value, codec)
        if oid in _MULTIRANGES:
            return _multirange(_MULTIRANGES[oid], value, codec)
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
    text = next(text for digits in range(1, 10) if _same_single(text := f"{number:.{digits}g}", number))
    return _in_powers(float(text)) if abs(number) >= FIXED_SINGLE else repr(float(text)).removesuffix(".0")


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
    return _in_powers(number) if abs(number) >= FIXED_DOUBLE else repr(number).removesuffix(".0")


def _in_powers(number: float) -> str:
    """A whole number from 1e6 on with its power of ten."""
    digits, _, power = repr(number).partition("e")
    if power:
        return repr(number)
    digits = digits.removesuffix(".0")
    exponent = len(digits.lstrip("-").partition(".")[0]) - 1
    figures = digits.replace(".", "").rstrip("0")
    lead = 2 if figures[0] == "-" else 1
    rest = "." + figures[lead:] if figures[lead:] else ""
    return f"{figures[:lead]}{rest}e+{exponent:02}"


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
    return moment if isinstance(moment, str) else _written(moment)


def _timestamp_tz(value: bytes) -> str:
    moment = _moment(value)
    return moment if isinstance(moment, str) else _written(moment) + "+00:00"


def _written(moment: datetime) -> str:
    text = moment.replace(tzinfo=None).isoformat(sep=" ")
    return text.rstrip("0") if moment.microsecond else text


def _time(value: bytes) -> str:
    return _clock(struct.unpack(">q", value)[0])


def _time_tz(value: bytes) -> str:
    micros, west = struct.unpack(">qi", value)
    seconds = abs(west) % 60
    zone = f"{'-' if west > 0 else '+'}{abs(west) // 3600:02}:{abs(west) % 3600 // 60:02}"
    return _clock(micros) + zone + (f":{seconds:02}" if seconds else "")


def _clock(micros: int) -> str:
    """HH:MM:SS[.ffffff] with as many hours as there are, without zeros at the end."""
    seconds, fraction = divmod(abs(micros), 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return ("-" if micros < 0 else "") + text + (f".{fraction:06}".rstrip("0") if fraction else "")


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
    """As the server writes it (intervalstyle postgres): `1 year 2 mons -3 days +04:05:06`."""
    micros, days, months = struct.unpack(">qii", value)
    if (micros, days, months) in _INFINITE_INTERVALS:
        return _INFINITE_INTERVALS[micros, days, months]
    years = int(months / 12)
    parts: list[str] = []
    negative = False
    for count, unit in ((years, "year"), (months - 12 * years, "mon"), (days, "day")):
        if count:
            sign = "+" if negative and count > 0 else ""
            parts.append(f"{sign}{count} {unit}{'' if count == 1 else 's'}")
            negative = count < 0
    if micros or not parts:
        parts.append(("+" if negative and micros > 0 else "") + _clock(micros))
    return " ".join(parts)


def _inet(value: bytes) -> str:
    """inet and cidr: family (2 or 3), bits, whether it is a cidr, length, address."""
    family, bits, is_cidr, size = value[:4]
    if (family, size) not in ((2, 4), (3, 16)) or len(value) != 4 + size:
        raise ValueError("no address")
    address = ipaddress.ip_address(value[4:])
    text = str(address)
    if family == 3 and value[4:16] in _ENDS_IN_IPV4 and any(value[14:18]):
        text = _ENDS_IN_IPV4[value[4:16]] + str(ipaddress.IPv4Address(value[16:]))
    return text if bits == 8 * size and not is_cidr else f"{text}/{bits}"


def _bits(value: bytes) -> str:
    count = struct.unpack_from(">i", value)[0]
    if not 0 <= count <= 8 * (len(value) - 4):
        raise ValueError("no bits")
    return "".join(f"{byte:08b}" for byte in value[4:])[:count]


def _points(value: bytes, start: int = 0) -> list[str]:
    count, rest = divmod(len(value) - start, 16)
    if rest:
        raise ValueError("no points")
    numbers = [_double_text(number) for number in struct.unpack_from(f">{2 * count}d", value, start)]
    return [f"({x},{y})" for x, y in zip(numbers[::2], numbers[1::2], strict=True)]


def _circle(value: bytes) -> str:
    radius = struct.unpack_from(">d", value, 16)[0]
    return f"<{_points(value[:16])[0]},{_double_text(radius)}>"


def _path(value: bytes) -> str:
    inside = ",".join(_points(value, 5))
    return f"({inside})" if value[0] else f"[{inside}]"


def _line(value: bytes) -> str:
    return "{" + ",".join(_double_text(number) for number in struct.unpack(">3d", value)) + "}"


def _range(oid: int, value: bytes, codec: str) -> str:
    """Flags, then the bounds that there are, each with its length."""
    flags, position = value[0], 1
    if flags & 0x01:
        return "empty"
    bounds = []
    for infinite in (0x08, 0x10):
        if flags & infinite:
            bounds.append("")
            continue
        size = struct.unpack_from(">i", value, position)[0]
        text = value_text(oid, True, value[position + 4 : position + 4 + size], codec)
        bounds.append('"' + text + '"' if not text or _NEEDS_QUOTES_IN_RANGE.search(text) else text)
        position += 4 + size
    if position != len(value):
        raise ValueError("a range that does not end where it says")
    return f"{'[' if flags & 0x02 else '('}{bounds[0]},{bounds[1]}{']' if flags & 0x04 else ')'}"


def _multirange(oid: int, value: bytes, codec: str) -> str:
    count, position, parts = struct.unpack_from(">i", value)[0], 4, []
    for _i in range(count):
        size = struct.unpack_from(">i", value, position)[0]
        parts.append(_range(oid, value[position + 4 : position + 4 + size], codec))
        position += 4 + size
    if position != len(value):
        raise ValueError("ranges that do not end where they say")
    return "{" + ",".join(parts) + "}"


def _array(value: bytes, codec: str) -> str:
    """PostgreSQL's own text of an array, with its quotes; dimensions that do not begin at 1 are written in front."""
    dimensions, _, oid = struct.unpack_from(">iiI", value)
    if not 0 <= dimensions <= MOST_DIMENSIONS or oid in _ARRAYS:
        raise ValueError("no array")
    if dimensions == 0:
        return "{}"
    numbers = struct.unpack_from(f">{2 * dimensions}i", value, 12)
    counts, lower = numbers[::2], numbers[1::2]
    position, elements = 12 + 8 * dimensions, []
    separator = ";" if oid == _BOX else ","
    for _i in range(math.prod(counts)):
        size = struct.unpack_from(">i", value, position)[0]
        position += 4
        if size < 0:
            elements.append("NULL")
        else:
            elements.append(_quoted(value_text(oid, True, value[position : position + size], codec), separator))
            position += size
    if position != len(value) or min(counts) < 1:
        raise ValueError("an array that does not end where it says")
    for count in reversed(counts):
        elements = [
            "{" + separator.join(elements[start : start + count]) + "}" for start in range(0, len(elements), count)
        ]
    bounds = "".join(f"[{low}:{low + count - 1}]" for low, count in zip(lower, counts, strict=True))
    return elements[0] if set(lower) == {1} else f"{bounds}={elements[0]}"


def _quoted(text: str, separator: str) -> str:
    if text and text.upper() != "NULL" and separator not in text and not _NEEDS_QUOTES.search(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_NEEDS_QUOTES = re.compile(r'[{}"\\ \t\n\r\v\f]')
_NEEDS_QUOTES_IN_RANGE = re.compile(r'[()\[\],"\\ \t\n\r\v\f]')
_ENDS_IN_IPV4 = {bytes(12): "::", bytes(10) + b"\xff\xff": "::ffff:"}
"""What stands before an IPv4 address in an IPv6 one, and how it is written."""
_INFINITE_INTERVALS = {
    (2**63 - 1, 2**31 - 1, 2**31 - 1): "infinity",
    (-(2**63), -(2**31), -(2**31)): "-infinity",
}
_JSONB, _JSONPATH, _BOX = 3802, 4072, 603
_TEXTUAL = {18, 19, 25, 114, 142, 194, 705, 1042, 1043, 1790, 2275}
_ARRAYS = {
    22, 30, 143, 199, 271, 629, 651, 719, 775, 791, 1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009, 1010, 1011, 1012,
    1014, 1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1027, 1028, 1040, 1041, 1115, 1182, 1183, 1185, 1187,
    1231, 1263, 1270, 1561, 1563, 2207, 2208, 2209, 2210, 2211, 2951, 3221, 3807, 3905, 3907, 3909, 3911, 3913, 3927,
    2201, 3735, 3770, 4073, 4090, 4097, 4192, 6150, 6151, 6152, 6153, 6155, 6157,
}  # fmt: skip
_RANGES = {3904: 23, 3906: 1700, 3908: 1114, 3910: 1184, 3912: 1082, 3926: 20}
"""Ranges, with the type of their bounds."""
_MULTIRANGES = {4451: 23, 4532: 1700, 4533: 1114, 4534: 1184, 4535: 1082, 4536: 20}
_NUMBERED = {24, 26, 28, 29, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191}
"""OIDs and what is sent as one: regclass and its kin, xid, cid."""
_BINARY: dict[int, Callable[[bytes], str]] = {
    16: _boolean,
    17: lambda value: "\\x" + value.hex(),
    20: _unpacked(">q"),
    21: _unpacked(">h"),
    23: _unpacked(">i"),
    **dict.fromkeys(_NUMBERED, _unpacked(">I")),
    27: lambda value: "({},{})".format(*struct.unpack(">IH", value)),
    600: lambda value: _points(value)[0],
    601: lambda value: "[" + ",".join(_points(value)) + "]",
    602: _path,
    603: lambda value: ",".join(_points(value)),
    604: lambda value: "(" + ",".join(_points(value, 4)) + ")",
    628: _line,
    650: _inet,
    718: _circle,
    774: lambda value: value.hex(":"),
    829: lambda value: value.hex(":"),
    869: _inet,
    1560: _bits,
    1562: _bits,
    5069: _unpacked(">Q"),
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
