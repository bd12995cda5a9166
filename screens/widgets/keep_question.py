"""What a write did in its transaction, and the question whether it is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Static

from bastion.api.language import translate as _

from ..words import mark
from ..workstation import Dialog

MOST_SHOWN = 50
"""Statements of one run that the question lists."""


@dataclass(frozen=True)
class Tried:
    """A statement that ran, on one line, and what the server said of it: rows affected."""

    statement: str
    said: str


class KeepQuestion(Dialog[bool]):
    """Gives True for keep. The focus is on undo, and leaving it undoes too."""

    DEFAULT_CSS = """
    KeepQuestion { align: center middle; }
    KeepQuestion > Vertical { width: 90; max-width: 96%; height: auto; max-height: 90%; padding: 1 2; background: $surface; border: round $warning; }
    KeepQuestion.production > Vertical { border: heavy $production; }
    KeepQuestion .title { text-style: bold; height: auto; }
    KeepQuestion VerticalScroll { height: auto; max-height: 12; margin-top: 1; }
    KeepQuestion .tried { height: auto; }
    KeepQuestion #age { height: auto; margin-top: 1; color: $muted; }
    KeepQuestion Horizontal { height: auto; margin-top: 1; align-horizontal: right; }
    KeepQuestion Button { margin-left: 2; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "answer(True)", mark("Keep")),
        Binding("u,escape", "answer(False)", mark("Undo"), key_display="u"),
        Binding("left,right", "app.focus_next", mark("The other button"), show=False),
    ]

    def __init__(self, tried: Sequence[Tried], database: str, age: Callable[[], str], production: bool) -> None:
        super().__init__()
        self._tried, self._database, self._age, self._production = tried, database, age, production

    def compose(self) -> ComposeResult:
        with Vertical():
            if self._production:
                band = " " + _("PRODUCTION") + f" {self._database} "
                yield Static(Text.assemble((band, "production")), classes="title")
            yield Static(Text(_("It ran, and nothing is kept yet. Keep it?")), classes="title")
            with VerticalScroll(can_focus=False):
                for each in self._tried[:MOST_SHOWN]:
                    yield Static(Text.assemble((each.said, "warning"), "  ", each.statement), classes="tried")
                if len(self._tried) > MOST_SHOWN:
                    more = len(self._tried) - MOST_SHOWN
                    yield Static(Text(_("… and {count} more").format(count=more)))
            yield Static("", id="age", markup=False)
            with Horizontal():
                yield Button(Text(_("Undo (roll back)") + " (u)"), id="undo", compact=True)
                yield Button(Text(_("Keep (commit)") + " (k)"), id="keep", compact=True, variant="warning")

    def on_mount(self) -> None:
        self.set_class(self._production, "production")
        self.query_one("#undo", Button).focus()
        self.set_interval(5.0, self._show_age)
        self._show_age()

    def _show_age(self) -> None:
        said = _("The transaction is {age}; the rows that it changed stay locked until you answer.")
        self.query_one("#age", Static).update(Text(said.format(age=self._age())))

    def action_answer(self, keep: bool) -> None:
        self.dismiss(keep)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(event.button.id == "keep")
