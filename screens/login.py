"""The login: where, as whom, and with what. A new host key is shown and asked about; a changed one is refused."""

from __future__ import annotations

from asyncio import sleep
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Button, Checkbox, Label, Static

from backends.host_keys import OfferedKey
from backends.link import Credentials, HostKeyChanged, HostKeyUnknown, LinkError, LoginRefused, Target, Unreachable
from backends.visible_text import visible, visible_line
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .choice import ChoiceDialog
from .widgets.confirmation import Confirmation
from .widgets.frame import KeyLine
from .widgets.inputs import LineInput
from .words import mark, sentence
from .workstation import Page

AGAIN_SECONDS = (1, 2, 4, 8, 15, 30, 30, 30, 60, 60, 60, 60, 60, 60, 60)
"""Waits between tries to connect again by itself."""


class TargetInput(LineInput):
    """The bastion; up and down go through those that were used before."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "step(1)", show=False),
        Binding("up", "step(-1)", show=False),
    ]

    class Stepped(Message):
        """To the one before (-1) or after."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def action_step(self, step: int) -> None:
        self.post_message(self.Stepped(step))


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
    LoginScreen #recent { color: $muted; display: none; }
    LoginScreen.known #recent { display: block; }
    LoginScreen #state { margin-top: 1; height: auto; max-height: 7; }
    LoginScreen #state.bad { color: $danger; }
    LoginScreen.short Label { margin-top: 0; }
    LoginScreen.short > Vertical { padding: 0 3; }
    """  # noqa: E501

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j,f5", "log_in", mark("Log in")),
        Binding("f6", "recent", mark("Recent bastions")),
    ]

    def __init__(self, message: str = "", *, lost: str = "") -> None:
        """`message`: why the connection was lost, `lost`: what with it."""
        super().__init__()
        self._message, self._lost = message, lost
        self._busy = False
        self._recent: list[str] = []

    def compose(self) -> ComposeResult:
        start = self.workstation.start
        with Vertical():
            yield Static("casemate", id="name", markup=False)
            yield Static(Text(_("The one door to the databases.")), id="about")
            yield Label(Text(_("Bastion")))
            yield TargetInput(start.target, "alice@bastion.example.com:60022", id="target")
            yield Static("", id="recent", markup=False)
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
        self._recent = self.workstation.services.recent_bastions.names()
        others = [name for name in self._recent if name != start.target]
        self.set_class(bool(others), "known")
        hint = _("↓ or F6: those that you used before ({count})").format(count=len(others))
        self.query_one("#recent", Static).update(Text(hint))
        if self._message:
            self._say("\n".join(filter(None, (self._message, self._lost))), bad=True)
        field = "#password" if start.target else "#target"
        self.query_one(field, LineInput).focus()
        if start.target and not self._message and (start.password or start.identity):
            self.action_log_in()
        elif self._message and self.workstation.again is not None and start.target:
            self._connect_again(Target.parse(start.target), self.workstation.again)

    def on_resize(self) -> None:
        self.set_class(self.size.height < 30, "short")

    def on_input_submitted(self) -> None:
        self.action_log_in()

    def on_button_pressed(self) -> None:
        self.action_log_in()

    @on(TargetInput.Stepped)
    def _stepped(self, event: TargetInput.Stepped) -> None:
        """Through the bastions that were used before, as through a shell's history."""
        if not self._recent:
            return
        shown = self.query_one("#target", LineInput)
        place = self._recent.index(shown.value) if shown.value in self._recent else -1
        place = min(max(place + event.step, 0), len(self._recent) - 1)
        shown.value = self._recent[place]
        shown.cursor_position = len(shown.value)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self._recent) if action == "recent" else True

    @work(exclusive=True, group="recent")
    async def action_recent(self) -> None:
        """Chooses one of those that were used before."""
        chosen = await self.app.push_screen_wait(ChoiceDialog(_("Recent bastions"), self._recent))
        if chosen is not None:
            self.query_one("#target", LineInput).value = chosen
            self.query_one("#password", LineInput).focus()

    @work(exclusive=True, group="login")
    async def _connect_again(self, target: Target, credentials: Credentials) -> None:
        """Tries by itself, with the keys of the last login, for some minutes; whatever the person does ends it."""
        said = "\n".join(filter(None, (self._message, self._lost)))
        services = self.workstation.services
        for number, wait in enumerate(AGAIN_SECONDS, 1):
            self._say(f"{said}\n" + _("Connecting again, try {number} …").format(number=number))
            try:
                link = await services.log_in(target, credentials, services.host_keys)
            except Unreachable:
                self._say(
                    f"{said}\n" + _("Not reached. The next try is in {seconds} s; F5 tries now.").format(seconds=wait)
                )
                await sleep(wait)
            except (LinkError, Refused) as error:
                self._say(f"{said}\n{sentence(error)}", bad=True)
                return
            else:
                self.workstation.logged_in(link)
                return
        self._say(f"{said}\n" + _("Not reached. F5 tries again."), bad=True)

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
        # Kept for connecting again by itself; a passphrase or a password is not.
        self.workstation.again = None if credentials.password else credentials
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
            words = sentence(error)
            if isinstance(error, LoginRefused) and credentials.password is None:
                words += "\n" + _("None of your keys was accepted: give the password.")
            self._say(words, bad=True)
            if isinstance(error, LoginRefused):
                password = self.query_one("#password", LineInput)
                password.value = ""
                password.focus()
            return
        finally:
            self._busy = False
        self.query_one("#password", LineInput).value = ""
        self._say("")
        services.recent_bastions.add(target)
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
