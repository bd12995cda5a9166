"""Rows of the store that were changed, taken out or put in behind the bastion's back are found by its journal."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from bastion.audit.audit import Audit
from bastion.audit.comparison import compare_with_store
from bastion.audit.journal import Journal
from bastion.audit.records import Act, StatementExtended
from bastion.audit.segments import segments_of
from bastion.audit.verify import NothingToVerify
from bastion.store import schema
from bastion.store.store import Store

from .journal_samples import AT, KEY, closed, done, logged_in, open_journal, opened, sent
from .test_projection import migrated_store, store  # noqa: F401 - the fixtures, for both databases


async def shipped(folder: Path, store: Store) -> None:  # noqa: F811
    journal = open_journal(folder)
    audit = Audit(journal, store)
    await audit.start()
    for session in ("S1", "s2", "é3"):
        journal.append(opened(session), logged_in(session))
        for seq in (1, 2, 10):
            journal.append(sent(seq, f"SELECT {seq} -- '订单' \0", session, binds=["a\0", None]), done(seq, session))
            await audit.settle()
        journal.append(StatementExtended(at=AT, session=session, seq=10, text=" more"))
        journal.append(closed(session, 3))
    journal.append(Act(at=AT, user="alice", source="x", act="token-issued", subject="t1", detail={"for": 8}))
    await audit.settle()
    await audit.stop()
    journal.close("over")


def change(store: Store, statement: sa.Executable) -> None:  # noqa: F811
    store.run_now(lambda connection: connection.execute(statement))


async def test_a_store_that_was_left_alone_agrees(tmp_path: Path, store: Store) -> None:  # noqa: F811
    await shipped(tmp_path, store)
    result = compare_with_store(store, tmp_path)
    assert result.difference is None
    assert (result.node, result.rows, result.behind) == ("n1", 3 + 9 + 2, 2)


async def test_rows_of_another_node_are_not_taken_for_added(tmp_path: Path, store: Store) -> None:  # noqa: F811
    await shipped(tmp_path / "n1", store)
    other = Journal.open(tmp_path / "n2", "n2", KEY)
    audit = Audit(other, store)
    await audit.start()
    other.append(msgspec.structs.replace(opened("s9"), node="n2"), sent(1, session="s9"))
    await audit.settle()
    await audit.stop()
    other.close("over")
    assert compare_with_store(store, tmp_path / "n1").difference is None
    assert compare_with_store(store, tmp_path / "n2").difference is None


@pytest.mark.parametrize("what", ["changed", "removed"])
async def test_a_long_text_that_was_changed_or_removed_is_found(
    tmp_path: Path,
    store: Store,  # noqa: F811
    what: str,
) -> None:
    journal = open_journal(tmp_path)
    audit = Audit(journal, store)
    await audit.start()
    journal.append(opened("S1"), *(sent(seq, f"SELECT {seq} -- " + "x" * 9000, "S1") for seq in range(1, 60)))
    await audit.settle()
    await audit.stop()
    journal.close("over")
    assert compare_with_store(store, tmp_path).difference is None
    T = schema.texts
    one = T.c.text.like("SELECT 41 %")
    change(store, sa.delete(T).where(one) if what == "removed" else sa.update(T).where(one).values(text="SELECT 1"))
    difference = compare_with_store(store, tmp_path).difference
    assert difference is not None
    assert (difference.table, difference.what) == ("texts", what)


S = schema.statements


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            sa.update(S).where(S.c.session == "s2", S.c.seq == 2).values(text="SELECT nothing"),
            "the row s2 2 of statements has the text 'SELECT nothing'; the journal says \"SELECT 2 -- '订单' \u2400\"",
        ),
        (
            sa.update(S).where(S.c.session == "é3", S.c.seq == 1).values(rows=None),
            "the row é3 1 of statements has the rows 'None'; the journal says '7'",
        ),
        (
            sa.update(S).where(S.c.session == "é3", S.c.seq == 1).values(binds=["b", None]),
            "the row é3 1 of statements has the binds \"['b', None]\"; the journal says \"['a\u2400', None]\"",
        ),
        (
            sa.delete(S).where(S.c.session == "S1", S.c.seq == 10),
            "the row S1 10 of statements is in the journal, but not in the store: it was removed there",
        ),
        (
            sa.insert(S).values(session="s2", seq=3, at=AT, user="mallory", database="orders"),
            "the row s2 3 of statements is in the store, but not in the journal: it was put in",
        ),
        (
            sa.insert(S).values(session="unheard", seq=3, at=AT, user="mallory", database="orders"),
            "the row unheard 3 of statements is in the store, but not in the journal: it was put in",
        ),
        (
            sa.update(schema.sessions).where(schema.sessions.c.session == "s2").values(user="bob"),
            "the row s2 of sessions has the user 'bob'; the journal says 'alice'",
        ),
        (
            sa.update(schema.sessions).where(schema.sessions.c.session == "s2").values(node="n2"),
            "the row s2 of sessions is in the journal, but not in the store: it was removed there",
        ),
        (
            sa.delete(schema.sessions).where(schema.sessions.c.session == "é3"),
            "the row é3 of sessions is in the journal, but not in the store: it was removed there",
        ),
        (
            sa.update(schema.acts).where(schema.acts.c.kind == "act").values(detail={"for": 9}),
            "the row 33 of acts has the detail \"{'for': 9}\"; the journal says \"{'for': 8}\"",
        ),
        (
            sa.update(schema.shipped).values(number=99),
            "the store has seen record 99, but the journal ends with record 35",
        ),
    ],
)  # fmt: skip
async def test_what_was_changed_is_named(tmp_path: Path, store: Store, statement: sa.Executable, said: str) -> None:  # noqa: F811
    await shipped(tmp_path, store)
    change(store, statement)
    assert str(compare_with_store(store, tmp_path).difference) == said


async def test_a_cursor_that_was_put_back_hides_nothing(tmp_path: Path, store: Store) -> None:  # noqa: F811
    await shipped(tmp_path, store)
    change(store, sa.update(schema.shipped).values(number=4))
    difference = compare_with_store(store, tmp_path).difference
    assert difference is not None
    assert difference.what in ("added", "changed")


async def test_a_journal_that_was_cut_is_seen_by_the_store(tmp_path: Path, store: Store) -> None:  # noqa: F811
    await shipped(tmp_path, store)
    path = segments_of(tmp_path)[0].path
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:12]))
    difference = compare_with_store(store, tmp_path).difference
    assert difference is not None
    assert str(difference) == "the store has seen record 33, but the journal ends with record 12"


def test_no_journal_is_said_so(tmp_path: Path, store: Store) -> None:  # noqa: F811
    with pytest.raises(NothingToVerify):
        compare_with_store(store, tmp_path)


async def test_a_row_from_before_a_column_agrees_and_another_value_in_it_does_not(
    tmp_path: Path,
    store: Store,  # noqa: F811
) -> None:
    journal = open_journal(tmp_path)
    audit = Audit(journal, store)
    await audit.start()
    journal.append(opened("S1"), msgspec.structs.replace(closed("S1", 0), backend="idle"))
    await audit.settle()
    await audit.stop()
    journal.close("over")
    change(store, sa.update(schema.sessions).values(backend=""))
    assert compare_with_store(store, tmp_path).difference is None
    change(store, sa.update(schema.sessions).values(backend="gone"))
    found = compare_with_store(store, tmp_path).difference
    assert found is not None
    assert (found.table, found.column) == ("sessions", "backend")
