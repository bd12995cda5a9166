"""The list of what runs now: only the lines in view are made, so that a thousand sessions cost no more than twenty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from bastion.api.language import translate as _
from bastion.api.live import LiveSession

from ..live_columns import Column, columns_for

GAP = 1


class LiveTable(ScrollView, can_focus=True):
    """Lines of live sessions under their headings. The cursor stays on its session, wherever that goes."""

    DEFAULT_CSS = """
    LiveTable { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "cursor_down", show=False),
        Binding("up", "cursor_up", show=False),
        Binding("pagedown", "page_down", show=False),
        Binding("pageup", "page_up", show=False),
        Binding("home", "first", show=False),
        Binding("end", "last", show=False),
    ]

    class Moved(Message):
        """The cursor is on another session."""

    class Opened(Message):
        """The session under the cursor was clicked again."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._sessions: Sequence[LiveSession] = []
        self._chosen: str | None = None
        self._cursor = 0
        self._elapsed = ""
        self._sorted_by = ""
        self._plain = False
        self._columns: list[tuple[Column, int]] = []

    # -- what it shows

    def show(self, sessions: Sequence[LiveSession], at: str, sorted_by: str, *, plain: bool) -> None:
        """Replaces the lines; `at` is now by the bastion's clock, which running times are reckoned to."""
        grown = len(sessions) != len(self._sessions)
        self._sessions, self._elapsed, self._sorted_by, self._plain = sessions, at, sorted_by, plain
        if grown:
            self.virtual_size = Size(self.size.width, len(sessions) + 1)
        place = next((n for n, session in enumerate(sessions) if session.id == self._chosen), None)
        moved = place is None
        self._cursor = min(self._cursor, max(len(sessions) - 1, 0)) if place is None else place
        if sessions:
            self._chosen = sessions[self._cursor].id
        self._into_view()
        self.refresh()
        if moved:
            self.post_message(self.Moved())

    @property
    def chosen(self) -> LiveSession | None:
        """The session that the cursor is on."""
        return self._sessions[self._cursor] if 0 <= self._cursor < len(self._sessions) else None

    # -- moving

    def action_cursor_down(self) -> None:
        self._go(self._cursor + 1)

    def action_cursor_up(self) -> None:
        self._go(self._cursor - 1)

    def action_page_down(self) -> None:
        self._go(self._cursor + max(self.size.height - 2, 1))

    def action_page_up(self) -> None:
        self._go(self._cursor - max(self.size.height - 2, 1))

    def action_first(self) -> None:
        self._go(0)

    def action_last(self) -> None:
        self._go(len(self._sessions) - 1)

    def _go(self, place: int) -> None:
        before = self._cursor
        self._cursor = min(max(place, 0), max(len(self._sessions) - 1, 0))
        if self._cursor != before and self._sessions:
            self._chosen = self._sessions[self._cursor].id
            self._into_view()
            self.refresh()
            self.post_message(self.Moved())

    def _into_view(self) -> None:
        self.scroll_to_region(Region(0, self._cursor, 1, 2), animate=False, force=True, immediate=True)

    def on_click(self, event: Click) -> None:
        event.stop()
        place = event.y - 1 + self.scroll_offset.y
        if event.y < 1 or place >= len(self._sessions):
            return
        if place == self._cursor:
            self.post_message(self.Opened())
        self._go(place)

    # -- drawing

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._sessions) + 1)
        self._columns = columns_for(self.size.width)
        self._into_view()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        place = self.scroll_offset.y + y - 1
        if y == 0:
            text = self._heading()
        elif place < len(self._sessions):
            text = self._line(place, width)
        else:
            text = Text("")
        text.end = ""
        text.no_wrap = True
        strip = Strip(text.render(self.app.console)).apply_style(self.rich_style)
        return strip.adjust_cell_length(width, self.rich_style)

    def _heading(self) -> Text:
        line = Text(" ")
        for column, room in self._columns:
            mark = "▾" if column.name == self._sorted_by else ""
            _add(line, Text(_(column.head) + mark), room, right=column.right)
        line.stylize("muted")
        return line

    def _line(self, place: int, width: int) -> Text:
        session = self._sessions[place]
        here = place == self._cursor
        line = Text(f"{place + 1}. " if self._plain else " ")
        for column, room in self._columns:
            cell = column.cell(session, self._elapsed)
            _add(line, Text(cell.plain) if here else cell, room, right=column.right)
        if here:
            line.append(" " * max(width - line.cell_len, 0))
            line.stylize("selection" if self.has_focus else "selection-idle")
        return line

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()


def _add(line: Text, cell: Text, room: int, *, right: bool) -> None:
    """The cell in `room` cells, cut with an ellipsis, and the gap behind it."""
    cell.no_wrap = True
    cell.truncate(room, overflow="ellipsis")
    blank = " " * (room - cell.cell_len)
    if right:
        line.append(blank)
    line.append_text(cell)
    line.append((blank if not right else "") + " " * GAP)
