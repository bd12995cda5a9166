"""The messages of the console: kept whatever is in view, and broken into lines anew when the room changes."""

from __future__ import annotations

from collections import deque

from rich.text import Text
from textual import on
from textual.events import Resize
from textual.widgets import RichLog

MOST_KEPT = 1000
"""Messages; the oldest go."""
MOST_LINES = 2000


class MessageLog(RichLog):
    """A RichLog that is written to while it is hidden too: the library would break such lines at a width of 0."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(max_lines=MOST_LINES, min_width=0, wrap=True, markup=False, highlight=False, id=id)
        self._kept: deque[Text] = deque(maxlen=MOST_KEPT)
        self._drawn_at = 0

    def add(self, text: Text) -> None:
        """Another message, below the others."""
        self._kept.append(text)
        if self._width and self._width == self._drawn_at:
            self.write(text)
        else:
            self._drawn_at = 0  # drawn when there is room

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    @on(Resize)
    def _draw_again(self) -> None:
        if self._width and self._width != self._drawn_at:
            self._drawn_at = self._width
            self.clear()
            for text in self._kept:
                self.write(text)
