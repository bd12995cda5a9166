"""What the database answers: the grammar of every answer, and what only looks like the end of one."""

from __future__ import annotations

import pytest

from bastion.protocols.contract import (
    ClientData,
    DatabaseError,
    ProtocolError,
    Refusal,
    SessionChanged,
    StatementBegins,
    StatementEnds,
    StatementExtends,
    Transaction,
)
from bastion.protocols.mysql.constants import Capability

from .packets import CLASSIC, DEFINITION, MODERN, Session, eof, err, ok, packet, prepare_ok, query, result_set, run

BOTH = pytest.mark.parametrize("capabilities", [CLASSIC, MODERN], ids=["eof", "deprecate-eof"])


def ends(session: Session) -> list[StatementEnds]:
    return [note for note in session.notes if isinstance(note, StatementEnds)]


def answered(session: Session, text: str, *payloads: bytes) -> StatementEnds:
    """Sends a query, gives the answer, and returns how the statement ended; everything must have passed untouched."""
    session.client(query(text))
    data = run(1, *payloads)
    before = len(session.down)
    session.server(data)
    assert session.down[before:] == data
    assert session.server_side.running is None
    return ends(session)[-1]


@BOTH
def test_rows_of_a_result_set_are_counted(capabilities: int) -> None:
    payloads = result_set([b"\x011", b"\x012", b"\xfb"], modern=capabilities == MODERN)
    end = answered(Session(capabilities), "select a from t", *payloads)
    whole = len(run(1, *payloads))
    assert end == StatementEnds(1, 3, None, "done", whole, whole)


@BOTH
def test_an_empty_first_column_is_a_row_and_no_ok(capabilities: int) -> None:
    payloads = result_set([b"\0", b"\0\0\0\0\0\0\0", b"\xfb\xfb\xfb"], modern=capabilities == MODERN, columns=7)
    assert answered(Session(capabilities), "select '' from t", *payloads).rows == 3


@BOTH
def test_a_first_column_of_16_mib_begins_like_an_end_and_is_a_row(capabilities: int) -> None:
    session = Session(capabilities)
    session.client(query("select huge from t"))
    modern = capabilities == MODERN
    head = run(1, *result_set([], modern=modern)[:-1])
    value = bytes(1 << 24)
    row = b"\xfe" + len(value).to_bytes(8, "little") + value
    sequence = 3 if modern else 4
    data = head + packet(sequence, row[:0xFFFFFF]) + packet(sequence + 1, row[0xFFFFFF:])
    data += packet(sequence + 2, b"\x03abc") + packet(sequence + 3, result_set([], modern=modern)[-1])
    for start in range(0, len(data), 1 << 20):
        session.server(data[start : start + (1 << 20)])
    assert session.down == data
    assert ends(session)[0].rows == 2


def test_a_row_of_exactly_the_greatest_length_is_continued_by_an_empty_packet() -> None:
    session = Session(MODERN)
    session.client(query("select huge from t"))
    row = b"\xfd" + (0xFFFFFF - 4).to_bytes(3, "little") + bytes(0xFFFFFF - 4)
    data = run(1, *result_set([], modern=True)[:-1]) + packet(3, row) + packet(4, b"") + packet(5, ok(head=0xFE))
    session.server(data)
    assert (session.down == data, ends(session)[0].rows) == (True, 1)


def test_a_short_packet_of_the_eof_kind_is_a_row_of_a_classic_session_when_it_is_longer_than_an_eof() -> None:
    # 0xFE with nine bytes or more is a length of eight bytes: only legal in a packet of the greatest length.
    session = Session(CLASSIC)
    session.client(query("select a from t"))
    session.server(run(1, *result_set([], modern=False)[:-1]) + packet(4, b"\xfe" + bytes(8)) + packet(5, eof()))
    assert ends(session)[0].rows == 1


@BOTH
def test_a_call_with_several_results_is_one_statement_with_the_sum_of_rows(capabilities: int) -> None:
    modern = capabilities == MODERN
    payloads = [
        *result_set([b"\x011", b"\x012"], modern=modern, status=0x0A),
        *result_set([b"\x013"], modern=modern, status=0x0A),
        ok(affected=4, status=0x0A),
        ok(affected=1),
    ]
    end = answered(Session(capabilities), "call p()", *payloads)
    assert (end.rows, end.outcome) == (8, "done")


