"""What a statement returned, as it was recorded: the same tables as in the console, filled from the record."""

from __future__ import annotations

import re

from rich.text import Text

from backends import arrow
from backends.connection import ResultBegan, ResultEnded
from backends.interface import Column, Kind
from backends.visible_text import visible, visible_line
from bastion.api import messages as m
from bastion.api.language import translate as _

from ..words import mark, size
from .result_table import ResultTable
from .results import Results

WHY = {
    "statement": mark("cut: the limit of what is kept of one statement was reached"),
    "session": mark("cut: the limit of what is kept of one session was reached"),
    "upload": mark("cut: the limit of what is kept of streamed data was reached"),
    "behind": mark("cut: the recording could not keep up"),
    "died": mark("not kept: the bastion died before it was written"),
    "running": mark("so far: the statement is still running"),
    "not-yet": mark("not in the recording yet"),
    "not-recorded": mark("not recorded: results were not kept then"),
    "deleted": mark("it was deleted by retention"),
    "not-run": mark("the statement was never run"),
    "no-answer": mark("the database sent no answer of its own for it"),
    "other-node": mark("its recording is on another node"),
    "missing": mark("the recording has nothing of it"),
    "damaged": mark("the recording was altered or is damaged"),
    "authentication": mark("a login: nothing of it is kept"),
}
NOT_WHOLE = ("statement", "session", "behind", "died", "damaged")

_NUMBER = re.compile(r"int|serial|numeric|decimal|float|double|real|money|number|oid|year", re.IGNORECASE)
_TIME = re.compile(r"time|date|interval", re.IGNORECASE)
_BINARY = re.compile(r"bytea|blob|binary|raw", re.IGNORECASE)
SENT_CHARACTERS = 20_000


def kind_of(type_name: str) -> Kind:
    """How values of a type are shown, by its name."""
    if "json" in type_name.lower():
        return Kind.JSON
    if _BINARY.search(type_name):
        return Kind.BINARY
    if type_name.lower() in ("bool", "boolean"):
        return Kind.BOOLEAN
    if _TIME.search(type_name):
        return Kind.TIME
    return Kind.NUMBER if _NUMBER.search(type_name) else Kind.TEXT


class RecordedResults(Results):
    """Of one statement. Filled page by page."""

    def __init__(self, engine: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._engine = engine
        self._set_number = 0
        """The number of the result set that began last."""
        self._set_over = True
        self.rows = 0

    async def take(self, answer: m.StatementResult) -> None:
        """A page of it."""
        statement = answer.statement
        took = (statement.duration_ms or 0.0) / 1000
        for found in answer.results:
            if found.columns:
                if found.number != self._set_number:
                    self._set_number, self._set_over = found.number, False
                    columns = tuple(Column(column.name, column.type, kind_of(column.type)) for column in found.columns)
                    await self.began(ResultBegan(columns, statement=statement.text, engine=self._engine))
                if found.rows and self._results:
                    rows = [tuple(row) for row in found.rows]
                    self.arrived([arrow.batch(self._results[-1].table.columns, rows)])
                    self.rows += len(rows)
                if found.ended:
                    self._set_over = True
                    self.ended(ResultEnded(found.tag, None, len(found.rows), took))
            elif found.ended:
                self.ended(ResultEnded(found.tag, found.count, None, took))
        for said in answer.said:
            self.write(Text(visible(f"{said.severity}: {said.message}"), style="muted"))
        for error in answer.errors:
            self.write(Text(visible(error), style="danger"))
        if answer.sent is not None:
            self._show_sent(answer.sent)

    def no_more(self, answer: m.StatementResult) -> None:
        """The last page was taken, or no more are."""
        if not self._set_over and self._results:
            took = (answer.statement.duration_ms or 0.0) / 1000
            if answer.why == "running":
                self.title_changed()
            else:
                self.ended(ResultEnded("", None, 0, took, truncated=True))
        if answer.detail:
            self.write(Text(visible(answer.detail), style="danger"))
        if not self._results and answer.kept == "none":
            self.write(Text(kept_words(answer), style="muted"))
        self.title_changed()

    def _show_sent(self, sent: m.SentData) -> None:
        words = _("Sent in by the client: {kept} of {total}").format(
            kept=size(sent.bytes_kept), total=size(sent.bytes_total)
        )
        if sent.why:
            words += " · " + _(WHY.get(sent.why, sent.why))
        self.write(Text(words, style="muted"))
        if sent.data:
            self.write(Text(visible(sent.data[:SENT_CHARACTERS])))

    def on_result_table_asked(self, message: ResultTable.Asked) -> None:
        """What leads into the database, or out of the record, is not done from here."""
        if message.what in ("follow", "export"):
            message.stop()
            message.prevent_default()
            from ..workstation import Workstation

            app: object = self.app
            assert isinstance(app, Workstation)
            app.told(
                _("`casemate audit show` writes what is recorded: --csv, --json.")
                if message.what == "export"
                else _("A record leads to no other table."),
                bad=True,
            )


def kept_words(answer: m.StatementResult) -> str:
    """What is here of a statement's answer, in words."""
    if answer.kept == "whole":
        return _("recorded whole, {size}").format(size=size(answer.bytes_kept))
    why = visible_line(_(WHY.get(answer.why, answer.why)))
    if answer.why.startswith("failed:"):
        why = _("cut: the disk refused ({reason})").format(reason=visible_line(answer.why.partition(":")[2].strip()))
    if answer.kept == "part":
        if answer.bytes_total is None:
            return _("{why} · {size}").format(why=why, size=size(answer.bytes_kept))
        return _("{why} · {size} of {total}").format(
            why=why, size=size(answer.bytes_kept), total=size(answer.bytes_total)
        )
    return why
