"""The workstation's own client library on SQL Server, through a real bastion to the test server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from backends.connection import DatabaseConnection, ResultEnded, RowsArrived, RunEvent, RunFailed, follow
from backends.console import DatabaseConsole
from backends.headless import run_sql
from backends.host_keys import HostKeys
from backends.interface import Notice, TransactionState
from backends.link import Credentials, Link, Target
from bastion.api import messages as m
from bastion.api import methods
from tests.servers.bastion_process import HOST, BastionProcess
from tests.servers.processes import wait_for
from tests.servers.sqlserver import TdsServer

NAME = "wssqlserver"
PASSWORD = "Workstation-app's 1 password"


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess, tds_server: TdsServer) -> BastionProcess:
    tds_server.create_database(NAME)
    tds_server.create_user("workstation_app", PASSWORD)
    tds_server.execute("create table notes (id int primary key, words nvarchar(100))", database=NAME)
    stock_bastion.apply(
        {
            "databases": [{
                "name": NAME, "engine": "sqlserver", "platform": "self-managed", "host": tds_server.host,
                "port": tds_server.port, "tls": {"mode": "prefer"}, "databases": [NAME],
                "accounts": [{"name": "workstation_app", "password": {"env": "ACCOUNT_PASSWORD"}}],
            }],
            "grants": [{"name": f"bob-{NAME}", "to": ["bob"], "on": [NAME], "accounts": ["*"]}],
        },
        {"ACCOUNT_PASSWORD": PASSWORD},
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
    opened = DatabaseConnection.open_now(link, token, NAME)
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
    bastion: BastionProcess, tds_server: TdsServer, link: Link
) -> None:
    token: m.Token = link.call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database=NAME))
    connection = DatabaseConnection.open_now(link, token, NAME)
    asked = [
        "select N'漢' as a, cast(1.50 as decimal(5,2)) as b, @@spid as spid",
        "insert notes values (1, N'one'), (2, N'two')",
        "print N'said' select words from notes order by id",
        "select * from nowhere_at_all",
        "begin tran delete from notes",
        "rollback",
    ]
    events = [run(connection, text) for text in asked]
    connection.close()
    ((first, second, spid),) = rows(events[0])
    assert (first, second) == ("漢", "1.50")
    assert rows(events[2]) == [("one",), ("two",)]
    assert Notice("INFO", "said") in events[2]
    assert isinstance(events[3][-1], RunFailed)
    assert (events[3][-1].error.code, events[3][-1].error.position) == ("208", len("select * from "))
    record = closed(bastion, connection.session)
    assert (record["engine"], record["user"], record["unattributed_bytes"]) == ("sqlserver", "bob", 0)
    statements = bastion.statements(connection.session)
    recorded = [one["text"] for one in statements]
    logged = [each["text"] for each in tds_server.entries() if each["session"] == int(spid) and each["kind"] == "batch"]
    assert recorded == logged
    own = [one for one in statements if one["text"] in asked]
    assert [(one["text"], one["rows"]) for one in own if one["rows"] is not None][:3] == [
        (asked[0], 1), (asked[1], 2), (asked[2], 2)
    ]  # fmt: skip
    assert own[3]["error"] is not None
    assert "Invalid object name" in str(own[3]["error"])


def test_the_person_and_not_the_password_reaches_the_server(
    bastion: BastionProcess, tds_server: TdsServer, connection: DatabaseConnection
) -> None:
    assert rows(run(connection, "select suser_sname() as login, app_name() as program")) == [
        ("workstation_app", "casemate (bob)")
    ]
    assert not bastion.mentions(PASSWORD)


@pytest.mark.parametrize("text", ["waitfor delay '00:01:30'", "select 1 as a waitfor delay '00:01:30' select 2 as b"])
def test_a_running_statement_is_cancelled_by_the_bastions_attention(
    tds_server: TdsServer, connection: DatabaseConnection, text: str
) -> None:
    running = connection.submit(lambda: list(follow(connection.backend, text, connection.cancel_now)))
    wait_for("the statement to run on the server", lambda: tds_server.running("waitfor"), 60)
    assert connection.cancel_now()
    events = running.result(60)
    assert isinstance(events[-1], RunFailed)
    assert events[-1].error.cancelled
    assert not events[-1].error.connection_lost
    assert rows(run(connection, "select 7 as seven")) == [("7",)]
    assert connection.backend.transaction() is TransactionState.NONE


def test_a_large_result_that_is_enough_is_cancelled(tds_server: TdsServer, connection: DatabaseConnection) -> None:
    tds_server.execute(
        "drop view if exists numbers_of_many",
        "create view numbers_of_many as with n as (select 1 as i union all select i + 1 from n where i < 20000000) "
        "select i from n",
        database=NAME,
    )
    events = connection.submit(
        lambda: list(follow(connection.backend, "select i from numbers_of_many", connection.cancel_now, 10_000))
    ).result(90)
    ended = events[-1]
    assert isinstance(ended, ResultEnded), events[-1]
    assert (ended.truncated, ended.cancelled) == (True, True)
    assert rows(run(connection, "select 8 as eight")) == [("8",)]


async def test_the_catalog_has_a_connection_of_its_own(link: Link, bastion: BastionProcess) -> None:
    token = await link.call(methods.TOKEN_REQUEST, methods.TokenRequest(database=NAME))
    console = await DatabaseConsole.open(link, token, NAME)
    try:
        top = await console.children(None)
        assert [node.name for node in top.nodes if not node.system] == ["dbo"]
        metadata = await console.metadata()
        table = metadata.table("notes")
        assert table is not None
        assert table.column_names == ["id", "words"]
    finally:
        await console.close()


@pytest.mark.parametrize("listener", ["required", "plain"])
def test_with_and_without_tls_to_the_server(
    bastion: BastionProcess, tds_server: TdsServer, link: Link, listener: str
) -> None:
    """The bastion's own leg, as its database's TLS mode says."""
    modes = {"required": "require", "plain": "disable"}
    name = f"{NAME}-{listener}"
    bastion.apply(
        {
            "databases": [{
                "name": name, "engine": "sqlserver", "platform": "self-managed", "host": tds_server.host,
                "port": tds_server.ports[listener], "tls": {"mode": modes[listener]}, "databases": [NAME],
                "accounts": [{"name": "workstation_app", "password": {"env": "ACCOUNT_PASSWORD"}}],
            }],
            "grants": [{"name": f"bob-{name}", "to": ["bob"], "on": [name], "accounts": ["*"]}],
        },
        {"ACCOUNT_PASSWORD": PASSWORD},
    )  # fmt: skip
    out, err = io.StringIO(), io.StringIO()
    assert run_sql(link, name, "select words from notes where id = 1", "csv", out, err=err) == 0, err.getvalue()
    assert out.getvalue() == "words\none\n"


def test_a_script_of_batches_on_the_command_line(link: Link) -> None:
    out, err = io.StringIO(), io.StringIO()
    script = (
        "declare @n int = 20;\nselect @n + 1 as n;\nprint 'counted'\nGO\n"
        "create table #made (a int); insert #made values (1), (2)\ngo\nselect count(*) as made from #made"
    )
    assert run_sql(link, NAME, script, "json", out, err=err) == 0
    assert out.getvalue() == '{"n": 21}\n{"made": 2}\n'
    assert err.getvalue().splitlines() == ["INFO: counted", "2 rows affected"]
    assert run_sql(link, NAME, "select 1 as a\ngo\nselect\n  nothing_here", "json", out, err=err) == 1
    assert "Invalid column name 'nothing_here'. [207] (line 4)" in err.getvalue()
