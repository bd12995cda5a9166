"""The workstation: one application, whatever terminal it is hosted in."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from rich.console import RenderableType
from rich.text import Text
from textual import work
from textual._callback import invoke
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import Monochrome
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from backends.link import LinkError
from backends.personal import Personal
from backends.visible_text import visible
from bastion.api import messages as m
from bastion.api.language import translate as _
from bastion.api.refusals import Refused
from screens.audit import AuditScreen
from screens.console import ConsoleScreen
from screens.databases import DatabasesScreen
from screens.help import HelpDialog
from screens.login import LoginScreen
from screens.palette import PaletteDialog
from screens.widgets.frame import PAGES
from screens.words import mark, sentence, size
from screens.workstation import ControlLink, Services, Start, Workstation

from . import clipboard, safe_output
from .actions import Action, help_groups
from .changed_cells import OnlyWhatChanged, ShownCells
from .failure import failure_sentence, write_failure
from .key_names import key_name
from .look import CSS
from .palette import commands
from .theme import THEMES, colours_of, text_styles, theme_for

log = logging.getLogger("casemate.workstation")


class CasemateApp(Workstation):
    """Pages are modes; dialogs lie on top of them."""

    TITLE = "casemate"
    ENABLE_COMMAND_PALETTE = False
    MODES: ClassVar[dict[str, Any]] = {
        "databases": DatabasesScreen,
        "console": ConsoleScreen,
        "audit": AuditScreen,
    }
    CSS = CSS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", mark("Help"), priority=True),
        Binding("question_mark", "help", mark("Help"), show=False),
        Binding("f2", "command_palette", mark("Palette"), priority=True),
        Binding("1", "page('databases')", mark("Databases"), show=False),
        Binding("2", "page('console')", mark("Console"), show=False),
        Binding("3", "page('audit')", mark("Audit"), show=False),
        Binding("ctrl+g", "next_page", mark("Next page"), show=False),
        Binding("ctrl+q", "quit", mark("Quit"), priority=True, show=True),
    ]

    class LinkLost(Message):
        """The connection to the bastion ended by itself."""

        def __init__(self, link: ControlLink, reason: str) -> None:
            super().__init__()
            self.link, self.reason = link, reason

    class Heard(Message):
        """A notification of the bastion."""

        def __init__(self, event: m.Event) -> None:
            super().__init__()
            self.event = event

    def __init__(self, services: Services, start: Start | None = None, theme: str | None = None) -> None:
        safe_output.install()
        super().__init__()
        self.services = services
        self.start = start or Start()
        self.personal = Personal(self._nothing_kept)
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
        self.theme = theme or theme_for(self.colours)
        self.failure_log: Path | None = None

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

    def get_default_screen(self) -> Screen[object]:
        return LoginScreen()

    # -- logging in and out

    def logged_in(self, link: ControlLink) -> None:
        again = self.link is not None
        self.link = link
        self.personal.use(link)
        link.on_lost.append(lambda reason: self._from_outside(self.LinkLost(link, reason)))
        link.listen(lambda event: self._from_outside(self.Heard(event)))
        self.start = Start(target=str(link.target))
        self._subscribe(link)
        if again and self.current_mode != "_default":
            self.pop_screen()
            self.told(_("Connected again."))
        else:
            self.switch_mode("databases" if self.has_role("operator") or not self.has_role("auditor") else "audit")

    def _nothing_kept(self, error: Exception) -> None:
        self.told(
            _("What you keep here (favourites, history, open editors) is not at hand: {reason}").format(
                reason=sentence(error)
            ),
            bad=True,
        )

    def _from_outside(self, message: Message) -> None:
        if self.is_running:
            self.post_message(message)

    @work(group="subscribe", exclusive=True)
    async def _subscribe(self, link: ControlLink) -> None:
        try:
            await link.subscribe("sessions", "statements", "tokens")
        except (Refused, LinkError) as error:
            log.info("no notifications: %s", error)

    def on_casemate_app_link_lost(self, message: LinkLost) -> None:
        if message.link is not self.link:
            return
        console = self.opened_page("console")
        if isinstance(console, ConsoleScreen):
            console.link_lost()
        message.link.close()
        self.push_screen(LoginScreen(message.reason))

    def on_casemate_app_heard(self, message: Heard) -> None:
        event = message.event
        audit, databases, console = (
            self.opened_page("audit"),
            self.opened_page("databases"),
            self.opened_page("console"),
        )
        if isinstance(audit, AuditScreen):
            audit.heard(event)
        if event.topic == "tokens":
            if isinstance(databases, DatabasesScreen):
                databases.token_changed()
            if isinstance(console, ConsoleScreen):
                try:
                    state = m.TokenState(**{k: event.data[k] for k in m.TokenState.__struct_fields__})
                except KeyError:
                    return
                console.token_changed(state)

    def opened_page(self, name: str) -> Screen[Any] | None:
        """A page that has been shown before."""
        stack = self._screen_stacks.get(name)
        return stack[0] if stack else None

    def databases_page(self) -> DatabasesScreen | None:
        """The databases page, once it has been shown."""
        page = self.opened_page("databases")
        return page if isinstance(page, DatabasesScreen) else None

    def get_key_display(self, binding: Binding) -> str:
        return key_name(binding)

    # -- going about

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("page", "next_page"):
            if self.link is None or len(self.screen_stack) > 1:
                return False
            return action == "next_page" or self.reachable(str(parameters[0]))
        return super().check_action(action, parameters)

    def reachable(self, name: str) -> bool:
        """Whether there is such a page now: a console only once one was opened."""
        return name != "console" or self.opened_page(name) is not None

    def action_page(self, name: str) -> None:
        if self.current_mode != name:
            self.switch_mode(name)

    def action_next_page(self) -> None:
        names = [name for name, _label in PAGES if self.check_action("page", (name,))]
        if self.current_mode in names:
            self.action_page(names[(names.index(self.current_mode) + 1) % len(names)])

    def open_console(self, token: m.Token, catalog: str) -> None:
        self._open_console(token, catalog)

    @work(group="open-console", exclusive=True)
    async def _open_console(self, token: m.Token, catalog: str) -> None:
        await self.switch_mode("console")
        page = self.opened_page("console")
        if isinstance(page, ConsoleScreen):
            page.connect_to(token, catalog)

    def open_named(self, name: str, account: str) -> None:
        """Opens the console of a database by name; for the palette."""
        page = self.databases_page()
        if page is not None:
            page.open_named(name, account)

    @work(group="quit", exclusive=True)
    async def action_quit(self) -> None:  # type: ignore[override]
        """Asks where something would be lost, closes the connections, leaves."""
        page = self.opened_page("console")
        if isinstance(page, ConsoleScreen):
            question = page.leaving_question()
            if question is not None and not await self.push_screen_wait(question):
                return
            await page.disconnect()
        self.exit(0)

    # -- help and palette

    @work(group="palette", exclusive=True)
    async def action_command_palette(self) -> None:  # type: ignore[override]
        if isinstance(self.screen, PaletteDialog):
            self.screen.dismiss(None)
            return
        chosen = await self.push_screen_wait(PaletteDialog(list(commands(self, self.screen))))
        if chosen is not None:
            await invoke(chosen.run)

    async def act(self, action: Action) -> None:
        """Does what was chosen in the palette, on its page."""
        if action.mode and action.mode != self.current_mode:
            await self.switch_mode(action.mode)
            if (
                isinstance(action.node, Screen)
                and action.node.check_action(action.name.partition("(")[0], ()) is not True
            ):
                self.told(_("That cannot be done on this page now."), bad=True)
                return
        await self.run_action(action.name, action.node)

    def action_repaint(self) -> None:
        """After something else has written on the terminal."""
        self.refresh(layout=True)
        self.screen.refresh(layout=True)

    # -- drawing

    def refresh(self, *, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """With `layout`, everything is drawn and nothing of it left out: the terminal may be another one."""
        if layout:
            self._shown.forget()
        return super().refresh(repaint=repaint, layout=layout, recompose=recompose)

    def on_resize(self) -> None:
        # The terminal has moved its lines about.
        self._shown.forget()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if isinstance(renderable, LayoutUpdate | ChopsUpdate):
            renderable = OnlyWhatChanged(renderable, self._shown, (self.size.width, self.size.height))
        super()._display(screen, renderable)

    def action_help(self) -> None:
        self.push_screen(HelpDialog(help_groups(self, self.screen)))

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
            ).format(what=what, also=_(" and `set -g set-clipboard on` in tmux") if os.environ.get("TMUX") else "")
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
        error = sys.exc_info()[1]
        where = write_failure(error) if error is not None else None
        self._exit_renderables.append(Text(failure_sentence(where), end=""))
        self._close_messages_no_wait()

    def panic(self, *renderables: Any) -> None:
        """What the library would print may hold anything; the log has the traceback."""
        self._fatal_error()
