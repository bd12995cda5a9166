"""What is decoded of kept answers: text and binary rows, several results, pages of a cursor; whole or cut anywhere."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.protocols.contract import DatabaseError, ProtocolError, StatementEnds
from bastion.protocols.mysql.codec import encode_lenenc_bytes
from bastion.protocols.mysql.results import decode
from bastion.protocols.results import Column, Columns, Ended, Part, Said

from .packets import CLASSIC, MODERN, Session, eof, err, ok, packet, prepare_ok, query, run

BOTH = pytest.mark.parametrize("modern", [False, True], ids=["eof", "deprecate-eof"])
MORE_RESULTS, CURSOR_EXISTS, LAST_ROW_SENT = 0x08, 0x40, 0x80


def definition(name: str, kind: int = 253, *, collation: int = 45, flags: int = 0, extended: bytes | None = None,
               default: bytes = b"") -> bytes:  # fmt: skip
    parts = [b"def", b"s", b"t", b"t", name.encode(), name.encode()]
    fixed = b"\x0c" + struct.pack("<HIBHB", collation, 100, kind, flags, 0) + b"\0\0"
    more = b"" if extended is None else encode_lenenc_bytes(extended)
    return b"".join(map(encode_lenenc_bytes, parts)) + more + fixed + default


def result(columns: list[bytes], rows: list[bytes], *, modern: bool, status: int = 2) -> list[bytes]:
    payloads = [bytes([len(columns)]), *columns]
    if not modern:
        payloads.append(eof())
    return [*payloads, *rows, ok(head=0xFE, status=status) if modern else eof(status)]


def text_row(*values: str | bytes | None) -> bytes:
    return b"".join(
        b"\xfb" if value is None else encode_lenenc_bytes(value.encode() if isinstance(value, str) else value)
        for value in values
    )


def text(*payloads: bytes) -> list[Part]:
    return list(decode(run(1, *payloads), "utf-8", "COM_QUERY"))


def shown(session: Session, operation: str, number: int) -> list[Part]:
    """The parts of a statement's answer, found as a recording finds them."""
    [end] = [note for note in session.notes if isinstance(note, StatementEnds) and note.number == number]
    described = session.down[end.described :] if end.described else b""
    data = session.down[end.position - end.bytes_down : end.position]
    return list(decode(data, "utf-8", operation, described=described))


@BOTH
def test_a_result_with_nulls_and_an_empty_text(modern: bool) -> None:
    rows = [text_row("1", None, ""), text_row("2", "zwei", "\x1b[31m")]
    payloads = result([definition("n", 3), definition("b"), definition("c", 252)], rows, modern=modern)
    columns = Columns((Column("n", "int"), Column("b", "varchar"), Column("c", "text")))
    assert text(*payloads) == [columns, ["1", None, ""], ["2", "zwei", "\x1b[31m"], Ended("", None)]


@BOTH
def test_several_results_and_what_ends_them(modern: bool) -> None:
    payloads = [
        *result([definition("a")], [text_row("x")], modern=modern, status=2 | MORE_RESULTS),
        ok(affected=3, status=2 | MORE_RESULTS),
        *result([definition("b")], [], modern=modern, status=2 | MORE_RESULTS),
        err(1146, "42S02", "no such table"),
    ]
    assert text(*payloads) == [
        Columns((Column("a", "varchar"),)), ["x"], Ended("", None), Ended("", 3), Columns((Column("b", "varchar"),)),
        Ended("", None), DatabaseError("1146 (42S02)", "no such table"),
    ]  # fmt: skip


@BOTH
def test_an_error_in_the_middle_of_rows(modern: bool) -> None:
    payloads = result([definition("a")], [text_row("x")], modern=modern)[:-1]
    parts = text(*payloads, err(1317, "70100", "interrupted"))
    assert parts[1:] == [["x"], DatabaseError("1317 (70100)", "interrupted")]


@BOTH
def test_statements_of_one_read_are_told_apart(modern: bool) -> None:
    session = Session(MODERN if modern else CLASSIC)
    session.client(query("select a"))
    session.client(query("delete from t"))
    session.server(run(1, *result([definition("a")], [text_row("x")], modern=modern)) + run(1, ok(affected=2)))
    assert shown(session, "COM_QUERY", 1)[1:] == [["x"], Ended("", None)]
    assert shown(session, "COM_QUERY", 2) == [Ended("", 2)]


@BOTH
def test_binary_rows_by_their_types(modern: bool) -> None:
    columns = [
        definition("tiny", 1, collation=63), definition("big", 8, collation=63, flags=0x20),
        definition("real", 5, collation=63), definition("single", 4, collation=63),
        definition("when", 12, collation=63), definition("day", 10, collation=63),
        definition("span", 11, collation=63), definition("price", 246, collation=63),
        definition("name", 253), definition("blob", 252, collation=63), definition("bit", 16, collation=63),
        definition("none", 3, collation=63),
    ]  # fmt: skip
    values = (
        struct.pack("<b", -5) + struct.pack("<Q", 2**64 - 1) + struct.pack("<d", 0.1) + struct.pack("<f", 2.7)
        + b"\x0b" + struct.pack("<HBBBBBI", 2026, 11, 22, 9, 30, 1, 250_000) + b"\x04" + struct.pack("<HBB", 2026, 1, 2)
        + b"\x08" + struct.pack("<BIBBB", 1, 2, 3, 4, 5) + b"\x0512.50" + encode_lenenc_bytes("größer".encode())
        + b"\x02\xff\x00" + b"\x01\x05"
    )  # fmt: skip
    nulls = bytearray(2)
    nulls[13 >> 3] |= 1 << (13 & 7)
    payloads = result(columns, [b"\0" + bytes(nulls) + values], modern=modern)
    parts = list(decode(run(1, *payloads), "utf-8", "COM_STMT_EXECUTE"))
    assert parts[1] == [
        "-5", "18446744073709551615", "0.1", "2.7", "2026-11-22 09:30:01.250000", "2026-01-02", "-51:04:05", "12.50",
        "größer", "0xff00", "0x05", None,
    ]  # fmt: skip
    assert isinstance(parts[0], Columns)
    assert [column.type for column in parts[0].columns][:3] == ["tinyint", "bigint unsigned", "double"]


