"""A long list with columns: only the lines in view are made, and more are asked for when the end comes near."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ..words import mark, numbered
from ..workstation import Workstation

NEAR_END = 50
"""Lines before the last one at which more are asked for."""
GAP = 2


@dataclass(frozen=True)
class Heading:
    """A column: its words, how many cells it takes, and from which width of the list on it is there. `width` 0: the
    rest of the line; one column has it. `right`: numbers."""

    words: str
    width: int
    from_width: int = 0
    right: bool = False


class RecordList(ScrollView, can_focus=True):
    """Lines by number; `line(number)` gives the cells of one when it comes into view."""

    DEFAULT_CSS = """
    RecordList { height: 1fr; background: $background; overflow-x: hidden; scrollbar-size-vertical: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", mark("Open")),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("home", "edge(False)", show=False),
        Binding("end", "edge(True)", show=False),
    ]

    class Moved(Message):
        """The cursor is on another line."""

    class Opened(Message):
        """Enter, or a click on the line of the cursor."""

    class NearEnd(Message):
        """More lines are wanted, where there are any."""

    def __init__(self, line: Callable[[int], Sequence[Text]], id: str | None = None) -> None:
        super().__init__(id=id)
        self._line = line
        self._headings: Sequence[Heading] = ()
        self._count = 0
        self._cursor = 0

    def show(self, headings: Sequence[Heading], count: int, cursor: int) -> None:
        """There are `count` lines now, and the cursor is on one of them."""
        self._headings, self._count = headings, count
        self.virtual_size = Size(self.size.width, count + 1)
        self._cursor = min(max(cursor, 0), max(count - 1, 0))
        self._into_view()
        self.refresh()

    @property
    def cursor(self) -> int:
        """The line that the cursor is on."""
        return self._cursor

    # -- moving

    def action_open(self) -> None:
        if self._count:
            self.post_message(self.Opened())

    def action_move(self, by: int) -> None:
        self._go(self._cursor + by)

    def action_page(self, by: int) -> None:
        self._go(self._cursor + by * max(self.size.height - 2, 1))

    def action_edge(self, end: bool) -> None:
        self._go(self._count - 1 if end else 0)

    def _go(self, place: int) -> None:
        place = min(max(place, 0), max(self._count - 1, 0))
        if place != self._cursor:
            self._cursor = place
            self._into_view()
            self.refresh()
            self.post_message(self.Moved())
        if place >= self._count - NEAR_END:
            self.post_message(self.NearEnd())

    def _into_view(self) -> None:
        self.scroll_to_region(Region(0, self._cursor, 1, 2), animate=False, force=True, immediate=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value + self.size.height >= self._count - NEAR_END and new_value > old_value:
            self.post_message(self.NearEnd())

    def on_click(self, event: Click) -> None:
        event.stop()
        place = event.y - 1 + self.scroll_offset.y
        if event.y < 1 or place >= self._count:
            return
        if place == self._cursor:
            self.post_message(self.Opened())
        self._go(place)

    # -- drawing

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, self._count + 1)
        self._into_view()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        place = self.scroll_offset.y + y - 1
        text = self._heading_line(width) if y == 0 else self._entry(place, width) if place < self._count else Text("")
        text.end, text.no_wrap = "", True
        strip = Strip(text.render(self.app.console)).apply_style(self.rich_style)
        return strip.adjust_cell_length(width, self.rich_style)

    def _heading_line(self, width: int) -> Text:
        line = Text(" ")
        if self._count:
            for heading, room in self._fitted(width):
                _add(line, Text(heading.words), room, right=heading.right)
            line.stylize("muted")
        return line

    def _entry(self, place: int, width: int) -> Text:
        app = self.app
        assert isinstance(app, Workstation)
        here = place == self._cursor
        line = Text(numbered(place + 1, "", plain=True) if app.plain else " ")
        cells = self._line(place)
        rooms = dict(self._fitted(width))
        for heading, cell in zip(self._headings, cells, strict=True):
            if room := rooms.get(heading):
                _add(line, Text(cell.plain) if here else cell.copy(), room, right=heading.right)
        if here:
            line.append(" " * max(width - line.cell_len, 0))
            line.truncate(width)
            line.stylize("selection" if self.has_focus else "selection-idle")
        return line

    def _fitted(self, width: int) -> list[tuple[Heading, int]]:
        shown = [heading for heading in self._headings if width >= heading.from_width]
        rest = width - 2 - sum(heading.width + GAP for heading in shown if heading.width)
        return [(heading, heading.width or max(rest, 10)) for heading in shown]

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()


def _add(line: Text, cell: Text, room: int, *, right: bool) -> None:
    """The cell in `room` cells, cut with an ellipsis, and the gap behind it."""
    cell.no_wrap = True
    cell.truncate(room, overflow="ellipsis")
    spare = " " * (room - cell.cell_len)
    if right:
        line.append(spare)
    line.append_text(cell)
    line.append(("" if right else spare) + " " * GAP)
