"""The transaction of the connection: its mode, its state, its age, its end."""

from __future__ import annotations

from rich.text import Text

from backends.interface import DatabaseError, TransactionState
from backends.visible_text import visible
from bastion.api.language import translate as _

from ..widgets.results import Results
from ..words import duration, sentence
from ..workstation import Page
from .at_hand import CONNECTION_ERRORS, AtHand, ConnectionEnded, ends_connection
from .stage import Stage


class Transactions:
    """Changed by the person's keys, and read anew after every run."""

    def __init__(self, page: Page, at_hand: AtHand, stage: Stage) -> None:
        self._page, self._at_hand, self._stage = page, at_hand, stage
        self.state = TransactionState.NONE
        self.autocommit = True
        self._since: float | None = None

    @property
    def unfinished(self) -> bool:
        """A commit or a rollback is still to come."""
        return self.state in (TransactionState.OPEN, TransactionState.FAILED)

    @property
    def age(self) -> float | None:
        """Seconds since the transaction was first seen open; None without one."""
        return None if self._since is None else self._stage.clock() - self._since

    def start_again(self) -> None:
        """Another connection: it begins with autocommit."""
        self.autocommit = True
        self._now(TransactionState.NONE)

    def lost(self) -> None:
        """The connection is gone."""
        self._now(TransactionState.NONE)

    def _now(self, state: TransactionState) -> None:
        self.state = state
        if not self.unfinished:
            self._since = None
        elif self._since is None:
            self._since = self._stage.clock()

    async def refresh(self) -> None:
        """Asks the connection; shows what it says."""
        await self.read()
        self._stage.over()
        self._page.refresh_bindings()

    async def read(self) -> TransactionState:
        """Asks the connection."""
        console = self._at_hand.database
        if console is None:
            return self.state
        before = self.state
        try:
            state = await console.transaction()
        except CONNECTION_ERRORS:
            state = TransactionState.UNKNOWN
        if console is self._at_hand.database:
            self._now(state)
            if state is TransactionState.FAILED and before is not TransactionState.FAILED:
                self._page.query_one(Results).write(
                    Text(
                        _(
                            "The transaction has failed: nothing of it can be kept, and nothing else runs in it. "
                            "F10, then r, rolls it back; then run it again."
                        ),
                        style="warning",
                    )
                )
        return self.state

    async def begin(self) -> None:
        """Opens one while autocommit is on. Raises what a `Console` raises."""
        console = self._at_hand.database
        if console is not None:
            await console.begin()
            await self.read()

    async def end(self, *, commit: bool, why: str = "") -> bool:
        """Commits or rolls back; says what came of it, and `why`. False when it did not work."""
        console = self._at_hand.database
        if console is None:
            return False
        results = self._page.query_one(Results)
        workstation = self._page.workstation
        self._stage.begin(_("Committing …") if commit else _("Rolling back …"))
        try:
            await (console.commit() if commit else console.rollback())
            done = _("Committed.") if commit else _("Rolled back.")
            said = f"{why} {done}" if why else done
            results.write(Text(f"✓ {said}", style="ok"))
            workstation.told(said)
            return True
        except CONNECTION_ERRORS as error:
            said = sentence(error)
            if isinstance(error, DatabaseError) and error.detail:
                said += f" {visible(error.detail)}"
            results.write(Text(f"✗ {said}", style="danger"))
            workstation.told(said, bad=True)
            if ends_connection(error):
                self._page.post_message(ConnectionEnded(committing=commit))
            return False
        finally:
            await self.refresh()

    async def turn_autocommit(self) -> None:
        """On when it is off, off when it is on."""
        await self.set_autocommit(not self.autocommit)

    async def set_autocommit(self, on: bool) -> None:
        """Refused by the connection while a transaction is open; that is said."""
        console = self._at_hand.database
        if console is None or on == self.autocommit:
            return
        try:
            await console.set_autocommit(on)
            self.autocommit = on
            self._page.workstation.told(
                _("Autocommit: every statement stands for itself.")
                if on
                else _("Manual commit: the next statement opens a transaction. F10 commits it or rolls it back.")
            )
        except CONNECTION_ERRORS as error:
            self._page.workstation.told(sentence(error), bad=True)
            if ends_connection(error):
                self._page.post_message(ConnectionEnded())
        await self.refresh()

    def words(self) -> str:
        """The open transaction, with its age, in a few words; '' without one."""
        if not self.unfinished:
            return ""
        return _("open for {time}").format(time=duration(self.age or 0.0))
