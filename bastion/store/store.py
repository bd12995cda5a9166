"""The one way to the store: a piece of work on a connection, in one transaction, in a worker thread."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

THREADS = 8
"""Worker threads and so connections at most; further work waits for a free one."""

WAIT = 10
"""Seconds that anything waits for a lock, a connection of the pool or a PostgreSQL server that does not answer."""

STATEMENT_LIMIT = 60
"""Seconds that one statement may run on PostgreSQL. Migrations have no such limit."""

_APPLICATION_LOCK = 0x6361_7365_6D61_7465  # "casemate", so that the number is ours alone on a shared server


AT_ONCE = 50
"""Milliseconds that `run_at_once` waits for a lock on PostgreSQL; on SQLite it does not wait at all."""


class StoreBusy(Exception):
    """Somebody else writes to the store at this moment; nothing was done."""


class StoreUnusable(Exception):
    """The store cannot be opened, or was written by a newer version. The message says what to do."""


class Store:
    """SQLite or PostgreSQL behind SQLAlchemy. Safe to use from any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._writer = threading.Lock()

    @classmethod
    def open(cls, url: str) -> Store:
        """Opens `sqlite:///path` or `postgresql+psycopg://…`; nothing is created yet: `migrate` does that.

        Raises StoreUnusable for a URL of another kind.
        """
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise StoreUnusable(
                "The store's URL cannot be read. Give sqlite:///PATH or postgresql+psycopg://…."
            ) from None
        if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
            return cls(_sqlite(parsed))
        if parsed.drivername in ("postgresql", "postgresql+psycopg"):
            return cls(_postgresql(parsed.set(drivername="postgresql+psycopg")))
        raise StoreUnusable(
            f"A store on {parsed.drivername} is not supported. Give sqlite:///PATH or postgresql+psycopg://…."
        )

    def migrate(self) -> None:
        """Brings the tables to this version's shape. Several nodes may try at once: one does it, the others wait.

        Raises StoreUnusable where a newer version has been at the store.
        """
        from .migrate import upgrade  # Alembic is only needed here

        with self._migrating() as connection:
            upgrade(connection)

    @contextlib.contextmanager
    def _migrating(self) -> Iterator[sa.Connection]:
        with self._transaction(write=True) as connection:
            if not self.is_sqlite:
                connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
                connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPLICATION_LOCK})
            yield connection

    def run_now(self, work: Work[T]) -> T:
        """Does `work` in one transaction in this thread; rolled back when it raises. It may write.

        Work that only reads belongs into `read_now`: writers of SQLite stand in line.
        """
        with self._transaction(write=True) as connection:
            return work(connection)

    def read_now(self, work: Work[T]) -> T:
        """The same for work that only reads: it sees one moment of the store and waits for no writer."""
        with self._transaction(write=False) as connection:
            return work(connection)

    def run_at_once(self, work: Work[T]) -> T:
        """`run_now` for work that can be done another time: where it would wait for a lock it raises StoreBusy."""
        try:
            if self.is_sqlite:
                with self._without_waiting() as connection, connection.begin():
                    return work(connection)
            with self.engine.connect() as connection, connection.begin():
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {AT_ONCE}")
                return work(connection)
        except sa.exc.OperationalError as error:
            if _is_busy(error.orig):
                raise StoreBusy("Somebody else writes to the store now.") from error
            raise

    @contextlib.contextmanager
    def _without_waiting(self) -> Iterator[sa.Connection]:
        """A connection to SQLite whose transactions wait for nobody."""
        if not self._writer.acquire(blocking=False):
            raise StoreBusy("Somebody else writes to the store now.")
        try:
            with self.engine.connect() as connection:
                raw = connection.connection.driver_connection
                assert raw is not None
                raw.execute("PRAGMA busy_timeout = 0")
                try:
                    yield connection
                finally:
                    raw.execute(f"PRAGMA busy_timeout = {WAIT * 1000}")
        finally:
            self._writer.release()

    async def run(self, work: Work[T]) -> T:
        """`run_now` in a worker thread. When the caller is cancelled the work still ends by itself, done or not."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.run_now, work)

    async def read(self, work: Work[T]) -> T:
        """`read_now` in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.read_now, work)

    def close(self) -> None:
        """Waits for work that has begun and closes the connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.engine.dispose()

    @contextlib.contextmanager
    def _transaction(self, *, write: bool) -> Iterator[sa.Connection]:
        if self.is_sqlite:
            # A lock of our own before SQLite's: waiting for that one is polling with growing pauses.
            with self._writer if write else contextlib.nullcontext(), self.engine.connect() as connection:
                connection = connection.execution_options(casemate_write=write)
                with connection.begin():
                    yield connection
            return
        with self.engine.connect() as connection:
            if not write:
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection


def _is_busy(error: BaseException | None) -> bool:
    """Whether a lock was not to be had: SQLITE_BUSY and SQLITE_LOCKED, or PostgreSQL's lock_not_available."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return getattr(error, "sqlstate", None) == "55P03"


def _sqlite(url: sa.URL) -> sa.Engine:
    if url.database in (None, "", ":memory:"):
        raise StoreUnusable("The store must be a file: sqlite:////var/lib/casemate/state.db")
    engine = sa.create_engine(
        url,
        json_serializer=_json_text,
        json_deserializer=msgspec.json.decode,
        poolclass=sa.QueuePool,
        pool_size=THREADS,
        max_overflow=THREADS,
        pool_timeout=WAIT,
        connect_args={"timeout": WAIT, "check_same_thread": False},
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(raw: Any, _entry: ConnectionPoolEntry) -> None:
        raw.isolation_level = None  # transactions are begun below, not by the driver's guesses
        cursor = raw.cursor()
        for pragma in (
            f"busy_timeout = {WAIT * 1000}",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "foreign_keys = ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A reader that turns writer fails at once when another wrote meanwhile, so writers say so from the start.
        write = connection.get_execution_options().get("casemate_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _postgresql(url: sa.URL) -> sa.Engine:
    return sa.create_engine(
        url,
        json_serializer=_json_text,
        json_deserializer=msgspec.json.decode,
        pool_size=THREADS,
        max_overflow=THREADS,
        pool_timeout=WAIT,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": WAIT,
            "application_name": "casemate",
            "options": f"-c statement_timeout={STATEMENT_LIMIT * 1000} -c lock_timeout={WAIT * 1000}"
            " -c idle_in_transaction_session_timeout=60000",
        },
    )


def sqlite_url(path: Path) -> str:
    """The URL of a store in that file."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string()
