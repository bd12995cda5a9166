"""What the client's messages are for the record: texts, values, several in one message, handles, parts."""

from __future__ import annotations

import hashlib
import struct

import pytest

from bastion.protocols.contract import BIND_LIMIT, TEXT_PART, ProtocolError, StatementBegins, StatementExtends
from bastion.protocols.tds.exchange import Exchange

from . import messages as m
from .session import Session

OLD = 0x71000001


def answered(session: Session, *tokens: bytes) -> None:
    session.server(m.answer(*tokens))


def test_a_batch_is_a_statement_with_its_whole_text() -> None:
    session = Session()
    session.client(m.batch("select 'a', N'数据'\n-- and\nGO"))
    assert session.notes == [StatementBegins(1, "batch", "select 'a', N'数据'\n-- and\nGO")]
    assert session.server_side.running == 1
    assert session.server_side.open_statements() == [1]


def test_before_7_2_there_are_no_headers_and_ends_are_narrow() -> None:
    session = Session(Exchange(version=OLD))
    session.client(m.packets(1, m.wide("select 1")))
    columns = m.columns((m.INT, "id"), old=True)
    failed = m.error(208, "Invalid object name 'x'.", old=True)
    session.server(
        m.answer(columns, m.row(m.int_value(1)), m.done(m.COUNT | m.MORE, 1, old=True), failed, m.done(6, old=True))
    )
    assert session.texts() == [("batch", "select 1")]
    assert session.outcomes() == [(1, 1, "failed", "208: Invalid object name 'x'.")]
    assert session.server_side.transaction.value == "open"
    session.client(m.packets(3, b"\x80".join([m.executesql("select @a", "@a int", m.integer(1)), m.call("sp_who")])))
    assert session.texts()[1:] == [("sp_executesql", "select @a"), ("rpc", "EXEC sp_who")]


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"\x03\0\0\0",
        struct.pack("<I", 1000) + bytes(30),
        struct.pack("<IIH", 10, 2, 2),
        struct.pack("<IIH", 9, 6, 2),
    ],
)
def test_headers_that_do_not_add_up_are_refused(headers: bytes) -> None:
    """What a wrong length hides would be read as something else here than by the server."""
    with pytest.raises(ProtocolError):
        Session().client(m.batch("select 1; drop table t", headers=headers))


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ProtocolError, match="half a character"):
        Session().client(m.packets(1, m.HEADERS + b"s\0e\0l"))


def test_each_rpc_of_a_message_is_a_statement_with_an_end_of_its_own() -> None:
    session = Session()
    session.client(
        m.rpc(
            m.executesql("insert into t values (@a)", "@a int", m.integer(1)),
            m.call("dbo.refresh;1", m.nvarchar("x", "@what"), m.integer(None, output=True)),
            m.call(10, m.nvarchar("select 3")),
        )
    )
    assert session.notes == [
        StatementBegins(1, "sp_executesql", "insert into t values (@a)", binds=("1",)),
        StatementBegins(2, "rpc", "EXEC dbo.refresh;1 @what = ?, ? OUTPUT", binds=("x", None)),
        StatementBegins(3, "sp_executesql", "select 3", binds=()),
    ]
    answered(
        session,
        m.done_within(m.COUNT | m.MORE, 1), m.return_status(), m.done_procedure(m.COUNT | m.MORE, 1),
        m.error(50000, "no"), m.return_status(4), m.done_procedure(m.MORE | m.ERROR),
        m.columns((m.INT, "a")), m.row(m.int_value(1)), m.done_within(m.COUNT | m.MORE, 1), m.done_procedure(),
    )  # fmt: skip
    assert session.outcomes() == [(1, 1, "done", ""), (2, None, "failed", "50000: no"), (3, 1, "done", "")]
    assert StatementExtends(2, detail="return status 4") in session.notes
    assert sum(end.bytes_down for end in session.ends()) == len(session.to_client)


def test_a_message_whose_answer_breaks_off_leaves_no_statement_open() -> None:
    session = Session()
    session.client(m.rpc(m.call(10, m.nvarchar("a")), m.call(10, m.nvarchar("b")), m.call(10, m.nvarchar("c"))))
    answered(session, m.error(1205, "deadlock"), m.done(m.ERROR))
    assert [(end.number, end.outcome) for end in session.ends()] == [(1, "failed"), (2, "skipped"), (3, "skipped")]
    assert session.server_side.open_statements() == []


