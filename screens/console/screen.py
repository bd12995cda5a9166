"""The page of the SQL console: the catalog, the editor, the results, and the keys. What the keys do is in the parts."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.css.query import NoMatches
from textual.timer import Timer
from textual.widgets import OptionList

from bastion.api import messages as m
from bastion.api.language import translate as _

from ..token import TokenDialog
from ..transaction import TransactionDialog
from ..why import WhyDialog
from ..widgets.catalog_pane import CatalogPane
from ..widgets.catalog_tree import CatalogTree
from ..widgets.confirmation import Confirmation
from ..widgets.editor import SqlEditor
from ..widgets.find import FindBar
from ..widgets.frame import KeyLine, TopLine
from ..widgets.production_band import ProductionBand
from ..widgets.results import Results
from ..widgets.status_line import Status, StatusLine
from ..widgets.tabs import TabLine
from ..words import mark
from ..workstation import Page
from . import panes
from .at_hand import AtHand, ConnectionEnded
from .cancelling import Cancelling
from .catalog import Catalog
from .connecting import Connecting
from .editors import Editors
from .explaining import Explaining
from .guard import GuardLevel, WriteGuard
from .history import History
from .repeating import Repeating
from .running import CatalogChanged, Piece, Ran, Running, all_pieces, pieces_at_cursor
from .stage import Stage, TokenWarnings, ends_within
from .transactions import Transactions
from .writing import Writing

STATUS_SECONDS = 20.0
"""How often the status line is looked at when nothing happens: it shows the minutes that the token has left."""

KEEP_SECONDS = 5.0
"""What keeping the open editors may take on leaving."""
ROLLBACK_SECONDS = 5.0
"""Before the token's end an open transaction is rolled back: at the end the bastion would do it without a word."""


