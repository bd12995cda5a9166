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

from ..words import duration, left

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
    age: float | None = None
    """Of the open transaction, in seconds."""
    guard: str = "off"
    """off, writes, everything"""

    def line(self, now: datetime, room: int = 0) -> Text:
        """As text; nothing in it is interpreted. What matters least goes first where `room` is short (0: it is not);
        what happens now is cut rather than left out."""
        if self.token is None:
            words = _("No database is open. Choose one on the databases page (Ctrl+G).")
            return Text(words, no_wrap=True, overflow="ellipsis")
        kept = sorted(self._pieces(now), key=lambda piece: piece[0])
        while room and kept[-1][0] > 1 and _width(kept) > room:
            kept.pop()
        line = Text(no_wrap=True, overflow="ellipsis")
        for _rank, place, piece in sorted(kept, key=lambda entry: entry[1]):
            if place:
                line.append(SEPARATOR, style="muted")
            line.append_text(piece)
        return line

    def _pieces(self, now: datetime) -> list[tuple[int, int, Text]]:
        """Each with its rank (0: goes last) and its place."""
        assert self.token is not None
        where = f"{self.token.database}/{self.catalog}" if self.catalog else self.token.database
        style = "production" if self.token.production else "bold reverse"
        found = [(0, 0, Text(f" {visible_line(where)} ", style=style)), (6, 1, Text(visible_line(self.token.account)))]
        if not self.connected:
            words = _("connecting") if self.connecting else _("not connected")
            found.append((2, 2, Text(words, style="warning")))
        else:
            mode = Text(_("autocommit")) if self.autocommit else Text(_("manual commit"), style="bold")
            found.append((3, 2, mode))
            if self.transaction is TransactionState.OPEN:
                age = f" {duration(self.age)}" if self.age is not None else ""
                found.append((1, 3, Text(_("TRANSACTION OPEN") + age, style="warning")))
            elif self.transaction is TransactionState.FAILED:
                found.append((1, 3, Text(_("TRANSACTION FAILED: roll back (F10)"), style="danger")))
            if self.guard != "off":
                guard = _("guard: writes") if self.guard == "writes" else _("guard: everything")
                found.append((4, 4, Text(guard)))
            found.append((5, 5, Text(_("token {left}").format(left=left(self.token.expires_at, now)))))
        if self.stage:
            found.append((1, 6, Text(visible_line(self.stage), style="danger" if self.bad else "warning")))
        return found


def _width(pieces: list[tuple[int, int, Text]]) -> int:
    return sum(piece.cell_len for _rank, _place, piece in pieces) + len(SEPARATOR) * (len(pieces) - 1)


class StatusLine(Static):
    """Shows a `Status`."""

    DEFAULT_CSS = """
    StatusLine { height: 1; background: $surface; padding: 0 1; }
    """

    _shown: Text | None = None

    def show(self, status: Status, now: datetime) -> None:
        """Replaces what is shown, where it is something else."""
        line = status.line(now, max(self.size.width - 2, 0))
        if line != self._shown:
            self._shown = line
            self.update(line)
