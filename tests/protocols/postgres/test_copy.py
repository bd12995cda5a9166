"""COPY in both directions and both protocols: counted, and the Syncs around it are paired as the server pairs them."""

from __future__ import annotations

from bastion.protocols.contract import ClientData, StatementExtends

from . import messages as m
from .session import Session


def data_bytes(session: Session, number: int) -> int:
    return sum(note.data_bytes for note in session.extended(number))


def test_copy_in_by_simple_query() -> None:
    session = Session()
    session.client(m.query("copy a from stdin"))
    session.server(m.copy_in())
    session.client(m.copy_data(b"1\tx\n") * 3)
    session.client(m.copy_data(b"2\ty\n") + m.COPY_DONE)
    session.server(m.complete("COPY 4") + m.ready())
    session.client(m.query("select 1"))
    session.server(m.complete("SELECT 1") + m.ready())
    assert data_bytes(session, 1) == 16
    assert session.outcomes() == [(1, "done", 4), (2, "done", 1)]


def test_copy_in_with_a_long_message() -> None:
    session = Session()
    session.client(m.query("copy a from stdin"))
    session.server(m.copy_in())
    session.client(m.copy_data(b"x" * 3_000_000) + m.copy_data(b"yy") + m.COPY_DONE)
    session.server(m.complete("COPY 1") + m.ready())
    assert data_bytes(session, 1) == 3_000_002
    assert session.to_server.endswith(m.copy_data(b"yy") + m.COPY_DONE)


def test_copy_fail() -> None:
    session = Session()
    session.client(m.query("copy a from stdin"))
    session.server(m.copy_in())
    session.client(m.copy_data(b"1\n") + m.copy_fail("no more"))
    session.server(m.error("57014", "COPY from stdin failed: no more") + m.ready())
    assert session.outcomes() == [(1, "failed", None)]


def test_copy_out() -> None:
    session = Session()
    session.client(m.query("copy a to stdout"))
    answer = m.copy_out() + m.copy_data(b"1\n") * 5 + m.COPY_DONE + m.complete("COPY 5") + m.ready()
    session.server(answer)
    assert session.outcomes() == [(1, "done", 5)]
    assert session.ended()[1].bytes_down == len(answer)


def test_copy_both() -> None:
    session = Session()
    session.client(m.query("START_REPLICATION SLOT s LOGICAL 0/0"))
    session.server(m.copy_both() + m.copy_data(b"w" * 100) * 3)
    session.client(m.copy_data(b"r" * 34))
    session.client(m.COPY_DONE)
    session.server(m.COPY_DONE + m.complete("COPY 0") + m.ready())
    assert data_bytes(session, 1) == 34
    assert session.outcomes() == [(1, "done", 0)]


def test_two_copies_in_one_query() -> None:
    session = Session()
    session.client(m.query("copy a from stdin; copy b from stdin"))
    session.server(m.copy_in())
    session.client(m.copy_data(b"1\n") + m.COPY_DONE)
    session.server(m.complete("COPY 1") + m.copy_in())
    assert session.exchange.copying == 1
    session.client(m.copy_data(b"2\n") + m.COPY_DONE)
    session.server(m.complete("COPY 1") + m.ready())
    assert data_bytes(session, 1) == 4
    assert session.outcomes() == [(1, "done", 2)]


def extended(text: str) -> bytes:
    return m.parse(text) + m.bind() + m.describe() + m.execute()


GOOD = m.PARSE_COMPLETE + m.BIND_COMPLETE + m.NO_DATA


def test_a_sync_before_the_data_is_ignored_as_the_server_does() -> None:
    # libpq's PQexecParams: Sync goes with Execute, and another one with the end of the data; one ReadyForQuery comes.
    session = Session()
    session.client(extended("copy a from stdin") + m.SYNC)
    session.server(GOOD + m.copy_in())
    session.client(m.copy_data(b"1\n") + m.COPY_DONE + m.SYNC)
    session.server(m.complete("COPY 1") + m.ready())
    session.client(m.query("select 1"))
    session.server(m.row(b"1") + m.complete("SELECT 1") + m.ready())
    assert session.outcomes() == [(1, "done", 1), (2, "done", 1)]
    assert data_bytes(session, 1) == 2
    assert not session.exchange.queue


def test_a_sync_amid_the_data_is_ignored_too() -> None:
    session = Session()
    session.client(extended("copy a from stdin"))
    session.server(GOOD + m.copy_in())
    session.client(m.copy_data(b"1\n") + m.SYNC + m.copy_data(b"2\n") + m.COPY_DONE + m.SYNC)
    session.server(m.complete("COPY 2") + m.ready())
    assert session.outcomes() == [(1, "done", 2)]
    assert not session.exchange.queue


