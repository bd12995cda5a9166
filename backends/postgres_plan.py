"""PostgreSQL's EXPLAIN (FORMAT JSON) as a plan.

Facts: PostgreSQL manual 14.1 (costs and times of an inner side are those of one run, rows are averages of the runs)
and src/backend/commands/explain.c for the names of the fields.
"""

from __future__ import annotations

import json
from typing import Any

from .plan import MOST_STEPS, Plan, PlanNode, PlanUnreadable, expected_repeats, own_time

_SHOWN = {
    "Node Type", "Strategy", "Partial Mode", "Parent Relationship", "Parallel Aware", "Async Capable", "Join Type",
    "Operation", "Relation Name", "Schema", "Alias", "Index Name", "Scan Direction", "CTE Name", "Function Name",
    "Startup Cost", "Total Cost", "Plan Rows", "Plan Width", "Actual Startup Time", "Actual Total Time", "Actual Rows",
    "Actual Loops", "Plans", "Disabled", "Subplan Name", "Output", "Inner Unique", "Workers",
}  # fmt: skip
_STRATEGIES = {"Hashed": "HashAggregate", "Sorted": "GroupAggregate", "Mixed": "MixedAggregate"}


def order(*, measured: bool) -> str:
    """What stands before the statement to ask for its plan; `measured` runs it."""
    return f"EXPLAIN ({'ANALYZE, BUFFERS, ' if measured else ''}FORMAT JSON) "


def read(answer: str, *, measured: bool) -> Plan:
    """Raises PlanUnreadable."""
    try:
        [whole] = json.loads(answer)
        reader = _Reader(measured)
        root = reader.node(whole["Plan"], repeats=1.0, cut_short=False)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PlanUnreadable("The plan is not in the form that is known of PostgreSQL.") from error
    notes = tuple(
        (name, _said(value, " ms" if name.endswith("Time") else ""))
        for name, value in whole.items()
        if name != "Plan" and not isinstance(value, dict | list)
    )
    return Plan(root, measured, "ms" if measured else "cost", notes, answer)


class _Reader:
    """Counts the steps while it reads them."""

    def __init__(self, measured: bool) -> None:
        self._measured = measured
        self._steps = 0

    def node(self, raw: dict[str, Any], repeats: float, cut_short: bool) -> PlanNode:
        self._steps += 1
        kind = str(raw["Node Type"])
        cost = _number(raw.get("Total Cost"))
        loops = _number(raw.get("Actual Loops"))
        each = _number(raw.get("Actual Total Time"))
        cut_short = cut_short or kind == "Limit"
        children: list[PlanNode] = []
        below: list[float | None] = []
        for child in raw.get("Plans", ()):
            if self._steps >= MOST_STEPS:
                break
            times = repeats
            if kind == "Nested Loop" and child.get("Parent Relationship") == "Inner" and children:
                times *= expected_repeats(cost, children[0], PlanNode("", cost=_number(child.get("Total Cost"))))
            # A Materialize or Sort below reads everything whatever stops above it, but says so only by its rows.
            node = self.node(child, times, cut_short)
            children.append(node)
            below.append(node.actual_ms if self._measured else (node.cost or 0.0) * times)
        actual_ms = each * loops if each is not None and loops is not None else None
        whole = actual_ms if self._measured else (cost or 0.0) * repeats
        return PlanNode(
            operation=_operation(raw, kind),
            target=_target(raw),
            cost=cost,
            rows=_number(raw.get("Plan Rows")),
            actual_rows=_number(raw.get("Actual Rows")),
            actual_ms=actual_ms,
            loops=loops,
            work=own_time(whole, below),
            cut_short=cut_short and kind != "Limit",
            details=tuple((key, _said(value)) for key, value in raw.items() if key not in _SHOWN and _tells(value)),
            children=tuple(children),
        )


def _operation(raw: dict[str, Any], kind: str) -> str:
    name = kind
    if kind == "Aggregate":
        name = _STRATEGIES.get(str(raw.get("Strategy")), kind)
    elif kind == "ModifyTable":
        name = str(raw.get("Operation", kind))
    elif kind in ("Hash Join", "Merge Join", "Nested Loop") and raw.get("Join Type", "Inner") != "Inner":
        name = f"{kind.removesuffix(' Join')} {raw['Join Type']} Join"
    if raw.get("Partial Mode", "Simple") != "Simple":
        name = f"{raw['Partial Mode']} {name}"
    if raw.get("Parallel Aware"):
        name = f"Parallel {name}"
    if raw.get("Scan Direction") == "Backward":
        name = f"{name} Backward"
    return f"{raw['Subplan Name']}: {name}" if "Subplan Name" in raw else name


def _target(raw: dict[str, Any]) -> str:
    table = str(raw.get("Relation Name") or raw.get("CTE Name") or raw.get("Function Name") or "")
    alias = str(raw.get("Alias", ""))
    named = f"{table} {alias}" if table and alias and alias != table else table or alias
    index = raw.get("Index Name")
    return f"{named} using {index}" if named and index else str(index or named)


def _tells(value: Any) -> bool:
    return value not in (0, 0.0, "", None, False) and not (
        isinstance(value, list) and any(isinstance(each, dict | list) for each in value)
    ) and not isinstance(value, dict)  # fmt: skip


def _said(value: Any, unit: str = "") -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return f"{value}{unit}"


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
