"""The palette: everything that can be done, found by a few letters of its words, in whichever language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.fuzzy import FuzzySearch
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from backends.visible_text import visible_line
from bastion.api.language import translate as _

from .widgets.inputs import SearchInput
from .words import mark, numbered
from .workstation import Dialog


@dataclass(frozen=True)
class Command:
    """One line. `also`: other words that it is found by; `run` is called once the palette has gone."""

    words: str
    key: str
    run: Callable[[], Any]
    also: tuple[str, ...] = ()


class PaletteSearch(SearchInput):
    """The search of the palette."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", mark("Do it"))]


class PaletteDialog(Dialog[Command | None]):
    """Gives the chosen command."""

    DEFAULT_CSS = """
    PaletteDialog { align: center top; }
    PaletteDialog > Vertical { width: 78; max-width: 98%; height: auto; max-height: 85%; margin-top: 2; padding: 0 1; }
    PaletteDialog OptionList { height: auto; max-height: 1fr; border: none; background: $surface; padding: 0; }
    PaletteDialog #none { color: $muted; display: none; }
    PaletteDialog.nothing #none { display: block; }
    PaletteDialog.nothing OptionList { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f2", "leave", mark("Close"), key_display="Esc"),
    ]

    def __init__(self, commands: Sequence[Command]) -> None:
        super().__init__()
        self._commands = list(commands)
        self._shown: list[Command] = []
        self._fuzzy = FuzzySearch()

    def compose(self) -> ComposeResult:
        with Vertical():
            yield PaletteSearch(placeholder=_("What do you want to do?"))
            options = OptionList(markup=False)
            options.can_focus = False
            yield options
            yield Static(Text(_("Nothing that can be done here is called so.")), id="none")

    def on_mount(self) -> None:
        self.query_one(SearchInput).focus()

    def on_resize(self) -> None:
        self._fill()

    @on(SearchInput.Changed)
    def _fill(self) -> None:
        query = self.query_one(SearchInput).value.strip()
        found = [(command, *self._match(query, command)) for command in self._commands]
        if query:
            found = sorted((each for each in found if each[1] > 0), key=lambda each: -each[1])
        self._shown = [command for command, _score, _places in found]
        options = self.query_one(OptionList)
        options.clear_options()
        self.set_class(not found, "nothing")
        room = min(78, self.size.width * 98 // 100) - 4 - 3
        plain = self.workstation.plain
        for number, (command, _score, places) in enumerate(found, 1):
            line = self._line(command, places, room - (5 if plain else 0))
            options.add_option(Option(Text.assemble(numbered(number, "", plain=True), line) if plain else line))
        if found:
            options.highlighted = 0

    def _match(self, query: str, command: Command) -> tuple[float, Sequence[int]]:
        if not query:
            return 1.0, ()
        score, places = self._fuzzy.match(query, command.words)
        best = max((self._fuzzy.match(query, words)[0] for words in command.also), default=0.0)
        return (score, places) if score >= best else (best, ())

    @staticmethod
    def _line(command: Command, places: Sequence[int], room: int) -> Text:
        line = Text(visible_line(command.words), no_wrap=True, overflow="ellipsis", end="")
        for place in places:
            line.stylize("bold underline", place, place + 1)
        line.truncate(room - len(command.key) - 1, overflow="ellipsis")
        line.append(" " * (room - line.cell_len - len(command.key)))
        line.append(command.key)
        return line

    @on(SearchInput.Submitted)
    def _submitted(self, event: SearchInput.Submitted) -> None:
        event.stop()
        self.action_choose()

    @on(SearchInput.Moved)
    def _moved(self, event: SearchInput.Moved) -> None:
        getattr(self.query_one(OptionList), f"action_{event.action}")()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_choose()

    def action_choose(self) -> None:
        index = self.query_one(OptionList).highlighted
        if index is not None and index < len(self._shown):
            self.dismiss(self._shown[index])

    def action_leave(self) -> None:
        self.dismiss(None)