@BOTH
def test_an_error_in_the_middle_of_rows_keeps_the_rows_so_far(capabilities: int) -> None:
    payloads = result_set([b"\x011", b"\x012"], modern=capabilities == MODERN)[:-1]
    end = answered(Session(capabilities), "select f(a) from t", *payloads, err(1317, "70100", "interrupted"))
    assert end.rows == 2
    assert end.error == DatabaseError("1317 (70100)", "interrupted")
    assert end.outcome == "failed"


@BOTH
def test_a_preparation_ends_with_the_last_definition(capabilities: int) -> None:
    modern = capabilities == MODERN
    for parameters, columns in ((0, 0), (2, 0), (0, 3), (2, 3)):
        session = Session(capabilities)
        session.client(packet(0, b"\x16select ?"))
        data = run(1, *prepare_ok(7, parameters, columns, modern=modern))
        session.server(data[:-1])
        assert session.server_side.running == 1
        session.server(data[-1:])
        assert session.down == data
        assert ends(session) == [StatementEnds(1, None, None, "done", len(data), len(data))]
        assert session.exchange.handles[7].parameters == parameters


@BOTH
def test_a_cursor_opens_suspended_and_its_pages_are_statements(capabilities: int) -> None:
    modern = capabilities == MODERN
    session = Session(capabilities)
    session.client(packet(0, b"\x16select a from t"))
    session.server(run(1, *prepare_ok(1, 0, 1, modern=modern)))
    session.client(packet(0, b"\x17\x01\0\0\0\x01\x01\0\0\0"))
    opened = [b"\x01", DEFINITION, ok(head=0xFE, status=0x42) if modern else eof(0x42)]
    session.server(run(1, *opened))
    assert (ends(session)[-1].outcome, ends(session)[-1].rows) == ("suspended", 0)
    row = b"\0\0\x05\0\0\0"
    for status, outcome in ((0x42, "suspended"), (0x82, "done")):
        session.client(packet(0, b"\x1c\x01\0\0\0\x02\0\0\0"))
        session.server(run(1, row, row, ok(head=0xFE, status=status) if modern else eof(status)))
        assert (ends(session)[-1].outcome, ends(session)[-1].rows) == (outcome, 2)
    assert [note.text for note in session.notes if hasattr(note, "text")] == ["select a from t"] * 4


@BOTH
def test_commands_that_are_no_statements_are_answered_and_forgotten(capabilities: int) -> None:
    session = Session(capabilities)
    exchanges = [
        (b"\x0e", [ok()]),
        (b"\x09", [b"Uptime: 12  Threads: 1"]),
        (b"\x1b\0\0", [eof() if capabilities == CLASSIC else ok(head=0xFE)]),
    ]
    for command, answer in exchanges:
        session.client(packet(0, command))
        session.server(run(1, *answer))
        assert not session.exchange.waiting
    assert session.notes == []
    assert session.size_up == len(session.up)


@BOTH
def test_field_list_is_definitions_up_to_the_end(capabilities: int) -> None:
    session = Session(capabilities)
    session.client(packet(0, b"\x04orders\0"))
    session.server(run(1, DEFINITION, DEFINITION, eof() if capabilities == CLASSIC else ok(head=0xFE)))
    assert [type(note).__name__ for note in session.notes] == ["StatementBegins", "StatementEnds"]
    assert session.notes[0].text == "SHOW FIELDS FROM `orders`"  # type: ignore[union-attr]


def test_the_transaction_follows_the_status_flags() -> None:
    session = Session()
    answered(session, "begin", ok(status=3))
    assert session.server_side.transaction is Transaction.OPEN
    answered(session, "select 1", *result_set([b"\x011"], modern=True, status=3))
    answered(session, "commit", ok(status=2))
    assert session.noted(SessionChanged) == [
        SessionChanged(transaction=Transaction.OPEN),
        SessionChanged(transaction=Transaction.NONE),
    ]


def test_the_schema_is_tracked_by_the_server_words() -> None:
    session = Session()
    change = b"\x01\x05\x04shop"
    answered(session, "anything", ok(status=0x4002) + b"\0" + bytes([len(change)]) + change)
    assert session.exchange.schema == "shop"
    assert session.noted(SessionChanged) == [SessionChanged(schema="shop")]


