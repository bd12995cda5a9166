"""Find and replace, on one or two lines below the editor. The editor shows what was found while one types."""

from __future__ import annotations

import re
from time import monotonic
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Checkbox, Static

from bastion.api.language import translate as _

from ..words import mark
from .editor import SqlEditor
from .inputs import LineInput

MOST = 10_000
"""Places that are counted and marked."""
SECONDS = 0.5
"""What one search of a regular expression may take; a line at a time, so that a bad one is given up."""


class Toggle(Checkbox):
    """A check box whose state can be read without colours."""

    @property
    def _button(self) -> Content:
        return Content("[x]" if self.value else "[ ]")


class FindBar(Vertical):
    """Enter goes to the next place, up and down to the one before and after, Escape back to the editor."""

    DEFAULT_CSS = """
    FindBar { height: auto; background: $panel; display: none; }
    FindBar Horizontal { height: 1; }
    FindBar .label { width: auto; min-width: 10; padding: 0 1; color: $muted; }
    FindBar LineInput { width: 1fr; }
    FindBar #count { width: auto; min-width: 12; padding: 0 1; }
    FindBar Checkbox { width: auto; height: 1; border: none; padding: 0 1; background: transparent; }
    FindBar Checkbox:focus { border: none; }
    FindBar Button { width: auto; min-width: 8; margin: 0 1; }
    FindBar #with { display: none; }
    FindBar.replacing #with { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f6", "close", mark("Back to the editor"), key_display="Esc"),
        Binding("enter", "next", mark("Next place"), show=False),
        Binding("down", "next", mark("Next place")),
        Binding("up", "previous", mark("Place before")),
        # Neither runs anything while somebody types what to look for.
        Binding("f5,f9,ctrl+j", "nothing", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._found: list[tuple[int, int]] = []
        self._here = -1
        self._start = 0
        self._more = False

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(Text(_("Find")), classes="label")
            yield LineInput(id="what")
            yield Static(id="count")
            yield Toggle("Aa", compact=True, id="case")
            yield Toggle(".*", compact=True, id="regex")
        with Horizontal(id="with"):
            yield Static(Text(_("Replace")), classes="label")
            yield LineInput(id="by", placeholder=_("Enter replaces this one and goes to the next"))
            yield Button(Text(_("All")), compact=True, id="all")

    @property
    def _editor(self) -> SqlEditor:
        return self.screen.query_one(SqlEditor)

    def open(self, *, replacing: bool) -> None:
        """Shows itself with what is selected, or what was looked for last."""
        editor = self._editor
        self.set_class(replacing, "replacing")
        self.display = True
        what = self.query_one("#what", LineInput)
        selected = editor.selected_text
        self._start = editor.offset_of(min(editor.selection))
        if selected and "\n" not in selected:
            what.value = selected
        what.focus()
        what.selection = type(what.selection)(0, len(what.value))
        self._search()

    def action_close(self) -> None:
        self.display = False
        self._editor.show_matches(())
        self._editor.focus()

    def action_nothing(self) -> None:
        pass

    # -- searching

    def _pattern(self) -> re.Pattern[str] | None:
        what = self.query_one("#what", LineInput).value
        if not what:
            return None
        if not self.query_one("#regex", Checkbox).value:
            what = re.escape(what)
        flags = re.MULTILINE | (0 if self.query_one("#case", Checkbox).value else re.IGNORECASE)
        return re.compile(what, flags)

    @on(LineInput.Changed, "#what")
    def _what_changed(self) -> None:
        self._search()

    @on(Checkbox.Changed)
    def _how_changed(self) -> None:
        self._search()

    def _search(self) -> None:
        """Looks for it again, and goes to the first place from where the search began."""
        self._find()
        if self._found:
            self._go(next((n for n, (start, _end) in enumerate(self._found) if start >= self._start), 0))

    def _find(self) -> None:
        count = self.query_one("#count", Static)
        self._found, self._here, self._more = [], -1, False
        try:
            pattern = self._pattern()
        except (re.error, RecursionError, OverflowError):
            count.update(Text(_("not a pattern"), style="danger"))
            self._editor.show_matches(())
            return
        if pattern is not None:
            self._found, self._more = _places(self._editor, pattern)
        self._show()

    def _show(self) -> None:
        count = self.query_one("#count", Static)
        if self._found:
            more = "+" if self._more else ""
            count.update(Text(f"{self._here + 1}/{len(self._found):,}{more}"))
        else:
            nothing = _("not found") if self.query_one("#what", LineInput).value else ""
            count.update(Text(nothing, style="warning"))
        self._editor.show_matches(self._found, self._here)

    def _go(self, number: int) -> None:
        self._here = number % len(self._found)
        start, end = self._found[self._here]
        editor = self._editor
        self._start = start
        editor.move_cursor(editor.location_of(start), center=True)
        editor.move_cursor(editor.location_of(end), select=True)
        self._show()

    def action_next(self) -> None:
        if self._found:
            self._go(self._here + 1)

    def action_previous(self) -> None:
        if self._found:
            self._go(self._here - 1)

    @on(LineInput.Submitted, "#what")
    def _submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.action_next()

    # -- replacing

    @on(LineInput.Submitted, "#by")
    def _replace_one(self, event: LineInput.Submitted) -> None:
        event.stop()
        pattern = self._pattern()
        if pattern is None or not 0 <= self._here < len(self._found):
            return
        start, end = self._found[self._here]
        editor = self._editor
        new = self._new(pattern, editor.text, start)
        if new is None:
            return
        editor.replace_span(start, end, new)
        self._start = start + len(new)
        self._search()

    @on(Button.Pressed, "#all")
    def _replace_all(self, event: Button.Pressed) -> None:
        event.stop()
        pattern = self._pattern()
        if pattern is None or not self._found:
            return
        editor = self._editor
        text = editor.text
        pieces, position = [], 0
        for start, end in self._found:
            new = self._new(pattern, text, start)
            if new is None:
                return
            pieces += [text[position:start], new]
            position = end
        first, last = self._found[0][0], self._found[-1][1]
        changed = "".join(pieces)[first:]
        count = len(self._found)
        editor.replace_span(first, last, changed)
        self._find()
        self.query_one("#count", Static).update(Text(_("{count} replaced").format(count=f"{count:,}"), style="ok"))

    def _new(self, pattern: re.Pattern[str], text: str, start: int) -> str | None:
        """What takes the place of the match at `start`; groups (\\1) mean something in a regular expression only."""
        by = self.query_one("#by", LineInput).value
        if not self.query_one("#regex", Checkbox).value:
            return by
        match = pattern.match(text, start)
        try:
            return match.expand(by) if match is not None else None
        except (re.error, IndexError):
            self.query_one("#count", Static).update(Text(_("not a pattern"), style="danger"))
            return None


def _places(editor: SqlEditor, pattern: re.Pattern[str]) -> tuple[list[tuple[int, int]], bool]:
    """Where it is, and whether there may be more of it: a limit was reached. Line by line, as one looks for it."""
    found: list[tuple[int, int]] = []
    until = monotonic() + SECONDS
    offset = 0
    for number, line in enumerate(editor.document.lines):
        for match in pattern.finditer(line):
            if match.end() > match.start():
                found.append((offset + match.start(), offset + match.end()))
        offset += len(line) + 1
        if len(found) >= MOST or (number % 200 == 0 and monotonic() > until):
            return found[:MOST], True
    return found, False
