"""A list of statements to take one from, with a search and the whole text of the one at the cursor: the history, the
saved queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from backends.visible_text import visible, visible_line
from bastion.api.language import translate as _

from .widgets.confirmation import Confirmation
from .widgets.inputs import SearchInput
from .words import mark, numbered
from .workstation import Dialog

SHOWN = 4_000
"""Characters of the statement at the cursor that are shown."""
LISTED = 500
"""Lines in the list at once; the search goes through all."""

Wish = Literal["insert", "run"]


@dataclass(frozen=True)
class Listed:
    """A statement in a list, kept under `keys`. `head`: what stands before its text (a name, a time), `facts`: one line
    about it; `bad`: it went wrong."""

    keys: tuple[str, ...]
    text: str
    head: str
    facts: str = ""
    bad: bool = False

    @property
    def searched(self) -> str:
        """What the search looks in."""
        return f"{self.head} {self.facts} {self.text}".casefold()


@dataclass(frozen=True)
class Taken:
    """What was chosen, and what for."""

    listed: Listed
    wish: Wish


class StatementList(Dialog[Taken | None]):
    """`removed` holds the keys of what the person removed meanwhile."""

    DEFAULT_CSS = """
    StatementList { align: center middle; }
    StatementList > Vertical { width: 120; max-width: 96%; height: 90%; padding: 0 1; background: $surface; border: round $accent; }
    StatementList .title { text-style: bold; }
    StatementList OptionList { height: 2fr; border: none; background: $surface; margin-top: 1; padding: 0; text-wrap: nowrap; text-overflow: ellipsis; }
    StatementList #whole { height: 1fr; min-height: 4; border-top: solid $line; }
    StatementList #facts { height: 1; color: $muted; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", mark("Close")),
        Binding("enter", "insert", mark("Insert")),
        Binding("f5,ctrl+j", "run", mark("Run"), key_display="F5"),
        # Not Delete: that edits the search.
        Binding("f8", "remove", mark("Remove")),
    ]

    def __init__(self, title: str, entries: Sequence[Listed], empty: str, *, can_run: bool) -> None:
        super().__init__()
        self._title, self._entries, self._empty, self._can_run = title, list(entries), empty, can_run
        self._shown: list[Listed] = []
        self.removed: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(self._title), classes="title", id="title")
            yield SearchInput(placeholder=_("search · Enter inserts the statement"))
            options = OptionList(markup=False)
            options.can_focus = False
            yield options
            with VerticalScroll(id="whole", can_focus=False):
                yield Static(id="text")
            yield Static(id="facts")

    def on_mount(self) -> None:
        self.query_one(SearchInput).focus()
        self._fill()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "run" or self._can_run

    @on(SearchInput.Changed)
    def _fill(self) -> None:
        words = self.query_one(SearchInput).value.casefold().split()
        found = [entry for entry in self._entries if all(word in entry.searched for word in words)]
        self._shown = found[:LISTED]
        options = self.query_one(OptionList)
        options.clear_options()
        wide = max((cell_len(visible_line(entry.head)) for entry in self._shown), default=0)
        options.add_options([Option(self._line(number, entry, wide)) for number, entry in enumerate(self._shown, 1)])
        if self._shown:
            options.highlighted = 0
        count = f"{len(found)}/{len(self._entries)}" if words else f"{len(self._entries)}"
        self.query_one("#title", Static).update(Text(f"{self._title}  {count}"))
        self._show_whole()

    def _line(self, number: int, entry: Listed, wide: int) -> Text:
        line = Text(numbered(number, "", plain=self.workstation.plain), no_wrap=True, overflow="ellipsis")
        head = visible_line(entry.head)
        line.append("✗ " if entry.bad else "  ", style="danger" if entry.bad else "")
        line.append(head + " " * (wide - cell_len(head) + 2), style="muted")
        line.append(visible_line(" ".join(entry.text[:500].split())))
        return line

    @on(OptionList.OptionHighlighted)
    def _show_whole(self) -> None:
        entry = self._at_cursor()
        text = Text(visible(entry.text[:SHOWN])) if entry is not None else Text(self._empty, style="muted")
        if entry is None and self._entries:
            text = Text(_("Nothing has all of these words."), style="muted")
        self.query_one("#text", Static).update(text)
        facts = Text(visible_line(entry.facts) if entry is not None else "", no_wrap=True, overflow="ellipsis")
        self.query_one("#facts", Static).update(facts)

    def _at_cursor(self) -> Listed | None:
        index = self.query_one(OptionList).highlighted
        return self._shown[index] if index is not None and index < len(self._shown) else None

    @on(SearchInput.Submitted)
    def _submitted(self, event: SearchInput.Submitted) -> None:
        event.stop()
        self.action_insert()

    @on(SearchInput.Moved)
    def _moved(self, event: SearchInput.Moved) -> None:
        getattr(self.query_one(OptionList), f"action_{event.action}")()

    def action_insert(self) -> None:
        self._take("insert")

    def action_run(self) -> None:
        self._take("run")

    def _take(self, wish: Wish) -> None:
        entry = self._at_cursor()
        if entry is not None:
            self.dismiss(Taken(entry, wish))

    def action_remove(self) -> None:
        if (entry := self._at_cursor()) is not None:
            self._remove(entry)

    def _remove(self, entry: Listed) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.removed += entry.keys
                self._entries.remove(entry)
                self._fill()

        line = visible_line(" ".join(entry.text[:200].split()))
        self.app.push_screen(Confirmation(_("Remove it?"), line, _("Remove"), _("Keep")), answered)

    def action_leave(self) -> None:
        self.dismiss(None)