@pytest.mark.parametrize(
    "name", ["sp_executesql", "SP_ExecuteSQL", "sys.sp_executesql", "[sys].[sp_executesql]", "master..sp_executesql",
             "master.dbo.sp_executesql", "[sp_executesql]", "[master].[sys].[sp_executesql]"]
)  # fmt: skip
def test_procedures_that_run_a_text_are_known_however_they_are_written(name: str) -> None:
    session = Session()
    session.client(m.rpc(m.call(name, m.nvarchar("drop table t"))))
    assert session.texts() == [("sp_executesql", "drop table t")]


def test_a_statement_that_is_asked_about_is_a_text_and_no_value() -> None:
    """As a value it would be on record with the credentials that may be in it."""
    session = Session()
    session.client(m.rpc(m.call("sys.sp_describe_undeclared_parameters", m.nvarchar("select @a", "@tsql"))))
    session.client(m.rpc(m.call("sp_describe_first_result_set", m.nvarchar("select 1"), m.nvarchar(None))))
    assert session.notes == [
        StatementBegins(1, "sp_describe_undeclared_parameters", "select @a", prepares=True),
        StatementBegins(2, "sp_describe_first_result_set", "select 1", prepares=True),
    ]


def test_one_of_the_same_name_in_another_schema_is_not_taken_for_it() -> None:
    session = Session()
    session.client(m.rpc(m.call("mine.sp_executesql", m.nvarchar("x"))))
    assert session.notes == [StatementBegins(1, "rpc", "EXEC mine.sp_executesql ?", binds=("x",))]


def test_the_text_is_found_by_name_in_any_order() -> None:
    session = Session()
    definition, value = m.nvarchar("@stmt int", "@params"), m.integer(1, "@stmt")
    session.client(m.rpc(m.call(10, definition, m.nvarchar("select @stmt", "@statement"), value)))
    assert session.notes == [StatementBegins(1, "sp_executesql", "select @stmt", binds=("@stmt=1",))]


def test_a_text_in_chunks_in_ntext_and_in_a_code_page() -> None:
    session = Session()
    ntext = b"\x63" + struct.pack("<I", 100) + b"\x09\x04\xd0\x00\x34"
    varchar = b"\xa7\x40\x1f" + b"\x04\x04\xd0\x00\x00"
    cyrillic = b"\xa7\x40\x1f" + b"\x19\x04\xd0\x00\x00"
    data = m.wide("select ntext")
    session.client(
        m.rpc(
            m.call(10, m.long_nvarchar("select N'" + "長" * 50 + "'", chunk=7)),
            m.call(10, m.parameter(ntext, struct.pack("<I", len(data)) + data)),
            m.call(10, m.parameter(varchar, struct.pack("<H", 13) + "select '資料'".encode("cp950"))),
            m.call(10, m.parameter(cyrillic, struct.pack("<H", 12) + "select 'да!'".encode("cp1251"))),
        )
    )
    assert [text for _, text in session.texts()] == [
        "select N'" + "長" * 50 + "'", "select ntext", "select '資料'", "select 'да!'",
    ]  # fmt: skip


def test_an_execution_has_the_text_of_its_handle_and_an_unknown_handle_is_not_sent() -> None:
    session = Session()
    session.client(m.rpc(m.call(11, m.integer(None, output=True), m.nvarchar("@a int"), m.nvarchar("select @a"))))
    assert session.notes[-1] == StatementBegins(1, "sp_prepare", "select @a", prepares=True)
    answered(session, m.return_status(), m.return_value(12), m.done_procedure())
    session.client(m.rpc(m.call(12, m.integer(12), m.integer(99))))
    assert session.notes[-1] == StatementBegins(2, "sp_execute", "select @a", binds=("99",))
    answered(session, m.done_procedure())
    before = len(session.to_server)
    session.client(m.rpc(m.call(12, m.integer(13), m.integer(99))))
    assert len(session.to_server) == before
    begins, ends = session.notes[-2:]
    assert begins == StatementBegins(3, "sp_execute", "(unknown prepared statement 13)", binds=("99",))
    assert (ends.number, ends.outcome, ends.error.code) == (3, "failed", "8179")  # type: ignore[union-attr]
    assert struct.pack("<i", 8179) in session.to_client
    session.client(m.rpc(m.call("sp_unprepare", m.integer(12))))
    answered(session, m.done_procedure())
    session.client(m.rpc(m.call(12, m.integer(12))))
    assert session.texts()[-1] == ("sp_execute", "(unknown prepared statement 12)")


