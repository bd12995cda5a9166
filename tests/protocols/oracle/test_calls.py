"""Calls other than plain executions: what they are on record, and what passes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bastion.protocols.contract import Note, Piece, ProtocolError, StatementBegins, StatementEnds, StatementExtends
from bastion.protocols.oracle.client_side import OracleClientSide
from bastion.protocols.oracle.codec import Dialect
from bastion.protocols.oracle.exchange import Exchange
from bastion.protocols.oracle.placeholders import given_back
from bastion.protocols.oracle.results import decode
from bastion.protocols.oracle.server_side import OracleServerSide
from tests.servers.oracle.columns import encode_number
from tests.servers.oracle.wire import counted, number, string

from . import messages as m

THIN = Dialect(field_version=24, big_chunks=True)
Q = m.execute("select 1 from dual", query=True)


def n(value: int) -> bytes:
    return encode_number(Decimal(value))


class Session:
    """Both sides, with what was noted."""

    def __init__(self, dialect: Dialect = THIN) -> None:
        exchange = Exchange(dialect)
        self.client, self.server = OracleClientSide(exchange), OracleServerSide(exchange)
        self.notes: list[Note] = []

    def asks(self, content: bytes, *, size: int = 0) -> list[Piece]:
        return self._feed(self.client, m.cut(content, size) if size else m.data(content))

    def answers(self, content: bytes) -> list[Piece]:
        return self._feed(self.server, m.data(content))

    def _feed(self, side: OracleClientSide | OracleServerSide, data: bytes) -> list[Piece]:
        pieces = side.feed(data)
        assert b"".join(piece.data for piece in pieces) == data
        assert all(piece.understood for piece in pieces)
        self.notes += [note for piece in pieces for note in piece.notes]
        return pieces

    def record(self) -> list[tuple[str, tuple[str | None, ...] | None, int | None, str]]:
        """Of each statement text, binds, rows, and the outcome or the error's code."""
        ends = {note.number: note for note in self.notes if isinstance(note, StatementEnds)}
        lines = []
        for begin in self.notes:
            if isinstance(begin, StatementBegins):
                end = ends[begin.number]
                lines.append((begin.text, begin.binds, end.rows, end.error.code if end.error else end.outcome))
        return lines

    def details(self) -> list[str]:
        return [note.detail for note in self.notes if isinstance(note, StatementExtends) and note.detail]

    def last_end(self) -> StatementEnds:
        return [note for note in self.notes if isinstance(note, StatementEnds)][-1]


# ------------------------------------------------------------------------------------------------ values that come back


@pytest.mark.parametrize(("text", "binds", "back"), [
    ("insert into t values (:1) returning id into :2", 2, 1),
    ("update t set a = :a where b = :b RETURNING a, b INTO :x, :y", 4, 2),
    ("insert into t values (':no', :1, q'[:no 'x' ]', :\"b c\") returning id /* :no */ into :2 -- :no", 3, 1),
    ("delete from t returning id into :ids", 1, 1),
    ("insert into t values (:1, 'returning x into :2')", 1, 0),
    ("begin insert into t values (:1) returning id into :2; end;", 2, 0),
    ("select returning, into_x from t where a = :1", 1, 0),
    ("update t set a = :1 returning a into :2", 3, 0),
])  # fmt: skip
def test_which_binds_are_behind_returning_into(text: str, binds: int, back: int) -> None:
    assert given_back(text, binds) == back


def test_values_of_returning_into_come_back_and_have_none_of_the_client_s() -> None:
    session = Session()
    text = "update t set a = :1 where b > :2 returning a, b into :3, :4"
    session.asks(m.execute(text, binds=(1, 2, 1, 2), rows=((b"x", n(5)),)))
    row = b"\7" + number(2) + (string(b"x") + number(0)) * 2 + number(2) + string(n(6)) + number(0) + string(n(7))
    session.answers(row + number(0) + m.parameters() + m.end(rows=2, cursor=4))
    session.asks(m.again(4, 1, ((b"y", n(1)),)))
    answer = b"\7" + number(0) + number(0) + m.parameters() + m.end(rows=0, cursor=4)
    [piece] = session.answers(answer)
    assert session.record() == [(text, ("x", "5"), 2, "done"), (text, ("y", "1"), 0, "done")]
    assert [part for part in decode(piece.data, formats=session.last_end().formats) if isinstance(part, list)] == [[]]


