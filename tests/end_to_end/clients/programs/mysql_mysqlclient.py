"""mysqlclient (MySQLdb), built on MariaDB's C library; see mysql_steps."""

from __future__ import annotations

from typing import Any

import MySQLdb
import MySQLdb.cursors
from mysql_steps import (
    AUTHORITY,
    CATALOG,
    FILE,
    HOST,
    LOGIN,
    MANY,
    PORT,
    SLOW,
    cancel,
    dbapi_steps,
    report,
    rows_of,
    seen,
)


def connect(login: str = LOGIN, **more: Any) -> Any:
    tls: dict[str, Any] = {"ssl_mode": "VERIFY_IDENTITY", "ssl": {"ca": AUTHORITY}} if AUTHORITY else {}
    return MySQLdb.connect(
        host=HOST, port=PORT, user=login, password="", database=CATALOG, charset="utf8mb4", connect_timeout=20,
        **tls, **more,
    )  # fmt: skip


connection = connect(local_infile=1)
dbapi_steps(connection)
cursor = connection.cursor()
cursor.execute("SELECT id FROM items WHERE id < 3; UPDATE items SET price = price WHERE id = 1; SELECT 'last'")
answers = [cursor.fetchall()]
while cursor.nextset():
    answers.append(cursor.fetchall())
seen["several"] = answers
cursor.callproc("two_results", (2, 40))
answers = [cursor.fetchall()]
while cursor.nextset():
    answers.append(cursor.fetchall())
seen["call"] = answers
seen["out"] = rows_of(cursor, "SELECT @_two_results_1")
cursor.execute("CREATE TEMPORARY TABLE loaded (id INT, what VARCHAR(20))")
seen["loaded"] = cursor.execute(f"LOAD DATA LOCAL INFILE '{FILE}' INTO TABLE loaded")
cursor.close()
cursor = connection.cursor(MySQLdb.cursors.SSCursor)
cursor.execute(MANY)
seen["streamed"] = sum(row[0] + len(row[1]) for row in iter(cursor.fetchone, None))
cursor.close()
connection.ping()
connection.select_db("mysql")
cursor = connection.cursor()
seen["catalog"] = rows_of(cursor, "SELECT DATABASE()")
connection.change_user("another", "", CATALOG)
seen["user"] = rows_of(cursor, "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE()")
seen["cancelled"] = cancel(lambda: cursor.execute(SLOW), connection.thread_id(), lambda: connect(LOGIN + "-2"))
seen["afterwards"] = rows_of(cursor, "SELECT 'still here'")
cursor.close()
connection.close()
report()
