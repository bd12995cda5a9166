"""Statements and their outcomes: every answer is paired with its message, whatever stands in between."""

from __future__ import annotations

import pytest

from bastion.protocols.contract import (
    DatabaseError,
    Leg,
    ProtocolError,
    Refusal,
    SessionChanged,
    StatementExtends,
    Transaction,
)

from . import messages as m
from .session import Session


def test_simple_query() -> None:
    session = Session()
    session.client(m.query("select * from orders"))
    assert session.text(1) == "select * from orders"
    assert session.begun()[1].operation == "query"
    assert session.server_side.running == 1
    answer = m.row_description("id") + m.row(b"1") + m.row(b"2") + m.complete("SELECT 2") + m.ready()
    session.server(answer)
    assert session.outcomes() == [(1, "done", 2)]
    assert session.ended()[1].bytes_down == len(answer)
    assert session.server_side.running is None
    assert session.to_client == answer
    assert session.to_server == m.query("select * from orders")


def test_rows_of_several_statements_in_one_query_are_summed() -> None:
    session = Session()
    session.client(m.query("select 1; delete from a; create table b()"))
    session.server(m.row_description("a") + m.row(b"1") + m.complete("SELECT 1") + m.complete("DELETE 41"))
    assert session.ended() == {}
    session.server(m.complete("CREATE TABLE") + m.ready())
    assert session.outcomes() == [(1, "done", 42)]


def test_rows_so_far_are_known_while_a_statement_runs() -> None:
    session = Session()
    session.client(m.query("select"))
    session.server(m.row_description("a") + m.row(b"x" * 100) * 7 + m.row(b"y" * 100)[:20])
    assert session.server_side.rows == 8
    session.server(m.row(b"y" * 100)[20:] + m.complete("SELECT 8") + m.ready())
    assert session.server_side.rows == 0


def test_an_error_has_its_code_message_and_position() -> None:
    session = Session()
    session.client(m.query("select * from nowhere"))
    session.server(m.error("42P01", 'relation "nowhere" does not exist', P="15") + m.ready("E"))
    end = session.ended()[1]
    assert end.outcome == "failed"
    assert end.error == DatabaseError("42P01", 'relation "nowhere" does not exist', 15)
    assert session.server_side.transaction is Transaction.FAILED


def test_rows_are_counted_where_the_tag_does_not() -> None:
    session = Session()
    session.client(m.query("show all; begin"))
    session.server(
        m.row_description("name") + m.row(b"a") * 3 + m.complete("SHOW") + m.complete("BEGIN") + m.ready("T")
    )
    assert session.outcomes() == [(1, "done", 3)]


def test_empty_query() -> None:
    session = Session()
    session.client(m.query(""))
    session.server(m.EMPTY_QUERY + m.ready())
    assert session.outcomes() == [(1, "done", None)]


def test_parse_bind_execute_are_one_statement() -> None:
    session = Session()
    session.client(m.parse("insert into a values ($1)") + m.bind((b"7",)) + m.describe() + m.execute() + m.SYNC)
    begun = session.begun()
    assert list(begun) == [1]
    assert begun[1].prepares
    [runs] = session.extended(1)
    assert runs.runs
    assert runs.binds == ("7",)
    session.server(m.PARSE_COMPLETE + m.BIND_COMPLETE + m.NO_DATA + m.complete("INSERT 0 1") + m.ready())
    assert session.outcomes() == [(1, "done", 1)]


def test_a_statement_that_is_only_prepared_ends_with_its_pipeline() -> None:
    session = Session()
    session.client(m.parse("select $1", "s1") + m.describe("S", "s1") + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.parameter_description(23) + m.row_description("a"))
    assert session.ended() == {}
    assert session.server_side.open_statements() == [1]
    session.server(m.ready())
    assert session.outcomes() == [(1, "done", None)]
    assert session.server_side.open_statements() == []


