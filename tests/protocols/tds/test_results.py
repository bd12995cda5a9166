"""Kept bytes of an answer, shown later by the same code: also where they begin or end within a packet."""

from __future__ import annotations

import struct

import pytest

from bastion.protocols.contract import DatabaseError, ProtocolError, StatementEnds
from bastion.protocols.results import Column, Columns, Ended, Said
from bastion.protocols.tds.results import decode

from . import messages as m
from .examples import EXAMPLES, ITEMS, MANY
from .test_splits import played

TWO = Columns((Column("id", "int"), Column("name", "nvarchar(4000)")))


def kept(name: str) -> list[tuple[StatementEnds, bytes, bytes]]:
    """Of each statement its end, its bytes, and those from its description on."""
    turns = EXAMPLES[name]
    whole = b"".join(data for who, data in turns if who == "server")
    found = []
    for end in played(turns, 0).ends():
        described = whole[end.described : end.described + 65536] if end.described else b""
        found.append((end, whole[end.position - end.bytes_down : end.position], described))
    return found


def test_rows_errors_and_words_in_order() -> None:
    [(end, data, _)] = kept("several results")
    assert list(decode(data, formats=end.formats)) == [
        TWO, ["1", "a"], Ended("", 1), Said("INFO", "0", "x"), Ended("", 7),
        DatabaseError("207", "Invalid column name 'nosuch'."),
    ]  # fmt: skip


def test_each_statement_of_a_message_has_its_own_rows() -> None:
    found = {end.number: list(decode(data, described=described, formats=end.formats))
             for end, data, described in kept("prepared")}  # fmt: skip
    assert found[1][:3] == [TWO, ["1", "item 1"], Ended("", 1)]
    assert found[2] == [TWO, ["2", "item 2"], Ended("", 1)]
    assert found[3] == [TWO, ["3", "item 3"], Ended("", 1)]
    assert found[4] == [TWO, ["4", "item 4"], Ended("", 1)]
    assert found[1][3:] == [Columns((Column("(result)", "int"),)), ["7"], Ended("OUTPUT", None)]


def test_a_page_of_a_cursor_has_the_columns_of_its_opening() -> None:
    found = {end.number: list(decode(data, described=described, formats=end.formats))
             for end, data, described in kept("cursor")}  # fmt: skip
    assert found[2] == [TWO, *([str(n), f"item {n}"] for n in range(10)), Ended("", 10)]


def test_nulls_in_both_kinds_of_rows() -> None:
    [(end, data, _)] = kept("nulls")
    rows = [part for part in decode(data, formats=end.formats) if isinstance(part, list)]
    assert rows == [["1", None, None], [None, "0x" + "78" * 700 + "79" * 300, "3"], [None, None, "4"]]


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_ends_anywhere_is_shown_as_far_as_it_is_whole(name: str) -> None:
    for end, data, described in kept(name):
        whole = list(decode(data, described=described, formats=end.formats))
        for stop in range(0, len(data), 3):
            part = list(decode(data[:stop], described=described, formats=end.formats))
            assert part == whole[: len(part)]


def test_rows_of_columns_that_were_not_kept() -> None:
    assert list(decode(m.answer(MANY[0]))) == [
        Said("INFO", "", "What follows are rows; the description of their columns was not kept.")
    ]


def test_what_is_no_answer_is_said_so() -> None:
    with pytest.raises(ProtocolError):
        list(decode(m.answer(b"\x99")))
    with pytest.raises(ProtocolError):
        list(decode(b"\x04\x01\x00\x02\0\0\0\0"))


def test_names_of_types() -> None:
    collation = b"\x09\x04\xd0\x00\x34"
    text = b"\x23" + struct.pack("<I", 100) + collation
    described = b"\x81\x04\0" + struct.pack("<IH", 0, 0) + text + b"\x01" + m.us_text("t") + m.b_text("a")
    for info, name in ((b"\xe7\xff\xff" + collation, "b"), (b"\x6c\x09\x12\x04", "c"), (b"\x2b\x03", "d")):
        described += struct.pack("<IH", 0, 0) + info + m.b_text(name)
    pointed = b"\x10" + bytes(16) + bytes(8) + struct.pack("<I", 2) + b"hi"
    row = m.row(pointed, m.chunks(m.wide("x")), b"\x09\x01" + (12345).to_bytes(8, "little"), b"\0")
    assert list(decode(m.answer(described, row, m.done(m.COUNT, 1)))) == [
        Columns((Column("a", "text"), Column("b", "nvarchar(max)"), Column("c", "numeric(18,4)"),
                 Column("d", "datetimeoffset(3)"))),
        ["hi", "x", "1.2345", None], Ended("", 1),
    ]  # fmt: skip


def test_the_same_rows_by_values_and_by_the_loop_that_is_made() -> None:
    from bastion.protocols.tds import rows as reader

    data = ITEMS + b"".join(MANY * 40) + m.row_with_nulls([m.int_value(1), None]) * 9
    start = len(ITEMS)
    shape = reader.shape_of(tuple(_types(ITEMS)))
    assert len(data) - start > reader.WORTH_MAKING
    made = reader.pass_rows(shape, data, start)
    assert made == (len(data), 1609)
    for cut in range(1, 60):
        assert reader._loop(shape)(data[:-cut], start) == _slowly(shape, data[:-cut], start)


def _types(described: bytes) -> list:  # type: ignore[type-arg]
    from bastion.protocols.tds.type_info import read_column

    found, position = [], 3
    while position < len(described):
        info, _, position = read_column(described, position, 0x74000004)
        found.append(info)
    return found


def _slowly(shape, data: bytes, position: int) -> tuple[int, int]:  # type: ignore[no-untyped-def]
    from bastion.protocols.tds.rows import CutRow

    rows = 0
    while position < len(data):
        following, whole = CutRow(shape, with_bits=data[position] == 0xD2).passed(data, position + 1)
        if not whole:
            break
        position, rows = following, rows + 1
    return position, rows
