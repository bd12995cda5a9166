"""audit bundle: one session as a file that proves itself; and proving such a file."""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _

from .printing import clean, json_line
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