def test_a_named_statement_is_executed_again_with_other_values() -> None:
    session = Session()
    session.client(m.parse("select $1::int4", "s1") + m.describe("S", "s1") + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.parameter_description(23) + m.row_description("a") + m.ready())
    for number, value in ((2, 5), (3, 6)):
        # The type is known from ParameterDescription only: the client sent none.
        session.client(m.bind((value.to_bytes(4, "big"),), statement="s1", formats=(1,)) + m.execute() + m.SYNC)
        session.server(m.BIND_COMPLETE + m.row(b"x") + m.complete("SELECT 1") + m.ready())
        assert session.begun()[number].operation == "execute"
        assert session.begun()[number].text == "select $1::int4"
        assert session.begun()[number].binds == (str(value),)
    assert session.outcomes() == [(1, "done", None), (2, "done", 1), (3, "done", 1)]


def test_a_closed_statement_is_forgotten() -> None:
    session = Session()
    session.client(m.parse("select 1", "s1") + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.ready())
    session.client(m.close("S", "s1") + m.SYNC)
    session.server(m.CLOSE_COMPLETE + m.ready())
    session.client(m.bind(statement="s1") + m.execute() + m.SYNC)
    assert session.begun()[2].text == "(statement s1, which SQL has prepared, or nobody)"
    session.server(m.error("26000") + m.ready())
    assert session.ended()[2].outcome == "failed"


