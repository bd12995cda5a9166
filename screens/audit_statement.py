"""One statement of the record: all of its text, what is known of it, and what the database returned."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len, chop_cells
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from backends.link import LinkError
from backends.visible_text import visible, visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .audit_columns import STATEMENT_STATES, binds_of
from .widgets.confirmation import TextQuestion
from .widgets.text_view import TextView
from .words import clock_time, mark, seconds, sentence
from .workstation import Dialog

WIDEST_CELL = 60
MOST_LINES = 100_000
"""Lines of a statement and its result that are held in view."""

WHY = {
    "statement": mark("the rest was not kept: the limit of one statement was reached"),
    "session": mark("the rest was not kept: the limit of one session was reached"),
    "behind": mark("the recording could not keep up with the database"),
    "died": mark("not kept: the bastion died before it was written"),
    "running": mark("the statement is still running"),
    "not-yet": mark("it is not in the recording's file yet"),
    "not-recorded": mark("nothing of this session was recorded"),
    "deleted": mark("it was deleted by retention"),
    "not-run": mark("the statement was never run"),
    "no-answer": mark("the database sent no answer of its own for it"),
    "other-node": mark("the recording is on the node that the session ran on"),
    "missing": mark("the recording has nothing of it"),
    "damaged": mark("the recording was altered or is damaged"),
    "authentication": mark("it was a login, of which nothing is kept"),
}


class StatementDialog(Dialog[str | None]):
    """Gives `replay` where the session is to be replayed from here."""

    DEFAULT_CSS = """
    StatementDialog > Vertical { width: 98%; height: 96%; padding: 0 1; }
    StatementDialog TextView { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", mark("Close"), key_display="Esc"),
        Binding("n", "more", mark("More rows")),
        Binding("u", "unmask", mark("Show the values")),
        Binding("r", "replay", mark("Replay")),
        Binding("c", "copy", mark("Copy statement")),
    ]

    def __init__(self, statement: m.Statement) -> None:
        super().__init__()
        self._statement = statement
        self._pages: list[m.StatementResult] = []
        self._failure = ""
        self._reason = ""

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = visible_line(f"{self._statement.session} #{self._statement.seq}")
            yield TextView()

    def on_mount(self) -> None:
        self.query_one(TextView).focus()
        self._show()
        if self.workstation.has_role("auditor"):
            self._load(0)

    def on_resize(self) -> None:
        self._show()

    @work(exclusive=True, group="result")
    async def _load(self, after: int) -> None:
        request = methods.ShowRequest(
            session=self._statement.session, seq=self._statement.seq, after=after, limit=1000,
            unmask=bool(self._reason), reason=self._reason,
        )  # fmt: skip
        try:
            page: m.StatementResult = await self.workstation.bastion.call(methods.RESULT, request)
        except (Refused, LinkError) as error:
            self._failure = sentence(error)
        else:
            self._failure = ""
            self._pages = [*self._pages, page] if after else [page]
        self._show(keep=after > 0)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "more":
            return bool(self._pages) and self._pages[-1].next is not None
        if action == "unmask":
            return bool(self._pages) and self._pages[-1].masked
        if action == "replay":
            return self.workstation.has_role("auditor")
        return True

    # -- showing

    def _show(self, *, keep: bool = False) -> None:
        view = self.query_one(TextView)
        place = view.scroll_offset.y
        lines = [*self._head(), *self._result_lines()][:MOST_LINES]
        view.show(lines)
        if keep:
            view.scroll_to(y=place, animate=False)
        self.refresh_bindings()

    def _head(self) -> list[Text]:
        s = self._statement
        room = max(self.size.width - 8, 30)
        lines = [line for text in visible(s.text).split("\n") for line in _wrapped(text, room)]
        local = self.workstation.services.local_time
        facts = [
            clock_time(s.at, local=local, with_date=True), s.user, f"{s.database}/{s.account}", s.kind,
            _(STATEMENT_STATES.get(s.state, s.state)),
        ]  # fmt: skip
        if s.rows is not None:
            facts.append(_("{count} rows").format(count=f"{s.rows:,}"))
        if s.duration_ms is not None:
            facts.append(seconds(s.duration_ms / 1000))
        if s.verdict != "allowed":
            facts.append(s.verdict)
        lines += [Text(""), *(_styled(line, "muted") for line in _wrapped(visible_line(" · ".join(facts)), room))]
        if s.binds is not None:
            words = visible_line(_("binds: {binds}").format(binds=binds_of(s.binds)))
            lines += [_styled(line, "muted") for line in _wrapped(words, room)]
        if s.error:
            lines += [
                _styled(line, "danger") for text in visible("✗ " + s.error).split("\n") for line in _wrapped(text, room)
            ]
        return lines

    def _result_lines(self) -> list[Text]:
        if self._failure:
            return [Text(""), _styled(Text(self._failure), "danger")]
        if not self._pages:
            return []
        first = self._pages[0]
        lines = [Text(""), Text(self._kept(first), style="accent")]
        if first.masked:
            lines.append(Text(_("Values are masked: u shows them, for a reason that goes on record."), style="warning"))
        for page in self._pages:
            for result in page.results:
                lines += _table(result)
            lines += [Text(visible_line(f"{said.severity} {said.message}"), style="muted") for said in page.said]
            lines += [_styled(Text(visible_line(error)), "danger") for error in page.errors]
            if page.detail:
                lines.append(_styled(Text(visible_line(page.detail)), "danger"))
        if self._pages[-1].next is not None:
            lines.append(Text(_("There are more rows: n shows them."), style="warning"))
        return lines

    def _kept(self, page: m.StatementResult) -> str:
        why = visible_line(_(WHY[page.why]) if page.why in WHY else page.why)
        if page.kept == "whole":
            return _("The result, whole")
        if page.kept == "part":
            return _("The beginning of the result: {why}").format(why=why)
        return _("No result: {why}").format(why=why)

    # -- what the person does

    def action_more(self) -> None:
        after = self._pages[-1].next if self._pages else None
        if after is not None:
            self._load(after)

    @work(exclusive=True, group="ask")
    async def action_unmask(self) -> None:
        """The values, for a reason."""
        reason = await self.app.push_screen_wait(TextQuestion(_("Why do you need to see the values?")))
        if reason and reason.strip():
            self._reason = reason.strip()
            self._load(0)

    def action_replay(self) -> None:
        self.dismiss("replay")

    def action_copy(self) -> None:
        self.workstation.copy(self._statement.text, _("the statement"))

    def action_leave(self) -> None:
        self.dismiss(None)


