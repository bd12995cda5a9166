"""All names of a database: found by their beginning, by a part, exactly; joined by their keys; and what statements are
built with them."""

from __future__ import annotations

import time

import pytest

from backends import metadata as names_of
from backends.catalog import ForeignKey, TableName
from backends.dialect import MysqlDialect, PostgresDialect
from backends.foreign_keys import Value, jumps
from backends.interface import Kind
from backends.metadata import FunctionMetadata, Gathering, SchemaMetadata, TableMetadata


def table(schema: str, name: str, columns: str = "id", *, system: bool = False) -> TableMetadata:
    parts = columns.split()
    return TableMetadata(schema, name, "table", system, "\0".join(parts), "\0".join(["int"] * len(parts)))


@pytest.fixture
def names() -> SchemaMetadata:
    key = ForeignKey("k", TableName("app", "orders"), ("customer",), TableName("app", "Customer"), ("id",))
    return SchemaMetadata(
        ["public", "app", "old", "pg_catalog"],
        ["app"],
        [
            table("app", "Customer", "id Name region"),
            table("app", "orders", "id customer total"),
            table("old", "orders", "id"),
            table("old", "customs", "id"),
            table("pg_catalog", "pg_class", "oid relname", system=True),
        ],
        [FunctionMetadata("app", "order_total", "function"), FunctionMetadata("pg_catalog", "now", "function")],
        [key],
    )


def test_by_the_beginning_without_regard_to_case(names: SchemaMetadata) -> None:
    assert [(t.schema, t.name) for t in names.tables_starting("CUST")] == [("app", "Customer"), ("old", "customs")]
    assert [t.schema for t in names.tables_starting("orders")] == ["app", "old"]
    assert [t.name for t in names.tables_starting("", "old")] == ["customs", "orders"]
    assert [t.name for t in names.tables_starting("o", "APP")] == ["orders"]
    assert names.schemas_starting("P") == ["pg_catalog", "public"]
    assert [f.name for f in names.functions_starting("ord")] == ["order_total"]
    assert names.column_names_starting("N") == ["Name"]
    assert names.column_names_starting("rel") == []
    assert len(names.tables_starting("", limit=2)) == 2


def test_exactly(names: SchemaMetadata) -> None:
    found = names.table("orders")
    assert found is not None
    assert found.schema == "app"
    assert [column.name for column in found.columns] == ["id", "customer", "total"]
    assert names.table("customer") is names.table("Customer", "app")
    assert names.table("orders", "old") is not found
    assert names.table("nothing") is None


def test_an_ambiguous_name_outside_the_search_path_is_nobodys() -> None:
    two = SchemaMetadata(["a", "b"], ["c"], [table("a", "t"), table("b", "t"), table("b", "only")])
    assert two.table("t") is None
    only = two.table("ONLY")
    assert only is not None
    assert only.schema == "b"


def test_joined_by_keys(names: SchemaMetadata) -> None:
    one, other = TableName("app", "orders"), TableName("app", "Customer")
    assert [key.name for key in names.keys_between(other, one)] == ["k"]
    assert names.keys_of(one) == names.keys_of(other)
    assert names.keys_between(one, TableName("old", "orders")) == []


def test_by_a_part_of_the_name(names: SchemaMetadata) -> None:
    def found(*words: str) -> list[str]:
        return [f"{t.schema}.{t.name}" for t in names.tables_with(words)[0]]

    assert found("ORD") == ["app.orders", "old.orders"]
    assert found("old", "or") == ["old.orders"]
    assert found("old.or") == ["old.orders"]
    assert found("class") == []
    assert found("pg_catalog.class") == []
    assert found("pg_catalog", "class") == ["pg_catalog.pg_class"]
    assert [(t.name, columns) for t, columns in names.columns_with(["name"])] == [("Customer", ["Name"])]
    assert [(t.name, columns) for t, columns in names.columns_with(["orders.cust"])] == [("orders", ["customer"])]
    assert names.columns_with(["orders", "region"]) == []


