"""How the audit's lists and their details say what a session or a statement is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from backends.visible_text import visible, visible_line
from bastion.api import messages as m
from bastion.api.language import translate as _
from bastion.api.language import translate_many

from .widgets.record_list import Heading
from .words import clock_time, duration, mark, moment, seconds, size

SESSION_STYLES = {"live": "ok", "opening": "warning", "refused": "danger", "lost": "danger"}
SESSION_STATES = {
    "opening": mark("opening"),
    "live": mark("live"),
    "closed": mark("closed"),
    "refused": mark("refused"),
    "lost": mark("lost"),
}
STATEMENT_STYLES = {"failed": "danger", "refused": "danger", "cancelled": "warning", "sent": "warning"}
STATEMENT_STATES = {
    "sent": mark("running"),
    "done": mark("done"),
    "failed": mark("failed"),
    "cancelled": mark("cancelled"),
    "refused": mark("refused"),
    "skipped": mark("skipped"),
}
NO_ANSWER = mark("no answer")
"""What a statement without an outcome is called once its session is over."""
BACKENDS = {
    "idle": mark("the database had answered everything"),
    "gone": mark("the database had closed the connection"),
    "busy": mark("the database may be at work still"),
}
DETAIL_TEXT = 4000
"""Characters of a statement that are shown below the list; Enter shows all of it."""


def session_headings() -> list[Heading]:
    """The columns of the sessions' list."""
    return [
        Heading(_("State"), 8), Heading(_("Started"), 14), Heading(_("User"), 10),
        Heading(_("Database/account"), 20), Heading(_("Client"), 16, 110), Heading(_("Source"), 18, 130),
        Heading(_("Stmts"), 7, 90, right=True), Heading(_("Unread"), 6, 100, right=True), Heading(_("Now / ended"), 0),
    ]  # fmt: skip


def session_cells(session: m.Session, *, local: bool) -> list[Text]:
    """A line of the sessions' list."""
    return [
        Text(_(SESSION_STATES.get(session.state, session.state)), style=SESSION_STYLES.get(session.state, "muted")),
        Text(clock_time(session.started_at, local=local, with_date=True)),
        Text(visible_line(session.user), style="bold"),
        Text(visible_line(f"{session.database}/{session.account}")),
        Text(visible_line(session.client or "-")),
        Text(visible_line(session.source), style="muted"),
        Text(f"{session.statements:,}"),
        Text(f"{session.unattributed_bytes:,}", style="danger" if session.unattributed_bytes else "ok"),
        Text(visible_line(session.running or session.end_reason or ""), style="" if session.running else "muted"),
    ]


def session_details(session: m.Session, *, local: bool) -> Text:
    """What is known of a session, some lines."""
    text = Text()
    text.append(
        visible_line(_("{user} asked for the token {token}").format(user=session.user, token=session.token or "-"))
    )
    text.append(visible_line(" · " + _("login {login}").format(login=session.login or "-")))
    text.append(visible_line(" · " + _("from {source}").format(source=session.source)))
    text.append(visible_line(f" · {session.client or '-'}") + "\n")
    ends = _("still open")
    if session.ended_at is not None:
        took = (moment(session.ended_at) - moment(session.started_at)).total_seconds()
        ends = _("ended {time}, after {duration}").format(
            time=clock_time(session.ended_at, local=local), duration=duration(max(took, 0))
        )
    engine = f"{session.engine} {session.server_version}".strip()
    text.append(visible_line(f"{session.id} · {engine} · {ends}"))
    if session.end_reason:
        text.append(" · " + visible_line(session.end_reason))
    if session.backend:
        text.append(" · " + _(BACKENDS.get(session.backend, session.backend)), style="muted")
    text.append("\n")
    up_down = _("{up} up, {down} down").format(up=size(session.bytes_up), down=size(session.bytes_down))
    text.append(f"{up_down} · ")
    if session.unattributed_bytes:
        text.append("✗ " + _("{count} bytes unattributed").format(count=f"{session.unattributed_bytes:,}"), "danger")
    else:
        text.append("✓ " + _("every byte attributed"), style="ok")
    if counted := messages_by_type(session):
        text.append("\n" + visible_line(counted), style="muted")
    return text


def messages_by_type(session: m.Session) -> str:
    """How many messages of each type passed, the most frequent first; empty where they were not counted."""
    pieces = []
    for side, words in (("client", _("client")), ("server", _("server"))):
        counts = (session.messages or {}).get(side, {})
        if counts:
            most = sorted(counts.items(), key=lambda each: -each[1])
            pieces.append(f"{words}: " + ", ".join(f"{kind} {count:,}" for kind, count in most))
    return " · ".join(pieces)


def statement_headings() -> list[Heading]:
    """The columns of the statements' list."""
    return [
        Heading(_("At"), 14), Heading(_("User"), 10), Heading(_("Database"), 14, 100), Heading(_("Account"), 12, 130),
        Heading(_("State"), 9), Heading(_("Rows"), 9, right=True), Heading(_("Time"), 9, 100, right=True),
        Heading(_("Statement"), 0),
    ]  # fmt: skip


def statement_cells(statement: m.Statement, *, local: bool) -> list[Text]:
    """A line of the statements' list."""
    took = statement.duration_ms
    return [
        Text(clock_time(statement.at, local=local, with_date=True)),
        Text(visible_line(statement.user), style="bold"),
        Text(visible_line(statement.database)),
        Text(visible_line(statement.account), style="muted"),
        Text(
            _(STATEMENT_STATES.get(statement.state, statement.state)),
            style=STATEMENT_STYLES.get(statement.state, "ok"),
        ),
        Text("" if statement.rows is None else f"{statement.rows:,}"),
        Text("" if took is None else seconds(took / 1000)),
        Text(visible_line(" ".join(statement.text[:500].split()))),
    ]


def statement_details(statement: m.Statement) -> Text:
    """The statement below the list."""
    text = Text()
    whole = len(statement.text)
    text.append(visible(statement.text[:DETAIL_TEXT]))
    if whole > DETAIL_TEXT:
        more = translate_many("{count} more character", "{count} more characters", whole - DETAIL_TEXT)
        text.append(
            "\n" + _("… {more}: Enter shows all of it").format(more=more.format(count=f"{whole - DETAIL_TEXT:,}")),
            style="warning",
        )
    if statement.binds is not None:
        text.append("\n" + _("binds: {binds}").format(binds=visible_line(binds_of(statement.binds))), style="muted")
    if statement.error:
        text.append("\n✗ " + visible(statement.error), style="danger")
    if statement.tool:
        text.append("\n" + _("start-up of {tool}").format(tool=visible_line(statement.tool)), style="muted")
    return text


def binds_of(binds: Sequence[str | None]) -> str:
    """Values bound to a statement, in a line."""
    return ", ".join("NULL" if bind is None else repr(bind) for bind in binds)
