"""Opening a database, leaving it, losing it."""

from __future__ import annotations

from rich.text import Text

from backends.connection import only_catalog
from backends.interface import TransactionState
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api.language import translate as _

from ..choice import ChoiceDialog
from ..widgets.catalog_tree import CatalogTree
from ..widgets.confirmation import Confirmation
from ..widgets.editor import SqlEditor
from ..widgets.results import Results
from ..words import sentence
from ..workstation import Console, Page
from .at_hand import CONNECTION_ERRORS, AtHand
from .running import Running
from .stage import Stage, TokenWarnings
from .transactions import Transactions


class Connecting:
    """Changes `AtHand`, and tells the other parts that it did."""

    def __init__(
        self,
        page: Page,
        at_hand: AtHand,
        stage: Stage,
        transactions: Transactions,
        running: Running,
        warnings: TokenWarnings,
    ) -> None:
        self._page, self._at_hand, self._stage = page, at_hand, stage
        self._transactions, self._running, self._warnings = transactions, running, warnings

    async def to(self, token: m.Token, catalog: str) -> None:
        """Takes another database, after asking where something would be lost."""
        at_hand = self._at_hand
        if at_hand.database is not None and at_hand.token is not None:
            if (at_hand.token.id, at_hand.catalog) == (token.id, catalog):
                return
            question = self.leaving_question()
            if question is not None and not await self._page.app.push_screen_wait(question):
                return
        await self.close()
        at_hand.token, at_hand.catalog = token, catalog
        self._warnings.start_again()
        at_hand.connecting = True
        self._stage.say(_("Connecting to {database} …").format(database=visible_line(token.database)))
        await self._page.query_one(Results).clear()
        try:
            console = await self._opened(token, catalog)
            if not catalog and (better := await self._chosen_catalog(console)) is not None:
                await console.close()
                at_hand.catalog = better
                console = await self._opened(token, better)
        except CONNECTION_ERRORS as error:
            at_hand.connecting = False
            self._stage.say(_("Not connected"), bad=True)
            self._page.query_one(Results).write(Text(f"✗ {sentence(error)}", style="danger"))
            return
        finally:
            at_hand.connecting = False
        self._take(console, token)

    async def _opened(self, token: m.Token, catalog: str) -> Console:
        workstation = self._page.workstation
        return await workstation.services.open_console(workstation.bastion, token, catalog)

    def _take(self, console: Console, token: m.Token) -> None:
        self._at_hand.catalog = console.facts.catalog
        self._at_hand.database = console
        self._transactions.start_again()
        self._stage.say("")
        self._page.query_one(Results).write(
            Text(
                _("Connected to {database} as {account}: {version}. This session is recorded as {session}.").format(
                    database=visible_line(token.database),
                    account=visible_line(token.account),
                    version=visible_line(f"{console.engine} {console.facts.version}"),
                    session=visible_line(console.session),
                ),
                style="muted",
            )
        )
        self._page.query_one(CatalogTree).reset_to(token.database)
        self._page.query_one(SqlEditor).focus()
        self._page.refresh_bindings()

    async def _chosen_catalog(self, console: Console) -> str | None:
        """The database name to open where the bastion names none: the only one, or the one the person chooses."""
        try:
            names = await console.catalogs()
        except CONNECTION_ERRORS:
            return None
        if (only := only_catalog(names)) is not None:
            return only
        if len(names) < 2:
            return None
        question = ChoiceDialog(_("Which database of this server?"), names)
        chosen: str | None = await self._page.app.push_screen_wait(question)
        return None if chosen == console.facts.catalog else chosen

    async def close(self) -> None:
        """Closes the connection; what runs on it is cancelled by the bastion."""
        console, self._at_hand.database = self._at_hand.database, None
        self._running.forget()
        if console is not None:
            await console.close()
        self._page.refresh_bindings()

    def lost(self) -> None:
        """The SSH connection is gone, and the session with it."""
        if self._at_hand.database is None:
            return
        lost = _("The connection was lost.")
        if self._running.now:
            lost += " " + _("The running statement was cancelled by the bastion.")
        if self._transactions.state is TransactionState.OPEN:
            lost += " " + _("The open transaction was rolled back.")
        self._at_hand.database = None
        self._running.forget()
        self._transactions.lost()
        self._stage.say(lost, bad=True)

    def leaving_question(self) -> Confirmation | None:
        """What to ask before the connection is left; None when nothing would be lost."""
        if self._at_hand.database is None:
            return None
        if self._running.now:
            text = _("A statement is running. It is cancelled on the database.")
        elif self._transactions.unfinished:
            text = _("A transaction is open. It is rolled back.")
        else:
            return None
        return Confirmation(_("Leave this connection?"), text, _("Leave"), _("Stay"))
