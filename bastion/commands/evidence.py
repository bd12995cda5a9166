"""audit bundle: one session as a file that proves itself; and proving such a file."""

from __future__ import annotations

import argparse
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

from bastion.api import language, methods
from bastion.api import messages as m
from bastion.api.language import translate as _
from bastion.api.language import translate_many
from bastion.api.reports import Report, ReportRequest

from .printing import clean, json_line, table
from .values import moment, rfc3339, shown_moment
from .words import DONE, NOT_SO, WRONG_USAGE, CommandFailed, Context, Place


def bundle_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `audit bundle`."""
    parser.add_argument("session", metavar="SESSION")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why; it is recorded with your name")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to; left out: standard output")
    parser.add_argument("--no-results", action="store_true", help="without what the database returned")
    parser.add_argument("--no-screens", action="store_true", help="without the screen of a served workstation")


async def bundle(context: Context, arguments: argparse.Namespace) -> int:
    """Has it made, and writes it to a file or to standard output."""
    to_file = arguments.output is not None
    if arguments.output is not None and context.place is not Place.PROGRAM:
        raise CommandFailed("Leave --output out here: audit bundle … > evidence.zip", WRONG_USAGE)
    if not to_file and context.output.terminal:
        raise CommandFailed("A bundle goes to a file, not to a terminal: audit bundle … > evidence.zip", WRONG_USAGE)
    request = methods.BundleRequest(
        session=arguments.session, reason=arguments.reason, results=not arguments.no_results,
        screens=not arguments.no_screens,
    )  # fmt: skip
    made: m.ExportFile = await context.api.call(methods.BUNDLE, request)
    digest = hashlib.sha256()
    part = None if arguments.output is None else Path(f"{arguments.output}.part")
    file = None if part is None else _new(part)
    try:
        after: int | None = 0
        while after is not None:
            piece: m.ExportPiece = await context.api.call(
                methods.BUNDLE_READ, methods.ExportRead(id=made.id, after=after)
            )
            digest.update(piece.data)
            if file is None:
                context.output.data(piece.data)
                await context.output.drain()
            else:
                os.write(file, piece.data)
            after = piece.next
        if file is not None:
            os.fsync(file)
    finally:
        if file is not None:
            os.close(file)
    if digest.hexdigest() != made.digest:
        raise CommandFailed("What came is not what was made. Do not use it; make the bundle again.", NOT_SO)
    if part is not None:
        part.replace(arguments.output)
    await context.api.call(methods.BUNDLE_REMOVE, methods.ById(id=made.id))
    context.output.err(
        _("{bytes} bytes, SHA-256 {digest}. Prove it with: casemate audit verify --bundle FILE").format(
            bytes=made.bytes, digest=made.digest
        )
        + "\n"
    )
    return DONE


def legal_hold_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `audit legal-hold`."""
    parser.add_argument("what", choices=("list", "add", "remove"))
    parser.add_argument("session", nargs="?", metavar="SESSION")
    parser.add_argument("--reason", metavar="TEXT", default="", help="add, remove: why; it is recorded with your name")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")


async def legal_hold(context: Context, arguments: argparse.Namespace) -> int:
    """Lists, adds, removes."""
    if arguments.what == "list":
        held: list[m.LegalHold] = await context.api.call(methods.LEGAL_HOLDS, methods.Nothing())
    elif arguments.session is None:
        raise CommandFailed(f"Say which session: audit legal-hold {arguments.what} SESSION --reason TEXT", WRONG_USAGE)
    else:
        method = methods.LEGAL_HOLD_ADD if arguments.what == "add" else methods.LEGAL_HOLD_REMOVE
        request = methods.ById(id=arguments.session, reason=arguments.reason)
        held = [await context.api.call(method, request)]
    if arguments.json:
        context.output.out("".join(json_line(one) for one in held))
    elif arguments.what == "list" and held:
        table(
            context.output,
            (_("SESSION"), _("USER"), _("DATABASE"), _("FROM"), _("HELD BY"), _("HELD AT"), _("REASON")),
            (
                (h.session, h.user, h.database, shown_moment(h.started_at) if h.started_at else "", h.by,
                 shown_moment(h.at), h.reason)
                for h in held
            ),
        )  # fmt: skip
    elif arguments.what == "list":
        context.output.err(_("No session is on legal hold.") + "\n")
    elif arguments.what == "add":
        text = _("The session {session} is on legal hold: retention leaves it alone.")
        context.output.err(text.format(session=clean(held[0].session)) + "\n")
    else:
        text = _("The session {session} is not on legal hold any more.")
        context.output.err(text.format(session=clean(held[0].session)) + "\n")
    return DONE


