"""What is run at once in Transact-SQL: `GO` on a line of its own ends a batch, a semicolon ends a statement in it.

A batch is run whole where its parts belong together: one that declares variables, makes a procedure, function or
trigger, or branches (`IF`, `WHILE`, `BEGIN … END`), since variables end with their batch and a semicolon may stand
inside a block. Microsoft's documentation, "GO" and "Batches". `GO 5` is not known: the server refuses it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_MARK = re.compile(
    r"""'[^']*(?:'|\Z)|"[^"]*(?:"|\Z)|\[[^\]]*(?:\]|\Z)|--[^\n]*|/\*|;
    |(?<![\w@\#$.])(?:(?P<go>go)(?=[ \t]*(?:;[ \t]*)?(?:--[^\n]*)?(?:\r?\n|\Z))
    |(?P<whole>declare|if|while|begin(?!\s+(?:tran|transaction|distributed)\b)|else)
    |(?P<module>(?:create|alter)\s+(?:or\s+alter\s+)?(?:proc|procedure|function|trigger)))(?![\w@\#$])""",
    re.IGNORECASE | re.VERBOSE,
)
_COMMENT = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Piece:
    """`text[start:end]` is run, spaces around it included; `stop` is behind what ends it. `open`: nothing does."""

    start: int
    end: int
    stop: int
    open: bool = False


@lru_cache(maxsize=4)
def pieces(text: str) -> tuple[Piece, ...]:
    """All of a text, in order; some may hold nothing but space and comments."""
    found: list[Piece] = []
    begin, at, whole = 0, 0, False
    semicolons: list[int] = []
    while (mark := _MARK.search(text, at)) is not None:
        at = mark.end()
        if mark.group() == "/*":
            at = _comment_end(text, mark.start())
        elif mark.group() == ";":
            semicolons.append(mark.start())
        elif mark.group("go") and not text[text.rfind("\n", 0, mark.start()) + 1 : mark.start()].strip():
            line_end = text.find("\n", at)
            at = len(text) if line_end < 0 else line_end + 1
            found.extend(_batch(begin, mark.start(), at, semicolons, whole=whole))
            begin, semicolons, whole = at, [], False
        elif mark.group("whole") or mark.group("module"):
            whole = True
    found.extend(_batch(begin, len(text), len(text), semicolons, whole=whole, open=True))
    return tuple(found)


def _batch(begin: int, end: int, stop: int, semicolons: list[int], *, whole: bool, open: bool = False) -> list[Piece]:
    if whole:
        return [Piece(begin, end, stop, open)]
    found = []
    for semicolon in semicolons:
        found.append(Piece(begin, semicolon, semicolon + 1))
        begin = semicolon + 1
    found.append(Piece(begin, end, stop, open))
    return found


def _comment_end(text: str, at: int) -> int:
    depth = 0
    for mark in _COMMENT.finditer(text, at):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)
