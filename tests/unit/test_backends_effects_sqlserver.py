"""Transact-SQL's statements stand behind one another without a semicolon: the write guard sees what follows."""

from __future__ import annotations

import pytest

from backends.effects import EffectKind, effect_of


@pytest.mark.parametrize(
    "text",
    [
        "select 1 delete from t",
        "select 1 as a from t where b = 2 update t set a = 1",
        "begin tran delete from t",
        "set nocount on delete t",
        "use x drop table t",
        "select 1\nexec p",
        "with a as (select 1 as b) select * from a truncate table t",
    ],
)
def test_what_follows_a_read_and_writes_is_a_write(text: str) -> None:
    found = effect_of(text, "sqlserver")
    assert found.writes
    assert not found.certain


@pytest.mark.parametrize(
    "text",
    [
        "select a, [delete], 'drop table t' as b from t -- update t",
        "select 1 as a from t inner merge join s on s.id = t.id",
        "select * from t option (merge join, hash join)",
        "with a as (select 1 as b) select * from a /* delete */ where b = 1",
        "begin tran",
    ],
)
def test_a_read_stays_one(text: str) -> None:
    assert effect_of(text, "sqlserver").kind in (EffectKind.READ, EffectKind.TRANSACTION)
