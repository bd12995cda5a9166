"""A row of a result, one column a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from backends.laid_out import Line
from backends.spill import SpillBroken
from backends.visible_text import visible_line
from bastion.api.language import translate as _

from .value import ValueDialog
from .widgets.inputs import LineInput
from .widgets.lines_view import LinesView
from .widgets.result_table import cell_text
from .words import mark, sentence
from .workstation import Dialog

if TYPE_CHECKING:
    from .widgets.result_table import ResultTable

WIDEST_NAME = 30


class RowDialog(Dialog[None]):
    """Follows the table's cursor: the row that is left is the one that the table is on."""

    DEFAULT_CSS = """
    RowDialog { align: center middle; }
    RowDialog > Vertical { width: 96%; height: 90%; padding: 0 1; background: $surface; border: round $accent; }
    RowDialog .title { text-style: bold; height: 1; }
    RowDialog LineInput { display: none; }
    RowDialog.searching LineInput { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,d", "leave", mark("Close"), key_display="Esc"),
        Binding("enter,v", "view", mark("View"), key_display="Enter"),
        Binding("right_square_bracket", "step(1)", mark("Next row"), key_display="]"),
        Binding("left_square_bracket", "step(-1)", mark("Row before"), key_display="["),
        Binding("slash", "search", mark("Search"), key_display="/"),
        Binding("c", "copy", mark("Copy")),
    ]

    def __init__(self, table: ResultTable) -> None:
        super().__init__()
        self._table = table

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(classes="title", markup=False)
            yield LinesView(wrap=False)
            yield LineInput(placeholder=_("search"))

    def on_mount(self) -> None:
        self.query_one(LinesView).focus()
        self._show(self._table.cursor_column)

    def _show(self, column: int) -> None:
        table = self._table
        try:
            number = table.number_at(table.cursor_row)
            values = table.store.values(number)
        except (IndexError, SpillBroken) as error:
            self.workstation.told(sentence(error), bad=True)
            return
        widest = min(max(cell_len(name) for name in table.names), WIDEST_NAME)
        lines = []
        for name, value in zip(table.names, values, strict=True):
            lines.append(Line(f"{name}{' ' * max(widest - cell_len(name), 0)}  {cell_text(value)}", lead=len(name)))
        self.query_one(LinesView).put(lines, column)
        title = _("Row {number} of {count}").format(number=f"{number + 1:,}", count=f"{table.store.rows:,}")
        self.query_one(".title", Static).update(Text(title))

    @property
    def _column(self) -> int:
        return self.query_one(LinesView).cursor_line

    def action_step(self, step: int) -> None:
        self._table.move_to(self._table.cursor_row + step, self._table.cursor_column)
        self._show(self._column)

    def action_view(self) -> None:
        value = self._value()
        self.app.push_screen(ValueDialog(self._table.columns[self._column], value))

    def action_copy(self) -> None:
        self.workstation.copy(self._value() or "", visible_line(self._table.columns[self._column].name))

    def _value(self) -> str | None:
        try:
            return self._table.value(self._table.cursor_row, self._column)
        except (IndexError, SpillBroken) as error:
            self.workstation.told(sentence(error), bad=True)
            return None

    def action_search(self) -> None:
        self.add_class("searching")
        line = self.query_one(LineInput)
        line.value = ""
        line.focus()

    @on(LineInput.Submitted)
    def _search(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.remove_class("searching")
        view = self.query_one(LinesView)
        view.focus()
        view.find(event.value)

    def action_leave(self) -> None:
        if self.has_class("searching"):
            self.remove_class("searching")
            self.query_one(LinesView).focus()
            return
        column = self._column
        if column not in self._table.arrange_columns.hidden and self._table.columns:
            self._table.move_to(self._table.cursor_row, column)
        self.dismiss(None)
