"""A refused statement: what the client is told, where among the server's answers, and what is dropped."""

from __future__ import annotations

import pytest

from bastion.protocols.contract import Refusal

from . import messages as m
from .session import NOT_ALLOWED, Session

REFUSED = m.framed(b"E", b"SERROR\0VERROR\0C42501\0MNot here.\0HThe bastion says this, not the database.\0\0")


def one(text: str) -> bytes:
    return m.parse(text) + m.bind() + m.describe() + m.execute()


GOOD = m.PARSE_COMPLETE + m.BIND_COMPLETE + m.NO_DATA + m.complete("UPDATE 1")


def test_each_statement_comes_in_a_piece_of_its_own() -> None:
    session = Session(refuse_texts=("never there",))
    pieces = session.client(one("a") + one("b") + m.SYNC + m.query("c"))
    assert [piece.kind for piece in pieces] == [
        "Parse", "Bind", "Describe", "Execute", "Parse", "Bind", "Describe", "Execute", "Sync", "Query",
    ]  # fmt: skip
    assert session.to_server == one("a") + one("b") + m.SYNC + m.query("c")


@pytest.mark.parametrize(("status", "transaction"), [("I", "I"), ("T", "T"), ("E", "E")])
def test_a_simple_query_alone(status: str, transaction: str) -> None:
    session = Session(refuse_texts=("drop",))
    session.client(m.query("begin"))
    session.server(m.complete("BEGIN") + m.ready(status))
    before = len(session.to_client)
    session.client(m.query("drop table a"))
    assert session.to_client[before:] == REFUSED + m.ready(transaction)
    session.client(m.query("select 1"))
    assert session.to_server == m.query("begin") + m.query("select 1")
    session.server(m.complete("SELECT 1") + m.ready(status))
    assert session.outcomes() == [(1, "done", None), (3, "done", 1)]
    assert session.server_side.open_statements() == []


def test_a_simple_query_between_others_keeps_its_place() -> None:
    session = Session(refuse_texts=("drop",))
    session.client(m.query("a") + m.query("drop") + m.query("b"))
    assert session.to_server == m.query("a") + m.query("b")
    assert session.to_client == b""
    first, last = m.complete("UPDATE 1") + m.ready("T"), m.complete("UPDATE 2") + m.ready()
    session.server(first + last)
    assert session.to_client == first + REFUSED + m.ready("T") + last
    assert session.outcomes() == [(1, "done", 1), (3, "done", 2)]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("cut", ["together", "apart"])
def test_in_a_pipeline(place: int, cut: str) -> None:
    session = Session(refuse_texts=("drop",))
    texts = ["a", "b", "c"]
    texts[place] = "drop"
    parts = [one(text) for text in texts] + [m.SYNC, one("next") + m.SYNC]
    for data in [b"".join(parts)] if cut == "together" else parts:
        session.client(data)
    assert session.to_server == b"".join(parts[:place]) + m.SYNC + parts[-1]
    session.server(GOOD * place + m.ready("T") + GOOD + m.ready())
    assert session.to_client == GOOD * place + REFUSED + m.ready("T") + GOOD + m.ready()
    outcomes = {end.number: end.outcome for end in session.ended().values()}
    # The refused one's outcome is the business of whoever refused it.
    assert outcomes == {
        number: "done" if number <= place or number == 4 else "skipped"
        for number in (1, 2, 3, 4)
        if number != place + 1
    }
    assert session.server_side.open_statements() == []


def test_what_is_behind_it_is_on_record_as_skipped_when_it_arrives_later() -> None:
    session = Session(refuse_texts=("drop",))
    session.client(one("drop"))
    assert session.to_client == REFUSED
    session.client(one("later") + m.FLUSH + m.query("and this"))
    assert session.text(2) == "later"
    assert session.to_server == b""
    session.client(m.SYNC)
    assert session.to_server == m.SYNC
    session.server(m.ready())
    assert {end.number: end.outcome for end in session.ended().values()} == {2: "skipped", 3: "skipped"}
    assert session.to_client == REFUSED + m.ready()


def test_an_earlier_error_of_the_pipeline_comes_instead() -> None:
    session = Session(refuse_texts=("drop",))
    session.client(one("a") + one("drop") + m.SYNC)
    session.server(m.error() + m.ready())
    assert session.to_client == m.error() + m.ready()


