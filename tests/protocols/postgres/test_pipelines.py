"""Many messages ahead of their answers: none is lost, none is given another's outcome or text."""

from __future__ import annotations

import time

import pytest

from bastion.protocols.contract import ProtocolError, StatementEnds
from bastion.protocols.postgres.exchange import LONGEST_PIPELINE, MOST_AHEAD, REMEMBERED_TOTAL

from . import messages as m
from .session import Session


def test_a_thousand_executes_before_one_sync() -> None:
    session = Session()
    session.client(m.parse("insert into a values ($1)", "s") + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.ready())
    one = [m.bind((str(i).encode(),), statement="s") + m.execute() for i in range(1_000)]
    session.client(b"".join(one) + m.SYNC)
    session.server(b"".join(m.BIND_COMPLETE + m.complete(f"INSERT 0 {i}") for i in range(1_000)) + m.ready())
    begun, ended = session.begun(), session.ended()
    for i in range(1_000):
        assert begun[i + 2].binds == (str(i),)
        assert begun[i + 2].text == "insert into a values ($1)"
        assert (ended[i + 2].rows, ended[i + 2].outcome) == (i, "done")
    assert len(begun) == len(ended) == 1_001


def test_a_thousand_different_statements_before_one_sync() -> None:
    session = Session()
    session.client(b"".join(m.parse(f"select {i}") + m.bind() + m.execute() for i in range(1_000)) + m.SYNC)
    answer = b"".join(
        m.PARSE_COMPLETE + m.BIND_COMPLETE + m.row(b"1") * (i % 5) + m.complete(f"SELECT {i % 5}") for i in range(1_000)
    )
    session.server(answer + m.ready())
    for i in range(1_000):
        assert session.text(i + 1) == f"select {i}"
        assert session.ended()[i + 1].rows == i % 5


def test_the_unnamed_portal_is_bound_again_in_one_pipeline() -> None:
    session = Session()
    session.client(
        m.parse("select $1") + m.bind((b"1",)) + m.execute() + m.bind((b"2",)) + m.execute() + m.bind((b"3",)) + m.SYNC
    )
    assert session.extended(1)[0].binds == (b"1".decode(),)
    assert session.begun()[2].binds == ("2",)
    assert session.begun()[2].text == "select $1"
    session.server(
        m.PARSE_COMPLETE + m.BIND_COMPLETE + m.complete("SELECT 10") + m.BIND_COMPLETE + m.complete("SELECT 20")
        + m.BIND_COMPLETE + m.ready()
    )  # fmt: skip
    assert session.outcomes() == [(1, "done", 10), (2, "done", 20)]


def three(texts: tuple[str, str, str]) -> bytes:
    return b"".join(m.parse(text) + m.bind() + m.describe() + m.execute() for text in texts) + m.SYNC


def test_an_error_in_the_middle_skips_the_rest_and_not_the_next_pipeline() -> None:
    session = Session()
    session.client(three(("one", "two", "three")) + three(("four", "five", "six")))
    good = m.PARSE_COMPLETE + m.BIND_COMPLETE + m.NO_DATA
    session.server(
        good + m.complete("UPDATE 1") + good + m.error("23505", "duplicate key") + m.ready()
        + b"".join(good + m.complete(f"UPDATE {count}") for count in (4, 5, 6)) + m.ready()
    )  # fmt: skip
    assert sorted(session.outcomes()) == [
        (1, "done", 1), (2, "failed", None), (3, "skipped", None), (4, "done", 4), (5, "done", 5), (6, "done", 6),
    ]  # fmt: skip
    assert str(session.ended()[2].error) == "23505: duplicate key"


def test_an_error_while_messages_are_still_arriving() -> None:
    session = Session()
    session.client(m.parse("one") + m.bind() + m.execute() + m.FLUSH)
    session.server(m.PARSE_COMPLETE + m.BIND_COMPLETE + m.error("22012", "division by zero"))
    session.client(m.parse("two") + m.bind() + m.execute())
    session.client(m.query("three, which the server throws away too"))
    session.client(m.function_call(1) + m.describe("S") + m.close("P", "c") + m.SYNC)
    session.server(m.ready("E"))
    session.client(m.query("rollback"))
    session.server(m.complete("ROLLBACK") + m.ready())
    assert sorted(session.outcomes()) == [
        (1, "failed", None), (2, "skipped", None), (3, "skipped", None), (4, "skipped", None), (5, "done", None),
    ]  # fmt: skip
    assert session.text(5) == "rollback"
    assert session.server_side.open_statements() == []