def test_a_statement_that_only_gives_back_has_no_rows_of_binds() -> None:
    session = Session()
    text = "delete from t returning a into :1"
    assert [piece.kind for piece in session.asks(m.execute(text, binds=(1,)))] == ["execute"]
    session.answers(b"\7" + number(1) + string(b"x") + number(0) + m.parameters() + m.end(rows=1, cursor=4))
    assert session.record() == [(text, None, 1, "done")]


def test_a_block_that_is_run_again_is_sent_without_the_values_that_only_come_back() -> None:
    session = Session()
    text = "begin :o := :a * 2; :io := :io + 1; end;"
    session.asks(m.execute(text, binds=(2, 2, 2), rows=((None, n(4), n(1)),)))
    vector = b"\x0b\0" + number(3) + number(0) + number(1) + number(0) * 3 + b"\x10\x20\x30"
    back = b"\7" + string(n(8)) + number(0) + string(n(2)) + number(0)
    session.answers(vector + back + m.parameters() + m.end(rows=1, cursor=4))
    session.asks(m.again(4, 1, ((n(5), n(2)),)))
    # Without a vector: the client knows by now which values come back.
    [piece] = session.answers(back + m.parameters() + m.end(rows=1, cursor=4))
    assert session.record() == [(text, (None, "4", "1"), 1, "done"), (text, ("5", "2"), 1, "done")]
    rows = [part for part in decode(piece.data, formats=session.last_end().formats) if isinstance(part, list)]
    assert rows == [["8", "2"]]


def test_values_that_are_too_long_for_a_string_travel_last_and_are_recorded_in_their_places() -> None:
    text, binds = "insert into t values (:1, :2, :3)", ((1, 40_000), 2, 1)
    session = Session()
    session.asks(m.execute(text, binds=binds, rows=((n(7), b"short", b"long"),)))
    session.answers(m.parameters() + m.end(rows=1, cursor=4))
    assert session.record() == [(text, ("long", "7", "short"), 1, "done")]
    session.asks(m.again(4, 1, ((n(8), b"s", b"l"),)))
    session.answers(m.parameters() + m.end(rows=1, cursor=4))
    assert session.record()[1:] == [(text, ("l", "8", "s"), 1, "done")]
    block = Session()
    block.asks(m.execute("begin put(:1, :2, :3); end;", binds=binds, rows=((b"long", n(7), b"short"),)))
    block.answers(m.parameters() + m.end(rows=1, cursor=4))
    assert block.record()[0][1] == ("long", "7", "short")


@pytest.mark.parametrize(("longest", "binds"), [(4000, ("long", "7")), (32767, ("\x01\x08", "0x6c6f6e67"))])
def test_how_long_a_string_may_be_is_the_database_s_to_say(longest: int, binds: tuple[str, str]) -> None:
    session = Session(Dialect(field_version=24, big_chunks=True, longest_string=longest))
    session.asks(m.execute("insert into t values (:1, :2)", binds=((1, 5000), 2), rows=((n(7), b"long"),)))
    session.answers(m.parameters() + m.end(rows=1, cursor=4))
    assert (session.record()[0][1] == binds) is (longest == 4000)


def test_a_cursor_that_is_open_is_a_bind_by_its_number() -> None:
    session = Session()
    message = m.execute("begin take(:1, :2); end;", binds=(102, 2), rows=((b"", b""),))
    session.asks(message[:-2] + b"\1\1\1\5" + string(n(3)))
    session.answers(m.parameters() + m.end(rows=1, cursor=4))
    assert session.record()[0][1] == ("cursor 5", "3")


def cursor_value(names: tuple[str, ...], cursor: int) -> bytes:
    """A cursor as a value: a length, what it is, and its number."""
    described, _ = m.described(names, [(1,) * len(names)])
    return b"\1" + described[25:] + number(cursor)


