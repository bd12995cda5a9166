"""A result in a table: rows are drawn as they come into view, from memory or from disk, and no value is interpreted."""

from __future__ import annotations

import re
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from backends.arrangement import Arranged, Arrangement
from backends.interface import Column, Kind
from backends.row_store import RowStore
from backends.spill import SpillBroken
from backends.visible_text import table_text

from ..words import mark
from .table_layout import GAP, Place, TableLayout

SHOWN_CHARACTERS = 400
"""Characters of a value that a cell renders; the whole is in the cell view."""
RIGHT = frozenset({Kind.NUMBER})
NULL = "NULL"
BROKEN = "?"
_LOOKS_NULL = re.compile("'*NULL'*")
PAGE_COLUMNS = 8


def cell_text(value: str | None) -> str:
    """A value on one line. NULL is `NULL`; a text that says so stands in quotes, since colour alone must not tell."""
    if value is None:
        return NULL
    shown = table_text(value[:SHOWN_CHARACTERS])
    if len(value) > SHOWN_CHARACTERS:
        return shown + "…"
    return f"'{shown}'" if len(shown) < 20 and _LOOKS_NULL.fullmatch(shown) else shown


def fitted(text: str, width: int, *, right: bool) -> str:
    """`text` in exactly `width` cells; what does not fit ends in `…`."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…"
    return " " * (width - length) + text if right else text + " " * (width - length)


class ResultTable(ScrollView, can_focus=True):
    """Shows one result. The cursor is on a cell; Enter opens it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header", "table--number", "table--null", "table--cursor", "table--selected", "table--line",
    }  # fmt: skip

    DEFAULT_CSS = """
    ResultTable { height: 1fr; background: $background; color: $text; overflow-x: auto; overflow-y: scroll; }
    ResultTable > .table--header { background: $panel; color: $text; text-style: bold; }
    ResultTable > .table--number { color: $muted; }
    ResultTable > .table--null { color: $muted; text-style: italic; }
    ResultTable > .table--line { color: $line; }
    ResultTable > .table--selected { background: $selection-idle; color: $selection-idle-text; text-style: $selection-idle-style; }
    ResultTable > .table--cursor { background: $selection-idle; color: $selection-idle-text; text-style: $selection-idle-style; }
    ResultTable:focus > .table--cursor { background: $selection; color: $selection-text; text-style: $selection-style; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,v", "view", mark("View"), key_display="Enter"),
        Binding("d", "row", mark("Row")),
        Binding("c", "copy_cell", mark("Copy cell")),
        Binding("y", "copy_as", mark("Copy as …")),
        Binding("s", "sort", mark("Sort")),
        Binding("slash", "filter", mark("Filter"), key_display="/"),
        Binding("u", "reset", mark("Unfiltered, unsorted"), show=False),
        Binding("e", "export", mark("Export")),
        Binding("b", "chart", mark("Chart")),
        Binding("t", "jump", mark("To column"), show=False),
        Binding("g", "go_to_row", mark("Go to row"), show=False),
        Binding("K", "follow", mark("Along the foreign key"), show=False),
        Binding("f", "freeze", mark("Freeze columns up to here, or none"), show=False),
        Binding("z", "hide", mark("Hide column"), show=False),
        Binding("Z", "show_all", mark("Show all columns"), show=False),
        Binding("less_than_sign", "resize(-4)", mark("Narrower"), show=False),
        Binding("greater_than_sign", "resize(4)", mark("Wider"), show=False),
        Binding("w", "fit", mark("Fit the width, or the usual width"), show=False),
        Binding("space", "select", mark("Select from here, or nothing"), show=False),
        Binding("A", "select_all", mark("Select everything"), show=False),
        Binding("up,k", "move(-1, 0)", show=False),
        Binding("down,j", "move(1, 0)", show=False),
        Binding("left,h", "move(0, -1)", show=False),
        Binding("right,l", "move(0, 1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(0, -100000)", show=False),
        Binding("end", "move(0, 100000)", show=False),
        Binding("ctrl+home", "row_end(False)", mark("First row"), show=False),
        Binding("G,ctrl+end", "row_end(True)", mark("Last row"), show=False),
        Binding("tab", "app.focus_next", show=False),
        Binding("shift+tab", "app.focus_previous", show=False),
    ]

    class Asked(Message):
        """The person wants something done with what the cursor is on: `view`, `row`, `copy_as`, `filter`, …"""

        def __init__(self, table: ResultTable, what: str) -> None:
            super().__init__()
            self.table, self.what = table, what

    class Copied(Message):
        """The person wants the value on the clipboard."""

        def __init__(self, text: str, what: str) -> None:
            super().__init__()
            self.text, self.what = text, what

    class Unreadable(Message):
        """A value cannot be read back from disk."""

        def __init__(self, error: SpillBroken) -> None:
            super().__init__()
            self.error = error

    class Moved(Message):
        """The cursor is somewhere else."""

    def __init__(self, store: RowStore, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.store = store
        self.columns: tuple[Column, ...] = store.columns
        self.arrangement = Arrangement()
        self.arranged: Arranged | None = None
        self.names = [table_text(column.name[:SHOWN_CHARACTERS]) for column in self.columns]
        self.arrange_columns = TableLayout([cell_len(name) for name in self.names])
        self.cursor_row = 0
        self.cursor_column = 0
        """As the result numbers them."""
        self.selected_from: tuple[int, int] | None = None
        self._frozen: list[Place] = []
        self._others: list[Place] = []
        self._number_width = 2

    # -- what is shown

    @property
    def row_count(self) -> int:
        """Rows that are shown: all, or those that the filter lets through."""
        return self.store.rows if self.arranged is None else len(self.arranged)

    def number_at(self, place: int) -> int:
        """The number, in the result, of the row that is shown at `place`. Raises IndexError."""
        return place if self.arranged is None else self.arranged[place]

    def place_of(self, number: int) -> int | None:
        """Where the row with this number is shown; None where the filter leaves it out."""
        if self.arranged is None:
            return number if 0 <= number < self.store.rows else None
        import pyarrow.compute as pc

        place: int = pc.index(self.arranged.numbers, number).as_py()
        return place if place >= 0 else None

    def value(self, place: int, column: int) -> str | None:
        """The whole value. Raises IndexError, SpillBroken."""
        return self.store.value(self.number_at(place), column)

    @property
    def cursor(self) -> tuple[int, int] | None:
        """Row as it is shown, column as the result numbers it; None where there is nothing."""
        if self.cursor_row >= self.row_count or not self.columns:
            return None
        return self.cursor_row, self.cursor_column

    @property
    def selection(self) -> tuple[range, list[int]] | None:
        """The rows (as shown) and columns that are selected."""
        if self.selected_from is None or self.cursor is None:
            return None
        (row, column), shown = self.selected_from, self.arrange_columns.shown
        if column not in shown:
            return None
        first, last = sorted((row, self.cursor_row))
        left, right = sorted((shown.index(column), shown.index(self.cursor_column)))
        return range(first, min(last + 1, self.row_count)), shown[left : right + 1]

    def rows_arrived(self) -> None:
        """There are more rows in the store; the cursor and the scroll position stay."""
        if self.arranged is None or self.virtual_size.height < 2:
            self._lay_out()

    def show_arranged(self, arrangement: Arrangement, arranged: Arranged | None) -> None:
        """Shows the rows filtered and sorted; the cursor stays on its row where that is still shown."""
        number = self.number_at(self.cursor_row) if self.cursor is not None else None
        self.arrangement, self.arranged, self.selected_from = arrangement, arranged, None
        self.arrange_columns.sorted = {sort.column for sort in arrangement.sorts}
        place = self.place_of(number) if number is not None and not arrangement.sorts else None
        self.cursor_row = min(place or 0, max(self.row_count - 1, 0))
        self._lay_out()
        self._follow_cursor()

    # -- geometry

    def on_resize(self) -> None:
        self._lay_out()

    def on_mount(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        number_width = max(len(str(max(self.store.rows, 1))), 2) + 1
        room = max(self.size.width - number_width - 1, 1)
        frozen, others = self.arrange_columns.places(self.store.widest, room)
        changed = (frozen, others, number_width) != (self._frozen, self._others, self._number_width)
        before = self.virtual_size.height - 1
        self._frozen, self._others, self._number_width = frozen, others, number_width
        width = self._left_width + (others[-1].start + others[-1].width + 1 if others else 0)
        self.virtual_size = Size(width, self.row_count + 1)
        # Rows that arrive below what is seen change nothing on the screen but the scroll bar.
        if changed or self.arranged is not None or before < self.scroll_offset.y + self.size.height:
            self.refresh()

    @property
    def _left_width(self) -> int:
        frozen = sum(place.width + GAP for place in self._frozen)
        return self._number_width + 1 + frozen + (1 if self._frozen else 0)

    def _width_of(self, column: int) -> int:
        return next((place.width for place in (*self._frozen, *self._others) if place.column == column), 10)

    def _follow_cursor(self) -> None:
        """Scrolls so that the cursor is seen."""
        height = max(self.size.height - 1, 1)
        top, left = self.scroll_offset.y, self.scroll_offset.x
        if self.cursor_row < top:
            top = self.cursor_row
        elif self.cursor_row >= top + height:
            top = self.cursor_row - height + 1
        place = next((place for place in self._others if place.column == self.cursor_column), None)
        if place is not None:
            room = max(self.size.width - self._left_width, 1)
            if place.start < left or place.width >= room:
                left = place.start
            elif place.start + place.width > left + room:
                left = place.start + place.width - room + 1
        if (left, top) != (self.scroll_offset.x, self.scroll_offset.y):
            self.scroll_to(left, top, animate=False, immediate=True)

    def _refresh_row(self, place: int) -> None:
        self.refresh(Region(0, place - self.scroll_offset.y + 1, self.size.width, 1))

    # -- drawing

    def render_line(self, y: int) -> Strip:
        width, left = self.size.width, self.scroll_offset.x
        base = self.rich_style
        if y == 0:
            style = self.get_component_rich_style("table--header")
            cells = [self._header(place, style) for place in self._frozen]
            others = self._scrolled(left, lambda place: self._header(place, style), style)
            number = Segment(" " * (self._number_width + 1), style)
            return self._line(number, cells, others, style, width)
        row = self.scroll_offset.y + y - 1
        if row >= self.row_count:
            return Strip.blank(width, base)
        try:
            number_text = f"{self.number_at(row) + 1:>{self._number_width}} "
        except IndexError:
            return Strip.blank(width, base)
        here = row == self.cursor_row
        style = base + (self.get_component_rich_style("table--number", partial=True))
        number = Segment(number_text, style + Style(bold=True) if here else style)
        chosen = self.selection
        selected = set(chosen[1]) if chosen is not None and row in chosen[0] else frozenset[int]()
        cells = [self._cell(row, place, base, selected) for place in self._frozen]
        others = self._scrolled(left, lambda place: self._cell(row, place, base, selected), base)
        return self._line(number, cells, others, base, width)

    def _line(self, number: Segment, frozen: list[Segment], others: Strip, style: Style, width: int) -> Strip:
        segments = [number]
        for cell in frozen:
            segments += [cell, Segment(" " * GAP, style)]
        if frozen:
            segments[-1] = Segment(" " * (GAP - 1), style)
            segments.append(Segment("│ ", style + self.get_component_rich_style("table--line", partial=True)))
        return Strip([*segments, *others]).adjust_cell_length(width, style)

    def _scrolled(self, left: int, draw: object, style: Style) -> Strip:
        """The part of the columns that is in view."""
        assert callable(draw)
        room = max(self.size.width - self._left_width, 0)
        seen = [place for place in self._others if place.start + place.width + GAP > left and place.start < left + room]
        if not seen:
            return Strip([])
        segments: list[Segment] = []
        for place in seen:
            segments += [draw(place), Segment(" " * GAP, style)]
        start = left - seen[0].start
        return Strip(segments).crop(start, start + room)

    def _header(self, place: Place, style: Style) -> Segment:
        column = self.columns[place.column]
        sort = next((sort for sort in self.arrangement.sorts if sort.column == place.column), None)
        sign = "" if sort is None else " ↓" if sort.descending else " ↑"
        if column.kind in RIGHT and not sign:
            text = fitted(self.names[place.column], place.width, right=True)
        else:
            text = fitted(self.names[place.column], place.width - len(sign), right=column.kind in RIGHT) + sign
        return Segment(text, style + Style(underline=place.column == self.cursor_column))

    def _cell(self, row: int, place: Place, style: Style, selected: set[int] | frozenset[int]) -> Segment:
        try:
            value = self.value(row, place.column)
            text = cell_text(value)
        except (IndexError, SpillBroken):
            value, text = None, BROKEN
        if value is None:
            style += self.get_component_rich_style("table--null", partial=True)
        if row == self.cursor_row and place.column == self.cursor_column:
            style += self.get_component_rich_style("table--cursor", partial=True)
        elif place.column in selected:
            style += self.get_component_rich_style("table--selected", partial=True)
        return Segment(fitted(text, place.width, right=self.columns[place.column].kind in RIGHT), style)

    # -- moving

    def move_to(self, row: int, column: int) -> None:
        """Puts the cursor on a row, as it is shown, and a column."""
        row = max(0, min(row, self.row_count - 1))
        if (row, column) == (self.cursor_row, self.cursor_column):
            return
        before, other_column = self.cursor_row, column != self.cursor_column
        self.cursor_row, self.cursor_column = row, column
        self._follow_cursor()
        if self.selected_from is not None or other_column:
            self.refresh()
        else:
            self._refresh_row(before)
            self._refresh_row(row)
        self.post_message(self.Moved())

    def action_move(self, rows: int, columns: int) -> None:
        shown = self.arrange_columns.shown
        at = shown.index(self.cursor_column) if self.cursor_column in shown else 0
        self.move_to(self.cursor_row + rows, shown[max(0, min(at + columns, len(shown) - 1))] if shown else 0)

    def action_page(self, pages: int) -> None:
        step = max(self.size.height - 2, 1)
        self.scroll_to(y=self.scroll_offset.y + pages * step, animate=False, immediate=True)
        self.action_move(pages * step, 0)

    def action_row_end(self, last: bool) -> None:
        self.move_to(self.row_count - 1 if last else 0, self.cursor_column)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        at = event.get_content_offset(self)
        if at is None:
            return
        x = at.x - self._number_width - 1
        place = next((p for p in self._frozen if p.start <= x < p.start + p.width + GAP), None)
        if place is None:
            x = at.x - self._left_width + self.scroll_offset.x
            place = next((p for p in self._others if p.start <= x < p.start + p.width + GAP), None)
        column = self.cursor_column if place is None else place.column
        if at.y == 0:
            self.move_to(self.cursor_row, column)
            self.action_sort()
        elif self.scroll_offset.y + at.y - 1 < self.row_count:
            self.move_to(self.scroll_offset.y + at.y - 1, column)

    def on_focus(self) -> None:
        self._refresh_row(self.cursor_row)

    def on_blur(self) -> None:
        self._refresh_row(self.cursor_row)

    # -- columns

    def action_freeze(self) -> None:
        self.arrange_columns.freeze_to(self.cursor_column)
        self._columns_changed()

    def action_hide(self) -> None:
        shown = self.arrange_columns.shown
        at = shown.index(self.cursor_column) if self.cursor_column in shown else 0
        if self.arrange_columns.hide(self.cursor_column):
            shown = self.arrange_columns.shown
            self.cursor_column = shown[min(at, len(shown) - 1)]
            self._columns_changed()

    def action_show_all(self) -> None:
        self.arrange_columns.show_all()
        self._columns_changed()

    def action_resize(self, step: int) -> None:
        self.arrange_columns.resize(self.cursor_column, self._width_of(self.cursor_column), step)
        self._columns_changed()

    def action_fit(self) -> None:
        self.arrange_columns.fit(self.cursor_column, self.store.widest[self.cursor_column])
        self._columns_changed()

    def show_column(self, column: int) -> None:
        """Moves the cursor to a column, which is shown if it was hidden."""
        self.arrange_columns.hidden.discard(column)
        self._lay_out()
        self.move_to(self.cursor_row, column)

    def _columns_changed(self) -> None:
        self.selected_from = None
        self._lay_out()
        self._follow_cursor()
        self.refresh()
        self.post_message(self.Moved())

    def step_back(self) -> bool:
        """Takes back the selection, then the filter; the order stays."""
        if self.selected_from is not None:
            self.action_select()
            return True
        if self.arrangement.filter is not None:
            self.post_message(self.Asked(self, "unfilter"))
            return True
        return False

    # -- what somebody else does

    def action_select(self) -> None:
        self.selected_from = None if self.selected_from is not None else self.cursor
        self.refresh()
        self.post_message(self.Moved())

    def action_select_all(self) -> None:
        if self.cursor is not None:
            shown = self.arrange_columns.shown
            self.selected_from = (0, shown[0])
            self.move_to(self.row_count - 1, shown[-1])
            self.refresh()

    def action_copy_cell(self) -> None:
        self._copy()

    def action_copy_selection(self) -> None:
        self._copy()

    def _copy(self) -> None:
        if self.cursor is None:
            return
        try:
            self.post_message(self.Copied(self.value(*self.cursor) or "", "cell"))
        except SpillBroken as error:
            self.post_message(self.Unreadable(error))

    def action_view(self) -> None:
        self._ask("view")

    def action_row(self) -> None:
        self._ask("row")

    def action_copy_as(self) -> None:
        self._ask("copy_as")

    def action_sort(self) -> None:
        self._ask("sort")

    def action_filter(self) -> None:
        self.post_message(self.Asked(self, "filter"))

    def action_reset(self) -> None:
        self.post_message(self.Asked(self, "reset"))

    def action_export(self) -> None:
        self._ask("export")

    def action_chart(self) -> None:
        self._ask("chart")

    def action_jump(self) -> None:
        self.post_message(self.Asked(self, "jump"))

    def action_follow(self) -> None:
        self._ask("follow")

    def action_go_to_row(self) -> None:
        self._ask("go_to_row")

    def _ask(self, what: str) -> None:
        if self.cursor is not None:
            self.post_message(self.Asked(self, what))
