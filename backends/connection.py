"""A database connection of the workstation: its tunnel, its backend, and the one thread that both are used from."""

from __future__ import annotations

import concurrent.futures
import contextvars
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import pyarrow as pa

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.refusals import Refused

from . import arrow
from .interface import (
    Backend,
    Column,
    DatabaseError,
    Finished,
    Login,
    Notice,
    Rows,
    ServerFacts,
    Started,
    TransactionState,
)
from .link import Link, LinkError
from .row_store import RowStore, SpillFull
from .statements import reads_only
from .tunnel import Tunnel, Way

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

PROGRAM = "casemate"


class EngineNotSupported(Exception):
    """The console has no driver for this engine; any client works through the token."""


def backend_for(engine: str, way: Way, login: Login) -> Backend:
    """The backend of an engine. Drivers are imported when they are first needed."""
    if engine == "postgresql":
        from .postgres import PostgresBackend

        return PostgresBackend(way, login)
    if engine == "mysql":
        from .mysql import MySQLBackend

        return MySQLBackend(way, login)
    if engine == "sqlserver":
        from .sqlserver import SqlserverBackend

        return SqlserverBackend(way, login)
    if engine == "oracle":
        from .oracle import OracleBackend

        return OracleBackend(way, login)
    raise EngineNotSupported(engine)


def has_console(engine: str) -> bool:
    """Whether `backend_for` knows the engine."""
    return engine in ("postgresql", "mysql", "sqlserver", "oracle")


def first_catalog(allowed: list[str]) -> str:
    """The database name to open when nobody chose one; '' where the bastion does not say which there are."""
    return allowed[0] if allowed else ""


def entry_catalog(engine: str, catalog: str) -> str:
    """Where to log in when no name is known: PostgreSQL wants one, and has `postgres` for that."""
    return catalog or ("postgres" if engine == "postgresql" else "")


def only_catalog(names: list[str]) -> str | None:
    """The one to move on to when there is no choice: the single name beside `postgres`."""
    others = [name for name in names if name != "postgres"]
    return others[0] if len(others) == 1 else None


# What a run tells its listener, in order.


@dataclass(frozen=True)
class ResultBegan:
    """A result set with columns. Its rows go to `store`; without one they come with `RowsArrived`."""

    columns: tuple[Column, ...]
    store: RowStore | None = None
    statement: str = ""
    engine: str = ""
    session: str = ""
    """Under which the statement is on record."""


@dataclass(frozen=True)
class RowsArrived:
    """More rows of the result that began last; None: they are in its store already."""

    batch: pa.RecordBatch | None


@dataclass(frozen=True)
class ResultEnded:
    """A result set (`rows` of it were kept) or a statement without one is over.

    `truncated`: the byte budget was used up and the rest was not kept. `cancelled`: the statement was stopped then.
    """

    status: str
    affected: int | None
    rows: int | None
    seconds: float
    truncated: bool = False
    cancelled: bool = False


@dataclass(frozen=True)
class BudgetReached:
    """No more rows are kept from here on. `cancelling`: the statement is told to stop; else its rest is read away."""

    rows: int
    bytes: int
    cancelling: bool


@dataclass(frozen=True)
class RunFailed:
    """The statement ended with an error; what arrived before stays."""

    error: DatabaseError
    seconds: float


RunEvent = ResultBegan | RowsArrived | ResultEnded | BudgetReached | RunFailed | Notice


