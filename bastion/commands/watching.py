"""sessions --live, watch: what runs now, as lines."""

from __future__ import annotations

import contextlib

from bastion.api import live, methods, risks
from bastion.api import messages as m
from bastion.api.language import translate as _

from .printing import clean, json_line, table
from .values import shown_moment
from .words import DONE, NOT_SO, Context

SECOND_LOOK = 1.0
"""Seconds between the two looks of which the rates are."""

WAIT = 10.0
"""Seconds that one call waits for something to tell."""


async def show_live(context: Context, wanted: m.SessionFilter, *, json: bool) -> int:
    """Prints what runs now, the riskiest first; rates are those of one second."""
    import asyncio  # a program that only prints its help does without it

    kept = live.LiveList()
    await _take_in(context, kept)
    if kept.sessions:
        await asyncio.sleep(SECOND_LOOK)
        await _take_in(context, kept)
    found = [
        session
        for session in kept.sessions.values()
        if wanted.user in (None, session.user) and wanted.database in (None, session.database)
    ]
    found.sort(key=lambda session: (-session.figures.risk, session.started_at))
    del found[wanted.limit :]
    if json:
        listed: list[m.Session] = await context.api.call(methods.SESSIONS, wanted)
        by_id = {session.id: session for session in listed}
        for session in found:
            if session.id in by_id:
                context.output.out(json_line(_whole(by_id[session.id], session.figures)))
    elif found:
        table(context.output, _headings(), [_row(session, kept.at) for session in found])
    else:
        context.output.err(_("No session is open.") + "\n")
    return DONE


async def _take_in(context: Context, kept: live.LiveList) -> None:
    while True:
        changes: live.LiveChanges = await context.api.call(methods.LIVE, live.LiveRequest(view=kept.view))
        kept.apply(changes)
        if not changes.more:
            return


def _whole(session: m.Session, figures: live.Figures) -> dict[str, object]:
    """As scripts read it: a session with its figures behind, of which `activity` is the state."""
    fields: dict[str, object] = {name: getattr(session, name) for name in session.__struct_fields__}
    fields["activity"] = figures.state
    fields |= {name: getattr(figures, name) for name in figures.__struct_fields__ if name not in fields}
    fields["reasons"] = [
        {"code": each.code, "params": each.params, "weight": each.weight, "text": risks.sentence(each)}
        for each in figures.reasons
    ]
    return fields


def _headings() -> tuple[str, ...]:
    return (_("ID"), _("RISK"), _("STATE"), _("USER"), _("DATABASE"), _("ACCOUNT"), _("FROM"), _("CLIENT"), _("TIME"),
            _("ROWS/S"), _("BYTES/S"), _("TRANSACTION"), _("STATEMENT"))  # fmt: skip


def _row(session: live.LiveSession, at: str) -> tuple[object, ...]:
    figures = session.figures
    return (
        session.id, figures.risk, figures.state, session.user, session.database, session.account, session.source,
        session.client, _since(figures.running_since, at), figures.rows_per_second or "",
        figures.bytes_per_second or "", _since(figures.transaction_since, at), figures.running,
    )  # fmt: skip


def _since(moment: str | None, at: str) -> str:
    return "" if moment is None else f"{live.seconds_between(moment, at):.1f}s"


async def follow(context: Context, session: str, *, json: bool) -> int:
    """Prints the statements of a session as they happen, until it ends. NOT_SO where it ended badly: it was lost."""
    request = live.WatchRequest(session=session, wait=WAIT)
    try:
        while True:
            watched: live.Watched = await context.api.call(methods.WATCH, request)
            request.watch = watched.watch
            if watched.skipped is not None:
                _say_skipped(context, watched.skipped, json=json)
            for event in watched.events:
                context.output.out(json_line(event) if json else _line(event))
            await context.output.drain()
            if watched.ended:
                if not json:
                    context.output.err(
                        _("The session is over: {reason}").format(reason=clean(watched.end_reason)) + "\n"
                    )
                return NOT_SO if watched.end_reason == "lost" else DONE
    finally:
        if request.watch:
            # The connection may be gone, and the watch with it.
            with contextlib.suppress(Exception):
                await context.api.call(methods.UNWATCH, request)


def _say_skipped(context: Context, skipped: live.Skipped, *, json: bool) -> None:
    if json:
        context.output.out(json_line({"kind": "skipped", "events": skipped.events, "first": skipped.first,
                                      "last": skipped.last}))  # fmt: skip
        return
    words = _("{count} events of the statements {first} to {last} were left out: they are on record.")
    context.output.err(words.format(count=skipped.events, first=skipped.first, last=skipped.last) + "\n")


def _line(event: live.WatchEvent) -> str:
    parts = [shown_moment(event.at), str(event.seq), event.kind]
    statement = event.statement
    if statement is not None:
        parts.append(clean(statement.text) + (" …" if event.cut else ""))
        if statement.binds is not None:
            parts.append(clean(str(statement.binds)))
        if statement.verdict != "allowed":
            parts.append(f"[{clean(statement.verdict)}]")
    if event.text:
        parts.append(clean(event.text) + (" …" if event.cut else ""))
    if event.binds is not None:
        parts.append(clean(str(event.binds)))
    if event.kind == "done":
        parts.append(event.state)
        if event.rows is not None:
            parts.append(_("{rows} rows").format(rows=event.rows))
        if event.duration_ms is not None:
            parts.append(f"{event.duration_ms:.1f} ms")
        if event.error:
            parts.append(clean(event.error))
    if event.by:
        parts.append(f"{clean(event.by)}: {clean(event.reason)}")
    return "  ".join(parts) + "\n"
