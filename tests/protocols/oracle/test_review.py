"""What hostile or careless ends may say, and what must come of it."""

from __future__ import annotations

import time

import pytest

from bastion.protocols.contract import Leg, LoginEnded, Piece, ProtocolError, Refusal, StatementBegins, StatementEnds
from bastion.protocols.oracle.auth_messages import read_request
from bastion.protocols.oracle.client_side import OracleClientSide
from bastion.protocols.oracle.codec import Dialect, Malformed, Reader
from bastion.protocols.oracle.connect import redirect_target
from bastion.protocols.oracle.exchange import Exchange
from bastion.protocols.oracle.server_side import OracleServerSide
from tests.fuzz.oracle_login import ANSWER, PROTOCOL, TYPES, TYPES_ANSWER
from tests.servers.oracle.wire import counted, number

from . import messages as m
from .test_login import Driven, accept, asked, connect

THIN = Dialect(field_version=24, big_chunks=True)

BACKWARDS = b"\x84\0\0\0\5"
"""A number: five less than none."""


def sides() -> tuple[OracleClientSide, OracleServerSide]:
    exchange = Exchange(THIN)
    return OracleClientSide(exchange), OracleServerSide(exchange)


def login_call(function: int = 0x76, pairs: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    body = b"\1" + b"\1\2" + b"\1\1" + b"\1" + number(len(pairs)) + b"\1\1" + b"\2me"
    return m.call(function, body=body + b"".join(counted(key) + counted(value) + number(0) for key, value in pairs))


def test_a_negative_length_leads_nobody_backwards() -> None:
    for read in (Reader(b"abc", THIN, 2).skip, Reader(b"abc", THIN, 2).raw):
        with pytest.raises(Malformed):
            read(-1)
    _, server = started = sides()
    started[0].feed(m.data(m.execute("select 1 from dual", query=True)))
    with pytest.raises(ProtocolError):
        server.feed(m.data(b"\x08" + number(0) + BACKWARDS + b"\0\0\0\0"))


# -------------------------------------------------------------------------------------------------------------- logins


def test_nothing_goes_on_behind_a_message_of_a_login() -> None:
    for message in (login_call(), login_call(0x73)):
        with pytest.raises(Malformed):
            read_request(message + m.execute("drop table x"), THIN)
    driven = Driven(asked(), [connect(), m.data(PROTOCOL + b"\3\x5edrop")], [accept()])
    assert driven.error is not None
    assert b"drop" not in driven.sent[Leg.SERVER]


def test_a_value_of_a_login_is_given_once() -> None:
    twice = ((b"AUTH_ALTER_SESSION", b"alter session set current_schema = x"), (b"AUTH_ALTER_SESSION", b""))
    with pytest.raises(Malformed):
        read_request(login_call(0x73, twice), THIN)
    context = ((b"AUTH_APPCTX_ATTR\0", b"a"), (b"AUTH_APPCTX_ATTR\0", b"b"))
    assert read_request(login_call(0x73, context), THIN).user == "me"


def test_the_phases_of_a_login_have_an_order() -> None:
    start = [connect(), m.data(PROTOCOL), m.data(TYPES)]
    driven = Driven(asked(), [*start, m.data(login_call(0x73))], [accept(), m.data(ANSWER), m.data(TYPES_ANSWER)])
    assert driven.error is not None
    assert "order" in driven.error.reason


def test_a_hosted_account_without_a_token_is_nobody_s() -> None:
    start = [connect(), m.data(PROTOCOL), m.data(TYPES)]
    driven = Driven(
        asked(secret="hosted", token=None),
        [*start, m.data(login_call())],
        [accept(), m.data(ANSWER), m.data(TYPES_ANSWER)],
    )
    assert isinstance(driven.result, LoginEnded)
    assert driven.result.error.startswith("client-token-needed")
    assert b"\3\x76" not in driven.sent[Leg.SERVER]


def test_an_account_with_an_old_verifier_only_is_told_so() -> None:
    start = [connect(), m.data(PROTOCOL), m.data(TYPES)]
    pairs = ((b"AUTH_SESSKEY", b"AB" * 16, 0), (b"AUTH_VFR_DATA", b"", 0x939))
    challenge = (
        b"\x08"
        + number(len(pairs))
        + b"".join(counted(name) + counted(value) + number(flags) for name, value, flags in pairs)
    )
    driven = Driven(
        asked(),
        [*start, m.data(login_call())],
        [accept(), m.data(ANSWER), m.data(TYPES_ANSWER), m.data(challenge + m.end())],
    )
    assert isinstance(driven.result, LoginEnded)
    assert driven.result.error.startswith("verifier-not-supported: The database has a verifier of kind 0x0939")
    assert b"Set the account's password anew" in driven.sent[Leg.CLIENT]


def test_a_message_of_a_login_in_crumbs_is_not_read_for_ever() -> None:
    crumbs = m.cut(login_call(0x76, ((b"AUTH_MACHINE", b"x" * 250), (b"AUTH_PID", b"x" * 250))), 1)
    start = [connect(), m.data(PROTOCOL), m.data(TYPES)]
    driven = Driven(asked(), [*start, crumbs], [accept(), m.data(ANSWER), m.data(TYPES_ANSWER)])
    assert driven.error is not None
    assert "packets" in driven.error.reason


def test_digits_that_are_no_number() -> None:
    with pytest.raises(Malformed):
        redirect_target("(ADDRESS=(HOST=a)(PORT=\u00b2))")


def test_what_a_login_carries_is_in_no_repr() -> None:
    message = read_request(login_call(0x73, ((b"AUTH_PASSWORD", b"AB12CD"),)), THIN)
    assert "AB12CD" not in repr(message) + repr(message.pairs)


# --------------------------------------------------------------------------------------------------------------- calls

ROW = ((b"x" * 200,),)
SCHEMA = m.piggyback(0x98, b"\1" + counted(b"SALES"))
QUERY = m.execute("select 1 from dual", query=True)
NO = Refusal("statement-denied", "Not here.")


def begun(pieces: list[Piece]) -> list[StatementBegins]:
    return [note for piece in pieces for note in piece.notes if isinstance(note, StatementBegins)]


@pytest.mark.parametrize("message", [
    m.execute("select 1 from dual", cursor=3, options=0x20),
    m.execute(None, cursor=3, options=0x21),
    QUERY + QUERY,
    b"\x1a" + QUERY[1:],
    m.call(4, body=number(3) + BACKWARDS + number(0x20) + number(0)),
])  # fmt: skip
def test_calls_of_which_the_record_would_say_something_else(message: bytes) -> None:
    client, _ = sides()
    with pytest.raises(ProtocolError):
        client.feed(m.data(message))


def test_calls_that_come_together_are_pieces_of_their_own() -> None:
    client, _ = sides()
    pieces = client.feed(m.data(QUERY) + m.cut(QUERY, 20))
    assert [len(begun([piece])) for piece in pieces] == [1, 1]
    assert [piece.statement for piece in pieces] == [1, 2]
    assert b"".join(piece.data for piece in pieces) == m.data(QUERY) + m.cut(QUERY, 20)


def test_what_has_no_record_does_not_go_on_with_a_marker() -> None:
    for kind in (1, 2):
        client, _ = sides()
        with pytest.raises(ProtocolError):
            client.feed(m.data(QUERY[:-1]) + m.marker(kind))


def test_rows_of_a_refused_statement_do_not_go_on_with_a_marker() -> None:
    client, _ = sides()
    message = m.execute("insert into x values (:1)", binds=(1,), rows=ROW * 3)
    split = len(message) - 2 * len(ROW[0][0]) - 4  # behind the first row
    [piece] = client.feed(m.data(message[:split]))
    client.refuse(piece, NO)
    later = client.feed(m.data(message[split : split + 50]) + m.marker(1))
    assert [each.forward for each in later if each.kind != "marker"] == [False] * (len(later) - 1)


def test_a_break_between_rows_ends_them() -> None:
    client, _ = sides()
    message = m.execute("insert into x values (:1)", binds=(1,), rows=ROW * 2)
    client.feed(m.data(message[:-202]))
    client.feed(m.marker(1))
    assert [note.text for note in begun(client.feed(m.data(QUERY)))] == ["select 1 from dual"]


def test_a_break_that_comes_too_late_does_not_stand_for_the_next_one() -> None:
    client, server = sides()
    client.feed(m.marker(1))
    client.feed(m.data(QUERY))
    assert server.cancel_in_band() == m.marker(1)
    assert server.cancel_in_band() == b""


def test_a_break_that_the_answer_outran_is_answered_by_itself() -> None:
    client, server = sides()
    client.feed(m.data(QUERY))
    client.feed(m.marker(3))
    [done] = [note for piece in server.feed(m.data(m.end())) for note in piece.notes if isinstance(note, StatementEnds)]
    assert done.error is None
    server.feed(m.marker(1) + m.marker(2))
    client.feed(m.marker(2))
    [late] = server.feed(m.data(m.end(1013, "ORA-01013: user requested cancel of current operation")))
    assert (late.forward, late.notes) == (True, ())
    with pytest.raises(ProtocolError):  # but only once
        server.feed(m.data(m.end(1013, "ORA-01013: user requested cancel of current operation")))


def test_a_break_that_found_nothing_to_do_takes_the_next_call() -> None:
    client, server = sides()
    client.feed(m.marker(3))
    client.feed(m.data(QUERY))
    server.feed(m.marker(1) + m.marker(2))
    client.feed(m.marker(2))
    pieces = server.feed(m.data(m.end(1013, "ORA-01013: user requested cancel of current operation")))
    [ended] = [note for piece in pieces for note in piece.notes if isinstance(note, StatementEnds)]
    assert ended.error is not None
    assert ended.error.code == "ORA-01013"
    with pytest.raises(ProtocolError):
        server.feed(m.data(m.end(1013, "ORA-01013: user requested cancel of current operation")))


@pytest.mark.parametrize("what", ["rows", "no error"])
def test_nothing_but_an_error_answers_a_break(what: str) -> None:
    client, server = sides()
    client.feed(m.marker(3))
    described, columns = m.described(("A",), [(1,)])
    answer = m.end() if what == "no error" else described + m.rows_of(columns, [(1,)]) + m.end(1013, "x")
    with pytest.raises(ProtocolError):
        server.feed(m.marker(1) + m.marker(2) + m.data(answer))


def test_a_setting_that_went_with_a_refused_call_ends_the_session() -> None:
    client, server = sides()
    [piece] = client.feed(m.data(SCHEMA + QUERY))
    client.refuse(piece, NO)
    assert server.due()
    with pytest.raises(ProtocolError) as error:
        client.feed(m.data(QUERY))
    assert "setting" in error.value.reason


def test_a_refusal_says_that_the_transaction_is_open() -> None:
    client, server = sides()
    client.feed(m.data(m.execute("delete from x")))
    server.feed(m.data(m.parameters() + m.end(rows=1, cursor=2, status=3)))
    [piece] = client.feed(m.data(QUERY))
    client.refuse(piece, NO)
    assert server.due()[10:13] == b"\4\1\2"


def test_a_cursor_whose_text_is_not_known_cannot_be_judged() -> None:
    client, _ = sides()
    client.judging = True
    with pytest.raises(ProtocolError):
        client.feed(m.data(m.again(7)))


@pytest.mark.parametrize(("text", "prepares"), [
    ("/* a */ -- b\n create table x (n number)", False),
    ("audit select table", False),
    (" (select 1 from dual)", True),
    ("/* a */ delete from x", True),
])  # fmt: skip
def test_what_is_done_when_it_is_parsed_is_not_said_to_be_prepared_only(text: str, prepares: bool) -> None:
    client, _ = sides()
    assert [note.prepares for note in begun(client.feed(m.data(m.execute(text, options=0x8001))))] == [prepares]


def test_a_message_in_crumbs_is_read_so_often_and_no_more() -> None:
    client, _ = sides()
    cursors = m.piggyback(0x69, b"\1" + number(65_000) + b"\2\1\1" * 60_000)
    client.feed(m.data(cursors))
    with pytest.raises(ProtocolError) as error:
        for _ in range(1000):
            client.feed(m.data(b"\0"))
    assert "small packets" in error.value.reason


def test_many_values_of_one_packet_take_no_longer_than_they_must() -> None:
    client, _ = sides()
    message = m.execute("insert into x values (:1)", binds=(1,), rows=((None,),) * 200_000)
    begin = time.process_time()
    [note] = begun(client.feed(m.data(message)))
    assert len(note.binds or ()) == 200_000
    assert time.process_time() - begin < 10


def test_a_change_of_password_is_not_recorded_raw() -> None:
    client, _ = sides()
    with pytest.raises(ProtocolError) as error:
        client.feed(m.data(login_call(0x73, ((b"AUTH_NEWPASSWORD", b"AB12"),))))
    assert error.value.raw == b""


# ------------------------------------------------------------------------------------------------------------- answers


def lob_read(client: OracleClientSide) -> None:
    body = b"\1" + number(4) + b"\0" + number(0) * 3 + b"\0\0\0" + number(2) + b"\0\0" + number(1) + number(0) + b"\1"
    client.feed(m.data(m.call(0x60, body=body + bytes(6) + b"loc4" + number(10))))


def test_the_data_of_a_lob_may_be_longer_than_what_is_held() -> None:
    client, server = sides()
    lob_read(client)
    chunk = b"x" * 700_000
    data = b"\x0e\xfe" + (number(len(chunk)) + chunk) * 3 + number(0)
    pieces = server.feed(m.cut(data + b"\x08loc4" + number(2) + m.end(), 8000))
    ends = [note for piece in pieces for note in piece.notes if isinstance(note, StatementEnds)]
    assert [end.outcome for end in ends] == ["done"]
    assert sum(piece.size for piece in pieces) > 2_100_000


def test_an_answer_does_not_end_before_its_call_does() -> None:
    client, server = sides()
    message = m.execute("insert into x values (:1)", binds=(1,), rows=ROW * 2)
    client.feed(m.data(message[:-202]))
    with pytest.raises(ProtocolError) as error:
        server.feed(m.data(m.parameters() + m.end(rows=1)))
    assert "whole" in error.value.reason


def test_a_cursor_that_comes_as_a_value_can_be_fetched_from() -> None:
    client, server = sides()
    client.feed(m.data(m.execute("begin open_it(:1); end;", binds=(102,), rows=((b"\0",),))))
    described, columns = m.described(("N",), [(1,)])
    vector = b"\x0b\0" + number(1) + number(0) + number(1) + number(0) * 3 + b"\x10"
    value = b"\7\1" + described[25:] + number(9) + number(0)
    server.feed(m.data(vector + value + m.parameters() + m.end(rows=1, cursor=4)))
    [piece] = client.feed(m.data(m.fetch(9)))
    assert [note.text for note in begun([piece])] == ["cursor 9 of: begin open_it(:1); end;"]
    pieces = server.feed(m.data(m.rows_of(columns, [(1,)]) + m.end(*m.NO_MORE, rows=1, cursor=9)))
    assert [note.rows for each in pieces for note in each.notes if isinstance(note, StatementEnds)] == [1]
