"""The pieces of the console on Oracle that need no server: where statements end, values, errors, plans, effects."""

from __future__ import annotations

import array
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import oracledb
import pytest

from backends.dialect import OracleDialect
from backends.effects import EffectKind, effect_of, past_explain
from backends.interface import Kind, Row
from backends.oracle_catalog import type_name
from backends.oracle_errors import position
from backends.oracle_plan import read, reading
from backends.oracle_values import json_text, text_of
from backends.plan import PlanUnreadable
from backends.plsql_units import is_block
from backends.sql_tokens import TokenKind, tokens
from backends.statements import Boundaries, split, statement_at


def texts(script: str) -> list[str]:
    return [script[span.start : span.end] for span in split(script, "oracle")]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("select 1 from dual; select 2 from dual;", ["select 1 from dual", "select 2 from dual"]),
        ("select 1 from dual\n/\nselect 2 from dual", ["select 1 from dual", "select 2 from dual"]),
        ("select 4\n / 2 from dual;", ["select 4\n / 2 from dual"]),
        ("begin\n  a; b;\nend;\n/\nselect 1 from dual;", ["begin\n  a; b;\nend;", "select 1 from dual"]),
        ("declare n number; begin null; end;\n / \r\ncommit", ["declare n number; begin null; end;", "commit"]),
        ("<<outer>> begin null; end;\n/", ["<<outer>> begin null; end;"]),
        (
            "-- makes it\ncreate or replace editionable package body p is x number; end;\n/\nselect 1 from dual",
            ["-- makes it\ncreate or replace editionable package body p is x number; end;", "select 1 from dual"],
        ),
        ("create /* no */ or replace\n trigger t before insert on a begin null; end;\n/", [
            "create /* no */ or replace\n trigger t before insert on a begin null; end;"]),
        ("create type t as object (a number);\n/\n", ["create type t as object (a number);"]),
        ("create table type_of (a number); drop table b", ["create table type_of (a number)", "drop table b"]),
        ("with function f return number is begin return 1; end; select f from dual\n/", [
            "with function f return number is begin return 1; end; select f from dual"]),
        ("select q'[it's; one]', nq'!a;!' from dual; x", ["select q'[it's; one]', nq'!a;!' from dual", "x"]),
        ("select ';', \"a;b\" from dual -- c;\n, d /* ; /* */; y", [
            "select ';', \"a;b\" from dual -- c;\n, d /* ; /* */", "y"]),
        ("begin x := '\n/\n'; end;\n/\ny", ["begin x := '\n/\n'; end;", "y"]),
        ("/\n/\n;;\n-- only this\n", []),
        ("begin null; end;", ["begin null; end;"]),
    ],
)  # fmt: skip
def test_where_statements_and_blocks_end(script: str, expected: list[str]) -> None:
    assert texts(script) == expected


def test_the_statement_at_the_cursor_and_what_is_read_again_after_an_edit() -> None:
    script = "select 1 from dual;\nbegin\n  null;\n  null;\nend;\n/\nselect 2 from dual"
    found = statement_at(script, script.index("null"), "oracle")
    assert found is not None
    assert script[found.start : found.end] == "begin\n  null;\n  null;\nend;"
    kept = Boundaries("oracle")
    kept.all(script)
    changed = script.replace("end;\n/\n", "end;\n")
    kept.edited(changed.index("end;") + 5)
    assert kept.all(changed) == split(changed, "oracle")
    assert len(kept.all(changed)) == 2


def test_splitting_takes_a_long_script_at_once() -> None:
    script = "insert into t values ('a;b', q'{c;d}');\n" * 20_000
    assert len(split(script, "oracle")) == 20_000


def test_an_alternative_quote_is_one_string() -> None:
    found = [token.text for token in tokens("a q'[it's]' b", "oracle") if token.kind is TokenKind.STRING]
    assert found == ["q'[it's]'"]
    assert tokens("q'[open", "oracle")[0].open


@pytest.mark.parametrize(
    ("text", "kind", "undoable"),
    [
        ("begin delete from a; end;", EffectKind.WRITE, False),
        ("declare n number; begin null; end;", EffectKind.WRITE, False),
        ("<<a>> begin null; end;", EffectKind.WRITE, False),
        ("call p()", EffectKind.WRITE, False),
        ("explain plan for delete from a", EffectKind.READ, True),
        ("alter session set nls_date_format = 'YYYY'", EffectKind.SESSION, True),
        ("alter table a add b number", EffectKind.WRITE, False),
        ("select * from a", EffectKind.READ, True),
        ("merge into a using b on (a.i = b.i) when matched then update set x = 1", EffectKind.WRITE, True),
        ("commit", EffectKind.TRANSACTION, True),
    ],
)
def test_what_a_statement_of_oracle_does(text: str, kind: EffectKind, undoable: bool) -> None:
    found = effect_of(text, "oracle")
    assert (found.kind, found.undoable) == (kind, undoable)


