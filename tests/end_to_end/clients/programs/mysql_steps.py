"""What the Python programs for MySQL's drivers have in common: arguments, the steps of every DB-API driver, the report.

Arguments: HOST PORT LOGIN FILE [AUTHORITY]. With an authority the client asks for TLS and checks the certificate and
the host name by it. The report is one JSON object: what the client saw, step by step.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

HOST, PORT, LOGIN, FILE = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
AUTHORITY = sys.argv[5] if len(sys.argv) > 5 else None
CATALOG = "clients"

BEGIN = "SELECT 'begin'"
ATTRIBUTES = (
    "SELECT ATTR_NAME, ATTR_VALUE FROM performance_schema.session_connect_attrs "
    "WHERE PROCESSLIST_ID = CONNECTION_ID() ORDER BY ATTR_NAME"
)
WRONG = "SELECT no_such_column FROM items"
SLOW = "SELECT SLEEP(61), id FROM items"
MANY = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i, REPEAT('x', 100) FROM n"
)

seen: dict[str, Any] = {}


def plain(value: Any) -> Any:
    """Rows as JSON has them."""
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, bytes | bytearray):
        return value.decode()
    return value if value is None or isinstance(value, int | str) else str(value)


def report() -> None:
    print(json.dumps(plain_values(seen)))


def plain_values(steps: dict[str, Any]) -> dict[str, Any]:
    return {name: plain_values(value) if isinstance(value, dict) else plain(value) for name, value in steps.items()}


def rows_of(cursor: Any, statement: str, values: Any = None) -> Any:
    cursor.execute(statement, values) if values is not None else cursor.execute(statement)
    return list(cursor.fetchall())


def error_of(run: Callable[[], Any]) -> Any:
    """The error's number and words."""
    try:
        answer = run()
    except Exception as error:  # noqa: BLE001  every driver has classes of its own
        return [error.args[0], getattr(error, "msg", None) or error.args[1]]
    raise AssertionError(f"no error but {answer!r}")


def dbapi_steps(connection: Any) -> None:
    """Statements that every DB-API driver sends alike, with the values written into the text."""
    cursor = connection.cursor()
    cursor.execute(BEGIN)
    cursor.fetchall()
    seen["attributes"] = dict(rows_of(cursor, ATTRIBUTES))
    seen["rows"] = rows_of(cursor, "SELECT id, name, price, added FROM items WHERE id <= %s ORDER BY id", (3,))
    seen["text"] = rows_of(cursor, "SELECT %s, %s", ("数据 café 😀", None))
    seen["error"] = error_of(lambda: cursor.execute(WRONG))
    cursor.execute("CREATE TEMPORARY TABLE basket (id INT, what VARCHAR(40))")
    cursor.executemany("INSERT INTO basket VALUES (%s, %s)", [(1, "one"), (2, None), (3, "three")])
    seen["inserted"] = cursor.rowcount
    connection.commit()
    cursor.execute("UPDATE basket SET what = 'changed' WHERE id > 1")
    seen["updated"] = cursor.rowcount
    connection.rollback()
    seen["kept"] = rows_of(cursor, "SELECT id, what FROM basket ORDER BY id")
    cursor.close()


def cancel(execute: Callable[[], Any], identifier: int, open_second: Callable[[], Any]) -> Any:
    """Runs SLOW, which a second connection cancels with KILL QUERY; the error that the first one gets."""

    def killer() -> None:
        second = open_second()
        cursor = second.cursor()
        at_work = (
            f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {identifier} AND INFO LIKE 'SELECT SL%'"
        )
        while not rows_of(cursor, at_work)[0][0]:
            time.sleep(0.02)
        cursor.execute(f"KILL QUERY {identifier}")
        second.close()

    thread = threading.Thread(target=killer)
    thread.start()
    error = error_of(execute)
    thread.join()
    return error
