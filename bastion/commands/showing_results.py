"""audit show: a statement and what was kept of its answer. Nothing that a database returned drives the terminal."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from typing import Any

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _

from .printing import clean, fields, json_line, table
from .values import limit, shown_duration, shown_moment
from .words import DONE, NOT_SO, WRONG_USAGE, CommandFailed, Context

NULL = "NULL"

WHY = {
    "statement": "the limit of one statement (recording.per_statement) was reached",
    "session": "the limit of one session (recording.per_session) was reached",
    "behind": "the recording could not keep up with the database",
    "died": "not kept: the bastion died before it was written",
    "running": "the statement is still running",
    "not-yet": "it is not in the recording's file yet",
    "not-recorded": "nothing of this session was recorded: recording.results was off",
    "deleted": "it was deleted by retention",
    "not-run": "the statement was never run",
    "no-answer": "the database sent no answer of its own for it",
    "other-node": "the recording is on the node that the session ran on",
    "missing": "the recording has nothing of it",
    "damaged": "the recording was altered or is damaged",
    "authentication": "it was a login, of which nothing is kept",
}


WHY_NOT_ALL_SENT = {
    "upload": "the limit of what is streamed in (recording.per_upload) was reached",
    "session": WHY["session"],
    "behind": "the recording could not keep up with the client",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `audit show`."""
    parser.add_argument("session", metavar="SESSION")
    parser.add_argument("seq", metavar="SEQ", type=limit, help="the statement's number in the session")
    parser.add_argument("--limit", type=limit, default=0, metavar="N", help="rows at most")
    parser.add_argument("--unmask", action="store_true", help="the values where results are masked; takes a reason")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; it is on record with your name")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="values as they are, one JSON object a line")
    form.add_argument("--csv", action="store_true", help="the rows alone; NULL is empty, an empty text is in quotes")


async def show(context: Context, given: argparse.Namespace) -> int:
    """Prints it page by page; the exit code says whether there was anything to show."""
    first: m.StatementResult | None = None
    print_page = _print_json if given.json else _print_csv if given.csv else _print_table
    left = given.limit
    if given.unmask and not given.reason.strip():
        raise CommandFailed("--unmask takes a reason: --unmask --reason 'TEXT'", WRONG_USAGE)
    async for page in _pages(context, given):
        if given.limit:
            left = _shorten(page, left)
        if first is None:
            first = page
            if given.json:
                context.output.out(json_line(_head(page)))
            elif not given.csv:
                _print_head(context, page)
        print_page(context, page)
        await context.output.drain()
        if page.detail:
            context.output.err(_("Note: {text}").format(text=clean(page.detail)) + "\n")
        if given.limit and left <= 0:
            break
    assert first is not None
    if first.masked:
        context.output.err(_("Values are masked: --unmask --reason TEXT shows them, and is on record.") + "\n")
    if (given.csv or given.json) and first.kept != "whole":
        context.output.err(_kept(first) + "\n")
    return NOT_SO if first.kept == "none" and first.why not in ("no-answer", "not-run") else DONE


async def _pages(context: Context, given: argparse.Namespace) -> AsyncIterator[m.StatementResult]:
    after: int | None = 0
    while after is not None:
        request = methods.ShowRequest(
            session=given.session, seq=given.seq, after=after, unmask=given.unmask, reason=given.reason
        )
        page: m.StatementResult = await context.api.call(methods.RESULT, request)
        yield page
        after = page.next


def _shorten(page: m.StatementResult, left: int) -> int:
    """Leaves at most `left` rows on the page; how many more may follow."""
    for result in page.results:
        if len(result.rows) > left:
            del result.rows[left:]
        left -= len(result.rows)
    return left


def _kept(page: m.StatementResult) -> str:
    """How much of the answer there is, as a sentence."""
    why = clean(_(WHY[page.why]) if page.why in WHY else page.why)
    if page.kept == "whole":
        return _("whole: all {bytes} bytes of the answer").format(bytes=page.bytes_kept)
    if page.kept == "none":
        return why
    if page.bytes_total is None:
        return _("the first {kept} bytes of the answer: {why}").format(kept=page.bytes_kept, why=why)
    return _("truncated: the first {kept} of {total} bytes of the answer: {why}").format(
        kept=page.bytes_kept, total=page.bytes_total, why=why
    )


