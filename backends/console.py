"""A console's two connections: one for the person's statements, one for the catalog, opened when it is first asked."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from bastion.api import messages as m

from .connection import DatabaseConnection, RunEvent, follow
from .interface import CatalogNode, ServerFacts, TransactionState
from .link import Link

T = TypeVar("T")


class DatabaseConsole:
    """Every call is awaited on the screen's loop; the work is done on the connections' own threads."""

    def __init__(self, link: Link, token: m.Token, catalog: str, connection: DatabaseConnection) -> None:
        self._link, self._token, self._catalog = link, token, catalog
        self._connection = connection
        self._side: DatabaseConnection | None = None
        self._side_lock = asyncio.Lock()
        self.session: str = connection.session
        self.facts: ServerFacts = connection.facts
        self.engine: str = connection.backend.engine

    @classmethod
    async def open(cls, link: Link, token: m.Token, catalog: str) -> DatabaseConsole:
        """Raises Refused, LinkError, DatabaseError, EngineNotSupported."""
        connection = await asyncio.to_thread(DatabaseConnection.open_now, link, token, catalog, "console")
        return cls(link, token, catalog, connection)

    async def run(self, text: str, listener: Callable[[RunEvent], None]) -> None:
        """Runs one statement; `listener` is called from the connection's thread, with errors too."""
        connection = self._connection

        def work() -> None:
            for event in follow(connection.backend, text, connection.cancel_now):
                listener(event)

        # Message posting needs the screen's context on the thread.
        await _done(connection.submit(contextvars.copy_context().run, work))

    async def cancel(self) -> bool:
        """True when the database took the order."""
        return await asyncio.to_thread(self._connection.cancel_now)

    async def transaction(self) -> TransactionState:
        return await _done(self._connection.submit(self._connection.backend.transaction))

    async def set_autocommit(self, on: bool) -> None:
        await _done(self._connection.submit(self._connection.backend.set_autocommit, on))

    async def commit(self) -> None:
        await _done(self._connection.submit(self._connection.backend.commit))

    async def rollback(self) -> None:
        await _done(self._connection.submit(self._connection.backend.rollback))

    async def children(self, node: CatalogNode | None) -> list[CatalogNode]:
        async with self._side_lock:
            if self._side is None:
                self._side = await asyncio.to_thread(
                    DatabaseConnection.open_now, self._link, self._token, self._catalog, "catalog"
                )
        return await _done(self._side.submit(self._side.backend.children, node))

    async def catalogs(self) -> list[str]:
        return await _done(self._connection.submit(self._connection.backend.catalogs))

    def quote(self, name: str) -> str:
        return self._connection.backend.quote(name)

    def sample(self, path: Sequence[str]) -> str:
        return self._connection.backend.sample(path)

    async def close(self) -> None:
        """Ends both connections; what runs is cancelled by the bastion."""
        connections = [connection for connection in (self._connection, self._side) if connection is not None]
        await asyncio.gather(*(asyncio.to_thread(connection.close) for connection in connections))


async def _done(future: Future[T]) -> T:
    return await asyncio.wrap_future(future)
