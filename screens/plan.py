"""The plan of a statement, over the console."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static, Tree

from backends.plan import Plan, PlanNode
from backends.visible_text import visible, visible_line
from bastion.api.language import translate as _

from .widgets.plan_tree import PlanTree, misjudgement
from .words import mark
from .workstation import Dialog

UNITS = {
    "ms": mark("part: of the measured time"),
    "cost": mark("part: of the planner's cost"),
    "rows": mark("part: of the rows looked at, since the server tells no cost"),
}


class PlanDialog(Dialog[bool]):
    """Gives True when the statement is to be run for its real figures."""

    DEFAULT_CSS = """
    PlanDialog { align: center middle; }
    PlanDialog > Vertical { width: 100%; height: 100%; padding: 0 1; background: $surface; border: round $accent; }
    PlanDialog #title { text-style: bold; height: 1; }
    PlanDialog #notes { height: 1; color: $muted; }
    PlanDialog #heading { height: 1; }
    PlanDialog VerticalScroll { height: auto; max-height: 9; border-top: solid $line; }
    PlanDialog #details { height: auto; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5", "measure", mark("Measure: run it")),
        Binding("n", "dearest", mark("Next expensive step")),
        Binding("c", "copy", mark("Copy the plan")),
        Binding("escape", "leave", mark("Close")),
    ]

    def __init__(self, plan: Plan, statement: str) -> None:
        super().__init__()
        self._plan, self._statement = plan, statement

    def compose(self) -> ComposeResult:
        measured = self._plan.measured
        title = _("Plan, measured") if measured else _("Plan, estimated")
        line = " ".join(self._statement[:500].split())
        with Vertical():
            yield Static(Text(f"{title}: {visible_line(line)}", no_wrap=True, overflow="ellipsis"), id="title")
            yield Static(self._notes(), id="notes")
            yield Static("", id="heading")
            yield PlanTree(self._plan, id="plan")
            with VerticalScroll(can_focus=False):
                yield Static("", id="details", markup=False)

    def _notes(self) -> Text:
        notes = [_(UNITS[self._plan.unit]), *(f"{name}: {value}" for name, value in self._plan.notes)]
        signs = [_("● expensive"), _("≠ bad estimate")] if self._plan.measured else [_("● expensive")]
        return Text(visible_line(" · ".join([*signs, *notes])), no_wrap=True, overflow="ellipsis")

    def on_mount(self) -> None:
        self.query_one(PlanTree).focus()
        self.call_after_refresh(self._show_heading)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_heading)

    def _show_heading(self) -> None:
        self.query_one("#heading", Static).update(self.query_one(PlanTree).heading())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return (not self._plan.measured and self._plan.measurable) if action == "measure" else True

    @on(Tree.NodeHighlighted)
    def _highlighted(self, event: Tree.NodeHighlighted[PlanNode]) -> None:
        event.stop()
        step = event.node.data
        if step is None:
            return
        text = Text()
        if (factor := step.misjudged) is not None:
            text.append(f"≠ {misjudgement(factor)}\n", style="warning")
        for label, value in step.details:
            text.append(f"{visible_line(label)}: ", style="muted")
            text.append(visible(value) + "\n")
        if not step.details:
            text.append(_("Nothing more is said of this step."), style="muted")
        text.rstrip()
        self.query_one("#details", Static).update(text)

    def action_measure(self) -> None:
        self.dismiss(True)

    def action_dearest(self) -> None:
        """The cursor goes to the next marked step."""
        tree = self.query_one(PlanTree)
        nodes = [node for line in range(tree.last_line + 1) if (node := tree.get_node_at_line(line)) is not None]
        marked = [node for node in nodes if node.data is not None and self._plan.dear(node.data)]
        if marked:
            after = [node for node in marked if node.line > tree.cursor_line]
            tree.move_cursor((after or marked)[0])

    def action_copy(self) -> None:
        self.workstation.copy(self._plan.text, _("the plan"))

    def action_leave(self) -> None:
        self.dismiss(False)
