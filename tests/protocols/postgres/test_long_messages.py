"""Messages beyond what is held pass in parts: text whole on record, values by digest, memory bounded."""

from __future__ import annotations

import hashlib
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from bastion.protocols.contract import BINDS_LIMIT, TEXT_PART, ProtocolError, StatementBegins, StatementExtends
from bastion.protocols.postgres.exchange import MOST_HANDLES, Exchange

from . import messages as m
from .session import Session


def parts(data: bytes, size: int = 65_536) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", [300_000, 1_000_000, 5_000_000])
@pytest.mark.parametrize("cut", [65_536, 65_537, 10_000_000])
def test_a_long_query_is_whole_on_record(size: int, cut: int) -> None:
    session = Session()
    text = "select '" + "订é🙂x" * (size // 10) + "'"
    for part in parts(m.query(text), cut):
        session.client(part)
    session.client(m.query("select 2"))
    assert session.text(1) == text
    begin = session.begun()[1]
    extends = session.extended(1)
    assert not begin.complete
    assert [note.complete for note in extends] == [False] * (len(extends) - 1) + [True]
    assert max(len(begin.text), *(len(note.text) for note in extends)) <= TEXT_PART
    assert session.to_server == m.query(text) + m.query("select 2")
    session.server(m.complete("SELECT 1") + m.ready() + m.complete("SELECT 2") + m.ready())
    assert session.outcomes() == [(1, "done", 1), (2, "done", 2)]


@pytest.mark.parametrize(("encoding", "codec"), [("GBK", "gbk"), ("SJIS", "cp932"), ("UTF8", "utf-8")])
def test_characters_cut_at_every_offset(encoding: str, codec: str) -> None:
    text = "x" * TEXT_PART + "表" * 20
    for cut in range(TEXT_PART + 4, TEXT_PART + 12):
        session = Session()
        session.exchange.codec = codec
        data = m.query(text.encode(codec))
        session.client(data[:cut])
        session.client(data[cut:])
        assert session.text(1) == text, encoding


def test_the_record_begins_with_the_first_part() -> None:
    session = Session()
    data = m.query("x" * 1_000_000)
    for end in range(5, 9):
        fresh = Session()
        assert fresh.client(data[:end]) == []
    [piece] = session.client(data[:20])
    assert isinstance(piece.notes[0], StatementBegins)
    assert session.to_server == data[:20]


def test_a_long_parse() -> None:
    session = Session()
    text = "select " + "订" * 200_000
    data = m.parse(text, "statement-name", (23, 25)) + m.bind((b"1", b"2"), statement="statement-name")
    for part in parts(data + m.execute() + m.SYNC, 7_919):
        session.client(part)
    assert session.text(1) == text
    assert session.exchange.prepared[b"statement-name"].types == (23, 25)
    # The Parse was longer than what is remembered of a text, but joined it is one statement anyway.
    assert session.extended(1)[-1].runs
    session.server(m.PARSE_COMPLETE + m.BIND_COMPLETE + m.complete("SELECT 1") + m.ready())
    assert session.outcomes() == [(1, "done", 1)]
    session.client(m.bind((b"1", b"2"), statement="statement-name") + m.execute() + m.SYNC)
    assert session.begun()[2].text.endswith("… (whole in statement 1)")


def test_a_long_name_of_a_long_parse() -> None:
    session = Session()
    name = "n" * 40_000
    data = m.parse("select " + "x" * 300_000, name)
    notes = [note for part in parts(data, 10_000) for piece in session.client(part) for note in piece.notes]
    assert isinstance(notes[0], StatementBegins)
    assert session.text(1) == "select " + "x" * 300_000
    assert list(session.exchange.prepared) == [name.encode()]


@pytest.mark.parametrize(
    "data",
    [
        m.parse("x", "n" * 300_000),
        m.framed(b"P", b"\0select 1\0" + b"\0" * 300_000),
        m.framed(b"P", b"\0" + b"x" * 300_000),
        m.framed(b"Q", b"x" * 300_000),
        m.framed(b"Q", b"x\0" + b"x" * 300_000),
        m.framed(b"B", b"x" * 300_000),
        m.framed(b"B", b"\0\0\0\0\0\1" + (600_000).to_bytes(4, "big") + b"x" * 300_000),
        m.framed(b"B", b"\0\0\0\0\0\0\0\0" + b"x" * 300_000),
    ],
)
def test_what_is_not_as_it_says_is_refused(data: bytes) -> None:
    session = Session()
    with pytest.raises(ProtocolError):
        for part in parts(data):
            session.client(part)


def test_a_value_of_20_megabytes_and_small_ones_behind_it() -> None:
    session = Session()
    session.client(m.parse("insert into files values ($1, $2, $3, $4)", types=(17, 23, 25, 25)))
    big = bytes(range(256)) * 80_000
    data = m.bind((big, (7).to_bytes(4, "big"), None, "später".encode()), formats=(1, 1, 0, 0))
    tracemalloc.start()
    for part in parts(data):
        for piece in session.client_side.feed(part):
            session.notes.extend(piece.notes)
    session.client(m.execute() + m.SYNC)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    [runs] = session.extended(1)
    assert runs.binds is not None
    first, *rest = runs.binds
    assert first is not None
    assert first.startswith("\\x" + big[:2048].hex())
    assert first.endswith(f"… ({len(big)} bytes, sha256 {hashlib.sha256(big).hexdigest()})")
    assert rest == ["7", None, "später"]


def test_a_long_bind_reads_like_a_short_one() -> None:
    values = tuple(str(i).encode() * (i % 7) for i in range(9_000))
    whole, cut = Session(), Session()
    data = m.bind(values) + m.execute()
    padded = m.bind((*values, b"x" * 300_000)) + m.execute()
    whole.client(data)
    for part in parts(padded, 1_013):
        cut.client(part)
    assert whole.begun()[1].binds == cut.begun()[1].binds[:-1]  # type: ignore[index]


def test_many_values_take_linear_time() -> None:
    session = Session()
    data = m.bind((b"12345678",) * 65_535)
    started = time.process_time()
    for part in parts(data, 250_000):
        session.client(part)
    assert time.process_time() - started < 2
    assert session.exchange.portals[b""].binds == ("12345678",) * 65_535


def test_values_beyond_the_limit_are_there_by_number_length_and_digest() -> None:
    session = Session()
    values = tuple(str(i).encode() * 20 for i in range(20_000))
    for part in parts(m.bind((*values, None, b"y" * 5000)) + m.execute(), 250_000):
        session.client(part)
    kept = 0
    while sum(map(len, values[: kept + 1])) <= BINDS_LIMIT:
        kept += 1
    rest = b"".join(values[kept:]) + b"y" * 5000
    digest = hashlib.sha256(rest).hexdigest()
    marker = f"… ({20_000 - kept + 2} values more, {len(rest)} bytes, sha256 {digest})"
    [begun] = session.begun().values()
    assert begun.binds == (*(value.decode() for value in values[:kept]), marker)


def test_a_long_query_keeps_nothing() -> None:
    session = Session()
    data = m.query("x" * 20_000_000)
    tracemalloc.start()
    for part in parts(data):
        for piece in session.client_side.feed(part):
            assert len(piece.data) <= 65_536
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    assert len(session.client_side._kept) == 0


def test_a_message_that_drips_takes_linear_time() -> None:
    session = Session()
    session.client(m.query("select 1"))
    # Reading from the start again with every byte would copy 200 GB.
    data = m.describe("S", "n" * 650_000)
    started = time.process_time()
    for at in range(len(data)):
        session.client(data[at : at + 1])
    assert time.process_time() - started < 5
    assert session.to_server.endswith(data)
    answer = m.error("42601", "y" * 650_000)
    started = time.process_time()
    for at in range(len(answer)):
        session.server(answer[at : at + 1])
    assert time.process_time() - started < 5
    assert session.to_client == answer


def test_a_long_function_call() -> None:
    session = Session()
    for part in parts(m.function_call(2200, b"x" * 1_000_000)):
        session.client(part)
    session.server(m.function_result(b"y" * 3_000_000) + m.ready())
    assert session.begun()[1].text == "function OID 2200"
    assert session.outcomes() == [(1, "done", None)]


@pytest.mark.parametrize("cut", [5, 65_536, 70_000, 10_000_000])
def test_a_long_error_and_a_long_notice_pass(cut: int) -> None:
    session = Session()
    session.client(m.query("raise") + m.query("select 1"))
    answer = m.notice("n" * 2_000_000) + m.error("P0001", "e" * 2_000_000) + m.ready("E")
    answer += m.complete("SELECT 1") + m.ready()
    for part in parts(answer, cut) if cut > 5 else [answer[:5], answer[5:70_001], answer[70_001:]]:
        session.server(part)
    assert session.to_client == answer
    assert session.outcomes() == [(1, "failed", None), (2, "done", 1)]
    error = session.ended()[1].error
    assert error is not None
    assert error.code == "P0001"


def test_rows_longer_than_anything_held() -> None:
    session = Session()
    session.client(m.query("select"))
    answer = m.row(b"x" * 5_000_000) + m.row(b"y") + m.complete("SELECT 2") + m.ready()
    for part in parts(answer):
        session.server(part)
        assert len(session.server_side._kept) < 65_536
    assert session.to_client == answer
    assert session.outcomes() == [(1, "done", 2)]


def test_skipped_long_messages_are_on_record_as_skipped() -> None:
    session = Session()
    session.client(m.parse("bad") + m.FLUSH)
    session.server(m.error())
    for data in (
        m.query("x" * 300_000),
        m.parse("y" * 300_000),
        m.bind((b"z" * 300_000,)),
        m.function_call(1, b"w" * 300_000),
    ):
        for part in parts(data):
            session.client(part)
    session.client(m.execute() + m.SYNC)
    session.server(m.ready())
    assert {end.number: end.outcome for end in session.ended().values()} == {
        1: "failed", 2: "skipped", 3: "skipped", 4: "skipped", 5: "skipped",
    }  # fmt: skip
    assert session.text(3) == "y" * 300_000
    assert session.server_side.open_statements() == []
    assert session.exchange.prepared == {}


def test_an_error_while_a_long_parse_is_passing() -> None:
    session = Session()
    session.client(m.parse("bad"))
    data = m.parse("select " + "x" * 300_000, "s")
    session.client(data[:200_000])
    session.server(m.error())
    session.client(data[200_000:] + m.SYNC)
    session.server(m.ready())
    assert b"s" not in session.exchange.prepared
    assert {end.number: end.outcome for end in session.ended().values()} == {1: "failed", 2: "skipped"}


def test_what_handles_hold_is_bounded() -> None:
    exchange = Exchange()
    session = Session(exchange)
    session.client_side.feed(b"".join(m.parse(f"select {'x' * 3_000} {i}", f"s{i}") for i in range(30_000)))
    assert exchange.remembered < 70_000_000
    for i in range(0, MOST_HANDLES, 20_000):
        exchange.queue.clear()
        session.client_side.feed(b"".join(m.parse("", f"t{i + j}") for j in range(20_000)) + m.SYNC)
    assert len(exchange.prepared) <= MOST_HANDLES


def test_what_portals_hold_is_bounded() -> None:
    session = Session()
    with pytest.raises(ProtocolError, match="open portals"):
        for i in range(2_000):
            session.client_side.feed(m.bind((b"x" * 60_000,), portal=f"p{i}"))
    assert session.exchange.held < 70_000_000


def test_copy_data_notes_are_few() -> None:
    session = Session()
    session.client(m.query("copy a from stdin"))
    session.server(m.copy_in())
    notes = [n for piece in session.client(m.copy_data(b"x" * 100) * 10_000) for n in piece.notes]
    assert notes == [StatementExtends(1, data_bytes=1_000_000)]


def test_an_endless_list_of_types_is_not_waited_for() -> None:
    session = Session()
    head = b"P" + (0x3FFF_FFFF).to_bytes(4, "big") + b"\0select 1\0"
    session.client(head)
    with pytest.raises(ProtocolError, match="endless"):
        for _ in range(10):
            session.client(b"\0" * 65_536)
