"""python-oracledb through OpenSSH's `ssh -N -L` and the bastion, against the server of tests/servers/oracle.

test_oracle_direct.py holds that server against the same driver without a bastion.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import oracledb
import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.oracle.conversation import Manners
from tests.servers.oracle.server import OracleServer
from tests.servers.processes import wait_for

from .stock_clients import SshTunnel, open_tunnel, record_of, token_of

PASSWORD = "a Secret of 1"
MANNERS = {
    "23ai": Manners(),
    "19c": Manners(version=318, fields=12, fast_auth=False, end_of_response=False),
    "12c": Manners(version=315, fields=7, fast_auth=False, end_of_response=False, resends=1),
    "11g-verifier": Manners(verifier="11g"),
    "small": Manners(unit=512),
}


@dataclass
class Oracles:
    """Servers of several manners as databases of a bastion, granted to alice."""

    bastion: BastionProcess
    stack: ExitStack
    servers: dict[str, OracleServer] = field(default_factory=dict)
    tunnels: dict[str, SshTunnel] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def tunnel(self, manners: str) -> SshTunnel:
        if manners not in self.tunnels:
            server = self.servers[manners] = OracleServer(MANNERS[manners])
            self.stack.callback(server.stop)
            name = f"oracle-{manners}"
            self.bastion.apply(
                {
                    "databases": [{
                        "name": name, "engine": "oracle", "platform": "self-managed", "host": server.host,
                        "port": server.port, "service": "FREEPDB1",
                        "accounts": [{"name": "app", "password": {"env": "ACCOUNT_PASSWORD"}}],
                    }],
                    "grants": [{"name": f"alice-{name}", "to": ["alice"], "on": [name], "accounts": ["*"]}],
                },
                {"ACCOUNT_PASSWORD": PASSWORD},
            )  # fmt: skip
            self.tokens[manners] = token_of(self.bastion, "alice", name)["token"]
            self.tunnels[manners] = self.stack.enter_context(open_tunnel(self.bastion, "alice", name))
        return self.tunnels[manners]

    def place(self, manners: str, user: str, service: str = "FREEPDB1") -> dict[str, Any]:
        """What the driver is given."""
        tunnel = self.tunnel(manners)
        return {
            "user": user, "password": self.tokens[manners], "dsn": f"{tunnel.host}:{tunnel.port}/{service}",
            "tcp_connect_timeout": 30,
        }  # fmt: skip

    @contextmanager
    def connected(self, manners: str, user: str) -> Iterator[oracledb.Connection]:
        with oracledb.connect(**self.place(manners, user)) as connection:
            yield connection

    def session(self, user: str) -> dict[str, Any]:
        """The session of that login, once it is over."""

        def over(sessions: list[dict[str, Any]]) -> dict[str, Any] | None:
            ours = [each for each in sessions if each["login"].lower() == user.lower()]
            return ours[-1] if ours and ours[-1]["state"] not in ("opening", "live") else None

        found: dict[str, Any] = self.bastion.wait_for_sessions(f"the end of {user}'s session", over, 60)
        return found

    def record(self, user: str) -> list[dict[str, Any]]:
        """The statements of the session of that login, which has left no byte unattributed."""
        session = self.session(user)
        assert session["unattributed_bytes"] == 0
        assert session["state"] == "closed", session
        return record_of(self.bastion, session)


@pytest.fixture(scope="module")
def oracles(stock_bastion: BastionProcess) -> Iterator[Oracles]:
    with ExitStack() as stack:
        yield Oracles(stock_bastion, stack)


def said(record: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Of each statement operation, text, binds, rows, state and error."""
    return [(e["kind"], e["text"], e["binds"], e["rows"], e["state"], e["error"]) for e in record]


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
    record = said(oracles.record(user))
    inserted = "insert into items (id, name) values (:1, :2)"
    assert [each for each in record if "LOB" not in each[1]] == [
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
        connection.call_timeout = 500
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


def test_the_token_says_that_it_is_the_client_s_password(oracles: Oracles) -> None:
    oracles.tunnel("23ai")
    token = token_of(oracles.bastion, "alice", "oracle-23ai")
    assert token["asks_password"] is True
    assert token["lines"]["client"].startswith("sqlplus ")
    assert token["lines"]["client"].endswith("/FREEPDB1")
