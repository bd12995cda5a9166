"""One value of a result, whole: JSON and XML by their structure, bytes in hexadecimal, text wrapped."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from backends.interface import Column, Kind
from backends.laid_out import Form, Line, bytes_of, forms_of, lines_of
from backends.visible_text import visible_line
from bastion.api.language import translate as _
from bastion.api.language import translate_many

from .widgets.inputs import LineInput
from .widgets.lines_view import LinesView
from .words import mark, size
from .workstation import Dialog

WIDE = 92
"""Columns of the terminal from which on sixteen bytes stand in a line of the hexadecimal form."""
FORM_NAMES: dict[Form, str] = {"json": "JSON", "xml": "XML", "hex": mark("hexadecimal"), "text": mark("text")}


class ValueDialog(Dialog[None]):
    """The value in its best form first; `f` gives the others."""

    DEFAULT_CSS = """
    ValueDialog { align: center middle; }
    ValueDialog > Vertical { width: 96%; height: 90%; padding: 0 1; background: $surface; border: round $accent; }
    ValueDialog .title { text-style: bold; height: 1; }
    ValueDialog LineInput { display: none; }
    ValueDialog.searching LineInput { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,v", "leave", mark("Close"), key_display="Esc"),
        Binding("o", "form", mark("Other form")),
        Binding("slash", "search", mark("Search"), key_display="/"),
        Binding("c", "copy", mark("Copy")),
        Binding("enter", "enter", mark("Close"), show=False),
    ]

    def __init__(self, column: Column, value: str | None) -> None:
        super().__init__()
        self._column, self._value = column, value
        self._forms: list[Form] = ["text"] if value is None else forms_of(value, column.kind)
        self._form = self._forms[0]
        self._found = ""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(classes="title", markup=False)
            yield LinesView()
            yield LineInput(placeholder=_("search"))

    def on_mount(self) -> None:
        self.query_one(LinesView).put(self._lines())
        self.query_one(LinesView).focus()
        self._show_title()

    def _lines(self) -> list[Line]:
        return (
            [Line("NULL")]
            if self._value is None
            else lines_of(self._value, self._form, self._column.kind, 16 if self.app.size.width >= WIDE else 8)
        )

    def _show_title(self) -> None:
        parts = [visible_line(f"{self._column.name} · {self._column.type_name}")]
        if self._value is None:
            parts.append(_("no value"))
        else:
            data = bytes_of(self._value) if self._column.kind is Kind.BINARY else None
            count = len(self._value)
            parts.append(
                size(len(data))
                if data is not None
                else translate_many("{count} character", "{count} characters", count).format(count=f"{count:,}")
            )
            if len(self._forms) > 1:
                parts.append(_(FORM_NAMES[self._form]))
        if self._found:
            parts.append(self._found)
        self.query_one(".title", Static).update(Text(" · ".join(parts), no_wrap=True, overflow="ellipsis"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "form":
            return len(self._forms) > 1
        return True

    def action_form(self) -> None:
        self._form = self._forms[(self._forms.index(self._form) + 1) % len(self._forms)]
        self._found = ""
        self.query_one(LinesView).put(self._lines())
        self._show_title()

    def action_search(self) -> None:
        self.add_class("searching")
        line = self.query_one(LineInput)
        line.value = ""
        line.focus()

    @on(LineInput.Submitted)
    def _search(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.remove_class("searching")
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

    def action_copy(self) -> None:
        self.workstation.copy(self._value or "", _("the value"))

    def action_enter(self) -> None:
        self.action_leave()

    def action_leave(self) -> None:
        if self.has_class("searching"):
            self.remove_class("searching")
            self.query_one(LinesView).focus()
        else:
            self.dismiss(None)
