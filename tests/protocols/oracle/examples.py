"""Conversations of a client and a server, by what they show. Each is (speaker, bytes)."""

from __future__ import annotations

from decimal import Decimal

from tests.servers.oracle.columns import encode_number
from tests.servers.oracle.wire import counted, number, string

from . import messages as m

Conversation = list[tuple[str, bytes]]

_ROWS: list[tuple[int | str | None, ...]] = [(1, "eins"), (2, None), (3, "x" * 300)]
_DESCRIBED, _COLUMNS = m.described(("N", "T"), _ROWS)
_ONE = encode_number(Decimal(1))


def query(cursor: int = 3) -> Conversation:
    return [
        ("client", m.data(m.execute("select n, t from x", query=True))),
        ("server", m.data(_DESCRIBED + m.rows_of(_COLUMNS, _ROWS[:2]) + m.parameters() + m.end(rows=2, cursor=cursor))),
        ("client", m.data(m.fetch(cursor))),
        ("server", m.data(m.rows_of(_COLUMNS, _ROWS[2:]) + m.end(*m.NO_MORE, rows=3, cursor=cursor))),
    ]


_INSERT = m.execute("insert into x values (:1, :2)", binds=(2, 1), rows=((_ONE, b"a"), (_ONE, None), (_ONE, b"c" * 90)))
_FAILED = m.data(m.end(942, 'ORA-00942: table "X" does not exist'))

