"""audit export: what a filter finds, as CSV, JSON Lines or Parquet, to a file or to standard output."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .audit_filters import filter_arguments, sessions_wanted, statements_wanted
from .words import DONE, NOT_SO, WRONG_USAGE, CommandFailed, Context, Place

FORMATS = ("csv", "jsonl", "parquet")
TOLD_EVERY = 5.0
"""Seconds between two lines that say how far it is."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `audit export`: those of `audit search`, and as what and where to."""
    filter_arguments(parser)
    parser.add_argument("--sessions", action="store_true", help="sessions instead of statements")
    parser.add_argument("--format", choices=FORMATS, help="else what the file's name ends in")
    parser.add_argument("-o", "--output", metavar="FILE", help="a new file; without: standard output")


async def export(context: Context, given: argparse.Namespace) -> int:
    """Streams it; nothing is left of one that does not come to its end."""
    format = given.format or _format_of(given.output)
    if given.output is not None and context.place is Place.EXEC:
        raise CommandFailed("Files cannot be named over plain SSH: … audit export --format csv > FILE", WRONG_USAGE)
    if given.output is None and context.output.terminal:
        raise CommandFailed("An export goes to a file, not to a terminal: -o FILE, or > FILE", WRONG_USAGE)
    begin = methods.AuditExportBegin(what="sessions" if given.sessions else "statements", format=format)
    if given.sessions:
        begin.sessions = await sessions_wanted(context, given)
    else:
        begin.statements = await statements_wanted(context, given)
    if given.output is None:
        rows, size = 0, 0
        digest = hashlib.sha256()
        async for piece in _pieces(context, begin):
            digest.update(piece.data)
            context.output.data(piece.data)
            await context.output.drain()
            rows, size = piece.rows, size + len(piece.data)
            _compare(piece, digest.hexdigest())
    else:
        rows, size = await _to_file(context, begin, Path(given.output))
    context.output.err(_("{rows} rows, {bytes} bytes.").format(rows=f"{rows:,}", bytes=f"{size:,}") + "\n")
    return DONE


def _format_of(name: str | None) -> str:
    ending = "" if name is None else Path(name).suffix.lower().lstrip(".")
    if ending not in FORMATS:
        raise CommandFailed(f"Say as what: --format {' | '.join(FORMATS)}", WRONG_USAGE)
    return ending


async def _pieces(context: Context, begin: methods.AuditExportBegin) -> AsyncIterator[m.AuditExportPiece]:
    """The pieces in order; the export is given up where they are not taken to the end."""
    export: m.AuditExport = await context.api.call(methods.AUDIT_EXPORT_BEGIN, begin)
    whole = False
    told = monotonic()
    try:
        while not whole:
            piece: m.AuditExportPiece = await context.api.call(
                methods.AUDIT_EXPORT_READ, methods.AuditExportRead(id=export.id)
            )
            whole = piece.done
            yield piece
            if monotonic() - told >= TOLD_EVERY:
                told = monotonic()
                context.output.err(_("{rows} rows so far …").format(rows=f"{piece.rows:,}") + "\n")
    finally:
        if not whole:
            with contextlib.suppress(Refused):
                await context.api.call(methods.AUDIT_EXPORT_CANCEL, methods.ById(id=export.id))


async def _to_file(context: Context, begin: methods.AuditExportBegin, path: Path) -> tuple[int, int]:
    """Written beside its place and put there when it is whole; nothing that is there is overwritten."""
    if path.exists():  # noqa: ASYNC240 - a program that does nothing else
        raise CommandFailed(f"{path} exists already; nothing was written.", NOT_SO)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    rows = size = 0
    digest = hashlib.sha256()
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            async for piece in _pieces(context, begin):
                digest.update(piece.data)
                file.write(piece.data)
                rows, size = piece.rows, size + len(piece.data)
                _compare(piece, digest.hexdigest())
            file.flush()
            os.fsync(file.fileno())
        if path.exists():  # noqa: ASYNC240
            raise CommandFailed(f"{path} exists already; nothing was written.", NOT_SO)
        part.replace(path)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}.", NOT_SO) from error
    finally:
        part.unlink(missing_ok=True)
    return rows, size


def _compare(piece: m.AuditExportPiece, digest: str) -> None:
    """What came is what was sent and is on record. Raises CommandFailed."""
    if piece.done and piece.digest != digest:
        raise CommandFailed("What came is not what was exported. Do not use it; export it again.", NOT_SO)
