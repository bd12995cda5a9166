"""All words, in the order in which the help lists them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache

from . import audit, databases, exports, local, sessions, sql, supervising, why
from .words import Parser, Place, Word, build_parser

WORDS: tuple[Word, ...] = (
    *databases.WORDS, *why.WORDS, *sql.WORDS, *sessions.WORDS, *supervising.WORDS, *audit.WORDS, *exports.WORDS,
    *local.WORDS,
)  # fmt: skip


@cache
def parser_for(place: Place, common: Callable[[argparse.ArgumentParser, Word], None] | None = None) -> Parser:
    """The parser of the words that can be used in `place`."""
    return build_parser(WORDS, place, "casemate", common)
