"""The DDL of a thing, with what it leaves out said above it."""

from __future__ import annotations

import re
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from backends.catalog import CatalogNode, Definition
from backends.visible_text import visible, visible_line
from bastion.api.language import translate as _

from .widgets.text_view import TextView
from .words import mark
from .workstation import Dialog

SHOWN_LINES = 20_000

LEFT_OUT = {
    "owner": mark("owner"),
    "privileges": mark("privileges"),
    "tablespace": mark("tablespace"),
    "the number that it is at": mark("the number that it is at"),
    "its function": mark("its function"),
    "filegroups": mark("filegroups"),
    "names of defaults": mark("names of defaults"),
}
"""What a definition may leave out, in words; what is not here is shown as the catalog says it."""

_PIECES = re.compile(
    r"(?P<comment>--[^\n]*)|(?P<string>'(?:[^']|'')*')|(?P<name>\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`)"
    r"|(?P<number>\b\d+(?:\.\d+)?\b)|(?P<word>[A-Za-z_]+)"
)
KEYWORDS = frozenset(
    """add after aggregate all alter always and as asc before begin between body by cache call cascade case check
    collate column comment commit constraint create cross current cycle declare default definer delete desc distinct do
    each else elsif end engine event execute exclude exists false for foreign from full function generated grant group
    having identity if immutable in increment index inherits inner insert into is join key language left like limit
    maxvalue minvalue natural not null of on only option or order outer over owned partition primary procedure raise
    range references replace restrict return returns right row schedule security select sequence server set stable start
    stored strict table then to trigger true type union unique unlogged update using values view virtual volatile when
    where while with materialized""".split()  # noqa: SIM905
)


class DefinitionDialog(Dialog[str | None]):
    """Gives the text where it is to be put into the editor, else None."""

    DEFAULT_CSS = """
    DefinitionDialog { align: center middle; }
    DefinitionDialog > Vertical { width: 94%; height: 90%; padding: 0 1; background: $surface; border: round $accent; }
    DefinitionDialog .title { text-style: bold; }
    DefinitionDialog #left-out { color: $muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,D", "leave", mark("Close"), key_display="Esc"),
        Binding("i", "insert", mark("Put it into the editor")),
        Binding("c", "copy", mark("Copy")),
    ]

    def __init__(self, node: CatalogNode, definition: Definition) -> None:
        super().__init__()
        self._node, self._definition = node, definition

    def compose(self) -> ComposeResult:
        left_out = ", ".join(_(LEFT_OUT[what]) if what in LEFT_OUT else what for what in self._definition.left_out)
        with Vertical():
            title = _("Definition of {name}").format(name=visible_line(".".join(self._node.path)))
            yield Static(Text(title, no_wrap=True, overflow="ellipsis"), classes="title")
            if left_out:
                yield Static(Text(_("Not in it: {what}").format(what=visible_line(left_out))), id="left-out")
            yield TextView()

    def on_mount(self) -> None:
        lines = coloured(visible(self._definition.text).expandtabs(4)).split("\n", allow_blank=True)
        view = self.query_one(TextView)
        view.show(lines[:SHOWN_LINES])
        view.focus()

    def action_insert(self) -> None:
        self.dismiss(self._definition.text)

    def action_copy(self) -> None:
        self.workstation.copy(self._definition.text, _("the definition"))

    def action_leave(self) -> None:
        self.dismiss(None)


def coloured(text: str) -> Text:
    """SQL with its parts in the styles of code; for reading, no parser."""
    shown = Text(text, no_wrap=True, end="")
    for piece in _PIECES.finditer(text):
        kind = piece.lastgroup
        if kind == "word" and piece.group().lower() in KEYWORDS:
            shown.stylize("code-keyword", *piece.span())
        elif kind in ("comment", "string", "number"):
            shown.stylize(f"code-{kind}", *piece.span())
    return shown
