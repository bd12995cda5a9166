"""SQL Server through pymssql (FreeTDS): rows are read as they are asked for.

What the driver keeps from us, and what is done about it (pymssql 2.4, `_mssql.pyx`):

- it dials TCP only: the way is a loopback port that takes this one connection;
- it gives Python values and the class of a column's type, not the type: the type's name is read off the values, whose
  text is made in SQL Server's usual form; the seventh digit of a second is lost, and a sql_variant is its bytes;
- of a failed login it gives number and words only for the first one of a process (`sqlserver_refusal`);
- an error ends the statement: results behind it are given up, as the driver cancels them;
- the state of the transaction is not passed on: it is asked for after statements that can change it.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from pymssql import _mssql

from bastion.api.language import translate as _

from . import sqlserver_plan
from .dialect import SqlserverDialect
from .interface import (
    Backend,
    Cell,
    Column,
    DatabaseError,
    Event,
    Finished,
    Login,
    Notice,
    Row,
    Rows,
    ServerFacts,
    Started,
    TransactionState,
)
from .plan import Plan
from .sqlserver_catalog import SqlserverCatalog
from .sqlserver_refusal import login_refusals
from .sqlserver_values import columns_of, text_of
from .statements import first_word
from .tunnel import Way

CONNECT_SECONDS = 30
CHUNK_ROWS = 64
MOST_MESSAGES = 1000
"""Of one statement; what comes behind them is counted only."""

_SETTINGS = (
    "SET ARITHABORT, CONCAT_NULL_YIELDS_NULL, ANSI_NULLS, ANSI_NULL_DFLT_ON, ANSI_PADDING, ANSI_WARNINGS, "
    "QUOTED_IDENTIFIER ON; "
    "SET TEXTSIZE 2147483647"
)
"""What programs of SQL Server begin with, so that indexed views and computed columns can be used."""
_PLAIN = frozenset({"select", "insert", "update", "delete", "merge", "with", "create", "alter", "drop", "print", "use"})
"""First words of statements that leave the transaction's state alone, unless one of the words below is in them."""
_STATE_WORDS = re.compile(
    r"\b(?:tran|transaction|commit|rollback|exec|execute|implicit_transactions|xact_abort)\b", re.I
)
_CONTEXT_MESSAGES = ("Changed database context to ", "Changed language setting to ")
_mssql.min_error_severity = 11
"""Below it a message is no error (Microsoft, "Database Engine error severities"); the driver says 6."""
_CANCELLED = ("cancelled by the bastion", "Operation cancelled by user")
_DRIVERS_NUMBER = re.compile(r"DB-Lib error message (\d+)")
_CONNECTION_NUMBERS = {20002, 20003, 20004, 20006, 20009, 20017, 20047}
"""FreeTDS: the server is not there, does not answer, or is gone (include/sybdb.h)."""


