"""Searches by words: the same is found whether the index knows a statement or not, in any script, in both databases."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.audit.records import AnyRecord
from bastion.audit.rows import UNKNOWN, Batch, write
from bastion.audit.search import find_statements
from bastion.audit.word_index import LONGEST, WordIndex, forget, indexed
from bastion.audit.words import tables_of, terms_of, terms_wanted
from bastion.store import schema
from bastion.store.store import Store

from .journal_samples import closed, done, logged_in, opened, sent
from .test_projection import migrated_store, store  # noqa: F401 - the fixtures, for both databases

TEXTS = [
    "SELECT o.id, c.name FROM daily_orders o JOIN erp.customers c ON c.id = o.customer_id WHERE o.no = 20261122",
    "update 历史订单表 set 状态 = '已付' where 编号 = 7",
    "select note from letters where note = 'Grüße aus Zürich' -- from nowhere",
    "insert into audit_log(who, what) values ('bob', 'orders')",
    "delete from カタログ where 名 = 'テスト'",
    "select 1",
    r"select 'back\slash 100%_sure', '\"quoted\"' from t1, t2 as x, public.t3",
]
BOUND = {6: ["王小明", None, 'say "ja"', "7"]}

FOUND: list[tuple[dict[str, object], list[int]]] = [
    ({"words": ["orders"]}, [1, 4]),
    ({"words": ["ORDER"]}, [1, 4]),
    ({"words": ["rders"]}, []),
    ({"words": ["*rders"]}, [1, 4]),
    ({"words": ["daily_orders"]}, [1]),
    ({"words": ["orders o", "2026"]}, [1]),
    ({"words": ["c.id"]}, [1]),
    ({"words": ["订单"]}, [2]),
    ({"words": ["订"]}, [2]),
    ({"words": ["历史订单表"]}, [2]),
    ({"words": ["单订"]}, []),
    ({"words": ["订单", "已付"]}, [2]),
    ({"words": ["zür"]}, [3]),
    ({"words": ["z"]}, [3]),
    ({"words": ["grüße aus"]}, [3]),
    ({"words": ["タロ"]}, [5]),
    ({"words": ["100%_"]}, [7]),
    ({"words": ["%_"]}, [7]),
    ({"words": ["k\\s"]}, []),
    ({"words": ["*k\\s"]}, [7]),
    ({"words": ["小明"]}, [6]),
    ({"words": ['say "j']}, [6]),
    ({"words": ["' OR 1=1 --"]}, []),
    ({"words": ['"orders" OR *']}, []),
    ({"words": ["select"], "newest": True}, [7, 6, 3, 1]),
    ({"words": ["select"], "newest": True, "limit": 2}, [7, 6]),
    ({"table": "customers"}, [1]),
    ({"table": "CUSTOMERS", "words": ["select"]}, [1]),
    ({"table": "nowhere"}, []),
    ({"table": "t2"}, [7]),
    ({"table": "历史订单表"}, [2]),
    ({"words": ["orders"], "user": "alice"}, [1, 4]),
    ({"words": ["orders"], "user": "bob"}, []),
    ({"words": ["orders"], "kind": "SELECT", "database": "orders"}, [1, 4]),
    ({"verdict": "allowed", "source": "10.0.0.9", "client": "PSQL", "limit": 2}, [1, 2]),
    ({"least_rows": 7, "least_ms": 1.5}, [1, 2, 3, 4, 5, 7]),
    ({"source": "10.0.0.8"}, []),
    ({"client": "jdbc"}, []),
    ({"least_rows": 8}, []),
    ({"least_ms": 1.6}, []),
    ({"newest": True, "limit": 3}, [7, 6, 5]),
]  # fmt: skip


def fill(store: Store) -> None:  # noqa: F811
    """A session with TEXTS; the sixth has no outcome yet."""
    batch = Batch("n1", lambda _session: UNKNOWN)
    records: list[AnyRecord] = [opened(), logged_in()]
    for number, text in enumerate(TEXTS, 1):
        records.append(sent(number, text, binds=BOUND.get(number)))
        if number != 6:
            records.append(done(number))
    batch.take(enumerate(records, 1))
    store.run_now(lambda connection: write(connection, batch))


def index(store: Store) -> None:  # noqa: F811
    words = WordIndex()
    while store.run_now(words.go_on):
        pass


def found(store: Store, wanted: dict[str, object]) -> list[int]:  # noqa: F811
    filters = m.StatementFilter(**wanted)  # type: ignore[arg-type]
    return [each.seq for each in store.read_now(lambda connection: find_statements(connection, filters)).statements]


def test_the_index_changes_no_answer(store: Store) -> None:  # noqa: F811
    fill(store)
    assert [(wanted, found(store, wanted)) for wanted, _ in FOUND] == FOUND
    index(store)
    assert store.read_now(indexed).pending
    assert [(wanted, found(store, wanted)) for wanted, _ in FOUND] == FOUND


def test_what_is_indexed_is_looked_for_in_the_index_alone(store: Store) -> None:  # noqa: F811
    fill(store)
    index(store)

    def rewrite(connection: sa.Connection) -> None:
        table = schema.statements
        connection.execute(sa.update(table).where(table.c.seq.in_([1, 6])).values(text="select needle from hay"))

    store.run_now(rewrite)
    assert found(store, {"words": ["needle"]}) == [6]
    assert found(store, {"words": ["*eedle"]}) == [1, 6]
    store.run_now(forget)
    assert found(store, {"words": ["needle"]}) == [1, 6]


def test_a_statement_is_indexed_once_it_is_over(store: Store) -> None:  # noqa: F811
    fill(store)
    index(store)
    batch = Batch("n1", lambda _session: UNKNOWN)
    batch.take([(90, closed("s1", 7))])
    store.run_now(lambda connection: write(connection, batch))
    index(store)
    assert not store.read_now(indexed).pending
    assert found(store, {"words": ["小明"]}) == [6]


def test_a_text_that_is_too_long_for_the_index_is_found(store: Store) -> None:  # noqa: F811
    batch = Batch("n1", lambda _session: UNKNOWN)
    long = (
        "insert into wide select " + ", ".join(f"'value {number}'" for number in range(LONGEST // 10)) + " from needles"
    )
    batch.take(enumerate([opened(), logged_in(), sent(1, long), done(1), sent(2, "select 2"), done(2)], 1))
    store.run_now(lambda connection: write(connection, batch))
    index(store)
    assert store.read_now(indexed).pending
    assert found(store, {"words": ["needles"]}) == [1]
    assert found(store, {"table": "wide"}) == [1]
    assert found(store, {"words": ["eedles"]}) == []


@pytest.mark.parametrize("newest", [False, True])
def test_pages_follow_each_other_in_either_order(store: Store, newest: bool) -> None:  # noqa: F811
    fill(store)
    index(store)
    seen: list[int] = []
    wanted = m.StatementFilter(words=["select"], newest=newest, limit=1)
    while True:
        page = store.read_now(lambda connection: find_statements(connection, wanted))
        seen += [each.seq for each in page.statements]
        if page.cursor is None:
            break
        wanted.after = page.cursor
    assert seen == sorted([1, 3, 6, 7], reverse=newest)


@pytest.mark.parametrize(
    ("text", "engine", "tables"),
    [
        ('select 1 from orders o, public."Items" i join erp.billing b on b.x = o.y', "postgresql",
         {"orders", "items", "billing"}),
        ("select 'from secret' /* from hidden */ from open", "postgresql", {"open"}),
        ("drop table `a`.`b`, c", "mysql", {"b", "c"}),
        ("insert into a.b (c) select * from t2; truncate table logs", "mysql", {"b", "t2", "logs"}),
        ("delete from only x using y", "postgresql", {"x", "y"}),
        ("create table if not exists zz (a int)", "postgresql", {"zz"}),
        ("select extract(year from ts) from t", "postgresql", {"t"}),
        ("copy wide from stdin", "postgresql", {"wide"}),
        ("select 1", "postgresql", set()),
    ],
)  # fmt: skip
def test_tables_are_named(text: str, engine: str, tables: set[str]) -> None:
    assert tables_of(text, engine) == tables


def test_terms_are_ascii_and_begin_alike() -> None:
    terms = terms_of("Zürich 历史订单 naïve_Größe 𠀀x " + "a" * 100)
    assert all(term.isascii() and term.replace("_", "").isalnum() for term in terms)
    for word in ("Z", "zü", "ZÜRICH", "订单", "单", "größe", "naï"):
        whole, begins = terms_wanted([word])
        assert whole <= terms
        assert all(any(term.startswith(begin) for term in terms) for begin in begins)
        assert whole | begins


@pytest.mark.parametrize("piece", ["from [", "from `", 'from "', "from a.", "extract("])
def test_tables_of_a_hostile_statement_are_looked_for_in_time_that_grows_with_it(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.process_time()
    tables_of(text, "postgresql")
    assert time.process_time() - began < 3  # a second or less; it was ten
