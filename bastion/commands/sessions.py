"""sessions, watch, end: what runs through the bastion, and stopping it."""

from __future__ import annotations

import argparse

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _

from .printing import clean, json_line, table
from .values import limit, shown_moment
from .watching import follow, show_live
from .words import ANYWHERE, DONE, WRONG_USAGE, CommandFailed, Context, Word


def _sessions_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--live", action="store_true", help="what runs now, the riskiest first, with its figures")
    parser.add_argument("--user", metavar="NAME", help="only this person's")
    parser.add_argument("--database", metavar="DB", help="only this database's")
    parser.add_argument("--limit", type=limit, default=1000, metavar="N", help="the newest N at most (1000)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")


async def _sessions(context: Context, arguments: argparse.Namespace) -> int:
    if arguments.live:
        wanted = m.SessionFilter(
            live=True, user=arguments.user, database=arguments.database, newest=True, limit=min(arguments.limit, 1000)
        )
        return await show_live(context, wanted, json=arguments.json)
    found: list[m.Session] = await context.api.call(
        methods.SESSIONS,
        m.SessionFilter(
            user=arguments.user,
            database=arguments.database,
            newest=True,
            limit=min(arguments.limit, 1000),
        ),
    )
    found.reverse()
    if arguments.json:
        for session in found:
            context.output.out(json_line(session))
    elif found:
        show_sessions(context, found)
    else:
        context.output.err(_("There is no session.") + "\n")
    return DONE


def show_sessions(context: Context, sessions: list[m.Session]) -> None:
    """Sessions as a table."""
    table(
        context.output,
        (_("ID"), _("STATE"), _("USER"), _("DATABASE"), _("ACCOUNT"), _("FROM"), _("CLIENT"), _("STARTED"), _("STMTS"),
         _("ENDED BECAUSE / RUNNING")),
        (
            (s.id, s.state, s.user, s.database, s.account, s.source, s.client, shown_moment(s.started_at),
             s.statements, s.running or s.end_reason)
            for s in sessions
        ),
    )  # fmt: skip


def _watch_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", help="the session's id")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a line on standard output")
    form.add_argument(
        "--screen", action="store_true",
        help="the screen of the served workstation that it is in, on your terminal; also of a workstation's own id",
    )  # fmt: skip
    parser.add_argument(
        "--reason", default="", metavar="TEXT", help="with --screen: why, where results are masked; it is on record"
    )


async def _watch(context: Context, arguments: argparse.Namespace) -> int:
    if arguments.screen:
        raise CommandFailed(
            _("A screen is drawn on a terminal by the program itself: `casemate watch --screen` from your own machine, "
              "or the watch page of the workstation."),
            WRONG_USAGE,
        )  # fmt: skip
    return await follow(context, arguments.session, json=arguments.json)


def _end_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", help="the session's id")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; its user is told, and it is on record")
    parser.add_argument("--json", action="store_true", help="the session as a JSON object")


async def _end(context: Context, arguments: argparse.Namespace) -> int:
    request = methods.ById(id=arguments.session, reason=arguments.reason)
    ended: m.Session = await context.api.call(methods.SESSION_END, request)
    if arguments.json:
        context.output.out(json_line(ended))
    else:
        context.output.err(_("The session {id} is ended.").format(id=clean(ended.id)) + "\n")
    return DONE


WORDS = (
    Word("sessions", "database sessions, open and past; yours, or all for auditors", _sessions_arguments, _sessions,
         ANYWHERE),
    Word("watch", "the statements of a live session as they happen, until it ends; or its screen", _watch_arguments,
         _watch, ANYWHERE),
    Word("end", "end a database session; its statement is cancelled on the database", _end_arguments, _end, ANYWHERE),
)  # fmt: skip
