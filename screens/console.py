"""The SQL console: the catalog, the editor, the results. One connection; what runs can be cancelled at any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.css.query import NoMatches
from textual.message import Message
from textual.timer import Timer
from textual.widgets import OptionList

from backends.connection import (
    BudgetReached,
    EngineNotSupported,
    ResultBegan,
    ResultEnded,
    RowsArrived,
    RunEvent,
    RunFailed,
    only_catalog,
)
from backends.interface import DatabaseError, Notice, TransactionState
from backends.link import LinkError
from backends.statements import split, statement_at
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .choice import ChoiceDialog
from .token import TokenDialog
from .value import ValueDialog
from .widgets.catalog_tree import CatalogTree
from .widgets.confirmation import Confirmation, TextQuestion
from .widgets.editor import SqlEditor
from .widgets.frame import KeyLine, TopLine
from .widgets.result_table import ResultTable
from .widgets.results import Results
from .widgets.status_line import Status, StatusLine
from .words import left, mark, moment, sentence, size
from .workstation import Console, Page

HISTORY = 500
"""Statements kept of one sitting."""
WARNINGS = (600, 300, 60)
"""Seconds before the token's end at which the person is told."""
CONNECTION_ERRORS = (Refused, LinkError, DatabaseError, EngineNotSupported)


@dataclass(frozen=True)
class Piece:
    """A statement to run, and where it starts in the editor."""

    text: str
    start: int


