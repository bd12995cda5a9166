"""A query plan, the same for every engine: a tree of steps with what the planner expects and what was measured.

Each engine's own module reads its form into this one; the screens know only this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

DEAR_SHARE = 0.25
"""A step that takes this part of the whole is marked as expensive."""
BAD_ESTIMATE = 10.0
"""Times that measured rows may differ from expected ones before the estimate counts as bad."""
FEW_ROWS = 100
"""A bad estimate below so many rows, both expected and measured, harms nobody."""
MOST_STEPS = 2000
"""A plan of more is cut there: nobody reads so many."""


@dataclass(frozen=True)
class PlanNode:
    """A step. None where the engine does not say.

    operation     what is done, in the engine's words: `Seq Scan`, `Table scan`
    target        on what: a table with its alias, an index
    cost          of the step and everything below it, once, in the planner's own units
    rows          that the planner expects each time the step runs
    actual_rows   that came, on average each time
    actual_ms     of the step and everything below it, all times together
    loops         how often it ran
    work          of the step alone, all times together, in the plan's `unit`
    cut_short     what is above stops it when it has enough: fewer rows than expected are no bad estimate
    details       conditions, keys and buffers: label and value, in the engine's words
    """

    operation: str
    target: str = ""
    cost: float | None = None
    rows: float | None = None
    actual_rows: float | None = None
    actual_ms: float | None = None
    loops: float | None = None
    work: float | None = None
    cut_short: bool = False
    details: tuple[tuple[str, str], ...] = ()
    children: tuple[PlanNode, ...] = ()

    @property
    def never_ran(self) -> bool:
        """It was measured, and was not needed."""
        return self.loops == 0

    @property
    def misjudged(self) -> float | None:
        """How many times more (below 1: fewer) rows came than expected, where that is a bad estimate."""
        if self.rows is None or self.actual_rows is None or self.never_ran:
            return None
        if max(self.rows, self.actual_rows) < FEW_ROWS:
            return None
        times = max(self.actual_rows, 1.0) / max(self.rows, 1.0)
        return times if times >= BAD_ESTIMATE or (times <= 1 / BAD_ESTIMATE and not self.cut_short) else None

    def walk(self) -> Iterator[PlanNode]:
        """This step and all below it, as they are shown."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class Plan:
    """The plan of one statement.

    measured   the statement was run for it
    unit       what `PlanNode.work` counts: `ms`, `cost`, or `rows` where the engine tells neither
    notes      what the engine says of the whole: planning and execution time, triggers, compilation
    text       the engine's own form
    measurable the statement can be run for its plan
    """

    root: PlanNode
    measured: bool
    unit: str
    notes: tuple[tuple[str, str], ...] = ()
    text: str = field(default="", repr=False)
    measurable: bool = True

    def share(self, node: PlanNode) -> float | None:
        """The part of the whole that `node` alone takes, 0 to 1."""
        whole = sum(each.work or 0.0 for each in self.root.walk())
        return node.work / whole if node.work is not None and whole > 0 else None

    def dear(self, node: PlanNode) -> bool:
        """Whether `node` is one of those that the statement spends itself on."""
        share = self.share(node)
        return share is not None and share >= DEAR_SHARE


class PlanUnreadable(Exception):
    """The engine's answer is not a plan as it is known here. The message says what was missing; safe to show."""


def own_time(total: float | None, below: list[float | None]) -> float | None:
    """`total` without what is below; clocks and workers overlap, so never under 0."""
    return None if total is None else max(total - sum(each or 0.0 for each in below), 0.0)


def expected_repeats(parent: float | None, outer: PlanNode, inner: PlanNode) -> float:
    """How often a nested loop (of cost `parent`) is expected to run its inner side.

    As often as the outer side gives rows, unless the parent's cost leaves no room for that: then the inner side keeps
    what it found, or stops early.
    """
    times = max(outer.rows or 1.0, 1.0)
    if parent is None or not inner.cost:
        return times
    return min(times, max((parent - (outer.cost or 0.0)) / inner.cost, 1.0))
