"""The test server for TDS, directly: every type there and back, as two clients that share no code read it."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytds
import pytest

from .sqlserver import TdsServer
from .sqlserver_clients import Address, odbc

ZONE = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
GUID = uuid.UUID("0e984725-c51c-4bf4-9960-e1c80e27aba0")
MOMENT = datetime.datetime(2024, 1, 2, 3, 4, 5, 123000)
TYPES: list[tuple[str, str, Any]] = [
    ("bit", "1", True),
    ("tinyint", "255", 255),
    ("smallint", "-32768", -32768),
    ("int", "-2147483648", -2147483648),
    ("bigint", "9223372036854775807", 9223372036854775807),
    ("decimal(38,6)", "'12345678901234567890.123456'", decimal.Decimal("12345678901234567890.123456")),
    ("numeric(5,2)", "-1.5", decimal.Decimal("-1.50")),
    ("money", "'-922337203685477.5808'", decimal.Decimal("-922337203685477.5808")),
    ("smallmoney", "214748.3647", decimal.Decimal("214748.3647")),
    ("float", "1.5e300", 1.5e300),
    ("real", "0.25", 0.25),
    ("date", "'0001-01-01'", datetime.date(1, 1, 1)),
    ("time(7)", "'23:59:59.123456'", datetime.time(23, 59, 59, 123456)),
    ("time(0)", "'23:59:59'", datetime.time(23, 59, 59)),
    ("datetime", "'2024-01-02 03:04:05.123'", MOMENT),
    ("smalldatetime", "'2024-01-02 03:04:00'", datetime.datetime(2024, 1, 2, 3, 4)),
    ("datetime2(3)", "'2024-01-02 03:04:05.123'", MOMENT),
    ("datetime2(6)", "'9999-12-31 23:59:59.999999'", datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)),
    ("datetimeoffset(3)", "'2024-01-02 03:04:05.123 +05:30'", MOMENT.replace(tzinfo=ZONE)),
    ("uniqueidentifier", f"'{GUID}'", GUID),
    ("varchar(10)", "'é'", "é"),
    ("char(3)", "'a'", "a  "),
    ("nvarchar(10)", "N'漢😀'", "漢😀"),
    ("nchar(3)", "N'漢'", "漢  "),
    ("varchar(max)", "replicate(cast('x' as varchar(max)), 20000)", "x" * 20000),
    ("nvarchar(max)", "replicate(cast(N'漢' as nvarchar(max)), 20000)", "漢" * 20000),
    ("varbinary(10)", "0x00ff", b"\0\xff"),
    ("binary(4)", "0x00ff", b"\0\xff\0\0"),
    ("varbinary(max)", "replicate(cast(0x01 as varbinary(max)), 20000)", b"\1" * 20000),
    ("text", "'old é'", "old é"),
    ("ntext", "N'old 漢'", "old 漢"),
    ("image", "0x0102", b"\1\2"),
    ("xml", "'<a>é</a>'", "<a>é</a>"),
    ("sql_variant", "N'any'", "any"),
]


@pytest.fixture(scope="module")
def python_tds(tds_server: TdsServer) -> Any:
    with pytds.connect(
        tds_server.host,
        port=tds_server.ports["plain"],
        user="sa",
        password=tds_server.admin_password,
        timeout=60,
        login_timeout=60,
        autocommit=True,
    ) as connection:
        yield connection


@pytest.fixture(scope="module")
def driver(tds_server: TdsServer) -> Any:
    connection = odbc(Address(tds_server.ports["small"], "sa", tds_server.admin_password), "Encrypt=no")
    yield connection
    connection.close()


@pytest.mark.parametrize(("declared", "literal", "expected"), TYPES, ids=[each[0] for each in TYPES])
def test_python_tds_reads(python_tds: Any, declared: str, literal: str, expected: Any) -> None:
    cursor = python_tds.cursor()
    cursor.execute(f"select cast({literal} as {declared}), cast(null as {declared}), 1")
    ((value, null, behind),) = cursor.fetchall()
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        assert value.utcoffset() == ZONE.utcoffset(None)
    assert (value, null, behind) == (expected, None, 1)


@pytest.mark.parametrize(("declared", "literal", "expected"), TYPES, ids=[each[0] for each in TYPES])
def test_microsofts_driver_reads(driver: Any, declared: str, literal: str, expected: Any) -> None:
    if declared.startswith("datetimeoffset"):
        query = f"select cast(cast({literal} as {declared}) as varchar(40)), null, 1"
        expected = literal.strip("'")
    else:
        # pyodbc makes '' of a sql_variant that is NULL.
        query = f"select cast({literal} as {declared}), cast(null as {declared.replace('sql_variant', 'int')}), 1"
    value, null, behind = driver.execute(query).fetchone()
    if declared.startswith(("time(", "sql_variant")):
        assert str(value).startswith(str(expected)[:8])
    elif declared == "uniqueidentifier":
        assert uuid.UUID(value) == expected
    else:
        assert value == expected
    assert (null, behind) == (None, 1)


@pytest.mark.parametrize(
    "value",
    [
        True,
        5,
        -(1 << 40),
        1.5,
        decimal.Decimal("-12345.678"),
        datetime.date(2024, 1, 2),
        MOMENT,
        "漢😀",
        "x" * 9000,
        b"\0\xff",
        b"y" * 9000,
        None,
    ],
    ids=lambda value: f"{type(value).__name__}-{len(value) if isinstance(value, str | bytes) else ''}",
)
def test_parameters_come_back(python_tds: Any, driver: Any, value: Any) -> None:
    cursor = python_tds.cursor()
    if not isinstance(value, bytes):  # python-tds sends bytes as text
        cursor.execute("select %s, 1", (value,))
        assert cursor.fetchall() == [(value, 1)]
    row = driver.execute("select ?, 1", value).fetchone()
    assert tuple(row) == (value, 1)


def test_rows_of_nulls_alone_and_mixed(python_tds: Any, driver: Any) -> None:
    columns = ", ".join(f"case when n % {width} = 0 then null else n end" for width in range(1, 20))
    query = f"with n as (select 1 as n union all select n + 1 from n where n < 40) select {columns} from n"
    expected = [tuple(None if n % width == 0 else n for width in range(1, 20)) for n in range(1, 41)]
    cursor = python_tds.cursor()
    cursor.execute(query)
    assert cursor.fetchall() == expected
    assert [tuple(row) for row in driver.execute(query).fetchall()] == expected
