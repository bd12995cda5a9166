"""Which binds of a statement travel with its rows: those that a DML gives back (RETURNING … INTO) do not.

Nothing in a message says so: both ends read it in the text, as python-oracledb does (`impl/thin/statement.pyx`).
"""

from __future__ import annotations

import re

from . import constants as c
from .columns import Described

_TOKEN = re.compile(
    r"""
    [qQ]'(?:\[.*?\]'|\{.*?\}'|<.*?>'|\(.*?\)'|(?P<mark>[^\[{<(]).*?(?P=mark)')
    | '[^']*+' | "[^"]*+" | --[^\n]*+ | /\*.*?\*/
    | (?P<bind>:\s*+(?:"[^"]*"|\w[\w$\#]*))
    | (?P<word>[^\W\d_]++)
    """,
    re.S | re.X,
)
_BLOCKS = frozenset(("BEGIN", "DECLARE", "CALL"))
_CHANGES = frozenset(("INSERT", "UPDATE", "DELETE", "MERGE"))
_FIRST_WORD = re.compile(r"(?:[\s(]+|--[^\n]*+(?:\n|\Z)|/\*.*?\*/)*+([A-Za-z]*)", re.S)
_STRINGS = frozenset((c.VARCHAR, c.CHAR, c.LONG, c.RAW, c.LONG_RAW))


def first_word(text: str) -> str:
    """In capitals; '' where there is none."""
    found = _FIRST_WORD.match(text)
    return found[1].upper() if found is not None else ""


def is_block(text: str) -> bool:
    """Whether it is PL/SQL."""
    return first_word(text) in _BLOCKS


def given_back(text: str, binds: int) -> int:
    """How many of its binds, the last ones, are behind RETURNING … INTO of a statement that changes rows."""
    if "returning" not in text.lower() or first_word(text) not in _CHANGES:
        return 0
    before = behind = 0
    returning = into = False
    for token in _TOKEN.finditer(text):
        if token["bind"]:
            if into:
                behind += 1
            else:
                before += 1
        elif word := token["word"]:
            if len(word) == 9 and word.upper() == "RETURNING":
                returning = True
            elif returning and len(word) == 4 and word.upper() == "INTO":
                into = True
    return behind if before + behind == binds else 0


def order_of(binds: tuple[Described, ...], *, block: bool, longest: int) -> tuple[int, ...] | None:
    """The order in which the values of a row travel, where it is not that of their places: long ones come last."""
    if block:
        return None
    long = [place for place, bind in enumerate(binds) if bind.size > longest and bind.kind in _STRINGS]
    if not long:
        return None
    return (*(place for place in range(len(binds)) if place not in long), *long)
