"""A table described: columns, indexes, keys, what it references and what references it, triggers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from backends.catalog import Description, ForeignKey, TableName
from backends.visible_text import table_text
from bastion.api.language import translate as _

from .widgets.catalog_labels import WORDS
from .widgets.text_view import TextView
from .words import mark
from .workstation import Dialog

WIDEST = 44
"""Cells of a field; what is longer is cut, the definition has it whole."""
FACTS = {
    "owner": mark("owner"),
    "estimated rows": mark("estimated rows"),
    "partitioned by": mark("partitioned by"),
    "engine": mark("engine"),
    "collation": mark("collation"),
    "options": mark("options"),
    "next auto_increment": mark("next auto_increment"),
}
CONSTRAINTS = {
    "primary key": mark("primary key"),
    "unique": mark("unique"),
    "check": mark("check"),
    "exclude": mark("exclude"),
}


class TableDialog(Dialog[str | None]):
    """Gives `definition` or `select` where that is wanted next, else None."""

    DEFAULT_CSS = """
    TableDialog { align: center middle; }
    TableDialog > Vertical { width: 96%; height: 94%; padding: 0 1; background: $surface; border: round $accent; }
    TableDialog .title { text-style: bold; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,d", "leave", mark("Close"), key_display="Esc"),
        Binding("n", "section(1)", mark("Next section")),
        Binding("p", "section(-1)", mark("Previous section")),
        Binding("D", "next('definition')", mark("Definition (DDL)")),
        Binding("v", "next('select')", mark("First rows")),
        Binding("c", "copy", mark("Copy")),
    ]

    def __init__(self, description: Description) -> None:
        super().__init__()
        self._description = description
        self._lines, self._sections = described(description)

    def compose(self) -> ComposeResult:
        table = self._description.table
        kind = _(WORDS.get(self._description.kind, self._description.kind))
        with Vertical():
            title = f"{kind} {table_text(table.schema)}.{table_text(table.name)}"
            yield Static(Text(title, no_wrap=True, overflow="ellipsis"), classes="title")
            yield TextView()

    def on_mount(self) -> None:
        view = self.query_one(TextView)
        view.show(self._lines)
        view.focus()

    def action_section(self, step: int) -> None:
        view = self.query_one(TextView)
        here = view.scroll_offset.y
        others = [at for at in self._sections if (at > here if step > 0 else at < here)]
        if others:
            view.scroll_to(y=min(others) if step > 0 else max(others), animate=False)

    def action_next(self, what: str) -> None:
        self.dismiss(what)

    def action_copy(self) -> None:
        self.workstation.copy("\n".join(line.plain.rstrip() for line in self._lines), _("the description"))

    def action_leave(self) -> None:
        self.dismiss(None)


def described(told: Description) -> tuple[list[Text], list[int]]:
    """The lines of a description, and at which of them a section begins."""
    page = _Lines()
    if told.comment:
        page.lines.append(Text(table_text(told.comment), style="muted"))
    if told.facts:
        facts = [f"{_(FACTS.get(name, name))}: {table_text(value)}" for name, value in told.facts]
        page.lines.append(Text(" · ".join(facts), style="muted"))
    primary = {column for index in told.indexes if index.primary for column in index.columns}
    foreign = {column for key in told.foreign_keys for column in key.columns}
    page.section(
        _("Columns"),
        (_("name"), _("type"), _("null"), _("default"), _("comment")),
        [
            (
                f"{'*' if column.name in primary else '→' if column.name in foreign else '·'} {column.name}",
                column.type_name,
                "" if column.nullable else _("not null"),
                " ".join(part for part in (column.default, column.extra) if part),
                column.comment,
            )
            for column in told.columns
        ],
    )
    page.section(
        _("Indexes"),
        (_("name"), _("columns"), _("kind"), _("method"), _("condition")),
        [
            (
                index.name,
                ", ".join(index.columns),
                _("primary") if index.primary else _("unique") if index.unique else "",
                index.method,
                index.condition,
            )
            for index in told.indexes
        ],
    )
    page.section(
        _("Keys and checks"),
        (_("name"), _("kind"), _("definition")),
        [(one.name, _(CONSTRAINTS.get(one.kind, one.kind)), one.text) for one in told.constraints],
    )
    page.section(_("References"), _KEY_HEADINGS(), [_key_row(key, key.referenced) for key in told.foreign_keys])
    page.section(_("Referenced by"), _KEY_HEADINGS(), [_key_row(key, key.table) for key in told.referenced_by])
    page.section(
        _("Triggers"),
        (_("name"), _("when"), ""),
        [(trigger.name, trigger.when, "" if trigger.enabled else _("disabled")) for trigger in told.triggers],
    )
    return page.lines, page.sections


def _KEY_HEADINGS() -> tuple[str, ...]:
    return (_("columns"), _("other table"), _("its columns"), _("on delete"), _("name"))


def _key_row(key: ForeignKey, other: TableName) -> tuple[str, ...]:
    own, theirs = key.columns, key.referenced_columns
    if other == key.table and other != key.referenced:
        own, theirs = theirs, own
    return (", ".join(own), ".".join(other.path), ", ".join(theirs), key.on_delete, key.name)


class _Lines:
    """Builds the lines, section by section."""

    def __init__(self) -> None:
        self.lines: list[Text] = []
        self.sections: list[int] = [0]

    def section(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table with a title; nothing where it has no rows."""
        if not rows:
            return
        if self.lines:
            self.lines.append(Text(""))
        self.sections.append(len(self.lines))
        self.lines.append(Text.assemble((title, "accent"), (f"  {len(rows):,}", "muted")))
        shown = [[table_text(field) for field in row] for row in rows]
        used = [at for at in range(len(headings)) if any(row[at] for row in shown)]
        widths = {at: min(max(cell_len(headings[at]), *(cell_len(row[at]) for row in shown)), WIDEST) for at in used}
        self.lines.append(self._row(headings, used, widths, "muted"))
        self.lines += [self._row(row, used, widths, "") for row in shown]

    def _row(self, row: Sequence[str], used: Sequence[int], widths: dict[int, int], style: str) -> Text:
        text = Text(no_wrap=True, end="")
        for at in used:
            field = row[at]
            last = at == used[-1]
            if not last:
                long = cell_len(field) > widths[at]
                field = set_cell_size(field, widths[at] - 1) + "…" if long else set_cell_size(field, widths[at])
            text.append(field, style=style)
            if not last:
                text.append("  ")
        return text