def test_cursors_inside_rows_can_be_fetched_from() -> None:
    session = Session()
    session.asks(m.execute("select n, cursor(select 1 from dual) c from t", query=True))
    described, columns = m.described(("N", "C"), [(1, "x")])
    kind = described.rindex(b"\1\0\0\0\2")
    described = described[:kind] + b"\x66" + described[kind + 1 :]
    head = b"\6\2" + number(2) + number(0) + number(2) + number(0) * 3
    rows = b"".join(b"\7" + string(n(at)) + cursor_value(("X",), 20 + at) for at in (1, 2))
    [piece] = session.answers(described + head + rows + m.parameters() + m.end(*m.NO_MORE, rows=2, cursor=3))
    shown = [part for part in decode(piece.data, formats=session.last_end().formats) if isinstance(part, list)]
    assert shown == [["1", "cursor 21"], ["2", "cursor 22"]]
    session.asks(m.fetch(22))
    session.answers(m.rows_of(columns[:1], [(9,)]) + m.end(*m.NO_MORE, rows=1, cursor=22))
    assert session.record()[1] == ("cursor 22 of: select n, cursor(select 1 from dual) c from t", None, 1, "done")


def test_results_that_come_by_themselves_can_be_fetched_from() -> None:
    session = Session()
    session.asks(m.execute("begin dbms_sql.return_result(c); end;"))
    described, columns = m.described(("X",), [(1,)])
    implicit = b"\x1b" + number(1) + b"\3abc" + described[25:] + number(9)
    session.answers(implicit + m.parameters() + m.end(cursor=4))
    session.asks(m.fetch(9))
    session.answers(m.rows_of(columns, [(4,), (5,)]) + m.end(*m.NO_MORE, rows=2, cursor=9))
    assert [line[2:] for line in session.record()] == [(0, "done"), (2, "done")]


def test_errors_of_a_batch_are_read_and_named() -> None:
    session = Session()
    session.asks(m.execute("insert into t values (:1)", binds=(2,), rows=((n(1),), (n(1),), (n(2),))))
    words = b"ORA-00001: unique constraint violated\n"
    whole = m.end(24381, "ORA-24381: error(s) in array DML", rows=2, cursor=4)
    nothing = number(0) * 3 + number(24381)
    at = whole.index(nothing)
    batch = number(1) + b"\1" + number(1) + number(1) + b"\1" + number(1)
    batch += number(1) + b"\0" + number(len(words)) + string(words) + b"\0\0"
    session.answers(m.parameters() + whole[:at] + batch + whole[at + 3 :])
    end = session.last_end()
    assert (end.rows, end.outcome) == (2, "failed")
    assert str(end.error) == ("ORA-24381: error(s) in array DML; of execution 2: ORA-00001: unique constraint violated")


# ------------------------------------------------------------------------------------------- transactions of two phases


def branch(operation: int, *, xid: bool = True, flags: int = 1) -> bytes:
    """A switch: as python-oracledb writes it."""
    head = number(operation) + b"\0" + number(0)
    if xid:
        head += number(7) + number(4) + number(2) + b"\1" + number(128)
    else:
        head += number(0) * 3 + b"\0" + number(0)
    body = head + number(flags) + number(0) + b"\1\1\1" + b"\0" + number(0) + b"\0" + number(0)
    return body + (b"txn1b1" + bytes(122) if xid else b"") + number(0)


def change(operation: int, state: int) -> bytes:
    head = number(operation) + b"\0" + number(0) + number(7) + number(4) + number(2) + b"\1" + number(128)
    return head + number(0) + number(state) + b"\1" + number(0) + b"txn1b1" + bytes(122)


def test_transactions_of_two_phases_pass_and_are_on_record() -> None:
    session = Session()
    for call, answer in (
        (m.call(0x67, body=branch(1)), b"\x08" + number(0) + number(3) + b"ctx"),
        (m.call(0x67, body=branch(2, xid=False)), b"\x08" + number(0) + number(0)),
        (m.call(0x68, body=change(3, 0)), b"\x08" + number(1)),
        (m.call(0x68, body=change(1, 1)), b"\x08" + number(2)),
    ):
        session.asks(call)
        session.answers(answer + m.end())
    assert [line[0] for line in session.record()] == [
        "TPC BEGIN 7, txn1, b1", "TPC END", "TPC PREPARE 7, txn1, b1", "TPC COMMIT 7, txn1, b1",
    ]  # fmt: skip
    assert {line[3] for line in session.record()} == {"done"}


