"""Oracle's EXPLAIN PLAN as a plan, from the rows of PLAN_TABLE.

Facts: Oracle Database Reference, PLAN_TABLE: COST is that of a step with everything below it, of the inner side of a
nested loop for one time; CARDINALITY the rows expected each time. Oracle SQL Language Reference, "EXPLAIN PLAN": it is
DML and commits nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .catalog import text_of
from .interface import Row
from .plan import MOST_STEPS, Plan, PlanNode, PlanUnreadable, expected_repeats, own_time

_COLUMNS = (
    "id, parent_id, operation, options, object_owner, object_name, object_alias, cost, cardinality, bytes, time, "
    "access_predicates, filter_predicates, partition_start, partition_stop, temp_space, optimizer"
)
DEEPEST = 200


def asking(mark: str, text: str) -> str:
    """The statement that writes the plan of `text` down under `mark`."""
    return f"explain plan set statement_id = '{mark}' for {text}"


def reading(mark: str) -> str:
    """The question for what was written down."""
    return f"select {_COLUMNS} from plan_table where statement_id = '{mark}' order by id"  # noqa: S608  our own mark


@dataclass
class _Step:
    row: tuple[str, ...]
    below: list[_Step] = field(default_factory=list)


def read(rows: Sequence[Row]) -> Plan:
    """The plan that the rows are of. Raises PlanUnreadable."""
    steps: dict[str, _Step] = {}
    top: _Step | None = None
    for cells in rows[:MOST_STEPS]:
        row = tuple(text_of(cell) for cell in cells)
        if len(row) != len(_COLUMNS.split(",")):
            raise PlanUnreadable("The plan is not in the form that is known of Oracle.")
        step = steps[row[0]] = _Step(row)
        if row[1] in steps and row[1] != row[0]:
            steps[row[1]].below.append(step)
        elif top is None:
            top = step
    if top is None:
        raise PlanUnreadable("The server gave no plan for this statement.")
    root = _node(top, 1.0, 0)
    notes = (("Optimizer", top.row[16]),) if top.row[16] else ()
    return Plan(root, False, "cost", notes, "\n".join(_lines(top, 0)), measurable=False)


def _node(step: _Step, times: float, depth: int) -> PlanNode:
    (_id, _parent, operation, options, owner, name, alias, cost_text, rows_text, bytes_text, seconds, access, condition,
     first, last, space, _optimizer) = step.row  # fmt: skip
    cost = _number(cost_text)
    below = step.below if depth < DEEPEST else []
    if operation == "NESTED LOOPS" and len(below) == 2:
        outer = _node(below[0], times, depth + 1)
        once = _node(below[1], times, depth + 1)
        repeats = expected_repeats(cost, outer, once)
        children: tuple[PlanNode, ...] = (outer, _node(below[1], times * repeats, depth + 1))
        own = own_time(cost, [outer.cost, (once.cost or 0.0) * repeats])
    else:
        children = tuple(_node(each, times, depth + 1) for each in below)
        own = own_time(cost, [child.cost for child in children])
    details = (
        ("access", access), ("filter", condition),
        ("partitions", f"{first} to {last}" if first or last else ""),
        ("time", f"{seconds} s" if seconds else ""), ("bytes", bytes_text), ("temporary space", space),
    )  # fmt: skip
    return PlanNode(
        operation=f"{operation} {options}".strip(),
        target=_target(owner, name, alias),
        cost=cost,
        rows=_number(rows_text),
        work=None if own is None else own * times,
        details=tuple((label, text) for label, text in details if text),
        children=children,
    )


def _target(owner: str, name: str, alias: str) -> str:
    """`alias` is like "E"@"SEL$1"."""
    called = alias.partition("@")[0].strip('"')
    full = f"{owner}.{name}" if owner and name else name
    return f"{full} as {called}" if called and called != name and full else full


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _lines(step: _Step, depth: int) -> list[str]:
    row = step.row
    line = f"{row[0]:>4} {'  ' * depth}{row[2]} {row[3]}".rstrip()
    facts = [f"{label}={text}" for label, text in (("name", row[5]), ("rows", row[8]), ("cost", row[7])) if text]
    found = [" ".join([line, *facts])]
    for each in step.below if depth < DEEPEST else []:
        found.extend(_lines(each, depth + 1))
    return found
