"""TYPE_INFO and values that a client sends: RPC parameters and rows of bulk loads. [MS-TDS] 2.2.5.4 to 2.2.5.6."""

from __future__ import annotations

import datetime
import decimal
import struct
import uuid
from dataclasses import dataclass

from .encoding import Value
from .packets import ProtocolError
from .sql_types import MAX, SqlType
from .versions import Version

_EPOCH = datetime.date(1900, 1, 1).toordinal()


class Reader:
    """Takes from the front. Raises ProtocolError at the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        end = self.at + size
        if size < 0 or end > len(self.data):
            raise ProtocolError(f"{size} bytes were announced, {self.left} came")
        data = self.data[self.at : end]
        self.at = end
        return data

    def number(self, form: str) -> int:
        """One integer, in `struct`'s letters."""
        return int(struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0])

    def short_text(self) -> str:
        """B_VARCHAR."""
        return self.take(2 * self.number("B")).decode("utf-16-le", "replace")

    def long_text(self) -> str:
        """US_VARCHAR."""
        return self.take(2 * self.number("H")).decode("utf-16-le", "replace")


_FIXED = {
    0x30: SqlType("tinyint"), 0x32: SqlType("bit"), 0x34: SqlType("smallint"), 0x38: SqlType("int"),
    0x3A: SqlType("smalldatetime"), 0x3B: SqlType("real"), 0x3C: SqlType("money"), 0x3D: SqlType("datetime"),
    0x3E: SqlType("float"), 0x7A: SqlType("smallmoney"), 0x7F: SqlType("bigint"),
}  # fmt: skip
_FIXED_SIZE = {
    0x30: 1, 0x32: 1, 0x34: 2, 0x38: 4, 0x3A: 4, 0x3B: 4, 0x3C: 8, 0x3D: 8, 0x3E: 8, 0x7A: 4, 0x7F: 8,
}  # fmt: skip
_SIZED_NAMES = {
    0x26: {1: "tinyint", 2: "smallint", 4: "int", 8: "bigint"},
    0x6D: {4: "real", 8: "float"},
    0x6E: {4: "smallmoney", 8: "money"},
    0x6F: {4: "smalldatetime", 8: "datetime"},
}
_STRING_NAMES = {0xA7: "varchar", 0xAF: "char", 0xE7: "nvarchar", 0xEF: "nchar", 0xA5: "varbinary", 0xAD: "binary"}
_OLD_STRINGS = {0x25: "varbinary", 0x27: "varchar", 0x2D: "binary", 0x2F: "char"}


@dataclass(frozen=True)
class WireType:
    """A type as it was announced: `token` decides how its values lie."""

    token: int
    size: int
    sql_type: SqlType
    collation: bytes = b""
    columns: tuple[WireType, ...] = ()


