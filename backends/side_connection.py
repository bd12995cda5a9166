"""The catalog's own connections: one for the tree, opened when it is first asked, and one for loading all names.

So a slow catalog holds up neither the person's statements nor, while all names are loaded, the tree. The questions only
read, so one that fails because its connection was lost meanwhile is asked once more on a new one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from .catalog import STATEMENT_SECONDS, Catalog
from .connection import DatabaseConnection
from .interface import DatabaseError
from .metadata import LOAD_SECONDS, SchemaMetadata

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_SECONDS = STATEMENT_SECONDS + 10
"""What a question may take from here; the server gives up before that where it can."""
AGAIN_SECONDS = 60
"""How long a failure to load all names is remembered, so that every key that is typed does not try again."""

CLOSED = "The connection to the database is closed. Connect again."
TOO_SLOW = "The catalog of the database did not answer in time."


class SideConnection:
    """Asks the catalog, one question after the other. `close` ends it; the next question opens it again."""

    def __init__(self, opened: Callable[[], DatabaseConnection], seconds: int = STATEMENT_SECONDS) -> None:
        self._opened, self._seconds = opened, seconds
        self._connection: DatabaseConnection | None = None
        self._lock = asyncio.Lock()
        self._closings = 0

    async def ask(self, work: Callable[[Catalog], T], within: float = ANSWER_SECONDS) -> T:
        """Raises Refused, LinkError, DatabaseError."""
        connection, fresh = await self._at_hand()
        try:
            return await self._answer(connection, work, within)
        except DatabaseError as error:
            if not error.connection_lost or fresh:
                raise
        connection, _fresh = await self._at_hand()
        return await self._answer(connection, work, within)

    async def _at_hand(self) -> tuple[DatabaseConnection, bool]:
        async with self._lock:
            if self._connection is not None:
                return self._connection, False
            closings = self._closings
            connection = await self._open()
            if closings != self._closings:
                # Whoever closed this meanwhile could not know of it.
                await asyncio.to_thread(connection.close)
                raise DatabaseError(CLOSED, connection_lost=True)
            self._connection = connection
            limit = connection.submit(lambda: connection.backend.catalog.limit_time(self._seconds))
            try:
                await asyncio.wrap_future(limit)
            except DatabaseError as error:
                # A server that does not know the setting is still given up after a time, from here.
                log.info("the server does not limit the time of catalog queries: %s", error.message)
            return connection, True

    async def _open(self) -> DatabaseConnection:
        opening = asyncio.ensure_future(asyncio.to_thread(self._opened))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread goes on: what it opens is closed as soon as it is there.
            opening.add_done_callback(_close_unwanted)
            raise

    async def _answer(self, connection: DatabaseConnection, work: Callable[[Catalog], T], within: float) -> T:
        future = connection.submit(lambda: work(connection.backend.catalog))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), within)
        except TimeoutError as error:
            await self._drop(connection)
            raise DatabaseError(TOO_SLOW) from error
        except DatabaseError as error:
            if error.connection_lost:
                await self._drop(connection)
            raise

    async def _drop(self, connection: DatabaseConnection) -> None:
        if self._connection is connection:
            self._connection = None
        await asyncio.to_thread(connection.close)

    async def close(self) -> None:
        """Ends the connection; what runs on it is cancelled by the bastion."""
        self._closings += 1
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.to_thread(connection.close)


def _close_unwanted(opening: asyncio.Future[DatabaseConnection]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        threading.Thread(target=opening.result().close, daemon=True).start()


class MetadataLoader:
    """All names of the database, loaded once and again after `stale`."""

    def __init__(self, opened: Callable[[], DatabaseConnection]) -> None:
        self._side = SideConnection(opened, LOAD_SECONDS)
        self._loaded: SchemaMetadata | None = None
        self._stale = False
        self._task: asyncio.Task[SchemaMetadata] | None = None
        self._failed_at = 0.0
        self._failure: Exception | None = None

    def stale(self) -> None:
        """A statement may have changed the catalog: the next `get` loads it again."""
        self._stale = True

    async def get(self, *, fresh: bool = False) -> SchemaMetadata:
        """What was loaded last, at once; the first time, or with `fresh`, it is waited for.

        Raises Refused, LinkError, DatabaseError; a failure is not tried again for a minute unless `fresh`.
        """
        if self._loaded is not None and not fresh:
            if self._stale:
                self._start()
            return self._loaded
        if not fresh and self._failure is not None and time.monotonic() - self._failed_at < AGAIN_SECONDS:
            raise self._failure
        return await asyncio.shield(self._start())

    def _start(self) -> asyncio.Task[SchemaMetadata]:
        if self._task is None or self._task.done():
            self._stale = False
            self._task = asyncio.create_task(self._load())
            # Nobody may be waiting for it; then the failure is told to the next who asks.
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._task

    async def _load(self) -> SchemaMetadata:
        began = time.monotonic()
        try:
            self._loaded = await self._side.ask(lambda catalog: catalog.metadata(), 5 * LOAD_SECONDS)
        except Exception as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise
        else:
            self._failure = None
            log.info("%d names of tables in %.1f s", len(self._loaded.tables), time.monotonic() - began)
            return self._loaded
        finally:
            await self._side.close()

    async def close(self) -> None:
        """Gives up what is being loaded."""
        if self._task is not None:
            self._task.cancel()
        await self._side.close()
