"""Why a database cannot be worked with: every stage with how it stands, and what to do about it."""

from __future__ import annotations

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from backends.connection import EngineNotSupported, has_console
from backends.interface import DatabaseError
from backends.link import LinkError
from backends.visible_text import visible, visible_line
from bastion.api import explanations, methods
from bastion.api import messages as m
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .words import mark, sentence
from .workstation import Dialog

SIGNS = {"ok": ("✓", "ok"), "no": ("✗", "danger"), "note": ("·", "warning")}


class WhyDialog(Dialog[None]):
    """Judges at once, then tries to reach the database. With a live token of an engine that has a console, the login
    can be tried too, on `catalog`."""

    DEFAULT_CSS = """
    WhyDialog { align: center middle; }
    WhyDialog > Vertical { width: 100; max-width: 98%; height: auto; max-height: 96%; }
    WhyDialog #title { height: 1; margin-bottom: 1; }
    WhyDialog #body { height: auto; max-height: 1fr; }
    WhyDialog #checks { height: auto; }
    WhyDialog #outcome { height: auto; margin: 1 0; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f9", "log_in", mark("Try the login")),
        Binding("f5", "again", mark("Check again")),
        Binding("c", "copy", mark("Copy this")),
        Binding("escape,q", "leave", mark("Close"), key_display="Esc"),
    ]

    def __init__(
        self,
        database: str,
        account: str | None = None,
        *,
        engine: str = "",
        token: str | None = None,
        catalog: str = "",
    ) -> None:
        super().__init__()
        self._database, self._account = database, account
        self._engine, self._token_id, self._catalog = engine, token, catalog
        self._checks: list[m.Check] = []
        self._stage = ""
        self._done = False

    def compose(self) -> ComposeResult:
        with Vertical():
            account = "" if self._account is None else self._account if self._account != "*" else _("any")
            title = (
                _("{database} as {account}: what is in the way?").format(database=self._database, account=account)
                if account
                else _("{database}: what is in the way?").format(database=self._database)
            )
            yield Static(Text(visible_line(title)), classes="title", id="title")
            with VerticalScroll(id="body"):
                yield Static("", id="checks", markup=False)
            yield Static("", id="outcome", markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._check()

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_again(self) -> None:
        """Judges and tries everything once more."""
        self._check()

    @work(exclusive=True, group="why")
    async def _check(self) -> None:
        self._checks, self._done = [], False
        self._say(_("Asking the bastion …"))
        try:
            judged = await self._explained(dial=False)
            self._checks = judged.checks
            if any(check.stage == "limit" for check in judged.checks):  # it may be tried
                self._say(_("The bastion tries to reach the database …"))
                self._checks = (await self._explained(dial=True)).checks
        except (Refused, LinkError) as error:
            self._say(sentence(error), bad=True)
            return
        self._finish()

    async def _explained(self, *, dial: bool) -> m.Explanation:
        request = methods.ExplainRequest(database=self._database, account=self._account, dial=dial)
        found: m.Explanation = await self.workstation.bastion.call(methods.EXPLAIN, request)
        return found

    @work(exclusive=True, group="why")
    async def action_log_in(self) -> None:
        """A session as the console opens one, closed at once; it is on record as any other."""
        if self._token_id is None:
            return
        self._checks = [check for check in self._checks if check.stage != "login"]
        self._done = False
        self._say(_("Logging in to the database …"))
        workstation = self.workstation
        try:
            shown = await workstation.bastion.call(methods.TOKEN_SHOW, methods.ById(id=self._token_id))
            if not shown.hosted:
                self._checks.append(m.Check(stage="login", state="note", code="login-own-password"))
                self._finish()
                return
            console = await workstation.services.open_console(workstation.bastion, shown, self._catalog)
            version = f"{console.engine} {console.facts.version}"
            self._checks.append(m.Check(stage="login", state="ok", code="login-worked", params={"version": version}))
            await console.close()
        except (Refused, LinkError, DatabaseError, EngineNotSupported) as error:
            said = {"detail": sentence(error)}
            self._checks.append(m.Check(stage="login", state="no", code="login-failed-there", params=said))
        self._finish()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "log_in":
            return (
                self._done
                and self._token_id is not None
                and has_console(self._engine)
                and all(check.state != "no" for check in self._checks if check.stage != "login")
            )
        if action in ("again", "copy"):
            return self._done
        return True

    def action_copy(self) -> None:
        """What is shown, for whoever is asked about it."""
        self.workstation.copy(self._report(), _("the findings"))

    def _finish(self) -> None:
        self._done = True
        wrong = [check for check in self._checks if check.state == "no"]
        if wrong:
            words = _("In the way: {stage}.").format(stage=", ".join(explanations.stage(check) for check in wrong))
            self._say(words, bad=True)
        elif self._token_id is None and self._account is not None:
            self._say(_("Nothing is in the way; you need a token: Esc, then F3."))
        elif self.check_action("log_in", ()):
            if any(check.stage == "login" for check in self._checks):
                self._say(_("Nothing is in the way."))
            else:
                self._say(_("Nothing is in the way so far. F9 tries the login too."))
        else:
            self._say(_("Nothing that the bastion can see is in the way."))

    def _say(self, text: str, *, bad: bool = False) -> None:
        self.query_one("#checks", Static).update(self._table())
        self.query_one("#outcome", Static).update(Text(visible_line(text), style="danger" if bad else "bold"))
        self.refresh_bindings()

    def _table(self) -> Table:
        """Each check on a line; what is too long goes on below its own beginning."""
        table = Table.grid(padding=(0, 1, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, style="muted")
        table.add_column(ratio=1, overflow="fold")
        for check in self._checks:
            sign, style = SIGNS.get(check.state, ("?", "warning"))
            said = Text(visible(explanations.text(check)), style="" if check.state == "ok" else "bold")
            table.add_row(Text(sign, style=style), Text(explanations.stage(check)), said)
            if step := explanations.next_step(check):
                table.add_row("", "", Text(f"→ {visible_line(step)}", style="accent"))
        return table

    def _report(self) -> str:
        """The same as lines of text."""
        lines: list[str] = []
        for check in self._checks:
            sign = SIGNS.get(check.state, ("?", ""))[0]
            lines.append(f"{sign} {explanations.stage(check)}: {explanations.text(check)}")
            if step := explanations.next_step(check):
                lines.append(f"  → {step}")
        return "\n".join(lines)
