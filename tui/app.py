"""The workstation: one application, whatever terminal it is hosted in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from textual import work
from textual._callback import invoke
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen

from backends.link import LinkError
from backends.personal import Personal
from backends.visible_text import visible, visible_line
from backends.witness import SECONDS as WITNESS_SECONDS
from bastion.api import language, live, methods, moments
from bastion.api import messages as m
from bastion.api.language import translate as _
from bastion.api.language import translate_many
from bastion.api.refusals import Refused
from screens.audit import AuditScreen
from screens.console import ConsoleScreen
from screens.databases import DatabasesScreen
from screens.help import HelpDialog
from screens.keys import KeysDialog
from screens.live import LiveScreen
from screens.login import LoginScreen
from screens.palette import PaletteDialog
from screens.record_alarm import RecordAlarm
from screens.settings import SettingsDialog
from screens.token_watch import TokenWatch
from screens.widgets.frame import PAGES
from screens.words import left, mark, sentence, storage_words
from screens.workstation import ControlLink, Services, Start

from .actions import Action, help_groups
from .key_names import key_name
from .keymap import first_keys, name_actions
from .pace import ASKED_EVERY
from .palette import commands
from .preferences import CHOICES, Preferences
from .settings import Settings
from .terminal_app import TerminalApp

log = logging.getLogger("casemate.workstation")

TOKENS_SECONDS = 5.0
"""How often the tokens in use are looked at."""
KEEP_SECONDS = 3.0
"""How long leaving waits for what is being kept at the bastion."""
NOTICE_SECONDS = 600
"""How long an auditor's words stay, unless they are clicked away."""
TOKEN_WARNING_SECONDS = 30
"""How long a warning stays, unless it is clicked away."""


