"""TYPE_INFO: what a value is and how its length is told ([MS-TDS] 2.2.5.4 to 2.2.5.6)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from .character_sets import codec_of_collation
from .codec import Malformed, Short, b_varchar, unpack_u16, unpack_u32, us_varchar
from .constants import TDS72


class How:
    """How the length of a value stands in front of it."""

    FIXED: Final = 0
    BYTE: Final = 1
    SHORT: Final = 2
    LONG: Final = 3
    """Four bytes: sql_variant, and text, ntext, image as a parameter, where -1 is NULL."""
    POINTED: Final = 4
    """text, ntext and image in a row: a pointer and a time stamp first."""
    CHUNKS: Final = 5
    """PLP: eight bytes, then chunks."""
    TABLE: Final = 6


class TypeInfo(NamedTuple):
    """A type. `size` are the bytes of a fixed one, else the most; `codec` that of its text, '' where it is none."""

    kind: int
    how: int
    size: int
    precision: int = 0
    scale: int = 0
    codec: str = ""
    name: str = ""


_FIXED: Final = {
    0x1F: 0, 0x30: 1, 0x32: 1, 0x34: 2, 0x38: 4, 0x3A: 4, 0x3B: 4, 0x3C: 8, 0x3D: 8, 0x3E: 8, 0x7A: 4, 0x7F: 8,
}  # fmt: skip
_BYTE_LENGTH: Final = frozenset((0x24, 0x26, 0x68, 0x6D, 0x6E, 0x6F, 0x25, 0x27, 0x2D, 0x2F))
_DECIMALS: Final = frozenset((0x37, 0x3F, 0x6A, 0x6C))
_SCALED: Final = frozenset((0x29, 0x2A, 0x2B))
_DATE, _VARIANT, _XML, _UDT, _JSON, _TABLE = 0x28, 0x62, 0xF1, 0xF0, 0xF4, 0xF3
_TEXT, _IMAGE, _NTEXT = 0x23, 0x22, 0x63
_BINARIES: Final = frozenset((0xA5, 0xAD))
_TEXTS: Final = frozenset((0xA7, 0xAF, 0xE7, 0xEF))
_WIDE_TEXTS: Final = frozenset((0xE7, 0xEF, _NTEXT))
_MAX: Final = 0xFFFF


@lru_cache(maxsize=256)
def _with_byte_length(kind: int, size: int) -> TypeInfo:
    return TypeInfo(kind, How.BYTE, size, codec="cp1252" if kind in (0x27, 0x2F) else "")


@lru_cache(maxsize=256)
def _with_short_length(kind: int, said: bytes) -> TypeInfo:
    """`said` is the size, and the collation of texts."""
    size = unpack_u16(said)[0]
    codec = ""
    if kind in _TEXTS:
        codec = "utf-16-le" if kind in _WIDE_TEXTS else codec_of_collation(said[2:])
    how = How.CHUNKS if size == _MAX and kind in (0xA5, 0xA7, 0xE7) else How.SHORT
    return TypeInfo(kind, how, size, codec=codec)


def read_type(data: bytes, position: int, *, of_parameter: bool) -> tuple[TypeInfo, int]:
    """A type and the position behind it. `of_parameter`: it is one that the client sends, where some are told shorter.

    Raises Short, and Malformed for a type that is not known: the bytes behind it cannot be told apart.
    """
    if position >= len(data):
        raise Short
    kind = data[position]
    position += 1
    if kind in _FIXED:
        return TypeInfo(kind, How.FIXED, _FIXED[kind]), position
    try:
        if kind in _BYTE_LENGTH:
            return _with_byte_length(kind, data[position]), position + 1
        if kind in _DECIMALS:
            info = TypeInfo(kind, How.BYTE, data[position], data[position + 1], data[position + 2])
            return info, position + 3
        if kind == _DATE:
            return TypeInfo(kind, How.BYTE, 3), position
        if kind in _SCALED:
            return TypeInfo(kind, How.BYTE, 10, 0, data[position]), position + 1
    except IndexError:
        raise Short from None
    if kind in _BINARIES or kind in _TEXTS:
        end = position + (2 if kind in _BINARIES else 7)
        if end > len(data):
            raise Short
        return _with_short_length(kind, data[position:end]), end
    if kind in (_TEXT, _IMAGE, _NTEXT):
        end = position + (4 if kind == _IMAGE else 9)
        if end > len(data):
            raise Short
        size = unpack_u32(data, position)[0]
        codec = "" if kind == _IMAGE else "utf-16-le"
        if kind == _TEXT:
            codec = codec_of_collation(data[position + 4 : end])
        return TypeInfo(kind, How.LONG if of_parameter else How.POINTED, size, codec=codec), end
    if kind == _VARIANT:
        if position + 4 > len(data):
            raise Short
        return TypeInfo(kind, How.LONG, unpack_u32(data, position)[0]), position + 4
    if kind == _XML:
        if position >= len(data):
            raise Short
        if data[position]:
            _, end = b_varchar(data, position + 1)
            _, end = b_varchar(data, end)
            name, end = us_varchar(data, end)
            return TypeInfo(kind, How.CHUNKS, _MAX, codec="utf-16-le", name=name), end
        return TypeInfo(kind, How.CHUNKS, _MAX, codec="utf-16-le"), position + 1
    if kind == _UDT:
        if not of_parameter:
            position += 2
        _, position = b_varchar(data, position)
        _, position = b_varchar(data, position)
        name, position = b_varchar(data, position)
        if not of_parameter:
            _, position = us_varchar(data, position)
        return TypeInfo(kind, How.CHUNKS, _MAX, name=name), position
    if kind == _JSON:
        return TypeInfo(kind, How.CHUNKS, _MAX, codec="utf-8"), position
    if kind == _TABLE and of_parameter:
        _, position = b_varchar(data, position)
        schema, position = b_varchar(data, position)
        name, position = b_varchar(data, position)
        return TypeInfo(kind, How.TABLE, 0, name=f"{schema}.{name}" if schema else name), position
    raise Malformed(f"a value of the unknown type {kind:#04x}")


def read_column(data: bytes, position: int, version: int) -> tuple[TypeInfo, str, int]:
    """A column of COLMETADATA: its type, its name, and the position behind it. Raises Short and Malformed."""
    wide = version >= TDS72
    info, position = read_type(data, position + (6 if wide else 4), of_parameter=False)
    if info.how == How.POINTED:
        parts = 1
        if wide:
            if position >= len(data):
                raise Short
            parts = data[position]
            position += 1
        for _ in range(parts):
            _, position = us_varchar(data, position)
    name, position = b_varchar(data, position)
    return info, name, position


_NAMES: Final = {
    0x1F: "null", 0x30: "tinyint", 0x32: "bit", 0x34: "smallint", 0x38: "int", 0x3A: "smalldatetime", 0x3B: "real",
    0x3C: "money", 0x3D: "datetime", 0x3E: "float", 0x7A: "smallmoney", 0x7F: "bigint", 0x24: "uniqueidentifier",
    0x68: "bit", 0x28: "date", 0x62: "sql_variant", 0x22: "image", 0x23: "text", 0x63: "ntext", 0xF1: "xml",
    0xF4: "json", 0x25: "varbinary", 0x27: "varchar", 0x2D: "binary", 0x2F: "char",
}  # fmt: skip
_BY_SIZE: Final = {
    0x26: {1: "tinyint", 2: "smallint", 4: "int", 8: "bigint"}, 0x6D: {4: "real", 8: "float"},
    0x6E: {4: "smallmoney", 8: "money"}, 0x6F: {4: "smalldatetime", 8: "datetime"},
}  # fmt: skip
_WITH_SCALE: Final = {0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}
_WITH_SIZE: Final = {
    0xA5: "varbinary", 0xAD: "binary", 0xA7: "varchar", 0xAF: "char", 0xE7: "nvarchar", 0xEF: "nchar",
}  # fmt: skip


def type_name(info: TypeInfo) -> str:
    """The type as Transact-SQL writes it."""
    kind = info.kind
    if kind in _BY_SIZE:
        return _BY_SIZE[kind].get(info.size, f"type {kind:#04x}")
    if kind in _DECIMALS:
        word = "decimal" if kind in (0x37, 0x6A) else "numeric"
        return f"{word}({info.precision},{info.scale})"
    if kind in _WITH_SCALE:
        return f"{_WITH_SCALE[kind]}({info.scale})"
    if kind in _WITH_SIZE:
        size = info.size // 2 if kind in _WIDE_TEXTS else info.size
        return f"{_WITH_SIZE[kind]}({'max' if info.how == How.CHUNKS else size})"
    return _NAMES.get(kind, info.name or f"type {kind:#04x}")