class SqlserverBackend(Backend):
    """One connection to SQL Server."""

    engine: ClassVar[str] = "sqlserver"
    dialect = SqlserverDialect()

    def __init__(self, way: Way, login: Login) -> None:
        self._way, self._login = way, login
        self._connection: Any = None
        self._messages: list[tuple[int, int, str]] = []
        self._dropped = 0
        self._lost = False
        self._state = TransactionState.NONE
        self._catalog_name = ""

    def connect(self) -> ServerFacts:
        try:
            port = self._way.loopback_port()
            with _undisturbed():
                _mssql.login_timeout = CONNECT_SECONDS
                # The tunnel is encrypted: no TLS inside it.
                self._connection = _mssql.MSSQLConnection(
                    server="127.0.0.1", port=str(port), user=self._login.user, password=self._login.password,
                    charset="UTF-8", database=self._login.catalog, appname=self._login.program, encryption="off",
                    conn_properties=_SETTINGS,
                )  # fmt: skip
        except (_mssql.MSSQLException, OSError) as error:
            failure = getattr(self._way, "failure", None)
            if failure:
                raise DatabaseError(failure, connection_lost=True) from error
            raise self._login_error(error) from error
        self._connection.set_msghandler(self._heard)
        [[version, catalog]] = self._all_rows(
            "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(64)), DB_NAME()"
        )
        self._catalog_name = str(catalog or "")
        return ServerFacts(version=str(version or ""), catalog=self._catalog_name)

    def execute(self, text: str) -> Iterator[Event]:
        if not self.autocommit and self._state is TransactionState.NONE:
            self._order("BEGIN TRANSACTION")
            self._state = TransactionState.OPEN
        failed = False
        try:
            yield from self._run(text)
        except DatabaseError:
            failed = True
            raise
        finally:
            self._look_at_transaction(text, failed=failed)

    def transaction(self) -> TransactionState:
        return TransactionState.UNKNOWN if self._connection is None or self._lost else self._state

    def set_autocommit(self, on: bool) -> None:
        if on and self.transaction() in (TransactionState.OPEN, TransactionState.FAILED):
            raise DatabaseError("A transaction is open. Commit it or roll it back before autocommit is turned on.")
        self.autocommit = on

    def begin(self) -> None:
        self._order("BEGIN TRANSACTION")
        self._ask_state()

    def commit(self) -> None:
        try:
            self._order("COMMIT")
        finally:
            self._ask_state()

    def rollback(self) -> None:
        try:
            self._order("ROLLBACK")
        finally:
            self._ask_state()

    def explain(self, text: str, *, measured: bool) -> Plan:
        setting = "STATISTICS XML" if measured else "SHOWPLAN_XML"
        self._order(f"SET {setting} ON")
        found: list[Row] = []
        plan = ""
        try:
            for event in self._run(text):
                if isinstance(event, Started):
                    found = []
                elif isinstance(event, Rows):
                    found.extend(event.rows)
                elif isinstance(event, Finished) and found and sqlserver_plan.is_plan(found[0]):
                    plan = _as_text(found[0][0])
        finally:
            if not self._lost:
                self._order(f"SET {setting} OFF")
        if not plan:
            raise DatabaseError("The server gave no plan for this statement.")
        return sqlserver_plan.read(plan, measured=measured)

    @property
    def catalog(self) -> SqlserverCatalog:
        self._open_connection()
        return SqlserverCatalog(self._all_rows)

    def close(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except _mssql.MSSQLException:
                self._lost = True
        self._way.close()

    def abandon(self) -> None:
        self._way.close()

    # -- inside

    def _open_connection(self) -> Any:
        if self._connection is None or self._lost or not self._connection.connected:
            raise DatabaseError("The connection to the database is closed. Connect again.", connection_lost=True)
        return self._connection

    def _heard(self, _state: int, severity: int, _server: bytes, _procedure: bytes, line: int, text: bytes) -> None:
        """The driver's message handler: called while it reads, with everything that the server says beside rows."""
        if len(self._messages) >= MOST_MESSAGES:
            self._dropped += 1
        else:
            self._messages.append((severity, line, text.decode("utf-8", "replace")))

    def _told(self) -> Iterator[Notice]:
        """What was said since it was last asked, errors left out."""
        messages, self._messages = self._messages, []
        for severity, _line, text in messages:
            if severity <= 10 and not text.startswith(_CONTEXT_MESSAGES):
                yield Notice("INFO" if severity == 0 else f"WARNING {severity}", text)
        if self._dropped:
            yield Notice("INFO", _("{count} more messages").format(count=self._dropped))
            self._dropped = 0

    def _run(self, text: str) -> Iterator[Event]:
        connection = self._open_connection()
        self._messages, self._dropped = [], 0
        ended = False
        try:
            connection.execute_query(text)
            results = 0
            while True:
                header = connection.get_header()
                yield from self._told()
                if header:
                    results += 1
                    yield from self._rows(connection, header)
                elif not results:
                    affected = int(connection.rows_affected)
                    yield Finished("", affected if affected >= 0 else None)
                    results += 1
                if not connection.nextresult():
                    break
            yield from self._told()
            ended = True
        except (_mssql.MSSQLException, OSError, UnicodeError, ValueError, OverflowError) as error:
            ended = True
            told = self._error(error, text)
            yield from self._told()
            raise told from error
        finally:
            if not ended:
                self._read_away(connection)

    def _rows(self, connection: Any, header: Any) -> Iterator[Event]:
        rows: list[tuple[Any, ...]] = []
        columns: tuple[Column, ...] = ()
        count = 0
        for row in connection.get_iterator(_mssql.ROW_FORMAT_TUPLE):
            rows.append(row)
            if len(rows) >= CHUNK_ROWS:
                if not columns:
                    columns = columns_of(header, rows)
                    yield Started(columns)
                count += len(rows)
                yield Rows(_texts(columns, rows))
                rows = []
                yield from self._told()
        if not columns:
            columns = columns_of(header, rows)
            yield Started(columns)
        if rows:
            count += len(rows)
            yield Rows(_texts(columns, rows))
        yield Finished("", count)
        yield from self._told()

    def _order(self, text: str) -> None:
        for _event in self._run(text):
            pass

    def _all_rows(self, text: str) -> list[Row]:
        found: list[Row] = []
        for event in self._run(text):
            if isinstance(event, Rows):
                found.extend(event.rows)
        return found

    def _look_at_transaction(self, text: str, *, failed: bool) -> None:
        """Asks for the state where the statement can have changed it."""
        open_before = self._state is not TransactionState.NONE
        plain = first_word(text, self.engine) in _PLAIN and _STATE_WORDS.search(text) is None
        if not plain or (failed and open_before):
            try:
                self._ask_state()
            except DatabaseError:
                self._state = TransactionState.UNKNOWN

    def _ask_state(self) -> None:
        if self._lost or self._connection is None or not self._connection.connected:
            self._state = TransactionState.UNKNOWN
            return
        [[count, state]] = self._all_rows("SELECT @@TRANCOUNT, XACT_STATE()")
        if count == "0":
            self._state = TransactionState.NONE
        else:
            self._state = TransactionState.FAILED if state == "-1" else TransactionState.OPEN

    def _read_away(self, connection: Any) -> None:
        """The rest of a statement that nobody wants any more."""
        try:
            connection.cancel()
        except (_mssql.MSSQLException, OSError):
            self._lost = not connection.connected

    def _login_error(self, error: Exception) -> DatabaseError:
        refusals = login_refusals(self._way.beginning())
        if refusals:
            gravest = max(refusals, key=lambda refusal: refusal.severity)
            detail = "\n".join(refusal.text for refusal in refusals if refusal is not gravest)
            return DatabaseError(gravest.text, code=str(gravest.number), detail=detail, connection_lost=True)
        number = _DRIVERS_NUMBER.search(_raw_words(error))
        if number is None:
            return DatabaseError(
                _("The server hung up or said nothing while the login went on. Connect again or ask an administrator."),
                connection_lost=True,
            )
        return DatabaseError(_own_words(error), code=number[1], connection_lost=True)

    def _error(self, error: Exception, text: str) -> DatabaseError:
        said = [(severity, line, words) for severity, line, words in self._messages if severity > 10]
        self._messages = [one for one in self._messages if one[0] <= 10]
        number = int(getattr(error, "number", 0) or 0)
        connection = self._connection
        lost = connection is None or not connection.connected or number in _CONNECTION_NUMBERS
        self._lost = self._lost or lost
        if said:
            worst = max(range(len(said)), key=lambda at: said[at][0])
            _severity, line, message = said.pop(worst)
            detail = "\n".join(words for _severity, _line, words in said)
        else:
            message, line, detail = _own_words(error), 0, ""
        cancelled = any(words in message for words in _CANCELLED)
        return DatabaseError(
            message,
            code=str(number or ""),
            position=sqlserver_plan.position(text, line, message) if text else None,
            detail=detail,
            cancelled=cancelled,
            connection_lost=lost,
        )


def _texts(columns: tuple[Column, ...], rows: list[tuple[Any, ...]]) -> list[Row]:
    """Rows as text, each value in the form of its column's type."""
    names = [column.type_name for column in columns]
    return [tuple(text_of(value, name) for value, name in zip(row, names, strict=True)) for row in rows]


def _as_text(cell: Cell) -> str:
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell or ""


def _raw_words(error: Exception) -> str:
    words = error.args[0] if error.args else ""
    if isinstance(words, tuple) and len(words) == 2:
        words = words[1]
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)


def _own_words(error: Exception) -> str:
    """What the driver says of an error, without its decoration."""
    words = _raw_words(error)
    lines = [line for line in words.splitlines() if line and not line.startswith(("DB-Lib error", "General SQL"))]
    own = " ".join(dict.fromkeys(line.partition("DB-Lib error message")[0] for line in lines)).strip()
    return own or words or type(error).__name__


_dialling = threading.Lock()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Nothing of the environment or of files tells FreeTDS another host, port, version or log file while it logs in."""
    with _dialling:
        kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("TDS", "FREETDS"))}
        os.environ["FREETDSCONF"] = os.devnull
        try:
            yield
        finally:
            del os.environ["FREETDSCONF"]
            os.environ.update(kept)
