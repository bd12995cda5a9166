"""The workstation's own client library on Oracle, through a real bastion to the test server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from backends.catalog import TableName
from backends.connection import (
    DatabaseConnection,
    ResultBegan,
    ResultEnded,
    RowsArrived,
    RunEvent,
    RunFailed,
    follow,
)
from backends.console import DatabaseConsole
from backends.headless import run_sql
from backends.host_keys import HostKeys
from backends.interface import Notice, TransactionState
from backends.link import Credentials, Link, Target
from bastion.api import messages as m
from bastion.api import methods
from tests.servers.bastion_process import HOST, BastionProcess
from tests.servers.oracle.server import PASSWORDS, OracleServer
from tests.servers.processes import wait_for

NAME = "wsoracle"


@pytest.fixture(scope="module")
def server() -> Iterator[OracleServer]:
    started = OracleServer()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess, server: OracleServer) -> BastionProcess:
    stock_bastion.apply(
        {
            "databases": [{
                "name": NAME, "engine": "oracle", "platform": "self-managed", "host": server.host,
                "port": server.port, "service": "FREEPDB1",
                "accounts": [{"name": "app", "password": {"env": "ACCOUNT_PASSWORD"}}],
            }],
            "grants": [{"name": f"bob-{NAME}", "to": ["bob"], "on": [NAME], "accounts": ["*"]}],
        },
        {"ACCOUNT_PASSWORD": PASSWORDS["APP"]},
    )  # fmt: skip
    return stock_bastion


@pytest.fixture(scope="module")
def link(bastion: BastionProcess) -> Iterator[Link]:
    opened = Link.connect_now(
        Target("bob", HOST, bastion.address[1]), Credentials(password=bastion.password_of("bob")),
        HostKeys([bastion.known_hosts]),
    )  # fmt: skip
    yield opened
    opened.close()


@pytest.fixture
def connection(link: Link) -> Iterator[DatabaseConnection]:
    token: m.Token = link.call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database=NAME))
    opened = DatabaseConnection.open_now(link, token, "")
    yield opened
    opened.close()


def run(connection: DatabaseConnection, text: str) -> list[RunEvent]:
    return connection.submit(lambda: list(follow(connection.backend, text, connection.cancel_now))).result(90)


def rows(events: list[RunEvent]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for event in events:
        if isinstance(event, RowsArrived) and event.batch is not None:
            found.extend(zip(*(column.to_pylist() for column in event.batch.columns), strict=True))
    return found


def closed(bastion: BastionProcess, session: str) -> dict[str, Any]:
    def found(sessions: list[dict[str, Any]]) -> dict[str, Any] | None:
        return next((each for each in sessions if each["id"] == session and each["state"] == "closed"), None)

    record: dict[str, Any] = bastion.wait_for_sessions("the session's end", found, 60)
    return record


def test_what_the_console_ran_is_what_the_server_ran_and_what_is_on_record(
    bastion: BastionProcess, server: OracleServer, link: Link
) -> None:
    token: m.Token = link.call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database=NAME))
    before = len(server.log)
    connection = DatabaseConnection.open_now(link, token, "")
    asked = [
        "select '漢' as a, 12345678901234567 as b, null as c from dual",
        "select *\nfrom nowhere_at_all",
    ]
    events = [run(connection, text) for text in asked]
    connection.close()
    assert rows(events[0]) == [("漢", "12345678901234567", None)]
    assert isinstance(events[1][-1], RunFailed)
    assert (events[1][-1].error.code, events[1][-1].error.position) == ("ORA-00942", len("select *\nfrom "))
    record = closed(bastion, connection.session)
    assert (record["engine"], record["user"], record["unattributed_bytes"]) == ("oracle", "bob", 0)
    recorded = [one["text"] for one in bastion.statements(connection.session)]
    assert recorded == server.log[before:] == asked


def test_blocks_say_what_they_said_and_errors_of_blocks_have_a_place(connection: DatabaseConnection) -> None:
    said = "begin\n  dbms_output.put_line('counted');\n  dbms_output.put_line('twice');\nend;"
    assert Notice("INFO", "counted") in run(connection, said)
    again = run(connection, said)
    assert [event.message for event in again if isinstance(event, Notice)] == ["counted", "twice"]
    failed = run(connection, "begin\n  dbms_output.put_line('before');\n  raise_application_error(-20001, 'no'); end;")
    assert Notice("INFO", "before") in failed
    assert isinstance(failed[-1], RunFailed)
    assert (failed[-1].error.code, failed[-1].error.message.splitlines()[0]) == ("ORA-20001", "no")


def test_values_are_the_servers_own(connection: DatabaseConnection) -> None:
    run(connection, "create table valued (id number(30) primary key, at timestamp, note clob, photo blob, bits raw(8))")
    run(
        connection, "insert into valued values (123456789012345678901, '2026-01-02 03:04:05.25', 'long 漢', null, null)"
    )
    run(connection, "insert into valued (id) values (2)")
    found = run(connection, "select id, at, note, photo from valued order by id desc")
    columns = next(event.columns for event in found if isinstance(event, ResultBegan))
    assert [column.type_name for column in columns] == ["NUMBER(30)", "TIMESTAMP", "CLOB", "BLOB"]
    assert rows(found)[1] == ("2", None, None, None)
    assert rows(found)[0][1:3] == ("2026-01-02 03:04:05.250000", "long 漢")
    run(connection, "drop table valued")


def test_transactions_are_the_servers_and_a_plan_leaves_them_alone(connection: DatabaseConnection) -> None:
    backend = connection.backend
    run(connection, "create table kept (id number primary key, words varchar2(20))")
    assert connection.submit(backend.transaction).result(60) is TransactionState.NONE
    connection.submit(backend.begin).result(60)
    run(connection, "insert into kept values (1, 'one')")
    assert connection.submit(backend.transaction).result(60) is TransactionState.OPEN
    plan = connection.submit(lambda: backend.explain("select * from kept where words = 'x'", measured=False)).result(60)
    assert [(node.operation, node.target) for node in plan.root.walk()] == [
        ("SELECT STATEMENT", ""), ("TABLE ACCESS FULL", "KEPT")
    ]  # fmt: skip
    assert rows(run(connection, "select count(*) from plan_table")) == [("0",)]
    assert rows(run(connection, "select words from kept")) == [("one",)]
    assert connection.submit(backend.transaction).result(60) is TransactionState.OPEN
    connection.submit(backend.rollback).result(60)
    assert rows(run(connection, "select words from kept")) == []
    connection.submit(lambda: backend.explain("select * from kept", measured=False)).result(60)
    assert connection.submit(backend.transaction).result(60) is TransactionState.NONE
    connection.submit(backend.set_autocommit, False).result(60)
    run(connection, "insert into kept values (2, 'two')")
    assert connection.submit(backend.transaction).result(60) is TransactionState.OPEN
    run(connection, "commit")
    assert connection.submit(backend.transaction).result(60) is TransactionState.NONE
    connection.submit(backend.set_autocommit, True).result(60)
    run(connection, "drop table kept")


def test_a_running_block_is_cancelled_by_the_bastions_break(
    server: OracleServer, connection: DatabaseConnection
) -> None:
    text = "begin dbms_session.sleep(90); end;"
    running = connection.submit(lambda: list(follow(connection.backend, text, connection.cancel_now)))
    wait_for("the block to run on the server", lambda: "sleep(90)" in server.running, 60)
    assert connection.cancel_now()
    events = running.result(60)
    assert isinstance(events[-1], RunFailed)
    assert (events[-1].error.code, events[-1].error.cancelled) == ("ORA-01013", True)
    assert not events[-1].error.connection_lost
    assert rows(run(connection, "select 7 as seven from dual")) == [("7",)]


def test_a_large_result_comes_in_pages_and_is_given_up_when_it_is_enough(connection: DatabaseConnection) -> None:
    many = "select level as n from dual connect by level <= 20000"
    assert len(rows(run(connection, many))) == 20000
    events = connection.submit(lambda: list(follow(connection.backend, many, connection.cancel_now, 10_000))).result(90)
    ended = events[-1]
    assert isinstance(ended, ResultEnded), events[-1]
    assert (ended.truncated, ended.cancelled) == (True, True)
    assert rows(run(connection, "select 8 as eight from dual")) == [("8",)]


async def test_the_catalog_has_a_connection_of_its_own(link: Link, connection: DatabaseConnection) -> None:
    for text in (
        "create table shelves (id number(10) primary key, name varchar2(30) not null)",
        "create table books (id number primary key, shelf number(10) references shelves(id) on delete cascade)",
        "create index books_by_shelf on books (shelf)",
        "create or replace procedure put_away(book in number, done out varchar2) is begin null; end;",
        "create or replace package library_ is procedure open_; end;",
        "create sequence book_numbers",
    ):
        assert not isinstance(run(connection, text)[-1], RunFailed), text
    token = await link.call(methods.TOKEN_REQUEST, methods.TokenRequest(database=NAME))
    console = await DatabaseConsole.open(link, token, "")
    try:
        top = await console.children(None)
        assert [(node.name, node.marks) for node in top.nodes if not node.system] == [
            ("APP", ("current",)), ("REPORT", ())
        ]  # fmt: skip
        groups = {node.kind: node for node in (await console.children(top.nodes[0])).nodes}
        assert list(groups) == ["tables", "packages", "procedures", "sequences"]
        tables = (await console.children(groups["tables"])).nodes
        shelves = next(node for node in tables if node.name == "SHELVES")
        below = (await console.children(shelves)).nodes
        assert [(node.name, node.detail, node.marks) for node in below if node.kind == "column"] == [
            ("ID", "NUMBER(10)", ("pk",)), ("NAME", "VARCHAR2(30)", ("not null",))
        ]  # fmt: skip
        referenced = next(node for node in below if node.kind == "referenced by")
        assert [node.name for node in (await console.children(referenced)).nodes] == ["BOOKS"]
        [procedure] = (await console.children(groups["procedures"])).nodes
        assert (procedure.name, procedure.detail) == ("PUT_AWAY", "(BOOK NUMBER, DONE out VARCHAR2)")
        assert (await console.definition(procedure)).text.startswith("create or replace procedure put_away(book")
        assert "CREATE TABLE shelves" in (await console.definition(shelves)).text
        described = await console.describe(TableName("APP", "BOOKS"))
        [key] = described.foreign_keys
        assert (key.columns, key.referenced.name, key.on_delete) == (("SHELF",), "SHELVES", "cascade")
        assert {index.name: index.primary for index in described.indexes} == {"BOOKS_BY_SHELF": False, "BOOKS_PK": True}
        metadata = await console.metadata()
        table = metadata.table("shelves")
        assert table is not None
        assert table.column_names == ["ID", "NAME"]
    finally:
        await console.close()


def test_a_script_of_statements_and_blocks_on_the_command_line(link: Link) -> None:
    out, err = io.StringIO(), io.StringIO()
    script = (
        "select q'[it's; one]' as a from dual;\n"
        "begin\n  dbms_output.put_line('said');\nend;\n/\n"
        "select 2 as b from dual -- the last;\n/\n"
    ).replace("q'[it's; one]'", "'it''s; one'")
    assert run_sql(link, NAME, script, "json", out, err=err) == 0, err.getvalue()
    assert out.getvalue() == '{"A": "it\'s; one"}\n{"B": 2}\n'
    assert err.getvalue() == "INFO: said\n"
    assert run_sql(link, NAME, "select 1 as a from dual;\nselect *\nfrom gone_away", "json", out, err=err) == 1
    assert '"GONE_AWAY" does not exist [ORA-00942] (line 3)' in err.getvalue()
