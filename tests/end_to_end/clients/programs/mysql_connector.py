"""mysql-connector-python, its pure Python and its C half (a last argument `pure` or `c`); see mysql_steps."""

from __future__ import annotations

# ruff: noqa: E402, I001
import sys
from typing import Any

PURE = sys.argv.pop() == "pure"
if not PURE:
    # The C half brings its OpenSSL along and has to be loaded before Python's own `ssl` loads an older one.
    import _mysql_connector  # noqa: F401

import mysql.connector
from mysql_steps import (
    AUTHORITY, CATALOG, FILE, HOST, LOGIN, MANY, PORT, SLOW, cancel, dbapi_steps, error_of, report, rows_of, seen,
)  # fmt: skip


def connect(login: str = LOGIN, **more: Any) -> Any:
    tls = {"ssl_ca": AUTHORITY, "ssl_verify_cert": True, "ssl_verify_identity": True}
    return mysql.connector.connect(
        host=HOST, port=PORT, user=login, password="", database=CATALOG, connection_timeout=20, use_pure=PURE,
        conn_attrs={"program_name": "probe"}, **(tls if AUTHORITY else {"ssl_disabled": True}), **more,
    )  # fmt: skip


connection = connect(allow_local_infile=True)
seen["half"] = type(connection).__name__
dbapi_steps(connection)

cursor = connection.cursor(prepared=True)
select = "SELECT id, name FROM items WHERE id <= ? AND (name LIKE ? OR ? IS NULL) ORDER BY id"
seen["prepared"] = [rows_of(cursor, select, values) for values in ((2, "item%", None), (1, "item%", "x"))]
cursor.execute("INSERT INTO basket VALUES (?, ?)", (9, "x" * 40))
seen["prepared insert"] = cursor.rowcount
seen["prepared error"] = error_of(lambda: cursor.execute("SELECT no_such_column FROM items WHERE id = ?", (1,)))
cursor.close()

cursor = connection.cursor()
cursor.add_attribute("traceparent", "00-1-2-01")
cursor.add_attribute("attempt", 2)
seen["with attributes"] = rows_of(cursor, "SELECT 'with attributes'")
cursor.clear_attributes()
cursor.execute("SELECT id FROM items WHERE id < 3; UPDATE items SET price = price WHERE id = 1; SELECT 'last'")
answers = [cursor.fetchall()]
while cursor.nextset():
    answers.append(cursor.fetchall() if cursor.description else [])
seen["several"] = answers
seen["out"] = [cursor.callproc("two_results", (2, 40))]
seen["call"] = [result.fetchall() for result in cursor._stored_results]
cursor.execute("CREATE TEMPORARY TABLE loaded (id INT, what VARCHAR(20))")
cursor.execute(f"LOAD DATA LOCAL INFILE '{FILE}' INTO TABLE loaded")
seen["loaded"] = cursor.rowcount
cursor.execute(MANY)
seen["streamed"] = sum(row[0] + len(row[1]) for row in iter(cursor.fetchone, None))
connection.ping()
connection.database = "mysql"
seen["catalog"] = rows_of(cursor, "SELECT DATABASE()")
connection.cmd_change_user("another", "", CATALOG)
seen["user"] = rows_of(cursor, "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE()")
cursor.execute("SET @kept = 1")
connection.cmd_reset_connection()
seen["reset"] = rows_of(cursor, "SELECT @kept")
seen["cancelled"] = cancel(
    lambda: cursor.execute(SLOW) or cursor.fetchall(), connection.connection_id, lambda: connect(LOGIN + "-2")
)
seen["afterwards"] = rows_of(cursor, "SELECT 'still here'")
cursor.close()
connection.close()
report()
