"""The help: every action that can be had here, with its key, and the same for the palette."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from bastion.api.language import translate as _

from .words import mark
from .workstation import Dialog

Entry = tuple[str, str]
"""The key, and what it does."""


class HelpDialog(Dialog[None]):
    """Groups of keys, made from what the page and its widgets really bind."""

    DEFAULT_CSS = """
    HelpDialog { align: center middle; }
    HelpDialog > Vertical { width: 78; max-width: 98%; height: 90%; padding: 0 1; background: $surface; border: round $accent; }
    HelpDialog .title { text-style: bold; margin-bottom: 1; }
    HelpDialog VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1,enter", "leave", mark("Close"), key_display="Esc"),
    ]

    def __init__(self, groups: list[tuple[str, list[Entry]]]) -> None:
        super().__init__()
        self._groups = groups

    def compose(self) -> ComposeResult:
        text = Text()
        for title, entries in self._groups:
            if not entries:
                continue
            text.append(f"{title}\n", style="bold underline")
            for key, what in entries:
                text.append(f"  {key:<18}", style="bold")
                text.append(f" {what}\n")
            text.append("\n")
        with Vertical():
            yield Static(Text(_("Keys. Every action is also in the palette: F2.")), classes="title")
            with VerticalScroll():
                yield Static(text)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_leave(self) -> None:
        self.dismiss(None)
