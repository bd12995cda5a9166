"""The columns of the live list, what each is sorted by, and what a filter looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from backends.visible_text import visible_line
from bastion.api import risks
from bastion.api.language import translate as _
from bastion.api.live import LiveSession, seconds_between

from .words import mark

STATES = {
    "opening": mark("opening"),
    "idle": mark("idle"),
    "running": mark("running"),
    "streaming": mark("streaming"),
    "transaction": mark("in trans."),
    "held": mark("held"),
    "ending": mark("ending"),
}
STATE_STYLES = {"idle": "muted", "running": "ok", "streaming": "ok", "held": "danger", "transaction": "warning",
                "opening": "muted", "ending": "warning"}  # fmt: skip

RISKY, VERY_RISKY = 30, 60
"""Figures from which a risk is shown as a warning, and as a danger."""


def short_time(seconds: float) -> str:
    """Time that passes in five cells: `4.2s`, `59s`, `12m`, `3h05`, `2d`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{int(seconds)}s"
    if seconds < 3600:
        return f"{int(seconds // 60)}m{int(seconds % 60):02}"
    if seconds < 86400:
        return f"{int(seconds // 3600)}h{int(seconds % 3600 // 60):02}"
    return f"{int(seconds // 86400)}d"


def short_count(count: int) -> str:
    """A count in five cells: `0`, `873`, `12.4k`, `3.1M`."""
    value = float(count)
    for unit in ("", "k", "M", "G"):
        if value < 1000:
            return f"{value:.0f}{unit}" if not unit or value >= 100 else f"{value:.1f}{unit}"
        value /= 1000
    return f"{value:.0f}T"


def _since(moment: str | None, at: str) -> str:
    return "" if moment is None or not at else short_time(seconds_between(moment, at))


def _risk(session: LiveSession, _at: str) -> Text:
    risk = session.figures.risk
    style = "danger" if risk >= VERY_RISKY else "warning" if risk >= RISKY else "" if risk else "muted"
    sign = "!" if risk >= VERY_RISKY else ""
    return Text(f"{sign}{risk}", style=style)


def _state(session: LiveSession, _at: str) -> Text:
    state = session.figures.state
    return Text(_(STATES.get(state, state)), style=STATE_STYLES.get(state, ""))


def _user(session: LiveSession, _at: str) -> Text:
    return Text(visible_line(session.user), style="bold")


def _database(session: LiveSession, _at: str) -> Text:
    name = Text(visible_line(session.database))
    if session.production:
        name.append(" ")
        name.append("PROD", style="production")
    return name


def _account(session: LiveSession, _at: str) -> Text:
    return Text(visible_line(session.account))


def _client(session: LiveSession, _at: str) -> Text:
    if session.purpose == "catalog":
        return Text(_("catalog"), style="muted")
    return Text(visible_line(session.client or "-"))


def _source(session: LiveSession, _at: str) -> Text:
    return Text(visible_line(session.source), style="muted")


def _time(session: LiveSession, at: str) -> Text:
    return Text(_since(session.figures.running_since, at))


def _rows(session: LiveSession, _at: str) -> Text:
    rate = session.figures.rows_per_second
    return Text(short_count(rate) if rate else "")


def _bytes(session: LiveSession, _at: str) -> Text:
    rate = session.figures.bytes_per_second
    return Text(short_count(rate) if rate else "")


def _transaction(session: LiveSession, at: str) -> Text:
    failed = session.figures.transaction == "failed"
    return Text(_since(session.figures.transaction_since, at), style="danger" if failed else "")


def _statement(session: LiveSession, _at: str) -> Text:
    figures = session.figures
    if figures.hold is not None and figures.hold.seq is None:
        return Text(_("(the next statement will be held)"), style="warning")
    return Text(visible_line(figures.running or ""))


