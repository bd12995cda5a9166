"""Where statements and PL/SQL blocks end: `;` ends a statement and is not sent, `/` on a line by itself ends a block,
which keeps its semicolons, and a statement too.

Facts: Oracle SQL*Plus User's Guide, "Running SQL Commands" and "Running PL/SQL Blocks"; Oracle SQL Language Reference,
"Text Literals" (q'[…]') and "Comments" (not nested).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPACE = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*(?:.*?\*/|.*\Z))+", re.DOTALL)
_SLASH = re.compile(r"[ \t]*/[ \t]*\r?(?:\n|\Z)")
_GAP = r"(?:\s|--[^\n]*\n|/\*.*?\*/)+"
_BLOCK = re.compile(
    rf"""(?:<<|begin\b|declare\b
    |create{_GAP}(?:or{_GAP}replace{_GAP})?(?:(?:and{_GAP}(?:resolve|compile)|force|noforce|editionable|noneditionable)
    {_GAP})*(?:procedure|function|package|trigger|type|library|java)\b
    |with{_GAP}(?:function|procedure)\b)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_ANONYMOUS = re.compile(r"(?:<<|(?:begin|declare|call)\b)", re.IGNORECASE)
_MARK = re.compile(
    r"""(?<![\w$\#])n?q'(?P<quote>.)|'[^']*(?:'|\Z)|"[^"]*(?:"|\Z)|--[^\n]*|/\*(?:.*?\*/|.*\Z)|;
    |^(?P<slash>[ \t]*/[ \t]*\r?(?:\n|\Z))""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_CLOSING = {"[": "]", "(": ")", "{": "}", "<": ">"}


@dataclass(frozen=True, slots=True)
class Unit:
    """`text[start:end]` is sent, spaces around it included; `stop` is behind what ends it. `open`: nothing does."""

    start: int
    end: int
    stop: int
    open: bool = False


def is_block(text: str) -> bool:
    """Whether it is an anonymous block or a call: what may say something, and may give several results."""
    return _ANONYMOUS.match(text, past_space(text, 0)) is not None


def keeps_semicolon(text: str) -> bool:
    """Whether the semicolons of a statement belong to it."""
    return _BLOCK.match(text, past_space(text, 0)) is not None


def next_unit(text: str, position: int) -> Unit | None:
    """The first statement or block from `position` on; None where there is only space, comments and stray ends."""
    begin = position
    while True:
        at = past_space(text, position)
        if at >= len(text):
            return None
        line = text.rfind("\n", 0, at) + 1
        slash = _SLASH.match(text, line) if text[at] == "/" else None
        if slash is None and text[at] != ";":
            break
        begin = position = slash.end() if slash is not None else at + 1
    block = _BLOCK.match(text, at) is not None
    while (mark := _MARK.search(text, at)) is not None:
        at = mark.end()
        if mark.group() == ";":
            if not block:
                return Unit(begin, mark.start(), at)
        elif mark.group("slash") is not None:
            return Unit(begin, mark.start(), at)
        elif (quote := mark.group("quote")) is not None:
            end = text.find(_CLOSING.get(quote, quote) + "'", at)
            at = len(text) if end < 0 else end + 2
    return Unit(begin, len(text), len(text), open=True)


def past_space(text: str, position: int) -> int:
    """The end of the white space and comments at `position`."""
    space = _SPACE.match(text, position)
    return space.end() if space is not None else position


def alternative_quote_end(text: str, position: int) -> int | None:
    """Where the q'[…]' that begins at `position` ends; None where none does."""
    mark = _ALTERNATIVE.match(text, position)
    if mark is None:
        return None
    end = text.find(_CLOSING.get(mark.group(1), mark.group(1)) + "'", mark.end())
    return len(text) if end < 0 else end + 2


_ALTERNATIVE = re.compile(r"n?q'(.)", re.IGNORECASE | re.DOTALL)
