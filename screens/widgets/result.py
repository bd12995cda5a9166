"""One result set as it stands: how much of it is there, and how it is arranged. The title always says exactly that."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.text import Text

from backends.arrangement import Arrangement
from backends.visible_text import visible_line
from bastion.api.language import translate as _
from bastion.api.language import translate_many

from ..words import seconds, size
from .result_table import ResultTable

STATEMENT_CHARACTERS = 40


def rows_text(count: int) -> str:
    """`1,234 rows`."""
    return translate_many("{count} row", "{count} rows", count).format(count=f"{count:,}")


@dataclass
class Result:
    """A result set and how far it is."""

    table: ResultTable
    owned: bool = False
    """The store was made here, and rows are put into it here."""
    statement: str = ""
    engine: str = ""
    """Whose names and values an INSERT is written in."""
    session: str = ""
    """Where the statement is on record."""
    state: str = "running"
    """running, exact, truncated, failed, cancelled"""
    took: float = 0.0
    arranging: str = ""
    """What is being worked on."""
    wanted: Arrangement = field(default_factory=Arrangement)
    """What was asked for last; the table shows it once it is worked out."""
    filter_text: str = ""

    def title(self) -> Text:
        """Says exactly what is shown: all of it, a part, or a part so far; which of these rows, and in which order."""
        title, cost = self._how_much()
        if self.table.store.cut:
            title.append(" · " + _("too long and cut: {count}").format(count=self.table.store.cut), style="warning")
        chosen = self.table.selection
        if chosen is not None:
            title.append(
                " · " + _("selected: {rows} × {columns}").format(rows=rows_text(len(chosen[0])), columns=len(chosen[1]))
            )
        if self.arranging:
            title.append(f" · {self.arranging}", style="accent")
        elif self.table.arrangement:
            title.append(f" · {self._arranged()}", style="accent")
        title.append(cost)  # after what a person must not miss where the line is short
        if self.table.arrange_columns.hidden:
            title.append(
                " · " + _("hidden columns: {count}, Z shows them").format(count=len(self.table.arrange_columns.hidden))
            )
        return title

    def _how_much(self) -> tuple[Text, str]:
        """Which rows there are, and what they cost."""
        store = self.table.store
        rows, took = rows_text(store.rows), seconds(self.took)
        if self.state == "running":
            return Text(_("{rows} so far, still running").format(rows=rows), style="warning"), ""
        bytes_text = size(store.bytes)
        if self.state == "exact":
            return Text(_("{rows}, all of them").format(rows=rows)), f" · {bytes_text} · {took}"
        if self.state == "truncated":
            words = _("TRUNCATED: the first {rows} ({size}), no more are kept").format(rows=rows, size=bytes_text)
            return Text(words, style="warning"), f" · {took}"
        if self.state == "cancelled":
            return Text(_("CANCELLED after {rows}").format(rows=rows), style="warning"), f" · {took}"
        return Text(_("FAILED after {rows}").format(rows=rows), style="danger"), f" · {took}"

    def _arranged(self) -> str:
        table, parts = self.table, []
        if table.arranged is None:
            return ""
        if table.arrangement.filter is not None:
            text = visible_line(self.filter_text)
            parts.append(
                _("{count} match {filter}").format(count=f"{len(table.arranged):,}", filter=text)
                if len(table.arranged)
                else _("none match {filter}").format(filter=text)
            )
        if table.arrangement.sorts:
            names = ", ".join(
                f"{table.names[sort.column]} {'↓' if sort.descending else '↑'}" for sort in table.arrangement.sorts
            )
            parts.append(_("by {columns}").format(columns=names))
        if table.arranged.cut:
            parts.append(_("long values by their first characters"))
        if table.arranged.of < table.store.rows:
            parts.append(_("of the first {rows}").format(rows=rows_text(table.arranged.of)))
        return ", ".join(parts)

    def label(self) -> str:
        """A few words for a tab."""
        words = visible_line(" ".join(self.statement[:500].split()))
        if len(words) > STATEMENT_CHARACTERS:
            words = words[: STATEMENT_CHARACTERS - 1] + "…"
        sign = {"running": "…", "truncated": "+", "cancelled": "✗", "failed": "✗"}.get(self.state, "")
        return f"{words} ({self.table.store.rows:,}{sign})" if words else f"{self.table.store.rows:,}{sign}"
