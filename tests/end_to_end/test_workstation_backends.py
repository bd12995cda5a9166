"""The workstation's own client library through a real bastion, on real databases."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.catalog import CatalogNode, TableName
from backends.connection import DatabaseConnection, ResultBegan, ResultEnded, RowsArrived, RunEvent, RunFailed, follow
from backends.console import DatabaseConsole
from backends.headless import run_sql
from backends.host_keys import HostKeys
from backends.interface import DatabaseError, Kind, Notice, TransactionState
from backends.link import Credentials, HostKeyChanged, HostKeyUnknown, Link, LoginRefused, Target, Unreachable
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.refusals import Refused
from tests.servers.bastion_process import HOST, BastionProcess
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer
from tests.servers.processes import free_port, remove, wait_for

PASSWORD = "backends-app's own password"
NAMES = {"postgresql": "wspostgres", "mysql": "wsmariadb"}


@pytest.fixture(scope="module")
def bastion(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> BastionProcess:
    postgres_server.create_user("backends_app", PASSWORD)
    postgres_server.create_database(NAMES["postgresql"], "backends_app")
    declare(stock_bastion, NAMES["postgresql"], postgres_server)
    return stock_bastion


@pytest.fixture(scope="module")
def mariadb(bastion: BastionProcess, mariadb_server: MariadbServer) -> str:
    mariadb_server.create_database(NAMES["mysql"])
    mariadb_server.create_user("backends_app", PASSWORD)
    mariadb_server.execute(f"GRANT ALL ON {NAMES['mysql']}.* TO backends_app@'%'")
    declare(bastion, NAMES["mysql"], mariadb_server)
    return NAMES["mysql"]


def declare(bastion: BastionProcess, name: str, server: Any) -> None:
    bastion.apply(
        {
            "databases": [
                {
                    "name": name, "engine": server.engine, "platform": "self-managed", "host": server.host,
                    "port": server.port, "tls": {"mode": "prefer"}, "databases": [name],
                    "accounts": [{"name": "backends_app", "password": {"env": "ACCOUNT_PASSWORD"}}],
                }
            ],
            "grants": [{"name": f"bob-{name}", "to": ["bob"], "on": [name], "accounts": ["*"]}],
        },
        {"ACCOUNT_PASSWORD": PASSWORD},
    )  # fmt: skip


def target(bastion: BastionProcess, user: str = "bob") -> Target:
    return Target(user, HOST, bastion.address[1])


@pytest.fixture(scope="module")
def link(bastion: BastionProcess) -> Iterator[Link]:
    opened = Link.connect_now(
        target(bastion), Credentials(password=bastion.password_of("bob")), HostKeys([bastion.known_hosts])
    )
    yield opened
    opened.close()


@pytest.fixture(params=["postgresql", "mysql"])
def connection(request: pytest.FixtureRequest, link: Link) -> Iterator[DatabaseConnection]:
    name = NAMES[request.param] if request.param == "postgresql" else request.getfixturevalue("mariadb")
    token: m.Token = link.call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database=name))
    opened = DatabaseConnection.open_now(link, token, name)
    yield opened
    opened.close()


def run(connection: DatabaseConnection, text: str) -> list[RunEvent]:
    return connection.submit(lambda: list(follow(connection.backend, text, connection.cancel_now))).result(60)


def rows(events: list[RunEvent]) -> list[tuple[str | None, ...]]:
    found: list[tuple[str | None, ...]] = []
    for event in events:
        if isinstance(event, RowsArrived):
            found.extend(zip(*(column.to_pylist() for column in event.batch.columns), strict=True))
    return found


def failure(events: list[RunEvent]) -> DatabaseError:
    assert isinstance(events[-1], RunFailed), events
    return events[-1].error


def test_rows_are_the_servers_own_text(connection: DatabaseConnection) -> None:
    events = run(connection, "select 12345678901234567890.10 as n, 'ä数' as t, null as z")
    assert isinstance(events[0], ResultBegan)
    assert [(column.name, column.kind) for column in events[0].columns][:2] == [("n", Kind.NUMBER), ("t", Kind.TEXT)]
    assert rows(events) == [("12345678901234567890.10", "ä数", None)]


def test_a_large_result_streams(connection: DatabaseConnection) -> None:
    numbers = {
        "postgresql": "select n, repeat('x', 20) from generate_series(1, 100000) n",
        "mysql": "with recursive s as (select 1 n union all select n + 1 from s where n < 900) "
        "select a.n, repeat('x', 20) from s a join s b on b.n <= 100",
    }
    events = run(connection, numbers[connection.backend.engine])
    counted = {"postgresql": 100_000, "mysql": 90_000}[connection.backend.engine]
    assert len(rows(events)) == counted
    assert isinstance(events[-1], ResultEnded)
    assert events[-1].rows == counted
    assert len([event for event in events if isinstance(event, RowsArrived)]) > 2


def test_an_error_has_its_place(connection: DatabaseConnection) -> None:
    text = "select 1\n  from from nothing"
    error = failure(run(connection, text))
    assert error.position is not None
    assert text[error.position :].startswith("from nothing")
    assert not error.connection_lost
    assert rows(run(connection, "select 1")) == [("1",)]


def test_a_running_statement_is_cancelled_through_the_bastion(
    link: Link, connection: DatabaseConnection, request: pytest.FixtureRequest
) -> None:
    text = {"postgresql": "select pg_sleep(60)", "mysql": "select sleep(60) from (select 1 union select 2) t"}
    running = connection.submit(
        lambda: list(follow(connection.backend, text[connection.backend.engine], connection.cancel_now))
    )
    seen = threading.Event()

    def sent(event: m.Event) -> None:
        if event.kind == "sent" and event.data.get("session") == connection.session:
            seen.set()

    stop = link.listen(sent)
    try:
        if not _running(link, connection.session):
            assert seen.wait(60) or _running(link, connection.session)
        server = request.getfixturevalue(
            "postgres_server" if connection.backend.engine == "postgresql" else "mariadb_server"
        )
        wait_for("the statement at work", lambda: server.running("sleep(60)"))
        assert connection.cancel_now()
    finally:
        stop()
    assert failure(running.result(50)).cancelled
    assert rows(run(connection, "select 2")) == [("2",)]


def _running(link: Link, session: str) -> bool:
    for _ in range(200):
        [found] = link.call_now(methods.SESSIONS, m.SessionFilter(id=session))
        if found.running:
            return True
    return False


def test_transactions(connection: DatabaseConnection) -> None:
    backend = connection.backend
    assert backend.transaction() is TransactionState.NONE
    run(connection, "drop table if exists counted")
    run(connection, "create table counted (n int)")
    connection.submit(backend.set_autocommit, False).result(10)
    assert isinstance(run(connection, "insert into counted values (1)")[-1], ResultEnded)
    assert backend.transaction() is TransactionState.OPEN
    connection.submit(backend.rollback).result(10)
    assert backend.transaction() is TransactionState.NONE
    run(connection, "insert into counted values (2)")
    connection.submit(backend.commit).result(10)
    assert rows(run(connection, "select n from counted")) == [("2",)]
    connection.submit(backend.rollback).result(10)
    connection.submit(backend.set_autocommit, True).result(10)
    assert backend.transaction() is TransactionState.NONE


def test_the_catalog_level_by_level(connection: DatabaseConnection) -> None:
    quoted = connection.backend.quote("odd'name")
    run(connection, f"drop table if exists {quoted}")
    assert isinstance(run(connection, f"create table {quoted} (id int primary key, note varchar(20))")[-1], ResultEnded)

    def below(node: CatalogNode | None) -> dict[str, CatalogNode]:
        page = connection.submit(lambda: connection.backend.catalog.page(node)).result(20)
        return {child.name: child for child in page.nodes}

    top = below(None)
    place = top["public" if connection.backend.engine == "postgresql" else NAMES["mysql"]]
    table = below(below(place)["tables"])["odd'name"]
    assert table.kind == "table"
    columns = below(table)
    assert list(columns)[:2] == ["id", "note"]
    assert columns["id"].marks == ("pk",)
    assert "char" in columns["note"].detail


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
async def test_the_catalog_answers_while_a_statement_runs(
    engine: str, link: Link, request: pytest.FixtureRequest
) -> None:
    name = NAMES[engine] if engine == "postgresql" else request.getfixturevalue("mariadb")
    token: m.Token = await asyncio.to_thread(link.call_now, methods.TOKEN_REQUEST, methods.TokenRequest(database=name))
    console = await DatabaseConsole.open(link, token, name)
    events: list[RunEvent] = []
    try:
        for statement in (
            "drop table if exists leaf", "drop table if exists stem", "create table stem (id int primary key)",
            "create table leaf (id int primary key, stem int, foreign key (stem) references stem (id))",
            "insert into stem values (5)", "insert into leaf values (1, 5)",
        ):  # fmt: skip
            await console.run(statement, events.append)
        assert not [event for event in events if isinstance(event, RunFailed)]
        slow = "select pg_sleep(60)" if engine == "postgresql" else "select sleep(60)"
        running = asyncio.create_task(console.run(slow, events.append))
        top = (await console.children(None)).nodes
        names = await console.metadata()
        place = TableName("public" if engine == "postgresql" else name, "leaf")
        assert place.schema in [node.name for node in top]
        table = names.table("leaf", place.schema)
        assert table is not None
        assert table.column_names == ["id", "stem"]
        described = await console.describe(place)
        assert [key.referenced.name for key in described.foreign_keys] == ["stem"]
        assert not running.done()
        server = request.getfixturevalue("postgres_server" if engine == "postgresql" else "mariadb_server")
        await asyncio.to_thread(wait_for, "the statement at work", lambda: server.running(slow))
        while not await console.cancel():
            pass
        await running
        events.clear()
        await console.run("select id, stem from leaf", events.append)
        [began] = [event for event in events if isinstance(event, ResultBegan)]
        [jump] = await console.jumps(began.columns, ["1", "5"], 1)
        assert jump.table.name == "stem"
        assert "where id = 5" in jump.statement
    finally:
        await console.close()


def test_notices_come_along(link: Link) -> None:
    token: m.Token = link.call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database=NAMES["postgresql"]))
    connection = DatabaseConnection.open_now(link, token, NAMES["postgresql"])
    try:
        events = run(connection, "do $$ begin raise notice 'half way'; end $$")
    finally:
        connection.close()
    assert [event.message for event in events if isinstance(event, Notice)] == ["half way"]


def test_sql_without_a_screen(link: Link, connection: DatabaseConnection) -> None:
    name = NAMES[connection.backend.engine]
    out, err = io.StringIO(), io.StringIO()
    assert run_sql(link, name, "select 1 as a; select 'x' as b", "json", out, err=err) == 0
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [{"a": 1}, {"b": "x"}]
    out, err = io.StringIO(), io.StringIO()
    assert run_sql(link, name, "select 1 as a;\nselect wrong;\nselect 2", "csv", out, err=err) == 1
    assert out.getvalue() == "a\n1\n"
    assert "wrong" in err.getvalue()
    assert "(line 2)" in err.getvalue()


def test_no_port_is_opened_and_the_socket_is_gone(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    # A folder of its own, with a short name: in the usual one other tests make theirs meanwhile.
    place = Path(tempfile.mkdtemp(prefix="ws-"))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    token: m.Token = link.call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database=NAMES["postgresql"]))
    connection = DatabaseConnection.open_now(link, token, NAMES["postgresql"])
    try:
        assert list(place.iterdir()) == []
    finally:
        connection.close()
        remove(place)


# ------------------------------------------------------------------------------------------------------------- the link


def test_what_the_bastion_refuses_arrives_as_its_reason(link: Link) -> None:
    with pytest.raises(Refused) as refused:
        link.call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database="not there"))
    assert refused.value.code == "database-not-authorized"


def test_a_wrong_password(bastion: BastionProcess) -> None:
    with pytest.raises(LoginRefused, match="Login failed"):
        Link.connect_now(target(bastion), Credentials(password="wrong"), HostKeys([bastion.known_hosts]))


def test_an_unknown_and_a_changed_host_key(bastion: BastionProcess, tmp_path: Path) -> None:
    keys = HostKeys([tmp_path / "known_hosts"])
    credentials = Credentials(password=bastion.password_of("bob"))
    with pytest.raises(HostKeyUnknown) as unknown:
        Link.connect_now(target(bastion), credentials, keys)
    shown = unknown.value.key
    assert shown.fingerprint.startswith("SHA256:")
    assert shown.line.split()[1:] in [line.split()[1:3] for line in bastion.known_hosts.read_text().splitlines()]
    keys.remember(shown)
    Link.connect_now(target(bastion), credentials, keys).close()
    other = "AAAAC3NzaC1lZDI1NTE5AAAAIJx1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1"
    (tmp_path / "known_hosts").write_text(f"[{HOST}]:{bastion.address[1]} ssh-ed25519 {other}\n")
    with pytest.raises(HostKeyChanged):
        Link.connect_now(target(bastion), credentials, keys)


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="cannot be reached"):
        Link.connect_now(Target("bob", HOST, free_port()), Credentials(password="x"), HostKeys([tmp_path / "k"]))


def test_the_database_names_that_can_be_opened(connection: DatabaseConnection) -> None:
    names = connection.submit(connection.backend.catalogs).result(20)
    assert NAMES[connection.backend.engine] in names
    assert not set(names) & {"information_schema", "mysql", "template1"}
