"""Values of Oracle as text, and the types of columns, from what python-oracledb gives.

Numbers come as their digits. What the driver itself leaves out (its documentation, "Data Types"): the zone of a
TIMESTAMP WITH TIME ZONE, and what is behind the microseconds.
"""

from __future__ import annotations

import array
import datetime
import json
import struct
from decimal import Decimal
from typing import Any

import oracledb

from .interface import Cell, Column, Kind

LOB_LENGTH = 1_000_000
"""Characters or bytes of one LOB that are read; what is behind them stays in the database."""
MOST_ELEMENTS = 10_000
"""Of one object, collection or vector."""
DEEPEST = 20

_KINDS = {
    "NUMBER": Kind.NUMBER, "BINARY_FLOAT": Kind.NUMBER, "BINARY_DOUBLE": Kind.NUMBER, "BINARY_INTEGER": Kind.NUMBER,
    "BOOLEAN": Kind.BOOLEAN, "DATE": Kind.TIME, "TIMESTAMP": Kind.TIME, "TIMESTAMP_TZ": Kind.TIME,
    "TIMESTAMP_LTZ": Kind.TIME, "INTERVAL_DS": Kind.TIME, "INTERVAL_YM": Kind.TIME, "RAW": Kind.BINARY,
    "LONG_RAW": Kind.BINARY, "BLOB": Kind.BINARY, "BFILE": Kind.BINARY, "JSON": Kind.JSON,
}  # fmt: skip
_NAMES = {
    "VARCHAR": "VARCHAR2", "NVARCHAR": "NVARCHAR2", "LONG_RAW": "LONG RAW", "LONG_NVARCHAR": "LONG",
    "TIMESTAMP_TZ": "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_LTZ": "TIMESTAMP WITH LOCAL TIME ZONE",
    "INTERVAL_DS": "INTERVAL DAY TO SECOND", "INTERVAL_YM": "INTERVAL YEAR TO MONTH", "CURSOR": "REF CURSOR",
}  # fmt: skip
_SIZED = ("VARCHAR", "NVARCHAR", "CHAR", "NCHAR", "RAW")


def column_of(described: Any) -> Column:
    """A column of a result as the driver describes it (`oracledb.FetchInfo`)."""
    kind = described.type_code.name.removeprefix("DB_TYPE_")
    return Column(described.name, _type_name(kind, described), _KINDS.get(kind, Kind.TEXT))


def _type_name(kind: str, described: Any) -> str:
    if kind == "OBJECT" and described.type is not None:
        return f"{described.type.schema}.{described.type.name}"
    name = _NAMES.get(kind, kind)
    if kind in _SIZED and described.display_size:
        return f"{name}({described.display_size})"
    if kind == "NUMBER" and described.precision:
        scale = f",{described.scale}" if described.scale else ""
        return f"NUMBER({described.precision}{scale})" if described.scale != -127 else name
    return name


def fetched_exactly(cursor: Any, described: Any) -> Any:
    """The driver's type handler: numbers come with all the digits that the server has sent, not as floats.

    Not as strings: beside a LOB the driver would ask the server for text and read it as a number.
    """
    if described.type_code is oracledb.DB_TYPE_NUMBER:
        return cursor.var(Decimal, arraysize=cursor.arraysize)
    return None


def has_lost_zone(described: Any) -> bool:
    """Whether the driver gives the values of this column without the time zone that they have."""
    return described.type_code is oracledb.DB_TYPE_TIMESTAMP_TZ


def text_of(value: Any, kind: str = "") -> Cell:
    """A value that is no LOB and no cursor, in the form in which Oracle's own programs show it; bytes stay bytes.

    `kind`: the driver's name of the column's type, where a Python value alone does not tell it.
    """
    if value is None or isinstance(value, str | bytes):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return _float(value, kind)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "microseconds" if value.microsecond else "seconds")
    if isinstance(value, datetime.timedelta):
        return _days_to_seconds(value)
    if isinstance(value, oracledb.IntervalYM):
        sign = "-" if value.years < 0 or value.months < 0 else "+"
        return f"{sign}{abs(value.years):02}-{abs(value.months):02}"
    if isinstance(value, dict | list) or kind == "JSON":
        return json_text(value)
    if isinstance(value, array.array):
        return _elements(value)
    if isinstance(value, oracledb.SparseVector):
        return f"[{value.num_dimensions},{_elements(value.indices)},{_elements(value.values)}]"
    if isinstance(value, oracledb.DbObject):
        return _object(value, 0)
    return str(value)


def lob_text(lob: Any) -> tuple[Cell, int]:
    """The beginning of a LOB, and how much of it was left in the database. Raises the driver's errors."""
    size = int(lob.size())
    if not size:
        return (b"" if lob.type in (oracledb.DB_TYPE_BLOB, oracledb.DB_TYPE_BFILE) else ""), 0
    value: Cell = lob.read(1, min(size, LOB_LENGTH))
    return value, max(0, size - LOB_LENGTH)


def json_text(value: Any, depth: int = 0) -> str:
    """A JSON value: numbers with all their digits, what JSON has no form for as a string."""
    if depth > 200:
        return "null"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(str(key))}:{json_text(one, depth + 1)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple | array.array):
        return "[" + ",".join(json_text(one, depth + 1) for one in value) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, float):
        return repr(value) if value == value and abs(value) != float("inf") else "null"
    if isinstance(value, bytes):
        return _quoted(value.hex())
    if isinstance(value, datetime.datetime):
        return _quoted(value.isoformat())
    return _quoted(str(text_of(value)))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _float(value: float, kind: str) -> str:
    if kind == "BINARY_FLOAT" and value == value and abs(value) != float("inf"):
        # The fewest digits that are the same number in four bytes.
        for digits in range(6, 9):
            shorter = f"{value:.{digits}g}"
            if struct.pack(">f", float(shorter)) == struct.pack(">f", value):
                return shorter
        return f"{value:.9g}"
    return {"nan": "Nan", "inf": "Inf", "-inf": "-Inf"}.get(repr(value), repr(value))


def _days_to_seconds(value: datetime.timedelta) -> str:
    sign = "-" if value < datetime.timedelta() else "+"
    value = abs(value)
    minutes, seconds = divmod(value.seconds, 60)
    fraction = f".{value.microseconds:06}" if value.microseconds else ""
    return f"{sign}{value.days:02} {minutes // 60:02}:{minutes % 60:02}:{seconds:02}{fraction}"


def _elements(values: Any) -> str:
    cut = ",…" if len(values) > MOST_ELEMENTS else ""
    kind = "BINARY_FLOAT" if isinstance(values, array.array) and values.typecode == "f" else ""
    parts = (_float(one, kind) if isinstance(one, float) else str(one) for one in values[:MOST_ELEMENTS])
    return "[" + ",".join(parts) + cut + "]"


def _object(value: Any, depth: int) -> str:
    """`NAME(…)` with its attributes or elements in order, as SQL*Plus shows it."""
    if depth > DEEPEST:
        return "…"
    if value.type.iscollection:
        parts = [_part(one, depth) for one in value.aslist()[:MOST_ELEMENTS]]
    else:
        parts = [_part(getattr(value, attribute.name), depth) for attribute in value.type.attributes]
    return f"{value.type.name}({', '.join(parts)})"


def _part(value: Any, depth: int) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, oracledb.DbObject):
        return _object(value, depth + 1)
    if isinstance(value, oracledb.LOB):
        value, _left = lob_text(value)
    if isinstance(value, bytes):
        return f"'{value.hex().upper()}'"
    text = str(text_of(value))
    return f"'{text}'" if isinstance(value, str) else text
