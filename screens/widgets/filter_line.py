"""The audit's filter line: an input, what could be typed next below it, and what is wrong with what was typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from backends.visible_text import visible_line
from bastion.api.audit_filter import FilterUnreadable
from bastion.api.language import translate as _

from ..audit_completion import Suggestion
from ..words import mark
from .inputs import LineInput


class FilterInput(LineInput):
    """Enter searches; Tab completes; Down goes to the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", mark("Search")),
        Binding("tab", "screen.complete", mark("Complete")),
        Binding("down", "screen.filter_move(1)", show=False),
        Binding("up", "screen.filter_move(-1)", show=False),
    ]

    async def _on_key(self, event: object) -> None:
        from textual.events import Key

        # In an empty line the digits choose a page, as in every search.
        if isinstance(event, Key) and not self.value and event.character is not None and event.character in "1234?":
            event.prevent_default()
            return
        await super()._on_key(event)  # type: ignore[arg-type]

    def check_consume_key(self, key: str, character: str | None) -> bool:
        if not self.value and character is not None and (character in "1234?"):
            return False
        return super().check_consume_key(key, character)


class FilterLine(Vertical):
    """Posts Applied when a line is to be searched for."""

    DEFAULT_CSS = """
    FilterLine { height: auto; margin: 0 1; }
    FilterLine OptionList { height: auto; max-height: 8; border: none; background: $surface; padding: 0; display: none; }
    FilterLine OptionList.open { display: block; }
    FilterLine #wrong { height: auto; display: none; }
    FilterLine #wrong.shown { display: block; }
    """  # noqa: E501

    class Applied(Message):
        """This line is to be searched for."""

        def __init__(self, line: str) -> None:
            super().__init__()
            self.line = line

    def __init__(self, suggest: Callable[[str, int], Sequence[Suggestion]]) -> None:
        super().__init__()
        self._suggest = suggest
        self._shown: list[Suggestion] = []

    def compose(self) -> ComposeResult:
        yield FilterInput(placeholder=_("words, user:NAME db:NAME table:NAME kind:drop error: rows>1000 since:2h"))
        options = OptionList(markup=False)
        options.can_focus = False
        yield options
        yield Static("", id="wrong", markup=False)

    @property
    def input(self) -> FilterInput:
        """The input itself."""
        return self.query_one(FilterInput)

    def put(self, line: str) -> None:
        """The line that is searched for now."""
        line = line if line.isprintable() else visible_line(line)  # a filter that somebody shares may hold anything
        if self.input.value != line:
            with self.prevent(FilterInput.Changed):
                self.input.value = line
            self.input.cursor_position = len(line)
        self.close()

    def edit(self) -> None:
        """Puts the cursor where the next term is typed."""
        value = self.input.value
        if value and not value.endswith(" "):
            with self.prevent(FilterInput.Changed):
                self.input.value = value + " "
        self.input.focus()
        self.input.cursor_position = len(self.input.value)

    def wrong(self, error: FilterUnreadable | None, line: str = "") -> None:
        """Says what cannot be read and where; None: nothing is wrong."""
        shown = self.query_one("#wrong", Static)
        shown.set_class(error is not None, "shown")
        if error is None:
            return
        text = Text(no_wrap=False)
        if line and error.start < len(line) <= self.size.width - 4:
            text.append(" " * cell_len(line[: error.start]))
            text.append("^" * max(cell_len(line[error.start : error.end]), 1) + "\n")
        text.append("✗ " + visible_line(str(error)))
        text.stylize("danger")
        shown.update(text)

    # -- suggestions

    @on(FilterInput.Changed)
    def _typed(self, event: FilterInput.Changed) -> None:
        event.stop()
        self.wrong(None)
        self.suggest_again()

    def suggest_again(self) -> None:
        """What could be typed next is known anew."""
        value, cursor = self.input.value, self.input.cursor_position
        self._show(self._suggest(value, cursor) if value[:cursor].strip() and not value[:cursor].endswith(" ") else ())

    def _show(self, found: Sequence[Suggestion]) -> None:
        self._shown = list(found)
        options = self.query_one(OptionList)
        options.clear_options()
        options.set_class(bool(found), "open")
        wide = max((cell_len(visible_line(each.text)) for each in found), default=0)
        for each in found:
            text = visible_line(each.text)
            line = Text(text + " " * (wide - cell_len(text) + 2), no_wrap=True, overflow="ellipsis")
            line.append(each.meaning, style="muted")
            options.add_option(Option(line))
        if found:
            options.highlighted = 0

    @property
    def is_open(self) -> bool:
        """Whether there are suggestions in view."""
        return bool(self._shown)

    def close(self) -> None:
        """Takes the suggestions away."""
        self._show(())

    def move(self, by: int) -> None:
        """To the next suggestion, or the one before."""
        options = self.query_one(OptionList)
        place = (options.highlighted or 0) + by
        options.highlighted = min(max(place, 0), len(self._shown) - 1)

    def complete(self) -> None:
        """Takes the suggestion that is chosen; where none is in view, shows what there is."""
        value, cursor = self.input.value, self.input.cursor_position
        if not self._shown:
            self._show(self._suggest(value, cursor))
            return
        chosen = self._shown[self.query_one(OptionList).highlighted or 0]
        before = value[: chosen.start] + chosen.text
        with self.prevent(FilterInput.Changed):
            self.input.value = before + value[cursor:]
        self.input.cursor_position = len(before)
        self.close()
        if before[-1:] in ":>":
            self._show(self._suggest(self.input.value, len(before)))

    def step_back(self) -> bool:
        """Esc closes the suggestions first."""
        was_open = self.is_open
        self.close()
        return was_open

    @on(FilterInput.Submitted)
    def _submitted(self, event: FilterInput.Submitted) -> None:
        event.stop()
        self.close()
        self.post_message(self.Applied(event.value))