class CasemateApp(TerminalApp):
    """Pages are modes; dialogs lie on top of them."""

    MODES: ClassVar[dict[str, Any]] = {
        "databases": DatabasesScreen,
        "console": ConsoleScreen,
        "audit": AuditScreen,
        "live": LiveScreen,
        "between": Screen,
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", mark("Help"), priority=True),
        Binding("question_mark", "help", show=False),
        Binding("f2,ctrl+p", "command_palette", mark("Palette"), priority=True),
        Binding("1", "page('databases')", mark("Databases"), show=False),
        Binding("2", "page('console')", mark("Console"), show=False),
        Binding("3", "page('audit')", mark("Audit"), show=False),
        Binding("4", "page('live')", mark("Live"), show=False),
        Binding("ctrl+g", "next_page", mark("Next page"), show=False),
        Binding("ctrl+o", "renew_tokens", mark("Renew the token that ends"), priority=True, show=False),
        Binding("comma", "settings", mark("Settings"), show=False),
        Binding("ctrl+backslash,ctrl+q", "quit", mark("Quit"), priority=True, show=True),
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

    def __init__(
        self,
        services: Services,
        start: Start | None = None,
        theme: str | None = None,
        settings: Settings | None = None,
        keep: Callable[[Settings], None] | None = None,
    ) -> None:
        """`theme` is used until one is chosen; `settings` are this machine's, `keep` puts them back there."""
        name_actions()
        super().__init__()
        self.services = services
        moments.everywhere(local=services.local_time, clock=services.now)
        self.start = start or Start()
        self.personal = Personal(self._nothing_kept)
        self.tokens = TokenWatch()
        self.preferences = Preferences(self, settings or Settings(), keep, self.personal)
        self.theme_at_first = theme

    def get_default_screen(self) -> Screen[object]:
        return LoginScreen()

    # -- logging in and out

    def logged_in(self, link: ControlLink) -> None:
        again = self.link is not None
        self.link = link
        self.personal.use(link)
        self._fetch_preferences()
        link.on_lost.append(lambda reason: self._from_outside(self.LinkLost(link, reason)))
        link.listen(lambda event: self._from_outside(self.Heard(event)))
        self.start = Start(target=str(link.target))
        self._subscribe(link)
        for alarm in link.hello.alarms:
            self.told(storage_words(alarm), bad=True)
        self._be_witness(link)
        if again and self.current_mode != "_default":
            self.pop_screen()
            self.told(_("Connected again."))
            console = self.opened_page("console")
            if isinstance(console, ConsoleScreen):
                console.link_back()
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
            await link.subscribe("sessions", "statements", "tokens", "storage", "notices")
        except (Refused, LinkError) as error:
            log.info("no notifications: %s", error)

    @work(group="witness", exclusive=True)
    async def _be_witness(self, link: ControlLink) -> None:
        """Keeps the bastion's newest checkpoint now and again; says so when its record is not that of the kept one."""
        witness = self.services.witness
        while witness is not None and link is self.link and not witness.is_own_machine(link.target):
            try:
                broken = await witness.look(link)
            except (Refused, LinkError) as error:
                log.info("no checkpoint was kept: %s", error)
            else:
                if broken is not None:
                    await self.push_screen(RecordAlarm(broken, link.target))
                    return
            await asyncio.sleep(WITNESS_SECONDS)

    def on_casemate_app_link_lost(self, message: LinkLost) -> None:
        if message.link is not self.link:
            return
        console = self.opened_page("console")
        lost = ""
        if isinstance(console, ConsoleScreen):
            if console.connected and console.at_hand.token is not None:
                lost = _("The session on {database} ended with it; the console says what became of its work.").format(
                    database=console.at_hand.token.database
                )
            console.link_lost()
        message.link.close()
        self.push_screen(LoginScreen(message.reason, lost=lost))

    def on_casemate_app_heard(self, message: Heard) -> None:
        event = message.event
        audit, databases, console = (
            self.opened_page("audit"),
            self.opened_page("databases"),
            self.opened_page("console"),
        )
        if isinstance(audit, AuditScreen):
            audit.heard(event)
        if event.topic == "storage":
            self._tell_of_storage(event)
        if event.topic == "notices":
            self._tell_of_auditor(event)
        if event.topic == "tokens":
            try:
                state = m.TokenState(**{k: event.data[k] for k in m.TokenState.__struct_fields__})
            except KeyError:
                return
            if isinstance(databases, DatabasesScreen):
                databases.token_changed(state.database)
            self.tokens.changed(event.kind, state)
            if isinstance(console, ConsoleScreen):
                console.token_changed(state)

    def _tell_of_auditor(self, event: m.Event) -> None:
        try:
            notice = msgspec.convert(event.data, live.Notice)
        except msgspec.ValidationError:
            return
        said = _("The auditor {by}, about your session on {database}: {text}").format(
            by=notice.by, database=notice.database, text=notice.text
        )
        self.notify(visible(said), severity="warning", markup=False, timeout=NOTICE_SECONDS)
        self.bell()

    def _tell_of_storage(self, event: m.Event) -> None:
        try:
            state = msgspec.convert(event.data, m.StorageState)
        except msgspec.ValidationError:
            return
        if event.kind == "cleared":
            self.told(_("There is room again on the disk of {folder}.").format(folder=visible_line(state.folder)))
        else:
            self.told(storage_words(state), bad=True)

    def opened_page(self, name: str) -> Screen[Any] | None:
        """A page that has been shown before."""
        stack = self._screen_stacks.get(name)
        return stack[0] if stack else None

    def databases_page(self) -> DatabasesScreen | None:
        """The databases page, once it has been shown."""
        page = self.opened_page("databases")
        return page if isinstance(page, DatabasesScreen) else None

    def get_key_display(self, binding: Binding) -> str:
        """The key that comes first where there are several: the others are for habits."""
        if binding.id and not binding.key_display:
            keys = self._keymap.get(binding.id) or first_keys().get(binding.id, binding.key)
            return key_name(Binding(keys, binding.action))
        return key_name(binding)

    # -- going about

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("page", "next_page"):
            if self.link is None or len(self.screen_stack) > 1:
                return False
            return action == "next_page" or self.reachable(str(parameters[0]))
        if action == "renew_tokens":
            return self.link is not None and bool(self.tokens.ending(self.services.now()))
        return super().check_action(action, parameters)

    def reachable(self, name: str) -> bool:
        """Whether there is such a page now: a console only once one was opened."""
        if name == "live":
            return self.has_role("auditor", "administrator")
        return name != "console" or self.opened_page(name) is not None

    def action_page(self, name: str) -> None:
        if self.current_mode != name:
            self.switch_mode(name)

    def action_next_page(self) -> None:
        names = [name for name, _label in PAGES if self.check_action("page", (name,))]
        if self.current_mode in names:
            self.action_page(names[(names.index(self.current_mode) + 1) % len(names)])

    def open_console(self, token: m.Token, catalog: str) -> None:
        self.token_in_use(token)
        self._open_console(token, catalog)

    # -- tokens that come to their end

    def on_mount(self) -> None:
        self.set_interval(TOKENS_SECONDS, self._warn_of_tokens)
        self.set_interval(ASKED_EVERY, self._ask_pace)

    def token_in_use(self, token: m.Token) -> None:
        self.tokens.use(token)

    def _warn_of_tokens(self) -> None:
        """Wherever the person is. The console speaks for its own, since a transaction may hang on it."""
        if self.link is None:
            return
        now = self.services.now()
        console = self.opened_page("console")
        at_hand = console.at_hand if isinstance(console, ConsoleScreen) and console.connected else None
        for ending in self.tokens.due(now):
            token = ending.token
            if at_hand is not None and at_hand.token is not None and at_hand.token.id == token.id:
                continue
            which = _("The token for {database} as {account} ends in {time}.").format(
                database=token.database, account=token.account, time=left(token.expires_at, now)
            )
            if token.renewals_left:
                more = translate_many("{count} renewal left", "{count} renewals left", token.renewals_left)
                then = _("Ctrl+O renews it ({more}).").format(more=more.format(count=token.renewals_left))
            else:
                then = _("It cannot be renewed again: F3 there asks for a new one.")
            self.notify(visible(f"{which} {then}"), severity="warning", markup=False, timeout=TOKEN_WARNING_SECONDS)

    @work(group="renew", exclusive=True)
    async def action_renew_tokens(self) -> None:
        """Renews every token in use that ends soon; their sessions live on with them."""
        for ending in self.tokens.ending(self.services.now()):
            token = ending.token
            try:
                renewed = await self.bastion.call(methods.TOKEN_RENEW, methods.ById(id=token.id))
            except (Refused, LinkError) as error:
                self.told(f"{token.database}: {sentence(error)}", bad=True)
                continue
            self.token_in_use(renewed)
            self.told(
                _("The token for {database} as {account} is renewed: {time} left.").format(
                    database=renewed.database,
                    account=renewed.account,
                    time=left(renewed.expires_at, self.services.now()),
                )
            )

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
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEEP_SECONDS):
                await self.personal.flush()
        self.exit(0)

    def action_help_quit(self) -> None:
        """Ctrl+C where nothing is selected to be copied: as at a prompt it interrupts what runs. It never quits."""
        if isinstance(self.screen, ConsoleScreen) and self.screen.check_action("cancel", ()):
            self.screen.action_cancel()
            return
        quits = next((key_name(active.binding) for active in self.active_bindings.values()
                      if active.binding.action == "quit"), "^\\")  # fmt: skip
        self.told(
            _("Ctrl+C copies what is selected, and cancels the statement that runs. {key} quits.").format(key=quits)
        )

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

    # -- settings, and what follows from them

    def on_load(self) -> None:
        self.preferences.apply()

    @work(group="preferences", exclusive=True)
    async def _fetch_preferences(self) -> None:
        await self.preferences.fetch()

    @work(group="settings", exclusive=True)
    async def action_settings(self) -> None:
        if isinstance(self.screen, SettingsDialog):
            return
        before = language.current(), self.plain
        await self.push_screen_wait(SettingsDialog(CHOICES, self.preferences.value, self.preferences.change))
        if (language.current(), self.plain) != before:
            await self._new_pages()

    def action_keys(self) -> None:
        self.push_screen(KeysDialog(self.preferences.key_entries, self.preferences.rebind))

    @work(group="language", exclusive=True)
    async def language_changed(self) -> None:
        """Where no dialog is open; else the pages follow when it is closed."""
        if len(self.screen_stack) == 1:
            await self._new_pages()

    async def _new_pages(self) -> None:
        """The pages without work in them are made anew; what a console shows keeps its language until it changes."""
        here = self.current_mode
        for name in ("databases", "audit", "live"):
            if self.opened_page(name) is None:
                continue
            if name == here:
                await self.switch_mode("between")
            await self.remove_mode(name)
            self.add_mode(name, self.MODES[name])
            if name == here:
                await self.switch_mode(name)
        for stack in self._screen_stacks.values():
            for screen in stack:
                if isinstance(screen, LoginScreen):
                    await screen.recompose()
                screen.refresh(layout=True)
                screen.query("*").refresh()
                screen.refresh_bindings()
                if isinstance(screen, ConsoleScreen):
                    screen.language_changed()

    def action_help(self) -> None:
        if isinstance(self.screen, HelpDialog):
            self.screen.dismiss(None)
            return
        self.push_screen(HelpDialog(help_groups(self, self.screen)))

    # -- the link

    async def _ask_pace(self) -> None:
        link = self.link
        if link is None:
            return
        try:
            self.pace.bastion_takes(await link.round_trip())
        except (LinkError, Refused) as error:
            log.info("no round trip: %s", error)
