"""The statements of a live session as they happen."""

from __future__ import annotations

import asyncio
import contextlib
from typing import ClassVar

import msgspec
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from backends.link import LinkError
from backends.visible_text import visible_line
from bastion.api import live, methods
from bastion.api import messages as m
from bastion.api.language import translate as _
from bastion.api.language import translate_many
from bastion.api.refusals import Refused

from ..words import mark, sentence
from ..workstation import ControlLink, Workstation
from .time_line import TimeLine, statement_text

WAIT = 10.0
"""Seconds that a call waits for something new."""
SHOWN_EVERY = 0.1
SPARING_EVERY = 0.5
"""Seconds between two pictures of a busy session."""
BEFORE = 200
"""Statements from before the watch began that are shown."""
MOST = 5_000
"""Statements that are kept; the oldest go, and are in the replay."""


class StatementPane(Vertical):
    """Give it a session with `watch`."""

    DEFAULT_CSS = """
    StatementPane { height: 1fr; }
    StatementPane > .head { height: 1; background: $surface; padding: 0 1; }
    StatementPane:focus-within > .head { text-style: $heading-focus-style; }
    StatementPane:focus-within { offset-x: 0; }
    StatementPane > .text { height: 6; padding: 0 1; border-top: solid $line; }
    StatementPane.small > .text { height: 3; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "hold_still", mark("Pause")),
        Binding("c", "catch_up", mark("Catch up")),
        Binding("enter", "replay", mark("Result")),
        Binding("y", "copy", mark("Copy statement"), show=False),
    ]

    class ReplayWanted(Message):
        """The record of a statement."""

        def __init__(self, session: str, seq: int | None) -> None:
            super().__init__()
            self.session, self.seq = session, seq

    class Changed(Message):
        """There are other statements."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.session = ""
        self.facts: live.LiveSession | None = None
        self.ended = ""
        self.over = False
        self.problem = ""
        self.paused = False
        self._all: list[m.Statement] = []
        """What there is; while it is paused, the line shows fewer."""
        self._behind = 0
        self._left_out = 0
        self._watch_id = ""

    def compose(self) -> ComposeResult:
        yield Static("", classes="head", markup=False)
        yield TimeLine()
        with VerticalScroll(classes="text", can_focus=False):
            yield Static("", classes="statement", markup=False)

    @property
    def workstation(self) -> Workstation:
        """The application."""
        app: object = self.app
        assert isinstance(app, Workstation)
        return app

    @property
    def statements(self) -> list[m.Statement]:
        """All that are kept, in order."""
        return self._all

    def on_mount(self) -> None:
        line = self.query_one(TimeLine)
        line.local_time = self.workstation.services.local_time
        line.plain = self.workstation.plain

    def on_resize(self) -> None:
        self.set_class(self.size.height < 18, "small")
        self._show()

    # -- what happens

    def watch_session(self, session: str) -> None:
        """Begins."""
        self.session = session
        self._watch()

    @work(exclusive=True, group="watch")
    async def _watch(self) -> None:
        bastion = self.workstation.bastion
        every = SPARING_EVERY if self.workstation.sparing else SHOWN_EVERY
        watch = ""
        try:
            while not self.over:
                wait = WAIT if watch else 0.0
                answer: live.Watched = await bastion.call(
                    methods.WATCH, live.WatchRequest(session=self.session, watch=watch, wait=wait)
                )
                if not watch:
                    await self._before(answer.before)
                elif answer.skipped is not None:
                    self._left_out += answer.skipped.events
                    await self._before(answer.skipped.last)
                watch = self._watch_id = answer.watch
                self._take(answer)
                self._show()
                self.post_message(self.Changed())
                await asyncio.sleep(every)
        except (Refused, LinkError) as error:
            self.problem = sentence(error)
            self._show()

    async def _before(self, upto: int) -> None:
        """The statements up to a number are on record."""
        try:
            page: m.StatementPage = await self.workstation.bastion.call(
                methods.STATEMENTS, m.StatementFilter(session=self.session, newest=True, limit=BEFORE)
            )
        except (Refused, LinkError) as error:
            self.workstation.told(sentence(error), bad=True)
            return
        for statement in reversed(page.statements):
            if statement.seq <= upto:
                self._put(statement)

    def _take(self, answer: live.Watched) -> None:
        if answer.session is not None:
            self.facts = answer.session
        if answer.ended:
            self.over, self.ended = True, answer.end_reason
        for event in answer.events:
            place = self._place(event.seq)
            known = self._all[place] if place is not None else None
            if event.kind == "sent" and event.statement is not None:
                self._put(event.statement)
            elif known is None or place is None:
                continue
            elif event.kind == "extended":
                changes: dict[str, object] = {"text": known.text + event.text}
                if event.binds is not None:
                    changes["binds"] = event.binds
                self._all[place] = msgspec.structs.replace(known, **changes)
            elif event.kind == "done":
                self._all[place] = msgspec.structs.replace(
                    known, state=event.state, rows=event.rows, error=event.error, duration_ms=event.duration_ms,
                    bytes_down=event.bytes_down,
                )  # fmt: skip
            elif event.kind in ("held", "released"):
                self._all[place] = msgspec.structs.replace(known, state="held" if event.kind == "held" else "sent")

    def _place(self, seq: int) -> int | None:
        for place in range(len(self._all) - 1, -1, -1):
            if self._all[place].seq == seq:
                return place
            if self._all[place].seq < seq:
                return None
        return None

    def _put(self, statement: m.Statement) -> None:
        place = self._place(statement.seq)
        if place is not None:
            self._all[place] = statement
            return
        if self._all and self._all[-1].seq > statement.seq:
            self._all.append(statement)
            self._all.sort(key=lambda each: each.seq)
        else:
            self._all.append(statement)
        if self.paused:
            self._behind += 1
        if len(self._all) > MOST:
            del self._all[: MOST // 10]

    def on_unmount(self) -> None:
        """The watch ends with the page."""
        if self._watch_id and not self.over:
            request = live.WatchRequest(session=self.session, watch=self._watch_id)
            self.workstation.run_worker(_end(self.workstation.bastion, request), group="unwatch", exit_on_error=False)

    # -- showing

    def _show(self) -> None:
        if not self.is_mounted:
            return
        line = self.query_one(TimeLine)
        at_end = line.cursor >= len(line.statements) - 1
        if not self.paused:
            line.put(list(self._all))
            if at_end:
                line.go_to(len(self._all) - 1)
        self._show_text()
        self.query_one(".head", Static).update(self._head())
        self.refresh_bindings()

    def _show_text(self) -> None:
        statement = self.query_one(TimeLine).at_cursor
        self.query_one(".statement", Static).update(statement_text(statement) if statement is not None else Text(""))

    def _head(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        facts = self.facts
        if self.problem:
            text.append(self.problem, style="danger")
        elif self.over:
            text.append(_("■ ENDED"), style="muted")
            if self.ended:
                text.append(f": {visible_line(self.ended)}", style="muted")
        elif self.paused:
            words = translate_many("{count} statement behind", "{count} statements behind", self._behind)
            text.append(_("PAUSED") + " · " + words.format(count=self._behind), style="warning")
        elif facts is None:
            text.append(_("loading …"), style="muted")
        else:
            text.append(_("● LIVE"), style="ok")
        if facts is not None:
            text.append(f" · {visible_line(facts.user)}", style="bold")
            text.append(visible_line(f" · {facts.database}/{facts.account}"))
            figures = facts.figures
            if figures.transaction:
                text.append(" · " + _("in a transaction"), style="warning")
            if figures.rows_per_second:
                text.append(" · " + _("{count} rows/s").format(count=f"{figures.rows_per_second:,}"))
            if figures.errors:
                words = translate_many("{count} failed", "{count} failed", figures.errors)
                text.append(" · " + words.format(count=figures.errors), style="danger")
            text.append(visible_line(f" · {facts.client or '-'} · {facts.source}"), style="muted")
        if self._left_out:
            text.append(" · " + _("came too fast: see the replay"), style="warning")
        return text

    # -- what the person does

    @on(TimeLine.Moved)
    def _moved(self, message: TimeLine.Moved) -> None:
        message.stop()
        self._show_text()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "catch_up":
            return self.paused
        if action == "hold_still":
            return not self.over
        return True

    def action_hold_still(self) -> None:
        self.paused = not self.paused
        self._behind = 0
        self._show()

    def action_catch_up(self) -> None:
        self.paused, self._behind = False, 0
        line = self.query_one(TimeLine)
        line.put(list(self._all))
        line.go_to(len(self._all) - 1)
        self._show()

    def action_replay(self) -> None:
        statement = self.query_one(TimeLine).at_cursor
        self.post_message(self.ReplayWanted(self.session, statement.seq if statement is not None else None))

    def action_copy(self) -> None:
        statement = self.query_one(TimeLine).at_cursor
        if statement is not None:
            self.workstation.copy(statement.text, _("the statement"))

    def go_to(self, seq: int) -> None:
        """The cursor on a statement."""
        line = self.query_one(TimeLine)
        line.go_to(line.place_of(seq, line.cursor))

    def focus_inside(self) -> None:
        """The keys go to the list."""
        self.query_one(TimeLine).focus()


async def _end(bastion: ControlLink, request: live.WatchRequest) -> None:
    # Where the link is lost, or the session has just ended, there is nothing left to end.
    with contextlib.suppress(Refused, LinkError):
        await bastion.call(methods.UNWATCH, request)
