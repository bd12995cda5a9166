"""The catalog of the console, by keyboard: opening, filtering, describing, definitions, keys, odd names, many."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from backends.catalog import (
    PAGE,
    CatalogNode,
    CatalogPage,
    Constraint,
    Definition,
    Description,
    ForeignKey,
    Index,
    TableColumn,
    TableName,
    Trigger,
)
from backends.connection import ResultEnded
from backends.foreign_keys import Jump
from backends.interface import DatabaseError
from backends.metadata import SchemaMetadata, TableMetadata
from screens.widgets.catalog_model import CatalogModel
from screens.widgets.catalog_tree import CatalogTree
from screens.widgets.editor import SqlEditor

from .conftest import settled
from .test_screens_behaviour import shown
from .world import ATTACK, ScriptedConsole, World, fails, world

SIZE = (120, 30)
MANY = 10_000


def many_tables(count: int = MANY) -> tuple[dict[Any, Any], SchemaMetadata]:
    """A schema of `count` tables, as the catalog gives it level by level and as all names."""
    names = [f"t_{number:05}" for number in range(count)]
    below: dict[Any, Any] = {
        ("", ()): [CatalogNode("schema", "public", ("public",))],
        ("schema", ("public",)): [CatalogNode("tables", "tables", ("public",), count=count)],
        ("tables", ("public",)): [CatalogNode("table", name, ("public", name)) for name in names],
    }
    tables = [TableMetadata("public", name, "table", False, f"id\0of_{name}", "int\0text") for name in names]
    return below, SchemaMetadata(["public"], ["public"], tables)


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Types without looking, then waits."""
    await pilot.press(*keys)
    await settled(pilot)


async def at_catalog(pilot: Pilot[Any]) -> CatalogTree:
    """Opens the console and goes to the tree."""
    await settled(pilot)
    await press(pilot, "enter", "f6", "f6")
    tree = pilot.app.screen.query_one(CatalogTree)
    assert tree.has_focus
    return tree


def editor_text(pilot: Pilot[Any]) -> str:
    return pilot.app.screen.query_one(SqlEditor).text


