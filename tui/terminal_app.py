"""The application towards the person's terminal: colours, drawing, title, clipboard, pace, and what is not done there.

Nothing here knows of pages, of the bastion or of databases.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any, Self

from rich.console import RenderableType
from rich.text import Text
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import SystemCommand
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import Monochrome
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from backends.visible_text import visible
from bastion.api.language import translate as _
from screens.widgets.frame import TopLine
from screens.words import size
from screens.workstation import Page, Workstation

from . import clipboard, plain, safe_output, title
from .changed_cells import OnlyWhatChanged, ShownCells
from .failure import failure_sentence, write_failure
from .local_driver import LocalDriver
from .look import CSS
from .pace import MOUSE_BUTTONS_ONLY, MOUSE_MOTION_TOO, Pace, frames
from .theme import THEMES, colours_of, text_styles, theme_for


class TerminalApp(Workstation):
    """`CasemateApp` is made of it."""

    TITLE = "casemate"
    ENABLE_COMMAND_PALETTE = False
    CSS = CSS + plain.CSS

    def __init__(self) -> None:
        safe_output.install()
        super().__init__()
        self.animation_level = "none"
        for ours in THEMES.values():
            self.register_theme(ours)
        self.colours = colours_of(self.console.color_system, os.environ)
        if self.colours == "none":
            # The library would turn colours into greys; without colours means without.
            self.console.no_color = True
            self._filters = [kept for kept in self._filters if not isinstance(kept, Monochrome)]
        self._style_names = False
        self._shown = ShownCells()
        self._titled = ""
        self.pace = Pace(self._pace_changed)
        self.theme = theme_for(self.colours)

    def get_driver_class(self) -> type[Driver]:
        usual = super().get_driver_class()
        return LocalDriver if usual is LinuxDriver else usual

    def watch_theme(self, theme: str) -> None:
        """The names of styles mean the colours of this theme from now on, also in what is on the screen already."""
        if self._style_names:
            self.console.pop_theme()
        self.console.push_theme(text_styles(theme))
        self._style_names = True
        for stack in self._screen_stacks.values():
            for screen in stack:
                for shown in screen.query(Static):
                    shown.update(shown.content, layout=False)

    def use_plain(self, wanted: bool) -> None:
        """Plain pages, or the usual ones. Lists follow when they are filled again."""
        if wanted == self.plain:
            return
        self.plain = wanted
        self.set_class(wanted, plain.CLASS)
        self._shown.instead = plain.ASCII if wanted else {}
        if self._driver is not None and not self.is_headless:
            self._driver.write(plain.SHOW_CURSOR if wanted else plain.HIDE_CURSOR)
        self.refresh(layout=True)

    # -- drawing

    def action_repaint(self) -> None:
        """After something else has written on the terminal."""
        self.refresh(layout=True)
        self.screen.refresh(layout=True)

    def refresh(self, *, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """With `layout`, everything is drawn and nothing of it left out: the terminal may be another one."""
        if layout:
            self._shown.forget()
        return super().refresh(repaint=repaint, layout=layout, recompose=recompose)

    def picture(self) -> str:
        """What the terminal shows, as one output."""
        return self._shown.picture()

    def on_driver_signal_resume(self) -> None:
        self.action_repaint()

    def on_resize(self) -> None:
        # The terminal has moved its lines about.
        self._shown.forget()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if self.plain and self._screen_stack and (place := plain.reading_place(self.screen.focused)) is not None:
            self.cursor_position = place
        if isinstance(renderable, LayoutUpdate | ChopsUpdate):
            renderable = OnlyWhatChanged(renderable, self._shown, (self.size.width, self.size.height))
        super()._display(screen, renderable)
        self._retitle()

    def _retitle(self) -> None:
        """The terminal's title follows the page."""
        page = self._screen_stack[0] if self._screen_stack else None
        words = page.title_words() if isinstance(page, Page) else ""
        words = f"casemate: {words}" if words else "casemate"
        if words == self._titled or self._driver is None or self.is_headless or self._exit:
            return
        if not self._titled:
            self._driver.write(title.KEEP + (plain.SHOW_CURSOR if self.plain else ""))
        self._titled = words
        self._driver.write(title.sequence(words))

    def _give_title_back(self) -> None:
        if self._titled and self._driver is not None:
            self._driver.write(title.GIVE_BACK)
            self._titled = ""

    def exit(self, result: int | None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        self._give_title_back()
        super().exit(result, return_code, message)

    # -- the link

    def pace_words(self) -> str:
        return self.pace.words()

    @property
    def sparing(self) -> bool:
        """Whether as little as possible is to be sent to the terminal."""
        return self.pace.sparing

    def _pace_changed(self) -> None:
        frames(self, sparing=self.pace.sparing)
        driver = self._driver
        if isinstance(driver, LinuxDriver) and driver._mouse:
            driver.write(MOUSE_BUTTONS_ONLY if self.pace.sparing else MOUSE_MOTION_TOO)
        for stack in self._screen_stacks.values():
            for line in (line for screen in stack for line in screen.query(TopLine)):
                line.refresh()

    def get_system_commands(self, screen: Screen[Any]) -> Iterator[SystemCommand]:
        """None of the library's: some would write files or open a browser where the workstation runs."""
        yield from ()

    def get_loading_widget(self) -> Widget:
        """A word instead of an animation, which costs a slow link more than the data."""
        return Static(Text(_("loading …")))

    # -- the person's terminal

    def copy(self, text: str, what: str) -> None:
        if self._driver is None:
            return
        try:
            data = clipboard.sequence(text, os.environ)
        except clipboard.TooLong:
            self.told(
                _("Not copied: {what} is {size}, more than terminals take ({limit}).").format(
                    what=what, size=size(len(text.encode("utf-8", "replace"))), limit=size(clipboard.LIMIT * 3 // 4)
                ),
                bad=True,
            )
            return
        self._clipboard = text
        self._driver.write(data)
        self.told(
            _(
                "Sent {what} to your terminal's clipboard. If it is not there, allow OSC 52 in the terminal{also}."
            ).format(
                what=what,
                also=_(" and `set -g set-clipboard on` in tmux")
                if clipboard.inside_tmux(os.environ) or clipboard.perhaps_tmux(os.environ)
                else "",
            )
        )
        if not clipboard.reaches_tmux(text, os.environ):
            self.told(
                _(
                    "TERM says `{term}`: a tmux that says so does not take a text of this length. There, "
                    "`set -g default-terminal tmux-256color` lets it through."
                ).format(term=os.environ.get("TERM", "")),
                bad=True,
            )

    def copy_to_clipboard(self, text: str) -> None:
        self.copy(text, _("the selection"))

    def told(self, message: str, *, bad: bool = False) -> None:
        self.notify(visible(message), severity="error" if bad else "information", markup=False, timeout=8 if bad else 4)

    def open_url(self, url: str, *, new_tab: bool = True) -> None:
        """Nothing: it would start a browser on the machine that the workstation runs on."""

    def deliver_binary(self, *args: Any, **kwargs: Any) -> str | None:
        """Nothing: it would write on the machine that the workstation runs on."""
        return None

    def deliver_text(self, *args: Any, **kwargs: Any) -> str | None:
        """Nothing, for the same reason."""
        return None

    def action_suspend_process(self) -> None:
        """Nothing: a served workstation has no shell to go back to."""

    # -- when it fails

    def _fatal_error(self) -> None:
        """A sentence for the person; the traceback, without values of variables, goes to the log."""
        self._give_title_back()
        error = sys.exc_info()[1]
        where = write_failure(error) if error is not None else None
        self._exit_renderables.append(Text(failure_sentence(where), end=""))
        self._close_messages_no_wait()

    def panic(self, *renderables: Any) -> None:
        """What the library would print may hold anything; the log has the traceback."""
        self._fatal_error()
