"""The help: every action that can be had here, with its keys; found by its words."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from bastion.api.language import translate as _

from .widgets.inputs import SearchInput
from .words import mark
from .workstation import Dialog

Entry = tuple[str, str]
"""The keys, and what they do."""
KEYS_CELLS = 20


class HelpDialog(Dialog[None]):
    """Groups of keys, made from what the page and its widgets really bind."""

    DEFAULT_CSS = """
    HelpDialog { align: center middle; }
    HelpDialog > Vertical { width: 78; max-width: 98%; height: 92%; padding: 0 1; }
    HelpDialog SearchInput { margin: 0 0 1 0; }
    HelpDialog VerticalScroll { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,enter", "leave", mark("Close"), key_display="Esc"),
    ]

    def __init__(self, groups: list[tuple[str, list[Entry]]]) -> None:
        super().__init__()
        self._groups = groups

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(_("Keys. Every action is also in the palette: F2.")), classes="title")
            yield SearchInput(placeholder=_("search in the help"))
            with VerticalScroll(can_focus=False):
                yield Static("", id="entries", markup=False)

    def on_mount(self) -> None:
        self.query_one(SearchInput).focus()
        self._fill()

    @on(SearchInput.Changed)
    def _fill(self) -> None:
        words = self.query_one(SearchInput).value.lower().split()
        text = Text()
        for title, entries in self._groups:
            found = [
                (keys, what)
                for keys, what in entries
                if all(word in f"{title} {keys} {what}".lower() for word in words)
            ]
            if not found:
                continue
            text.append(f"{title}\n", style="accent")
            for keys, what in found:
                text.append(f"  {keys}{' ' * (KEYS_CELLS - cell_len(keys))} ", style="bold")
                text.append(f"{what}\n")
            text.append("\n")
        if not text:
            text.append(_("Nothing that can be done here is called so."), style="muted")
        self.query_one("#entries", Static).update(text)
        self.query_one(VerticalScroll).scroll_home(animate=False)

    @on(SearchInput.Moved)
    def _moved(self, event: SearchInput.Moved) -> None:
        scroll = self.query_one(VerticalScroll)
        step = {"cursor_down": scroll.scroll_down, "cursor_up": scroll.scroll_up, "page_down": scroll.scroll_page_down}
        step.get(event.action, scroll.scroll_page_up)(animate=False)

    @on(SearchInput.Submitted)
    def _submitted(self, event: SearchInput.Submitted) -> None:
        event.stop()
        self.action_leave()

    def action_leave(self) -> None:
        self.dismiss(None)