def test_the_schema_is_tracked_without_the_server_words() -> None:
    session = Session(CLASSIC)
    answered(session, "use `my``shop`;", ok())
    assert session.exchange.schema == "my`shop"
    answered(session, "use nowhere", err(1049, "42000", "Unknown database"))
    assert session.exchange.schema == "my`shop"
    session.client(packet(0, b"\x02orders"))
    session.server(run(1, ok()))
    assert session.exchange.schema == "orders"
    begun = [note.text for note in session.notes if hasattr(note, "text")]
    assert begun[-1] == "USE `orders`"


def test_the_encoding_follows_the_server_words() -> None:
    session = Session()
    change = b"\x00\x19\x14character_set_client\x03gbk"
    answered(session, "set names gbk", ok(status=0x4002) + b"\0" + bytes([len(change)]) + change)
    session.client(packet(0, b"\x03select '" + "订单".encode("gbk") + b"'"))
    assert session.notes[-1].text == "select '订单'"  # type: ignore[union-attr]


def test_progress_reports_end_nothing() -> None:
    session = Session(MODERN, mariadb=True)
    session.client(query("alter table t force"))
    session.server(packet(1, b"\xff\xff\xff\x01\x01\x02\x10\0\0\x04copy"))
    assert session.server_side.running == 1
    session.server(packet(2, ok()))
    assert ends(session)[0].outcome == "done"


def test_an_error_that_nobody_asked_for_passes() -> None:
    session = Session()
    data = packet(0, err(4031, "HY000", "disconnected because of inactivity"))
    session.server(data)
    assert session.down == data


@pytest.mark.parametrize(
    "data",
    [
        packet(0, ok()),
        packet(1, b"\x05hello"),
    ],
)
def test_an_answer_that_nobody_asked_for_ends_the_session(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="no command waits"):
        Session().server(data)


@pytest.mark.parametrize(
    "payload",
    [b"\xfe", b"\x01\x01", b"\0", b"\0\0\0\x02", b"\xfc\x01", b"\xfbfile", b"\xff\x01"],
    ids=["eof", "count+rest", "short-ok", "ok-without-warnings", "short-count", "file-not-agreed", "short-err"],
)
def test_an_answer_that_is_none_ends_the_session(payload: bytes) -> None:
    session = Session(MODERN & ~Capability.LOCAL_FILES)
    session.client(query("select 1"))
    if payload == b"\0\0\0\x02":
        payload = b"\0\0"
    with pytest.raises(ProtocolError):
        session.server(packet(1, payload))


def test_control_packets_are_bounded() -> None:
    session = Session()
    session.client(query("select 1"))
    with pytest.raises(ProtocolError, match="control packet of 16777215 bytes"):
        session.server(b"\xff\xff\xff\x01\x00")


def test_a_local_file_is_asked_for_sent_and_counted() -> None:
    session = Session()
    session.client(query("load data local infile 'orders.csv' into table orders"))
    session.server(packet(1, b"\xfborders.csv"))
    assert session.notes[-1] == StatementExtends(1, detail="LOCAL INFILE 'orders.csv'")
    data = packet(2, b"1,2\n3,4\n") + packet(3, b"5,6\n") + packet(4, b"")
    session.client(data)
    assert session.up.endswith(data)
    assert session.notes[-1] == StatementExtends(1, data_bytes=12, detail="end of file")
    session.server(packet(5, ok(affected=3)))
    assert ends(session)[0].rows == 3
    session.client(query("select 1"))
    assert session.pieces[-1].kind == "COM_QUERY"


def test_the_beginning_of_a_local_file_is_handed_out_without_packet_headers() -> None:
    session = Session()
    session.client_side.sample_uploads(10)
    session.client(query("load data local infile 'orders.csv' into table orders"))
    session.server(packet(1, b"\xfborders.csv"))
    data = packet(2, b"1,2\n3,4\n") + packet(3, b"5,6\n") + packet(4, b"")
    session.client(data[:9])
    session.client(data[9:])
    handed_out = [note for note in session.notes if isinstance(note, ClientData)]
    assert b"".join(note.data for note in handed_out) == b"1,2\n3,4\n5,"
    assert {note.number for note in handed_out} == {1}
    session.server(packet(5, ok(affected=3)))
    session.client(query("select 1"))
    assert session.pieces[-1].kind == "COM_QUERY"


