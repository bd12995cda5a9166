"""When words are indexed: never in anybody's way, at a bounded share of time under load, always a little further."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bastion.audit import indexing as indexing_module
from bastion.audit import projection as projection_module
from bastion.audit.audit import Audit
from bastion.audit.indexing import PASS_SECONDS, QUIET, SHARE, Indexing
from bastion.audit.journal import Journal
from bastion.audit.projection import Projection, brief
from bastion.audit.records import AnyRecord
from bastion.audit.rows import UNKNOWN, Batch, write
from bastion.audit.word_index import WordIndex, indexed
from bastion.store.store import Store, StoreBusy, sqlite_url

from .journal_samples import done, logged_in, open_journal, opened, sent


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(sqlite_url(tmp_path / "state.db"))
    made.migrate()
    yield made
    made.close()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    made = open_journal(tmp_path / "j")
    yield made
    made.close("the test is over")


def fill(store: Store, statements: int) -> None:
    """So many statements with their outcomes, none of them indexed."""
    batch = Batch("n1", lambda _session: UNKNOWN)
    numbered: list[AnyRecord] = [opened(), logged_in()]
    for seq in range(1, statements + 1):
        numbered += [sent(seq, f"SELECT {seq} FROM orders"), done(seq)]
    batch.take(enumerate(numbered, 1))
    store.run_now(lambda connection: write(connection, batch))


def known(store: Store) -> int:
    return store.read_now(indexed).number


class Clock:
    """Passes as long as the test says: each look takes `step` seconds."""

    def __init__(self, step: float) -> None:
        self.time = 100.0
        self.step = step

    def __call__(self) -> float:
        self.time += self.step
        return self.time


def locked(store: Store) -> sqlite3.Connection:
    """Somebody else who writes to the store."""
    other = sqlite3.connect(store.engine.url.database or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_nobody_is_waited_for(file_store: Store) -> None:
    fill(file_store, 10)
    indexing = Indexing(file_store, brief)
    with closing(locked(file_store)):
        began = time.monotonic()
        indexing.go_on()
        assert time.monotonic() - began < 9  # the store's own limit is ten
        pause = indexing.pause()
        assert pause is not None
        assert 0 < pause <= indexing_module.BUSY_PAUSE
        assert known(file_store) == 0
    indexing.go_on()
    assert known(file_store) == 10


def test_work_that_would_wait_is_refused_and_the_connection_waits_again_afterwards(file_store: Store) -> None:
    with closing(locked(file_store)), pytest.raises(StoreBusy):
        file_store.run_at_once(lambda connection: connection.exec_driver_sql("DELETE FROM acts"))
    assert file_store.run_at_once(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout").scalar()) == 0
    assert file_store.run_now(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout").scalar()) == 10_000


def test_what_fails_otherwise_is_not_taken_for_a_lock(file_store: Store) -> None:
    with pytest.raises(Exception, match="no such table"):
        file_store.run_at_once(lambda connection: connection.exec_driver_sql("DELETE FROM elsewhere"))


def test_passes_under_load_are_short_and_leave_the_most_of_the_time_to_others(file_store: Store) -> None:
    fill(file_store, 3000)
    clock = Clock(0.001)
    indexing = Indexing(file_store, brief, clock)
    indexing.more_came()
    indexed_before = 0
    for _ in range(20):
        clock.step = 0.001
        indexing.go_on()
        clock.step = 0.0
        pause = indexing.pause()
        if pause is None:
            break
        assert pause == pytest.approx((1 / SHARE - 1) * 0.001)
        clock.time += pause
        indexing.more_came()
        assert known(file_store) > indexed_before
        indexed_before = known(file_store)
    assert indexed_before == 3000


def test_a_pass_that_takes_long_is_followed_by_a_smaller_one(
    file_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(file_store, 3000)
    sizes: list[int] = []
    real = WordIndex.read

    def read(self: WordIndex, connection: object, most: int) -> object:
        sizes.append(most)
        return real(self, connection, most)  # type: ignore[arg-type]

    monkeypatch.setattr(WordIndex, "read", read)
    clock = Clock(PASS_SECONDS * 2)
    indexing = Indexing(file_store, brief, clock)
    for _ in range(4):
        indexing.more_came()
        indexing.go_on()
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == indexing_module.LEAST
    clock.step = PASS_SECONDS / 100
    for _ in range(4):
        indexing.more_came()
        indexing.go_on()
    assert sizes[-1] > sizes[4]


def test_when_nothing_comes_it_catches_up_without_pauses(file_store: Store) -> None:
    fill(file_store, 3000)
    clock = Clock(0.0)
    indexing = Indexing(file_store, brief, clock)
    indexing.more_came()
    clock.time += QUIET
    while (pause := indexing.pause()) is not None:
        assert pause == 0
        indexing.go_on()
    assert known(file_store) == 3000


async def test_a_load_without_end_does_not_keep_words_from_being_indexed(
    journal: Journal, file_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection_module, "BATCH", 20)
    behind: list[int] = []
    real = Indexing.go_on

    def go_on(self: Indexing) -> None:
        real(self)
        behind.append(journal.number - projection.shipped)

    monkeypatch.setattr(Indexing, "go_on", go_on)
    journal.append(opened(), logged_in())
    for seq in range(1, 3001):
        journal.append(sent(seq), done(seq))
    audit = Audit(journal, file_store)
    assert isinstance(audit.projection, Projection)
    projection = audit.projection
    await audit.start()
    await audit.settle()
    assert [left for left in behind if left > 1000], behind
    await audit.stop()
