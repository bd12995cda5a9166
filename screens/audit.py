"""The audit: sessions, live and past, and the statements of one. Operators see their own."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import msgspec
from rich.cells import cell_len
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Static

from backends.link import LinkError
from backends.visible_text import visible, visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.language import translate_many
from bastion.api.refusals import Refused

from .widgets.confirmation import Confirmation
from .widgets.frame import KeyLine, TopLine
from .words import clock_time, mark, numbered, seconds, sentence
from .workstation import Page

MOST_SESSIONS = 500
MOST_STATEMENTS = 1000
SETTLE_SECONDS = 0.5
"""Notifications within this time are shown in one go."""
SPARING_TURNS = 4
"""As many times longer on a slow link."""

STATE_STYLES = {"live": "ok", "opening": "warning", "refused": "danger", "lost": "danger"}
STATES = {
    "opening": mark("opening"),
    "live": mark("live"),
    "closed": mark("closed"),
    "refused": mark("refused"),
    "lost": mark("lost"),
}
STATEMENT_STATES = {
    "sent": mark("running"),
    "done": mark("done"),
    "failed": mark("failed"),
    "cancelled": mark("cancelled"),
    "refused": mark("refused"),
    "skipped": mark("skipped"),
}


class AuditScreen(Page):
    """Refreshed by notifications, not by a clock."""

    DEFAULT_CSS = """
    AuditScreen .head { height: 1; background: $surface; padding: 0 1; }
    AuditScreen DataTable { height: 1fr; background: $background; }
    AuditScreen #statements { height: 1fr; }
    AuditScreen #text { height: 6; padding: 0 1; border-top: solid $line; }
    AuditScreen.short #text { height: 4; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "live", mark("Live only / all")),
        Binding("f5", "refresh", mark("Refresh")),
        Binding("f6,tab", "next_pane", mark("Pane"), key_display="F6"),
        Binding("f8", "cancel", mark("Cancel statement"), show=False),
        Binding("x", "end", mark("End session")),
        Binding("c", "copy", mark("Copy statement"), show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._live_only = False
        self._sessions: list[m.Session] = []
        self._statements: list[m.Statement] = []
        self._of: str | None = None
        self._stale_sessions = self._stale_statements = False
        self._turn = 0

    def title_words(self) -> str:
        return _("Audit")

    def compose(self) -> ComposeResult:
        yield TopLine("audit")
        yield Static("", classes="head", id="sessions-head", markup=False)
        sessions: DataTable[Text] = DataTable(cursor_type="row", id="sessions")
        yield sessions
        yield Static("", classes="head", id="statements-head", markup=False)
        statements: DataTable[Text] = DataTable(cursor_type="row", id="statements")
        yield statements
        with VerticalScroll(id="text", can_focus=False):
            yield Static("", id="statement", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self._table("sessions").focus()
        self.set_interval(SETTLE_SECONDS, partial(self._settle, now=False))

    def go_home(self) -> None:
        self._table("sessions").focus()

    def on_screen_resume(self) -> None:
        self._stale_sessions = self._stale_statements = True
        self._settle()

    def on_resize(self) -> None:
        self.set_class(self.size.height < 30, "short")
        self._show_sessions()
        self._show_statements()

    def _table(self, id: str) -> DataTable[Text]:
        table: DataTable[Text] = self.query_one(f"#{id}", DataTable)
        return table

    # -- loading

    def heard(self, event: m.Event) -> None:
        """A notification; what it changes is loaded soon."""
        if event.topic == "sessions":
            self._stale_sessions = True
        elif event.topic.startswith("statements"):
            try:
                statement = msgspec.convert(event.data, m.Statement)
            except msgspec.ValidationError:
                return
            self._stale_sessions = True
            if statement.session == self._of:
                self._stale_statements = True

    def _settle(self, *, now: bool = True) -> None:
        self._turn += 1
        if not self.is_current or (not now and self.workstation.sparing and self._turn % SPARING_TURNS):
            return
        if self._stale_sessions:
            self._stale_sessions = False
            self._load_sessions()
        if self._stale_statements:
            self._stale_statements = False
            self._load_statements()

    @work(exclusive=True, group="sessions")
    async def _load_sessions(self) -> None:
        wanted = m.SessionFilter(live=self._live_only, newest=True, limit=MOST_SESSIONS)
        try:
            self._sessions = await self.workstation.bastion.call(methods.SESSIONS, wanted)
        except (Refused, LinkError) as error:
            self.workstation.told(sentence(error), bad=True)
            return
        self._show_sessions()

    @work(exclusive=True, group="statements")
    async def _load_statements(self) -> None:
        session = self._of
        if session is None:
            return
        try:
            page = await self.workstation.bastion.call(
                methods.STATEMENTS, m.StatementFilter(session=session, limit=MOST_STATEMENTS)
            )
        except (Refused, LinkError) as error:
            self.workstation.told(sentence(error), bad=True)
            return
        if session == self._of:
            self._statements = page.statements
            self._show_statements()

    # -- showing

    def _show_sessions(self) -> None:
        table = self._table("sessions")
        local = self.workstation.services.local_time
        plain = self.workstation.plain
        cells = [
            [
                Text(
                    numbered(number, _(STATES.get(s.state, s.state)), plain=plain),
                    style=STATE_STYLES.get(s.state, "muted"),
                ),
                Text(clock_time(s.started_at, local=local, with_date=True)),
                Text(visible_line(s.user), style="bold"),
                Text(visible_line(f"{s.database}/{s.account}")),
                Text(visible_line(s.client or "-")),
                Text(visible_line(s.source), style="muted"),
                Text(str(s.statements), justify="right"),
                Text(visible_line(s.running or s.end_reason or ""), style="" if s.running else "muted"),
            ]
            for number, s in enumerate(self._sessions, 1)
        ]
        heads = [
            _("State"), _("Started"), _("User"), _("Database/account"), _("Client"), _("Source"),
            _("Stmts"), _("Now / ended"),
        ]  # fmt: skip
        # At 80 columns client and source are left out: the lower part of the page names them.
        left_out = {4, 5} if self.size.width < 110 else set()
        row = table.cursor_row
        kept = self._of
        _fill(table, heads, cells, [s.id for s in self._sessions], self.size.width, left_out)
        ids = [s.id for s in self._sessions]
        if kept in ids:
            table.move_cursor(row=ids.index(kept))
        elif ids:
            table.move_cursor(row=min(row, len(ids) - 1))
        count = translate_many("{count} session", "{count} sessions", len(ids)).format(count=len(ids))
        which = _("live only") if self._live_only else _("live and past, newest first")
        head = Text(f"{count} · {which}", no_wrap=True, overflow="ellipsis")
        if not self.workstation.has_role("auditor", "administrator"):
            head.append(" · " + _("your own"), style="muted")
        self.query_one("#sessions-head", Static).update(head)

    def _show_statements(self) -> None:
        table = self._table("statements")
        local = self.workstation.services.local_time
        cells = [
            [
                Text(str(s.seq), justify="right", style="muted"),
                Text(clock_time(s.at, local=local)),
                Text(
                    _(STATEMENT_STATES.get(s.state, s.state)),
                    style={"failed": "danger", "refused": "danger", "cancelled": "warning", "sent": "warning"}.get(
                        s.state, "ok"
                    ),
                ),
                Text("" if s.rows is None else f"{s.rows:,}", justify="right"),
                Text("" if s.duration_ms is None else seconds(s.duration_ms / 1000), justify="right"),
                Text(visible_line(" ".join(s.text[:500].split()))),
            ]
            for s in self._statements
        ]
        heads = ["#", _("At"), _("State"), _("Rows"), _("Time"), _("Statement")]
        row, at_end = table.cursor_row, table.cursor_row >= table.row_count - 1
        _fill(table, heads, cells, [f"{s.session}/{s.seq}" for s in self._statements], self.size.width, set())
        if self._statements:
            table.move_cursor(row=len(self._statements) - 1 if at_end else min(row, len(self._statements) - 1))
        head = Text(no_wrap=True, overflow="ellipsis")
        session = next((s for s in self._sessions if s.id == self._of), None)
        if session is not None:
            pieces = [
                translate_many("{count} statement", "{count} statements", len(self._statements)).format(
                    count=len(self._statements)
                ),
                session.id,
                _("from {source}").format(source=session.source),
                session.client or "-",
                _("login {login}").format(login=session.login or "-"),
            ]
            head.append(visible_line(" · ".join(pieces)))
            if session.unattributed_bytes:
                head.append(
                    " · " + _("{count} bytes unattributed").format(count=session.unattributed_bytes), style="danger"
                )
        self.query_one("#statements-head", Static).update(head)
        self._show_text()

    def _show_text(self) -> None:
        statement = self._chosen_statement()
        text = Text()
        if statement is not None:
            text.append(visible(statement.text))
            if statement.binds is not None:
                binds = ", ".join("NULL" if bind is None else repr(bind) for bind in statement.binds)
                text.append("\n" + _("binds: {binds}").format(binds=visible_line(binds)), style="muted")
            if statement.error:
                text.append("\n✗ " + visible(statement.error), style="danger")
            if statement.tool:
                text.append("\n" + _("start-up of {tool}").format(tool=visible_line(statement.tool)), style="muted")
        self.query_one("#statement", Static).update(text)

    # -- what the person does

    @on(DataTable.RowHighlighted, "#sessions")
    def _session_highlighted(self) -> None:
        session = self._chosen_session()
        if session is not None and session.id != self._of:
            self._of = session.id
            self._statements = []
            self._show_statements()
            self._load_statements()
        self.refresh_bindings()

    @on(DataTable.RowHighlighted, "#statements")
    def _statement_highlighted(self) -> None:
        self._show_text()

    @on(DataTable.RowSelected, "#sessions")
    def _session_selected(self) -> None:
        self._table("statements").focus()

    def _chosen_session(self) -> m.Session | None:
        row = self._table("sessions").cursor_row
        return self._sessions[row] if 0 <= row < len(self._sessions) else None

    def _chosen_statement(self) -> m.Statement | None:
        row = self._table("statements").cursor_row
        return self._statements[row] if 0 <= row < len(self._statements) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("end", "cancel"):
            session = self._chosen_session() if self.is_mounted else None
            if session is None or session.state not in ("live", "opening"):
                return False
            own = self.workstation.link is not None and session.user == self.workstation.link.hello.user
            return own if action == "cancel" else own or self.workstation.has_role("auditor", "administrator")
        return True

    def action_live(self) -> None:
        self._live_only = not self._live_only
        self._load_sessions()

    def action_refresh(self) -> None:
        self._load_sessions()
        self._load_statements()

    def action_next_pane(self) -> None:
        sessions, statements = self._table("sessions"), self._table("statements")
        (statements if sessions.has_focus else sessions).focus()

    def action_copy(self) -> None:
        statement = self._chosen_statement()
        if statement is not None:
            self.workstation.copy(statement.text, _("the statement"))

    @work(exclusive=True, group="act")
    async def action_cancel(self) -> None:
        session = self._chosen_session()
        if session is None:
            return
        try:
            taken = await self.workstation.bastion.call(methods.SESSION_CANCEL, methods.ById(id=session.id))
        except (Refused, LinkError) as error:
            self.workstation.told(sentence(error), bad=True)
            return
        self.workstation.told(_("The database took the order.") if taken else _("Nothing was running."))

    @work(exclusive=True, group="act")
    async def action_end(self) -> None:
        session = self._chosen_session()
        if session is None:
            return
        sure = await self.app.push_screen_wait(
            Confirmation(
                _("End this session?"),
                _(
                    "{user} on {database} as {account}, from {source}. What runs is cancelled on the database; "
                    "an open transaction is rolled back. This is recorded with your name."
                ).format(
                    user=visible_line(session.user),
                    database=visible_line(session.database),
                    account=visible_line(session.account),
                    source=visible_line(session.source),
                ),
                _("End it"),
                _("Leave it"),
            )
        )
        if not sure:
            return
        try:
            await self.workstation.bastion.call(
                methods.SESSION_END, methods.ById(id=session.id, reason=_("ended from the audit page"))
            )
        except (Refused, LinkError) as error:
            self.workstation.told(sentence(error), bad=True)
            return
        self.workstation.told(_("The session is ended."))
        self._load_sessions()


def _fill(
    table: DataTable[Text], heads: list[str], rows: list[list[Text]], keys: list[str], width: int, left_out: set[int]
) -> None:
    """Fills a table anew; the last column takes what is left of the width."""
    table.clear(columns=True)
    shown = [index for index in range(len(heads)) if index not in left_out]
    room = width - 2 * len(shown) - 1
    for index in shown[:-1]:
        widest = max([cell_len(heads[index]), *(row[index].cell_len for row in rows)])
        widest = min(widest, 34)
        table.add_column(Text(heads[index]), width=widest)
        room -= widest
    table.add_column(Text(heads[shown[-1]]), width=max(room, 10))
    for key, row in zip(keys, rows, strict=True):
        cells = [row[index] for index in shown]
        cells[-1].truncate(max(room, 10), overflow="ellipsis")
        for cell in cells[:-1]:
            cell.truncate(34, overflow="ellipsis")
        table.add_row(*cells, key=key)
