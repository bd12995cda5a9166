"""The page of the SQL console: the catalog, the editor, the results, and the keys. What the keys do is in the parts."""

from __future__ import annotations

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.css.query import NoMatches
from textual.widgets import OptionList

from bastion.api import messages as m
from bastion.api.language import translate as _

from ..choice import ChoiceDialog
from ..token import TokenDialog
from ..value import ValueDialog
from ..widgets.catalog_tree import CatalogTree
from ..widgets.confirmation import Confirmation, TextQuestion
from ..widgets.editor import SqlEditor
from ..widgets.frame import KeyLine, TopLine
from ..widgets.result_table import ResultTable
from ..widgets.results import Results
from ..widgets.status_line import Status, StatusLine
from ..words import mark, sentence
from ..workstation import Page
from .at_hand import CONNECTION_ERRORS, AtHand
from .catalog import Catalog
from .connecting import Connecting
from .history import History
from .running import Ran, Running, all_pieces, pieces_at_cursor
from .stage import Stage, TokenWarnings
from .transactions import Transactions

STATUS_SECONDS = 20.0
"""How often the status line is drawn when nothing happens: it shows the minutes that the token has left."""


class ConsoleScreen(Page):
    """The state is changed in message handlers only; the connection's thread just posts."""

    DEFAULT_CSS = """
    ConsoleScreen #work { height: 1fr; }
    ConsoleScreen CatalogTree { width: 26; border-right: solid $line; }
    ConsoleScreen.wide CatalogTree { width: 40; }
    ConsoleScreen.no-catalog CatalogTree { display: none; }
    ConsoleScreen #editor { height: 2fr; min-height: 4; }
    ConsoleScreen Results { height: 3fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        # No priority: a key that overtook the ones typed before it would run half a statement.
        Binding("f5,ctrl+j,ctrl+enter", "run", mark("Run"), key_display="F5"),
        Binding("f8", "cancel", mark("Cancel")),
        Binding("f9", "run_all", mark("Run all")),
        Binding("f6", "next_pane", mark("Pane")),
        Binding("f7", "history", mark("History")),
        Binding("f3", "token", mark("Token"), show=False),
        Binding("f4", "toggle_catalog", mark("Catalog")),
        Binding("f10", "commit", mark("Commit"), show=False),
        Binding("escape", "leave_results", mark("Back to the editor"), show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.at_hand = AtHand()
        self.stage = Stage(self._show_status)
        self.token_warnings = TokenWarnings()
        self.statements = History()
        self.transactions = Transactions(self, self.at_hand, self.stage)
        self.running = Running(self, self.at_hand, self.stage, self.transactions, self.statements)
        self.connecting = Connecting(
            self, self.at_hand, self.stage, self.transactions, self.running, self.token_warnings
        )
        self.catalog = Catalog(self, self.at_hand)

    def compose(self) -> ComposeResult:
        yield TopLine("console")
        with Horizontal(id="work"):
            yield CatalogTree(id="catalog")
            with Vertical():
                yield SqlEditor(id="editor")
                yield Results(id="results")
        yield StatusLine(id="status", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self.set_interval(STATUS_SECONDS, self._time_passed)
        self.query_one(SqlEditor).focus()
        self._show_status()

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

    def link_lost(self) -> None:
        """The SSH connection is gone, and the session with it."""
        self.connecting.lost()

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

    # -- running

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        idle = self.connected and not self.running.now
        if action in ("run", "run_all", "autocommit", "change_catalog"):
            return idle
        if action == "cancel":
            return self.running.now
        if action in ("commit", "rollback"):
            return idle and self.transactions.unfinished
        if action == "token":
            return self.at_hand.token is not None
        return True

    def action_run(self) -> None:
        """Runs what is selected, else the statement at the cursor."""
        pieces = pieces_at_cursor(self.query_one(SqlEditor), self.at_hand.engine)
        if not pieces:
            self.workstation.told(_("There is no statement at the cursor."))
        self.running.start(pieces)

    def action_run_all(self) -> None:
        """Runs every statement of the editor, up to the first error."""
        self.running.start(all_pieces(self.query_one(SqlEditor), self.at_hand.engine))

    @on(Ran)
    async def _ran(self, message: Ran) -> None:
        if await self.running.happened(message):
            self.run_worker(self.connecting.close(), group="connect")

    @work(exclusive=True, group="cancel")
    async def action_cancel(self) -> None:
        await self.running.cancel()

    # -- transactions

    @work(exclusive=True, group="transaction")
    async def action_commit(self) -> None:
        await self.transactions.end(commit=True)

    @work(exclusive=True, group="transaction")
    async def action_rollback(self) -> None:
        await self.transactions.end(commit=False)

    @work(exclusive=True, group="transaction")
    async def action_autocommit(self) -> None:
        await self.transactions.turn_autocommit()

    # -- the catalog

    @on(CatalogTree.Wanted)
    def _catalog_wanted(self, message: CatalogTree.Wanted) -> None:
        self.run_worker(self.catalog.load(message), group="catalog")

    @on(CatalogTree.Chosen)
    def _catalog_chosen(self, message: CatalogTree.Chosen) -> None:
        self.catalog.take(message)

    def action_toggle_catalog(self) -> None:
        tree = self.query_one(CatalogTree)
        if tree.has_focus:
            self.query_one(SqlEditor).focus()
        self.toggle_class("no-catalog")

    @work(exclusive=True, group="dialog")
    async def action_change_catalog(self) -> None:
        """Opens another database name of the same database."""
        token, console = self.at_hand.token, self.at_hand.database
        if token is None:
            return
        names: list[str] = []
        if console is not None:
            try:
                names = await console.catalogs()
            except CONNECTION_ERRORS as error:
                self.workstation.told(sentence(error), bad=True)
        title = _("Database name to open")
        question = ChoiceDialog(title, names) if names else TextQuestion(title, self.at_hand.catalog)
        name: str | None = await self.app.push_screen_wait(question)
        if name is not None:
            self.connect_to(token, name.strip())

    # -- looking around

    def action_next_pane(self) -> None:
        editor, results, tree = self.query_one(SqlEditor), self.query_one(Results), self.query_one(CatalogTree)
        if editor.has_focus:
            results.focus_inside()
        elif results.has_focus_within and not self.has_class("no-catalog"):
            tree.focus()
        else:
            editor.focus()

    def action_leave_results(self) -> None:
        self.query_one(SqlEditor).focus()

    @work(exclusive=True, group="dialog")
    async def action_history(self) -> None:
        """Statements that were run, newest first; the chosen one is put into the editor."""
        chosen = await self.app.push_screen_wait(ChoiceDialog(_("History"), self.statements.newest_first()))
        if chosen is not None:
            editor = self.query_one(SqlEditor)
            editor.put(chosen if chosen.rstrip().endswith(";") else f"{chosen};")
            editor.focus()

    @work(exclusive=True, group="dialog")
    async def action_token(self) -> None:
        """The token of this connection."""
        token = self.at_hand.token
        if token is None:
            return
        account = m.Account(name=token.account, hosted=token.hosted)
        await self.app.push_screen_wait(TokenDialog(token.database, account, token.id))

    @on(ResultTable.CellViewed)
    def _cell_viewed(self, message: ResultTable.CellViewed) -> None:
        self.app.push_screen(ValueDialog(message.column, message.value))

    @on(ResultTable.Copied)
    def _copied(self, message: ResultTable.Copied) -> None:
        self.workstation.copy(message.text, _("the cell") if message.what == "cell" else _("the row"))

    @on(OptionList.OptionSelected)
    def _nothing(self, event: OptionList.OptionSelected) -> None:
        event.stop()

    # -- the status line

    def _time_passed(self) -> None:
        token = self.at_hand.token
        if token is not None and (warning := self.token_warnings.due(token, self.workstation.services.now())):
            self.workstation.told(warning, bad=True)
        if self.is_current:
            self._show_status()

    def _show_status(self) -> None:
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
        )
        shown.show(status, self.workstation.services.now())
