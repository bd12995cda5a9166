"""What came of the statements: result sets, one shown at a time, and the messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa
from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from backends.connection import ResultBegan, ResultEnded
from backends.interface import Column, DatabaseError, Notice
from backends.row_store import RowStore
from backends.visible_text import visible, visible_line
from bastion.api.language import translate as _
from bastion.api.language import translate_many

from ..words import mark, seconds, sentence
from .message_log import MessageLog
from .result import Result
from .result_actions import ResultActions
from .result_table import ResultTable

MOST_RESULTS = 20
"""Result sets kept; the oldest goes when there are more."""


class Results(Vertical):
    """The lower part of the console."""

    DEFAULT_CSS = """
    Results { height: 1fr; }
    Results > #result-tabs { height: 1; background: $panel; display: none; }
    Results.several > #result-tabs { display: block; }
    Results > #result-title { height: 1; background: $panel; padding: 0 1; }
    Results:focus-within > #result-title { color: $accent; text-style: $heading-focus-style; }
    Results > MessageLog { height: 1fr; background: $background; padding: 0 1; scrollbar-size-vertical: 1; }
    Results > ResultTable { display: none; }
    Results > ResultTable.shown { display: block; }
    Results.rows > MessageLog { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "result(1)", mark("Next result"), show=False),
        Binding("p", "result(-1)", mark("Previous result"), show=False),
        Binding("m", "messages", mark("Messages"), show=False),
    ]

    class FollowWanted(Message):
        """The person wants to go along the foreign keys of the value at `index` of a row."""

        def __init__(self, columns: Sequence[Column], row: Sequence[str | None], index: int) -> None:
            super().__init__()
            self.columns, self.row, self.index = columns, row, index

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._results: list[Result] = []
        self._shown = -1
        self._actions = ResultActions(self)

    def compose(self) -> ComposeResult:
        yield Static("", id="result-tabs", markup=False)
        yield Static("", id="result-title", markup=False)
        yield MessageLog(id="messages")

    # -- told by the console

    async def clear(self) -> None:
        """Away with the results of the run before; the messages stay."""
        results, self._results, self._shown = self._results, [], -1
        self._show(-1)
        for result in results:
            await self._drop(result)

    async def _drop(self, result: Result) -> None:
        self._actions.stop(result)
        await result.table.remove()
        result.table.store.close()

    async def on_unmount(self) -> None:
        for result in self._results:
            self._actions.stop(result)
            result.table.store.close()

    async def began(self, event: ResultBegan) -> None:
        """A new result set; the first one is shown at once. Without a store its rows come with `arrived`."""
        table = ResultTable(event.store or RowStore.in_shared_space(event.columns))
        result = Result(table, owned=event.store is None, statement=event.statement, engine=event.engine)
        result.session = event.session
        self._results.append(result)
        await self.mount(table)
        if len(self._results) > MOST_RESULTS:
            await self._drop(self._results.pop(0))
            self._shown = max(self._shown - 1, 0)
        if len(self._results) == 1:
            self._show(0)
        else:
            self._show_title()

    def arrived(self, batches: Sequence[pa.RecordBatch | None]) -> None:
        """Rows of the result set that began last; None: they are in its store already."""
        if not self._results:
            return
        result = self._results[-1]
        if result.owned:
            for batch in batches:
                if batch is not None:
                    result.table.store.append(batch)
        result.table.rows_arrived()
        self._show_title()

    def ended(self, event: ResultEnded) -> None:
        """A result set or a statement without one is over."""
        if event.rows is not None and self._results:
            result = self._results[-1]
            result.state = "truncated" if event.truncated else "exact"
            self._over(result, event.seconds)
            return
        status = visible_line(event.status)
        if not status and event.affected is not None and event.affected >= 0:
            status = translate_many("{count} row affected", "{count} rows affected", event.affected).format(
                count=f"{event.affected:,}"
            )
        self.write(Text(f"✓ {status or _('done')} · {seconds(event.seconds)}", style="ok"))

    def _over(self, result: Result, took: float) -> None:
        result.took = took
        if result.table.store.on_disk:
            result.table.store.trim()
        result.table.rows_arrived()
        if result.wanted:
            self._actions.arrange(result, result.wanted)
        self._show_title()

    def noticed(self, notice: Notice) -> None:
        """The server said something."""
        self.write(Text(visible(f"{notice.severity}: {notice.message}"), style="muted"))

    def failed(self, error: DatabaseError, took: float) -> None:
        """The statement ended with an error."""
        if self._results and self._results[-1].state == "running":
            result = self._results[-1]
            result.state = "cancelled" if error.cancelled else "failed"
            self._over(result, took)
        text = Text()
        head = _("Cancelled") if error.cancelled else _("Error")
        code = f" {visible_line(error.code)}" if error.code else ""
        text.append(f"✗ {head}{code}: ", style="warning" if error.cancelled else "danger")
        text.append(visible(error.message))
        for label, more in ((_("Detail"), error.detail), (_("Hint"), error.hint)):
            if more:
                text.append(f"\n  {label}: ", style="bold")
                text.append(visible(more))
        if took > 0:  # else it was not sent at all
            text.append(f" · {seconds(took)}", style="muted")
        self.write(text)
        if not self._results or self._results[-1].table.store.rows == 0:
            self.action_messages()
        self._show_title()

    def write(self, text: Text) -> None:
        """A line for the messages; shown when there is no result to show."""
        self.query_one("#messages", MessageLog).add(text)
        if not self._results:
            self._show(-1)

    # -- showing

    @property
    def result(self) -> Result | None:
        """The result that is shown."""
        return self._results[self._shown] if 0 <= self._shown < len(self._results) else None

    @property
    def table(self) -> ResultTable | None:
        """The table that is shown."""
        return None if self.result is None else self.result.table

    def result_of(self, table: ResultTable) -> Result | None:
        """The result that `table` shows."""
        return next((result for result in self._results if result.table is table), None)

    def _show(self, index: int) -> None:
        had_focus = self.has_focus_within
        self._shown = index
        self.set_class(index >= 0, "rows")
        for number, result in enumerate(self._results):
            result.table.set_class(number == index, "shown")
        self._show_title()
        if had_focus:
            self.focus_inside()

    def focus_inside(self) -> None:
        """Focuses the table, or the messages."""
        target = self.table or self.query_one("#messages", MessageLog)
        target.focus()

    def title_changed(self) -> None:
        """What a title says is no longer so."""
        self._show_title()

    def _show_title(self) -> None:
        title = Text(no_wrap=True, overflow="ellipsis")
        if self.result is not None:
            title.append_text(self.result.title())
            if not self.result.table.store.rows and self.result.state == "exact":
                title = Text(_("No rows · {time}").format(time=seconds(self.result.took)), no_wrap=True)
        else:
            title.append(_("Messages"), style="bold")
            if self._results:
                title.append("  " + _("n: the result"), style="muted")
        self.query_one("#result-title", Static).update(title)
        several = len(self._results) > 1
        self.set_class(several, "several")
        if several:
            self.query_one("#result-tabs", Static).update(self._tabs())

    def _tabs(self) -> Text:
        """The results by number, the shown one in full; those that do not fit are left out around it."""
        labels = [_("m Messages")] + [str(number) for number in range(1, len(self._results) + 1)]
        at = self._shown + 1
        if self.result is not None:
            labels[at] = f"{at}/{len(self._results)} {self.result.label()}"
        room = max(self.size.width - cell_len(labels[at]) - 8, 0)
        first, last = at, at
        while True:
            before = cell_len(labels[first - 1]) + 2 if first > 0 else room + 1
            after = cell_len(labels[last + 1]) + 2 if last + 1 < len(labels) else room + 1
            if min(before, after) > room:
                break
            if before <= after:
                first, room = first - 1, room - before
            else:
                last, room = last + 1, room - after
        tabs = Text("‹" if first else " ", no_wrap=True, overflow="ellipsis")
        for number in range(first, last + 1):
            tabs.append(f" {labels[number]} ", style="selection-idle" if number == at else "")
        tabs.append("›" if last + 1 < len(labels) else "")
        return tabs

    def action_result(self, step: int) -> None:
        if self._results:
            self._show((self._shown + step) % len(self._results) if self._shown >= 0 else 0)

    def step_back(self) -> bool:
        """From the messages to the result that there is."""
        if self.result is None and self._results and self.has_focus_within:
            self._show(len(self._results) - 1)
            return True
        return False

    def action_messages(self) -> None:
        self._show(-1)

    # -- asked by the table

    @on(ResultTable.Moved)
    def _moved(self, message: ResultTable.Moved) -> None:
        message.stop()
        self._show_title()

    @on(ResultTable.Asked)
    def _asked(self, message: ResultTable.Asked) -> None:
        message.stop()
        result = self.result_of(message.table)
        if result is not None:
            self._actions.start(message.what, result)

    @on(ResultTable.Copied)
    def _copied(self, message: ResultTable.Copied) -> None:
        message.stop()
        self._actions.copy(message.text, _("the cell"))

    @on(ResultTable.Unreadable)
    def _unreadable(self, message: ResultTable.Unreadable) -> None:
        message.stop()
        self._actions.tell(sentence(message.error), bad=True)
