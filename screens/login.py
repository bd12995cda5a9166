"""The login: where, as whom, and with what. A new host key is shown and asked about; a changed one is refused."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Button, Checkbox, Label, Static

from backends.host_keys import OfferedKey
from backends.link import Credentials, HostKeyChanged, HostKeyUnknown, LinkError, LoginRefused, Target
from backends.visible_text import visible, visible_line
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .widgets.confirmation import Confirmation
from .widgets.frame import KeyLine
from .widgets.inputs import LineInput
from .words import mark, sentence
from .workstation import Page


class LoginScreen(Page):
    """Shown until somebody is logged in, and again when the connection was lost."""

    DEFAULT_CSS = """
    LoginScreen { align: center middle; }
    LoginScreen > Vertical { width: 70; max-width: 96%; height: auto; padding: 1 3; background: $surface; border: round $accent; }
    LoginScreen #name { text-style: bold; color: $accent; }
    LoginScreen #about { color: $muted; margin-bottom: 1; }
    LoginScreen Label { margin-top: 1; color: $muted; }
    LoginScreen Checkbox { margin-top: 1; background: transparent; border: none; padding: 0; }
    LoginScreen Button { margin-top: 1; width: 100%; }
    LoginScreen #state { margin-top: 1; height: auto; max-height: 7; }
    LoginScreen #state.bad { color: $danger; }
    LoginScreen.short Label { margin-top: 0; }
    LoginScreen.short > Vertical { padding: 0 3; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j,f5", "log_in", mark("Log in")),
    ]

    def __init__(self, message: str = "") -> None:
        super().__init__()
        self._message = message
        self._busy = False

    def compose(self) -> ComposeResult:
        start = self.workstation.start
        with Vertical():
            yield Static("casemate", id="name", markup=False)
            yield Static(Text(_("The one door to the databases.")), id="about")
            yield Label(Text(_("Bastion")))
            yield LineInput(start.target, "alice@bastion.example.com:60022", id="target")
            yield Label(Text(_("Password, or passphrase of the key file")))
            yield LineInput(start.password or "", password=True, id="password")
            yield Label(Text(_("Key file (leave empty for your usual keys)")))
            yield LineInput(str(start.identity or ""), "~/.ssh/id_ed25519", id="identity")
            yield Checkbox(Text(_("Use the SSH agent")), True, id="agent", compact=True)
            yield Button(Text(_("Log in")), variant="primary", id="log-in", compact=True)
            yield Static(Text(visible(self._message)), id="state")
        yield KeyLine()

    def on_mount(self) -> None:
        start = self.workstation.start
        self.set_class(self.size.height < 30, "short")
        if self._message:
            self._say(self._message, bad=True)
        field = "#password" if start.target else "#target"
        self.query_one(field, LineInput).focus()
        if start.target and not self._message and (start.password or start.identity):
            self.action_log_in()

    def on_resize(self) -> None:
        self.set_class(self.size.height < 30, "short")

    def on_input_submitted(self) -> None:
        self.action_log_in()

    def on_button_pressed(self) -> None:
        self.action_log_in()

    def action_log_in(self) -> None:
        """Tries what the fields say."""
        if self._busy:
            return
        try:
            target = Target.parse(self.query_one("#target", LineInput).value)
        except ValueError as error:
            self._say(_(str(error)), bad=True)
            self.query_one("#target", LineInput).focus()
            return
        password = self.query_one("#password", LineInput).value
        identity = self.query_one("#identity", LineInput).value.strip()
        credentials = Credentials(
            password=password or None,
            identity=Path(identity).expanduser() if identity else None,
            agent=self.query_one("#agent", Checkbox).value,
        )
        self._busy = True
        self._say(_("Connecting to {target} …").format(target=visible_line(str(target))))
        self._log_in(target, credentials)

    @work(exclusive=True, group="login")
    async def _log_in(self, target: Target, credentials: Credentials) -> None:
        services = self.workstation.services
        try:
            while True:
                try:
                    link = await services.log_in(target, credentials, services.host_keys)
                    break
                except HostKeyUnknown as unknown:
                    if not await self._trusts(unknown.key):
                        self._say(_("Nothing was sent: the host key was not accepted."), bad=True)
                        return
                    self._remember(unknown.key)
        except HostKeyChanged as error:
            self._say(sentence(error), bad=True)
            return
        except (LinkError, Refused) as error:
            self._say(sentence(error), bad=True)
            if isinstance(error, LoginRefused):
                password = self.query_one("#password", LineInput)
                password.value = ""
                password.focus()
            return
        finally:
            self._busy = False
        self.query_one("#password", LineInput).value = ""
        self._say("")
        self.workstation.logged_in(link)

    async def _trusts(self, key: OfferedKey) -> bool:
        if self.workstation.start.trust_new:
            return True
        trusted: bool = await self.app.push_screen_wait(
            Confirmation(
                _("A bastion that is not known yet"),
                _(
                    "{host}:{port} shows this host key:\n\n  {algorithm}\n  {fingerprint}\n\n"
                    "Compare it with the one your administrator gave you. If it is another one, somebody may be "
                    "between you and the bastion. Trust it from now on?"
                ).format(
                    host=visible_line(key.host),
                    port=key.port,
                    algorithm=key.algorithm,
                    fingerprint=key.fingerprint,
                ),
                _("Trust it"),
                _("Do not connect"),
            )
        )
        return trusted

    def _remember(self, key: OfferedKey) -> None:
        keys = self.workstation.services.host_keys
        keys.accepted.add(key.line)
        try:
            keys.remember(key)
        except OSError as error:
            self.workstation.told(
                _("The key is trusted for now but could not be kept in {file}: {detail}").format(
                    file=keys.files[0], detail=error.strerror
                ),
                bad=True,
            )

    def _say(self, text: str, *, bad: bool = False) -> None:
        state = self.query_one("#state", Static)
        state.set_class(bad, "bad")
        state.update(Text(visible(("✗ " if bad else "") + text)))
