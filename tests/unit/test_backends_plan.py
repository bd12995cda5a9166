"""Plans as the servers give them, read into one form. The samples are real servers' answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backends import mysql_plan, postgres_plan
from backends.plan import MOST_STEPS, Plan, PlanNode, PlanUnreadable

SAMPLES = Path(__file__).parent / "screens" / "plans"
READERS = {"postgresql": postgres_plan.read, "mysql": mysql_plan.read_tree, "mariadb": mysql_plan.read_json}


def sample(engine: str, *, measured: bool) -> Plan:
    text = (SAMPLES / f"{engine}-{'measured' if measured else 'estimated'}.txt").read_text()
    return READERS[engine](text, measured=measured)


def step(plan: Plan, target: str) -> PlanNode:
    [found] = [node for node in plan.root.walk() if node.target == target or node.target.startswith(f"{target} ")]
    return found


def test_postgresql_estimated() -> None:
    plan = sample("postgresql", measured=False)
    assert (plan.root.operation, plan.unit, plan.measured) == ("Limit", "cost", False)
    orders = step(plan, "orders o")
    assert (orders.operation, orders.cost, orders.rows, orders.actual_rows) == ("Seq Scan", 16994.0, 897225.0, None)
    assert ("Filter", "(total > '10'::numeric)") in orders.details
    assert [node.target for node in plan.root.walk() if plan.dear(node)] == ["orders o", "orders"]
    assert sum(plan.share(node) or 0.0 for node in plan.root.walk()) == pytest.approx(1.0)


def test_postgresql_measured_marks_what_was_misjudged() -> None:
    plan = sample("postgresql", measured=True)
    assert plan.unit == "ms"
    assert "Execution Time" in dict(plan.notes)
    [wrong] = [node for node in plan.root.walk() if node.misjudged is not None]
    assert (wrong.target, wrong.rows, wrong.actual_rows) == ("orders", 442.0, 90000.0)
    assert wrong.misjudged == pytest.approx(203.6, abs=0.1)


def test_mysql_estimated_and_measured() -> None:
    plan = sample("mysql", measured=False)
    assert plan.root.operation == "Limit"
    lookup = step(plan, "c using PRIMARY")
    assert (lookup.operation, lookup.cost, lookup.rows) == ("Single-row index lookup", 0.25, 1.0)
    measured = step(sample("mysql", measured=True), "c using PRIMARY")
    assert measured.loops == 890
    assert measured.actual_ms == pytest.approx(1.1125)


def test_mariadb_estimated_and_measured() -> None:
    plan = sample("mariadb", measured=False)
    assert plan.unit == "rows"
    scan = step(plan, "o")
    assert (scan.operation, scan.rows) == ("Table scan", 900.0)
    measured = sample("mariadb", measured=True)
    assert measured.unit == "ms"
    assert step(measured, "c using PRIMARY").loops == 890
    assert measured.root.actual_ms is not None
    total = sum(node.work or 0.0 for node in measured.root.walk())
    assert total == pytest.approx(measured.root.actual_ms, rel=0.01)


def test_the_inner_side_of_a_nested_loop_counts_as_often_as_it_runs() -> None:
    inner = {"Node Type": "Index Scan", "Parent Relationship": "Inner", "Total Cost": 8.0, "Plan Rows": 1}
    outer = {"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Total Cost": 20.0, "Plan Rows": 100}
    loop = {"Node Type": "Nested Loop", "Total Cost": 830.0, "Plan Rows": 100, "Plans": [outer, inner]}
    plan = postgres_plan.read(json.dumps([{"Plan": loop}]), measured=False)
    assert [node.work for node in plan.root.walk()] == [10.0, 20.0, 800.0]


def test_a_step_that_never_ran_is_no_bad_estimate() -> None:
    tree = "-> Nested loop inner join  (cost=2 rows=5000) (actual time=0.1..0.2 rows=0 loops=1)\n"
    tree += "    -> Table scan on a  (cost=1 rows=5000) (actual time=0.1..0.1 rows=0 loops=1)\n"
    tree += "    -> Index lookup on b using i (x = 1)  (cost=1 rows=5000) (never executed)\n"
    plan = mysql_plan.read_tree(tree, measured=True)
    unused = step(plan, "b")
    assert unused.never_ran
    assert unused.misjudged is None
    assert step(plan, "a").misjudged == pytest.approx(1 / 5000)


def test_fewer_rows_below_a_limit_are_no_bad_estimate() -> None:
    scan = {"Node Type": "Seq Scan", "Total Cost": 20.0, "Plan Rows": 10000, "Actual Rows": 10, "Actual Loops": 1}
    limit = {"Node Type": "Limit", "Total Cost": 1.0, "Plan Rows": 10, "Actual Rows": 10, "Actual Loops": 1}
    plan = postgres_plan.read(json.dumps([{"Plan": limit | {"Plans": [scan]}}]), measured=True)
    assert [node.misjudged for node in plan.root.walk()] == [None, None]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[1]", '[{"Plan": []}]', "x" * 100, "[" * 100_000, '{"query_block": 1}']
)
@pytest.mark.parametrize("engine", READERS)
def test_what_is_no_plan_is_refused(engine: str, text: str) -> None:
    with pytest.raises(PlanUnreadable):
        READERS[engine](text, measured=False)


def test_a_plan_of_very_many_steps_is_cut() -> None:
    scans = [{"Node Type": "Seq Scan", "Total Cost": 1.0, "Plan Rows": 1} for _ in range(MOST_STEPS * 2)]
    plan = postgres_plan.read(json.dumps([{"Plan": {"Node Type": "Append", "Plans": scans}}]), measured=False)
    assert sum(1 for _ in plan.root.walk()) == MOST_STEPS
