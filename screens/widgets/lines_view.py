"""Lines to read: wrapped or not, folded by their structure, with a search. Nothing in them is interpreted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from backends.laid_out import INDENT, Line, fold_end
from backends.visible_text import table_text

from ..words import mark

MOST_ROWS = 400_000
"""Rows on the screen that are laid out; what is behind them is said to be left out."""


class LinesView(ScrollView, can_focus=True):
    """The cursor is a line: enter folds what belongs to it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--cursor", "lines--found", "lines--fold"}

    DEFAULT_CSS = """
    LinesView { height: 1fr; background: $surface; color: $text; overflow-x: auto; overflow-y: scroll; }
    LinesView > .lines--cursor { background: $selection-idle; color: $selection-idle-text; text-style: $selection-idle-style; }
    LinesView > .lines--found { text-style: reverse; }
    LinesView > .lines--fold { color: $muted; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "fold", mark("Fold")),
        Binding("z", "fold_all", mark("Fold or unfold all"), show=False),
        Binding("w", "wrap", mark("Wrap")),
        Binding("n", "find(1)", mark("Next match"), show=False),
        Binding("N", "find(-1)", mark("Match before"), show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,ctrl+home", "row_end(False)", show=False),
        Binding("G,end,ctrl+end", "row_end(True)", show=False),
        Binding("left,h", "sideways(-8)", show=False),
        Binding("right,l", "sideways(8)", show=False),
    ]

    class Found(Message):
        """What a search came to: the match (from 1) and how many there are."""

        def __init__(self, number: int, count: int) -> None:
            super().__init__()
            self.number, self.count = number, count

    def __init__(self, lines: Sequence[Line] = (), *, wrap: bool = True, id: str | None = None) -> None:
        super().__init__(id=id)
        self.wrap = wrap
        self.cursor_line = 0
        self.looked_for = ""
        self._lines: list[Line] = []
        self._folded: set[int] = set()
        self._rows: list[tuple[int, int, int]] = []
        """What is on the screen: the line, and which of its characters."""
        self._first_row: dict[int, int] = {}
        self._width = 0
        self._matches: list[tuple[int, int]] = []
        self._match = -1
        self.put(lines)

    @property
    def lines(self) -> Sequence[Line]:
        """What is shown."""
        return self._lines

    def put(self, lines: Sequence[Line], at: int = 0) -> None:
        """Shows other lines, the cursor on line `at`."""
        self._lines = [Line(table_text(line.text), line.level, line.lead) for line in lines]
        self._folded, self._matches, self._match = set(), [], -1
        self.cursor_line = max(0, min(at, len(self._lines) - 1))
        self._lay_out()

    def on_resize(self) -> None:
        if self.size.width != self._width:
            self._lay_out()

    def _lay_out(self) -> None:
        self._width = self.size.width
        room = max(self._width - 1, 20) if self.wrap else None
        rows: list[tuple[int, int, int]] = []
        self._first_row = {}
        index, widest = 0, 0
        while index < len(self._lines) and len(rows) < MOST_ROWS:
            line = self._lines[index]
            self._first_row[index] = len(rows)
            indent = INDENT * min(line.level, 20) + 2
            if room is None:
                rows.append((index, 0, len(line.text)))
                widest = max(widest, indent + (len(line.text) if line.text.isascii() else cell_len(line.text)))
            else:
                rows.extend((index, start, end) for start, end in wrapped(line.text, max(room - indent, 10)))
            index = fold_end(self._lines, index) if index in self._folded else index + 1
        self._rows = rows
        self.virtual_size = Size(self._width if self.wrap else widest + 1, len(rows))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        base, width = self.rich_style, self.size.width
        at = self.scroll_offset.y + y
        if at >= len(self._rows):
            return Strip.blank(width, base)
        index, start, end = self._rows[at]
        line = self._lines[index]
        here = index == self.cursor_line
        if here:
            base += self.get_component_rich_style("lines--cursor", partial=True)
        fold = self.get_component_rich_style("lines--fold", partial=True)
        foldable = index + 1 < len(self._lines) and self._lines[index + 1].level > line.level
        sign = "  " if start or not foldable else "▸ " if index in self._folded else "▾ "
        segments = [Segment(" " * (INDENT * min(line.level, 20)), base), Segment(sign, base + fold)]
        if line.lead and not start and not self.looked_for:
            segments += [Segment(line.text[: line.lead], base + fold), Segment(line.text[line.lead : end], base)]
        else:
            segments += self._marked(index, line.text[start:end], start, base)
        if index in self._folded and end == len(line.text):
            count = fold_end(self._lines, index) - index - 1
            segments.append(Segment(f" … {count}", base + fold))
        left = 0 if self.wrap else self.scroll_offset.x
        return Strip(segments).crop(left, left + width).adjust_cell_length(width, base)

    def _marked(self, index: int, text: str, start: int, base: Style) -> list[Segment]:
        if not self.looked_for:
            return [Segment(text, base)]
        found = self.get_component_rich_style("lines--found", partial=True)
        segments, at, low, needle = [], 0, text.lower(), self.looked_for.lower()
        while len(low) == len(text) and (place := low.find(needle, at)) >= 0:
            current = 0 <= self._match < len(self._matches) and self._matches[self._match] == (index, start + place)
            style = base + found + (Style(bold=True, underline=True) if current else Style())
            segments += [Segment(text[at:place], base), Segment(text[place : place + len(needle)], style)]
            at = place + len(needle)
        return [*segments, Segment(text[at:], base)]

    # -- moving

    def _visible_lines(self) -> list[int]:
        return list(self._first_row)

    def action_move(self, step: int) -> None:
        # A line that is taller than the view is scrolled through.
        first = self._first_row.get(self.cursor_line, 0)
        tall = sum(1 for row in self._rows[first : first + self.size.height * 2] if row[0] == self.cursor_line)
        top, height = self.scroll_offset.y, max(self.size.height, 1)
        if tall > height:
            last = first + sum(1 for row in self._rows[first:] if row[0] == self.cursor_line)
            if (step > 0 and top + height < last) or (step < 0 and top > first):
                self.scroll_to(y=top + step, animate=False, immediate=True)
                return
        row = first - 1 if step < 0 else first
        while step > 0 and row < len(self._rows) and self._rows[row][0] == self.cursor_line:
            row += 1
        if 0 <= row < len(self._rows):
            self._go(self._rows[row][0])

    def action_page(self, pages: int) -> None:
        step = pages * max(self.size.height - 1, 1)
        top = max(0, min(self.scroll_offset.y + step, len(self._rows) - self.size.height))
        self.scroll_to(y=top, animate=False, immediate=True)
        if self._rows:
            edge = top if step < 0 else top + self.size.height - 1
            if (step < 0 and self.scroll_offset.y == 0) or edge < 0:
                edge = 0
            self.cursor_line = self._rows[min(edge, len(self._rows) - 1)][0]
            self.refresh()

    def action_row_end(self, last: bool) -> None:
        if self._rows:
            self._go(self._rows[-1 if last else 0][0])
            self.scroll_to(y=len(self._rows) if last else 0, animate=False, immediate=True)

    def action_sideways(self, step: int) -> None:
        self.scroll_to(x=self.scroll_offset.x + step, animate=False, immediate=True)

    def _go(self, line: int) -> None:
        self.cursor_line = line
        row = self._first_row.get(line, 0)
        top, height = self.scroll_offset.y, max(self.size.height, 1)
        if row < top or row >= top + height:
            self.scroll_to(y=row if row < top else row - height + 1, animate=False, immediate=True)
        self.refresh()

    def show_line(self, line: int) -> None:
        """The cursor goes to a line, which is scrolled to."""
        self._go(line)

    # -- folding, wrapping

    def action_fold(self) -> None:
        line = self.cursor_line
        if not self._lines:
            return
        if fold_end(self._lines, line) == line + 1:
            # Inside something: that is what is folded.
            level = self._lines[line].level
            while line > 0 and self._lines[line].level >= level:
                line -= 1
            if self._lines[line].level >= level:
                return
        self._folded ^= {line}
        self._lay_out()
        self._go(line)

    def action_fold_all(self) -> None:
        if self._folded:
            self._folded = set()
        else:
            self._folded = {
                index
                for index in range(len(self._lines) - 1)
                if self._lines[index].level >= 1 and self._lines[index + 1].level > self._lines[index].level
            }
        self._lay_out()
        self._unhide(self.cursor_line)

    def _unhide(self, line: int) -> None:
        while line not in self._first_row and line > 0:
            line -= 1
        self._go(line)

    def action_wrap(self) -> None:
        self.wrap = not self.wrap
        self.scroll_to(x=0, animate=False, immediate=True)
        self._lay_out()
        self._go(self.cursor_line)

    # -- searching

    def find(self, text: str) -> None:
        """Looks for `text`, in either case, and goes to the first match from the cursor on."""
        self.looked_for, self._matches, self._match = text, [], -1
        if text:
            needle = text.lower()
            for index, line in enumerate(self._lines):
                low, at = line.text.lower(), 0
                while (at := low.find(needle, at)) >= 0:
                    self._matches.append((index, at))
                    at += len(needle)
            behind = [number for number, (line, _at) in enumerate(self._matches) if line >= self.cursor_line]
            self._match = (behind[0] if behind else 0) - 1
            self.action_find(1)
        self.refresh()

    def action_find(self, step: int) -> None:
        if not self.looked_for:
            return
        if not self._matches:
            self.post_message(self.Found(0, 0))
            return
        self._match = (self._match + step) % len(self._matches)
        index, at = self._matches[self._match]
        if index not in self._first_row:
            self._folded = {line for line in self._folded if not line < index < fold_end(self._lines, line)}
            self._lay_out()
        self._go(index)
        row = self._first_row.get(index, 0)
        while row < len(self._rows) and self._rows[row][0] == index and self._rows[row][2] <= at:
            row += 1
        if not self.scroll_offset.y <= row < self.scroll_offset.y + self.size.height:
            self.scroll_to(y=max(row - self.size.height // 2, 0), animate=False, immediate=True)
        if not self.wrap:
            self.scroll_to(x=max(at - self.size.width // 2, 0), animate=False, immediate=True)
        self.post_message(self.Found(self._match + 1, len(self._matches)))


def wrapped(text: str, width: int) -> list[tuple[int, int]]:
    """Where a line is broken: behind a space in the last third, else anywhere. One piece at least."""
    if len(text) <= width and (text.isascii() or cell_len(text) <= width):
        return [(0, len(text))]
    pieces, start = [], 0
    ascii_only = text.isascii()
    while start < len(text):
        end = min(start + width, len(text))
        if not ascii_only:
            while end > start + 1 and cell_len(text[start:end]) > width:
                end -= max((cell_len(text[start:end]) - width) // 2, 1)
        if end < len(text):
            space = text.rfind(" ", start + width * 2 // 3, end)
            if space > start:
                end = space + 1
        pieces.append((start, end))
        start = end
    return pieces
