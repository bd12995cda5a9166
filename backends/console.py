"""A console's connections: one for the person's statements, and side ones for the catalog, opened when it is asked."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TypeVar

from bastion.api import messages as m

from .catalog import CatalogNode, CatalogPage, Definition, Description, TableName
from .connection import DatabaseConnection, ResultBegan, RunEvent, follow
from .foreign_keys import Jump, jumps_from_result
from .interface import Column, ServerFacts, TransactionState
from .link import Link
from .metadata import SchemaMetadata
from .plan import Plan
from .row_store import RowStore
from .side_connection import MetadataLoader, SideConnection

T = TypeVar("T")


class DatabaseConsole:
    """Every call is awaited on the screen's loop; the work is done on the connections' own threads."""

    def __init__(self, link: Link, token: m.Token, catalog: str, connection: DatabaseConnection) -> None:
        self._link, self._token, self._catalog = link, token, catalog
        self._connection = connection
        self._side = SideConnection(self._open_side)
        self._metadata = MetadataLoader(self._open_side)
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
            for event in follow(
                connection.backend, text, connection.cancel_now, sys.maxsize, keep=RowStore.in_shared_space
            ):
                listener(replace(event, session=self.session) if isinstance(event, ResultBegan) else event)

        # Message posting needs the screen's context on the thread.
        await _done(connection.submit(contextvars.copy_context().run, work))

    async def cancel(self) -> bool:
        """True when the database took the order."""
        return await asyncio.to_thread(self._connection.cancel_now)

    async def transaction(self) -> TransactionState:
        return await _done(self._connection.submit(self._connection.backend.transaction))

    async def set_autocommit(self, on: bool) -> None:
        await _done(self._connection.submit(self._connection.backend.set_autocommit, on))

    async def begin(self) -> None:
        await _done(self._connection.submit(self._connection.backend.begin))

    async def commit(self) -> None:
        await _done(self._connection.submit(self._connection.backend.commit))

    async def rollback(self) -> None:
        await _done(self._connection.submit(self._connection.backend.rollback))

    async def explain(self, text: str, *, measured: bool) -> Plan:
        return await _done(self._connection.submit(self._connection.backend.explain, text, measured=measured))

    async def children(self, node: CatalogNode | None, offset: int = 0) -> CatalogPage:
        """What is below `node`, on a side connection. Raises Refused, LinkError, DatabaseError, as all below."""
        return await self._side.ask(lambda catalog: catalog.page(node, offset))

    async def describe(self, table: TableName) -> Description:
        """A table or view with its indexes, keys and triggers."""
        return await self._side.ask(lambda catalog: catalog.describe(table))

    async def definition(self, node: CatalogNode) -> Definition:
        """The DDL of a thing."""
        return await self._side.ask(lambda catalog: catalog.definition(node))

    async def jumps(self, columns: Sequence[Column], row: Sequence[str | None], index: int) -> list[Jump]:
        """Where the foreign keys lead from the value at `index` of a result row."""
        return await self._side.ask(
            lambda catalog: jumps_from_result(catalog, self._connection.backend.dialect, columns, row, index)
        )

    async def metadata(self, *, fresh: bool = False) -> SchemaMetadata:
        """All names: at once where they were loaded, else when they are; `fresh` loads them again and waits."""
        return await self._metadata.get(fresh=fresh)

    def catalog_changed(self) -> None:
        """A statement may have changed what `metadata` tells; it is loaded again when it is next asked for."""
        self._metadata.stale()

    async def catalogs(self) -> list[str]:
        return await _done(self._connection.submit(self._connection.backend.catalogs))

    def quote(self, name: str) -> str:
        return self._connection.backend.quote(name)

    def sample(self, path: Sequence[str]) -> str:
        return self._connection.backend.sample(path)

    async def close(self) -> None:
        """Ends all connections; what runs is cancelled by the bastion."""
        await asyncio.gather(self._side.close(), self._metadata.close(), asyncio.to_thread(self._connection.close))

    def _open_side(self) -> DatabaseConnection:
        return DatabaseConnection.open_now(self._link, self._token, self._catalog, "catalog")


async def _done(future: Future[T]) -> T:
    return await asyncio.wrap_future(future)
