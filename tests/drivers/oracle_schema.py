"""The tables and procedures that the tests of python-oracledb expect, as far as the test server has their types.

Their own script for it is not part of the driver's source distribution; names, types and values are those that its
tests assert.
"""

from __future__ import annotations

import sqlite3
import struct
from datetime import datetime, timedelta

from tests.servers.oracle.blocks import PROCEDURES
from tests.servers.oracle.columns import Value, encode_date
from tests.servers.oracle.sql import Session, types_in_quotes

TABLES = """
create table TestNumbers (IntCol number(9) not null, LongIntCol number(16) not null, NumberCol number(9, 2) not null,
    FloatCol float not null, UnconstrainedCol number not null, NullableCol number(38));
create table TestStrings (IntCol number(9) not null, StringCol varchar2(20) not null, RawCol raw(30) not null,
    FixedCharCol char(40) not null, NullableCol varchar2(50));
create table TestUnicodes (IntCol number(9) not null, UnicodeCol nvarchar2(20) not null,
    FixedUnicodeCol nchar(40) not null, NullableCol nvarchar2(50));
create table TestDates (IntCol number(9) not null, DateCol date not null, NullableCol date);
create table TestCLOBs (IntCol number(9) not null, CLOBCol clob not null, ExtraNumCol1 number(9), ExtraCLOBCol1 clob,
    ExtraNumCol2 number(9), ExtraCLOBCol2 clob);
create table TestNCLOBs (IntCol number(9) not null, NCLOBCol nclob not null, ExtraNumCol1 number(9),
    ExtraNCLOBCol1 nclob, ExtraNumCol2 number(9), ExtraNCLOBCol2 nclob);
create table TestBLOBs (IntCol number(9) not null, BLOBCol blob not null, ExtraNumCol1 number(9), ExtraBLOBCol1 blob,
    ExtraNumCol2 number(9), ExtraBLOBCol2 blob);
create table TestLongs (IntCol number(9) not null, LongCol long);
create table TestLongRaws (IntCol number(9) not null, LongRawCol long raw);
create table TestTempTable (IntCol number(9) not null primary key, StringCol1 varchar2(400), StringCol2 varchar2(400),
    NumberCol number(25,2));
create table TestArrayDML (IntCol number(9) not null primary key, StringCol varchar2(100), IntCol2 number(3));
create table TestTimestamps (IntCol number(9) not null, TimestampCol timestamp not null, NullableCol timestamp,
    TimestampPrecisionCol timestamp(4));
create table TestTimestampLTZs (IntCol number(9) not null, TimestampLTZCol timestamp with local time zone not null,
    NullableCol timestamp with local time zone, TimestampLTZPrecisionCol timestamp(5) with local time zone);
create table TestTimestampTZs (IntCol number(9) not null, TimestampTZCol timestamp with time zone not null,
    NullableCol timestamp with time zone, TimestampTZPrecisionCol timestamp(7) with time zone);
create table TestIntervals (IntCol number(9) not null, IntervalCol interval day to second not null,
    NullableCol interval day to second, IntervalPrecisionCol interval day(7) to second,
    IntervalPrecisionScaleCol interval day(8) to second(9));
create table TestIntervalYMs (IntCol number(9) not null, IntervalCol interval year to month not null,
    NullableCol interval year to month, IntervalPrecisionCol interval year(3) to month);
create table TestRowids (IntCol number(9) not null, RowidCol rowid, URowidCol urowid);
create table TestDataframe (Id number(9), FirstName varchar2(100), LastName varchar2(100), City varchar2(100),
    Country varchar2(100), DateOfBirth date, Salary number(9, 2), CreditScore number(3, 0), LastUpdated timestamp);
create table nls_database_parameters (parameter varchar2(30), value varchar2(160));
insert into nls_database_parameters values ('NLS_CHARACTERSET', 'AL32UTF8'), ('NLS_NCHAR_CHARACTERSET', 'AL16UTF16');
"""