def test_more_than_the_limits_is_cut_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_of, "MOST_TABLES", 2)
    monkeypatch.setattr(names_of, "MOST_COLUMNS", 3)
    gathering = Gathering()
    for key in range(3):
        gathering.table(key, "s", f"t{key}", "table")
        gathering.column(key, "a", "int")
        gathering.column(key, "b", "int")
    cut = gathering.metadata(["s"], ["s"])
    assert [t.name for t in cut.tables] == ["t0", "t1"]
    assert [len(t.columns) for t in cut.tables] == [2, 1]
    assert set(cut.truncated) == {"tables", "columns"}


def test_fifty_thousand_tables_are_searched_while_one_types() -> None:
    gathering = Gathering()
    for key in range(50_000):
        gathering.table(key, "public", f"customer_order_{key}", "table")
        for column in range(10):
            gathering.column(key, f"column_{column}", "character varying(40)")
    names = gathering.metadata(["public"], ["public"])
    # The processor's time, so that a busy machine does not matter; each is some milliseconds.
    began = time.process_time()
    assert len(names.tables_starting("customer_order_49")) == 100
    assert names.tables_with(["4999", "order"])[1] == 15
    assert names.columns_with(["zzz"]) == []
    assert names.table("CUSTOMER_ORDER_77") is not None
    assert time.process_time() - began < 0.5


ORDERS, CUSTOMER = TableName("app", "order"), TableName("app", 'Kunden "Ä"')
KEY = ForeignKey("k", ORDERS, ("customer", "Region"), CUSTOMER, ("id", "region"))


def test_statements_along_a_key() -> None:
    values = {"customer": Value("7", Kind.NUMBER), "Region": Value("o'\\x", Kind.TEXT)}
    [out] = jumps([KEY], ORDERS, values, PostgresDialect(), "customer")
    assert out.statement == ('select * from app."Kunden ""Ä""" where id = 7 and region = E\'o\'\'\\\\x\' limit 100;')
    [out] = jumps([KEY], ORDERS, values, MysqlDialect())
    assert out.statement == (
        "select * from app.`Kunden \"Ä\"` where id = 7 and region = _utf8mb4 x'6f275c78' limit 100;"
    )
    [back] = jumps([KEY], CUSTOMER, {"id": Value("1"), "region": Value("eu")}, MysqlDialect(), "id")
    assert (back.outward, back.statement) == (
        False, "select * from app.`order` where customer = '1' and Region = 'eu' limit 100;",
    )  # fmt: skip


def test_a_table_that_references_itself_gives_both_ways() -> None:
    tree = ForeignKey("up", ORDERS, ("id",), ORDERS, ("id",))
    assert [jump.outward for jump in jumps([tree], ORDERS, {"id": Value("1")}, PostgresDialect())] == [True, False]
    assert jumps([KEY], ORDERS, {}, PostgresDialect(), "total") == []


def test_numbers_that_are_none_and_bytes_are_quoted() -> None:
    postgres, mysql = PostgresDialect(), MysqlDialect()
    assert postgres.literal("1; drop table x", Kind.NUMBER) == "'1; drop table x'"
    assert postgres.literal("NaN", Kind.NUMBER) == "'NaN'"
    assert mysql.literal("0x4142", Kind.BINARY) == "x'4142'"
    assert postgres.literal("\\x4142", Kind.BINARY) == "decode('4142', 'hex')"
    assert mysql.literal("0xzz", Kind.BINARY) == "'0xzz'"
    assert postgres.literal("a\n\x1b'", Kind.TEXT) == "E'a\\u000a\\u001b'''"
    assert mysql.literal("a\x1b", Kind.TEXT) == "_utf8mb4 x'611b'"


@pytest.mark.parametrize(
    ("name", "postgres", "mysql"),
    [
        ("plain_1", "plain_1", "plain_1"),
        ("Upper", '"Upper"', "Upper"),
        ("user", '"user"', "user"),
        ("order", '"order"', "`order`"),
        ('a`b"c', '"a`b""c"', '`a``b"c`'),
        ("", '""', "``"),
        ("数据", '"数据"', "`数据`"),
        ("a\\b", '"a\\b"', "`a\\b`"),
        ('a\\\x1b"', 'U&"a\\\\\\001b"""', '`a\\\x1b"`'),
    ],
)
def test_names_are_quoted_where_they_must_be(name: str, postgres: str, mysql: str) -> None:
    assert PostgresDialect().quote(name) == postgres
    assert MysqlDialect().quote(name) == mysql
