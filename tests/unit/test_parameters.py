"""Parameters of statements: found where they are meant, filled in so that a value stays a value."""

from __future__ import annotations

import pytest

from backends.parameters import filled, names


@pytest.mark.parametrize(
    ("engine", "text", "expected"),
    [
        ("postgresql", "select :a, :b_2, :a", ["a", "b_2"]),
        ("postgresql", "select x::int, a[1:n], a[:n], ':no', \":no\", $$ :no $$ -- :no", []),
        ("postgresql", "select {{a}}, '{{ b }}', \"{{c}}\"", ["a", "b", "c"]),
        ("postgresql", "select E'{{a}}', /* {{b}} */ 1", []),
        ("mysql", "select @x := 1, :a, `:no`, '10:30' # :no", ["a"]),
        ("mysql", "select :客户", ["客户"]),
    ],
)
def test_names(engine: str, text: str, expected: list[str]) -> None:
    assert names(text, engine) == expected


@pytest.mark.parametrize(
    ("engine", "text", "value", "expected"),
    [
        ("postgresql", ":a", "7", "7"),
        ("postgresql", "1-:a", "-7", "1-(-7)"),
        ("postgresql", ":a", "null", "NULL"),
        ("postgresql", ":a", "'null'", "'null'"),
        ("postgresql", ":a", "'007'", "'007'"),
        ("postgresql", ":a", "it's", "'it''s'"),
        ("postgresql", ":a", "'; drop table t; --", "'''; drop table t; --'"),
        ("postgresql", ":a", "a\\' or 1=1 --", "E'a\\\\'' or 1=1 --'"),
        ("postgresql", ":a", "1e5x", "'1e5x'"),
        ("postgresql", ":a", "", "''"),
        ("postgresql", "'%{{a}}%'", "it's", "'%it''s%'"),
        ("postgresql", "'{{a}}'", "null", "'null'"),
        ("postgresql", 'select * from "{{a}}"', 'x" --', 'select * from "x"" --"'),
        ("postgresql", "$$ {{a}} $$", "$$; drop", "$$ ; drop $$"),
        ("mysql", ":a", "it's", "'it''s'"),
        ("mysql", ":a", "x\\' or 1=1 -- ", "_utf8mb4 x'785c27206f7220313d31202d2d20'"),
        ("mysql", "'{{a}}'", "x\\' or 1=1 -- ", "'x\\\\'' or 1=1 -- '"),
        ("mysql", "`{{a}}`", "x` --", "`x`` --`"),
    ],
)
def test_filled(engine: str, text: str, value: str, expected: str) -> None:
    assert filled(text, {"a": value}, engine) == expected


def test_a_value_is_not_looked_into_again() -> None:
    assert filled("select :a, :b", {"a": ":b", "b": "{{a}}"}, "postgresql") == "select ':b', '{{a}}'"


def test_one_without_a_value_stays() -> None:
    assert filled("select :a, :b", {"a": "1"}, "postgresql") == "select 1, :b"
