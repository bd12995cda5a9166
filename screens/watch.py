"""Live sessions, watched: one, or several in tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Vertical
from textual.widgets import Static

from backends.link import LinkError
from backends.visible_text import visible, visible_line
from bastion.api import live, methods
from bastion.api import messages as m
from bastion.api.language import translate as _
from bastion.api.methods import Method
from bastion.api.refusals import Refused
from bastion.api.screens import ScreenOfRequest, ScreenSessions

from .live_acts import ActDialog
from .replay import ReplayRequest, moments_of, open_replay
from .widgets.frame import KeyLine
from .widgets.screen_pane import ScreenPane
from .widgets.statement_pane import StatementPane
from .words import mark, sentence
from .workstation import Page, Workstation

MOST_TILES = 4
TILE_COLUMNS, TILE_LINES = 60, 11
"""The least room of a tile; where there is less for all, one is shown at a time."""


def open_watch(workstation: Workstation, sessions: Sequence[str], *, screen: bool = False) -> None:
    """Shows the watch over the page in view, up to MOST_TILES sessions by their ids; Esc leads back to it.

    screen: the screens of served workstations at once, where the sessions were opened in one. The id of a served
    workstation (`screen-…`) is watched as its screen alone.
    """
    workstation.push_screen(WatchScreen(sessions, screen=screen))


class Tile(Vertical):
    """One session: its statements, or the screen that it is worked with on."""

    DEFAULT_CSS = """
    Tile { height: 1fr; width: 1fr; }
    Tile > ScreenPane { display: none; }
    Tile.screen > ScreenPane { display: block; }
    Tile.screen > StatementPane { display: none; }
    """

    def __init__(self, session: str, *, screen: bool) -> None:
        super().__init__()
        self.session = session
        self.found: ScreenSessions | None = None
        self._wanted = screen or self.alone
        self._begun = False

    @property
    def alone(self) -> bool:
        """It is a workstation, and no session."""
        return self.session.startswith("screen-")

    def compose(self) -> ComposeResult:
        yield StatementPane()
        yield ScreenPane()

    def on_mount(self) -> None:
        if not self.alone:
            self.query_one(StatementPane).watch_session(self.session)
        self._find_screen()

    @work(exclusive=True, group="screen")
    async def _find_screen(self) -> None:
        workstation = self.query_one(StatementPane).workstation
        wanted = ScreenOfRequest(id=self.session) if self.alone else ScreenOfRequest(session=self.session)
        try:
            self.found = await workstation.bastion.call(methods.SCREEN_OF, wanted)
        except (Refused, LinkError) as error:
            workstation.told(sentence(error), bad=True)
        if self._wanted:
            self.show_screen(on=True)
        self.screen.refresh_bindings()

    @property
    def has_screen(self) -> bool:
        """Whether there is a screen to look at."""
        return self.found is not None

    @property
    def shows_screen(self) -> bool:
        """Whether it is shown."""
        return self.has_class("screen")

    def show_screen(self, *, on: bool) -> None:
        """The screen, or the statements."""
        found = self.found
        if found is None or (self.alone and not on):
            return
        focused = self.has_focus_within
        self.set_class(on, "screen")
        if on and not self._begun:
            self._begun = True
            self.query_one(ScreenPane).show(found.screen, live=found.screen.ended_at is None)
            self._mark_statements()
        if focused or self.screen.focused is None:
            self.focus_inside()

    @on(StatementPane.Changed)
    def _mark_statements(self) -> None:
        if self.found is not None and self._begun:
            statements = self.query_one(StatementPane).statements
            self.query_one(ScreenPane).put_moments(moments_of(self.found.screen, statements))

    @on(ScreenPane.StatementWanted)
    def _statement_wanted(self, message: ScreenPane.StatementWanted) -> None:
        message.stop()
        self.show_screen(on=False)
        self.query_one(StatementPane).go_to(message.moment.seq)
        self.focus_inside()

    def focus_inside(self) -> None:
        """The keys go to what it shows."""
        if self.shows_screen:
            self.query_one(ScreenPane).focus()
        else:
            self.query_one(StatementPane).focus_inside()

    def summary(self) -> str:
        """A few words for where there is no room for it."""
        pane = self.query_one(StatementPane)
        facts = pane.facts
        who = f"{facts.user} {facts.database}" if facts is not None else self.session
        return visible_line(who + (" ■" if pane.over else ""))


class WatchScreen(Page):
    """A tile a session: the statements as they happen, or the screen of a served workstation."""

    DEFAULT_CSS = """
    WatchScreen { layout: vertical; }
    WatchScreen #tiles { height: 1fr; grid-gutter: 0 1; }
    WatchScreen #others { height: 1; background: $panel; padding: 0 1; display: none; }
    WatchScreen.one #others { display: block; }
    WatchScreen.several Tile .head { border-left: outer $surface; }
    WatchScreen.several Tile.chosen .head { border-left: outer $accent; }
    WatchScreen.one Tile { display: none; }
    WatchScreen.one Tile.chosen { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", mark("Back")),
        Binding("v", "screen", mark("Screen")),
        Binding("f6,tab", "next_tile(1)", mark("Next tile"), key_display="F6"),
        Binding("shift+tab", "next_tile(-1)", show=False),
        Binding("z", "zoom", mark("Zoom")),
        Binding("x", "end", mark("End session")),
        Binding("H", "hold", mark("Hold the next statement"), show=False),
        Binding("r", "replay", mark("Replay"), show=False),
        *[Binding(str(number), f"tile({number})", show=False) for number in range(1, MOST_TILES + 1)],
    ]

    def __init__(self, sessions: Sequence[str], *, screen: bool = False) -> None:
        super().__init__()
        self.sessions = list(dict.fromkeys(sessions))[:MOST_TILES]
        self._screens = screen
        self._zoomed = False
        self._chosen = 0

    def title_words(self) -> str:
        return _("Watch")

    def compose(self) -> ComposeResult:
        yield Static("", id="others", markup=False)
        with Grid(id="tiles"):
            for session in self.sessions:
                yield Tile(session, screen=self._screens)
        yield KeyLine()

    def on_mount(self) -> None:
        self._choose(0)

    def on_resize(self) -> None:
        self._lay_out()

    @property
    def tiles(self) -> list[Tile]:
        """In their order."""
        return list(self.query(Tile))

    def _lay_out(self) -> None:
        """As many beside and below each other as there is room for; else one, and the others by name."""
        count = len(self.sessions)
        width, height = self.size.width, self.size.height - 1
        columns = 2 if count > 1 and width >= 2 * TILE_COLUMNS + 1 else 1
        rows = -(-count // columns)
        one = count > 1 and (self._zoomed or height < rows * TILE_LINES)
        self.set_class(one, "one")
        self.set_class(count > 1 and not one, "several")
        grid = self.query_one("#tiles", Grid)
        grid.styles.grid_size_columns = 1 if one else columns
        grid.styles.grid_size_rows = 1 if one else rows
        self._show_others()

    def _choose(self, place: int) -> None:
        tiles = self.tiles
        if not tiles:
            return
        self._chosen = place % len(tiles)
        for number, tile in enumerate(tiles):
            tile.set_class(number == self._chosen, "chosen")
        tiles[self._chosen].focus_inside()
        self._lay_out()
        self.refresh_bindings()

    @on(StatementPane.Changed)
    def _show_others(self) -> None:
        if not self.has_class("one"):
            return
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, tile in enumerate(self.tiles, 1):
            text.append(f" {number} {tile.summary()} ", style="selection" if number - 1 == self._chosen else "")
        self.query_one("#others", Static).update(text)

    def on_descendant_focus(self) -> None:
        focused = self.focused
        for number, tile in enumerate(self.tiles):
            if focused is not None and tile in focused.ancestors and number != self._chosen:
                self._choose(number)

    @property
    def _tile(self) -> Tile | None:
        tiles = self.tiles
        return tiles[self._chosen] if self._chosen < len(tiles) else None

    # -- what the person does

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        tile = self._tile
        if action == "screen":
            return tile is not None and tile.has_screen and not tile.alone
        if action in ("next_tile", "zoom"):
            return len(self.sessions) > 1
        if action == "tile":
            return isinstance(parameters[0], int) and parameters[0] <= len(self.sessions)
        if action == "replay":
            return tile is not None and not tile.alone
        if action in ("end", "hold"):
            pane = tile.query_one(StatementPane) if tile is not None else None
            return pane is not None and pane.facts is not None and not pane.over
        return True

    def action_leave(self) -> None:
        tile = self._tile
        if tile is not None and tile.query_one(ScreenPane).leave_search():
            return
        if self._zoomed:
            self.action_zoom()
        else:
            self.dismiss(None)

    def action_screen(self) -> None:
        tile = self._tile
        if tile is not None:
            tile.show_screen(on=not tile.shows_screen)
            tile.focus_inside()

    def action_next_tile(self, step: int) -> None:
        self._choose(self._chosen + step)

    def action_tile(self, number: int) -> None:
        self._choose(number - 1)

    def action_zoom(self) -> None:
        self._zoomed = not self._zoomed
        self._lay_out()

    def _facts(self) -> live.LiveSession | None:
        tile = self._tile
        return tile.query_one(StatementPane).facts if tile is not None else None

    @work(exclusive=True, group="act")
    async def action_end(self) -> None:
        """As on the list of what runs now: with a reason."""
        facts = self._facts()
        if facts is None:
            return
        text = _(
            "What runs is cancelled on the database; an open transaction is rolled back. They are told who and why."
        )
        typed = await self.app.push_screen_wait(
            ActDialog(_("End this session"), f"{_whose(facts)}\n{text}", danger=True)
        )
        if typed is not None:
            await self._act(
                methods.SESSION_END, methods.ById(id=facts.id, reason=typed["reason"]), _("The session is ended.")
            )

    @work(exclusive=True, group="act")
    async def action_hold(self) -> None:
        """Holds the next statement, or lets the held one go."""
        facts = self._facts()
        if facts is None:
            return
        if facts.figures.hold is not None:
            text = f"{_whose(facts)}\n{visible(facts.figures.running or '')[:300]}"
            typed = await self.app.push_screen_wait(ActDialog(_("Let it go"), text))
            if typed is not None:
                request = live.ReleaseRequest(id=facts.id, reason=typed["reason"])
                said = _("Statement {seq} goes on.").format(seq=facts.figures.hold.seq or facts.figures.seq + 1)
                await self._act(methods.RELEASE, request, said)
            return
        text = _("Its next statement waits here until you let it go or refuse it. Nothing of it reaches the database.")
        typed = await self.app.push_screen_wait(ActDialog(_("Hold the next statement"), f"{_whose(facts)}\n{text}"))
        if typed is not None:
            said = _("The next statement of {user} waits.").format(user=visible_line(facts.user))
            await self._act(methods.HOLD, live.HoldRequest(id=facts.id, reason=typed["reason"]), said)

    async def _act(self, method: Method, request: m.Message, said: str) -> None:
        try:
            await self.workstation.bastion.call(method, request)
        except (Refused, LinkError) as error:
            self.workstation.told(sentence(error), bad=True)
        else:
            self.workstation.told(said)

    def action_replay(self) -> None:
        tile = self._tile
        if tile is not None:
            open_replay(self.workstation, ReplayRequest(tile.session))

    @on(StatementPane.ReplayWanted)
    def _replay_wanted(self, message: StatementPane.ReplayWanted) -> None:
        open_replay(self.workstation, ReplayRequest(message.session, message.seq))


def _whose(facts: live.LiveSession) -> str:
    return visible_line(
        _("{user} on {database} as {account}, from {source} with {client}.").format(
            user=facts.user, database=facts.database, account=facts.account, source=facts.source,
            client=facts.client or "-",
        )
    )  # fmt: skip
