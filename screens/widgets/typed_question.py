"""A question that one key is too little for: its word has to be typed."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from bastion.api.language import translate as _

from ..words import mark
from ..workstation import Dialog
from .inputs import LineInput


class TypedQuestion(Dialog[bool]):
    """Gives True once `word` was typed, in whichever case; Esc is no."""

    DEFAULT_CSS = """
    TypedQuestion { align: center middle; }
    TypedQuestion > Vertical { width: 90; max-width: 96%; height: auto; max-height: 90%; padding: 1 2; background: $surface; border: heavy $danger; }
    TypedQuestion .title { text-style: bold; }
    TypedQuestion .statement { margin-top: 1; height: auto; max-height: 8; }
    TypedQuestion .why { margin-top: 1; height: auto; }
    TypedQuestion LineInput { margin-top: 1; }
    TypedQuestion #wrong { height: 1; color: $danger; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", mark("Do not send"))]

    def __init__(self, title: str, statement: str, why: str, word: str, *, production: bool = False) -> None:
        super().__init__()
        self._title, self._statement, self._why, self._word = title, statement, why, word
        self._production = production

    def compose(self) -> ComposeResult:
        with Vertical():
            head = Text()
            if self._production:
                head.append(" " + _("PRODUCTION") + " ", style="production")
                head.append(" ")
            head.append(self._title)
            yield Static(head, classes="title")
            yield Static(Text(self._statement), classes="statement")
            yield Static(Text.assemble((self._why, "danger")), classes="why")
            yield Static(
                Text(_("Type {word} and Enter to send it; Esc leaves it.").format(word=self._word)), classes="why"
            )
            yield LineInput("")
            yield Static("", id="wrong", markup=False)

    def on_mount(self) -> None:
        self.query_one(LineInput).focus()

    def action_give_up(self) -> None:
        self.dismiss(False)

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        if event.value.strip().upper() == self._word.upper():
            self.dismiss(True)
        else:
            self.query_one("#wrong", Static).update(Text(_("That is not {word}.").format(word=self._word)))
