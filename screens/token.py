"""The dialog of one O&M token: ask for it, see it run down, copy it and its ready-made lines, renew it, revoke it."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Button, Label, Static

from backends.connection import has_console
from backends.link import LinkError
from backends.visible_text import visible, visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.language import translate_many
from bastion.api.refusals import Refused

from .widgets.confirmation import Confirmation
from .widgets.inputs import LineInput
from .words import countdown, mark, moment, parse_period, sentence
from .workstation import Dialog

SOON_SECONDS = 600


class TokenDialog(Dialog[m.Token | None]):
    """Gives the token when its console is to be opened, else None."""

    DEFAULT_CSS = """
    TokenDialog { align: center middle; }
    TokenDialog > Vertical { width: 110; max-width: 98%; height: auto; max-height: 98%; padding: 1 2; background: $surface; border: round $accent; }
    TokenDialog #title { text-style: bold; height: 1; }
    TokenDialog #body { height: auto; max-height: 1fr; }
    TokenDialog Label { margin-top: 1; color: $muted; }
    TokenDialog .value { height: auto; }
    TokenDialog #countdown { text-style: bold; color: $ok; height: 1; }
    TokenDialog #countdown.soon { color: $warning; }
    TokenDialog #countdown.over { color: $danger; }
    TokenDialog Button { margin-top: 1; }
    TokenDialog #state { height: auto; color: $danger; }
    TokenDialog #keys { margin-top: 1; height: auto; color: $muted; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy('token')", mark("Copy the token")),
        Binding("s", "copy('ssh')", mark("Copy the ssh line")),
        Binding("l", "copy('client')", mark("Copy the client line")),
        Binding("o", "open", mark("Open console")),
        Binding("r", "renew", mark("Renew")),
        Binding("x", "revoke", mark("Revoke")),
        Binding("escape", "leave", mark("Close")),
    ]

    def __init__(self, database: str, account: m.Account, token_id: str | None, *, then_open: bool = False) -> None:
        super().__init__()
        self._database, self._account = database, account
        self._token_id = token_id
        self._then_open = then_open
        self._token: m.Token | None = None

    def compose(self) -> ComposeResult:
        account = self._account.name if self._account.name != "*" else _("any")
        with Vertical():
            yield Static(
                Text(
                    visible_line(
                        _("O&M token: {database} as {account}").format(database=self._database, account=account)
                    )
                ),
                id="title",
            )
            yield VerticalScroll(id="body", can_focus=False)
            yield Static("", id="state", markup=False)
            yield Static("", id="keys", markup=False)

    async def on_mount(self) -> None:
        if self._token_id is None:
            await self._show_form()
        else:
            self._fetch(self._token_id)
        self.set_interval(1.0, self._tick)

    # -- asking

    async def _show_form(self) -> None:
        body = self.query_one("#body", VerticalScroll)
        await body.remove_children()
        fields: list[Label | LineInput | Button] = [
            Label(Text(_("Reason"))),
            LineInput(placeholder=_("what for: a ticket, an incident"), id="reason"),
            Label(Text(_("Period"))),
            LineInput(placeholder=_("like 30m, 2h, 1d; empty: the usual one"), id="period"),
        ]
        if not self._account.hosted:
            fields += [
                Label(Text(_("The bastion does not have this account's password. User name"))),
                LineInput("" if self._account.name == "*" else self._account.name, id="login"),
                Label(Text(_("Password"))),
                LineInput(password=True, id="password"),
            ]
        fields.append(Button(Text(_("Request the token")), variant="primary", id="request", compact=True))
        await body.mount_all(fields)
        self.query_one("#reason", LineInput).focus()
        self._show_keys()

    def on_input_submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        self._ask()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self._ask()

    def _value(self, id: str) -> str:
        found = self.query(f"#{id}").results(LineInput)
        return next((field.value for field in found), "")

    @work(exclusive=True, group="token")
    async def _ask(self) -> None:
        try:
            period = parse_period(self._value("period"))
        except ValueError as error:
            self._say(str(error))
            return
        request = methods.TokenRequest(
            database=self._database,
            account=self._account.name,
            period=period,
            reason=self._value("reason"),
            login=self._value("login") or None,
            password=self._value("password") or None,
        )
        try:
            token = await self.workstation.bastion.call(methods.TOKEN_REQUEST, request)
        except (Refused, LinkError) as error:
            self._say(sentence(error))
            return
        if self._then_open:
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
        self._token = token
        self._say("")
        body = self.query_one("#body", VerticalScroll)
        await body.remove_children()
        address = visible_line(f"{token.host}:{token.port}")
        through = visible_line(f"{token.user}@{token.bastion.host}:{token.bastion.port}")
        await body.mount_all(
            [
                Static("", id="countdown", markup=False),
                Label(Text(_("Token (the SSH password of the tunnel)"))),
                Static(Text(visible_line(token.token), style="bold"), classes="value"),
                Label(Text(_("Opens {address} through {bastion}").format(address=address, bastion=through))),
                Static(Text(visible(token.lines.ssh), overflow="fold"), classes="value"),
                Label(Text(_("Then the client"))),
                Static(Text(visible(token.lines.client), overflow="fold"), classes="value"),
            ]
        )
        self.set_focus(None)
        self._tick()
        self._show_keys()
        self.refresh_bindings()

    def _tick(self) -> None:
        if self._token is None or not self.query("#countdown"):
            return
        now = self.workstation.services.now()
        shown = self.query_one("#countdown", Static)
        rest = (moment(self._token.expires_at) - now).total_seconds()
        shown.set_class(rest < SOON_SECONDS, "soon")
        shown.set_class(rest <= 0, "over")
        text = (
            _("{time} left").format(time=countdown(self._token.expires_at, now))
            if rest > 0
            else _("The token has ended.")
        )
        renewals = self._token.renewals_left
        more = translate_many("{count} renewal left", "{count} renewals left", renewals).format(count=renewals)
        shown.update(Text(f"{text} · {more}"))

    def _show_keys(self) -> None:
        keys = Text()
        width, room = 0, min(self.size.width * 98 // 100, 110) - 6
        for _node, binding, enabled, _tip in self.active_bindings.values():
            if not binding.show or not enabled or binding.action.startswith("app."):
                continue
            piece = Text.assemble((self.app.get_key_display(binding), "bold"), f" {_(binding.description)}   ")
            if width + piece.cell_len > room:
                keys.append("\n")
                width = 0
            width += piece.cell_len
            keys.append_text(piece)
        self.query_one("#keys", Static).update(keys)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("copy", "renew", "revoke", "open"):
            token = self._token
            if token is None:
                return False
            if action == "open":
                return has_console(token.engine)
            if action == "renew":
                return token.renewals_left > 0
        return True

    # -- acting

    def action_copy(self, what: str) -> None:
        token = self._token
        if token is None:
            return
        text, name = {
            "token": (token.token, _("the token")),
            "ssh": (token.lines.ssh, _("the ssh line")),
            "client": (token.lines.client, _("the client line")),
        }[what]
        self.workstation.copy(text, name)

    def action_open(self) -> None:
        self.dismiss(self._token)

    def action_leave(self) -> None:
        self.dismiss(None)

    @work(exclusive=True, group="token")
    async def action_renew(self) -> None:
        if self._token is None:
            return
        try:
            token = await self.workstation.bastion.call(methods.TOKEN_RENEW, methods.ById(id=self._token.id))
        except (Refused, LinkError) as error:
            self._say(sentence(error))
            return
        await self._show_token(token)

    @work(exclusive=True, group="token")
    async def action_revoke(self) -> None:
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

    def _say(self, text: str) -> None:
        self.query_one("#state", Static).update(Text(visible(text)))
