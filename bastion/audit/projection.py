"""Brings the journal into the store: a thread that applies records in batches and remembers how far it is.

The cursor (`shipped`) moves in the transaction that applies the records, so a crash at any point neither loses nor
doubles one. What the thread cannot take from its queue, because it was not running or fell behind, it reads from
the journal's files: the data path never waits for the store, and memory stays bounded.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Protocol

import sqlalchemy as sa

from bastion.store import schema
from bastion.store.store import Store

from .durability import resolve, waiting
from .indexing import Indexing
from .journal import NotStored, now
from .records import AnyRecord
from .rows import UNKNOWN, Batch, Owner, write
from .segments import JournalUnreadable, SegmentReader

BATCH = 2000
"""Records in one transaction at most."""

QUEUE_BYTES = 16 * 1024 * 1024
"""Bytes of records that wait in memory at most; what comes then is read from the files later."""

LINGER = 0.5
"""Seconds that a batch waits for company, unless somebody waits for it: few large batches cost the data path least."""

PATIENCE = 10.0
"""Seconds that the store may fail before those who wait for it are told."""

RETRY = (0.1, 5.0)
"""Seconds between tries while the store fails: the first pause, and the longest."""

_IDLE = 1.0
_log = logging.getLogger(__name__)


class StoreBehind(Exception):
    """The store does not take the journal's records, so what it answers is not complete."""


class _CursorMoved(Exception):
    """The store was put back to another state while we were writing."""


class Source(Protocol):
    """What the projection needs of a journal: `Journal`, or in a process of its own what is told of one."""

    folder: Path
    node: str
    durability: str
    on_written: Callable[[int, tuple[AnyRecord, ...], int], None] | None

    @property
    def number(self) -> int:
        """The number of the last record that is written."""

    def flush(self) -> None:
        """Writes what was delayed."""

    def stored(self, number: int) -> None:
        """The records up to `number` are in the store."""

    def not_stored(self, error: Exception) -> None:
        """The store takes nothing."""


def cursor_of(connection: sa.Connection, node: str) -> int:
    """The number of the node's last record that is in the store."""
    table = schema.shipped
    return connection.scalar(sa.select(table.c.number).where(table.c.node == node)) or 0


