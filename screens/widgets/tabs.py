"""The names of the open editors, on one line, and the mode of the vim keys; hidden while there is nothing to say."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.message import Message
from textual.widget import Widget

from backends.visible_text import visible_line

LONGEST_NAME = 24
"""Cells of a name in the line."""


class TabLine(Widget):
    """Numbered from 1, as their keys are."""

    DEFAULT_CSS = """
    TabLine { height: 1; background: $panel; color: $text; display: none; }
    """
    can_focus = False

    class Clicked(Message):
        """A tab was clicked; from 0."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._names: Sequence[str] = ()
        self._here = 0
        self._mode = ""
        self._places: list[tuple[int, int, int]] = []

    def show_mode(self, mode: str, pending: str) -> None:
        """The mode of the vim keys, '' when they are off, and what is typed of a command."""
        self._mode = f"{pending} {mode}".strip() if mode else ""
        self._refresh()

    def show(self, names: Sequence[str], here: int) -> None:
        """Shows these names; `here` is the one in view."""
        self._names, self._here = tuple(names), here
        self._refresh()

    def _refresh(self) -> None:
        self.display = len(self._names) > 1 or bool(self._mode)
        self.refresh()

    def render(self) -> RenderResult:
        pieces = []
        for number, name in enumerate(self._names, 1):
            shown = visible_line(name)
            if cell_len(shown) > LONGEST_NAME:
                shown = set_cell_size(shown, LONGEST_NAME - 1) + "…"
            pieces.append(f" {number} {shown} ")
        first = 0
        while first < self._here and sum(cell_len(piece) for piece in pieces[first : self._here + 1]) > self.size.width:
            first += 1
        line = Text(no_wrap=True, end="", overflow="crop")
        self._places = []
        for index in range(first, len(pieces)):
            start = line.cell_len
            line.append(pieces[index], style="selection" if index == self._here else "")
            self._places.append((start, line.cell_len, index))
        mode = f" {visible_line(self._mode)} "
        if self._mode and cell_len(mode) < self.size.width:
            line.truncate(self.size.width - cell_len(mode), pad=True)
            line.append(mode, style="accent")
        return line

    def on_click(self, event: events.Click) -> None:
        for start, end, index in self._places:
            if start <= event.x < end:
                self.post_message(self.Clicked(index))
