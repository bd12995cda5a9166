"""Everything that ever stood on a recorded screen, as text to read and search; and the question for a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from backends.laid_out import Line
from backends.screen_player import TextLine
from bastion.api.language import translate as _
from bastion.api.language import translate_many

from .widgets.inputs import LineInput
from .widgets.lines_view import LinesView
from .words import mark
from .workstation import Dialog

if TYPE_CHECKING:
    from .widgets.screen_pane import ScreenPane

LOOK_AGAIN = 0.5
"""Seconds after which it is looked whether more was read through."""


class ScreenTextDialog(Dialog[float | None]):
    """Gives the moment of the line that was chosen, in seconds from the screen's beginning."""

    DEFAULT_CSS = """
    ScreenTextDialog > Vertical { width: 100%; height: 100%; padding: 0 1; background: $surface; border: round $accent; }
    ScreenTextDialog .title { text-style: bold; height: 1; }
    ScreenTextDialog LineInput { display: none; }
    ScreenTextDialog.searching LineInput { display: block; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", mark("Close"), key_display="Esc"),
        Binding("enter", "go", mark("To this moment")),
        Binding("slash", "search", mark("Search"), key_display="/"),
        Binding("c", "copy", mark("Copy the line")),
    ]

    def __init__(self, pane: ScreenPane) -> None:
        super().__init__()
        self._pane = pane
        self._lines: list[TextLine] = []
        self._whole = False
        self._found = ""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(classes="title", markup=False)
            yield LinesView(wrap=False)
            yield LineInput(placeholder=_("search"))

    def on_mount(self) -> None:
        self._fill()
        view = self.query_one(LinesView)
        view.focus()
        self._timer = self.set_interval(LOOK_AGAIN, self._fill)

    def _fill(self) -> None:
        if self._whole:
            return
        lines, self._whole = self._pane.text_lines()
        if len(lines) != len(self._lines) or self._whole:
            view = self.query_one(LinesView)
            first = not self._lines
            at = view.cursor_line
            if first and lines and self._pane.playback is not None:
                # Where the person is in the recording.
                now = self._pane.playback.at
                at = max(sum(line.at <= now for line in lines) - 1, 0)
            self._lines = lines
            view.put([Line(f"{self._pane.clock(line.at)}  {line.text}", 0, 8) for line in lines], at)
            view.show_line(at)
            if view.looked_for:
                view.find(view.looked_for)
        if self._whole:
            self._timer_ends()
        self._show_title()

    def _timer_ends(self) -> None:
        timer = getattr(self, "_timer", None)
        if timer is not None:
            timer.stop()

    def _show_title(self) -> None:
        count = len(self._lines)
        words = [
            _("What was on the screen"),
            translate_many("{count} line", "{count} lines", count).format(count=f"{count:,}"),
        ]
        if not self._whole:
            words.append(_("still reading …"))
        if self._found:
            words.append(self._found)
        self.query_one(".title", Static).update(Text(" · ".join(words), no_wrap=True, overflow="ellipsis"))

    def action_go(self) -> None:
        at = self.query_one(LinesView).cursor_line
        if at < len(self._lines):
            self.dismiss(self._lines[at].at)

    def action_copy(self) -> None:
        at = self.query_one(LinesView).cursor_line
        if at < len(self._lines):
            self.workstation.copy(self._lines[at].text, _("the line"))

    def action_search(self) -> None:
        self.add_class("searching")
        line = self.query_one(LineInput)
        line.value = self.query_one(LinesView).looked_for
        line.display = True
        self.set_focus(line)  # at once: what is typed next is for it
        line.select_all()

    @on(LineInput.Submitted)
    def _search(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.remove_class("searching")
        event.input.display = False
        view = self.query_one(LinesView)
        view.focus()
        self._found = ""
        view.find(event.value)
        self._show_title()

    @on(LinesView.Found)
    def _told(self, message: LinesView.Found) -> None:
        self._found = (
            _("match {number} of {count}, n and N go on").format(number=message.number, count=message.count)
            if message.count
            else _("not found")
        )
        self._show_title()

    def action_leave(self) -> None:
        if self.has_class("searching"):
            self.remove_class("searching")
            self.query_one(LineInput).display = False
            self.query_one(LinesView).focus()
        else:
            self.dismiss(None)


class TimeDialog(Dialog[float | None]):
    """Asks for a moment: a time of the day, or minutes and seconds from the beginning (`+12:30`)."""

    DEFAULT_CSS = """
    TimeDialog { align: center bottom; }
    TimeDialog > Vertical { width: 100%; height: auto; padding: 0 1; background: $surface; border: round $accent; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", mark("Cancel"))]

    def __init__(self, now: str, began: datetime | None, local: bool) -> None:
        super().__init__()
        self._now, self._began, self._local = now, began, local

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(_("Go to")), classes="title")
            yield LineInput(self._now, placeholder="03:12:30 · +12:30")
            yield Static(
                Text(_("a time of the day, or +minutes:seconds from the beginning")), classes="hint", id="hint"
            )

    def on_mount(self) -> None:
        line = self.query_one(LineInput)
        line.focus()
        line.select_all()

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        at = seconds_of(event.value, self._began, local=self._local)
        if at is None:
            hint = Text(_("That is no time. Write 03:12:30, or +12:30."), style="danger")
            self.query_one("#hint", Static).update(hint)
        else:
            self.dismiss(at)

    def action_leave(self) -> None:
        self.dismiss(None)


def seconds_of(text: str, began: datetime | None, *, local: bool) -> float | None:
    """The seconds from the beginning that were meant; None for what is no time."""
    text = text.strip()
    from_beginning = text.startswith("+")
    parts = text.removeprefix("+").split(":")
    if not 1 <= len(parts) <= 3 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        return None
    numbers = [int(part) for part in parts]
    if from_beginning:
        total = 0
        for number in numbers:
            total = total * 60 + number
        return float(total)
    if began is None or len(numbers) == 1:
        return None
    hours, minutes, *rest = numbers
    if hours > 23 or minutes > 59 or (rest and rest[0] > 59):
        return None
    start = began.astimezone() if local else began
    moment = start.replace(hour=hours, minute=minutes, second=rest[0] if rest else 0, microsecond=0)
    if moment < start - timedelta(hours=1):
        # Past midnight.
        moment += timedelta(days=1)
    return (moment - start).total_seconds()
