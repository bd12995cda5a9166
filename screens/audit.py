"""The audit: what was done. Sessions and statements, each a tab, under one filter line. Operators see their own."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from backends.link import LinkError
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.audit_filter import FilterUnreadable, joined, terms, with_term
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .audit_acts import cancel_statement, end_session, table_of, token_of
from .audit_columns import (
    session_cells,
    session_details,
    session_headings,
    statement_cells,
    statement_details,
    statement_headings,
)
from .audit_completion import Suggestion, suggestions
from .audit_evidence import bundle_session
from .audit_export import export_listing
from .audit_filters import FiltersDialog
from .audit_form import FormDialog
from .audit_listing import SessionListing, StatementListing
from .audit_report import report
from .audit_statement import StatementDialog
from .audit_words import count_words, nothing_words
from .replay import ReplayRequest, open_replay
from .watch import open_watch
from .widgets.filter_line import FilterInput, FilterLine
from .widgets.frame import KeyLine, TopLine
from .widgets.record_list import RecordList
from .words import mark, sentence
from .workstation import Page

SETTLE_SECONDS = 0.5
"""Notifications within this time are shown in one go."""
SPARING_TURNS = 4
"""As many times longer on a slow link."""
HISTORY = 50
"""Filters that Backspace leads back to."""

TABS = {"sessions": mark("Sessions"), "statements": mark("Statements")}
SORTS = {
    "newest": mark("newest first"),
    "oldest": mark("oldest first"),
    "rows": mark("most rows first"),
    "duration": mark("longest first"),
    "statements": mark("most statements first"),
    "bytes": mark("most bytes first"),
}
CYCLES = {
    "statements": ("newest", "rows", "duration", "oldest"),
    "sessions": ("newest", "statements", "bytes", "oldest"),
}


class AuditScreen(Page):
    """Refreshed by notifications while the first entry is in view, not by a clock."""

    DEFAULT_CSS = """
    AuditScreen .head { height: 1; background: $surface; padding: 0 1; }
    AuditScreen #nothing { display: none; height: 1fr; margin: 1 3; }
    AuditScreen.nothing #nothing { display: block; }
    AuditScreen.nothing RecordList { height: 1; }
    AuditScreen #details { height: 7; padding: 0 1; border-top: solid $line; }
    AuditScreen.short #details { height: 5; }
    AuditScreen.nothing #details { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "edit_filter", mark("Filter")),
        Binding("f6", "other_tab", mark("Other tab")),
        Binding("x", "end", mark("End session")),
        Binding("r", "replay", mark("Replay")),
        Binding("s", "session", mark("Its session")),
        Binding("o", "sort", mark("Sort")),
        Binding("f", "filters", mark("Saved filters")),
        Binding("e", "export", mark("Export")),
        Binding("w", "watch", mark("Watch")),
        Binding("v", "evidence", mark("Session as evidence"), show=False),
        Binding("i", "report", mark("Report"), show=False),
        Binding("l", "live", mark("Live only / all")),
        Binding("f4", "form", mark("Filter as a form"), show=False),
        Binding("backspace", "earlier", mark("The filter before"), show=False),
        Binding("a", "alike", mark("Alike but for values"), show=False),
        Binding("p", "person", mark("What else this person did"), show=False),
        Binding("t", "token", mark("What else this token was used for"), show=False),
        Binding("b", "table", mark("What else its table saw"), show=False),
        Binding("c", "copy", mark("Copy statement"), show=False),
        Binding("f5", "refresh", mark("Refresh"), show=False),
        Binding("f8", "cancel", mark("Cancel statement"), show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._tab = "sessions"
        self._sessions = SessionListing(self._now)
        self._statements = StatementListing(self._now)
        self._cursors = {"sessions": 0, "statements": 0}
        self._line = ""
        self._earlier: list[tuple[str, str]] = []
        self._names = m.AuditNames()
        self._wrong: FilterUnreadable | None = None
        self._loading = False
        self._stale = {"sessions": False, "statements": False}
        self._turn = 0

    def title_words(self) -> str:
        return _("Audit")

    def compose(self) -> ComposeResult:
        yield TopLine("audit")
        yield Static("", classes="head", id="head", markup=False)
        yield FilterLine(self._suggestions)
        yield RecordList(self._cells, id="list")
        yield Static("", id="nothing", markup=False)
        with VerticalScroll(id="details", can_focus=False):
            yield Static("", id="text", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self._list.focus()
        self.set_interval(SETTLE_SECONDS, partial(self._settle, now=False))
        self._load_names()

    def on_screen_resume(self) -> None:
        self._stale[self._tab] = True
        self._settle()

    def on_resize(self) -> None:
        self.set_class(self.size.height < 30, "short")
        self._show()

    def go_home(self) -> None:
        self._list.focus()

    def _now(self) -> tuple[datetime, tzinfo]:
        now = self.workstation.services.now()
        return now, (now.astimezone().tzinfo or UTC) if self.workstation.services.local_time else UTC

    @property
    def _list(self) -> RecordList:
        return self.query_one(RecordList)

    @property
    def _filter(self) -> FilterLine:
        return self.query_one(FilterLine)

    @property
    def _listing(self) -> SessionListing | StatementListing:
        return self._sessions if self._tab == "sessions" else self._statements

    # -- what is heard

    def heard(self, event: m.Event) -> None:
        """A notification; what it changes is loaded soon."""
        if event.topic == "sessions":
            self._stale["sessions"] = True
        elif event.topic.startswith("statements"):
            self._stale["sessions"] = self._stale["statements"] = True

    def _settle(self, *, now: bool = True) -> None:
        self._turn += 1
        if not self.is_current or (not now and self.workstation.sparing and self._turn % SPARING_TURNS):
            return
        at_top = self._cursors[self._tab] == 0 and len(self._listing.entries) <= self._list.size.height * 20
        if self._stale[self._tab] and (now or at_top) and not self._loading and self._wrong is None:
            self._stale[self._tab] = False
            self._load()

    # -- loading

    @work(exclusive=True, group="names")
    async def _load_names(self) -> None:
        try:
            self._names = await self.workstation.bastion.call(methods.AUDIT_NAMES, methods.Nothing())
        except (Refused, LinkError):
            return  # then no names are offered; the search itself says what is wrong
        if self._filter.input.has_focus:
            self._filter.suggest_again()

    def _load(self, *, further: bool = False) -> None:
        self._loading = True
        if self._tab == "sessions":
            self._load_sessions(further)
        else:
            self._load_statements(further)

    @work(exclusive=True, group="page")
    async def _load_sessions(self, further: bool) -> None:
        await self._load_into(self._sessions, further)

    @work(exclusive=True, group="page")
    async def _load_statements(self, further: bool) -> None:
        await self._load_into(self._statements, further)

    async def _load_into(self, listing: SessionListing | StatementListing, further: bool) -> None:
        chosen = self._chosen_key()
        try:
            await listing.load(self.workstation.bastion, further=further)
        except (Refused, LinkError, FilterUnreadable) as error:
            if isinstance(error, Refused) and error.code == "search-replaced":
                return
            listing.failure = sentence(error)
            listing.more = False
            if further or listing.entries:
                self.workstation.told(listing.failure, bad=True)
        finally:
            self._loading = False
        if listing is not self._listing:
            return
        if chosen is not None and not further:
            places = {listing.key(entry): place for place, entry in enumerate(listing.entries)}  # type: ignore[arg-type]
            # At the top the newest stays in view; further down the cursor stays with its entry.
            if self._cursors[self._tab]:
                self._cursors[self._tab] = places.get(chosen, self._cursors[self._tab])
        self._show()
        if listing.count is None and not listing.failure:
            self._load_count()

    @work(exclusive=True, group="count")
    async def _load_count(self) -> None:
        listing = self._listing
        try:
            await listing.load_count(self.workstation.bastion)
        except (Refused, LinkError, FilterUnreadable):
            return  # the page says how many it has
        self._show_head()

    def _chosen_key(self) -> object:
        entries, place = self._listing.entries, self._cursors[self._tab]
        return self._listing.key(entries[place]) if place < len(entries) else None  # type: ignore[arg-type]

    # -- the filter

    def _suggestions(self, line: str, cursor: int) -> list[Suggestion]:
        return suggestions(line, cursor, self._names, self._tab)

    @on(FilterLine.Applied)
    def _applied(self, event: FilterLine.Applied) -> None:
        event.stop()
        if self._search(event.line, self._tab):
            self._list.focus()

    def _search(self, line: str, tab: str, *, remember: bool = True) -> bool:
        """Shows what meets the line in a tab; False where it cannot be read, and that is said."""
        line = line.strip()
        listing = self._sessions if tab == "sessions" else self._statements
        if remember and (self._tab, self._line) != (tab, line):
            self._earlier = [*self._earlier[-HISTORY:], (self._tab, self._line)]
        self._tab, self._line = tab, line
        self._filter.put(line)
        try:
            listing.read(line)
            self._wrong = None
        except FilterUnreadable as error:
            self._wrong = error
            listing.forget()
        self._filter.wrong(self._wrong, line)
        if self._wrong is None and (listing.line != line or not listing.loaded):
            listing.forget()
            listing.line = line
            self._cursors[tab] = 0
            self._load()
        elif self._wrong is None:
            self._load()
        self._show()
        self.refresh_bindings()
        return self._wrong is None

    def action_edit_filter(self) -> None:
        self._filter.edit()

    def action_complete(self) -> None:
        self._filter.complete()

    def action_filter_move(self, by: int) -> None:
        if self._filter.is_open:
            self._filter.move(by)
        elif by > 0:
            self._list.focus()

    def action_earlier(self) -> None:
        """The filter before this one."""
        if self._earlier:
            tab, line = self._earlier.pop()
            self._search(line, tab, remember=False)

    @work(exclusive=True, group="dialog")
    async def action_evidence(self) -> None:
        """The session under the cursor, or that of the statement there, as a bundle that proves itself."""
        session, statement = self.chosen_session, self.chosen_statement
        id = session.id if session is not None else statement.session if statement is not None else ""
        if id:
            await bundle_session(self.workstation, id)

    @work(exclusive=True, group="dialog")
    async def action_report(self) -> None:
        """Of the person, the database and the period of the filter, as a page that prints."""
        await report(self.workstation, self._line, *self._now())

    def action_other_tab(self) -> None:
        """The same filter over the other kind of entries."""
        self._search(self._line, "statements" if self._tab == "sessions" else "sessions")

    def action_sort(self) -> None:
        """The next order."""
        try:
            now = next((term.values[0] for term in terms(self._line) if term.key == "sort"), "newest")
        except FilterUnreadable:
            return
        cycle = CYCLES[self._tab]
        following = cycle[(cycle.index(now) + 1) % len(cycle)] if now in cycle else cycle[0]
        self._search(with_term(self._line, "sort", *([following] if following != "newest" else [])), self._tab)

    @work(exclusive=True, group="dialog")
    async def action_form(self) -> None:
        """The filter as a form."""
        line = await self.app.push_screen_wait(FormDialog(self._filter.input.value, self._tab))
        if line is not None:
            self._search(line, self._tab)

    @work(exclusive=True, group="dialog")
    async def action_filters(self) -> None:
        """The saved filters: one's own, and those that others share."""
        chosen = await self.app.push_screen_wait(FiltersDialog(self._line, self._tab))
        if chosen is not None:
            self._search(chosen.text, chosen.what if chosen.what in TABS else self._tab)

    @work(exclusive=True, group="dialog")
    async def action_export(self) -> None:
        """What the filter finds, as a file."""
        if self._wrong is None:
            await export_listing(self.workstation, self._listing.read(self._line), self._tab)

    # -- showing

    def _cells(self, place: int) -> list[Text]:
        local = self.workstation.services.local_time
        if self._tab == "sessions":
            return session_cells(self._sessions.entries[place], local=local)
        return statement_cells(self._statements.entries[place], local=local)

    def _show(self) -> None:
        if not self.is_mounted:
            return
        listing = self._listing
        self.set_class(not listing.entries, "nothing")
        headings = session_headings() if self._tab == "sessions" else statement_headings()
        self._list.show(headings, len(listing.entries), self._cursors[self._tab])
        self._cursors[self._tab] = self._list.cursor
        if not listing.entries:
            self.query_one("#nothing", Static).update(
                nothing_words(listing, unreadable=self._wrong is not None, narrowed=self._narrowed)
            )
        self._show_head()
        self._show_details()
        self.refresh_bindings()

    def _show_head(self) -> None:
        head = Text(no_wrap=True, overflow="ellipsis")
        for tab, words in TABS.items():
            head.append(f" {_(words)} ", style="selection" if tab == self._tab else "muted")
        for piece in self._facts():
            head.append(f" · {piece}")
        if not self.workstation.has_role("auditor", "administrator"):
            head.append(" · " + _("your own"), style="muted")
        self.query_one("#head", Static).update(head)

    def _facts(self) -> list[str]:
        listing = self._listing
        if self._wrong is not None or (not listing.loaded and not listing.failure):
            return [] if self._wrong is not None else [_("searching …")]
        facts = [count_words(listing, self._tab)]
        try:
            sort = next((term.values[0] for term in terms(self._line) if term.key == "sort"), "newest")
        except FilterUnreadable:
            sort = "newest"
        facts.append(_(SORTS.get(sort, SORTS["newest"])))
        if self._tab == "sessions" and self._sessions.live_only:
            facts.append(_("live only"))
        if self._stale[self._tab] and self._cursors[self._tab]:
            facts.append(_("there is more since: F5"))
        return facts

    @property
    def _narrowed(self) -> bool:
        """Whether something is asked for, so that others may be on record."""
        return bool(self._line.strip()) or (self._tab == "sessions" and self._sessions.live_only)

    def _show_details(self) -> None:
        text = Text()
        session, statement = self.chosen_session, self.chosen_statement
        if session is not None:
            text = session_details(session, local=self.workstation.services.local_time)
        elif statement is not None:
            text = statement_details(statement)
        self.query_one("#text", Static).update(text)
        self.query_one("#details", VerticalScroll).scroll_home(animate=False)

    # -- what the person does

    @on(RecordList.Moved)
    def _moved(self) -> None:
        self._cursors[self._tab] = self._list.cursor
        self._show_details()
        self.refresh_bindings()

    @on(RecordList.NearEnd)
    def _near_end(self) -> None:
        listing = self._listing
        if listing.more and not self._loading and self._wrong is None:
            if listing.full:
                self.workstation.told(_("These are as many as fit here. Narrow the filter to see others."), bad=True)
                return
            self._load(further=True)

    @on(RecordList.Opened)
    def _opened(self) -> None:
        session, statement = self.chosen_session, self.chosen_statement
        if session is not None:
            self._statements_of(session.id)
        elif statement is not None:
            self._open_statement(statement)

    @work(exclusive=True, group="dialog")
    async def _open_statement(self, statement: m.Statement) -> None:
        wish = await self.app.push_screen_wait(StatementDialog(statement))
        if wish == "replay":
            self.action_replay()

    @property
    def chosen_session(self) -> m.Session | None:
        """The session that the cursor is on, in the sessions' tab."""
        entries, place = self._sessions.entries, self._cursors["sessions"]
        return entries[place] if self._tab == "sessions" and place < len(entries) else None

    @property
    def chosen_statement(self) -> m.Statement | None:
        """The statement that the cursor is on, in the statements' tab."""
        entries, place = self._statements.entries, self._cursors["statements"]
        return entries[place] if self._tab == "statements" and place < len(entries) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        session, statement = (self.chosen_session, self.chosen_statement) if self.is_mounted else (None, None)
        if action == "report":
            return self.workstation.has_role("auditor", "administrator")
        if action == "evidence":
            return self.workstation.has_role("auditor") and (session is not None or statement is not None)
        if action in ("end", "cancel", "watch"):
            if session is None or session.state not in ("live", "opening"):
                return False
            own = self.workstation.link is not None and session.user == self.workstation.link.hello.user
            sees_all = self.workstation.has_role("auditor", "administrator")
            return (
                own
                if action == "cancel"
                else self.workstation.has_role("auditor")
                if action == "watch"
                else own or sees_all
            )
        if action == "live":
            return self._tab == "sessions"
        if action in ("session", "copy", "alike", "table"):
            return statement is not None
        if action in ("person", "token"):
            return session is not None or statement is not None
        if action == "replay":
            return (session is not None or statement is not None) and self.workstation.has_role("auditor")
        if action in ("filters", "export"):
            return self.workstation.has_role("auditor", "administrator")
        if action == "earlier":
            return bool(self._earlier)
        return True

    def _statements_of(self, session: str) -> None:
        self._search(joined(terms(with_term(with_term("", "session", session), "sort", "oldest"))), "statements")

    def action_session(self) -> None:
        if (statement := self.chosen_statement) is not None:
            self._statements_of(statement.session)

    def action_person(self) -> None:
        """Everything of the person."""
        if (chosen := self.chosen_session or self.chosen_statement) is not None:
            self._search(with_term("", "user", chosen.user), "statements")

    def action_alike(self) -> None:
        """Statements that differ only in their values."""
        if (statement := self.chosen_statement) is not None:
            like = statement.digest or f"{statement.session}/{statement.seq}"
            self._search(with_term("", "like", like), "statements")

    @work(exclusive=True, group="act")
    async def action_token(self) -> None:
        """Everything that was done with the same token."""
        if (token := await token_of(self.workstation, self.chosen_session, self.chosen_statement)) is not None:
            self._search(with_term("", "token", token), "statements")

    @work(exclusive=True, group="act")
    async def action_table(self) -> None:
        """Everything that names the same table; asks which where there are several."""
        if (table := await table_of(self.workstation, self.chosen_statement)) is not None:
            self._search(with_term("", "table", table), "statements")

    def action_replay(self) -> None:
        """The session, from this statement on."""
        session, statement = self.chosen_session, self.chosen_statement
        if session is not None:
            open_replay(self.workstation, ReplayRequest(session.id))
        elif statement is not None:
            words = " ".join(self._statements.read(self._statements.line).words)
            open_replay(self.workstation, ReplayRequest(statement.session, seq=statement.seq, find=words))

    def action_watch(self) -> None:
        if (session := self.chosen_session) is not None:
            open_watch(self.workstation, [session.id])

    def action_live(self) -> None:
        """Only what is open, or everything."""
        self._sessions.live_only = not self._sessions.live_only
        self._sessions.forget()
        self._search(self._line, "sessions")

    def action_refresh(self) -> None:
        self._stale[self._tab] = False
        self._listing.count = None
        self._search(self._filter.input.value, self._tab)

    def action_copy(self) -> None:
        if (statement := self.chosen_statement) is not None:
            self.workstation.copy(statement.text, _("the statement"))

    @work(exclusive=True, group="act")
    async def action_cancel(self) -> None:
        if (session := self.chosen_session) is not None:
            await cancel_statement(self.workstation, session)

    @work(exclusive=True, group="act")
    async def action_end(self) -> None:
        session = self.chosen_session
        if session is not None and await end_session(self.workstation, session):
            self._load()


__all__ = ["AuditScreen", "FilterInput"]
