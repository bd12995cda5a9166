"""What a person's tools ask beside plain SQL: dictionary, plans, savepoints, DBMS_OUTPUT, ROWNUM, owners of names."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from . import dictionary
from .blocks import PROCEDURES
from .columns import Declared, Value, columns_of

if TYPE_CHECKING:
    from .sql import Cursor, Session

PLAN_TABLE = (
    "create temp table if not exists plan_table (statement_id, id, parent_id, operation, options, object_owner, "
    "object_name, object_alias, cost, cardinality, bytes, time, access_predicates, filter_predicates, partition_start, "
    "partition_stop, temp_space, optimizer)"
)
_EXPLAIN = re.compile(r"explain\s+plan\s+set\s+statement_id\s*=\s*'([^']*)'\s+for\s+(.*)$", re.I | re.S)
_OPERATIONS = (
    (r"SCAN (\w+)", "TABLE ACCESS", "FULL"), (r"SEARCH (\w+)", "TABLE ACCESS", "BY INDEX ROWID"),
    (r"USE TEMP B-TREE FOR ORDER BY()", "SORT", "ORDER BY"), (r"USE TEMP B-TREE FOR GROUP BY()", "SORT", "GROUP BY"),
)  # fmt: skip


def answer(session: Session, cursor: Cursor, text: str) -> bool:
    """Whether it was one of these; its rows are the cursor's then. Raises OracleError."""
    from .sql import OracleError  # it imports this module

    begun = text.split(None, 1)[0].upper() if text else ""
    if begun == "CREATE" and dictionary.store(session, text):
        session.end(commit=True)
        return True
    if begun == "SAVEPOINT" or re.match(r"rollback\s+(?:work\s+)?to\b", text, re.I):
        _begin(session)
        session.connection.execute(re.sub(r"\bwork\b", "", text, flags=re.I))
        return True
    if begun == "EXPLAIN":
        _explain(session, text)
        return True
    if "plan_table" in text.lower():
        session.connection.execute(PLAN_TABLE)
        return False
    if begun == "SELECT" and dictionary.ASKED.search(text):
        try:
            found = dictionary.answer(session, text)
        except sqlite3.Error as error:
            raise OracleError(904, str(error)) from None
        cursor.is_query, cursor.rows, cursor.at = True, found.fetchall(), 0
        names = [each[0] for each in found.description]
        cursor.columns = columns_of(names, [Declared("")] * len(names), cursor.rows)
        return True
    return False


def as_sqlite(text: str) -> str:
    """Names without their owner, ROWNUM as a limit."""
    text = re.sub(r"(?<![\w.'\"])\"?app\"?\.(?=[\w\"])", "", text, flags=re.I)
    return re.sub(
        r"\b(?:where|and)\s+rownum\s*<=\s*(\d+)\s*$", r"limit \1", text, flags=re.I
    )  # fmt: skip


def _begin(session: Session) -> None:
    if not session.in_transaction:
        session.connection.execute("BEGIN")
        session.in_transaction = True


def _explain(session: Session, text: str) -> None:
    from .sql import OracleError, _as_oracle, _translated  # it imports this module

    found = _EXPLAIN.match(text)
    if found is None:
        raise OracleError(905, "missing keyword")
    _begin(session)
    connection = session.connection
    connection.execute(PLAN_TABLE)
    try:
        steps = connection.execute(f"explain query plan {_translated(found[2], session)}").fetchall()
    except sqlite3.Error as error:
        raise _as_oracle(str(error), text) from None
    word = found[2].split(None, 1)[0].upper()
    rows: list[tuple[Value, ...]] = [(found[1], 0, None, f"{word} STATEMENT", None, None, None, 5, 100, "ALL_ROWS")]
    places = {0: 0}
    for number, parent, _unused, detail in steps:
        places[number] = len(rows)
        operation, options, name = next(
            ((what, how, matched[1]) for pattern, what, how in _OPERATIONS if (matched := re.match(pattern, detail))),
            (detail.upper(), "", ""),
        )
        alias = f'"{name.upper()}"@"SEL$1"' if name else None
        rows.append((found[1], len(rows), places.get(parent, 0), operation, options, name.upper() or None, alias, 4, 90,
                     None))  # fmt: skip
    connection.executemany(
        "insert into plan_table (statement_id, id, parent_id, operation, options, object_name, object_alias, cost, "
        "cardinality, optimizer) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


# --------------------------------------------------------------------------------------------------------- DBMS_OUTPUT

_output: WeakKeyDictionary[Session, list[str]] = WeakKeyDictionary()
"""Of the sessions that have enabled it: the lines that nobody has read yet."""


def _enable(session: Session, values: list[Value]) -> list[Value]:
    _output.setdefault(session, [])
    return values


def _put_line(session: Session, values: list[Value]) -> list[Value]:
    if session in _output:
        _output[session].append("" if values[0] is None else str(values[0]))
    return values


def _get_lines(session: Session, values: list[Value]) -> list[Value]:
    wanted = int(str(values[1] or 0))
    lines = _output.get(session, [])
    got, lines[:] = lines[:wanted], lines[wanted:]
    return [got, len(got)]  # type: ignore[list-item]


PROCEDURES |= {"dbms_output.enable": _enable, "dbms_output.put_line": _put_line, "dbms_output.get_lines": _get_lines}
