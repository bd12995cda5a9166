"""The relay's rules, on a protocol small enough to see through: a statement is a line, its answer is a line."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

import pytest

from bastion.audit.journal import JournalFailed
from bastion.audit.records import AnyRecord, RawBytes, StatementDone, StatementSent
from bastion.protocols.contract import (
    DatabaseError,
    Piece,
    ProtocolError,
    Refusal,
    StatementBegins,
    StatementEnds,
    Transaction,
)
from bastion.protocols.contract import (
    Leg as Side,
)
from bastion.sessions.legs import Leg
from bastion.sessions.live import LiveSession, Visit
from bastion.sessions.record import SessionRecord
from bastion.sessions.relay import DENSE_SLICE, Relay


class Wire:
    """A transport that keeps what is written, in the order shared with the journal."""

    def __init__(self, name: str, events: list[tuple[str, bytes]]) -> None:
        self.name = name
        self.events = events
        self.paused = False
        self.is_closed = False
        self.is_aborted = False

    def write(self, data: bytes) -> None:
        self.events.append((self.name, bytes(data)))

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return 0


class Lines:
    """Both sides of the line protocol. `!` at the start of a line cannot be read."""

    judging = False
    leaving = False
    ahead = False
    transaction = Transaction.NONE

    def __init__(self) -> None:
        self.number = 0
        self.outstanding: list[int] = []
        self.owed = b""
        self.rows = 0
        self.most = 10**9

    def sample_uploads(self, limit: int) -> None:
        pass

    def still_ahead(self) -> bool:
        self.ahead = len(self.outstanding) >= self.most
        return self.ahead

    def feed(self, data: bytes) -> list[Piece]:
        pieces = []
        for line in data.splitlines(keepends=True):
            if line.startswith(b"!"):
                raise ProtocolError(Side.CLIENT, "no such line", line)
            self.number += 1
            self.outstanding.append(self.number)
            note = StatementBegins(self.number, "line", line.decode().strip())
            pieces.append(Piece(line, len(line), "line", (note,)))
        self.still_ahead()
        return pieces

    def refuse(self, piece: Piece, refusal: Refusal) -> None:
        self.owed += refusal.message.encode()

    def due(self) -> bytes:
        owed, self.owed = self.owed, b""
        return owed

    @property
    def running(self) -> int | None:
        return self.outstanding[0] if self.outstanding else None

    def farewell(self, refusal: Refusal) -> bytes:
        return f"bye: {refusal.code}\n".encode()

    def open_statements(self) -> list[int]:
        return list(self.outstanding)


class Answers(Lines):
    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self.outstanding = lines.outstanding
        self.broken = b""

    def feed(self, data: bytes) -> list[Piece]:
        if self.broken and data.startswith(self.broken):
            raise ProtocolError(Side.SERVER, "no such answer", data)
        if self.broken and self.broken in data:
            whole, _, rest = data.partition(self.broken)
            error = ProtocolError(Side.SERVER, "no such answer", rest)
            error.before = self.feed(whole)
            raise error
        number = self.outstanding.pop(0)
        return [Piece(data, len(data), "answer", (StatementEnds(number, 1, bytes_down=len(data)),))]


class Journal:
    """Keeps records beside the wires' bytes; durable at once, later, or never."""

    def __init__(self, events: list[tuple[str, bytes]]) -> None:
        self.events = events
        self.records: list[AnyRecord] = []
        self.later: list[asyncio.Future[None]] = []
        self.mode: Callable[[], asyncio.Future[None] | None] = lambda: None

    def append(self, *records: AnyRecord) -> asyncio.Future[None] | None:
        answer = self.mode()
        for record in records:
            self.records.append(record)
            self.events.append(("journal", type(record).__name__.encode()))
        return answer

    append_soon = append

    def slow(self) -> asyncio.Future[None]:
        self.later.append(asyncio.get_running_loop().create_future())
        return self.later[-1]

    def fail(self) -> None:
        raise JournalFailed("disk full")


