"""audit search | statements | show | verify | anchor: finding out what was done, with proof."""

from __future__ import annotations

import argparse

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _

from . import evidence, screens, showing_results
from .printing import clean, json_line, table
from .values import limit, moment, shown_duration, shown_moment
from .words import ANYWHERE, DONE, NOT_SO, Context, Word

_PAGE = 1000


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    search = actions.add_parser("search", help="statements by words and filters, oldest first; without any: all")
    search.add_argument(
        "words", nargs="*", metavar="WORD", help="begins a word of the text or of a value; *WORD: anywhere"
    )
    search.add_argument("--user", metavar="NAME", help="who requested the token")
    search.add_argument("--database", metavar="DB")
    search.add_argument("--account", metavar="A", help="the database account of the token")
    search.add_argument("--session", metavar="ID")
    search.add_argument("--table", metavar="NAME", help="named after FROM, JOIN, INTO, UPDATE, …; without its schema")
    search.add_argument("--source", metavar="ADDRESS", help="where the person came from")
    search.add_argument("--client", metavar="TEXT", help="in the client program's own words")
    search.add_argument("--kind", metavar="KIND", help="select, insert, update, delete, create, …")
    search.add_argument("--since", type=moment, metavar="TIME", help="a time, a date, or a period: 2h is two hours ago")
    search.add_argument("--until", type=moment, metavar="TIME")
    search.add_argument("--error", action="store_true", default=None, help="only those that failed")
    search.add_argument("--verdict", metavar="CODE", help="allowed, or the code of a refusal")
    search.add_argument("--rows", type=int, metavar="N", dest="least_rows", help="at least so many rows")
    search.add_argument("--slower", type=float, metavar="MS", dest="least_ms", help="at least so many milliseconds")
    search.add_argument("--newest", action="store_true", help="newest first")
    search.add_argument("--like", metavar="SESSION/SEQ", help="those that differ from this statement only in values")
    search.add_argument("--digest", metavar="D", help="the same, by the digest that --json shows")
    search.add_argument("--limit", type=limit, default=0, metavar="N")

    statements = actions.add_parser("statements", help="the statements of one session in order")
    statements.add_argument("--session", metavar="ID", required=True)

    show = actions.add_parser("show", help="a statement, and what the database returned for it")
    showing_results.arguments(show)

    screens.screens_arguments(actions.add_parser("screens", help="workstations that were served over SSH"))
    screens.replay_arguments(
        actions.add_parser("replay", help="the recorded screen of one as an asciicast, on standard output")
    )

    evidence.bundle_arguments(actions.add_parser("bundle", help="a session as one file of evidence, with its proof"))

    verify = actions.add_parser("verify", help="prove that no record was changed, removed, inserted or moved")
    verify.add_argument("--anchor", metavar="FILE", help="a checkpoint kept elsewhere; - is standard input")
    actions.add_parser("anchor", help="a signed checkpoint to keep elsewhere, for verify --anchor")
    for each in (search, statements, verify):
        each.add_argument("--json", action="store_true", help="one JSON object a line on standard output")


def _filter(arguments: argparse.Namespace) -> m.StatementFilter:
    if arguments.action == "statements":
        return m.StatementFilter(session=arguments.session)
    return m.StatementFilter(
        words=arguments.words,
        user=arguments.user,
        database=arguments.database,
        account=arguments.account,
        session=arguments.session,
        kind=arguments.kind.lower() if arguments.kind else None,
        since=arguments.since,
        until=arguments.until,
        error=arguments.error,
        limit=arguments.limit,
        digest=arguments.digest,
        like=arguments.like,
        table=arguments.table,
        verdict=arguments.verdict,
        source=arguments.source,
        client=arguments.client,
        least_rows=arguments.least_rows,
        least_ms=arguments.least_ms,
        newest=arguments.newest,
    )


async def _search(context: Context, arguments: argparse.Namespace) -> int:
    wanted = _filter(arguments)
    left = wanted.limit
    any_found = False
    while True:
        wanted.limit = min(left, _PAGE) if left else 0
        page: m.StatementPage = await context.api.call(methods.STATEMENTS, wanted)
        if page.statements:
            _show(context, page.statements, as_json=arguments.json)
            any_found = True
            await context.output.drain()
        left -= len(page.statements) if left else 0
        if page.cursor is None or (wanted.limit and left <= 0):
            break
        wanted.after = page.cursor
    if not any_found and not arguments.json:
        context.output.err(_("Nothing was found.") + "\n")
    return DONE


def _show(context: Context, statements: list[m.Statement], *, as_json: bool) -> None:
    if as_json:
        context.output.out("".join(json_line(statement) for statement in statements))
        return
    table(
        context.output,
        (_("AT"), _("SESSION"), _("SEQ"), _("USER"), _("DATABASE"), _("STATE"), _("ROWS"), _("TIME"), _("STATEMENT"),
         _("ERROR")),
        (
            (shown_moment(s.at), s.session, s.seq, s.user, s.database, s.state, s.rows, shown_duration(s.duration_ms),
             s.text, s.error)
            for s in statements
        ),
    )  # fmt: skip


async def _verify(context: Context, arguments: argparse.Namespace) -> int:
    anchor = None if arguments.anchor is None else await context.text_of(arguments.anchor)
    proof: m.Proof = await context.api.call(methods.VERIFY, methods.VerifyRequest(anchor=anchor))
    return show_proof(context, proof, as_json=arguments.json)


def show_proof(context: Context, proof: m.Proof, *, as_json: bool) -> int:
    """Prints what `audit verify` found; the exit code says whether the journal is whole."""
    if as_json:
        context.output.out(json_line(proof))
    elif proof.intact:
        context.output.out(
            _("Proved to record {number} at {at}; {unwitnessed} records not witnessed yet.").format(
                number=proof.proved_to, at=proof.proved_at or _("no checkpoint yet"), unwitnessed=proof.unwitnessed
            )
            + "\n"
        )
        if proof.recordings is not None:
            context.output.out(
                _("{count} recordings are as witnessed; {unwitnessed} have an end that is not witnessed yet.").format(
                    count=proof.recordings, unwitnessed=proof.recordings_unwitnessed
                )
                + "\n"
            )
    elif proof.recording:
        context.output.out(
            _("The journal holds, but a recording was altered: {reason}").format(reason=clean(proof.recording)) + "\n"
        )
    elif proof.store:
        context.output.out(
            _("The journal holds, but the store was altered: {reason}").format(reason=clean(proof.store)) + "\n"
        )
    else:
        context.output.out(
            _("BROKEN at record {number} in {file}: {reason}").format(
                number=proof.broken_at, file=clean(proof.file or "?"), reason=clean(proof.reason or "?")
            )
            + "\n"
        )
    return DONE if proof.intact else NOT_SO


async def _audit(context: Context, arguments: argparse.Namespace) -> int:
    if arguments.action == "verify":
        return await _verify(context, arguments)
    if arguments.action == "bundle":
        return await evidence.bundle(context, arguments)
    if arguments.action == "show":
        return await showing_results.show(context, arguments)
    if arguments.action == "screens":
        return await screens.list_screens(context, arguments)
    if arguments.action == "replay":
        return await screens.replay(context, arguments)
    if arguments.action == "anchor":
        anchor: m.Anchor = await context.api.call(methods.ANCHOR, methods.Nothing())
        context.output.out(anchor.text.rstrip("\n") + "\n")
        return DONE
    return await _search(context, arguments)


WORDS = (Word("audit", "search the statements on record, or prove the record", _arguments, _audit, ANYWHERE),)
