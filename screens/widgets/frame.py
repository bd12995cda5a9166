"""The first and the last line of every page."""

from __future__ import annotations

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.app import RenderResult
from textual.binding import Binding
from textual.events import Click
from textual.screen import Screen
from textual.widget import Widget

from backends.visible_text import visible_line
from bastion.api.language import translate as _

from ..words import mark

PAGES = (("databases", mark("Databases")), ("console", mark("Console")), ("audit", mark("Audit")))


class TopLine(Widget):
    """The pages, and who is logged in where."""

    DEFAULT_CSS = """
    TopLine { dock: top; height: 1; background: $panel; color: $text; link-style: none; link-color: $text; }
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self._page = page

    def render(self) -> RenderResult:
        from ..workstation import Workstation

        app = self.app
        assert isinstance(app, Workstation)
        left = Text(" casemate ", style="bold", no_wrap=True, end="")
        for number, (name, label) in enumerate(PAGES, 1):
            if app.check_action("page", (name,)) is not True:
                continue
            here = name == self._page
            style = Style(bold=True, reverse=True) if here else Style(dim=False)
            style += Style.from_meta({"@click": f"app.page('{name}')"})
            left.append(f" {number} {_(label)} ", style=style)
        right = ""
        if app.link is not None:
            hello = app.link.hello
            roles = ", ".join(_(role) for role in hello.roles)
            right = visible_line(f"{app.link.target}  {roles} ")
            if cell_len(right) + left.cell_len > self.size.width:
                right = visible_line(f"{app.link.target} ")
        room = self.size.width - left.cell_len
        if cell_len(right) <= room:
            left.append(" " * (room - cell_len(right)))
            left.append(right)
        return left


ROLES = (mark("operator"), mark("approver"), mark("auditor"), mark("administrator"))


class KeyLine(Widget):
    """The keys that work here and now, as many as fit; the rest is in the help."""

    DEFAULT_CSS = """
    KeyLine { dock: bottom; height: 1; background: $panel; color: $muted; link-style: none; }
    """

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        self.refresh()

    def render(self) -> RenderResult:
        line = Text(no_wrap=True, end="")
        seen: set[str] = set()
        found: list[tuple[int, int, Binding]] = []
        order = [b.action for b in type(self.screen).BINDINGS if isinstance(b, Binding)]
        everywhere = [b.action for b in type(self.app).BINDINGS if isinstance(b, Binding)]
        for node, binding, enabled, _tip in self.screen.active_bindings.values():
            action = binding.action.rpartition(".")[2]
            if not binding.show or not enabled or action in seen:
                continue
            seen.add(action)
            # The page's own keys first, then those of the focused widget, then those that work everywhere.
            ours = node is self.screen or binding.action.startswith("screen.") or binding.key == "enter"
            own = order if ours else everywhere
            place = own.index(action) if action in own else -1
            found.append((0 if ours else 2 if node is self.app else 1, place, binding))
        for _rank, _place, binding in sorted(found, key=lambda entry: entry[:2]):
            key = self.app.get_key_display(binding)
            piece = Text.assemble((f" {key}", "bold"), f" {_(binding.description)} ", end="")
            if line.cell_len + piece.cell_len > self.size.width:
                break
            piece.stylize(Style.from_meta({"@click": f"simulate_key('{binding.key.partition(',')[0]}')"}))
            line.append_text(piece)
        return line

    def on_click(self, event: Click) -> None:
        event.stop()
