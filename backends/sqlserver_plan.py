"""SQL Server's SHOWPLAN_XML and STATISTICS XML as a plan, and where its errors point.

The elements are those of Microsoft's showplanxml.xsd: `RelOp` is a step, with its estimates as attributes, what it does
as its one child, and the steps below it somewhere inside that child. `RunTimeInformation` holds what was measured, one
entry a thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from .interface import Row
from .plan import MOST_STEPS, Plan, PlanNode, PlanUnreadable, own_time

MOST_CHARACTERS = 8_000_000
_NOT_KNOWN = "The plan is not in the form that is known of SQL Server."
_NEAR = re.compile(r"near (?:the keyword )?'(.*?)'\.?(?: |$)", re.DOTALL)
_QUOTED = re.compile(r"'(.*)'", re.DOTALL)
_DETAILS = {
    "Predicate": "predicate", "SeekPredicates": "seek", "SeekPredicateNew": "seek",
    "OuterReferences": "outer references",
    "OrderBy": "order by", "GroupBy": "group by", "HashKeysBuild": "hash keys", "HashKeysProbe": "probe keys",
    "ProbeResidual": "residual", "Residual": "residual", "TopExpression": "top",
}  # fmt: skip


def is_plan(row: Row) -> bool:
    """Whether a row of one column holds a plan."""
    if len(row) != 1 or row[0] is None:
        return False
    head = row[0][:200]
    return b"<ShowPlanXML" in head if isinstance(head, bytes) else "<ShowPlanXML" in head


def read(text: str, *, measured: bool) -> Plan:
    """The plan of the batch's first statement that has one. Raises PlanUnreadable."""
    if len(text) > MOST_CHARACTERS:
        raise PlanUnreadable("The plan is too long to be drawn.")
    if "<!" in text[:1000] or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise PlanUnreadable(_NOT_KNOWN)
    try:
        document = ElementTree.fromstring(text)  # noqa: S314  no declarations: looked for above
    except ElementTree.ParseError as error:
        raise PlanUnreadable(_NOT_KNOWN) from error
    for statement in document.iter():
        query = next((child for child in statement if _name(child) == "QueryPlan"), None)
        top = _steps(query) if query is not None else []
        if query is None or not top:
            continue
        budget = [MOST_STEPS]
        root = _node(top[0], measured, budget, 0)
        notes = _notes(statement, query)
        has_time = measured and root.actual_ms is not None
        return Plan(root, measured, "ms" if has_time else "cost", notes, text)
    raise PlanUnreadable("There is no plan for this statement: it reads no table.")


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _steps(element: ElementTree.Element) -> list[ElementTree.Element]:
    """The nearest steps below an element."""
    found: list[ElementTree.Element] = []
    waiting = list(element)[::-1]
    while waiting:
        one = waiting.pop()
        if _name(one) == "RelOp":
            found.append(one)
        else:
            waiting.extend(list(one)[::-1])
    return found


