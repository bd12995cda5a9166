"""The life of a session around its data phase, on the line protocol of test_relay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bastion.audit.records import SessionClosed, SessionOpened, SessionRefused, StatementSent
from bastion.protocols.contract import LoggedIn, Refusal
from bastion.sessions.life import Life, Limits
from bastion.sessions.live import Ending, LiveSession, Visit
from bastion.sessions.login import Legs
from bastion.sessions.registry import Sessions

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


async def test_an_engine_that_is_declared_and_not_spoken_is_refused_on_record() -> None:
    stage = Stage(started=False)
    sessions = Sessions(stage.journal, cast(Any, None), {}, node="n1", digest=lambda text: "digest")
    await sessions.open(stage.client, Visit("alice", "t1", "127.0.0.1", "ledger", "app", "oracle"))
    opened, refused = stage.journal.records
    assert isinstance(opened, SessionOpened)
    assert isinstance(refused, SessionRefused)
    assert (refused.code, refused.error) == ("engine-not-spoken", "this version does not speak oracle")
    assert stage.client_wire.is_closed
