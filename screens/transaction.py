"""The transaction: ending it, how statements are committed, and what the write guard does. One key each."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from backends.interface import TransactionState
from backends.visible_text import visible_line
from bastion.api.language import translate as _

from .words import mark
from .workstation import Dialog

MODES = {
    "autocommit": ("a", mark("autocommit"), mark("every statement stands for itself")),
    "manual": ("m", mark("manual commit"), mark("the first statement opens a transaction, F10 ends it")),
}
GUARDS = {
    "off": ("o", mark("off"), mark("statements are sent as they are")),
    "writes": ("w", mark("writes"), mark("a write is tried in a transaction and asks whether it is kept")),
    "everything": ("e", mark("everything"), mark("as writes, and every statement asks before it is sent")),
}


class TransactionDialog(Dialog[str | None]):
    """Gives commit, rollback, one of the names above, or None."""

    DEFAULT_CSS = """
    TransactionDialog { align: center middle; }
    TransactionDialog > Vertical { width: 84; max-width: 96%; height: auto; padding: 1 2; background: $surface; border: round $accent; }
    TransactionDialog Static { height: auto; }
    TransactionDialog .title { text-style: bold; margin-top: 1; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "choose('commit')", mark("Commit")),
        Binding("r", "choose('rollback')", mark("Roll back")),
        Binding("a", "choose('autocommit')", mark("Autocommit"), show=False),
        Binding("m", "choose('manual')", mark("Manual commit"), show=False),
        Binding("o", "choose('off')", mark("Guard off"), show=False),
        Binding("w", "choose('writes')", mark("Guard writes"), show=False),
        Binding("e", "choose('everything')", mark("Guard everything"), show=False),
        Binding("escape,f10", "leave", mark("Close"), key_display="Esc"),
    ]

    def __init__(self, mode: str, guard: str, database: str, state: TransactionState, age: str) -> None:
        super().__init__()
        self._mode, self._guard, self._database, self._state, self._age = mode, guard, database, state, age

    def compose(self) -> ComposeResult:
        with Vertical():
            if self._state is TransactionState.OPEN:
                yield Static(Text.assemble((_("A transaction is {age}.").format(age=self._age), "warning")))
                yield Static(_line("  ", "c", _("commit"), _("what it changed is kept")))
                yield Static(_line("  ", "r", _("roll back"), _("what it changed is taken back")))
            elif self._state is TransactionState.FAILED:
                yield Static(Text.assemble((_("The transaction has failed: nothing of it can be kept."), "danger")))
                yield Static(_line("  ", "r", _("roll back"), _("then statements run again")))
            else:
                yield Static(Text.assemble((_("No transaction is open."), "muted")))
            yield Static(Text(_("How statements are committed")), classes="title")
            for name, (key, words, what) in MODES.items():
                yield Static(_line("● " if name == self._mode else "○ ", key, _(words), _(what)))
            title = _("Write guard of {database}").format(database=visible_line(self._database))
            yield Static(Text(title), classes="title")
            for name, (key, words, what) in GUARDS.items():
                yield Static(_line("● " if name == self._guard else "○ ", key, _(words), _(what)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if parameters == ("commit",):
            return self._state is TransactionState.OPEN
        if parameters == ("rollback",):
            return self._state in (TransactionState.OPEN, TransactionState.FAILED)
        return True

    def action_choose(self, name: str) -> None:
        self.dismiss(name)

    def action_leave(self) -> None:
        self.dismiss(None)


def _line(sign: str, key: str, words: str, what: str) -> Text:
    return Text.assemble(sign, (f"{key} ", "accent"), (words, "bold"), f": {what}")
