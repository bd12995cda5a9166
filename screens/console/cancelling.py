"""Cancelling what runs, in stages that are seen: asked, taken by the database, confirmed by its answer."""

from __future__ import annotations

from bastion.api.language import translate as _

from ..widgets.confirmation import Confirmation
from ..words import sentence
from ..workstation import Page
from .at_hand import CONNECTION_ERRORS, AtHand
from .connecting import Connecting
from .running import Running
from .stage import Stage

ANSWER_SECONDS = 10.0
"""How long the database's answer to a cancel is awaited before the person is told what else can be done."""


class Cancelling:
    """The bastion cancels on the database in its protocol's own manner; the statement's own end is the confirmation."""

    def __init__(self, page: Page, at_hand: AtHand, stage: Stage, running: Running, connecting: Connecting) -> None:
        self._page, self._at_hand, self._stage = page, at_hand, stage
        self._running, self._connecting = running, connecting
        self._unanswered_run = 0
        """The run whose cancel the database has not answered."""

    async def ask(self) -> None:
        """Asks; asked again when the database does not answer, it offers to close the connection."""
        console, run = self._at_hand.database, self._running.number
        if console is None or not self._running.now:
            return
        if self._unanswered_run == run:
            await self._offer_to_close(run)
            return
        self._running.cancel_asked = True
        self._stage.say(_("Cancelling: sent to the bastion …"))
        try:
            taken = await console.cancel()
        except CONNECTION_ERRORS as error:
            if not self._still(run):
                return
            self._stage.say(_("Not cancelled: {reason}").format(reason=sentence(error)), bad=True)
            return
        if not self._still(run):
            return
        if taken:
            self._stage.say(_("Cancelling: the database took the order, its answer is awaited …"))
            self._page.set_timer(ANSWER_SECONDS, lambda: self._no_answer(run))
        else:
            self._stage.say(_("Not cancelled: the database did not take the order. F8 tries again."), bad=True)

    def _still(self, run: int) -> bool:
        """Whether the run still waits for what comes of the cancel: its end may overtake the answer to the order."""
        return run == self._running.number and self._running.now and not self._running.cancelled

    def _no_answer(self, run: int) -> None:
        if self._still(run):
            self._unanswered_run = run
            self._stage.say(_("The database has not answered the cancel. F8 offers what else can be done."), bad=True)

    async def _offer_to_close(self, run: int) -> None:
        close = await self._page.app.push_screen_wait(
            Confirmation(
                _("Close the connection?"),
                _(
                    "The database took the order to cancel and has not answered since: it may be busy undoing, or "
                    "hang. Closing ends the session on the database too; an open transaction is rolled back there. "
                    "F5 then connects again."
                ),
                _("Close it"),
                _("Wait on"),
            )
        )
        if not self._still(run):
            return
        if close:
            await self._connecting.give_up()
        else:
            self._unanswered_run = 0
            self._page.set_timer(ANSWER_SECONDS, lambda: self._no_answer(run))
            self._stage.say(_("Cancelling: the database took the order, its answer is awaited …"))