def test_a_transaction_without_a_session_begins_with_the_statement_that_it_comes_with() -> None:
    session = Session()
    session.asks(m.piggyback(0x67, branch(1, flags=0x10)) + Q)
    assert session.details() == ["transaction=TPC BEGIN 7, txn1, b1"]


# --------------------------------------------------------------------------------------- what a client says of itself


def end_to_end(**values: str) -> bytes:
    names = ("client_identifier", "module", "action", "", "client_info", "", "", "dbop")
    given = [(name in values, values.get(name, "").encode()) for name in names]
    heads = [bytes((there,)) + number(len(value)) for there, value in given]
    heads[3] += b"\0" + number(0)
    body = b"\0\0" + number(1) + b"".join(heads[:5]) + b"\0" + number(0) + b"\0" + number(0) + heads[7]
    return m.piggyback(0x87, body + b"".join(string(value) for _, value in given if value))


def test_module_action_and_client_are_on_record_with_the_next_statement() -> None:
    session = Session()
    session.asks(
        end_to_end(module="payroll", action="month's end", client_identifier="jürgen", dbop="x") + m.call(0x93)
    )
    session.answers(m.status())
    assert session.details() == []
    session.asks(Q)
    assert session.details() == ["client_identifier=jürgen; module=payroll; action=month's end; dbop=x"]
    session.answers(m.end(942, "ORA-00942: no"))
    session.asks(end_to_end(action="", client_info="i" * 300) + Q)
    assert session.details()[1:] == [f"action=; client_info={'i' * 256}…"]


def test_an_application_s_context_is_on_record_with_the_next_statement() -> None:
    session = Session()
    values = b"".join(
        counted(key) + counted(value) + number(0) for key, value in ((b"role", b"clerk"), (b"unit", b"4"))
    )
    body = b"\1" + number(3) + b"\1" + number(2) + number(1) + b"\0" + string(b"APP") + values
    cleared = b"\1" + number(3) + b"\0" + number(0) + number(2) + b"\0" + string(b"OLD")
    session.asks(m.piggyback(0x9A, body) + m.piggyback(0x9A, cleared) + Q)
    assert session.details() == ["APP.role=clerk; APP.unit=4; OLD=cleared"]


# --------------------------------------------------------------------------------------------------- what does not pass


@pytest.mark.parametrize(("function", "name"), [
    (0x79, "advanced queueing (enqueue)"), (0x7A, "advanced queueing (dequeue)"), (0x81, "direct path load (stream)"),
    (0x7D, "subscriptions"), (0xEE, "function 0xee"),
])  # fmt: skip
@pytest.mark.parametrize("size", [0, 5])
def test_a_call_that_is_not_read_is_refused_in_words_and_the_session_goes_on(
    function: int, name: str, size: int
) -> None:
    session = Session()
    body = b"queue and payload, of which nobody here knows the form"
    pieces = session.asks(m.call(function, 9, body)[: size or None])
    assert [piece.forward for piece in pieces] == [False]
    assert session.record() == [(f"{name}, which does not pass the bastion", None, None, "ORA-03001")]
    said = session.server.due()
    assert f"ORA-03001: This call does not pass the bastion: {name}.".encode() in said
    [piece] = session.asks(Q)
    assert piece.forward
    session.answers(m.end(942, "ORA-00942: no"))
    assert session.record()[1][3] == "ORA-00942"


def test_nothing_of_a_long_message_that_is_refused_goes_on() -> None:
    session = Session()
    session.client._exchange.unit = 200
    message = m.call(0x81, 9, b"x" * 1000)
    pieces = session.asks(message, size=190)
    assert [piece.forward for piece in pieces] == [False] * len(pieces)
    assert sum(piece.size for piece in pieces) == len(m.cut(message, 190))
    [piece] = session.asks(Q)
    assert piece.forward


def test_a_piggyback_that_is_not_read_ends_the_session() -> None:
    session = Session()
    with pytest.raises(ProtocolError) as error:
        session.asks(m.piggyback(0xCD, b"abc") + Q)
    assert "a security context of the end user" in error.value.reason
