"""Holding a statement: on the line protocol of test_relay, and with PostgreSQL's and MySQL's own readers."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from bastion.api.refusals import Refused
from bastion.audit.records import Act, StatementDone, StatementSent
from bastion.protocols.contract import Piece, Refusal, StatementBegins
from bastion.sessions import supervision
from bastion.sessions.live import Ending, LiveSession, Visit

from .test_relay import Stage

HELD = "statement-held"


class Desk:
    """A session on a stage, and an auditor beside it."""

    def __init__(self) -> None:
        self.stage = Stage()
        visit = Visit("alice", "t1", "127.0.0.1", "orders", "app", "postgresql")
        self.session = LiveSession("s1", visit, "n1", self.stage.journal)
        self.session.state = "live"
        self.session.relay, self.session.record = self.stage.relay, self.stage.record
        self.changes = 0
        lines: Any = self.stage.relay.client_side
        answers: Any = self.stage.relay.server_side

        def refuse(piece: Piece, refusal: Refusal) -> None:
            lines.outstanding.remove(cast(StatementBegins, piece.notes[0]).number)
            lines.owed += refusal.message.encode()

        lines.refuse, answers.due = refuse, lines.due

    def changed(self) -> None:
        self.changes += 1

    def hold(self, seconds: int = 60) -> None:
        supervision.hold(self.session, "carol", "10.0.0.9", "looks odd", seconds, self.changed)

    def release(self, *, refuse: bool = False, again: bool = False) -> None:
        supervision.release(
            self.session, "carol", "10.0.0.9", "is fine", self.changed, refuse=refuse, again=again
        )  # fmt: skip

    def types(self, *lines: str) -> None:
        for line in lines:
            self.stage.client.data_received(f"{line}\n".encode())

    @property
    def sent(self) -> list[str]:
        """What has reached the database."""
        return [data.decode().strip() for name, data in self.stage.events if name == "server"]

    @property
    def told(self) -> list[str]:
        """What has reached the client."""
        return [data.decode() for name, data in self.stage.events if name == "client"]

    @property
    def acts(self) -> list[tuple[str, str, Any]]:
        return [(each.act, each.user, each.detail["seq"]) for each in self.stage.journal.records
                if isinstance(each, Act)]  # fmt: skip

    def outcomes(self) -> list[tuple[int, str, str | None]]:
        records = self.stage.journal.records
        return [(each.seq, each.state, each.error) for each in records if isinstance(each, StatementDone)]


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def turns(count: int = 4) -> None:
    """Some turns of the event loop: what is due happens."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_next_statement_is_on_record_as_held_and_nothing_goes_on_until_it_is_let_go(desk: Desk) -> None:
    desk.types("select 1")
    desk.hold()
    desk.types("drop table orders", "select 2")
    await turns()
    assert desk.sent == ["select 1"]
    last = [each for each in desk.stage.journal.records if isinstance(each, StatementSent)][-1]
    assert (last.seq, last.text, last.verdict) == (2, "drop table orders", "held")
    assert desk.acts == [(HELD, "carol", 2)]
    assert desk.session.relay is not None
    assert desk.session.relay.hold is not None
    assert desk.session.relay.hold.shown().seq == 2
    desk.release()
    await turns()
    assert desk.sent == ["select 1", "drop table orders", "select 2"]
    assert desk.acts[-1] == ("statement-released", "carol", 2)
    # On record before it goes, and what comes behind it is not held any more.
    names = [data.decode() if name == "journal" else name for name, data in desk.stage.events]
    assert names == ["StatementSent", "server", "StatementSent", "Act", "Act", "server", "StatementSent", "server"]
    assert desk.session.relay.hold is None
    assert desk.changes == 2


async def test_a_refused_statement_never_reaches_the_database_and_its_client_is_told_by_whom_and_why(
    desk: Desk,
) -> None:
    desk.hold()
    desk.types("drop table orders")
    await turns()
    desk.release(refuse=True)
    await turns()
    assert desk.sent == []
    assert "carol" in desk.told[-1]
    assert "is fine" in desk.told[-1]
    (number, state, error) = desk.outcomes()[0]
    assert (number, state) == (1, "refused")
    assert error is not None
    assert "carol" in error
    assert desk.acts == [(HELD, "carol", 1), ("statement-refused", "carol", 1)]
    desk.types("select 2")
    assert desk.sent == ["select 2"]


async def test_again_holds_the_one_behind(desk: Desk) -> None:
    desk.hold()
    desk.types("a", "b", "c")
    await turns()
    desk.release(again=True)
    await turns()
    assert desk.sent == ["a"]
    desk.release(refuse=True, again=True)
    await turns()
    assert desk.sent == ["a"]
    desk.release()
    await turns()
    assert desk.sent == ["a", "c"]
    assert [act for act, _, _ in desk.acts] == [
        HELD, "statement-released", HELD, "statement-refused", HELD, "statement-released",
    ]  # fmt: skip