class Stage:
    def __init__(self, *, started: bool = True) -> None:
        self.events: list[tuple[str, bytes]] = []
        self.ended: list[tuple[str, str]] = []
        self.client_wire, self.server_wire = Wire("client", self.events), Wire("server", self.events)
        self.client, self.server = Leg(Side.CLIENT, self.client_wire), Leg(Side.SERVER, self.server_wire)
        self.journal = Journal(self.events)
        lines = Lines()
        self.record = SessionRecord(self.journal, "s1", "postgresql", lambda text: "digest")
        self.relay = Relay(
            "s1",
            (self.client, self.server),
            (lines, Answers(lines)),
            self.record,
            self.journal,
            lambda *why: self.ended.append(why),
        )
        if started:
            self.relay.start(b"", b"")


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_a_statement_is_on_record_before_its_bytes_and_its_outcome_before_the_answer(stage: Stage) -> None:
    stage.client.data_received(b"select 1\n")
    stage.server.data_received(b"one\n")
    assert stage.events == [
        ("journal", b"StatementSent"),
        ("server", b"select 1\n"),
        ("journal", b"StatementDone"),
        ("client", b"one\n"),
    ]
    sent, done = stage.journal.records
    assert isinstance(sent, StatementSent)
    assert (sent.text, sent.statement_kind, sent.seq) == ("select 1", "select", 1)
    assert isinstance(done, StatementDone)
    assert (done.state, done.rows, done.bytes_down) == ("done", 1, 4)


async def test_what_cannot_be_recorded_is_not_sent(stage: Stage) -> None:
    stage.journal.mode = stage.journal.fail
    stage.client.data_received(b"drop table t\nselect 1\n")
    assert stage.events == []
    assert stage.ended == [("record-failed", "")]
    stage.client.data_received(b"select 2\n")
    assert stage.events == []


async def test_nothing_passes_until_the_record_is_durable_and_order_is_kept(stage: Stage) -> None:
    stage.journal.mode = stage.journal.slow
    stage.client.data_received(b"a\nb\n")
    stage.client.data_received(b"c\n")
    assert [name for name, _ in stage.events] == ["journal"]
    assert stage.client_wire.paused
    for index in range(3):
        stage.journal.later[index].set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert [data for name, data in stage.events if name == "server"] == [b"a\n", b"b\n", b"c\n"]
    assert not stage.client_wire.paused


