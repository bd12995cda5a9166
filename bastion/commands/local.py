"""What is done on the bastion's own machine (init, serve, apply, export, doctor), and the ways into the workstation."""

from __future__ import annotations

import argparse
from pathlib import Path

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _

from .declared_files import read_documents, referenced_environment
from .printing import clean, json_line
from .words import DONE, NOT_SO, Context, Output, Place, Word

PROGRAM = frozenset({Place.PROGRAM})
LOCAL = frozenset({Place.LOCAL})


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="a new or empty folder for the bastion's configuration and state")
    parser.add_argument("--admin", metavar="NAME", default="admin", help="the first administrator's name (admin)")
    parser.add_argument("--listen", metavar="HOST:PORT", default="0.0.0.0:60022", help="0.0.0.0:60022")
    parser.add_argument("--advertise", metavar="HOST:PORT", help="the address that people are shown, where it differs")
    parser.add_argument("--node", metavar="NAME", help="this node's name in the record (the host's name)")
    parser.add_argument(
        "--password-file", metavar="FILE", help="the administrator's password; else CASEMATE_PASSWORD, else a prompt"
    )


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", required=True, help="DIR/casemate.toml")
    parser.add_argument(
        "--listen", metavar="HOST:PORT", help="instead of the configuration's address; port 0: any free one"
    )
    parser.add_argument("--verbose", action="store_true", help="log more to standard error")


def _apply_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="YAML files that declare users, databases, grants, …")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--prune", action="store_true", help="also remove what the files do not name")
    parser.add_argument("--json", action="store_true", help="the changes, one JSON object a line")


async def _apply(context: Context, arguments: argparse.Namespace) -> int:
    documents = read_documents([Path(name) for name in arguments.files])
    request = methods.ApplyRequest(
        documents=documents.contents,
        base=str(documents.base),
        environment=referenced_environment(documents.contents),
        prune=arguments.prune,
        dry=arguments.dry_run,
    )
    applied: m.Applied = await context.api.call(methods.APPLY, request)
    for change in applied.changes:
        if arguments.json:
            context.output.out(json_line(change))
        else:
            context.output.out(change_line(change))
    for warning in applied.warnings:
        context.output.err(_("Warning: {text}").format(text=clean(warning)) + "\n")
    if not applied.changes:
        context.output.err(_("Nothing to change.") + "\n")
    elif applied.dry:
        context.output.err(_("Nothing was changed: this was a dry run.") + "\n")
    else:
        context.output.err(_("{count} changes applied.").format(count=len(applied.changes)) + "\n")
    return DONE


_MARKS = {"create": "+", "update": "~", "delete": "-"}


def change_line(change: m.Change) -> str:
    """One change as the diff shows it."""
    detail = f"  {clean(change.detail)}" if change.detail else ""
    return f"{_MARKS.get(change.action, '?')} {change.kind} {clean(change.name)}{detail}\n"


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="check the bastion of this configuration, on its own machine")
    parser.add_argument("--json", action="store_true", help="the findings, one JSON object a line")


def show_findings(output: Output, findings: list[m.Finding], *, as_json: bool) -> int:
    """Prints what a check found; the exit code says whether all is well enough."""
    for finding in findings:
        if as_json:
            output.out(json_line(finding))
        else:
            output.out(f"{finding.level:<8} {clean(finding.subject)}: {clean(finding.message)}\n")
            if finding.next:
                output.out(f"{'':<8} -> {clean(finding.next)}\n")
    return NOT_SO if any(finding.level == "error" for finding in findings) else DONE


def _connect_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", nargs="?", metavar="USER@HOST[:PORT]", help="else CASEMATE_BASTION, or the last one used"
    )
    parser.add_argument(
        "--plain", action="store_true", help="pages for screen readers: numbered lines, no frames, states in words"
    )


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check", action="store_true", help="do the main job without a screen, say what was seen, and exit"
    )


WORDS = (
    Word("connect", "the workstation: browse, query, watch, in full screen", _connect_arguments, None, PROGRAM),
    Word(
        "demo", "a bastion with sample databases, and the workstation signed in to it", _demo_arguments, None, PROGRAM
    ),
    Word(
        "keys",
        "every action of the workstation with its keys, as the file that rebinds them",
        _no_arguments,
        None,
        PROGRAM,
    ),
    Word("init", "make a bastion: configuration, keys, first administrator", _init_arguments, None, PROGRAM),
    Word("serve", "run the bastion", _serve_arguments, None, PROGRAM),
    Word("apply", "declare users, databases and grants from files; shows the diff", _apply_arguments, _apply, LOCAL),
    Word("doctor", "what is wrong with this set-up, and what to do", _doctor_arguments, None, PROGRAM),
)