def test_data_that_does_not_wait_for_the_servers_word() -> None:
    session = Session()
    session.client(extended("copy a from stdin") + m.copy_data(b"1\n") + m.COPY_DONE + m.SYNC)
    session.server(GOOD + m.copy_in() + m.complete("COPY 1") + m.ready())
    assert data_bytes(session, 1) == 2
    session.client(m.query("copy b from stdin") + m.copy_data(b"1\n" * 9) + m.COPY_DONE + m.query("select 1"))
    session.server(m.copy_in() + m.complete("COPY 9") + m.ready() + m.complete("SELECT 1") + m.ready())
    assert data_bytes(session, 2) == 18
    assert session.outcomes() == [(1, "done", 1), (2, "done", 9), (3, "done", 1)]
    assert session.exchange.copying == 0


def test_copy_that_fails_while_data_still_comes() -> None:
    session = Session()
    session.client(extended("copy a from stdin") + m.SYNC)
    session.server(GOOD + m.copy_in())
    session.client(m.copy_data(b"bad\n"))
    session.server(m.error("22P02", "invalid input"))
    session.client(m.copy_data(b"more\n") + m.COPY_DONE + m.SYNC)
    session.server(m.ready())
    session.client(m.query("select 1"))
    session.server(m.complete("SELECT 1") + m.ready())
    assert session.outcomes() == [(1, "failed", None), (2, "done", 1)]
    # What the server throws away belongs to no statement.
    assert session.extended(1) == [
        StatementExtends(1, binds=(), runs=True),
        StatementExtends(1, data_bytes=4),
    ]


def test_prepared_statements_of_an_ignored_sync_are_settled() -> None:
    session = Session()
    session.client(m.parse("select 1", "kept") + extended("copy a from stdin") + m.SYNC)
    session.server(m.PARSE_COMPLETE + GOOD + m.copy_in())
    session.client(m.COPY_DONE + m.SYNC)
    session.server(m.complete("COPY 0") + m.ready())
    assert session.outcomes() == [(1, "done", None), (2, "done", 0)]


def test_a_sync_after_a_failed_copy_counts() -> None:
    session = Session()
    session.client(m.query("copy a from stdin"))
    session.server(m.copy_in() + m.error("57014", "canceled"))
    session.client(m.SYNC)
    session.server(m.ready() + m.ready())
    assert session.outcomes() == [(1, "failed", None)]
    assert not session.exchange.queue


def test_a_sync_after_data_that_did_not_wait_counts() -> None:
    session = Session()
    session.client(extended("copy a from stdin") + m.copy_data(b"1\n") + m.COPY_DONE)
    session.server(GOOD + m.copy_in())
    session.client(m.SYNC)
    session.server(m.complete("COPY 1") + m.ready())
    assert session.outcomes() == [(1, "done", 1)]
    assert not session.exchange.queue


def sampled(session: Session, number: int) -> bytes:
    return b"".join(note.data for note in session.notes if isinstance(note, ClientData) and note.number == number)


def test_the_beginning_of_the_data_is_handed_out_without_the_protocols_headers() -> None:
    session = Session()
    session.client_side.sample_uploads(10)
    secret = m.query("alter role a password 'geheim'")
    session.client(m.query("copy a from stdin"))
    session.server(m.copy_in())
    session.client(m.copy_data(b"1\tx\n") + m.copy_data(b"2\ty\n") + m.copy_data(b"3\tz\n"))
    session.client(m.copy_data(b"4\n") + m.COPY_DONE + secret)
    session.server(m.complete("COPY 4") + m.ready() + m.complete("ALTER ROLE") + m.ready())
    assert sampled(session, 1) == b"1\tx\n2\ty\n3\t"
    assert data_bytes(session, 1) == 14
    session.client(m.query("copy a from stdin"))
    session.server(m.copy_in())
    session.client(m.copy_data(b"x" * 3_000_000))
    assert sampled(session, 3) == b"x" * 10
    assert sampled(session, 2) == b""


def test_of_copy_in_both_directions_what_the_client_sends_is_handed_out() -> None:
    session = Session()
    session.client_side.sample_uploads(1000)
    session.client(m.query("START_REPLICATION SLOT s LOGICAL 0/0"))
    session.server(m.copy_both() + m.copy_data(b"w" * 100) * 3)
    session.client(m.copy_data(b"r" * 34))
    session.server(m.copy_data(b"w" * 100))
    session.client(m.copy_data(b"s" * 34))
    assert sampled(session, 1) == b"r" * 34 + b"s" * 34


def test_nothing_is_handed_out_where_nobody_keeps_it() -> None:
    session = Session()
    session.client(m.query("copy a from stdin"))
    session.server(m.copy_in())
    session.client(m.copy_data(b"1\n") + m.copy_data(b"x" * 3_000_000))
    assert sampled(session, 1) == b""
