"""Messages that are longer than what is held: they pass in parts, and the record is that of the whole."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from bastion.protocols.contract import (
    BIND_LIMIT,
    BINDS_LIMIT,
    MAX_HELD_MESSAGE,
    TEXT_PART,
    ClientData,
    Note,
    Piece,
    ProtocolError,
    Refusal,
    StatementBegins,
    StatementEnds,
    StatementExtends,
)
from bastion.protocols.oracle import binds, client_side, replies
from bastion.protocols.oracle.client_side import OracleClientSide
from bastion.protocols.oracle.codec import Dialect
from bastion.protocols.oracle.exchange import Exchange
from bastion.protocols.oracle.results import decode
from bastion.protocols.oracle.server_side import OracleServerSide
from tests.servers.oracle.wire import number, string

from . import messages as m

THIN = Dialect(field_version=24, big_chunks=True)
LONG = 100
"""What the limits are set to where every cut is tried."""


class Session:
    """Both sides, what went on of each, and what was noted, in order."""

    def __init__(self) -> None:
        exchange = Exchange(THIN)
        self.client, self.server = OracleClientSide(exchange), OracleServerSide(exchange)
        self.notes: list[Note] = []
        self.passed = {"client": b"", "server": b""}
        self.most_held = 0
        self.dropped = 0

    def feed(self, who: str, data: bytes, step: int = 0) -> list[Piece]:
        side = self.client if who == "client" else self.server
        found: list[Piece] = []
        for at in range(0, len(data), step or len(data)):
            for piece in side.feed(data[at : at + (step or len(data))]):
                found.append(piece)
                self.notes += piece.notes
                assert piece.understood
                if piece.forward:
                    self.passed[who] += piece.data
                else:
                    self.dropped += piece.size
            held = sum(map(len, self.client._held)) + len(self.server._content)
            self.most_held = max(self.most_held, held)
        return found

    def text(self, statement: int = 1) -> str:
        return "".join(
            note.text
            for note in self.notes
            if isinstance(note, StatementBegins | StatementExtends) and note.number == statement
        )

    def binds(self, statement: int = 1) -> tuple[str | None, ...]:
        found: tuple[str | None, ...] = ()
        for note in self.notes:
            if isinstance(note, StatementBegins | StatementExtends) and note.number == statement:
                found += note.binds or ()
        return found

    def data_bytes(self) -> int:
        return sum(note.data_bytes for note in self.notes if isinstance(note, StatementExtends))

    def ends(self) -> list[StatementEnds]:
        return [note for note in self.notes if isinstance(note, StatementEnds)]

    def is_complete(self, statement: int = 1) -> bool:
        """Whether its text is over once, and nothing of it comes behind that."""
        parts = [
            note
            for note in self.notes
            if isinstance(note, StatementBegins | StatementExtends) and note.number == statement
        ]
        over = [part.complete for part in parts].index(True)
        return all(part.complete and not part.text for part in parts[over + 1 :])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is long begins early, so that every cut can be tried."""
    monkeypatch.setattr(client_side, "LONG_CALL", LONG)
    monkeypatch.setattr(client_side, "LONG_ROW", LONG)
    monkeypatch.setattr(client_side, "UNREAD_LIMIT", LONG)
    monkeypatch.setattr(replies, "LONG_ROW", LONG)
    monkeypatch.setattr(binds, "BIND_LIMIT", 90)


def cuts(length: int) -> Iterator[int]:
    return iter(range(1, length))


def chunked(value: bytes, size: int = 60) -> bytes:
    """A byte string in chunks."""
    parts = [value[at : at + size] for at in range(0, len(value), size)]
    return b"\xfe" + b"".join(number(len(part)) + part for part in parts) + b"\0"


def lob_call(data: bytes) -> bytes:
    body = b"\1" + number(4) + b"\0" + number(0) * 3 + b"\0\0\0" + number(0x40) + b"\0\0" + number(1) + number(0)
    return m.call(0x60, body=body + b"\0" + bytes(6) + b"loc4" + b"\x0e" + data)


