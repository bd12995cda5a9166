"""Oracle's SQL as far as the tests speak it, answered from SQLite."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .columns import Column, Value, columns_of

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
        self.text = f"ORA-{number:05d}: {message}"


@dataclass
class Cursor:
    """A statement that was parsed, with the rows that are still to be fetched."""

    text: str
    columns: list[Column] = field(default_factory=list)
    rows: list[tuple[Value, ...]] = field(default_factory=list)
    at: int = 0
    is_query: bool = False
    breaks_at: int | None = None


class Database:
    """One SQLite file for every connection, as one schema; statements run one at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.log: list[tuple[str, str]] = []
        """User and text of every statement that was run, in order."""
        self.running: list[str] = []


class Session:
    """What one connection has: its transaction, its schema, and whether it was told to stop."""

    def __init__(self, database: Database, user: str) -> None:
        self.database, self.user, self.schema = database, user.upper(), user.upper()
        self.connection = sqlite3.connect(database.path, isolation_level=None, check_same_thread=False, timeout=20)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.create_function("SYSDATE_", 0, lambda: datetime.now(UTC).isoformat(" ", "seconds")[:19])
        self.connection.create_function("FAILING_AT", 2, _failing_at)
        self.stop = threading.Event()
        self.in_transaction = False
        self.schema_changed = False

    def close(self) -> None:
        self.connection.close()

    def run(self, cursor: Cursor, binds: Sequence[Sequence[Value]]) -> tuple[int, list[tuple[Value, ...]]]:
        """Rows that were changed, and values that go back (RETURNING, out binds). Raises OracleError."""
        text = cursor.text.strip().rstrip(";") if not _is_block(cursor.text) else cursor.text.strip()
        self.database.log.append((self.user, cursor.text))
        self.database.running.append(cursor.text)
        try:
            return self._run(cursor, text, binds)
        finally:
            self.database.running.remove(cursor.text)

    def _run(self, cursor: Cursor, text: str, binds: Sequence[Sequence[Value]]) -> tuple[int, list[tuple[Value, ...]]]:
        word = text.split(None, 1)[0].upper() if text else ""
        if _is_block(text):
            return self._block(text, binds[0] if binds else ())
        if word == "ALTER" and re.match(r"ALTER\s+SESSION\s+SET\s+CURRENT_SCHEMA\s*=\s*(\w+)", text, re.I):
            self.schema = re.split(r"=", text)[1].strip().upper()
            self.schema_changed = True
            return 0, []
        if word == "ALTER" and re.match(r"ALTER\s+SESSION", text, re.I):
            return 0, []
        if word in ("COMMIT", "ROLLBACK"):
            self.end(commit=word == "COMMIT")
            return 0, []
        if word in ("INSERT", "UPDATE", "DELETE", "MERGE") and not self.in_transaction:
            self._execute("BEGIN", ())
            self.in_transaction = True
        if word in ("CREATE", "DROP", "ALTER", "TRUNCATE"):
            self.end(commit=True)
        changed = 0
        for row in binds or [()]:
            result = self._execute(_translated(text, self), row)
            if result.description is not None:
                cursor.is_query = True
                cursor.rows = result.fetchall()
                cursor.at = 0
                names = [each[0] for each in result.description]
                cursor.columns = columns_of(names, self._declared(text, names), cursor.rows)
            else:
                changed += max(0, result.rowcount)
        return changed, []

    def end(self, *, commit: bool) -> None:
        """The transaction, if there is one."""
        if self.in_transaction:
            self.connection.execute("COMMIT" if commit else "ROLLBACK")
            self.in_transaction = False

    def _execute(self, text: str, binds: Sequence[Value]) -> sqlite3.Cursor:
        try:
            return self.connection.execute(text, tuple(binds))
        except sqlite3.OperationalError as error:
            raise _as_oracle(str(error), text) from None
        except sqlite3.IntegrityError as error:
            raise OracleError(1, f"unique constraint violated ({error})") from None
        except sqlite3.Error as error:
            raise OracleError(900, str(error)) from None

    def _declared(self, text: str, names: list[str]) -> list[str]:
        found = re.search(r"\bFROM\s+(\w+)", text, re.I)
        types: dict[str, str] = {}
        if found:
            with_types = self.connection.execute(f"PRAGMA table_info({found[1]})").fetchall()
            types = {row[1].upper(): row[2] for row in with_types}
        return [types.get(name.upper(), "") for name in names]

    def _block(self, text: str, binds: Sequence[Value]) -> tuple[int, list[tuple[Value, ...]]]:
        raised = re.search(r"RAISE_APPLICATION_ERROR\s*\(\s*-(\d+)\s*,\s*'([^']*)'", text, re.I)
        if raised:
            raise OracleError(int(raised[1]), f"{raised[2]}\nORA-06512: at line 1")
        slept = re.search(r"DBMS_SESSION\.SLEEP\s*\(\s*([\d.]+)\s*\)", text, re.I)
        if slept:
            if self.stop.wait(float(slept[1])):
                raise OracleError(1013, "user requested cancel of current operation")
            return 0, []
        assigned = re.search(r":(\w+)\s*:=\s*(.+?);", text, re.S)
        if assigned:
            names = list(dict.fromkeys(re.findall(r":(\w+)", text)))
            sources = [name for name in names if name != assigned[1]]
            expression = re.sub(r":(\w+)", "?", assigned[2])
            values = [binds[names.index(name)] for name in sources]
            return 0, [tuple(self._execute(f"SELECT {expression}", values).fetchone())]
        for each in re.findall(r"\b((?:INSERT|UPDATE|DELETE)\b[^;]*);", text, re.I):
            self.run(Cursor(each), [])
        return 0, []


def _failing_at(value: int, limit: int) -> int:
    if value >= limit:
        raise ValueError("ORA-01722")
    return value


def _is_block(text: str) -> bool:
    return re.match(r"\s*(BEGIN|DECLARE)\b", text, re.I) is not None


def _translated(text: str, session: Session) -> str:
    known = START_UP.get(" ".join(text.lower().split()))
    if known:
        value = {"@user": session.user, "@schema": session.schema}.get(known[0], known[0])
        return f"SELECT '{value}' AS value"
    text = re.sub(r":\"?(\w+)\"?", "?", _outside_quotes(text))
    text = re.sub(r"\s+FROM\s+(SYS\.)?DUAL\b", "", text, flags=re.I)
    text = re.sub(r"\bSYSDATE\b", "SYSDATE_()", text, flags=re.I)
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
