"""What the client sends: statements with their text and binds ahead of their bytes, and what is never passed on."""

from __future__ import annotations

import hashlib

import pytest

from bastion.protocols.contract import (
    BIND_LIMIT,
    BINDS_LIMIT,
    TEXT_PART,
    ProtocolError,
    Refusal,
    StatementBegins,
    StatementEnds,
    StatementExtends,
)
from bastion.protocols.mysql.client_side import MOST_AHEAD, MOST_TEXT_AHEAD
from bastion.protocols.mysql.codec import encode_lenenc_bytes, encode_packets
from bastion.protocols.mysql.constants import Capability
from bastion.protocols.mysql.exchange import LONG_DATA_LIMIT

from .packets import CLASSIC, MODERN, Session, err, ok, packet, prepare_ok, query, result_set, run

NO = Refusal("denied", "No such thing here.")
WITH_ATTRIBUTES = MODERN | int(Capability.QUERY_ATTRIBUTES)


def prepared(session: Session, text: str, parameters: int, handle: int = 1) -> None:
    session.client(packet(0, b"\x16" + text.encode()))
    session.server(run(1, *prepare_ok(handle, parameters, 0, modern=True)))


def execution(body: bytes, *, handle: int = 1, flags: int = 0) -> bytes:
    return b"\x17" + handle.to_bytes(4, "little") + bytes([flags]) + b"\x01\0\0\0" + body


def begins(session: Session) -> list[StatementBegins]:
    return [note for note in session.notes if isinstance(note, StatementBegins)]


def test_a_query_is_one_piece_with_its_text() -> None:
    session = Session()
    (piece,) = session.client(query("select 'ä'"))
    assert piece.notes == (StatementBegins(1, "COM_QUERY", "select 'ä'"),)
    assert (piece.data, piece.size, piece.statement, piece.forward) == (query("select 'ä'"), 16, 1, True)


def test_undecodable_text_is_shown_escaped() -> None:
    session = Session()
    session.client(packet(0, b"\x03select '\xff'"))
    assert begins(session)[0].text == "select '\\xff'"


@pytest.mark.parametrize(
    ("collation", "codec"), [(8, "cp1252"), (28, "gbk"), (249, "gb18030"), (255, "utf-8"), (13, "shift_jis")]
)
def test_text_is_read_in_the_encoding_of_the_connection(collation: int, codec: str) -> None:
    text = "select 'Bücher'" if codec == "cp1252" else "select '価格'"
    session = Session(MODERN, collation=collation)
    session.client(packet(0, b"\x03" + text.encode(codec)))
    assert begins(session)[0].text == text


