"""The live list and the watch at the gateway: only what is new, within bounds, and nothing lost without a word."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from bastion.api import live
from bastion.audit.records import Act, StatementDone, StatementSent
from bastion.audit.usual import Asked, unusual
from bastion.gateway.live_list import LiveView
from bastion.gateway.watches import MOST_EVENTS, Watches
from bastion.protocols.contract import SessionChanged, Transaction
from bastion.sessions.figures import Look, look
from bastion.sessions.live import Ending, LiveSession, Visit
from bastion.store import schema

from .bastion_state import BastionState
from .test_relay import Stage


def made(id: str = "s1", user: str = "alice") -> tuple[Stage, LiveSession]:
    stage = Stage()
    visit = Visit(user, "t1", "127.0.0.1", "orders", "app", "postgresql")
    session = LiveSession(id, visit, "n1", stage.journal)
    session.state, session.unusual = "live", ()
    session.relay, session.record = stage.relay, stage.record
    return stage, session


async def test_the_first_answer_is_everything_and_the_next_what_is_new() -> None:
    stage, session = made()
    _, other = made("s2", "bob")
    sessions = {"s1": session, "s2": other}
    view, kept = LiveView(), live.LiveList()
    kept.apply(await view.changes(sessions, None))
    assert set(kept.sessions) == {"s1", "s2"}
    again = await view.changes(sessions, None)
    assert (again.whole, again.sessions, again.changed, again.closed) == (False, [], {}, [])

    stage.client.data_received(b"delete from orders\n")
    kept.apply(await view.changes(sessions, None))
    figures = kept.sessions["s1"].figures
    assert (figures.state, figures.seq, figures.running, figures.kind) == ("running", 1, "delete from orders", "delete")
    assert figures.running_since is not None
    assert [reason.code for reason in figures.reasons] == ["without-where"]

    cast(Any, stage.relay.server_side).rows = 12_000
    changes = await view.changes(sessions, None)
    assert changes.changed["s1"].running is None, "the text is known already"
    kept.apply(changes)
    assert kept.sessions["s1"].figures.running == "delete from orders"
    assert kept.sessions["s1"].figures.state == "streaming"

    cast(Any, stage.relay.server_side).rows = 0
    stage.server.data_received(b"done\n")
    del sessions["s2"]
    other.end(Ending("client"))
    changes = await view.changes(sessions, None)
    kept.apply(changes)
    assert kept.sessions["s1"].figures.state == "idle"
    assert [(closed.id, closed.reason) for closed in changes.closed] == [("s2", "client")]
    assert set(kept.sessions) == {"s1"}


async def test_one_person_is_told_of_their_own_sessions_alone() -> None:
    sessions = {"s1": made()[1], "s2": made("s2", "bob")[1]}
    assert [each.id for each in (await LiveView().changes(sessions, "bob")).sessions] == ["s2"]


async def test_many_sessions_come_in_several_answers() -> None:
    _, first = made()
    sessions = {}
    for number in range(600):
        session = LiveSession(f"s{number}", first.visit, "n1", first.journal)
        session.state, session.unusual, session.relay, session.record = "live", (), first.relay, first.record
        sessions[session.id] = session
    view, kept = LiveView(), live.LiveList()
    answers = 0
    while True:
        changes = await view.changes(sessions, None)
        kept.apply(changes)
        answers += 1
        if not changes.more:
            break
    assert (answers, len(kept.sessions)) == (3, 600)


async def test_rates_are_those_between_two_looks() -> None:
    stage, session = made()
    before = look(session, None)
    before = Look(before.at - 2.0, before.bytes_down, before.rows)
    stage.relay.bytes_down += 10_000
    cast(Any, stage.relay.server_side).rows = 50
    seen = look(session, before)
    assert 4_500 < seen.bytes_per_second <= 5_000
    assert 22 <= seen.rows_per_second <= 25
    assert look(session, seen) is seen, "two looks at one moment tell no rate"


async def test_the_age_of_a_transaction_is_that_of_its_beginning() -> None:
    stage, session = made()
    record = stage.record
    view = LiveView()
    await view.changes({"s1": session}, None)
    record.after((SessionChanged(transaction=Transaction.OPEN), SessionChanged()))
    since = record.transaction_since
    assert since is not None
    record.after((SessionChanged(transaction=Transaction.FAILED), SessionChanged()))
    assert record.transaction_since == since
    changes = await view.changes({"s1": session}, None)
    assert changes.changed["s1"].state == "transaction"
    record.after((SessionChanged(transaction=Transaction.NONE), SessionChanged()))
    assert (await view.changes({"s1": session}, None)).changed["s1"].transaction_since is None


class Heard:
    """As much of a journal as a watch hears, and of the registry."""

    def __init__(self, session: LiveSession) -> None:
        self.listeners: list[Any] = []
        self.sessions: Any = SimpleNamespace(live={session.id: session}, listeners=[])
        self.watches = Watches(self.sessions, cast(Any, self))
        self.session = session

    def say(self, *records: Any) -> None:
        for record in records:
            for listener in self.listeners:
                listener(record)

    def sent(self, seq: int, text: str = "select 1") -> StatementSent:
        return StatementSent(
            at="2026-11-22T03:04:05.000000Z", session=self.session.id, seq=seq, operation="query",
            statement_kind="select", schema="", text=text, complete=True, binds=["1"], verdict="allowed", tool="",
        )  # fmt: skip

    def done(self, seq: int, error: str | None = None) -> StatementDone:
        return StatementDone(
            at="2026-11-22T03:04:05.000000Z", session=self.session.id, seq=seq, state="failed" if error else "done",
            rows=1, error=error, duration_ms=1.5, bytes_down=10,
        )  # fmt: skip


async def test_a_watcher_is_told_what_happens_in_order_and_the_journal_is_heard_only_then() -> None:
    _, session = made()
    heard = Heard(session)
    assert heard.listeners == []
    watch = heard.watches.begin(session)
    watch.answer()
    act = Act(at="x", user="carol", source="y", act="statement-held", subject="s1", detail={"seq": 2, "reason": "odd"})
    heard.say(heard.sent(1), heard.done(1, "no such table"), heard.sent(2), act)
    heard.say(StatementDone(at="x", session="s2", seq=9, state="done", rows=0, error=None, duration_ms=0, bytes_down=0))
    await watch.news(30)
    told = [(event.kind, event.seq) for event in watch.answer().events]
    assert told == [("sent", 1), ("done", 1), ("sent", 2), ("held", 2)]
    heard.watches.forget(watch)
    assert heard.listeners == []


async def test_what_a_slow_watcher_was_not_given_is_counted_and_named() -> None:
    _, session = made()
    heard = Heard(session)
    watch = heard.watches.begin(session)
    watch.answer()
    for seq in range(1, MOST_EVENTS + 51):
        heard.say(heard.sent(seq))
    await watch.news(30)
    answer = watch.answer()
    assert answer.skipped is not None
    assert (answer.skipped.events, answer.skipped.first, answer.skipped.last) == (50, 1, 50)
    assert answer.events[0].seq == 51
    got = [*answer.events]
    while more := watch.answer().events:
        got += more
    assert [event.seq for event in got] == list(range(51, MOST_EVENTS + 51))
    for seq in range(1, 400):
        heard.say(heard.sent(seq, "x" * 20_000))
    await watch.news(30)
    answer = watch.answer()
    assert answer.skipped is not None
    assert answer.skipped.last < 399
    assert all(event.cut for event in answer.events)


async def test_a_watch_ends_with_its_session_behind_its_last_statement() -> None:
    _, session = made()
    heard = Heard(session)
    watch = heard.watches.begin(session)
    watch.answer()
    heard.say(heard.sent(1))
    session.end(Ending("ended", "carol"))
    for listener in heard.sessions.listeners:
        listener("closed", session)
    async with asyncio.timeout(30):
        while watch.over is None:
            await asyncio.sleep(0)
    answer = watch.answer()
    assert [event.seq for event in answer.events] == [1]
    assert (answer.ended, answer.end_reason) == (True, "ended by carol")
    assert heard.listeners == []


async def test_what_is_usual_is_known_from_ten_sessions_on(state: BastionState) -> None:
    def fill(connection: Any) -> None:
        for number in range(12):
            connection.execute(
                schema.sessions.insert().values(
                    session=f"old{number}", user="alice", database="orders", source="10.0.0.1", state="closed",
                    started_at=f"2026-11-{number + 1:02}T09:15:00.000000Z",
                )
            )  # fmt: skip

    await state.store.run(fill)

    async def found(user: str, database: str, source: str, hour: int) -> tuple[str, ...]:
        asked = Asked("new", user, database, source, f"2026-11-20T{hour:02}:00:00.000000Z")
        return (await state.store.read(unusual([asked])))["new"]

    assert await found("alice", "orders", "10.0.0.1", 10) == ()
    assert await found("alice", "billing", "10.0.0.1", 10) == ("first-time",)
    assert await found("alice", "orders", "192.0.2.7", 10) == ("new-source",)
    assert await found("alice", "orders", "10.0.0.1", 3) == ("unusual-hour",)
    assert await found("bob", "billing", "192.0.2.7", 3) == ()