@BOTH
def test_pages_of_a_cursor_have_the_columns_of_its_execution(modern: bool) -> None:
    session = Session(MODERN if modern else CLASSIC)
    session.client(packet(0, b"\x16select a from t"))
    session.server(run(1, *prepare_ok(1, 0, 0, modern=modern)))
    session.client(packet(0, b"\x17\1\0\0\0\1\1\0\0\0"))
    opened = [b"\1", definition("a", 3, collation=63)]
    if modern:
        session.server(run(1, *opened, ok(head=0xFE, status=2 | CURSOR_EXISTS)))
    else:
        session.server(run(1, *opened, eof(2 | CURSOR_EXISTS)))
    for value, status in ((7, CURSOR_EXISTS), (8, CURSOR_EXISTS | LAST_ROW_SENT)):
        session.client(packet(0, b"\x1c\1\0\0\0\1\0\0\0"))
        end = ok(head=0xFE, status=2 | status) if modern else eof(2 | status)
        session.server(run(1, b"\0\0" + struct.pack("<i", value), end))
    columns = Columns((Column("a", "int"),))
    opening = Ended("" if modern else "(a cursor was opened)", None)
    assert shown(session, "COM_STMT_EXECUTE", 2) == [columns, opening]
    assert shown(session, "COM_STMT_FETCH", 3) == [columns, ["7"], Ended("", None)]
    assert shown(session, "COM_STMT_FETCH", 4) == [columns, ["8"], Ended("", None)]
    assert shown(session, "COM_STMT_PREPARE", 1) == [Ended("prepared: 0 parameters, 0 columns", None)]


def test_the_extended_types_of_mariadb() -> None:
    for name in ("uuid", "inet6", "point12345"):
        extended = b"\0" + bytes([len(name)]) + name.encode()
        parts = text(*result([definition("u", 254, extended=extended)], [text_row("x")], modern=True))
        assert parts[0] == Columns((Column("u", name),))
    parts = text(*result([definition("u", 254, extended=b"")], [text_row("x")], modern=True))
    assert parts[0] == Columns((Column("u", "char"),))


def test_the_fields_of_a_table_with_their_defaults() -> None:
    data = run(1, definition("a", 3, default=b"\x010"), definition("b", 253, default=b"\xfb"), eof())
    parts = list(decode(data, "utf-8", "COM_FIELD_LIST"))
    assert parts[1:] == [["a", "int"], ["b", "varchar"], Ended("", None)]


def test_a_file_that_the_server_asked_for_is_named_and_not_kept() -> None:
    parts = text(b"\xfb/tmp/data.csv", ok(affected=4))
    assert isinstance(parts[0], Said)
    assert "'/tmp/data.csv'" in parts[0].message
    assert parts[1:] == [Ended("", 4)]


def test_texts_are_in_the_encoding_of_their_column() -> None:
    row = text_row("Größe".encode("cp1252"), b"\xff\xfe\0", "utf-8 in a blob")
    columns = [definition("a", collation=8), definition("b", 253, collation=63), definition("c", 252, collation=63)]
    parts = text(*result(columns, [row], modern=True))
    assert parts[1] == ["Größe", "0xfffe00", "utf-8 in a blob"]


def test_a_value_of_16_mib_in_several_packets() -> None:
    value = b"x" * (1 << 24)
    row = encode_lenenc_bytes(value)
    head = run(1, b"\1", definition("a"))
    data = head + packet(3, row[:0xFFFFFF]) + packet(4, row[0xFFFFFF:]) + packet(5, ok(head=0xFE))
    assert list(decode(data, "utf-8", "COM_QUERY"))[1:] == [[value.decode()], Ended("", None)]


VALUES = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=300))


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.lists(VALUES, min_size=2, max_size=2), max_size=8), modern=st.booleans(), data=st.data())
def test_a_cut_answer_gives_a_beginning_of_the_whole_one(
    rows: list[list[str | None]], modern: bool, data: st.DataObject
) -> None:
    payloads = result([definition("a"), definition("b")], [text_row(*row) for row in rows], modern=modern)
    stream = run(1, *payloads)
    whole = list(decode(stream, "utf-8", "COM_QUERY"))
    assert [part for part in whole if isinstance(part, list)] == rows
    assert whole[-1] == Ended("", None)
    cut = list(decode(stream[: data.draw(st.integers(0, len(stream)))], "utf-8", "COM_QUERY"))
    assert cut == whole[: len(cut)]


@settings(max_examples=300, deadline=None)
@given(
    payloads=st.lists(st.binary(max_size=60), max_size=6),
    operation=st.sampled_from(
        ["COM_QUERY", "COM_STMT_EXECUTE", "COM_STMT_FETCH", "COM_STMT_PREPARE", "COM_FIELD_LIST"]
    ),
    opened=st.booleans(),
)
def test_noise_is_refused_or_shown_and_nothing_else(payloads: list[bytes], operation: str, opened: bool) -> None:
    start = [b"\2", definition("a", 3), definition("b", 12)] if opened else []
    data = run(1, *start, *payloads)
    try:
        list(decode(data, "utf-8", operation, described=data))
    except ProtocolError as error:
        assert error.reason  # noqa: PT017