class Projection:
    """One node's journal on its way into the store. All methods may be called from any thread."""

    def __init__(self, journal: Source, store: Store, *, linger: float = LINGER, patience: float = PATIENCE) -> None:
        self._journal = journal
        self._store = store
        self._linger = 0.0 if journal.durability == "stored" else linger
        self._patience = patience
        self._queue: deque[tuple[int, tuple[AnyRecord, ...], int]] = deque()
        self._bytes_in = 0
        self._bytes_out = 0
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._idle = False
        self._stopping = False
        self._mutex = threading.Lock()
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._owners: dict[str, Owner] = {}
        self._reader = SegmentReader(journal.folder)
        self._shipped = 0
        self._failing_since: float | None = None
        self._indexing = Indexing(store, brief)
        self._thread = threading.Thread(target=self._run, name="journal-projection", daemon=True)

    @property
    def shipped(self) -> int:
        """The number of the last record that is in the store."""
        return self._shipped

    @property
    def failing(self) -> bool:
        """Whether the store refused the last batch."""
        return self._failing_since is not None

    def start(self) -> None:
        """Reads the cursor and starts the thread. Raises what the store raises."""
        self._shipped = self._store.read_now(self._cursor)
        self.begins_at(self._shipped)
        self._journal.on_written = self._written
        self._thread.start()

    def settled(self) -> asyncio.Future[None]:
        """Done when everything that is in the journal now is in the store; StoreBehind when the store takes nothing."""
        waiter = waiting()
        self._journal.flush()
        number = self._journal.number
        with self._mutex:
            if number <= self._shipped:
                waiter.set_result(None)
                return waiter
            self._waiters.append((number, waiter))
        self.hurry()
        return waiter

    def hurry(self) -> None:
        """Somebody waits: no batch waits for company now, no failed one for its next try."""
        self._hurry.set()
        self._wake.set()

    def wake(self) -> None:
        """There may be something new."""
        self._wake.set()

    def begins_at(self, number: int) -> None:
        """Called with where the store is, before anything is shipped."""

    def store_fails(self, reason: str) -> None:
        """Called when a batch was refused and the one before it was not."""
        _log.error("the store does not take the journal's records, trying on: %s", reason)

    def store_goes_on(self) -> None:
        """Called when a batch was taken after one that was refused."""
        _log.warning("the store takes the journal's records again")

    def stop(self) -> None:
        """Ships what is there, with one try, and ends the thread. The rest is shipped at the next start."""
        self._stopping = True
        self._hurry.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._reader.close()
        self._journal.on_written = None

    # ---------------------------------------------------------------------------------------------- from the data path

    def _written(self, first: int, records: tuple[AnyRecord, ...], size: int) -> None:
        if self._bytes_in - self._bytes_out < QUEUE_BYTES:
            self._bytes_in += size
            self._queue.append((first, records, size))
        if self._idle:
            self._wake.set()

    # ---------------------------------------------------------------------------------------------------- in the thread

    def _run(self) -> None:
        pause = RETRY[0]
        while True:
            if self._shipped >= self._journal.number:
                if self._stopping:
                    return
                until_index = self._indexing.pause()
                if until_index == 0:
                    self._indexing.go_on()
                    continue
                self._idle = True
                if self._shipped >= self._journal.number:
                    self._wake.wait(_IDLE if until_index is None else min(until_index, _IDLE))
                self._idle = False
                self._wake.clear()
                continue
            if self._journal.number - self._shipped < BATCH and not self._stopping:
                self._hurry.wait(self._linger)
            self._hurry.clear()
            try:
                self._ship()
            except Exception as error:  # noqa: BLE001 - whatever the store raises: the records stay in the journal
                self._failed(error)
                if self._stopping:
                    return
                self._hurry.clear()
                self._hurry.wait(pause)
                pause = min(pause * 2, RETRY[1])
                continue
            if self._failing_since is not None:
                self._failing_since = None
                self.store_goes_on()
            pause = RETRY[0]
            self._indexing.more_came()
            if self._indexing.pause() == 0:  # also where the load has no end: the pauses bound its share
                self._indexing.go_on()

    def _ship(self) -> None:
        """Applies the next records."""
        records, last = self._next_records()
        with_owners = self._owners.copy()

        def work(connection: sa.Connection) -> Batch:
            def owner_of(session: str) -> Owner:
                table = schema.sessions
                row = connection.execute(
                    sa.select(table.c.user, table.c.database, table.c.account, table.c.engine).where(
                        table.c.session == session
                    )
                ).first()
                return Owner(*row) if row is not None else UNKNOWN

            batch = Batch(self._journal.node, owner_of, with_owners)
            batch.take(records)
            self._move_cursor(connection, last)
            write(connection, batch)
            return batch

        try:
            batch = self._store.run_now(work)
        except _CursorMoved:
            self._shipped = self._store.read_now(self._cursor)
            _log.warning("the store's cursor was at record %d: going on from there", self._shipped)
            return
        ended = {key for rows in (batch.sessions, batch.session_changes) for key, row in rows.items()
                 if row.get("ended_at")}  # fmt: skip
        self._owners = {session: owner for session, owner in batch.owners.items() if session not in ended}
        self._journal.stored(last)
        with self._mutex:
            self._shipped = last
            done = [waiter for number, waiter in self._waiters if number <= last]
            self._waiters = [one for one in self._waiters if one[0] > last]
        for waiter in done:
            resolve(waiter)

    def _next_records(self) -> tuple[list[tuple[int, AnyRecord]], int]:
        """The records after the cursor, from the queue where it has them, else from the files; and up to where.

        Of what was deleted by rule there are none.
        """
        records: list[tuple[int, AnyRecord]] = []
        following = self._shipped + 1
        while self._queue and len(records) < BATCH:
            first, several, size = self._queue[0]
            if first > following:
                break
            self._queue.popleft()
            self._bytes_out += size
            for number, record in enumerate(several, first):
                if number == following:
                    records.append((number, record))
                    following += 1
        if records:
            return records, records[-1][0]
        end = min(self._queue[0][0] - 1 if self._queue else self._journal.number, self._shipped + BATCH)
        text = 0
        for number, record in self._reader.records_after(self._shipped, end):
            records.append((number, record))
            text += len(getattr(record, "text", ""))
            if text > QUEUE_BYTES:
                return records, number
        return records, end

    def _cursor(self, connection: sa.Connection) -> int:
        return cursor_of(connection, self._journal.node)

    def _move_cursor(self, connection: sa.Connection, last: int) -> None:
        table = schema.shipped
        moved = connection.execute(
            sa.update(table)
            .where(table.c.node == self._journal.node, table.c.number == self._shipped)
            .values(number=last, at=now())
        )
        if moved.rowcount:
            return
        if self._shipped or self._cursor(connection):
            raise _CursorMoved
        connection.execute(sa.insert(table).values(node=self._journal.node, number=last, at=now()))

    def _failed(self, error: Exception) -> None:
        if self._failing_since is None:
            self._failing_since = monotonic()
            self.store_fails(brief(error))
        if monotonic() - self._failing_since >= self._patience or self._stopping:
            self._journal.not_stored(
                NotStored("The record is in the journal, but the store has not taken it. Check the store.")
            )
            with self._mutex:
                waiters, self._waiters = self._waiters, []
            for _, waiter in waiters:
                resolve(
                    waiter,
                    StoreBehind(
                        f"The store lacks the records after {self._shipped} of {self._journal.number}: "
                        f"{brief(error)}. Check the store; the journal has them all."
                    ),
                )


def brief(error: Exception) -> str:
    """What the store said, without the statement and its parameters: these hold what people typed."""
    if isinstance(error, sa.exc.DBAPIError):
        return str(error.orig).splitlines()[0] if str(error.orig) else type(error.orig).__name__
    if isinstance(error, JournalUnreadable):
        return str(error)
    return f"{type(error).__name__}: {error}"
