"""The figure that says where to look first, and what it is made of."""

from __future__ import annotations

import pytest

from bastion.api import risks
from bastion.protocols.sql_where import lacks_where
from bastion.sessions.risk import Facts, assess


def figure(**facts: object) -> tuple[int, list[str]]:
    risk, reasons = assess(Facts(**facts))  # type: ignore[arg-type]
    return risk, [f"{reason.code} {reason.weight}" for reason in reasons]


def test_an_idle_session_is_no_risk() -> None:
    assert figure() == (0, [])
    assert figure(statements=1000, errors=4) == (0, [])


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"kind": "select", "running": 1.0}, (0, [])),
        ({"kind": "update", "running": 1.0}, (10, ["write 10"])),
        ({"kind": "update", "running": 1.0, "without_where": True}, (40, ["without-where 40"])),
        ({"kind": "drop", "running": 0.0}, (40, ["definition 40"])),
        ({"kind": "grant", "running": 0.0}, (25, ["definition 25"])),
        ({"kind": "select", "running": 10.0}, (10, ["running-long 10"])),
        ({"kind": "select", "running": 60.0}, (20, ["running-long 20"])),
        ({"kind": "select", "running": 700.0}, (30, ["running-long 30"])),
        ({"kind": "select", "running": 1.0, "rows": 9_999}, (0, [])),
        ({"kind": "select", "running": 1.0, "rows": 1_000_000}, (30, ["many-rows 30"])),
        ({"bytes_per_second": 20 << 20}, (15, ["much-data 15"])),
        ({"transaction": 5.0}, (3, ["transaction-idle 3"])),
        ({"transaction": 5.0, "running": 1.0, "kind": "select"}, (0, [])),
        ({"transaction": 400.0, "transaction_failed": True}, (25, ["transaction-long 20", "transaction-failed 5"])),
        ({"statements": 10, "errors": 5}, (10, ["errors 10"])),
        ({"statements": 100, "errors": 5}, (0, [])),
        ({"statements": 100, "errors": 60}, (20, ["errors 20"])),
        ({"unattributed_bytes": 1}, (30, ["unattributed 30"])),
        ({"unusual": ("new-source", "unusual-hour")}, (25, ["new-source 15", "unusual-hour 10"])),
        ({"production": True}, (5, ["production 5"])),
        (
            {"production": True, "kind": "delete", "running": 1.0, "without_where": True},
            (60, ["without-where 40", "production 20"]),
        ),
    ],
)
def test_what_each_reason_adds(facts: dict[str, object], expected: tuple[int, list[str]]) -> None:
    assert figure(**facts) == expected


def test_a_hundred_is_the_most_and_every_reason_has_words() -> None:
    facts = Facts(
        production=True, kind="delete", without_where=True, running=9000.0, rows=2_000_000, bytes_per_second=99 << 20,
        transaction=9000.0, transaction_failed=True, statements=100, errors=99, unattributed_bytes=7,
        unusual=("first-time", "new-source", "unusual-hour"),
    )  # fmt: skip
    risk, reasons = assess(facts)
    assert risk == 100
    assert [reason.weight for reason in reasons] == sorted((r.weight for r in reasons), reverse=True)
    for reason in reasons:
        assert reason.code in risks.SENTENCES
        assert risks.sentence(reason) != reason.code
    assert "DELETE without WHERE: every row" in [risks.sentence(reason) for reason in reasons]


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("delete from t", True),
        ("DELETE FROM t;", True),
        ("delete from t where id = 1", False),
        ("update t set a = 'no where here'", True),
        ("update t set a = 1 -- where", True),
        ("update t set a = (select max(b) from u where c = 1)", True),
        ("update t set a = (select 1) where id in (select id from u)", False),
        ("with old as (select id from t where x) delete from t using old", True),
        ("with old as (select 1) delete from t using old where t.id = old.id", False),
        ("insert into t select * from u", False),
        ("select 1; delete from t", True),
        ("delete from t where a = 1; select 1", False),
        ("/* where */ delete from t", True),
        ("select 'delete from t'", False),
        ("", False),
    ],
)
def test_a_write_without_where(text: str, lacks: bool) -> None:
    for engine in ("postgresql", "mysql"):
        assert lacks_where(text, engine) is lacks


def test_of_a_text_that_is_cut_the_last_statement_is_not_judged() -> None:
    assert not lacks_where("update t set a = 1, b = ", "postgresql", whole=False)
    assert lacks_where("delete from t; update t set a = 1, b = ", "postgresql", whole=False)
