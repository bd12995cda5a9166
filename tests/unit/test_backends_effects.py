"""What statements are taken for before they are sent: a write that passes for a read is the one mistake that counts."""

from __future__ import annotations

import pytest

from backends.effects import EffectKind, effect_of, explainable, past_explain

WRITES = {
    "postgresql": [
        "insert into t values (1)", "update t set a = 1 where b = 2",
        "merge into t using u on true when matched then delete",
        "with gone as (delete from t where a = 1 returning *) select * from gone", "select * into a from b",
        "explain analyze delete from t where a = 1", "explain (analyze, format json) insert into t values (1)",
        "explain (verbose, analyze true) update t set a = 1 where b = 1", "/* a read */ delete from t where a = 1",
        "create table a (b int)", "grant select on t to u", "do $$ begin perform 1; end $$", "execute p", "call p()",
        "copy t from stdin", "copy (select 1) to program 'rm'", "copy (delete from t returning *) to stdout",
        "select 1; delete from t", "select setval('s', 1)", "select ((((", "frobnicate", "", "notify x",
        "select $$ unfinished", "refresh materialized view v",
        "(with x as (insert into t values (1) returning a) select 1)",
    ],
    "mysql": [
        "replace into t values (1)", "load data infile 'x' into table t", "select 1 into outfile '/tmp/x'",
        "/*! delete from t */", "select 1 /*!50000 into outfile 'x' */", "/*M! delete from t */", "rename table a to b",
        "set global x = 1", "set @@global.x = 1", "set persist x = 1", "analyze format=json delete from t where a = 1",
        "explain analyze delete from t where a = 1", "optimize table t", "kill 3", "execute s", "handler t open",
    ],
}  # fmt: skip
READS = {
    "postgresql": [
        "select 1", "values (1)", "table t", "(select 1) union (select 2)", "with x as (select 1) select * from x",
        "select 'delete from t'", "-- delete from t\nselect 1", 'select "delete" from t', "select * from t for update",
        "show all", "explain delete from t", "explain (analyze false) delete from t", "explain analyze select 1",
        "copy t to stdout", "fetch 10 from c", "select $$ delete from t $$", "explain (format json) update t set a = 1",
    ],
    "mysql": [
        "show tables", "desc t", "describe t", "explain format=json delete from t", "# delete\nselect 1",
        "check table t",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("engine", "text"), [(engine, text) for engine in WRITES for text in WRITES[engine]])
def test_writes_and_what_cannot_be_read_are_writes(engine: str, text: str) -> None:
    assert effect_of(text, engine).writes


@pytest.mark.parametrize(("engine", "text"), [(engine, text) for engine in READS for text in READS[engine]])
def test_plain_reads_are_reads(engine: str, text: str) -> None:
    assert effect_of(text, engine).kind is EffectKind.READ


@pytest.mark.parametrize(
    ("engine", "text", "tables"),
    [
        ("postgresql", "delete from orders", ("orders",)),
        ("postgresql", "update only a.orders o set x = 1", ("orders",)),
        ("postgresql", "delete from t where true", ("t",)),
        ("mysql", "delete from t where (1 = 1)", ("t",)),
        ("postgresql", "with gone as (delete from t returning *) select * from gone where a = 1", ("t",)),
        ("postgresql", "explain analyze delete from t", ("t",)),
        ("postgresql", "update t set a = (select 1 where true)", ("t",)),
        ("mysql", "truncate t", ("t",)),
        ("postgresql", "delete from t where a = 1", ()),
        ("mysql", "delete from t order by a limit 1", ()),
        ("mysql", "update broken ((( set x", ("?",)),
    ],
)
def test_a_missing_where_is_seen(engine: str, text: str, tables: tuple[str, ...]) -> None:
    effect = effect_of(text, engine)
    assert effect.every_row == tables
    assert effect.loud == bool(tables)


@pytest.mark.parametrize(
    ("engine", "text", "undoable"),
    [
        ("postgresql", "create table a (b int)", True),
        ("postgresql", "drop table a", True),
        ("postgresql", "create unique index concurrently i on t (a)", False),
        ("postgresql", "vacuum full t", False),
        ("postgresql", "alter system set work_mem = '1GB'", False),
        ("postgresql", "drop database d", False),
        ("postgresql", "call p()", False),
        ("mysql", "create table a (b int)", False),
        ("mysql", "truncate t", False),
        ("mysql", "insert into t values (1)", True),
        ("oracle", "drop table a", False),
        ("sqlserver", "create table a (b int)", True),
    ],
)
def test_what_a_rollback_takes_back(engine: str, text: str, undoable: bool) -> None:
    assert effect_of(text, engine).undoable is undoable


def test_a_statement_too_long_to_parse_counts_as_a_write() -> None:
    text = "select " + ", ".join(str(number) for number in range(40_000))
    effect = effect_of(text, "postgresql")
    assert effect.writes
    assert not effect.certain


def test_a_statement_nested_too_deeply_counts_as_a_write() -> None:
    assert effect_of("select " + "(" * 20_000 + "1" + ")" * 20_000, "postgresql").writes


@pytest.mark.parametrize(
    ("text", "plan"), [("select 1", True), ("-- x\nupdate t set a = 1", True), ("show all", False)]
)
def test_what_has_a_plan(text: str, plan: bool) -> None:
    assert explainable(text, "postgresql") is plan


@pytest.mark.parametrize(
    ("engine", "text", "inner"),
    [
        ("postgresql", "explain (analyze, format json) select 1", "select 1"),
        ("mysql", "explain format=tree update t set a = 1", "update t set a = 1"),
        ("mysql", "analyze format=json select 1", "select 1"),
        ("mysql", "desc select 1", "select 1"),
        ("mysql", "desc orders", "desc orders"),
        ("postgresql", "analyze orders", "analyze orders"),
        ("postgresql", "select 1", "select 1"),
    ],
)
def test_what_an_explain_is_about(engine: str, text: str, inner: str) -> None:
    assert text[past_explain(text, engine) :].strip() == inner
