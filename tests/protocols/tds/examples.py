"""Conversations of whole messages, for everything that cuts them up: who speaks, and what."""

from __future__ import annotations

import struct

from . import messages as m

Turns = list[tuple[str, bytes]]

ITEMS = m.columns((m.INT, "id"), (m.NVARCHAR, "name"))
MANY = [m.row(m.int_value(n), m.text_value(f"item {n}")) for n in range(40)]
BLOB = b"\xa5\xff\xff"

EXAMPLES: dict[str, Turns] = {
    "select": [
        ("client", m.batch("select id, name from items")),
        ("server", m.answer(ITEMS, *MANY, m.done(m.COUNT, 40))),
        ("client", m.batch("select 2", size=512)),
        ("server", m.answer(ITEMS, *MANY, m.done(m.COUNT, 40), size=64)),
    ],
    "nulls": [
        ("client", m.batch("select * from t")),
        ("server", m.answer(
            m.columns((m.INT, "a"), (BLOB, "b"), (m.INT, "c")),
            m.row_with_nulls([m.int_value(1), None, None]),
            m.row_with_nulls([None, m.chunks(b"x" * 700, b"y" * 300), m.int_value(3)]),
            m.row(b"\0", b"\xff" * 8, m.int_value(4)),
            m.done(m.COUNT, 3), size=100)),
    ],
    "several results": [
        ("client", m.batch("select 1; print 'x'; update t set a = 1; select nosuch")),
        ("server", m.answer(
            ITEMS, m.row(m.int_value(1), m.text_value("a")), m.done(m.COUNT | m.MORE, 1), m.info(0, "x"),
            m.done(m.COUNT | m.MORE, 7), m.error(207, "Invalid column name 'nosuch'."), m.done(m.ERROR), size=80)),
    ],
    "rpc": [
        ("client", m.rpc(
            m.executesql("select @a, @b", "@a int, @b nvarchar(10)", m.integer(5, "@a"), m.nvarchar(None, "@b")))),
        ("server", m.answer(
            ITEMS, m.row(m.int_value(5), b"\xff\xff"), m.done_within(m.COUNT | m.MORE, 1), m.return_status(),
            m.done_procedure(), size=40)),
    ],
    "prepared": [
        ("client", m.rpc(m.call(13, m.integer(None, output=True), m.nvarchar("@P1 int"),
                                m.nvarchar("select id, name from items where id = @P1"), m.integer(1)))),
        ("server", m.answer(ITEMS, MANY[1], m.done_within(m.COUNT | m.MORE, 1), m.return_status(),
                            m.return_value(7), m.done_procedure())),
        ("client", m.rpc(m.call(12, m.integer(7), m.integer(2), flags=2))),
        ("server", m.answer(m.NO_COLUMNS, MANY[2], m.done_within(m.COUNT | m.MORE, 1), m.return_status(),
                            m.done_procedure(), size=32)),
        ("client", m.rpc(m.call("sp_execute", m.integer(7), m.integer(3)), m.call(12, m.integer(7), m.integer(4)))),
        ("server", m.answer(
            ITEMS, MANY[3], m.done_within(m.COUNT | m.MORE, 1), m.return_status(), m.done_procedure(m.MORE),
            ITEMS, MANY[4], m.done_within(m.COUNT | m.MORE, 1), m.return_status(), m.done_procedure())),
        ("client", m.rpc(m.call(15, m.integer(7)))),
        ("server", m.answer(m.return_status(), m.done_procedure())),
    ],
    "long statement": [
        ("client", m.rpc(
            m.call(10, m.long_nvarchar("select '" + "ä" * 400 + "'"), m.nvarchar("@a nvarchar(max)"),
                   m.long_nvarchar("v" * 300, "@a", chunk=77)), size=128)),
        ("server", m.answer(m.done_within(m.MORE), m.return_status(), m.done_procedure())),
        ("client", m.batch("insert into t values ('" + "x" * 300 + "')", size=128)),
        ("server", m.answer(m.done(m.COUNT, 1))),
    ],
    "transaction": [
        ("client", m.transaction(5, b"\x02\x00")),
        ("server", m.answer(m.begun(), m.done())),
        ("client", m.batch("use other")),
        ("server", m.answer(m.database("other"), m.info(5701, "Changed database context to 'other'."), m.done())),
        ("client", m.transaction(7, b"\0\0")),
        ("server", m.answer(m.committed(), m.done())),
    ],
    "attention": [
        ("client", m.batch("select * from big")),
        ("server", m.answer(ITEMS, *MANY, size=256, status=0)),
        ("client", m.attention()),
        ("server", m.answer(m.done(m.ATTENTION))),
        ("client", m.batch("select 1")),
        ("server", m.answer(ITEMS, MANY[0], m.done(m.COUNT, 1))),
        ("client", m.attention()),
        ("server", m.answer(m.done(m.ATTENTION))),
    ],
    "bulk": [
        ("client", m.batch("insert bulk items (id int, name nvarchar(40))")),
        ("server", m.answer(m.done())),
        ("client", m.packets(7, ITEMS + b"".join(MANY) + m.done(), size=200)),
        ("server", m.answer(m.done(m.COUNT, 40))),
    ],
    "reset": [
        ("client", m.batch("use other")),
        ("server", m.answer(m.database("other"), m.done())),
        ("client", m.batch("select 1", first=8)),
        ("server", m.answer(m.change(18, b"\0"), ITEMS, MANY[0], m.done(m.COUNT, 1))),
    ],
    "cursor": [
        ("client", m.rpc(m.call(2, m.integer(None, output=True), m.nvarchar("select id, name from items"),
                                m.integer(16, output=True), m.integer(1, output=True), m.integer(0, output=True)))),
        ("server", m.answer(ITEMS, m.return_status(), m.return_value(180150003), m.return_value(16, 2),
                            m.return_value(1, 3), m.return_value(40, 4), m.done_procedure())),
        ("client", m.rpc(m.call(7, m.integer(180150003), m.integer(2), m.integer(0), m.integer(10), flags=2))),
        ("server", m.answer(m.NO_COLUMNS, *MANY[:10], m.done_within(m.COUNT | m.MORE, 10), m.return_status(),
                            m.done_procedure())),
        ("client", m.rpc(m.call(1, m.integer(180150003), m.integer(0x21), m.integer(3), m.nvarchar("items"),
                                m.nvarchar("new name", "@name")))),
        ("server", m.answer(m.done_within(m.COUNT | m.MORE, 1), m.return_status(), m.done_procedure())),
        ("client", m.rpc(m.call(9, m.integer(180150003)))),
        ("server", m.answer(m.return_status(), m.done_procedure())),
    ],
    "tokens": [
        ("client", m.batch("select for browse")),
        ("server", m.answer(
            ITEMS, b"\xa4" + struct.pack("<H", 4) + bytes(4), b"\xa5" + struct.pack("<H", 3) + bytes(3),
            b"\xa9" + struct.pack("<HH", 2, 1), MANY[0], b"\xae\x0a\x01\0\0\0\x01\xff",
            b"\xe4" + struct.pack("<I", 6) + bytes(6), m.done(m.COUNT, 1), size=20)),
    ],
}  # fmt: skip