def retention_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `audit retention`."""
    parser.add_argument("--now", action="store_true", help="what the rules would delete now; with --reason it goes")
    parser.add_argument("--reason", metavar="TEXT", default="", help="with --now: why; it is recorded with your name")
    parser.add_argument("--json", action="store_true", help="as one JSON object on standard output")


async def retention(context: Context, arguments: argparse.Namespace) -> int:
    """The rules, what was deleted last, and how full the disks are; or the rules, applied now."""
    if arguments.now:
        return await _retention_now(context, arguments)
    if arguments.reason:
        raise CommandFailed("A reason belongs to: audit retention --now --reason TEXT", WRONG_USAGE)
    state: m.RetentionState = await context.api.call(methods.RETENTION, methods.Nothing())
    if arguments.json:
        context.output.out(json_line(state))
        return DONE
    for name, days in (
        (_("sessions, statements and acts"), state.records),
        (_("results"), state.recordings),
        (_("screens"), state.screens),
    ):
        kept = _("for ever") if not days else translate_many("{count} day", "{count} days", days).format(count=days)
        context.output.out(f"{name}: {kept}\n")
    if state.recordings_bytes:
        context.output.out(
            _("results and screens together: {bytes} bytes at most").format(bytes=state.recordings_bytes) + "\n"
        )
    held = translate_many("{count} session is on legal hold", "{count} sessions are on legal hold", state.holds)
    context.output.out(held.format(count=state.holds) + "\n")
    if state.deleted_at is not None:
        context.output.out(
            _("deleted last at {at}: {rule}").format(at=shown_moment(state.deleted_at), rule=clean(state.rule)) + "\n"
        )
    for disk in state.disks:
        context.output.out(f"{clean(disk.folder)}: {disk.percent} %\n")
    return DONE


async def _retention_now(context: Context, arguments: argparse.Namespace) -> int:
    request = methods.RetentionRequest(dry=not arguments.reason, reason=arguments.reason)
    run: m.RetentionRun = await context.api.call(methods.RETENTION_RUN, request)
    if arguments.json:
        context.output.out(json_line(run))
        return DONE
    if run.dry:
        text = _(
            "By the rules these would go now: {records} records of {sessions} sessions; {recordings} results and "
            "screens ({bytes} bytes)."
        )
    else:
        text = _("Deleted: {records} records of {sessions} sessions; {recordings} results and screens ({bytes} bytes).")
    context.output.out(
        text.format(records=run.records, sessions=run.sessions, recordings=run.recordings, bytes=run.bytes) + "\n"
    )
    if run.dry and (run.records or run.recordings):
        context.output.err(_("Nothing is deleted yet: audit retention --now --reason TEXT deletes it.") + "\n")
    return DONE


def _new(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}.", NOT_SO) from error


def verify_bundle(context: Context, file: Path, key: Path | None, anchor: Path | None, *, as_json: bool) -> int:
    """Proves a bundle. It needs no bastion. The exit code says whether it holds."""
    from bastion.audit import bundle_verifier

    try:
        public = None if key is None else bundle_verifier.read_key(key.read_bytes())
        anchors = [] if anchor is None else bundle_verifier.read_anchors(anchor)
        found = bundle_verifier.examine(file, public, anchors)
    except bundle_verifier.Broken as broken:
        proof = m.BundleProof(intact=False, file=broken.where, reason=broken.reason)
        if as_json:
            context.output.out(json_line(proof))
        else:
            context.output.out(_("THE BUNDLE DOES NOT HOLD: {reason}").format(reason=clean(str(broken))) + "\n")
        return NOT_SO
    except bundle_verifier.Unreadable as error:
        raise CommandFailed(str(error), WRONG_USAGE) from error
    except OSError as error:
        raise CommandFailed(f"{error.filename or file} cannot be read: {error.strerror}.", WRONG_USAGE) from error
    if as_json:
        proof = m.BundleProof(
            intact=True, node=found.node, session=found.session, first=found.first, last=found.last,
            shown=found.shown, withheld=found.withheld, statements=found.statements, proved_at=found.proved_at,
            key=found.key, key_from=found.key_from, anchored_to=found.anchored_to, recordings=found.recordings,
        )  # fmt: skip
        context.output.out(json_line(proof))
    else:
        context.output.out("".join(f"{clean(line)}\n" for line in bundle_verifier.sentences(found)))
    return DONE


def report_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `audit report`."""
    parser.add_argument("--user", metavar="NAME")
    parser.add_argument("--database", metavar="DB")
    parser.add_argument("--since", type=moment, required=True, metavar="TIME", help="a time, a date, or a period: 30d")
    parser.add_argument("--until", type=moment, metavar="TIME", help="left out: now")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to; left out: standard output")
    parser.add_argument("--language", choices=("en", "zh"), help="of the page; left out: yours")
    parser.add_argument("--no-proof", action="store_true", help="do not verify the record for it")
    parser.add_argument("--json", action="store_true", help="the figures as one JSON object instead of a page")


async def report(context: Context, arguments: argparse.Namespace) -> int:
    """A page that prints."""
    from bastion.api.report_page import page

    if arguments.output is not None and context.place is Place.EXEC:
        raise CommandFailed("Leave --output out here: audit report … > report.html", WRONG_USAGE)
    request = ReportRequest(
        since=arguments.since, until=arguments.until or rfc3339(datetime.now(UTC)), user=arguments.user,
        database=arguments.database, prove=not arguments.no_proof,
    )  # fmt: skip
    made: Report = await context.api.call(methods.REPORT, request)
    before = language.current()
    if arguments.language is not None:
        language.use("zh_CN" if arguments.language == "zh" else "en")
    try:
        text = json_line(made) if arguments.json else page(made)
    finally:
        language.use(before)
    if arguments.output is None:
        context.output.out(text)
    else:
        _write(Path(arguments.output), text)
    return NOT_SO if made.proof is not None and not made.proof.intact else DONE


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}.", NOT_SO) from error
