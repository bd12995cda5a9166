"""Running statements: one at a time, up to the first error, and what comes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rich.text import Text
from textual.message import Message

from backends.connection import (
    BudgetReached,
    ResultBegan,
    ResultEnded,
    RowsArrived,
    RunEvent,
    RunFailed,
)
from backends.interface import Notice
from backends.row_store import RowStore
from backends.statements import first_word, split, statement_at
from backends.visible_text import visible_line
from bastion.api.language import translate as _
from bastion.api.language import translate_many

from ..widgets.editor import SqlEditor
from ..widgets.results import Results
from ..words import sentence, size
from ..workstation import Page
from .at_hand import CONNECTION_ERRORS, AtHand, ConnectionEnded, ends_connection
from .guard import WriteGuard
from .history import History
from .stage import Stage
from .transactions import Transactions


@dataclass(frozen=True)
class Piece:
    """A statement to run, and where it starts in the editor: characters before it, and its line from 1."""

    text: str
    start: int
    line: int = 1
    exact: bool = True
    """False: the text is not as it stands in the editor, so that a place of an error in it means nothing there."""


BELL_SECONDS = 10.0
"""After so long the terminal's bell says that a run is over."""

CATALOG_WORDS = frozenset({"create", "alter", "drop", "rename", "comment"})
"""What a statement begins with after which the catalog may be another one."""


class CatalogChanged(Message):
    """Something was made, altered or dropped."""


class Ran(Message):
    """Something came from the connection's thread."""

    def __init__(self, run: int, event: RunEvent) -> None:
        super().__init__()
        self.run, self.event = run, event


def pieces_at_cursor(editor: SqlEditor, engine: str) -> list[Piece]:
    """What is selected, else the statement at the cursor."""
    selected = editor.selected_text
    if selected.strip():
        start = editor.offset_of(min(editor.selection.start, editor.selection.end))
        return [_piece(editor.text, start + s.start, selected[s.start : s.end]) for s in split(selected, engine)]
    text = editor.text
    span = statement_at(text, editor.cursor_offset, engine)
    return [] if span is None else [_piece(text, span.start, text[span.start : span.end])]


def all_pieces(editor: SqlEditor, engine: str) -> list[Piece]:
    """Every statement of the editor."""
    text = editor.text
    return [_piece(text, span.start, text[span.start : span.end]) for span in split(text, engine)]


def _piece(text: str, start: int, statement: str) -> Piece:
    return Piece(statement, start, text.count("\n", 0, start) + 1)


