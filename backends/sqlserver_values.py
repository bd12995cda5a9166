"""Values of SQL Server as text, and the types of columns, as far as pymssql lets them be known.

The driver gives Python values and one of five classes for a column's type. int, smallint and bigint are all `int`,
money is `decimal`, varchar and nvarchar are `nvarchar`; a column of NULLs has its class's commonest type.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pymssql import _mssql

from .interface import Cell, Column, Kind

_OF_CLASS = {
    _mssql.NUMBER: ("int", Kind.NUMBER),
    _mssql.DECIMAL: ("decimal", Kind.NUMBER),
    _mssql.DATETIME: ("datetime", Kind.TIME),
    _mssql.STRING: ("nvarchar", Kind.TEXT),
    _mssql.BINARY: ("varbinary", Kind.BINARY),
}


def columns_of(header: Sequence[tuple[Any, ...]], rows: Sequence[tuple[Any, ...]]) -> tuple[Column, ...]:
    """The columns of a result, from the driver's header and the first rows."""
    columns = []
    for place, described in enumerate(header):
        sample = next((row[place] for row in rows if row[place] is not None), None)
        name, kind = _of_value(sample, described[1])
        columns.append(Column(str(described[0]), name, kind))
    return tuple(columns)


def _of_value(value: Any, of_class: int) -> tuple[str, Kind]:
    if isinstance(value, bool):
        return "bit", Kind.NUMBER
    if isinstance(value, float):
        return "float", Kind.NUMBER
    if isinstance(value, uuid.UUID):
        return "uniqueidentifier", Kind.TEXT
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            return "datetimeoffset", Kind.TIME
        return ("datetime" if of_class == _mssql.DATETIME else "datetime2"), Kind.TIME
    if isinstance(value, datetime.date):
        return "date", Kind.TIME
    if isinstance(value, datetime.time):
        return "time", Kind.TIME
    return _OF_CLASS.get(of_class, ("nvarchar", Kind.TEXT))


def text_of(value: Any, type_name: str) -> Cell:
    """A value in the form in which SQL Server's own programs show it; bytes stay bytes."""
    if value is None or isinstance(value, str | bytes):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, uuid.UUID):
        return str(value).upper()
    if isinstance(value, datetime.datetime):
        return _moment(value, type_name)
    if isinstance(value, datetime.time):
        return value.isoformat()
    return str(value)


def _moment(value: datetime.datetime, type_name: str) -> str:
    text = value.replace(tzinfo=None).isoformat(" ", "milliseconds" if type_name == "datetime" else "auto")
    offset = value.utcoffset()
    if offset is None:
        return text
    minutes = int(offset.total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    return f"{text} {sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
