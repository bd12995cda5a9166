"""The console's backend for SQL Server, directly on the test server: what a person would see of results and catalog."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.catalog import CatalogNode, TableName
from backends.connection import BudgetReached, ResultBegan, ResultEnded, RowsArrived, RunEvent, RunFailed, follow
from backends.interface import DatabaseError, Kind, Login, Notice, TransactionState
from backends.loopback import OneConnection
from backends.plan import PlanUnreadable
from backends.sqlserver import SqlserverBackend
from backends.sqlserver_plan import read as read_plan
from backends.sqlserver_refusal import LoginRefusal, login_refusals
from backends.tunnel import BEGINNING_BYTES
from tests.servers.sqlserver import TdsServer

SHOP = """
create schema sales
go
create table customers (id int primary key, name nvarchar(100) not null, mail varchar(200) unique, since date)
go
create table sales.orders (id int identity(1,1) primary key, customer int not null references customers(id) on delete
cascade,
  total decimal(12,2) default 0, note nvarchar(max), at datetime2(3) default sysdatetime())
go
create index by_customer on sales.orders (customer, at)
go
create view big as select * from sales.orders where total > 10
go
create procedure dbo.add_order @customer int, @total decimal(12,2) = 1.5, @id int output as
begin set nocount on; insert into sales.orders (customer, total) values (@customer, @total); set @id =
scope_identity(); end
go
insert customers values (1, N'Ann 漢', 'ann@example.com', '2020-01-02'), (2, N'Bob', null, null)
insert sales.orders (customer, total) values (1, 20), (1, 5.5), (2, 100)
"""


class Loopback:
    """A `Way` to a server nearby: the listener of the workstation's tunnel, and bytes copied as they come."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks: set[asyncio.Task[None]] = set()
        self._beginning = bytearray()
        self.listener = OneConnection(self._taken)

    def loopback_port(self) -> int:
        return asyncio.run_coroutine_threadsafe(self.listener.listen(), self._loop).result(10)

    def connected_socket(self) -> socket.socket:
        raise NotImplementedError

    def unix_socket_folder(self, port: int) -> Path:
        raise NotImplementedError

    def beginning(self) -> bytes:
        return bytes(self._beginning)

    def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(self._loop.create_task(self._carry(reader, writer)))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(_copy(reader, up_writer), _copy(up_reader, writer, self._beginning))

    def close(self) -> None:
        async def shut() -> None:
            self.listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(shut(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, beginning: bytearray | None = None) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            if beginning is not None and len(beginning) < BEGINNING_BYTES:
                beginning += data
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture(scope="module")
def shop(tds_server: TdsServer) -> str:
    tds_server.create_database("backend_shop")
    tds_server.execute(*SHOP.split("\ngo\n"), database="backend_shop")
    return "backend_shop"


@pytest.fixture
def backend(tds_server: TdsServer, shop: str) -> Iterator[SqlserverBackend]:
    opened = SqlserverBackend(
        Loopback(tds_server.ports["main"]), Login(tds_server.admin_user, tds_server.admin_password, shop)
    )
    opened.connect()
    yield opened
    opened.close()


def run(backend: SqlserverBackend, text: str) -> list[RunEvent]:
    return list(follow(backend, text, lambda: False))


def rows(events: list[RunEvent]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for event in events:
        if isinstance(event, RowsArrived) and event.batch is not None:
            found.extend(zip(*(column.to_pylist() for column in event.batch.columns), strict=True))
    return found


def columns(events: list[RunEvent]) -> list[tuple[str, str, Kind]]:
    began = next(event for event in events if isinstance(event, ResultBegan))
    return [(column.name, column.type_name, column.kind) for column in began.columns]


# --------------------------------------------------------------------------------------------------------- results


@pytest.mark.parametrize(
    ("expression", "shown", "type_name", "kind"),
    [
        ("cast(1 as bit)", "1", "bit", Kind.NUMBER),
        ("cast(255 as tinyint)", "255", "int", Kind.NUMBER),
        ("cast(-9223372036854775807 as bigint)", "-9223372036854775807", "int", Kind.NUMBER),
        ("cast(12345678901234567890.123456 as decimal(38,6))", "12345678901234567890.123456", "decimal", Kind.NUMBER),
        ("cast(922337203685477.5807 as money)", "922337203685477.5807", "decimal", Kind.NUMBER),
        ("cast(0.1 as float)", "0.1", "float", Kind.NUMBER),
        ("cast('2024-01-02' as date)", "2024-01-02", "date", Kind.TIME),
        ("cast('03:04:05.123456' as time(7))", "03:04:05.123456", "time", Kind.TIME),
        ("cast('2024-01-02 03:04:05' as datetime)", "2024-01-02 03:04:05.000", "datetime", Kind.TIME),
        ("cast('2024-01-02 03:04:05.123456' as datetime2(6))", "2024-01-02 03:04:05.123456", "datetime2", Kind.TIME),
        ("cast('2024-01-02 03:04:05.12 -05:30' as datetimeoffset)", "2024-01-02 03:04:05.120000 -05:30",
        "datetimeoffset",
         Kind.TIME),
        ("cast('0e984725-c51c-4bf4-9960-e1c80e27aba0' as uniqueidentifier)", "0E984725-C51C-4BF4-9960-E1C80E27ABA0",
         "uniqueidentifier", Kind.TEXT),
        ("N'漢😀 text'", "漢😀 text", "nvarchar", Kind.TEXT),
        ("cast('é' as varchar(10))", "é", "nvarchar", Kind.TEXT),
        ("cast('<a>é</a>' as xml)", "<a>é</a>", "nvarchar", Kind.TEXT),
        ("cast(0x00ff as varbinary(10))", "0x00ff", "varbinary", Kind.BINARY),
        ("cast(0x0102 as sql_variant)", "0x0102", "varbinary", Kind.BINARY),
        ("cast(null as int)", None, "int", Kind.NUMBER),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_sql_server_shows_it(
    backend: SqlserverBackend, expression: str, shown: str | None, type_name: str, kind: Kind
) -> None:
    events = run(backend, f"select {expression} as value")
    assert columns(events) == [("value", type_name, kind)]
    assert rows(events) == [(shown,)]


def test_several_results_with_messages_between_them(backend: SqlserverBackend) -> None:
    events = run(
        backend, "print N'first' select 1 as a raiserror('careful %d', 7, 1, 42) select 2 as b, N'x' as c print 'last'"
    )
    assert [event for event in events if isinstance(event, Notice)] == [
        Notice("INFO", "first"), Notice("WARNING 7", "careful 42"), Notice("INFO", "last")
    ]  # fmt: skip
    assert rows(events) == [("1",), ("2", "x")]
    assert [event.rows for event in events if isinstance(event, ResultEnded)] == [1, 1]


def test_a_large_result_streams(backend: SqlserverBackend) -> None:
    numbers = "with n as (select 1 as i union all select i + 1 from n where i < 50000) select i from n"
    events = run(backend, numbers)
    assert len(rows(events)) == 50_000
    assert len([event for event in events if isinstance(event, RowsArrived)]) > 2


def test_a_result_that_is_given_up_leaves_the_connection_whole(backend: SqlserverBackend) -> None:
    numbers = "with n as (select 1 as i union all select i + 1 from n where i < 1000000) select i from n"
    events = []
    for event in follow(backend, numbers, lambda: False, budget=1000):
        events.append(event)
        if isinstance(event, BudgetReached):
            break
    assert isinstance(events[-1], BudgetReached)
    assert rows(run(backend, "select 7 as seven")) == [("7",)]


def test_an_error_has_its_number_its_place_and_what_else_was_said(backend: SqlserverBackend) -> None:
    text = "select 1 as a;\n  select * from nowhere_at_all"
    failed = run(backend, text)[-1]
    assert isinstance(failed, RunFailed)
    assert (failed.error.message, failed.error.code) == ("Invalid object name 'nowhere_at_all'.", "208")
    assert failed.error.position == text.index("nowhere_at_all")
    assert not failed.error.connection_lost
    assert rows(run(backend, "select 2 as b")) == [("2",)]


def test_rows_that_came_before_an_error_stay(backend: SqlserverBackend) -> None:
    events = run(backend, "select 1 as a raiserror('in the middle', 16, 1)")
    assert rows(events) == [("1",)]
    assert isinstance(events[-1], RunFailed)
    assert events[-1].error.message == "in the middle"


def test_a_change_says_how_many_rows(backend: SqlserverBackend) -> None:
    run(backend, "create table #counted (a int)")
    ended = run(backend, "insert #counted values (1), (2), (3)")[-1]
    assert isinstance(ended, ResultEnded)
    assert (ended.affected, ended.rows) == (3, None)


# ----------------------------------------------------------------------------------------------------- transactions


def test_the_state_of_the_transaction_is_known(backend: SqlserverBackend) -> None:
    assert backend.transaction() is TransactionState.NONE
    run(backend, "begin tran insert customers values (9, N'x', 'x', null)")
    assert backend.transaction() is TransactionState.OPEN
    backend.rollback()
    assert backend.transaction() is TransactionState.NONE
    assert rows(run(backend, "select count(*) as n from customers where id = 9")) == [("0",)]


def test_without_autocommit_the_first_statement_opens_a_transaction(backend: SqlserverBackend) -> None:
    backend.set_autocommit(False)
    run(backend, "insert customers values (9, N'x', 'x', null)")
    assert backend.transaction() is TransactionState.OPEN
    with pytest.raises(DatabaseError, match="Commit it or roll it back"):
        backend.set_autocommit(True)
    backend.rollback()
    backend.set_autocommit(True)
    assert rows(run(backend, "select count(*) as n from customers where id = 9")) == [("0",)]


# ------------------------------------------------------------------------------------------------------------ plans


def test_an_estimated_plan_is_a_tree_and_runs_nothing(backend: SqlserverBackend) -> None:
    text = "select c.name, o.total from sales.orders o join customers c on c.id = o.customer order by c.name"
    plan = backend.explain(text, measured=False)
    assert [(step.operation, step.target) for step in plan.root.walk()] == [
        ("Sort", ""), ("Nested Loops (Inner Join)", ""),
        ("Clustered Index Scan", "orders using PK_orders as o"), ("Clustered Index Seek",
        "customers using PK_customers as c"),
    ]  # fmt: skip
    assert (plan.measured, plan.unit) == (False, "cost")
    assert sum(plan.share(step) or 0 for step in plan.root.walk()) == pytest.approx(1)
    backend.explain("delete from sales.orders", measured=False)
    assert rows(run(backend, "select count(*) as n from sales.orders")) == [("3",)]


def test_a_measured_plan_has_rows_and_times(backend: SqlserverBackend) -> None:
    plan = backend.explain("select * from customers", measured=True)
    assert (plan.measured, plan.unit, plan.root.actual_rows, plan.root.actual_ms) == (True, "ms", 10, 20)
    assert rows(run(backend, "select 1 as a")) == [("1",)]


@pytest.mark.parametrize("text", ["<a/>", "<ShowPlanXML", "<!DOCTYPE a [<!ENTITY b 'c'>]><ShowPlanXML/>"])
def test_what_is_no_plan_is_said_to_be_none(text: str) -> None:
    with pytest.raises(PlanUnreadable):
        read_plan(text, measured=False)


# ---------------------------------------------------------------------------------------------------------- catalog


def names(nodes: list[CatalogNode]) -> list[str]:
    return [node.name for node in nodes]


def test_the_tree_of_the_catalog(backend: SqlserverBackend) -> None:
    catalog = backend.catalog
    top = catalog.page(None).nodes
    assert [(node.name, node.system) for node in top] == [
        ("dbo", False), ("sales", False), ("INFORMATION_SCHEMA", True), ("guest", True), ("sys", True)
    ]  # fmt: skip
    assert top[0].marks == ("current",)
    groups = catalog.page(top[0]).nodes
    assert [(node.name, node.count) for node in groups] == [("tables", 1), ("views", 1), ("procedures", 1)]
    assert [(node.name, node.detail) for node in catalog.page(groups[2]).nodes] == [
        ("add_order", "(@customer int, @total decimal(12,2), @id int output)")
    ]
    [tables] = catalog.page(top[1]).nodes
    [orders] = catalog.page(tables).nodes
    assert (orders.path, orders.detail) == (("sales", "orders"), "~3")
    below = catalog.page(orders).nodes
    assert [(node.name, node.detail, node.marks) for node in below if node.kind == "column"] == [
        ("id", "int", ("pk",)), ("customer", "int", ("fk", "not null")), ("total", "decimal(12,2)", ()),
        ("note", "nvarchar(max)", ()), ("at", "datetime2(3)", ()),
    ]  # fmt: skip
    gathered = {node.kind: names(catalog.page(node).nodes) for node in below if node.kind != "column"}
    assert gathered == {
        "indexes": ["PK_orders", "by_customer"], "keys": ["PK_orders"], "foreign keys": ["customer"],
        "referenced by": [],
        "triggers": [],
    }  # fmt: skip


def test_a_table_described_and_defined(backend: SqlserverBackend) -> None:
    catalog = backend.catalog
    described = catalog.describe(TableName("sales", "orders"))
    assert [(key.columns, key.referenced, key.on_delete) for key in described.foreign_keys] == [
        (("customer",), TableName("dbo", "customers"), "cascade")
    ]
    assert catalog.describe(TableName("dbo", "customers")).referenced_by[0].table == TableName("sales", "orders")
    orders = CatalogNode("table", "orders", ("sales", "orders"))
    text = catalog.definition(orders).text
    assert text == (
        "create table sales.orders (\n"
        "  id int identity not null,\n"
        "  customer int not null,\n"
        "  total decimal(12,2) default (0) null,\n"
        "  note nvarchar(max) null,\n"
        "  at datetime2(3) default (sysdatetime()) null,\n"
        "  constraint PK_orders primary key clustered (id),\n"
        "  constraint FK_orders_customers foreign key (customer) references dbo.customers (id) on delete cascade\n"
        ");\n"
        "create nonclustered index by_customer on sales.orders (customer, at);\n"
    )
    procedure = CatalogNode("procedure", "add_order", ("dbo", "add_order"))
    assert catalog.definition(procedure).text.startswith("create procedure dbo.add_order @customer int")
    with pytest.raises(DatabaseError, match="not there any more"):
        catalog.describe(TableName("dbo", "gone"))


def test_all_names_and_databases(backend: SqlserverBackend, shop: str) -> None:
    metadata = backend.catalog.metadata()
    table = metadata.table("orders", "sales")
    assert table is not None
    assert [(column.name, column.type_name) for column in table.columns][:2] == [("id", "int"), ("customer", "int")]
    assert metadata.search_path == ("dbo",)
    assert [function.name for function in metadata.functions] == ["add_order"]
    assert shop in backend.catalogs()
    assert "master" not in backend.catalogs()


# --------------------------------------------------------------------------------------------------- failed logins


def test_each_failed_login_has_the_servers_own_words(tds_server: TdsServer) -> None:
    """The driver has them for the first one of a process only."""
    for user, database, number, words in [
        ("nobody", "master", "18456", "Login failed for user 'nobody'."),
        ("no one", "master", "18456", "Login failed for user 'no one'."),
        (tds_server.admin_user, "no_such_database", "4060", 'Cannot open database "no_such_database"'),
    ]:
        way = Loopback(tds_server.ports["main"])
        password = tds_server.admin_password if user == tds_server.admin_user else "wrong"
        refused = SqlserverBackend(way, Login(user, password, database))
        with pytest.raises(DatabaseError) as caught:
            refused.connect()
        refused.close()
        assert (caught.value.code, caught.value.connection_lost) == (number, True)
        assert str(caught.value).startswith(words)


def test_a_server_that_does_not_answer_is_not_taken_for_one_that_refuses() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    way = Loopback(listener.getsockname()[1])
    hangs_up = threading.Thread(target=lambda: listener.accept()[0].close())
    hangs_up.start()
    backend = SqlserverBackend(way, Login("sa", "secret", "master"))
    with pytest.raises(DatabaseError) as caught:
        backend.connect()
    hangs_up.join(60)
    listener.close()
    backend.close()
    assert caught.value.connection_lost
    assert (caught.value.code, str(caught.value).partition(".")[0]) == (
        "",
        "The server hung up or said nothing while the login went on",
    )


def test_a_refusal_is_read_from_what_came_first_however_much_of_it_is_there() -> None:
    text = "Cannot open 漢.".encode("utf-16-le")
    error = (4060).to_bytes(4, "little") + b"\1\x0b" + (len(text) // 2).to_bytes(2, "little") + text + b"\0\0\1\0\0\0"
    tokens = b"\xe3\1\0\0" + b"\xaa" + len(error).to_bytes(2, "little") + error + b"\xfd" + bytes(12)
    packets = b"".join(
        b"\4" + bytes([last]) + (8 + len(part)).to_bytes(2, "big") + bytes(4) + part
        for last, part in [(1, b"\0\0\6\0\1\xff\2"), (0, tokens[:9]), (1, tokens[9:])]
    )
    whole = [LoginRefusal(4060, 11, "Cannot open 漢.")]
    assert login_refusals(packets) == whole
    for end in range(len(packets)):
        assert login_refusals(packets[:end]) in ([], whole)
    assert login_refusals(b"") == login_refusals(b"SSH-2.0-x\r\n") == login_refusals(b"\4\1\0\0" * 9) == []


# ------------------------------------------------------------------------------------------------- the loopback port


def test_the_port_takes_only_this_process(tds_server: TdsServer) -> None:
    """Another program's connection is closed unread; ours is taken after it; then nobody listens any more."""
    way = Loopback(tds_server.ports["main"])
    try:
        port = way.loopback_port()
        stranger = (
            f"import socket; s = socket.create_connection(('127.0.0.1', {port}), 10); s.settimeout(30)\n"
            "try: print(s.recv(1))\nexcept ConnectionResetError: print(b'')"
        )
        done = subprocess.run([sys.executable, "-c", stranger], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == "b''"
        with socket.create_connection(("127.0.0.1", port), 10) as ours:
            ours.settimeout(30)
            ours.sendall(bytes.fromhex("1201001a00000000 00000b0006 0100110001 ff 100003e80000 02"))
            assert ours.recv(1) == b"\x04"  # the server's own answer to PRELOGIN
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 10).close()
    finally:
        way.close()
