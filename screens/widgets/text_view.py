"""Lines of text to look through: only what is visible is drawn, both ways to scroll, nothing is interpreted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip


class TextView(ScrollView, can_focus=True):
    """Shows `lines`, made safe by whoever gives them."""

    DEFAULT_CSS = """
    TextView { height: 1fr; background: $surface; scrollbar-size-horizontal: 1; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "page_down", show=False),
        Binding("b", "page_up", show=False),
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: list[Text] = []

    def show(self, lines: Sequence[Text]) -> None:
        """Replaces what is shown."""
        # Put together anew: drawn by itself a Text has neither its own style nor a harmless end.
        self._shown = [Text(end="", no_wrap=True).append_text(line) for line in lines]
        self.virtual_size = Size(max((line.cell_len for line in self._shown), default=0), len(self._shown))
        self.scroll_home(animate=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        width, at = self.size.width, y + top
        if at >= len(self._shown):
            return Strip.blank(width, self.rich_style)
        strip = Strip(self._shown[at].render(self.app.console))
        return strip.crop_extend(left, left + width, self.rich_style).apply_style(self.rich_style)
