"""What a search or an export of the record asks for: options, a filter line, a saved filter; and the saved filters."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime
from typing import Any

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.audit_filter import FilterUnreadable, read_sessions, read_statements
from bastion.api.language import translate as _

from .printing import clean, json_line, table
from .values import limit, moment, shown_moment
from .words import DONE, WRONG_USAGE, CommandFailed, Context

_PERIOD = re.compile(r"\d{1,6}[smhdw]")
FIELDS = (
    "user", "database", "account", "session", "since", "until", "error", "digest", "like", "table", "verdict", "source",
    "client", "least_rows", "least_ms", "state", "token",
)  # fmt: skip
OF_SESSIONS = ("user", "database", "account", "since", "until", "source", "client", "state", "token")


def when(text: str) -> str:
    """A time, or a period before now, which the bastion counts. For argparse."""
    return text if _PERIOD.fullmatch(text) else moment(text)


def filter_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `audit search`."""
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="begins a word of the text or of a value; *WORD: anywhere"
    )
    parser.add_argument("--where", metavar="LINE", help="a filter line, as in the workstation: 'user:a,b -kind:select'")
    parser.add_argument("--filter", metavar="NAME", help="a saved filter; OWNER/NAME for somebody else's")
    parser.add_argument("--user", metavar="NAME", help="who requested the token")
    parser.add_argument("--database", metavar="DB")
    parser.add_argument("--account", metavar="A", help="the database account of the token")
    parser.add_argument("--session", metavar="ID")
    parser.add_argument("--token", metavar="ID", help="what a token was used for")
    parser.add_argument("--table", metavar="NAME", help="named after FROM, JOIN, INTO, UPDATE, …; without its schema")
    parser.add_argument("--source", metavar="ADDRESS", help="where the person came from")
    parser.add_argument("--client", metavar="TEXT", help="in the client program's own words")
    parser.add_argument("--kind", metavar="KIND", help="select, insert, update, delete, create, …")
    parser.add_argument("--since", type=when, metavar="TIME", help="a time, a date, or a period: 2h is two hours ago")
    parser.add_argument("--until", type=when, metavar="TIME")
    parser.add_argument("--error", action="store_true", default=None, help="only those that failed")
    parser.add_argument("--state", metavar="STATE", help="done, failed, cancelled, refused, skipped, sent")
    parser.add_argument("--verdict", metavar="CODE", help="allowed, or the code of a refusal")
    parser.add_argument("--rows", type=int, metavar="N", dest="least_rows", help="at least so many rows")
    parser.add_argument("--slower", type=float, metavar="MS", dest="least_ms", help="at least so many milliseconds")
    parser.add_argument("--newest", action="store_true", help="newest first")
    parser.add_argument("--sort", choices=("rows", "duration"), help="largest first, as far as they reach 100")
    parser.add_argument("--like", metavar="SESSION/SEQ", help="those that differ from this statement only in values")
    parser.add_argument("--digest", metavar="D", help="the same, by the digest that --json shows")
    parser.add_argument("--limit", type=limit, default=0, metavar="N")


async def statements_wanted(context: Context, arguments: argparse.Namespace) -> m.StatementFilter:
    """What the options ask for of statements. Raises CommandFailed for a line that cannot be read."""
    wanted = m.StatementFilter()
    line = await _line(context, arguments, "statements")
    if line is not None:
        wanted = _read(read_statements, line)
        # A list for people to scroll begins with the newest; output begins with the oldest, unless the line says.
        wanted.newest = "sort:newest" in line
    wanted.words = [*wanted.words, *arguments.words]
    for name in FIELDS:
        value = getattr(arguments, name)
        if value is not None:
            setattr(wanted, name, value)
    if arguments.kind:
        wanted.kind = arguments.kind.lower()
    wanted.newest = wanted.newest or arguments.newest
    wanted.order = arguments.sort or wanted.order
    wanted.limit = arguments.limit
    return wanted


