"""The line below the console: where one is, what a commit would do, how long the token lives, what happens now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rich.text import Text
from textual.widgets import Static

from backends.interface import TransactionState
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api.language import translate as _

from ..words import left

SEPARATOR = " │ "


@dataclass(frozen=True)
class Status:
    """What the line says. `stage` is what happens now; `bad`: it went wrong."""

    token: m.Token | None
    catalog: str
    connected: bool
    connecting: bool
    autocommit: bool
    transaction: TransactionState
    stage: str
    bad: bool

    def line(self, now: datetime) -> Text:
        """As text; nothing in it is interpreted."""
        line = Text(no_wrap=True, overflow="ellipsis")
        if self.token is None:
            line.append(_("No database is open. Choose one on the databases page (Ctrl+G)."))
            return line
        where = f"{self.token.database}/{self.catalog}" if self.catalog else self.token.database
        line.append(f" {visible_line(where)} ", style="bold reverse")
        line.append(f" {visible_line(self.token.account)}")
        for piece in self._pieces(now):
            line.append(SEPARATOR, style="muted")
            line.append_text(piece)
        return line

    def _pieces(self, now: datetime) -> list[Text]:
        pieces: list[Text] = []
        if not self.connected:
            pieces.append(Text(_("connecting") if self.connecting else _("not connected"), style="warning"))
        else:
            pieces.append(Text(_("autocommit")) if self.autocommit else Text(_("manual commit"), style="bold"))
            if self.transaction is TransactionState.OPEN:
                pieces.append(Text(_("TRANSACTION OPEN"), style="warning"))
            elif self.transaction is TransactionState.FAILED:
                pieces.append(Text(_("TRANSACTION FAILED: roll back"), style="danger"))
            if self.token is not None:
                pieces.append(Text(_("token {left}").format(left=left(self.token.expires_at, now))))
        if self.stage:
            pieces.append(Text(visible_line(self.stage), style="danger" if self.bad else "warning"))
        return pieces


class StatusLine(Static):
    """Shows a `Status`."""

    DEFAULT_CSS = """
    StatusLine { height: 1; background: $surface; padding: 0 1; }
    """

    def show(self, status: Status, now: datetime) -> None:
        """Replaces what is shown."""
        self.update(status.line(now))
