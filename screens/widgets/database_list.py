"""The list of the databases page: only the lines in view are made, so that ten thousand cost no more than ten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import accumulate

from rich.cells import cell_len
from rich.text import Text
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from backends.visible_text import visible_line
from bastion.api.language import translate as _

from ..database_choice import Choice, Heading, Line, engine_name, matched_places
from ..words import left, moment, numbered
from ..workstation import Workstation

SOON_SECONDS = 600
MEASURED = 500
"""Lines that are looked at for the widths of the columns."""
WIDE = 110
"""Cells from which on the groups have a column."""
GAP = 2


class DatabaseList(ScrollView):
    """Lines of choices under headings; the keys come from the search above. The cursor skips headings."""

    DEFAULT_CSS = """
    DatabaseList { height: 1fr; margin: 1 1 0 1; overflow-x: hidden; scrollbar-size-vertical: 1; }
    """
    can_focus = False

    class Moved(Message):
        """The cursor is on another line."""

    class Opened(Message):
        """The line under the cursor was clicked again."""

    def __init__(self, now: Callable[[], datetime], id: str | None = None) -> None:
        super().__init__(id=id)
        self._now = now
        self._lines: list[Line] = []
        self._favourites: frozenset[str] = frozenset()
        self._cursor = 0
        self._query = ""
        self._widths: list[int] = []
        self._measured: tuple[int, int] | None = None
        self._wanted: list[int] = []
        self._heads: list[str] = []
        self._groups = False
        self._plain = False
        self._numbers: list[int] = []
        """Of each line, for a screen reader; a heading has the number of the line before it."""

    @property
    def _workstation(self) -> Workstation:
        assert isinstance(self.app, Workstation)
        return self.app

    # -- what it shows

    def measure(self, choices: Sequence[Choice]) -> None:
        """Looks how wide the columns of these want to be; once for a load, not for every search."""
        self._groups = any(choice.database.groups for choice in choices[:MEASURED])
        self._heads = [_("Database"), _("Engine"), _("Address"), _("Account"), _("Token"), _("Group")]
        rows = [self._cells(choice) for choice in choices[:MEASURED]]
        self._wanted = [
            max([cell_len(head), *(row[index].cell_len for row in rows)]) for index, head in enumerate(self._heads)
        ]
        self._wanted[4] = max(self._wanted[4], 8)
        self._measured = None

    def show(self, lines: Sequence[Line], favourites: frozenset[str], query: str, keep: str | None) -> None:
        """Replaces the lines; the cursor goes to the line with the key `keep`, else to the first."""
        self._lines, self._favourites, self._query = list(lines), favourites, query
        self._plain = self._workstation.plain
        if self._plain:
            self._numbers = list(accumulate(isinstance(line, Choice) for line in lines))
        self.virtual_size = Size(self.size.width, len(self._lines) + 1)
        place = 0
        if keep is not None:
            place = next(
                (number for number, line in enumerate(lines) if isinstance(line, Choice) and line.key == keep), 0
            )
        self._cursor = place
        self._step_off_heading(1)
        self._into_view()
        self.refresh()

    @property
    def chosen(self) -> Choice | None:
        """The line that the cursor is on."""
        if 0 <= self._cursor < len(self._lines):
            line = self._lines[self._cursor]
            return line if isinstance(line, Choice) else None
        return None

    def times_changed(self) -> None:
        """The times that tokens have left are others now."""
        self.refresh()

    # -- moving

    def action_cursor_down(self) -> None:
        self._go(self._cursor + 1, 1)

    def action_cursor_up(self) -> None:
        self._go(self._cursor - 1, -1)

    def action_page_down(self) -> None:
        self._go(self._cursor + max(self.size.height - 2, 1), 1)

    def action_page_up(self) -> None:
        self._go(self._cursor - max(self.size.height - 2, 1), -1)

    def _go(self, place: int, direction: int) -> None:
        before = self._cursor
        self._cursor = min(max(place, 0), max(len(self._lines) - 1, 0))
        self._step_off_heading(direction)
        if self._cursor != before:
            self._into_view()
            self.refresh()
            self.post_message(self.Moved())

    def _step_off_heading(self, direction: int) -> None:
        for step in (direction, -direction):
            while 0 <= self._cursor < len(self._lines) and isinstance(self._lines[self._cursor], Heading):
                self._cursor += step
            if 0 <= self._cursor < len(self._lines):
                return
            self._cursor = min(max(self._cursor, 0), max(len(self._lines) - 1, 0))

    def _into_view(self) -> None:
        # One line above it too: where it is a heading, that belongs to the line.
        above = 1 if self._cursor and isinstance(self._lines[self._cursor - 1], Heading) else 0
        top = self._cursor - above
        self.scroll_to_region(Region(0, top, 1, 2 + above), animate=False, force=True, immediate=True)

    def on_click(self, event: Click) -> None:
        event.stop()
        place = event.y - 1 + self.scroll_offset.y
        if event.y < 1 or place >= len(self._lines) or isinstance(self._lines[place], Heading):
            return
        if place == self._cursor:
            self.post_message(self.Opened())
        self._go(place, 1)

    # -- drawing

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._lines) + 1)
        self._into_view()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            text = self._heading_line(width)
        else:
            place = self.scroll_offset.y + y - 1
            text = self._line(place, width) if place < len(self._lines) else Text("")
        text.end = ""
        text.no_wrap = True
        strip = Strip(text.render(self.app.console)).apply_style(self.rich_style)
        return strip.adjust_cell_length(width, self.rich_style)

    def _heading_line(self, width: int) -> Text:
        if not self._lines or not self._wanted:
            return Text("")
        widths = self._fitted(width)
        line = Text("  ")
        for head, room in zip(self._heads, widths, strict=True):
            _add(line, Text(head), room)
        line.stylize("muted")
        return line

    def _line(self, place: int, width: int) -> Text:
        entry = self._lines[place]
        if isinstance(entry, Heading):
            heading = Text(f"  {visible_line(entry.words)} · {entry.count}")
            heading.stylize("accent")  # a span: a text's own style is left out where it has none
            return heading
        here = place == self._cursor
        favourite = entry.key in self._favourites
        if self._plain:
            words = _("favourite") + " " if favourite else ""
            line = Text(numbered(self._numbers[place], words, plain=True))
        else:
            line = Text("★ " if favourite else "  ")
        for cell, room in zip(self._cells(entry, plain=here), self._fitted(width), strict=True):
            _add(line, cell, room)
        if here:
            line.append(" " * max(width - line.cell_len, 0))
            line.stylize("selection")
        return line

    def _cells(self, choice: Choice, *, plain: bool = False) -> list[Text]:
        database, account = choice.database, choice.account
        name = Text(visible_line(database.name), style="" if plain else "bold")
        if self._query and not plain:
            for start, end in matched_places(database.name, self._query):
                name.stylize("underline", start, end)
        if database.production:
            name.append(" ")
            name.append(" PROD ", style="" if plain else "production")
        who = Text(visible_line(account.name if account.name != "*" else _("any")))
        if not account.hosted:
            who.append(" " + _("(own password)"), style="" if plain else "muted")
        return [
            name,
            Text(visible_line(engine_name(database))),
            Text(visible_line(f"{database.host}:{database.port}")),
            who,
            self._token(choice, plain=plain),
            Text(visible_line(", ".join(database.groups)), style="" if plain else "muted"),
        ]

    def _token(self, choice: Choice, *, plain: bool) -> Text:
        token = choice.token
        if token is None:
            return Text(_("none"), style="" if plain else "muted")
        now = self._now()
        rest = (moment(token.expires_at) - now).total_seconds()
        style = "danger" if rest <= 0 else "warning" if rest < SOON_SECONDS else "ok"
        return Text(left(token.expires_at, now), style="" if plain else style)

    def _fitted(self, width: int) -> list[int]:
        """The widths of the columns in `width` cells: the widest give way, what is over goes between them."""
        if self._measured == (width, len(self._wanted)):
            return self._widths
        widths = list(self._wanted)
        if not self._groups or width < WIDE:
            widths[5] = 0
        shown = sum(1 for each in widths if each)
        room = width - 2 - GAP * shown
        while sum(widths) > room and max(widths) > 8:
            # The account and the token's time are short and matter: the address and the name give way first.
            widest = max((2, 0, 3, 1, 5, 4), key=lambda index: (widths[index], -index))
            widths[widest] -= 1
        spare = max(room - sum(widths), 0)
        for index in range(4):
            widths[index] += min(spare // 4, 6)
        self._widths, self._measured = widths, (width, len(self._wanted))
        return widths


def _add(line: Text, cell: Text, room: int) -> None:
    """The cell in `room` cells, cut with an ellipsis, and the gap behind it."""
    if not room:
        return
    cell.no_wrap = True
    cell.truncate(room, overflow="ellipsis")
    length = cell.cell_len
    line.append_text(cell)
    line.append(" " * (room - length + GAP))