class ConsoleScreen(Page):
    """The state is changed in message handlers only; the connection's thread just posts."""

    DEFAULT_CSS = (
        """
    ConsoleScreen #work { height: 1fr; }
    ConsoleScreen.wide CatalogPane { width: 42; }
    ConsoleScreen.no-catalog CatalogPane { display: none; }
    ConsoleScreen #editor { height: 2fr; min-height: 4; }
    ConsoleScreen Results { height: 3fr; }
    """
        + panes.CSS
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        # No priority: a key that overtook the ones typed before it would run half a statement.
        Binding("f5,ctrl+j,ctrl+enter", "run", mark("Run"), key_display="F5"),
        Binding("f5", "reconnect", mark("Connect again")),
        Binding("f8", "cancel", mark("Cancel")),
        Binding("f8", "why", mark("Why not?")),
        Binding("f10", "transaction", mark("Transaction")),
        Binding("f9", "run_all", mark("Run all")),
        Binding("f6", "next_pane", mark("Pane")),
        Binding("f7", "history", mark("History")),
        Binding("f3", "token", mark("Token"), show=False),
        Binding("f4", "toggle_catalog", mark("Catalog")),
        Binding("0,ctrl+k 0", "zoom", mark("The whole page for this pane, or not"), show=False, key_display="0"),
        Binding("ctrl+e", "explain", mark("Plan")),
        Binding("ctrl+k o", "queries", mark("Saved queries"), show=False),
        Binding("ctrl+k s", "save_query", mark("Save as a query"), show=False),
        Binding("ctrl+k r", "repeat", mark("Run again every … seconds"), show=False),
        Binding("ctrl+k n", "new_editor", mark("New editor"), show=False),
        Binding("ctrl+k w", "close_editor", mark("Close the editor"), show=False),
        Binding("ctrl+k m", "rename_editor", mark("Name the editor"), show=False),
        Binding("ctrl+k right,ctrl+pagedown", "step_editor(1)", mark("Next editor"), show=False),
        Binding("ctrl+k left,ctrl+pageup", "step_editor(-1)", mark("Editor before"), show=False),
        *[
            Binding(f"ctrl+k {number}", f"editor({number})", mark("Editor by its number"), show=False)
            for number in range(1, 10)
        ],
    ]

    PALETTE: ClassVar[tuple[tuple[str, str], ...]] = (
        ("commit", mark("Commit")),
        ("rollback", mark("Roll back")),
        ("autocommit", mark("Autocommit on or off")),
        ("change_catalog", mark("Open another database name")),
    )

    def __init__(self) -> None:
        super().__init__()
        self.at_hand = AtHand()
        self.stage = Stage(self._show_status)
        self.token_warnings = TokenWarnings()
        self.statements = History(self, self.at_hand)
        self.transactions = Transactions(self, self.at_hand, self.stage)
        self.guard = WriteGuard(self, self.at_hand, self.stage, self.transactions)
        self.running = Running(self, self.at_hand, self.stage, self.transactions, self.guard, self.statements)
        self.connecting = Connecting(
            self, self.at_hand, self.stage, self.transactions, self.guard, self.running, self.token_warnings
        )
        self.cancelling = Cancelling(self, self.at_hand, self.stage, self.running, self.connecting)
        self.repeating = Repeating(self, self.at_hand, self.stage, self.running)
        self.explaining = Explaining(self, self.at_hand, self.running, self.transactions)
        self._seconds: Timer | None = None
        """Runs while something lasts or a transaction is open: their time is shown."""
        self._rolling_back = False
        self.panes = panes.Panes(self)
        self.catalog = Catalog(self, self.at_hand)
        self.editors = Editors(self)
        self.writing = Writing(self, self.at_hand, self.statements, self._run)

    def title_words(self) -> str:
        token = self.at_hand.token
        if token is None:
            return _("Console")
        return f"{token.database} ({_('PRODUCTION')})" if token.production else token.database

    def compose(self) -> ComposeResult:
        yield TopLine("console")
        yield ProductionBand()
        with Horizontal(id="work"):
            yield CatalogPane(id="catalog-pane")
            with Vertical(id="beside"):
                yield TabLine(id="tabs")
                yield SqlEditor(id="editor")
                yield FindBar(id="find")
                yield Results(id="results")
        yield StatusLine(id="status", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self.set_interval(STATUS_SECONDS, self._time_passed)
        self._seconds = self.set_interval(1.0, self._time_passed, pause=True)
        self.run_worker(self._restore(), group="restore")
        self.query_one(SqlEditor).focus()
        self._show_status()

    async def _restore(self) -> None:
        await self.editors.restore()
        await self.writing.restore_vim()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= 120, "wide")
        self._show_status()

    # -- told by the application

    @property
    def connected(self) -> bool:
        """A database is at hand."""
        return self.at_hand.database is not None

    def connect_to(self, token: m.Token, catalog: str) -> None:
        """Takes another database, after asking where something would be lost."""
        self.run_worker(self.connecting.to(token, catalog), group="connect", exclusive=True)

    async def disconnect(self) -> None:
        """Closes the connection; what runs on it is cancelled by the bastion."""
        await self.connecting.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.editors.keep(), KEEP_SECONDS)
            await asyncio.wait_for(self.workstation.personal.flush(), KEEP_SECONDS)

    def link_lost(self) -> None:
        """The SSH connection is gone, and the session with it."""
        self.connecting.lost()

    def link_back(self) -> None:
        """There is an SSH connection again: what was open on the one that was lost is opened on it. Nothing is run."""
        if self.check_action("reconnect", ()):
            self.action_reconnect()

    def leaving_question(self) -> Confirmation | None:
        """What to ask before the workstation is quit; None when nothing would be lost."""
        return self.connecting.leaving_question()

    def token_changed(self, state: m.TokenState) -> None:
        """The token was renewed, here or elsewhere."""
        token = self.at_hand.token
        if token is not None and token.id == state.id:
            token.expires_at = state.expires_at
            token.renewals_left = state.renewals_left
            self.token_warnings.start_again()
            self._show_status()

    def language_changed(self) -> None:
        """Says anew what stands on the page in words."""
        self._show_status()
        self.query_one(Results).title_changed()
        self.query_one(CatalogPane).language_changed()

    # -- running

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        idle = self.connected and not self.running.now
        if action in ("run", "run_all", "autocommit", "change_catalog", "explain", "transaction", "repeat"):
            return idle
        if action in ("reconnect", "why"):
            return not self.connected and self.at_hand.token is not None and not self.at_hand.connecting
        if action == "cancel":
            return self.running.now or self.repeating.now
        if action in ("commit", "rollback"):
            return idle and self.transactions.unfinished
        if action == "editor":
            return isinstance(parameters[0], int) and parameters[0] <= self.editors.count
        if action == "step_editor":
            return self.editors.count > 1
        if action == "token":
            return self.at_hand.token is not None
        return True

    def action_run(self) -> None:
        """Runs what is selected, else the statement at the cursor."""
        pieces = pieces_at_cursor(self.query_one(SqlEditor), self.at_hand.engine)
        if not pieces:
            self.workstation.told(_("There is no statement at the cursor."))
        self._run(pieces)

    @work(exclusive=True, group="dialog")
    async def action_repeat(self) -> None:
        """Runs the statement at the cursor again and again."""
        self.panes.show_results()
        await self.repeating.ask(pieces_at_cursor(self.query_one(SqlEditor), self.at_hand.engine))

    def action_run_all(self) -> None:
        """Runs every statement of the editor, up to the first error."""
        self._run(all_pieces(self.query_one(SqlEditor), self.at_hand.engine))

    def _run(self, pieces: list[Piece]) -> None:
        """At once, or when its parameters are filled in."""
        self.query_one(SqlEditor).hide_completions()
        self.panes.show_results()
        if self.writing.asks(pieces):
            self._run_filled(pieces)
        else:
            self.running.start(pieces)

    @work(exclusive=True, group="dialog")
    async def _run_filled(self, pieces: list[Piece]) -> None:
        filled = await self.writing.filled(pieces)
        if filled is not None:
            self.running.start(filled)

    @on(Ran)
    async def _ran(self, message: Ran) -> None:
        if await self.running.happened(message):
            self.run_worker(self.connecting.ended(), group="connect")

    @on(ConnectionEnded)
    def _connection_ended(self, message: ConnectionEnded) -> None:
        self.run_worker(self.connecting.ended(committing=message.committing), group="connect")

    @work(exclusive=True, group="cancel")
    async def action_cancel(self) -> None:
        self.repeating.stop()
        await self.cancelling.ask()

    def action_reconnect(self) -> None:
        """After the connection was lost."""
        self.run_worker(self.connecting.again(), group="connect", exclusive=True)

    @work(exclusive=True, group="plan")
    async def action_explain(self) -> None:
        """The plan of the statement at the cursor."""
        await self.explaining.explain(pieces_at_cursor(self.query_one(SqlEditor), self.at_hand.engine))

    # -- transactions

    @work(exclusive=True, group="transaction")
    async def action_commit(self) -> None:
        await self.transactions.end(commit=True)
        await self.catalog.committed()

    @work(exclusive=True, group="transaction")
    async def action_rollback(self) -> None:
        await self.transactions.end(commit=False)
        await self.catalog.committed()

    @work(exclusive=True, group="transaction")
    async def action_autocommit(self) -> None:
        await self.transactions.turn_autocommit()

    @work(exclusive=True, group="transaction")
    async def action_transaction(self) -> None:
        """Commit, roll back, how statements are committed, and what the write guard does."""
        token = self.at_hand.token
        if token is None:
            return
        dialog = TransactionDialog(
            "autocommit" if self.transactions.autocommit else "manual",
            self.guard.level.value,
            token.database,
            self.transactions.state,
            self.transactions.words(),
        )
        chosen = await self.app.push_screen_wait(dialog)
        if chosen in ("commit", "rollback"):
            await self.transactions.end(commit=chosen == "commit")
            await self.catalog.committed()
        elif chosen in ("autocommit", "manual"):
            await self.transactions.set_autocommit(chosen == "autocommit")
        elif chosen is not None:
            self.guard.choose(GuardLevel(chosen))
            self._show_status()

    def on_screen_suspend(self) -> None:
        """Another page is shown: the transaction stays open, which is easily forgotten."""
        if self.app.current_mode != "console" and self.transactions.unfinished:
            self.workstation.told(
                _(
                    "A transaction is still open on the console ({age}) and keeps its locks. "
                    "Go back and press F10 to commit it or roll it back."
                ).format(age=self.transactions.words()),
                bad=True,
            )

    # -- the catalog

    @on(CatalogTree.Wanted)
    def _catalog_wanted(self, message: CatalogTree.Wanted) -> None:
        self.run_worker(self.catalog.load(message), group="catalog")

    @on(CatalogTree.Chosen)
    def _catalog_chosen(self, message: CatalogTree.Chosen) -> None:
        self.run_worker(self.catalog.take(message), group="catalog-chosen", exclusive=True)

    @on(CatalogChanged)
    def _catalog_changed(self) -> None:
        self.run_worker(self.catalog.changed(committed=not self.transactions.unfinished), group="catalog-changed")

    @on(Results.FollowWanted)
    def _follow_wanted(self, message: Results.FollowWanted) -> None:
        self.run_worker(self.catalog.follow(message), group="catalog-chosen", exclusive=True)

    @on(CatalogTree.NotThere)
    def _catalog_not_there(self, message: CatalogTree.NotThere) -> None:
        self.catalog.not_there(message)

    def action_toggle_catalog(self) -> None:
        self.panes.zoom(None)
        if self.query_one(CatalogPane).has_focus_within:
            self.query_one(SqlEditor).focus()
        self.toggle_class("no-catalog")

    @work(exclusive=True, group="dialog")
    async def action_why(self) -> None:
        """Why there is no connection."""
        token = self.at_hand.token
        if token is not None:
            why = WhyDialog(
                token.database, token.account, engine=token.engine, token=token.id, catalog=self.at_hand.catalog
            )
            await self.app.push_screen_wait(why)

    @work(exclusive=True, group="dialog")
    async def action_change_catalog(self) -> None:
        """Opens another database name of the same database."""
        token, name = self.at_hand.token, await self.connecting.other_catalog()
        if token is not None and name is not None:
            self.connect_to(token, name)

    # -- looking around

    def action_next_pane(self) -> None:
        self.panes.next()

    def go_home(self) -> None:
        """The editor, beside the others."""
        self.panes.zoom(None)
        self.panes.go_to("editor")

    def action_zoom(self) -> None:
        self.panes.toggle_zoom()

    @work(exclusive=True, group="dialog")
    async def action_history(self) -> None:
        """Statements that were run, newest first; the chosen one is put into the editor, or run again."""
        await self.writing.show_history()

    @work(exclusive=True, group="dialog")
    async def action_queries(self) -> None:
        await self.writing.show_queries()

    @work(exclusive=True, group="dialog")
    async def action_save_query(self) -> None:
        await self.writing.save_query()

    # -- the editors

    @on(SqlEditor.Wanted)
    def _editor_wanted(self, message: SqlEditor.Wanted) -> None:
        self.run_worker(self.writing.wanted(message.what), group="writing", exclusive=True)

    @on(SqlEditor.Changed, "#editor")
    def _editor_changed(self) -> None:
        self.editors.changed()

    @on(SqlEditor.ModeChanged)
    def _mode_changed(self, message: SqlEditor.ModeChanged) -> None:
        self.query_one(TabLine).show_mode(message.mode, message.pending)

    @on(TabLine.Clicked)
    def _tab_clicked(self, message: TabLine.Clicked) -> None:
        self.editors.go(message.index)

    def action_new_editor(self) -> None:
        self.editors.new()

    @work(exclusive=True, group="dialog")
    async def action_close_editor(self) -> None:
        await self.editors.close()

    @work(exclusive=True, group="dialog")
    async def action_rename_editor(self) -> None:
        await self.editors.rename()

    def action_editor(self, number: int) -> None:
        """The tab with that number in the line, from 1."""
        self.editors.go(number - 1)

    def action_step_editor(self, by: int) -> None:
        self.editors.step(by)

    @work(exclusive=True, group="dialog")
    async def action_token(self) -> None:
        """The token of this connection."""
        token = self.at_hand.token
        if token is None:
            return
        account = m.Account(name=token.account, hosted=token.hosted)
        await self.app.push_screen_wait(TokenDialog(token.database, account, token.id))

    @on(OptionList.OptionSelected)
    def _nothing(self, event: OptionList.OptionSelected) -> None:
        event.stop()

    # -- the status line

    def _time_passed(self) -> None:
        token, now = self.at_hand.token, self.workstation.services.now()
        if token is not None:
            unfinished = self.transactions.unfinished
            if warning := self.token_warnings.due(token, now, transaction=unfinished):
                self.workstation.told(warning, bad=True)
            if unfinished and self.connected and ends_within(token, now, ROLLBACK_SECONDS):
                self._token_ends()
        if self.is_current:
            self._show_status()

    def _token_ends(self) -> None:
        """Rolled back while it still can be said; a statement that runs is the bastion's to end."""
        if self.guard.give_up(_("The token ends:")):
            return
        if (self.guard.asking or not self.running.now) and not self._rolling_back:
            self._rolling_back = True
            self._roll_back_at_end()

    @work(group="transaction")
    async def _roll_back_at_end(self) -> None:
        try:
            await self.transactions.end(commit=False, why=_("The token ends:"))
        finally:
            self._rolling_back = False

    def _show_status(self) -> None:
        if self._seconds is not None:
            if self.stage.going_on or self.transactions.unfinished:
                self._seconds.resume()
            else:
                self._seconds.pause()
        try:
            shown = self.query_one(StatusLine)
        except NoMatches:
            return
        status = Status(
            token=self.at_hand.token,
            catalog=self.at_hand.catalog,
            connected=self.connected,
            connecting=self.at_hand.connecting,
            autocommit=self.transactions.autocommit,
            transaction=self.transactions.state,
            stage=self.stage.text,
            bad=self.stage.bad,
            age=self.transactions.age,
            guard=self.guard.level.value,
        )
        shown.show(status, self.workstation.services.now())
        token = self.at_hand.token
        production = token is not None and token.production
        self.query_one(ProductionBand).show(
            token.database if token is not None and production else "", self.guard.words()
        )
