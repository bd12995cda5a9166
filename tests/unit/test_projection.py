"""The journal in the store: what records become, crashes at any point, a store that is away; on both databases."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.audit import audit as audit_module
from bastion.audit import projection as projection_module
from bastion.audit import rows as rows_module
from bastion.audit.audit import Audit
from bastion.audit.comparison import compare_with_store
from bastion.audit.journal import Journal, NotStored
from bastion.audit.projection import StoreBehind
from bastion.audit.records import (
    Act,
    CancelSent,
    Checkpoint,
    ClientNamed,
    LoggedIn,
    LoginRefused,
    RawBytes,
    SessionRefused,
    StatementDone,
    StatementExtended,
    StatementRefused,
)
from bastion.audit.rows import LARGEST, digest_of
from bastion.audit.search import find_statements
from bastion.audit.shown_results import asked_for
from bastion.audit.word_index import forget
from bastion.protocols.sql_shape import shape_digest
from bastion.store import schema
from bastion.store.store import Store, sqlite_url
from tests.servers.postgres import PostgresServer

from .journal_samples import AT, KEY, closed, done, logged_in, open_journal, opened, records_of, sent

Opener = Callable[..., Journal]


@pytest.fixture(params=["sqlite", "postgresql"], scope="session")
def migrated_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path_factory.mktemp("store") / "state.db")
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        server.create_database("projection")
        url = "postgresql+psycopg://{user}:{password}@{host}:{port}/projection".format(
            **dict(re.findall(r"(\w+)=(\S+)", server.dsn("projection")))
        )
    store = Store.open(url)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def store(migrated_store: Store) -> Store:
    """A store without anything of the audit in it."""

    def clear(connection: sa.Connection) -> None:
        for table in (schema.sessions, schema.statements, schema.texts, schema.acts, schema.shipped):
            connection.execute(sa.delete(table))
        forget(connection)

    migrated_store.run_now(clear)
    return migrated_store


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: what is asserted is what comes, not how soon."""
    monkeypatch.setattr(audit_module, "SETTLE_LIMIT", 60.0)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = open_journal(tmp_path / "journal")
    yield journal
    journal.close("the test is over")


@pytest.fixture
async def audit(journal: Journal, store: Store) -> AsyncIterator[Audit]:
    audit = Audit(journal, store)
    await audit.start()
    yield audit
    await audit.stop()


def rows(store: Store, table: sa.Table) -> list[dict[str, Any]]:
    def work(connection: sa.Connection) -> list[dict[str, Any]]:
        found = connection.execute(sa.select(table).order_by(*table.primary_key.columns))
        return [dict(row._mapping) for row in found]

    return store.read_now(work)


async def test_a_statement_and_its_session_are_found_as_they_were(audit: Audit, journal: Journal) -> None:
    journal.append(opened())
    journal.append(logged_in())
    journal.append(sent(1, "SELECT '订单'", binds=["1", None]))
    journal.append(done(1))
    await audit.settle()
    assert (await audit.statements(m.StatementFilter())).statements == [
        m.Statement(
            session="s1", seq=1, at=AT, user="alice", database="orders", account="app", schema="public", kind="select",
            text="SELECT '订单'", binds=["1", None], verdict="allowed", tool="", state="done", rows=7, error=None,
            duration_ms=1.5, bytes_down=120, digest=shape_digest("select ?", "postgresql"),
        )
    ]  # fmt: skip
    live = m.Session(
        id="s1", user="alice", source="10.0.0.9", client="psql 18", token="t1", database="orders", account="app",
        login="anything", engine="postgresql", node="n1", state="live", started_at=AT, ended_at=None, end_reason=None,
        statements=1, bytes_up=0, bytes_down=0, unattributed_bytes=0, catalog="orders", server_version="18.0",
        database_tls="TLSv1.3",
    )  # fmt: skip
    assert await audit.sessions(m.SessionFilter(live=True)) == [live]
    journal.append(closed())
    await audit.settle()
    (session,) = await audit.sessions(m.SessionFilter())
    assert (session.state, session.end_reason, session.bytes_up, session.bytes_down) == ("closed", "quit", 10, 20)
    assert await audit.sessions(m.SessionFilter(live=True)) == []