@pytest.mark.parametrize("failing", ["parse", "bind", "describe", "execute"])
def test_whichever_message_fails_it_is_the_statement_that_failed(failing: str) -> None:
    session = Session()
    session.client(m.parse("select $1") + m.bind((b"x",)) + m.describe() + m.execute() + m.SYNC)
    good = {"parse": m.PARSE_COMPLETE, "bind": m.BIND_COMPLETE, "describe": m.NO_DATA, "execute": b""}
    before = b"".join(list(good.values())[: list(good).index(failing)])
    session.server(before + m.error("22P02", "invalid input") + m.ready())
    assert session.outcomes() == [(1, "failed", None)]
    assert str(session.ended()[1].error) == "22P02: invalid input"


def test_a_commit_that_fails_at_sync() -> None:
    session = Session()
    session.client(m.parse("prepared only", "s") + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.error("40001", "could not serialize") + m.ready())
    assert session.outcomes() == [(1, "failed", None)]
    session.client(m.query("select 1"))
    session.server(m.complete("SELECT 1") + m.ready())
    assert session.outcomes()[-1] == (2, "done", 1)


def test_simple_query_behind_an_extended_pipeline_without_sync() -> None:
    session = Session()
    session.client(m.parse("only prepared", "s") + m.query("select 1"))
    session.server(m.PARSE_COMPLETE + m.complete("SELECT 1") + m.ready())
    assert session.outcomes() == [(2, "done", 1), (1, "done", None)]
    session.client(m.parse("bad") + m.query("thrown away") + m.SYNC)
    session.server(m.error() + m.ready())
    assert session.outcomes()[2:] == [(3, "failed", None), (4, "skipped", None)]


# A statement that was thrown away was never prepared: what runs under its name later is what stood there before.


def test_a_skipped_parse_does_not_rename_what_runs_later() -> None:
    session = Session()
    session.client(m.parse("delete from secrets") + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.ready())
    session.client(m.parse("syntax error", "s") + m.parse("select 1") + m.SYNC)
    session.server(m.error("42601") + m.ready())
    session.client(m.bind() + m.execute() + m.SYNC)
    assert session.text(4) == "delete from secrets"


def test_a_parse_that_arrives_while_the_server_skips_does_not_either() -> None:
    session = Session()
    session.client(m.parse("delete from secrets") + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.ready())
    session.client(m.parse("syntax error", "s") + m.FLUSH)
    session.server(m.error("42601"))
    session.client(m.parse("select 1") + m.bind() + m.execute() + m.SYNC)
    # In the record of what never ran stands its own text.
    assert session.text(3) == "select 1"
    session.server(m.ready())
    session.client(m.bind() + m.execute() + m.SYNC)
    assert session.text(4) == "delete from secrets"
    assert session.ended()[3].outcome == "skipped"


def test_a_skipped_close_does_not_hide_a_statement() -> None:
    session = Session()
    session.client(m.parse("delete from secrets", "s") + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.ready())
    session.client(m.parse("bad") + m.close("S", "s") + m.parse("select 1", "s") + m.SYNC)
    session.server(m.error() + m.ready())
    session.client(m.bind(statement="s") + m.execute() + m.SYNC)
    assert session.text(4) == "delete from secrets"


def test_a_later_pipeline_already_on_its_way_is_corrected() -> None:
    session = Session()
    session.client(m.parse("delete from secrets") + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.ready())
    session.client(m.parse("bad", "s") + m.parse("select 1") + m.SYNC + m.bind() + m.execute() + m.SYNC)
    assert session.text(4) == "select 1"
    session.server(m.error() + m.ready() + m.BIND_COMPLETE + m.complete("DELETE 9") + m.ready())
    [correction] = session.extended(4)
    assert correction.detail == "ran statement 1, not 3, which was never prepared: delete from secrets"
    assert session.ended()[4].rows == 9


def test_a_failed_parse_keeps_the_named_statement_and_loses_the_unnamed() -> None:
    session = Session()
    session.client(m.parse("first", "s") + m.parse("unnamed") + m.SYNC)
    session.server(m.PARSE_COMPLETE * 2 + m.ready())
    session.client(m.parse("second", "s") + m.SYNC + m.parse("bad") + m.SYNC)
    session.server(m.error("42P05", "already exists") + m.ready() + m.error("42601") + m.ready())
    assert session.exchange.prepared[b"s"].text == "first"
    assert b"" not in session.exchange.prepared


