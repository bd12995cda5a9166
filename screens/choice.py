"""A list to choose one line of, with a search: statements that were run, database names."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from backends.visible_text import visible_line
from bastion.api.language import translate as _

from .widgets.inputs import SearchInput
from .words import mark, numbered
from .workstation import Dialog


class ChoiceDialog(Dialog[str | None]):
    """Gives the chosen text, or None."""

    DEFAULT_CSS = """
    ChoiceDialog { align: center middle; }
    ChoiceDialog > Vertical { width: 100; max-width: 96%; height: 80%; padding: 0 1; background: $surface; border: round $accent; }
    ChoiceDialog .title { text-style: bold; }
    ChoiceDialog OptionList { height: 1fr; border: none; background: $surface; margin-top: 1; padding: 0; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", mark("Close")),
        Binding("enter", "choose", mark("Take it")),
    ]

    def __init__(self, title: str, choices: list[str]) -> None:
        super().__init__()
        self._title, self._choices = title, choices
        self._shown: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(self._title), classes="title")
            yield SearchInput(placeholder=_("search"))
            options = OptionList(markup=False)
            options.can_focus = False
            yield options

    def on_mount(self) -> None:
        self.query_one(SearchInput).focus()
        self._fill()

    @on(SearchInput.Changed)
    def _fill(self) -> None:
        words = self.query_one(SearchInput).value.lower().split()
        self._shown = [text for text in self._choices if all(word in text.lower() for word in words)]
        options = self.query_one(OptionList)
        options.clear_options()
        for number, text in enumerate(self._shown, 1):
            line = numbered(number, visible_line(" ".join(text[:500].split())), plain=self.workstation.plain)
            options.add_option(Option(Text(line, no_wrap=True, overflow="ellipsis")))
        if self._shown:
            options.highlighted = 0

    @on(SearchInput.Submitted)
    def _submitted(self, event: SearchInput.Submitted) -> None:
        event.stop()
        self.action_choose()

    @on(SearchInput.Moved)
    def _moved(self, event: SearchInput.Moved) -> None:
        getattr(self.query_one(OptionList), f"action_{event.action}")()

    def action_choose(self) -> None:
        index = self.query_one(OptionList).highlighted
        self.dismiss(self._shown[index] if index is not None and index < len(self._shown) else None)

    def action_leave(self) -> None:
        self.dismiss(None)