def build(path: str) -> None:
    """In the SQLite file of a test server."""
    connection = sqlite3.connect(path)
    with connection:
        connection.executescript(types_in_quotes(TABLES))
        for each in range(1, 11):
            for table, values in _rows(each):
                connection.execute(f"insert into {table} values ({', '.join('?' * len(values))})", values)
    connection.close()
    PROCEDURES.update(_PROCEDURES)


def _rows(i: int) -> list[tuple[str, list[Value]]]:
    odd = bool(i % 2)
    day, stamp = datetime(2002, 12, 9), timedelta(days=i, seconds=i * 2, microseconds=_fraction(i * 50))
    later = timedelta(days=i + 1, seconds=i * 3, microseconds=_fraction(i * 125))
    offset = (i if odd else -i) * 60 + (-30 if not odd else 30) * (i % 4 != 0)
    zoned, local = datetime(2022, 6, 3) - timedelta(minutes=offset), datetime(2022, 6, 2) - timedelta(minutes=offset)
    return [
        ("TestNumbers", [i, 38**i, i + i * 0.25, i + i * 0.75, i * i * i + i * 0.5, str(143**i) if odd else None]),
        ("TestStrings", [i, f"String {i}", f"Raw {i}".encode(), f"Fixed Char {i}", f"Nullable {i}" if odd else None]),
        ("TestUnicodes", [i, f"Unicode \u3042 {i}", f"Fixed Unicode {i}", f"Nullable {i}" if odd else None]),
        ("TestDates", [i, _text(day + timedelta(days=i * 1.1)),
                       _text(day + timedelta(days=i * 2 + i * 0.15)) if odd else None]),
        ("TestTimestamps", [i, (day + stamp).isoformat(" "), (day + later).isoformat(" ") if odd else None,
                            "2009-12-14 00:00:00"]),
        ("TestTimestampTZs", [i, _zoned(zoned + stamp, offset),
                              _zoned(datetime(2022, 6, 3) + later, 0) if odd else None,
                              _zoned(datetime(2009, 12, 14), 0)]),
        ("TestTimestampLTZs", [i, encode_date((local + stamp).isoformat(" "), True),
                               encode_date((datetime(2022, 6, 2) + later).isoformat(" "), True) if odd else None,
                               encode_date("2009-12-14 00:00:00", True)]),
        ("TestIntervals", [i, _interval(i, i, i * 2, i * 3),
                           _interval(i + 5, i + 2, i * 2 + 5, i * 3 + 5) if odd else None,
                           _interval(8, 5, 15, 0), _interval(10, 12, 15, 15)]),
        ("TestIntervalYMs", [i, _months(i - 5, i), _months(i + 5, i + 2) if odd else None, _months(3, 8)]),
    ]  # fmt: skip


def _fraction(digits: int) -> int:
    return round(float(f"0.{digits}") * 1_000_000)


def _text(moment: datetime) -> str:
    return (moment + timedelta(microseconds=500_000)).replace(microsecond=0).isoformat(" ")


def _zoned(moment: datetime, offset: int) -> bytes:
    """`moment` in UTC, and the offset in minutes."""
    data = encode_date(moment.isoformat(" "), True).ljust(11, b"\0")
    hours, minutes = divmod(abs(offset), 60)
    sign = -1 if offset < 0 else 1
    return data + bytes((sign * hours + 20, sign * minutes + 60))


def _interval(days: int, hours: int, minutes: int, seconds: int) -> bytes:
    return struct.pack(">IBBBI", days + (1 << 31), hours + 60, minutes + 60, seconds + 60, 1 << 31)


def _months(years: int, months: int) -> bytes:
    total = years * 12 + months if years >= 0 else years * 12 - months
    sign = -1 if total < 0 else 1
    years, months = divmod(abs(total), 12)
    return struct.pack(">IB", sign * years + (1 << 31), sign * months + 60)


# ------------------------------------------------------------------------------------------------------- the procedures


def _proc_test(_session: Session, values: list[Value]) -> list[Value]:
    length = len(str(values[0] or ""))
    return [values[0], int(str(values[1])) * length, length]


def _nothing(_session: Session, values: list[Value]) -> list[Value]:
    return values


_PROCEDURES = {"proc_test": _proc_test, "proc_testnoargs": _nothing}