@pytest.mark.parametrize("apart", [False, True], ids=["in one batch", "in batches of their own"])
async def test_what_becomes_of_a_statement(audit: Audit, journal: Journal, store: Store, apart: bool) -> None:
    records = [
        opened(),
        logged_in(),
        sent(1, "SELECT ", complete=False),
        StatementExtended(at=AT, session="s1", seq=1, text="1, ", complete=False),
        StatementExtended(at=AT, session="s1", seq=1, text="2"),
        StatementExtended(at=AT, session="s1", seq=1, binds=["x"], statement_kind="select"),
        StatementExtended(at=AT, session="s1", seq=1, data_bytes=99),
        sent(2, "SELECT nul \0"),
        done(1),
        done(2, error="42601: syntax error \0"),
        StatementRefused(
            at=AT, session="s1", seq=3, statement_kind="drop", schema="public", text="DROP TABLE t", binds=None,
            code="statement-denied", error="not here",
        ),
        sent(4, "INSERT"),
        StatementDone(
            at=AT, session="s1", seq=4, state="done", rows=2**64 - 1, error=None, duration_ms=0.0, bytes_down=0
        ),
        sent(5, "SELECT pg_sleep(99)"),
    ]  # fmt: skip
    for record in records:
        journal.append(record)
        if apart:
            await audit.settle()
    await audit.settle()
    first, second, third, fourth, fifth = rows(store, schema.statements)
    assert first["text"] == "SELECT 1, 2"
    assert first["complete"] is True
    assert first["text_digest"] == digest_of("SELECT 1, 2")
    assert first["binds"] == ["x"]
    assert (first["state"], first["rows"]) == ("done", 7)
    assert second["text"] == "SELECT nul \u2400"
    assert (second["state"], second["error"], second["rows"]) == ("failed", "42601: syntax error \u2400", None)
    assert (third["state"], third["verdict"], third["error"]) == ("refused", "statement-denied", "not here")
    assert third["user"] == "alice"
    assert fourth["rows"] == LARGEST
    assert (fifth["state"], fifth["rows"], fifth["duration_ms"]) == ("sent", None, None)
    (session,) = rows(store, schema.sessions)
    assert session["statements"] == 5


@pytest.mark.parametrize("apart", [False, True], ids=["in one batch", "in batches of their own"])
async def test_the_store_keeps_so_much_of_a_text(
    audit: Audit, journal: Journal, store: Store, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "LONGEST_TEXT", 25)
    journal.append(opened(), sent(1, "0123456789", complete=False))
    for part in range(4):
        if apart:
            await audit.settle()
        journal.append(StatementExtended(at=AT, session="s1", seq=1, text="0123456789", complete=part == 3))
    await audit.settle()
    (row,) = rows(store, schema.statements)
    assert row["text"] == "0123456789012345678901234"
    assert (row["complete"], row["text_digest"], row["digest"]) == (False, "", "")


@pytest.mark.parametrize("apart", [False, True], ids=["in one batch", "in batches of their own"])
async def test_values_that_come_in_parts_are_all_there(
    audit: Audit, journal: Journal, store: Store, apart: bool
) -> None:
    journal.append(opened(), sent(1, "INSERT INTO t VALUES (?, ?, ?, ?)", binds=["a", None]))
    for binds in (["b"], [], ["c"]):
        if apart:
            await audit.settle()
        journal.append(StatementExtended(at=AT, session="s1", seq=1, binds=binds))
    await audit.settle()
    (row,) = rows(store, schema.statements)
    assert row["binds"] == ["a", None, "b", "c"]
    assert compare_with_store(store, journal.folder).difference is None


@pytest.mark.parametrize("apart", [False, True], ids=["in one batch", "in batches of their own"])
async def test_a_long_text_is_stored_once_however_often_it_is_run(
    audit: Audit, journal: Journal, store: Store, apart: bool
) -> None:
    text = "INSERT INTO t VALUES " + ", ".join(f"({n}, '订单')" for n in range(2000))
    journal.append(opened())
    for number in range(1, 21):
        # The parts are not the same from one time to the next: they depend on how the bytes arrived.
        cut = number * 700
        journal.append(sent(number, text[:cut], complete=False))
        if apart:
            await audit.settle()
        journal.append(StatementExtended(at=AT, session="s1", seq=number, text=text[cut:], complete=True))
    journal.append(sent(21, text), sent(22, text + " "), sent(23, text[:4096]))
    await audit.settle()
    found = rows(store, schema.statements)
    assert {row["text"] for row in found} == {text[:4096]}
    assert [row["text_digest"] for row in found] == [digest_of(text)] * 21 + [
        digest_of(text + " "),
        digest_of(text[:4096]),
    ]
    assert {row["digest"]: row["text"] for row in rows(store, schema.texts)} == {
        digest_of(text): text, digest_of(text + " "): text + " ",
    }  # fmt: skip
    page = store.read_now(lambda connection: find_statements(connection, m.StatementFilter(words=["(1999,"])))
    assert [statement.seq for statement in page.statements] == list(range(1, 23))
    assert page.statements[20].text == text
    asked = store.read_now(asked_for("s1", 3))
    assert asked.statement.text == text
    assert compare_with_store(store, journal.folder).difference is None


