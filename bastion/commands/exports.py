"""export: the declared state on the bastion's own machine; over SSH, the results that a workstation exported."""

from __future__ import annotations

import argparse
import hashlib

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _

from .printing import clean, json_line, table
from .values import shown_moment
from .words import ANYWHERE, DONE, NOT_SO, WRONG_USAGE, CommandFailed, Context, Place, Word


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="?", choices=("list", "get", "remove"),
        help="exported results: list them, get one (`export get ID > file`), remove one",
    )  # fmt: skip
    parser.add_argument("id", nargs="?", metavar="ID", help="an export's id")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line; of the declared state one instead of YAML"
    )


async def _run(context: Context, arguments: argparse.Namespace) -> int:
    if arguments.what is None:
        return await _state(context, as_json=arguments.json)
    if context.place is Place.LOCAL:
        raise CommandFailed("Exported results are their owner's: log in to the bastion instead of --config.", NOT_SO)
    if arguments.what == "list":
        if arguments.id is not None:
            raise CommandFailed("export list takes no ID.", WRONG_USAGE)
        return await _list(context, as_json=arguments.json)
    if arguments.id is None:
        raise CommandFailed(f"Say which: export {arguments.what} ID. `export list` shows them.", WRONG_USAGE)
    if arguments.what == "remove":
        await context.api.call(methods.EXPORT_ABANDON, methods.ById(id=arguments.id))
        context.output.err(_("The export {id} is removed.").format(id=clean(arguments.id)) + "\n")
        return DONE
    return await _get(context, arguments.id)


async def _state(context: Context, *, as_json: bool) -> int:
    if context.place is not Place.LOCAL:
        raise CommandFailed(
            "The declared state is exported on the bastion's own machine: casemate export --config FILE. "
            "For exported results: export list, export get ID.",
            WRONG_USAGE,
        )
    state = await context.api.call(methods.EXPORT, methods.Nothing())
    if as_json:
        context.output.out(json_line(state))
    else:
        import yaml

        context.output.out(yaml.safe_dump(state, sort_keys=False, allow_unicode=True))
    return DONE


async def _list(context: Context, *, as_json: bool) -> int:
    files: list[m.ExportFile] = await context.api.call(methods.EXPORT_LIST, methods.Nothing())
    if as_json:
        for file in files:
            context.output.out(json_line(file))
    elif files:
        table(
            context.output,
            (_("ID"), _("NAME"), _("DATABASE"), _("ROWS"), _("BYTES"), _("UNTIL")),
            ((f.id, f.name, f.database, f.rows, f.bytes, shown_moment(f.until)) for f in files),
        )
    else:
        context.output.err(_("No export waits for you. In the workstation, e exports a result.") + "\n")
    return DONE


async def _get(context: Context, id: str) -> int:
    """The bytes to standard output, compared with what is on record."""
    if context.output.terminal:
        raise CommandFailed("An exported result goes to a file, not to a terminal: … export get ID > file", WRONG_USAGE)
    files: list[m.ExportFile] = await context.api.call(methods.EXPORT_LIST, methods.Nothing())
    known = next((file for file in files if file.id == id), None)
    digest = hashlib.sha256()
    after: int | None = 0
    while after is not None:
        piece: m.ExportPiece = await context.api.call(methods.EXPORT_READ, methods.ExportRead(id=id, after=after))
        digest.update(piece.data)
        context.output.data(piece.data)
        await context.output.drain()
        after = piece.next
    if known is None or digest.hexdigest() != known.digest:
        raise CommandFailed("What came is not what was exported. Do not use it; export it again.", NOT_SO)
    return DONE


WORDS = (
    Word(
        "export", "exported results (list, get ID); with --config what is declared, without secrets", _arguments, _run,
        ANYWHERE,
    ),
)  # fmt: skip
