"""Values in binary form, as a real server sends them, read as that server writes them itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import Format

from bastion.protocols.postgres.values import value_text
from tests.servers.postgres import PostgresServer

VALUES = r"""
int2: -32768
int4: 0 | 2147483647
int8: -9223372036854775808
oid: 4294967295
float4: 1.5 | -3.4e38 | NaN | 1e-10 | 100000 | 1e6 | -16777216 | 1e-45 | 1.5e-5 | -0
float8: 0.1 | 1e300 | -Infinity | 123456789012 | 999999999999999 | 1e15 | -1234567890123456 | 123456789012345680 | -0
numeric: 0 | 0.00 | -0.001 | 12345678901234567890.0987654321 | 1e50 | 1e-30 | NaN | -Infinity | 10000 | -9999.9
text: | 订单 é | a\b
varchar: x
name: n
"char": c
json: {"a": [1]}
jsonb: {"a": [1, null]}
jsonpath: $.a[*] ? (@ > 1)
bytea: \x00ff |
uuid: 6b0e2f6e-3f0a-4b5d-8a50-2f6f3c2b1a00
date: 2026-02-28 | 0001-01-01 | 9999-12-31 | infinity | -infinity
time: 00:00:00 | 23:59:59.999999 | 24:00:00
timetz: 01:02:03+05:30 | 01:02:03.5-08:00
timestamp: 2026-01-02 03:04:05.000006 | 1969-12-31 23:59:59 | 2026-01-02 03:04:05.5 | infinity
timestamptz: 2026-01-02 03:04:05.25+02
interval: 0 | 1 day | -1 days +02:03:04 | 1 year | 1 mon | 14 mons | -14 mons +3 days -04:05:06.789 | 999:00:00
interval: infinity | -infinity | 1 year -1 day | -00:00:00.000001
inet: 10.0.0.1 | 10.1.2.3/8 | ::1 | 2001:db8::/32 | ::ffff:1.2.3.4 | ::ffff:0:0 | ::1.2.3.4 | ::2 | ::1:0 | 0.0.0.0/0
cidr: 10.0.0.0/8 | 10.0.0.1/32 | 2001:db8::/32 | ::1/128
macaddr: 08:00:2b:01:02:03
macaddr8: 08:00:2b:01:02:03:04:05
bit(5): 10110
varbit: | 1 | 101100111000
pg_lsn: 16/B374D848 | 0/0
xid8: 18446744073709551615
tid: (4294967295,65535)
point: (1.5,-2)
lseg: [(1,2),(3,4.25)]
box: (3,4),(1,2)
path: [(1,2),(3,4)] | ((1,2),(3,4))
polygon: ((0,0),(1,0),(1,1))
circle: <(1,2),3.5>
line: {1,2,3}
int4range: [1,10) | empty | (,5) | [5,) | (,)
int8range: [-5,7)
numrange: [1.5,2.50] | (1,2)
daterange: [2026-01-01,2026-02-01)
tsrange: [2026-01-01 00:00:00,2026-01-01 00:00:01]
tstzrange: [2026-01-01 00:00:00+00,)
int4multirange: {} | {[1,2),[5,9)}
nummultirange: {(,1.5]}
datemultirange: {[2026-01-01,2026-02-01)}
int4[]: {} | {1,NULL,3} | {{1,2},{3,4}} | [2:3]={7,8} | [0:0][5:6]={{1,2}} | {{{1},{2}},{{3},{4}}}
text[]: {"",NULL,"NULL","a b","q\"uote","back\\slash","{}",plain,"x,y"}
bytea[]: {"\\x00","\\xff"}
numeric[]: {1.50,-2}
uuid[]: {6b0e2f6e-3f0a-4b5d-8a50-2f6f3c2b1a00}
jsonb[]: {"{\"a\": 1}"}
inet[]: {10.0.0.1,::1}
timestamptz[]: {"2026-01-02 03:04:05+00"}
interval[]: {"1 day",02:00:00}
date[]: {2026-01-02}
time[]: {01:02:03}
box[]: {(3,4),(1,2);(7,8),(5,6)}
int4range[]: {"[1,2)",empty}
float8[]: {0.5}
bit(2)[]: {10,01}
cidr[]: {10.0.0.0/8}
macaddr[]: {08:00:2b:01:02:03}
point[]: {"(1,2)"}
pg_lsn[]: {0/1}
"""
"""Types, each with values of it."""


@pytest.fixture(scope="module")
def connection(postgres_server: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with postgres_server.admin() as standing:
        yield standing


def both_forms(connection: psycopg.Connection[Any], expression: str) -> tuple[int, bytes, str]:
    """The type's OID, the value in binary form, and in text."""
    binary = connection.pgconn.exec_params(f"SELECT {expression}".encode(), [], result_format=Format.BINARY)
    text = connection.pgconn.exec_params(f"SELECT {expression}".encode(), [], result_format=Format.TEXT)
    data, shown = binary.get_value(0, 0), text.get_value(0, 0)
    assert data is not None, binary.error_message
    assert shown is not None
    return binary.ftype(0), data, shown.decode()


