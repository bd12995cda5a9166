"""How statements are committed, and what the write guard does: both are seen and chosen here."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from backends.visible_text import visible_line
from bastion.api.language import translate as _

from .words import mark
from .workstation import Dialog

MODES = {
    "autocommit": ("a", mark("autocommit"), mark("every statement stands for itself")),
    "manual": (
        "m",
        mark("manual commit"),
        mark("the first statement opens a transaction; F10 commits it, Ctrl+R rolls it back"),
    ),
}
GUARDS = {
    "off": ("o", mark("off"), mark("statements are sent as they are")),
    "writes": (
        "w",
        mark("writes"),
        mark("a write runs in a transaction and asks whether it is kept; without WHERE it asks before"),
    ),
    "everything": ("e", mark("everything"), mark("as writes, and every statement asks before it is sent")),
}


class TransactionMode(Dialog[str | None]):
    """Gives one of the names above, or None."""

    DEFAULT_CSS = """
    TransactionMode { align: center middle; }
    TransactionMode > Vertical { width: 90; max-width: 96%; height: auto; padding: 1 2; background: $surface; border: round $accent; }
    TransactionMode Static { height: auto; }
    TransactionMode .title { text-style: bold; }
    TransactionMode #guard { margin-top: 1; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "choose('autocommit')", mark("Autocommit")),
        Binding("m", "choose('manual')", mark("Manual commit")),
        Binding("o", "choose('off')", mark("Guard off")),
        Binding("w", "choose('writes')", mark("Guard writes")),
        Binding("e", "choose('everything')", mark("Guard everything")),
        Binding("escape", "leave", mark("Close")),
    ]

    def __init__(self, mode: str, guard: str, database: str) -> None:
        super().__init__()
        self._mode, self._guard, self._database = mode, guard, database

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(_("How statements are committed")), classes="title")
            for name, line in MODES.items():
                yield Static(_line(line, name == self._mode))
            title = _("Write guard of {database}").format(database=visible_line(self._database))
            yield Static(Text(title), classes="title", id="guard")
            for name, line in GUARDS.items():
                yield Static(_line(line, name == self._guard))

    def action_choose(self, name: str) -> None:
        self.dismiss(name)

    def action_leave(self) -> None:
        self.dismiss(None)


def _line(line: tuple[str, str, str], chosen: bool) -> Text:
    key, name, what = line
    text = Text("● " if chosen else "○ ")
    text.append(f"{key} ", style="accent")
    text.append(_(name), style="bold")
    return text.append(f": {_(what)}")