def read_type(reader: Reader, version: Version) -> WireType:
    """A TYPE_INFO."""
    token = reader.number("B")
    if token in _FIXED:
        return WireType(token, _FIXED_SIZE[token], _FIXED[token])
    if token == 0x1F:
        return WireType(token, 0, SqlType("int"))
    if token in _SIZED_NAMES:
        size = reader.number("B")
        return WireType(token, size, SqlType(_SIZED_NAMES[token].get(size, _SIZED_NAMES[token][4])))
    if token == 0x68:
        return WireType(token, reader.number("B"), SqlType("bit"))
    if token == 0x24:
        return WireType(token, reader.number("B"), SqlType("uniqueidentifier"))
    if token in (0x6A, 0x6C, 0x37, 0x3F):
        size, precision, scale = reader.take(3)
        name = "decimal" if token in (0x6A, 0x37) else "numeric"
        return WireType(token, size, SqlType(name, precision=precision, scale=scale))
    if token == 0x28:
        return WireType(token, 3, SqlType("date"))
    if token in (0x29, 0x2A, 0x2B):
        scale = reader.number("B")
        return WireType(
            token, 0, SqlType({0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}[token], scale=scale)
        )
    if token in _STRING_NAMES:
        size = reader.number("H")
        collation = reader.take(5) if token in (0xA7, 0xAF, 0xE7, 0xEF) else b""
        name = _STRING_NAMES[token]
        length = MAX if size == 0xFFFF else size // 2 if name[0] == "n" else size
        return WireType(token, size, SqlType(name, max(length, 1) if length != MAX else MAX), collation)
    if token in _OLD_STRINGS:
        size = reader.number("B")
        return WireType(token, size, SqlType(_OLD_STRINGS[token], max(size, 1)))
    if token in (0x23, 0x63, 0x22):
        size = reader.number("I")
        collation = reader.take(5) if token != 0x22 and version >= Version.V7_1 else b""
        return WireType(token, size, SqlType({0x23: "text", 0x63: "ntext", 0x22: "image"}[token]), collation)
    if token == 0xF1:
        if reader.number("B"):
            reader.short_text(), reader.short_text(), reader.long_text()
        return WireType(token, 0xFFFF, SqlType("xml"))
    if token == 0x62:
        return WireType(token, reader.number("I"), SqlType("sql_variant"))
    if token == 0xF3:
        return _table_type(reader, version)
    raise ProtocolError(f"a value of type {token:#x}")


def _table_type(reader: Reader, version: Version) -> WireType:
    names = [reader.short_text() for _ in range(3)]
    count = reader.number("H")
    columns = []
    for _ in range(0 if count == 0xFFFF else count):
        reader.take(6)
        columns.append(read_type(reader, version))
        reader.short_text()
    while (mark := reader.number("B")) != 0:
        if mark == 0x10:
            reader.take(3 * reader.number("H"))
        elif mark == 0x11:
            reader.take(2 * reader.number("H"))
        else:
            raise ProtocolError(f"a table parameter with {mark:#x}")
    return WireType(0xF3, 0, SqlType("table", length=len(".".join(names))), columns=tuple(columns))


def read_value(reader: Reader, wire: WireType, *, in_row: bool = False) -> Value:
    """A value: int, float, bytes, text (decimals, times and GUIDs in their usual form), None. A table gives its rows'
    count."""
    token = wire.token
    if token == 0x1F:
        return None
    if token in _FIXED_SIZE:
        return _made(wire, reader.take(_FIXED_SIZE[token]))
    if token == 0xF3:
        return _table_rows(reader, wire)
    if token in (0xF1, *_STRING_NAMES) and wire.size == 0xFFFF:
        data = _read_plp(reader)
        return None if data is None else _text_or_bytes(wire, data)
    if token in _STRING_NAMES:
        size = reader.number("H")
        return None if size == 0xFFFF else _text_or_bytes(wire, reader.take(size))
    if token in (0x23, 0x63, 0x22):
        if in_row:
            pointer = reader.number("B")
            if not pointer:
                return None
            reader.take(pointer + 8)
        size = reader.number("I")
        return None if size == 0xFFFFFFFF else _text_or_bytes(wire, reader.take(size))
    if token == 0x62:
        return _read_variant(reader)
    size = reader.number("B")
    if not size:
        return None
    return _made(wire, reader.take(size))


def _table_rows(reader: Reader, wire: WireType) -> int:
    count = 0
    while (mark := reader.number("B")) == 0x01:
        for column in wire.columns:
            read_value(reader, column)
        count += 1
    if mark:
        raise ProtocolError(f"a table parameter's row begins with {mark:#x}")
    return count


def _read_plp(reader: Reader) -> bytes | None:
    total = reader.number("Q")
    if total == 0xFFFFFFFFFFFFFFFF:
        return None
    parts = []
    while size := reader.number("I"):
        parts.append(reader.take(size))
    return b"".join(parts)