def test_a_preparation_that_fails_makes_no_handle_and_a_reset_forgets_them() -> None:
    session = Session()
    prepare = m.rpc(m.call(13, m.integer(None, output=True), m.nvarchar(None), m.nvarchar("select 1")))
    session.client(prepare)
    answered(session, m.error(102, "syntax"), m.done_procedure(m.ERROR))
    assert session.exchange.prepared == {}
    session.client(prepare)
    answered(session, m.return_value(3), m.done_procedure())
    assert [handle.text for handle in session.exchange.prepared.values()] == ["select 1"]
    session.client(m.rpc(m.call(12, m.integer(3)), first=8))
    assert session.texts()[-1] == ("sp_execute", "(unknown prepared statement 3)")


def test_values_of_all_types() -> None:
    collation = b"\x09\x04\xd0\x00\x34"
    values = [
        (b"\x26\x01", b"\x01\xff", "255"), (b"\x26\x02", b"\x02\xff\xff", "-1"),
        (b"\x26\x08", b"\x08" + struct.pack("<q", -(2**62)), str(-(2**62))), (b"\x68\x01", b"\x01\x01", "1"),
        (b"\x38", struct.pack("<i", 7), "7"), (b"\x6d\x08", b"\x08" + struct.pack("<d", 0.1), "0.1"),
        (b"\x6d\x04", b"\x04" + struct.pack("<f", 0.1), "0.1"),
        (b"\x6e\x08", b"\x08" + struct.pack("<iI", -1, 0xFFFFFFFF - 12344), "-1.2345"),
        (b"\x6a\x09\x12\x04", b"\x09\x01" + (1234567).to_bytes(8, "little"), "123.4567"),
        (b"\x6c\x05\x05\x02", b"\x05\x00" + (5).to_bytes(4, "little"), "-0.05"),
        (b"\x6f\x08", b"\x08" + struct.pack("<iI", 45000, 300 * 3661 + 1), "2023-03-17 01:01:01.003"),
        (b"\x6f\x04", b"\x04" + struct.pack("<HH", 45000, 61), "2023-03-17 01:01:00"),
        (b"\x28", b"\x03" + (738600).to_bytes(3, "little"), "2023-03-22"),
        (b"\x29\x03", b"\x04" + (3661123).to_bytes(4, "little"), "01:01:01.123"),
        (b"\x2a\x00", b"\x06" + (3661).to_bytes(3, "little") + (738600).to_bytes(3, "little"), "2023-03-22 01:01:01"),
        (b"\x2b\x07",
         b"\x0a" + (36610000000).to_bytes(5, "little") + (738600).to_bytes(3, "little") + struct.pack("<h", -90),
         "2023-03-21 23:31:01.0000000 -01:30"),
        (b"\x24\x10", b"\x10" + bytes(range(16)), "03020100-0504-0706-0809-0A0B0C0D0E0F"),
        (b"\xa5\x10\x00", b"\x03\x00abc", "0x616263"), (b"\xa5\xff\xff", m.chunks(b"ab", b"c"), "0x616263"),
        (b"\xa7\x10\x00" + collation, b"\x03\x00a\xe4b", "aäb"), (b"\xa5\x10\x00", b"\xff\xff", None),
        (b"\xef\x10\x00" + collation, b"\x04\x00" + m.wide("ab"), "ab"), (b"\x26\x04", b"\x00", None),
        (b"\xf1\x00", m.chunks(m.wide("<a/>")), "<a/>"), (b"\xe7\xff\xff" + collation, b"\xff" * 8, None),
        (b"\x62" + struct.pack("<I", 8009), struct.pack("<I", 6) + b"\x38\x00" + struct.pack("<i", 42), "42"),
        (b"\x62" + struct.pack("<I", 8009), bytes(4), None),
        (b"\x22" + struct.pack("<I", 10), struct.pack("<I", 2) + b"\x01\x02", "0x0102"),
        (b"\x23" + struct.pack("<I", 10) + collation, struct.pack("<I", 2) + b"hi", "hi"),
        (b"\xf0" + m.b_text("db") + m.b_text("sys") + m.b_text("geography"), m.chunks(b"\x01"), "0x01"),
        (b"\xe7\x10\x00" + collation, b"\x00\x00", ""),
    ]  # fmt: skip
    session = Session()
    given = [m.parameter(info, value) for info, value, _ in values]
    session.client(m.rpc(m.call("p", *given)))
    [begins] = session.begins()
    assert begins.binds == tuple(shown for _, _, shown in values)


