"""why: what is in the way of working with a database, and what to do about it."""

from __future__ import annotations

import argparse

from bastion.api import explanations, methods
from bastion.api import messages as m
from bastion.api.language import translate as _

from .printing import clean, json_line, width
from .words import ANYWHERE, DONE, NOT_SO, Context, Word

MARKS = {"ok": "✓", "no": "✗", "note": "·"}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("database", metavar="DB", help="the database's name; `databases` lists yours")
    parser.add_argument("--account", metavar="A", help="the database account, where you have several")
    parser.add_argument("--user", metavar="NAME", help="somebody else, for administrators and auditors")
    parser.add_argument("--no-dial", action="store_true", help="do not try to reach the database")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


async def _why(context: Context, arguments: argparse.Namespace) -> int:
    request = methods.ExplainRequest(
        database=arguments.database, account=arguments.account, user=arguments.user, dial=not arguments.no_dial
    )
    explanation: m.Explanation = await context.api.call(methods.EXPLAIN, request)
    if arguments.json:
        context.output.out(json_line(explanation))
    else:
        show(context, explanation)
    return DONE if explanation.open else NOT_SO


def show(context: Context, explanation: m.Explanation) -> None:
    """The checks in their order, each with the next step where there is one."""
    names = [explanations.stage(check) for check in explanation.checks]
    widest = max((width(name) for name in names), default=0)
    for name, check in zip(names, explanation.checks, strict=True):
        padded = name + " " * (widest - width(name))
        context.output.out(f"{MARKS.get(check.state, '?')} {padded}  {clean(explanations.text(check))}\n")
        if step := explanations.next_step(check):
            context.output.out(f"  {' ' * widest}  → {clean(step)}\n")
    if explanation.open:
        context.output.err(_("Nothing that the bastion can see is in the way.") + "\n")


WORDS = (Word("why", "why you can or cannot connect to a database, and what to do", _arguments, _why, ANYWHERE),)
