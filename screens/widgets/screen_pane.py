"""The screen of somebody's workstation, recorded or as it is now, with everything to go about in it."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from backends.cast import CastBroken
from backends.link import LinkError
from backends.screen_feed import ScreenFeed
from backends.screen_playback import Playback
from backends.screen_player import TextLine, behind
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api.language import translate as _
from bastion.api.language import translate_many
from bastion.api.refusals import Refused

from ..words import duration, mark, seconds, sentence
from ..workstation import Workstation
from .confirmation import TextQuestion
from .inputs import LineInput
from .terminal_view import TerminalView

FRAMES = 12
"""Pictures a second while it plays; fewer on a slow link."""
SPARING_FRAMES = 4
BEHIND_EVERY = 1.0
FEW_SECONDS, MANY_SECONDS = 5.0, 60.0
POLL_SECONDS = 0.05
"""Between two calls for what comes, so that a burst of output is one."""
AGAIN_SECONDS = 1.0
"""After a call that brought no picture."""
PAN_COLUMNS, PAN_LINES = 16, 6


@dataclass(frozen=True)
class Moment:
    """A statement in the time of the screen: `at` seconds from its beginning."""

    at: float
    session: str
    seq: int
    text: str
    failed: bool


class ScreenPane(Vertical, can_focus=True):
    """Give it a screen with `show`; it fetches it, and follows it where it is `live`."""

    DEFAULT_CSS = """
    ScreenPane { height: 1fr; }
    ScreenPane > .head { height: 1; background: $surface; padding: 0 1; }
    ScreenPane:focus > .head { text-style: $heading-focus-style; }
    ScreenPane > .progress { height: 1; background: $surface; padding: 0 1; }
    ScreenPane > .problem { height: 1fr; padding: 1 2; display: none; }
    ScreenPane.broken > .problem { display: block; }
    ScreenPane.broken > TerminalView { display: none; }
    ScreenPane > LineInput { display: none; }
    ScreenPane.searching > LineInput { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play", mark("Play, pause")),
        Binding("left", "seek(-1)", mark("5 s back"), show=False, key_display="←"),
        Binding("right", "seek(1)", mark("5 s on"), show=False, key_display="→"),
        Binding("c,end", "catch_up", mark("Catch up"), key_display="c"),
        Binding("e", "error(1)", mark("Next error")),
        Binding("slash", "search", mark("Find"), key_display="/"),
        Binding("n", "match(1)", mark("Next match"), show=False),
        Binding("N", "match(-1)", mark("Match before"), show=False),
        Binding("E", "error(-1)", mark("Error before"), show=False),
        Binding("plus,equals_sign", "speed(1)", mark("Faster"), show=False, key_display="+"),
        Binding("minus", "speed(-1)", mark("Slower"), show=False, key_display="-"),
        Binding("pageup", "seek(-2)", mark("A minute back"), show=False),
        Binding("pagedown", "seek(2)", mark("A minute on"), show=False),
        Binding("home", "begin", mark("To the beginning"), show=False),
        Binding("full_stop", "step", mark("To the next change"), show=False, key_display="."),
        Binding("i", "idle", mark("Skip idle time or not"), show=False),
        Binding("g", "go_to", mark("To a time"), show=False),
        Binding("t", "text", mark("Text")),
        Binding("s", "statement", mark("Statement")),
        Binding("h", "pan(-1, 0)", mark("Move the view left"), show=False),
        Binding("l", "pan(1, 0)", mark("Move the view right"), show=False),
        Binding("k", "pan(0, -1)", mark("Move the view up"), show=False),
        Binding("j", "pan(0, 1)", mark("Move the view down"), show=False),
        Binding("f", "along", mark("Move the view along with what changes"), show=False),
    ]

    class StatementWanted(Message):
        """The statement of the moment that is shown."""

        def __init__(self, moment: Moment) -> None:
            super().__init__()
            self.moment = moment

    class Over(Message):
        """The screen that was followed is no more."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.feed: ScreenFeed | None = None
        self.playback: Playback | None = None
        self.began: datetime | None = None
        self.who = ""
        self.moments: list[Moment] = []
        self.problem = ""
        self._loading = False
        self._fetching_earlier = False
        self._looked_for = ""
        self._matches: list[TextLine] = []
        self._ticking: Timer | None = None
        self._ticked_at = 0.0
        self._reading = 0
        self._go_when_found = False

    def compose(self) -> ComposeResult:
        yield Static("", classes="head", markup=False)
        yield TerminalView()
        yield Static("", classes="problem", markup=False)
        yield LineInput(placeholder=_("find on the screen, from here on"))
        yield Static("", classes="progress", markup=False)

    @property
    def workstation(self) -> Workstation:
        """The application."""
        app: object = self.app
        assert isinstance(app, Workstation)
        return app

    def on_mount(self) -> None:
        frames = SPARING_FRAMES if self.workstation.sparing else FRAMES
        self._ticking = self.set_interval(1 / frames, self._tick, pause=True)
        self.set_interval(BEHIND_EVERY, self._every_second)

    # -- fetching

    def show(self, screen: m.Screen, *, live: bool, at: float | None = None, reason: str = "") -> None:
        """A workstation's screen: as it is now, or from its recording, at a moment in seconds from its beginning.

        reason: why, where results are masked; it is asked for where it is missing.
        """
        self.began = datetime.fromisoformat(screen.began_at.replace("Z", "+00:00"))
        self.who = screen.user
        self.feed = ScreenFeed(self.workstation.bastion, screen.id, reason)
        self.problem = ""
        self._fetch(self.feed, at, live=live)

    @work(exclusive=True, group="feed")
    async def _fetch(self, feed: ScreenFeed, at: float | None, *, live: bool) -> None:
        while True:
            try:
                await (self._follow(feed) if live else self._load(feed, at))
                return
            except Refused as refused:
                self.problem = sentence(refused)
                if refused.code == "results-masked":
                    question = TextQuestion(_("Why is this screen to be seen? It goes on record."))
                    feed.reason = (await self.app.push_screen_wait(question) or "").strip()
                    if feed.reason:
                        self.problem = ""
                        continue
            except (LinkError, CastBroken) as error:
                self.problem = sentence(error)
            if self.playback is not None:
                self.playback.over()
            self._moved()
            if live:
                self.post_message(self.Over())
            return

    async def _load(self, feed: ScreenFeed, at: float | None) -> None:
        self._loading = True
        self.playback = Playback(feed.cast, live=False)
        wanted = at if at is not None else 0.0

        def told() -> None:
            playback = self.playback
            if playback is not None and playback.at < wanted <= feed.cast.last:
                playback.seek(wanted)
            elif playback is not None and not playback.playing and playback.at == feed.cast.first:
                playback.seek(feed.cast.first)
            self._shown()

        try:
            await feed.load(told)
        finally:
            self._loading = False
        assert self.playback is not None
        if self.playback.at < wanted:
            self.playback.seek(wanted)
        self._shown()
        self._read_through()

    async def _follow(self, feed: ScreenFeed) -> None:
        while not await feed.join():
            if not feed.live:
                break
            self.problem = _("The workstation has not drawn its screen yet.")
            self._show_lines()
            await asyncio.sleep(AGAIN_SECONDS)
        self.problem = ""
        self.playback = Playback(feed.cast, live=feed.live)
        self._moved()
        while feed.live:
            news = await feed.follow()
            if self.playback.cast is not feed.cast:
                self.playback.replace(feed.cast)
            if news and self.playback.following:
                self._moved()
            elif news:
                self._show_lines()
            await asyncio.sleep(POLL_SECONDS)
        self.playback.over()
        self._moved()
        self.post_message(self.Over())

    @work(exclusive=True, group="earlier")
    async def _earlier(self, then: float | None) -> None:
        """Fetches what was before the watch began, and goes there."""
        feed = self.feed
        if feed is None or self.playback is None or self._fetching_earlier:
            return
        self._fetching_earlier = True
        self._show_lines()
        try:
            if not await feed.earlier():
                self.workstation.told(_("Nothing from before is kept: this screen is not recorded."), bad=True)
                return
        except (Refused, LinkError, CastBroken) as error:
            self.workstation.told(sentence(error), bad=True)
            return
        finally:
            self._fetching_earlier = False
            self._show_lines()
        self.playback.replace(feed.cast)
        if then is not None and then > 0:
            self.playback.seek(then)
        elif then is not None:
            self.playback.begin()
        self._moved()
        if self._looked_for or self._go_when_found:
            self._read_through()

    @work(group="index", exclusive=True)
    async def _read_through(self) -> None:
        """Reads the whole of it on a thread: the text to search, and where to begin from."""
        playback = self.playback
        if playback is None:
            return
        index = playback.index
        context = contextvars.copy_context()
        self._reading += 1
        try:
            await asyncio.to_thread(context.run, index.read_on, lambda: self.is_attached)
        finally:
            self._reading -= 1
        if self._looked_for:
            self._find()
            if self._go_when_found and not self._fetching_earlier:
                self._go_when_found = False
                self.action_match(1, here=True)
        self._show_lines()

    # -- showing

    def _tick(self) -> None:
        now = monotonic()
        elapsed, self._ticked_at = now - self._ticked_at, now
        if self.playback is not None and self.playback.tick(elapsed):
            self._shown()

    def _every_second(self) -> None:
        playback = self.playback
        if playback is not None and not playback.following and playback.live:
            self._show_lines()

    def _moved(self) -> None:
        """What is shown is another moment, or time goes on otherwise."""
        playback = self.playback
        if playback is not None and playback.following:
            playback.tick(0.0)
        self._shown()

    def _shown(self) -> None:
        playback = self.playback
        if playback is None:
            return
        if self._ticking is not None:
            if playback.playing:
                if not self._ticking._active.is_set():
                    self._ticked_at = monotonic()
                self._ticking.resume()
            else:
                self._ticking.pause()
        self.query_one(TerminalView).show(playback.player.picture())
        self._show_lines()
        self.refresh_bindings()

    def on_resize(self) -> None:
        self._show_lines()

    def on_focus(self) -> None:
        self._show_lines()

    def _show_lines(self) -> None:
        if not self.is_mounted:
            return
        broken = bool(self.problem) and (self.playback is None or not self.playback.cast.last)
        self.set_class(broken, "broken")
        self.query_one(".problem", Static).update(Text(self.problem, style="danger"))
        self.query_one(".head", Static).update(self._head())
        self.query_one(".progress", Static).update(self._progress())

    def _head(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        words, style = self.state()
        text.append(words, style=style)
        playback = self.playback
        if self.who:
            text.append(f" · {visible_line(self.who)}", style="bold")
        if playback is not None:
            columns, lines = playback.player.size
            size = f" · {columns}×{lines}"
            view = self.query_one(TerminalView)
            if view.cut:
                size += ", " + _("columns {left}-{right}, lines {top}-{bottom} in view").format(
                    left=view.left + 1, right=min(view.left + view.size.width, columns), top=view.top + 1,
                    bottom=min(view.top + view.size.height, lines),
                )  # fmt: skip
            text.append(size, style="muted")
        moment = self.moment()
        if moment is not None:
            line = " ".join(moment.text[:300].split())
            text.append(f" · #{moment.seq} ", style="danger" if moment.failed else "muted")
            text.append(visible_line(line), style="danger" if moment.failed else "muted")
        return text

    def state(self) -> tuple[str, str]:
        """How it stands, in words, and their style."""
        playback = self.playback
        if self.problem and (playback is None or not playback.cast.last):
            return _("no picture"), "danger"
        if playback is None:
            return _("loading …"), "muted"
        if self._fetching_earlier:
            return _("loading what was before …"), "accent"
        if playback.following:
            return _("● LIVE"), "ok"
        if playback.live:
            behind_words = _("{time} behind").format(time=seconds(playback.behind))
            if playback.playing:
                return f"▶ {self._speed()} · {behind_words}", "warning"
            return _("PAUSED") + f" · {behind_words}", "warning"
        if playback.playing:
            words = f"▶ {self._speed()}"
            if playback.skipped:
                words += " · " + _("idle {time} skipped").format(time=duration(playback.skipped))
            return words, "accent"
        if self._loading:
            return _("loading …"), "muted"
        if playback.cast.ended and playback.at >= playback.cast.last:
            return _("■ ENDED"), "muted"
        return _("PAUSED"), "muted"

    def _speed(self) -> str:
        assert self.playback is not None
        return f"{self.playback.speed:g}×"

    def _progress(self) -> Text:
        playback = self.playback
        width = max(self.size.width - 2, 20)
        if playback is None:
            return Text("")
        cast = playback.cast
        begun = 0.0 if self.feed is not None and (self.feed.whole or not playback.live) else cast.first
        clock = self._clock(playback.at)
        right = f" {_span(playback.at)}/{_span(cast.last)}"
        found = ""
        if self._looked_for:
            found = self._found_words()
            right = f" {found}{right}"
        room = max(width - cell_len(clock) - cell_len(right) - 2, 4)
        text = Text(f"{clock} ", no_wrap=True, overflow="ellipsis")
        span = max(cast.last - begun, 0.001)

        def cell(at: float) -> int:
            return max(0, min(int((at - begun) / span * (room - 1)), room - 1))

        here = cell(playback.at)
        marks = ["━" if place <= here else "─" for place in range(room)]
        styles = ["accent" if place <= here else "muted" for place in range(room)]
        for moment in self.moments:
            if begun <= moment.at <= cast.last:
                place = cell(moment.at)
                if styles[place] != "danger":
                    marks[place] = "✗" if moment.failed else "·" if place > here else "╸"
                    styles[place] = "danger" if moment.failed else styles[place]
        for line in self._matches[:500]:
            place = cell(line.at)
            if styles[place] != "danger":
                marks[place], styles[place] = "▾", "warning"
        marks[here], styles[here] = "●", "accent"
        start = 0
        for place in range(1, room + 1):
            if place == room or styles[place] != styles[start]:
                text.append("".join(marks[start:place]), style=styles[start])
                start = place
        text.append(right, style="muted")
        return text

    def _clock(self, at: float) -> str:
        if self.began is None:
            return _span(at)
        moment = self.began + timedelta(seconds=at)
        if self.workstation.services.local_time:
            moment = moment.astimezone()
        return moment.strftime("%H:%M:%S")

    # -- statements

    def put_moments(self, moments: list[Moment]) -> None:
        """The statements that ran in this workstation, in the order of time."""
        self.moments = moments
        self._show_lines()
        self.refresh_bindings()

    def moment(self) -> Moment | None:
        """The last statement up to what is shown."""
        if self.playback is None:
            return None
        at = self.playback.at + 0.05
        return next((moment for moment in reversed(self.moments) if moment.at <= at), None)

    # -- going about

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "catch_up":
            return self.playback is not None and self.playback.live and not self.playback.following
        if action == "error":
            return any(moment.failed for moment in self.moments)
        if action == "match":
            return bool(self._looked_for)
        if action == "statement":
            return self.moment() is not None
        return True

    def action_play(self) -> None:
        if self.playback is not None:
            self.playback.toggle()
            self._moved()

    def action_seek(self, step: int) -> None:
        if self.playback is None:
            return
        by = FEW_SECONDS if abs(step) == 1 else MANY_SECONDS
        self.go(self.playback.at + (by if step > 0 else -by))

    def go(self, at: float, *, pause: bool = False) -> None:
        """To a moment, in seconds from the beginning of the screen."""
        playback = self.playback
        if playback is None:
            return
        if pause:
            playback.pause()
        if at < playback.cast.first and self.feed is not None and not self.feed.whole and playback.live:
            playback.pause()
            self._earlier(max(at, 0.0))
            return
        if playback.live and at >= playback.cast.last:
            playback.to_end()
        elif at <= playback.cast.first:
            playback.begin()
        else:
            playback.seek(at)
        self._moved()

    def action_begin(self) -> None:
        self.go(0.0)

    def action_catch_up(self) -> None:
        if self.playback is not None:
            self.playback.to_end()
            self._moved()

    def action_speed(self, step: int) -> None:
        if self.playback is not None:
            self.playback.faster(step)
            self.workstation.told(_("Speed {speed}").format(speed=self._speed()))
            self._show_lines()

    def action_step(self) -> None:
        if self.playback is not None:
            self.playback.step()
            self._moved()

    def action_idle(self) -> None:
        if self.playback is not None:
            self.playback.skip_idle = not self.playback.skip_idle
            self.workstation.told(
                _("Idle time is skipped.") if self.playback.skip_idle else _("Idle time is played as it was.")
            )

    def action_error(self, step: int) -> None:
        if self.playback is None:
            return
        to = behind([moment.at for moment in self.moments if moment.failed], self.playback.at, step)
        if to is None:
            self.workstation.told(_("No other statement failed.") if self.moments else _("No statement failed."))
            return
        self.go(to, pause=True)

    def action_statement(self) -> None:
        moment = self.moment()
        if moment is not None:
            if self.playback is not None:
                self.playback.pause()
                self._moved()
            self.post_message(self.StatementWanted(moment))

    def action_pan(self, columns: int, lines: int) -> None:
        self.query_one(TerminalView).pan(columns * PAN_COLUMNS, lines * PAN_LINES)
        self._show_lines()

    def action_along(self) -> None:
        view = self.query_one(TerminalView)
        view.along = not view.along
        self.workstation.told(
            _("The view goes along with what changes.") if view.along else _("The view stays where it is.")
        )

    @work(group="ask", exclusive=True)
    async def action_go_to(self) -> None:
        from ..screen_text import TimeDialog

        if self.playback is None:
            return
        at = await self.app.push_screen_wait(TimeDialog(self._clock(self.playback.at), self.began, self.local))
        if at is not None:
            self.go(at, pause=True)

    @property
    def local(self) -> bool:
        """Whether times are the machine's."""
        return self.workstation.services.local_time

    # -- finding

    def action_search(self) -> None:
        self.add_class("searching")
        line = self.query_one(LineInput)
        line.value = self._looked_for
        line.display = True
        self.screen.set_focus(line)  # at once: what is typed next is for it
        line.select_all()
        self._all_of_it()

    def _all_of_it(self) -> None:
        """What is looked for may have been on the screen at any time: all of it is fetched and read through."""
        if self.feed is not None and self.playback is not None and self.playback.live and not self.feed.whole:
            self._earlier(None)
        self._read_through()

    @on(LineInput.Submitted)
    def _searched(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.leave_search()
        self._looked_for = event.value
        self._find()
        if self._matches:
            self.action_match(1, here=True)
        elif self._looked_for:
            # Not yet: there may be more to read.
            self._go_when_found = True
        self._read_through()
        self._show_lines()
        self.refresh_bindings()

    def leave_search(self) -> bool:
        """Back to the screen; False where nothing was being typed."""
        if not self.has_class("searching"):
            return False
        self.remove_class("searching")
        self.query_one(LineInput).display = False
        self.focus()
        return True

    def look_for(self, words: str) -> None:
        """As if it had been typed."""
        self._looked_for = words
        self._all_of_it()

    def _find(self) -> None:
        playback = self.playback
        self._matches = playback.index.find(self._looked_for) if playback is not None and self._looked_for else []

    def _found_words(self) -> str:
        if self._reading:
            return _("reading …")
        return translate_many("{count} match", "{count} matches", len(self._matches)).format(count=len(self._matches))

    def action_match(self, step: int, *, here: bool = False) -> None:
        if self.playback is None or not self._matches:
            self.workstation.told(_("It was never on this screen."))
            return
        times = sorted({line.at for line in self._matches})
        at = self.playback.at - (0.1 if here else 0.0)
        to = behind(times, at, step)
        if to is None:
            to = times[0] if step > 0 else times[-1]
        self.go(to, pause=True)

    @work(group="ask", exclusive=True)
    async def action_text(self) -> None:
        from ..screen_text import ScreenTextDialog

        if self.playback is None:
            return
        self._all_of_it()
        at = await self.app.push_screen_wait(ScreenTextDialog(self))
        if at is not None:
            self.go(at, pause=True)

    def text_lines(self) -> tuple[list[TextLine], bool]:
        """Everything that was on the screen so far as it has been read, and whether that is all."""
        playback = self.playback
        if playback is None:
            return [], False
        done = not self._reading and playback.index.reached >= playback.cast.last and not self._fetching_earlier
        return list(playback.index.text), done

    def clock(self, at: float) -> str:
        """A moment as the time of the day."""
        return self._clock(at)


def _span(seconds: float) -> str:
    whole = int(seconds)
    hours = f"{whole // 3600}:" if whole >= 3600 else ""
    return f"{hours}{whole % 3600 // 60:02}:{whole % 60:02}"
