"""A query plan as a tree: a step a line, its figures in columns at the right; what is expensive and what was misjudged
is marked by a sign, a word and a colour."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from backends.plan import Plan, PlanNode
from backends.visible_text import visible_line
from bastion.api.language import translate as _

from ..words import mark

NARROW = 100
"""Cells below which only the figures that matter most are shown."""


class PlanTree(Tree[PlanNode]):
    """Shows one `Plan`; all of it is open."""

    DEFAULT_CSS = """
    PlanTree { background: $surface; padding: 0; height: 1fr; }
    PlanTree:focus { background-tint: $surface 0%; }
    PlanTree > .tree--guides, PlanTree > .tree--guides-hover, PlanTree > .tree--guides-selected { color: $muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "open", mark("Open"), show=False),
        Binding("left", "shut", mark("Close"), show=False),
    ]

    def __init__(self, plan: Plan, *, id: str | None = None) -> None:
        super().__init__(Text(""), plan.root, id=id)
        self.plan = plan
        self.show_guides = True
        self.guide_depth = 2
        self.auto_expand = False
        self._add(self.root, plan.root)

    def _add(self, at: TreeNode[PlanNode], node: PlanNode) -> None:
        for child in node.children:
            if child.children:
                self._add(at.add(Text(""), child, expand=True), child)
            else:
                at.add_leaf(Text(""), child)
        at.expand()

    def heading(self) -> Text:
        """The names of the columns, over the figures."""
        figures = "".join(" " * max(width - cell_len(_(name)), 1) + _(name) for name, width in self._columns())
        room = max(self.size.width - cell_len(figures) - 1, 0)
        return Text.assemble((" " * room + figures, "muted"), no_wrap=True)

    def _columns(self) -> list[tuple[str, int]]:
        measured = self.plan.measured
        if self.size.width < NARROW:
            return [(mark("part"), 7), (mark("ms"), 9) if measured else (mark("cost"), 9), (mark("rows"), 10)]
        columns = [(mark("part"), 7), (mark("cost"), 12), (mark("expected rows"), 15)]
        return [*columns, (mark("rows"), 12), (mark("ms"), 11), (mark("times"), 9)] if measured else columns

    def render_label(self, node: TreeNode[PlanNode], base_style: Style, style: Style) -> Text:
        step = node.data
        if step is None:
            return Text("")
        dear, misjudged = self.plan.dear(step), step.misjudged
        line = Text(style=base_style)
        line.append("▾ " if node.children and node.is_expanded else "▸ " if node.children else "  ")
        if dear:
            line.append("● ", style="danger")
        line.append(visible_line(step.operation), style="bold" if dear else "")
        if step.target:
            line.append(f" {visible_line(step.target)}")
        if step.never_ran:
            line.append("  " + _("never ran"), style="muted")
        figures = self._figures(step, dear)
        # The guides and the scroll bar stand beside the label.
        room = max(self.size.width - figures.cell_len - 1 - self.guide_depth * _depth(node), 8)
        wrong = Text()
        if misjudged is not None:
            words = f"  ≠ {misjudgement(misjudged)}"
            short = f"  ≠ ×{_number(misjudged)}"
            wrong.append(words if line.cell_len + cell_len(words) <= room else short, style="warning")
        if line.cell_len + wrong.cell_len > room:
            left = set_cell_size(line.plain, max(room - wrong.cell_len - 1, 1)).rstrip()
            line = line[: len(left)] + Text("…")
        line.append_text(wrong)
        line.append(" " * max(room - line.cell_len, 0))
        line.append_text(figures)
        line.stylize(style)
        return line

    def _figures(self, step: PlanNode, dear: bool) -> Text:
        share = self.plan.share(step)
        measured = step.actual_rows if self.plan.measured else None
        shown = {
            "part": "" if share is None else f"{share * 100:.0f} %",
            "cost": _number(step.cost),
            "expected rows": _number(step.rows),
            "rows": _number(measured if self.plan.measured else step.rows),
            "ms": _number(step.actual_ms),
            "times": _number(step.loops),
        }
        text = Text(no_wrap=True)
        for name, width in self._columns():
            text.append(f"{shown[name]:>{width}}", style="danger" if dear and name == "part" else "")
        return text

    def on_resize(self) -> None:
        self._invalidate()

    def action_open(self) -> None:
        if self.cursor_node is not None:
            self.cursor_node.expand()

    def action_shut(self) -> None:
        if self.cursor_node is not None:
            self.cursor_node.collapse()


def _depth(node: TreeNode[PlanNode]) -> int:
    depth = 0
    while node.parent is not None:
        node, depth = node.parent, depth + 1
    return depth


def misjudgement(factor: float) -> str:
    """A bad estimate in words."""
    if factor >= 1:
        return _("{count} times more rows than expected").format(count=_number(factor))
    return _("{count} times fewer rows than expected").format(count=_number(1 / factor))


def _number(value: float | None) -> str:
    """With three figures that count, grouped."""
    if value is None:
        return ""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.01 else f"{value:.3f}"