def _print_head(context: Context, page: m.StatementResult) -> None:
    s = page.statement
    context.output.out(clean(s.text) + "\n\n")
    shown: list[tuple[str, Any]] = [
        (_("session"), f"{s.session} #{s.seq}"),
        (_("at"), shown_moment(s.at)),
        (_("user"), s.user),
        (_("database"), f"{s.database} ({s.account})"),
        (_("operation"), page.operation),
        (_("state"), s.state),
    ]
    if s.binds:
        shown.append((_("binds"), ", ".join(NULL if bind is None else bind for bind in s.binds)))
    if s.rows is not None:
        shown.append((_("rows"), s.rows))
    if s.error:
        shown.append((_("error"), s.error))
    shown += [(_("duration"), shown_duration(s.duration_ms)), (_("result"), _kept(page))]
    if page.sent is not None:
        shown.append((_("sent in"), _sent_in(page.sent)))
    fields(context.output, shown)
    if page.sent is not None and page.sent.data:
        lines = page.sent.data.splitlines() if page.sent.form == "text" else ["\\x" + page.sent.data]
        context.output.out("\n" + _("sent in by the client") + ":\n")
        context.output.out("".join(f"> {clean(line)}\n" for line in lines))


def _sent_in(sent: m.SentData) -> str:
    """How much there is of what the client streamed in, as a sentence."""
    if not sent.why:
        return _("whole: all {bytes} bytes").format(bytes=sent.bytes_kept)
    return _("the first {kept} of {total} bytes: {why}").format(
        kept=sent.bytes_kept, total=sent.bytes_total, why=_(WHY_NOT_ALL_SENT.get(sent.why, sent.why))
    )


def _print_table(context: Context, page: m.StatementResult) -> None:
    output = context.output
    for result in page.results:
        if result.columns and (result.rows or result.first_row == 0):
            output.out("\n")
            headings = [clean(column.name) for column in result.columns]
            table(
                output, headings, ([NULL if value is None else value for value in _fitted(row, len(headings))]
                                   for row in result.rows),
            )  # fmt: skip
        if result.ended and (result.tag or result.count is not None):
            output.out(clean(result.tag or _("{count} rows").format(count=result.count)) + "\n")
    for said in page.said:
        output.out(" ".join(clean(part) for part in (said.severity, said.code, said.message) if part) + "\n")
    for error in page.errors:
        output.out(_("Error: {text}").format(text=clean(error)) + "\n")


def _fitted(row: list[str | None], count: int) -> list[str | None]:
    """A row with as many values as there are headings (pieces of COPY data have one column)."""
    return row if len(row) == count else [*row[:count], *[None] * (count - len(row))]


def _head(page: m.StatementResult) -> dict[str, Any]:
    return {
        "statement": page.statement,
        "operation": page.operation,
        "kept": page.kept,
        "why": page.why,
        "bytes_kept": page.bytes_kept,
        "bytes_total": page.bytes_total,
        "sent": page.sent,
        "masked": page.masked,
    }


def _print_json(context: Context, page: m.StatementResult) -> None:
    lines: list[dict[str, Any]] = []
    for result in page.results:
        if result.columns and result.first_row <= 1:
            lines.append({"result": result.number, "columns": result.columns})
        lines.extend({"result": result.number, "row": row} for row in result.rows)
        if result.ended:
            lines.append({"result": result.number, "tag": result.tag, "count": result.count})
    lines.extend({"notice": said} for said in page.said)
    lines.extend({"error": error} for error in page.errors)
    context.output.out("".join(json_line(line) for line in lines))


def _print_csv(context: Context, page: m.StatementResult) -> None:
    for result in page.results:
        if not result.columns:
            continue
        text = ""
        if result.first_row <= 1:
            if result.number > 1:
                text = "\n"
            text += ",".join(_quoted(column.name) for column in result.columns) + "\n"
        for row in result.rows:
            text += ",".join("" if value is None else _quoted(value) for value in row) + "\n"
        context.output.out(text)
    for error in page.errors:
        context.output.err(_("Error: {text}").format(text=clean(error)) + "\n")


def _quoted(value: str) -> str:
    """A value of RFC 4180; in quotes where it must be, and where it is empty, since NULL is nothing at all."""
    if value and not any(character in value for character in ',"\r\n'):
        return value
    return '"' + value.replace('"', '""') + '"'
