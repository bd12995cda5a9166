"""audit screens | replay: the screens of workstations that were served over SSH."""

from __future__ import annotations

import argparse

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _

from .printing import json_line, table
from .values import shown_moment
from .words import DONE, NOT_SO, Context


def screens_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `audit screens`."""
    parser.add_argument("--user", metavar="NAME")
    parser.add_argument("--limit", type=int, default=100, metavar="N")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")


def replay_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `audit replay`."""
    parser.add_argument("screen", metavar="SCREEN", help="its id, as `audit screens` lists it")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, where results are masked; it is on record")


async def list_screens(context: Context, arguments: argparse.Namespace) -> int:
    """The newest first."""
    found: list[m.Screen] = await context.api.call(
        methods.SCREENS, methods.ScreenFilter(user=arguments.user, limit=arguments.limit)
    )
    if arguments.json:
        context.output.out("".join(json_line(screen) for screen in found))
        return DONE
    table(
        context.output,
        (_("SCREEN"), _("USER"), _("SOURCE"), _("TERMINAL"), _("FROM"), _("UNTIL"), _("RECORDED")),
        (
            (s.id, s.user, s.source, s.terminal, shown_moment(s.began_at),
             shown_moment(s.ended_at) if s.ended_at else "", _("yes") if s.recorded else _("no"))
            for s in found
        ),
    )  # fmt: skip
    return DONE


async def replay(context: Context, arguments: argparse.Namespace) -> int:
    """The asciicast on standard output, for a file and a player."""
    after: int | None = 0
    found = False
    while after is not None:
        part: m.ScreenPart = await context.api.call(
            methods.SCREEN, methods.ScreenRequest(id=arguments.screen, after=after, reason=arguments.reason)
        )
        context.output.out(part.data.decode("utf-8", "replace"))
        await context.output.drain()
        found = found or bool(part.data)
        after = part.next
    return DONE if found else NOT_SO
