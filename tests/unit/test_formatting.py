"""Formatting keeps the statement the same, or refuses."""

from __future__ import annotations

import pytest

from backends.formatting import CHANGED, NOT_KNOWN, NOT_READ, TOO_LONG, NotFormatted, formatted


@pytest.mark.parametrize(
    ("engine", "before", "after"),
    [
        ("postgresql", "select a,b from t where x=1", "select\n  a,\n  b\nfrom t\nwhere\n  x = 1"),
        ("postgresql", "SELECT a FROM t", "SELECT\n  a\nFROM t"),
        ("postgresql", "select now(), Count(*) from t", "select\n  now(),\n  Count(*)\nfrom t"),
        ("postgresql", "select a from t -- why\nwhere x", "select\n  a\nfrom t /* why */\nwhere\n  x"),
        ("postgresql", "update t set a=:a where b={{b}}", "update t set a = :a\nwhere\n  b = {{b}}"),
        ("postgresql", "select * from t for update skip locked", "select\n  *\nfrom t for update skip locked"),
        ("postgresql", "select \"A b\", E'x\\n' from t", None),
        ("postgresql", "select interval '1 Day'", None),
        ("mysql", "select `a b`,ifnull(c,'x') from t limit 5", "select\n  `a b`,\n  ifnull(c, 'x')\nfrom t\nlimit 5"),
        ("mysql", "select 'it\\'s' from t", None),
        ("mysql", "select '上海' 客户 from 表", "select\n  '上海' as 客户\nfrom 表"),
    ],
)
def test_formatted(engine: str, before: str, after: str | None) -> None:
    try:
        found = formatted(before, engine)
    except NotFormatted:
        assert after is None  # refused is right where it is not sure
        return
    if after is not None:
        assert found == after
    assert formatted(found, engine) == found


@pytest.mark.parametrize(
    ("engine", "text", "reason"),
    [
        ("postgresql", "selec 1 from", NOT_READ),
        ("postgresql", "select (1", NOT_READ),
        ("postgresql", "vacuum analyze t", NOT_KNOWN),
        ("postgresql", "select 1; select 2", NOT_KNOWN),
        ("postgresql", "select 1 " + "+ 1" * 40_000, TOO_LONG),
        ("postgresql", "with t(n) as (values (1) union all select 2) select n from t", CHANGED),
        ("postgresql", "select zz_kept_0x", NOT_KNOWN),
    ],
)
def test_refused(engine: str, text: str, reason: str) -> None:
    with pytest.raises(NotFormatted) as refused:
        formatted(text, engine)
    assert refused.value.reason == reason
