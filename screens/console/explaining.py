"""The plan of the statement at the cursor: estimated at once, measured after a question where that would write."""

from __future__ import annotations

import asyncio

from rich.text import Text

from backends.effects import Effect, effect_of, explainable, past_explain
from backends.interface import DatabaseError, TransactionState
from backends.plan import Plan, PlanUnreadable
from backends.visible_text import visible
from bastion.api.language import translate as _

from ..plan import PlanDialog
from ..widgets.confirmation import Confirmation
from ..widgets.editor import SqlEditor
from ..widgets.results import Results
from ..words import sentence
from ..workstation import Console, Page
from .at_hand import CONNECTION_ERRORS, AtHand, ConnectionEnded, ends_connection
from .running import Piece, Running
from .transactions import Transactions


class Explaining:
    """Asks the database for plans and shows them."""

    def __init__(self, page: Page, at_hand: AtHand, running: Running, transactions: Transactions) -> None:
        self._page, self._at_hand = page, at_hand
        self._running, self._transactions = running, transactions

    async def explain(self, pieces: list[Piece]) -> None:
        """The plan of the first of `pieces`; of the statement inside where that is an EXPLAIN itself."""
        engine = self._at_hand.engine
        piece = _inside(pieces[0], engine) if pieces else None
        if piece is None or not explainable(piece.text, engine):
            self._page.workstation.told(_("There is no plan for this: put the cursor on a query or a change of rows."))
            return
        plan = await self._plan(piece, _("Asking for the plan …"), None)
        while plan is not None and await self._page.app.push_screen_wait(PlanDialog(plan, piece.text)):
            effect = await asyncio.to_thread(effect_of, piece.text, engine)
            if effect.writes and not await self._may_measure(effect):
                continue
            plan = await self._plan(piece, _("Running the statement for its plan …"), effect) or plan

    async def _may_measure(self, effect: Effect) -> bool:
        state = await self._transactions.read()
        if not effect.undoable:
            what = _("No rollback takes back what it does.")
        elif state is TransactionState.OPEN:
            what = _("What it changes becomes part of the transaction that is open.")
        else:
            what = _("It is rolled back afterwards; until then it holds its locks, and triggers fire.")
        return await self._page.app.push_screen_wait(
            Confirmation(
                _("Run this write for its plan?"),
                _("Measuring runs the statement: {verb} really writes.").format(verb=effect.verb) + " " + what,
                _("Run it"),
                _("Do not run it"),
            )
        )

    async def _plan(self, piece: Piece, words: str, effect: Effect | None) -> Plan | None:
        """`effect` given: measured. What goes wrong is written into the messages."""
        console = self._at_hand.database
        if console is None or self._running.now:
            return None
        async with self._running.occupied(words) as run:
            mine = False
            try:
                if effect is not None and effect.writes and effect.undoable:
                    mine = await self._transactions.read() is TransactionState.NONE
                    if mine:
                        await self._transactions.begin()
                return await console.explain(piece.text, measured=effect is not None)
            except (*CONNECTION_ERRORS, PlanUnreadable) as error:
                if run == self._running.number:
                    self._show(error, piece)
                return None
            finally:
                if mine and run == self._running.number:
                    await self._take_back(console)

    async def _take_back(self, console: Console) -> None:
        try:
            await console.rollback()
            self._page.query_one(Results).write(
                Text("✓ " + _("The statement ran for its plan and was rolled back."), style="ok")
            )
        except CONNECTION_ERRORS as error:
            said = _("The statement ran for its plan, and was not taken back: {reason}").format(reason=sentence(error))
            self._page.query_one(Results).write(Text(f"✗ {said}", style="danger"))
            self._page.workstation.told(said, bad=True)

    def _show(self, error: BaseException, piece: Piece) -> None:
        results = self._page.query_one(Results)
        if isinstance(error, DatabaseError):
            results.failed(error, 0.0)
            results.action_messages()  # a result of before may be in view, where nobody would see why there is no plan
            if error.position is not None:
                self._page.query_one(SqlEditor).show_error(piece.start + min(error.position, len(piece.text)))
            if ends_connection(error):
                self._page.post_message(ConnectionEnded())
            elif error.cancelled:
                self._running.cancel_confirmed()
            return
        said = visible(_(str(error))) if isinstance(error, PlanUnreadable) else sentence(error)
        results.write(Text(f"✗ {said}", style="danger"))
        results.action_messages()


def _inside(piece: Piece, engine: str) -> Piece:
    """Without an EXPLAIN before it, and without white space."""
    at = past_explain(piece.text, engine)
    at += len(piece.text[at:]) - len(piece.text[at:].lstrip())
    return Piece(piece.text[at:], piece.start + at, piece.line)
