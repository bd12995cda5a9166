"""The audit as the rest of the bastion sees it: the journal on its way into the store, and the questions to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from bastion.api import messages as m
from bastion.store.interruption import Interruption
from bastion.store.store import Store

from .chain import anchor_line
from .journal import Journal, JournalFailed
from .projection import Projection
from .projection_apart import ProjectionApart
from .search import find_statements
from .search_count import count_sessions, count_statements
from .session_search import find_sessions

CHECKPOINT_SECONDS = 60.0
"""Seconds between checkpoints while there is something new to sign."""

TRY_AGAIN_SECONDS = 1.0
"""Seconds between looks whether a journal that failed for want of room can be written again."""

SETTLE_LIMIT = 15.0
"""Seconds that a question waits for the store to have everything."""

_log = logging.getLogger(__name__)


class Audit:
    """Ships the journal into the store, signs it at intervals, and answers from the store.

    `apart` ships in a process of its own: for a bastion that serves; elsewhere a thread is less to start.
    """

    def __init__(
        self, journal: Journal, store: Store, *, apart: bool = False, checkpoint_seconds: float = CHECKPOINT_SECONDS
    ) -> None:
        self.journal = journal
        self.projection = ProjectionApart(journal, store) if apart else Projection(journal, store)
        self._store = store
        self._checkpoint_seconds = checkpoint_seconds
        self._timer: asyncio.Task[None] | None = None
        self._retry: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to ship and to sign. Raises what the store raises."""
        if isinstance(self.projection, ProjectionApart):
            await self.projection.start()
        else:
            await asyncio.to_thread(self.projection.start)
        self._timer = asyncio.create_task(self._sign_at_intervals(), name="journal-checkpoints")
        self._retry = asyncio.create_task(self._go_on_when_there_is_room(), name="journal-room")

    async def stop(self) -> None:
        """Ships what is there and ends. The journal stays open: its owner closes it."""
        for task in (self._timer, self._retry):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if isinstance(self.projection, ProjectionApart):
            await self.projection.stop()
        else:
            await asyncio.to_thread(self.projection.stop)

    async def settle(self) -> None:
        """Everything appended so far is in the store. Raises StoreBehind; TimeoutError after SETTLE_LIMIT."""
        async with asyncio.timeout(SETTLE_LIMIT):
            await self.projection.settled()

    async def sessions(self, wanted: m.SessionFilter) -> list[m.Session]:
        """See `session_search.find_sessions`. Of what is in the store: `settle` first for what just happened."""
        return await self._store.read(lambda connection: find_sessions(connection, wanted))

    async def statements(self, wanted: m.StatementFilter, interruption: Interruption | None = None) -> m.StatementPage:
        """See `search.find_statements`. Raises Interrupted where it was given up."""
        return await self._store.read(lambda connection: find_statements(connection, wanted, interruption))

    async def count_statements(self, wanted: m.StatementFilter, interruption: Interruption) -> m.Count:
        """See `search_count`."""
        return await self._store.read(lambda connection: count_statements(connection, wanted, interruption))

    async def count_sessions(self, wanted: m.SessionFilter, interruption: Interruption) -> m.Count:
        """The same of sessions."""
        return await self._store.read(lambda connection: count_sessions(connection, wanted, interruption))

    def anchor(self) -> str:
        """A fresh checkpoint to keep elsewhere, one line of JSON. Raises JournalFailed."""
        self.journal.checkpoint()
        if self.journal.last_checkpoint is None:  # every opening of a journal signs it
            raise JournalFailed("The journal has no checkpoint yet.")
        return anchor_line(self.journal.last_checkpoint)

    async def _sign_at_intervals(self) -> None:
        while True:
            await asyncio.sleep(self._checkpoint_seconds)
            # A checkpoint of nothing but the last checkpoint would only make the journal longer.
            if self.journal.number > self.journal.signed:
                try:
                    self.journal.checkpoint()
                except JournalFailed as error:
                    _log.error("no checkpoint was written: %s", error)

    async def _go_on_when_there_is_room(self) -> None:
        while True:
            await asyncio.sleep(TRY_AGAIN_SECONDS)
            if self.journal.failure is not None:
                await asyncio.to_thread(self.journal.try_again)
