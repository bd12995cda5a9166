"""A query plan, the same for every engine: a tree of steps with what the planner expects and what was measured.

Each engine's own module reads its form into this one; the screens know only this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

DEAR_SHARE = 0.25
"""A step that takes this part of the whole is marked as expensive."""
BAD_ESTIMATE = 10.0
"""Times that measured rows may differ from estimated ones before the estimate counts as bad."""
FEW_ROWS = 100
"""A bad estimate below so many rows, both expected and measured, harms nobody."""


@dataclass(frozen=True)
class PlanNode:
    """A step. None where the engine does not say.

    operation     what is done, in the engine's words: `Seq Scan`, `Full table scan`
    target        on what: a table with its alias, an index
    cost          of the step and everything below it, in the planner's own units
    rows          that the planner expects, each time the step runs
    actual_rows   that came, on average each time
    actual_ms     of the step and everything below it, all times together
    loops         how often it ran
    details       conditions, keys and buffers: label and value, in the engine's words
    """

    operation: str
    target: str = ""
    cost: float | None = None
    rows: float | None = None
    actual_rows: float | None = None
    actual_ms: float | None = None
    loops: float | None = None
    details: tuple[tuple[str, str], ...] = ()
    children: tuple[PlanNode, ...] = ()

    @property
    def own_cost(self) -> float | None:
        """Without what is below; planners round and share costs, so never under 0."""
        if self.cost is None:
            return None
        return max(self.cost - sum(child.cost or 0.0 for child in self.children), 0.0)

    @property
    def own_ms(self) -> float | None:
        """Without what is below."""
        if self.actual_ms is None:
            return None
        return max(self.actual_ms - sum(child.actual_ms or 0.0 for child in self.children), 0.0)

    @property
    def never_ran(self) -> bool:
        """It was measured, and was not needed."""
        return self.loops == 0

    @property
    def misjudged(self) -> float | None:
        """How many times more (or, below 1, fewer) rows came than expected, where that is a bad estimate."""
        if self.rows is None or self.actual_rows is None or self.never_ran:
            return None
        if max(self.rows, self.actual_rows) < FEW_ROWS:
            return None
        times = max(self.actual_rows, 1.0) / max(self.rows, 1.0)
        return times if times >= BAD_ESTIMATE or times <= 1 / BAD_ESTIMATE else None

    def walk(self) -> Iterator[PlanNode]:
        """This step and all below it, as they are shown."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class Plan:
    """The plan of one statement.

    measured   the statement was run for it
    notes      what the engine says of the whole: planning and execution time, triggers, compilation
    text       the engine's own form
    """

    root: PlanNode
    measured: bool
    notes: tuple[tuple[str, str], ...] = ()
    text: str = field(default="", repr=False)

    def share(self, node: PlanNode) -> float | None:
        """The part of the whole that `node` alone takes: of the time where it was measured, else of the cost."""
        timed = self.root.actual_ms is not None
        whole = sum((each.own_ms if timed else each.own_cost) or 0.0 for each in self.root.walk())
        own = node.own_ms if timed else node.own_cost
        return own / whole if own is not None and whole > 0 else None

    def dear(self, node: PlanNode) -> bool:
        """Whether `node` is one of those that the statement spends itself on."""
        share = self.share(node)
        return share is not None and share >= DEAR_SHARE


class PlanUnreadable(Exception):
    """The engine's answer is not a plan as it is known here. The message says what was missing."""
