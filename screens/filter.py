"""Asks which rows of a result to show."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from backends.interface import Column, Kind
from backends.visible_text import visible_line
from bastion.api.language import translate as _

from .widgets.inputs import LineInput
from .words import mark
from .workstation import Dialog


class FilterInput(LineInput):
    """Shows its own Enter, which would hide the dialog's."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", mark("Filter"))]


class FilterDialog(Dialog[str | None]):
    """Gives what was typed, '' for every row; None when it is given up."""

    DEFAULT_CSS = """
    FilterDialog { align: center bottom; }
    FilterDialog > Vertical { width: 100%; height: auto; padding: 0 1; background: $surface; border: round $accent; }
    FilterDialog .title { text-style: bold; }
    FilterDialog .hint { margin-top: 0; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", mark("Cancel")),
    ]

    def __init__(self, text: str, column: Column | None) -> None:
        super().__init__()
        self._text, self._column = text, column

    def compose(self) -> ComposeResult:
        name = "id"
        if self._column is not None:
            name = visible_line(self._column.name[:40])
            if not name.replace("_", "").isalnum():
                name = '"' + name.replace('"', '""') + '"'
        value = "100" if self._column is not None and self._column.kind is Kind.NUMBER else "'x'"
        with Vertical():
            yield Static(Text(_("Show only rows with")), classes="title")
            yield FilterInput(self._text, placeholder=_("text in any column, or a comparison"))
            yield Static(
                Text(
                    _("{name} >= {value}   {name} ~ part   {name} is null   and   · nothing shows every row").format(
                        name=name, value=value
                    )
                ),
                classes="hint",
            )

    def on_mount(self) -> None:
        self.query_one(LineInput).focus()

    def on_input_submitted(self) -> None:
        self.dismiss(self.query_one(LineInput).value)

    def action_leave(self) -> None:
        self.dismiss(None)
