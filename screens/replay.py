"""A session, statement by statement: the time line beside what each returned, and the screen where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from backends.link import LinkError
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.language import translate_many
from bastion.api.refusals import Refused
from bastion.api.screens import ScreenOfRequest, ScreenSessions

from .widgets.confirmation import TextQuestion
from .widgets.frame import KeyLine, TopLine
from .widgets.inputs import LineInput
from .widgets.recorded_results import RecordedResults, kept_words
from .widgets.screen_pane import Moment
from .widgets.time_line import TimeLine, statement_text
from .words import clock_time, mark, moment, sentence
from .workstation import Page, Workstation

PAGE = 500
"""Statements that are fetched at once."""
MOST_STATEMENTS = 50_000
"""Statements of one session that are shown; a search finds those behind them."""
LIVE_SECONDS = 2.0
"""A session that is still live is looked at again so often."""
MOST_ROWS = 50_000
MOST_PAGES = 40
"""Rows, and pages of rows, of one result that are shown."""
WIDE = 130
"""Columns from which on the result stands beside the time line."""


@dataclass(frozen=True)
class ReplayRequest:
    """What to replay, and where to begin.

    session  its id
    seq      the statement that the cursor is put on; None: by `at`
    at       a moment, RFC 3339; '' is the session's first statement
    find     words that are looked for in the statements, as a search that led here had them
    """

    session: str
    seq: int | None = None
    at: str = ""
    find: str = ""


def open_replay(workstation: Workstation, request: ReplayRequest) -> None:
    """Shows the replay over the page in view; Esc leads back to it."""
    workstation.push_screen(ReplayScreen(request))


class ReplayScreen(Page):
    """One session, past or still live."""

    DEFAULT_CSS = """
    ReplayScreen .head { height: 1; background: $surface; padding: 0 1; }
    ReplayScreen #panes { height: 1fr; layout: vertical; }
    ReplayScreen #told { height: 1fr; }
    ReplayScreen #text { height: 5; padding: 0 1; border-top: solid $line; }
    ReplayScreen #kept { height: 1; padding: 0 1; background: $surface; color: $muted; }
    ReplayScreen #result { height: 1fr; }
    ReplayScreen.short #text { height: 4; }
    ReplayScreen.wide #panes { layout: horizontal; }
    ReplayScreen.wide #told { width: 1fr; }
    ReplayScreen.wide #shown { width: 1fr; border-left: solid $line; }
    ReplayScreen.wide #text { height: 12; }
    ReplayScreen #shown { height: 1fr; }
    ReplayScreen LineInput { display: none; }
    ReplayScreen.searching LineInput { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", mark("Back")),
        Binding("enter", "result", mark("Result")),
        Binding("v", "screen", mark("Screen")),
        Binding("slash", "search", mark("Find"), key_display="/"),
        Binding("e", "error(1)", mark("Next error")),
        Binding("f6,tab", "next_pane", mark("Pane"), key_display="F6"),
        Binding("n", "match(1)", mark("Next match"), show=False),
        Binding("N", "match(-1)", mark("Match before"), show=False),
        Binding("E", "error(-1)", mark("Error before"), show=False),
        Binding("U", "unmask", mark("Unmask")),
        Binding("c", "copy", mark("Copy statement"), show=False),
        Binding("f5", "again", mark("Refresh"), show=False),
    ]

    def __init__(self, request: ReplayRequest) -> None:
        super().__init__()
        self.request = request
        self.session: m.Session | None = None
        self.screen_sessions: ScreenSessions | None = None
        self._cursor: int | None = 0
        """Behind which the last page was fetched."""
        self._placed = False
        self._loading = True
        self._problem = ""
        self._more = False
        self._looked_for = request.find
        self._answer: m.StatementResult | None = None
        self._reason = ""
        """Why values are to be seen that are masked."""

    def title_words(self) -> str:
        return _("Replay")

    def compose(self) -> ComposeResult:
        yield TopLine("audit")
        yield Static("", classes="head", id="session", markup=False)
        with Vertical(id="panes"):
            with Vertical(id="told"):
                yield TimeLine()
                with VerticalScroll(id="text", can_focus=False):
                    yield Static("", id="statement", markup=False)
            with Vertical(id="shown"):
                yield Static("", id="kept", markup=False)
                yield Vertical(id="result")
        yield LineInput(placeholder=_("find in the statements, values and errors"))
        yield KeyLine()

    def on_mount(self) -> None:
        line = self._line
        line.local_time = self.workstation.services.local_time
        line.plain = self.workstation.plain
        line.focus()
        self._show_head()
        self._show_kept()
        self._load()
        self.set_interval(LIVE_SECONDS, self._look_again)

    def on_resize(self) -> None:
        self.set_class(self.size.width >= WIDE, "wide")
        self.set_class(self.size.height < 30, "short")

    @property
    def _line(self) -> TimeLine:
        return self.query_one(TimeLine)

    # -- loading

    @work(exclusive=True, group="statements")
    async def _load(self) -> None:
        bastion = self.workstation.bastion
        try:
            sessions = await bastion.call(methods.SESSIONS, m.SessionFilter(id=self.request.session, limit=1))
            self.session = sessions[0] if sessions else None
            self._show_head()
            await self._pages()
        except (Refused, LinkError) as error:
            self._problem = sentence(error)
        self._loading = False
        self._place()
        self._show_head()
        if self.workstation.has_role("auditor", "administrator"):
            try:
                self.screen_sessions = await bastion.call(
                    methods.SCREEN_OF, ScreenOfRequest(session=self.request.session)
                )
            except (Refused, LinkError) as error:
                self.workstation.told(sentence(error), bad=True)
        self._show_head()
        self.refresh_bindings()

    async def _pages(self) -> None:
        """Fetches what there is behind the last page, that page anew."""
        line = self._line
        while self._cursor is not None:
            page: m.StatementPage = await self.workstation.bastion.call(
                methods.STATEMENTS,
                m.StatementFilter(session=self.request.session, limit=PAGE, after=self._cursor),
            )
            known = line.statements
            if page.statements:
                first = page.statements[0].seq
                kept = line.place_of(first, len(known))
                at_end = line.cursor >= len(known) - 1 and self._placed and bool(known)
                del known[kept:]
                known.extend(page.statements)
                line.changed()
                if at_end and not self._loading:
                    line.go_to(len(known) - 1)
            self._place()
            self._show_statement()
            self._show_head()
            if page.cursor is None:
                return
            self._cursor = page.cursor
            if len(known) >= MOST_STATEMENTS:
                self._more = True
                return

    def _place(self) -> None:
        """The cursor where the request wants it, once that is there."""
        line, request = self._line, self.request
        if self._placed or not line.statements:
            return
        if request.seq is not None:
            place = line.place_of(request.seq, -1)
        elif request.at:
            wanted = moment(request.at)
            place = next((index for index, each in enumerate(line.statements) if moment(each.at) > wanted), -1)
            # The one that was at work then, or the first.
            place = max(place - 1, 0) if place >= 0 else -1
        else:
            place = 0
        if place < 0:
            if self._loading:
                return
            place = len(line.statements) - 1 if request.at else 0
        self._placed = True
        line.go_to(place)
        self._show_statement()
        if request.seq is not None and self.workstation.has_role("auditor"):
            self.action_result()

    def _look_again(self) -> None:
        """A session that is live goes on; so does the result of a statement that runs."""
        if self._loading or not self.is_current or self.session is None or self.session.state not in LIVE:
            return
        self._refresh()

    @work(exclusive=True, group="statements")
    async def _refresh(self) -> None:
        try:
            sessions = await self.workstation.bastion.call(
                methods.SESSIONS, m.SessionFilter(id=self.request.session, limit=1)
            )
            self.session = sessions[0] if sessions else self.session
            await self._pages()
        except (Refused, LinkError) as error:
            self._problem = sentence(error)
        self._show_head()
        answer = self._answer
        if answer is not None and answer.why in ("running", "not-yet"):
            self._fetch(answer.statement)

    # -- showing

    def _show_head(self) -> None:
        text = Text(no_wrap=True, overflow="ellipsis")
        session = self.session
        if self._problem:
            text.append(self._problem, style="danger")
        elif session is None:
            text.append(_("loading …") if self._loading else _("There is no such session."), style="muted")
        else:
            local = self.workstation.services.local_time
            text.append(visible_line(session.user), style="bold")
            text.append(visible_line(f" · {session.database}/{session.account}"))
            count = len(self._line.statements)
            text.append(" · " + translate_many("{count} statement", "{count} statements", count).format(count=count))
            if self._more:
                text.append(" " + _("(the first ones)"), style="warning")
            failed = sum(each.state in FAILED for each in self._line.statements)
            if failed:
                words = translate_many("{count} failed", "{count} failed", failed).format(count=failed)
                text.append(f" · {words}", style="danger")
            if self._looked_for:
                text.append(" · " + _("finding “{words}”").format(words=visible_line(self._looked_for)), style="accent")
            if session.state in LIVE:
                text.append(" · " + _("● LIVE"), style="ok")
            if self.screen_sessions is not None:
                recorded = self.screen_sessions.screen.recorded
                text.append(" · " + (_("with its screen") if recorded else _("screen not recorded")), style="accent")
            text.append(" · " + clock_time(session.started_at, local=local, with_date=True), style="muted")
            more = [session.client or "-", session.source, session.id]
            if session.end_reason:
                more.append(session.end_reason)
            text.append(" · " + visible_line(" · ".join(more)), style="muted")
        self.query_one("#session", Static).update(text)

    def _show_statement(self) -> None:
        statement = self._line.at_cursor
        whole = ""
        if statement is not None and self._answer is not None and _same(self._answer.statement, statement):
            whole = self._answer.statement.text
        text = statement_text(statement, whole=whole) if statement is not None else Text("")
        self.query_one("#statement", Static).update(text)
        self.query_one("#text", VerticalScroll).scroll_home(animate=False)

    def _show_kept(self) -> None:
        answer = self._answer
        text = Text(no_wrap=True, overflow="ellipsis")
        if not self.workstation.has_role("auditor"):
            text.append(_("What statements returned is shown to auditors."))
        elif answer is None:
            text.append(_("Enter shows what the statement returned; every look is on record."))
        else:
            text.append(f"#{answer.statement.seq} · ", style="bold")
            text.append(kept_words(answer), style="" if answer.kept == "whole" else "warning")
            if answer.masked:
                text.append(" · " + _("MASKED: U shows the values, with a reason"), style="warning")
            elif self._reason:
                text.append(" · " + _("values shown, on record"), style="warning")
        self.query_one("#kept", Static).update(text)

    # -- results

    def action_result(self) -> None:
        statement = self._line.at_cursor
        if statement is not None and self.workstation.has_role("auditor"):
            self._fetch(statement)

    @work(exclusive=True, group="result")
    async def _fetch(self, statement: m.Statement) -> None:
        place = self.query_one("#result", Vertical)
        results: RecordedResults | None = None
        after, rows = 0, 0
        for _page in range(MOST_PAGES):
            wanted = methods.ShowRequest(
                session=statement.session, seq=statement.seq, after=after, unmask=bool(self._reason),
                reason=self._reason,
            )  # fmt: skip
            try:
                answer: m.StatementResult = await self.workstation.bastion.call(methods.RESULT, wanted)
            except (Refused, LinkError) as error:
                self.workstation.told(sentence(error), bad=True)
                return
            if results is None:
                focused = place.has_focus_within
                await place.remove_children()
                results = RecordedResults(self.session.engine if self.session is not None else "")
                await place.mount(results)
                if focused:
                    results.focus_inside()
            await results.take(answer)
            self._answer = answer
            self._show_kept()
            if answer.next is None or results.rows >= MOST_ROWS:
                break
            after = answer.next
            rows = results.rows
        if results is not None and self._answer is not None:
            results.no_more(self._answer)
            if rows >= MOST_ROWS:
                results.write(Text(_("More rows are in the record than are shown here."), style="warning"))
        self._show_statement()
        self.refresh_bindings()

    @work(exclusive=True, group="ask")
    async def action_unmask(self) -> None:
        reason = await self.app.push_screen_wait(TextQuestion(_("Why are the values to be seen? It goes on record.")))
        if reason is None or not reason.strip():
            return
        self._reason = reason.strip()
        self.action_result()

    # -- what the person does

    @on(TimeLine.Moved)
    def _moved(self) -> None:
        self._show_statement()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        if action == "screen":
            return self.screen_sessions is not None and self.workstation.has_role("auditor")
        if action == "error":
            return any(each.state in FAILED for each in self._line.statements)
        if action == "match":
            return bool(self._looked_for)
        if action == "result":
            return self.workstation.has_role("auditor") and self._line.at_cursor is not None
        if action == "unmask":
            return self._answer is not None and self._answer.masked
        return True

    def action_leave(self) -> None:
        if self.has_class("searching"):
            self.remove_class("searching")
            self.query_one(LineInput).display = False
            self._line.focus()
        elif self.query_one("#result").has_focus_within:
            self._line.focus()
        else:
            self.dismiss(None)

    def action_next_pane(self) -> None:
        results = self.query("RecordedResults").results(RecordedResults)
        shown = next(iter(results), None)
        if self._line.has_focus and shown is not None:
            shown.focus_inside()
        else:
            self._line.focus()

    def action_again(self) -> None:
        self._refresh()

    def action_copy(self) -> None:
        statement = self._line.at_cursor
        if statement is not None:
            self.workstation.copy(statement.text, _("the statement"))

    def action_error(self, step: int) -> None:
        self._step(step, lambda each: each.state in FAILED, _("No other statement failed."))

    def action_match(self, step: int) -> None:
        self._step(step, lambda each: _has(each, self._looked_for), _("No other statement has it."))

    def _step(self, step: int, wanted: object, otherwise: str) -> None:
        assert callable(wanted)
        line = self._line
        place = line.cursor + step
        while 0 <= place < len(line.statements):
            if wanted(line.statements[place]):
                line.go_to(place)
                return
            place += step
        self.workstation.told(otherwise)

    def action_search(self) -> None:
        self.add_class("searching")
        line = self.query_one(LineInput)
        line.value = self._looked_for
        line.display = True
        self.set_focus(line)  # at once: what is typed next is for it
        line.select_all()

    @on(LineInput.Submitted)
    def _search(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.remove_class("searching")
        event.input.display = False
        self._line.focus()
        self._looked_for = event.value
        self._show_head()
        self.refresh_bindings()
        here = self._line.at_cursor
        if self._looked_for and (here is None or not _has(here, self._looked_for)):
            self.action_match(1)

    @work(exclusive=True, group="ask")
    async def action_screen(self) -> None:
        from .replay_screen import ScreenReplay

        found, statement = self.screen_sessions, self._line.at_cursor
        if found is None:
            return
        began = moment(found.screen.began_at)
        at = None
        if statement is not None:
            at = (moment(statement.at) - began).total_seconds()
        moments = moments_of(found.screen, self._line.statements)
        back = await self.app.push_screen_wait(ScreenReplay(found, moments, at, self._looked_for, self._reason))
        if isinstance(back, Moment):
            if back.session == self.request.session:
                self._line.go_to(self._line.place_of(back.seq, self._line.cursor))
            else:
                open_replay(self.workstation, ReplayRequest(back.session, back.seq))


LIVE = ("live", "opening")
FAILED = ("failed", "refused")


def moments_of(screen: m.Screen, statements: list[m.Statement]) -> list[Moment]:
    """Statements in the time of the screen that they were typed on; start-up chatter and the catalog's are left out."""
    began = moment(screen.began_at)
    return [
        Moment(
            (moment(each.at) - began).total_seconds(),
            each.session, each.seq, each.text[:300], each.state in FAILED,
        )
        for each in statements
        if not each.tool
    ]  # fmt: skip


def _same(one: m.Statement, other: m.Statement) -> bool:
    return (one.session, one.seq) == (other.session, other.seq)


def _has(statement: m.Statement, words: str) -> bool:
    """Whether all of the words are in its text, its values or its error."""
    binds = " ".join(bind for bind in statement.binds or () if bind is not None)
    text = f"{statement.text} {binds} {statement.error or ''}".casefold()
    return all(word in text for word in words.casefold().split())
