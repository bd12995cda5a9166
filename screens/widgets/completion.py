"""The list of completions below the cursor. The editor keeps the focus and leads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual.app import RenderResult
from textual.geometry import Offset
from textual.widget import Widget

from backends.completion import Completion, Completions, Offer
from backends.visible_text import visible_line
from bastion.api.language import translate as _

from ..words import mark

if TYPE_CHECKING:
    from .editor import SqlEditor

ROWS = 8
"""Completions in view at once."""
WIDEST = 64
KINDS = {
    Offer.COLUMN: mark("column"),
    Offer.JOIN: mark("join"),
    Offer.ALIAS: mark("alias"),
    Offer.TABLE: mark("table"),
    Offer.VIEW: mark("view"),
    Offer.CTE: mark("with"),
    Offer.SCHEMA: mark("schema"),
    Offer.FUNCTION: mark("function"),
    Offer.KEYWORD: mark("keyword"),
    Offer.TYPE: mark("type"),
}


class CompletionList(Widget):
    """`entered`: somebody is in the list, by its key or the arrows, so that Enter takes from it."""

    DEFAULT_CSS = """
    CompletionList {
        overlay: screen; constrain: inside inflect; width: auto; height: auto; background: $panel; color: $text;
        display: none;
    }
    """
    can_focus = False

    def __init__(self) -> None:
        super().__init__()
        self._found = Completions(0, 0, "")
        self._items: list[Completion] = []
        self._here = 0
        self._first = 0
        self.entered = False

    def show(self, editor: SqlEditor, found: Completions, items: list[Completion], *, entered: bool) -> None:
        """Shows `items` below the beginning of the word."""
        self.entered = entered or (self.entered and self.display)
        self._found, self._items = found, items
        self._here = self._first = 0
        row, column = editor.location_of(found.start)
        x = cell_len(editor.document[row][:column].expandtabs(editor.indent_width)) - editor.scroll_offset.x
        left = editor.content_region.x + editor.gutter_width + x - 1
        self.absolute_offset = Offset(max(left, 0), editor.content_region.y + row - editor.scroll_offset.y + 1)
        self.display = True
        self.refresh(layout=True)

    def cursor_moved(self, offset: int) -> None:
        """Closes it when the cursor has left the word by another way than typing."""
        if not self._found.start <= offset <= self._found.end + 1:
            self.display = False

    def move(self, key: str) -> None:
        """By one, or by what is in view; the ends are joined."""
        count = len(self._items)
        if not self.entered and key == "down" and count > 1 and self._here == 0:
            # The first one is in view already: the first step goes to it, so that Enter takes it.
            self.entered = True
            self.refresh()
            return
        self.entered = True
        if key in ("up", "down"):
            self._here = (self._here + (1 if key == "down" else -1)) % count
        else:
            self._here = min(max(self._here + (ROWS if key == "pagedown" else -ROWS), 0), count - 1)
        self._first = min(max(self._first, self._here - ROWS + 1), self._here)
        self.refresh()

    def chosen(self) -> tuple[Completions, Completion]:
        """What would be taken."""
        return self._found, self._items[self._here]

    def get_content_width(self, container: object, viewport: object) -> int:
        return self._width()

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return min(len(self._items), ROWS) + 1

    def _width(self) -> int:
        lines = [cell_len(visible_line(item.label)) + cell_len(self._detail(item)) for item in self._items]
        hint = cell_len(self._hint() + self._count())
        return min(max([*lines, hint - 1]) + 4, WIDEST)

    def _detail(self, item: Completion) -> str:
        return " ".join(visible_line(item.detail)[:40].split()) if item.detail else _(KINDS[item.kind])

    def _hint(self) -> str:
        return _("Enter or Tab takes it, Esc closes") if self.entered else _("Tab takes it, ↓ goes into the list")

    def _count(self) -> str:
        count = len(self._items)
        return f"  {self._here + 1}/{count}" if count > ROWS else ""

    def render(self) -> RenderResult:
        width = self.size.width
        text = Text(no_wrap=True, end="")
        for number in range(self._first, min(self._first + ROWS, len(self._items))):
            item = self._items[number]
            detail = self._detail(item)
            room = width - 3 - cell_len(detail)
            if room < 12:
                detail, room = "", width - 3
            here = number == self._here
            style = ("selection" if self.entered else "selection-idle") if here else ""
            label = visible_line(item.label)
            line = Text(" " + (set_cell_size(label, room) if cell_len(label) > room else label), style=style, end="")
            line.append(" " * (width - 2 - cell_len(line.plain) - cell_len(detail) + 1))
            line.append(detail + " ", style="" if here else "muted")
            text.append_text(line)
            text.append("\n")
        text.append(set_cell_size(f" {self._hint()}{self._count()}", width), style="muted")
        return text
