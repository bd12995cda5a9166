"""Oracle's SQL as far as the tests speak it, answered from SQLite."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from . import extras
from .blocks import Given, bind_names, run_block
from .columns import Bind, Column, Declared, Value, columns_of
from .functions import add_functions, type_of_expression

START_UP = {
    "select banner from v$version": ("Oracle Database 23ai (test double)",),
    "select user from dual": ("@user",),
    "select sys_context('userenv', 'current_schema') from dual": ("@schema",),
    "select sys_context('userenv','current_schema') from dual": ("@schema",),
}
"""Statements that are asked for by the word."""


class OracleError(Exception):
    """`number` is Oracle's; `position` counts characters from 0."""

    def __init__(self, number: int, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.number, self.position = number, position
        self.done = 0
        """Executions before this one."""
        self.text = f"ORA-{number:05d}: {message}"


@dataclass
class Outcome:
    """Of a statement's executions.

    counts    rows that each has changed
    out       of each execution of a block: what binds have been given, by their places
    returned  of each execution of a statement with RETURNING: the rows
    errors    with the places of the executions that had them
    """

    counts: list[int] = field(default_factory=list)
    out: list[dict[int, Given]] = field(default_factory=list)
    returned: list[list[tuple[Value, ...]]] = field(default_factory=list)
    errors: list[tuple[int, OracleError]] = field(default_factory=list)


@dataclass
class Cursor:
    """A statement that was parsed, with the rows that are still to be fetched."""

    text: str
    columns: list[Column] = field(default_factory=list)
    rows: list[tuple[Value, ...]] = field(default_factory=list)
    at: int = 0
    is_query: bool = False
    defines: list[Bind] = field(default_factory=list)
    """How the client wants the columns, where it has said so."""
    failure: OracleError | None = None
    """What happens behind the last of `rows`."""


class Database:
    """One SQLite file for every connection, as one schema; statements run one at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.log: list[tuple[str, str]] = []
        """User and text of every statement that was run, in order."""
        self.running: list[str] = []
        self.pipelines = 0
        """That clients have begun."""


class Session:
    """What one connection has: its transaction, its schema, and whether it was told to stop."""

    def __init__(self, database: Database, user: str) -> None:
        self.database, self.user, self.schema = database, user.upper(), user.upper()
        self.connection = sqlite3.connect(database.path, isolation_level=None, check_same_thread=False, timeout=20)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.create_function("SYSDATE_", 0, lambda: datetime.now(UTC).isoformat(" ", "seconds")[:19])
        self.connection.create_function("FAILING_AT", 2, _failing_at)
        add_functions(self.connection, self._context)
        self.stop = threading.Event()
        self.in_transaction = False
        self.schema_changed = False

    def _context(self, _space: str, name: str) -> Value:
        known: dict[str, Value] = {
            "current_schema": self.schema, "current_user": self.user, "session_user": self.user, "sid": "41",
            "service_name": "FREEPDB1", "db_name": "FREEPDB1", "instance_name": "double", "language": "AMERICAN",
        }  # fmt: skip
        return known.get(name.lower())

    def close(self) -> None:
        self.connection.close()

    def run(self, cursor: Cursor, binds: Sequence[Sequence[Given]], *, goes_on: bool = False) -> Outcome:
        """Executes it once for each of `binds`; `goes_on`: also behind errors. Raises OracleError."""
        self.database.log.append((self.user, cursor.text))
        self.database.running.append(cursor.text)
        try:
            if is_block(cursor.text):
                return Outcome(out=[run_block(self, cursor.text.strip(), row) for row in binds or [()]])
            return self.run_inner(cursor, *(binds or [()]), goes_on=goes_on)
        finally:
            self.database.running.remove(cursor.text)

    def run_inner(self, cursor: Cursor, *binds: Sequence[Given], goes_on: bool = False) -> Outcome:
        """One statement, also of a block. Raises OracleError."""
        text = extras.as_sqlite(cursor.text.strip().rstrip(";"))
        if extras.answer(self, cursor, text):
            return Outcome()
        found = re.match(r"(?:--[^\n]*\n|/\*.*?\*/|[\s(])*(\w*)", text, re.S)
        word = found[1].upper() if found else ""
        if word == "ALTER" and re.match(r"ALTER\s+SESSION\s+SET\s+CURRENT_SCHEMA\s*=\s*(\w+)", text, re.I):
            self.schema = re.split(r"=", text)[1].strip().upper()
            self.schema_changed = True
            return Outcome()
        if word == "ALTER" and re.match(r"ALTER\s+SESSION", text, re.I):
            return Outcome()
        if word in ("COMMIT", "ROLLBACK"):
            self.end(commit=word == "COMMIT")
            return Outcome()
        if word in ("INSERT", "UPDATE", "DELETE", "MERGE") and not self.in_transaction:
            self._execute("BEGIN", ())
            self.in_transaction = True
        if word in ("CREATE", "DROP", "ALTER", "TRUNCATE"):
            self.end(commit=True)
        outcome = Outcome()
        kept, places = _returning(text)
        for place, row in enumerate(binds or ((),)):
            try:
                self._run_once(cursor, kept, row, outcome, places)
            except OracleError as error:
                if not goes_on:
                    error.done = place
                    raise
                outcome.errors.append((place, error))
                outcome.counts.append(0)
        return outcome

    def _run_once(self, cursor: Cursor, text: str, row: Sequence[Given], outcome: Outcome, places: int) -> None:
        result = self._execute(_translated(text, self), row[: len(row) - places] if places else row)
        if places:
            rows = result.fetchall()
            outcome.returned.append(rows)
            outcome.counts.append(len(rows))
        elif result.description is not None:
            cursor.is_query = True
            cursor.rows, cursor.failure = self._rows(result, text)
            cursor.at = 0
            names = [each[0] for each in result.description]
            cursor.columns = columns_of(names, self._declared(text, names), cursor.rows)
        else:
            outcome.counts.append(max(0, result.rowcount))

    @staticmethod
    def _rows(result: sqlite3.Cursor, text: str) -> tuple[list[tuple[Value, ...]], OracleError | None]:
        rows: list[tuple[Value, ...]] = []
        try:
            for row in result:
                rows.append(row)
        except sqlite3.Error as error:
            failure = _as_oracle(str(error), text)
            if not rows:
                raise failure from None
            return rows, failure
        return rows, None

    def end(self, *, commit: bool) -> None:
        """The transaction, if there is one."""
        if self.in_transaction:
            self.connection.execute("COMMIT" if commit else "ROLLBACK")
            self.in_transaction = False

    def _execute(self, text: str, binds: Sequence[Given]) -> sqlite3.Cursor:
        places = text.count("?") if not _QUESTIONS.search(text) else len(binds)
        if places > len(binds):
            raise OracleError(1008, "not all variables bound")
        try:
            return self.connection.execute(text, tuple(binds[:places]))
        except sqlite3.OperationalError as error:
            raise _as_oracle(str(error), text) from None
        except sqlite3.IntegrityError as error:
            raise _constraint(str(error)) from None
        except (sqlite3.Error, OverflowError) as error:
            raise OracleError(900, str(error)) from None

    def _declared(self, text: str, names: list[str]) -> list[Declared]:
        types: dict[str, Declared] = {}
        for table in re.findall(r"\b(?:FROM|JOIN)\s+(?:\w+\.)?(\w+)", text, re.I):
            for row in self.connection.execute(f"PRAGMA table_info({table})").fetchall():
                types.setdefault(row[1].upper(), Declared(row[2], bool(row[3] or row[5])))
        return [types.get(name.upper(), Declared(type_of_expression(name))) for name in names]


_QUESTIONS = re.compile(r"'[^']*\?[^']*'")
"""A question mark in a literal is no bind."""


def _failing_at(value: int, limit: int) -> int:
    if value >= limit:
        raise ValueError("ORA-01722")
    return value


def is_block(text: str) -> bool:
    return re.match(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(BEGIN|DECLARE)\b", text, re.I | re.S) is not None


_LONG_TYPES = re.compile(
    r"\btimestamp\s*(?:\(\d+\))?\s+with\s+(?:local\s+)?time\s+zone\b"
    r"|\binterval\s+(?:year|day)\s*(?:\(\d+\))?\s+to\s+(?:month|second)\b(?:\s*\(\d+\))?", re.I,
)  # fmt: skip


def types_in_quotes(text: str) -> str:
    """A definition of tables: SQLite takes types of several words with an argument between them only so."""
    return _LONG_TYPES.sub(lambda found: f'"{found[0]}"', text)


def _translated(text: str, session: Session) -> str:
    if re.match(r"\s*CREATE\b", text, re.I):
        return types_in_quotes(text)
    known = START_UP.get(" ".join(text.lower().split()))
    if known:
        value = {"@user": session.user, "@schema": session.schema}.get(known[0], known[0])
        return f"SELECT '{value}' AS value"
    text = re.sub(r":\s*(?:\"[^\"]+\"|[\w$#]+)", "?", _outside_quotes(text))
    text = re.sub(r"\s+FROM\s+(SYS\.)?DUAL\b", "", text, flags=re.I)
    text = re.sub(r"\b(SYSDATE|SYSTIMESTAMP)\b", r"\1_()", text, flags=re.I)
    text = re.sub(r"\b(?:utl_raw|dbms_lob)\.(\w+)", r"\1", text, flags=re.I)
    text = re.sub(r"\bFETCH\s+(?:FIRST|NEXT)\s+(\d+)\s+ROWS?\s+ONLY", r"LIMIT \1", text, flags=re.I)
    text = re.sub(r"^TRUNCATE\s+TABLE", "DELETE FROM", text, flags=re.I)
    numbers = re.search(r"\bLEVEL\b(.*?)\bCONNECT\s+BY\s+LEVEL\s*<=\s*(\d+|\?)", text, re.I | re.S)
    if numbers:
        body = text[: numbers.end(1)]
        body = re.sub(r"\bLEVEL\b", "level_", body, flags=re.I)
        text = (
            f"WITH RECURSIVE levels(level_) AS (SELECT 1 UNION ALL SELECT level_ + 1 FROM levels WHERE level_ < "
            f"{numbers[2]}) {body} FROM levels"
        )
    return text.replace("\0", ":")


def _outside_quotes(text: str) -> str:
    """Colons inside of literals are put aside."""
    return re.sub(r"'[^']*'", lambda found: found[0].replace(":", "\0"), text)


def _returning(text: str) -> tuple[str, int]:
    """The statement without the INTO of its RETURNING, and how many binds are behind it."""
    found = re.search(r"\bRETURN(?:ING)?\b(.+?)\bINTO\b(.+)$", text, re.I | re.S)
    if not found or not re.match(r"\s*(INSERT|UPDATE|DELETE|MERGE)\b", text, re.I):
        return text, 0
    return f"{text[: found.start()]}RETURNING{found[1]}", len(bind_names(found[2]))


def returned_binds(text: str) -> int:
    """Binds at the end that get a value by RETURNING."""
    return _returning(text)[1]


def _constraint(said: str) -> OracleError:
    if "NOT NULL" in said:
        return OracleError(1400, f'cannot insert NULL into ("{said.split(": ")[-1].upper()}")')
    return OracleError(1, f"unique constraint violated ({said})")


def _as_oracle(said: str, text: str) -> OracleError:
    missing = re.match(r"no such table: (\S+)", said)
    if missing:
        position = text.lower().find(missing[1].lower())
        return OracleError(942, f'table or view "{missing[1].upper()}" does not exist', max(0, position))
    missing = re.match(r"no such column: (\S+)", said)
    if missing:
        return OracleError(904, f'"{missing[1].upper()}": invalid identifier', max(0, text.find(missing[1])))
    if "user-defined function raised" in said:
        return OracleError(1722, "unable to convert string value to a number")
    return OracleError(900, f"invalid SQL statement ({said})")


def wait(session: Session, seconds: float) -> None:
    """Sleeps unless the session is told to stop. Raises OracleError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if session.stop.wait(min(0.05, seconds)):
            raise OracleError(1013, "user requested cancel of current operation")
