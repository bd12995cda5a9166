"""The catalog on real servers: odd names, keys both ways, definitions that can be run again, all names at once."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from backends.catalog import Catalog, CatalogNode, Description, TableName
from backends.connection import backend_for
from backends.foreign_keys import jumps_from_result
from backends.interface import Backend, DatabaseError, Login, Row, Rows, Started
from backends.statements import split

PASSWORD = "catalog's own password"
HOSTILE = "a\"b'c`d.e\x1b]2;x\x07[bold]数据库 ÄÖ"
"""Quotes of every engine, a dot, an escape sequence, markup and CJK in one name."""
HOSTILE_COLUMN = "Spalte \"1\" 'x' `y` \\ 列:oid"


@dataclass
class Direct:
    """Straight to the server, where the workstation has its tunnel."""

    host: str
    port: int
    folder: Path

    def connected_socket(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), 10)

    def unix_socket_folder(self, port: int) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        os.symlink(self.folder / f".s.PGSQL.{self.port}", folder / f".s.PGSQL.{port}")
        return folder

    def beginning(self) -> bytes:
        return b""

    def close(self) -> None: ...


@dataclass
class Desk:
    """A backend on a database of its own."""

    backend: Backend
    schema: str

    @property
    def engine(self) -> str:
        return self.backend.engine

    @property
    def catalog(self) -> Catalog:
        return self.backend.catalog

    def run(self, *statements: str) -> list[Row]:
        """The rows of the last one."""
        rows: list[Row] = []
        for statement in statements:
            rows = []
            for event in self.backend.execute(statement):
                if isinstance(event, Rows):
                    rows.extend(event.rows)
        return rows

    def q(self, name: str) -> str:
        return self.backend.quote(name)

    def below(self, node: CatalogNode | None) -> dict[str, CatalogNode]:
        return {child.name: child for child in self.catalog.page(node).nodes}

    def top(self) -> CatalogNode:
        return self.below(None)[self.schema]

    def table(self, name: str) -> CatalogNode:
        return self.below(self.below(self.top())["tables"])[name]


def opened(server: Any, engine: str, database: str) -> Desk:
    server.create_user("catalog_app", PASSWORD)
    if engine == "postgresql":
        server.create_database(database, "catalog_app")
    else:
        server.create_database(database)
    way = Direct(server.host, server.port, Path(server.folder))
    backend = backend_for(engine, way, Login("catalog_app", PASSWORD, database))
    backend.connect()
    return Desk(backend, "public" if engine == "postgresql" else database)


@pytest.fixture(scope="module", params=["postgres_server", "mariadb_server", "mysql_server"])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    server = request.getfixturevalue(request.param)
    engine = "postgresql" if request.param == "postgres_server" else "mysql"
    desk = opened(server, engine, "wscatalog")
    yield desk
    desk.backend.close()


@pytest.fixture(scope="module")
def shop(desk: Desk) -> Desk:
    """Tables that reference each other, under odd names."""
    q = desk.q
    desk.run(
        f"create table {q(HOSTILE)} ({q(HOSTILE_COLUMN)} int not null, region varchar(20) not null default 'eu',"
        f" note varchar(80), primary key ({q(HOSTILE_COLUMN)}, region))",
        "create table orders (id int primary key, customer int not null, region varchar(20) not null,"
        " parent int, constraint of_parent foreign key (parent) references orders (id),"
        " total decimal(12,2) default 0, constraint positive check (total >= 0),"
        f" constraint of_customer foreign key (customer, region) references {q(HOSTILE)} ({q(HOSTILE_COLUMN)}, region)"
        " on delete cascade)",
        "create unique index orders_total on orders (total, id)",
        f"create view {q('Open Orders')} as select id, total from orders where total > 0",
        f"insert into {q(HOSTILE)} values (1, 'eu', 'first'), (2, 'us', 'second')",
        "insert into orders values (10, 1, 'eu', null, 5), (11, 2, 'us', 10, 7), (12, 2, 'us', 10, 8)",
    )
    return desk


def test_odd_names_down_to_the_columns(shop: Desk) -> None:
    table = shop.table(HOSTILE)
    columns = shop.below(table)
    assert (columns[HOSTILE_COLUMN].marks, columns["region"].marks) == (("pk",), ("pk",))
    assert columns["note"].marks == ()
    orders = shop.below(shop.table("orders"))
    assert orders["customer"].marks == ("fk", "not null")
    assert orders["customer"].target == TableName(shop.schema, HOSTILE)
    assert "Open Orders" in shop.below(shop.below(shop.top())["views"])
    assert [key.name for key in shop.below(columns["referenced by"]).values()] == ["orders"]
    [reference] = shop.below(columns["referenced by"]).values()
    assert reference.target == TableName(shop.schema, "orders")
    assert "orders_total" in shop.below(orders["indexes"])
    assert {"customer, region", "parent"} == set(shop.below(orders["foreign keys"]))


def test_a_table_described(shop: Desk) -> None:
    told = shop.catalog.describe(TableName(shop.schema, "orders"))
    assert [column.name for column in told.columns] == ["id", "customer", "region", "parent", "total"]
    assert [column.nullable for column in told.columns] == [False, False, False, True, True]
    assert told.columns[4].default.startswith("0")
    index = {index.name: index for index in told.indexes}["orders_total"]
    assert (index.columns, index.unique, index.primary) == (("total", "id"), True, False)
    assert {constraint.kind for constraint in told.constraints} >= {"primary key", "check"}
    assert any("total" in constraint.text for constraint in told.constraints if constraint.kind == "check")
    keys = {key.name: key for key in told.foreign_keys}
    key = keys["of_customer"]
    assert (key.columns, key.referenced_columns) == (("customer", "region"), (HOSTILE_COLUMN, "region"))
    assert key.referenced == TableName(shop.schema, HOSTILE)
    assert (key.on_delete, keys["of_parent"].on_delete) == ("cascade", "")
    assert len(told.referenced_by) == 1
    with pytest.raises(DatabaseError, match="not there any more"):
        shop.catalog.describe(TableName(shop.schema, "nothing"))


def result(desk: Desk, text: str) -> tuple[Any, list[list[str | None]]]:
    columns: Any = ()
    rows: list[list[str | None]] = []
    for event in desk.backend.execute(text):
        if isinstance(event, Started):
            columns = event.columns
        elif isinstance(event, Rows):
            rows.extend([None if cell is None else str(cell) for cell in row] for row in event.rows)
    return columns, rows


def test_jumps_from_a_cell_both_ways(shop: Desk) -> None:
    columns, rows = result(
        shop, "select o.id as number, o.region, customer, parent, total + 1 from orders o order by 1"
    )

    def there(row: int, column: int) -> list[tuple[bool, str, list[Row]]]:
        found = jumps_from_result(shop.catalog, shop.backend.dialect, columns, rows[row], column)
        return [(jump.outward, jump.table.name, shop.run(jump.statement) if jump.statement else []) for jump in found]

    [(outward, table, found)] = there(1, 2)
    assert (outward, table, [row[2] for row in found]) == (True, HOSTILE, ["second"])
    [(outward, table, found)] = there(0, 0)
    assert (outward, table, [row[0] for row in found]) == (False, "orders", ["11", "12"])
    [(outward, table, found)] = there(2, 3)
    assert (outward, table, [row[0] for row in found]) == (True, "orders", ["10"])
    [null] = jumps_from_result(shop.catalog, shop.backend.dialect, columns, rows[0], 3)
    assert (null.null, null.statement) == (True, "")
    with pytest.raises(DatabaseError, match="which table"):
        there(0, 4)
    columns, rows = result(shop, "select customer from orders where id = 11")
    [partial] = jumps_from_result(shop.catalog, shop.backend.dialect, columns, rows[0], 0)
    assert (partial.missing, partial.statement) == (("region",), "")


def test_all_names_at_once(shop: Desk) -> None:
    names = shop.catalog.metadata()
    assert shop.schema in names.schemas
    assert names.search_path[-1] == shop.schema
    assert names.truncated == ()
    table = names.table("orders")
    assert table is not None
    assert table.schema == shop.schema
    assert [column.name for column in table.columns] == ["id", "customer", "region", "parent", "total"]
    odd = names.table(HOSTILE, shop.schema)
    assert odd is not None
    assert odd.column_names[0] == HOSTILE_COLUMN
    assert "int" in odd.columns[0].type_name
    [key] = names.keys_between(table.table, odd.table)
    assert key.columns == ("customer", "region")
    assert [found.kind for found in names.tables_starting("open o")] == ["view"]


TRIGGERED = "trigger'd"


def without_facts(told: Description) -> Description:
    return replace(told, facts=())


def test_a_definition_makes_the_same_again(desk: Desk) -> None:
    q = desk.q
    before = "parent 'of' \"all\""
    types = {
        "postgresql": "n bigint generated always as identity, kind text collate \"C\" default E'a\\\\b''c' not null,"
        " twice numeric(10,2) generated always as (1.5 * 2) stored, at timestamptz(3) default now(), tags text[]",
        "mysql": "n bigint not null auto_increment, kind varchar(40) character set utf8mb4 default 'a''c' not null"
        " comment '列''s \"comment\"', twice decimal(10,2) generated always as (1.5 * 2) stored, at timestamp(3) null",
    }[desk.engine]
    desk.run(
        f"drop table if exists {q('child.t')}",
        f"drop table if exists {q(before)}",
        f"create table {q(before)} ({types}, primary key (n), constraint {q('Odd ck')} check (kind <> ''))",
        f"create index {q('by kind')} on {q(before)} (kind, at)",
        f"create table {q('child.t')} (id int primary key, parent bigint not null,"
        f" constraint {q('to parent')} foreign key (parent) references {q(before)} (n) on delete cascade)",
    )
    if desk.engine == "postgresql":
        desk.run(
            f"comment on table {q(before)} is 'it''s a \\ comment'", f"comment on column {q(before)}.kind is '列'",
            f"create unique index partly on {q(before)} (lower(kind)) where n > 5",
        )  # fmt: skip
    names = [TableName(desk.schema, before), TableName(desk.schema, "child.t")]
    then = [without_facts(desk.catalog.describe(name)) for name in names]
    made = [desk.catalog.definition(CatalogNode("table", name.name, name.path)) for name in names]
    desk.run(f"drop table {q('child.t')}", f"drop table {q(before)}")
    for definition in made:
        for span in split(definition.text, desk.engine):
            desk.run(definition.text[span.start : span.end])
        assert "privileges" in definition.left_out
    assert [without_facts(desk.catalog.describe(name)) for name in names] == then
    desk.run(f"drop table {q('child.t')}", f"drop table {q(before)}")


def test_routines_triggers_and_sequences(desk: Desk) -> None:
    q = desk.q
    desk.run(f"drop table if exists {q(TRIGGERED)}", f"create table {q(TRIGGERED)} (id int primary key, n int)")
    if desk.engine == "postgresql":
        desk.run(
            "create or replace function twice(n int, word text default 'a''b') returns int language sql"
            " as 'select 2 * n'",
            "create or replace function twice(n text) returns text language sql as $$select n || n$$",
            "create or replace procedure tidy(n int) language sql as 'select 1'",
            "create or replace function stamp() returns trigger language plpgsql as 'begin return new; end'",
            f"create trigger {q('Stamp it')} before insert or update on {q(TRIGGERED)}"
            " for each row execute function stamp()",
            "drop sequence if exists counted",
            "create sequence counted increment by 5 start with 10",
        )
    else:
        desk.run(
            "drop function if exists twice", "drop procedure if exists tidy",
            "create function twice(n int) returns int deterministic return 2 * n",
            "create procedure tidy(inout n int) set n = 1",
            f"create trigger {q('Stamp it')} before insert on {q(TRIGGERED)} for each row set new.n = 1",
        )  # fmt: skip
    groups = desk.below(desk.top())
    nodes = {
        (node.kind, node.name, node.specific): node
        for kind in ("functions", "procedures", "sequences")
        if kind in groups
        for node in desk.catalog.page(groups[kind]).nodes
    }
    overloads = [key for key in nodes if key[1] == "twice"]
    assert len(overloads) == (2 if desk.engine == "postgresql" else 1)
    assert all("twice" in desk.catalog.definition(nodes[key]).text for key in overloads)
    tidy = next(node for key, node in nodes.items() if key[:2] == ("procedure", "tidy"))
    assert "int" in tidy.detail
    assert "procedure" in desk.catalog.definition(tidy).text.lower()
    known = {function.arguments for function in desk.catalog.metadata().functions_starting("twice")}
    # MariaDB writes int(11).
    assert known in ({"n integer, word text", "n text"}, {"n int"}, {"n int(11)"})
    table = desk.table(TRIGGERED)
    [trigger] = desk.below(desk.below(table)["triggers"]).values()
    assert (trigger.name, trigger.detail.split()[0]) == ("Stamp it", "before")
    assert "Stamp it" in desk.catalog.definition(trigger).text
    if desk.engine == "postgresql":
        assert "increment by 5" in desk.catalog.definition(nodes["sequence", "counted", ""]).text


def test_a_view_is_described_and_defined(shop: Desk) -> None:
    view = shop.below(shop.below(shop.top())["views"])["Open Orders"]
    assert [column.name for column in shop.catalog.describe(TableName(shop.schema, "Open Orders")).columns] == [
        "id",
        "total",
    ]
    assert "view" in shop.catalog.definition(view).text.lower()
    assert list(shop.below(view))[:2] == ["id", "total"]


def test_a_question_that_takes_too_long_is_stopped_by_the_server(desk: Desk) -> None:
    desk.catalog.limit_time(1)
    try:
        with pytest.raises(DatabaseError):
            slow = "select pg_sleep(20)" if desk.engine == "postgresql" else SLOW_READ
            desk.run(slow)
    finally:
        desk.catalog.limit_time(0)
    assert desk.run("select 1") == [("1",)]


SLOW_READ = (
    "with recursive s as (select 1 n union all select n + 1 from s where n < 900) "
    "select count(*) from s a, s b, s c, s d"
)


def test_pages_follow_each_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        desk.run(f"create table if not exists paged_{number} (id int)")
    tables = desk.below(desk.top())["tables"]
    everything = [node.name for node in desk.catalog.page(tables).nodes]
    for module in ("postgres", "mysql"):
        monkeypatch.setattr(f"backends.{module}_catalog.PAGE", 3)
    found: list[str] = []
    while True:
        page = desk.catalog.page(tables, len(found))
        found += [node.name for node in page.nodes]
        assert len(page.nodes) <= 3
        if not page.more:
            break
    assert found == everything
    assert {f"paged_{number}" for number in range(8)} <= set(found)


@pytest.mark.slow
def test_ten_thousand_tables(postgres_server: Any) -> None:
    desk = opened(postgres_server, "postgresql", "wsmany")
    try:
        for start in range(0, 10_000, 1000):
            desk.run(
                f"do $$ begin for i in {start}..{start + 999} loop"
                " execute format('create table t_%s (id int, a text, b int)', lpad(i::text, 5, '0'));"
                " end loop; end $$"
            )
        tables = desk.below(desk.top())["tables"]
        assert tables.count == 10_000
        page = desk.catalog.page(tables, 8_000)
        assert (page.nodes[0].name, page.nodes[-1].name, page.more) == ("t_08000", "t_09999", False)
        names = desk.catalog.metadata()
        assert names.own_tables == 10_000
        assert names.tables_with(["t_0999"])[1] == 10
    finally:
        desk.backend.close()
