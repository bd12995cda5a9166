"""Statements that are nested too deeply for the parser are refused before it, in every thread and engine."""

from __future__ import annotations

import time

import pytest

from backends.bounded_parser import TooDeep, parse
from backends.effects import EffectKind, effect_of
from backends.formatting import NotFormatted, formatted

DEEP = {
    "brackets": "select " + "(" * 8_000 + "1" + ")" * 8_000,
    "brackets after closed ones": "select " + "')'||(" * 8_000 + "1" + ")" * 8_000,
    "calls": "select " + "f(" * 8_000 + "1" + ")" * 8_000,
    "braces": "select " + "{" * 20_000,
    "cases": "select " + "case when a." + "end then case when a." * 4_000 + "end then 1 end",
    "joins": "select * from a " + "join a " * 14_000,
    "arrays": "select " + "array[" * 30 + "1" + "]" * 30,
    "a hint": "select /*+ " + "f(" * 8_000 + ")" * 8_000 + " */ 1",
}


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
@pytest.mark.parametrize("what", DEEP)
def test_a_deep_statement_is_a_write_and_stays_as_it_is(what: str, engine: str) -> None:
    # In PostgreSQL's language a hint is a comment.
    if (what, engine) != ("a hint", "postgresql"):
        began = time.process_time()
        assert effect_of(DEEP[what], engine).writes
        with pytest.raises(NotFormatted):
            formatted(DEEP[what], engine)
        assert time.process_time() - began < 5


def test_what_people_write_is_parsed() -> None:
    deep = (
        "select " + "(" * 150 + "1" + ")" * 150 + ", array[[[1, 2]]], " + "case when true then 1 end, " * 100 + "'(((['"
    )
    assert effect_of(deep, "postgresql").kind is EffectKind.READ
    assert parse("select 1 /* " + "(" * 1_000 + " */", "mysql")
    with pytest.raises(TooDeep):
        parse("select '" + ")" * 300 + "', " + "(" * 201, "postgres")