EXAMPLES: dict[str, Conversation] = {
    "a query and its pages": query(),
    "rows in small packets": [
        ("client", m.cut(m.execute("select n, t from x", query=True), 7)),
        ("server", m.cut(_DESCRIBED + m.rows_of(_COLUMNS, _ROWS) + m.parameters() + m.end(*m.NO_MORE, rows=3), 11)),
    ],
    "rows of binds": [
        ("client", m.cut(_INSERT, 60)),
        ("server", m.data(m.parameters() + m.end(rows=3, cursor=2, status=3))),
        ("client", m.data(m.again(2, 2, ((_ONE, b"d"), (_ONE, b"e"))))),
        ("server", m.data(m.parameters() + m.end(rows=2, cursor=2, status=3))),
        ("client", m.data(m.call(0x0E))),
        ("server", m.data(m.status())),
    ],
    "an error behind markers": [
        ("client", m.data(m.execute("select * from missing", query=True))),
        ("server", m.marker(1) + m.marker(2)),
        ("client", m.marker(2)),
        ("server", _FAILED),
        *query(),
    ],
    "an error in the middle of a fetch": [
        *query()[:3],
        ("server", m.data(m.rows_of(_COLUMNS, _ROWS[2:]))),
        ("server", m.marker(1) + m.marker(2)),
        ("client", m.marker(2)),
        ("server", m.data(m.end(1722, "ORA-01722: unable to convert string value to a number"))),
    ],
    "a break": [
        ("client", m.data(m.execute("begin wait; end;"))),
        ("client", m.marker(1)),
        ("server", m.marker(1) + m.marker(2)),
        ("client", m.marker(2)),
        ("server", m.data(m.end(1013, "ORA-01013: user requested cancel of current operation"))),
    ],
    "piggybacks in front of a call": [
        *query(),
        ("client", m.data(
            m.piggyback(0x69, b"\1" + number(1) + number(3)) + m.piggyback(0x98, b"\1" + counted(b"SALES"))
            + m.execute("alter session set current_schema = sales")
        )),
        ("server", m.data(m.parameters("SALES") + m.end())),
        ("client", m.data(m.fetch(3))),
        ("server", m.data(m.end(1001, "ORA-01001: invalid cursor"))),
    ],
    "values that come back": [
        ("client", m.data(m.execute("begin :o := :a; end;", binds=(2, 2), rows=((None, _ONE),)))),
        ("server", m.data(
            b"\x0b\0" + number(2) + number(0) + number(1) + number(0) * 3 + b"\x10\x20" + b"\7" + string(_ONE)
            + number(0) + m.parameters() + m.end(rows=1, cursor=4)
        )),
    ],
    "LOBs": [
        ("client", m.data(m.call(0x60, body=(
            b"\1" + number(4) + b"\0" + number(0) * 3 + b"\0\0\0" + number(2) + b"\0\0" + number(1) + number(0) + b"\1"
            + bytes(6) + b"loc4" + number(10)
        )))),
        ("server", m.data(b"\x0e" + string(b"\0a\0b") + b"\x08loc4" + number(2) + m.end())),
    ],
    "a text, values and an answer that are long": [
        ("client", m.cut(m.execute(
            "insert into x values (:1, :2) " + "-- ü\n" * 60, binds=((1, 40_000), 2, 1),
            rows=((_ONE, b"b" * 30, b"a" * 700), (_ONE, None, b"c" * 90)),
        ), 70)),
        ("server", m.data(m.parameters() + m.end(rows=2, cursor=2))),
        ("client", m.data(m.execute("select t, n from x", query=True))),
        ("server", m.cut(_DESCRIBED + m.rows_of(_COLUMNS, [(1, "y" * 900), (2, "z" * 300)]) + m.parameters()
                         + m.end(*m.NO_MORE, rows=2, cursor=3), 90)),
    ],
    "data for a LOB": [
        ("client", m.cut(m.call(0x60, body=(
            b"\1" + number(4) + b"\0" + number(0) * 3 + b"\0\0\0" + number(0x40) + b"\0\0" + number(1) + number(0)
            + b"\1" + bytes(6) + b"loc4" + b"\x0e\xfe" + (number(40) + b"d" * 40) * 9 + b"\0" + number(360)
        )), 50)),
        ("server", m.data(b"\x08loc4" + number(360) + m.end())),
    ],
    "what a DML gives back": [
        ("client", m.data(m.execute(
            "update x set a = :1 returning a, b into :2, :3", binds=(1, 1, 2), rows=((b"x",),)
        ))),
        ("server", m.data(
            b"\7" + number(2) + (string(b"x") + number(0)) * 2 + number(1) + string(_ONE) + number(0)
            + m.parameters() + m.end(rows=2, cursor=4)
        )),
        ("client", m.data(m.again(4, 1, ((b"y",),)))),
        ("server", m.data(b"\7" + number(0) * 2 + m.parameters() + m.end(cursor=4))),
    ],
    "a block that is run again": [
        ("client", m.data(m.execute("begin :o := :a; end;", binds=(2, 2), rows=((None, _ONE),)))),
        ("server", m.data(
            b"\x0b\0" + number(2) + number(0) + number(1) + number(0) * 3 + b"\x10\x20" + b"\7" + string(_ONE)
            + number(0) + m.parameters() + m.end(rows=1, cursor=4)
        )),
        ("client", m.data(m.again(4, 1, ((_ONE,),)))),
        ("server", m.data(b"\7" + string(_ONE) + number(0) + m.parameters() + m.end(rows=1, cursor=4))),
    ],
    "cursors inside rows": [
        ("client", m.data(m.execute("select cursor(select 1 from dual) c from x", query=True))),
        ("server", m.data(
            m.described(("C",), [("x",)])[0].replace(b"\x17" + bytes(23), b"\0").replace(b"\1\0\0\0", b"\x66\0\0\0", 1)
            + m.rows_of([], [()]) + b"\1" + _DESCRIBED[25:] + number(9)
            + m.parameters() + m.end(*m.NO_MORE, rows=1, cursor=3)
        )),
        ("client", m.data(m.fetch(9))),
        ("server", m.data(m.rows_of(_COLUMNS, _ROWS) + m.end(*m.NO_MORE, rows=3, cursor=9))),
    ],
    "calls that do not pass": [
        ("client", m.data(m.call(0x7A, 3, b"queue"))),
        ("client", m.data(m.piggyback(0x87, b"\0\0" + number(1) + (b"\1" + number(3)) + (b"\0\0") * 2 + b"\0\0\0\0"
                                      + b"\0\0" * 4 + b"\3job") + m.execute("select n, t from x", query=True))),
        ("server", m.data(_DESCRIBED + m.rows_of(_COLUMNS, _ROWS) + m.parameters() + m.end(*m.NO_MORE, rows=3))),
    ],
    "a transaction of two phases": [
        ("client", m.data(m.call(0x67, body=(
            number(1) + b"\0" + number(0) + number(7) + number(1) * 2 + b"\1" + number(2) + number(1) + number(0)
            + b"\1\1\1" + b"\0" + number(0) + b"\0" + number(0) + b"xb" + number(0)
        )))),
        ("server", m.data(b"\x08" + number(0) + number(3) + b"ctx" + m.end())),
    ],
    "the end": [
        ("client", m.data(m.call(9))),
        ("server", m.data(m.status())),
        ("client", m.data(b"", 0x40)),
    ],
}  # fmt: skip
