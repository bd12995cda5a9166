"""The dialog of one O&M token: ask for it, see it run down, copy any of it for any client, renew it, revoke it."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Button, Label, OptionList, Static
from textual.widgets.option_list import Option

from backends.connection import has_console
from backends.link import LinkError
from backends.visible_text import visible, visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.language import translate_many
from bastion.api.refusals import Refused

from .secret_text import with_secrets
from .token_settings import TABS, Setting, settings_for
from .widgets.confirmation import Confirmation
from .widgets.inputs import LineInput
from .words import countdown, duration_left, mark, moment, parse_period, period_words, sentence
from .workstation import Dialog

SOON_SECONDS = 600
SECONDS_SHOWN = 3600
"""Below this the countdown shows seconds; above it, where they would only cost a slow link, minutes."""
MASK = "*" * 12
LONGEST_REASON = 500


class TokenDialog(Dialog[m.Token | None]):
    """Gives the token when its console is to be opened, else None. `tab` of TABS is shown first."""

    DEFAULT_CSS = """
    TokenDialog { align: center middle; }
    TokenDialog > Vertical { width: 110; max-width: 98%; height: auto; max-height: 98%; }
    TokenDialog #title { height: 1; }
    TokenDialog #countdown { height: auto; }
    TokenDialog #tabs { height: auto; margin: 1 0; }
    TokenDialog #form { height: auto; max-height: 1fr; }
    TokenDialog OptionList, TokenDialog OptionList:focus {
        height: auto; max-height: 1fr; border: none; background: $surface; padding: 0;
    }
    TokenDialog Label { margin-top: 1; color: $muted; }
    TokenDialog Button { margin-top: 1; }
    TokenDialog #state { height: auto; color: $danger; }
    TokenDialog.asks #tabs, TokenDialog.asks OptionList, TokenDialog.asks #countdown { display: none; }
    TokenDialog.shows #form { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c,enter", "copy_field", mark("Copy")),
        Binding("v", "reveal", mark("Show the token")),
        Binding("right", "next_tab(1)", mark("Next tab"), key_display="→"),
        Binding("left", "next_tab(-1)", mark("Tab before"), key_display="←", show=False),
        Binding("s", "copy('ssh')", mark("Copy the ssh line"), show=False),
        Binding("l", "copy('client')", mark("Copy the client line"), show=False),
        Binding("o", "open", mark("Console")),
        Binding("r", "renew", mark("Renew")),
        Binding("plus", "new", mark("New token")),
        Binding("x", "revoke", mark("Revoke")),
        Binding("escape", "leave", mark("Close")),
    ]

    def __init__(
        self,
        database: str,
        account: m.Account,
        token_id: str | None,
        *,
        then_open: bool = False,
        tab: str = "token",
    ) -> None:
        super().__init__()
        self._database, self._account = database, account
        self._token_id = token_id
        self._then_open = then_open
        self._tab = tab
        self._token: m.Token | None = None
        self._settings: list[Setting] = []
        self._revealed = False
        self._replaces = False

    def compose(self) -> ComposeResult:
        account = self._account.name if self._account.name != "*" else _("any")
        title = _("O&M token: {database} as {account}").format(database=self._database, account=account)
        with Vertical():
            yield Static(Text(visible_line(title)), classes="title", id="title")
            yield Static("", id="countdown", markup=False)
            yield Static("", id="tabs", markup=False)
            yield VerticalScroll(id="form", can_focus=False)
            yield OptionList(markup=False, id="fields")
            yield Static("", id="state", markup=False)

    async def on_mount(self) -> None:
        if self._token_id is None:
            await self._show_form()
        else:
            self.set_class(True, "shows")
            self._fetch(self._token_id)
        self.set_interval(1.0, self._tick)

    # -- asking

    async def _show_form(self) -> None:
        form = self.query_one("#form", VerticalScroll)
        await form.remove_children()
        fields: list[Label | LineInput | Button] = []
        if not self._account.hosted:
            fields += [
                Label(Text(_("The bastion does not have this account's password. User name"))),
                LineInput("" if self._account.name == "*" else self._account.name, id="login"),
                Label(Text(_("Password"))),
                LineInput(placeholder=self._password_hint(), password=True, id="password"),
            ]
        reason = LineInput(placeholder=_("what for: a ticket, an incident"), id="reason")
        reason.max_length = LONGEST_REASON
        fields += [
            Label(Text(_("Reason"))),
            reason,
            Label(Text(_("Period"))),
            LineInput(placeholder=self._period_hint(), id="period"),
            Button(Text(_("Request the token")), variant="primary", id="request", compact=True),
        ]
        self.set_class(True, "asks")
        self.set_class(False, "shows")
        await form.mount_all(fields)
        form.query(LineInput).first().focus()
        self.refresh_bindings()

    def _period_hint(self) -> str:
        hello = self.workstation.bastion.hello
        if not hello.token_validity or not hello.token_longest:
            return _("like 30m, 2h, 1d; empty: the usual one")
        return _("like 30m, 2h, 1d; empty: {usual}; at most {longest}").format(
            usual=period_words(hello.token_validity), longest=period_words(hello.token_longest)
        )

    def _password_hint(self) -> str:
        return "" if self._then_open else _("empty: your client is asked for it")

    def on_input_submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        self._ask()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self._ask()

    @on(LineInput.Changed, "#period")
    def _period_typed(self, event: LineInput.Changed) -> None:
        try:
            parse_period(event.value)
        except ValueError:
            return  # not finished, perhaps: it is said when it is sent
        self._say("")

    def _value(self, id: str) -> str:
        return next((field.value for field in self.query(f"#{id}").results(LineInput)), "")

    def _complaint(self) -> tuple[str, str] | None:
        """The field that is not in order, and what is wrong with it."""
        if not self._account.hosted:
            if not self._value("login").strip():
                return "login", _("Say as whom to log in to the database.")
            if self._then_open and not self._value("password"):
                return "password", _("The console needs the account's password.")
        try:
            period = parse_period(self._value("period"))
        except ValueError as error:
            return "period", str(error)
        if period is not None and period < 60:
            return "period", _("A token lives one minute at least.")
        return None

    @work(exclusive=True, group="token")
    async def _ask(self) -> None:
        complaint = self._complaint()
        if complaint is not None:
            self.query_one(f"#{complaint[0]}", LineInput).focus()
            self._say(complaint[1])
            return
        request = methods.TokenRequest(
            database=self._database,
            account=self._account.name,
            period=parse_period(self._value("period")),
            reason=self._value("reason").strip(),
            new=self._replaces,
            login=self._value("login").strip() or None,
            password=self._value("password") or None,
        )
        self._say(_("Asking the bastion …"), bad=False)
        try:
            token = await self.workstation.bastion.call(methods.TOKEN_REQUEST, request)
        except (Refused, LinkError) as error:
            self._say(sentence(error))
            if isinstance(error, Refused) and error.code.startswith("period-"):
                self.query_one("#period", LineInput).focus()
            return
        self._replaces = False
        if self._then_open:
            self.workstation.token_in_use(token)
            self.dismiss(token)
            return
        await self._show_token(token)

    # -- showing

    @work(exclusive=True, group="token")
    async def _fetch(self, id: str) -> None:
        try:
            token = await self.workstation.bastion.call(methods.TOKEN_SHOW, methods.ById(id=id))
        except (Refused, LinkError) as error:
            self._say(sentence(error))
            await self._show_form()
            return
        await self._show_token(token)

    async def _show_token(self, token: m.Token) -> None:
        self._token, self._token_id = token, token.id
        self.workstation.token_in_use(token)
        self._say("")
        await self.query_one("#form", VerticalScroll).remove_children()
        self.set_class(False, "asks")
        self.set_class(True, "shows")
        self._show_tab()
        self.query_one(OptionList).focus()
        self._tick()
        self.refresh_bindings()

    def _show_tab(self) -> None:
        token = self._token
        if token is None:
            return
        tabs = Text()
        for name, words in TABS.items():
            tabs.append(f" {_(words)} ", style="selection" if name == self._tab else "muted")
            tabs.append(" ")
        tabs.append(" ← →", style="accent")
        self.query_one("#tabs", Static).update(tabs)
        self._settings = settings_for(self._tab, token)
        fields = self.query_one(OptionList)
        place = fields.highlighted or 0
        fields.clear_options()
        widest = max(Text(setting.label).cell_len for setting in self._settings)
        fields.add_options([Option(self._field(setting, widest)) for setting in self._settings])
        fields.highlighted = min(place, len(self._settings) - 1)

    def _field(self, setting: Setting, widest: int) -> Table:
        """One field; a long value goes on below its own beginning."""
        row = Table.grid(padding=(0, 2, 0, 0), expand=True)
        row.add_column(width=widest, no_wrap=True)
        row.add_column(ratio=1, overflow="fold")
        value = with_secrets(MASK if setting.secret and not self._revealed else visible(setting.value))
        if not setting.value:
            value = Text(_("(empty)"))
        if setting.note:
            value.append(f"  {setting.note}", style="italic")
        row.add_row(Text(setting.label), value)
        return row

    def action_next_tab(self, step: int) -> None:
        """The tab beside this one."""
        if self._token is None:
            return
        names = list(TABS)
        self._tab = names[(names.index(self._tab) + step) % len(names)]
        self.query_one(OptionList).highlighted = 0
        self._show_tab()

    def action_reveal(self) -> None:
        """Shows the token's text, or hides it again."""
        self._revealed = not self._revealed
        self._show_tab()

    def _tick(self) -> None:
        token = self._token
        if token is None or not self.is_mounted:
            return
        now = self.workstation.services.now()
        rest = (moment(token.expires_at) - now).total_seconds()
        until = moment(token.expires_at)
        shown = until.astimezone() if self.workstation.services.local_time else until
        text = Text()
        if rest <= 0:
            text.append(_("The token has ended. + asks for a new one."), style="danger")
        else:
            time = countdown(token.expires_at, now) if rest < SECONDS_SHOWN else duration_left(timedelta(seconds=rest))
            soon = rest < SOON_SECONDS
            words = _("{time} left: it ends soon") if soon else _("{time} left")
            text.append(words.format(time=time), style="warning" if soon else "ok")
            ends = _("until {until}").format(until=shown.strftime("%Y-%m-%d %H:%M"))
            text.append(f" · {ends}")
            more = translate_many("{count} renewal left", "{count} renewals left", token.renewals_left)
            text.append(f" · {more.format(count=token.renewals_left)}")
        place = self.query_one("#countdown", Static)
        if place.content != text:  # a line that is drawn again costs a slow link as much as a new one
            place.update(text)
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("copy", "copy_field", "reveal", "next_tab", "renew", "revoke", "open", "new"):
            token = self._token
            if token is None or self.has_class("asks"):
                return False
            over = moment(token.expires_at) <= self.workstation.services.now()
            if action == "open":
                return has_console(token.engine) and not over
            if action == "renew":
                return token.renewals_left > 0 and not over
            if action == "revoke":
                return not over
            if action == "new":
                return over or token.renewals_left == 0
        return True

    # -- acting

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_copy_field()

    def action_copy_field(self) -> None:
        """Copies the field that the cursor is on."""
        place = self.query_one(OptionList).highlighted
        if self._token is None or place is None or place >= len(self._settings):
            return
        setting = self._settings[place]
        if not setting.value:
            self.workstation.told(_("There is nothing to copy: {field} stays empty.").format(field=setting.label))
            return
        self.workstation.copy(setting.value, _("the token") if setting.secret else setting.label)

    def action_copy(self, what: str) -> None:
        """Copies one of the two lines, whichever tab is shown."""
        token = self._token
        if token is None:
            return
        text, name = {
            "ssh": (token.lines.ssh, _("the ssh line")),
            "client": (token.lines.client, _("the client line")),
        }[what]
        self.workstation.copy(text, name)

    def action_open(self) -> None:
        """The console."""
        self.dismiss(self._token)

    def action_leave(self) -> None:
        self.dismiss(None)

    @work(exclusive=True, group="token")
    async def action_renew(self) -> None:
        """Lets it live longer; sessions that are open live with it."""
        if self._token is None:
            return
        try:
            token = await self.workstation.bastion.call(methods.TOKEN_RENEW, methods.ById(id=self._token.id))
        except (Refused, LinkError) as error:
            self._say(sentence(error))
            return
        await self._show_token(token)

    @work(exclusive=True, group="token")
    async def action_new(self) -> None:
        """Asks for another one in its place."""
        token = self._token
        if token is None:
            return
        if moment(token.expires_at) > self.workstation.services.now():
            sure = await self.app.push_screen_wait(
                Confirmation(
                    _("Replace the token?"),
                    _("The one that is live ends, and whatever uses it is cut off."),
                    _("Replace"),
                    _("Keep"),
                )
            )
            if not sure:
                return
            self._replaces = True
        await self._show_form()

    @work(exclusive=True, group="token")
    async def action_revoke(self) -> None:
        """Ends it, after asking."""
        token = self._token
        if token is None:
            return
        sure = await self.app.push_screen_wait(
            Confirmation(
                _("Revoke the token?"),
                _("Whatever uses it is cut off, and a new one has to be requested."),
                _("Revoke"),
                _("Keep"),
            )
        )
        if not sure:
            return
        try:
            await self.workstation.bastion.call(methods.TOKEN_REVOKE, methods.ById(id=token.id))
        except (Refused, LinkError) as error:
            self._say(sentence(error))
            return
        self.workstation.told(_("The token is revoked."))
        self.dismiss(None)

    def _say(self, text: str, *, bad: bool = True) -> None:
        style = "danger" if bad else "muted"
        self.query_one("#state", Static).update(Text(visible(text), style=style if text else ""))