def test_query_attributes_are_on_record_apart_from_the_text() -> None:
    session = Session(WITH_ATTRIBUTES)
    # two attributes: a text, a NULL, and a number
    attributes = (
        b"\x03\x01" + b"\x02" + b"\x01"
        + b"\xfe\0" + encode_lenenc_bytes(b"trace") + b"\x06\0" + encode_lenenc_bytes(b"none")
        + b"\x08\x80" + encode_lenenc_bytes(b"n") + encode_lenenc_bytes(b"delete from t") + bytes(8)
    )  # fmt: skip
    session.client(packet(0, b"\x03" + attributes + b"select 1"))
    session.server(run(1, *result_set([], modern=True)))
    session.client(packet(0, b"\x03\0\x01select 2"))
    assert [(note.text, note.binds) for note in begins(session)] == [
        ("select 1", ("trace=delete from t", "none=NULL", "n=0")), ("select 2", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "payload", [b"\x03", b"\x03\x01", b"\x03\x01\x01", b"\x03\x01\x01\0\x00", b"\x03\x01\x01\0\x01\xfe"]
)
def test_query_attributes_that_end_early_end_the_session(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        Session(WITH_ATTRIBUTES).client(packet(0, payload))


def test_binds_are_decoded_by_their_types_and_types_are_remembered() -> None:
    session = Session()
    prepared(session, "insert into t values (?, ?, ?)", 3)
    types = b"\x03\x00\xfd\x00\x08\x80"
    session.client(packet(0, execution(b"\x00\x01" + types + b"\xff\xff\xff\xff\x02hi" + b"\xff" * 8)))
    session.server(run(1, ok(affected=1)))
    session.client(packet(0, execution(b"\x02\x00" + b"\x05\0\0\0" + b"\x09" + bytes(7))))
    session.server(run(1, ok(affected=1)))
    assert [note.binds for note in begins(session)] == [
        None,
        ("-1", "hi", "18446744073709551615"),
        ("5", None, "9"),
    ]
    assert [note.text for note in begins(session)] == ["insert into t values (?, ?, ?)"] * 3
    assert begins(session)[0].prepares
    assert not begins(session)[1].prepares


def test_binds_behind_query_attributes() -> None:
    session = Session(WITH_ATTRIBUTES)
    prepared(session, "select ?", 1)
    body = b"\x02\x00\x01" + b"\xfd\0\0" + b"\xfd\0\x05trace" + b"\x03abc" + b"\x02id"
    session.client(packet(0, execution(body, flags=8)))
    assert begins(session)[-1].binds == ("abc", "trace=id")
    session.client(packet(0, execution(b"\x01\x00\x00" + b"\x03def", flags=8)))
    assert begins(session)[-1].binds == ("def",)


def test_an_execution_without_types_ever_sent_ends_the_session() -> None:
    session = Session()
    prepared(session, "select ?", 1)
    with pytest.raises(ProtocolError, match="without the types"):
        session.client(packet(0, execution(b"\x00\x00\x01")))


@pytest.mark.parametrize(
    "body", [b"\x00\x01\x03\x00\x01\0\0", b"\x00\x01\x03\x00\x01\0\0\0\0", b"\x00\x02", b"\x00\x01\x63\x00\x01"]
)
def test_binds_that_do_not_fit_end_the_session(body: bytes) -> None:
    session = Session()
    prepared(session, "select ?", 1)
    with pytest.raises(ProtocolError):
        session.client(packet(0, execution(body)))


def test_long_data_become_the_bind_of_the_next_execution_only() -> None:
    session = Session()
    prepared(session, "insert into t values (?, ?)", 2)
    value = b"x" * (BIND_LIMIT + 1000)
    session.client(
        packet(0, b"\x18\x01\0\0\0\x01\0" + value[:3000]) + packet(0, b"\x18\x01\0\0\0\x01\0" + value[3000:])
    )
    assert not session.exchange.waiting
    session.client(packet(0, execution(b"\x00\x01\x03\x00\xfc\x00" + b"\x07\0\0\0")))
    expected = "x" * BIND_LIMIT + f"… ({len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()})"
    assert begins(session)[-1].binds == ("7", expected)
    session.server(run(1, ok()))
    session.client(packet(0, execution(b"\x00\x00" + b"\x08\0\0\0" + b"\x01y")))
    assert begins(session)[-1].binds == ("8", "y")


def test_an_execution_of_an_unknown_handle_is_not_passed_on() -> None:
    session = Session()
    session.client(packet(0, execution(b"", handle=9)))
    assert session.up == b""
    assert session.down == packet(1, err(1243, "HY000", "Unknown prepared statement handler given to EXECUTE"))
    assert isinstance(session.notes[1], StatementEnds)
    assert session.notes[1].outcome == "failed"


def test_a_closed_handle_is_unknown_and_closing_has_no_answer() -> None:
    session = Session()
    prepared(session, "select 1", 0)
    before = len(session.up)
    both = packet(0, b"\x19\x01\0\0\0") + query("select 2")
    pieces = session.client(both)
    assert [piece.kind for piece in pieces] == ["COM_STMT_CLOSE", "COM_QUERY"]
    assert session.up[before:] == both
    session.server(run(1, ok()))
    session.client(packet(0, execution(b"")))
    assert session.exchange.handles == {}
    assert b"Unknown prepared statement" in session.down


def test_reset_connection_forgets_all_handles() -> None:
    session = Session()
    prepared(session, "select 1", 0)
    session.client(packet(0, b"\x1f"))
    assert begins(session)[-1] == StatementBegins(2, "COM_RESET_CONNECTION", "RESET CONNECTION")
    session.server(run(1, ok()))
    assert session.exchange.handles == {}
    assert [(note.number, note.outcome) for note in session.notes if isinstance(note, StatementEnds)][-1] == (2, "done")


def test_mariadb_runs_the_last_statement_by_minus_one_ahead_of_the_answer() -> None:
    session = Session(MODERN, mariadb=True)
    body = b"\x00\x01\xfd\x00\x03\x00" + b"\x02hi" + b"\x07\0\0\0"
    session.client(packet(0, b"\x16insert into t values (?, ?)") + packet(0, execution(body, handle=0xFFFFFFFF)))
    assert begins(session)[1].binds == ("hi", "7")
    assert begins(session)[1].text == "insert into t values (?, ?)"
    session.server(run(1, *prepare_ok(3, 2, 0, modern=True)) + run(1, ok(affected=1)))
    assert [note.outcome for note in session.notes if isinstance(note, StatementEnds)] == ["done", "done"]
    session.client(packet(0, execution(b"\x00\x01\xfd\x00\x03\x00\x01x\x01\0\0\0", handle=0xFFFFFFFF)))
    assert begins(session)[2].binds == ("x", "1")


def test_a_refused_preparation_takes_the_execution_of_minus_one_with_it() -> None:
    # The server's last statement would be the one before: something else would run than what was recorded.
    session = Session(MODERN, mariadb=True)
    prepared(session, "delete from t", 0)
    before = session.up
    session.refusals[2] = NO
    session.client(packet(0, b"\x16select 1") + packet(0, execution(b"", handle=0xFFFFFFFF)))
    assert session.up == before
    assert session.down.count(b"No such thing") == 2
    assert session.server_side.open_statements() == []


DIRECT = b"\x17\xff\xff\xff\xff\0\x01\0\0\0"


def test_the_parameters_of_minus_one_are_counted_in_the_text() -> None:
    """Three bytes of zero could be one parameter's, or two's: the text says which."""
    session = Session(MODERN, mariadb=True)
    session.client(packet(0, b"\x16select ?, '?', `?` /* ? */ -- ?\n, ?"))
    session.client(packet(0, DIRECT + b"\x00\x01" + b"\xfd\0\xfd\0" + b"\x00" + b"\x01a"))
    assert begins(session)[-1].binds == ("", "a")
    assert session.up.endswith(b"\x00\x01a")
    session.client(packet(0, b"\x16insert into t values (?)"))
    session.client(packet(0, b"\xfa\xff\xff\xff\xff\x80\0" + b"\xfd\0" + b"\0\x01a" + b"\0\x01b"))
    assert begins(session)[-1].binds == ("a", "b")


def test_bulk_executions_give_their_rows_as_binds() -> None:
    session = Session(MODERN, mariadb=True)
    prepared(session, "insert into t values (?, ?)", 2)
    rows = b"\x00\x01\0\0\0" + b"\x00\x01a" + b"\x00\x02\0\0\0" + b"\x01" + b"\x02" + b"\x03"
    session.client(packet(0, b"\xfa\x01\0\0\0\x80\0" + b"\x03\0\xfd\0" + rows))
    assert begins(session)[-1].operation == "COM_STMT_BULK_EXECUTE"
    assert begins(session)[-1].binds == ("1", "a", "2", None, "DEFAULT", "(unchanged)")


def test_kill_and_the_like_are_statements() -> None:
    session = Session()
    for payload, text in ((b"\x0c\x2a\0\0\0", "KILL 42"), (b"\x0a", "SHOW PROCESSLIST"), (b"\x08", "SHUTDOWN")):
        session.client(packet(0, payload))
        assert begins(session)[-1].text == text
        assert session.pieces[-1].forward


@pytest.mark.parametrize("payload", [b"\x12\x04\0\0\0\0\0\x01\0\0\0", b"\x15\x01\0\0\0", b"\x1e\0\0"])
def test_replication_is_refused_unless_it_is_granted(payload: bytes) -> None:
    session = Session()
    session.client(packet(0, payload))
    assert session.up == b""
    assert b"not granted" in session.down
    granted = Session(MODERN, allow_replication=True)
    granted.client(packet(0, payload))
    assert granted.up == packet(0, payload)
    some = Session(MODERN, allow_replication=True, databases=("shop",))
    some.client(packet(0, payload))
    assert some.up == b""
    assert b"holds every database" in some.down


def test_a_replication_stream_passes() -> None:
    session = Session(MODERN, allow_replication=True)
    session.client(packet(0, b"\x12\x04\0\0\0\x01\0\x01\0\0\0log"))
    events = run(1, b"\0" + b"e" * 30, b"\0" + b"f" * 300)
    session.server(events)
    session.server(packet(3, b"\xfe\0\0\x02\0"))
    assert session.down.startswith(events)
    assert session.server_side.running is None


def test_another_database_is_refused() -> None:
    session = Session(MODERN, databases=("shop",))
    session.client(packet(0, b"\x02mysql"))
    assert session.up == b""
    assert session.down[4:7] == b"\xff\x14\x04"
    session.client(packet(0, b"\x02shop"))
    assert session.up == packet(0, b"\x02shop")


@pytest.mark.parametrize("payload", [b"\x00", b"\x05x", b"\x0b", b"\x0f", b"\x20", b"\xfe", b"\x1d"])
def test_unknown_commands_end_the_session(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="unknown kind"):
        Session().client(packet(0, payload))


@pytest.mark.parametrize("data", [packet(0, b""), packet(1, b"\x0e"), b"\0\0\0\0"])
def test_what_is_no_command_ends_the_session(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Session().client(data)


def test_a_command_that_is_never_long_is_bounded() -> None:
    with pytest.raises(ProtocolError, match="longer than any"):
        Session().client(packet(0, b"\x02" + bytes(TEXT_PART + 10)))


# ------------------------------------------------------------------------------------------------------- refusals


def test_a_refusal_is_answered_behind_what_went_before() -> None:
    session = Session()
    session.refusals[2] = NO
    session.client(query("select 1") + query("drop table t") + query("select 3"))
    assert session.up == query("select 1") + query("select 3")
    assert session.down == b""
    assert session.server_side.open_statements() == [1, 3]
    first, third = run(1, *result_set([b"\x011"], modern=True)), run(1, ok())
    session.server(first + third)
    assert session.down == first + packet(1, err(1227, "42000", NO.message)) + third
    assert session.server_side.open_statements() == []


def test_a_refusal_alone_is_answered_at_once() -> None:
    session = Session()
    session.refusals[1] = NO
    session.client(query("drop table t"))
    assert session.down == packet(1, err(1227, "42000", NO.message))
    assert session.up == b""


def test_a_refused_long_statement_is_dropped_whole_and_answered_at_its_end() -> None:
    session = Session()
    session.refusals[1] = NO
    text = b"\x03select '" + b"x" * (0xFFFFFF + 100) + b"'"
    data = encode_packets(0, text)
    session.client(data[:1_000_000])
    assert session.down == b""
    session.client(data[1_000_000:])
    assert session.up == b""
    assert session.down == packet(2, err(1227, "42000", NO.message))


def test_types_of_a_refused_execution_are_sent_with_the_next_one() -> None:
    # Drivers send types once. The server never saw these, so it must get them with the next execution.
    session = Session()
    prepared(session, "select ?", 1)
    session.refusals[2] = NO
    session.client(packet(0, execution(b"\x00\x01\xfd\x00\x01a")))
    before = len(session.up)
    session.client(packet(0, execution(b"\x00\x00\x01b")))
    assert session.up[before:] == packet(0, execution(b"\x00\x01\xfd\x00\x01b"))
    assert session.pieces[-1].size == len(packet(0, execution(b"\x00\x00\x01b")))
    assert begins(session)[-1].binds == ("b",)


def test_a_refused_execution_with_long_data_spoils_the_handle_until_it_is_reset() -> None:
    # The server would use the long data that it keeps for the next execution, whose record shows another value.
    session = Session()
    prepared(session, "select ?", 1)
    session.refusals[2] = NO
    session.client(packet(0, b"\x18\x01\0\0\0\0\0secret"))
    session.client(packet(0, execution(b"\x00\x01\xfc\x00")))
    before = session.up
    session.client(packet(0, execution(b"\x00\x01\xfc\x00\x01b")))
    assert session.up == before
    assert b"Reset or prepare" in session.down
    session.client(packet(0, b"\x1a\x01\0\0\0"))
    session.server(run(1, ok()))
    session.client(packet(0, execution(b"\x00\x01\xfc\x00\x01b")))
    assert begins(session)[-1].binds == ("b",)
    assert session.up.endswith(packet(0, execution(b"\x00\x01\xfc\x00\x01b")))


# --------------------------------------------------------------------------------------------------- long messages


@pytest.mark.parametrize("length", [TEXT_PART - 1, TEXT_PART, TEXT_PART + 1, 0xFFFFFE, 0xFFFFFF, 0x1000000, 0x2000010])
def test_a_statement_of_any_length_passes_in_parts_with_its_text(length: int) -> None:
    text = "ä" + "x" * (length - 3)
    payload = b"\x03" + text.encode()
    assert len(payload) == length
    data = encode_packets(0, payload)
    session = Session()
    for start in range(0, len(data), 777_777):
        session.client(data[start : start + 777_777])
    assert session.up == data
    notes = [note for note in session.notes if isinstance(note, StatementBegins | StatementExtends)]
    assert "".join(note.text for note in notes) == text
    assert [note.complete for note in notes] == [False] * (len(notes) - 1) + [True]
    assert max(len(note.text) for note in notes) <= TEXT_PART
    session.server(packet(len(data) // 0x1000000 + 1, ok()))
    assert session.server_side.running is None


def test_a_statement_is_not_passed_ahead_of_its_record() -> None:
    data = encode_packets(0, b"\x03" + b"x" * (3 * TEXT_PART))
    session = Session()
    for index in range(len(data)):
        for piece in session.client_side.feed(data[index : index + 1]):
            noted = sum(len(note.text) for note in piece.notes)  # type: ignore[union-attr]
            assert piece.size - 5 <= noted <= piece.size


def test_a_long_prepared_text_is_kept_by_its_beginning() -> None:
    session = Session()
    session.client(encode_packets(0, b"\x16" + b"x" * (2 * TEXT_PART)))
    session.server(run(1, *prepare_ok(1, 0, 0, modern=True)))
    session.client(packet(0, execution(b"")))
    text = begins(session)[-1].text
    assert text.endswith("… (the whole text is that of statement 1)")
    assert len(text) < TEXT_PART + 100


@pytest.mark.parametrize("size", [BIND_LIMIT, BIND_LIMIT + 1, TEXT_PART, 3 * TEXT_PART, 0x1000100])
def test_a_long_bind_is_recorded_by_beginning_length_and_digest(size: int) -> None:
    session = Session()
    prepared(session, "insert into t values (?, ?)", 2)
    value = b"v" * size
    payload = execution(b"\x00\x01\xfc\x00\x03\x00" + encode_lenenc_bytes(value) + b"\x07\0\0\0")
    before = len(session.up)
    session.client(encode_packets(0, payload))
    assert session.up[before:] == encode_packets(0, payload)
    notes = [note for note in session.notes if isinstance(note, StatementBegins | StatementExtends)][1:]
    binds = [bind for note in notes for bind in note.binds or ()]
    assert binds[1] == "7"
    assert binds[0] is not None
    if size > BIND_LIMIT:
        detail = "".join(note.detail for note in notes if isinstance(note, StatementExtends))
        assert binds[0].startswith("v" * BIND_LIMIT + f"… ({size} bytes")
        assert hashlib.sha256(value).hexdigest() in binds[0] + detail
    else:
        assert binds[0] == value.decode()
    assert sum(len(bind or "") for bind in binds) < BINDS_LIMIT


def test_many_binds_are_kept_up_to_their_limit() -> None:
    session = Session(MODERN, mariadb=True)
    prepared(session, "insert into t values (?)", 1)
    payload = b"\xfa\x01\0\0\0\x80\0\xfd\0" + (b"\0" + encode_lenenc_bytes(b"r" * 1000)) * 3000
    session.client(encode_packets(0, payload))
    notes = [note for note in session.notes if isinstance(note, StatementBegins | StatementExtends)][1:]
    binds = [bind for note in notes for bind in note.binds or ()]
    kept = binds[:-1]
    assert set(kept) == {"r" * 1000}
    assert BINDS_LIMIT < 1000 * len(kept) <= BINDS_LIMIT + 1000
    rest = (b"\0" + encode_lenenc_bytes(b"r" * 1000)) * (3000 - len(kept))
    assert binds[-1] == f"… ({len(rest)} bytes more, sha256 {hashlib.sha256(rest).hexdigest()})"
    assert notes[-1].complete


def test_long_data_stream_through() -> None:
    session = Session()
    prepared(session, "insert into t values (?)", 1)
    value = bytes(range(256)) * 4096 * 17
    data = encode_packets(0, b"\x18\x01\0\0\0\0\0" + value)
    session.client(data)
    assert session.up.endswith(data)
    session.client(packet(0, execution(b"\x00\x01\xfc\x00")))
    bind = begins(session)[-1].binds[0]  # type: ignore[index]
    assert bind is not None
    assert f"({len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()})" in bind


def test_long_data_that_wait_for_their_executions_are_kept_within_a_limit() -> None:
    session = Session()
    count = LONG_DATA_LIMIT // BIND_LIMIT + 3
    prepared(session, "insert into t values (?)", count)
    value = b"v" * BIND_LIMIT
    for index in range(count):
        session.client(packet(0, b"\x18\x01\0\0\0" + index.to_bytes(2, "little") + value))
    assert session.exchange.long_data_kept == LONG_DATA_LIMIT
    session.client(packet(0, b"\x1a\x01\0\0\0"))
    session.server(run(1, ok()))
    assert session.exchange.long_data_kept == 0
    # What was not kept is there by length and digest.
    session.exchange.long_data_kept = LONG_DATA_LIMIT - 10
    session.client(packet(0, b"\x18\x01\0\0\0\0\0" + b"0123456789"))
    session.client(packet(0, b"\x18\x01\0\0\0\x01\0" + b"abc"))
    held = session.exchange.handles[1].long_data
    assert (held[0].prefix, held[0].length, held[1].prefix, held[1].length) == (b"0123456789", 10, b"", 3)


def test_texts_of_handles_are_bounded() -> None:
    session = Session(CLASSIC)
    for handle in range(1, 101):
        session.client(packet(0, b"\x16" + b"y" * (TEXT_PART - 10)))
        session.server(run(1, *prepare_ok(handle, 0, 0, modern=False)))
    assert sum(len(handle.text) for handle in session.exchange.handles.values()) < 17 * 1024 * 1024


def test_a_client_far_ahead_of_the_answers_is_to_wait_for_them() -> None:
    session = Session()
    side = session.client_side
    session.client(packet(0, b"\x0e") * MOST_AHEAD)
    assert not side.ahead
    session.client(packet(0, b"\x0e"))
    assert side.ahead
    for _ in range(MOST_AHEAD // 2):
        assert side.still_ahead()
        session.server(run(1, ok()))
    session.server(run(1, ok()))
    assert not side.still_ahead()


def test_the_texts_of_preparations_ahead_of_their_answers_count() -> None:
    session = Session(CLASSIC)
    side = session.client_side
    sent = 0
    while not side.ahead:
        session.client(packet(0, b"\x16" + b"y" * 100_000))
        sent += 1
    assert MOST_TEXT_AHEAD // 100_000 <= sent <= MOST_TEXT_AHEAD // 100_000 + 1
    for handle in range(2):
        session.server(run(1, *prepare_ok(handle, 0, 0, modern=False)))
    assert not side.still_ahead()
