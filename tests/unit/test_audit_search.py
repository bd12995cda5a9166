"""Searches of the audit page: several values, sorted by rows and duration, counted, given up; on both databases."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.audit import ordered_search, search_count
from bastion.audit.audit import Audit
from bastion.audit.ordered_search import LEAST
from bastion.audit.records import StatementDone
from bastion.audit.word_index import WordIndex
from bastion.store import schema
from bastion.store.interruption import Interrupted, Interruption
from bastion.store.store import Store
from tests.servers.processes import wait_for

from .journal_samples import AT, closed, logged_in, open_journal, opened, sent
from .test_projection import migrated_store, store  # noqa: F401 - the fixtures, for both databases

STATEMENTS = 120


def rows_of(number: int) -> int:
    """Some are large, several equally so, most are not."""
    return (number * 37) % 11 * 50


@pytest.fixture
async def audit(tmp_path: Path, store: Store) -> AsyncIterator[Audit]:  # noqa: F811
    journal = open_journal(tmp_path / "journal")
    audit = Audit(journal, store)
    await audit.start()
    for number, user in enumerate(("alice", "bob", "carol"), 1):
        session = opened(f"s{number}", user, "orders" if number < 3 else "billing")
        journal.append(msgspec.structs.replace(session, token=f"t{number}"))
        journal.append(logged_in(f"s{number}"))
    for number in range(1, STATEMENTS + 1):
        session, seq = f"s{number % 3 + 1}", number
        kind = ("select", "update", "drop")[number % 3 if number % 50 else 2]
        table = "customers" if number % 2 else "items"
        text = {"select": "select * from {}", "update": "update {} set x = 1", "drop": "drop table {}"}[kind]
        text = f"{text.format(table)} -- {number}"
        journal.append(sent(seq, text, session, statement_kind=kind, tool="psql" if number % 7 == 0 else ""))
        state = "cancelled" if number == 90 else "done"
        journal.append(
            StatementDone(
                at=AT, session=session, seq=seq, state=state, rows=rows_of(number), error=None,
                duration_ms=number * 2.5, bytes_down=120,
            )
        )  # fmt: skip
    journal.append(closed("s1"))
    await audit.settle()
    yield audit
    await audit.stop()
    journal.close("over")


async def every(audit: Audit, **wanted: Any) -> list[m.Statement]:
    """All pages of a search, small ones."""
    found: list[m.Statement] = []
    asked = m.StatementFilter(limit=11, **wanted)
    while True:
        page = await audit.statements(asked)
        found += page.statements
        if page.cursor is None:
            return found
        asked.after, asked.after_value = page.cursor, page.cursor_value


@pytest.fixture(params=["indexed", "half", "not"])
async def any_index(request: pytest.FixtureRequest, audit: Audit, store: Store) -> Audit:  # noqa: F811
    """The record with an index of words that knows all of it, a part, or nothing; the answers are the same."""
    from bastion.audit.word_index import forget

    await audit.stop()
    store.run_now(forget)
    if request.param != "not":
        index = WordIndex()
        if request.param == "indexed":
            while store.run_now(index.go_on):
                pass
        else:
            store.run_now(index.go_on)
            half = sa.select(schema.statements.c.id).order_by(schema.statements.c.id).offset(STATEMENTS // 2).limit(1)
            store.run_now(lambda c: c.execute(sa.update(schema.words_indexed).values(number=half.scalar_subquery())))
    return audit


ALL_FILTERS: tuple[tuple[dict[str, Any], Any], ...] = (
    ({}, lambda s: True),
    ({"user": "alice"}, lambda s: s.user == "alice"),
    ({"table": "customers", "kind": "update"}, lambda s: "customers" in s.text and s.kind == "update"),
    ({"any_of": {"user": ["alice", "carol"], "kind": ["drop"]}}, lambda s: s.user != "bob" and s.kind == "drop"),
    ({"none_of": {"kind": ["select"], "words": ["items"]}}, lambda s: s.kind != "select" and "items" not in s.text),
    ({"token": "t2"}, lambda s: s.user == "bob"),
    ({"none_of": {"token": ["t2"]}}, lambda s: s.user != "bob"),
    ({"state": "cancelled"}, lambda s: s.seq == 90),
    ({"tools": False, "words": ["customers"]}, lambda s: not s.tool and "customers" in s.text),
    ({"most_ms": 100.0, "least_rows": 101}, lambda s: s.duration_ms <= 100 and s.rows > 100),
    ({"session": "s1", "seq": 3}, lambda s: s.session == "s1" and s.seq == 3),
    ({"words": ["nowhere"]}, lambda s: False),
    ({"user": "alice", "any_of": {"user": ["bob"]}}, lambda s: False),  # whoever sees their own alone
)


@pytest.mark.parametrize("order", ["", "rows", "duration"])
async def test_every_filter_in_every_order(any_index: Audit, order: str) -> None:
    everything = await every(any_index)
    assert len(everything) == STATEMENTS
    for wanted, meets in ALL_FILTERS:
        expected = [one for one in everything if meets(one)]
        expected.reverse()
        if order:
            field = {"rows": "rows", "duration": "duration_ms"}[order]
            large = [one for one in expected if (getattr(one, field) or 0) >= LEAST]
            small = [one for one in expected if (getattr(one, field) or 0) < LEAST]
            expected = sorted(large, key=lambda one: -(getattr(one, field))) + small
        found = await every(any_index, newest=True, order=order, **wanted)
        assert [(one.session, one.seq) for one in found] == [(one.session, one.seq) for one in expected], wanted


async def test_many_large_ones_are_walked_in_their_order(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    sorted_at_once = await every(audit, order="rows", user="alice")
    monkeypatch.setattr(ordered_search, "FEW", 3)
    assert await every(audit, order="rows", user="alice") == sorted_at_once


async def test_counts_are_exact_or_at_least(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    async def count(**wanted: Any) -> tuple[int, bool]:
        found = await audit.count_statements(m.StatementFilter(**wanted), Interruption(30))
        return found.count, found.exact

    assert await count() == (STATEMENTS, True)
    assert await count(user="alice", newest=True, order="rows", after=5) == (40, True)
    assert await count(table="customers") == (60, True)
    assert (await audit.count_sessions(m.SessionFilter(database="orders"), Interruption(30))).count == 2
    monkeypatch.setattr(search_count, "COUNTED", 20)
    assert await count() == (20, False)
    assert await count(table="customers") == (20, False)


async def test_a_search_that_nobody_wants_any_more_ends(audit: Audit) -> None:
    given_up = Interruption()
    given_up.stop()
    with pytest.raises(Interrupted) as raised:
        await audit.statements(m.StatementFilter(), given_up)
    assert not raised.value.late
    with pytest.raises(Interrupted) as raised:
        await audit.statements(m.StatementFilter(), Interruption(-1.0))
    assert raised.value.late
    assert len((await audit.statements(m.StatementFilter())).statements) == STATEMENTS


def test_a_question_at_work_is_interrupted(store: Store) -> None:  # noqa: F811
    """The store goes on in mid-question; one that is given up leaves a usable connection."""
    interruption = Interruption()
    endless = sa.text(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000000000) SELECT count(*) FROM n"
    )

    active = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'WITH RECURSIVE n(x)%'"
    )

    def stop() -> None:
        if store.engine.dialect.name == "postgresql":  # which would not hear of it before
            with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
                wait_for("the question at work", lambda: other.scalar(active))
        interruption.stop()

    def work(connection: sa.Connection) -> None:
        with interruption.of(connection):
            stopping.start()
            connection.execute(endless)

    stopping = threading.Thread(target=stop)
    with pytest.raises(Interrupted):
        store.read_now(work)
    stopping.join()
    assert store.read_now(lambda connection: connection.scalar(sa.text("SELECT 1"))) == 1


@pytest.mark.parametrize(
    "wanted",
    [
        {"order": "size"},
        {"any_of": {"text": ["x"]}},
        {"none_of": {"table": ["x"]}},
        {"any_of": {"user": []}},
        {"any_of": {"user": ["x"] * 101}},
        {"since": "soon"},
        {"since": "2026-11-22"},
    ],
)
async def test_what_cannot_be_understood_is_refused(audit: Audit, wanted: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="was not understood"):
        await audit.statements(m.StatementFilter(**wanted))


async def test_sessions_by_everything(audit: Audit) -> None:
    async def ids(**wanted: Any) -> list[str]:
        return [one.id for one in await audit.sessions(m.SessionFilter(**wanted))]

    assert await ids(token="t2") == ["s2"]
    assert await ids(any_of={"user": ["alice", "bob"]}) == ["s1", "s2"]
    assert await ids(none_of={"user": ["alice"]}, newest=True) == ["s3", "s2"]
    assert await ids(state="closed") == ["s1"]
    assert await ids(words=["billing"]) == ["s3"]
    assert await ids(since="1h") == ["s2", "s3"]  # begun long ago, and still open
    assert await ids(until="2026-01-01T00:00:00Z") == []
    assert await ids(unattributed=True) == []
    first = await ids(order="statements", limit=1)
    assert await ids(order="statements", limit=2, after=first[0]) == [i for i in ("s3", "s2", "s1") if i not in first]
    assert await ids(newest=True, limit=1, after="s3") == ["s2"]
    with pytest.raises(Refused, match="after is no session"):
        await ids(after="s9")