def _own(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """All that belongs to a step itself, the steps below it left out."""
    waiting = list(element)[::-1]
    while waiting:
        one = waiting.pop()
        if _name(one) != "RelOp":
            yield one
            waiting.extend(list(one)[::-1])


def _node(step: ElementTree.Element, measured: bool, budget: list[int], depth: int) -> PlanNode:
    budget[0] -= 1
    below = [] if budget[0] <= 0 or depth > 200 else _steps(step)
    children = tuple(_node(each, measured, budget, depth + 1) for each in below if budget[0] > 0)
    cost = _number(step, "EstimatedTotalSubtreeCost")
    rows, loops, elapsed = _measured(step) if measured else (None, None, None)
    physical, logical = step.get("PhysicalOp", "Step"), step.get("LogicalOp", "")
    if measured and elapsed is not None:
        work = own_time(elapsed, [child.actual_ms for child in children])
    else:
        work = own_time(cost, [child.cost for child in children])
    return PlanNode(
        operation=physical if logical in ("", physical) else f"{physical} ({logical})",
        target=_target(step),
        cost=cost,
        rows=_number(step, "EstimateRows"),
        actual_rows=rows / loops if rows is not None and loops else rows,
        actual_ms=elapsed,
        loops=loops,
        work=work,
        cut_short=False,
        details=_details(step),
        children=children,
    )


def _measured(step: ElementTree.Element) -> tuple[float | None, float | None, float | None]:
    """Rows and runs of all threads, and the milliseconds of the slowest."""
    counters = [one for one in _own(step) if _name(one) == "RunTimeCountersPerThread"]
    if not counters:
        return None, None, None
    rows = sum(_number(one, "ActualRows") or 0.0 for one in counters)
    loops = sum(_number(one, "ActualExecutions") or 0.0 for one in counters)
    times = [time for one in counters if (time := _number(one, "ActualElapsedms")) is not None]
    return rows, loops, max(times) if times else None


def _target(step: ElementTree.Element) -> str:
    thing = next((one for one in _own(step) if _name(one) == "Object"), None)
    if thing is None:
        return ""
    names = [thing.get(part, "").strip("[]") for part in ("Schema", "Table")]
    table = ".".join(name for name in names if name and name != "dbo")
    index, alias = thing.get("Index", "").strip("[]"), thing.get("Alias", "").strip("[]")
    text = f"{table} using {index}" if index else table
    return f"{text} as {alias}" if alias and alias != names[1] else text


def _details(step: ElementTree.Element) -> tuple[tuple[str, str], ...]:
    said: dict[str, list[str]] = {}
    inside = next(
        (one for one in step if _name(one) not in ("OutputList", "RunTimeInformation", "MemoryFractions")), None
    )
    if inside is not None:
        for part in _own(inside):
            label = _DETAILS.get(_name(part))
            if label is None:
                continue
            texts = [one.get("ScalarString", "") for one in part.iter() if _name(one) == "ScalarOperator"]
            texts += [_column(one) for one in part.iter() if _name(one) == "ColumnReference"] if not any(texts) else []
            shown = [text for text in dict.fromkeys(texts) if text]
            if shown:
                said.setdefault(label, []).extend(shown)
    for warning in (one for one in _own(step) if _name(one) == "Warnings"):
        said["warning"] = [
            *(f"{name}={value}" for name, value in warning.attrib.items()),
            *(_name(one) for one in warning),
        ]
    if step.get("Parallel") in ("1", "true"):
        said["parallel"] = ["yes"]
    return tuple((label, ", ".join(dict.fromkeys(texts))) for label, texts in said.items())


def _column(reference: ElementTree.Element) -> str:
    parts = [reference.get(part, "").strip("[]") for part in ("Table", "Column")]
    return ".".join(part for part in parts if part)


def _notes(statement: ElementTree.Element, query: ElementTree.Element) -> tuple[tuple[str, str], ...]:
    notes = []
    if (level := statement.get("StatementOptmLevel")) is not None:
        notes.append(("Optimization", level.lower()))
    if (compiled := query.get("CompileTime")) is not None:
        notes.append(("Compilation", f"{compiled} ms"))
    for index in (one for one in query.iter() if _name(one) == "MissingIndexGroup"):
        tables = [one.get("Table", "").strip("[]") for one in index.iter() if _name(one) == "MissingIndex"]
        notes.append(("Missing index", f"{', '.join(tables)}, impact {index.get('Impact', '?')} %"))
    return tuple(notes)


def _number(element: ElementTree.Element, name: str) -> float | None:
    try:
        return float(element.get(name, ""))
    except ValueError:
        return None


def position(text: str, line: int, message: str) -> int | None:
    """Where an error points: the line that the server tells, and in it the word that its message quotes.

    None where the line is not one of the text: of a procedure, say.
    """
    if line < 1:
        return None
    start = 0
    for _ in range(line - 1):
        found = text.find("\n", start)
        if found < 0:
            return None
        start = found + 1
    quoted = _NEAR.search(message) or _QUOTED.search(message)
    if quoted is not None and quoted.group(1):
        found = text.find(quoted.group(1), start)
        if found >= 0:
            return found
    end = text.find("\n", start)
    rest = text[start : end if end >= 0 else len(text)]
    return start + len(rest) - len(rest.lstrip())