def test_a_refused_parse_does_not_name_what_runs_later() -> None:
    session = Session(refuse_texts=("drop",))
    session.client(m.parse("select 1") + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.ready())
    session.client(m.parse("drop") + m.bind() + m.execute() + m.SYNC)
    session.server(m.ready())
    session.client(m.bind() + m.execute() + m.SYNC)
    assert session.text(3) == "select 1"


def test_execute_of_a_statement_that_was_prepared_earlier() -> None:
    session = Session()
    session.client_side.judging = True
    session.client(m.parse("select 1", "s") + m.SYNC)
    session.server(m.PARSE_COMPLETE + m.ready())
    before = len(session.to_server)
    pieces = session.client_side.feed(m.bind(statement="s") + m.execute() + m.SYNC)
    session.client_side.refuse(pieces[1], NOT_ALLOWED)
    assert [piece.forward for piece in pieces] == [True, False, True]
    session.server(m.BIND_COMPLETE + m.ready())
    assert session.to_client.endswith(m.BIND_COMPLETE + REFUSED + m.ready())
    assert before == len(session.to_server)


def test_only_what_was_handed_out_while_judging_can_be_refused() -> None:
    session = Session()
    [piece] = session.client(m.query("select 1"))
    with pytest.raises(ValueError, match="can be refused"):
        session.client_side.refuse(piece, NOT_ALLOWED)


@pytest.mark.parametrize("feeds", [1, 5])
def test_a_long_query(feeds: int) -> None:
    session = Session(refuse_texts=("drop",))
    data = m.query("drop " + "x" * 1_000_000)
    step = len(data) // feeds + 1
    for start in range(0, len(data), step):
        session.client(data[start : start + step])
    session.client(m.query("select 1"))
    assert session.to_server == m.query("select 1")
    assert session.to_client == REFUSED + m.ready("I")


def test_a_long_query_whose_pieces_wait_for_the_verdict() -> None:
    session = Session()
    session.client_side.judging = True
    data = m.query("drop " + "x" * 1_000_000)
    waiting = [
        piece for at in range(0, len(data), 65_536) for piece in session.client_side.feed(data[at : at + 65_536])
    ]
    assert len(waiting) > 10
    session.client_side.refuse(waiting[0], NOT_ALLOWED)
    assert not any(piece.forward for piece in waiting)
    assert session.server_side.due() == REFUSED + m.ready("I")


def test_a_long_bind_behind_a_refused_parse() -> None:
    session = Session()
    session.client_side.judging = True
    data = m.parse("drop") + m.bind((b"x" * 1_000_000,)) + m.execute() + m.SYNC
    first = session.client_side.feed(data[:500_000])
    session.client_side.refuse(first[0], NOT_ALLOWED)
    rest = session.client_side.feed(data[500_000:])
    assert [piece.kind for piece in first + rest if piece.forward] == ["Sync"]
    assert session.server_side.due() == REFUSED


def test_the_code_is_that_of_the_cause() -> None:
    session = Session()
    session.client_side.judging = True
    [piece] = session.client_side.feed(m.query("select 1"))
    session.client_side.refuse(piece, Refusal("record-failed", "No record,\0 no statement."))
    assert b"C58030\0" in session.server_side.due()


def test_what_was_prepared_before_a_refused_query_has_its_outcome() -> None:
    session = Session(refuse_texts=("drop",))
    session.client(m.parse("select 1", "s") + m.query("drop") + m.query("select 2"))
    session.server(m.PARSE_COMPLETE + m.complete("SELECT 1") + m.ready())
    assert session.to_client == m.PARSE_COMPLETE + REFUSED + m.ready() + m.complete("SELECT 1") + m.ready()
    assert sorted(session.outcomes()) == [(1, "done", None), (3, "done", 1)]


def test_what_fails_to_be_prepared_before_a_refused_query_has_failed() -> None:
    session = Session(refuse_texts=("drop",))
    session.client(m.parse("bad", "s") + m.query("drop") + m.SYNC)
    session.server(m.error() + m.ready())
    assert session.to_client == m.error() + m.ready()
    assert session.outcomes() == [(1, "failed", None)]
