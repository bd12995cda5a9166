"""Rows are passed by a loop that is made for their columns, or many alike at once: what is found is the same."""

from __future__ import annotations

import random
import struct

from bastion.protocols.contract import Piece, StatementEnds
from bastion.protocols.tds import rows as reader
from bastion.protocols.tds.client_side import TdsClientSide
from bastion.protocols.tds.exchange import Exchange
from bastion.protocols.tds.server_side import TdsServerSide
from bastion.protocols.tds.type_info import How

from . import messages as m

SHAPE: reader.Shape = ((How.BYTE, 0, 0), (How.FIXED, 4, 0), (How.SHORT, 0, 0), (How.BYTE, 0, 0))


def row(*, first: bytes = b"\4abcd", text: bytes | None = b"text", last: bytes = b"\3xyz") -> bytes:
    said = b"\xff\xff" if text is None else struct.pack("<H", len(text)) + text
    return b"\xd1" + first + b"1234" + said + last


USUAL = row()
ODD = (
    row(first=b"\0"), row(text=None), row(text=b""), row(text=b"t" * 4 + b"\xd1"), row(text=b"t" * 260),
    row(last=b"\0"),
    row(first=b"\0", text=b"text" + b"1234"),  # as long as the usual one, and laid out otherwise
    b"\xd2\x05" + b"1234" + b"\3xyz",
)  # fmt: skip


def by_hand(data: bytes, position: int) -> tuple[int, int]:
    found = 0
    while position < len(data) and data[position] in (0xD1, 0xD2):
        following, whole = reader.CutRow(SHAPE, with_bits=data[position] == 0xD2).passed(data, position + 1)
        if not whole:
            break
        position, found = following, found + 1
    return position, found


def test_rows_alike_are_those_that_the_loop_finds_in_front_of_the_first_other_one() -> None:
    for odd in ODD:
        for before in (reader.FEW_ALIKE, 100, 259):
            data = b"front" + USUAL * before + odd + USUAL * 30 + m.done(m.COUNT, 7)
            assert reader.pass_rows_alike(SHAPE, data, 5) == (5 + before * len(USUAL), before)
    data = USUAL * 40
    for cut in range(1, 2 * len(USUAL)):
        assert reader.pass_rows_alike(SHAPE, data[:-cut], 0) == by_hand(data[:-cut], 0)


def test_few_alike_and_values_in_chunks_are_left_to_the_loop() -> None:
    few = USUAL * (reader.FEW_ALIKE - 1)
    assert reader.pass_rows_alike(SHAPE, few + ODD[0] * 40, 0) == (0, 0)
    assert reader.pass_rows_alike(((How.CHUNKS, 0, 0),), b"\xd1" * 4000, 0) == (0, 0)
    assert reader.pass_rows_alike(SHAPE, ODD[-1] * 100, 0) == (0, 0)
    assert reader.pass_rows_alike(SHAPE, USUAL[:3], 0) == (0, 0)


def read(answer: bytes, size: int) -> tuple[list[StatementEnds], bytes]:
    exchange = Exchange()
    client, server = TdsClientSide(exchange), TdsServerSide(exchange)
    client.feed(m.batch("select 1"))
    pieces: list[Piece] = []
    for start in range(0, len(answer), size):
        pieces += server.feed(answer[start : start + size])
    ends = [note for piece in pieces for note in piece.notes if isinstance(note, StatementEnds)]
    return ends, b"".join(piece.data for piece in pieces)


def test_what_is_on_record_is_the_same_however_a_long_result_is_read() -> None:
    chance = random.Random(7)
    columns = m.columns((m.INT, "a"), (b"\x38", "b"), (m.NVARCHAR, "c"), (m.INT, "d"))
    usual = b"\xd1" + m.int_value(1) + b"1234" + m.text_value("xx") + m.int_value(2)
    odd = [
        b"\xd1\0" + b"1234" + m.text_value("xx") + m.int_value(2),
        b"\xd1" + m.int_value(1) + b"1234" + m.text_value("y" * chance.randrange(90)) + m.int_value(2),
        b"\xd2\x0d" + b"1234",
    ]
    rows: list[bytes] = []
    for _ in range(30):
        rows += [usual] * chance.randrange(300)
        rows += chance.choices(odd, k=chance.randrange(9))
    data = columns + b"".join(rows)
    answer = m.answer(data, m.done(m.COUNT, len(rows)), size=4096)
    silent = m.answer(data, m.done(), size=4096)
    for size in (1000, 5000, 16_384, 65_536, len(answer)):
        for said in (answer, silent):
            [end], passed = read(said, size)
            assert (end.rows, end.error, end.bytes_down) == (len(rows), None, len(said))
            assert passed == said
