"""One value of a result, whole."""

from __future__ import annotations

import json
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static, TextArea

from backends.interface import Column, Kind
from backends.visible_text import visible, visible_line
from bastion.api.language import translate as _
from bastion.api.language import translate_many

from .words import mark
from .workstation import Dialog

SHOWN_CHARACTERS = 200_000


class ValueDialog(Dialog[None]):
    """JSON is laid out; everything else is shown as the server wrote it."""

    DEFAULT_CSS = """
    ValueDialog { align: center middle; }
    ValueDialog > Vertical { width: 90%; height: 80%; padding: 0 1; background: $surface; border: round $accent; }
    ValueDialog .title { text-style: bold; }
    ValueDialog TextArea { height: 1fr; border: none; background: $surface; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,v,enter", "leave", mark("Close"), key_display="Esc", priority=True),
        Binding("c", "copy", mark("Copy")),
    ]

    def __init__(self, column: Column, value: str | None) -> None:
        super().__init__()
        self._column, self._value = column, value

    def compose(self) -> ComposeResult:
        value = self._value
        count = len(value or "")
        length = translate_many("{count} character", "{count} characters", count).format(count=f"{count:,}")
        with Vertical():
            yield Static(
                Text(visible_line(f"{self._column.name} · {self._column.type_name} · {length}")), classes="title"
            )
            area = TextArea(visible(self._laid_out()), read_only=True, soft_wrap=True, compact=True)
            area.cursor_blink = False
            yield area

    def _laid_out(self) -> str:
        value = self._value
        if value is None:
            return "NULL"
        if self._column.kind is Kind.JSON and len(value) <= SHOWN_CHARACTERS:
            try:
                return json.dumps(json.loads(value), ensure_ascii=False, indent=2)
            except (ValueError, RecursionError):
                return value
        if len(value) > SHOWN_CHARACTERS:
            cut = _("only the first {count} characters are shown").format(count=f"{SHOWN_CHARACTERS:,}")
            return f"{value[:SHOWN_CHARACTERS]}\n… ({cut})"
        return value

    def action_copy(self) -> None:
        self.workstation.copy(self._value or "", _("the value"))

    def action_leave(self) -> None:
        self.dismiss(None)
