"""What the server's answers say: rows, errors, ends, changes of the session, cancels."""

from __future__ import annotations

import struct

import pytest

from bastion.protocols.contract import ProtocolError, Refusal, Transaction

from . import messages as m
from .examples import ITEMS, MANY
from .session import NOT_HERE, Session

CANCELLED = "cancelled by the bastion"


def asked(text: str = "select 1") -> Session:
    session = Session()
    session.client(m.batch(text))
    return session


def errors_in(data: bytes) -> list[int]:
    """Numbers of the errors in whole packets of one message."""
    found = []
    contents = b""
    position = 0
    while position < len(data):
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        contents += data[position + 8 : position + length]
        position += length
    at = contents.find(b"\xaa")
    while at >= 0:
        found.append(struct.unpack_from("<i", contents, at + 3)[0])
        at = contents.find(b"\xaa", at + 20)
    return found


def test_rows_are_counted_while_they_come() -> None:
    session = asked()
    session.server(m.answer(ITEMS, *MANY, status=0))
    assert session.server_side.rows == 40
    assert session.server_side.running == 1
    session.server(m.answer(*MANY, m.done(m.COUNT, 80)))
    assert session.outcomes() == [(1, 80, "done", "")]


def test_a_count_that_a_procedure_repeats_counts_once() -> None:
    session = Session()
    session.client(m.rpc(m.call(10, m.nvarchar("update t set a = 1"))))
    session.server(m.answer(m.done_within(m.COUNT | m.MORE, 5), m.return_status(), m.done_procedure(m.COUNT, 5)))
    assert session.outcomes() == [(1, 5, "done", "")]


def test_words_of_the_server_are_no_error() -> None:
    session = asked("print 'x'")
    session.server(m.answer(m.info(0, "x"), m.error(50000, "low", 10), m.done()))
    assert session.outcomes() == [(1, None, "done", "")]


def test_a_value_of_100_mb_is_never_held() -> None:
    session = asked()
    head = m.columns((b"\xa5\xff\xff", "b"), (m.INT, "n"))
    whole = 100 * 1024 * 1024
    session.server(m.answer(head, b"\xd1" + b"\xfe" + b"\xff" * 7, struct.pack("<I", whole), status=0, size=32767))
    part = m.packets(4, bytes(32759), size=32767, status=0)
    sent = 0
    while sent + 32759 <= whole:
        session.server_side.feed(part)
        sent += 32759
        assert len(session.server_side._held) + session.server_side._reader.carried < 64
    session.server(m.answer(bytes(whole - sent), bytes(4), m.int_value(1), m.done(m.COUNT, 1), size=32767))
    assert session.outcomes() == [(1, 1, "done", "")]


def test_transactions_and_the_database_are_followed() -> None:
    session = asked("begin tran use other")
    session.server(m.answer(m.begun(), m.done(1), m.database("other"), m.done(4)))
    assert session.server_side.transaction is Transaction.OPEN
    assert [change.schema for change in session.changes()] == [None, "other"]
    session.client(m.batch("rollback"))
    session.server(m.answer(m.change(10, b"\0", b"\x08" + bytes(8)), m.done()))
    assert session.changes()[-1].transaction is Transaction.NONE


@pytest.mark.parametrize(
    "tokens",
    [b"\x99", b"\xd1\x04", b"\xad\x02\0ab", b"\xed\x01\0a", b"\xd3\x01\0",
     m.change(20, b"\x07\0\0\x99\x05\x01\0a\0", b"\0\0"),
     ITEMS + b"\xd1\x04", b"\x81\x02\0" + bytes(5), b"\xfd\0", m.columns((b"\x99", "x"))],
)  # fmt: skip
def test_what_is_no_answer_ends_the_session(tokens: bytes) -> None:
    session = asked()
    with pytest.raises(ProtocolError):
        session.server(m.answer(tokens))


