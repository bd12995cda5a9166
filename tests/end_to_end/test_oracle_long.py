"""python-oracledb through OpenSSH's `ssh -N -L` and the bastion: what is long, what comes back, what does not pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import oracledb
import pytest

from bastion.protocols.contract import BIND_LIMIT
from tests.servers.bastion_process import BastionProcess
from tests.servers.oracle.conversation import Manners

from .oracle_place import Oracles

MANNERS = {
    "23ai": Manners(),
    "12c": Manners(version=315, fields=7, fast_auth=False, end_of_response=False),
}
LONG_TEXT = "0123456789abcdé数" * 1_250_000
"""More than 20 MiB as UTF-8."""


@pytest.fixture(scope="module")
def oracles(stock_bastion: BastionProcess) -> Iterator[Oracles]:
    with ExitStack() as stack:
        yield Oracles(stock_bastion, stack, MANNERS)


def record(oracles: Oracles, user: str) -> list[dict[str, Any]]:
    """The statements of that login's session, which was closed and has left no byte unattributed."""
    [session] = oracles.sessions(user, 1)
    assert (session["unattributed_bytes"], session["state"]) == (0, "closed"), session
    return [each for each in oracles.bastion.statements(session["id"]) if each["text"] != "COMMIT"]


@pytest.mark.slow
@pytest.mark.parametrize("manners", MANNERS)
def test_what_is_long_passes_whole_and_is_on_record(oracles: Oracles, manners: str) -> None:
    user = f"long_{manners}"
    block = "begin :o := 42; end; -- " + "never mind 数" * 170_000
    assert len(block.encode()) > 2 * 1024 * 1024
    with oracles.connected(manners, user) as connection:
        cursor = connection.cursor()
        cursor.execute("create table longs (t long, n number)")
        cursor.execute("insert into longs (t, n) values (:1, :2)", [LONG_TEXT, 7])
        [(text, n)] = cursor.execute("select t, n from longs").fetchall()
        assert (text == LONG_TEXT, n) == (True, 7)
        answer = cursor.var(int)
        cursor.execute(block, o=answer)
        assert answer.getvalue() == 42
        lob = connection.createlob(oracledb.DB_TYPE_CLOB)
        lob.write(LONG_TEXT[:1_500_000])
        assert lob.read() == LONG_TEXT[:1_500_000]
        cursor.execute("drop table longs")
    found = record(oracles, user)
    data = LONG_TEXT.encode()
    start = data[: BIND_LIMIT // 2].decode(errors="backslashreplace")
    inserted = [each for each in found if each["kind"] == "insert"]
    assert [each["binds"] for each in inserted] == [
        [f"{start}… ({len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()})", "7"]
    ]
    assert [(each["rows"], each["state"]) for each in inserted] == [(1, "done")]
    [selected] = [each for each in found if each["kind"] == "select"]
    assert (selected["rows"], selected["state"], selected["bytes_down"] > len(data)) == (1, "done", True)
    [run] = [each for each in found if each["kind"] == "begin"]
    shown, said = run["text"][:260_000], run["text"][-60:]
    assert block.startswith(shown)
    assert f"{len(block)} characters in all" in said.replace(",", "")
    assert run["state"] == "done"
    assert [each["state"] for each in found if each["text"] == "LOB write"] == ["done"]
    assert oracles.servers[manners].failures == []


@pytest.mark.parametrize("manners", MANNERS)
def test_what_comes_back_is_on_record_as_it_was_asked_for(oracles: Oracles, manners: str) -> None:
    user = f"back_{manners}"
    update = "update pairs set name = :1 where id >= :2 returning id into :3"
    double = "begin :o := :a * 2; :io := :io + 1; end;"
    batch = "insert into pairs values (:1, :2)"
    with oracles.connected(manners, user) as connection:
        cursor = connection.cursor()
        cursor.execute("create table pairs (id number primary key, name varchar2(20))")
        cursor.setinputsizes(None, None, int, str)
        rows = [(at, f"n{at}") for at in range(3)]
        cursor.executemany("insert into pairs values (:1, :2) returning id, name into :3, :4", rows)
        assert [each.values for each in cursor.bindvars[2:]] == [[[0], [1], [2]], [["n0"], ["n1"], ["n2"]]]
        for name in ("x", "y"):
            ids = cursor.var(int)
            cursor.execute(update, [name, 1, ids])
            assert ids.values == [[1, 2]]
        both = cursor.var(int)
        for at in (4, 5):
            out = cursor.var(int)
            both.setvalue(0, at)
            cursor.execute(double, o=out, a=at, io=both)
            assert (out.getvalue(), both.getvalue()) == (2 * at, at + 1)
        opened = connection.cursor()
        cursor.execute("begin open :c for select id, name from pairs order by id; end;", c=opened)
        assert opened.fetchall() == [(0, "n0"), (1, "y"), (2, "y")]
        cursor.executemany(batch, [(5, "a"), (5, "b"), (6, "c")], batcherrors=True, arraydmlrowcounts=True)
        assert [error.offset for error in cursor.getbatcherrors()] == [1]
        assert cursor.getarraydmlrowcounts() == [1, 0, 1]
        for _ in range(2):
            cursor.executemany(
                "update pairs set name = :1 where id > :2", [("p", 4), ("q", 99)], arraydmlrowcounts=True
            )
            assert cursor.getarraydmlrowcounts() == [2, 0]
        cursor.execute("drop table pairs")
    lines = [(each["text"], each["binds"], each["rows"], each["state"]) for each in record(oracles, user)][1:-1]
    assert [line for line in lines if line[0] == update] == [
        (update, ["x", "1"], 2, "done"), (update, ["y", "1"], 2, "done"),
    ]  # fmt: skip
    assert lines[0][1:] == (["0", "n0", "1", "n1", "2", "n2"], 3, "done")
    assert [line[1] for line in lines if line[0] == double] == [[None, "4", "4"], ["5", "5"]]
    assert [line[1:] for line in lines if line[0] == batch] == [(["5", "a", "5", "b", "6", "c"], 2, "failed")]
    assert any("cursor" in line[0] and line[2:] == (3, "done") for line in lines)
    errors = [each["error"] for each in record(oracles, user) if each["error"]]
    assert len(errors) == 1
    assert errors[0].startswith("ORA-24381: ")
    assert "of execution 2: ORA-00001: unique constraint violated" in errors[0]
    assert oracles.servers[manners].failures == []


@pytest.mark.parametrize("manners", MANNERS)
def test_what_does_not_pass_is_refused_in_words_and_the_session_goes_on(oracles: Oracles, manners: str) -> None:
    user = f"words_{manners}"
    with oracles.connected(manners, user) as connection:
        cursor = connection.cursor()
        queue = connection.queue("RAW_QUEUE")
        with pytest.raises(oracledb.Error, match=r"(?s)ORA-03001.*does not pass the bastion: advanced queueing"):
            queue.enqone(connection.msgproperties(payload=b"x" * 20_000))
        connection.module, connection.action, connection.client_identifier = "payroll", "month", "jane"
        assert cursor.execute("select 1 from dual").fetchone() == (1,)
        branch = connection.xid(7, "txn1", "b1")
        connection.tpc_begin(branch)
        assert cursor.execute("select 2 from dual").fetchone() == (2,)
        connection.tpc_end(branch)
        assert connection.tpc_prepare(branch) is True
        connection.tpc_commit(branch)
    found = record(oracles, user)
    assert [(each["text"], each["state"]) for each in found] == [
        ("advanced queueing (enqueue), which does not pass the bastion", "refused"),
        ("select 1 from dual", "done"),
        ("TPC BEGIN 7, txn1, b1", "done"),
        ("select 2 from dual", "done"),
        ("TPC END 7, txn1, b1", "done"),
        ("TPC PREPARE 7, txn1, b1", "done"),
        ("TPC COMMIT 7, txn1, b1", "done"),
    ]
    assert oracles.servers[manners].failures == []
    branches = [text for _, text in oracles.servers[manners].database.log if text.startswith("-- branch")]
    assert [each.split()[-2:] for each in branches][:1] == [["7", "txn1b1"]]
