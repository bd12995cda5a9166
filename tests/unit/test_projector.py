"""The projection in a process of its own: what arrives, who waits, and what becomes of it when a process dies."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from bastion.api import messages as m
from bastion.audit import audit as audit_module
from bastion.audit import projection_apart as apart_module
from bastion.audit import projector as projector_module
from bastion.audit.audit import Audit
from bastion.audit.journal import Journal, NotStored
from bastion.audit.projection import StoreBehind
from bastion.audit.projection_apart import ProjectionApart
from bastion.audit.projector import Parameters, Told
from bastion.store import schema
from bastion.store.store import Store, sqlite_url

from .journal_samples import KEY, closed, done, logged_in, open_journal, opened, sent
from .test_projection import journal, migrated_store, rows, store  # noqa: F401 - the fixtures, for both databases

LIMIT = 60.0
"""Seconds after which a test says that what it waits for does not come."""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: what is asserted is what comes, not how soon."""
    monkeypatch.setattr(audit_module, "SETTLE_LIMIT", 60.0)


@pytest.fixture
async def audit(journal: Journal, store: Store) -> AsyncIterator[Audit]:  # noqa: F811
    audit = Audit(journal, store, apart=True)
    await audit.start()
    yield audit
    await audit.stop()


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(sqlite_url(tmp_path / "state.db"))
    made.migrate()
    yield made
    made.close()


def projection_of(audit: Audit) -> ProjectionApart:
    assert isinstance(audit.projection, ProjectionApart)
    return audit.projection


async def process_of(audit: Audit, other_than: int | None = None) -> int:
    """The process's number, once there is one."""
    async with asyncio.timeout(LIMIT):
        while (process := projection_of(audit).process) in (None, other_than):
            await asyncio.sleep(0.01)
    assert process is not None
    return process


async def until_failing(audit: Audit, failing: bool) -> None:
    async with asyncio.timeout(LIMIT):
        while audit.projection.failing is not failing:
            await asyncio.sleep(0.01)


def seen(store: Store) -> list[tuple[int, str]]:  # noqa: F811
    return [(row["seq"], row["state"]) for row in rows(store, schema.statements)]


async def test_records_arrive_and_those_who_wait_see_them(audit: Audit, journal: Journal) -> None:  # noqa: F811
    journal.append(opened(), logged_in(), sent(1, "SELECT '订单'"))
    await audit.settle()
    assert [each.state for each in (await audit.statements(m.StatementFilter())).statements] == ["sent"]
    journal.append_soon(done(1))
    journal.append_soon(closed())
    await audit.settle()
    (statement,) = (await audit.statements(m.StatementFilter())).statements
    assert (statement.text, statement.state, statement.user) == ("SELECT '订单'", "done", "alice")
    assert [each.state for each in await audit.sessions(m.SessionFilter())] == ["closed"]
    assert audit.projection.shipped == journal.number
    assert not audit.projection.failing


async def test_records_arrive_though_nobody_waits(audit: Audit, journal: Journal) -> None:  # noqa: F811
    journal.append(opened())
    for seq in range(1, 4):
        journal.append(sent(seq))
        async with asyncio.timeout(LIMIT):
            while audit.projection.shipped < journal.number:
                await asyncio.sleep(0.01)


async def test_what_threads_append_arrives_too(audit: Audit, journal: Journal, store: Store) -> None:  # noqa: F811
    def append() -> None:
        for seq in range(1, 101):
            journal.append(sent(seq), done(seq))

    await asyncio.to_thread(append)
    async with asyncio.timeout(LIMIT):
        while audit.projection.shipped < journal.number:
            await asyncio.sleep(0.01)
    assert seen(store) == [(seq, "done") for seq in range(1, 101)]


async def test_many_segments_are_followed(tmp_path: Path, file_store: Store) -> None:
    journal = Journal.open(tmp_path / "j", "n1", KEY, segment_bytes=5000)  # noqa: F811
    audit = Audit(journal, file_store, apart=True)
    await audit.start()
    for seq in range(1, 501):
        journal.append(sent(seq), done(seq))
        if seq % 100 == 0:
            await audit.settle()
    assert len(list((tmp_path / "j").glob("*.journal"))) > 20
    assert seen(file_store) == [(seq, "done") for seq in range(1, 501)]
    await audit.stop()
    journal.close("over")


