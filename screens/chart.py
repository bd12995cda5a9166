"""A chart of a result: bars, a line or a histogram of its columns, chosen by keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from backends import chart
from backends.chart import Measure, Point, Shape
from backends.chart_choice import ChartChoice
from backends.chart_choice import chosen as chosen_at_first
from backends.interface import Kind
from backends.spill import SpillBroken
from bastion.api.language import translate as _

from .choice import ChoiceDialog
from .words import mark, sentence
from .workstation import Dialog

if TYPE_CHECKING:
    from .widgets.result_table import ResultTable

SHAPES: tuple[Shape, ...] = ("bar", "line", "histogram")
SHAPE_NAMES: dict[Shape, str] = {"bar": mark("Bars"), "line": mark("Line"), "histogram": mark("Histogram")}
MEASURES: tuple[Measure, ...] = ("each", "sum", "average", "count")
MEASURE_NAMES: dict[Measure, str] = {
    "each": mark("every row"), "sum": mark("sum"), "average": mark("average"), "count": mark("rows"),
}  # fmt: skip


class ChartDialog(Dialog[None]):
    """Of the rows that are shown, in their order."""

    DEFAULT_CSS = """
    ChartDialog { align: center middle; }
    ChartDialog > Vertical { width: 100%; height: 100%; padding: 0 1; background: $surface; border: round $accent; }
    ChartDialog .title { text-style: bold; height: 1; }
    ChartDialog VerticalScroll { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,b", "leave", mark("Close"), key_display="Esc"),
        Binding("o,space", "shape", mark("Bars, line, histogram"), key_display="o"),
        Binding("y", "choose('y')", mark("Numbers")),
        Binding("l", "choose('x')", mark("Labels")),
        Binding("a", "measure", mark("Sum, average, rows")),
    ]

    def __init__(self, table: ResultTable) -> None:
        super().__init__()
        self._table = table
        self._y = table.cursor_column
        self._x: int | None = None
        self._shape: Shape = "bar"
        self._measure: Measure = "each"
        self._chosen = False
        self._points: list[Point] = []
        self._left_out = 0

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(classes="title", markup=False)
            with VerticalScroll():
                yield Static(id="chart", markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._read()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (self._shape == "histogram" and (action == "measure" or parameters == ("x",)))

    @work(exclusive=True, group="chart")
    async def _read(self) -> None:
        try:
            if not self._chosen:
                first = await asyncio.to_thread(self._first_choice)
                self._y, self._x, self._shape, self._measure = first.numbers, first.labels, first.shape, first.measure
                self._chosen = True
            self._points, self._left_out = await asyncio.to_thread(self._gathered)
        except (SpillBroken, IndexError) as error:
            self.workstation.told(sentence(error), bad=True)
            return
        self._draw()
        self.refresh_bindings()

    def _first_choice(self) -> ChartChoice:
        table = self._table
        return chosen_at_first(
            table.columns, table.arrange_columns.shown, table.cursor_column, table.row_count,
            lambda row, column: table.store.value(table.number_at(row), column),
        )  # fmt: skip

    def _gathered(self) -> tuple[list[Point], int]:
        table, points, left_out = self._table, [], 0
        for place in range(min(table.row_count, chart.MOST_ROWS)):
            row = table.number_at(place)
            value = chart.number(table.store.value(row, self._y))
            if self._measure == "count":
                value = 1.0
            if value is None:
                left_out += 1
                continue
            points.append(Point(str(row + 1) if self._x is None else table.store.value(row, self._x), value))
        return points, left_out

    def _draw(self) -> None:
        table = self._table
        room = self.query_one(VerticalScroll).size
        width, height = max(room.width - 1, 20), max(room.height - 1, 4)
        y, x = table.names[self._y], _("row number") if self._x is None else table.names[self._x]
        title = [_(SHAPE_NAMES[self._shape])]
        points = self._points if self._shape == "histogram" else chart.measured(self._points, self._measure)
        if self._shape == "histogram":
            title.append(y)
            lines = chart.histogram([point.value for point in points], width, height)
        else:
            measure = _(MEASURE_NAMES[self._measure])
            of = {"each": y, "count": measure}.get(self._measure, f"{measure} · {y}")
            title.append(_("{numbers} by {labels}").format(numbers=of, labels=x))
            if self._shape == "bar":
                lines = chart.bars(points[: chart.MOST_BARS], width)
                if len(points) > chart.MOST_BARS:
                    title.append(_("the first {count} bars").format(count=f"{chart.MOST_BARS:,}"))
            else:
                if points and self._x is not None and table.columns[self._x].kind is Kind.TIME:
                    newest_first = (points[0].label or "") > (points[-1].label or "")
                    points = points[::-1] if newest_first else points  # time goes to the right
                lines = chart.line(points, width, height)
        if table.row_count > chart.MOST_ROWS:
            title.append(_("the first {count} rows").format(count=f"{chart.MOST_ROWS:,}"))
        if self._left_out:
            title.append(_("left out, without a number: {count}").format(count=f"{self._left_out:,}"))
        if not lines:
            lines = [_("There is no number in {column}. y chooses another column.").format(column=y)]
        self.query_one(".title", Static).update(Text(" · ".join(title), no_wrap=True, overflow="ellipsis"))
        drawn = Text("\n".join(lines), no_wrap=True, overflow="crop")
        drawn.highlight_regex("[█▏▎▍▌▋▊▉▀▄]+", "accent")
        self.query_one("#chart", Static).update(drawn)

    def action_shape(self) -> None:
        self._shape = SHAPES[(SHAPES.index(self._shape) + 1) % len(SHAPES)]
        self.refresh_bindings()
        self._draw()

    def action_measure(self) -> None:
        self._measure = MEASURES[(MEASURES.index(self._measure) + 1) % len(MEASURES)]
        self._read()

    @work(exclusive=True, group="choose")
    async def action_choose(self, axis: str) -> None:
        table = self._table
        labels = [f"{number} {name} · {c.type_name}" for number, (name, c) in
                  enumerate(zip(table.names, table.columns, strict=True), 1)]  # fmt: skip
        by_row = _("row number")
        title = _("Which column gives the numbers?") if axis == "y" else _("Which column gives the labels?")
        chosen = await self.app.push_screen_wait(ChoiceDialog(title, labels if axis == "y" else [*labels, by_row]))
        if chosen is None:
            return
        if axis == "y":
            self._y = labels.index(chosen)
        else:
            self._x = None if chosen == by_row else labels.index(chosen)
            if self._shape == "line" and self._x is not None and table.columns[self._x].kind is Kind.TEXT:
                self._shape = "bar"  # names stand beside each other; nothing goes on from one to the next
        self._read()

    def action_leave(self) -> None:
        self.dismiss(None)
