"""PostgreSQL through psycopg's libpq layer.

Statements go by the simple query protocol, as typed, one at a time. Rows come in chunks (chunked rows mode), so a
million of them never sit in libpq's memory. Values are the server's text: psycopg's adaptation is not used.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from typing import ClassVar

import psycopg
from psycopg import pq

from . import postgres_plan
from .dialect import PostgresDialect
from .interface import (
    Backend,
    Column,
    DatabaseError,
    Event,
    Finished,
    Kind,
    Login,
    Notice,
    Origin,
    Row,
    Rows,
    ServerFacts,
    Started,
    TransactionState,
)
from .plan import Plan
from .postgres_catalog import PostgresCatalog
from .tunnel import Way

CONNECT_SECONDS = 30
CHUNK_ROWS = 8
"""Rows that libpq holds back until there are as many; the server itself holds back 8 KB."""
QUIET_SECONDS = 0.2
"""After so long without anything from the server, what has come is passed on."""
PORT = 5432
"""Only names the socket file; libpq wants one."""
QUERY_CANCELED = "57014"

_KINDS = {
    16: Kind.BOOLEAN, 17: Kind.BINARY, 20: Kind.NUMBER, 21: Kind.NUMBER, 23: Kind.NUMBER, 26: Kind.NUMBER,
    114: Kind.JSON, 700: Kind.NUMBER, 701: Kind.NUMBER, 1082: Kind.TIME, 1083: Kind.TIME, 1114: Kind.TIME,
    1184: Kind.TIME, 1186: Kind.TIME, 1266: Kind.TIME, 1700: Kind.NUMBER, 3802: Kind.JSON,
}  # fmt: skip
"""Type OIDs of pg_type.dat."""


class PostgresBackend(Backend):
    """One PostgreSQL connection."""

    engine: ClassVar[str] = "postgresql"
    dialect = PostgresDialect()

    def __init__(self, way: Way, login: Login) -> None:
        self._way, self._login = way, login
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._notices: list[Notice] = []

    def connect(self) -> ServerFacts:
        try:
            folder = self._way.unix_socket_folder(PORT)
            self._connection = psycopg.connect(
                host=str(folder),
                port=PORT,
                user=self._login.user,
                password=self._login.password,
                dbname=self._login.catalog or self._login.user,
                application_name=self._login.program,
                client_encoding="UTF8",
                connect_timeout=CONNECT_SECONDS,
                autocommit=True,
                sslmode="disable",
                gssencmode="disable",
            )
        except psycopg.Error as error:
            raise _connect_error(error, getattr(self._way, "failure", None)) from error
        self._connection.add_notice_handler(self._noticed)
        info = self._connection.info
        return ServerFacts(version=info.parameter_status("server_version") or "", catalog=info.dbname)

    def execute(self, text: str) -> Iterator[Event]:
        connection = self._open_connection()
        if not self.autocommit and self.transaction() is TransactionState.NONE:
            yield from self._run(connection.pgconn, "BEGIN", quiet=True)
        yield from self._run(connection.pgconn, text, quiet=False)

    def transaction(self) -> TransactionState:
        if self._connection is None or self._connection.closed:
            return TransactionState.UNKNOWN
        status = self._connection.pgconn.transaction_status
        if status == pq.TransactionStatus.IDLE:
            return TransactionState.NONE
        if status == pq.TransactionStatus.INERROR:
            return TransactionState.FAILED
        return TransactionState.UNKNOWN if status == pq.TransactionStatus.UNKNOWN else TransactionState.OPEN

    def set_autocommit(self, on: bool) -> None:
        if on and self.transaction() is TransactionState.OPEN:
            raise DatabaseError("A transaction is open. Commit it or roll it back before autocommit is turned on.")
        self.autocommit = on

    def begin(self) -> None:
        self._order("BEGIN")

    def commit(self) -> None:
        failed = self.transaction() is TransactionState.FAILED
        self._order("COMMIT")
        if failed:
            raise DatabaseError("The transaction had failed: the database rolled it back instead of committing it.")

    def rollback(self) -> None:
        self._order("ROLLBACK")

    def explain(self, text: str, *, measured: bool) -> Plan:
        order = postgres_plan.order(measured=measured)
        # An error would end the person's transaction with it.
        guarded = self.transaction() is TransactionState.OPEN
        if guarded:
            self._order("SAVEPOINT casemate_plan")
        try:
            rows = self._all_rows(order + text)
        except DatabaseError as error:
            if guarded and not error.connection_lost:
                self._order("ROLLBACK TO SAVEPOINT casemate_plan")
            raise error.moved(-len(order)) from None
        if guarded:
            self._order("RELEASE SAVEPOINT casemate_plan")
        return postgres_plan.read("\n".join(str(row[0]) for row in rows), measured=measured)

    @property
    def catalog(self) -> PostgresCatalog:
        return PostgresCatalog(self._all_rows, self._open_connection().info.server_version)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._way.close()

    def abandon(self) -> None:
        self._way.close()

    # -- inside

    def _open_connection(self) -> psycopg.Connection[tuple[object, ...]]:
        if self._connection is None or self._connection.closed:
            raise DatabaseError("The connection to the database is closed. Connect again.", connection_lost=True)
        return self._connection

    def _order(self, text: str) -> None:
        for _ in self._run(self._open_connection().pgconn, text, quiet=True):
            pass

    def _all_rows(self, text: str) -> list[Row]:
        found: list[Row] = []
        for event in self._run(self._open_connection().pgconn, text, quiet=False):
            if isinstance(event, Rows):
                found.extend(event.rows)
        return found

    def _run(self, pgconn: pq.abc.PGconn, text: str, *, quiet: bool) -> Iterator[Event]:
        done = False
        try:
            if "\0" in text:
                done = True
                raise DatabaseError(
                    "The statement holds a NUL character, which PostgreSQL does not take.", position=text.index("\0")
                )
            pgconn.send_query(text.encode("utf-8", "replace"))
            _flush(pgconn)
            pgconn.set_chunked_rows_mode(CHUNK_ROWS)
            for event in self._results(pgconn):
                if not quiet:
                    yield event
            done = True
        except psycopg.Error as error:
            done = True
            raise self._lost(error) from error
        except DatabaseError:
            done = True
            raise
        finally:
            if not done:
                self._read_away(pgconn)

    def _results(self, pgconn: pq.abc.PGconn) -> Iterator[Event]:
        columns: tuple[Column, ...] | None = None
        rows = 0
        failure: DatabaseError | None = None
        unsaid = False
        while True:
            if not _result_came(pgconn, QUIET_SECONDS if unsaid else None):
                yield from self._taken_notices()
                yield Rows(())
                unsaid = False
                continue
            result = pgconn.get_result()
            if result is None:
                break
            unsaid = True
            yield from self._taken_notices()
            status = result.status
            if status in (pq.ExecStatus.TUPLES_CHUNK, pq.ExecStatus.SINGLE_TUPLE, pq.ExecStatus.TUPLES_OK):
                if columns is None:
                    columns = self._columns(result)
                    yield Started(columns)
                if result.ntuples:
                    rows += result.ntuples
                    yield Rows(_rows(result))
                if status == pq.ExecStatus.TUPLES_OK:
                    yield Finished(_status(result), _affected(result, rows))
                    columns, rows = None, 0
            elif status == pq.ExecStatus.COMMAND_OK:
                yield Finished(_status(result), _affected(result, None))
            elif status == pq.ExecStatus.COPY_IN:
                pgconn.put_copy_end(b"the console sends no data; use a client for COPY FROM STDIN")
                _flush(pgconn)
            elif status == pq.ExecStatus.COPY_OUT:
                yield from _copied(pgconn)
            elif status == pq.ExecStatus.EMPTY_QUERY:
                yield Finished("", None)
            else:
                failure = failure or _statement_error(result)
        yield from self._taken_notices()
        if failure is not None:
            raise failure

    def _columns(self, result: pq.abc.PGresult) -> tuple[Column, ...]:
        types = psycopg.adapters.types
        columns = []
        for index in range(result.nfields):
            oid = result.ftype(index)
            known = types.get(oid)
            name = known.name if known is not None else f"type {oid}"
            if known is not None and known.array_oid == oid:
                name += "[]"
            label = (result.fname(index) or b"").decode("utf-8", "replace")
            table = result.ftable(index)
            origin = Origin(table_oid=table, column_number=result.ftablecol(index)) if table else None
            columns.append(Column(label, name, _KINDS.get(oid, Kind.TEXT), origin))
        return tuple(columns)

    def _noticed(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if len(self._notices) < 1000:
            self._notices.append(Notice(diagnostic.severity or "NOTICE", diagnostic.message_primary or ""))

    def _taken_notices(self) -> list[Notice]:
        taken, self._notices = self._notices, []
        return taken

    def _lost(self, error: psycopg.Error) -> DatabaseError:
        lost = self._connection is None or self._connection.pgconn.status != pq.ConnStatus.OK
        return DatabaseError(_first_lines(str(error)), connection_lost=lost)

    def _read_away(self, pgconn: pq.abc.PGconn) -> None:
        """The rest of a statement that nobody wants any more, so that the next one can be sent."""
        try:
            while (result := _next_result(pgconn)) is not None:
                if result.status == pq.ExecStatus.COPY_OUT:
                    for _ in _copied(pgconn):
                        pass
        except psycopg.Error:
            return


def _flush(pgconn: pq.abc.PGconn) -> None:
    while pgconn.flush():
        readable, _, _ = select.select([pgconn.socket], [pgconn.socket], [])
        if readable:
            pgconn.consume_input()


def _result_came(pgconn: pq.abc.PGconn, limit: float | None) -> bool:
    """Waits until a result can be taken; False when the server is silent for `limit` seconds."""
    while pgconn.is_busy():
        # Nothing is read ahead: libpq would move what it holds, once for every result.
        readable, _, _ = select.select([pgconn.socket], [], [], limit)
        if not readable:
            return False
        pgconn.consume_input()
    return True


def _next_result(pgconn: pq.abc.PGconn) -> pq.abc.PGresult | None:
    # Without a limit: a statement may take hours; cancelling ends it.
    _result_came(pgconn, None)
    return pgconn.get_result()


def _rows(result: pq.abc.PGresult) -> list[Row]:
    value = result.get_value
    width = range(result.nfields)
    return [
        tuple(None if (cell := value(row, column)) is None else cell.decode("utf-8", "replace") for column in width)
        for row in range(result.ntuples)
    ]


def _copied(pgconn: pq.abc.PGconn) -> Iterator[Event]:
    """The lines of COPY … TO STDOUT as a result of one column; the result that follows says how many."""
    yield Started((Column("copy", "text", Kind.TEXT),))
    lines: list[Row] = []
    while True:
        size, data = pgconn.get_copy_data(1)
        if size == 0:
            select.select([pgconn.socket], [], [])
            pgconn.consume_input()
            continue
        if size < 0:
            break
        lines.append((bytes(data).decode("utf-8", "replace").rstrip("\n"),))
        if len(lines) >= CHUNK_ROWS:
            yield Rows(lines)
            lines = []
    if lines:
        yield Rows(lines)


def _status(result: pq.abc.PGresult) -> str:
    return (result.command_status or b"").decode("utf-8", "replace")


def _affected(result: pq.abc.PGresult, rows: int | None) -> int | None:
    count = result.command_tuples
    return rows if count is None else count


def _field(result: pq.abc.PGresult, field: pq.DiagnosticField) -> str:
    value = result.error_field(field)
    return value.decode("utf-8", "replace") if value else ""


def _statement_error(result: pq.abc.PGresult) -> DatabaseError:
    position = _field(result, pq.DiagnosticField.STATEMENT_POSITION)
    code = _field(result, pq.DiagnosticField.SQLSTATE)
    severity = _field(result, pq.DiagnosticField.SEVERITY_NONLOCALIZED)
    message = _field(result, pq.DiagnosticField.MESSAGE_PRIMARY)
    if not message:
        message = _first_lines(result.error_message.decode("utf-8", "replace"))
    return DatabaseError(
        message,
        code=code,
        position=int(position) - 1 if position.isdigit() else None,
        detail=_field(result, pq.DiagnosticField.MESSAGE_DETAIL),
        hint=_field(result, pq.DiagnosticField.MESSAGE_HINT),
        cancelled=code == QUERY_CANCELED,
        connection_lost=severity in ("FATAL", "PANIC") or not code,
    )


def _connect_error(error: psycopg.Error, tunnel_failure: str | None) -> DatabaseError:
    if tunnel_failure:
        return DatabaseError(tunnel_failure, connection_lost=True)
    text = str(error)
    # libpq puts its own account of the socket before the server's words, which are what counts.
    _, mark, words = text.partition("FATAL:  ")
    return DatabaseError(_first_lines(words if mark else text), code=error.sqlstate or "", connection_lost=True)


def _first_lines(text: str) -> str:
    return "\n".join(line for line in text.strip().splitlines()[:8] if line.strip())
