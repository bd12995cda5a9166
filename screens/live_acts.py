"""What an auditor is asked before an act: why, and what belongs to it. Nothing happens without a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from bastion.api.language import translate as _
from bastion.api.live import LONGEST_WORDS

from .widgets.inputs import LineInput
from .words import mark
from .workstation import Dialog


@dataclass(frozen=True)
class Field:
    """Something to type beside the reason. `check` gives the sentence that says what is wrong, '' where nothing is."""

    name: str
    label: str
    value: str = ""
    placeholder: str = ""
    check: Callable[[str], str] = lambda text: ""


def required(label: str) -> Callable[[str], str]:
    """A check: something has to be there, and not too much."""

    def check(text: str) -> str:
        if not text.strip():
            return label
        if len(text) > LONGEST_WORDS:
            return _("This is too long: {length} characters, of {limit} at most.").format(
                length=len(text), limit=LONGEST_WORDS
            )
        return ""

    return check


class ActDialog(Dialog[dict[str, str] | None]):
    """Gives what was typed by the fields' names, with `reason`; None when it is given up."""

    DEFAULT_CSS = """
    ActDialog { align: center middle; }
    ActDialog > Vertical { width: 76; max-width: 96%; height: auto; max-height: 90%; }
    ActDialog .label { margin-top: 1; color: $muted; }
    ActDialog #wrong { color: $danger; height: auto; min-height: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "done", mark("Do it")),
        Binding("escape", "leave", mark("Cancel")),
        Binding("down", "app.focus_next", mark("Next field"), show=False),
        Binding("up", "app.focus_previous", mark("Previous field"), show=False),
    ]

    def __init__(self, title: str, text: str, fields: Sequence[Field] = (), *, danger: bool = False) -> None:
        super().__init__()
        self._title, self._text, self._danger = title, text, danger
        reason = Field(
            "reason",
            _("Reason (required; it is on record with your name)"),
            check=required(_("Say why, in a few words.")),
        )
        self._fields = [*fields, reason]

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = Content(self._title)
            yield Static(Text(self._text))
            for field in self._fields:
                yield Static(Text(field.label), classes="label")
                yield ActInput(field.value, field.placeholder, id=field.name)
            yield Static("", id="wrong", markup=False)

    def on_mount(self) -> None:
        self.set_class(self._danger, "danger")
        self.query(ActInput).first().focus()

    def action_done(self) -> None:
        typed = {field.name: self.query_one(f"#{field.name}", ActInput).value.strip() for field in self._fields}
        for field in self._fields:
            wrong = field.check(typed[field.name])
            if wrong:
                self.query_one("#wrong", Static).update(Text(wrong))
                self.query_one(f"#{field.name}", ActInput).focus()
                return
        self.dismiss(typed)

    def on_input_submitted(self) -> None:
        self.action_done()

    def action_leave(self) -> None:
        self.dismiss(None)


class ActInput(LineInput):
    """Shows its own Enter, which would hide the dialog's."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", mark("Do it"))]
