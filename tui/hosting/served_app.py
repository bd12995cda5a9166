"""The workstation as the bastion serves it: logged in already, on a terminal that may go and come again."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Future

from rich.console import Console
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.driver import Driver
from textual.screen import Screen
from textual.widgets import Static

from backends.host_keys import HostKeys
from backends.link import Link, LinkError
from bastion.api import language
from bastion.api.language import translate as _
from bastion.api.refusals import Refused
from bastion.api.screen_frames import Terminal
from screens.secret_text import holds_a_token
from screens.words import sentence
from screens.workstation import Page, Start

from .. import safe_output
from ..app import CasemateApp
from ..failure import failure_sentence
from ..local import services
from ..theme import colours_of, theme_for
from .environment import take
from .stream_driver import StreamDriver

FAILED, UNREACHABLE = 1, 3

log = logging.getLogger(__name__)


class ArrivingScreen(Page):
    """Shown for the moment in which the connection to the bastion is made."""

    DEFAULT_CSS = "ArrivingScreen { align: center middle; } ArrivingScreen Static { width: auto; }"

    def compose(self) -> ComposeResult:
        yield Static(Text(_("loading …")))


class ServedApp(CasemateApp):
    """`arriving` is the connection to the bastion that is being made for this process."""

    def __init__(self, arriving: Future[Link], target: str) -> None:
        super().__init__(services(HostKeys([])), Start(target=target))
        self.services.exports_to_bastion = True
        self._arriving = arriving
        self.to_terminal: Callable[[str], None] = lambda _text: None
        """Set before it runs."""
        self.last_words: list[str] = []
        self.when_ready: Callable[[], None] | None = None
        """Called once the driver stands."""

    def get_driver_class(self) -> type[Driver]:
        return StreamDriver

    def get_default_screen(self) -> Screen[object]:
        return ArrivingScreen()

    @property
    def driver(self) -> StreamDriver | None:
        """There once the application runs."""
        return self._driver if isinstance(self._driver, StreamDriver) else None

    def on_mount(self) -> None:
        if self.when_ready is not None:
            self.when_ready()
        self._arrive()

    @work(group="login")
    async def _arrive(self) -> None:
        try:
            link = await asyncio.wrap_future(self._arriving)
        except (LinkError, Refused) as error:
            self._end_with(sentence(error))
            return
        self.logged_in(link)

    def on_casemate_app_link_lost(self, message: CasemateApp.LinkLost) -> None:
        if message.link is self.link:
            self._end_with(message.reason)

    def _end_with(self, reason: str) -> None:
        self.last_words.append(reason)
        self.exit(UNREACHABLE)

    # -- told by the gateway

    def attached(self, terminal: Terminal) -> None:
        """Another terminal: with its colours and its language, and without a title as yet."""
        take(terminal.environment)
        language.everywhere(self.preferences.settings.language or language.from_environment())
        self._titled = ""
        # The library works the colours out when a console is made, from the environment.
        detected = Console(force_terminal=True, _environ=dict(os.environ))
        colours = colours_of(detected.color_system, os.environ)
        if (detected._color_system, colours) != (self.console._color_system, self.colours):
            safe_output.keep_no_strips()
            self.console._color_system = detected._color_system
            self.console.no_color = colours == "none"
            self.colours = colours
            self.theme = theme_for(colours, self.preferences.settings.theme)

    def terminal_takes(self, seconds: float) -> None:
        """A round trip between the bastion and the person's terminal."""
        self.pace.terminal_takes(seconds)

    def told_to_leave(self) -> None:
        """Ends without questions; whatever is open is cancelled by the bastion."""
        if self.is_running:
            self.exit(0)

    def copy(self, text: str, what: str) -> None:
        driver = self.driver
        if driver is None or not holds_a_token(text):
            super().copy(text, what)
            return
        driver.concealing = True
        try:
            super().copy(text, what)
        finally:
            driver.concealing = False

    # -- when it fails

    def _fatal_error(self) -> None:
        """A sentence for the person; the traceback, without values of variables, goes to the bastion's log."""
        self._give_title_back()
        error = sys.exc_info()[1]
        if error is not None:
            lines = "".join(traceback.format_tb(error.__traceback__))
            log.error("a workstation failed: %s\n%s", type(error).__name__, lines)
        self._return_code = FAILED
        self._exit_renderables.append(Text(failure_sentence(None), end=""))
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        """For the person, by the gateway: standard error is the bastion's log."""
        for renderable in self._exit_renderables:
            if isinstance(renderable, Text):
                self.last_words.append(renderable.plain)
        self._exit_renderables.clear()

    def bell(self) -> None:
        if self.driver is not None:
            self.driver.write("\a")