def test_commands_sent_ahead_of_a_local_file_end_the_session() -> None:
    # The server takes them for the file, so what was recorded as a statement would never have run, and the other way.
    session = Session()
    session.client(query("load data local infile 'x' into table t") + query("drop table t"))
    with pytest.raises(ProtocolError, match="sent ahead"):
        session.server(packet(1, b"\xfbx"))


def test_a_command_in_the_place_of_a_local_file_ends_the_session() -> None:
    session = Session()
    session.client(query("load data local infile 'x' into table t"))
    session.server(packet(1, b"\xfbx"))
    with pytest.raises(ProtocolError, match="out of sequence"):
        session.client(query("drop table t"))


@pytest.mark.parametrize("mariadb", [False, True])
def test_the_last_words_fit_the_place_in_the_conversation(mariadb: bool) -> None:
    refusal = Refusal("session-ended", "The session was ended by bob.")
    number = (1927 if mariadb else 3169).to_bytes(2, "little")
    session = Session(MODERN, mariadb=mariadb)
    assert session.server_side.farewell(refusal)[3:7] == b"\0\xff" + number
    session.client(query("select 1"))
    assert session.server_side.farewell(refusal)[3] == 1
    answer = run(1, *result_set([b"\x011"], modern=True)[:-1])
    session.server(answer)
    assert session.server_side.farewell(refusal)[3] == 4
    session.server(b"\x05\0\0\x04\x01")
    assert session.server_side.farewell(refusal) == b""


def test_sessions_share_nothing() -> None:
    first, second = Session(), Session()
    first.client(query("select 'first'"))
    second.client(query("select 'second'"))
    first.client(b"")
    second.server(run(1, *result_set([b"\x011"], modern=True)))
    assert [note.text for note in first.notes if hasattr(note, "text")] == ["select 'first'"]
    assert first.server_side.running == 1
    assert second.server_side.running is None


@BOTH
@pytest.mark.parametrize("flagged_at_the_end", [False, True])
def test_the_row_of_out_parameters_is_none_of_the_results(capabilities: int, flagged_at_the_end: bool) -> None:
    """Without CLIENT_DEPRECATE_EOF MySQL 9.7 flags that result only in front, and ends it as if it were the last."""
    modern = capabilities == MODERN
    session = Session(capabilities)
    session.client(query("call p(1, @b)"))
    out = result_set([b"\0\0\x07"], modern=modern, status=0x100A)
    if not modern:
        out[-3] = eof(0x100A)
        out[-1] = eof(0x100A if flagged_at_the_end else 0x0022)
    rows = result_set([b"\x011", b"\x012"], modern=modern, status=0x0A)
    session.server(run(1, *rows, *out))
    assert session.server_side.running == 1
    session.server(run(20, ok()))
    assert session.server_side.running is None
    assert ends(session)[-1].rows == 2


def test_the_encoding_behind_a_reset_is_the_logins_or_the_servers_own() -> None:
    for mariadb, settings, expected in ((True, {}, "café"), (False, {"default_collation": 255}, "caf\\xe9")):
        session = Session(CLASSIC, mariadb=mariadb, collation=8, **settings)
        session.client(query("set names utf8mb4"))
        session.server(run(1, ok()))
        session.client(packet(0, b"\x1f"))
        session.server(run(1, ok()))
        session.client(packet(0, b"\x03select 'caf\xe9'"))
        begins = session.noted(StatementBegins)[-1]
        assert isinstance(begins, StatementBegins)
        assert begins.text == f"select '{expected}'"


def test_what_was_understood_before_what_was_not_is_handed_out() -> None:
    session = Session()
    session.client(query("insert into t values (1)"))
    session.client(query("select 2"))
    one = packet(1, ok(affected=1))
    with pytest.raises(ProtocolError) as caught:
        session.server(one + b"\xff\xff\xff\x01\x00")
    [piece] = caught.value.before
    assert piece.data == one
    assert [(note.number, note.rows) for note in piece.notes if isinstance(note, StatementEnds)] == [(1, 1)]