async def test_the_schema_and_its_tables_open_by_themselves(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await at_catalog(pilot)
        lines = [line[:40].rstrip() for line in shown(pilot).splitlines()]
        assert "▾ public" in lines
        assert "  ▾ tables 3" in lines
        assert "    ▸ t orders ~120k" in lines
        assert "  ▸ views 1" in lines
        assert "▸ archive" in lines


async def test_where_the_current_schema_is_empty_the_only_other_opens(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    below = scripted.console.catalog
    below["schema", ("public",)] = []
    below["schema", ("archive",)] = [CatalogNode("tables", "tables", ("archive",), count=1)]
    below["tables", ("archive",)] = [CatalogNode("table", "old", ("archive", "old"))]
    async with scripted.app.run_test(size=SIZE) as pilot:
        await at_catalog(pilot)
        lines = [line[:40].rstrip() for line in shown(pilot).splitlines()]
        assert lines[2:6] == ["▸ public", "▾ archive", "  ▾ tables 1", "    ▸ t old"]


async def test_a_table_is_opened_and_a_column_inserted(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "down", "down", "right")
        text = shown(pilot)
        assert "* id bigint pk" in text
        assert "→ customer bigint → customer not" in text
        assert "▸ indexes 2" in text
        await press(pilot, "down", "enter")
        assert editor_text(pilot) == "id"


def told(pilot: Pilot[Any]) -> str:
    """The line that says in full what the cursor is on."""
    return str(pilot.app.screen.query_one("#catalog-told").render())


async def test_the_mouse_does_what_the_keys_do(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        tree = await at_catalog(pilot)
        assert await pilot.click(CatalogTree, offset=(9, 4))
        assert tree.current is not None
        assert tree.current.name == "orders"
        assert "* id bigint pk" not in shown(pilot)
        assert await pilot.click(CatalogTree, offset=(4, 4))
        await settled(pilot)
        assert "* id bigint pk" in shown(pilot)


async def test_the_first_rows_of_a_table_are_one_key_away(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "v")
        assert scripted.console.ran == ["select * from public.customer limit 100"]
        assert editor_text(pilot) == "select * from public.customer limit 100;"


async def test_filter_as_you_type_finds_tables_and_columns(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        tree = await at_catalog(pilot)
        await press(pilot, "slash", *"ord")
        text = shown(pilot)
        assert "t orders" in text
        assert "v open_orders" in text
        assert "· order_id bigint" in text
        assert "t customer" not in text
        await press(pilot, *"zzz")
        assert "nothing found" in shown(pilot)
        assert "0 found" in shown(pilot)
        await press(pilot, *["backspace"] * 6, *"price")
        assert "1 found" in shown(pilot)
        await press(pilot, "enter")
        assert tree.has_focus
        await press(pilot, "down", "i")
        assert editor_text(pilot) == "price"


async def test_leaving_the_filter_shows_the_tree_at_what_was_found(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        tree = await at_catalog(pilot)
        await press(pilot, "slash", *"line_", "down", "escape")
        assert tree.has_focus
        assert tree.current is not None
        assert tree.current.name == "line_item"
        assert "t customer" in shown(pilot)


async def test_an_error_stands_in_the_tree_and_r_tries_again(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    below = scripted.console.catalog
    right = below["table", ("public", "customer")] = DatabaseError("permission denied\x1b[31m for schema")
    async with scripted.app.run_test(size=(200, 30)) as pilot:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "enter", "down")
        text = shown(pilot)
        assert "✗ permission denied" in text
        assert "\x1b" not in text
        below["table", ("public", "customer")] = [
            CatalogNode("column", "region", ("public", "customer", "region"), "text", leaf=True)
        ]
        await press(pilot, "f5")
        assert "· region text" in shown(pilot)
        assert right.message not in shown(pilot)


async def test_loading_again_keeps_what_is_open_and_where_the_cursor_is(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    below = scripted.console.catalog
    async with scripted.app.run_test(size=SIZE) as pilot:
        tree = await at_catalog(pilot)
        await press(pilot, "down", "down", "down", "down", "right")
        below["tables", ("public",)] = [
            CatalogNode("table", name, ("public", name)) for name in ("brand_new", "customer", "orders")
        ]
        await press(pilot, "home", "f5")
        text = shown(pilot)
        assert "t brand_new" in text
        assert "t line_item" not in text
        assert "* id bigint pk" in text
        assert tree.current is not None
        assert tree.current.name == "public"


async def test_along_a_foreign_key_and_back(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE) as pilot:
        tree = await at_catalog(pilot)
        await press(pilot, "down", "down", "down", "down", "right", "down", "down", "K")
        assert tree.current is not None
        assert tree.current.name == "customer"
        await press(pilot, "down", "down", "down", "down", "down", "down", "down", "enter")
        await press(pilot, "down", "enter")
        assert tree.current.name == "line_item"
        assert tree.current.kind == "table"


async def test_a_foreign_key_to_what_is_not_seen(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.console.catalog["table", ("public", "customer")] = [
        CatalogNode(
            "column", "x", ("public", "customer", "x"), "int", leaf=True, marks=("fk",),
            target=TableName("secret", "vault"),
        )
    ]  # fmt: skip
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "right", "down", "K")
        assert "secret.vault is not in the catalog" in shown(pilot)


async def test_ten_thousand_tables_page_by_page_and_by_filter(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.console.catalog, scripted.console.known = many_tables()
    async with scripted.app.run_test(size=SIZE) as pilot:
        await at_catalog(pilot)
        assert "tables 10,000" in shown(pilot)
        await press(pilot, "end")
        assert "Enter: more" in shown(pilot)
        assert f"t t_{PAGE - 1:05}" in shown(pilot)
        await press(pilot, "enter", "end")
        assert f"t t_{2 * PAGE - 1:05}" in shown(pilot)
        await press(pilot, "slash", *"09999")
        assert "2 found" in shown(pilot)
        await press(pilot, "down", "escape")
        # It lies behind the pages that were loaded: they are loaded up to it.
        for _ in range(5):
            await settled(pilot)
        assert told(pilot) == "table t_09999"


async def test_names_from_the_database_are_shown_and_nothing_is_interpreted(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    below = scripted.console.catalog
    odd = '数据库.[b]x[/b]\x1b[31m\x9b1m"q\u202e'
    below["tables", ("public",)] = [CatalogNode("table", odd, ("public", odd), ATTACK)]
    below["table", ("public", odd)] = [CatalogNode("column", odd, ("public", odd, odd), ATTACK, leaf=True)]
    async with scripted.app.run_test(size=(200, 30)) as pilot:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "right")
        text = shown(pilot)
        assert "数据库" in text
        assert "[b]x[/b]␛[31m" in text
        assert not {"\x1b", "\x9b", "\x07", "\u202e"} & set(text)


def description() -> Description:
    orders, customer = TableName("public", "orders"), TableName("public", "客户")
    return Description(
        orders,
        "table",
        (
            TableColumn("id", "bigint", False, "", "generated always as identity"),
            TableColumn("customer", "bigint", False, "", "", "谁下的订单 [b]x[/b] \x1b[31m"),
            TableColumn("status", "text", True, "'open'::text"),
        ),
        (
            Index("orders_pkey", ("id",), True, True, "btree"),
            Index("orders_open", ("customer", "lower(status)"), False, False, "btree", "status = 'open'::text"),
        ),
        (Constraint("orders_pkey", "primary key", "PRIMARY KEY (id)"),),
        (ForeignKey("of_customer", orders, ("customer",), customer, ("id",), "cascade"),),
        (ForeignKey("of_order", TableName("public", "line_item"), ("order_id",), orders, ("id",)),),
        (Trigger("stamp", "before insert or update", False),),
        (("owner", "app"), ("estimated rows", "120,311")),
        "One row an order",
    )


@pytest.fixture
def orders_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    scripted = world(tmp_path)

    async def describe(table: TableName) -> Description:
        return description()

    monkeypatch.setattr(scripted.console, "describe", describe)
    return scripted


async def test_a_table_described_and_from_there_its_definition(orders_described: World) -> None:
    async with orders_described.app.run_test(size=SIZE) as pilot:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "down", "down", "d")
        text = shown(pilot)
        assert "table public.orders" in text
        assert "One row an order" in text
        assert "* id" in text
        assert "generated always as identity" in text
        assert "orders_open" in text
        assert "\x1b" not in text
        assert "[b]x[/b]" in text
        await press(pilot, "n", "n")
        await press(pilot, "D")
        assert "Definition of public.orders" in shown(pilot)
        assert "Not in it: owner" in shown(pilot)
        await press(pilot, "i")
        assert editor_text(pilot) == "create table orders (id bigint);\n"


async def test_what_a_definition_says_is_not_interpreted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = world(tmp_path)

    async def definition(node: CatalogNode) -> Definition:
        return Definition(f"create table t (a text default '{ATTACK}');\n", ("owner",))

    monkeypatch.setattr(scripted.console, "definition", definition)
    async with scripted.app.run_test(size=SIZE) as pilot:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "D")
        text = shown(pilot)
        assert "[bold red]x[/]" in text
        assert "\x1b" not in text
        await press(pilot, "escape")
        assert "Definition of" not in shown(pilot)


async def test_an_error_of_a_dialog_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = world(tmp_path)

    async def describe(table: TableName) -> Description:
        raise DatabaseError("public.customer is not there any more. Refresh the catalog.")

    monkeypatch.setattr(scripted.console, "describe", describe)
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await at_catalog(pilot)
        await press(pilot, "down", "down", "d")
        assert "not there any more" in shown(pilot)


async def test_names_that_could_not_be_loaded_are_said_where_one_filters(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.console.known = DatabaseError("too slow")
    async with scripted.app.run_test(size=(200, 30)) as pilot:
        await at_catalog(pilot)
        await press(pilot, "slash", *"cust")
        text = shown(pilot)
        assert "t customer" in text
        assert "Not all names are known: too slow" in text


# ------------------------------------------------------------------------------------------------- from a result's cell

OF_CUSTOMER = ForeignKey(
    "of_customer", TableName("public", "orders"), ("customer",), TableName("public", "customer"), ("id",)
)
OF_ORDER = ForeignKey(
    "of_order", TableName("public", "line_item"), ("order_id",), TableName("public", "orders"), ("id",)
)
OUT = Jump(OF_CUSTOMER, True, OF_CUSTOMER.referenced, "select * from public.customer where id = 4711 limit 100;")
BACK = Jump(OF_ORDER, False, OF_ORDER.table, "select * from public.line_item where order_id = 100001 limit 100;")


async def at_result(pilot: Pilot[Any]) -> None:
    """Runs a statement and goes to its rows."""
    await settled(pilot)
    await press(pilot, "enter", *"select", "f5", "f6")


async def test_from_a_cell_to_the_row_it_references(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.console.leads = [OUT]
    async with scripted.app.run_test(size=SIZE) as pilot:
        await at_result(pilot)
        await press(pilot, "down", "right", "K")
        [(row, index)] = scripted.console.jumped
        assert (row[0], index) == ("100002", 1)
        assert scripted.console.ran[-1] == OUT.statement.rstrip(";")
        assert OUT.statement in editor_text(pilot)


async def test_several_ways_are_a_choice(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.console.leads = [OUT, BACK]
    async with scripted.app.run_test(size=SIZE) as pilot:
        await at_result(pilot)
        await press(pilot, "K")
        text = shown(pilot)
        assert "→ public.customer (id)" in text
        assert "← public.line_item (order_id)" in text
        await press(pilot, *"line", "enter")
        assert scripted.console.ran[-1] == BACK.statement.rstrip(";")


async def test_where_no_jump_leads_anywhere(tmp_path: Path) -> None:
    scripted = world(tmp_path)
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await at_result(pilot)
        for leads, words in (
            ([], "No foreign key leads from this column"),
            ([Jump(OF_CUSTOMER, True, OF_CUSTOMER.referenced, "", null=True)], "it references nothing"),
            ([Jump(OF_CUSTOMER, True, OF_CUSTOMER.referenced, "", ("region",))], "more columns than the result"),
        ):
            scripted.console.leads = leads
            await press(pilot, "K")
            assert words in shown(pilot)
        assert len(scripted.console.ran) == 1


async def test_what_a_statement_made_is_in_the_tree(tmp_path: Path) -> None:
    scripted = world(tmp_path)

    def creates(console: ScriptedConsole, text: str, listener: Any) -> None:
        console.catalog["tables", ("public",)].append(CatalogNode("table", "zebra", ("public", "zebra")))
        listener(ResultEnded("CREATE TABLE", None, None, 0.01))

    scripted.console.script = creates
    scripted.console.catalog["tables", ("public",)] = []
    async with scripted.app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await press(pilot, "enter")
        assert "zebra" not in shown(pilot)
        pilot.app.screen.query_one(SqlEditor).load_text("create table zebra (id int)")
        await press(pilot, "f5", "y")
        await settled(pilot)
        assert "t zebra" in shown(pilot)
        assert "catalog changed" in scripted.console.orders


def test_a_large_tree_costs_little_to_filter() -> None:
    below, names = many_tables()
    model = CatalogModel()
    [schema] = model.fill(model.root, CatalogPage(below["", ()]))
    [tables] = model.fill(schema, CatalogPage(below["schema", ("public",)]))
    schema.open = tables.open = True
    began = time.process_time()
    model.fill(tables, CatalogPage(below["tables", ("public",)]))
    model.names = names
    assert len(model.lines()) == MANY + 2
    for word in ("t_0", "t_09", "t_099", "of_t_0999", "zzz"):
        model.words = [word]
        assert model.lines()
    # The processor's time. Each is between 10 and 40 ms, more under coverage; what grows with the square takes minutes.
    assert time.process_time() - began < 10


async def test_after_a_lost_connection_the_tree_is_as_it_was(tmp_path: Path) -> None:
    scripted = world(tmp_path, script=fails(DatabaseError("gone", connection_lost=True)))
    async with scripted.app.run_test(size=SIZE) as pilot:
        tree = await at_catalog(pilot)
        await press(pilot, *["down"] * 4, "right", "down", "down")
        assert tree.current is not None
        before = tree.current
        await press(pilot, "f6", *"select", "f5")
        scripted.console.catalog["views", ("public",)] = []
        await press(pilot, "f5")
        assert len(scripted.opened) == 2
        assert tree.current == before
        assert "* id bigint pk" in shown(pilot)
