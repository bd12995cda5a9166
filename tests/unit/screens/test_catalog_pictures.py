"""The catalog as it is kept in snapshots/: filtered, described, defined, with names of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from backends.catalog import CatalogNode, Definition, Description, TableName
from bastion.api import language

from .conftest import Compare
from .test_catalog import at_catalog, description
from .test_screens_behaviour import press
from .world import ATTACK, World, world

DDL = """create table orders (
  id bigint generated always as identity not null,
  customer bigint not null,
  status text default 'open'::text,
  total numeric(12,2) default 0.00,
  note text collate "C",
  constraint orders_pkey PRIMARY KEY (id),
  constraint orders_total_check CHECK (total >= 0::numeric),
  constraint of_customer FOREIGN KEY (customer) REFERENCES customer(id) ON DELETE CASCADE
);

CREATE INDEX orders_open ON public.orders USING btree (customer, lower(status)) WHERE (status = 'open'::text);

CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp();

comment on table orders is 'One row an order';
comment on column orders.customer is '谁下的订单';
"""


def scripted(folder: Path) -> World:
    made = world(folder)

    async def describe(table: TableName) -> Description:
        return description()

    async def definition(node: CatalogNode) -> Definition:
        return Definition(DDL, ("owner", "privileges", "tablespace"))

    made.console.describe, made.console.definition = describe, definition  # type: ignore[method-assign]
    return made


async def test_filtered(picture: Compare, tmp_path: Path) -> None:
    async def prepare(pilot: Pilot[Any]) -> None:
        await at_catalog(pilot)
        await press(pilot, "slash", *"ord")

    await picture(scripted(tmp_path).app, "catalog-filter", (80, 24), prepare)


async def test_a_table_open(picture: Compare, tmp_path: Path) -> None:
    async def prepare(pilot: Pilot[Any]) -> None:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "down", "down", "right", "down", "down")

    await picture(scripted(tmp_path).app, "catalog", (160, 48), prepare)


async def test_described(picture: Compare, tmp_path: Path) -> None:
    async def prepare(pilot: Pilot[Any]) -> None:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "down", "down", "d")

    await picture(scripted(tmp_path).app, "table-details", (160, 48), prepare)


async def test_described_in_chinese(picture: Compare, tmp_path: Path) -> None:
    language.use("zh_CN")

    async def prepare(pilot: Pilot[Any]) -> None:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "down", "down", "d")

    await picture(scripted(tmp_path).app, "table-details-zh", (80, 24), prepare)


async def test_defined(picture: Compare, tmp_path: Path) -> None:
    async def prepare(pilot: Pilot[Any]) -> None:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "down", "down", "D")

    await picture(scripted(tmp_path).app, "definition", (80, 24), prepare)


async def test_names_of_every_kind(picture: Compare, tmp_path: Path) -> None:
    made = scripted(tmp_path)
    names = [
        "客户订单明细表_2026年度",
        "Mixed Case.with dot",
        'say "it"',
        f"x{ATTACK}",
        "a_name_that_is_much_too_long_for_it",
    ]
    made.console.catalog["tables", ("public",)] = [
        CatalogNode("table", name, ("public", name), "~12k") for name in names
    ]
    made.console.catalog["table", ("public", names[0])] = [
        CatalogNode("column", "编号", ("public", names[0], "编号"), "bigint", leaf=True, marks=("pk",)),
        CatalogNode(
            "column", "客户编号", ("public", names[0], "客户编号"), "bigint", leaf=True, marks=("fk", "not null"),
            target=TableName("public", "客户"),
        ),
        CatalogNode("column", "备注", ("public", names[0], "备注"), "character varying(200)", leaf=True),
        CatalogNode("indexes", "indexes", ("public", names[0]), count=3),
    ]  # fmt: skip

    async def prepare(pilot: Pilot[Any]) -> None:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "right", "down", "down")

    await picture(made.app, "catalog-names", (80, 24), prepare)