class Running:
    """One run at a time; `number` tells its events from those of a run before it."""

    def __init__(
        self,
        page: Page,
        at_hand: AtHand,
        stage: Stage,
        transactions: Transactions,
        guard: WriteGuard,
        history: History,
    ) -> None:
        self._page, self._at_hand, self._stage = page, at_hand, stage
        self._transactions, self._guard, self._history = transactions, guard, history
        self.now = False
        """Something runs on the connection, or is asked about before or after."""
        self.sent: Piece | None = None
        """The statement that the database has now."""
        self.sent_last: Piece | None = None
        """The one that failed last, in this run."""
        self.cancel_asked = False
        self.cancelled = False
        """The database has ended what this run sent because it was told to."""
        self.number = 0
        self._piece: Piece | None = None
        self._store: RowStore | None = None
        self._rows = 0
        self._catalog_changed = False

    def forget(self) -> None:
        """The connection is gone: nothing runs, and what still arrives is of no run."""
        self.now = False
        self.sent = None
        self.number += 1

    def start(self, pieces: list[Piece]) -> None:
        """Runs `pieces` in order, up to the first error; nothing while another run lasts."""
        if self._at_hand.database is None or self.now or not pieces:
            return
        self._page.run_worker(self.run(pieces), group="run")

    @asynccontextmanager
    async def occupied(self, words: str) -> AsyncIterator[int]:
        """While something is done on the connection that can be cancelled; gives the run's number."""
        self.now = True
        self.number += 1
        self.cancel_asked = self.cancelled = False
        self.sent_last = None
        run = self.number
        self._store, self._rows = None, 0
        self._page.refresh_bindings()
        self._stage.begin(words, self._progress)
        try:
            yield run
        finally:
            if run == self.number:
                self.now = False
                self.sent = None
                # Not before what the connection's thread has posted is shown.
                self._page.call_later(self._over, run)

    async def _over(self, run: int) -> None:
        if run != self.number:
            return
        if self.cancel_asked and not self.cancelled:
            self._stage.say(_("It was over before the order to cancel arrived."), lasting=True)
        await self._transactions.refresh()

    async def run(self, pieces: list[Piece], *, remembered: bool = True) -> bool:
        """Until the last of `pieces` is done or one fails; whether all were. `remembered`: the history has them."""
        if self.now or self._at_hand.database is None:
            return False
        many, began = len(pieces) > 1, self._stage.clock()
        async with self.occupied(_words(1, len(pieces))) as run:
            self._page.query_one(SqlEditor).clear_error()
            await self._page.query_one(Results).clear()
            failed = True
            try:
                for number, piece in enumerate(pieces, 1):
                    if not await self._guard.admit(piece.text):
                        self._write(_("Not sent."), number, pieces)
                        break
                    self._stage.begin(_words(number, len(pieces)), self._progress)
                    if not await self._send(piece, run, remembered=remembered):
                        if many:
                            self._write(_("It failed."), number, pieces)
                        break
                else:
                    failed = False
            except CONNECTION_ERRORS as error:
                self._refused(error)
            try:
                if run == self.number:
                    await self._guard.settle(failed=failed)
            except CONNECTION_ERRORS as error:
                self._refused(error)
        if self._catalog_changed:
            self._catalog_changed = False
            self._page.post_message(CatalogChanged())
        if self._stage.clock() - began >= BELL_SECONDS:
            self._page.app.bell()  # somebody looks elsewhere by now
        return not failed

    async def _send(self, piece: Piece, run: int, *, remembered: bool) -> bool:
        """Runs one statement. False when it failed, or the connection is another one meanwhile."""
        console = self._at_hand.database
        if console is None or run != self.number:
            return False
        self._piece = self.sent = piece
        ended: list[RunEvent] = []

        def listen(event: RunEvent) -> None:
            if isinstance(event, RunFailed | ResultEnded):
                ended.append(event)
            self._page.post_message(Ran(run, event))

        try:
            await console.run(piece.text, listen)
        finally:
            if remembered:
                self._history.add(piece.text, ended)
        if run != self.number:
            return False
        self.sent = None
        if any(isinstance(event, RunFailed) for event in ended):
            self.sent_last = piece
            return False
        if first_word(piece.text, console.engine) in CATALOG_WORDS:
            self._catalog_changed = True
        self._guard.done(piece.text, ", ".join(_said(event) for event in ended if isinstance(event, ResultEnded)))
        return True

    def _refused(self, error: BaseException) -> None:
        """Not what a statement did: what was asked of the connection around it."""
        self._page.query_one(Results).write(Text(f"✗ {sentence(error)}", style="danger"))
        if ends_connection(error):
            self._page.post_message(ConnectionEnded())

    def _write(self, text: str, number: int, pieces: list[Piece]) -> None:
        """Which statement of several the run stopped at."""
        said = text
        if len(pieces) > 1:
            said = _("Statement {number} of {count}, line {line}: {what}").format(
                number=number, count=len(pieces), line=pieces[number - 1].line, what=text
            )
            rest = len(pieces) - number
            if rest:
                said += " " + translate_many(
                    "{count} statement after it was not run.", "{count} statements after it were not run.", rest
                ).format(count=rest)
        self._page.query_one(Results).write(Text(f"✗ {said}", style="warning"))

    def _progress(self) -> str:
        rows = self._store.rows if self._store is not None else self._rows
        if not rows:
            return ""
        return translate_many("{count} row so far", "{count} rows so far", rows).format(count=f"{rows:,}")

    async def happened(self, message: Ran) -> bool:
        """Shows an event. True when the connection to the database has ended with it."""
        if message.run != self.number:
            return False
        results = self._page.query_one(Results)
        event = message.event
        if isinstance(event, RowsArrived):
            self._rows += event.batch.num_rows if event.batch is not None else 0
            results.arrived([event.batch])
        elif isinstance(event, ResultBegan):
            self._store = event.store
            await results.began(event)
        elif isinstance(event, ResultEnded):
            results.ended(event)
        elif isinstance(event, BudgetReached):
            how = (
                _("the statement is cancelled")
                if event.cancelling
                else _("its rest is read and dropped, since cancelling would undo it; F8 cancels")
            )
            self._stage.say(_("{size} of rows are kept; {how}").format(size=size(event.bytes), how=how))
        elif isinstance(event, Notice):
            results.noticed(event)
        else:
            return self._failed(event)
        return False

    def cancel_confirmed(self) -> None:
        """The database ended what ran because it was told to."""
        self.cancelled = True
        self._stage.say(_("Cancelled, the database confirmed it; the connection is kept."), lasting=True)

    def _failed(self, event: RunFailed) -> bool:
        error = event.error
        self._page.query_one(Results).failed(error, event.seconds)
        if error.cancelled:
            self.cancel_confirmed()
        elif error.position is not None and self._piece is not None and self._piece.exact:
            self._page.query_one(SqlEditor).show_error(self._piece.start + error.position)
        return error.connection_lost


def _words(number: int, count: int) -> str:
    many = f" {number}/{count}" if count > 1 else ""
    return _("Running{many} …").format(many=many)


def _said(event: ResultEnded) -> str:
    """What the server said of a statement, on one line."""
    if event.affected is not None and event.affected >= 0:
        return translate_many("{count} row affected", "{count} rows affected", event.affected).format(
            count=f"{event.affected:,}"
        )
    return visible_line(event.status) or _("done")
