"""audit search | statements | show | export | filters | verify | anchor: finding out what was done, with proof."""

from __future__ import annotations

import argparse

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.language import translate_many

from . import audit_exporting, audit_filters, evidence, screens, showing_results
from .printing import clean, json_line, table
from .values import shown_duration, shown_moment
from .words import ANYWHERE, DONE, NOT_SO, Context, Word

_PAGE = 1000


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    search = actions.add_parser("search", help="statements by words and filters, oldest first; without any: all")
    audit_filters.filter_arguments(search)

    statements = actions.add_parser("statements", help="the statements of one session in order")
    statements.add_argument("--session", metavar="ID", required=True)

    show = actions.add_parser("show", help="a statement, and what the database returned for it")
    showing_results.arguments(show)

    screens.screens_arguments(actions.add_parser("screens", help="workstations that were served over SSH"))
    screens.replay_arguments(
        actions.add_parser("replay", help="the recorded screen of one as an asciicast, on standard output")
    )

    evidence.bundle_arguments(actions.add_parser("bundle", help="a session as one file of evidence, with its proof"))

    audit_exporting.arguments(actions.add_parser("export", help="what a filter finds, as CSV, JSON Lines or Parquet"))
    audit_filters.saved_arguments(actions.add_parser("filters", help="the saved filters: list, save, remove"))

    evidence.report_arguments(
        actions.add_parser("report", help="what a person did, or what was done in a database, as a page that prints")
    )
    evidence.legal_hold_arguments(
        actions.add_parser("legal-hold", help="sessions that retention leaves alone: list, add, remove")
    )
    evidence.retention_arguments(actions.add_parser("retention", help="how long the record is kept"))

    verify = actions.add_parser("verify", help="prove that no record was changed, removed, inserted or moved")
    verify.add_argument("--anchor", metavar="FILE", help="a checkpoint kept elsewhere; - is standard input")
    actions.add_parser("anchor", help="a signed checkpoint to keep elsewhere, for verify --anchor")
    for each in (search, statements, verify):
        each.add_argument("--json", action="store_true", help="one JSON object a line on standard output")


async def _search(context: Context, arguments: argparse.Namespace) -> int:
    if arguments.action == "statements":
        wanted = m.StatementFilter(session=arguments.session)
    else:
        wanted = await audit_filters.statements_wanted(context, arguments)
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
        wanted.after, wanted.after_value = page.cursor, page.cursor_value
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
        if proof.deleted and proof.tombstone is not None:
            context.output.out(
                _(
                    "{count} of the records up to {last} were deleted by retention ({rule}), the last at {at}: "
                    "tombstone at record {number}, signed."
                ).format(
                    count=proof.deleted, last=proof.deleted_to, rule=clean(proof.deleted_by or ""),
                    at=proof.deleted_at, number=proof.tombstone,
                )
                + "\n"
            )  # fmt: skip
        if proof.recordings_deleted:
            text = translate_many(
                "{count} recording was deleted by retention, as a signed tombstone says.",
                "{count} recordings were deleted by retention, as signed tombstones say.",
                proof.recordings_deleted,
            )
            context.output.out(text.format(count=proof.recordings_deleted) + "\n")
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
    if arguments.action == "report":
        return await evidence.report(context, arguments)
    if arguments.action == "legal-hold":
        return await evidence.legal_hold(context, arguments)
    if arguments.action == "retention":
        return await evidence.retention(context, arguments)
    if arguments.action == "bundle":
        return await evidence.bundle(context, arguments)
    if arguments.action == "show":
        return await showing_results.show(context, arguments)
    if arguments.action == "export":
        return await audit_exporting.export(context, arguments)
    if arguments.action == "filters":
        return await audit_filters.saved(context, arguments)
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