async def test_nobody_lets_it_go_so_it_is_refused_at_its_time(desk: Desk) -> None:
    supervision.hold(desk.session, "carol", "10.0.0.9", "looks odd", cast(Any, 0.02), desk.changed)
    desk.types("drop table orders")
    async with asyncio.timeout(30):
        while not desk.outcomes():
            await asyncio.sleep(0.01)
    await turns()
    assert desk.sent == []
    assert "did not let it go" in desk.told[-1]
    assert desk.acts[-1] == ("statement-refused", "bastion", 1)
    with pytest.raises(Refused) as none:
        desk.release()
    assert none.value.code == "nothing-held"


async def test_an_order_that_no_statement_met_lapses(desk: Desk) -> None:
    supervision.hold(desk.session, "carol", "10.0.0.9", "looks odd", cast(Any, 0.02), desk.changed)
    async with asyncio.timeout(30):
        while not desk.changes:
            await asyncio.sleep(0.01)
    desk.types("select 1")
    assert desk.sent == ["select 1"]


async def test_a_session_that_ends_while_a_statement_is_held_never_sends_it(desk: Desk) -> None:
    desk.hold()
    desk.types("drop table orders", "select 2")
    await turns()
    desk.session.end(Ending("ended", "carol", Refusal("session-ended", "over")))
    desk.stage.relay.stop_reading_client()
    await turns()
    assert desk.sent == []
    assert desk.stage.relay.at_work is None
    assert desk.outcomes() == [(1, "skipped", "not passed on: the session ended while it was held")]
    with pytest.raises(Refused):
        desk.release()
    await turns()
    assert desk.sent == []


async def test_a_client_that_leaves_while_its_statement_is_held_is_seen_to_leave(desk: Desk) -> None:
    desk.hold()
    desk.types("drop table orders")
    await turns()
    desk.types("goodbye")
    assert not desk.stage.client_wire.paused
    desk.stage.client.eof_received()
    await turns()
    assert desk.stage.ended == [("client", "")]
    assert desk.sent == []
    assert desk.outcomes() == [(1, "skipped", "not passed on: the session ended while it was held")]


async def test_a_client_that_sends_on_is_read_no_further_than_a_bound(desk: Desk) -> None:
    desk.hold()
    desk.types("drop table orders")
    await turns()
    taken = 0
    while not desk.stage.client_wire.paused:
        desk.stage.client.data_received(b"select 1\n" * 400)
        taken += 9 * 400
        assert taken < 200_000
    desk.release()
    async with asyncio.timeout(30):
        while len(desk.sent) < 1 + taken // 9:
            await asyncio.sleep(0)
    assert desk.sent[0] == "drop table orders"
    assert not desk.stage.client_wire.paused


async def test_cancelling_a_held_statement_gives_it_up_without_asking_the_database(desk: Desk) -> None:
    desk.hold()
    desk.types("drop table orders")
    await turns()

    async def order() -> bool:
        raise AssertionError("the database was asked")

    desk.session.cancel_running = order
    assert await desk.session.cancel("alice", "the client asked")
    await turns()
    assert desk.sent == []
    assert desk.outcomes()[0][:2] == (1, "cancelled")


async def test_what_cannot_be_recorded_is_neither_held_nor_let_go(desk: Desk) -> None:
    desk.hold()
    desk.types("drop table orders")
    await turns()
    desk.stage.journal.mode = desk.stage.journal.fail
    with pytest.raises(Exception, match="disk full"):
        desk.release()
    await turns()
    assert desk.stage.ended == [("record-failed", "")]
    assert desk.sent == []


async def test_letting_go_waits_for_its_record(desk: Desk) -> None:
    desk.hold()
    desk.types("drop table orders")
    await turns()
    desk.stage.journal.mode = desk.stage.journal.slow
    desk.release()
    await turns()
    assert desk.sent == []
    desk.stage.journal.mode = lambda: None
    desk.stage.journal.later[0].set_result(None)
    await turns()
    assert desk.sent == ["drop table orders"]


async def test_what_was_read_before_the_order_is_not_held(desk: Desk) -> None:
    desk.stage.journal.mode = desk.stage.journal.slow
    desk.types("a", "b")
    desk.hold()
    desk.stage.journal.mode = lambda: None
    desk.stage.journal.later[0].set_result(None)
    await turns()
    desk.types("c")
    await turns()
    assert desk.sent == ["a", "b"]
    assert desk.acts == [(HELD, "carol", 3)]


async def test_there_is_one_hold_at_a_time(desk: Desk) -> None:
    desk.hold()
    with pytest.raises(Refused) as second:
        desk.hold()
    assert second.value.code == "already-held"
