"""A question with yes and no. Danger has its focus on no."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Static

from bastion.api.language import translate as _

from ..words import mark
from ..workstation import Dialog


class Confirmation(Dialog[bool]):
    """Gives True for yes. `y` and `n` answer, escape is no."""

    DEFAULT_CSS = """
    Confirmation { align: center middle; }
    Confirmation > Vertical { width: 72; max-width: 95%; height: auto; max-height: 90%; padding: 1 2; background: $surface; }
    Confirmation .title { text-style: bold; margin-bottom: 1; }
    Confirmation Horizontal { height: auto; margin-top: 1; align-horizontal: right; }
    Confirmation Button { margin-left: 2; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", mark("Yes"), show=False),
        Binding("n,escape", "answer(False)", mark("No"), show=False),
        Binding("left,right", "app.focus_next", mark("The other button"), show=False),
    ]

    def __init__(self, title: str, text: str, yes: str, no: str, *, danger: bool = True) -> None:
        super().__init__()
        self._title, self._text, self._yes, self._no, self._danger = title, text, yes, no, danger

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(self._title), classes="title")
            yield Static(Text(self._text))
            with Horizontal():
                yield Button(Text(self._no + " (n)"), id="no", compact=True)
                yield Button(
                    Text(self._yes + " (y)"), id="yes", compact=True, variant="warning" if self._danger else "primary"
                )

    def on_mount(self) -> None:
        self.set_class(self._danger, "danger")
        self.query_one("#no" if self._danger else "#yes", Button).focus()

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(event.button.id == "yes")


class TextQuestion(Dialog[str | None]):
    """Asks for one line of text; None when it is given up."""

    DEFAULT_CSS = """
    TextQuestion { align: center middle; }
    TextQuestion > Vertical { width: 72; max-width: 95%; height: auto; padding: 1 2; background: $surface; border: round $accent; }
    TextQuestion .title { text-style: bold; margin-bottom: 1; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", mark("Cancel"))]

    def __init__(self, title: str, value: str = "") -> None:
        super().__init__()
        self._title, self._value = title, value

    def compose(self) -> ComposeResult:
        from .inputs import LineInput

        with Vertical():
            yield Static(Text(self._title), classes="title")
            yield LineInput(self._value)
            yield Static(Text(_("Enter takes it, Esc leaves it.")), classes="hint")

    def action_give_up(self) -> None:
        self.dismiss(None)

    def on_input_submitted(self) -> None:
        from .inputs import LineInput

        self.dismiss(self.query_one(LineInput).value)