async def test_a_process_that_is_killed_is_started_again_and_nothing_is_lost_or_doubled(
    audit: Audit, journal: Journal, store: Store, caplog: pytest.LogCaptureFixture  # noqa: F811
) -> None:  # fmt: skip
    journal.append(opened())
    process = None
    for round_ in range(3):
        process = await process_of(audit, process)
        for seq in range(round_ * 3000 + 1, round_ * 3000 + 3001):
            journal.append(sent(seq), done(seq))
        waiter = audit.projection.settled()
        async with asyncio.timeout(LIMIT):  # killed after the first of several batches
            while audit.projection.shipped < round_ * 6000 + 1:
                await asyncio.sleep(0.001)
        os.kill(process, signal.SIGKILL)
        await asyncio.wait_for(waiter, LIMIT)
    assert seen(store) == [(seq, "done") for seq in range(1, 9001)]
    (session,) = rows(store, schema.sessions)
    assert session["statements"] == 9000
    assert len(rows(store, schema.acts)) == 1
    # asyncio says 255 where the watcher of another test's loop has reaped the child.
    assert "ended by SIGKILL" in caplog.text or "ended with 255" in caplog.text
    assert not audit.projection.failing


async def test_a_process_that_cannot_run_is_said_once_and_those_who_wait_are_told(
    journal: Journal, file_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr(apart_module, "_PROGRAM", "bastion.no_such_program")
    audit = Audit(journal, file_store, apart=True)
    projection_of(audit)._patience = 1.0
    await audit.start()
    journal.append(opened(), sent(1))
    # 1 is its exit code; asyncio says 255 where the watcher of another test's loop has reaped the child.
    with pytest.raises(StoreBehind, match=r"ended with (1|255)\."):
        await audit.settle()
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 1
    monkeypatch.undo()
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                await audit.settle()
                break
            except StoreBehind:
                continue
    assert seen(file_store) == [(1, "sent")]
    await audit.stop()


async def test_a_store_that_is_locked_is_failing_and_then_goes_on(
    journal: Journal, file_store: Store, caplog: pytest.LogCaptureFixture  # noqa: F811
) -> None:  # fmt: skip
    audit = Audit(journal, file_store, apart=True)
    projection_of(audit)._patience = 0.0
    await audit.start()
    await audit.settle()
    with closing(sqlite3.connect(file_store.engine.url.database or "", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        journal.append(opened(), sent(1, "SELECT 'a secret'"))
        with pytest.raises(StoreBehind, match="database is locked") as told:
            await audit.settle()
        assert "secret" not in str(told.value) + caplog.text
        assert audit.projection.failing
        other.execute("ROLLBACK")
    await until_failing(audit, False)
    await audit.settle()
    assert seen(file_store) == [(1, "sent")]
    assert "takes the journal's records again" in caplog.text
    await audit.stop()


async def test_a_store_that_cannot_be_written_is_said_with_its_reason(
    journal: Journal, file_store: Store  # noqa: F811
) -> None:  # fmt: skip
    audit = Audit(journal, file_store, apart=True)
    projection_of(audit)._patience = 0.0
    await audit.start()
    await audit.settle()
    file_store.run_now(lambda connection: connection.exec_driver_sql("ALTER TABLE statements RENAME TO elsewhere"))
    journal.append(sent(1, "SELECT 'a secret'"))
    with pytest.raises(StoreBehind, match="no such table: statements") as told:
        await audit.settle()
    assert "secret" not in str(told.value)
    file_store.run_now(lambda connection: connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO statements"))
    await until_failing(audit, False)
    await audit.settle()
    assert seen(file_store) == [(1, "sent")]
    await audit.stop()


async def test_stored_statements_wait_for_the_store_and_hear_when_it_is_away(tmp_path: Path, file_store: Store) -> None:
    journal = Journal.open(tmp_path / "j", "n1", KEY, "stored")  # noqa: F811
    audit = Audit(journal, file_store, apart=True)
    projection_of(audit)._patience = 0.0
    await audit.start()
    for seq in range(1, 6):
        wait = journal.append(sent(seq))
        assert wait is not None
        await asyncio.wait_for(wait, LIMIT)
        assert [row["seq"] for row in rows(file_store, schema.statements)] == list(range(1, seq + 1))
    file_store.run_now(lambda connection: connection.exec_driver_sql("ALTER TABLE statements RENAME TO elsewhere"))
    wait = journal.append(sent(6))
    assert wait is not None
    with pytest.raises(NotStored):
        await asyncio.wait_for(wait, LIMIT)
    await audit.stop()
    journal.close("over")


async def test_stopping_ships_what_is_there_and_ends_the_process(
    journal: Journal, file_store: Store  # noqa: F811
) -> None:  # fmt: skip
    for seq in range(1, 5001):
        journal.append(sent(seq))
    audit = Audit(journal, file_store, apart=True)
    await audit.start()
    process = await process_of(audit)
    await audit.stop()
    assert len(rows(file_store, schema.statements)) == 5000
    assert rows(file_store, schema.shipped)[0]["number"] == journal.number
    assert not Path(f"/proc/{process}").exists()


async def test_stopping_has_a_limit(
    journal: Journal, file_store: Store, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr(apart_module, "STOP_LIMIT", 0.5)
    audit = Audit(journal, file_store, apart=True)
    await audit.start()
    await audit.settle()
    process = await process_of(audit)
    os.kill(process, signal.SIGSTOP)
    journal.append(sent(1))
    waiter = audit.projection.settled()
    await asyncio.wait_for(audit.stop(), LIMIT)
    with pytest.raises(StoreBehind):
        await waiter
    assert not Path(f"/proc/{process}").exists()


async def test_the_process_gets_no_password_and_no_key_where_others_could_see_it(
    journal: Journal, file_store: Store, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setenv("CASEMATE_PASSWORD", "hunter2")
    audit = Audit(journal, file_store, apart=True)
    await audit.start()
    await audit.settle()
    process = await process_of(audit)
    words = Path(f"/proc/{process}/cmdline").read_bytes()
    environment = Path(f"/proc/{process}/environ").read_bytes()
    assert b"bastion.audit.projector" in words
    assert b"state.db" not in words + environment
    assert b"hunter2" not in environment
    descriptors = [os.readlink(each) for each in Path(f"/proc/{process}/fd").iterdir() if each.exists()]
    assert not [each for each in descriptors if each.endswith("/lock")]
    await audit.stop()


PARENT = """
import asyncio, sys
from pathlib import Path
from bastion.audit.audit import Audit
from bastion.store.store import Store
from tests.unit.journal_samples import open_journal, sent

async def main():
    store = Store.open(sys.argv[1])
    journal = open_journal(Path(sys.argv[2]))
    audit = Audit(journal, store, apart=True)
    await audit.start()
    journal.append(sent(1))
    await audit.settle()
    print(audit.projection.process, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.parametrize("stopped", [False, True], ids=["by the end of its input", "by the kernel"])
def test_the_process_ends_with_its_parent(tmp_path: Path, file_store: Store, stopped: bool) -> None:
    url = file_store.engine.url.render_as_string()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, url, str(tmp_path / "j")], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as parent:
        assert parent.stdout is not None
        process = int(parent.stdout.readline())
        descriptor = os.pidfd_open(process)
        if stopped:  # it reads nothing more
            os.kill(process, signal.SIGSTOP)
        parent.kill()
        ended, _, _ = select.select([descriptor], [], [], LIMIT)
        os.close(descriptor)
    assert ended
    assert seen(file_store) == [(1, "sent")]


class _Quick(Thread):
    """A thread that has done everything before whoever started it goes on."""

    def start(self) -> None:
        super().start()
        self.join(1.0)


def test_what_the_first_batch_says_is_not_taken_back(tmp_path: Path, file_store: Store) -> None:
    """Where the store was at the beginning is said first, however soon the first batch is there."""
    journal = open_journal(tmp_path / "j")  # noqa: F811
    journal.append(opened(), sent(1))
    journal.close("over")
    said: list[str] = []
    parameters = Parameters(url="", folder=str(tmp_path / "j"), node="n1", parent=os.getppid())
    told = Told(parameters, said.append)
    told.number = journal.number
    projection = projector_module._Projection(told, file_store)
    projection._thread = _Quick(target=projection._run, daemon=True)
    projection.start()
    projection.stop()
    assert said[0] == "at 0"
    assert said[1:] == [f"stored {journal.number}"]