def test_a_refused_batch_is_answered_in_its_place_and_the_session_goes_on() -> None:
    session = Session()
    session.client(m.batch("select 1"))
    piece = session.client_side.feed(m.batch("drop table t"))[0]
    session.client_side.refuse(piece, NOT_HERE)
    assert session.server_side.due() == b""
    session.server(m.answer(ITEMS, m.done(m.COUNT, 0)))
    assert errors_in(bytes(session.to_client[len(m.answer(ITEMS, m.done(m.COUNT, 0))) :])) == [50000]
    session.client(m.batch("select 3"))
    session.server(m.answer(m.done()))
    assert [end.number for end in session.ends()] == [1, 3]
    assert b"d\0r\0o\0p" not in session.to_server


def test_a_refused_message_of_rpcs_ends_each_of_them_and_its_reset_is_made_up_for() -> None:
    session = Session()
    session.exchange.transaction = Transaction.OPEN
    message = m.rpc(m.call(10, m.nvarchar("a")), m.call(10, m.nvarchar("b")), first=8)
    session.client_side.refuse(session.client_side.feed(message)[0], NOT_HERE)
    data = session.server_side.due()
    assert errors_in(data) == [50000]
    ends = [data[at + 1] for at in range(len(data) - 13, 8, -13) if data[at] == 0xFE]
    assert ends == [2, 3]
    pieces = session.client_side.feed(m.batch("select 1"))
    assert pieces[0].data[1] == 0x09
    assert pieces[0].data[2:] == m.batch("select 1")[2:]


def test_the_clients_attention_goes_on_at_once_and_ends_its_statement() -> None:
    session = asked()
    session.server(m.answer(ITEMS, *MANY, status=0))
    session.client(m.attention())
    assert session.to_server.endswith(m.attention())
    session.server(m.answer(*MANY, m.done(m.ATTENTION)))
    assert session.outcomes() == [(1, 80, "failed", "cancelled by the client (attention)")]
    assert not session.exchange.waiting


def test_an_attention_that_comes_too_late_is_confirmed_by_itself() -> None:
    session = asked()
    session.client(m.attention())
    session.server(m.answer(ITEMS, m.done(m.COUNT, 0)))
    assert session.outcomes() == [(1, 0, "done", "")]
    session.server(m.answer(m.done(m.ATTENTION)))
    assert bytes(session.to_client).endswith(m.answer(m.done(m.ATTENTION)))
    assert not session.exchange.waiting


@pytest.mark.parametrize("cut", [0, 1, 5])
@pytest.mark.parametrize("size", [4096, 9, 10, 15, 30])
def test_the_bastions_own_cancel_is_an_error_for_the_client(size: int, cut: int) -> None:
    session = asked()
    begun = m.answer(ITEMS, *MANY, status=0)
    session.server(begun)
    assert session.server_side.cancel_in_band() == m.attention()
    assert session.server_side.cancel_in_band() == b""
    rest = m.answer(*MANY[:3], m.done(m.ATTENTION), size=size)
    for start in range(0, len(rest), cut or len(rest)):
        session.server(rest[start : start + (cut or len(rest))])
    [(number, rows, outcome, error)] = session.outcomes()
    assert (number, rows, outcome) == (1, 43, "failed")
    assert CANCELLED in error
    told = bytes(session.to_client[len(begun) :])
    assert errors_in(told) == [50000]
    position, rows_told, last = 0, b"", []
    while position < len(told):
        length = int.from_bytes(told[position + 2 : position + 4], "big")
        rows_told += told[position + 8 : position + length]
        last.append(told[position + 1] & 1)
        position += length
    assert rows_told.startswith(b"".join(MANY[:3]) + b"\xaa")
    assert last == [0] * (len(last) - 1) + [1]
    assert not session.exchange.waiting
    assert sum(piece.size for piece in session.pieces if piece.kind == "answer") == len(begun) + len(rest)


