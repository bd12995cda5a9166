"""The bastion's record is not the one that this workstation has witnessed: said so that nobody overlooks it."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from backends.link import Target
from backends.visible_text import visible
from backends.witness import Broken
from bastion.api import moments
from bastion.api.language import translate as _

from .words import mark
from .workstation import Dialog

_WHY = {
    "changed": mark("The record of that number is another one now."),
    "back": mark("The record ends with number {last} now: its end was cut off, or an older copy was put in its place."),
    "key": mark("Its record is signed with another key now."),
    "unsigned": mark("What it shows now is not signed by its key."),
}


class RecordAlarm(Dialog[None]):
    """Closed with Escape or Enter; nothing else is done."""

    DEFAULT_CSS = """
    RecordAlarm > Vertical { width: 76; max-width: 96%; height: auto; max-height: 94%; }
    RecordAlarm VerticalScroll { height: auto; max-height: 100%; }
    RecordAlarm .title { text-style: bold; color: $danger; margin-bottom: 1; }
    RecordAlarm .part { margin-bottom: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter", "leave", mark("Close"))]

    def __init__(self, broken: Broken, target: Target) -> None:
        super().__init__()
        self._broken, self._target = broken, target
        self.add_class("danger")

    def compose(self) -> ComposeResult:
        broken = self._broken
        with Vertical():
            yield Static(Text(_("The bastion's record is not what it was")), classes="title")
            with VerticalScroll():
                for part in self._parts(broken):
                    yield Static(Text(visible(part)), classes="part")

    def _parts(self, broken: Broken) -> list[str]:
        kept = broken.kept
        said = []
        if kept is not None:
            said.append(
                _("This workstation keeps the last signed checkpoint of {bastion}: record {number}, of {at}.").format(
                    bastion=self._target, number=kept.number, at=moments.spoken(kept.at)
                )
            )
        said.append(_(_WHY[broken.why]).format(last=broken.last))
        said.append(
            _("Either records were changed, removed or put back, or this is another bastion under the same name.")
        )
        if kept is not None:
            said.append(
                _(
                    "What was kept stays in {file}. Tell an auditor now: casemate audit verify --anchor FILE says "
                    "where the record differs from it."
                ).format(file=broken.file)
            )
        return said

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_leave(self) -> None:
        self.dismiss(None)