def follow(
    backend: Backend,
    text: str,
    cancel: Callable[[], bool],
    budget: int = arrow.BYTE_BUDGET,
    clock: Callable[[], float] = time.monotonic,
    keep: Callable[[Sequence[Column]], RowStore] | None = None,
) -> Iterator[RunEvent]:
    """Runs one statement and yields what is to be shown of it, errors too. On the connection's thread.

    With `keep` each result set's rows are put into a store of its own, and only word of them is passed on. When the
    budget is used up, or the store's room, a plain read outside a transaction is cancelled with `cancel`; anything
    else is let run to its end and its rows are read away, since cancelling would undo what it does.
    """
    began = clock()
    alone = backend.autocommit and backend.transaction() is TransactionState.NONE
    gatherer: arrow.Gatherer | None = None
    store: RowStore | None = None
    stopped = cancelling = False

    def seconds() -> float:
        return clock() - began

    def arrived(batch: pa.RecordBatch) -> RowsArrived:
        nonlocal stopped
        if store is None:
            return RowsArrived(batch)
        try:
            store.append(batch)
        except SpillFull:
            stopped = True
        return RowsArrived(None)

    def count() -> int:
        return store.rows if store is not None else gatherer.rows if gatherer is not None else 0

    try:
        for event in backend.execute(text):
            if isinstance(event, Started):
                gatherer = arrow.Gatherer(event.columns, budget)
                store = keep(event.columns) if keep is not None else None
                stopped = False
                yield ResultBegan(event.columns, store, text, backend.engine)
            elif isinstance(event, Rows):
                if gatherer is None or stopped:
                    continue
                batch = gatherer.add(event.rows)
                if batch is not None:
                    yield arrived(batch)
                if gatherer.full or stopped:
                    stopped = True
                    cancelling = alone and reads_only(text, backend.engine) and cancel()
                    yield BudgetReached(count(), gatherer.bytes, cancelling)
            elif isinstance(event, Finished):
                if gatherer is not None and not stopped and (batch := gatherer.flush()) is not None:
                    yield arrived(batch)
                kept = None if gatherer is None else count()
                yield ResultEnded(event.status, event.affected, kept, seconds(), truncated=stopped)
                gatherer = None
            else:
                yield event
    except DatabaseError as error:
        if gatherer is not None and not stopped and (batch := gatherer.flush()) is not None:
            yield arrived(batch)
        if cancelling and error.cancelled and gatherer is not None:
            yield ResultEnded("", None, count(), seconds(), truncated=True, cancelled=True)
        else:
            yield RunFailed(error, seconds())


class DatabaseConnection:
    """Opened with `open_now` (blocks). `submit` runs work on its thread; `close` from anywhere."""

    def __init__(
        self, link: Link, tunnel: Tunnel, backend: Backend, facts: ServerFacts, thread: ThreadPoolExecutor
    ) -> None:
        self.backend = backend
        self.facts = facts
        self.session: str = tunnel.facts.session
        self._link = link
        self._thread = thread
        self._closed = False

    @classmethod
    def open_now(cls, link: Link, token: m.Token, catalog: str, purpose: str = "console") -> DatabaseConnection:
        """Asks the bastion for a session, connects and logs in.

        Raises Refused, LinkError, DatabaseError, EngineNotSupported.
        """
        tunnel = Tunnel.open(link, token.id, purpose)
        # The token as the password suits every policy: a hosted account's own secret is put in place by the bastion.
        login = Login(
            user=token.account if token.account != "*" else token.user,
            password=token.token,
            catalog=entry_catalog(token.engine, catalog),
            program=PROGRAM,
            service=token.service,
            sid=token.sid,
        )
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"casemate-{purpose}")
        try:
            backend = backend_for(tunnel.facts.engine, tunnel, login)
            facts = thread.submit(contextvars.copy_context().run, backend.connect).result()
        except BaseException:
            tunnel.close()
            thread.shutdown(wait=False)
            raise
        return cls(link, tunnel, backend, facts, thread)

    def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Runs `work` on the connection's thread, after what was submitted before."""
        try:
            return self._thread.submit(work, *args, **kwargs)
        except RuntimeError as error:
            raise DatabaseError(
                "The connection to the database is closed. Connect again.", connection_lost=True
            ) from error

    def cancel_now(self) -> bool:
        """Asks the bastion to cancel what runs. Blocks; not on the connection's thread's statement. Never raises."""
        try:
            taken: bool = self._link.call_now(methods.SESSION_CANCEL, methods.ById(id=self.session))
            return taken or self.backend.stop_fetching()
        except (Refused, LinkError) as error:
            log.info("cancel was not taken: %s", error)
            return False

    def close(self) -> None:
        """Ends the connection. What still runs is cancelled by the bastion when the tunnel closes."""
        if self._closed:
            return
        self._closed = True
        closing = self._thread.submit(self.backend.close)
        try:
            closing.result(2)
        except concurrent.futures.TimeoutError:
            # A statement runs: closing the way under it makes the driver give up, and the bastion cancel.
            self.backend.abandon()
        self._thread.shutdown(wait=False)
