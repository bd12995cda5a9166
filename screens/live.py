"""What runs now: every live session, the riskiest first, and what an auditor does about one.

The bastion is asked for what is new since the last answer, again and again while the page is in view: as often as a
person can read, and more seldom where an answer takes long.
"""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from backends.link import LinkError
from backends.visible_text import visible, visible_line
from bastion.api import live, methods
from bastion.api.language import translate as _
from bastion.api.language import translate_many
from bastion.api.refusals import Refused

from .choice import ChoiceDialog
from .live_acts import ActDialog, Field, required
from .live_columns import SORTS, matching, reasons_of, short_time, sort_key
from .watch import open_watch
from .widgets.frame import KeyLine, TopLine
from .widgets.inputs import SearchInput
from .widgets.live_table import LiveTable
from .words import clock_time, mark, parse_period, sentence, size
from .workstation import Page

PACE = 1.0
"""Seconds between two questions; four times as long on a slow link."""

SPARING = 4.0

TOOK = 4
"""At most this part of the time is spent on answers: after a long one the next question waits."""

GONE_FOR = 10.0
"""Seconds after which a bastion that did not answer is asked again."""


class LiveScreen(Page):
    """The list, a filter, and what is known of the session under the cursor."""

    DEFAULT_CSS = """
    LiveScreen .head { height: 1; background: $surface; padding: 0 1; }
    LiveScreen #empty { display: none; height: 1fr; padding: 1 2; color: $muted; }
    LiveScreen.none #empty { display: block; }
    LiveScreen.none LiveTable { display: none; }
    LiveScreen #detail { height: 6; padding: 0 1; border-top: solid $line; }
    LiveScreen.short #detail { height: 5; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "watch", mark("Watch")),
        Binding("H", "hold", mark("Hold / let go")),
        Binding("R", "refuse", mark("Refuse what is held")),
        Binding("A", "hold_next", mark("Let go, hold the next")),
        Binding("x", "end", mark("End")),
        Binding("M", "message", mark("Message")),
        Binding("L", "lock", mark("Lock person")),
        Binding("slash", "filter", mark("Filter")),
        Binding("s", "sort", mark("Sort")),
        Binding("u", "unlock", mark("Unlock a person"), show=False),
        Binding("p", "pause", mark("Stand still / go on"), show=False),
        Binding("c", "copy", mark("Copy the statement"), show=False),
        Binding("escape", "back", mark("Show all"), show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._kept = live.LiveList()
        self._sort = SORTS[0][0]
        self._query = ""
        self._still = False
        self._asked = False
        self._answered_at: datetime | None = None
        self._shown = 0
        self._lost = ""

    def title_words(self) -> str:
        return _("Live")

    def compose(self) -> ComposeResult:
        yield TopLine("live")
        yield Static("", classes="head", id="head", markup=False)
        field = SearchInput(
            placeholder=_("person, database, source, client, state, text; !word leaves out"), id="filter"
        )
        field.display = False
        yield field
        yield LiveTable(id="sessions")
        yield Static("", id="empty", markup=False)
        with Vertical(id="detail"):
            yield Static("", id="facts", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one(LiveTable).focus()

    def on_resize(self) -> None:
        self.set_class(self.size.height < 30, "short")
        self._show_detail()

    # -- asking

    def on_screen_resume(self) -> None:
        self._follow()

    def on_screen_suspend(self) -> None:
        self.workers.cancel_group(self, "follow")

    @work(exclusive=True, group="follow")
    async def _follow(self) -> None:
        from asyncio import sleep

        while self.is_current and self.workstation.link is not None:
            began = monotonic()
            try:
                changes: live.LiveChanges = await self.workstation.bastion.call(
                    methods.LIVE, live.LiveRequest(view=self._kept.view)
                )
            except (Refused, LinkError) as error:
                self._lost = sentence(error)
                self._show_head()
                await sleep(GONE_FOR)
                continue
            self._lost = ""
            self._taken(changes)
            if not changes.more:
                await sleep(max(self._pace(), (monotonic() - began) * (TOOK - 1)))

    def _pace(self) -> float:
        return SPARING if self.workstation.sparing else PACE

    def _taken(self, changes: live.LiveChanges) -> None:
        self._kept.apply(changes)
        self._asked = True
        self._answered_at = self.workstation.services.now()
        if not self._still and not changes.more:
            self._show()

    # -- showing

    @property
    def _now(self) -> str:
        """Now by the bastion's clock, from which that of this machine may be far."""
        if not self._kept.at or self._answered_at is None:
            return ""
        passed = self.workstation.services.now() - self._answered_at
        return (datetime.fromisoformat(self._kept.at) + passed).astimezone(UTC).isoformat()

    def _show(self) -> None:
        found = matching(self._kept.sessions.values(), self._query)
        found.sort(key=sort_key(self._sort))
        self._shown = len(found)
        self.query_one(LiveTable).show(found, self._now, self._sort, plain=self.workstation.plain)
        self.set_class(not found and self._asked, "none")
        if not found:
            self.query_one("#empty", Static).update(
                _("No live session has all of these words. Esc shows all.")
                if self._query and self._kept.sessions
                else _("Nobody works on a database now. Sessions appear here as they are opened.")
            )
        self._show_head()
        self._show_detail()
        self.refresh_bindings()

    def _show_head(self) -> None:
        total = len(self._kept.sessions)
        head = Text(no_wrap=True, overflow="ellipsis")
        count = translate_many("{count} live session", "{count} live sessions", total).format(count=f"{total:,}")
        if self._query:
            count = _("{shown} of {count}").format(shown=self._shown, count=count)
        head.append(count)
        by = next(words for name, words in SORTS if name == self._sort)
        head.append(" · " + _("by {sort}").format(sort=_(by)), style="muted")
        held = sum(session.figures.state == "held" for session in self._kept.sessions.values())
        if held:
            head.append(" · " + _("{count} held").format(count=held), style="danger")
        if self._still:
            head.append(" · " + _("standing still: p goes on"), style="warning")
        if not self.workstation.has_role("auditor", "administrator"):
            head.append(" · " + _("your own"), style="muted")
        if self._lost:
            head.append(" · " + visible_line(self._lost), style="danger")
        self.query_one("#head", Static).update(head)

    def _show_detail(self) -> None:
        session = self._chosen()
        text = Text()
        if session is not None:
            figures = session.figures
            local = self.workstation.services.local_time
            parts = [
                f"{session.user} @ {session.source}",
                session.client or "-",
                f"{session.database}/{session.account}",
                _("login {login}").format(login=session.login or "-"),
                session.id,
            ]
            text.append(visible_line(" · ".join(parts)), style="bold")
            if figures.running:
                lines = 1 if self.has_class("short") else 2
                statement = Text(visible_line(figures.running), no_wrap=True)
                statement.truncate(lines * (self.size.width - 2), overflow="ellipsis")
                text.append("\n").append_text(statement)
            if figures.hold is not None:
                text.append("\n" + self._hold_words(figures.hold), style="danger")
            reasons = reasons_of(session)
            text.append("\n" + _("risk {risk}").format(risk=figures.risk), style="warning" if reasons else "muted")
            text.append(": " + visible_line(reasons) if reasons else "", style="")
            counts = [
                _("since {time}").format(time=clock_time(session.started_at, local=local)),
                translate_many("{count} statement", "{count} statements", figures.statements).format(
                    count=figures.statements
                ),
                _("{count} failed").format(count=figures.errors) if figures.errors else "",
                _("{size} to the client").format(size=size(figures.bytes_down)),
                _("{rows} rows so far").format(rows=f"{figures.rows:,}") if figures.rows else "",
            ]
            text.append("\n" + " · ".join(part for part in counts if part), style="muted")
            if figures.unattributed_bytes:
                text.append(" · ")
                text.append(_("{count} bytes unattributed").format(count=figures.unattributed_bytes), style="danger")
        self.query_one("#facts", Static).update(text)

    def _hold_words(self, hold: live.Hold) -> str:
        rest = short_time(live.seconds_between(self._now or hold.at, hold.until))
        by, reason = visible_line(hold.by), visible_line(hold.reason)
        if hold.seq is None:
            return _("{by} holds the next statement, for {rest} more: {reason}").format(by=by, rest=rest, reason=reason)
        return _("held by {by}, refused in {rest}: {reason}").format(by=by, rest=rest, reason=reason)

    # -- the list and its filter

    def _chosen(self) -> live.LiveSession | None:
        return self.query_one(LiveTable).chosen if self.is_mounted else None

    @on(LiveTable.Moved)
    def _moved(self) -> None:
        self._show_detail()
        self.refresh_bindings()

    @on(LiveTable.Opened)
    def _opened(self) -> None:
        if self.check_action("watch", ()):
            self.action_watch()

    def action_filter(self) -> None:
        # At once: what is typed next belongs to the filter, however fast it comes.
        field = self.query_one("#filter", SearchInput)
        field.display = True
        self.set_focus(field)

    def action_back(self) -> None:
        field = self.query_one("#filter", SearchInput)
        field.value = ""
        field.display = False
        self.set_focus(self.query_one(LiveTable))

    @on(SearchInput.Changed, "#filter")
    def _typed(self, event: SearchInput.Changed) -> None:
        event.stop()
        self._query = event.value
        self._show()

    @on(SearchInput.Submitted, "#filter")
    def _entered(self, event: SearchInput.Submitted) -> None:
        event.stop()
        self.set_focus(self.query_one(LiveTable))
        self.query_one("#filter", SearchInput).display = bool(self._query)

    @on(SearchInput.Moved)
    def _moved_from_filter(self, event: SearchInput.Moved) -> None:
        event.stop()
        getattr(self.query_one(LiveTable), f"action_{event.action}")()

    def action_sort(self) -> None:
        names = [name for name, _words in SORTS]
        self._sort = names[(names.index(self._sort) + 1) % len(names)]
        self._show()

    def action_pause(self) -> None:
        self._still = not self._still
        self._show_head()
        if not self._still:
            self._show()

    def action_copy(self) -> None:
        session = self._chosen()
        if session is not None and session.figures.running:
            self.workstation.copy(session.figures.running, _("the statement"))

    # -- what an auditor does

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("watch", "hold", "message", "lock", "end", "refuse", "hold_next", "unlock", "copy"):
            if not self.is_mounted:
                return False
            session = self._chosen()
            auditor = self.workstation.has_role("auditor")
            if action == "unlock":
                return self.workstation.has_role("auditor", "administrator")
            if session is None:
                return False
            hold = session.figures.hold
            if action in ("refuse", "hold_next"):
                return auditor and hold is not None and hold.seq is not None
            if action == "copy":
                return bool(session.figures.running)
            if action == "end":
                link = self.workstation.link
                own = link is not None and session.user == link.hello.user
                return own or self.workstation.has_role("auditor", "administrator")
            return auditor
        if action == "back":
            return self.query_one("#filter").display
        return True

    def action_watch(self) -> None:
        session = self._chosen()
        if session is not None:
            open_watch(self.workstation, [session.id])

    def _whose(self, session: live.LiveSession) -> str:
        return visible_line(
            _("{user} on {database} as {account}, from {source} with {client}.").format(
                user=session.user,
                database=session.database,
                account=session.account,
                source=session.source,
                client=session.client or "-",
            )
        )

    async def _call(self, method: methods.Method, params: Any) -> Any:
        """The answer, or None where it was refused, which is told."""
        try:
            return await self.workstation.bastion.call(method, params)
        except (Refused, LinkError) as error:
            self.workstation.told(sentence(error), bad=True)
            return None

    @work(exclusive=True, group="act")
    async def action_message(self) -> None:
        session = self._chosen()
        if session is None:
            return
        words = Field("text", _("Message"), check=required(_("There are no words to send.")))
        typed = await self.app.push_screen_wait(ActDialog(_("Message"), self._whose(session), [words]))
        if typed is None:
            return
        request = live.MessageRequest(id=session.id, text=typed["text"], reason=typed["reason"])
        told: live.Delivered | None = await self._call(methods.MESSAGE, request)
        if told is not None:
            self.workstation.told(_delivered(told), bad=not (told.workstations or told.protocol))

    @work(exclusive=True, group="act")
    async def action_hold(self) -> None:
        session = self._chosen()
        if session is None:
            return
        if session.figures.hold is not None:
            await self._release(session, _("Let it go"), refuse=False, again=False)
            return
        seconds = Field("seconds", _("Seconds at most, then it is refused"), str(live.HELD_FOR), check=_seconds)
        text = _("Its next statement waits here until you let it go or refuse it. Nothing of it reaches the database.")
        typed = await self.app.push_screen_wait(
            ActDialog(_("Hold the next statement"), f"{self._whose(session)}\n{text}", [seconds])
        )
        if typed is None:
            return
        request = live.HoldRequest(id=session.id, reason=typed["reason"], seconds=int(typed["seconds"]))
        if await self._call(methods.HOLD, request) is not None:
            self.workstation.told(_("The next statement of {user} waits.").format(user=visible_line(session.user)))
            self._follow()

    @work(exclusive=True, group="act")
    async def action_refuse(self) -> None:
        session = self._chosen()
        if session is not None:
            await self._release(session, _("Refuse it"), refuse=True, again=False)

    @work(exclusive=True, group="act")
    async def action_hold_next(self) -> None:
        session = self._chosen()
        if session is not None:
            await self._release(session, _("Let it go, hold the next"), refuse=False, again=True)

    async def _release(self, session: live.LiveSession, title: str, *, refuse: bool, again: bool) -> None:
        text = f"{self._whose(session)}\n{visible(session.figures.running or '')[:300]}"
        typed = await self.app.push_screen_wait(ActDialog(title, text, danger=refuse))
        if typed is None:
            return
        request = live.ReleaseRequest(id=session.id, reason=typed["reason"], refuse=refuse, again=again)
        was: live.Hold | None = await self._call(methods.RELEASE, request)
        if was is None:
            return
        if was.seq is None:
            said = _("No statement had come; none is held now.")
        elif refuse:
            said = _("Statement {seq} is refused.").format(seq=was.seq)
        else:
            said = _("Statement {seq} goes on.").format(seq=was.seq)
        self.workstation.told(said)
        self._follow()

    @work(exclusive=True, group="act")
    async def action_end(self) -> None:
        session = self._chosen()
        if session is None:
            return
        text = _(
            "What runs is cancelled on the database; an open transaction is rolled back. They are told who and why."
        )
        typed = await self.app.push_screen_wait(
            ActDialog(_("End this session"), f"{self._whose(session)}\n{text}", danger=True)
        )
        if typed is None:
            return
        request = methods.ById(id=session.id, reason=typed["reason"])
        if await self._call(methods.SESSION_END, request) is not None:
            self.workstation.told(_("The session is ended."))
            self._follow()

    @work(exclusive=True, group="act")
    async def action_lock(self) -> None:
        session = self._chosen()
        if session is None:
            return
        own = sum(each.user == session.user for each in self._kept.sessions.values())
        text = _("{user} cannot log in until then, and their live sessions end ({count}). They are told who and why.")
        period = Field("period", _("For how long, like 30m, 8h or 2d"), "8h", check=_period)
        title = _("Lock {user}").format(user=visible_line(session.user))
        words = text.format(user=visible_line(session.user), count=own)
        typed = await self.app.push_screen_wait(ActDialog(title, words, [period], danger=True))
        if typed is None:
            return
        seconds = parse_period(typed["period"]) or 0
        lock: live.Lock | None = await self._call(
            methods.USER_LOCK, live.LockRequest(user=session.user, seconds=seconds, reason=typed["reason"])
        )
        if lock is not None:
            until = clock_time(lock.until, local=self.workstation.services.local_time, with_date=True)
            said = _("{user} is locked until {until}; sessions ended: {count}.")
            self.workstation.told(said.format(user=visible_line(lock.user), until=until, count=lock.sessions))
            self._follow()

    @work(exclusive=True, group="act")
    async def action_unlock(self) -> None:
        locks: list[live.Lock] | None = await self._call(methods.USER_LOCKS, methods.Nothing())
        if locks is None:
            return
        if not locks:
            self.workstation.told(_("Nobody is locked by an auditor."))
            return
        local = self.workstation.services.local_time
        lines = {
            f"{lock.user} · {clock_time(lock.until, local=local, with_date=True)} · {lock.by}: {lock.reason}": lock.user
            for lock in locks
        }
        chosen = await self.app.push_screen_wait(ChoiceDialog(_("Unlock a person"), list(lines)))
        if chosen is None:
            return
        title = _("Unlock {user}").format(user=visible_line(lines[chosen]))
        typed = await self.app.push_screen_wait(ActDialog(title, visible_line(chosen)))
        if typed is None:
            return
        request = live.UnlockRequest(user=lines[chosen], reason=typed["reason"])
        try:
            await self.workstation.bastion.call(methods.USER_UNLOCK, request)
        except (Refused, LinkError) as error:
            self.workstation.told(sentence(error), bad=True)
            return
        self.workstation.told(_("{user} can log in again.").format(user=visible_line(lines[chosen])))


def _seconds(text: str) -> str:
    if text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= live.HELD_AT_MOST:
        return ""
    return _("A statement can be held for 1 to {limit} seconds.").format(limit=live.HELD_AT_MOST)


def _period(text: str) -> str:
    try:
        return "" if parse_period(text) else _("The period is written like 30m, 2h or 1d.")
    except ValueError as error:
        return str(error)


def _delivered(told: live.Delivered) -> str:
    """Where a message went, honestly."""
    ways = []
    if told.workstations:
        ways.append(_("workstations of theirs: {count}").format(count=told.workstations))
    if told.protocol:
        ways.append(_("their client, as a notice of its protocol"))
    if told.ssh:
        ways.append(_("their SSH connection (ssh shows it with -v only)"))
    if not ways:
        return _("The message is on record, but there is no way to show it: no workstation of theirs is open, and the "
                 "protocol of their client has no notices.")  # fmt: skip
    return _("Sent to {ways}.").format(ways="; ".join(ways))