@pytest.mark.parametrize("tag", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_statements_that_sql_has_thrown_away_are_forgotten(tag: str) -> None:
    session = Session()
    session.client(m.parse("select 1", "s1") + m.SYNC + m.query(tag))
    session.server(m.PARSE_COMPLETE + m.ready() + m.complete(tag) + m.ready())
    assert session.exchange.prepared == {}
    assert session.exchange.remembered == 0


def test_paging_and_then_another_statement() -> None:
    session = Session()
    session.client(m.parse("select * from big", "s1") + m.bind(portal="c", statement="s1") + m.execute("c", 2) + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.BIND_COMPLETE + m.row(b"1") + m.row(b"2") + m.PORTAL_SUSPENDED + m.ready("T"))
    session.client(m.execute("c", 2) + m.SYNC)
    session.server(m.row(b"3") + m.row(b"4") + m.PORTAL_SUSPENDED + m.ready("T"))
    session.client(m.execute("c", 2) + m.SYNC)
    session.server(m.row(b"5") + m.complete("SELECT 1") + m.ready("T"))
    session.client(m.query("delete from big"))
    session.server(m.complete("DELETE 5") + m.ready("T"))
    assert session.outcomes() == [(1, "suspended", 2), (2, "suspended", 2), (3, "done", 1), (4, "done", 5)]
    assert [session.begun()[number].operation for number in (1, 2, 3, 4)] == ["parse", "fetch", "fetch", "query"]
    assert session.begun()[2].text == "select * from big"
    assert session.text(4) == "delete from big"


def test_portals_end_with_their_transaction() -> None:
    session = Session()
    session.client(m.parse("select 1", "s") + m.bind(portal="c", statement="s") + m.execute("c", 1) + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.BIND_COMPLETE + m.row(b"1") + m.PORTAL_SUSPENDED + m.ready("T"))
    assert list(session.exchange.portals) == [b"c"]
    # The next transaction's portal is on its way already when the first one ends.
    session.client(m.query("commit") + m.bind((b"1",), portal="d", statement="s") + m.execute("d", 1) + m.SYNC)
    session.server(m.complete("COMMIT") + m.ready("I"))
    assert list(session.exchange.portals) == [b"d"]
    session.server(m.BIND_COMPLETE + m.row(b"1") + m.PORTAL_SUSPENDED + m.ready("I"))
    assert session.exchange.portals == {}
    assert session.exchange.held == 0


def test_a_cursor_of_sql_is_fetched_by_execute() -> None:
    session = Session()
    session.client(m.execute("curs") + m.SYNC)
    assert session.begun()[1].operation == "fetch"
    assert session.begun()[1].text == "portal curs"
    session.server(m.row(b"1") + m.complete("FETCH 1") + m.ready("T"))
    assert session.outcomes() == [(1, "done", 1)]


def test_function_call() -> None:
    session = Session()
    session.client(m.function_call(2200, b"abc"))
    assert (session.begun()[1].operation, session.begun()[1].text) == ("function-call", "function OID 2200")
    session.server(m.function_result(b"xyz") + m.ready())
    assert session.outcomes() == [(1, "done", None)]
    session.client(m.function_call(2201))
    session.server(m.error() + m.ready())
    assert session.ended()[2].outcome == "failed"


def test_bytes_down_belong_to_their_statement() -> None:
    session = Session()
    session.client((m.parse("a") + m.bind() + m.execute()) * 2 + m.SYNC)
    one = m.PARSE_COMPLETE + m.BIND_COMPLETE + m.row(b"1") * 3 + m.complete("SELECT 3")
    two = m.PARSE_COMPLETE + m.BIND_COMPLETE + m.row(b"22") + m.complete("SELECT 1")
    session.server(one + two + m.ready())
    session.server(m.notification("c", "between statements") + m.parameter_status("a", "b"))
    session.client(m.query("c"))
    three = m.row_description("a") + m.row(b"x" * 999) + m.complete("SELECT 1") + m.ready()
    session.server(three)
    assert [end.bytes_down for end in session.ended().values()] == [len(one), len(two), len(three)]


def test_status_of_the_session() -> None:
    session = Session()
    session.client(m.query("set search_path to audit, public"))
    session.server(m.complete("SET") + m.parameter_status("search_path", "audit, public") + m.ready("T"))
    assert SessionChanged(schema="audit, public") in session.notes
    assert SessionChanged(transaction=Transaction.OPEN) in session.notes
    assert session.server_side.transaction is Transaction.OPEN
    session.server(m.parameter_status("application_name", "ledger"))
    assert session.notes[-1] == SessionChanged(client="ledger")
    session.server(m.notice("hello") + m.notification("c", "p") + m.parameter_status("TimeZone", "UTC"))
    assert session.outcomes() == [(1, "done", None)]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("GBK", "gbk"), ("LATIN1", "latin-1"), ("UTF8", "utf-8"), ("SJIS", "cp932"), ("EUC_KR", "euc_kr")],
)
def test_text_is_read_in_the_clients_encoding(name: str, codec: str) -> None:
    text = {"gbk": "select '订单'", "latin-1": "select 'é'", "utf-8": "select 'é订'", "cp932": "select 'ソ表'"}.get(
        codec, "select '한글'"
    )
    session = Session()
    session.client(m.query("set client_encoding"))
    session.server(m.complete("SET") + m.parameter_status("client_encoding", name) + m.ready())
    raw = text.encode(codec)
    session.client(m.query(raw) + m.parse(raw, "s") + m.bind((raw,), statement="s") + m.execute() + m.SYNC)
    assert session.text(2) == session.text(3) == text
    assert session.extended(3)[0].binds == (text,)


def test_bytes_that_are_no_text_are_shown_escaped() -> None:
    session = Session()
    session.client(m.query(b"select '\xff\xfe'"))
    assert session.text(1) == r"select '\xff\xfe'"


def test_farewell_at_a_boundary_and_in_the_middle_of_a_row() -> None:
    session = Session()
    words = Refusal("token-expired", "Your token has expired.")
    expected = m.framed(
        b"E",
        b"SFATAL\0VFATAL\0C57P01\0MYour token has expired.\0HThe bastion says this, not the database.\0\0",
    )
    assert session.server_side.farewell(words) == expected
    session.client(m.query("select"))
    session.server(m.row_description("a") + m.row(b"x" * 500)[:100])
    assert session.server_side.farewell(words) == b""
    session.server(m.row(b"x" * 500)[100:])
    assert session.server_side.farewell(words) == expected
    # The beginning of a message that is still kept has not reached the client.
    session.server(m.complete("SELECT 1")[:3])
    assert session.server_side.farewell(words) == expected


