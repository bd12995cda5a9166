"""The screen of a served workstation, followed on the terminal of whoever watches it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
from collections.abc import Iterator
from typing import Any, Protocol, TextIO

from rich.color import ColorSystem
from rich.console import Console

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.methods import Method
from bastion.api.refusals import Refused
from bastion.api.screens import ScreenOfRequest, ScreenSessions

from .cast import Cast, CastBroken, Place
from .emulator import Picture
from .screen_drawing import ENTER, LEAVE, Drawing
from .screen_feed import ScreenFeed
from .screen_player import Stage
from .visible_text import visible_line

NO_PICTURE_SECONDS = 30.0
"""How long a workstation is asked that has drawn nothing yet."""
AGAIN_SECONDS = 1.0
BETWEEN_PICTURES = 0.08
"""Seconds between two calls for what comes, so that a burst of output is one picture."""
STATE_SECONDS = 2.0
"""Seconds between two looks at whether the session is there still."""
AT_WORK = ("opening", "live")
DEPTHS = {"standard": ColorSystem.STANDARD, "256": ColorSystem.EIGHT_BIT, "truecolor": ColorSystem.TRUECOLOR}
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Bastion(Protocol):
    """What calls are made with: `backends.link.Link`."""

    async def call(self, method: Method, params: m.Message) -> Any: ...


class NotWatched(Exception):
    """There is nothing to watch, or not here. The message is a sentence."""


class TerminalTaken:
    """The terminal that a screen is drawn on. Taken with the first picture, given back by `give_back`, as it was.

    What is typed meanwhile is neither shown nor left for the shell. Ctrl-C is a signal still, Ctrl-Z is none.
    """

    def __init__(self, out: TextIO, keyboard: int | None) -> None:
        self._out = out
        self._keyboard = keyboard
        self._before: list[Any] | None = None
        self.taken = False

    def write(self, text: str) -> None:
        """Takes the terminal where it is not taken yet, and draws. Raises NotWatched where it is gone."""
        try:
            if not self.taken:
                self.taken = True
                self._quieten()
                self._out.write(ENTER)
            self._out.write(text)
            self._out.flush()
        except (OSError, termios.error) as error:
            raise NotWatched(_("The terminal cannot be drawn on: {problem}.").format(problem=error)) from error

    def _quieten(self) -> None:
        if self._keyboard is None:
            return
        settings = termios.tcgetattr(self._keyboard)
        self._before = termios.tcgetattr(self._keyboard)
        settings[0] &= ~termios.IXON
        settings[3] &= ~(termios.ECHO | termios.ICANON)
        for key in (termios.VSUSP, termios.VQUIT):
            settings[6][key] = os.fpathconf(self._keyboard, "PC_VDISABLE").to_bytes(1, "big")
        termios.tcsetattr(self._keyboard, termios.TCSADRAIN, settings)

    def give_back(self) -> None:
        """The main screen, the cursor and the keyboard, whatever has happened."""
        if not self.taken:
            return
        self.taken = False
        with contextlib.suppress(OSError):  # the terminal may be gone
            self._out.write(LEAVE)
            self._out.flush()
        if self._keyboard is not None and self._before is not None:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self._keyboard, termios.TCSAFLUSH, self._before)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines now."""
        try:
            size = os.get_terminal_size(self._out.fileno())
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24


class FollowedScreen:
    """A screen as it is now. What has been shown is forgotten: a watch of hours takes no more than one of a minute."""

    def __init__(self, bastion: Bastion, screen: str, reason: str) -> None:
        self._feed = ScreenFeed(bastion, screen, reason)
        self._stage: Stage | None = None

    @property
    def live(self) -> bool:
        """More may come."""
        return self._feed.live

    async def join(self) -> bool:
        """Begins; False where the workstation has drawn nothing yet."""
        if not await self._feed.join():
            return False
        self._stage = Stage(self._feed.cast)
        self._show()
        return True

    async def follow(self) -> None:
        """Waits a while for something new, and takes it."""
        if await self._feed.follow():
            self._show()

    def _show(self) -> None:
        assert self._stage is not None
        for event in self._feed.cast.events(Place(0, 0)):
            self._stage.take(event)
        self._feed.cast = self._feed.cast.continued()

    @property
    def kept(self) -> Cast:
        """What of it is in memory."""
        return self._feed.cast

    def picture(self) -> Picture | None:
        """What it shows; None before it was joined."""
        return None if self._stage is None else self._stage.emulator.picture()


def watch_screen(
    bastion: Bastion, session: str, reason: str = "", out: TextIO | None = None, err: TextIO | None = None
) -> int:
    """Follows the screen that a session is worked with on until it ends, or Ctrl-C; blocks. Returns the exit code.

    session: its id, or the workstation's own (`screen-…`), which is followed until it is closed. Raises NotWatched
    where there is no screen or no terminal to show it on, and Refused, LinkError for what the bastion says; the
    terminal is as it was then.
    """
    out, err = out or sys.stdout, err or sys.stderr
    console = Console(file=out)
    if not out.isatty() or console.is_dumb_terminal:
        raise NotWatched(
            _("A screen is drawn on a terminal, and standard output is none. Leave --screen out to get the statements.")
        )
    depth = None if console.no_color else DEPTHS.get(console.color_system or "")
    if hasattr(out, "reconfigure"):
        out.reconfigure(errors="replace")
    keyboard = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    terminal = TerminalTaken(out, keyboard)
    try:
        code, said = asyncio.run(_Watch(bastion, session, reason, terminal, depth, err).run())
    finally:
        terminal.give_back()
    if said:
        print(visible_line(said), file=err, flush=True)
    return code


