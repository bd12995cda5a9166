"""What a person can set: a list of settings with their values; Enter takes the next value, at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from bastion.api.language import translate as _

from .words import mark, numbered
from .workstation import Dialog


@dataclass(frozen=True)
class Setting:
    """One line. `values`: what can be chosen, with its words (English; they are translated here)."""

    name: str
    words: str
    values: Sequence[tuple[str, str]]
    why: str = ""
    """What the person is told about it when the line is chosen."""


class SettingsDialog(Dialog[None]):
    """`value` says what is set now, `change` sets it; both by the name of the setting."""

    DEFAULT_CSS = """
    SettingsDialog { align: center middle; }
    SettingsDialog > Vertical { width: 70; max-width: 96%; height: auto; }
    SettingsDialog OptionList { height: auto; border: none; background: $surface; margin-top: 1; padding: 0; }
    SettingsDialog #why { height: 3; color: $muted; margin-top: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space,right", "change(1)", mark("Next value"), key_display="Enter"),
        Binding("left", "change(-1)", mark("Value before"), show=False),
        Binding("escape,q", "leave", mark("Close"), key_display="Esc"),
    ]

    def __init__(
        self, settings: Sequence[Setting], value: Callable[[str], str], change: Callable[[str, str], None]
    ) -> None:
        super().__init__()
        self._settings, self._value, self._change = list(settings), value, change

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("", id="head", classes="title", markup=False)
            yield OptionList(markup=False)
            yield Static("", id="why", markup=False)

    def on_mount(self) -> None:
        self._fill()
        self.query_one(OptionList).focus()

    def _fill(self) -> None:
        options = self.query_one(OptionList)
        row = options.highlighted or 0
        self.query_one("#head", Static).update(Text(_("Settings")))
        options.clear_options()
        widest = max(cell_len(_(setting.words)) for setting in self._settings)
        for number, setting in enumerate(self._settings, 1):
            words = _(setting.words)
            words += " " * (widest - cell_len(words) + 3)
            line = Text(numbered(number, words, plain=self.workstation.plain), no_wrap=True, overflow="ellipsis")
            now = self._value(setting.name)
            line.append(_(dict(setting.values).get(now, now)), style="bold")
            options.add_option(Option(line))
        options.highlighted = row
        self._explain()

    @on(OptionList.OptionHighlighted)
    def _explain(self) -> None:
        row = self.query_one(OptionList).highlighted or 0
        self.query_one("#why", Static).update(Text(_(self._settings[row].why) if self._settings[row].why else ""))

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_change(1)

    def action_change(self, step: int) -> None:
        row = self.query_one(OptionList).highlighted
        if row is None:
            return
        setting = self._settings[row]
        values = [value for value, _words in setting.values]
        now = self._value(setting.name)
        at = values.index(now) if now in values else -step
        self._change(setting.name, values[(at + step) % len(values)])
        self._fill()

    def action_leave(self) -> None:
        self.dismiss(None)