class ConsoleScreen(Page):
    """The state is changed in message handlers only; the connection's thread just posts."""

    DEFAULT_CSS = """
    ConsoleScreen #work { height: 1fr; }
    ConsoleScreen CatalogTree { width: 26; border-right: solid $panel-lighten-1; }
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

    class Ran(Message):
        """Something came from the connection's thread."""

        def __init__(self, run: int, event: RunEvent) -> None:
            super().__init__()
            self.run, self.event = run, event

    def __init__(self) -> None:
        super().__init__()
        self._database: Console | None = None
        self._token: m.Token | None = None
        self._catalog = ""
        self._connecting = False
        self._stage = ""
        self._stage_bad = False
        self._stage_stays = False
        self._statement_runs = False
        self._run_number = 0
        self._pieces: list[Piece] = []
        self._transaction = TransactionState.NONE
        self._autocommit = True
        self._history: list[str] = []
        self._waiting_rows: list[pa.RecordBatch] = []
        self._minute: Timer | None = None
        self._warned: set[int] = set()

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
        self._minute = self.set_interval(20.0, self._time_passed)
        self.query_one(SqlEditor).focus()
        self._show_status()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= 120, "wide")
        self._show_status()

    # -- connecting

    @property
    def busy(self) -> bool:
        """A statement runs or a transaction is open: leaving would lose something."""
        return self._statement_runs or self._transaction in (TransactionState.OPEN, TransactionState.FAILED)

    @property
    def connected(self) -> bool:
        """A database is at hand."""
        return self._database is not None

    @work(exclusive=True, group="connect")
    async def connect_to(self, token: m.Token, catalog: str) -> None:
        """Takes another database, after asking where something would be lost."""
        if self._database is not None and self._token is not None:
            if (self._token.id, self._catalog) == (token.id, catalog):
                return
            if self.busy and not await self.app.push_screen_wait(self._leaving_question()):
                return
        await self.disconnect()
        self._token, self._catalog = token, catalog
        self._warned = set()
        self._connecting = True
        self._say(_("Connecting to {database} …").format(database=visible_line(token.database)))
        results = self.query_one(Results)
        await results.clear()
        try:
            console = await self.workstation.services.open_console(self.workstation.bastion, token, catalog)
        except CONNECTION_ERRORS as error:
            text = sentence(error)
            self._say(_("Not connected"), bad=True)
            results.write(Text(f"✗ {text}", style="red"))
            return
        finally:
            self._connecting = False
        if not catalog and (better := await self._chosen_catalog(console)) is not None:
            await console.close()
            self._catalog = better
            try:
                console = await self.workstation.services.open_console(self.workstation.bastion, token, better)
            except CONNECTION_ERRORS as error:
                self._say(_("Not connected"), bad=True)
                results.write(Text(f"✗ {sentence(error)}", style="red"))
                return
        self._catalog = console.facts.catalog
        self._database = console
        self._autocommit = True
        self._transaction = TransactionState.NONE
        self._say("")
        results.write(
            Text(
                _("Connected to {database} as {account}: {version}. This session is recorded as {session}.").format(
                    database=visible_line(token.database),
                    account=visible_line(token.account),
                    version=visible_line(f"{console.engine} {console.facts.version}"),
                    session=visible_line(console.session),
                ),
                style="dim",
            )
        )
        self.query_one(CatalogTree).reset_to(token.database)
        self.query_one(SqlEditor).focus()
        self.refresh_bindings()

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
        chosen: str | None = await self.app.push_screen_wait(ChoiceDialog(_("Which database of this server?"), names))
        return None if chosen == console.facts.catalog else chosen

    async def disconnect(self) -> None:
        """Closes the connection; what runs on it is cancelled by the bastion."""
        console, self._database = self._database, None
        self._statement_runs = False
        self._run_number += 1
        if console is not None:
            await console.close()
        self.refresh_bindings()

    def link_lost(self) -> None:
        """The SSH connection is gone, and the session with it."""
        if self._database is None:
            return
        lost = _("The connection was lost.")
        if self._statement_runs:
            lost += " " + _("The running statement was cancelled by the bastion.")
        if self._transaction is TransactionState.OPEN:
            lost += " " + _("The open transaction was rolled back.")
        self._database = None
        self._statement_runs = False
        self._run_number += 1
        self._transaction = TransactionState.NONE
        self._say(lost, bad=True)

    def _leaving_question(self) -> Confirmation:
        if self._statement_runs:
            text = _("A statement is running. It is cancelled on the database.")
        else:
            text = _("A transaction is open. It is rolled back.")
        return Confirmation(_("Leave this connection?"), text, _("Leave"), _("Stay"))

    def leaving_question(self) -> Confirmation | None:
        """What to ask before the workstation is quit; None when nothing would be lost."""
        return self._leaving_question() if self._database is not None and self.busy else None

    # -- running

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("run", "run_all"):
            return self._database is not None and not self._statement_runs
        if action == "cancel":
            return self._statement_runs
        if action in ("commit", "rollback"):
            return (
                self._database is not None
                and not self._statement_runs
                and self._transaction
                in (
                    TransactionState.OPEN,
                    TransactionState.FAILED,
                )
            )
        if action in ("autocommit", "change_catalog"):
            return self._database is not None and not self._statement_runs
        if action == "token":
            return self._token is not None
        return True

    def action_run(self) -> None:
        """Runs what is selected, else the statement at the cursor."""
        editor = self.query_one(SqlEditor)
        engine = self._database.engine if self._database is not None else ""
        selected = editor.selected_text
        if selected.strip():
            start = editor.offset_of(min(editor.selection.start, editor.selection.end))
            self._run([Piece(selected[s.start : s.end], start + s.start) for s in split(selected, engine)])
            return
        text = editor.text
        span = statement_at(text, editor.cursor_offset, engine)
        if span is None:
            self.workstation.told(_("There is no statement at the cursor."))
            return
        self._run([Piece(text[span.start : span.end], span.start)])

    def action_run_all(self) -> None:
        """Runs every statement of the editor, up to the first error."""
        text = self.query_one(SqlEditor).text
        engine = self._database.engine if self._database is not None else ""
        self._run([Piece(text[span.start : span.end], span.start) for span in split(text, engine)])

    @work(exclusive=True, group="run")
    async def _run(self, pieces: list[Piece]) -> None:
        console = self._database
        if console is None or self._statement_runs or not pieces:
            return
        self._statement_runs = True
        self._run_number += 1
        run = self._run_number
        self._waiting_rows = []
        self.query_one(SqlEditor).clear_error()
        await self.query_one(Results).clear()
        for piece in pieces:
            if piece.text in self._history:
                self._history.remove(piece.text)
            self._history.append(piece.text)
        del self._history[:-HISTORY]
        self.refresh_bindings()
        try:
            for number, piece in enumerate(pieces, 1):
                many = f" {number}/{len(pieces)}" if len(pieces) > 1 else ""
                self._say(_("Running{many} …").format(many=many))
                self._pieces = [piece]
                failed = False

                def listen(event: RunEvent) -> None:
                    nonlocal failed
                    failed = failed or isinstance(event, RunFailed)
                    self.post_message(self.Ran(run, event))

                await console.run(piece.text, listen)
                if failed:
                    break
        except CONNECTION_ERRORS as error:
            self.query_one(Results).write(Text(f"✗ {sentence(error)}", style="red"))
        finally:
            if run == self._run_number:
                self._statement_runs = False
                self.call_later(self._run_over, run)

    async def _run_over(self, run: int) -> None:
        console = self._database
        if run != self._run_number or console is None:
            return
        try:
            self._transaction = await console.transaction()
        except CONNECTION_ERRORS:
            self._transaction = TransactionState.UNKNOWN
        if not self._stage_stays:
            self._stage = ""
        self._show_status()
        self.refresh_bindings()

    @on(Ran)
    async def _ran(self, message: Ran) -> None:
        if message.run != self._run_number:
            return
        results = self.query_one(Results)
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
            self._say(_("{size} of rows are kept; {how}").format(size=size(event.bytes), how=how))
        elif isinstance(event, Notice):
            results.noticed(event)
        else:
            self._failed(event)

    def _failed(self, event: RunFailed) -> None:
        results = self.query_one(Results)
        results.failed(event.error, event.seconds)
        if event.error.cancelled:
            self._say(_("Cancelled; the connection is kept."), lasting=True)
        elif event.error.position is not None and self._pieces:
            self.query_one(SqlEditor).show_error(self._pieces[0].start + event.error.position)
        if event.error.connection_lost:
            self._say(_("The connection to the database has ended. Open it again from the databases page."), bad=True)
            self.run_worker(self.disconnect(), group="connect")

    @work(exclusive=True, group="cancel")
    async def action_cancel(self) -> None:
        """Cancels what runs, in visible stages."""
        console = self._database
        if console is None or not self._statement_runs:
            return
        run = self._run_number
        self._say(_("Cancelling: sent to the bastion …"))
        try:
            taken = await console.cancel()
        except CONNECTION_ERRORS as error:
            self._say(_("Not cancelled: {reason}").format(reason=sentence(error)), bad=True)
            return
        if run != self._run_number or not self._statement_runs:
            return
        if taken:
            self._say(_("Cancelling: the database took the order, its answer is awaited …"))
        else:
            self._say(_("Not cancelled: the database did not take the order. F8 tries again."), bad=True)

    # -- transactions

    @work(exclusive=True, group="transaction")
    async def action_commit(self) -> None:
        await self._end_transaction(commit=True)

    @work(exclusive=True, group="transaction")
    async def action_rollback(self) -> None:
        await self._end_transaction(commit=False)

    async def _end_transaction(self, *, commit: bool) -> None:
        console = self._database
        if console is None or self._statement_runs:
            return
        results = self.query_one(Results)
        try:
            await (console.commit() if commit else console.rollback())
            done = _("Committed.") if commit else _("Rolled back.")
            results.write(Text(f"✓ {done}", style="green"))
            self.workstation.told(done)
        except CONNECTION_ERRORS as error:
            results.write(Text(f"✗ {sentence(error)}", style="red"))
            self.workstation.told(sentence(error), bad=True)
        await self._run_over(self._run_number)

    @work(exclusive=True, group="transaction")
    async def action_autocommit(self) -> None:
        """Turns autocommit over."""
        console = self._database
        if console is None or self._statement_runs:
            return
        try:
            await console.set_autocommit(not self._autocommit)
            self._autocommit = not self._autocommit
        except CONNECTION_ERRORS as error:
            self.workstation.told(sentence(error), bad=True)
        await self._run_over(self._run_number)

    # -- the catalog

    @on(CatalogTree.Wanted)
    def _catalog_wanted(self, message: CatalogTree.Wanted) -> None:
        self._load_catalog(message)

    @work(group="catalog")
    async def _load_catalog(self, message: CatalogTree.Wanted) -> None:
        console, tree, node = self._database, self.query_one(CatalogTree), message.node
        if console is None:
            tree.failed(node, _("not connected"))
            return
        try:
            children = await console.children(node.data)
        except CONNECTION_ERRORS as error:
            tree.failed(node, sentence(error))
            return
        if console is self._database:
            await tree.fill(node, children)

    @on(CatalogTree.Chosen)
    def _catalog_chosen(self, message: CatalogTree.Chosen) -> None:
        console, editor, node = self._database, self.query_one(SqlEditor), message.node
        if console is None:
            return
        path = node.path if node.kind in ("table", "view") else node.path[-1:]
        if message.action == "select" and node.kind in ("table", "view"):
            before = "" if not editor.text.strip() else "\n\n"
            end = editor.document.end
            editor.move_cursor(end)
            editor.put(before + console.sample(path))
        else:
            if path and path[0] == "public":
                path = path[1:] or path
            editor.put(".".join(console.quote(part) for part in path))
        editor.focus()

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

    def action_toggle_catalog(self) -> None:
        tree = self.query_one(CatalogTree)
        if tree.has_focus:
            self.query_one(SqlEditor).focus()
        self.toggle_class("no-catalog")

    @work(exclusive=True, group="dialog")
    async def action_history(self) -> None:
        """Statements that were run, newest first; the chosen one is put into the editor."""
        chosen = await self.app.push_screen_wait(ChoiceDialog(_("History"), list(reversed(self._history))))
        if chosen is not None:
            editor = self.query_one(SqlEditor)
            editor.put(chosen if chosen.rstrip().endswith(";") else f"{chosen};")
            editor.focus()

    @work(exclusive=True, group="dialog")
    async def action_change_catalog(self) -> None:
        """Opens another database name of the same database."""
        if self._token is None:
            return
        names: list[str] = []
        if self._database is not None:
            try:
                names = await self._database.catalogs()
            except CONNECTION_ERRORS as error:
                self.workstation.told(sentence(error), bad=True)
        title = _("Database name to open")
        question = ChoiceDialog(title, names) if names else TextQuestion(title, self._catalog)
        name: str | None = await self.app.push_screen_wait(question)
        if name is not None and self._token is not None:
            self.connect_to(self._token, name.strip())

    @work(exclusive=True, group="dialog")
    async def action_token(self) -> None:
        """The token of this connection."""
        token = self._token
        if token is None:
            return
        account = m.Account(name=token.account, hosted=token.hosted)
        await self.app.push_screen_wait(TokenDialog(token.database, account, token.id))

    def token_changed(self, state: m.TokenState) -> None:
        """The token was renewed, here or elsewhere."""
        if self._token is not None and self._token.id == state.id:
            self._token.expires_at = state.expires_at
            self._token.renewals_left = state.renewals_left
            self._warned = set()
            self._show_status()

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

    def _say(self, text: str, *, bad: bool = False, lasting: bool = False) -> None:
        """`bad` and `lasting` words stay when the run is over."""
        self._stage, self._stage_bad, self._stage_stays = text, bad, bad or lasting
        self._show_status()

    def _time_passed(self) -> None:
        if self._token is not None:
            rest = (moment(self._token.expires_at) - self.workstation.services.now()).total_seconds()
            for limit in WARNINGS:
                if 0 < rest <= limit and limit not in self._warned:
                    self._warned.update(other for other in WARNINGS if other >= limit)
                    self.workstation.told(
                        _("The token ends in {time}. F3 renews it.").format(
                            time=left(self._token.expires_at, self.workstation.services.now())
                        ),
                        bad=True,
                    )
                    break
        if self.is_current:
            self._show_status()

    def _show_status(self) -> None:
        try:
            shown = self.query_one(StatusLine)
        except NoMatches:
            return
        status = Status(
            token=self._token,
            catalog=self._catalog,
            connected=self._database is not None,
            connecting=self._connecting,
            autocommit=self._autocommit,
            transaction=self._transaction,
            stage=self._stage,
            bad=self._stage_bad,
        )
        shown.show(status, self.workstation.services.now())
