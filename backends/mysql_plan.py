"""MySQL's EXPLAIN FORMAT=TREE and the JSON of MySQL before 8 and of MariaDB, as a plan.

Facts: MySQL manual 15.8.2 (the tree's costs and times are those of one run, its rows averages of the runs); MariaDB
manual, EXPLAIN FORMAT=JSON and ANALYZE FORMAT=JSON (`r_…` is measured; a table's time is its own).
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from .plan import MOST_STEPS, Plan, PlanNode, PlanUnreadable, expected_repeats, own_time

NOT_A_TREE = "<not executable by iterator executor>"
"""What MySQL answers for a statement whose plan has no tree: a plain UPDATE or DELETE."""

_LINE = re.compile(r"^(?P<indent> *)-> (?P<rest>.*)$", re.DOTALL)
_ESTIMATE = re.compile(r" *\(cost=(?:(?P<first>[\d.e+-]+?)\.\.)?(?P<cost>[\d.e+-]+)(?: rows=(?P<rows>[\d.e+-]+))?\)")
_ACTUAL = re.compile(r" *\(actual time=[\d.e+-]+?\.\.(?P<ms>[\d.e+-]+) rows=(?P<rows>[\d.e+-]+) loops=(?P<loops>\d+)\)")
_NEVER = " (never executed)"
_TARGET = re.compile(
    r"^(?P<operation>(?:.*? )?(?:scan|lookup|Insert|Update|Delete|Replace|search)(?: with \w+)?) (?:on|into|from) "
    r"(?P<target>.*)$"
)


def read_tree(text: str, *, measured: bool) -> Plan:
    """The tree as text, each step on a line of its own. Raises PlanUnreadable."""
    top = _Step(-1, PlanNode("Query"))
    open_steps = [top]
    for number, line in enumerate(_lines(text)):
        found = _LINE.match(line)
        if found is None or number >= MOST_STEPS:
            continue
        rest = found.group("rest")
        step = _Step(len(found.group("indent")), _tree_node(rest), _built_once(rest))
        while len(open_steps) > 1 and open_steps[-1].indent >= step.indent:
            open_steps.pop()
        open_steps[-1].below.append(step)
        open_steps.append(step)
    if not top.below:
        raise PlanUnreadable("The plan is not in the form that is known of MySQL.")
    steps = top.below
    root = steps[0] if len(steps) == 1 else top
    return Plan(root.finished(1.0, False, measured), measured, "ms" if measured else "cost", (), text)


class _Step:
    """A line of the tree and those below it."""

    def __init__(self, indent: int, node: PlanNode, once: bool = False) -> None:
        self.indent, self.node = indent, node
        self.once = once
        """Nearly all of its cost comes before its first row: it is built once, then looked up."""
        self.below: list[_Step] = []

    def finished(self, repeats: float, cut_short: bool, measured: bool) -> PlanNode:
        """With what is below, and its own part of the work."""
        node = self.node
        limit = node.operation.startswith("Limit")
        children: list[PlanNode] = []
        totals: list[float | None] = []
        for place, step in enumerate(self.below):
            times = repeats
            if place and not step.once and node.operation.startswith("Nested loop"):
                times *= expected_repeats(node.cost, children[0], step.node)
            child = step.finished(times, cut_short or limit, measured)
            children.append(child)
            totals.append(_work_below(child) if child.cost is None and not measured else _total(child, times, measured))
        whole = node.actual_ms if measured else None if node.cost is None else node.cost * repeats
        return replace(node, work=own_time(whole, totals), cut_short=cut_short, children=tuple(children))


def _total(node: PlanNode, times: float, measured: bool) -> float | None:
    return node.actual_ms if measured else None if node.cost is None else node.cost * times


def _work_below(node: PlanNode) -> float:
    return sum(each.work or 0.0 for each in node.walk())


def _lines(text: str) -> list[str]:
    """One step each: a condition may hold line breaks."""
    lines: list[str] = []
    for line in text.split("\n"):
        if _LINE.match(line) or not lines:
            lines.append(line)
        elif line:
            lines[-1] += f" {line.strip()}"
    return lines


def _tree_node(rest: str) -> PlanNode:
    actual, estimate = _ACTUAL.search(rest), _ESTIMATE.search(rest)
    never = rest.endswith(_NEVER)
    ends = [found.start() for found in (actual, estimate) if found is not None]
    name = rest[: min(ends)] if ends else rest.removesuffix(_NEVER)
    operation, details = name, ""
    head, colon, tail = name.partition(": ")
    if colon and "(" not in head:
        operation, details = head, tail
    on = _TARGET.match(operation)
    loops = 0.0 if never else _float(actual, "loops")
    ms = _float(actual, "ms")
    return PlanNode(
        operation=on.group("operation") if on is not None else operation,
        target=on.group("target") if on is not None else "",
        cost=_float(estimate, "cost"),
        rows=_float(estimate, "rows"),
        actual_rows=_float(actual, "rows"),
        actual_ms=ms * loops if ms is not None and loops is not None else None,
        loops=loops,
        details=((operation, details),) if details else (),
    )


def _built_once(rest: str) -> bool:
    estimate = _ESTIMATE.search(rest)
    first, cost = _float(estimate, "first"), _float(estimate, "cost")
    return bool(first is not None and cost and first / cost > 0.9)


def _float(found: re.Match[str] | None, group: str) -> float | None:
    if found is None or found.group(group) is None:
        return None
    try:
        return float(found.group(group))
    except ValueError:
        return None


# ------------------------------------------------------------------------------------------------------------- JSON

_ACCESS = {
    "ALL": "Table scan", "index": "Index scan", "range": "Index range scan", "ref": "Index lookup",
    "eq_ref": "Single-row index lookup", "const": "Constant row", "system": "Constant row",
    "fulltext": "Fulltext search", "ref_or_null": "Index lookup or NULL", "index_merge": "Index merge",
    "unique_subquery": "Single-row index lookup", "index_subquery": "Index lookup",
    "hash_ALL": "Table scan, hash join", "hash_index": "Index scan, hash join",
}  # fmt: skip
_STEPS = {
    "query_block": "Query", "nested_loop": "Nested loop", "table": "Table", "filesort": "Sort",
    "ordering_operation": "Order", "grouping_operation": "Group", "duplicates_removal": "Remove duplicates",
    "temporary_table": "Temporary table", "union_result": "Union", "materialized": "Materialize",
    "materialized_from_subquery": "Materialize", "expression_cache": "Expression cache", "buffer_result": "Buffer",
    "read_sorted_file": "Read sorted", "window_functions_computation": "Window functions", "windowing": "Window",
    "insert_from": "Insert from", "having_subqueries": "Subqueries of HAVING", "attached_subqueries": "Subqueries",
    "optimized_away_subqueries": "Subqueries, done", "select_list_subqueries": "Subqueries of the list",
    "order_by_subqueries": "Subqueries of ORDER BY", "group_by_subqueries": "Subqueries of GROUP BY",
    "subqueries": "Subqueries", "query_specifications": "Parts", "block-nl-join": "Block nested loop join",
    "range-checked-for-each-record": "Range checked for each record", "recursive_union": "Recursive union",
    "first_non_recursive": "First part", "buffered": "Buffered", "sorts": "Sorts",
}  # fmt: skip
_TAKEN = {
    "table_name", "access_type", "key", "rows", "r_rows", "r_loops", "cost", "cost_info", "r_total_time_ms",
    "select_id", "update", "delete", "rows_examined_per_scan", "rows_produced_per_join", "r_table_time_ms",
    "r_other_time_ms", "used_columns", "r_engine_stats", "table",
}  # fmt: skip


def read_json(answer: str, *, measured: bool) -> Plan:
    """The nested JSON of MariaDB, and of MySQL in its first version. Raises PlanUnreadable."""
    try:
        whole = json.loads(answer)
        reader = _JsonReader(measured)
        [root, *_more] = reader.below({"query_block": whole["query_block"]}, 1.0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PlanUnreadable("The plan is not in the form that is known of MySQL and MariaDB.") from error
    notes = []
    if isinstance(optimising := whole.get("query_optimization"), dict):
        notes.append(("Optimization", f"{optimising.get('r_total_time_ms')} ms"))
    return Plan(root, measured, "ms" if measured else "cost" if reader.has_cost else "rows", tuple(notes), answer)


class _JsonReader:
    """Knows whether the server told any cost: MariaDB before 11 tells none, and work is then rows looked at."""

    def __init__(self, measured: bool) -> None:
        self._measured = measured
        self._steps = 0
        self.has_cost = False

    def below(self, raw: dict[str, Any], repeats: float) -> list[PlanNode]:
        """The steps inside an object, in its order."""
        found: list[PlanNode] = []
        for key, value in raw.items():
            if key not in _STEPS or self._steps >= MOST_STEPS:
                continue
            if key == "nested_loop" and isinstance(value, list):
                found.append(self._nested(value, repeats))
            elif isinstance(value, list):
                inside = [node for each in value if isinstance(each, dict) for node in self.below(each, repeats)]
                found.append(_group(_STEPS[key], inside))
            elif isinstance(value, dict):
                found.append(self._node(key, value, 1.0 if key == "materialized" else repeats))
        return found

    def _nested(self, parts: list[Any], repeats: float) -> PlanNode:
        tables: list[PlanNode] = []
        for part in parts:
            inside = self.below(part, repeats)
            tables.extend(inside)
            if inside and inside[0].rows is not None:
                filtered = dict(inside[0].details).get("filtered", "100")
                repeats *= max(inside[0].rows * _percent(filtered), 1.0)
        return tables[0] if len(tables) == 1 else _group("Nested loop", tables)

    def _node(self, key: str, raw: dict[str, Any], repeats: float) -> PlanNode:
        self._steps += 1
        cost = self._cost(raw)
        inside = self.below(raw, repeats)
        table = key == "table" or "access_type" in raw
        rows = _number(raw.get("rows", raw.get("rows_examined_per_scan")))
        under = sum(child.actual_ms or 0.0 for child in inside)
        total, own = _number(raw.get("r_total_time_ms")), _sum(raw.get("r_table_time_ms"), raw.get("r_other_time_ms"))
        if key != "query_block" and own is None:
            own, total = total, None  # a sort's time is its own, whatever the field is called
        if total is None:
            total = _sum(own, under or None)
        if cost is None:
            cost = _sum(*(child.cost for child in inside))
        access = str(raw.get("access_type", ""))
        number = raw.get("select_id")
        operation = _ACCESS.get(access, access) if access else _STEPS[key]
        if raw.get("update"):
            operation = f"Update, {operation.lower()}"
        elif raw.get("delete"):
            operation = f"Delete, {operation.lower()}"
        if self._measured:
            work = own if own is not None else own_time(total, [under])
        elif cost is not None:
            work = own_time(cost, [child.cost for child in inside])
        else:
            work = rows * repeats if table and rows is not None and not self.has_cost else None
        return PlanNode(
            operation=f"{operation} {number}" if number is not None else operation,
            target=_target(raw),
            cost=cost,
            rows=rows,
            actual_rows=_number(raw.get("r_rows")),
            actual_ms=total,
            loops=_number(raw.get("r_loops")),
            work=work,
            details=_details(raw),
            children=tuple(inside),
        )

    def _cost(self, raw: dict[str, Any]) -> float | None:
        info = raw.get("cost_info")
        if isinstance(info, dict):
            told = info.get("query_cost", info.get("sort_cost"))
            cost = _number(told) if told is not None else _sum(info.get("read_cost"), info.get("eval_cost"))
        else:
            cost = _number(raw.get("cost"))
        self.has_cost = self.has_cost or cost is not None
        return cost


def _group(operation: str, inside: list[PlanNode]) -> PlanNode:
    """A step of which the server says nothing itself."""
    cost, ms = _sum(*(node.cost for node in inside)), _sum(*(node.actual_ms for node in inside))
    return PlanNode(operation, cost=cost, actual_ms=ms, children=tuple(inside))


def _target(raw: dict[str, Any]) -> str:
    table, key = raw.get("table_name"), raw.get("key")
    return f"{table} using {key}" if table and key else str(table or key or "")


def _details(raw: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    said = []
    for key, value in raw.items():
        if key in _TAKEN or key in _STEPS or isinstance(value, dict) or value in (None, ""):
            continue
        if isinstance(value, list):
            if any(isinstance(each, dict | list) for each in value):
                continue
            value = ", ".join(str(each) for each in value)
        said.append((key, str(value)))
    return tuple(said)


def _sum(*values: Any) -> float | None:
    numbers = [number for value in values if (number := _number(value)) is not None]
    return sum(numbers) if numbers else None


def _percent(text: str) -> float:
    return (_number(text) or 100.0) / 100.0


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