def _wrapped(text: str, room: int) -> list[Text]:
    return [Text(piece) for piece in chop_cells(text, room)] if cell_len(text) > room else [Text(text)]


def _styled(text: Text, style: str) -> Text:
    text.stylize(style)
    return text


def _table(result: m.ResultSet) -> list[Text]:
    """Rows under their columns, each column as wide as it needs, up to WIDEST_CELL."""
    lines: list[Text] = []
    names = [visible_line(column.name) for column in result.columns]
    rows = [["NULL" if value is None else visible_line(value) for value in row] for row in result.rows]
    if names and (rows or result.first_row <= 1):
        widths = [
            min(max([cell_len(name), *(cell_len(row[at]) for row in rows if at < len(row))]), WIDEST_CELL)
            for at, name in enumerate(names)
        ]
        if result.first_row <= 1:
            lines += [Text(""), _styled(_line(names, widths), "bold")]
        for row in rows:
            lines.append(_line(row if len(row) == len(widths) else [*row, *[""] * len(widths)][: len(widths)], widths))
    if result.ended and (result.tag or result.count is not None):
        tag = result.tag or _("{count} rows").format(count=f"{result.count:,}")
        lines.append(_styled(Text(visible_line(tag)), "muted"))
    return lines


def _line(cells: list[str], widths: list[int]) -> Text:
    line = Text()
    for cell, width in zip(cells, widths, strict=True):
        piece = Text(cell)
        piece.truncate(width, overflow="ellipsis", pad=True)
        line.append_text(piece)
        line.append("  ")
    return line
