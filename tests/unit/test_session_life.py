"""The life of a session around its data phase, on the line protocol of test_relay."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bastion.api.refusals import Refused
from bastion.audit.records import CancelSent, ClientNamed, SessionClosed, SessionOpened, SessionRefused, StatementSent
from bastion.network import Target
from bastion.protocols.contract import CancelKey, LoggedIn, Refusal, SessionChanged
from bastion.protocols.postgres.engine import PostgresEngine
from bastion.sessions import life as life_module
from bastion.sessions.life import Life, Limits
from bastion.sessions.live import Ending, LiveSession, Visit
from bastion.sessions.login import Legs
from bastion.sessions.registry import Sessions
from tests.protocols.postgres import messages as m

from .test_relay import Answers, Lines, Stage


@pytest.mark.parametrize("why", ["token-revoked", "token-expired"])
async def test_what_was_sent_ahead_of_the_login_is_not_passed_on_where_the_session_was_ended_meanwhile(
    why: str,
) -> None:
    stage, lines = Stage(started=False), Lines()
    session = LiveSession("s1", Visit("alice", "t1", "127.0.0.1", "orders", "app", "postgresql"), "n1", stage.journal)
    expires = datetime.now(UTC) + timedelta(hours=-1 if why == "token-expired" else 1)
    admission = SimpleNamespace(expires_at=expires, at_expiry="end", database="orders")
    if why == "token-revoked":
        session.end(Ending(why, "root", Refusal(why, "revoked")))
    life = Life(
        session, cast(Any, SimpleNamespace(name="postgresql")), cast(Any, admission), stage.client, Limits(),
        lambda text: "digest", None, list, lambda: None,
    )  # fmt: skip
    result = LoggedIn(
        cast(Any, lines), cast(Any, Answers(lines)), "app", "psql", "orders", "public", "18", None,
        client_rest=b"drop table orders\n",
    )  # fmt: skip
    await life._relay(Legs(stage.client, stage.server), result)
    assert not any(isinstance(each, StatementSent) for each in stage.journal.records)
    assert all(name != "server" for name, _ in stage.events)
    assert ("client", f"bye: {why}\n".encode()) in stage.events
    closed = stage.journal.records[-1]
    assert isinstance(closed, SessionClosed)
    assert closed.reason.startswith(why)


async def test_a_program_that_names_itself_later_is_on_record_and_in_the_listing() -> None:
    stage, lines = Stage(started=False), Lines()
    session = LiveSession("s1", Visit("alice", "t1", "127.0.0.1", "orders", "app", "postgresql"), "n1", stage.journal)
    admission = SimpleNamespace(expires_at=datetime.now(UTC) + timedelta(hours=1), at_expiry="end", database="orders")
    seen: list[str] = []
    life = Life(
        session, cast(Any, SimpleNamespace(name="postgresql")), cast(Any, admission), stage.client, Limits(),
        lambda text: "digest", None, list, lambda: seen.append(session.view().client),
    )  # fmt: skip
    result = LoggedIn(
        cast(Any, lines), cast(Any, Answers(lines)), "app", "psql", "orders", "public", "18", None
    )  # fmt: skip
    running = asyncio.create_task(life._relay(Legs(stage.client, stage.server), result))
    await asyncio.sleep(0)
    assert session.record is not None
    for said in ("psql (alice)", "PostgreSQL JDBC Driver", "ledger", "ledger", "ledger (alice)", "psql (alice)"):
        session.record.after((SessionChanged(client=said), SessionChanged()))
    session.end(Ending("ended", "root"))
    await running
    named = [each.client for each in stage.journal.records if isinstance(each, ClientNamed)]
    assert named == ["PostgreSQL JDBC Driver", "ledger", "ledger (alice)", "psql"]
    assert seen[-4:] == named


async def test_an_engine_that_is_declared_and_not_spoken_is_refused_on_record() -> None:
    stage = Stage(started=False)
    sessions = Sessions(stage.journal, cast(Any, None), {}, node="n1", digest=lambda text: "digest")
    await sessions.open(stage.client, Visit("alice", "t1", "127.0.0.1", "ledger", "app", "oracle"))
    opened, refused = stage.journal.records
    assert isinstance(opened, SessionOpened)
    assert isinstance(refused, SessionRefused)
    assert (refused.code, refused.error) == ("engine-not-spoken", "this version does not speak oracle")
    assert stage.client_wire.is_closed


async def test_who_is_told_that_there_is_no_room_takes_none() -> None:
    admitted: list[str] = []
    leave = asyncio.Event()

    async def admit(user: str, token: str) -> Any:
        admitted.append(user)
        await leave.wait()
        raise Refused("bastion-stopping")

    stages = [Stage(started=False) for _ in range(3)]
    sessions = Sessions(
        stages[0].journal, admit, {"postgresql": PostgresEngine()}, node="n1", digest=lambda text: "digest",
        limits=Limits(sessions=1),
    )  # fmt: skip

    def opening(who: str, stage: Stage) -> asyncio.Task[None]:
        return asyncio.create_task(sessions.open(stage.client, Visit(who, "t", "x", "orders", "app", "postgresql")))

    first = opening("first", stages[0])
    await asyncio.sleep(0)
    silent = opening("silent", stages[1])
    await asyncio.sleep(0)
    assert admitted == ["first"]
    leave.set()
    stages[0].client.eof_received()
    await first
    leave.clear()
    third = opening("third", stages[2])
    await asyncio.sleep(0)
    assert admitted == ["first", "third"]
    leave.set()
    for stage in stages[1:]:
        stage.client.eof_received()
    await asyncio.gather(silent, third)


async def test_a_dial_that_is_ended_meanwhile_is_over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[Target] = []

    async def never(target: Target, *_: object) -> None:
        dialled.append(target)
        await asyncio.sleep(600)

    monkeypatch.setattr(life_module, "dial", never)
    stage = Stage(started=False)
    admission = SimpleNamespace(
        user="alice", database="orders", host="db", port=5432, domain="", tls_mode="prefer", tls_ca=None,
        certificate=None, certificate_key=None, production=False,
    )  # fmt: skip

    async def admit(user: str, token: str) -> Any:
        return admission

    sessions = Sessions(stage.journal, admit, {"postgresql": PostgresEngine()}, node="n1", digest=lambda text: "digest")
    visit = Visit("alice", "t1", "127.0.0.1", "orders", "app", "postgresql", session="s1")
    running = asyncio.create_task(sessions.open(stage.client, visit))
    while not dialled:
        await asyncio.sleep(0)
    stage.client.eof_received()
    await sessions.end("s1", "root", "because")
    async with asyncio.timeout(60):
        await running
    refused = stage.journal.records[-1]
    assert isinstance(refused, SessionRefused)
    assert (refused.code, refused.by) == ("ended", "bastion")
    assert "root" in refused.error


async def test_a_person_has_so_many_sessions_and_is_told_which_they_are() -> None:
    leave = asyncio.Event()

    async def admit(user: str, token: str) -> Any:
        await leave.wait()
        raise Refused("bastion-stopping")

    stages = [Stage(started=False) for _ in range(5)]
    sessions = Sessions(
        stages[0].journal, admit, {"postgresql": PostgresEngine()}, node="n1", digest=lambda text: "digest",
        limits=Limits(sessions_per_person=2),
    )  # fmt: skip
    who = [("alice", "client"), ("alice", "console"), ("alice", "catalog"), ("bob", "client"), ("alice", "client")]
    tasks = []
    for (user, purpose), stage in zip(who, stages, strict=True):
        visit = Visit(user, "t", "10.0.0.9", "orders", "app", "postgresql", purpose)
        tasks.append(asyncio.create_task(sessions.open(stage.client, visit)))
        await asyncio.sleep(0)
    stages[4].client.data_received(m.startup(user="app", database="orders"))
    await tasks[4]
    [said] = [data for name, data in stages[4].events if name == "client"]
    assert b"You have 2 sessions open, which is all that one person may have here: client from 10.0.0.9 to" in said
    assert b"console from 10.0.0.9 to orders since 20" in said
    refused = stages[0].journal.records[-1]
    assert isinstance(refused, SessionRefused)
    assert refused.code == "too-many-sessions-of-person"
    assert not any(task.done() for task in tasks[:4])
    leave.set()
    for stage in stages[:4]:
        stage.client.eof_received()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("ends", [True, False])
async def test_a_database_that_does_not_stop_when_it_is_told_to_is_hung_up_on(
    ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life_module, "LINGER", 0.05)
    monkeypatch.setattr(life_module, "CANCEL_AGAIN", 0.02)
    stage, lines = Stage(started=False), Lines()
    session = LiveSession("s1", Visit("alice", "t1", "127.0.0.1", "orders", "app", "mysql"), "n1", stage.journal)
    admission = SimpleNamespace(expires_at=datetime.now(UTC) + timedelta(hours=1), at_expiry="end", database="orders")
    engine = SimpleNamespace(name="mysql", hang_up=lambda key, request: "hang up" if ends else None)

    class Ordering(Life):
        async def _order(self, steps: Any) -> bool:
            assert steps == "hang up"
            stage.server.eof_received()
            return True

        async def _cancel_on_database(self) -> bool:
            return True

        _request = None  # type: ignore[assignment]

    life = Ordering(
        session, cast(Any, engine), cast(Any, admission), stage.client, Limits(), lambda text: "digest", None, list,
        lambda: None,
    )  # fmt: skip
    result = LoggedIn(
        cast(Any, lines), cast(Any, Answers(lines)), "app", "psql", "orders", "", "9", CancelKey(7),
        client_rest=b"select sleep(900)\n",
    )  # fmt: skip
    running = asyncio.create_task(life._relay(Legs(stage.client, stage.server), result))
    await asyncio.sleep(0)
    session.end(Ending("not-understood", "", None, "a command of the kind 0x99"))
    await running
    orders = [each for each in stage.journal.records if isinstance(each, CancelSent)]
    closed = stage.journal.records[-1]
    assert isinstance(closed, SessionClosed)
    assert closed.backend == ("gone" if ends else "busy")
    assert closed.reason.startswith("not-understood: a command of the kind 0x99")
    assert ("its connection was cut" in closed.reason) is not ends
    assert (orders[-1].reason == "not-understood: no answer to the cancel, so its connection is ended") is ends
