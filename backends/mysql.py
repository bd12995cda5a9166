"""MySQL and MariaDB through PyMySQL, unbuffered: rows are read from the socket as they are asked for.

PyMySQL's converters are off, so values are the server's text; binary strings stay bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import pymysql
from pymysql.constants import CR, ER, FIELD_TYPE, SERVER_STATUS
from pymysql.cursors import SSCursor

from . import mysql_plan
from .dialect import MysqlDialect
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
    Rows,
    ServerFacts,
    Started,
    TransactionState,
)
from .mysql_catalog import MysqlCatalog
from .plan import Plan
from .tunnel import Way

CONNECT_SECONDS = 30
CHUNK_ROWS = 64
"""Rows that are held back until there are as many; the server itself holds back 16 KB."""
BINARY_CHARSET = 63

_NUMBERS = {
    FIELD_TYPE.DECIMAL, FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.LONG, FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE,
    FIELD_TYPE.LONGLONG, FIELD_TYPE.INT24, FIELD_TYPE.YEAR, FIELD_TYPE.NEWDECIMAL,
}  # fmt: skip
_TIMES = {FIELD_TYPE.TIMESTAMP, FIELD_TYPE.DATE, FIELD_TYPE.TIME, FIELD_TYPE.DATETIME, FIELD_TYPE.NEWDATE}
_STRINGS = {
    FIELD_TYPE.VARCHAR, FIELD_TYPE.BIT, FIELD_TYPE.TINY_BLOB, FIELD_TYPE.MEDIUM_BLOB, FIELD_TYPE.LONG_BLOB,
    FIELD_TYPE.BLOB, FIELD_TYPE.VAR_STRING, FIELD_TYPE.STRING, FIELD_TYPE.GEOMETRY,
}  # fmt: skip
_NAMES = {
    FIELD_TYPE.DECIMAL: "decimal", FIELD_TYPE.NEWDECIMAL: "decimal", FIELD_TYPE.TINY: "tinyint",
    FIELD_TYPE.SHORT: "smallint", FIELD_TYPE.LONG: "int", FIELD_TYPE.INT24: "mediumint",
    FIELD_TYPE.LONGLONG: "bigint", FIELD_TYPE.VAR_STRING: "varchar", FIELD_TYPE.STRING: "char",
    FIELD_TYPE.TINY_BLOB: "tinytext", FIELD_TYPE.MEDIUM_BLOB: "mediumtext", FIELD_TYPE.LONG_BLOB: "longtext",
    FIELD_TYPE.BLOB: "text",
}  # fmt: skip
_TYPE_NAMES = {
    number: name.lower()
    for name, number in vars(FIELD_TYPE).items()
    if name.isupper() and isinstance(number, int)
} | _NAMES  # fmt: skip

_LOST = {CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, 0}
_NEAR = re.compile(r"near '(.*)' at line (\d+)", re.DOTALL)


class MySQLBackend(Backend):
    """One MySQL or MariaDB connection."""

    engine: ClassVar[str] = "mysql"
    dialect = MysqlDialect()

    def __init__(self, way: Way, login: Login) -> None:
        self._way, self._login = way, login
        self._connection: pymysql.Connection[Any] | None = None
        self._lost = False

    def connect(self) -> ServerFacts:
        connection = pymysql.Connection(
            user=self._login.user,
            password=self._login.password,
            database=self._login.catalog or None,
            charset="utf8mb4",
            conv={},
            autocommit=None,
            connect_timeout=CONNECT_SECONDS,
            local_infile=False,
            program_name=self._login.program,
            cursorclass=SSCursor,
            defer_connect=True,
        )
        try:
            connection.connect(self._way.connected_socket())
        except (pymysql.Error, OSError) as error:
            failure = getattr(self._way, "failure", None)
            if failure:
                raise DatabaseError(failure, connection_lost=True) from error
            raise self._error(error, "") from error
        self._connection = connection
        return ServerFacts(version=str(getattr(connection, "server_version", "")), catalog=self._login.catalog)

    def execute(self, text: str) -> Iterator[Event]:
        connection = self._open_connection()
        cursor = connection.cursor()
        ended = False
        try:
            affected = cursor.execute(text)
            while True:
                if cursor.description:
                    columns = _columns(connection)
                    yield Started(columns)
                    count = 0
                    while rows := cursor.fetchmany(CHUNK_ROWS):
                        count += len(rows)
                        yield Rows(rows)
                    yield Finished("", count)
                else:
                    yield Finished("", affected)
                if warnings := _warnings(connection):
                    yield Notice("WARNING", f"{warnings} (show warnings)")
                if not cursor.nextset():
                    break
                affected = cursor.rowcount
            ended = True
        except (pymysql.Error, OSError, UnicodeError) as error:
            ended = True
            raise self._error(error, text) from error
        finally:
            if not ended:
                self._read_away(cursor)

    def transaction(self) -> TransactionState:
        if self._connection is None or self._lost:
            return TransactionState.UNKNOWN
        status = int(getattr(self._connection, "server_status", 0))
        return TransactionState.OPEN if status & SERVER_STATUS.SERVER_STATUS_IN_TRANS else TransactionState.NONE

    def set_autocommit(self, on: bool) -> None:
        if on and self.transaction() is TransactionState.OPEN:
            raise DatabaseError("A transaction is open. Commit it or roll it back before autocommit is turned on.")
        self._order(f"SET autocommit = {int(on)}")
        self.autocommit = on

    def begin(self) -> None:
        self._order("START TRANSACTION")

    def commit(self) -> None:
        self._order("COMMIT")

    def rollback(self) -> None:
        self._order("ROLLBACK")
        if _warnings(self._open_connection()):
            # ER_WARNING_NOT_COMPLETE_ROLLBACK and its like: MyISAM, MEMORY and other tables without transactions.
            said = "; ".join(str(row[-1]) for row in self._all_rows("SHOW WARNINGS"))
            raise DatabaseError("Not everything was taken back.", detail=said)

    def explain(self, text: str, *, measured: bool) -> Plan:
        if self._is_mariadb():
            order = "ANALYZE FORMAT=JSON " if measured else "EXPLAIN FORMAT=JSON "
            return mysql_plan.read_json(self._plan_text(order, text), measured=measured)
        if not self._knows_trees():
            if measured:
                raise DatabaseError("This MySQL measures no plans; 8.0.18 and later do.")
            return mysql_plan.read_json(self._plan_text("EXPLAIN FORMAT=JSON ", text), measured=False)
        tree = self._plan_text("EXPLAIN ANALYZE " if measured else "EXPLAIN FORMAT=TREE ", text)
        if mysql_plan.NOT_A_TREE not in tree:
            return mysql_plan.read_tree(tree, measured=measured)
        if measured:
            raise DatabaseError("MySQL measures no UPDATE or DELETE of this kind.")
        return mysql_plan.read_json(self._first_version(text), measured=False)

    @property
    def catalog(self) -> MysqlCatalog:
        return MysqlCatalog(self._all_rows, str(getattr(self._open_connection(), "server_version", "")))

    def close(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except (pymysql.Error, OSError):
                self._lost = True
        self._way.close()

    def abandon(self) -> None:
        self._way.close()

    # -- inside

    def _open_connection(self) -> pymysql.Connection[Any]:
        if self._connection is None or self._lost or not self._connection.open:
            raise DatabaseError("The connection to the database is closed. Connect again.", connection_lost=True)
        return self._connection

    def _order(self, text: str) -> None:
        for _ in self.execute(text):
            pass

    def _all_rows(self, text: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for event in self.execute(text):
            if isinstance(event, Rows):
                found.extend(event.rows)
        return [tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in row) for row in found]

    def _plan_text(self, order: str, text: str) -> str:
        try:
            return "\n".join(str(row[0]) for row in self._all_rows(order + text))
        except DatabaseError as error:
            raise error.moved(-len(order)) from None

    def _version(self) -> str:
        return str(getattr(self._open_connection(), "server_version", ""))

    def _is_mariadb(self) -> bool:
        return "mariadb" in self._version().lower()

    def _knows_trees(self) -> bool:
        """FORMAT=TREE came with 8.0.16."""
        numbers = [int(number) for number in re.findall(r"\d+", self._version())[:3]]
        return numbers >= [8, 0, 16]

    def _first_version(self, text: str) -> str:
        """The JSON that also knows what has no tree; newer servers give another one unless they are told."""
        order = "EXPLAIN FORMAT=JSON "
        try:
            [[before]] = self._all_rows("SELECT @@explain_json_format_version")
        except DatabaseError:
            return self._plan_text(order, text)  # older than 8.3: there is only the first
        self._order("SET explain_json_format_version = 1")
        try:
            return self._plan_text(order, text)
        finally:
            self._order(f"SET explain_json_format_version = {int(before)}")

    def _read_away(self, cursor: SSCursor) -> None:
        """The rest of a statement that nobody wants any more, so that the next one can be sent."""
        try:
            cursor.close()
        except (pymysql.Error, OSError):
            self._lost = self._connection is None or not self._connection.open

    def _error(self, error: Exception, text: str) -> DatabaseError:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        message = str(error.args[1]) if len(error.args) > 1 else str(error)
        lost = isinstance(error, OSError) or (isinstance(error, pymysql.OperationalError) and number in _LOST)
        lost = lost or (isinstance(error, pymysql.err.InterfaceError))
        self._lost = self._lost or lost or (self._connection is not None and not self._connection.open)
        if number == ER.LOCK_DEADLOCK and self._connection is not None:
            # The server rolled the whole transaction back; an error carries no word of its state.
            self._connection.server_status &= ~SERVER_STATUS.SERVER_STATUS_IN_TRANS  # type: ignore[attr-defined]
        cancelled = number == ER.QUERY_INTERRUPTED or number == 1969  # 1969: MariaDB's max_statement_time
        return DatabaseError(
            message,
            code=str(number or ""),
            position=_position(message, text),
            cancelled=cancelled,
            connection_lost=self._lost or self._connection is None,
        )


def _columns(connection: pymysql.Connection[Any]) -> tuple[Column, ...]:
    result: Any = connection._result  # type: ignore[attr-defined]
    columns = []
    for field in result.fields:
        binary = field.type_code in _STRINGS and field.charsetnr == BINARY_CHARSET
        if binary:
            kind = Kind.BINARY
        elif field.type_code in _NUMBERS:
            kind = Kind.NUMBER
        elif field.type_code in _TIMES:
            kind = Kind.TIME
        else:
            kind = Kind.JSON if field.type_code == FIELD_TYPE.JSON else Kind.TEXT
        name = _TYPE_NAMES.get(field.type_code, f"type {field.type_code}")
        if binary:
            name = name.replace("text", "blob").replace("varchar", "varbinary").replace("char", "binary")
        origin = None
        if field.org_table and field.org_name:
            origin = Origin(schema=_text(field.db), table=_text(field.org_table), column=_text(field.org_name))
        columns.append(Column(field.name, name, kind, origin))
    return tuple(columns)


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _warnings(connection: pymysql.Connection[Any]) -> int:
    result: Any = connection._result  # type: ignore[attr-defined]
    return int(result.warning_count or 0) if result is not None else 0


def _position(message: str, text: str) -> int | None:
    """Where MySQL's message points: `near '…' at line N` gives the rest of the statement from the error on."""
    near = _NEAR.search(message)
    if near is None:
        return None
    fragment, line = near.group(1), int(near.group(2))
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
    if not fragment:
        return len(text)
    found = text.find(fragment, start)
    if found < 0:
        # The fragment may begin on an earlier line than the one that is counted.
        found = text.find(fragment)
    return found if found >= 0 else min(start, len(text))
