"""Running statements: one at a time, up to the first error, and what comes of them."""

from __future__ import annotations

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
from backends.statements import split, statement_at
from bastion.api.language import translate as _

from ..widgets.editor import SqlEditor
from ..widgets.results import Results
from ..words import sentence, size
from ..workstation import Page
from .at_hand import CONNECTION_ERRORS, AtHand
from .history import History
from .stage import Stage
from .transactions import Transactions


@dataclass(frozen=True)
class Piece:
    """A statement to run, and where it starts in the editor."""

    text: str
    start: int


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
        return [Piece(selected[s.start : s.end], start + s.start) for s in split(selected, engine)]
    text = editor.text
    span = statement_at(text, editor.cursor_offset, engine)
    return [] if span is None else [Piece(text[span.start : span.end], span.start)]


def all_pieces(editor: SqlEditor, engine: str) -> list[Piece]:
    """Every statement of the editor."""
    text = editor.text
    return [Piece(text[span.start : span.end], span.start) for span in split(text, engine)]


class Running:
    """One run at a time; `number` tells its events from those of a run before it."""

    def __init__(self, page: Page, at_hand: AtHand, stage: Stage, transactions: Transactions, history: History) -> None:
        self._page, self._at_hand, self._stage = page, at_hand, stage
        self._transactions, self._history = transactions, history
        self.now = False
        """A statement runs."""
        self.number = 0
        self._piece: Piece | None = None

    def forget(self) -> None:
        """The connection is gone: nothing runs, and what still arrives is of no run."""
        self.now = False
        self.number += 1

    def start(self, pieces: list[Piece]) -> None:
        """Runs `pieces` in order, up to the first error; nothing while another run lasts."""
        if self._at_hand.database is None or self.now or not pieces:
            return
        self.now = True
        self.number += 1
        self._page.run_worker(self._run(pieces, self.number), group="run")

    async def _run(self, pieces: list[Piece], run: int) -> None:
        console = self._at_hand.database
        if console is None:
            return
        self._page.query_one(SqlEditor).clear_error()
        await self._page.query_one(Results).clear()
        for piece in pieces:
            self._history.add(piece.text)
        self._page.refresh_bindings()
        try:
            for number, piece in enumerate(pieces, 1):
                many = f" {number}/{len(pieces)}" if len(pieces) > 1 else ""
                self._stage.say(_("Running{many} …").format(many=many))
                self._piece = piece
                failed = False

                def listen(event: RunEvent) -> None:
                    nonlocal failed
                    failed = failed or isinstance(event, RunFailed)
                    self._page.post_message(Ran(run, event))

                await console.run(piece.text, listen)
                if failed:
                    break
        except CONNECTION_ERRORS as error:
            self._page.query_one(Results).write(Text(f"✗ {sentence(error)}", style="danger"))
        finally:
            if run == self.number:
                self.now = False
                self._page.call_later(self._over, run)

    async def _over(self, run: int) -> None:
        if run == self.number:
            await self._transactions.refresh()

    async def happened(self, message: Ran) -> bool:
        """Shows an event. True when the connection to the database has ended with it."""
        if message.run != self.number:
            return False
        results = self._page.query_one(Results)
        event = message.event
        if isinstance(event, RowsArrived):
            results.arrived([event.batch])
        elif isinstance(event, ResultBegan):
            await results.began(event.columns)
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

    def _failed(self, event: RunFailed) -> bool:
        error = event.error
        self._page.query_one(Results).failed(error, event.seconds)
        if error.cancelled:
            self._stage.say(_("Cancelled; the connection is kept."), lasting=True)
        elif error.position is not None and self._piece is not None:
            self._page.query_one(SqlEditor).show_error(self._piece.start + error.position)
        if error.connection_lost:
            self._stage.say(
                _("The connection to the database has ended. Open it again from the databases page."), bad=True
            )
        return error.connection_lost

    async def cancel(self) -> None:
        """Cancels what runs, in visible stages."""
        console = self._at_hand.database
        if console is None or not self.now:
            return
        run = self.number
        self._stage.say(_("Cancelling: sent to the bastion …"))
        try:
            taken = await console.cancel()
        except CONNECTION_ERRORS as error:
            self._stage.say(_("Not cancelled: {reason}").format(reason=sentence(error)), bad=True)
            return
        if run != self.number or not self.now:
            return
        if taken:
            self._stage.say(_("Cancelling: the database took the order, its answer is awaited …"))
        else:
            self._stage.say(_("Not cancelled: the database did not take the order. F8 tries again."), bad=True)
