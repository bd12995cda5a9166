"""What a serving bastion does for its record beside the connections: retention, and the watch over its disks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from bastion.audit.journal import Journal, JournalFailed
from bastion.audit.projection import cursor_of
from bastion.audit.retention import Outcome, Pace, Retention, Rules, Stopped
from bastion.audit.segments import JournalUnreadable
from bastion.audit.storage import StorageWatch
from bastion.configuration import Configuration
from bastion.store.store import Store

RETENTION_EVERY = 3600.0
STORAGE_EVERY = 15.0
"""Seconds between two looks."""

_log = logging.getLogger(__name__)


class Housekeeping:
    """`retention` and `storage` of one node, and their turns. `start` and `stop` on the event loop."""

    def __init__(self, configuration: Configuration, journal: Journal, store: Store) -> None:
        settings = configuration.retention
        rules = Rules(settings.records, settings.recordings, settings.screens, settings.recordings_bytes)
        cursors = [configuration.state_folder / "shipping" / f"{one.name}.cursor" for one in configuration.shipping]

        def taken() -> int:
            stored = store.read_now(lambda connection: cursor_of(connection, configuration.node))
            return min([stored, *(_cursor(path) for path in cursors)])

        self.rules = rules
        self.storage = StorageWatch(
            configuration.node, [configuration.journal_folder, configuration.recordings_folder], settings.alarm
        )
        self._configuration, self._journal, self._store, self._taken = configuration, journal, store, taken
        self._pace: Pace | None = None
        self._running = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins the turns; an interrupted deletion is completed with the first."""
        self._tasks = [asyncio.create_task(self._retain()), asyncio.create_task(self._watch_storage())]

    async def stop(self) -> None:
        """Ends them; what is being deleted goes on at the next start."""
        if self._pace is not None:
            self._pace.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        async with self._running:  # a thread is not cancelled: it ends at its next step
            pass

    async def retain(self, *, thorough: bool = False) -> Outcome:
        """Applies the rules once. Raises what `Retention.run` raises; Stopped where the bastion stops."""
        return await self._at_work(lambda retention: retention.run(thorough=thorough))

    async def foresee(self) -> Outcome:
        """What `retain` would delete now; nothing is. Raises the same."""
        return await self._at_work(Retention.foresee)

    async def _at_work(self, do: Callable[[Retention], Outcome]) -> Outcome:
        async with self._running:
            self._pace = pace = Pace()
            retention = Retention(
                self._journal, self._store, self._configuration.recordings_folder, self.rules, self._taken, pace=pace
            )
            work = asyncio.create_task(asyncio.to_thread(do, retention))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                pace.stop()
                with contextlib.suppress(Stopped):
                    await work
                raise

    async def _retain(self) -> None:
        while True:
            try:
                outcome = await self.retain()
                if outcome.records or outcome.recordings:
                    _log.warning(
                        "retention deleted %d records of %d sessions, and %d recordings",
                        outcome.records, outcome.sessions, outcome.recordings,
                    )  # fmt: skip
            except (JournalFailed, JournalUnreadable, OSError) as error:
                _log.error("nothing is deleted by retention: %s", error)
            except Stopped:
                return
            except Exception:  # noqa: BLE001 - whatever the store raises: it is tried again
                _log.exception("retention failed; it is tried again in an hour")
            await asyncio.sleep(RETENTION_EVERY)

    async def _watch_storage(self) -> None:
        while True:
            try:
                for alarm in await asyncio.to_thread(self.storage.look):
                    _log.warning("the disk of %s is %d %% full: %s", alarm.folder, alarm.percent, alarm.state)
                    self._journal.append_soon(alarm)
            except JournalFailed as error:
                _log.error("the storage alarm is not on record: %s", error)
            await asyncio.sleep(STORAGE_EVERY)


def _cursor(path: Path) -> int:
    """Up to where a receiver has the record; 0 where it has nothing yet."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
