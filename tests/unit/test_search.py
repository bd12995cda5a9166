"""Finding statements and sessions: every filter, pages, words in any script, what cannot be understood."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.api.rpc import MAX_LINE
from bastion.audit.audit import Audit
from bastion.audit.search import parse_when
from bastion.protocols.sql_shape import shape_digest
from bastion.store.store import Store

from .journal_samples import closed, done, logged_in, open_journal, opened, sent
from .test_projection import migrated_store, store  # noqa: F401 - the fixtures, for both databases


@pytest.fixture
async def audit(tmp_path: Path, store: Store) -> AsyncIterator[Audit]:  # noqa: F811
    journal = open_journal(tmp_path / "journal")
    audit = Audit(journal, store)
    await audit.start()
    journal.append(opened("s1", "alice", "orders"), logged_in("s1"))
    journal.append(sent(1, "SELECT * FROM Orders WHERE note = '100%_sure'", at="2026-11-22T09:00:00.000000Z"))
    journal.append(done(1))
    journal.append(
        sent(2, "UPDATE 订单 SET 状态 = '已付'", at="2026-11-22T10:00:00.000000Z", statement_kind="update"),
        done(2, error="42P01: no such table"),
    )
    journal.append(closed("s1"))
    journal.append(opened("s2", "bob", "billing"), logged_in("s2"))
    journal.append(sent(1, r"select 'back\slash' from orders", "s2", at="2026-11-22T11:00:00.000000Z"))
    await audit.settle()
    yield audit
    await audit.stop()
    journal.close("over")


ALL = [("s1", 1), ("s1", 2), ("s2", 1)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ALL),
        ({"words": ["orders"]}, [("s1", 1), ("s2", 1)]),
        ({"words": ["ORDERS", "select", "note"]}, [("s1", 1)]),
        ({"words": ["订单"]}, [("s1", 2)]),
        ({"words": ["订单", "orders"]}, []),
        ({"words": ["100%_"]}, [("s1", 1)]),
        ({"words": ["1%s"]}, []),
        ({"words": ["*k\\s"]}, [("s2", 1)]),
        ({"words": [""]}, ALL),
        ({"words": ["' OR 1=1 --"]}, []),
        ({"user": "alice"}, [("s1", 1), ("s1", 2)]),
        ({"user": "ALICE"}, []),
        ({"database": "billing"}, [("s2", 1)]),
        ({"account": "app"}, ALL),
        ({"account": "other"}, []),
        ({"session": "s2"}, [("s2", 1)]),
        ({"session": "s\0"}, []),
        ({"kind": "UPDATE"}, [("s1", 2)]),
        ({"since": "2026-11-22T10:00:00Z"}, [("s1", 2), ("s2", 1)]),
        ({"until": "2026-11-22T10:00:00Z"}, [("s1", 1)]),
        ({"since": "2026-11-22T17:30:00+08:00", "until": "2026-11-22T10:30:00.5Z"}, [("s1", 2)]),
        ({"error": True}, [("s1", 2)]),
        ({"error": False}, [("s1", 1), ("s2", 1)]),
        ({"user": "alice", "error": True, "words": ["已付"]}, [("s1", 2)]),
        ({"like": "s1/2"}, [("s1", 2)]),
        ({"like": shape_digest("select * from ORDERS where note=?", "postgresql")}, [("s1", 1)]),
        ({"digest": shape_digest("SELECT 'x' FROM orders", "postgresql").upper()}, [("s2", 1)]),
        ({"digest": "0" * 32}, []),
    ],
)
async def test_filters(audit: Audit, wanted: dict[str, object], found: list[tuple[str, int]]) -> None:
    page = await audit.statements(m.StatementFilter(**wanted))  # type: ignore[arg-type]
    assert [(one.session, one.seq) for one in page.statements] == found
    assert page.cursor is None


async def test_pages_go_on_where_the_last_one_ended(audit: Audit) -> None:
    seen = []
    wanted = m.StatementFilter(limit=2)
    first = await audit.statements(wanted)
    assert first.cursor is not None
    seen += first.statements
    wanted.after = first.cursor
    second = await audit.statements(wanted)
    assert second.cursor is None
    seen += second.statements
    assert [(one.session, one.seq) for one in seen] == ALL


async def test_everything_comes_in_pages_of_a_thousand(audit: Audit) -> None:
    audit.journal.append(*(sent(seq, f"SELECT {seq}", "s2") for seq in range(2, 1501)))
    await audit.settle()
    first = await audit.statements(m.StatementFilter(session="s2"))
    assert len(first.statements) == 1000
    assert first.cursor is not None
    second = await audit.statements(m.StatementFilter(session="s2", after=first.cursor))
    assert second.cursor is None
    assert [one.seq for one in first.statements + second.statements] == list(range(1, 1501))
    assert len((await audit.statements(m.StatementFilter(limit=5000))).statements) == 1000


async def test_a_page_fits_into_a_line_of_the_control_api(audit: Audit) -> None:
    big = "SELECT '" + "订" * 300_000 + "'"
    audit.journal.append(*(sent(seq, big, "s2") for seq in range(2, 6)))
    audit.journal.append(sent(6, "SELECT '" + "\x01" * 700_000 + "'", "s2"))
    audit.journal.append(sent(7, "SELECT ?", "s2", binds=["\x01" * 1000] * 1000))
    await audit.settle()
    wanted = m.StatementFilter(session="s2")
    seen: list[m.Statement] = []
    while True:
        page = await audit.statements(wanted)
        assert len(msgspec.json.encode(page)) < MAX_LINE - 1000
        seen += page.statements
        if page.cursor is None:
            break
        wanted.after = page.cursor
    assert [one.seq for one in seen] == [1, 2, 3, 4, 5, 6, 7]
    assert seen[1].text == seen[4].text == big
    assert seen[5].text.startswith("SELECT '\x01")
    assert seen[5].text.endswith("… (cut: 700009 characters in all)")
    assert seen[6].binds is not None
    assert len(seen[6].binds) > 200
    assert seen[6].binds[-1] == "… (cut: 1000 values in all)"


async def test_sessions(audit: Audit) -> None:
    async def ids(**wanted: object) -> list[str]:
        return [one.id for one in await audit.sessions(m.SessionFilter(**wanted))]  # type: ignore[arg-type]

    assert await ids() == ["s1", "s2"]
    assert await ids(newest=True) == ["s2", "s1"]
    assert await ids(newest=True, limit=1) == ["s2"]
    assert await ids(live=True) == ["s2"]
    assert await ids(user="alice") == ["s1"]
    assert await ids(database="billing") == ["s2"]
    assert await ids(id="s1") == ["s1"]
    assert await ids(id="s9") == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"since": "yesterday"},
        {"until": "2026-11-22T10:00:00"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"words": ["x"] * 33},
        {"words": ["x" * 1001]},
        {"like": "s1"},
        {"like": "x" * 32},
    ],
)
async def test_what_cannot_be_understood_is_refused(audit: Audit, wanted: dict[str, object]) -> None:
    with pytest.raises(Refused) as refused:
        await audit.statements(m.StatementFilter(**wanted))  # type: ignore[arg-type]
    assert refused.value.code == "invalid-params"


async def test_a_statement_that_is_not_on_record_is_like_nothing(audit: Audit) -> None:
    with pytest.raises(Refused) as refused:
        await audit.statements(m.StatementFilter(like="s1/99"))
    assert refused.value.code == "statement-unknown"


NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", "2026-11-22T10:00:00.000000Z"),
        ("3d", "2026-11-19T12:00:00.000000Z"),
        (" 90 S ", "2026-11-22T11:58:30.000000Z"),
        ("1w", "2026-11-15T12:00:00.000000Z"),
        ("2026-11-22", "2026-11-22T00:00:00.000000Z"),
        ("2026-11-22T09:30:00Z", "2026-11-22T09:30:00.000000Z"),
        ("2026-11-22T09:30:00.25+08:00", "2026-11-22T01:30:00.250000Z"),
    ],
)
def test_moments_are_said_in_several_ways(text: str, moment: str) -> None:
    assert parse_when(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "soon", "2", "h", "-2h", "999999999w", "2026-13-01", "2h 3m"])
def test_what_is_no_moment_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match="no point in time"):
        parse_when(text, NOW)
