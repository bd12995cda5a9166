"""The server of tests/servers/oracle against python-oracledb, without a bastion in between."""

from __future__ import annotations

import asyncio

import oracledb
import pytest

from .oracle.conversation import Manners
from .oracle.server import PASSWORDS, OracleServer

MANNERS = {
    "23ai": Manners(),
    "without fast authentication": Manners(fast_auth=False),
    "without an end of response": Manners(end_of_response=False),
    "19c": Manners(version=318, fields=12, fast_auth=False, end_of_response=False),
    "12c": Manners(version=315, fields=7, fast_auth=False, end_of_response=False, resends=2),
    "verifier of 11g": Manners(verifier="11g"),
    "small packets": Manners(unit=512),
    "errors without markers": Manners(markers=False),
}

PIPELINE_TEXTS = [
    "create table piped (n number, t varchar2(10))",
    "insert into piped values (:1, :2)",
    "select n, t from piped order by n",
    "select * from missing",
    "select level from dual connect by level <= 250",
    "begin dbms_session.sleep(0.01); end;",
]
PIPELINED = [[(1, "a"), (2, None), (3, "c")], [(n,) for n in range(1, 251)]]


def pipeline() -> oracledb.Pipeline:
    """Seven operations, of which one fails."""
    found = oracledb.create_pipeline()
    found.add_execute(PIPELINE_TEXTS[0])
    found.add_executemany(PIPELINE_TEXTS[1], [(1, "a"), (2, None), (3, "c")])
    found.add_fetchall(PIPELINE_TEXTS[2])
    found.add_fetchall(PIPELINE_TEXTS[3])
    found.add_fetchall(PIPELINE_TEXTS[4], arraysize=40)
    found.add_execute(PIPELINE_TEXTS[5])
    found.add_commit()
    return found


@pytest.mark.parametrize("manners", MANNERS)
def test_the_driver_gets_what_it_asks_for(manners: str) -> None:
    server = OracleServer(MANNERS[manners])
    try:
        place = f"{server.host}:{server.port}/FREEPDB1"
        with oracledb.connect(user="app", password=PASSWORDS["APP"], dsn=place) as connection:
            cursor = connection.cursor()
            cursor.execute("create table t (id number primary key, name varchar2(50), note clob)")
            cursor.execute("insert into t values (:1, :2, :3)", [1, "eins 数据", "n" * 5000])
            cursor.executemany("insert into t (id, name) values (:1, :2)", [(n, f"row {n}") for n in range(2, 600)])
            assert cursor.rowcount == 598
            connection.rollback()
            assert cursor.execute("select count(*) from t").fetchone() == (0,)
            cursor.execute("insert into t values (:1, :2, :3)", [1, None, "n" * 5000])
            connection.commit()
            [(key, name, note)] = cursor.execute("select * from t")
            assert (key, name, note.read()) == (1, None, "n" * 5000)
            with pytest.raises(oracledb.IntegrityError, match="ORA-00001"):
                cursor.execute("insert into t (id) values (1)")
            with pytest.raises(oracledb.DatabaseError, match="ORA-00942"):
                cursor.execute("select * from missing")
            assert len(cursor.execute("select level from dual connect by level <= 2500").fetchall()) == 2500
            result = cursor.var(int)
            cursor.execute("begin :o := :a * 2; end;", o=result, a=-21)
            assert result.getvalue() == -42
        with pytest.raises(oracledb.DatabaseError, match="ORA-01017"):
            oracledb.connect(user="app", password="wrong", dsn=place)
        with pytest.raises(oracledb.DatabaseError, match="DPY-6001"):
            oracledb.connect(user="app", password="x", dsn=f"{server.host}:{server.port}/NOT_THERE")
        assert server.failures == []
    finally:
        server.stop()


def test_a_listener_that_sends_the_connection_on() -> None:
    target = OracleServer()
    server = OracleServer(Manners(redirect=f"{target.host}:{target.port}"))
    try:
        place = f"{server.host}:{server.port}/FREEPDB1"
        with oracledb.connect(user="app", password=PASSWORDS["APP"], dsn=place) as connection:
            assert connection.cursor().execute("select user from dual").fetchone() == ("APP",)
        assert (len(server.logins), len(target.logins)) == (0, 1)
    finally:
        server.stop()
        target.stop()


async def test_the_driver_s_other_way_of_waiting() -> None:
    server = OracleServer()
    try:
        place = f"{server.host}:{server.port}/FREEPDB1"
        async with oracledb.connect_async(user="app", password=PASSWORDS["APP"], dsn=place) as connection:
            sleeping = asyncio.create_task(connection.execute("begin dbms_session.sleep(100); end;"))
            async with asyncio.timeout(30):
                while not server.running:
                    await asyncio.sleep(0)
            connection.cancel()
            with pytest.raises(oracledb.DatabaseError, match="ORA-01013"):
                await sleeping
            assert await connection.fetchone("select 1 from dual") == (1,)
        assert server.failures == []
    finally:
        server.stop()


@pytest.mark.parametrize("manners", ["23ai", "small packets", "19c"])
async def test_a_pipeline_and_a_pool(manners: str) -> None:
    server = OracleServer(MANNERS[manners])
    try:
        place = f"{server.host}:{server.port}/FREEPDB1"
        pool = oracledb.create_pool_async(user="app", password=PASSWORDS["APP"], dsn=place, min=1, max=3)
        async with pool.acquire() as one, pool.acquire() as two:
            results = await one.run_pipeline(pipeline(), continue_on_error=True)
            assert [each.rows for each in results if each.rows] == PIPELINED
            assert str(results[3].error).startswith("ORA-00942")
            assert await two.fetchone("select count(*) from piped") == (3,)
        await pool.close()
        assert server.database.pipelines == (manners != "19c")
        assert server.failures == []
        assert server.log[:6] == PIPELINE_TEXTS
    finally:
        server.stop()
