"""node-oracledb (thin) against the test server directly, and through OpenSSH's `ssh -N -L` and the bastion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.servers.bastion_process import BastionProcess
from tests.servers.oracle.conversation import Manners
from tests.servers.oracle.server import PASSWORDS, OracleServer

from .clients.node import run_node
from .oracle_place import Oracles, said, statements

MANNERS = {
    "23ai": Manners(),
    "12c": Manners(version=315, fields=7, verifier="11g", fast_auth=False, end_of_response=False, resends=1),
    "small": Manners(unit=512),
}

ANSWERS = [
    ("select", [[5, "é漢"]]),
    ("insert", 1),
    ("many", 3),
    ("kept", [[1, "eins 数据", True], [2, "zwei", None]]),
    ("missing", [942, 'ORA-00942: table or view "NOTHING_HERE" does not exist']),
    ("twice", [1, "ORA-00001: unique constraint violated (UNIQUE constraint failed: node_items.id)"]),
    ("before it", [300, [300]]),
    ("in the middle", [1722, "ORA-01722: unable to convert string value to a number"]),
    ("block", {"doubled": 42}),
    ("returned", [[4], ["vier"]]),
    ("errors", [[0, "ORA-00001"], [2, "ORA-00001"]]),
    ("raised", [20001, "ORA-20001: as asked"]),
    ("lobs", [5000, 5000, "00ff07"]),
    ("text", [["written in pieces, 数据"]]),
    ("stream", 1000),
    ("cursor", [[1], [2], [3]]),
    ("broken", [1013, "ORA-01013: user requested cancel of current operation"]),
    ("hurried", ["NJS-123", "NJS-123: call timeout of 3000 ms exceeded"]),
    ("after", [[7]]),
    ("told", [[8]]),
    ("pool", [[[[11]], [[12]]], 2]),
]
INSERTED = "insert into node_items (id, name, at) values (:id, :name, :at)"
MANY = "insert into node_items (id, name) values (:1, :2)"
SLEEP = "begin dbms_session.sleep(200); end;"
TWICE = "ORA-00001: unique constraint violated (UNIQUE constraint failed: node_items.id)"
CANCELLED = "ORA-01013: user requested cancel of current operation"
FAILING = "select failing_at(level, 350) as n from dual connect by level <= 1000"
RETURNED = "update node_items set name = :name where id = :id returning id, name into :changed, :called"
RECORD = [
    ("select", "select :a as n, :b as t from dual", ["5", "é漢"], 1, "done", None),
    ("create", "create table node_items (id number primary key, name varchar2(50), at date, note clob, data blob)",
     None, 0, "done", None),
    ("insert", INSERTED, ["1", "eins 数据", "2026-11-23 04:05:06"], 1, "done", None),
    ("insert", MANY, ["2", "zwei", "3", None, "4", "vier"], 3, "done", None),
    ("commit", "COMMIT", None, None, "done", None),
    ("delete", "delete from node_items where id > 2", None, 2, "done", None),
    ("rollback", "ROLLBACK", None, None, "done", None),
    ("select", "select id, name, at from node_items where id < :most order by id", ["3"], 2, "done", None),
    ("select", "select * from nothing_here", None, 0, "failed",
     'ORA-00942: table or view "NOTHING_HERE" does not exist'),
    ("insert", INSERTED, ["1", "again", None], 0, "failed",
     TWICE),
    ("select", FAILING, None, 348, "failed", "ORA-01722: unable to convert string value to a number"),
    ("begin", "begin :doubled := :given * 2; end;", [None, "21"], 0, "done", None),
    ("update", RETURNED, ["vier", "4"], 1, "done", None),
    ("insert", MANY, ["1", "again", "5", "fünf", "4", "again"], 1, "failed",
     f"ORA-24381: error(s) in array DML; of execution 1: {TWICE}; of execution 3: {TWICE}"),
    ("begin", "begin raise_application_error(-20001, 'as asked'); end;", None, 0, "failed",
     "ORA-20001: as asked\nORA-06512: at line 1"),
    ("update", "update node_items set note = :note, data = :data where id = 1", ["n" * 5000, "0x00ff07"], 1, "done",
     None),
    ("select", "select note, data from node_items where id = 1", None, 1, "done", None),
    ("update", "update node_items set note = :note where id = 2", ["<CLOB, locator of 40 bytes>"], 1, "done", None),
    ("commit", "COMMIT", None, None, "done", None),
    ("select", "select note from node_items where id = 2", None, 1, "done", None),
    ("select", "select level from dual connect by level <= 1000", None, 1000, "done", None),
    ("begin", "begin open :found for select level from dual connect by level <= 3; end;", ["cursor"], 0, "done", None),
    ("cursor", "cursor of: begin open :found for select level from dual connect by level <= 3; end;", None, 3, "done",
     None),
    ("begin", SLEEP, None, 0, "failed", CANCELLED),
    ("begin", SLEEP, None, 0, "failed", CANCELLED),
    ("select", "select 7 from dual", None, 1, "done", None),
    ("select", "select 8 from dual", None, 1, "done", None),
    ("drop", "drop table node_items", None, 0, "done", None),
]  # fmt: skip
LOBS = [
    "LOB read", "LOB read", "LOB create temporary", "LOB write",
]  # fmt: skip


def answers(place: str, user: str, password: str) -> list[tuple[str, Any]]:
    """What the program has printed."""
    done = run_node("oracle_node", [place], {"DB_USER": user, "DB_PASSWORD": password}, limit=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return [(each["step"], each["value"]) for each in map(json.loads, done.stdout.splitlines())]


@pytest.mark.parametrize("manners", MANNERS)
def test_the_driver_gets_what_it_asks_for(manners: str) -> None:
    server = OracleServer(MANNERS[manners])
    try:
        found = answers(f"{server.host}:{server.port}/FREEPDB1", "app", PASSWORDS["APP"])
        assert found[:-1] == ANSWERS
        assert found[-1] == ("stranger", [1017, "ORA-01017: invalid credential or not authorized; logon denied"])
        assert server.failures == []
    finally:
        server.stop()


@pytest.fixture(scope="module")
def oracles(stock_bastion: BastionProcess) -> Iterator[Oracles]:
    with ExitStack() as stack:
        yield Oracles(stock_bastion, stack, MANNERS)


@pytest.mark.parametrize("manners", ["23ai", "12c"])
def test_what_it_does_is_on_record_statement_by_statement(oracles: Oracles, manners: str) -> None:
    user = f"node_{manners.replace('-', '_')}"
    place = oracles.place(manners, user)
    found = answers(place["dsn"], user, place["password"])
    assert found[:-1] == ANSWERS
    step, (number, text) = found[-1]
    assert (step, number) == ("stranger", 1017)
    assert "must be the O&M token" in text
    sessions = oracles.sessions(user, 4)
    record = oracles.record_of(sessions[0])
    assert statements(record) == RECORD
    operations = [each["text"] for each in record if each["text"].startswith("LOB ")]
    assert [each for each in operations if each.split(",")[0] in LOBS] == LOBS
    pooled = [said(oracles.record_of(each)) for each in sessions[1:3]]
    assert sorted(pooled) == [
        [("select", "select 11 from dual", None, 1, "done", None)],
        [("select", "select 12 from dual", None, 1, "done", None)],
    ]
    assert sessions[3]["state"] == "refused"
    assert oracles.servers[manners].failures == []