def test_two_sessions_share_nothing() -> None:
    one, two = Session(), Session()
    for i in range(50):
        one.client(m.parse(f"one {i}", "s") + m.bind((b"1",), statement="s"))
        two.client(m.parse(f"two {i}", "s") + m.bind((b"2",), statement="s"))
        two.client(m.execute() + m.close("S", "s") + m.SYNC)
        one.client(m.execute() + m.close("S", "s") + m.SYNC)
        good = m.PARSE_COMPLETE + m.BIND_COMPLETE
        one.server(good + m.row(b"1"))
        two.server(good + m.error() + m.ready())
        one.server(m.complete("SELECT 1") + m.CLOSE_COMPLETE + m.ready())
    for i in range(50):
        assert one.text(i + 1) == f"one {i}"
        assert two.text(i + 1) == f"two {i}"
        assert one.extended(i + 1)[0].binds == ("1",)
        assert two.extended(i + 1)[0].binds == ("2",)
    assert {end.outcome for end in one.ended().values()} == {"done"}
    # `s` of the failing session was never closed there, so each text but the first is one that failed.
    assert {end.outcome for end in two.ended().values()} == {"failed"}


def test_a_client_far_ahead_of_the_answers_is_to_wait_for_them() -> None:
    session = Session()
    session.client_side.feed(m.describe("S") * MOST_AHEAD)
    assert not session.client_side.ahead
    session.client_side.feed(m.describe("S"))
    assert session.client_side.ahead
    # As many as the server may keep to itself until a Sync are not waited for: it may send none of them before.
    session.server(m.NO_DATA * (MOST_AHEAD // 2))
    assert session.client_side.still_ahead()
    session.server(m.NO_DATA)
    assert not session.client_side.still_ahead()
    assert 8192 // len(m.NO_DATA) < MOST_AHEAD // 2


@pytest.mark.parametrize("failed", [False, True])
def test_an_endless_pipeline_is_refused(failed: bool) -> None:
    session = Session()
    if failed:
        session.client(m.parse("wrong"))
        session.server(m.error())
    with pytest.raises(ProtocolError, match="of one pipeline without a Sync"):
        for _ in range(LONGEST_PIPELINE // 10_000 + 1):
            session.client_side.feed(m.parse("a") * 10_000)
            if not failed:
                session.server_side.feed(m.PARSE_COMPLETE * 10_000)


def test_the_texts_of_a_pipeline_are_kept_within_their_limit() -> None:
    session = Session()
    text = "select '" + "x" * 60_000 + "'"
    for _ in range(20):
        for _ in range(100):
            session.client_side.feed(m.parse(text))
        session.server_side.feed(m.PARSE_COMPLETE * 100)
        kept = sum(len(prepared.text) for prepared in session.exchange.parses)
        assert kept <= REMEMBERED_TOTAL + len(session.exchange.parses) * len("(text in statement 2000)")
        assert session.exchange.unsettled >= kept
    session.client(m.SYNC)
    session.server(m.ready())
    session.client(m.parse(text))
    assert session.exchange.parses[-1].text == text


def test_a_long_pipeline_takes_linear_time() -> None:
    session = Session()
    started = time.process_time()
    for _ in range(20):
        session.client((m.parse("select 1") + m.bind() + m.execute()) * 1_000)
    session.server(m.error())
    session.client(m.SYNC)
    assert time.process_time() - started < 10
    assert len(session.ended()) == 20_000


def test_what_was_prepared_before_a_query_that_is_thrown_away() -> None:
    session = Session()
    session.client(m.parse("good", "s") + m.parse("bad") + m.query("thrown away") + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.error() + m.ready())
    assert sorted(session.outcomes()) == [(1, "done", None), (2, "failed", None), (3, "skipped", None)]
    assert session.server_side.open_statements() == []


def test_values_are_let_go_of_when_their_portal_is_bound_again() -> None:
    session = Session()
    session.client((m.bind((b"x" * 4_000,) * 10) + m.execute()) * 500)
    kept = [entry.portal.binds for entry in session.exchange.queue if entry.portal is not None and entry.portal.binds]
    # The last portal is that of one Bind and one Execute.
    assert len(kept) == 2
    assert session.exchange.held < 50_000


def test_what_was_understood_before_what_was_not_is_handed_out() -> None:
    session = Session()
    session.client(m.query("select 1") + m.query("select 2"))
    one = m.row_description("a") + m.row(b"x") + m.complete("SELECT 1") + m.ready()
    with pytest.raises(ProtocolError) as caught:
        session.server(one + m.row_description("a") + b"\xff\xff\xff\xff\xff")
    [piece] = caught.value.before
    assert piece.data == one + m.row_description("a")
    assert [(note.number, note.outcome) for note in piece.notes if isinstance(note, StatementEnds)] == [(1, "done")]
