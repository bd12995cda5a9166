"""The first and the last line of every page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.text import Text
from textual.app import RenderResult
from textual.binding import Binding
from textual.dom import DOMNode
from textual.events import Click
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from backends.visible_text import visible_line
from bastion.api.language import translate as _

from ..words import mark

PAGES = (
    ("databases", mark("Databases")),
    ("console", mark("Console")),
    ("audit", mark("Audit")),
    ("live", mark("Live")),
)
ROLES = (mark("operator"), mark("approver"), mark("auditor"), mark("administrator"))
ALWAYS = ("help", "command_palette")
"""Actions whose keys are in view whatever else there is no room for: they lead to all others."""


@dataclass(frozen=True)
class Place:
    """What a click on cells `start` to `end` of a line does."""

    start: int
    end: int
    action: str
    node: DOMNode


class ClickedLine(Widget):
    """One line of text with places to click; without links, which have colours of their own."""

    def __init__(self) -> None:
        super().__init__()
        self._places: list[Place] = []

    async def on_click(self, event: Click) -> None:
        event.stop()
        for place in self._places:
            if place.start <= event.x < place.end:
                await self.app.run_action(place.action, place.node)
                return


class TopLine(ClickedLine):
    """The pages, and who is logged in where."""

    DEFAULT_CSS = """
    TopLine { dock: top; height: 1; background: $panel; color: $text; }
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self._page = page

    def render(self) -> RenderResult:
        from ..workstation import Workstation

        app = self.app
        assert isinstance(app, Workstation)
        line = Text(" casemate ", style="bold", no_wrap=True, end="")
        self._places = []
        for number, (name, label) in enumerate(PAGES, 1):
            if app.check_action("page", (name,)) is not True:
                continue
            start = line.cell_len
            line.append(f" {number} {_(label)} ", style="selection" if name == self._page else "")
            self._places.append(Place(start, line.cell_len, f"page('{name}')", app))
        room = self.size.width - line.cell_len
        right = next((text for text in self._right(app) if cell_len(text) <= room), "")
        line.append(" " * (room - cell_len(right)))
        line.append(right, style="muted")
        return line

    def _right(self, app: Any) -> list[str]:
        """From the longest to the shortest: what the link is like, who, where, in which roles."""
        if app.link is None:
            return []
        hello = app.link.hello
        who = visible_line(str(app.link.target))
        roles = ", ".join(_(role) for role in hello.roles)
        pace = app.pace_words()
        if pace:
            return [f" {pace} · {who}  {roles} ", f" {pace} · {who} ", f" {pace} "]
        return [f" {who}  {roles} ", f" {who} "]


def keys_now(screen: Screen[Any]) -> list[tuple[Binding, DOMNode]]:
    """The keys that work on `screen` now and are worth a place, the most important first: those of the widget with
    the focus, the page's own, those that work everywhere; a dialog's own come before its widgets'. What a widget has
    of its page counts as the page's."""
    own = [b.action for b in type(screen).BINDINGS if isinstance(b, Binding)]
    everywhere = [b.action for b in type(screen.app).BINDINGS if isinstance(b, Binding)]
    seen: set[str] = set()
    found: list[tuple[int, int, Binding, DOMNode]] = []
    for node, binding, enabled, _tip in screen.active_bindings.values():
        action = binding.action.rpartition(".")[2] if "(" not in binding.action else binding.action
        if not binding.show or not enabled or action in seen:
            continue
        seen.add(action)
        ours = node is screen or binding.action.startswith("screen.")
        ours = ours or (binding.key == "enter" and isinstance(screen, ModalScreen))
        order = own if ours else everywhere
        place = order.index(action) if action in order else -1
        theirs = 2 if isinstance(screen, ModalScreen) else 0
        found.append((1 if ours else 3 if node is screen.app else theirs, place, binding, node))
    found.sort(key=lambda entry: entry[:2])
    return [(binding, node) for _rank, _place, binding, node in found]


def key_text(screen: Screen[Any], room: int, *, only: bool = False) -> tuple[Text, list[Place]]:
    """The keys that fit into `room` cells. The help and the palette keep their place; `only`: nothing but the keys of
    the screen itself and of what has the focus."""
    pieces: list[tuple[Text, Binding, DOMNode]] = []
    for binding, node in keys_now(screen):
        if only and node is screen.app:
            continue
        key = screen.app.get_key_display(binding)
        piece = Text.assemble(" ", (key, "accent"), f" {_(binding.description)} ", end="")
        pieces.append((piece, binding, node))

    def stays(binding: Binding) -> bool:
        """The way out of a dialog does too."""
        return binding.action in ALWAYS or (only and binding.key == "escape")

    reserved = sum(piece.cell_len for piece, binding, _node in pieces if stays(binding))
    line, places = Text(no_wrap=True, end=""), []
    full = False
    for piece, binding, node in pieces:
        if stays(binding):
            reserved -= piece.cell_len
        elif full:
            continue
        if line.cell_len + piece.cell_len + reserved > room:
            full = True
            continue
        start = line.cell_len
        line.append_text(piece)
        places.append(Place(start, line.cell_len, binding.action, node))
    return line, places


class KeyLine(ClickedLine):
    """The keys that work here and now, as many as fit; the rest is in the help."""

    DEFAULT_CSS = """
    KeyLine { dock: bottom; height: 1; background: $panel; color: $muted; }
    """

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        self.refresh()

    def render(self) -> RenderResult:
        line, self._places = key_text(self.screen, self.size.width)
        return line
