"""Somebody else's screen, looked at: text and colours, cut to the room that there is, moved about in."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from backends.emulator import Look, Picture

MARGIN = 2
"""Cells that are kept in view around what changes."""


@lru_cache(maxsize=4096)
def style_of(look: Look) -> Style:
    """A look as a style; the watched terminal's own colours are the watcher's own."""
    return Style(
        color=_colour(look.foreground),
        bgcolor=_colour(look.background),
        bold=look.bold or None,
        italic=look.italic or None,
        underline=look.underline or None,
        strike=look.strike or None,
        reverse=look.reverse or None,
    )


def _colour(name: str) -> Color | None:
    if not name:
        return None
    return Color.parse(name) if name.startswith("#") else Color.from_ansi(int(name))


class TerminalView(Widget):
    """Shows a picture. Where it is larger than the view, the view goes along with what changes, or is moved by hand."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"terminal--beside"}
    DEFAULT_CSS = """
    TerminalView { height: 1fr; background: $background; color: $text; }
    TerminalView > .terminal--beside { color: $line; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.picture: Picture | None = None
        self.left = 0
        self.top = 0
        self.along = True
        """The view goes along by itself."""

    def show(self, picture: Picture | None) -> None:
        """Another picture; only lines that differ are drawn."""
        before, self.picture = self.picture, picture
        if before is None or picture is None or (before.columns, before.lines) != (picture.columns, picture.lines):
            self._keep_inside()
            self.refresh()
            return
        changed = [y for y, (old, new) in enumerate(zip(before.rows, picture.rows, strict=True)) if old is not new]
        if not changed:
            return
        if self.along and len(changed) <= picture.lines // 2 and self._go_along(before, picture, changed):
            self.refresh()
            return
        self.refresh(*[Region(0, y - self.top, self.size.width, 1) for y in changed if y >= self.top])

    def _go_along(self, before: Picture, now: Picture, changed: list[int]) -> bool:
        """Moves so that the change is seen, where it is not; whether it moved."""
        width, height = self.size
        top, left = self.top, self.left
        if not any(top <= y < top + height for y in changed):
            top = changed[0] - MARGIN if changed[0] < top else changed[-1] - height + 1 + MARGIN
        old, new = before.text(changed[0]), now.text(changed[0])
        column = next((x for x, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
        if column is not None and not left <= column < left + width:
            left = column - width // 2
        was = self.top, self.left
        self.top, self.left = top, left
        self._keep_inside()
        return (self.top, self.left) != was

    def pan(self, columns: int, lines: int) -> None:
        """Moves the view by hand; it stays there."""
        self.along = False
        self.left += columns
        self.top += lines
        self._keep_inside()
        self.refresh()

    def on_resize(self) -> None:
        self._keep_inside()

    def _keep_inside(self) -> None:
        picture = self.picture
        if picture is None:
            return
        self.left = max(0, min(self.left, picture.columns - self.size.width))
        self.top = max(0, min(self.top, picture.lines - self.size.height))

    @property
    def cut(self) -> bool:
        """Whether not all of the picture is in view."""
        picture = self.picture
        return picture is not None and (picture.columns > self.size.width or picture.lines > self.size.height)

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        picture = self.picture
        at = y + self.top
        if picture is None or at >= picture.lines:
            beside = base + self.get_component_rich_style("terminal--beside", partial=True)
            edge = picture is not None and at == picture.lines
            text = ("─" * min(picture.columns, width)) if edge and picture is not None else ""
            return Strip([Segment(text, beside)]).adjust_cell_length(width, base)
        segments = [Segment(text, base + style_of(look)) for text, look in picture.rows[at]]
        strip = Strip(segments).crop(self.left, self.left + width)
        if picture.columns - self.left < width:
            beside = base + self.get_component_rich_style("terminal--beside", partial=True)
            strip = Strip([*strip, Segment("│", beside)])
        return strip.adjust_cell_length(width, base)
