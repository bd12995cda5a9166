"""The catalog on real servers: odd names, keys both ways, definitions that can be run again, all names at once."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backends.catalog import Catalog, CatalogNode, TableName
from backends.connection import backend_for
from backends.foreign_keys import jumps_from_result
from backends.interface import Backend, DatabaseError, Login, Row, Rows, Started

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