def test_a_table_as_a_value() -> None:
    info = b"\xf3" + m.b_text("") + m.b_text("dbo") + m.b_text("ids")
    columns = struct.pack("<H", 2) + b"".join(
        struct.pack("<IH", 0, 0) + kind + m.b_text("") for kind in (m.INT, m.NVARCHAR)
    )
    hints = b"\x10" + struct.pack("<H", 1) + b"\x01\x00\x01"
    rows = b"\x01" + m.int_value(1) + m.text_value("a") + b"\x01" + m.int_value(2) + b"\xff\xff"
    session = Session()
    table = m.parameter(info, columns + hints + b"\0" + rows + b"\0", "@ids")
    empty = m.parameter(info, b"\xff\xff\0\0")
    session.client(m.rpc(m.call("p", table, empty, m.integer(5)), m.call(10, m.nvarchar("select 2"))))
    assert session.begins()[0].binds == (
        "dbo.ids: 2 rows of 2 columns: (1, a), (2, NULL)",
        "dbo.ids: 0 rows of 0 columns",
        "5",
    )
    assert session.texts()[1] == ("sp_executesql", "select 2")


def test_a_type_that_is_not_known_is_refused() -> None:
    with pytest.raises(ProtocolError, match="unknown type 0x99"):
        Session().client(m.rpc(m.call("p", m.parameter(b"\x99", b""))))
    with pytest.raises(ProtocolError, match="unknown number"):
        Session().client(m.rpc(m.call(99)))
    with pytest.raises(ProtocolError, match="ends"):
        Session().client(m.rpc(m.call("p", m.integer(5)[:-2])))
    with pytest.raises(ProtocolError, match="encrypted"):
        Session().client(m.rpc(m.call("p", b"\0\x08" + m.INT + m.int_value(1))))