def test_the_servers_last_words_between_statements_pass() -> None:
    session = Session()
    words = m.error("57P01", "terminating connection", "FATAL")
    session.server(words)
    assert session.to_client == words


def test_terminate_passes() -> None:
    session = Session()
    session.client(m.TERMINATE)
    assert session.to_server == m.TERMINATE


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\0\4",
        b"z\0\0\0\4",
        b"p\0\0\0\5\0",
        b"Q\0\0\0\3",
        b"Q\xff\xff\xff\xff",
        b"Q\x40\0\0\0",
        b"S\0\0\0\5",
        b"X\0\0\0\xff",
        b"E\0\x20\0\0",
        b"Q\0\0\0\4",
        m.framed(b"Q", b"no end"),
        m.framed(b"Q", b"two\0ends\0"),
        m.framed(b"P", b"\0select 1\0\0"),
        m.framed(b"P", b"\0select 1\0\0\0more"),
        m.framed(b"P", b"\0select 1\0\0\7\0\0\0\0"),
        m.framed(b"B", b"\0\0\0\0\0\1\0\0\0\x20abc\0\0"),
        m.framed(b"B", b"\0\0\0\0\0\0\0\0x"),
        m.framed(b"B", b""),
        m.framed(b"E", b""),
        m.framed(b"D", b"X\0"),
        m.framed(b"C", b"S"),
    ],
)  # fmt: skip
def test_what_is_no_message_of_a_client_is_refused_and_nothing_of_it_passed_on(data: bytes) -> None:
    session = Session()
    with pytest.raises(ProtocolError) as caught:
        session.client(data)
    assert caught.value.leg is Leg.CLIENT
    assert session.to_server == b""
    assert not any(part in caught.value.reason for part in ("two", "select"))


@pytest.mark.parametrize(
    "data",
    [
        b"!\0\0\0\4",
        b"R\0\0\0\x08\0\0\0\0",
        b"C\0\0\0\3",
        b"T\0\x20\0\0\0",
        b"Z\xff\xff\xff\xff",
        b"D\0\0\0\3",
        b"D\xff\xff\xff\xff",
        m.PARSE_COMPLETE,
        m.BIND_COMPLETE,
        m.PORTAL_SUSPENDED,
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    session = Session()
    session.client(m.query("select 1"))
    with pytest.raises(ProtocolError) as caught:
        session.server(data)
    assert caught.value.leg is Leg.SERVER
    assert session.to_client == b""


@pytest.mark.parametrize("data", [m.ready(), m.complete("SELECT 1"), m.row(b"x"), m.copy_in(), m.EMPTY_QUERY])
def test_what_nobody_asked_for_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Session().server(data)


def test_ready_before_an_outstanding_answer_is_refused() -> None:
    session = Session()
    session.client(m.parse("select 1") + m.SYNC)
    with pytest.raises(ProtocolError):
        session.server(m.ready())


def test_one_note_for_a_run_of_copy_data() -> None:
    session = Session()
    session.client(m.query("copy a from stdin"))
    session.server(m.copy_in())
    session.client(m.copy_data(b"1\n") * 50 + m.COPY_DONE)
    assert session.extended(1) == [StatementExtends(1, data_bytes=100)]


def test_an_error_with_which_the_server_hangs_up_is_the_outcome() -> None:
    """No ReadyForQuery follows a FATAL error: a terminated backend, a server that shuts down."""
    session = Session()
    session.client(m.query("SELECT pg_sleep(9)"))
    session.server(m.error("57P01", "terminating connection due to administrator command", "FATAL"))
    assert session.outcomes() == [(1, "failed", None)]
    assert str(session.ended()[1].error) == "57P01: terminating connection due to administrator command"
