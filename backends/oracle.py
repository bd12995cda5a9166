"""Oracle through python-oracledb's thin mode: rows are read as they are asked for.

What the driver keeps from us, and what is done about it:

- it dials TCP only: the way is a loopback port that takes this one connection; out-of-band breaks cannot pass;
- it gives Python values: `oracle_values` makes their text;
- Oracle has no BEGIN: a transaction begins with its first change. `begin` turns the driver's autocommit off until the
  transaction is over;
- what DBMS_OUTPUT has is asked for after each block, from the first block on.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, ClassVar

import oracledb

from bastion.api.language import translate as _

from . import oracle_plan
from .dialect import OracleDialect
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
from .oracle_catalog import OracleCatalog
from .oracle_errors import error_of
from .oracle_values import LOB_LENGTH, column_of, fetched_exactly, has_lost_zone, lob_text, text_of
from .plan import Plan
from .plsql_units import is_block
from .statements import first_word
from .tunnel import Way

CONNECT_SECONDS = 30.0
CHUNK_ROWS = 100
OUTPUT_LINES = 500
"""Lines of DBMS_OUTPUT that are asked for at a time."""
MOST_OUTPUT = 5_000
"""Lines of one statement that are shown; the rest is counted only."""
MOST_CURSORS = 50
"""Cursors in the values of one result that are shown as results."""

_CHANGES = frozenset({"insert", "update", "delete", "merge"})


class OracleBackend(Backend):
    """One connection to Oracle."""

    engine: ClassVar[str] = "oracle"
    dialect = OracleDialect()

    def __init__(self, way: Way, login: Login) -> None:
        self._way, self._login = way, login
        self._connection: Any = None
        self._lost = False
        self._held = False
        """A transaction was begun while autocommit is on."""
        self._listening = False
        """DBMS_OUTPUT is enabled."""
        self._fetching = self._stopped = False

    def connect(self) -> ServerFacts:
        service = self._login.service or ("" if self._login.sid else self._login.catalog)
        if not service and not self._login.sid:
            raise DatabaseError(_("This database has no service name: an administrator has to declare it."))
        try:
            self._connection = oracledb.connect(
                user=self._login.user, password=self._login.password, host="127.0.0.1", port=self._way.loopback_port(),
                service_name=service or None, sid=None if service else self._login.sid, program=self._login.program,
                tcp_connect_timeout=CONNECT_SECONDS, disable_oob=True, retry_count=0,
            )  # fmt: skip
        except (oracledb.Error, OSError) as error:
            failure = getattr(self._way, "failure", None)
            if failure:
                raise DatabaseError(failure, connection_lost=True) from error
            raise self._error(error, "") from error
        self._connection.outputtypehandler = fetched_exactly
        self._connection.autocommit = True
        return ServerFacts(version=str(self._connection.version), catalog=service or self._login.sid)

    def execute(self, text: str) -> Iterator[Event]:
        block = is_block(text)
        if block and not self._listening:
            self._order("begin dbms_output.enable(null); end;")
            self._listening = True
        before = self.transaction()
        try:
            yield from self._run(text)
        except DatabaseError as error:
            if block and not error.connection_lost:
                yield from self._said()
            raise
        finally:
            self._look_at_transaction(text, before)
        if block:
            yield from self._said()

    def transaction(self) -> TransactionState:
        connection = self._connection
        if connection is None or self._lost:
            return TransactionState.UNKNOWN
        try:
            return TransactionState.OPEN if self._held or connection.transaction_in_progress else TransactionState.NONE
        except oracledb.Error:
            return TransactionState.UNKNOWN

    def set_autocommit(self, on: bool) -> None:
        if on and self.transaction() is TransactionState.OPEN:
            raise DatabaseError("A transaction is open. Commit it or roll it back before autocommit is turned on.")
        self.autocommit = on
        self._open_connection().autocommit = on

    def begin(self) -> None:
        self._open_connection().autocommit = False
        self._held = True

    def commit(self) -> None:
        self._end("commit")

    def rollback(self) -> None:
        self._end("rollback")

    def explain(self, text: str, *, measured: bool) -> Plan:
        """The rows of the plan are taken back by a savepoint, so that an open transaction goes on as it was; where none
        was open, by a rollback."""
        if measured:
            raise DatabaseError(_("Oracle's plans are not measured here: only what the optimizer expects is shown."))
        connection = self._open_connection()
        before = self.transaction()
        connection.autocommit = False
        mark, name = f"casemate_{secrets.token_hex(6)}", "casemate_plan"
        try:
            self._order(f"savepoint {name}")
            begun = oracle_plan.asking(mark, text)
            try:
                self._order(begun)
            except DatabaseError as error:
                raise error.moved(len(text) - len(begun)) from None
            rows = self._all_rows(oracle_plan.reading(mark))
            return oracle_plan.read(rows)
        finally:
            if not self._lost:
                self._order(f"rollback to savepoint {name}")
                if before is not TransactionState.OPEN:
                    self._end("rollback")
                connection.autocommit = self.autocommit and not self._held

    @property
    def catalog(self) -> OracleCatalog:
        self._open_connection()
        return OracleCatalog(self._all_rows, self._limit_time)

    def stop_fetching(self) -> bool:
        self._stopped = self._fetching
        return self._stopped

    def close(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except (oracledb.Error, OSError):
                self._lost = True
        self._way.close()

    def abandon(self) -> None:
        self._way.close()

    # -- inside

    def _open_connection(self) -> Any:
        if self._connection is None or self._lost:
            raise DatabaseError("The connection to the database is closed. Connect again.", connection_lost=True)
        return self._connection

    def _limit_time(self, seconds: int) -> None:
        """The driver sends a break after so long."""
        self._open_connection().call_timeout = seconds * 1000

    def _end(self, how: str) -> None:
        connection = self._open_connection()
        try:
            getattr(connection, how)()
        except (oracledb.Error, OSError) as error:
            raise self._error(error, "") from error
        self._held = False
        connection.autocommit = self.autocommit

    def _look_at_transaction(self, text: str, before: TransactionState) -> None:
        """A transaction that was begun is over when the server says so, or when the statement has ended it."""
        if not self._held or self._lost:
            return
        over = first_word(text, self.engine) in ("commit", "rollback", "create", "alter", "drop", "truncate")
        if over and before is TransactionState.OPEN and not self._connection.transaction_in_progress:
            self._held = False
            self._connection.autocommit = self.autocommit

    def _run(self, text: str) -> Iterator[Event]:
        connection = self._open_connection()
        cursor = None
        self._stopped = False
        try:
            cursor = connection.cursor()
            cursor.arraysize = cursor.prefetchrows = CHUNK_ROWS
            cursor.execute(text)
            if cursor.warning is not None:
                yield Notice("WARNING", str(cursor.warning))
            if cursor.description is not None:
                yield from self._rows(cursor)
                return
            results = _implicit_results(cursor) if is_block(text) else []
            for result in results:
                result.arraysize = CHUNK_ROWS
                yield from self._rows(result)
            if not results:
                yield Finished("", int(cursor.rowcount) if first_word(text, self.engine) in _CHANGES else None)
        except (oracledb.Error, OSError, UnicodeError, ValueError, OverflowError) as error:
            raise self._error(error, text) from error
        finally:
            if cursor is not None and not self._lost:
                cursor.close()

    def _rows(self, cursor: Any) -> Iterator[Event]:
        described = list(cursor.description)
        columns = tuple(column_of(one) for one in described)
        reader = _Reader(columns, [one.type_code.name.removeprefix("DB_TYPE_") for one in described])
        yield Started(columns)
        zones = [one.name for one in described if has_lost_zone(one)]
        count = 0
        self._fetching = True
        try:
            while rows := cursor.fetchmany(CHUNK_ROWS):
                count += len(rows)
                yield Rows([reader.row(row) for row in rows])
                if self._stopped:
                    raise DatabaseError(_("The rest of the rows was not asked for."), cancelled=True)
        finally:
            self._fetching = False
        yield Finished("", count)
        if zones and count:
            told = _("The driver gives {columns} without the time zone.").format(columns=", ".join(zones))
            yield Notice("INFO", told)
        if reader.cut:
            yield Notice("INFO", _("{count} values are cut after {length} characters or bytes.").format(
                count=reader.cut, length=f"{LOB_LENGTH:,}"))  # fmt: skip
        for below in reader.cursors:
            below.arraysize = CHUNK_ROWS
            yield from self._rows(below)
        if reader.unread:
            yield Notice("INFO", _("{count} more cursors were not read.").format(count=reader.unread))

    def _said(self) -> Iterator[Notice]:
        """What the blocks have put into DBMS_OUTPUT since it was last asked."""
        connection = self._open_connection()
        told = 0
        with connection.cursor() as cursor:
            lines = cursor.arrayvar(oracledb.DB_TYPE_VARCHAR, OUTPUT_LINES, 32767)
            count = cursor.var(oracledb.DB_TYPE_NUMBER)
            while True:
                count.setvalue(0, OUTPUT_LINES)
                try:
                    cursor.execute("begin dbms_output.get_lines(:lines, :count); end;", [lines, count])
                except (oracledb.Error, OSError) as error:
                    raise self._error(error, "") from error
                got = int(count.getvalue() or 0)
                for line in lines.getvalue()[:got]:
                    told += 1
                    if told <= MOST_OUTPUT:
                        yield Notice("INFO", line or "")
                if got < OUTPUT_LINES:
                    break
        if told > MOST_OUTPUT:
            yield Notice("INFO", _("{count} more messages").format(count=told - MOST_OUTPUT))

    def _order(self, text: str) -> None:
        for _event in self._run(text):
            pass

    def _all_rows(self, text: str) -> list[Row]:
        found: list[Row] = []
        for event in self._run(text):
            if isinstance(event, Rows):
                found.extend(event.rows)
        return found

    def _error(self, error: Exception, text: str) -> DatabaseError:
        told = error_of(error, text)
        self._lost = self._lost or told.connection_lost
        return told


def _implicit_results(cursor: Any) -> list[Any]:
    """What DBMS_SQL.RETURN_RESULT has given back."""
    try:
        return list(cursor.getimplicitresults())
    except oracledb.InterfaceError as error:
        if getattr(error.args[0], "full_code", "") == "DPY-1004":  # the driver's words for none
            return []
        raise


class _Reader:
    """Makes text of the rows of one result."""

    def __init__(self, columns: tuple[Column, ...], kinds: list[str]) -> None:
        self._columns, self._kinds = columns, kinds
        self.cursors: list[Any] = []
        self.cut = self.unread = 0

    def row(self, values: tuple[Any, ...]) -> Row:
        return tuple(self._cell(value, kind) for value, kind in zip(values, self._kinds, strict=True))

    def _cell(self, value: Any, kind: str) -> Cell:
        if isinstance(value, oracledb.LOB):
            text, left = lob_text(value)
            self.cut += left > 0
            return text
        if isinstance(value, oracledb.Cursor):
            if len(self.cursors) >= MOST_CURSORS:
                self.unread += 1
                return _("a cursor")
            self.cursors.append(value)
            return _("cursor {number}").format(number=len(self.cursors))
        return text_of(value, kind)
