"""What is offered first where; `|` is the cursor."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from backends.catalog import ForeignKey, TableName
from backends.completion import Completions, Offer, complete
from backends.metadata import FunctionMetadata, SchemaMetadata, TableMetadata
from backends.sql_tokens import TokenKind, matching_bracket, tokens


def table(schema: str, name: str, *columns: str, kind: str = "table") -> TableMetadata:
    names, types = zip(*(column.split(" ", 1) for column in columns), strict=True)
    return TableMetadata(schema, name, kind, schema == "pg_catalog", "\0".join(names), "\0".join(types))


def shop(main: str, *more: TableMetadata) -> SchemaMetadata:
    return SchemaMetadata(
        schemas=[main, "archive"],
        search_path=[main],
        tables=[
            table(main, "orders", "id bigint", "customer_id bigint", "status text", "total numeric"),
            table(main, "customer", "id bigint", "name text", "city text"),
            table(main, "Order Line", "id bigint", "order text", "Größe int"),
            table(main, "open_orders", "id bigint", "since date", kind="view"),
            table("archive", "orders_2024", "id bigint", "moved_at date"),
            *more,
        ],
        functions=[FunctionMetadata(main, "order_total", "function", "p_id bigint", "numeric")],
        foreign_keys=[
            ForeignKey("fk", TableName(main, "orders"), ("customer_id",), TableName(main, "customer"), ("id",))
        ],
    )


SHOPS = {
    "postgresql": shop("public", table("pg_catalog", "pg_class", "oid oid", "relname name")),
    "mysql": shop("shop"),
}


def at(marked: str, engine: str = "postgresql") -> Completions:
    offset = marked.index("|")
    return complete(marked[:offset] + marked[offset + 1 :], offset, engine, SHOPS[engine])


def offered(marked: str, engine: str = "postgresql") -> list[str]:
    return [item.insert for item in at(marked, engine).items]


BOTH = [
    # the beginning
    ("|", ["select", "insert into", "update"]),
    ("sel|", ["select"]),
    ("SEL|", ["SELECT"]),
    ("delete from orders;|".replace(";", "\n\nselect * from orders where sta"), ["status"]),
    # columns by scope
    ("select | from orders", ["id", "customer_id", "status", "total", "orders"]),
    ("select | from orders o", ["id", "customer_id", "status", "total", "o"]),
    ("select o.| from orders o", ["id", "customer_id", "status", "total"]),
    ("select o.st| from orders o", ["status"]),
    ("select o.|\nfrom orders o join customer c on c.id = o.customer_id", ["id", "customer_id", "status", "total"]),
    ("select id, sta| from orders", ["status"]),
    ("select * from orders o where |", ["id", "customer_id", "status", "total", "o"]),
    ("select * from orders o where o.id = 1 and st|", ["status"]),
    ("select * from orders order by to|", ["total"]),
    ("select status from orders group by |", ["id", "customer_id", "status", "total"]),
    ("select x.| from (select id, upper(status) as s, total from orders) x", ["id", "s", "total"]),
    ("select x.| from (select * from orders) as x", ["id", "customer_id", "status", "total"]),
    ("select x.| from (select o.*, 1 as one from orders o) as x", ["id", "customer_id", "status", "total", "one"]),
    ("select * from customer c where exists (select 1 from orders o where o.id = c.|)", ["id", "name", "city"]),
    ("select * from customer c where exists (select 1 from orders o where ci|)", ["city"]),
    ("select (select max(to|) from orders) from customer", ["total"]),
    # the same name in two tables is qualified
    ("select i| from orders o join customer c on true", ["o.id", "c.id"]),
    # without a FROM yet: any table's
    ("select mov|", ["moved_at"]),
    # tables
    ("select * from |", ["customer", "open_orders"]),
    ("select * from o|", ["open_orders", "orders"]),
    ("select * from ord|", ["orders"]),
    ("select * from orders_|", ["archive.orders_2024"]),
    ("select * from archive.|", ["orders_2024"]),
    ("select * from orders o join cu|", ["customer"]),
    ("select * from orders, cu|", ["customer"]),
    ("update cu|", ["customer"]),
    ("delete from cu|", ["customer"]),
    ("insert into cu|", ["customer"]),
    ("drop table cu|", ["customer"]),
    ("truncate table cu|", ["customer"]),
    # columns that are written
    ("insert into customer (|", ["id", "name", "city"]),
    ("insert into customer (id, |", ["id", "name", "city"]),
    ("update customer set |", ["id", "name", "city"]),
    ("update customer set name = 'x', ci|", ["city"]),
    ("update customer c set name = upper(na|", ["name"]),
    ("delete from customer where |", ["id", "name", "city"]),
    # joins by their foreign key
    ("select * from orders o join customer c on |", ["o.customer_id = c.id"]),
    ("select * from customer c join orders o on |", ["o.customer_id = c.id"]),
    # WITH
    ("with recent as (select id, total as amount from orders) select * from re|", ["recent"]),
    ("with recent as (select id, total as amount from orders) select | from recent", ["id", "amount", "recent"]),
    ("with r (a, b) as (select 1, 2) select r.| from r", ["a", "b"]),
    ("with a as (select * from orders), b as (select | from a) select 1", ["id", "customer_id", "status", "total"]),
    ("with a as (select id from orders) select x.| from a x", ["id"]),
    # keywords where they belong
    ("select * from orders |", ["where", "join", "left join"]),
    ("select * from orders o join customer c |", ["on", "using"]),
    ("select * from orders where status |", ["from", "and", "or"]),
    ("select * from orders gr|", ["group by"]),
    ("select * from orders order |", ["by"]),
    ("select * from orders left |", ["join"]),
    ("SELECT * FROM orders WH|", ["WHERE"]),
    ("insert |", ["into"]),
    ("select * from orders where status is |", ["null", "not null"]),
    # functions
    ("select coal|", ["coalesce("]),
    ("select order_t| from orders", ["order_total("]),
    ("select coun|(*) from orders", ["count"]),
    # other statements
    ("grant select on cu|", ["customer"]),
    ("create index i on cu|", ["customer"]),
    ("create index i on customer (|)", ["id", "name", "city"]),
    ("alter table customer drop column |", ["id", "name", "city"]),
    ("create view v as select c.na| from customer c", ["name"]),
    ("insert into customer values (coal|", ["coalesce("]),
    ("select * from orders o join customer c using (|", ["id"]),
    ("select * from order_total(coal|", ["coalesce("]),
    ("call ord|", ["order_total("]),
    ("update orders set status = 'x' from customer c where ci|", ["city"]),
    # unions have scopes of their own
    ("select id from customer union select | from orders", ["id", "customer_id", "status", "total", "orders"]),
    ("select c.| from customer c union select id from orders c", ["id", "name", "city"]),
    # no place for anything
    ("select 'ab|", []),
    ("select 1 -- ab|", []),
    ("select /* ab|", []),
    ("select id as |", []),
    ("select 12|", []),
    ("select * from orders where id = :na|", []),
]  # fmt: skip


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
@pytest.mark.parametrize(("marked", "first"), BOTH, ids=[marked for marked, _first in BOTH])
def test_first(marked: str, first: list[str], engine: str) -> None:
    found = offered(marked, engine)
    assert found[: len(first)] == first
    if not first:
        assert found == []


@pytest.mark.parametrize(
    ("engine", "marked", "first"),
    [
        ("postgresql", "select * from order |", ["by"]),
        ("postgresql", "select * from lin|", ['"Order Line"']),
        ("postgresql", 'select * from "Ord|', ['"Order Line"']),
        ("postgresql", 'select l.| from "Order Line" l', ["id", '"order"', '"Größe"']),
        ("postgresql", "select total::num|", ["numeric"]),
        ("postgresql", "select cast(total as tex|", ["text"]),
        ("postgresql", "select * from pg_cla|", ["pg_catalog.pg_class"]),
        ("postgresql", "select jsonb_agg| from orders", ["jsonb_agg("]),
        ("postgresql", "insert into orders (id) values (1) ret|", ["returning"]),
        ("postgresql", "select current_times|", ["current_timestamp"]),
        ("mysql", "select * from lin|", ["`Order Line`"]),
        ("mysql", "select * from `Ord|", ["`Order Line`"]),
        ("mysql", "select l.| from `Order Line` l", ["id", "`order`", "`Größe`"]),
        ("mysql", "select group_c| from orders", ["group_concat("]),
        ("mysql", "select ifn| from orders", ["ifnull("]),
        ("mysql", "show proc|", ["processlist"]),
        ("mysql", "select * from orders where id = @na|", []),
        ("mysql", "select 1 # ab|", []),
        ("mysql", "use |", ["shop", "archive"]),
        ("postgresql", "copy cu|", ["customer"]),
    ],
)
def test_of_an_engine(engine: str, marked: str, first: list[str]) -> None:
    assert offered(marked, engine)[: len(first)] == first


def test_what_takes_the_place_of_what() -> None:
    found = at('select * from "Ord| where x')
    assert (found.start, found.end, found.typed) == (14, 18, "Ord")
    found = at("select o.cus| from orders o")
    assert (found.start, found.end, found.qualified) == (9, 12, True)


def test_details_say_type_and_table() -> None:
    [first, *_rest] = at("select sta| from orders o").items
    assert (first.kind, first.detail) == (Offer.COLUMN, "text · o")


def test_a_name_that_a_terminal_would_obey_stays_a_name() -> None:
    evil = SchemaMetadata(["public"], ["public"], [table("public", "x\x1b[31m", "id int")])
    [first, *_rest] = complete("select * from x", 15, "postgresql", evil).items
    assert first.insert == 'U&"x\\001b[31m"'


def test_many_tables_are_no_hindrance() -> None:
    many = SchemaMetadata(
        ["public"], ["public"], [table("public", f"table_{n:05}", "id int", "name text") for n in range(10_000)]
    )
    text = "select * from table_01234 t join table_0"
    complete(text, len(text), "postgresql", many)
    start = time.process_time()
    for _ in range(5):
        assert complete(text, len(text), "postgresql", many).items[0].insert == "table_00000"
    assert (time.process_time() - start) / 5 < 0.05


@pytest.mark.parametrize("engine", ["postgresql", "mysql", "sqlserver", "oracle"])
def test_tokens_cover_the_text_however_it_is_broken(engine: str) -> None:
    text = "select 'a''b', \"c\"\"d\", `e`, [f], $x$ g $x$, /* h */ -- i\n # j\n 1.5e3 :k @l ::m {{n}} 客户 '"
    for cut in range(len(text) + 1):
        found = tokens(text[:cut], engine)
        assert all(one.end <= other.start for one, other in pairwise(found))
        covered = "".join(text[token.start : token.end] for token in found)
        assert "".join(covered.split()) == "".join(text[:cut].split())


def test_brackets_in_strings_and_comments_have_no_partner() -> None:
    text = "f(')', (a) /* ( */) x)"
    assert matching_bracket(text, 1, "postgresql") == text.index(") x")
    assert matching_bracket(text, 7, "postgresql") == 9
    assert matching_bracket(text, len(text) - 1, "postgresql") is None
    assert [token.text for token in tokens("a(b", "mysql") if token.kind is TokenKind.SYMBOL] == ["("]


@pytest.mark.parametrize(
    ("marked", "engine", "there", "not_there"),
    [
        ("|", "postgresql", "show", {"show tables", "show databases", "show processlist", "replace into", "use"}),
        ("|", "mysql", "show tables", {"vacuum", "refresh materialized view"}),
        ("show |", "postgresql", "search_path", {"tables", "databases", "processlist", "grants"}),
        ("show |", "mysql", "processlist", {"search_path", "all"}),
        ("insert |", "postgresql", "into", {"ignore into"}),
        ("insert into orders (id) values (1) on|", "postgresql", "on conflict", {"on duplicate key update"}),
        ("insert into orders (id) values (1) on|", "mysql", "on duplicate key update", {"on conflict"}),
        ("select id from orders o f|", "mysql", "force index", {"full join"}),
        ("select id from orders o f|", "postgresql", "full join", {"force index"}),
        ("select * from orders order by id nu|", "postgresql", "nulls last", {"separator"}),
        ("select * from orders order by id nu|", "mysql", "null", {"nulls last", "nulls first"}),
        ("select dat|", "postgresql", "date_trunc(", {"date_format("}),
        ("select dat|", "mysql", "date_format(", {"date_trunc("}),
        ("explain |", "mysql", "format=tree", {"(analyze, buffers)", "verbose"}),
    ],
)
def test_each_engine_says_what_is_its_own(marked: str, engine: str, there: str, not_there: set[str]) -> None:
    found = set(offered(marked, engine))
    assert there in found
    assert found & not_there == set()
