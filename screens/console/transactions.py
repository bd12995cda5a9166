"""The transaction of the connection: its mode, its state, its end."""

from __future__ import annotations

from rich.text import Text

from backends.interface import TransactionState
from bastion.api.language import translate as _

from ..widgets.results import Results
from ..words import sentence
from ..workstation import Page
from .at_hand import CONNECTION_ERRORS, AtHand
from .stage import Stage


class Transactions:
    """Changed by the person's keys, and read anew after every run."""

    def __init__(self, page: Page, at_hand: AtHand, stage: Stage) -> None:
        self._page, self._at_hand, self._stage = page, at_hand, stage
        self.state = TransactionState.NONE
        self.autocommit = True

    @property
    def unfinished(self) -> bool:
        """A commit or a rollback is still to come."""
        return self.state in (TransactionState.OPEN, TransactionState.FAILED)

    def start_again(self) -> None:
        """Another connection: it begins with autocommit."""
        self.autocommit = True
        self.state = TransactionState.NONE

    def lost(self) -> None:
        """The connection is gone."""
        self.state = TransactionState.NONE

    async def refresh(self) -> None:
        """Asks the connection; shows what it says."""
        console = self._at_hand.database
        if console is None:
            return
        try:
            self.state = await console.transaction()
        except CONNECTION_ERRORS:
            self.state = TransactionState.UNKNOWN
        self._stage.run_over()
        self._page.refresh_bindings()

    async def end(self, *, commit: bool) -> None:
        """Commits or rolls back; says what came of it."""
        console = self._at_hand.database
        if console is None:
            return
        results = self._page.query_one(Results)
        workstation = self._page.workstation
        try:
            await (console.commit() if commit else console.rollback())
            done = _("Committed.") if commit else _("Rolled back.")
            results.write(Text(f"✓ {done}", style="ok"))
            workstation.told(done)
        except CONNECTION_ERRORS as error:
            results.write(Text(f"✗ {sentence(error)}", style="danger"))
            workstation.told(sentence(error), bad=True)
        await self.refresh()

    async def turn_autocommit(self) -> None:
        """On when it is off, off when it is on."""
        console = self._at_hand.database
        if console is None:
            return
        try:
            await console.set_autocommit(not self.autocommit)
            self.autocommit = not self.autocommit
        except CONNECTION_ERRORS as error:
            self._page.workstation.told(sentence(error), bad=True)
        await self.refresh()