async def test_a_program_that_names_itself_later(audit: Audit, journal: Journal, store: Store) -> None:
    journal.append(opened(), logged_in(), ClientNamed(at=AT, session="s1", client="ledger \0"))
    await audit.settle()
    (session,) = rows(store, schema.sessions)
    assert session["client"] == "ledger \u2400"
    assert session["backend"] == ""
    journal.append(msgspec.structs.replace(closed(), backend="busy"))
    await audit.settle()
    (session,) = rows(store, schema.sessions)
    assert (session["state"], session["backend"]) == ("closed", "busy")


async def test_a_session_that_was_refused(audit: Audit, journal: Journal, store: Store) -> None:
    journal.append(opened())
    journal.append(
        SessionRefused(
            at=AT, session="s1", by="database", code="database-refused", error="28P01: no", login="bob", client="psql"
        )
    )
    await audit.settle()
    (session,) = rows(store, schema.sessions)
    assert (session["state"], session["end_reason"], session["login"]) == ("refused", "28P01: no", "bob")
    assert session["ended_at"] == AT


async def test_acts_logins_and_the_rest_are_there_too(audit: Audit, journal: Journal, store: Store) -> None:
    journal.append(LoggedIn(at=AT, user="alice", method="password", source="10.0.0.9"))
    journal.append(LoginRefused(at=AT, user="mal\0lory", method="password", source="10.0.0.8", code="login-failed"))
    journal.append(Act(at=AT, user="alice", source="x", act="token-issued", subject="t1", detail={"for": "\0", "n": 8}))
    journal.append(CancelSent(at=AT, session="s1", seq=4, by="carol", reason="stop", confirmed=True))
    journal.append(RawBytes(at=AT, session="s1", leg="client", reason="no message", data="AAA=", made="refused"))
    journal.append(closed("never-opened"))
    await audit.settle()
    acts = rows(store, schema.acts)
    assert [(act["kind"], act["user"], act["act"], act["subject"]) for act in acts] == [
        ("node-started", "", "start", "n1"),
        ("login", "alice", "login", ""),
        ("login-refused", "mal\u2400lory", "login-refused", ""),
        ("act", "alice", "token-issued", "t1"),
        ("cancel", "carol", "cancel", "s1"),
        ("raw-bytes", "", "raw-bytes", "s1"),
    ]
    assert acts[3]["detail"] == {"for": "\u2400", "n": 8}
    assert [act["number"] for act in acts] == [1, 3, 4, 5, 6, 7]


async def test_what_was_written_before_is_shipped_from_the_files(journal: Journal, store: Store) -> None:
    journal.append(opened(), sent(1), done(1))
    audit = Audit(journal, store)
    await audit.start()
    journal.append(sent(2))
    await audit.settle()
    assert [row["state"] for row in rows(store, schema.statements)] == ["done", "sent"]
    await audit.stop()
    assert rows(store, schema.shipped)[0]["number"] == journal.number