@pytest.mark.parametrize("line", VALUES.strip().splitlines())
def test_a_value_reads_as_the_server_writes_it(connection: psycopg.Connection[Any], line: str) -> None:
    kind, _, values = line.partition(":")
    for value in values.split("|"):
        literal = "'" + value.strip().replace("'", "''") + "'"
        oid, data, text = both_forms(connection, f"{literal}::{kind}")
        # Zones are written with their minutes here.
        assert value_text(oid, True, data, "utf-8").replace("+00:00", "+00") == _zoned(kind, text), value


def _zoned(kind: str, text: str) -> str:
    return text + ":00" if kind == "timetz" and text[-3] in "+-" else text


def test_truth_values(connection: psycopg.Connection[Any]) -> None:
    assert [value_text(*_of(connection, f"{word}::bool")) for word in ("true", "false")] == ["true", "false"]
    assert value_text(*_of(connection, "'{t,f,NULL}'::bool[]")) == "{true,false,NULL}"


def _of(connection: psycopg.Connection[Any], expression: str) -> tuple[int, bool, bytes, str]:
    oid, data, _ = both_forms(connection, expression)
    return oid, True, data, "utf-8"


def test_numbers_of_objects_are_numbers(connection: psycopg.Connection[Any]) -> None:
    for kind in ("regclass", "regtype", "regrole", "regnamespace", "regconfig"):
        name = {"regclass": "pg_class", "regtype": "int4", "regrole": "postgres", "regnamespace": "pg_catalog"}
        literal = f"'{name.get(kind, 'english')}'::{kind}"
        number = connection.execute(f"SELECT {literal}::oid").fetchone()  # type: ignore[arg-type]
        assert number is not None
        assert value_text(*_of(connection, literal)) == str(number[0])


def test_every_built_in_array_is_read(connection: psycopg.Connection[Any]) -> None:
    """All array types that the server knows and of which the elements are."""
    rows = connection.execute(
        "SELECT array_type.oid, format_type(array_type.oid, NULL) FROM pg_type element "
        "JOIN pg_type array_type ON element.typarray = array_type.oid "
        "WHERE element.oid < 10000 AND element.typtype IN ('b', 'r', 'm') AND element.typname !~ '^_' "
        "AND element.typsend <> 0"
    ).fetchall()
    unread = {name for _, name in rows if value_text(*_of(connection, f"'{{}}'::{name}")) != "{}"}
    assert unread == set(NOT_READ)


NOT_READ = ("int2vector[]", "oidvector[]", "pg_snapshot[]", "tsquery[]", "tsvector[]", "txid_snapshot[]")
"""Shown as bytes: nobody binds them."""