def test_the_statement_that_an_explain_is_about() -> None:
    text = "explain plan set statement_id = 'x' for select 1 from dual"
    assert text[past_explain(text, "oracle") :].strip() == "select 1 from dual"
    assert past_explain("select 1 from dual", "oracle") == 0
    assert is_block("/* c */ Begin null; end;")
    assert not is_block("beginning")


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (Decimal("12345678901234567890.5"), "NUMBER", "12345678901234567890.5"),
        (Decimal("1E+30"), "NUMBER", "1" + "0" * 30),
        (0.10000000149011612, "BINARY_FLOAT", "0.1"),
        (0.1, "BINARY_DOUBLE", "0.1"),
        (float("inf"), "BINARY_DOUBLE", "Inf"),
        (datetime(2026, 1, 2, 3, 4, 5), "DATE", "2026-01-02 03:04:05"),
        (datetime(2026, 1, 2, 3, 4, 5, 600), "TIMESTAMP", "2026-01-02 03:04:05.000600"),
        (timedelta(days=-1, hours=-2), "INTERVAL_DS", "-01 02:00:00"),
        (oracledb.IntervalYM(1, 6), "INTERVAL_YM", "+01-06"),
        (oracledb.IntervalYM(0, -6), "INTERVAL_YM", "-00-06"),
        (True, "BOOLEAN", "TRUE"),
        (b"\x00\x01", "RAW", b"\x00\x01"),
        (array.array("f", [1.5, 0.1]), "VECTOR", "[1.5,0.1]"),
        ({"a": [Decimal("1.10"), None, True, "ä\n"]}, "JSON", '{"a":[1.10,null,true,"ä\\n"]}'),
        (None, "NUMBER", None),
    ],
)
def test_values_as_oracles_own_programs_show_them(value: object, kind: str, shown: object) -> None:
    assert text_of(value, kind) == shown


def test_json_has_moments_and_no_end_of_depth() -> None:
    assert json_text(datetime(2026, 1, 2, tzinfo=UTC)) == '"2026-01-02T00:00:00+00:00"'
    deep: object = 1
    for _ in range(500):
        deep = [deep]
    assert json_text(deep).count("[") == 201


@pytest.mark.parametrize(
    ("text", "message", "offset", "number", "place"),
    [
        ("select *\nfrom x", "ORA-00942: no", 14, 942, 14),
        ("begin\n nosuch; end;", "ORA-06550: line 2, column 2:\nPLS-00201: no", 0, 6550, 7),
        ("begin null; end;", "ORA-06550: line 9, column 1:\nPLS-00103: no", 0, 6550, None),
        ("selec 1", "ORA-00900: no", 0, 900, 0),
        ("insert into x values (1)", "ORA-00001: no", 0, 1, None),
        ("short", "ORA-00942: no", 99, 942, None),
    ],
)
def test_where_an_error_points(text: str, message: str, offset: int, number: int, place: int | None) -> None:
    assert position(text, message, offset, number) == place


def step(number: int, parent: str | None, operation: str, options: str, name: str, cost: str, rows: str) -> Row:
    return (str(number), parent, operation, options, "HR", name, f'"E"@"SEL${number}"', cost, rows, None, "1",
            '"A"=1' if number == 3 else None, None, None, None, None, "ALL_ROWS")  # fmt: skip


def test_a_plan_is_the_tree_of_its_rows() -> None:
    plan = read([
        step(0, None, "SELECT STATEMENT", "", "", "103", "10"), step(1, "0", "NESTED LOOPS", "", "", "103", "10"),
        step(2, "1", "TABLE ACCESS", "FULL", "EMP", "3", "10"),
        step(3, "1", "INDEX", "RANGE SCAN", "DEPT_PK", "10", "1"),
    ])  # fmt: skip
    shown = [(node.operation, node.target, node.rows, node.work) for node in plan.root.walk()]
    assert shown == [
        ("SELECT STATEMENT", "", 10.0, 0.0), ("NESTED LOOPS", "", 10.0, 0.0),
        ("TABLE ACCESS FULL", "HR.EMP as E", 10.0, 3.0), ("INDEX RANGE SCAN", "HR.DEPT_PK as E", 1.0, 100.0),
    ]  # fmt: skip
    assert plan.root.children[0].children[1].details[0] == ("access", '"A"=1')
    assert (plan.notes, plan.unit, plan.measurable) == ((("Optimizer", "ALL_ROWS"),), "cost", False)
    assert "statement_id = 'mark'" in reading("mark")
    with pytest.raises(PlanUnreadable):
        read([])


def test_names_values_and_types_as_oracle_writes_them() -> None:
    dialect = OracleDialect()
    assert [dialect.quote(name) for name in ("EMP", "Emp", "ORDER", "A B")] == ["EMP", '"Emp"', '"ORDER"', '"A B"']
    assert dialect.text("it's") == "'it''s'"
    assert dialect.text("a\x1b") == "unistr('\\0061\\001b')"
    assert dialect.literal("2026-01-02 03:04:05", Kind.TIME) == "timestamp '2026-01-02 03:04:05'"
    assert dialect.rows_of(["HR", "EMP"], "a = 1 or b = 2") == (
        "select * from HR.EMP where (a = 1 or b = 2) and rownum <= 100;"
    )
    assert [type_name(*each) for each in (
        ("NUMBER", 22, "10", "2", 0), ("NUMBER", 22, "", "", 0), ("VARCHAR2", 80, "", "", 20), ("RAW", 16, "", "", 0),
        ("TIMESTAMP(6)", 11, "", "6", 0),
    )] == ["NUMBER(10,2)", "NUMBER", "VARCHAR2(20)", "RAW(16)", "TIMESTAMP(6)"]  # fmt: skip