def _text_or_bytes(wire: WireType, data: bytes) -> Value:
    name = wire.sql_type.name
    if name in ("nvarchar", "nchar", "ntext"):
        return data.decode("utf-16-le", "surrogatepass")
    if name == "xml":
        return data.removeprefix(b"\xff\xfe").decode("utf-16-le", "replace")
    if name in ("varchar", "char", "text"):
        utf8 = len(wire.collation) == 5 and wire.collation[3] & 0x04
        return data.decode("utf-8" if utf8 else "cp1252", "replace")
    return data


def _read_variant(reader: Reader) -> Value:
    size = reader.number("I")
    if not size:
        return None
    inside = Reader(reader.take(size))
    token, properties = inside.number("B"), inside.number("B")
    described = inside.take(properties)
    data = inside.take(inside.left)
    if token in _STRING_NAMES:
        return _text_or_bytes(WireType(token, 0, SqlType(_STRING_NAMES[token]), described[:5]), data)
    if token in (0x6A, 0x6C):
        return _made(WireType(token, len(data), SqlType("decimal", precision=described[0], scale=described[1])), data)
    if token in (0x29, 0x2A, 0x2B):
        names = {0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}
        return _made(WireType(token, len(data), SqlType(names[token], scale=described[0])), data)
    if token == 0x24:
        return _made(WireType(token, 16, SqlType("uniqueidentifier")), data)
    if token == 0x28:
        return _made(WireType(token, 3, SqlType("date")), data)
    if token in _FIXED:
        return _made(WireType(token, len(data), _FIXED[token]), data)
    return data


def _made(wire: WireType, data: bytes) -> Value:
    name = wire.sql_type.name
    if name in ("tinyint", "smallint", "int", "bigint", "bit"):
        return int.from_bytes(data, "little", signed=len(data) > 1)
    if name in ("real", "float"):
        return float(struct.unpack("<f" if len(data) == 4 else "<d", data)[0])
    if name in ("decimal", "numeric"):
        magnitude = int.from_bytes(data[1:], "little")
        with decimal.localcontext(prec=60):
            number = decimal.Decimal(magnitude if data[0] else -magnitude).scaleb(-wire.sql_type.scale)
            return f"{number:f}"
    if name in ("money", "smallmoney"):
        units = int.from_bytes(data[4:] + data[:4] if len(data) == 8 else data, "little", signed=True)
        with decimal.localcontext(prec=60):
            return f"{decimal.Decimal(units).scaleb(-4):f}"
    if name == "uniqueidentifier":
        return str(uuid.UUID(bytes_le=data)).upper()
    return _moment(wire, data)


def _clock(ticks: int, scale: int) -> str:
    seconds, fraction = divmod(ticks, 10**scale)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{fraction:0{scale}}" if scale else text


def _moment(wire: WireType, data: bytes) -> str:
    name, scale = wire.sql_type.name, wire.sql_type.scale
    if name == "datetime":
        days, ticks = struct.unpack("<iI", data)
        milliseconds = round(ticks * 10 / 3)
        return f"{datetime.date.fromordinal(days + _EPOCH)} {_clock(milliseconds, 3)}"
    if name == "smalldatetime":
        days, minutes = struct.unpack("<HH", data)
        return f"{datetime.date.fromordinal(days + _EPOCH)} {_clock(minutes * 60, 0)}"
    if name == "date":
        return str(datetime.date.fromordinal(int.from_bytes(data, "little") + 1))
    if name == "time":
        return _clock(int.from_bytes(data, "little"), scale)
    if name == "datetime2":
        day = int.from_bytes(data[-3:], "little") + 1
        return f"{datetime.date.fromordinal(day)} {_clock(int.from_bytes(data[:-3], 'little'), scale)}"
    minutes = int.from_bytes(data[-2:], "little", signed=True)
    day = int.from_bytes(data[-5:-2], "little") + 1
    ticks = int.from_bytes(data[:-5], "little") + minutes * 60 * 10**scale
    more, ticks = divmod(ticks, 86400 * 10**scale)
    sign = "-" if minutes < 0 else "+"
    zone = f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    return f"{datetime.date.fromordinal(day + more)} {_clock(ticks, scale)} {zone}"