async def sessions_wanted(context: Context, arguments: argparse.Namespace) -> m.SessionFilter:
    """The same of sessions. Raises CommandFailed for options that are said of statements."""
    wanted = m.SessionFilter()
    line = await _line(context, arguments, "sessions")
    if line is not None:
        wanted = _read(read_sessions, line)
        wanted.newest = "sort:newest" in line
    given = [name for name in (*FIELDS, "kind") if getattr(arguments, name) is not None]
    wrong = [name for name in given if name not in (*OF_SESSIONS, "session")]
    if wrong:
        raise CommandFailed(f"--sessions takes no option for statements: {', '.join(wrong)}.", WRONG_USAGE)
    for name in given:
        setattr(wanted, "id" if name == "session" else name, getattr(arguments, name))
    wanted.words = [*wanted.words, *arguments.words]
    wanted.newest = wanted.newest or arguments.newest
    return wanted


async def _line(context: Context, arguments: argparse.Namespace, what: str) -> str | None:
    lines = [] if arguments.where is None else [arguments.where]
    if arguments.filter is not None:
        saved = await named(context, arguments.filter)
        if saved.what != what:
            raise CommandFailed(
                f"The filter {clean(saved.name)} is one of {saved.what}: add or leave out --sessions.", WRONG_USAGE
            )
        lines.insert(0, saved.text)
    return " ".join(lines) if lines else None


def _read(reader: Any, line: str) -> Any:
    now = datetime.now(UTC)
    try:
        return reader(line, now=now, zone=now.astimezone().tzinfo or UTC)
    except FilterUnreadable as error:
        raise CommandFailed(f"{error}\n  {clean(line)}\n  {' ' * error.start}^", WRONG_USAGE) from error


async def named(context: Context, name: str) -> m.SavedFilter:
    """The saved filter of that name: one's own, else the one that somebody shares. Raises CommandFailed."""
    filters: list[m.SavedFilter] = await context.api.call(methods.FILTERS, methods.Nothing())
    found = [each for each in filters if name in (each.name, f"{each.owner}/{each.name}")]
    if not found:
        raise CommandFailed(
            f"There is no filter {clean(name)}. `casemate audit filters` lists those that there are.", WRONG_USAGE
        )
    hello: m.Hello = await context.api.call(methods.HELLO, methods.Nothing())
    own = [each for each in found if each.owner == hello.user]
    if len(found) > 1 and not own:
        names = ", ".join(f"{each.owner}/{each.name}" for each in found)
        raise CommandFailed(f"Several people share a filter of that name: {clean(names)}. Say whose.", WRONG_USAGE)
    return (own or found)[0]


def saved_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `audit filters`."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")
    doing = parser.add_subparsers(dest="doing", metavar="ACTION")
    save = doing.add_parser("save", help="keep a filter line under a name, in the place of what was there")
    save.add_argument("name", metavar="NAME")
    save.add_argument("line", metavar="LINE")
    save.add_argument("--share", action="store_true", help="other auditors see and use it")
    save.add_argument("--sessions", action="store_true", help="it is a filter of sessions, not of statements")
    remove = doing.add_parser("remove", help="one of yours")
    remove.add_argument("name", metavar="NAME")


async def saved(context: Context, arguments: argparse.Namespace) -> int:
    """`audit filters`: lists, keeps, removes."""
    if arguments.doing == "save":
        wanted = methods.SaveFilter(
            name=arguments.name, text=arguments.line, shared=arguments.share,
            what="sessions" if arguments.sessions else "statements",
        )  # fmt: skip
        kept: m.SavedFilter = await context.api.call(methods.FILTER_SAVE, wanted)
        context.output.err(_("The filter {name} is kept.").format(name=clean(kept.name)) + "\n")
        return DONE
    if arguments.doing == "remove":
        await context.api.call(methods.FILTER_REMOVE, methods.ByName(name=arguments.name))
        context.output.err(_("The filter {name} is removed.").format(name=clean(arguments.name)) + "\n")
        return DONE
    filters: list[m.SavedFilter] = await context.api.call(methods.FILTERS, methods.Nothing())
    if arguments.json:
        context.output.out("".join(json_line(each) for each in filters))
    elif filters:
        table(
            context.output,
            (_("NAME"), _("OWNER"), _("OF"), _("SHARED"), _("CHANGED"), _("FILTER")),
            (
                (each.name, each.owner, each.what, _("yes") if each.shared else _("no"),
                 shown_moment(each.changed_at), each.text)
                for each in filters
            ),
        )  # fmt: skip
    else:
        context.output.err(_("No filter is kept. Keep one: casemate audit filters save NAME 'LINE'") + "\n")
    return DONE
