"""The audit's filter as a form, for who does not type it: every field, and the line that it makes."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from backends.visible_text import visible_line
from bastion.api.audit_filter import FilterUnreadable, Term, joined, read_sessions, read_statements, terms
from bastion.api.language import translate as _

from .widgets.inputs import LineInput
from .words import mark
from .workstation import Dialog

WORDS = "words"
FIELDS = (
    (WORDS, mark("Words"), mark("each in the text or in a value")),
    ("user", mark("Person"), mark("alice, or alice,bob")),
    ("db", mark("Database"), "orders"),
    ("table", mark("Table"), "customers"),
    ("kind", mark("Kind"), "drop,alter,truncate"),
    ("since", mark("Since"), mark("2h, 3d, today, 09:30, 2026-11-22")),
    ("until", mark("Until"), mark("the same, the end")),
    ("error", mark("Failed"), mark("yes or no")),
    ("rows", mark("Rows"), ">1000"),
    ("ms", mark("Time"), ">500, >2s"),
    ("account", mark("Account"), "app_rw"),
    ("source", mark("Source"), "10.1.2.3"),
    ("client", mark("Client"), mark("part of the client program's words")),
    ("token", mark("Token"), ""),
    ("state", mark("State"), mark("done, failed, cancelled, refused, …")),
    ("sort", mark("Order"), mark("newest, oldest, rows, duration")),
)
OF_STATEMENTS = ("table", "kind", "error", "rows", "ms")


class FormDialog(Dialog[str | None]):
    """Gives the line, None when it is given up. What the form has no field for stays in the line as it was."""

    DEFAULT_CSS = """
    FormDialog > Vertical { width: 76; max-width: 96%; height: auto; max-height: 96%; padding: 0 1; }
    FormDialog VerticalScroll { height: auto; max-height: 16; }
    FormDialog Horizontal { height: 1; }
    FormDialog .label { width: 12; color: $muted; }
    FormDialog LineInput { width: 1fr; }
    FormDialog #line { height: auto; max-height: 3; color: $muted; border-top: solid $line; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", mark("Cancel")),
        Binding("f5,ctrl+j", "take", mark("Search"), key_display="Enter"),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, line: str, what: str) -> None:
        super().__init__()
        self._what = what
        self._fields = [field for field in FIELDS if what == "statements" or field[0] not in OF_STATEMENTS]
        self._kept: list[Term] = []
        self._values: dict[str, str] = {}
        self._take_apart(line)

    def _take_apart(self, line: str) -> None:
        try:
            found = terms(line)
        except FilterUnreadable:
            self._values[WORDS] = line
            return
        names = {field for field, _label, _hint in self._fields}
        for term in found:
            if not term.key and not term.negated:
                self._values[WORDS] = f"{self._values.get(WORDS, '')} {term.written()}".strip()
            elif term.key in names and not term.negated and term.key not in self._values:
                text = term.written()[len(term.key) :]
                self._values[term.key] = text.removeprefix(":") or ("yes" if term.key == "error" else "")
            else:
                self._kept.append(term)

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = _("What to look for")
            with VerticalScroll(can_focus=False):
                for field, label, hint in self._fields:
                    with Horizontal():
                        yield Static(Text(_(label)), classes="label")
                        yield LineInput(self._values.get(field, ""), _(hint) if hint else "", id=f"field-{field}")
            yield Static("", id="line", markup=False)

    def on_mount(self) -> None:
        self.query(LineInput).first().focus()
        self._show()

    @property
    def line(self) -> str:
        """The line that the form makes."""
        pieces = []
        for field, _label, _hint in self._fields:
            value = self.query_one(f"#field-{field}", LineInput).value.strip()
            if not value:
                continue
            if field == WORDS:
                pieces.append(value)
            elif value[0] in ":<>=":
                pieces.append(f"{field}{value}")
            else:
                quoted = f'"{value}"' if " " in value and '"' not in value else value
                pieces.append(f"{field}:{quoted}")
        return " ".join([*pieces, joined(self._kept)]).strip()

    @on(LineInput.Changed)
    def _show(self) -> None:
        text = Text(visible_line(self.line))
        if (wrong := self._wrong()) is not None:
            text.append("\n✗ " + visible_line(wrong), style="danger")
        self.query_one("#line", Static).update(text)

    def _wrong(self) -> str | None:
        now, zone = self.workstation.services.now(), None
        zone = now.tzinfo
        try:
            read = read_statements if self._what == "statements" else read_sessions
            if zone is not None:
                read(self.line, now=now, zone=zone)
        except FilterUnreadable as error:
            return str(error)
        return None

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.action_take()

    def action_take(self) -> None:
        if self._wrong() is None:
            self.dismiss(self.line)

    def action_leave(self) -> None:
        self.dismiss(None)
