"""Transactions, the write guard's way of trying, and plans, through a real bastion on PostgreSQL, MariaDB and MySQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from backends.connection import DatabaseConnection, ResultEnded, RowsArrived, RunEvent, RunFailed, follow
from backends.effects import effect_of
from backends.host_keys import HostKeys
from backends.interface import DatabaseError, TransactionState
from backends.link import Credentials, Link, Target
from bastion.api import messages as m
from bastion.api import methods
from tests.servers.bastion_process import HOST, BastionProcess

PASSWORD = "transactions-app's own password 1"
ENGINES = ("postgres", "mariadb", "mysql")
FILL = {
    "postgresql": "insert into item select n, n % 7, 'x' from generate_series(1, 2000) n",
    "mysql": "insert into item with recursive s as (select 1 n union all select n + 1 from s where n < 900) "
    "select n, n % 7, 'x' from s",
}
QUERY = "select a.grp, count(*) from item a join item b on a.id = b.grp where a.note = 'x' group by a.grp"


@pytest.fixture(scope="module")
def link(stock_bastion: BastionProcess) -> Iterator[Link]:
    opened: list[Link] = []

    def connect() -> Link:
        target = Target("bob", HOST, stock_bastion.address[1])
        credentials = Credentials(password=stock_bastion.password_of("bob"))
        return Link.connect_now(target, credentials, HostKeys([stock_bastion.known_hosts]))

    opened.append(connect())
    yield opened[0]
    opened[0].close()


@pytest.fixture(scope="module", params=ENGINES)
def token(request: pytest.FixtureRequest, stock_bastion: BastionProcess, link: Link) -> m.Token:
    server: Any = request.getfixturevalue(f"{request.param}_server")
    name = f"tx{request.param}"
    server.create_user("tx_app", PASSWORD)
    if request.param == "postgres":
        server.create_database(name, "tx_app")
    else:
        server.create_database(name)
        server.execute(f"GRANT ALL ON {name}.* TO tx_app@'%'")
    stock_bastion.apply(
        {
            "databases": [
                {
                    "name": name, "engine": server.engine, "platform": "self-managed", "host": server.host,
                    "port": server.port, "tls": {"mode": "prefer"}, "databases": [name], "production": True,
                    "accounts": [{"name": "tx_app", "password": {"env": "ACCOUNT_PASSWORD"}}],
                }
            ],
            "grants": [{"name": f"bob-{name}", "to": ["bob"], "on": [name], "accounts": ["*"]}],
        },
        {"ACCOUNT_PASSWORD": PASSWORD},
    )  # fmt: skip
    shown: m.Token = link.call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database=name))
    return shown


@pytest.fixture(scope="module")
def connections(link: Link, token: m.Token) -> Iterator[tuple[DatabaseConnection, DatabaseConnection]]:
    """One to work on, and one that sees only what was committed."""
    pair = tuple(DatabaseConnection.open_now(link, token, token.database) for _ in range(2))
    run(pair[0], "create table item (id int primary key, grp int, note varchar(20))")
    run(pair[0], FILL[pair[0].backend.engine])
    run(pair[0], "analyze item" if pair[0].backend.engine == "postgresql" else "analyze table item")
    yield pair[0], pair[1]
    for connection in pair:
        connection.close()


@pytest.fixture
def here(connections: tuple[DatabaseConnection, DatabaseConnection]) -> Iterator[DatabaseConnection]:
    yield connections[0]
    if state(connections[0]) is not TransactionState.NONE:
        do(connections[0], "rollback")


@pytest.fixture
def elsewhere(connections: tuple[DatabaseConnection, DatabaseConnection]) -> DatabaseConnection:
    return connections[1]


def run(connection: DatabaseConnection, text: str) -> list[RunEvent]:
    return connection.submit(lambda: list(follow(connection.backend, text, connection.cancel_now))).result(60)


def do(connection: DatabaseConnection, what: str) -> None:
    connection.submit(getattr(connection.backend, what)).result(60)


def state(connection: DatabaseConnection) -> TransactionState:
    return connection.submit(connection.backend.transaction).result(60)


def note(connection: DatabaseConnection, number: int = 1) -> str:
    [cell] = [
        event.batch.column(0)[0].as_py()
        for event in run(connection, f"select note from item where id = {number}")
        if isinstance(event, RowsArrived) and event.batch is not None
    ]
    return str(cell)


def test_the_mark_of_production_reaches_the_workstation(link: Link, token: m.Token) -> None:
    assert token.production
    shown: list[m.Database] = link.call_now(methods.DATABASES, methods.DatabaseList())
    assert {each.name: each.production for each in shown}[token.database] is True


def test_what_is_tried_is_seen_by_others_only_when_it_is_kept(
    here: DatabaseConnection, elsewhere: DatabaseConnection
) -> None:
    text = "update item set note = 'tried' where id = 1"
    assert effect_of(text, here.backend.engine).undoable
    do(here, "begin")
    assert state(here) is TransactionState.OPEN
    [ended] = run(here, text)
    assert isinstance(ended, ResultEnded)
    assert ended.affected == 1
    assert (note(here), note(elsewhere)) == ("tried", "x")
    do(here, "rollback")
    assert state(here) is TransactionState.NONE
    assert note(here) == "x"
    do(here, "begin")
    run(here, "update item set note = 'kept' where id = 2")
    do(here, "commit")
    assert note(elsewhere, 2) == "kept"


def test_what_is_said_to_be_undoable_is(here: DatabaseConnection, elsewhere: DatabaseConnection) -> None:
    """Definitions: PostgreSQL takes them back, MySQL and MariaDB commit with them, and the guard knows which."""
    engine = here.backend.engine
    undoable = effect_of("create table made (a int)", engine).undoable
    do(here, "begin")
    run(here, "update item set note = 'with' where id = 3")
    run(here, "create table made (a int)")
    do(here, "rollback")
    assert (note(elsewhere, 3) == "x") is undoable
    assert isinstance(run(here, "select * from made")[-1], RunFailed) is undoable


def test_a_failure_leaves_a_state_that_is_told(here: DatabaseConnection) -> None:
    do(here, "begin")
    run(here, "update item set note = 'half' where id = 4")
    run(here, "select wrong from item")
    if here.backend.engine == "postgresql":
        assert state(here) is TransactionState.FAILED
        with pytest.raises(DatabaseError, match="rolled it back instead of committing"):
            do(here, "commit")
    else:
        assert state(here) is TransactionState.OPEN
        do(here, "rollback")
    assert state(here) is TransactionState.NONE
    assert note(here, 4) == "x"


def test_a_rollback_that_left_something_says_so(here: DatabaseConnection) -> None:
    if here.backend.engine == "postgresql":
        # Every table takes part in transactions there.
        do(here, "begin")
        run(here, "update item set note = 'gone' where id = 6")
        do(here, "rollback")
        assert note(here, 6) == "x"
        return
    run(here, "create table plain (a int) engine = myisam")
    do(here, "begin")
    run(here, "insert into plain values (1)")
    with pytest.raises(DatabaseError, match="Not everything was taken back") as raised:
        do(here, "rollback")
    assert "non-transactional" in raised.value.detail
    assert state(here) is TransactionState.NONE


def test_the_estimated_plan(here: DatabaseConnection) -> None:
    plan = here.submit(here.backend.explain, QUERY, measured=False).result(60)
    assert not plan.measured
    tables = [node for node in plan.root.walk() if node.target.startswith(("item", "a", "b"))]
    assert len(tables) == 2
    assert all(node.rows is not None and node.actual_rows is None for node in tables)
    assert any(plan.dear(node) for node in plan.root.walk())


def test_the_measured_plan(here: DatabaseConnection) -> None:
    plan = here.submit(here.backend.explain, QUERY, measured=True).result(60)
    assert plan.measured
    assert plan.unit == "ms"
    assert any(node.actual_rows is not None and node.actual_ms is not None for node in plan.root.walk())
    assert sum(plan.share(node) or 0.0 for node in plan.root.walk()) == pytest.approx(1.0)


def test_the_plan_of_a_write_writes_nothing(here: DatabaseConnection) -> None:
    text = "update item set note = 'explained' where grp = 3"
    plan = here.submit(here.backend.explain, text, measured=False).result(60)
    assert any("item" in node.target for node in plan.root.walk())
    assert note(here, 3) != "explained"


def test_a_wrong_statement_has_its_place_and_the_transaction_lives(here: DatabaseConnection) -> None:
    do(here, "begin")
    run(here, "update item set note = 'mine' where id = 5")
    with pytest.raises(DatabaseError) as raised:
        here.submit(here.backend.explain, "select * frm item", measured=False).result(60)
    assert raised.value.position == len("select * ")
    assert state(here) is TransactionState.OPEN
    assert note(here, 5) == "mine"
