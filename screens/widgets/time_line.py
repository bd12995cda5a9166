"""The statements of a session in the order of time: when, how long, how many rows, how each went."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from backends.visible_text import table_text
from bastion.api import messages as m
from bastion.api.language import translate as _

from ..words import clock_time, mark, numbered, seconds

STATES = {
    "sent": mark("running"),
    "done": mark("done"),
    "failed": mark("failed"),
    "cancelled": mark("cancelled"),
    "refused": mark("refused"),
    "skipped": mark("skipped"),
    "held": mark("held"),
}
SIGNS = {"sent": "…", "done": " ", "failed": "✗", "cancelled": "⊘", "refused": "✗", "skipped": "-", "held": "‖"}
STYLES = {"failed": "danger", "refused": "danger", "cancelled": "warning", "sent": "warning", "held": "warning"}

BAR = 8
"""Cells of the bar that shows how long a statement took, by powers of ten: 1 ms is nothing, 100 s is all of it."""
LONGEST_DECADES = 5.0
BLOCKS = " ▏▎▍▌▋▊▉█"
NARROW = 70
"""Columns below which the bar is left out."""
SHOWN_CHARACTERS = 400


def bar(milliseconds: float | None) -> str:
    """The length of a statement as a bar."""
    if milliseconds is None or milliseconds <= 1:
        return ""
    eighths = min(round(math.log10(milliseconds) / LONGEST_DECADES * BAR * 8), BAR * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (BLOCKS[rest] if rest else "")


class TimeLine(ScrollView, can_focus=True):
    """A list of statements with a cursor; only what is in view is drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"line--cursor", "line--idle", "line--muted", "line--bar", "line--head"}

    DEFAULT_CSS = """
    TimeLine { height: 1fr; background: $background; color: $text; overflow-x: hidden; }
    TimeLine > .line--cursor { background: $selection; color: $selection-text; text-style: $selection-style; }
    TimeLine > .line--idle { background: $selection-idle; color: $selection-idle-text; text-style: $selection-idle-style; }
    TimeLine > .line--muted { color: $muted; }
    TimeLine > .line--bar { color: $accent; }
    TimeLine > .line--head { color: $muted; text-style: $heading-style; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "edge(False)", show=False),
        Binding("end,G", "edge(True)", show=False),
    ]

    class Moved(Message):
        """The cursor is on another statement."""

        def __init__(self, statement: m.Statement) -> None:
            super().__init__()
            self.statement = statement

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.statements: list[m.Statement] = []
        self.cursor = 0
        self.local_time = True
        self.plain = False
        self._widths = (3, 6, 6)
        """Of the number, the rows, the time."""

    # -- filling

    def put(self, statements: list[m.Statement]) -> None:
        """Other statements; the cursor stays on its own."""
        here = self.at_cursor
        self.statements = statements
        self.cursor = min(self.cursor, max(len(statements) - 1, 0))
        if here is not None:
            self.cursor = self.place_of(here.seq, self.cursor)
        self._lay_out()

    def changed(self) -> None:
        """Statements were added to the list, or have an outcome now. At its end the cursor goes along."""
        self._lay_out()

    def place_of(self, seq: int, otherwise: int = 0) -> int:
        """Where the statement with this number is."""
        low, high = 0, len(self.statements)
        while low < high:
            middle = (low + high) // 2
            if self.statements[middle].seq < seq:
                low = middle + 1
            else:
                high = middle
        found = low < len(self.statements) and self.statements[low].seq == seq
        return low if found else otherwise

    def _lay_out(self) -> None:
        recent = self.statements[-2000:]
        number = len(str(self.statements[-1].seq)) if self.statements else 1
        rows = max((len(_rows(each)) for each in recent), default=1)
        took = max((cell_len(_took(each)) for each in recent), default=1)
        self._widths = (max(number, 2), max(rows, cell_len(_("Rows"))), max(took, cell_len(_("Time"))))
        self.virtual_size = Size(self.size.width, len(self.statements) + 1)
        self.refresh()

    def on_resize(self) -> None:
        self._lay_out()
        self._follow()

    @property
    def at_cursor(self) -> m.Statement | None:
        """The statement that the cursor is on."""
        return self.statements[self.cursor] if 0 <= self.cursor < len(self.statements) else None

    # -- drawing

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if y == 0:
            return self._line(self._head(), base + self.get_component_rich_style("line--head", partial=True), None)
        at = self.scroll_offset.y + y - 1
        if at >= len(self.statements):
            return Strip.blank(width, base)
        statement = self.statements[at]
        over: Style | None = None
        if at == self.cursor:
            over = self.get_component_rich_style("line--cursor" if self.has_focus else "line--idle", partial=True)
        return self._line(self._cells(statement), base, over)

    def _line(self, cells: Iterator[tuple[str, str]], base: Style, over: Style | None) -> Strip:
        segments = []
        for text, name in cells:
            style = base
            if over is None and name:
                style = base + (
                    self.get_component_rich_style(name, partial=True)
                    if name.startswith("line--")
                    else self.app.console.get_style(name)
                )
            segments.append(Segment(text, style if over is None else base + over))
        return Strip(segments).adjust_cell_length(self.size.width, base if over is None else base + over)

    def _head(self) -> Iterator[tuple[str, str]]:
        number, rows, took = self._widths
        yield f"{'#':>{number}} ", ""
        yield set_cell_size(_("At"), 8) + "   ", ""
        if self.size.width >= NARROW:
            yield " " * (BAR + 1), ""
        yield " " * (took - cell_len(_("Time"))) + _("Time") + " ", ""
        yield " " * (rows - cell_len(_("Rows"))) + _("Rows") + "  ", ""
        yield _("Statement"), ""

    def _cells(self, statement: m.Statement) -> Iterator[tuple[str, str]]:
        number, rows, took = self._widths
        style = STYLES.get(statement.state, "")
        yield numbered_text(statement, number, plain=self.plain), "line--muted"
        yield clock_time(statement.at, local=self.local_time) + " ", ""
        yield SIGNS.get(statement.state, "?") + " ", style
        if self.size.width >= NARROW:
            yield set_cell_size(bar(statement.duration_ms), BAR) + " ", "line--bar"
        text = _took(statement)
        yield " " * (took - cell_len(text)) + text + " ", style if statement.state == "sent" else ""
        count = _rows(statement)
        yield " " * (rows - cell_len(count)) + count + "  ", ""
        yield table_text(" ".join(statement.text[:SHOWN_CHARACTERS].split())), style

    # -- moving

    def go_to(self, place: int) -> None:
        """Puts the cursor on a line."""
        place = max(0, min(place, len(self.statements) - 1))
        if not self.statements:
            return
        moved = place != self.cursor
        self.cursor = place
        self._follow()
        self.refresh()
        if moved:
            self.post_message(self.Moved(self.statements[place]))

    def _follow(self) -> None:
        height = max(self.size.height - 1, 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, immediate=True)

    def action_move(self, step: int) -> None:
        self.go_to(self.cursor + step)

    def action_page(self, pages: int) -> None:
        self.go_to(self.cursor + pages * max(self.size.height - 2, 1))

    def action_edge(self, last: bool) -> None:
        self.go_to(len(self.statements) - 1 if last else 0)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if event.y > 0:
            self.go_to(self.scroll_offset.y + event.y - 1)

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()


def numbered_text(statement: m.Statement, width: int, *, plain: bool) -> str:
    """The number of a statement in its session; on plain pages as a list has them."""
    return numbered(statement.seq, "", plain=True) if plain else f"{statement.seq:>{width}} "


def _rows(statement: m.Statement) -> str:
    return "" if statement.rows is None else f"{statement.rows:,}"


def _took(statement: m.Statement) -> str:
    if statement.state in ("sent", "held"):
        return _(STATES[statement.state])
    return "" if statement.duration_ms is None else seconds(statement.duration_ms / 1000)


def statement_text(statement: m.Statement, *, whole: str = "") -> Text:
    """A statement with its binds, its error and what else is known of it; nothing in it is interpreted."""
    from backends.visible_text import visible, visible_line

    text = Text(visible(whole or statement.text))
    if statement.error:
        text = Text.assemble(("✗ " + visible(statement.error), "danger"), "\n", text)
    if statement.state == "refused":
        text = Text.assemble((_("refused: {code}").format(code=visible_line(statement.verdict)), "danger"), "\n", text)
    if statement.binds is not None:
        binds = ", ".join("NULL" if bind is None else repr(bind[:2000]) for bind in statement.binds[:200])
        text.append("\n" + _("binds: {binds}").format(binds=visible_line(binds)), style="muted")
    if statement.tool:
        text.append("\n" + _("start-up of {tool}").format(tool=visible_line(statement.tool)), style="muted")
    return text


__all__ = ["STATES", "TimeLine", "statement_text"]
