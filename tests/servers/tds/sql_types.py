"""Types of SQL Server: their names, as a statement writes them, and how each stands in COLMETADATA and RETURNVALUE.

[MS-TDS] 2.2.5.4 (types), 2.2.5.6 (TYPE_INFO). Older versions do not know newer types and get the next best.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from functools import lru_cache

from .tokens import COLLATION
from .versions import Version

MAX = -1
UNLIMITED = 0xFFFF


@dataclass(frozen=True)
class SqlType:
    """`length` counts characters or bytes, MAX is unlimited; `scale` also counts digits of a second."""

    name: str
    length: int = 0
    precision: int = 0
    scale: int = 0

    @property
    def declared(self) -> str:
        """As a statement writes it."""
        if self.name in _SIZED:
            return f"{self.name}({'max' if self.length == MAX else self.length})"
        if self.name in ("decimal", "numeric"):
            return f"{self.name}({self.precision},{self.scale})"
        if self.name in ("time", "datetime2", "datetimeoffset"):
            return f"{self.name}({self.scale})"
        return self.name

    @property
    def large(self) -> bool:
        """Whether its values come in pieces (PLP)."""
        return self.name == "xml" or (self.name in _SIZED and self.length == MAX)


_SIZED = {"varchar", "nvarchar", "char", "nchar", "varbinary", "binary"}
CHARACTERS = {"varchar", "nvarchar", "char", "nchar", "text", "ntext", "xml", "sysname"}
NATIONAL = {"nvarchar", "nchar", "ntext", "xml"}
BINARIES = {"varbinary", "binary", "image", "timestamp", "rowversion"}
INTEGERS = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}
NUMBERS = {*INTEGERS, "bit", "decimal", "numeric", "money", "smallmoney", "float", "real"}
TIMES = {"date", "time", "datetime", "smalldatetime", "datetime2", "datetimeoffset"}

INT = SqlType("int")
BIGINT = SqlType("bigint")
FLOAT = SqlType("float")
BIT = SqlType("bit")
SYSNAME = SqlType("nvarchar", 128)
TEXT = SqlType("nvarchar", 4000)

_ALIASES = {
    "integer": "int", "dec": "decimal", "character": "char", "rowversion": "timestamp", "double precision": "float",
    "national character varying": "nvarchar", "character varying": "varchar", "national character": "nchar",
}  # fmt: skip
_TYPE = re.compile(r"\s*\[?(?:sys\]?\.\[?)?([a-z_][\w ]*?)\]?\s*"
                   r"(?:\(\s*(\w+)\s*(?:,\s*(\d+)\s*)?\))?(?:\s+(?:text|blob))?\s*",
                   re.IGNORECASE)  # fmt: skip
KNOWN = {
    *_SIZED, *NUMBERS, *TIMES, "text", "ntext", "image", "xml", "uniqueidentifier", "sql_variant", "timestamp",
    "sysname", "table", "cursor",
}  # fmt: skip


@lru_cache(1024)
def parsed(text: str) -> SqlType | None:
    """The type that a declaration names; None where it is none."""
    found = _TYPE.fullmatch(text)
    if found is None:
        return None
    name = " ".join(found[1].lower().split())
    name = _ALIASES.get(name, name)
    first, second = found[2], found[3]
    if name == "sysname":
        return SYSNAME
    if name not in KNOWN:
        return None
    if name in _SIZED:
        length = 1 if first is None else MAX if first.lower() == "max" else int(first) if first.isdigit() else 1
        return SqlType(name, length)
    if name in ("decimal", "numeric"):
        return SqlType(name, precision=int(first or 18), scale=int(second or 0))
    if name in ("time", "datetime2", "datetimeoffset"):
        return SqlType(name, scale=7 if first is None else int(first))
    if name == "float" and first is not None and first.isdigit() and int(first) <= 24:
        return SqlType("real")
    return SqlType(name)


def storage(sql_type: SqlType) -> str:
    """The declaration under which SQLite keeps such a column: with its affinity where the name alone gives another."""
    if sql_type.name in ("decimal", "numeric") and sql_type.precision > 15:
        return f"{sql_type.declared} TEXT"
    if sql_type.name in ("xml", "uniqueidentifier", *TIMES):
        return f"{sql_type.declared} TEXT"
    if sql_type.name in (*BINARIES, "sql_variant"):
        return f"{sql_type.declared} BLOB"
    return sql_type.declared


def on_wire(sql_type: SqlType, version: Version) -> SqlType:
    """What a client of that version is told instead, where it does not know the type."""
    if sql_type.name == "sysname":
        return SYSNAME
    if version < Version.V7_2 and sql_type.large:
        return SqlType({"varchar": "text", "varbinary": "image"}.get(sql_type.name, "ntext"))
    if version < Version.V7_3A:
        widths = {"date": 10, "time": 16, "datetime2": 27, "datetimeoffset": 34}
        if sql_type.name in widths:
            return SqlType("nvarchar", widths[sql_type.name])
    return sql_type


def decimal_bytes(precision: int) -> int:
    """Length of a value, its sign included."""
    return 5 if precision <= 9 else 9 if precision <= 19 else 13 if precision <= 28 else 17


def type_info(sql_type: SqlType) -> bytes:
    """TYPE_INFO. Fixed types stand in their nullable form."""
    name = sql_type.name
    if name in INTEGERS:
        return bytes([0x26, INTEGERS[name]])
    if name == "bit":
        return b"\x68\x01"
    if name in ("float", "real"):
        return bytes([0x6D, 8 if name == "float" else 4])
    if name in ("money", "smallmoney"):
        return bytes([0x6E, 8 if name == "money" else 4])
    if name in ("datetime", "smalldatetime"):
        return bytes([0x6F, 8 if name == "datetime" else 4])
    if name == "uniqueidentifier":
        return b"\x24\x10"
    if name in ("decimal", "numeric"):
        token = 0x6A if name == "decimal" else 0x6C
        return bytes([token, decimal_bytes(sql_type.precision), sql_type.precision, sql_type.scale])
    if name == "date":
        return b"\x28"
    if name in ("time", "datetime2", "datetimeoffset"):
        return bytes([{"time": 0x29, "datetime2": 0x2A, "datetimeoffset": 0x2B}[name], sql_type.scale])
    if name in _SIZED:
        token = {"varchar": 0xA7, "char": 0xAF, "nvarchar": 0xE7, "nchar": 0xEF, "varbinary": 0xA5, "binary": 0xAD}[
            name
        ]
        width = 2 if name in NATIONAL else 1
        size = UNLIMITED if sql_type.length == MAX else sql_type.length * width
        return struct.pack("<BH", token, size) + (COLLATION if name in CHARACTERS else b"")
    if name == "timestamp":
        return struct.pack("<BH", 0xAD, 8)
    if name == "xml":
        return b"\xf1\x00"
    if name == "sql_variant":
        return struct.pack("<BI", 0x62, 8009)
    if name in ("text", "ntext", "image"):
        token = {"text": 0x23, "ntext": 0x63, "image": 0x22}[name]
        size = 0x7FFFFFFE if name == "ntext" else 0x7FFFFFFF
        return struct.pack("<BI", token, size) + (b"" if name == "image" else COLLATION)
    raise ValueError(f"no TYPE_INFO for {name}")


@dataclass(frozen=True)
class ResultColumn:
    """`table` is named in the metadata of text, ntext and image alone."""

    name: str
    type: SqlType
    table: str = ""
    nullable: bool = True
    identity: bool = False


def narrowed(column: ResultColumn, version: Version) -> ResultColumn:
    """As a client of that version is told."""
    return replace(column, type=on_wire(column.type, version))


def column_metadata(columns: list[ResultColumn], version: Version) -> bytes:
    """COLMETADATA of columns that `narrowed` has been through. [MS-TDS] 2.2.7.4."""
    parts = [struct.pack("<BH", 0x81, len(columns))]
    for column in columns:
        flags = (0x01 if column.nullable else 0) | (0x10 if column.identity else 0) | 0x08
        user_type = 80 if column.type.name == "timestamp" else 0
        parts.append(struct.pack("<IH" if version.wide else "<HH", user_type, flags))
        parts.append(type_info(column.type))
        if column.type.name in ("text", "ntext", "image"):
            name = column.table.encode("utf-16-le")
            table = struct.pack("<H", len(name) // 2) + name
            parts.append((b"\x01" if version.wide else b"") + table)
        name = column.name[:128].encode("utf-16-le")
        parts.append(bytes([len(name) // 2]) + name)
    return b"".join(parts)