class _Watch:
    def __init__(
        self,
        bastion: Bastion,
        session: str,
        reason: str,
        terminal: TerminalTaken,
        depth: ColorSystem | None,
        err: TextIO,
    ) -> None:
        self._bastion = bastion
        self._session = session
        self._reason = reason
        self._terminal = terminal
        self._depth = depth
        self._err = err
        self._drawing: Drawing | None = None
        self._screen: FollowedScreen | None = None
        self._stopped_by: int = 0

    async def run(self) -> tuple[int, str]:
        """The exit code, and what is said at the end."""
        with self._signals():
            try:
                return await self._follow()
            except asyncio.CancelledError:
                if not self._stopped_by:
                    raise
                return 128 + self._stopped_by, _("You watch no longer.")
            except CastBroken as broken:
                return 1, _("The screen that the bastion sent was not understood: {problem}.").format(problem=broken)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(number: signal.Signals) -> None:
            self._stopped_by = number
            task.cancel()

        before: dict[signal.Signals, Any] = {
            number: signal.getsignal(number) for number in (*STOPPING, signal.SIGWINCH)
        }
        for number in STOPPING:
            loop.add_signal_handler(number, stop, number)
        loop.add_signal_handler(signal.SIGWINCH, self._draw)
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                if handler is not None:
                    signal.signal(number, handler)

    async def _follow(self) -> tuple[int, str]:
        found = await self._find()
        self._drawing = Drawing(f"{found.screen.user} · {self._session}", self._depth)
        self._screen = screen = FollowedScreen(self._bastion, found.screen.id, self._reason)
        loop = asyncio.get_running_loop()
        until, told = loop.time() + NO_PICTURE_SECONDS, False
        while not await screen.join():
            if not screen.live:
                return 0, _("The workstation is closed.")
            if loop.time() > until:
                raise NotWatched(_("The workstation has drawn nothing for {seconds} seconds. Try it again.").format(
                    seconds=int(NO_PICTURE_SECONDS)))  # fmt: skip
            if not told:
                print(_("The workstation has not drawn its screen yet."), file=self._err, flush=True)
                told = True
            await asyncio.sleep(AGAIN_SECONDS)
        # Side by side: a screen on which nothing happens is waited for while the session ends.
        ways = [asyncio.create_task(self._draw_all(screen)), asyncio.create_task(self._until_ended())]
        try:
            done, _rest = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _draw_all(self, screen: FollowedScreen) -> tuple[int, str]:
        while screen.live:
            self._draw()
            await asyncio.sleep(BETWEEN_PICTURES)
            await screen.follow()
        self._draw()
        return 0, _("The workstation is closed.")

    async def _until_ended(self) -> tuple[int, str]:
        while True:
            ended = await self._ended()
            if ended is not None:
                return ended
            await asyncio.sleep(STATE_SECONDS)

    @property
    def _alone(self) -> bool:
        """It is a workstation that is watched, and no session."""
        return self._session.startswith("screen-")

    async def _find(self) -> ScreenSessions:
        wanted = ScreenOfRequest(id=self._session) if self._alone else ScreenOfRequest(session=self._session)
        ended = await self._ended()
        if ended is not None:
            raise Refused("session-not-live", session=self._session[:64])
        found: ScreenSessions | None = await self._bastion.call(methods.SCREEN_OF, wanted)
        if found is None and self._alone:
            raise Refused("screen-not-live", screen=self._session[:64])
        if found is None:
            raise NotWatched(
                _("The session {id} is not in a workstation that the bastion serves, so there is no screen to watch. "
                  "Leave --screen out to get its statements.").format(id=self._session[:64])
            )  # fmt: skip
        return found

    async def _ended(self) -> tuple[int, str] | None:
        """The exit code and what is said where the session is over; None while it is at work."""
        if self._alone:
            return None
        sessions: list[m.Session] = await self._bastion.call(
            methods.SESSIONS, m.SessionFilter(id=self._session, limit=1)
        )
        if not sessions:
            raise Refused("session-unknown", session=self._session[:64])
        if sessions[0].state in AT_WORK:
            return None
        words = _("The session is over: {reason}").format(reason=sessions[0].end_reason or "-")
        return (1 if sessions[0].state == "lost" else 0), words

    def _draw(self) -> None:
        picture = self._screen.picture() if self._screen is not None else None
        if picture is None or self._drawing is None:
            return
        text = self._drawing.draw(picture, *self._terminal.size)
        if text:
            self._terminal.write(text)