@dataclass(frozen=True)
class Column:
    """A column. least: cells that it has always; from_width: of the whole list, from which on it is there."""

    name: str
    head: str
    cell: Callable[[LiveSession, str], Text]
    least: int
    from_width: int = 0
    right: bool = False


COLUMNS = (
    Column("risk", mark("Risk"), _risk, 5, right=True),
    Column("state", mark("State"), _state, 9),
    Column("user", mark("Person"), _user, 9),
    Column("source", mark("Source"), _source, 15, 120),
    Column("client", mark("Client"), _client, 14, 110),
    Column("database", mark("Database"), _database, 12),
    Column("account", mark("Account"), _account, 10, 100),
    Column("time", mark("Time"), _time, 6, right=True),
    Column("rows", mark("Rows/s"), _rows, 6, right=True),
    Column("bytes", mark("Bytes/s"), _bytes, 7, 90, right=True),
    Column("transaction", mark("Trans."), _transaction, 6, right=True),
    Column("statement", mark("Statement"), _statement, 10),
)


def columns_for(width: int) -> list[tuple[Column, int]]:
    """The columns that fit, with their cells; the statement has what is left."""
    shown = [column for column in COLUMNS if column.from_width <= width]
    fixed = sum(column.least + 1 for column in shown[:-1])
    rest = max(width - 2 - fixed, 10)
    # Names have more room where there is plenty.
    spare = min(max((rest - 50) // 4, 0), 8)
    rooms = []
    for column in shown[:-1]:
        more = spare if column.name in ("user", "database", "client", "account") else 0
        rest -= more
        rooms.append((column, column.least + more))
    return [*rooms, (shown[-1], rest)]


SORTS: tuple[tuple[str, str], ...] = (
    ("risk", mark("risk")),
    ("time", mark("time of the statement")),
    ("transaction", mark("age of the transaction")),
    ("rows", mark("rows a second")),
    ("bytes", mark("bytes a second")),
    ("user", mark("person")),
    ("database", mark("database")),
    ("state", mark("state")),
)


def sort_key(by: str) -> Callable[[LiveSession], Any]:
    """What the list is sorted by: the most, the longest, or the first of the alphabet; then the oldest session."""

    def largest(value: float) -> float:
        return -value

    def oldest(moment: str | None) -> tuple[bool, str]:
        return (moment is None, moment or "")

    keys: dict[str, Callable[[LiveSession], Any]] = {
        "risk": lambda s: largest(s.figures.risk),
        "time": lambda s: oldest(s.figures.running_since),
        "transaction": lambda s: oldest(s.figures.transaction_since),
        "rows": lambda s: largest(s.figures.rows_per_second),
        "bytes": lambda s: largest(s.figures.bytes_per_second),
        "user": lambda s: s.user,
        "database": lambda s: s.database,
        "state": lambda s: _STATE_ORDER.get(s.figures.state, 9),
    }
    key = keys[by]
    return lambda session: (key(session), session.started_at, session.id)


_STATE_ORDER = {
    state: n for n, state in enumerate(("held", "streaming", "running", "transaction", "ending", "opening", "idle"))
}


def matching(sessions: Iterable[LiveSession], query: str) -> list[LiveSession]:
    """Those in which every word of the query is found; a word with `!` before it must not be."""
    words = query.lower().split()
    if not words:
        return list(sessions)
    found = []
    for session in sessions:
        figures = session.figures
        text = " ".join(
            (session.user, session.source, session.client, session.database, session.account, session.login,
             session.engine, session.id, session.purpose, figures.state, figures.kind, figures.running or "",
             "prod" if session.production else "")
        ).lower()  # fmt: skip
        if all((word[1:] not in text) if word.startswith("!") and len(word) > 1 else word in text for word in words):
            found.append(session)
    return found


def reasons_of(session: LiveSession) -> str:
    """Why the session is risky, in words, each with its weight."""
    return ", ".join(f"{risks.sentence(reason)} +{reason.weight}" for reason in session.figures.reasons)