def test_a_confirmation_that_comes_after_the_answer_is_kept_from_the_client() -> None:
    session = asked()
    session.server_side.cancel_in_band()
    session.server(m.answer(ITEMS, m.done(m.COUNT, 0)))
    before = bytes(session.to_client)
    session.client(m.batch("select 2"))
    session.server(m.answer(m.done(m.ATTENTION)))
    assert bytes(session.to_client) == before
    session.server(m.answer(m.done(m.COUNT, 1)))
    assert session.outcomes() == [(1, 0, "done", ""), (2, 1, "done", "")]


def test_an_answer_that_is_cut_off_before_the_confirmation_ends_for_the_client() -> None:
    session = asked()
    session.server(m.answer(ITEMS, *MANY, status=0))
    session.server_side.cancel_in_band()
    session.server(m.answer(MANY[0]))
    assert [outcome[2] for outcome in session.outcomes()] == ["failed"]
    assert errors_in(bytes(session.to_client)) == [50000]
    before = len(session.to_client)
    session.server(m.answer(m.done(m.ATTENTION)))
    assert len(session.to_client) == before
    assert not session.exchange.waiting


@pytest.mark.parametrize("size", [4096, 9, 12])
def test_an_answer_that_only_fails_before_the_confirmation_ends_for_the_client(size: int) -> None:
    session = asked()
    session.server_side.cancel_in_band()
    session.server(m.answer(ITEMS, MANY[0], m.done(m.ERROR), size=size))
    assert session.outcomes() == [(1, 1, "failed", "cancelled by the bastion (attention)")]
    told = bytes(session.to_client)
    assert errors_in(told) == [50000]
    assert told.count(m.done(m.ERROR)[:3]) == 1
    session.server(m.answer(m.done(m.ATTENTION)))
    assert bytes(session.to_client) == told


def test_the_clients_own_cancel_is_why_an_answer_fails_without_a_word() -> None:
    session = asked()
    session.client(m.attention())
    session.server(m.answer(m.done(m.ERROR)))
    session.server(m.answer(m.done(m.ATTENTION)))
    assert session.outcomes() == [(1, None, "failed", "cancelled by the client (attention)")]


def test_a_client_that_cancels_too_gets_the_confirmation() -> None:
    session = asked()
    session.server_side.cancel_in_band()
    sent = len(session.to_server)
    session.client(m.attention())
    assert len(session.to_server) == sent
    session.server(m.answer(ITEMS, m.done(m.ATTENTION)))
    assert bytes(session.to_client) == m.answer(ITEMS, m.done(m.ATTENTION))
    assert session.outcomes() == [(1, 0, "failed", "cancelled by the client (attention)")]


def test_a_cancel_within_a_bulk_load_ends_it_and_drops_the_rest() -> None:
    session = asked("insert bulk t (a int)")
    session.server(m.answer(m.done()))
    bulk = m.packets(7, bytes(2000), size=512)
    session.client(bulk[:1024])
    assert session.server_side.cancel_in_band() == m.packets(7, b"", status=3) + m.attention()
    sent = len(session.to_server)
    session.client(bulk[1024:])
    assert len(session.to_server) == sent
    session.server(m.answer(m.done(m.ATTENTION)))
    assert session.outcomes()[1][2:] == ("failed", "cancelled by the bastion (attention)")
    session.client(m.batch("select 1"))
    assert session.to_server.endswith(m.batch("select 1"))


def test_nothing_is_cancelled_where_nothing_runs() -> None:
    session = Session()
    assert session.server_side.cancel_in_band() is None
    session.client(m.batch("select 1"))
    session.server(m.answer(m.done()))
    assert session.server_side.cancel_in_band() is None


def test_last_words_come_between_answers_only() -> None:
    session = asked()
    refusal = Refusal("session-ended", "Ended by root.")
    assert errors_in(session.server_side.farewell(refusal)) == [596]
    session.server(m.answer(ITEMS, status=0))
    assert session.server_side.farewell(refusal) == b""
    session.server(m.answer(m.done()))
    assert errors_in(session.server_side.farewell(refusal)) == [596]
