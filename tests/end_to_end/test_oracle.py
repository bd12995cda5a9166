"""python-oracledb through OpenSSH's `ssh -N -L` and the bastion, against the server of tests/servers/oracle.

test_oracle_direct.py holds that server against the same driver without a bastion.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import oracledb
import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.oracle.conversation import Manners
from tests.servers.processes import wait_for
from tests.servers.test_oracle_direct import PIPELINE_TEXTS, PIPELINED, pipeline

from .oracle_place import Oracles, said, statements
from .stock_clients import record_of, token_of

MANNERS = {
    "23ai": Manners(),
    "19c": Manners(version=318, fields=12, fast_auth=False, end_of_response=False),
    "12c": Manners(version=315, fields=7, fast_auth=False, end_of_response=False, resends=1),
    "11g-verifier": Manners(verifier="11g"),
    "small": Manners(unit=512),
}


@pytest.fixture(scope="module")
def oracles(stock_bastion: BastionProcess) -> Iterator[Oracles]:
    with ExitStack() as stack:
        yield Oracles(stock_bastion, stack, MANNERS)


@pytest.mark.parametrize("manners", MANNERS)
def test_what_the_driver_does_is_on_record_statement_by_statement(oracles: Oracles, manners: str) -> None:
    user = f"driver_{manners.replace('-', '_')}"
    with oracles.connected(manners, user) as connection:
        cursor = connection.cursor()
        cursor.execute("select 1 as n, 'x' as t from dual")
        assert cursor.fetchall() == [(1, "x")]
        cursor.execute("create table items (id number primary key, name varchar2(50), at date, note clob)")
        at = datetime(2026, 11, 23, 4, 5, 6)
        cursor.execute("insert into items values (:1, :2, :3, :4)", [1, "eins 数据", at, "long"])
        cursor.executemany("insert into items (id, name) values (:1, :2)", [(2, "zwei"), (3, None)])
        connection.commit()
        cursor.execute("select id, name, at, note from items where id <= :least order by id", least=2)
        rows = [(a, b, c, d.read() if d else d) for a, b, c, d in cursor]
        assert rows == [(1, "eins 数据", at, "long"), (2, "zwei", None, None)]
        with pytest.raises(oracledb.DatabaseError, match="ORA-00942"):
            cursor.execute("select * from nothing_here")
        result = cursor.var(int)
        cursor.execute("begin :o := :a * 2; end;", o=result, a=21)
        assert result.getvalue() == 42
        cursor.execute("drop table items")
    record = statements(oracles.record(user))
    inserted = "insert into items (id, name) values (:1, :2)"
    assert record == [
        ("select", "select 1 as n, 'x' as t from dual", None, 1, "done", None),
        ("create", "create table items (id number primary key, name varchar2(50), at date, note clob)", None, 0, "done",
         None),
        ("insert", "insert into items values (:1, :2, :3, :4)", ["1", "eins 数据", "2026-11-23 04:05:06", "long"], 1,
         "done", None),
        ("insert", inserted, ["2", "zwei", "3", None], 2, "done", None),
        ("commit", "COMMIT", None, None, "done", None),
        ("select", "select id, name, at, note from items where id <= :least order by id", ["2"], 2, "done", None),
        ("select", "select * from nothing_here", None, 0, "failed",
         'ORA-00942: table or view "NOTHING_HERE" does not exist'),
        ("begin", "begin :o := :a * 2; end;", [None, "21"], 0, "done", None),
        ("drop", "drop table items", None, 0, "done", None),
    ]  # fmt: skip
    assert oracles.servers[manners].failures == []


def test_results_are_shown_later_as_the_driver_saw_them(oracles: Oracles) -> None:
    with oracles.connected("23ai", "shown") as connection:
        cursor = connection.cursor()
        cursor.execute("select level as n, 'row ' || level as t from dual connect by level <= 250")
        assert len(cursor.fetchall()) == 250
        result = cursor.var(int)
        cursor.execute("begin :o := 6 * 7; end;", o=result)
    session = oracles.session("shown")
    record = record_of(oracles.bastion, session)
    rows: list[list[str | None]] = []
    for place in range(1, len(record) + 1):
        printed = oracles.bastion.casemate("auditor", "audit", "show", session["id"], str(place), "--json")
        rows += [line["row"] for line in printed if "row" in line]
    assert rows[:2] == [["1", "row 1"], ["2", "row 2"]]
    assert rows[249] == ["250", "row 250"]
    assert rows[250] == ["42"]


def test_a_password_that_is_not_the_token_is_refused_as_oracle_does(oracles: Oracles) -> None:
    place = oracles.place("23ai", "stranger")
    with pytest.raises(oracledb.DatabaseError, match=r"ORA-01017.*must be the O&M token"):
        oracledb.connect(**{**place, "password": "wrong"})
    assert oracles.session("stranger")["state"] == "refused"
    assert ("STRANGER", "") not in oracles.servers["23ai"].logins


def test_another_service_privileges_and_a_new_password_are_refused(oracles: Oracles) -> None:
    place = oracles.place("23ai", "refused")
    with pytest.raises(oracledb.DatabaseError, match=r"(?s)DPY-6001|12514"):
        oracledb.connect(**oracles.place("23ai", "refused", service="other"))
    with pytest.raises(oracledb.DatabaseError, match="AS SYSDBA"):
        oracledb.connect(**place, mode=oracledb.AUTH_MODE_SYSDBA)
    with pytest.raises(oracledb.DatabaseError, match="password of an account cannot be changed"):
        oracledb.connect(**place, newpassword="another 1 Secret")


def test_the_database_sees_the_account_and_the_person(oracles: Oracles) -> None:
    with oracles.connected("19c", "whoever") as connection:
        assert connection.cursor().execute("select user from dual").fetchone() == ("APP",)
    user, program = oracles.servers["19c"].logins[-1]
    assert user == "APP"
    assert program.endswith("(alice)")
    session = oracles.session("whoever")
    assert (session["account"], session["login"].lower(), session["engine"]) == ("app", "whoever", "oracle")


def test_ending_a_session_cancels_on_the_database(oracles: Oracles) -> None:
    failed: list[Exception] = []

    def sleep() -> None:
        try:
            with oracles.connected("23ai", "sleeper") as connection:
                connection.cursor().execute("begin dbms_session.sleep(300); end;")
        except oracledb.Error as error:
            failed.append(error)

    oracles.tunnel("23ai")
    server = oracles.servers["23ai"]
    thread = threading.Thread(target=sleep)
    thread.start()
    wait_for("the block at work", lambda: server.log and "sleep(300)" in server.log[-1])

    def live(sessions: list[dict[str, Any]]) -> dict[str, Any] | None:
        return next((each for each in sessions if each["login"].lower() == "sleeper" and each["state"] == "live"), None)

    session = oracles.bastion.wait_for_sessions("the sleeper's session", live, 60)
    oracles.bastion.casemate("auditor", "end", session["id"], "--reason", "a test")
    thread.join(60)
    assert failed
    [statement] = record_of(oracles.bastion, oracles.session("sleeper"))
    assert statement["state"] in ("cancelled", "failed", "sent")
    wait_for("the end of its connection", lambda: "sleep(300)" not in server.running)


def test_a_call_that_takes_too_long_is_broken_off_by_the_driver_and_the_session_goes_on(oracles: Oracles) -> None:
    with oracles.connected("23ai", "hurried") as connection:
        connection.call_timeout = 5000  # so long may the answer to the break take as well
        cursor = connection.cursor()
        with pytest.raises(oracledb.DatabaseError, match="DPY-4024"):
            cursor.execute("begin dbms_session.sleep(200); end;")
        connection.call_timeout = 0
        assert cursor.execute("select 2 from dual").fetchone() == (2,)
    record = said(oracles.record("hurried"))
    assert record == [
        ("begin", "begin dbms_session.sleep(200); end;", None, 0, "failed",
         "ORA-01013: user requested cancel of current operation"),
        ("select", "select 2 from dual", None, 1, "done", None),
    ]  # fmt: skip


async def test_the_driver_s_other_way_of_waiting(oracles: Oracles) -> None:
    place = await asyncio.to_thread(oracles.place, "23ai", "asynchronous")
    async with oracledb.connect_async(**place) as connection:
        rows = await connection.fetchall("select level from dual connect by level <= 3")
        assert rows == [(1,), (2,), (3,)]
        await connection.execute("create table later (n number)")
        await connection.executemany("insert into later values (:1)", [(n,) for n in range(100)])
        await connection.commit()
        await connection.execute("drop table later")
    record = said(await asyncio.to_thread(oracles.record, "asynchronous"))
    assert [(kind, rows, state) for kind, _, _, rows, state, _ in record] == [
        ("select", 3, "done"), ("create", 0, "done"), ("insert", 100, "done"), ("commit", None, "done"),
        ("drop", 0, "done"),
    ]  # fmt: skip
    assert record[2][2] == [str(n) for n in range(100)]


async def test_a_pipeline_goes_call_by_call_and_every_connection_of_a_pool_has_its_record(oracles: Oracles) -> None:
    place = await asyncio.to_thread(oracles.place, "23ai", "pooled")
    pool = oracledb.create_pool_async(**place, min=2, max=2)
    async with pool.acquire() as one, pool.acquire() as two:
        results = await one.run_pipeline(pipeline(), continue_on_error=True)
        assert [each.rows for each in results if each.rows] == PIPELINED
        assert str(results[3].error).startswith("ORA-00942")
        assert await two.fetchone("select count(*) from piped") == (3,)
        await two.execute("drop table piped")
    await pool.close()
    assert oracles.servers["23ai"].database.pipelines == 0
    sessions = await asyncio.to_thread(oracles.sessions, "pooled", 2)
    records = [statements(await asyncio.to_thread(oracles.record_of, each)) for each in sessions]
    assert sorted(records, key=len) == [
        [
            ("select", "select count(*) from piped", None, 1, "done", None),
            ("drop", "drop table piped", None, 0, "done", None),
        ],
        [
            ("create", PIPELINE_TEXTS[0], None, 0, "done", None),
            ("insert", PIPELINE_TEXTS[1], ["1", "a", "2", None, "3", "c"], 3, "done", None),
            ("select", PIPELINE_TEXTS[2], None, 3, "done", None),
            ("select", PIPELINE_TEXTS[3], None, 0, "failed", 'ORA-00942: table or view "MISSING" does not exist'),
            ("select", PIPELINE_TEXTS[4], None, 250, "done", None),
            ("begin", PIPELINE_TEXTS[5], None, 0, "done", None),
            ("commit", "COMMIT", None, None, "done", None),
        ],
    ]  # fmt: skip


def test_a_held_statement_that_is_refused_fails_as_oracle_s_do_and_the_session_goes_on(oracles: Oracles) -> None:
    with oracles.connected("23ai", "held") as connection:
        cursor = connection.cursor()
        cursor.execute("create table held_items (n number)")

        def live(sessions: list[dict[str, Any]]) -> dict[str, Any] | None:
            ours = [each for each in sessions if each["login"].lower() == "held" and each["state"] == "live"]
            return ours[0] if ours else None

        session = oracles.bastion.wait_for_sessions("the held session", live, 60)
        oracles.bastion.casemate("auditor", "hold", session["id"], "--reason", "a look at what comes next")
        failed: list[str] = []

        def write() -> None:
            try:
                cursor.executemany("insert into held_items values (:1)", [(n,) for n in range(5)])
            except oracledb.Error as error:
                failed.append(str(error))

        thread = threading.Thread(target=write)
        thread.start()

        def held() -> bool:
            live_now = oracles.bastion.casemate("auditor", "sessions", "--live", "--json")
            return any(each["id"] == session["id"] and each["activity"] == "held" for each in live_now)

        wait_for("the statement that is held", held)
        oracles.bastion.casemate("auditor", "release", session["id"], "--refuse", "--reason", "not now")
        thread.join(60)
        assert failed
        assert failed[0].startswith("ORA-01031")
        assert "not now" in failed[0]
        assert cursor.execute("select count(*) from held_items").fetchone() == (0,)
        cursor.execute("drop table held_items")
    assert "insert into held_items values (:1)" not in oracles.servers["23ai"].log
    states = [(each["kind"], each["state"]) for each in oracles.record("held")]
    assert states == [("create", "done"), ("insert", "refused"), ("select", "done"), ("drop", "done")]


@pytest.mark.parametrize("manner", ["23ai", "19c"])
def test_a_break_while_nothing_runs_takes_the_next_call_and_no_more(oracles: Oracles, manner: str) -> None:
    login = f"late{manner}"
    with oracles.connected(manner, login) as connection:
        cursor = connection.cursor()
        cursor.execute("create table late_items (n number)")
        connection.cancel()
        with pytest.raises(oracledb.DatabaseError, match="ORA-01013"):
            cursor.execute("insert into late_items values (1)")
        assert cursor.execute("select count(*) from late_items").fetchone() == (0,)
        cursor.execute("drop table late_items")
    states = [(each["kind"], each["state"]) for each in oracles.record(login)]
    assert states == [("create", "done"), ("insert", "failed"), ("select", "done"), ("drop", "done")]


def test_the_token_says_that_it_is_the_client_s_password(oracles: Oracles) -> None:
    oracles.tunnel("23ai")
    token = token_of(oracles.bastion, "alice", "oracle-23ai")
    assert token["asks_password"] is True
    assert token["lines"]["client"].startswith("sqlplus ")
    assert token["lines"]["client"].endswith("/FREEPDB1")
