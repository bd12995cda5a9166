"""Opening a database, leaving it, losing it, and connecting again."""

from __future__ import annotations

from rich.text import Text

from backends.connection import only_catalog
from backends.effects import effect_of
from backends.metadata import SchemaMetadata
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api.language import translate as _

from ..choice import ChoiceDialog
from ..widgets.catalog_pane import CatalogPane
from ..widgets.confirmation import Confirmation, TextQuestion
from ..widgets.editor import SqlEditor
from ..widgets.results import Results
from ..words import sentence
from ..workstation import Console, Page
from .at_hand import CONNECTION_ERRORS, AtHand
from .guard import WriteGuard
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
        guard: WriteGuard,
        running: Running,
        warnings: TokenWarnings,
    ) -> None:
        self._page, self._at_hand, self._stage = page, at_hand, stage
        self._transactions, self._guard, self._running = transactions, guard, running
        self._warnings = warnings

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
        await self._page.query_one(Results).clear()
        await self._connect(token, catalog)

    async def other_catalog(self) -> str | None:
        """Asks which name of the same database is to be opened; None: none."""
        names: list[str] = []
        if self._at_hand.database is not None:
            try:
                names = await self._at_hand.database.catalogs()
            except CONNECTION_ERRORS as error:
                self._page.workstation.told(sentence(error), bad=True)
        title = _("Database name to open")
        question = ChoiceDialog(title, names) if names else TextQuestion(title, self._at_hand.catalog)
        name: str | None = await self._page.app.push_screen_wait(question)
        return None if name is None else name.strip()

    async def again(self) -> None:
        """The same database after the connection was lost. Nothing is run again by itself."""
        token = self._at_hand.token
        if token is None or self._at_hand.database is not None or self._at_hand.connecting:
            return
        manual = not self._transactions.autocommit
        await self._connect(token, self._at_hand.catalog)
        if self._at_hand.database is not None:
            self._write(
                _("Connected again. Nothing was run again; temporary tables and settings of the session are gone.")
            )
            if manual:
                await self._transactions.set_autocommit(False)

    async def _connect(self, token: m.Token, catalog: str) -> None:
        at_hand = self._at_hand
        at_hand.connecting = True
        self._stage.begin(_("Connecting to {database} …").format(database=visible_line(token.database)))
        try:
            console = await self._opened(token, catalog)
            await self._guard.recall(token)
            if not catalog and (better := await self._chosen_catalog(console)) is not None:
                await console.close()
                at_hand.catalog = better
                console = await self._opened(token, better)
        except CONNECTION_ERRORS as error:
            at_hand.connecting = False
            self._stage.say(_("Not connected. F5 tries again, F8 says why."), bad=True)
            self._stage.over()
            self._page.query_one(Results).write(Text(f"✗ {sentence(error)}", style="danger"))
            self._page.refresh_bindings()
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
        self._guard.start_again()
        self._stage.say("")
        self._stage.over()
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
        identity = f"{token.database}/{token.account}/{console.facts.catalog}"
        self._page.query_one(CatalogPane).connected(identity)
        editor = self._page.query_one(SqlEditor)
        editor.engine, editor.metadata = console.engine, SchemaMetadata()
        editor.focus()
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
        self._guard.start_again()
        self._stage.over()
        if console is not None:
            await console.close()
        self._page.refresh_bindings()

    async def give_up(self) -> None:
        """Closes a connection that answers no more, and says what was lost with it."""
        said = self._what_was_lost(_("The connection was closed."))
        await self.close()
        self._lost(said)

    async def ended(self, *, committing: bool = False) -> None:
        """The database or the bastion has ended the connection; `committing`: while a commit was on its way."""
        if self._at_hand.database is None:
            return
        said = self._what_was_lost(_("The connection to the database has ended."), committing)
        await self.close()
        self._lost(said)

    def lost(self) -> None:
        """The SSH connection is gone, and the session with it."""
        if self._at_hand.database is None:
            return
        said = self._what_was_lost(_("The connection was lost."))
        self._at_hand.database = None
        self._running.forget()
        self._guard.start_again()
        self._lost(said)

    def _lost(self, said: str) -> None:
        manual = not self._transactions.autocommit
        self._transactions.lost()
        self._stage.over()
        self._stage.say(_("The connection was lost. F5 connects again."), bad=True)
        self._write(said + " " + _("F5 connects again; nothing is run again by itself."))
        if manual:
            self._write(_("The commit mode is manual again once connected."))
        self._page.query_one(Results).action_messages()
        self._page.refresh_bindings()

    def _what_was_lost(self, said: str, committing: bool = False) -> str:
        """Said of the connection as it is now, before it is forgotten."""
        sent = self._running.sent or self._running.sent_last
        if committing:
            said += " " + _("Whether the commit took effect is not known: look before you run anything again.")
        elif self._transactions.unfinished or (sent is not None and not self._transactions.autocommit):
            said += " " + _("The open transaction was rolled back.")
        elif sent is not None and effect_of(sent.text, self._at_hand.engine).writes:
            said += " " + _("The statement that ran may have taken effect or not: look before you run it again.")
        elif sent is not None:
            said += " " + _("The running statement was cancelled by the bastion.")
        return said

    def _write(self, text: str) -> None:
        self._page.query_one(Results).write(Text(f"! {text}", style="warning"))

    def leaving_question(self) -> Confirmation | None:
        """What to ask before the connection is left; None when nothing would be lost."""
        if self._at_hand.database is None:
            return None
        if self._running.now and not self._guard.asking:
            text = _("A statement is running. It is cancelled on the database.")
        elif self._transactions.unfinished:
            text = _("A transaction is open. It is rolled back.") + f" ({self._transactions.words()})\n"
            text += _("To keep it, stay and commit it with F10.")
        else:
            return None
        return Confirmation(_("Leave this connection?"), text, _("Leave"), _("Stay"))
