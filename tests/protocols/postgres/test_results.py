"""What is decoded of kept answers: the bytes that the reader says are a statement's, whole or cut anywhere."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.protocols.contract import DatabaseError, ProtocolError
from bastion.protocols.postgres.results import decode
from bastion.protocols.results import Column, Columns, Ended, Part, Said
from tests.protocols import captures
from tests.servers import excuses

from . import messages as m
from .session import Session
from .test_captures import NAMES, replayed

ONE_COLUMN = Columns((Column("a", "text"),))


def shown(session: Session, number: int) -> list[Part]:
    """The parts of a statement's answer, found as a recording finds them."""
    end = session.ended()[number]
    stream = bytes(session.to_client)
    described = stream[end.described :] if end.described else b""
    data = stream[end.position - end.bytes_down : end.position]
    return list(decode(data, session.server_side.codec, described=described, formats=end.formats))


def integer_column(name: str) -> bytes:
    return m.framed(b"T", struct.pack(">H", 1) + name.encode() + b"\0" + struct.pack(">IHIhih", 0, 0, 23, 4, -1, 0))


def test_several_statements_answered_in_one_read_are_told_apart() -> None:
    session = Session()
    session.client(m.query("select a from t; select 1/0"))
    session.client(m.query("insert into t values (1)"))
    session.server(
        m.row_description("a") + m.row(b"one") + m.row(None) + m.complete("SELECT 2") + m.error("22012", "division")
        + m.ready() + m.notice("careful") + m.complete("INSERT 0 1") + m.ready()
    )  # fmt: skip
    assert shown(session, 1) == [
        ONE_COLUMN, ["one"], [None], Ended("SELECT 2", 2), DatabaseError("22012", "division"),
    ]  # fmt: skip
    assert shown(session, 2) == [Said("NOTICE", "00000", "careful"), Ended("INSERT 0 1", 1)]


def test_rows_in_binary_that_were_described_before_the_client_asked_for_binary() -> None:
    session = Session()
    session.client(m.parse("select a from t", "s1") + m.describe("S", "s1") + m.SYNC)
    session.server(m.framed(b"1") + m.parameter_description() + integer_column("a") + m.ready())
    bound = b"\0s1\0" + struct.pack(">HHHH", 0, 0, 1, 1)
    for _ in range(2):
        session.client(m.framed(b"B", bound) + m.execute() + m.SYNC)
        session.server(m.framed(b"2") + m.row(struct.pack(">i", -7)) + m.complete("SELECT 1") + m.ready())
    rows = [Columns((Column("a", "integer"),)), ["-7"], Ended("SELECT 1", 1)]
    assert [shown(session, number) for number in (2, 3)] == [rows, rows]


def test_pages_of_a_portal_have_the_columns_of_its_description() -> None:
    session = Session()
    session.client(m.parse("select a from t") + m.bind() + m.describe() + m.execute(limit=2) + m.framed(b"H"))
    session.server(
        m.framed(b"1") + m.framed(b"2") + m.row_description("a") + m.row(b"1") + m.row(b"2") + m.framed(b"s")
    )
    session.client(m.execute(limit=2) + m.SYNC)
    session.server(m.row(b"3") + m.complete("SELECT 1") + m.ready())
    page = Ended("(a page; more was to come)", None)
    assert shown(session, 1) == [ONE_COLUMN, ["1"], ["2"], page]
    assert shown(session, 2) == [ONE_COLUMN, ["3"], Ended("SELECT 1", 1)]


def test_copy_out_is_shown_as_its_lines_and_copy_in_as_not_kept() -> None:
    session = Session()
    session.client(m.query("copy t to stdout") + m.query("copy t from stdin"))
    session.server(
        m.copy_out() + m.copy_data(b"1\ta\n") + m.copy_data(b"\\N\tb\n") + m.framed(b"c") + m.complete("COPY 2")
        + m.ready()
    )  # fmt: skip
    session.server(m.copy_in())
    session.client(m.copy_data(b"secret") + m.framed(b"c"))
    session.server(m.complete("COPY 1") + m.ready())
    assert shown(session, 1) == [Columns((Column("COPY", "text"),)), ["1\ta"], ["\\N\tb"], Ended("COPY 2", 2)]
    [said, ended] = shown(session, 2)
    assert isinstance(said, Said)
    assert "not kept" in said.message
    assert ended == Ended("COPY 1", 1)


def test_rows_without_a_description_are_shown_all_the_same() -> None:
    parts = list(decode(m.row(b"x", b"\1\2", None) + m.complete("SELECT 1"), "utf-8", formats=b"\0\0\0\1\0\0"))
    columns = Columns((Column("column 1", ""), Column("column 2", ""), Column("column 3", "")))
    assert parts == [columns, ["x", "\\x0102", None], Ended("SELECT 1", 1)]


def test_texts_are_in_the_encoding_of_the_session() -> None:
    data = m.row_description("a") + m.row("Größe".encode("latin-1")) + m.complete("SELECT 1")
    assert ["Größe"] in list(decode(data, "latin-1"))
    changed = m.parameter_status("client_encoding", "LATIN1") + data
    assert ["Größe"] in list(decode(changed, "utf-8"))


def test_a_value_of_any_length_is_shown_whole() -> None:
    long = b"x" * 100_000
    data = m.row_description("a") + m.row(long) + m.complete("SELECT 1")
    assert list(decode(data, "utf-8"))[1] == [long.decode()]


VALUES = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.lists(VALUES, min_size=2, max_size=2), max_size=8), data=st.data())
def test_a_cut_answer_gives_a_beginning_of_the_whole_one(rows: list[list[str | None]], data: st.DataObject) -> None:
    stream = m.row_description("a", "b")
    stream += b"".join(m.row(*(None if value is None else value.encode() for value in row)) for row in rows)
    stream += m.complete(f"SELECT {len(rows)}")
    whole = list(decode(stream, "utf-8"))
    assert [part for part in whole if isinstance(part, list)] == rows
    cut = list(decode(stream[: data.draw(st.integers(0, len(stream)))], "utf-8"))
    assert cut == whole[: len(cut)]


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), described=st.binary(max_size=60), formats=st.binary(max_size=6))
def test_noise_is_refused_or_shown_and_nothing_else(data: bytes, described: bytes, formats: bytes) -> None:
    for start in (b"", b"T\0\0\0\x10", b"D\0\0\0\x0c"):
        try:
            list(decode(start + data, "utf-8", described=described, formats=formats))
        except ProtocolError as error:
            assert error.reason  # noqa: PT017


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_of_the_captures_can_be_shown(name: str) -> None:
    if not name:
        excuses.skip("no-captures")
    for flow in captures.flows(captures.FOLDER / "postgresql" / name):
        session = replayed(name, flow)
        if session is None:
            continue
        for number, end in session.ended().items():
            if not end.position:
                continue
            parts: list[Any] = shown(session, number)
            rows = sum(isinstance(part, list) for part in parts)
            if end.rows is not None and session.begun()[number].text.lower().lstrip().startswith("select"):
                assert rows == end.rows
