"""sql, tunnel: SQL without a screen, and a way for any client. Here is what they take; the program does the work."""

from __future__ import annotations

import argparse

from .values import period
from .words import REMOTE, Place, Word


def _sql_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("database", metavar="DB", help="the database's name; `databases` lists yours")
    text = parser.add_mutually_exclusive_group(required=True)
    text.add_argument("-c", dest="command", metavar="SQL", help="the statement or statements")
    text.add_argument("-f", dest="file", metavar="FILE", help="a script; - is standard input")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a row")
    form.add_argument("--csv", action="store_true", help="comma-separated values with a heading")
    parser.add_argument("--account", metavar="A", help="the database account, where you have several")
    parser.add_argument("--reason", default="", metavar="TEXT", help="what it is for (the logon note)")


def _tunnel_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("database", metavar="DB", help="the database's name; `databases` lists yours")
    parser.add_argument(
        "--listen", metavar="PORT|/PATH.sock", default="0",
        help="a port of this machine's loopback (default: a free one), or a Unix socket that only you can use",
    )  # fmt: skip
    parser.add_argument("--account", metavar="A", help="the database account, where you have several")
    parser.add_argument("--for", dest="period", type=period, metavar="2h", help="how long the token shall live")
    parser.add_argument("--reason", default="", metavar="TEXT", help="what it is for (the logon note)")
    parser.add_argument("--json", action="store_true", help="where it listens as a JSON object")


WORDS = (
    Word("sql", "run SQL through the bastion, on record", _sql_arguments, None, REMOTE),
    Word("tunnel", "listen on this machine for a database client of your choice", _tunnel_arguments, None,
         frozenset({Place.PROGRAM})),
)  # fmt: skip
