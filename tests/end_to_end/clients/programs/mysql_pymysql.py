"""PyMySQL; see mysql_steps."""

from __future__ import annotations

from typing import Any

import pymysql
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
from pymysql.constants import CLIENT


def connect(login: str = LOGIN, **more: Any) -> Any:
    tls = {"ssl_ca": AUTHORITY, "ssl_verify_cert": True, "ssl_verify_identity": True}
    return pymysql.connect(
        host=HOST, port=PORT, user=login, password="", database=CATALOG, program_name="probe", connect_timeout=20,
        **(tls if AUTHORITY else {"ssl_disabled": True}), **more,
    )  # fmt: skip


connection = connect(client_flag=CLIENT.MULTI_STATEMENTS, local_infile=True)
seen["tls"] = connection._sock.version() if AUTHORITY else None
dbapi_steps(connection)
with connection.cursor() as cursor:
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
with connection.cursor(pymysql.cursors.SSCursor) as cursor:
    cursor.execute(MANY)
    seen["streamed"] = sum(row[0] + len(row[1]) for row in iter(cursor.fetchone, None))
connection.ping(reconnect=False)
connection.select_db("mysql")
with connection.cursor() as cursor:
    seen["catalog"] = rows_of(cursor, "SELECT DATABASE()")
connection.select_db(CATALOG)
with connection.cursor() as cursor:
    seen["cancelled"] = cancel(lambda: cursor.execute(SLOW), connection.thread_id(), lambda: connect(LOGIN + "-2"))
    seen["afterwards"] = rows_of(cursor, "SELECT 'still here'")
connection.close()
report()