async def test_a_record_that_fails_late_sends_nothing(stage: Stage) -> None:
    stage.journal.mode = stage.journal.slow
    stage.client.data_received(b"a\n")
    stage.journal.later[0].set_exception(JournalFailed("disk"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [name for name, _ in stage.events] == ["journal", "journal"]
    assert stage.ended == [("record-failed", "")]
    done = stage.journal.records[-1]
    assert isinstance(done, StatementDone)
    assert (done.seq, done.state) == (1, "skipped")
    # The database owes nothing, so there is nothing to cancel on it.
    assert stage.relay.at_work is None


async def test_a_session_that_ends_while_a_record_is_awaited_says_what_was_not_sent(stage: Stage) -> None:
    stage.client.data_received(b"a\n")
    stage.journal.mode = stage.journal.slow
    stage.client.data_received(b"b\n")
    stage.client.data_received(b"c\n")
    stage.relay.stop_reading_client()
    assert stage.relay.at_work == 1
    stage.journal.later[0].set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [data for name, data in stage.events if name == "server"] == [b"a\n"]
    outcomes = [(each.seq, each.state) for each in stage.journal.records if isinstance(each, StatementDone)]
    assert outcomes == [(2, "skipped")]


async def test_what_cannot_be_read_is_recorded_raw_and_not_passed(stage: Stage) -> None:
    stage.client.data_received(b"!rubbish\n")
    assert stage.ended == [("not-understood", "no such line")]
    (raw,) = stage.journal.records
    assert isinstance(raw, RawBytes)
    assert (raw.leg, raw.made) == ("client", "refused")
    assert all(name != "server" for name, _ in stage.events)
    assert stage.relay.unattributed == len(b"!rubbish\n")


async def test_what_cannot_be_read_holds_no_credential_on_record(stage: Stage) -> None:
    stage.client.data_received(b"!\x00\xffALTER USER alice PASSWORD 'correct horse'\n")
    (raw,) = stage.journal.records
    assert isinstance(raw, RawBytes)
    assert base64.b64decode(raw.data) == b"!  ALTER USER alice PASSWORD '***'\n"


async def test_a_slow_client_stops_the_reading_of_the_database(stage: Stage) -> None:
    stage.client.pause_writing()
    assert stage.server_wire.paused
    stage.client.resume_writing()
    assert not stage.server_wire.paused
    stage.server.pause_writing()
    assert stage.client_wire.paused
    stage.server.resume_writing()
    assert not stage.client_wire.paused


async def test_a_vanished_client_ends_the_session_and_gets_nothing_more(stage: Stage) -> None:
    stage.client.data_received(b"select pg_sleep(100)\n")
    stage.client.eof_received()
    assert stage.ended == [("client", "")]
    assert stage.relay.server_side.running == 1
    stage.record.cancelling()
    waiting = asyncio.ensure_future(stage.relay.until_idle(5))
    await asyncio.sleep(0)
    stage.server.data_received(b"ERROR\n")
    assert await waiting
    assert [name for name, _ in stage.events].count("client") == 0
    done = stage.journal.records[-1]
    assert isinstance(done, StatementDone)


@pytest.mark.parametrize("leaving", [False, True])
async def test_a_database_that_closes_because_its_client_said_goodbye(stage: Stage, leaving: bool) -> None:
    """The end is the client's doing, whichever leg is seen to close first."""
    stage.relay.client_side.leaving = leaving
    stage.server.eof_received()
    stage.client.eof_received()
    assert stage.ended == [("client" if leaving else "database", "")]


async def test_the_farewell_reaches_the_client_before_the_end(stage: Stage) -> None:
    stage.relay.stop_reading_client()
    stage.relay.say_farewell(Refusal("token-revoked", "revoked"))
    stage.relay.close()
    assert stage.events == [("client", b"bye: token-revoked\n")]
    assert stage.client_wire.is_closed
    assert stage.server_wire.is_closed


async def test_what_the_reader_answers_by_itself_is_on_record_as_refused(stage: Stage) -> None:
    error = DatabaseError("1295", "not through here")
    stage.record.before((StatementBegins(1, "line", "change user"), StatementEnds(1, None, error, "failed")))
    sent, done = stage.journal.records
    assert isinstance(sent, StatementSent)
    assert isinstance(done, StatementDone)
    assert (sent.verdict, done.state, done.error) == ("refused", "refused", "1295: not through here")


async def test_a_client_that_does_not_read_is_not_read_for_while_its_last_statement_finishes(stage: Stage) -> None:
    """Its token has expired, the statement may finish; what it returns must not gather in the bastion."""
    stage.client.data_received(b"select everything\n")
    stage.client.pause_writing()
    stage.relay.stop_reading_client()
    waiting = asyncio.ensure_future(stage.relay.until_idle(5))
    await asyncio.sleep(0)
    assert stage.server_wire.paused
    stage.client.resume_writing()
    assert not stage.server_wire.paused
    stage.server.data_received(b"all\n")
    assert await waiting


@pytest.mark.parametrize("side", ["client", "server"])
async def test_whoever_leaves_while_the_last_statement_finishes_ends_the_session(stage: Stage, side: str) -> None:
    stage.client.data_received(b"select pg_sleep(1000)\n")
    stage.relay.stop_reading_client()
    waiting = asyncio.ensure_future(stage.relay.until_idle(5))
    await asyncio.sleep(0)
    (stage.client if side == "client" else stage.server).eof_received()
    assert stage.ended == [("client" if side == "client" else "database", "")]
    waiting.cancel()


async def test_what_was_read_during_login_and_waits_for_its_record_holds_the_client_back() -> None:
    stage = Stage(started=False)
    stage.journal.mode = stage.journal.slow
    stage.relay.start(b"a\n", b"")
    assert stage.client_wire.paused
    stage.journal.later[0].set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not stage.client_wire.paused


async def test_nothing_of_the_database_passes_behind_what_could_not_be_read(stage: Stage) -> None:
    stage.client.data_received(b"a\nb\n")
    stage.relay.server_side.broken = b"?"  # type: ignore[attr-defined]
    stage.server.data_received(b"?\n")
    stage.server.data_received(b"?\n")
    stage.server.data_received(b"two\n")
    assert stage.ended == [("not-understood", "no such answer")]
    assert [type(each) for each in stage.journal.records].count(RawBytes) == 1
    assert all(name != "client" for name, _ in stage.events)
    assert stage.relay.unattributed == 8


async def test_nothing_of_the_database_passes_behind_an_outcome_that_was_not_recorded(stage: Stage) -> None:
    stage.client.data_received(b"a\nb\n")
    stage.journal.mode = stage.journal.fail
    stage.server.data_received(b"one\n")
    stage.journal.mode = lambda: None
    stage.server.data_received(b"two\n")
    assert stage.ended == [("record-failed", "")]
    assert all(name != "client" for name, _ in stage.events)


async def test_a_defect_of_a_reader_ends_its_session_and_reaches_nobody_else(stage: Stage) -> None:
    stage.server.data_received(b"an answer that nothing asked for\n")
    assert stage.ended == [("internal", "")]
    stage.client.data_received(b"a\n")
    stage.server.data_received(b"another\n")
    assert stage.events == []


@pytest.mark.parametrize("answered", [True, False])
async def test_what_waits_for_a_busy_database_is_not_sent_behind_the_end(stage: Stage, *, answered: bool) -> None:
    stage.client.data_received(b"select pg_sleep(1000)\n")
    stage.relay.stop_reading_client()
    if answered:
        stage.server.data_received(b"cancelled\n")
    stage.relay.close()
    assert stage.server_wire.is_closed
    assert stage.server_wire.is_aborted is not answered


async def test_an_outcome_in_the_same_read_as_what_cannot_be_read_is_on_record(stage: Stage) -> None:
    stage.client.data_received(b"one\ntwo\n")
    answers = stage.relay.server_side
    assert isinstance(answers, Answers)
    answers.broken = b"?"
    stage.server.data_received(b"first?second")
    done = [each for each in stage.journal.records if isinstance(each, StatementDone)]
    assert [(each.seq, each.state) for each in done] == [(1, "done")]
    assert ("client", b"first") in stage.events
    assert stage.ended == [("not-understood", "no such answer")]
    assert isinstance(stage.journal.records[-1], RawBytes)


@pytest.mark.parametrize("orders", [(False,), (True, False), (False, False)])
async def test_a_statement_counts_as_cancelled_only_where_an_order_was_taken(
    stage: Stage, orders: tuple[bool, ...]
) -> None:
    visit = Visit("alice", "t1", "127.0.0.1", "orders", "app", "postgresql")
    session = LiveSession("s1", visit, "n1", stage.journal, record=stage.record, relay=stage.relay)
    stage.client.data_received(b"select 1\n")
    for taken in orders:

        async def order(answer: bool = taken) -> bool:
            return answer

        assert await session.cancel("root", "asked for", order) is taken
    stage.record.after((StatementEnds(1, None, DatabaseError("42P01", "no such table"), "failed"),))
    done = stage.journal.records[-1]
    assert isinstance(done, StatementDone)
    assert done.state == ("cancelled" if any(orders) else "failed")


async def test_data_full_of_statements_are_handled_a_slice_a_turn_and_in_order(stage: Stage) -> None:
    lines = [b"%d\n" % number for number in range(100_000)]
    data = b"".join(lines)
    stage.client.data_received(data[:30_000])  # nobody knows yet
    begun = stage.record.statements
    stage.client.data_received(data[30_000:])
    assert stage.record.statements <= begun + DENSE_SLICE
    assert stage.client_wire.paused
    most = 0
    while stage.record.statements < len(lines):
        before = stage.record.statements
        await asyncio.sleep(0)
        most = max(most, stage.record.statements - before)
        assert stage.record.statements > before, "it stands still"
    assert most <= DENSE_SLICE // 2
    await asyncio.sleep(0)
    assert not stage.client_wire.paused
    assert b"".join(content for name, content in stage.events if name == "server") == data


async def test_data_that_are_not_full_of_statements_are_not_cut(stage: Stage) -> None:
    for _ in range(5):
        stage.client.data_received(b"x" * 300_000 + b"\n")
    assert stage.record.statements == 5


async def test_what_waits_for_its_turn_is_passed_on_where_the_client_closes_behind_it(stage: Stage) -> None:
    data = b"".join(b"%d\n" % number for number in range(5_000))
    stage.client.data_received(data[:10_000])
    stage.client.data_received(data[10_000:])
    stage.client.eof_received()
    assert b"".join(content for name, content in stage.events if name == "server") == data
    assert stage.ended == [("client", "")]


async def test_what_waits_for_its_turn_waits_for_a_database_that_does_not_read_and_ends_with_the_session(
    stage: Stage,
) -> None:
    data = b"".join(b"%d\n" % number for number in range(20_000))
    stage.client.data_received(data[:10_000])
    stage.client.data_received(data[10_000:])
    stage.server.pause_writing()
    begun = stage.record.statements
    for _ in range(5):
        await asyncio.sleep(0)
    assert stage.record.statements == begun
    stage.server.resume_writing()
    await asyncio.sleep(0)
    assert stage.record.statements > begun
    begun = stage.record.statements
    stage.relay.stop_reading_client()
    for _ in range(5):
        await asyncio.sleep(0)
    assert stage.record.statements == begun


async def test_a_client_far_ahead_of_the_answers_is_not_read_until_some_have_come(stage: Stage) -> None:
    side = stage.relay.client_side
    assert isinstance(side, Lines)
    stage.client.data_received(b"one\ntwo\n")
    side.most = 2
    stage.client.data_received(b"three\n")
    assert stage.client_wire.paused
    stage.server.data_received(b"1")
    assert stage.client_wire.paused
    stage.server.data_received(b"2")
    assert not stage.client_wire.paused
    assert stage.ended == []