async def test_a_crash_before_during_and_after_a_batch_loses_and_doubles_nothing(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(tmp_path / "j")
    monkeypatch.setattr(projection_module, "BATCH", 7)
    real_write = projection_module.write

    def write_then_die(connection: sa.Connection, batch: Any) -> None:
        real_write(connection, batch)
        raise RuntimeError("killed before the commit")

    for round_ in range(1, 5):
        audit = Audit(journal, store)
        await audit.start()
        session = f"s{round_}"
        journal.append(opened(session))
        journal.append(*(sent(seq, f"SELECT {seq}", session) for seq in range(1, 21)))
        await audit.settle()
        monkeypatch.setattr(projection_module, "write", write_then_die)
        journal.append(*(done(seq, session) for seq in range(1, 11)))
        journal.append(StatementExtended(at=AT, session=session, seq=20, text=" more"))
        await audit.stop()
        monkeypatch.setattr(projection_module, "write", real_write)
        os.close(journal._lock)
        os.close(journal._file)
        journal = open_journal(tmp_path / "j")
    audit = Audit(journal, store)
    await audit.start()
    await audit.settle()
    statements = rows(store, schema.statements)
    assert len(statements) == 80
    for session in ("s1", "s4"):
        mine = [row for row in statements if row["session"] == session]
        assert [row["seq"] for row in mine] == list(range(1, 21))
        assert [row["state"] for row in mine] == ["done"] * 10 + ["sent"] * 10
        assert mine[-1]["text"] == "SELECT 20 more"
    assert {row["session"]: row["state"] for row in rows(store, schema.sessions)} == dict.fromkeys(
        ["s1", "s2", "s3", "s4"], "lost"
    )
    await audit.stop()
    journal.close("over")


async def test_a_queue_that_overflows_is_made_good_from_the_files(
    journal: Journal, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection_module, "QUEUE_BYTES", 2000)
    monkeypatch.setattr(projection_module, "BATCH", 10)
    audit = Audit(journal, store)
    await audit.start()
    journal.append(opened())
    for seq in range(1, 201):
        journal.append(sent(seq))
        journal.append(done(seq))
    await audit.settle()
    assert [(row["seq"], row["state"]) for row in rows(store, schema.statements)] == [
        (seq, "done") for seq in range(1, 201)
    ]
    await audit.stop()


async def test_a_store_that_was_put_back_is_filled_again(audit: Audit, journal: Journal, store: Store) -> None:
    journal.append(opened(), sent(1), done(1))
    await audit.settle()
    before = journal.number - 2
    journal.append(sent(2))
    await audit.settle()

    def put_back(connection: sa.Connection) -> None:
        connection.execute(sa.delete(schema.statements))
        connection.execute(sa.update(schema.shipped).values(number=before - 1))

    store.run_now(put_back)
    journal.append(sent(3))
    await audit.settle()
    assert [row["seq"] for row in rows(store, schema.statements)] == [1, 2, 3]


async def test_a_store_that_fails_is_tried_again_and_those_who_wait_are_told(
    journal: Journal, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection_module, "PATIENCE", 0.0)
    audit = Audit(journal, store)
    audit.projection._patience = 0.0
    await audit.start()
    await audit.settle()
    real = store.run_now

    def away(work: Any) -> Any:
        raise sa.exc.OperationalError("INSERT the secret", {"text": "secret"}, OSError("the server is away"))

    monkeypatch.setattr(store, "run_now", away)
    journal.append(opened(), sent(1))
    with pytest.raises(StoreBehind, match="the server is away") as told:
        await audit.settle()
    assert "secret" not in str(told.value)
    assert audit.projection.failing
    monkeypatch.setattr(store, "run_now", real)
    async with asyncio.timeout(60):
        while True:
            try:
                await audit.settle()
                break
            except StoreBehind:
                continue
    assert len(rows(store, schema.statements)) == 1
    await audit.stop()


async def test_stored_statements_wait_for_the_store_and_hear_when_it_is_away(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(tmp_path / "j", "n1", KEY, "stored")
    audit = Audit(journal, store)
    audit.projection._patience = 0.0
    await audit.start()
    wait = journal.append(opened(), sent(1))
    assert wait is not None
    await asyncio.wait_for(wait, 60)
    assert len(rows(store, schema.statements)) == 1

    def away(work: Any) -> Any:
        raise OSError("the server is away")

    monkeypatch.setattr(store, "run_now", away)
    wait = journal.append(sent(2))
    assert wait is not None
    with pytest.raises(NotStored):
        await asyncio.wait_for(wait, 60)
    await audit.stop()
    journal.close("over")


async def test_checkpoints_come_at_intervals_while_there_is_something_new(tmp_path: Path, store: Store) -> None:
    journal = open_journal(tmp_path / "j")
    audit = Audit(journal, store, checkpoint_seconds=0.01)
    signed = asyncio.Event()
    real = journal.checkpoint

    def checkpoint() -> None:
        real()
        signed.set()

    journal.checkpoint = checkpoint  # type: ignore[method-assign]
    await audit.start()
    journal.append(sent(1))
    signed.clear()  # by a checkpoint before that one
    await asyncio.wait_for(signed.wait(), 60)
    await audit.settle()
    assert isinstance(records_of(tmp_path / "j")[-1], Checkpoint)
    number = journal.number
    await asyncio.sleep(0.05)
    assert journal.number == number
    await audit.stop()
    journal.close("over")