TEXT = "begin\n-- ü 数据\n" + "null; " * 60 + "end;\n/* ✓ */"
BINDS = ((b"a" * 70 + "é数".encode() * 30, b"\xc1\x02", b"z" * 250), (None, b"\xc1\x03", b""))
MESSAGES: dict[str, Callable[[], bytes]] = {
    "a text": lambda: m.execute(TEXT),
    "values": lambda: m.execute("insert into t values (:1, :2, :3)", binds=(1, 2, 23), rows=BINDS),
    "both": lambda: m.execute("begin p(:1); " + "null; " * 50 + "end;", binds=(1,), rows=((b"x" * 500,),)),
    "data for a LOB": lambda: lob_call(chunked(bytes(range(256)) * 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_wherever_a_message_is_cut_the_record_is_the_same(small: None, name: str) -> None:
    message = MESSAGES[name]()
    for wire in (m.data(message), m.cut(message, 50)):
        whole = Session()
        whole.feed("client", wire)
        assert whole.passed["client"] == wire
        for cut in cuts(len(wire)):
            session = Session()
            session.feed("client", wire[:cut])
            session.feed("client", wire[cut:])
            assert session.passed["client"] == wire
            assert (session.text(), session.binds(), session.data_bytes()) == (
                whole.text(), whole.binds(), whole.data_bytes(),
            )  # fmt: skip
            assert session.is_complete()
        for step in (1, 2, 3, 7):
            session = Session()
            session.feed("client", wire, step)
            assert session.passed["client"] == wire
            assert (session.text(), session.binds()) == (whole.text(), whole.binds())
    assert whole.text().startswith(("begin", "insert", "LOB write"))


def test_what_is_recorded_of_values_that_pass(small: None) -> None:
    session = Session()
    session.feed("client", m.cut(MESSAGES["values"](), 50), 13)
    first = BINDS[0]
    assert session.text() == "insert into t values (:1, :2, :3)"
    assert session.binds() == (
        f"{first[0][:45].decode()}… ({len(first[0])} bytes, sha256 {hashlib.sha256(first[0]).hexdigest()})", "1",
        f"0x{(b'z' * 45).hex()}… (250 bytes, sha256 {hashlib.sha256(first[2]).hexdigest()})",
        None, "2", None,
    )  # fmt: skip


def answer(kind: int, values: list[bytes]) -> bytes:
    described, _ = m.described(("N", "T"), [(1, "x")])
    head = b"\6\2" + number(2) + number(0) + number(len(values)) + number(0) * 3
    # The second column in another kind than that which the test server has for a text.
    described = described.replace(b"\1\0\0\0\2\x7f\xff", bytes((kind, 0, 0, 0)) + b"\2\x7f\xff")
    tail = number(0) * 2 if kind in (8, 24) else b""
    rows = b"".join(b"\7" + b"\2\xc1\2" + chunked(value) + tail for value in values)
    return described + head + rows + m.parameters() + m.end(*m.NO_MORE, rows=len(values), cursor=3)


@pytest.mark.parametrize("kind", [1, 8, 24])
def test_wherever_an_answer_with_long_values_is_cut_its_rows_are_counted(small: None, kind: int) -> None:
    wire = m.cut(answer(kind, [b"r" * 400, b"s", b"t" * 301]), 90)
    for cut in cuts(len(wire)):
        session = Session()
        session.feed("client", m.data(m.execute("select n, t from x", query=True)))
        session.feed("server", wire[:cut])
        session.feed("server", wire[cut:])
        assert session.passed["server"] == wire
        assert [(end.rows, end.outcome) for end in session.ends()] == [(3, "done")]
    session = Session()
    session.feed("client", m.data(m.execute("select n, t from x", query=True)))
    session.feed("server", wire, 1)
    [end] = session.ends()
    rows = [part for part in decode(wire, formats=end.formats) if isinstance(part, list)]
    shown = [each[1] for each in rows]
    assert len(shown) == 3
    assert shown[1] == ("0x73" if kind == 24 else "s")


def test_wherever_values_that_come_back_are_cut_the_call_ends(small: None) -> None:
    vector = b"\x0b\0" + number(1) + number(0) + number(1) + number(0) * 3 + b"\x10"
    wire = m.cut(vector + b"\7" + chunked(b"o" * 500) + number(0) + m.parameters() + m.end(rows=1, cursor=4), 70)
    for cut in cuts(len(wire)):
        session = Session()
        session.feed("client", m.data(m.execute("begin :1 := p; end;", binds=(1,), rows=((None,),))))
        session.feed("server", wire[:cut])
        session.feed("server", wire[cut:])
        assert [end.outcome for end in session.ends()] == ["done"]


# ------------------------------------------------------------------------------------------------------- at full length


def packets(parts: Iterator[bytes]) -> Iterator[bytes]:
    for part in parts:
        yield m.data(part)


def test_two_megabytes_of_text_are_recorded_whole_and_passed_on() -> None:
    text = "begin\n" + "  null; -- 数据\n" * 130_000 + "end;"
    assert len(text.encode()) > 2 * MAX_HELD_MESSAGE
    session = Session()
    wire = m.cut(m.execute(text), 8182)
    pieces = session.feed("client", wire, 65_536)
    assert session.passed["client"] == wire
    assert session.text() == text
    assert session.is_complete()
    assert all(len(n.text) <= TEXT_PART for n in session.notes if isinstance(n, StatementBegins | StatementExtends))
    # Each part of the text is on record before the bytes that it came in.
    sent = b""
    noted = ""
    for piece in pieces:
        noted += "".join(n.text for n in piece.notes if isinstance(n, StatementBegins | StatementExtends))
        sent += piece.data
        assert len(noted.encode()) >= len(sent) - 200 - 18 * (len(sent) // 8192 + 1) - 5 * (len(sent) // 32767 + 1)
    session.feed("server", m.data(m.parameters() + m.end(rows=0, cursor=5)))
    session.feed("client", m.data(m.again(5)))
    assert session.text(2).startswith("begin\n  null;")
    assert session.text(2).endswith("(the whole text is that of statement 1)")


def test_the_record_of_a_long_text_is_that_of_one_that_comes_at_once() -> None:
    text = "begin " + "x := 'ü';" * 60_000 + " end;"
    whole, drips = Session(), Session()
    whole.feed("client", m.data(m.execute(text)))
    drips.feed("client", m.cut(m.execute(text), 4000), 3001)
    assert whole.text() == drips.text() == text


def test_twenty_megabytes_of_a_value_pass_with_bounded_memory() -> None:
    session = Session()
    head = m.execute("insert into t values (:1, :2)", binds=(8, 2), rows=((b"", b"\xc1\x02"),))[:-4]
    part = b"0123456789abcdef" * 512
    count = 20 * 1024 * 1024 // len(part)

    def content() -> Iterator[bytes]:
        yield head + b"\xfe"
        for _ in range(count):
            yield number(len(part)) + part
        yield b"\0\2\xc1\2"

    tracemalloc.start()
    try:
        for data in packets(content()):
            for piece in session.client.feed(data):
                session.notes += piece.notes
            assert sum(map(len, session.client._held)) < 2 * 65_536
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 4 * 1024 * 1024
    digest = hashlib.sha256(part * count).hexdigest()
    start = (part * 8)[: BIND_LIMIT // 2].decode()
    assert session.binds() == (f"{start}… ({len(part) * count} bytes, sha256 {digest})", "1")


def test_of_many_long_values_the_record_keeps_so_much_and_counts_the_rest() -> None:
    value = b"v" * 60_000
    wire = m.cut(m.execute("insert into t values (:1)", binds=(1,), rows=((value,),) * 40), 8182)
    session = Session()
    session.feed("client", wire, 65_536)
    assert session.passed["client"] == wire
    found = session.binds()
    kept = BINDS_LIMIT // len(value) + 1
    assert found[:kept] == (value.decode(),) * kept
    rest = 40 - kept
    digest = hashlib.sha256(value * rest).hexdigest()
    assert found[kept:] == (f"… ({rest} values more, {rest * len(value)} bytes, sha256 {digest})",)


def test_twenty_megabytes_of_a_column_pass_with_bounded_memory() -> None:
    session = Session()
    session.feed("client", m.data(m.execute("select n, t from x", query=True)))
    whole = answer(8, [b"@"])
    at = whole.index(b"\xfe\1\1@\0")
    part = b"0123456789abcdef" * 512

    def content() -> Iterator[bytes]:
        yield whole[:at] + b"\xfe"
        for _ in range(20 * 1024 * 1024 // len(part)):
            yield number(len(part)) + part
        yield whole[at + 4 :]

    tracemalloc.start()
    try:
        for data in packets(content()):
            for piece in session.server.feed(data):
                session.notes += piece.notes
            assert len(session.server._content) <= 2 * 65_536
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 4 * 1024 * 1024
    assert [(end.rows, end.outcome) for end in session.ends()] == [(1, "done")]


def test_data_for_a_lob_are_counted_as_they_pass_and_their_beginning_is_kept() -> None:
    session = Session()
    session.client.sample_uploads(1000)
    data = bytes(range(256)) * 12_000
    wire = m.cut(lob_call(string(data)), 8182)
    session.feed("client", wire, 65_536)
    assert session.passed["client"] == wire
    assert session.text() == "LOB write"
    assert session.data_bytes() == len(data)
    notes = [note for note in session.notes if isinstance(note, StatementExtends)]
    assert 2 <= len(notes) <= 4
    assert b"".join(note.data for note in session.notes if isinstance(note, ClientData)) == data[:1000]


# ----------------------------------------------------------------------------------------------- refused, or broken off


def test_a_long_statement_that_is_refused_goes_nowhere_and_the_session_goes_on() -> None:
    session = Session()
    session.client.judging = True
    wire = m.cut(m.execute("begin " + "null; " * 60_000 + "end;", binds=(1,), rows=((b"x" * 200_000,),)), 8182)
    first, refused = True, 0
    for at in range(0, len(wire), 50_000):
        for piece in session.client.feed(wire[at : at + 50_000]):
            if first and piece.notes:
                session.client.refuse(piece, Refusal("statement-denied", "Not here."))
                first = False
            assert not piece.forward
            refused += piece.size
    assert refused == len(wire)
    assert b"Not here." in session.server.due()
    [piece] = session.client.feed(m.data(m.execute("select 1 from dual", query=True)))
    assert piece.forward


def test_a_long_statement_that_is_broken_off_says_so() -> None:
    session = Session()
    wire = m.cut(m.execute("begin " + "null; " * 60_000 + "end;"), 8182)
    session.feed("client", wire[:200_000])
    session.feed("client", wire[200_000 : 200_000 + (8192 - 200_000 % 8192) % 8192])
    session.feed("client", m.marker(1))
    last = [note for note in session.notes if isinstance(note, StatementExtends)][-1]
    assert last.complete
    assert "broken off" in last.detail
    session.feed("server", m.marker(1) + m.marker(2))
    session.feed("client", m.marker(2))
    session.feed("server", m.data(m.end(1013, "ORA-01013: user requested cancel of current operation")))
    assert [end.outcome for end in session.ends()] == ["failed"]
    session.feed("client", m.data(m.execute("select 1 from dual", query=True)))
    assert session.text(2) == "select 1 from dual"


def test_what_is_long_and_no_text_is_held_up_to_the_limit() -> None:
    session = Session()
    cursors = m.piggyback(0x69, b"\1" + number(65_000) + b"\4\1\1\1\1" * 60_000)
    with pytest.raises(ProtocolError):
        for _ in range(10):
            session.feed("client", m.cut(cursors, 8182), 65_536)
