"""What came of the statements: result sets, one shown at a time, and the messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import RichLog, Static

from backends.connection import ResultEnded
from backends.interface import Column, DatabaseError, Notice
from backends.visible_text import visible, visible_line
from bastion.api.language import translate as _
from bastion.api.language import translate_many

from ..words import mark, seconds, size
from .result_table import ResultRows, ResultTable

MOST_RESULTS = 20
"""Result sets kept; the oldest goes when there are more."""
MESSAGE_LINES = 2000


@dataclass
class Result:
    """A result set and how far it is."""

    rows: ResultRows
    state: str = "running"
    """running, exact, truncated, failed, cancelled"""
    took: float = 0.0
    bytes: int = 0

    def title(self) -> Text:
        """Says exactly what is shown: all of it, a part, or a part so far."""
        count = self.rows.row_count
        number = f"{count:,}"
        rows = translate_many("{count} row", "{count} rows", count).format(count=number)
        if self.state == "running":
            return Text(_("{rows} so far, still running").format(rows=rows), style="warning")
        if self.state == "exact":
            return Text(_("{rows}, all of them · {time}").format(rows=rows, time=seconds(self.took)))
        if self.state == "truncated":
            return Text(
                _("TRUNCATED: the first {rows} ({size}), no more are kept · {time}").format(
                    rows=rows, size=size(self.bytes), time=seconds(self.took)
                ),
                style="warning",
            )
        if self.state == "cancelled":
            return Text(
                _("CANCELLED after {rows} · {time}").format(rows=rows, time=seconds(self.took)), style="warning"
            )
        return Text(_("FAILED after {rows} · {time}").format(rows=rows, time=seconds(self.took)), style="danger")


class Results(Vertical):
    """The lower part of the console."""

    DEFAULT_CSS = """
    Results { height: 1fr; }
    Results > #result-title { height: 1; background: $panel; padding: 0 1; }
    Results:focus-within > #result-title { color: $accent; text-style: $heading-focus-style; }
    Results > RichLog { height: 1fr; background: $background; padding: 0 1; scrollbar-size-vertical: 1; }
    Results > ResultTable { display: none; }
    Results > ResultTable.shown { display: block; }
    Results.rows > RichLog { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "result(1)", mark("Next result"), show=False),
        Binding("p", "result(-1)", mark("Previous result"), show=False),
        Binding("m", "messages", mark("Messages"), show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._results: list[tuple[Result, ResultTable]] = []
        self._shown = -1

    def compose(self) -> ComposeResult:
        yield Static("", id="result-title", markup=False)
        yield RichLog(max_lines=MESSAGE_LINES, min_width=0, wrap=True, markup=False, highlight=False, id="messages")

    # -- told by the console

    async def clear(self) -> None:
        """Away with the results of the run before; the messages stay."""
        for _result, table in self._results:
            await table.remove()
        self._results = []
        self._shown = -1
        self._show_title()

    async def began(self, columns: tuple[Column, ...]) -> None:
        """A new result set; the first one is shown at once."""
        result = Result(ResultRows(columns))
        table = ResultTable(result.rows)
        self._results.append((result, table))
        await self.mount(table)
        if len(self._results) > MOST_RESULTS:
            _old, old_table = self._results.pop(0)
            await old_table.remove()
            self._shown = max(self._shown - 1, 0)
        if len(self._results) == 1:
            self._show(0)
        else:
            self._show_title()

    def arrived(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Rows of the result set that began last."""
        if not self._results:
            return
        result, table = self._results[-1]
        table.rows_arrived(batches)
        result.bytes = int(result.rows.data.nbytes)
        self._show_title()

    def ended(self, event: ResultEnded) -> None:
        """A result set or a statement without one is over."""
        if event.rows is not None and self._results:
            result, _table = self._results[-1]
            result.state = "truncated" if event.truncated else "exact"
            result.took = event.seconds
            self._show_title()
            return
        status = visible_line(event.status)
        if not status and event.affected is not None and event.affected >= 0:
            status = translate_many("{count} row affected", "{count} rows affected", event.affected).format(
                count=f"{event.affected:,}"
            )
        self.write(Text(f"✓ {status or _('done')} · {seconds(event.seconds)}", style="ok"))

    def noticed(self, notice: Notice) -> None:
        """The server said something."""
        self.write(Text(visible(f"{notice.severity}: {notice.message}"), style="muted"))

    def failed(self, error: DatabaseError, took: float) -> None:
        """The statement ended with an error."""
        if self._results and self._results[-1][0].state == "running":
            result = self._results[-1][0]
            result.state = "cancelled" if error.cancelled else "failed"
            result.took = took
        text = Text()
        head = _("Cancelled") if error.cancelled else _("Error")
        code = f" {visible_line(error.code)}" if error.code else ""
        text.append(f"✗ {head}{code}: ", style="warning" if error.cancelled else "danger")
        text.append(visible(error.message))
        for label, more in ((_("Detail"), error.detail), (_("Hint"), error.hint)):
            if more:
                text.append(f"\n  {label}: ", style="bold")
                text.append(visible(more))
        text.append(f" · {seconds(took)}", style="muted")
        self.write(text)
        if not self._results or self._results[-1][0].rows.row_count == 0:
            self.action_messages()
        self._show_title()

    def write(self, text: Text) -> None:
        """A line for the messages; shown when there is no result to show."""
        self.query_one("#messages", RichLog).write(text)
        if not self._results:
            self._show(-1)

    # -- showing

    @property
    def table(self) -> ResultTable | None:
        """The table that is shown."""
        return self._results[self._shown][1] if 0 <= self._shown < len(self._results) else None

    def _show(self, index: int) -> None:
        had_focus = self.has_focus_within
        self._shown = index
        self.set_class(index >= 0, "rows")
        for number, (_result, table) in enumerate(self._results):
            table.set_class(number == index, "shown")
        self._show_title()
        if had_focus:
            self.focus_inside()

    def focus_inside(self) -> None:
        """Focuses the table, or the messages."""
        target = self.table or self.query_one("#messages", RichLog)
        target.focus()

    def _show_title(self) -> None:
        title = Text(no_wrap=True, overflow="ellipsis")
        if 0 <= self._shown < len(self._results):
            if len(self._results) > 1:
                title.append(
                    _("Result {number} of {count}").format(number=self._shown + 1, count=len(self._results)) + "  ",
                    style="bold",
                )
            title.append_text(self._results[self._shown][0].title())
        else:
            title.append(_("Messages"), style="bold")
            if self._results:
                title.append("  " + _("n: the result"), style="muted")
        self.query_one("#result-title", Static).update(title)

    def action_result(self, step: int) -> None:
        if self._results:
            self._show((self._shown + step) % len(self._results) if self._shown >= 0 else 0)

    def action_messages(self) -> None:
        self._show(-1)
