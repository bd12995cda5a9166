"""asyncmy; see mysql_steps."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import asyncmy
import asyncmy.cursors
from mysql_steps import ATTRIBUTES, AUTHORITY, BEGIN, CATALOG, HOST, LOGIN, MANY, PORT, SLOW, WRONG, report, seen


async def connect(login: str = LOGIN, **more: Any) -> Any:
    tls = {"ssl": ssl.create_default_context(cafile=AUTHORITY)} if AUTHORITY else {}
    return await asyncmy.connect(
        host=HOST, port=PORT, user=login, password="", db=CATALOG, charset="utf8mb4", connect_timeout=20,
        program_name="probe", **tls, **more,
    )  # fmt: skip


async def rows_of(cursor: Any, statement: str, values: Any = None) -> Any:
    await cursor.execute(statement, values)
    return await cursor.fetchall()


async def error_of(awaitable: Any) -> Any:
    try:
        await awaitable
    except asyncmy.errors.MySQLError as error:
        return list(error.args)
    raise AssertionError("no error")


async def cancel(cursor: Any, identifier: int) -> Any:
    running = asyncio.create_task(error_of(cursor.execute(SLOW)))
    second = await connect(LOGIN + "-2")
    async with second.cursor() as killer:
        at_work = (
            f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {identifier} AND INFO LIKE 'SELECT SL%'"
        )
        while not (await rows_of(killer, at_work))[0][0]:
            await asyncio.sleep(0.02)
        await killer.execute(f"KILL QUERY {identifier}")
    await second.ensure_closed()
    return await running


async def main() -> None:
    connection = await connect(local_infile=True)
    async with connection.cursor() as cursor:
        await rows_of(cursor, BEGIN)
        seen["attributes"] = dict(await rows_of(cursor, ATTRIBUTES))
        seen["rows"] = await rows_of(
            cursor, "SELECT id, name, price, added FROM items WHERE id <= %s ORDER BY id", (3,)
        )
        seen["text"] = await rows_of(cursor, "SELECT %s, %s", ("数据 café 😀", None))
        seen["error"] = await error_of(cursor.execute(WRONG))
        await cursor.execute("CREATE TEMPORARY TABLE basket (id INT, what VARCHAR(40))")
        await cursor.executemany("INSERT INTO basket VALUES (%s, %s)", [(1, "one"), (2, None), (3, "three")])
        seen["inserted"] = cursor.rowcount
        await connection.commit()
        await cursor.execute("UPDATE basket SET what = 'changed' WHERE id > 1")
        seen["updated"] = cursor.rowcount
        await connection.rollback()
        seen["kept"] = await rows_of(cursor, "SELECT id, what FROM basket ORDER BY id")
        await cursor.callproc("two_results", (2, 40))
        answers = [await cursor.fetchall()]
        while await cursor.nextset():
            answers.append(await cursor.fetchall())
        seen["call"] = answers
    async with connection.cursor(asyncmy.cursors.SSCursor) as cursor:
        await cursor.execute(MANY)
        total = 0
        while (row := await cursor.fetchone()) is not None:
            total += row[0] + len(row[1])
        seen["streamed"] = total
    await connection.ping(reconnect=False)
    await connection.select_db("mysql")
    async with connection.cursor() as cursor:
        seen["catalog"] = await rows_of(cursor, "SELECT DATABASE()")
    await connection.select_db(CATALOG)
    async with connection.cursor() as cursor:
        seen["cancelled"] = await cancel(cursor, connection.thread_id())
        seen["afterwards"] = await rows_of(cursor, "SELECT 'still here'")
    await connection.ensure_closed()
    report()


asyncio.run(main())