def test_a_long_value_is_kept_by_its_beginning_its_length_and_its_digest() -> None:
    session = Session()
    text = "ü" * BIND_LIMIT
    session.client(m.rpc(m.call(10, m.nvarchar("insert @a"), m.nvarchar("@a nvarchar(max)"),
                                m.long_nvarchar(text, chunk=60_001))))  # fmt: skip
    digest = hashlib.sha256(m.wide(text)).hexdigest()
    kept = "ü" * (BIND_LIMIT // 2)
    found = [bind for note in session.notes for bind in (getattr(note, "binds", None) or ())]
    assert found == [f"{kept}… ({2 * len(text)} bytes, sha256 {digest})"]


def test_a_long_text_is_noted_in_parts_each_before_its_bytes() -> None:
    session = Session()
    text = "select '" + "x" * TEXT_PART + "'"
    pieces = session.client(m.batch(text))
    assert len(pieces) > 2
    assert all(len(piece.data) <= TEXT_PART + 4096 for piece in pieces)
    assert "".join(note.text for piece in pieces for note in piece.notes) == text  # type: ignore[union-attr]
    assert [note.complete for piece in pieces for note in piece.notes] == [False] * (len(pieces) - 1) + [True]  # type: ignore[union-attr]
    session = Session()
    pieces = session.client(m.rpc(m.call(10, m.long_nvarchar(text, chunk=5000), m.nvarchar("@a int"), m.integer(5))))
    notes = [note for piece in pieces for note in piece.notes]
    assert "".join(note.text for note in notes) == text  # type: ignore[union-attr]
    assert notes[-1].binds == ("5",)  # type: ignore[union-attr]
    assert len(pieces) > 2


def test_what_drivers_send_in_the_place_of_statements_about_transactions() -> None:
    session = Session()
    name = b"\x04" + m.wide("t1")
    for message in (m.transaction(5, b"\0" + name), m.transaction(9, name), m.transaction(8, name + b"\0"),
                    m.transaction(7, b"\0\x01\x02" + name), m.transaction(1, b"\0\0")):  # fmt: skip
        session.client(message)
        session.server(m.answer(m.done()))
    assert [text for _, text in session.texts()] == [
        "BEGIN TRANSACTION t1", "SAVE TRANSACTION t1", "ROLLBACK TRANSACTION t1",
        "COMMIT TRANSACTION; BEGIN TRANSACTION t1 -- isolation level READ COMMITTED",
        "(distributed transaction: join a distributed one)",
    ]  # fmt: skip


def test_a_positioned_change_is_said_in_words() -> None:
    session = Session()
    session.client(m.rpc(m.call(2, m.integer(None, output=True), m.nvarchar("select * from items"))))
    answered(session, m.return_value(5), m.done_procedure())
    session.client(m.rpc(m.call(1, m.integer(5), m.integer(2), m.integer(1), m.nvarchar(""))))
    assert session.texts()[-1] == ("sp_cursor", "DELETE row 1 of cursor 5: select * from items")


def test_bulk_data_are_counted_and_nothing_announced_them_is_refused() -> None:
    session = Session()
    session.client_side.sample_uploads(10)
    with pytest.raises(ProtocolError, match="nothing has announced"):
        session.client(m.packets(7, b"\x81"))
    session = Session()
    session.client(m.batch("insert bulk items (a int)"))
    answered(session, m.error(208, "no items"), m.done(m.ERROR))
    with pytest.raises(ProtocolError, match="nothing has announced"):
        session.client(m.packets(7, b"\x81"))
    session = Session()
    session.client_side.sample_uploads(10)
    session.client(m.batch("insert bulk items (a int)"))
    answered(session, m.done())
    session.client(m.packets(7, bytes(3000), size=512))
    answered(session, m.done(m.COUNT, 77))
    assert session.texts()[1] == ("bulk-load", "insert bulk items (a int)")
    assert [note.data_bytes for note in session.notes if isinstance(note, StatementExtends)] == [3000]
    assert session.outcomes()[1] == (2, 77, "done", "")


def test_a_message_that_is_taken_back_was_no_statement() -> None:
    session = Session()
    pieces = session.client(m.packets(1, m.HEADERS + m.wide("drop table t"), status=3))
    assert session.notes == []
    assert [(piece.forward, piece.size) for piece in pieces] == [(False, len(m.batch("drop table t")))]
    session.client(m.attention())
    session.server(m.answer(m.done(m.ATTENTION)))
    assert bytes(session.to_client) == m.answer(m.done(m.ATTENTION))
    assert not session.exchange.waiting


def test_too_many_messages_ahead_stop_the_client_until_answers_come() -> None:
    session = Session()
    for _ in range(201):
        session.client(m.batch("select 1"))
    assert session.client_side.ahead
    for _ in range(101):
        session.server(m.answer(m.done()))
    assert not session.client_side.still_ahead()


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("use shop", True), ("USE [shop]; select 1", True), ("select 1 use other", False), ("use\n\"other\"", False),
     ("select * from t option (use hint ('x'))", True), ("-- use other\nselect 1", True), ("select 'use other'", True),
     ("exec sp_executesql N'select 1'", True), ("use", False), ("begin use shop end use [ot]]her]", False)],
)  # fmt: skip
def test_only_some_databases_may_be_opened(text: str, allowed: bool) -> None:
    session = Session(Exchange(database="shop", databases=("Shop",)))
    for message in (m.batch(text), m.rpc(m.call(10, m.nvarchar(text)))):
        session.notes.clear()
        pieces = session.client(message)
        assert all(piece.forward for piece in pieces) is allowed
        assert [end.error.code for end in session.ends() if end.error] == ([] if allowed else ["916"])
        if allowed:
            session.server(m.answer(m.done_procedure()))


def test_a_text_that_is_too_long_to_be_judged_is_not_sent() -> None:
    session = Session(Exchange(database="shop", databases=("shop",)))
    pieces = session.client(m.batch("select '" + "x" * 700_000 + "'"))
    assert session.to_server == b""
    assert sum(piece.size for piece in pieces) > 1_400_000
    assert b"t\0o\0o\0 \0l\0o\0n\0g" in session.to_client
